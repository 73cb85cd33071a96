//! Interleaved 1F1B [megatron21, §2.2]: a stage's chunks take turns, in rounds of as many micro-batches as
//! there are stages; a stage that is `d` stages from the last runs `2d + (v − 1)·p` forward passes first.

use super::{Part, Pass};

pub(super) fn passes(
    stage: u32,
    (stages, chunks): (u32, u32),
    micro_batches: u32,
    paired: bool,
) -> Vec<Pass> {
    let all = micro_batches * chunks;
    let part = |at: u32, forward: bool| {
        let (round, within) = (at / (stages * chunks), at % (stages * chunks));
        let turn = within / stages;
        let chunk = if forward { turn } else { chunks - 1 - turn };
        Part { micro_batch: round * stages + within % stages, chunk }
    };
    let first = 2 * (stages - 1 - stage) + (chunks - 1) * stages + u32::from(paired);
    let ahead = first.min(all);
    let mut passes: Vec<Pass> = (0..ahead).map(|at| Pass::Forward(part(at, true))).collect();
    for at in ahead..all {
        let (forward, backward) = (part(at, true), part(at - ahead, false));
        if paired {
            passes.push(Pass::Pair { forward, backward });
        } else {
            passes.extend([Pass::Forward(forward), Pass::Backward(backward)]);
        }
    }
    passes.extend((all - ahead..all).map(|at| Pass::Backward(part(at, false))));
    passes
}
