//! Does a training step of a public trace come out as it was recorded?
//!
//! A pass says that kernels, exchanges and their overlap add up for one model on one cluster. Nothing
//! is fitted to the trace.

use moesim::config::{Overrides, ScenarioSource, built_in_profile};
use moesim::execution::cost::{KernelTimes, Scores};
use moesim::kernels::Kernels;
use moesim::studies::study;

/// One forward chunk and one backward chunk of four layers together [deepseek-ai/profile-data], ms.
const CHUNK_PAIR_MS: f64 = 129.012;

/// The step is longer by one pair for each further micro-batch.
#[test]
fn a_pair_of_chunks_of_deepseek_v3_takes_what_its_trace_shows() {
    let path =
        concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/cases/deepseek-trace/scenario.toml");
    let step_ms = |micro_batches: u32| {
        let set = format!("workload.batch.micro_batches={micro_batches}");
        let opened = ScenarioSource::open(path, Overrides::new(vec![set])).expect("a scenario");
        let scenario = opened.load().expect("a sound scenario");
        study::study(&scenario, 1).expect("short")[0].time_ms.mean
    };
    let pair = (step_ms(5) - step_ms(3)) / 2.0;
    let error = pair / CHUNK_PAIR_MS - 1.0;
    // 19 % too short: exchanges lose more to computation beside them than their share of memory bandwidth, and small
    // kernels are missing. The aim is 10 %.
    assert!(error.abs() < 0.20, "{pair} ms, off by {error}");
}

/// Attention of 4,096 tokens with 128 latent heads in the same trace, forward and backward, ms.
const ATTENTION_MS: [f64; 2] = [1.24, 3.78];

/// Of the dense parts, attention over scores comes out as recorded; nothing is fitted to it.
#[test]
fn attention_of_deepseek_v3_takes_what_its_trace_shows() {
    let profile = built_in_profile("h100-sxm").expect("a built-in profile");
    let kernels = Kernels::new(&profile, profile.data_sheet);
    let tokens = 4096.0;
    let pairs = 128.0 * tokens * tokens * 0.5 * (1.0 + 900.0 / tokens);
    let forward = 1e3 * kernels.attention(Scores { pairs, dims: 128 + 64 + 128 }).secs();
    for (ours, recorded) in [forward, 3.0 * forward].into_iter().zip(ATTENTION_MS) {
        assert!((ours / recorded - 1.0).abs() < 0.1, "{ours} for {recorded} ms");
    }
}
