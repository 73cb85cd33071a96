//! One forward, one backward [pipedream, megatron21]: a stage that is `d` stages from the last runs `d` forward
//! passes first, then one of each in turn. Paired, it runs one more first, so that each forward pass has a
//! backward pass of an earlier micro-batch to run with.

use super::{Part, Pass};

pub(super) fn passes(stage: u32, stages: u32, micro_batches: u32, paired: bool) -> Vec<Pass> {
    let ahead = (stages - 1 - stage + u32::from(paired)).min(micro_batches);
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
