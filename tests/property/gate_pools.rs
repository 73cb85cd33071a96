//! A pool of sequences spreads loads as all sequences of a group do.
//!
//! Groups of more than 1,024 short sequences are drawn from pools, others sequence by sequence; the law is the same
//! for both, so that four GPUs of a larger group can be compared with a group of four. A pass says that counts have
//! the means, the spread over GPUs, the peaks and the memory from step to step of sequences drawn one by one.

use moesim::base::streams::Streams;
use moesim::config::{built_in_workload, workload};
use moesim::gate::{Counts, Gate};
use moesim::workload::{Capacity, Popularity, Sampling, Scheme, Spread, Workload};

const GPUS: usize = 4;
const SEEDS: u64 = 24;

/// A step of decoding 256 sequences on each GPU of a group, under a top-k gate, one of groups, or that of MoE++.
fn decoding(scheme: Option<Scheme>, group: u32) -> Workload {
    let name = if scheme.is_some() { "moe-2b" } else { "moepp-2b" };
    let mut workload = workload(&built_in_workload(name).unwrap()).unwrap();
    workload.model.layers = 2;
    workload.capacity = Capacity::Dropless;
    workload.model.experts.top_k = 4;
    workload.batch.tokens_per_gpu = 256;
    workload.batch.sequence_tokens = 1;
    workload.layout.expert_parallel = group;
    workload.gating.scheme = scheme.unwrap_or(workload.gating.scheme);
    workload.gating.sampling = Sampling::Counts;
    workload.gating.popularity = Popularity::Dirichlet { concentration: 2.75 };
    workload.gating.spread =
        Spread { sequence_sd: 1.0, common: 0.68, domains: 3, domain_sd: 0.3, ..Spread::NONE };
    workload
}

/// What is compared: each over all seeds, layers and experts.
#[derive(Debug, Default)]
struct Moments {
    /// Mean count, by seed, layer and expert.
    means: Vec<f64>,
    /// Variance over GPUs, and covariance of a GPU's counts in two steps.
    variance: f64,
    covariance: f64,
    /// The largest expert's load over the mean.
    peak: f64,
}

impl Moments {
    fn of(scheme: Option<Scheme>, group: u32) -> Self {
        let workload = decoding(scheme, group);
        let mut moments = Self::default();
        for seed in 0..SEEDS {
            let gate = Gate::new(&workload, Streams::new(seed));
            for layer in 0..2 {
                let steps = [0, 1].map(|step| gate.counts(layer, step, 0..GPUS));
                moments.add(&steps, workload.model.experts.ffn as usize);
            }
        }
        moments
    }

    fn add(&mut self, steps: &[Counts; 2], experts: usize) {
        let first = self.means.len();
        for expert in 0..experts {
            let of = |step: usize, gpu| f64::from(steps[step].kept(gpu, expert));
            let mean = |step| (0..GPUS).map(|gpu| of(step, gpu)).sum::<f64>() / GPUS as f64;
            let means = [mean(0), mean(1)];
            for gpu in 0..GPUS {
                let apart = [0, 1].map(|step| of(step, gpu) - means[step]);
                self.variance += apart.iter().map(|x| 0.5 * x * x).sum::<f64>();
                self.covariance += apart[0] * apart[1];
            }
            self.means.push(0.5 * (means[0] + means[1]));
        }
        let own = &self.means[first..];
        let mean = own.iter().sum::<f64>() / experts as f64;
        self.peak += own.iter().copied().fold(0.0, f64::max) / mean / (2 * SEEDS) as f64;
    }
}

#[test]
fn pools_spread_loads_as_all_sequences_do() {
    let limited = Scheme::GroupLimited { groups: 8, most: 4 };
    for scheme in [Some(Scheme::TopK), Some(limited), None] {
        let [alone, pooled] = [4, 8].map(|group| Moments::of(scheme, group));
        // Squared relative differences of loads: between samples of 2,048 tokens of 1,024 sequences with the chances of a
        // pool of 1,024; without what is drawn token by token they would be 2 % of this.
        let total: f64 = alone.means.iter().sum();
        let pairs = || alone.means.iter().zip(&pooled.means);
        let apart = pairs().map(|(a, b)| (a - b).powi(2) / a.max(1.0)).sum::<f64>() / total;
        let drawn = 2.0 / (2 * GPUS) as f64 / (total / alone.means.len() as f64);
        let bias = pairs().map(|(a, b)| b - a).sum::<f64>() / total;
        // MoE++ draws how many slots go to these experts.
        assert!(
            bias.abs() < if scheme.is_some() { 1e-9 } else { 0.01 },
            "{scheme:?}: {bias} more slots"
        );
        assert!(apart < 1.5 * drawn, "{scheme:?}: loads are {apart} apart, {drawn} by chance");
        let within = |what: &str, (pooled, alone): (f64, f64), most: f64| {
            let off = pooled / alone - 1.0;
            assert!(off.abs() < most, "{scheme:?}: {what} is {pooled}, not {alone}");
        };
        within("the variance over GPUs", (pooled.variance, alone.variance), 0.03);
        within("the peak", (pooled.peak, alone.peak), 0.01);
        // What one step tells of the next: an eighth of the variance, known to a tenth of itself.
        within("the covariance of steps", (pooled.covariance, alone.covariance), 0.35);
        assert!(pooled.covariance > 0.07 * pooled.variance, "steps tell nothing of each other");
    }
}
