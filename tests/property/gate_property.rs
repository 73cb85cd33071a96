//! What holds for every gate: properties of count matrices over generated workloads.
//!
//! A pass says that counts are consistent with each other and with the law of choosing K of N
//! without replacement. It does not say that real tokens are spread like this; `gate_traces` does.

use moesim::base::streams::Streams;
use moesim::config::{built_in_workload, workload};
use moesim::gate::Gate;
use moesim::workload::{
    Capacity, DropBy, Persistence, Popularity, Sampling, ShareOf, Spread, Workload, ZeroComputation,
};
use proptest::prelude::*;

/// A shipped model with a batch, capacity and gate that these tests count on.
fn shipped(name: &str) -> Workload {
    let mut workload = workload(&built_in_workload(name).unwrap()).unwrap();
    workload.batch.tokens_per_gpu = 8192;
    workload.batch.sequence_tokens = 2048;
    workload.capacity = Capacity::Dropless;
    workload.gating.spread = Spread::NONE;
    workload.gating.popularity = Popularity::LogNormal { sd: 0.14 };
    workload.gating.sampling = Sampling::Auto;
    workload
}

prop_compose! {
    fn any_workload()(
        ffn in 2u32..40,
        zero in 0u32..3, copy in 0u32..3, constant in 0u32..4,
        k in 1u32..9,
        tau in prop_oneof![Just(0.1), Just(0.75), 0.05..20.0_f64],
        sd in 0.0..2.0_f64,
        dirichlet in any::<bool>(),
        tokens in prop_oneof![1u32..80, 80u32..20_000],
        sampling in prop_oneof![Just(Sampling::Auto), Just(Sampling::Counts)],
        sequences in prop_oneof![Just((0.0, 0.0)), (0.0..1.5_f64, 0.0..1.0_f64)],
        length in prop_oneof![Just(1u32), Just(700), Just(2048)],
        drift in 0.0..1.0_f64,
        persistence in 0.0..1.0_f64,
    ) -> Workload {
        let mut workload = shipped("moepp-1b");
        let experts = &mut workload.model.experts;
        experts.ffn = ffn;
        experts.zero_computation = ZeroComputation { zero, copy, constant };
        experts.top_k = k.min(experts.total());
        experts.tau = Some(tau);
        workload.layout.expert_parallel = 1;
        workload.model.layers = 2;
        workload.batch.tokens_per_gpu = tokens;
        // Steps of decoding have few tokens; thousands of sequences a GPU take long in a debug build.
        workload.batch.sequence_tokens = if tokens > 500 { length.max(700) } else { length };
        let (sequence_sd, domain_sd) = sequences;
        workload.gating.spread = Spread {
            sequence_sd,
            common: drift,
            domains: 3,
            domain_sd,
            drift,
            drift_micro_batches: 2.5,
            persistence: Persistence { share: persistence, decay: 0.7, depth: drift },
        };
        workload.gating.sampling = sampling;
        workload.gating.popularity = if dirichlet {
            Popularity::Dirichlet { concentration: 0.3 + sd }
        } else {
            Popularity::LogNormal { sd }
        };
        workload
    }
}

proptest! {
    // Failures are mended, and their inputs become cases of their own; no file remembers them.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Each token fills K slots, no expert twice, and tokens by FFN slots tell the same story.
    #[test]
    fn slots_are_conserved(workload in any_workload(), seed in any::<u64>()) {
        let experts = workload.model.experts;
        let (all, k) = (workload.batch.tokens_per_gpu, experts.top_k);
        let counts = Gate::new(&workload, Streams::new(seed)).counts(1, 3, 0..3);
        for gpu in 0..3 {
            let row = counts.kept_by(gpu);
            let (ffn, others) = row.split_at(experts.ffn as usize);
            let sum = |cells: &[u32]| cells.iter().map(|&n| u64::from(n)).sum::<u64>();
            prop_assert_eq!(sum(row), u64::from(all) * u64::from(k));
            let tokens: Vec<u32> = (0..=k as usize).map(|f| counts.tokens_with(gpu, f)).collect();
            prop_assert_eq!(sum(&tokens), u64::from(all));
            let ffn_slots: u64 = tokens.iter().zip(0..).map(|(&n, f)| u64::from(n) * f).sum();
            prop_assert_eq!(sum(ffn), ffn_slots);
            prop_assert!(ffn.iter().all(|&n| n <= all - tokens[0]), "{:?}", row);
            prop_assert!(others.iter().all(|&n| n <= all - tokens[k as usize]), "{:?}", row);
        }
    }

    /// No expert keeps more than eq. 8 gives it, nothing is lost, and padding fills what is left.
    #[test]
    fn dropped_slots_are_those_beyond_the_limit(
        workload in any_workload(), factor in 0.3..3.0_f64, pad in any::<bool>(), seed in any::<u64>(),
    ) {
        let experts = workload.model.experts;
        let free = Gate::new(&workload, Streams::new(seed)).counts(0, 0, 0..2);
        let mut limited = workload.clone();
        let of = ShareOf::Slots;
        limited.capacity = match pad {
            true => Capacity::DropAndPad { factor, of, by: DropBy::Position },
            false => Capacity::Drop { factor, of, by: DropBy::Probability },
        };
        let counts = Gate::new(&limited, Streams::new(seed)).counts(0, 0, 0..2);
        let slots = f64::from(workload.batch.tokens_per_gpu * experts.top_k);
        let units = experts.balance() * f64::from(experts.ffn)
            + f64::from(experts.zero_computation.total());
        for gpu in 0..2 {
            for expert in 0..experts.total() as usize {
                let units_here = if expert < experts.ffn as usize { experts.balance() } else { 1.0 };
                let limit = (factor * slots * units_here / units - 1e-6).ceil();
                let limit = limit.min(f64::from(workload.batch.tokens_per_gpu)) as u32;
                let (kept, chosen) = (counts.kept(gpu, expert), free.kept(gpu, expert));
                prop_assert_eq!(kept, chosen.min(limit));
                prop_assert_eq!(kept + counts.dropped(gpu, expert), chosen);
                prop_assert_eq!(counts.computed(gpu, expert), if pad { limit } else { kept });
            }
        }
    }

    /// Counts of one layer and micro-batch do not depend on what else was drawn, or on more GPUs.
    #[test]
    fn counts_depend_on_layer_and_micro_batch_alone(workload in any_workload(), seed in any::<u64>()) {
        let gate = Gate::new(&workload, Streams::new(seed));
        let alone = gate.counts(1, 7, 0..2);
        let _ = gate.counts(0, 7, 0..5);
        let again = Gate::new(&workload, Streams::new(seed)).counts(1, 7, 0..4);
        for gpu in 0..2 {
            prop_assert_eq!(alone.kept_by(gpu), again.kept_by(gpu));
        }
    }

    /// Without zero-computation experts, or with τ so large that none is chosen, MoE++ is vanilla.
    #[test]
    fn without_zero_computation_slots_the_gate_is_vanilla(
        workload in any_workload(), seed in any::<u64>(), none in any::<bool>(),
    ) {
        let mut vanilla = workload.clone();
        let experts = &mut vanilla.model.experts;
        experts.zero_computation = ZeroComputation::default();
        // Where all experts must be taken the gate has no choice; this is about gates that choose.
        experts.top_k = experts.top_k.min(experts.ffn - 1);
        vanilla.gating.sampling = Sampling::Counts;
        let mut other = vanilla.clone();
        if !none {
            other.model.experts.zero_computation = ZeroComputation { zero: 1, copy: 1, constant: 2 };
            other.model.experts.tau = Some(1e15);
            // Laws of sequences are centred at the FFN share, which is one here only to the last bit;
            // without them the counts agree exactly.
            vanilla.gating.spread = Spread::NONE;
            other.gating.spread = Spread::NONE;
        }
        let draw = |w: &Workload| Gate::new(w, Streams::new(seed)).counts(1, 0, 0..2);
        let (vanilla, other) = (draw(&vanilla), draw(&other));
        for gpu in 0..2 {
            let ffn = vanilla.experts();
            prop_assert_eq!(vanilla.kept_by(gpu), &other.kept_by(gpu)[..ffn]);
        }
    }
}

/// GPUs have windows of a stream, and windows do not overlap: no two GPUs draw alike.
#[test]
fn gpus_draw_independently() {
    let counts = Gate::new(&shipped("moe-1b"), Streams::new(3)).counts(0, 0, 0..32);
    for a in 0..32 {
        for b in 0..a {
            assert_ne!(counts.kept_by(a), counts.kept_by(b), "GPUs {a} and {b}");
        }
    }
}

/// Sampled sums of one expert's count over many draws, against the mean and spread on paper.
struct Moments {
    draws: f64,
    sum: Vec<f64>,
    squares: Vec<f64>,
}

impl Moments {
    fn of(workload: &Workload, draws: u32) -> Self {
        let gate = Gate::new(workload, Streams::new(5));
        let experts = workload.model.experts.total() as usize;
        let (mut sum, mut squares) = (vec![0.0; experts], vec![0.0; experts]);
        for micro_batch in 0..draws {
            let counts = gate.counts(0, micro_batch, 0..1);
            for (expert, &n) in counts.kept_by(0).iter().enumerate() {
                sum[expert] += f64::from(n);
                squares[expert] += f64::from(n) * f64::from(n);
            }
        }
        Self { draws: f64::from(draws), sum, squares }
    }

    fn mean(&self, expert: usize) -> f64 {
        self.sum[expert] / self.draws
    }

    fn variance(&self, expert: usize) -> f64 {
        self.squares[expert] / self.draws - self.mean(expert).powi(2)
    }
}

/// Every load's mean is its share, within five standard errors of both means and the 2 % that the
/// inversion of inclusion probabilities may be off in exact mode.
#[test]
fn count_mode_and_exact_mode_have_the_same_means() {
    for name in ["moe-0.6b", "moepp-1b"] {
        let mut workload = shipped(name);
        workload.batch.tokens_per_gpu = 512;
        workload.gating.popularity = Popularity::LogNormal { sd: 0.5 };
        let moments = [Sampling::Counts, Sampling::Exact].map(|sampling| {
            workload.gating.sampling = sampling;
            Moments::of(&workload, 1000)
        });
        for expert in 0..workload.model.experts.total() as usize {
            let [counts, exact] = [0, 1].map(|i| moments[i].mean(expert));
            let error = (2.0 * moments[1].variance(expert) / 1000.0).sqrt();
            let slack = 5.0 * error + 0.02 * exact;
            assert!((counts - exact).abs() < slack, "{name} {expert}: {counts} {exact}");
        }
    }
}

/// Variances of counts are those of K of N without replacement, not those of a multinomial.
///
/// The sampled variance of 4,000 draws has a relative standard error of √(2/4000) = 2.2 %: four of
/// them, and 1 % for what rounding adds (1/12 of 700). A multinomial is 17 % off here.
#[test]
fn count_mode_has_the_variance_of_choosing_without_replacement() {
    let mut workload = shipped("moe-0.6b");
    workload.batch.tokens_per_gpu = 4096;
    workload.gating.sampling = Sampling::Counts;
    workload.gating.popularity = Popularity::LogNormal { sd: 0.2 };
    let moments = Moments::of(&workload, 4000);
    for expert in 0..8 {
        let p = moments.mean(expert) / 4096.0;
        let (got, want) = (moments.variance(expert), 4096.0 * p * (1.0 - p));
        assert!((got / want - 1.0).abs() < 0.10, "expert {expert}: variance {got}, not {want}");
    }
}

/// FFN share: the equilibrium of eq. 7, shifted by λ, within four standard errors over all tokens.
#[test]
fn the_ffn_share_is_that_of_the_balance_loss() {
    for (tau, shift) in [(0.1, 0.0), (0.75, 0.0), (1.0, 0.25), (0.75, 0.12)] {
        for sampling in [Sampling::Counts, Sampling::Exact] {
            let mut workload = shipped("moepp-1b");
            workload.model.experts.tau = Some(tau);
            workload.gating.ffn_logit_shift = vec![shift];
            workload.gating.sampling = sampling;
            workload.batch.tokens_per_gpu = 8192;
            let phi = tau * 16.0 / (tau * 16.0 + 4.0);
            let want = 1.0 / (1.0 + ((1.0 - phi) / phi) * f64::exp(-shift));
            let counts = Gate::new(&workload, Streams::new(1)).counts(3, 0, 0..16);
            let ffn: u64 = (0..16).map(|expert| counts.load(expert)).sum();
            let got = ffn as f64 / (2.0 * 8192.0 * 16.0);
            // A token's share lies in [0, 1], so its standard deviation is one half at most.
            let error = 0.5 / (8192.0 * 16.0_f64).sqrt();
            assert!((got - want).abs() < 4.0 * error, "τ={tau} λ={shift}: {got}, not {want}");
        }
    }
}

/// A vanilla and an MoE++ model of one seed have the same popular FFN experts.
#[test]
fn popularity_is_common_to_vanilla_and_moepp() {
    let load = |name| {
        let mut workload = shipped(name);
        workload.gating.popularity = Popularity::LogNormal { sd: 0.7 };
        let counts = Gate::new(&workload, Streams::new(9)).counts(4, 0, 0..8);
        let loads: Vec<f64> = (0..16).map(|expert| counts.load(expert) as f64).collect();
        let total: f64 = loads.iter().sum();
        loads.iter().map(|load| load / total).collect::<Vec<f64>>()
    };
    for (vanilla, moepp) in load("moe-1b").iter().zip(load("moepp-1b")) {
        // Each share is of at least 98,304 slots: a standard error of 0.0016 at most for each.
        assert!((vanilla - moepp).abs() < 0.01, "{vanilla} {moepp}");
    }
}

/// Sequences change how loads vary, not what they are on average; so does the gating residual.
///
/// Over 4,000 sequences of spread σ = 0.8, a load's relative error is about 0.8/√4000 = 1.3 %, and
/// centring leaves out that experts' deviations correlate by chance, a few per cent; the mean over
/// experts of the absolute error must stay under 4 %. Without centring it is 9 %.
#[test]
fn sequences_and_residuals_keep_the_means() {
    let mut workload = shipped("moe-1b");
    workload.gating.popularity = Popularity::LogNormal { sd: 0.4 };
    let load = |workload: &Workload| {
        let counts = Gate::new(workload, Streams::new(2)).counts(5, 0, 0..1000);
        (0..16).map(|expert| counts.load(expert) as f64).collect::<Vec<f64>>()
    };
    let spread = |workload: &Workload| {
        let gate = Gate::new(workload, Streams::new(2));
        let counts = gate.counts(5, 1, 0..200);
        let mean = (0..200).map(|gpu| f64::from(counts.kept(gpu, 3))).sum::<f64>() / 200.0;
        let squares = (0..200).map(|gpu| (f64::from(counts.kept(gpu, 3)) - mean).powi(2));
        (squares.sum::<f64>() / 200.0).sqrt() / mean
    };
    let alike = load(&workload);
    let narrow = spread(&workload);
    workload.gating.spread = Spread { sequence_sd: 0.8, common: 0.5, ..Spread::NONE };
    let wide = [false, true].map(|residual| {
        workload.model.gating_residual = residual;
        let differing = load(&workload);
        let errors = differing.iter().zip(&alike).map(|(a, b)| (a / b - 1.0).abs());
        let error = errors.sum::<f64>() / 16.0;
        assert!(error < 0.04, "residual {residual}: {error}");
        spread(&workload)
    });
    assert!(wide[0] > 4.0 * narrow, "{wide:?} {narrow}");
    // Residuals shrink the spread by 0.875; 200 GPUs give it with a standard error of 5 %.
    assert!(wide[1] < wide[0], "{wide:?}");
}

/// Layers see the same sequences, so their imbalances move together.
#[test]
fn imbalances_of_layers_are_correlated() {
    let correlation = |common: f64| {
        let mut workload = shipped("moe-1b");
        workload.gating.spread = Spread { sequence_sd: 1.0, common, ..Spread::NONE };
        workload.gating.popularity = Popularity::LogNormal { sd: 0.2 };
        workload.batch.tokens_per_gpu = 2048;
        let gate = Gate::new(&workload, Streams::new(8));
        let peaks = |layer| -> Vec<f64> {
            let counts = gate.counts(layer, 0, 0..600);
            (0..600).map(|gpu| f64::from(*counts.kept_by(gpu).iter().max().unwrap())).collect()
        };
        let all: Vec<Vec<f64>> = (0..6).map(peaks).collect();
        let centred: Vec<Vec<f64>> = all
            .iter()
            .map(|row| {
                let mean = row.iter().sum::<f64>() / 600.0;
                let norm = row.iter().map(|x| (x - mean).powi(2)).sum::<f64>().sqrt();
                row.iter().map(|x| (x - mean) / norm).collect()
            })
            .collect();
        let pairs = (0..6).flat_map(|i| (0..i).map(move |j| (i, j)));
        let dot = |(i, j): (usize, usize)| -> f64 {
            centred[i].iter().zip(&centred[j]).map(|(a, b)| a * b).sum()
        };
        pairs.map(dot).sum::<f64>() / 15.0
    };
    // Independent layers: 15 pairs of 600 GPUs have a standard error of 0.011.
    assert!(correlation(0.0).abs() < 0.05, "{}", correlation(0.0));
    assert!(correlation(0.9) > 0.1, "{}", correlation(0.9));
}
