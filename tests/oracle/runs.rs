//! Is a run right where paper gives the answer?
//!
//! A pass says that single layers on a round cluster take what a pencil says. It does not say that
//! real kernels and links behave so; `paper` and the profiles' own evidence say how near they come.

use crate::common::{ideal, roofline, topology, workload};
use moesim::base::units::{Bandwidth, SimDuration};
use moesim::config::{Source, workload as read_workload};
use moesim::execution::Scope;
use moesim::execution::blame::Reason;
use moesim::execution::cost::Overheads;
use moesim::execution::outcome::Outcome;
use moesim::execution::run::{Inputs, simulate};
use moesim::network::NetworkRates;

fn run(inputs: &Inputs<'_>) -> Outcome {
    simulate(inputs, 7).expect("short")
}

const MOEPP: [&str; 4] =
    ["experts.zero=1", "experts.copy=1", "experts.constant=2", "experts.tau=0.75"];

/// Every GPU must send what its tokens chose elsewhere through its one port of 100 GB/s, and take
/// in what others chose of its expert. The fullest port decides, and dispatch takes bytes / B.
#[test]
fn a_uniform_exchange_is_bound_by_the_fullest_port() {
    let (cluster, load) = (topology(&[]), workload(&["gate.sampling=counts"]));
    let kernels = roofline(100.0, 1000.0);
    let inputs = ideal(&cluster, &load, &kernels, Scope::MoeLayer);
    let outcome = run(&inputs);
    // 8,000 slots of 2,000 B a GPU, three quarters of them elsewhere: 12 MB in 120 µs, give or take
    // the multinomial noise of the fullest of eight ports: sd √(8000·¾·¼)/6000 < 0.7 %, so 3 % is
    // over four standard deviations.
    let longest = |reason| outcome.blame.iter().map(|b| b.of(reason)).max().unwrap();
    for reason in [Reason::Dispatch, Reason::Combine] {
        let us = longest(reason).us();
        assert!((120.0..120.0 * 1.03).contains(&us), "{reason:?} took {us} µs");
    }
    let bytes = outcome.totals.dispatched_bytes as f64 / 4.0;
    assert!((bytes / 12e6 - 1.0).abs() < 0.02, "{bytes} B a GPU");
}

/// One GPU, one expert: 8,000 rows of 3 products, 6·1000·2000·8000 FLOP = 96 GFLOP at 100 TFLOP/s.
#[test]
fn experts_at_the_peak_rate_take_their_operations_over_the_rate() {
    let cluster = topology(&["nodes.gpus_per_node=1"]);
    let load = workload(&["experts.ffn=2", "layout.expert_parallel=1"]);
    let kernels = roofline(100.0, 1000.0);
    let outcome = run(&ideal(&cluster, &load, &kernels, Scope::Experts));
    assert_eq!(outcome.makespan, SimDuration::from_us(960.0));
}

#[test]
fn vanilla_is_moepp_without_zero_computation_experts_to_the_picosecond() {
    let cluster = topology(&[]);
    let kernels = roofline(100.0, 1000.0);
    let vanilla = workload(&["gate.popularity_sd=0.3"]);
    let mut moepp = workload(&[&["gate.popularity_sd=0.3"], &MOEPP[..]].concat());
    assert_ne!(vanilla, moepp);
    let different = run(&ideal(&cluster, &moepp, &kernels, Scope::MoeLayer));
    moepp.model.experts.zero_computation = Default::default();
    moepp.model.experts.tau = Some(0.123);
    for counted in [Scope::Experts, Scope::MoeLayer, Scope::ModelForward] {
        let a = run(&ideal(&cluster, &vanilla, &kernels, counted));
        let b = run(&ideal(&cluster, &moepp, &kernels, counted));
        assert_eq!(a, b, "{counted:?}");
        assert_ne!(a.makespan, different.makespan);
    }
}

#[test]
fn no_ffn_slots_means_no_dispatch() {
    let cluster = topology(&["nodes.scale-up.nvswitch.latency=5 us"]);
    let kernels = roofline(100.0, 1000.0);
    let load = workload(&[&["gate.ffn_share=0"], &MOEPP[..3]].concat());
    let outcome = run(&ideal(&cluster, &load, &kernels, Scope::MoeLayer));
    assert_eq!(outcome.totals.ffn_slots, 0);
    assert_eq!(outcome.totals.dispatched_bytes, 0);
    for blame in &outcome.blame {
        assert_eq!(blame.of(Reason::Dispatch) + blame.of(Reason::Combine), SimDuration::ZERO);
    }
}

#[test]
fn placed_zero_computation_experts_lose_their_network_gain() {
    let cluster = topology(&[]);
    let kernels = roofline(100.0, 1000.0);
    let network = |load: &moesim::workload::Workload| {
        let outcome = run(&ideal(&cluster, load, &kernels, Scope::MoeLayer));
        outcome.totals.dispatched_bytes as f64
    };
    let vanilla = network(&workload(&[]));
    let local = network(&workload(&MOEPP));
    let placed = network(&workload(&[&MOEPP[..], &["experts.zero_computation=placed"]].concat()));
    // φ(0.75) with 4+4 experts is 3/7; four experts over four ranks either way: the same share of
    // slots leaves, and one constant expert is on each rank of four only by chance of placement.
    assert!((local / vanilla - 3.0 / 7.0).abs() < 0.02, "{}", local / vanilla);
    assert!((placed / vanilla - 1.0).abs() < 0.02, "{}", placed / vanilla);
}

/// Doubling every rate halves all pure work; only rounding up, once an operation, may be seen.
#[test]
fn doubling_every_rate_halves_pure_work() {
    let load = workload(&[&MOEPP[..], &["model.layers=3", "batch.micro_batches=4"]].concat());
    let (slow, fast) = (topology(&[]), topology(&["nodes.scale-up.nvswitch.bandwidth=200 GB/s"]));
    let (slow_kernels, fast_kernels) = (roofline(100.0, 1000.0), roofline(200.0, 2000.0));
    for counted in [Scope::Experts, Scope::MoeLayer, Scope::ModelForward] {
        let before = run(&ideal(&slow, &load, &slow_kernels, counted)).makespan.ps();
        let after = run(&ideal(&fast, &load, &fast_kernels, counted)).makespan.ps();
        // Fewer than 20 operations in each of 12 steps lie on the longest path.
        assert!(before <= 2 * after && 2 * after - before < 2 * 12 * 20, "{before} and {after}");
    }
}

#[test]
fn a_loop_over_experts_pays_for_each_visit_and_each_layer() {
    let cluster = topology(&[]);
    let kernels = roofline(100.0, 1000.0);
    let load =
        workload(&[&["experts.execution=sequential", "model.layers=2"], &MOEPP[..]].concat());
    let free = ideal(&cluster, &load, &kernels, Scope::Experts);
    let overheads = Overheads {
        expert_visit: SimDuration::from_us(10.0),
        layer: SimDuration::from_us(100.0),
        ..Overheads::NONE
    };
    let dear = Inputs { overheads, ..free };
    // Two layers, each with one FFN expert a GPU, three kinds of zero-computation experts, itself.
    let extra = SimDuration::from_us(2.0 * (4.0 * 10.0 + 100.0));
    assert_eq!(run(&dear).makespan, run(&free).makespan + extra);
}

#[test]
fn zero_computation_work_hides_under_the_dispatch_when_there_is_room() {
    let load = workload(&MOEPP);
    let kernels = roofline(100.0, 1000.0);
    let cluster = topology(&[]);
    let slow_links = topology(&["nodes.scale-up.nvswitch.bandwidth=1 GB/s"]);
    let hidden = run(&ideal(&slow_links, &load, &kernels, Scope::MoeLayer));
    let zc = |outcome: &Outcome| outcome.blame[0].of(Reason::ZeroComputation);
    assert_eq!(zc(&hidden), SimDuration::ZERO);
    assert!(hidden.hidden[0] > SimDuration::ZERO);
    let fast_links = topology(&["nodes.scale-up.nvswitch.bandwidth=100 TB/s"]);
    let shown = run(&ideal(&fast_links, &load, &kernels, Scope::MoeLayer));
    assert!(zc(&shown) > SimDuration::ZERO);
    // Hidden or shown, it is the same work.
    assert_eq!(shown.hidden[0] + zc(&shown), hidden.hidden[0]);
    drop(cluster);
}

/// Between kernels tokens have 16 bits a number whatever products compute in: rows are permuted as they are
/// dispatched, results are mixed as they come back, and zero-computation experts copy tokens.
#[test]
fn products_in_fp8_change_no_bytes_of_tokens() {
    let cluster = topology(&["gpu.peak_fp8=200 TFLOP/s"]);
    let kernels = roofline(100.0, 1000.0);
    let of = |formats: &[&str], reason| {
        let load = workload(&[&MOEPP[..], formats].concat());
        run(&ideal(&cluster, &load, &kernels, Scope::MoeLayer)).blame[0].of(reason)
    };
    let plain = ["batch.dtype=bf16", "batch.dispatch_dtype=bf16"];
    let products = ["batch.dtype=fp8", "batch.dispatch_dtype=bf16"];
    let sent = ["batch.dtype=fp8", "batch.dispatch_dtype=fp8"];
    for reason in [Reason::Permute, Reason::Mix] {
        assert_eq!(of(&products, reason), of(&plain, reason), "{reason:?}");
    }
    assert_eq!(of(&sent, Reason::Mix), of(&plain, Reason::Mix), "results come back in 16 bits");
    // At these rates a launch costs nothing: half the bytes take half the time.
    let (narrow, wide) = (of(&sent, Reason::Permute), of(&plain, Reason::Permute));
    assert!(narrow.times(2).ps().abs_diff(wide.ps()) <= 2, "{narrow:?} {wide:?}");
}

/// Two stages of one GPU each, no exchange within a stage: with m micro-batches of t each and a
/// handover h, the last is done after (m + 1)·t + h: one stage's fill and m turns.
#[test]
fn a_pipeline_takes_one_turn_more_than_its_micro_batches() {
    let cluster = topology(&["nodes.gpus_per_node=2"]);
    let kernels = roofline(100.0, 1000.0);
    let layout = ["layout.expert_parallel=1", "layout.pipeline_parallel=2", "model.layers=2"];
    let load = |micro_batches: &str| workload(&[&layout[..], &[micro_batches]].concat());
    let time = |micro_batches: &str| {
        let load = load(micro_batches);
        run(&ideal(&cluster, &load, &kernels, Scope::ModelForward)).makespan.ps()
    };
    let (one, two, five) = (
        time("batch.micro_batches=1"),
        time("batch.micro_batches=2"),
        time("batch.micro_batches=5"),
    );
    // The last stage has the output, the first the embedding: the slower one sets the pace.
    assert_eq!(five - two, 3 * (two - one));
    let handover =
        Bandwidth::from_bytes_per_sec(100e9).time_for(moesim::base::units::Bytes(8_000_000));
    // One micro-batch passes through both stages as through one GPU with both layers, and is handed
    // over once between; each of the two ends of the handover rounds up once at most.
    let single = topology(&["nodes.gpus_per_node=1"]);
    let whole = ["layout.expert_parallel=1", "model.layers=2", "batch.micro_batches=1"];
    let both = run(&ideal(&single, &workload(&whole), &kernels, Scope::ModelForward));
    let on_paper = both.makespan.ps() + handover.ps();
    assert!((on_paper..=on_paper + 2).contains(&one), "{one} ps, on paper {on_paper}");
    assert!(two > one);
}

#[test]
fn the_makespan_is_blamed_in_full_on_every_gpu() {
    let source = Source::built_in("small.toml", crate::common::WORKLOAD).with_overrides(
        [&MOEPP[..], &["gate.popularity_sd=0.5", "model.layers=3"]].concat().iter().copied(),
    );
    let load = read_workload(&source).unwrap();
    let (cluster, kernels) = (topology(&[]), roofline(100.0, 1000.0));
    for counted in [Scope::Experts, Scope::MoeLayer, Scope::ModelForward] {
        let outcome = run(&ideal(&cluster, &load, &kernels, counted));
        for blame in &outcome.blame {
            assert_eq!(blame.total(), outcome.makespan);
        }
    }
    let _ = NetworkRates::IDEAL;
}

/// With a window of w tokens, token i of a sequence scores min(i, w + 128) keys instead of i, in whole tiles, and what is read and
/// written does not hide: in such layers attention changes by that, and by nothing else. Half of 40,000·1,000 pairs, and (1 + 900/1,000) times that for tiles on the
/// diagonal, of heads of 100 and 88 more, run at 0.88·216/128 of 100 TFLOP/s: 192 µs.
#[test]
fn a_sliding_window_scores_fewer_pairs_in_its_layers() {
    let (cluster, kernels) = (topology(&[]), roofline(100.0, 1e6));
    let dense = |more: &[&str]| {
        let load = workload(&[&["model.layers=4", "dense.intermediate=3000"], more].concat());
        let outcome = run(&ideal(&cluster, &load, &kernels, Scope::ModelForward));
        outcome.blame[0].of(Reason::Dense).us()
    };
    let pairs = |w: u32| (1..=1000).map(|i: u32| i.min(w)).sum::<u32>();
    assert_eq!(pairs(100), 95_050);
    let whole: f64 = 4.0 * 20.0 * 1.9 * 188.0 / (0.93 * 216.0 / 128.0 * 100.0);
    assert!((whole - 182.1).abs() < 0.1, "{whole}");
    // Queries, keys, values and results of 4,000 tokens and ten heads of 100, 16 bits each, at 1,000 TB/s.
    let moved = 4.0 * 4000.0 * 10.0 * 100.0 * 2.0 / 1e15 * 1e6;
    let saved = |w: u32| match w {
        1000.. => 0.0,
        _ => (whole * (1.0 - f64::from(pairs(w + 128)) / f64::from(pairs(1000))) - moved).max(0.0),
    };
    let one_leading = ["dense.leading_layers=1"];
    for (window, pattern, leading, windowed) in [
        (100, None, 0, 4.0),
        // Layers 0 and 2 of 0 to 3; of a pattern of three, all but 2.
        (100, Some(2), 0, 2.0),
        (30, Some(3), 0, 3.0),
        // A leading dense layer is layer 0: 0, 2 and 4 of five.
        (100, Some(2), 1, 3.0),
        // Of a pattern of three, all but layer 2.
        (100, Some(3), 1, 4.0),
        // Just short of a sequence it saves nothing, and takes no longer.
        (999, None, 0, 4.0),
        (1000, None, 0, 4.0),
        (5000, Some(2), 0, 2.0),
    ] {
        let leading = &one_leading[..leading];
        let window_key = format!("model.sliding_window={window}");
        let pattern = pattern.map(|n| format!("model.sliding_window_pattern={n}"));
        let keys: Vec<&str> = std::iter::once(window_key.as_str())
            .chain(pattern.as_deref())
            .chain(leading.iter().copied())
            .collect();
        let (less, want) = (dense(leading) - dense(&keys), windowed * saved(window));
        assert!((less - want).abs() < 1e-3, "{keys:?}: {less} µs less, on paper {want}");
    }
}
