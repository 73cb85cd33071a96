//! Does moving experts cost what paper says?
//!
//! A pass says that a run pays for the parameters which its plans move, over the fullest port and through
//! memory, in equal shares of a plan's micro-batches. It does not say that real systems hide none of it.

use crate::common::{ideal, roofline, topology, workload};
use moesim::base::streams::Streams;
use moesim::base::units::Bytes;
use moesim::execution::Scope;
use moesim::execution::blame::Reason;
use moesim::execution::outcome::Outcome;
use moesim::execution::run::{Inputs, simulate};
use moesim::gate::Gate;
use moesim::placement::{Move, Plans, moves};
use moesim::workload::Workload;

const SEED: u64 = 7;

/// Sixteen experts on four GPUs whose loads drift, planned from one micro-batch's.
const DRIFTING: [&str; 9] = [
    "experts.ffn=16",
    "gate.popularity_sd=0.3",
    "gate.sequence_sd=1.5",
    "gate.sequence_common=0.9",
    "gate.drift=0.9",
    "gate.drift_micro_batches=2",
    "batch.tokens_per_gpu=1000",
    "batch.sequence_tokens=250",
    "model.layers=2",
];
const AWARE: &[&str] = &["layout.places=load-aware", "layout.seen_micro_batches=1"];
const REPLICATED: &[&str] =
    &["layout.places=replicated", "layout.redundant=8", "layout.seen_micro_batches=1"];

fn drifting(more: &[&str]) -> Workload {
    workload(&[&DRIFTING[..], more].concat())
}

fn run(workload: &Workload, counted: Scope) -> Outcome {
    let (cluster, kernels) = (topology(&[]), roofline(100.0, 1000.0));
    let inputs = Inputs { ..ideal(&cluster, workload, &kernels, counted) };
    simulate(&inputs, SEED).expect("short")
}

/// Each GPU's picoseconds blamed on moving experts.
fn moving(workload: &Workload) -> Vec<u64> {
    let outcome = run(workload, Scope::MoeLayer);
    outcome.blame.iter().map(|blame| blame.of(Reason::Rebalance).ps()).collect()
}

/// What moving from the plan of each of these micro-batches to the next takes each GPU, by hand: an
/// expert is 3·1,000·2,000 numbers of 2 B, so 12 MB, and takes 120 µs on a port of 100 GB/s each
/// way; those received are read and written at 1 TB/s, 24 µs each. A GPU waits for the fuller end of
/// each of its transfers.
fn by_hand(workload: &Workload, micro_batches: &[u32]) -> Vec<u64> {
    let gate = Gate::new(workload, Streams::new(SEED));
    let mut plans = Plans::new(workload);
    let mut took = vec![0; 4];
    for layer in 0..workload.model.layers {
        for &micro_batch in micro_batches {
            let at = [layer, workload.layout.places.lead_in() + micro_batch, 0];
            let [old, new] = plans.change(&gate, at, 0).expect("a plan follows");
            let moved = moves(old, new, |_| 0);
            let sent = |rank: u32| moved.iter().filter(|one| one.from == rank).count();
            let got = |rank: u32| moved.iter().filter(|one| one.to == rank).count();
            let fuller = |Move { from, to }: &Move| sent(*from).max(got(*to)) as u64;
            for rank in 0..4 {
                let own = moved.iter().filter(|one| one.from == rank || one.to == rank);
                let ports = 120_000_000 * own.map(fuller).max().unwrap_or(0);
                took[rank as usize] += ports + 24_000_000 * got(rank) as u64;
            }
        }
    }
    took
}

/// Rounding up costs at most a picosecond for the ports, the memory and the share of each step.
fn assert_near(got: &[u64], want: &[u64], steps: u64) {
    for (got, want) in got.iter().zip(want) {
        assert!(*want <= *got && *got <= want + 3 * steps, "took {got} ps, by hand {want} ps");
    }
    assert!(want.iter().all(|&want| want > 0), "nothing moved");
}

#[test]
fn experts_move_over_the_fullest_port_and_through_memory() {
    assert_eq!(drifting(AWARE).expert_bytes(), Bytes(12_000_000));
    for places in [AWARE, REPLICATED] {
        let more = ["layout.replan_every=1", "batch.micro_batches=3"];
        let workload = drifting(&[places, &more[..]].concat());
        assert_near(&moving(&workload), &by_hand(&workload, &[0, 1, 2]), 6);
    }
}

/// One step under a plan of five pays a fifth of the move at its end; ten steps pay two moves.
#[test]
fn the_micro_batches_of_a_plan_share_the_move_to_the_next() {
    let of = |micro_batches: u32| {
        let more = ["layout.replan_every=5", &format!("batch.micro_batches={micro_batches}")];
        drifting(&[REPLICATED, &more[..]].concat())
    };
    let fifth: Vec<u64> = by_hand(&of(1), &[0]).iter().map(|ps| ps / 5).collect();
    assert_near(&moving(&of(1)), &fifth, 2);
    assert_near(&moving(&of(10)), &by_hand(&of(10), &[0, 5]), 20);
}

#[test]
fn nothing_moves_where_places_stay_or_only_experts_are_counted() {
    for places in [&[][..], AWARE, REPLICATED] {
        let workload = drifting(&[places, &["batch.micro_batches=3"]].concat());
        assert_eq!(moving(&workload), [0; 4], "{places:?}");
    }
    let every = drifting(&[REPLICATED, &["layout.replan_every=1"]].concat());
    let experts = run(&every, Scope::Experts);
    assert!(experts.blame.iter().all(|blame| blame.of(Reason::Rebalance).ps() == 0));
    assert!(moving(&every).iter().all(|&ps| ps > 0));
}

/// Across nodes an expert goes over the network cards where no GPU of the own node has it: slower ones
/// make moves take longer.
#[test]
fn moves_between_nodes_take_their_links() {
    let workload = drifting(&[AWARE, &["layout.replan_every=1"]].concat());
    let kernels = roofline(100.0, 1000.0);
    let longest = |nic: &str| {
        let nic = format!("nodes.nic.bandwidth={nic}");
        let cluster = topology(&[
            "nodes.count=2",
            "nodes.gpus_per_node=2",
            &nic,
            "nodes.nic.per_node=2",
            "nodes.nic.latency=0 ns",
            "fabric.single-switch={}",
        ]);
        let outcome = simulate(&ideal(&cluster, &workload, &kernels, Scope::MoeLayer), SEED);
        let blame = outcome.expect("short").blame;
        blame.iter().map(|blame| blame.of(Reason::Rebalance)).max().unwrap().us()
    };
    let (fast, slow) = (longest("100 GB/s"), longest("25 GB/s"));
    assert!(slow > 2.0 * fast, "{slow} {fast}");
}
