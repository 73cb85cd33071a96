//! One forward, one backward [pipedream, megatron21]: a stage that is `d` stages from the last runs `d` forward
//! passes first, then one of each in turn. Paired, a micro-batch leaves a stage at the end of a pair in either
//! direction, so its way there and back takes two pairs a stage, and a stage runs `2d + 1` forward passes first;
//! it holds as many micro-batches.

use super::{Part, Pass};

pub(super) fn passes(stage: u32, stages: u32, micro_batches: u32, paired: bool) -> Vec<Pass> {
    let distance = stages - 1 - stage;
    let ahead = if paired { 2 * distance + 1 } else { distance };
    let ahead = ahead.min(micro_batches);
    let part = |micro_batch| Part { micro_batch, chunk: 0 };
    let mut passes: Vec<Pass> = (0..ahead).map(|at| Pass::Forward(part(at))).collect();
    for at in ahead..micro_batches {
        let (forward, backward) = (part(at), part(at - ahead));
        if paired {
            passes.push(Pass::Pair { forward, backward });
        } else {
            passes.extend([Pass::Forward(forward), Pass::Backward(backward)]);
        }
    }
    passes.extend((micro_batches - ahead..micro_batches).map(|at| Pass::Backward(part(at))));
    passes
}
