//! Is what is not the experts of the shape that the model says?
//!
//! Pencil and paper say which products attention and dense networks are made of. A pass says that these
//! are asked for, and that layers in front of each layer with experts cost what leading ones do; not what
//! they take.

use std::sync::Mutex;

use moesim::base::units::{Bytes, SimDuration};
use moesim::config;
use moesim::execution::Scope;
use moesim::execution::cost::{
    Gradient, KernelTimes, RowTimes, Scores, SlotTimes, dense_backward, dense_op,
};
use moesim::execution::memory::{Ledger, What};
use moesim::kernels::profile::CollectiveOp;
use moesim::kernels::{Basis, ExpertsAsk, ExpertsTime, Kernels};
use moesim::workload::{Attention, Dtype, Phase, SlidingWindow, Workload};

/// Notes the products (n, k) that are asked for, and what attention scores; all take no time.
#[derive(Default)]
struct Asked(Mutex<Vec<(u32, u32)>>, Mutex<Vec<Scores>>);

impl KernelTimes for Asked {
    fn gemm(&self, n: u32, k: u32, _: Dtype) -> RowTimes<'_> {
        self.0.lock().unwrap().push((n, k));
        Box::new(|_| SimDuration::ZERO)
    }

    fn attention(&self, scores: Scores) -> SimDuration {
        self.1.lock().unwrap().push(scores);
        SimDuration::ZERO
    }

    fn experts(&self, _: &ExpertsAsk<'_>) -> SlotTimes<'_> {
        Box::new(|_| ExpertsTime::default())
    }

    fn memory_bound(&self, _: Bytes, _: u32) -> SimDuration {
        SimDuration::ZERO
    }

    fn collective(&self, _: CollectiveOp, _: u32, _: Bytes) -> Option<[SimDuration; 2]> {
        None
    }

    fn gemm_basis(&self, _: (u32, u32), _: Dtype, _: u64) -> Basis {
        unreachable!("times alone are asked for")
    }

    fn experts_basis(&self, _: &ExpertsAsk<'_>) -> Basis {
        unreachable!("times alone are asked for")
    }

    fn memory_basis(&self) -> Basis {
        unreachable!("times alone are asked for")
    }
}

fn shipped(name: &str) -> Workload {
    config::workload(&config::built_in_workload(name).unwrap()).unwrap()
}

/// The products of a layer behind the first, and what its attention scores.
fn asked_of(workload: &Workload) -> (Vec<(u32, u32)>, Vec<Scores>) {
    let asked = Asked::default();
    let _ = dense_op(workload, &asked, 1);
    (asked.0.into_inner().unwrap(), asked.1.into_inner().unwrap())
}

/// Pairs of prompts of `length` tokens: half of all, and tiles on the diagonal whole.
fn pairs(workload: &Workload, heads: u32, length: f64) -> f64 {
    let tokens = f64::from(workload.batch.tokens_per_gpu);
    tokens * f64::from(heads) * length * 0.5 * (1.0 + 900.0 / length)
}

/// The second half of a prompt behind the first: what the whole prompt scores less what the first half does. Latent attention
/// makes keys and values of the first half again.
#[test]
fn a_prefill_scores_the_context_too() {
    for (name, heads) in [("qwen3-30b-a3b", 32), ("glm-5", 64)] {
        let mut workload = shipped(name);
        (workload.stack.phase, workload.batch.sequence_tokens) = (Some(Phase::Prefill), 2048);
        let (alone, _) = asked_of(&workload);
        workload.batch.context = Some(2048);
        let (products, scored) = asked_of(&workload);
        // Of whole prompts of 4,096 tokens there are half as many.
        let want = 2.0 * pairs(&workload, heads, 4096.0) - pairs(&workload, heads, 2048.0);
        assert!((scored[0].pairs / want - 1.0).abs() < 1e-12, "{name}: {scored:?}, not {want}");
        let again = usize::from(matches!(workload.model.attention, Attention::Latent { .. }));
        assert_eq!(products.len(), alone.len() + again, "{name}");
        if again > 0 {
            let made = |all: &[(u32, u32)]| {
                all.iter().filter(|shape| **shape == (64 * (192 + 256), 512)).count()
            };
            assert_eq!([made(&alone), made(&products)], [1, 2]);
        }
        // No token comes before a training step's.
        workload.stack.phase = Some(Phase::Training);
        assert_eq!(asked_of(&workload).1[0].pairs, pairs(&workload, heads, 2048.0), "{name}");
    }
}

/// Four tokens behind 131,072: four heads of keys and values of 128 numbers, 268 MB, have to be read at 3.35 TB/s.
#[test]
fn few_tokens_behind_a_long_context_wait_for_what_is_read() {
    let profile = config::built_in_profile("h100-sxm").unwrap();
    let kernels = Kernels::new(&profile, profile.data_sheet);
    let time = |context| {
        let mut workload = shipped("qwen3-30b-a3b");
        workload.stack.phase = Some(Phase::Prefill);
        (workload.batch.tokens_per_gpu, workload.batch.sequence_tokens) = (4, 4);
        workload.batch.context = Some(context);
        dense_op(&workload, &kernels, 1).time.secs()
    };
    let (more, least) = (time(131_072) - time(0), 131_072.0 * 4.0 * 256.0 * 2.0 / 3.35e12);
    assert!(more > 0.95 * least && more < 1.5 * least, "{more} s, not {least} s");
}

#[test]
fn a_window_leaves_of_a_context_what_it_reaches() {
    for (context, sequence) in [(0, 40), (7, 40), (30, 40), (200, 40), (0, 5)] {
        for tokens in [1, 8, 33, 64, 500] {
            let sum = |most: u32| (1..=sequence).map(|i| f64::from((context + i).min(most))).sum();
            let (limited, all): (f64, f64) = (sum(tokens), sum(u32::MAX));
            let share = SlidingWindow { tokens, pattern: None }.scored_share(context, sequence);
            assert!((share - limited / all).abs() < 1e-12, "{tokens} of {context} + {sequence}");
        }
    }
}

/// Forward in the format of attention; gradients in 16 bits whatever it is.
#[test]
fn attention_is_scored_in_its_own_format_forward_alone() {
    let mut workload = shipped("glm-5");
    workload.batch.attention_dtype = Dtype::Fp8;
    assert_eq!(asked_of(&workload).1[0].dtype, Dtype::Fp8);
    let asked = Asked::default();
    let _ = dense_backward(&workload, &asked, 1, Gradient::Inputs);
    assert_eq!(asked.1.into_inner().unwrap()[0].dtype, Dtype::Bf16);
}

/// A product that is read twice would weigh twice in what a time stands on.
#[test]
fn a_decode_step_asks_for_each_product_once() {
    let mut workload = shipped("qwen3-30b-a3b");
    workload.stack.phase = Some(Phase::Decode);
    (workload.batch.sequence_tokens, workload.batch.context) = (1, Some(999));
    let (products, _) = asked_of(&workload);
    for shape in [(1000, 128), (128, 1000)] {
        let times = products.iter().filter(|asked| **asked == shape).count();
        assert_eq!(times, 1, "{shape:?} of {products:?}");
    }
}

#[test]
fn values_of_another_size_than_keys_have_products_of_their_own() {
    // GLM-5: 64 heads, keys of 192 + 64, values of 256, ranks 2048 and 512, prompts of 2048 tokens.
    let workload = shipped("glm-5");
    let (glm, scored) = asked_of(&workload);
    for shape in [
        (2048, 6144),
        (64 * 256, 2048),
        (512 + 64, 6144),
        (64 * (192 + 256), 512),
        (6144, 64 * 256),
    ] {
        assert!(glm.contains(&shape), "{shape:?} of {glm:?}");
    }
    assert_eq!(glm.len(), 5, "{glm:?}");
    assert_eq!(
        scored,
        [Scores { pairs: pairs(&workload, 64, 2048.0), dims: 192 + 64 + 256, dtype: Dtype::Bf16 }]
    );
    let mut grouped = shipped("qwen3-30b-a3b");
    grouped.model.value_dim = 96;
    // 32 heads that share 4 pairs: keys of 128, values of 96.
    let shapes = [((32 + 4) * 128 + 4 * 96, 2048), (2048, 32 * 96)];
    let (products, scored) = asked_of(&grouped);
    assert_eq!(products.len(), shapes.len());
    assert!(shapes.iter().all(|shape| products.contains(shape)));
    assert_eq!(
        scored,
        [Scores { pairs: pairs(&grouped, 32, 2048.0), dims: 128 + 96, dtype: Dtype::Bf16 }]
    );
    let cache = |workload: &Workload| {
        Ledger::of(workload, (Scope::ModelForward, 8), 1).bytes(What::KvCache).0
    };
    // Two sequences of 2048 tokens in 48 layers, 2 bytes a number.
    assert_eq!(cache(&grouped), 2 * 2048 * 48 * 4 * (128 + 96) * 2);
}

#[test]
fn queries_without_a_bottleneck_are_one_product() {
    let lite = shipped("deepseek-v2-lite");
    assert!(matches!(lite.model.attention, Attention::Latent { query_rank: None, .. }));
    let (asked, scored) = asked_of(&lite);
    assert!(asked.contains(&(16 * (128 + 64), 2048)), "{asked:?}");
    assert_eq!(asked.len(), 4, "{asked:?}");
    assert_eq!(scored.len(), 1);
}

#[test]
fn a_dense_layer_in_front_of_each_costs_what_a_leading_one_does() {
    let profile = config::built_in_profile("h100-sxm").unwrap();
    let kernels = Kernels::new(&profile, profile.data_sheet);
    let with = |leading, between| {
        let mut workload = shipped("llama-4-maverick");
        assert_eq!(workload.model.dense.between, 1);
        (workload.model.dense.leading_layers, workload.model.dense.between) = (leading, between);
        workload
    };
    let time = |workload: &Workload, layer| dense_op(workload, &kernels, layer).time;
    let [none, leading, each] = [with(0, 0), with(1, 0), with(0, 1)];
    assert_eq!(time(&each, 0), time(&leading, 0));
    let one = time(&leading, 0).saturating_sub(time(&none, 0));
    assert!(one > SimDuration::ZERO);
    assert_eq!(time(&each, 3).saturating_sub(time(&none, 3)), one);
    assert_eq!(each.model.all_layers(), 48);
    assert_eq!(each.model.layer_number(23), 47);
}

#[test]
fn one_table_serves_embedding_and_output_where_tied() {
    let bytes = |tied| {
        let mut workload = shipped("granite-3.0-1b-a400m");
        assert!(workload.model.tied);
        workload.model.tied = tied;
        Ledger::of(&workload, (Scope::ModelForward, 8), 1).bytes(What::Embedding).0
    };
    assert_eq!(bytes(true), 49_155 * 1024 * 2);
    assert_eq!(bytes(false), 2 * bytes(true));
}
