//! Laws of exchanges that overlap computation in forward passes.

use moesim::base::units::SimDuration;
use moesim::execution::Scope;
use moesim::execution::blame::Reason;
use moesim::execution::outcome::Outcome;
use moesim::execution::run::{Inputs, of_exchanges, simulate};
use moesim::network::collective::Algorithm;
use moesim::network::{NetworkRates, Startup};
use moesim::workload::{Overlap, Workload};
use proptest::prelude::*;

use crate::common::{ideal, roofline, topology, workload};

/// A pass under a kind of overlap, with exchanges that take about as long as experts.
fn outcome(of: &[&str], overlap: Overlap, seed: u64) -> Outcome {
    let cluster = topology(&["nodes.scale-up.nvswitch.bandwidth=\"30 GB/s\""]);
    let kernels = roofline(100.0, 2000.0);
    let mut load: Workload = workload(of);
    load.stack.overlap = overlap;
    let inputs = ideal(&cluster, &load, &kernels, Scope::ModelForward);
    simulate(&inputs, seed).expect("short")
}

/// Time that a GPU computes, and that its exchanges take on their own, in ms, mean over GPUs.
fn alone(outcome: &Outcome) -> [f64; 2] {
    let of = |wanted: &dyn Fn(Reason) -> bool| -> f64 {
        Reason::ALL
            .into_iter()
            .filter(|reason| wanted(*reason))
            .map(|reason| outcome.mean_blame_ms(reason))
            .sum()
    };
    let exchanges = [Reason::Dispatch, Reason::Combine];
    [
        of(&|reason| !reason.is_wait() && !exchanges.contains(&reason)),
        of(&|reason| exchanges.contains(&reason)),
    ]
}

const LAYERS: [&str; 2] = ["model.layers=6", "batch.micro_batches=2"];
const KINDS: [Overlap; 5] = [
    Overlap::TwoBatch,
    Overlap::SingleBatch,
    Overlap::Chunks(2),
    Overlap::Chunks(4),
    Overlap::Chunks(8),
];

#[test]
fn overlap_hides_exchanges_and_never_beats_what_binds() {
    let apart = outcome(&LAYERS, Overlap::None, 5);
    let [computed, exchanged] = alone(&apart);
    for overlap in KINDS {
        let together = outcome(&LAYERS, overlap, 5);
        assert!(together.makespan < apart.makespan, "{overlap}: {}", together.makespan);
        // Parts are drawn on their own, so sums differ by chance; kernels do not get shorter.
        let least = 0.97 * computed.max(exchanged);
        assert!(together.makespan.ms() > least, "{overlap}: {} < {least}", together.makespan);
        assert_eq!(together.tokens, apart.tokens);
    }
}

/// What an exchange's bytes cost kernels that memory binds does not grow with the links: a start-up is no time in which
/// bytes move.
#[test]
fn faster_links_never_lose_beside_kernels_bound_by_memory() {
    // Few tokens, whose exchanges are start-ups; and as many as take as long to move.
    [64, 1500].into_iter().for_each(faster_links_never_lose);
}

fn faster_links_never_lose(tokens: u32) {
    let decode = [
        "model.layers=6",
        &format!("batch.tokens_per_gpu={tokens}"),
        "batch.sequence_tokens=1",
        "batch.context=2000",
        "batch.phase=\"decode\"",
    ];
    for overlap in [Overlap::TwoBatch, Overlap::SingleBatch] {
        let time = |bandwidth: u32| {
            let key = "nodes.scale-up.nvswitch.bandwidth";
            let cluster = topology(&[&*format!("{key}=\"{bandwidth} GB/s\"")]);
            let kernels = roofline(1000.0, 1000.0);
            let mut load = workload(&decode);
            load.stack.overlap = overlap;
            let startup = Startup::fixed(SimDuration::from_us(20.0));
            let rates = NetworkRates { within_node: startup, ..NetworkRates::IDEAL };
            let inputs = ideal(&cluster, &load, &kernels, Scope::ModelForward);
            simulate(&Inputs { rates: rates.into(), ..inputs }, 3).expect("short").makespan.ms()
        };
        let times = [50, 100, 200, 400, 800, 1600].map(time);
        // Parts begin at other times, which moves a step by some thousandths.
        let falls = times.windows(2).all(|pair| pair[1] <= 1.005 * pair[0]);
        assert!(falls && times[5] < times[0], "{overlap}, {tokens} tokens: {times:?} ms");
    }
}

/// Half a micro-batch has half the bytes and a start-up of its own: it asks memory for as much as a micro-batch of its size.
#[test]
fn a_part_asks_memory_for_its_own_bytes() {
    let cluster = topology(&[]);
    let startup = Startup::fixed(SimDuration::from_us(20.0));
    let rates = NetworkRates { within_node: startup, ..NetworkRates::IDEAL }.into();
    let of = |tokens: u32, overlap| {
        let mut load = workload(&[
            &*format!("batch.tokens_per_gpu={tokens}"),
            "batch.sequence_tokens=1",
            "batch.phase=\"decode\"",
        ]);
        load.stack.overlap = overlap;
        of_exchanges(&cluster, &load, (&rates, Algorithm::Direct), 16)
    };
    let [half, whole] = [512, 1024].map(|tokens| of(tokens, Overlap::None)[0].kernels.memory);
    assert!(1.0 < half && half < whole && whole < 2.0, "{half}, {whole}");
    assert_eq!(of(1024, Overlap::TwoBatch), of(512, Overlap::None));
}

/// Chunks take what their formula says, kernels being slowed down while something travels: between what it says of kernels
/// at their own speed and of slowed ones.
#[test]
fn chunks_take_what_their_formula_says() {
    let even = ["model.layers=1", "experts.top_k=4", "batch.dispatch_dtype=\"bf16\""];
    let apart = outcome(&even, Overlap::None, 1);
    let of = |reasons: &[Reason]| -> f64 {
        reasons.iter().map(|&reason| apart.mean_blame_ms(reason)).sum()
    };
    let (dispatch, combine) = (of(&[Reason::Dispatch]), of(&[Reason::Combine]));
    let experts = of(&[Reason::FfnGemm, Reason::FfnMemory]);
    let rest = apart.makespan.ms() - dispatch - combine - experts;
    for chunks in [2_u32, 4, 8] {
        let r = f64::from(chunks);
        // Dispatches one after another; experts after each; combines after all dispatches and their experts.
        let formula = |slowdown: f64| {
            let (mut computed, mut returned) = (0.0_f64, dispatch);
            for chunk in 1..=chunks {
                computed = computed.max(f64::from(chunk) * dispatch / r) + slowdown * experts / r;
                returned = returned.max(computed) + combine / r;
            }
            rest + returned
        };
        let together = outcome(&even, Overlap::Chunks(chunks), 1).makespan.ms();
        let (least, most) = (formula(1.0), formula(100.0 / 84.0));
        let inside = 0.99 * least <= together && together <= 1.01 * most;
        assert!(inside, "{chunks} chunks: {together} ms, by the formula {least} to {most}");
    }
}

#[test]
fn without_exchanges_chunks_gain_nothing_and_two_halves_take_what_they_take() {
    let alone = ["layout.expert_parallel=1", "model.layers=3"];
    let apart = outcome(&alone, Overlap::None, 2).makespan;
    for overlap in KINDS {
        let together = outcome(&alone, overlap, 2).makespan;
        assert!(together.secs() >= apart.secs() * (1.0 - 1e-9), "{overlap}: {together} {apart}");
    }
}

/// What gates decide in parts adds up to as many slots as they decide for all.
#[test]
fn parts_have_all_slots() {
    let skewed = [&LAYERS[..], &["gate.popularity_sd=0.8", "gate.sequence_sd=0.5"]].concat();
    for sampling in ["gate.sampling=\"exact\"", "gate.sampling=\"counts\""] {
        let of = [&skewed[..], &[sampling, "batch.tokens_per_gpu=400"]].concat();
        let apart = outcome(&of, Overlap::None, 7);
        for overlap in KINDS {
            let parts = outcome(&of, overlap, 7);
            assert_eq!(parts.totals.ffn_slots, apart.totals.ffn_slots, "{overlap} {sampling}");
            assert_eq!(parts.totals.gated_tokens, apart.totals.gated_tokens, "{overlap}");
            let bytes = [&parts, &apart].map(|one| one.totals.dispatched_bytes as f64);
            assert!((bytes[0] / bytes[1] - 1.0).abs() < 0.05, "{overlap}: {bytes:?}");
        }
    }
}

/// A faster link that does not bind takes nothing of kernels: NICs decide at which rate an exchange moves.
#[test]
fn faster_nvlink_behind_slow_nics_loses_nothing() {
    let makespan = |nvlink: &str| {
        let fabric = [
            "nodes.count=2",
            "nodes.nic.per_node=4",
            "nodes.nic.bandwidth=\"10 GB/s\"",
            "nodes.nic.latency=\"0 ns\"",
            "fabric.clos.nodes_per_leaf=2",
        ];
        let nvlink = format!("nodes.scale-up.nvswitch.bandwidth=\"{nvlink} GB/s\"");
        let cluster = topology(&[&fabric[..], &[&nvlink]].concat());
        let kernels = roofline(100.0, 2000.0);
        let mut load = workload(&["experts.ffn=8", "layout.expert_parallel=8", "model.layers=4"]);
        load.stack.overlap = Overlap::TwoBatch;
        let inputs = ideal(&cluster, &load, &kernels, Scope::ModelForward);
        simulate(&inputs, 3).expect("short").makespan
    };
    let times = ["60", "100", "200", "400"].map(makespan);
    assert!(times.windows(2).all(|pair| pair[1] <= pair[0]), "{times:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// The end of one batch is never later for its combine starting earlier, beyond what its exchange slows down.
    #[test]
    fn single_batch_overlap_never_loses(seed in 0_u64..1000, layers in 1_u32..4, skew in 0.0_f64..1.0) {
        let layers = format!("model.layers={layers}");
        let skew = format!("gate.popularity_sd={skew}");
        let of = [layers.as_str(), skew.as_str()];
        let [apart, together] = [Overlap::None, Overlap::SingleBatch]
            .map(|overlap| outcome(&of, overlap, seed).makespan);
        prop_assert!(together <= apart, "{together} {apart}");
    }
}
