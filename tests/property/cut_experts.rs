//! Laws of experts cut over GPUs: what is gathered, computed, kept, and what is not cut.

use moesim::execution::Scope;
use moesim::execution::blame::Reason;
use moesim::execution::cost::Roofline;
use moesim::execution::lowering::Totals;
use moesim::execution::memory::{Ledger, What};
use moesim::execution::outcome::Outcome;
use moesim::execution::run::simulate;
use moesim::network::NetworkChoice;
use moesim::network::fluid::Engine;
use moesim::workload::{Phase, Workload, Zero};

use crate::common::{ideal, roofline, topology, workload};

/// Kernels that matrix products bind alone.
const KERNELS: fn() -> Roofline = || roofline(100.0, 100_000_000.0);

/// The small workload with E parts of experts, each cut over t GPUs.
fn cut([parts, over]: [u32; 2], more: &[&str]) -> Workload {
    let own = [
        format!("layout.expert_parallel={parts}"),
        format!("layout.expert_tensor_parallel={over}"),
    ];
    workload(&own.iter().map(String::as_str).chain(more.iter().copied()).collect::<Vec<_>>())
}

fn outcome(load: &Workload, counted: Scope) -> Outcome {
    let (cluster, kernels) = (topology(&[]), KERNELS());
    simulate(&ideal(&cluster, load, &kernels, counted), 3).expect("short")
}

/// On each GPU, of each reason, milliseconds.
fn ms(outcome: &Outcome, reason: Reason) -> f64 {
    outcome.mean_blame_ms(reason)
}

fn assert_near(found: f64, wanted: f64, what: &str) {
    let near = (found - wanted).abs() <= 1e-6 * wanted.abs().max(1e-9);
    assert!(near, "{what}: {found} and not {wanted}");
}

/// Not cut, a workload is what it was before it could be cut.
#[test]
fn a_cut_over_one_gpu_is_none() {
    let before = workload(&["model.layers=3"]);
    let once = cut([4, 1], &["model.layers=3"]);
    assert_eq!(before, once);
    assert_eq!(ms(&outcome(&once, Scope::MoeLayer), Reason::TensorParallel), 0.0);
}

/// 4,000 tokens of each of 4 GPUs, 2,000 bytes each: all-gather and reduce-scatter of S move S·3/4 at 100 GB/s.
#[test]
fn without_expert_parallelism_tokens_travel_once_each() {
    let whole = outcome(&cut([1, 4], &[]), Scope::MoeLayer);
    let gathered = 4.0 * 4000.0 * 2000.0;
    assert_near(ms(&whole, Reason::TensorParallel), 2.0 * gathered * 0.75 / 1e8, "gathers");
    assert_eq!((whole.totals.dispatched_bytes, ms(&whole, Reason::Dispatch)), (0, 0.0));
    // Formats of both legs count: a dispatch of one byte a number gathers half of that.
    let fp8 = ["batch.dispatch_dtype=\"fp8\""];
    let narrow = outcome(&cut([1, 4], &fp8), Scope::MoeLayer);
    assert_near(ms(&narrow, Reason::TensorParallel), 1.5 * gathered * 0.75 / 1e8, "in 8 bits");
}

/// Two parts over two GPUs each: 32,000 slots in all, each in one part's gather and scatter, of which half moves.
#[test]
fn with_it_the_slots_that_arrived_do() {
    let both = outcome(&cut([2, 2], &[]), Scope::MoeLayer);
    let of_part = 16_000.0 * 2000.0;
    assert_near(ms(&both, Reason::TensorParallel), 2.0 * of_part * 0.5 / 1e8, "gathers");
    // A slot goes to the GPU of its sender's place: of 8,000 of a GPU half cross to the other part.
    let bytes = both.totals.dispatched_bytes as f64;
    assert!((bytes / (16_000.0 * 2000.0) - 1.0).abs() < 0.02, "{bytes} bytes dispatched");
}

/// All GPUs together do the same work, however it is cut; the same seed draws the same choices.
#[test]
fn products_are_divided_and_not_more() {
    let of = |layout| outcome(&cut(layout, &[]), Scope::MoeLayer);
    let (apart, cut) = (of([4, 1]), of([1, 4]));
    assert_eq!(apart.totals.ffn_slots, cut.totals.ffn_slots);
    let [one, other] = [&apart, &cut].map(|run| ms(run, Reason::FfnGemm));
    assert_near(other, one, "the mean of products");
    // Cut over all of them, loads are even.
    let most = |run: &Outcome| run.blame.iter().map(|gpu| gpu.of(Reason::FfnGemm)).max();
    assert!(most(&cut) < most(&apart));
}

/// Backward the gathers and scatters are as many, and products are cut as forward.
#[test]
fn backward_mirrors_forward() {
    let load = cut([2, 2], &["batch.phase=\"training\""]);
    let [forward, both] = [Scope::MoeLayer, Scope::LayerTraining].map(|of| outcome(&load, of));
    let [one, two] = [&forward, &both].map(|run| ms(run, Reason::TensorParallel));
    assert_near(two, 2.0 * one, "gathers of both passes");
    let whole = outcome(&cut([4, 1], &["batch.phase=\"training\""]), Scope::LayerTraining);
    for reason in [Reason::FfnBackward, Reason::FfnWeightGradients] {
        let share = ms(&both, reason) / ms(&whole, reason);
        assert!((share - 1.0).abs() < 0.02, "{reason:?}: {share} of what whole experts take");
    }
}

const MOEPP: [&str; 4] =
    ["experts.zero=1", "experts.copy=1", "experts.constant=2", "experts.tau=0.5"];

/// Zero-computation experts on every GPU work on its own tokens: cut or not, on the same.
#[test]
fn zero_computation_experts_are_not_cut() {
    let slow = roofline(100.0, 10.0);
    let cluster = topology(&[]);
    let of = |layout| {
        let load = cut(layout, &MOEPP);
        let run = simulate(&ideal(&cluster, &load, &slow, Scope::Experts), 3).expect("short");
        // Rows of a rank are those of all that share an expert.
        let totals = Totals { hottest_rows: None, ..run.totals.clone() };
        (ms(&run, Reason::ZeroComputation), totals)
    };
    let [whole, two, four] = [[4, 1], [2, 2], [1, 4]].map(of);
    assert!(whole.0 > 0.0);
    assert_eq!((&whole, &whole), (&two, &four));
}

#[test]
fn the_ledger_has_a_share_of_each_expert() {
    let of = |layout, what| {
        let mut load = cut(layout, &["batch.phase=\"training\"", "training.zero=0"]);
        load.training.zero = Zero::Off;
        assert_eq!(load.phase(), Phase::Training);
        Ledger::of(&load, (Scope::LayerTraining, 8), 1000).bytes(what).0
    };
    let expert = 3 * 1000 * 2000 * 2;
    assert_eq!(of([2, 1], What::FfnExperts), 2 * expert);
    assert_eq!(of([2, 4], What::FfnExperts), 2 * expert / 4);
    let gates = 1000 * 4;
    for (what, each) in [(What::Gradients, 4), (What::Optimiser, 12)] {
        let params = |over: u64| 2 * 3 * 1000 * 2000 / over + gates;
        assert_eq!(of([2, 1], what), each * params(1), "{what:?}");
        assert_eq!(of([2, 4], what), each * params(4), "{what:?}");
    }
    // T·K rows sent, R/t received, R gathered; both legs in 16 bits.
    let row = 1000 * 4;
    assert_eq!(of([2, 4], What::ExchangeBuffers), (8000 + 250 + 1000) * row);
    assert_eq!(of([1, 4], What::ExchangeBuffers), 1000 * row);
}

/// Replicas of experts are a whole group apart: as many GPUs as share one copy have none.
#[test]
fn gradients_are_reduced_over_groups_of_parts_and_cuts() {
    let gradients = |layout, gpus: u32| {
        let training = ["batch.phase=\"training\"", "layout.tensor_parallel=4"];
        let load = cut(layout, &training);
        let (cluster, kernels) =
            (topology(&[&format!("nodes.gpus_per_node={gpus}")]), roofline(100.0, 1_000.0));
        let inputs = ideal(&cluster, &load, &kernels, Scope::TrainingStep);
        let run = simulate(&inputs, 3).expect("short");
        ms(&run, Reason::Gradients)
    };
    assert_eq!(gradients([2, 2], 4), 0.0);
    assert!(gradients([1, 2], 4) > 0.0, "two replicas");
    assert!(gradients([2, 2], 8) > 0.0, "two replicas");
}

/// Every schedule and overlap runs to its end with cut experts, over either network, and parts sum to the whole.
#[test]
fn cut_experts_run_in_every_schedule() {
    let trains = "batch.phase=\"training\"";
    let many = ["model.layers=4", "batch.micro_batches=4"];
    let of_training = [
        vec![trains, "training.paired=true"],
        vec![trains, "training.recompute=\"full\"", "training.zero=3"],
        vec![trains, "training.schedule=\"dualpipe\"", "layout.pipeline_parallel=2"],
        vec![trains, "training.schedule=\"zero-bubble-h1\"", "layout.pipeline_parallel=2"],
    ];
    let overlaps = ["two-batch", "chunks", "single-batch"];
    let overlaps = overlaps.map(|word| format!("exchange.overlap=\"{word}\""));
    let (cluster, kernels) = (topology(&["nodes.gpus_per_node=8"]), roofline(100.0, 1_000.0));
    let run = |load: &Workload, counted: Scope| {
        for engine in [Engine::ClosedForm, Engine::Exact] {
            let network = NetworkChoice { engine: Some(engine), ..NetworkChoice::default() };
            let inputs = ideal(&cluster, load, &kernels, counted);
            let inputs = moesim::execution::run::Inputs { network, ..inputs };
            let run = simulate(&inputs, 3).expect("short");
            let sum: f64 = Reason::ALL.map(|reason| ms(&run, reason)).iter().sum();
            assert!((sum / run.makespan.ms() - 1.0).abs() < 1e-9);
            assert!(ms(&run, Reason::TensorParallel) >= 0.0);
        }
    };
    for more in of_training {
        let load = cut([2, 2], &[&many[..], &more].concat());
        run(&load, Scope::TrainingStep);
    }
    for overlap in &overlaps {
        let load = cut(
            [2, 2],
            &[many[0], many[1], overlap, "exchange.chunks=2"]
                [..if overlap.contains("chunks") { 4 } else { 3 }],
        );
        run(&load, Scope::ModelForward);
    }
}
