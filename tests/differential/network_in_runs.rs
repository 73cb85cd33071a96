//! Do runs use the network that a scenario asks for, and does the outcome say what is known of it?
//!
//! A pass says that each all-to-all algorithm carries in a run what its description says, worked out
//! by hand, that engines agree where they should, and that the choice by itself is reported. It does
//! not say how fast real libraries are.

use crate::common::{ideal, roofline, topology, workload};
use moesim::base::units::{Bytes, GpuId, SimDuration, SimTime};
use moesim::execution::Scope;
use moesim::execution::run::simulate;
use moesim::network::collective::{Accounting, Algorithm, Chosen, expected_distinct_over};
use moesim::network::fluid::Engine;
use moesim::network::{
    ClosedForm, Delivery, Exchange, ExchangeId, FlowNetwork, Forwarding, Network, NetworkChoice,
    NetworkRates, Relayed, Startup,
};
use moesim::topology::Topology;

const PORTS_ONLY: NetworkRates = NetworkRates {
    within_node: Startup::fixed(SimDuration::ZERO),
    across_nodes: Startup::fixed(SimDuration::ZERO),
    ..NetworkRates::IDEAL
};

/// Two nodes of two GPUs: NVLink ports of 100 GB/s, NICs of 10 GB/s, one for each GPU.
fn two_by_two() -> Topology {
    let source = moesim::config::built_in_topology("a100-4x8").unwrap();
    let lines = [
        "nodes.count=2",
        "nodes.gpus_per_node=2",
        "nodes.nic.per_node=2",
        "nodes.nic.bandwidth='10 GB/s'",
        "nodes.scale-up.nvswitch.bandwidth='100 GB/s'",
    ];
    moesim::config::read_topology(&source.with_overrides(lines)).unwrap()
}

fn last_of(network: &mut dyn Network, exchange: Exchange) -> Vec<Delivery> {
    let ranks = exchange.members().len();
    network.open(ExchangeId(0), exchange);
    (0..ranks).for_each(|rank| network.join(SimTime::ZERO, ExchangeId(0), rank));
    let mut delivered = Vec::new();
    while let Some(due) = network.next_delivery() {
        network.deliver(due, &mut delivered);
    }
    delivered.sort_by_key(|delivery| delivery.rank);
    delivered
}

/// The times in us at which members are served, in both kinds of network.
fn served(exchange: &Exchange) -> [Vec<u64>; 2] {
    let topology = two_by_two();
    let us = |deliveries: Vec<Delivery>| deliveries.iter().map(|d| d.at.ps() / 1_000_000).collect();
    [
        us(last_of(&mut ClosedForm::new(&topology, PORTS_ONLY), exchange.clone())),
        us(last_of(&mut FlowNetwork::new(&topology, PORTS_ONLY), exchange.clone())),
    ]
}

fn cells(cells: &[(usize, usize, u64)]) -> Vec<Bytes> {
    let mut bytes = vec![Bytes(0); 16];
    cells.iter().for_each(|&(from, to, sent)| bytes[from * 4 + to] = Bytes(sent));
    bytes
}

fn four() -> Vec<GpuId> {
    (0..4).map(GpuId).collect()
}

/// GPU 0 has one token of 1 MB with experts on GPUs 2 and 3, in the other node. Directly both copies
/// leave over its NIC: 2 MB at 10 GB/s, 200 us. In two hops one copy does, 100 us, and GPU 2 passes
/// it on to GPU 3 over NVLink (10 us by itself) as it comes, so GPU 3 is served when GPU 2 is.
#[test]
fn two_hops_carry_one_copy_between_nodes_and_forwarding_waits_for_it() {
    let mega = 1_000_000;
    let direct = Exchange::new(four(), cells(&[(0, 2, mega), (0, 3, mega)]));
    for times in served(&direct) {
        assert_eq!(times, [200, 0, 200, 200], "direct");
    }
    let mut accounting = Accounting::new(Algorithm::TwoHop, 2, Bytes(mega)).among(0..4);
    accounting.token(GpuId(0), &[GpuId(2), GpuId(3)]);
    let hops: Vec<(usize, usize, u64)> = accounting
        .hops()
        .iter()
        .map(|hop| (hop.from.index(), hop.to.index(), hop.bytes.0))
        .collect();
    assert_eq!(hops, [(0, 2, mega), (2, 3, mega)]);
    let forth = Exchange::new(four(), cells(&hops)).with_forwarding(Forwarding::AcrossThenWithin);
    for times in served(&forth) {
        assert_eq!(times, [100, 0, 100, 100], "dispatch");
    }
    // The combine: GPU 3 gives its result to GPU 2, which sends one sum home.
    let home = Exchange::new(four(), cells(&[(3, 2, mega), (2, 0, mega)]))
        .with_forwarding(Forwarding::WithinThenAcross);
    for times in served(&home) {
        assert_eq!(times, [100, 0, 100, 10], "combine");
    }
}

/// A combine whose first hop is the slow one: 20 MB over NVLink to the forwarder take 200 us, the sum
/// of 1 MB goes home in 100 us, and is complete only when the forwarder had all.
#[test]
fn a_sum_goes_home_when_its_last_part_is_there() {
    let home = Exchange::new(four(), cells(&[(3, 2, 20_000_000), (2, 0, 1_000_000)]))
        .with_forwarding(Forwarding::WithinThenAcross);
    for times in served(&home) {
        assert_eq!(times, [200, 0, 200, 200]);
    }
}

/// PXN from GPU 0 to GPU 3 over GPU 1, which is on rail 1: 1 MB over NVLink and GPU 1's NIC, while
/// GPU 1 sends 1 MB to GPU 3 over the same NIC: 200 us.
#[test]
fn a_relay_lends_its_nic() {
    let mega = Bytes(1_000_000);
    let exchange = Exchange::new(four(), cells(&[(1, 3, mega.0)])).with_relayed(vec![Relayed {
        from: 0,
        via: 1,
        to: 3,
        bytes: mega,
    }]);
    for times in served(&exchange) {
        assert_eq!(times, [200, 200, 0, 200]);
    }
}

fn choice(engine: Option<Engine>) -> NetworkChoice {
    NetworkChoice { engine, ..NetworkChoice::default() }
}

const EVEN: [&str; 4] = [
    "gate.sampling='exact'",
    "experts.ffn=8",
    "layout.expert_parallel=4",
    "batch.tokens_per_gpu=32",
];

/// In every run two hops send less between nodes than one-sided copies, these less than a copy a slot;
/// a relay changes no port's bytes but those inside nodes.
#[test]
fn algorithms_carry_less_and_less_between_nodes() {
    let (kernels, topology) = (roofline(100.0, 1000.0), two_by_two());
    let workload = workload(&EVEN);
    let bytes = |all_to_all| {
        let mut inputs = ideal(&topology, &workload, &kernels, Scope::MoeLayer);
        inputs.all_to_all = all_to_all;
        simulate(&inputs, 1).unwrap().totals.dispatched_bytes
    };
    let [direct, one_sided, two_hop, pxn] =
        [Algorithm::Direct, Algorithm::OneSided, Algorithm::TwoHop, Algorithm::Pxn].map(bytes);
    assert!(one_sided < direct, "{one_sided} of {direct} bytes");
    assert!(two_hop >= one_sided, "forwarded bytes count twice: {two_hop}, {one_sided}");
    assert!(pxn > direct, "relayed bytes count twice: {pxn}, {direct}");
}

/// Counting tokens and taking expectations over counts agree, also where a rule binds groups of experts:
/// here a group a GPU, at most two of four, or one expert of each.
#[test]
fn expected_copies_are_those_of_drawn_tokens() {
    let topology = two_by_two();
    let kernels = roofline(100.0, 1000.0);
    let bytes = |sampling: &str, scheme: &[&str], algorithm| {
        let sampling = format!("gate.sampling='{sampling}'");
        let common = ["layout.expert_parallel=4", "batch.tokens_per_gpu=4096", &sampling];
        let workload = workload(&[&common[..], scheme].concat());
        let mut inputs = ideal(&topology, &workload, &kernels, Scope::MoeLayer);
        inputs.all_to_all = algorithm;
        simulate(&inputs, 1).unwrap().totals.dispatched_bytes as f64
    };
    let free = &["experts.ffn=8"][..];
    let limited = &[
        "experts.ffn=32",
        "experts.top_k=4",
        "scheme.kind='group-limited'",
        "scheme.groups=4",
        "scheme.groups_chosen=2",
    ][..];
    let grouped =
        &["experts.ffn=32", "experts.top_k=4", "scheme.kind='grouped'", "scheme.groups=4"][..];
    for algorithm in [Algorithm::OneSided, Algorithm::TwoHop] {
        for (scheme, within) in [(free, 0.01), (limited, 0.02), (grouped, 1e-6)] {
            let [exact, counts] = ["exact", "counts"].map(|s| bytes(s, scheme, algorithm));
            let off = counts / exact - 1.0;
            assert!(off.abs() < within, "{algorithm:?} {scheme:?}: {counts}, {exact}");
        }
    }
}

#[test]
fn a_gate_without_favourites_reaches_what_the_formula_says() {
    let group_of: Vec<usize> = (0..64).map(|e| e / 8).collect();
    let tokens = [100.0, 0.0, 50.0, 0.0, 0.0, 0.0, 850.0];
    let slots = vec![(2.0 * 50.0 + 6.0 * 850.0) / 64.0; 64];
    let chosen = Chosen { slots: &slots, dropped: &[0.0; 64], tokens: &tokens, blocks: None };
    let law: Vec<f64> = tokens.iter().map(|n| n / 1000.0).collect();
    let want = 1000.0 * expected_distinct_over(8, 64, &law) / 8.0;
    for copies in chosen.copies(&group_of, 8) {
        assert!((copies / want - 1.0).abs() < 1e-9, "{copies}, {want}");
    }
}

/// One slot a token: as many copies as slots, whatever the favourites, and as many fewer as are
/// dropped.
#[test]
fn single_slots_are_copied_once_each() {
    let slots = [500.0, 300.0, 150.0, 50.0];
    let tokens = [0.0, 1000.0];
    let chosen =
        Chosen { slots: &slots, dropped: &[0.2, 0.0, 0.0, 0.5], tokens: &tokens, blocks: None };
    let copies = chosen.copies(&[0, 0, 1, 1], 2);
    assert!((copies[0] - 700.0).abs() < 1e-3 && (copies[1] - 175.0).abs() < 1e-3, "{copies:?}");
}

#[test]
fn engines_agree_on_whole_runs_and_say_who_they_are() {
    let (kernels, topology) = (roofline(100.0, 1000.0), two_by_two());
    let workload = workload(&EVEN);
    let run = |engine, algorithm| {
        let mut inputs = ideal(&topology, &workload, &kernels, Scope::MoeLayer);
        (inputs.network, inputs.all_to_all) = (choice(engine), algorithm);
        simulate(&inputs, 1).unwrap()
    };
    for algorithm in [Algorithm::Direct, Algorithm::Pxn, Algorithm::OneSided, Algorithm::TwoHop] {
        let exact = run(Some(Engine::Exact), algorithm);
        assert_eq!(exact.network_report.engine, Engine::Exact);
        assert!(
            exact.network_report.error_bound.unwrap() < 1e-6 && exact.network_report.exchanges > 0
        );
        let steps = run(Some(Engine::Quantised), algorithm);
        assert_eq!(steps.network_report.error_bound, Some(0.01));
        let off = steps.makespan.secs() / exact.makespan.secs() - 1.0;
        assert!(off.abs() < 0.01, "{algorithm:?}: quantised is off by {off}");
        let chosen = run(None, algorithm);
        let off = chosen.makespan.secs() / exact.makespan.secs() - 1.0;
        assert!(off.abs() < 0.01, "{algorithm:?}: the engine chosen is off by {off}");
        assert!(chosen.network_report.within(0.01), "{algorithm:?}: {:?}", chosen.network_report);
    }
}

/// GPUs of one switch that all send alike: the certificate holds and the closed form is kept.
#[test]
fn the_closed_form_is_kept_where_it_is_certified() {
    let (kernels, switch) = (roofline(100.0, 1000.0), topology(&["nodes.gpus_per_node=8"]));
    let workload = workload(&["layout.expert_parallel=8", "experts.ffn=8", "experts.top_k=8"]);
    let mut inputs = ideal(&switch, &workload, &kernels, Scope::MoeLayer);
    inputs.network = choice(None);
    let outcome = simulate(&inputs, 1).unwrap();
    let network_report = outcome.network_report;
    assert_eq!(network_report.engine, Engine::ClosedForm, "{network_report:?}");
    assert!(
        network_report.measured > 0 && network_report.mean_measured.abs() <= 0.01,
        "{network_report:?}"
    );
}
