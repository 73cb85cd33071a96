//! How well a law predicts a recording that it was not fitted on.
//!
//! The law draws sequences of its own, of the lengths of the recording it was fitted on, and the same
//! statistics are taken of both. Beside the law stands the usual assumption, independent
//! tokens of the same popularity, on the same statistics: what the law is better by is its worth.

use rand::RngExt;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;

use super::super::law::Law;
use super::statistics::{self, Loads, kolmogorov_smirnov};
use crate::base::statistics::{mean, variance};
use crate::base::streams::Streams;
use crate::workload::{Recording, SequenceCounts};

/// Sizes of batches at which loads are compared.
pub const BATCHES: [u32; 3] = [512, 2_048, 8_192];
/// Sequences that the law draws for loads.
const DRAWN: usize = 2_048;
/// Batches of each size.
const DRAWS: usize = 2_000;
/// Sequences, and tokens of each at most, that the law draws token by token.
const WALKED: (usize, u32) = (60, 200);

/// A statistic of the recording and of the law.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pair {
    /// In the held-out recording.
    pub seen: f64,
    /// In what the law draws.
    pub modelled: f64,
}

impl Pair {
    /// Relative error of the law; none where the recording has nothing of it.
    #[must_use]
    pub fn error(self) -> Option<f64> {
        (self.seen != 0.0).then(|| self.modelled / self.seen - 1.0)
    }
}

/// Loads of batches of one size.
#[derive(Clone, Debug, PartialEq)]
pub struct BatchJudgement {
    /// In the held-out recording.
    pub seen: Loads,
    /// In what the law draws.
    pub modelled: Loads,
    /// With independent tokens of the same popularity.
    pub independent: Loads,
    /// In the recording that the law was fitted on: how far two recordings are apart by chance.
    pub fitted: Loads,
    /// Standard error of the mean over layers of max/mean in the held-out recording, by resampling its
    /// sequences [efron82].
    pub seen_error: f64,
}

/// Mean over layers of the absolute relative difference.
fn mean_error(modelled: &[f64], seen: &[f64]) -> f64 {
    let errors: Vec<f64> = modelled.iter().zip(seen).map(|(m, s)| (m / s - 1.0).abs()).collect();
    mean(&errors)
}

impl BatchJudgement {
    /// Mean over layers of the relative error in the mean of max/mean load.
    #[must_use]
    pub fn peak_error(&self) -> f64 {
        mean_error(&self.modelled.peak, &self.seen.peak)
    }

    /// The same for independent tokens.
    #[must_use]
    pub fn independent_peak_error(&self) -> f64 {
        mean_error(&self.independent.peak, &self.seen.peak)
    }

    /// The same for the recording that the law was fitted on: no law can be expected to do better.
    #[must_use]
    pub fn fitted_peak_error(&self) -> f64 {
        mean_error(&self.fitted.peak, &self.seen.peak)
    }

    /// max/mean load, averaged over layers.
    #[must_use]
    pub fn peak(&self) -> Pair {
        Pair { seen: mean(&self.seen.peak), modelled: mean(&self.modelled.peak) }
    }

    /// Kolmogorov–Smirnov distance of the distributions of max/mean, averaged over layers.
    #[must_use]
    pub fn distance(&self) -> f64 {
        let pairs = self.modelled.peaks.iter().zip(&self.seen.peaks);
        mean(&pairs.map(|(m, s)| kolmogorov_smirnov(m, s)).collect::<Vec<f64>>())
    }
}

/// How a law compares with a recording.
#[derive(Clone, Debug, PartialEq)]
pub struct Judgement {
    /// Loads at each of [`BATCHES`].
    pub batches: Vec<BatchJudgement>,
    /// Overlap of the experts of tokens so far apart: 1, 2, 4, 16, 64.
    pub overlap: Vec<(usize, Pair)>,
    /// Normalised information of first choices this many layers apart: 1, 4.
    pub depth: Vec<(usize, Pair)>,
}

impl Judgement {
    /// Mean correlation of the imbalance of two layers, at the smallest batch.
    #[must_use]
    pub fn correlation(&self) -> Option<Pair> {
        let first = self.batches.first()?;
        Some(Pair { seen: first.seen.correlation, modelled: first.modelled.correlation })
    }
}

/// Compares `law`, fitted on `fitted`, with the recording `held_out`.
///
/// # Panics
/// If the recording has other layers or more experts than the law.
#[must_use]
pub fn judge(
    law: &Law,
    fitted: &SequenceCounts,
    held_out: &Recording,
    streams: Streams,
) -> Judgement {
    let (ours, theirs) = (law.layers.len(), held_out.layers());
    assert!(ours == theirs, "a law of {ours} layers and a recording of {theirs}");
    let mut rng = streams.named("gate/judge/lengths");
    let mut lengths = |number: usize, most: u32| -> Vec<u32> {
        let drawn = (0..number).filter_map(|_| fitted.tokens.choose(&mut rng));
        drawn.map(|&n| n.min(most)).collect()
    };
    let drawn = lengths(DRAWN, u32::MAX);
    let modelled = law.counts(&drawn, streams);
    let popularity: Vec<Vec<f64>> = (0..ours).map(|layer| fitted.inclusion(layer)).collect();
    let independent = law.without_sequences(&popularity).counts(&drawn, streams);
    let seen = held_out.counts();
    let loads = |counts: &SequenceCounts, name: &str, batch: u32| {
        let mut rng = streams.named(&format!("gate/judge/{name}/{batch}"));
        statistics::loads(counts, batch, DRAWS, &mut rng)
    };
    let batches = BATCHES
        .into_iter()
        .filter(|&batch| u64::from(batch) <= seen.all_tokens())
        .map(|batch| BatchJudgement {
            seen: loads(&seen, "seen", batch),
            modelled: loads(&modelled, "modelled", batch),
            independent: loads(&independent, "independent", batch),
            fitted: loads(fitted, "fitted", batch),
            seen_error: resampled_error(&seen, batch, streams),
        })
        .collect();
    let walked = law.recording(&lengths(WALKED.0, WALKED.1), streams);
    let pairs = |statistic: fn(&Recording, usize) -> Option<f64>, distances: &[usize]| {
        let pair = |&distance: &usize| {
            let (seen, modelled) = (statistic(held_out, distance)?, statistic(&walked, distance)?);
            Some((distance, Pair { seen, modelled }))
        };
        distances.iter().filter_map(pair).collect()
    };
    Judgement {
        batches,
        overlap: pairs(statistics::overlap, &[1, 2, 4, 16, 64]),
        depth: pairs(statistics::depth_information, &[1, 4]),
    }
}

/// Resamples of a recording's sequences, and batches of each, for standard errors.
const RESAMPLES: (usize, usize) = (24, 40);

/// The standard error of the mean over layers of max/mean, by resampling sequences.
fn resampled_error(counts: &SequenceCounts, batch: u32, streams: Streams) -> f64 {
    let mut rng = streams.named(&format!("gate/judge/resample/{batch}"));
    let peaks: Vec<f64> = (0..RESAMPLES.0)
        .map(|_| {
            let resample = resampled(counts, &mut rng);
            mean(&statistics::loads(&resample, batch, RESAMPLES.1, &mut rng).peak)
        })
        .collect();
    variance(&peaks).sqrt()
}

/// As many sequences, drawn with replacement.
fn resampled(counts: &SequenceCounts, rng: &mut ChaCha8Rng) -> SequenceCounts {
    let number = counts.sequences();
    let drawn: Vec<usize> = (0..number).map(|_| rng.random_range(0..number)).collect();
    counts.of_sequences(&drawn)
}

/// Standard errors of what a fitted law predicts for the mean over layers of max/mean at each of
/// [`BATCHES`], from laws fitted to resamples of the sequences [efron82].
#[must_use]
pub fn bootstrap(
    fitted: &SequenceCounts,
    rank: usize,
    resamples: usize,
    streams: Streams,
) -> Vec<f64> {
    let mut rng = streams.named("gate/judge/bootstrap");
    let lengths: Vec<u32> =
        (0..DRAWN).filter_map(|_| fitted.tokens.choose(&mut rng)).copied().collect();
    let mut peaks = vec![vec![]; BATCHES.len()];
    for _ in 0..resamples {
        let law = super::fit::fit(&resampled(fitted, &mut rng), rank, streams);
        let drawn = law.counts(&lengths, streams);
        for (peaks, batch) in peaks.iter_mut().zip(BATCHES) {
            peaks.push(mean(&statistics::loads(&drawn, batch, RESAMPLES.1, &mut rng).peak));
        }
    }
    peaks.iter().map(|peaks| variance(peaks).sqrt()).collect()
}
