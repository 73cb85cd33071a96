//! How uneven, how persistent and how correlated choices are: one set of statistics for
//! recordings and for models, so that each can be judged by the other.
//!
//! A batch of B tokens is made of whole sequences, drawn with replacement, until it holds B tokens or more
//! (prefill-like): without replacement, batches that are most of a recording would all be alike. For the load r_i of expert i over the mean load in a layer and batch:
//!
//! ```text
//!   peak = max_i r_i      cv = √(Σ (r_i − 1)²/N)      gini = Σ_i Σ_j |r_i − r_j| / 2N²
//!   drop(γ) = Σ max(r_i − γ, 0) / N                                                          (1)
//! ```
//!
//! Persistence is the mean share of a token's K experts that the token `gap` later has too. Depth is
//! the normalised mutual information of first choices, I(X;Y)/√(H(X)H(Y)), corrected for the
//! bias of counting, (|X|−1)(|Y|−1)/2T nats [miller55].

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use crate::base::statistics::{Rule, mean, quantile_of_sorted, squared_deviations};
use crate::workload::{Recording, SequenceCounts};

/// Capacity factors γ at which drops are reported.
pub const FACTORS: [f64; 3] = [1.1, 1.25, 1.5];

/// Unevenness of loads in batches of one size, by layer.
#[derive(Clone, Debug, PartialEq)]
pub struct Loads {
    /// Tokens of a batch, at least.
    pub batch_tokens: u32,
    /// `[layer]`: mean of the largest load over the mean load.
    pub peak: Vec<f64>,
    /// `[layer]`: its 90th percentile over batches.
    pub peak_p90: Vec<f64>,
    /// `[layer]`: mean coefficient of variation.
    pub cv: Vec<f64>,
    /// `[layer]`: mean Gini coefficient.
    pub gini: Vec<f64>,
    /// `[γ][layer]`: mean share of slots beyond γ, for each of [`FACTORS`].
    pub drop: [Vec<f64>; 3],
    /// Mean correlation over batches of the peaks of two layers, over all pairs.
    pub correlation: f64,
    /// `[layer]`: the peaks of all batches, sorted.
    pub peaks: Vec<Vec<f64>>,
}

/// Loads of `draws` random batches of whole sequences.
///
/// # Panics
/// If there are no sequences or no tokens.
#[must_use]
pub fn loads(
    counts: &SequenceCounts,
    batch_tokens: u32,
    draws: usize,
    rng: &mut ChaCha8Rng,
) -> Loads {
    let layers = counts.layers;
    let mut peaks = vec![Vec::with_capacity(draws); layers];
    let mut sums = vec![[0.0; 5]; layers];
    batches(counts, batch_tokens, draws, rng, |load| {
        for (layer, load) in load.chunks_exact(counts.experts).enumerate() {
            let uneven = Uneven::of(load);
            peaks[layer].push(uneven.peak);
            let [d0, d1, d2] = uneven.drop;
            for (sum, value) in sums[layer].iter_mut().zip([uneven.cv, uneven.gini, d0, d1, d2]) {
                *sum += value / draws as f64;
            }
        }
    });
    summary(batch_tokens, peaks, &sums)
}

/// Tells the loads, `[layer × expert]`, of `draws` random batches of whole sequences, each of
/// `batch_tokens` tokens or more.
///
/// # Panics
/// If there are no sequences or no tokens.
pub fn batches(
    counts: &SequenceCounts,
    batch_tokens: u32,
    draws: usize,
    rng: &mut ChaCha8Rng,
    mut told: impl FnMut(&[u64]),
) {
    assert!(counts.all_tokens() > 0, "loads of no tokens");
    let cells = counts.layers * counts.experts;
    let mut load = vec![0u64; cells];
    for _ in 0..draws {
        load.fill(0);
        let mut tokens = 0;
        while tokens < batch_tokens {
            let sequence = rng.random_range(0..counts.sequences());
            tokens += counts.tokens[sequence];
            for (load, &n) in load.iter_mut().zip(&counts.counts[sequence * cells..][..cells]) {
                *load += u64::from(n);
            }
        }
        told(&load);
    }
}

/// The share of slots beyond `factor` times the mean load [(1)].
#[must_use]
pub fn beyond(load: &[u64], factor: f64) -> f64 {
    let total: u64 = load.iter().sum();
    if total == 0 {
        return 0.0;
    }
    let limit = factor * total as f64 / load.len() as f64;
    load.iter().map(|&n| (n as f64 - limit).max(0.0)).sum::<f64>() / total as f64
}

fn summary(batch_tokens: u32, mut peaks: Vec<Vec<f64>>, sums: &[[f64; 5]]) -> Loads {
    let correlation = mean_correlation(&peaks);
    let p90 = |peaks: &[f64]| quantile_of_sorted(peaks, 0.9, Rule::Upper).unwrap_or(f64::NAN);
    let column = |i: usize| sums.iter().map(|sums| sums[i]).collect::<Vec<f64>>();
    for peaks in &mut peaks {
        peaks.sort_by(f64::total_cmp);
    }
    Loads {
        batch_tokens,
        peak: peaks.iter().map(|peaks| mean(peaks)).collect(),
        peak_p90: peaks.iter().map(|peaks| p90(peaks)).collect(),
        cv: column(0),
        gini: column(1),
        drop: [column(2), column(3), column(4)],
        correlation,
        peaks,
    }
}

/// Unevenness of one batch's loads in one layer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Uneven {
    /// Largest load over mean load.
    pub peak: f64,
    /// Coefficient of variation.
    pub cv: f64,
    /// Gini coefficient.
    pub gini: f64,
    /// Share of slots beyond each of [`FACTORS`].
    pub drop: [f64; 3],
}

impl Uneven {
    /// The statistics (1) of these loads; loads of nothing are even.
    #[must_use]
    pub fn of(load: &[u64]) -> Self {
        let number = load.len() as f64;
        let mean = load.iter().sum::<u64>() as f64 / number;
        if mean == 0.0 {
            return Self { peak: 1.0, cv: 0.0, gini: 0.0, drop: [0.0; 3] };
        }
        let mut r: Vec<f64> = load.iter().map(|&n| n as f64 / mean).collect();
        r.sort_by(f64::total_cmp);
        let cv = (r.iter().map(|r| (r - 1.0).powi(2)).sum::<f64>() / number).sqrt();
        // Σ_i Σ_j |r_i − r_j| = 2 Σ_i (2i − N + 1) r_i over sorted r, i from 0.
        let ranked = r.iter().enumerate().map(|(i, r)| (2.0 * i as f64 - number + 1.0) * r);
        let gini = ranked.sum::<f64>() / (number * number);
        let beyond = |factor: f64| r.iter().map(|r| (r - factor).max(0.0)).sum::<f64>() / number;
        Self { peak: r[r.len() - 1], cv, gini, drop: FACTORS.map(beyond) }
    }
}

/// Mean Pearson correlation of all pairs of rows; rows that never vary are left out.
#[must_use]
pub fn mean_correlation(rows: &[Vec<f64>]) -> f64 {
    let standard: Vec<Vec<f64>> = rows
        .iter()
        .filter_map(|row| {
            let centre = mean(row);
            let norm = squared_deviations(row).sqrt();
            (norm > 1e-9).then(|| row.iter().map(|x| (x - centre) / norm).collect())
        })
        .collect();
    let (mut sum, mut pairs) = (0.0, 0.0);
    for (i, a) in standard.iter().enumerate() {
        for b in &standard[..i] {
            sum += a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
            pairs += 1.0;
        }
    }
    if pairs > 0.0 { sum / pairs } else { 0.0 }
}

/// The mean share of a token's experts that the token `gap` later in its sequence has too.
///
/// Nothing where no sequence is long enough.
#[must_use]
pub fn overlap(recording: &Recording, gap: usize) -> Option<f64> {
    overlap_by_layer(recording, gap).map(|layers| mean(&layers))
}

/// The same by layer.
#[must_use]
pub fn overlap_by_layer(recording: &Recording, gap: usize) -> Option<Vec<f64>> {
    let (mut common, mut pairs) = (vec![0u64; recording.layers()], 0u64);
    for tokens in recording.sequences() {
        for token in tokens.start..tokens.end.saturating_sub(gap) {
            pairs += 1;
            for (layer, common) in common.iter_mut().enumerate() {
                let later = recording.chosen(token + gap, layer);
                let now = recording.chosen(token, layer);
                *common += now.iter().filter(|id| later.contains(id)).count() as u64;
            }
        }
    }
    let slots = (pairs * recording.top_k() as u64) as f64;
    (pairs > 0).then(|| common.iter().map(|&n| n as f64 / slots).collect())
}

/// Normalised mutual information of first choices `lag` layers apart, mean over layers.
///
/// Nothing where there are not this many layers.
#[must_use]
pub fn depth_information(recording: &Recording, lag: usize) -> Option<f64> {
    let pairs = recording.layers().checked_sub(lag).filter(|&pairs| pairs > 0)?;
    let experts = recording.experts();
    let total = recording.tokens() as f64;
    let each = (0..pairs).map(|layer| {
        let mut joint = vec![0u32; experts * experts];
        for token in 0..recording.tokens() {
            let first = |layer| usize::from(recording.chosen(token, layer)[0]);
            joint[first(layer) * experts + first(layer + lag)] += 1;
        }
        let rows: Vec<u32> = joint.chunks_exact(experts).map(|row| row.iter().sum()).collect();
        let columns: Vec<u32> =
            (0..experts).map(|y| joint.iter().skip(y).step_by(experts).sum()).collect();
        let seen = |counts: &[u32]| counts.iter().filter(|&&n| n > 0).count() as f64;
        let bias = (seen(&rows) - 1.0) * (seen(&columns) - 1.0) / (2.0 * total);
        let (hx, hy) = (entropy(&rows, total), entropy(&columns, total));
        let information = hx + hy - entropy(&joint, total) - bias;
        if hx * hy > 0.0 { information / (hx * hy).sqrt() } else { 0.0 }
    });
    Some(each.sum::<f64>() / pairs as f64)
}

fn entropy(counts: &[u32], total: f64) -> f64 {
    let p = counts.iter().filter(|&&n| n > 0).map(|&n| f64::from(n) / total);
    -p.map(|p| p * p.ln()).sum::<f64>()
}

/// The largest distance between the distribution functions of two sorted samples.
#[must_use]
pub fn kolmogorov_smirnov(a: &[f64], b: &[f64]) -> f64 {
    let (mut i, mut j, mut worst) = (0, 0, 0.0_f64);
    while i < a.len() && j < b.len() {
        let x = a[i].min(b[j]);
        i += a[i..].partition_point(|&y| y <= x);
        j += b[j..].partition_point(|&y| y <= x);
        let gap = i as f64 / a.len() as f64 - j as f64 / b.len() as f64;
        worst = worst.max(gap.abs());
    }
    worst
}
