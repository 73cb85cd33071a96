//! Do exchanges in flight share links? The flow network against paper and against the closed form.
//!
//! A pass says that exchanges slow each other as max–min fairness says, that joins are waited for,
//! and that alone and together the two networks agree. It does not say how real libraries start.

use moesim::base::units::{Bytes, GpuId, SimDuration, SimTime};
use moesim::config::{built_in_topology, read_topology};
use moesim::network::{
    ClosedForm, Delivery, Exchange, ExchangeId, FlowNetwork, Network, NetworkRates, Startup,
};
use moesim::topology::Topology;

fn built_in(name: &str) -> Topology {
    read_topology(&built_in_topology(name).unwrap()).unwrap()
}

fn exchange(members: &[u32], bytes: impl Fn(usize, usize) -> u64) -> Exchange {
    let ranks = members.len();
    let cells = (0..ranks * ranks).map(|cell| Bytes(bytes(cell / ranks, cell % ranks))).collect();
    Exchange::new(members.iter().map(|&gpu| GpuId(gpu)).collect(), cells)
}

const PORTS_ONLY: NetworkRates = NetworkRates {
    within_node: Startup::fixed(SimDuration::ZERO),
    across_nodes: Startup::fixed(SimDuration::ZERO),
    ..NetworkRates::IDEAL
};

/// Runs joins, in order of time, and everything that follows.
fn run(
    mut network: impl Network,
    exchanges: Vec<Exchange>,
    joins: &[(u64, u32, usize)],
) -> Vec<Delivery> {
    for (id, exchange) in (0..).zip(exchanges) {
        network.open(ExchangeId(id), exchange);
    }
    let mut delivered = Vec::new();
    for &(ps, id, rank) in joins {
        let at = SimTime::from_ps(ps);
        while let Some(due) = network.next_delivery().filter(|&due| due <= at) {
            network.deliver(due, &mut delivered);
        }
        network.join(at, ExchangeId(id), rank);
    }
    while let Some(due) = network.next_delivery() {
        network.deliver(due, &mut delivered);
    }
    delivered
}

fn all_at_zero(exchange: u32, ranks: usize) -> Vec<(u64, u32, usize)> {
    (0..ranks).map(|rank| (0, exchange, rank)).collect()
}

/// 50 MB from node 0 to node 1 over one NIC of 25 GB/s: 2 ms alone, 4 ms for two exchanges at once.
#[test]
fn two_exchanges_over_one_nic_take_twice_as_long() {
    let topology = built_in("a100-4x8");
    let one = || exchange(&[0, 8], |from, _| if from == 0 { 50_000_000 } else { 0 });
    let alone = run(FlowNetwork::new(&topology, PORTS_ONLY), vec![one()], &all_at_zero(0, 2));
    assert!(alone.iter().all(|delivery| delivery.at.ps() == 2_000_000_000), "{alone:?}");
    let joins = [all_at_zero(0, 2), all_at_zero(1, 2)].concat();
    let both = run(FlowNetwork::new(&topology, PORTS_ONLY), vec![one(), one()], &joins);
    assert!(both.iter().all(|delivery| delivery.at.ps() == 4_000_000_000), "{both:?}");
}

/// The second joins when the first is half through: 1 ms alone, then both share: 3 and 4 ms.
#[test]
fn a_later_exchange_slows_the_one_in_flight() {
    let topology = built_in("a100-4x8");
    let one = || exchange(&[0, 8], |from, _| if from == 0 { 50_000_000 } else { 0 });
    let half = 1_000_000_000;
    let joins = [(0, 0, 0), (0, 0, 1), (half, 1, 0), (half, 1, 1)];
    let got = run(FlowNetwork::new(&topology, PORTS_ONLY), vec![one(), one()], &joins);
    let times: Vec<(u32, u64)> = got.iter().map(|d| (d.exchange.0, d.at.ps() / half)).collect();
    assert_eq!(times, [(0, 3), (0, 3), (1, 4), (1, 4)]);
}

/// A pair starts as soon as both are there; the third joins later and only its flows wait.
#[test]
fn early_members_do_not_wait_for_the_last() {
    let topology = built_in("a100-4x8");
    let all = exchange(&[0, 8, 16], |_, _| 25_000_000);
    let late = 5_000_000_000;
    let joins = [(0, 0, 0), (0, 0, 1), (late, 0, 2)];
    let got = run(FlowNetwork::new(&topology, PORTS_ONLY), vec![all], &joins);
    // Flows between 0 and 8 are long gone; those with 16 share its NIC, 2 × 25 MB at 25 GB/s.
    assert!(got.iter().all(|delivery| delivery.at.ps() == late + 2_000_000_000), "{got:?}");
}

#[test]
fn uniform_exchanges_take_what_the_closed_form_says() {
    for name in ["a100-4x8", "a100-4x8-shared-nics", "h100-4x8-rail", "l40s-2x8-pcie"] {
        let topology = built_in(name);
        let members: Vec<u32> = (0..topology.gpus()).collect();
        let joins = all_at_zero(0, members.len());
        let all = || vec![exchange(&members, |_, _| 1_000_000)];
        let flows = run(FlowNetwork::new(&topology, PORTS_ONLY), all(), &joins);
        let closed = run(ClosedForm::new(&topology, PORTS_ONLY), all(), &joins);
        let last = |deliveries: &[Delivery]| deliveries.iter().map(|d| d.at.ps()).max().unwrap();
        let (flows, closed) = (last(&flows), last(&closed));
        assert!(flows.abs_diff(closed) <= 100, "{name}: {flows} ps, closed form {closed} ps");
    }
}

#[test]
fn members_without_bytes_wait_for_the_last_to_join_and_no_longer() {
    let topology = built_in("a100-4x8");
    let to_first = exchange(&[0, 8, 16], |from, to| u64::from((from, to) == (1, 0)) * 25_000);
    let joins = [(7, 0, 0), (3, 0, 1), (9, 0, 2)];
    let mut joins = joins.to_vec();
    joins.sort();
    let got = run(FlowNetwork::new(&topology, PORTS_ONLY), vec![to_first], &joins);
    assert_eq!(got.iter().find(|delivery| delivery.rank == 2).unwrap().at.ps(), 9);
    assert_eq!(got.iter().find(|delivery| delivery.rank == 0).unwrap().at.ps(), 7 + 1_000_000);
}

#[test]
fn startup_comes_before_the_first_byte() {
    let topology = built_in("a100-4x8");
    let rates = NetworkRates {
        across_nodes: Startup::fixed(SimDuration::from_us(20.0)),
        ..NetworkRates::IDEAL
    };
    let pair = exchange(&[0, 8], |_, _| 25_000_000);
    let got = run(FlowNetwork::new(&topology, rates), vec![pair], &all_at_zero(0, 2));
    assert!(got.iter().all(|delivery| delivery.at.ps() == 1_020_000_000), "{got:?}");
}
