//! Does a scheme that a workload names decide what a run sends, computes and waits for?
//!
//! A pass says that counts, traffic and costs of a run are those of the scheme's law, and that counts
//! drawn without tokens are like those decided token by token. It does not say that scores are real.

use crate::common::{ideal, roofline, topology, workload};
use moesim::base::streams::Streams;
use moesim::base::units::SimDuration;
use moesim::execution::Scope;
use moesim::execution::blame::Reason;
use moesim::execution::cost::Overheads;
use moesim::execution::outcome::Outcome;
use moesim::execution::run::{Inputs, simulate};
use moesim::gate::{Counts, Gate};
use moesim::workload::{Sampling, Workload};

/// Sixteen experts on four GPUs, uneven, sequences of 250 tokens that differ.
const UNEVEN: [&str; 6] = [
    "experts.ffn=16",
    "experts.top_k=4",
    "gate.popularity_sd=0.4",
    "gate.sequence_sd=0.7",
    "gate.sequence_common=0.5",
    "batch.sequence_tokens=250",
];

const SCHEMES: &[(&str, &[&str])] = &[
    ("top-k", &[]),
    ("null-experts", &["experts.zero=4", "scheme.kind=null-experts"]),
    ("controlled", &["experts.copy=8", "scheme.kind=controlled", "scheme.ffn_slots=2.5"]),
    ("group-limited", &["scheme.kind=group-limited", "scheme.groups=4", "scheme.groups_chosen=2"]),
    ("expert-choice", &["scheme.kind=expert-choice"]),
    ("top-p", &["scheme.kind=top-p", "scheme.p=0.6", "scheme.sharpness=1"]),
    ("grouped", &["scheme.kind=grouped", "scheme.groups=4"]),
    ("autonomy", &["scheme.kind=autonomy", "scheme.rank=100"]),
    ("chain", &["scheme.kind=chain", "scheme.rounds=2"]),
    ("moe++", &["experts.zero=1", "experts.copy=1", "experts.constant=2", "experts.tau=0.75"]),
];

fn uneven(name: &str, more: &[&str]) -> Workload {
    let (_, own) = SCHEMES.iter().find(|(known, _)| *known == name).expect("a scheme");
    workload(&[&UNEVEN[..], own, more].concat())
}

fn run(workload: &Workload, counted: Scope) -> Outcome {
    let (cluster, kernels) = (topology(&[]), roofline(100.0, 1000.0));
    simulate(&ideal(&cluster, workload, &kernels, counted), 7).expect("short")
}

fn slots(counts: &Counts) -> u64 {
    (0..counts.experts()).map(|expert| counts.load(expert)).sum()
}

/// Counts drawn without tokens have the mean loads of those decided token by token, within 6 % of the
/// mean load or 4 standard errors, and the same peaks within 6 %.
///
/// 60 batches of 64 sequences: a load's relative spread over batches is about 0.7/√64, so the mean of
/// 60 has an error of about 1.2 %, twice.
#[test]
fn counts_are_like_those_decided_token_by_token() {
    for (name, _) in SCHEMES {
        let mut workload = uneven(name, &["batch.tokens_per_gpu=500", "batch.sequence_tokens=31"]);
        let [counts, exact] = [Sampling::Counts, Sampling::Exact].map(|sampling| {
            workload.gating.sampling = sampling;
            let gate = Gate::new(&workload, Streams::new(3));
            let drawn: Vec<Counts> = (0..60).map(|batch| gate.counts(0, batch, 0..4)).collect();
            let experts = drawn[0].experts();
            let mean = |expert| drawn.iter().map(|c| c.load(expert) as f64).sum::<f64>() / 60.0;
            let loads: Vec<f64> = (0..experts).map(mean).collect();
            let peak = |c: &Counts| (0..16).map(|expert| c.load(expert)).max().unwrap_or(0) as f64;
            (loads, drawn.iter().map(peak).sum::<f64>() / 60.0)
        });
        let average = exact.0.iter().sum::<f64>() / exact.0.len() as f64;
        for (expert, (a, b)) in counts.0.iter().zip(&exact.0).enumerate() {
            assert!(
                (a - b).abs() < 0.06 * b.max(average),
                "{name} {expert}: {a}, token by token {b}"
            );
        }
        let (a, b) = (counts.1, exact.1);
        assert!((a / b - 1.0).abs() < 0.06, "{name}: peak {a}, token by token {b}");
    }
}

/// Tokens by their number of FFN slots and slots by expert tell the same story, in either mode.
#[test]
fn slots_of_tokens_and_of_experts_agree() {
    for (name, _) in SCHEMES {
        for tokens in ["batch.tokens_per_gpu=40", "batch.tokens_per_gpu=4000"] {
            let workload = uneven(name, &[tokens]);
            let counts = Gate::new(&workload, Streams::new(5)).counts(0, 0, 0..4);
            for gpu in 0..4 {
                let with = |f| u64::from(counts.tokens_with(gpu, f));
                let most = counts.most_slots();
                let all: u64 = (0..=most).map(with).sum();
                assert_eq!(all, u64::from(workload.batch.tokens_per_gpu), "{name}");
                let of_tokens: u64 = (0..=most).map(|f| f as u64 * with(f)).sum();
                let of_experts: u64 = counts.kept_by(gpu)[..16].iter().map(|&n| u64::from(n)).sum();
                assert_eq!(of_tokens, of_experts, "{name} {tokens}");
                assert!(counts.kept_by(gpu).iter().all(|&n| u64::from(n) <= all), "{name}");
            }
        }
    }
}

/// Each scheme's own law on what a whole group is given.
#[test]
fn each_scheme_gives_what_its_law_says() {
    let counts = |name: &str| Gate::new(&uneven(name, &[]), Streams::new(1)).counts(0, 0, 0..4);
    let tokens = 16_000;
    assert_eq!(slots(&counts("chain")), 2 * tokens);
    for name in ["top-k", "group-limited", "grouped", "autonomy", "null-experts", "controlled"] {
        assert_eq!(slots(&counts(name)), 4 * tokens, "{name}");
    }
    // Expert choice: every expert K·T/N, whatever the scores.
    let choice = counts("expert-choice");
    assert!((0..16).all(|expert| choice.load(expert) == 4 * tokens / 16));
    // Grouped: every group of every GPU's tokens exactly one slot a token.
    let grouped = counts("grouped");
    for gpu in 0..4 {
        for group in grouped.kept_by(gpu).chunks(4) {
            assert_eq!(group.iter().sum::<u32>(), 4000);
        }
    }
    // Controlled: 2.5 of 4 slots, with sequences of spread 0.7 that differ in this too.
    let controlled = counts("controlled");
    let ffn: u64 = (0..16).map(|expert| controlled.load(expert)).sum();
    assert!((ffn as f64 / 16_000.0 - 2.5).abs() < 0.1, "{ffn}");
    // Null experts: balanced as one, so every expert a twentieth of the slots.
    let nulls = counts("null-experts");
    let ffn: u64 = (0..16).map(|expert| nulls.load(expert)).sum();
    assert!((ffn as f64 / 64_000.0 - 0.8).abs() < 0.03, "{ffn}");
    // Top-p: peaked scores take fewer experts.
    let sharp = uneven("top-p", &["scheme.sharpness=3"]);
    let sharp = slots(&Gate::new(&sharp, Streams::new(1)).counts(0, 0, 0..4));
    let flat = slots(&counts("top-p"));
    assert!(sharp < flat && flat < 4 * tokens && sharp >= tokens, "{sharp} {flat}");
}

/// A chain has as many dispatches, gates and combines as rounds, with the slots of one layer.
#[test]
fn a_chain_of_experts_goes_round_by_round() {
    let even = ["gate.popularity_sd=0", "gate.sequence_sd=0"];
    let once = run(&uneven("top-k", &even), Scope::MoeLayer);
    let chain = run(&uneven("chain", &even), Scope::MoeLayer);
    let blame = |outcome: &Outcome, reason| outcome.blame[0].of(reason).us();
    assert_eq!(once.totals.ffn_slots, chain.totals.ffn_slots);
    let ratio = blame(&chain, Reason::Gate) / blame(&once, Reason::Gate);
    assert!((ratio - 2.0).abs() < 1e-6, "{ratio}");
    // Bytes are those of the slots, three quarters of them elsewhere, and both are noisy.
    let [a, b] = [&once, &chain].map(|outcome| outcome.totals.dispatched_bytes as f64);
    assert!((a / b - 1.0).abs() < 0.01, "{a} {b}");
}

/// Autonomy of experts: N·r columns before the dispatch, r numbers more a slot on the way there and
/// none on the way back, and one product less of the experts.
#[test]
fn experts_that_choose_for_themselves_compute_before_they_are_sent_anything() {
    let even = ["gate.popularity_sd=0", "gate.sequence_sd=0"];
    let plain = run(&uneven("top-k", &even), Scope::MoeLayer);
    let own = run(&uneven("autonomy", &even), Scope::MoeLayer);
    // 4,000 × 1,600 × 1,000 products at 100 TFLOP/s, 128 µs, against 1.28 µs, which memory hides:
    // 10.032 MB at 1 TB/s. Norms are 12.8 MB more.
    let gate = |outcome: &Outcome| outcome.blame[0].of(Reason::Gate).us();
    let want = 128.0 + 12.8 - (4000.0 * 1016.0 + 16_000.0) * 2.0 / 1e6;
    assert!((gate(&own) - gate(&plain) - want).abs() < 0.01, "{}", gate(&own) - gate(&plain));
    let bytes = |outcome: &Outcome| outcome.totals.dispatched_bytes as f64;
    assert!((bytes(&own) / bytes(&plain) - 1.1).abs() < 1e-9);
    let combine = |outcome: &Outcome| outcome.blame.iter().map(|b| b.of(Reason::Combine)).max();
    assert_eq!(combine(&own), combine(&plain));
    let ffn = |outcome: &Outcome| outcome.blame[0].of(Reason::FfnGemm).us();
    assert!((ffn(&own) / ffn(&plain) - 2.1 / 3.0).abs() < 1e-6);
}

/// Null experts take no time at all, not even a visit; copies of tokens take some, and three kinds of
/// zero-computation experts three visits.
#[test]
fn null_experts_cost_nothing() {
    let sequential = ["experts.execution=sequential"];
    let overheads = Overheads { expert_visit: SimDuration::from_us(10.0), ..Overheads::NONE };
    let (cluster, kernels) = (topology(&[]), roofline(100.0, 1000.0));
    let of = |name: &str| {
        let workload = uneven(name, &sequential);
        let ideal = ideal(&cluster, &workload, &kernels, Scope::Experts);
        let outcome = simulate(&Inputs { overheads, ..ideal }, 7).expect("short");
        let us = |reason| outcome.blame[0].of(reason).us();
        (us(Reason::ZeroComputation), us(Reason::Launch))
    };
    // Four FFN experts on each GPU.
    assert_eq!(of("null-experts"), (0.0, 40.0));
    let (time, visits) = of("moe++");
    assert!(time > 0.0);
    assert_eq!(visits, 70.0);
}

/// Shared experts take what their products take, unless the dispatch is long enough to hide them.
#[test]
fn shared_experts_run_beside_the_dispatch() {
    // 6·4,000·1,000·500 FLOP at 100 TFLOP/s are 120 µs, and 5·4,000·500·2 B at 1 TB/s 20 µs.
    let shared = workload(&["dense.shared=500"]);
    let shown = run(&shared, Scope::Experts);
    let time = |outcome: &Outcome| outcome.blame[0].of(Reason::SharedExperts).us();
    assert!((time(&shown) - 140.0).abs() < 0.01, "{}", time(&shown));
    let hidden = run(&shared, Scope::MoeLayer);
    assert!(time(&hidden) < 60.0, "{}", time(&hidden));
    let longer = hidden.mean_hidden_ms() * 1e3 + time(&hidden);
    assert!((longer - 140.0).abs() < 5.0, "{longer}");
}

/// Grouped-query attention, latent attention, leading dense layers: each as on paper.
#[test]
fn attention_and_dense_layers_take_what_they_should() {
    // Of training, the output of every token; a prefill computes that of last tokens.
    let trains = "batch.phase='training'";
    let dense = |more: &[&str]| {
        let workload = workload(&[&[trains], more].concat());
        run(&workload, Scope::ModelForward).blame[0].of(Reason::Dense).us()
    };
    let plain = dense(&[]);
    // Of 3·1,000 columns of queries, keys and values, 1,400 are left: 1,600 columns of 4,000 × 1,000
    // products fewer, 128 µs; and as many numbers of a token have no position to be read and written: 4,000 ·
    // 2·8·100 · 2 B at 1 TB/s, 12.8 µs.
    let grouped = dense(&["model.key_value_heads=2"]);
    assert!((plain - grouped - 140.8).abs() < 0.01, "{}", plain - grouped);
    // Two leading layers: twice attention without embedding or output, and 6·4,000·1,000·3,000 FLOP
    // with 5·4,000·3,000·2 B: 720 and 120 µs each.
    let leading = dense(&["dense.leading_layers=2", "dense.intermediate=3000"]);
    let attention = plain - 80.0 - 16.0;
    assert!((leading - plain - 2.0 * (attention + 840.0)).abs() < 0.01, "{}", leading - plain);
    let latent = dense(&["model.query_rank=100", "model.key_value_rank=50", "model.rope_dim=10"]);
    assert!(latent < plain, "{latent} {plain}");
}

/// More copies of what was popular lately shorten the wait for the slowest; of what was popular long
/// ago, less so. All slots are computed in any case.
#[test]
fn redundant_experts_help_as_long_as_their_plan_is_fresh() {
    let drifting = [
        "gate.popularity_sd=0.3",
        "gate.sequence_sd=1.5",
        "gate.sequence_common=0.9",
        "gate.drift=0.9",
        "gate.drift_micro_batches=4",
        "batch.micro_batches=12",
        "layout.expert_parallel=4",
    ];
    let slowest = |places: &[&str]| {
        let workload = uneven("top-k", &[&drifting[..], places].concat());
        let outcome = run(&workload, Scope::Experts);
        assert_eq!(outcome.totals.ffn_slots, 12 * 64_000);
        outcome.makespan.us()
    };
    let replicated =
        ["layout.places=replicated", "layout.redundant=8", "layout.seen_micro_batches=1"];
    let none = slowest(&[]);
    let fresh = slowest(&[&replicated[..], &["layout.replan_every=1"]].concat());
    let stale =
        slowest(&[&replicated[..], &["layout.replan_every=1", "layout.seen_ago=40"]].concat());
    assert!(fresh < 0.9 * none, "{fresh} {none}");
    assert!(fresh < 0.95 * stale, "{fresh} {stale}");
    let aware =
        ["layout.places=load-aware", "layout.seen_micro_batches=1", "layout.replan_every=1"];
    let aware = slowest(&aware);
    assert!(aware < none && fresh < aware, "{fresh} {aware} {none}");
}

/// A sequence's liking acts on zero-computation experts too: FFN shares of GPUs with one sequence each
/// differ by far more than tokens by chance, and their mean over sequences stays φ'.
#[test]
fn sequences_differ_in_how_many_ffn_experts_they_use() {
    let of = |sd: &str| {
        let sd = format!("gate.sequence_sd={sd}");
        let workload =
            uneven("moe++", &["gate.popularity_sd=0", &sd, "batch.sequence_tokens=4000"]);
        let counts = Gate::new(&workload, Streams::new(2)).counts(0, 0, 0..400);
        let share = |gpu| f64::from(counts.kept_by(gpu)[..16].iter().sum::<u32>()) / (4.0 * 4000.0);
        let shares: Vec<f64> = (0..400).map(share).collect();
        let mean = shares.iter().sum::<f64>() / 400.0;
        let squares = shares.iter().map(|share| (share - mean).powi(2)).sum::<f64>();
        (mean, (squares / 400.0).sqrt())
    };
    let (alike, differing) = (of("0"), of("0.7"));
    // φ = 0.75·16/(0.75·16 + 4) = 3/4; 400 sequences of spread 0.06 give it to 0.003.
    assert!((alike.0 - 0.75).abs() < 0.002, "{alike:?}");
    assert!((differing.0 - 0.75).abs() < 0.012, "{differing:?}");
    assert!(differing.1 > 5.0 * alike.1, "{alike:?} {differing:?}");
}

/// What is dropped by probability weighs less than what is dropped by position, in counts as token by
/// token, and no slot is dropped by one that the other keeps.
#[test]
fn drops_by_probability_lose_less_weight() {
    let lost = |by: &str, sampling: &str| {
        let more = [
            "slots.policy=drop",
            "slots.factor=0.8",
            &format!("slots.by={by}"),
            &format!("gate.sampling={sampling}"),
        ];
        let counts = Gate::new(&uneven("top-k", &more), Streams::new(4)).counts(0, 0, 0..4);
        (counts.lost_weight() / 16_000.0, counts.drop_share())
    };
    for sampling in ["counts", "exact"] {
        let [position, probability] = ["position", "probability"].map(|by| lost(by, sampling));
        assert_eq!(position.1, probability.1, "the same slots are dropped in number");
        // By position the weight lost is the share dropped, give or take that popular experts, which
        // drop most, weigh more; by probability it is well below.
        assert!((position.0 / position.1 - 1.0).abs() < 0.35, "{sampling} {position:?}");
        assert!(probability.0 < 0.75 * position.0, "{sampling} {probability:?} {position:?}");
    }
    let [counts, exact] = ["counts", "exact"].map(|sampling| lost("probability", sampling).0);
    assert!((counts / exact - 1.0).abs() < 0.25, "{counts} {exact}");
}

/// A run reports the weight that was dropped: less by probability than by position, times unchanged.
#[test]
fn a_run_says_what_weight_was_dropped() {
    let of = |by: &str| {
        let by = format!("slots.by={by}");
        run(&uneven("top-k", &["slots.policy=drop", "slots.factor=0.9", &by]), Scope::MoeLayer)
    };
    let (position, probability) = (of("position"), of("probability"));
    assert_eq!(position.makespan, probability.makespan);
    assert_eq!(position.totals.gated_tokens, 16_000);
    let [more, less] = [&position, &probability].map(Outcome::dropped_weight_share);
    assert!(less > 0.0 && less < 0.8 * more && more < 1.0, "{less} {more}");
}
