//! Laws of training steps: schedules, overlap and replicas.

use moesim::execution::Scope;
use moesim::execution::blame::Reason;
use moesim::execution::cost::Roofline;
use moesim::execution::lowering::draws_of;
use moesim::execution::lowering::schedule::{Part, Pass, passes};
use moesim::execution::outcome::Outcome;
use moesim::execution::run::simulate;
use moesim::workload::{PipelineSchedule, Training, Workload};
use proptest::prelude::*;

use crate::common::{ideal, roofline, topology, workload};

const KERNELS: fn() -> Roofline = || roofline(100.0, 100_000.0);

/// A cluster of so many GPUs whose links cost nothing.
fn free_links(gpus: u32) -> moesim::topology::Topology {
    let bandwidth = "nodes.scale-up.nvswitch.bandwidth=\"100000000 GB/s\"".to_owned();
    topology(&[&format!("nodes.gpus_per_node={gpus}"), &bandwidth])
}

fn outcome(gpus: u32, load: &Workload, counted: Scope) -> Outcome {
    let cluster = free_links(gpus);
    let kernels = KERNELS();
    simulate(&ideal(&cluster, load, &kernels, counted), 3).expect("short")
}

/// Eight layers without exchanges, alike on every stage.
fn stages(stages: u32, micro_batches: u32, training: &[&str]) -> Workload {
    let own = [
        format!("layout.pipeline_parallel={stages}"),
        format!("batch.micro_batches={micro_batches}"),
    ];
    let fixed = ["layout.expert_parallel=1", "model.layers=8", "training.zero=0"];
    let all: Vec<&str> =
        own.iter().map(String::as_str).chain(fixed).chain(training.iter().copied()).collect();
    workload(&all)
}

/// F, B and W of one micro-batch on a GPU.
fn of_micro_batch(outcome: &Outcome, micro_batches: u32) -> [f64; 3] {
    let blame = &outcome.blame[0];
    let of = |reasons: &[Reason]| -> f64 {
        reasons.iter().map(|&reason| blame.of(reason).secs()).sum::<f64>()
            / f64::from(micro_batches)
    };
    let forward = [Reason::Gate, Reason::Permute, Reason::FfnGemm, Reason::Mix];
    let backward = [Reason::FfnBackward, Reason::RoutingBackward, Reason::LocalBackward];
    [of(&forward), of(&backward), of(&[Reason::FfnWeightGradients])]
}

fn assert_near(found: f64, wanted: f64, what: &str) {
    assert!((found / wanted - 1.0).abs() < 0.005, "{what}: {found} s, by its formula {wanted} s");
}

#[test]
fn bubbles_are_those_of_the_formulas() {
    let (p, m) = (4, 12);
    let plain = outcome(4, &stages(p, m, &[]), Scope::LayerTraining);
    let [f, b, w] = of_micro_batch(&plain, m);
    let (idle, all) = (f64::from(p - 1), f64::from(m) * (f + b + w));
    assert_near(plain.makespan.secs(), all + idle * (f + b + w), "1F1B");
    let two = outcome(4, &stages(p, m, &["training.chunks=2"]), Scope::LayerTraining);
    assert_near(two.makespan.secs(), all + idle * (f + b + w) / 2.0, "interleaved");
    let zero = ["training.schedule=\"zero-bubble-h1\""];
    let zero = outcome(4, &stages(p, m, &zero), Scope::LayerTraining);
    assert_near(zero.makespan.secs(), all + idle * (f + b - w), "ZB-H1");
    let dual = outcome(4, &stages(p, m, &["training.schedule=\"dualpipe\""]), Scope::LayerTraining);
    assert!(dual.makespan < plain.makespan, "DualPipe {} 1F1B {}", dual.makespan, plain.makespan);
}

/// In their steady state stages that run passes in pairs wait for nothing: a micro-batch more costs one.
#[test]
fn pipelines_of_pairs_do_not_stall() {
    for chunks in ["training.chunks=1", "training.chunks=2"] {
        let of = |micro_batches: u32| {
            let load = stages(4, micro_batches, &["training.paired=true", chunks]);
            outcome(4, &load, Scope::LayerTraining)
        };
        let (short, long) = (of(16), of(32));
        let each = (long.makespan.secs() - short.makespan.secs()) / 16.0;
        assert_near(each, of_micro_batch(&long, 32).iter().sum(), "a micro-batch in pairs");
    }
}

#[test]
fn one_stage_is_no_pipeline_and_one_replica_exchanges_no_gradients() {
    let load = stages(1, 3, &[]);
    let alone = outcome(1, &load, Scope::TrainingStep);
    for reason in [Reason::PipelineWait, Reason::Gradients, Reason::GradientWait] {
        assert_eq!(alone.mean_blame_ms(reason), 0.0, "{reason:?}");
    }
    let busy: f64 = Reason::ALL.map(|reason| alone.mean_blame_ms(reason)).iter().sum();
    assert!((busy / 1e3 / alone.makespan.secs() - 1.0).abs() < 1e-9);
    let two = outcome(2, &load, Scope::TrainingStep);
    assert!(two.makespan >= alone.makespan, "a replica more makes a step no shorter");
}

#[test]
fn passes_run_in_pairs_hide_exchanges_but_never_beat_what_binds() {
    let cluster = topology(&[]);
    let kernels = KERNELS();
    let of = |paired: &str| {
        let load = workload(&["model.layers=6", "batch.micro_batches=4", paired]);
        let inputs = ideal(&cluster, &load, &kernels, Scope::LayerTraining);
        simulate(&inputs, 3).expect("short")
    };
    let (apart, together) = (of("training.paired=false"), of("training.paired=true"));
    assert!(together.makespan < apart.makespan, "{} {}", together.makespan, apart.makespan);
    let exchanges: f64 = [Reason::Dispatch, Reason::Combine, Reason::BackwardExchange]
        .map(|reason| apart.mean_blame_ms(reason))
        .iter()
        .sum();
    assert!(together.makespan.ms() >= exchanges * 0.999, "less than the exchanges alone");
}

/// Dividing parameters costs a gather for every pass, never less than dividing gradients; over one replica it costs nothing.
#[test]
fn divided_parameters_are_gathered_for_every_pass() {
    let cluster = topology(&["nodes.gpus_per_node=8"]);
    let kernels = KERNELS();
    let of = |gpus: &str, zero: u32, more: &[&str]| {
        let zero = format!("training.zero={zero}");
        let all = ["model.layers=5", "batch.micro_batches=4", gpus, zero.as_str()];
        let load = workload(&[&all[..], more].concat());
        simulate(&ideal(&cluster, &load, &kernels, Scope::TrainingStep), 3).expect("short")
    };
    let apart = ["training.overlapped_gradients=false"];
    let four = "layout.expert_parallel=4";
    let spent = |outcome: &Outcome| outcome.mean_blame_ms(Reason::Gradients);
    let (gradients, parameters) = (of(four, 2, &apart), of(four, 3, &apart));
    // Once after the step against twice for each of four micro-batches; reductions are alike.
    let (once, reduced) = (spent(&of(four, 1, &apart)), spent(&gradients));
    assert!(spent(&parameters) > reduced + 0.9 * once, "{} {reduced}", spent(&parameters));
    let beside = of(four, 3, &[]);
    assert!(beside.makespan < parameters.makespan && beside.makespan >= of(four, 2, &[]).makespan);
    for more in [
        &["training.paired=true"][..],
        &["layout.pipeline_parallel=2"],
        &["training.recompute=\"full\""],
    ] {
        assert!(of(four, 3, more).makespan >= of(four, 2, more).makespan, "{more:?}");
    }
    let alone = |zero| {
        let lone = topology(&["nodes.gpus_per_node=4"]);
        let zero = format!("training.zero={zero}");
        // Every GPU has experts of its own, and tensor parallelism divides all else.
        let load = workload(&[
            "layout.expert_parallel=4",
            "layout.tensor_parallel=4",
            "model.heads=8",
            &zero,
        ]);
        simulate(&ideal(&lone, &load, &kernels, Scope::TrainingStep), 3).expect("short").makespan
    };
    assert_eq!(alone(3), alone(0));
}

#[test]
fn recomputing_costs_a_forward_pass_and_splitting_products_saves_time() {
    let plain = outcome(1, &stages(1, 2, &[]), Scope::TrainingStep);
    let again = outcome(1, &stages(1, 2, &["training.recompute=\"full\""]), Scope::TrainingStep);
    assert!(again.makespan > plain.makespan);
    let some = ["training.recompute=\"selective\""];
    let some = outcome(1, &stages(1, 2, &some), Scope::TrainingStep);
    assert!(plain.makespan < some.makespan && some.makespan < again.makespan);
    let forward = outcome(1, &stages(1, 2, &[]), Scope::ModelForward);
    let more = again.makespan.secs() - plain.makespan.secs();
    assert!(more <= forward.makespan.secs() * 1.001, "{more} s for a forward pass again");
}

/// Recomputing up-projections adds the two products to what recomputing norms and activations takes.
#[test]
fn recomputing_up_projections_costs_their_products() {
    let latent = ["model.query_rank=300", "model.key_value_rank=200", "model.rope_dim=50"];
    let of = |recompute: &str| {
        let recompute = format!("training.recompute=\"{recompute}\"");
        let load = stages(1, 2, &[&latent[..], &[&recompute]].concat());
        outcome(1, &load, Scope::TrainingStep).makespan.secs()
    };
    let per_token = 2.0 * 10.0 * (150.0 * 300.0 + 200.0 * 200.0);
    let products = 2.0 * 8.0 * 4000.0 * per_token / 100e12;
    let more = of("up-projections") - of("selective");
    assert!((more / products - 1.0).abs() < 1e-3, "{more} s for {products} s");
    assert!(of("full") > of("up-projections"));
}

/// A few draws of gates a layer count every micro-batch of every group, and take about as long as drawing all.
#[test]
fn few_draws_stand_for_all() {
    let uneven = |drift: &str| {
        let drift = format!("gate.drift={drift}");
        let skew = ["gate.popularity_sd=0.3", "gate.sequence_sd=0.5", "layout.expert_parallel=4"];
        workload(&[&["batch.micro_batches=40", "model.layers=6", &drift][..], &skew[..]].concat())
    };
    // Drift that changes nothing asks for draws of every step.
    let [few, all] = ["0", "1e-3"].map(|drift| {
        let load = uneven(drift);
        let cluster = free_links(8);
        let drawn = draws_of(&cluster, &load).is_some();
        assert_eq!(drawn, drift == "0");
        outcome(8, &load, Scope::TrainingStep)
    });
    assert_eq!(few.totals.gated_tokens, all.totals.gated_tokens);
    assert_eq!(few.totals.ffn_slots, all.totals.ffn_slots);
    let ratio = few.makespan.secs() / all.makespan.secs();
    assert!((0.97..1.03).contains(&ratio), "{ratio}");
}

fn schedules() -> impl Strategy<Value = (Training, u32, u32)> {
    let numbers = (0..4_usize, 1..6_u32, 1..5_u32, 1..4_u32, any::<bool>());
    numbers.prop_map(|(kind, half, rounds, chunks, paired)| {
        let usual = Training::USUAL;
        match kind {
            0 => (Training { paired, ..usual }, half, rounds * 3),
            1 => (Training { chunks, paired, ..usual }, half, rounds * half),
            2 => (Training { schedule: PipelineSchedule::ZeroBubbleH1, ..usual }, half, rounds * 3),
            _ => {
                let schedule = PipelineSchedule::DualPipe;
                (Training { schedule, chunks: 2, ..usual }, 2 * half, 4 * half + 2 * rounds)
            }
        }
    })
}

proptest! {
    #[test]
    fn every_micro_batch_goes_forward_once_then_backward_once((training, stages, micro_batches) in schedules()) {
        for stage in 0..stages {
            let mut forward: Vec<Part> = Vec::new();
            let mut backward: Vec<Part> = Vec::new();
            let mut weights: Vec<Part> = Vec::new();
            let back = |part: Part, forward: &[Part], backward: &mut Vec<Part>| {
                assert!(forward.contains(&part), "{part:?} goes backward before it went forward");
                backward.push(part);
            };
            for pass in passes(&training, stage, stages, micro_batches) {
                match pass {
                    Pass::Forward(part) => forward.push(part),
                    Pass::Backward(part) => {
                        back(part, &forward, &mut backward);
                        weights.push(part);
                    }
                    Pass::Inputs(part) => back(part, &forward, &mut backward),
                    Pass::Weights(part) => {
                        prop_assert!(backward.contains(&part));
                        weights.push(part);
                    }
                    Pass::Pair { forward: up, backward: down } => {
                        back(down, &forward, &mut backward);
                        forward.push(up);
                        weights.push(down);
                    }
                }
            }
            let chunks = if training.schedule == PipelineSchedule::DualPipe { 1 } else { training.chunks };
            for list in [&mut forward, &mut backward, &mut weights] {
                prop_assert_eq!(list.len() as u32, micro_batches * chunks);
                list.sort_unstable();
                list.dedup();
                prop_assert_eq!(list.len() as u32, micro_batches * chunks);
            }
        }
    }
}
