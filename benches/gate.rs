//! How fast do gates draw? Counts of one layer, and tokens one by one.
//!
//! ```text
//! cargo bench --bench gate
//! ```
//!
//! Targets on one core of a small machine: the counts of one layer for 2,048 sequences on 64 GPUs over
//! 64 experts in 10 ms; 3 M tokens/s one by one for 20 experts, two of them chosen.

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use moesim::base::streams::Streams;
use moesim::config::{Source, built_in_workload, workload};
use moesim::gate::Gate;
use moesim::workload::{Capacity, Workload};

fn main() {
    divan::main();
}

fn of(name: &str, overrides: &[&str]) -> Workload {
    let source: Source = built_in_workload(name).expect("built in");
    workload(&source.with_overrides(overrides.iter().copied())).expect("valid")
}

/// One layer of 2,048 sequences, 32 on each of 64 GPUs, over OLMoE's 64 experts.
#[divan::bench]
fn counts_of_2048_sequences(bencher: Bencher<'_, '_>) {
    let overrides = [
        "batch.tokens_per_gpu=65536",
        "batch.sequence_tokens=2048",
        "gate.sampling=counts",
        "layout.expert_parallel=64",
    ];
    let gate = Gate::new(&of("olmoe-1b-7b", &overrides), Streams::new(1));
    let mut micro_batch = 0;
    bencher.counter(ItemsCount::new(2048_u32)).bench_local(|| {
        micro_batch += 1;
        gate.counts(3, black_box(micro_batch), 0..64)
    });
}

/// One layer of a step of decoding: 256 sequences on each of 72 GPUs, DeepSeek-V3's gate.
#[divan::bench]
fn a_token_of_each_of_18432_sequences(bencher: Bencher<'_, '_>) {
    let overrides = [
        "batch.tokens_per_gpu=256",
        "batch.sequence_tokens=1",
        "layout.expert_parallel=72",
        "layout.places=\"replicated\"",
        "layout.redundant=32",
    ];
    let gate = Gate::new(&of("deepseek-v3", &overrides), Streams::new(1));
    let mut step = 0;
    bencher.counter(ItemsCount::new(18_432_u32)).bench_local(|| {
        step += 1;
        gate.counts(3, black_box(step), 0..72)
    });
}

/// One layer of 8 × 8,192 tokens over 16 + 4 experts, token by token; all sequences alike, or not.
#[divan::bench(args = ["gate.sequence_sd=0", "gate.sequence_sd=0.3"])]
fn tokens_one_by_one(bencher: Bencher<'_, '_>, sequences: &str) {
    let overrides = ["batch.tokens_per_gpu=8192", "gate.sampling=exact", sequences];
    let mut workload = of("moepp-1b", &overrides);
    workload.capacity = Capacity::Dropless;
    let gate = Gate::new(&workload, Streams::new(1));
    let mut micro_batch = 0;
    bencher.counter(ItemsCount::new(8 * 8192_u32)).bench_local(|| {
        micro_batch += 1;
        gate.counts(3, black_box(micro_batch), 0..8)
    });
}
