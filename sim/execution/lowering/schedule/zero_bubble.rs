//! ZB-H1 [zerobubble, §2.2.1]: as 1F1B, with weight gradients apart. Stage `s` postpones each of its weight
//! gradients by `s` backward passes, so that input gradients reach the stages before it sooner; what is left
//! at the end fills the bubble there.

use super::{Part, Pass};

pub(super) fn passes(stage: u32, stages: u32, micro_batches: u32) -> Vec<Pass> {
    let ahead = (stages - 1 - stage).min(micro_batches);
    let part = |micro_batch| Part { micro_batch, chunk: 0 };
    let mut passes: Vec<Pass> = (0..ahead).map(|at| Pass::Forward(part(at))).collect();
    for at in 0..micro_batches {
        if ahead + at < micro_batches {
            passes.push(Pass::Forward(part(ahead + at)));
        }
        passes.push(Pass::Inputs(part(at)));
        if at >= stage {
            passes.push(Pass::Weights(part(at - stage)));
        }
    }
    let left = micro_batches.saturating_sub(stage)..micro_batches;
    passes.extend(left.map(|at| Pass::Weights(part(at))));
    passes
}
