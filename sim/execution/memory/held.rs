//! What the stages of a pipeline hold: layers, tables, and micro-batches begun.

use crate::workload::{Chunks, Phase, PipelineSchedule, Workload};

/// What a stage holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Held {
    /// Layers with experts.
    pub layers: u32,
    /// Leading dense layers.
    pub leading: u32,
    /// Embedding and output.
    pub tables: u32,
    /// Copies of each of its parameters on other stages, itself included: DualPipe keeps two.
    pub copies: u64,
    /// Micro-batches in training that it has begun and not finished, in parts of its chunks.
    pub begun: f64,
}

impl Held {
    /// Those of all stages that differ; in inference the first, which no other exceeds.
    pub fn of_stages(workload: &Workload) -> Vec<Self> {
        let (model, layout) = (&workload.model, &workload.layout);
        let stages = layout.pipeline_parallel;
        let both = |ends: [bool; 2]| match ends {
            [true, true] if !model.tied => 2,
            [false, false] => 0,
            _ => 1,
        };
        if workload.phase() != Phase::Training {
            // One layer drafts all tokens in turn.
            let layers = (model.layers + workload.drafts().min(1)).div_ceil(stages);
            let (leading, tables) = (model.dense.leading_layers, both([true, stages == 1]));
            return vec![Self { layers, leading, tables, copies: 1, begun: 0.0 }];
        }
        let training = &workload.training;
        let chunks = Chunks::new(training, stages);
        let (of_part, last) = (chunks.layers(model), chunks.parts() - 1);
        let dual = training.schedule == PipelineSchedule::DualPipe;
        let of = |stage: u32| {
            let has = |end: u32| chunks.of(stage).any(|part| part == end);
            Self {
                layers: chunks.of(stage).map(|part| of_part[part as usize]).sum(),
                leading: if has(0) { model.dense.leading_layers } else { 0 },
                tables: both([has(0), has(last)]),
                copies: if dual { 2 } else { 1 },
                begun: begun(workload, stage),
            }
        };
        let mut all: Vec<Self> = (0..stages).map(of).collect();
        all.dedup();
        all
    }
}

/// Micro-batches in training that a stage has begun and not finished, in parts of its chunks.
fn begun(workload: &Workload, stage: u32) -> f64 {
    let training = &workload.training;
    let (stages, before) = (f64::from(workload.layout.pipeline_parallel), f64::from(stage));
    let chunks = f64::from(training.chunks);
    let own = match (training.chunks, training.paired) {
        _ if training.schedule == PipelineSchedule::DualPipe => f64::midpoint(stages, 1.0),
        (1, false) => stages - before,
        (1, true) => 2.0 * (stages - before) - 1.0,
        (_, false) => stages + (stages - 1.0 - 2.0 * before) / chunks,
        (_, true) => stages + (stages - 2.0 * before) / chunks,
    };
    own.min(f64::from(workload.batch.micro_batches))
}
