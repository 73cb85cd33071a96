//! A pool of sequences that stand for all of a group's, where these are many and each has few tokens in the batch.
//!
//! In a step of decoding a GPU holds hundreds of sequences with a token each, and a group tens of thousands. What
//! a GPU's counts are drawn from is the sum over its sequences of their chances; drawing each sequence's costs
//! 10⁵ instructions a layer, and the sum knows them only by their mean. So [`MEMBERS`] sequences of the same law
//! are drawn once a layer, and each sequence of the group is one of them, drawn with replacement: that of P in a row
//! each is one once would make the sums of a node's GPUs more even than they are. Which one is the same in all layers
//! and, in decoding, in all steps, and the members' latents are the same in all layers: what layers have in common, and
//! what a step tells of the next, stays.
//!
//! The mean of P members is off the law's by a P-th of its variance, for all GPUs alike: 4 % of an expert's load at
//! the spread of gpt-oss-20b's sequences (CV 1.3), beside 60 % by which popularity differs. Where gates choose among
//! groups of experts, what a token chooses is more than chances of experts: tokens are drawn one by one there, with
//! the rates of members ([`RatePool`]), which is quicker than to draw rates anew.

use rand::RngExt;

use crate::base::streams::Streams;

/// Sequences of a pool.
pub(in crate::gate) const MEMBERS: usize = 1024;

/// A chance of one in the pool's units.
const ONE: f64 = 65_535.0;

/// What the tokens of each member are expected to choose in one layer.
#[derive(Clone, Debug)]
pub(in crate::gate) struct Pool {
    width: usize,
    /// `[member × width]`, in units of 1 / [`ONE`].
    chances: Vec<u16>,
    /// By column, what the variance of a count is of its mean, over all members.
    variances: Vec<f64>,
}

impl Pool {
    /// A pool of rows of `width` chances: `of` tells those of a member, and the variances of its counts.
    pub(in crate::gate) fn of(width: usize, mut of: impl FnMut(usize, [&mut Vec<f64>; 2])) -> Self {
        let mut chances = Vec::with_capacity(MEMBERS * width);
        let mut sums = vec![[0.0_f64; 2]; width];
        let [mut means, mut variances] = [vec![], vec![]];
        for member in 0..MEMBERS {
            means.clear();
            variances.clear();
            of(member, [&mut means, &mut variances]);
            assert!(means.len() == width, "{} chances for {width}", means.len());
            chances.extend(means.iter().map(|p| (p * ONE + 0.5) as u16));
            for (sums, (mean, variance)) in sums.iter_mut().zip(means.iter().zip(&variances)) {
                *sums = [sums[0] + mean, sums[1] + variance];
            }
        }
        let ratio = |[mean, variance]: [f64; 2]| if mean > 0.0 { variance / mean } else { 0.0 };
        Self { width, chances, variances: sums.into_iter().map(ratio).collect() }
    }

    /// The mean chances of some members.
    pub(in crate::gate) fn mean(&self, members: impl Iterator<Item = usize>) -> Vec<f64> {
        let (mut sums, mut number) = (vec![0_u32; self.width], 0_u32);
        for member in members {
            let row = &self.chances[member * self.width..][..self.width];
            sums.iter_mut().zip(row).for_each(|(sum, &chance)| *sum += u32::from(chance));
            number += 1;
        }
        let unit = 1.0 / (ONE * f64::from(number.max(1)));
        sums.into_iter().map(|sum| unit * f64::from(sum)).collect()
    }

    /// By column, what the variance of a count is of its mean.
    pub(in crate::gate) fn variances(&self) -> &[f64] {
        &self.variances
    }
}

/// The rates of each member in one layer, for gates whose tokens choose among groups of experts.
#[derive(Clone, Debug)]
pub(in crate::gate) struct RatePool {
    /// `[member × expert]`, added up within each group; all of a member sum to one.
    sums: Vec<f32>,
}

impl RatePool {
    /// A pool of members, for each of which `of` appends such a row.
    pub(in crate::gate) fn of(experts: usize, mut of: impl FnMut(usize, &mut Vec<f32>)) -> Self {
        let mut sums = Vec::with_capacity(MEMBERS * experts);
        (0..MEMBERS).for_each(|member| of(member, &mut sums));
        Self { sums }
    }

    /// The rates of all members, one after another.
    pub(in crate::gate) fn sums(&self) -> &[f32] {
        &self.sums
    }
}

/// The members that stand for the `number` sequences of one GPU.
pub(super) fn members(
    streams: Streams,
    micro_batch: u32,
    gpu: usize,
    number: usize,
) -> impl Iterator<Item = usize> {
    let mut rng = streams.named(&format!("gate/pool/gpu={gpu}/micro_batch={micro_batch}"));
    (0..number).map(move |_| rng.random_range(0..MEMBERS))
}
