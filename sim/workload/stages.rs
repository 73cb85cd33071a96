//! Which layers the stages of a pipeline hold in training.

use super::{Model, PipelineSchedule, Training};

/// Which parts of the model the chunks of stages are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunks {
    stages: u32,
    chunks: u32,
    /// Whether chunk 1 goes through the stages the other way, as DualPipe's does.
    both_ways: bool,
}

impl Chunks {
    /// Those of a training step on this many stages.
    #[must_use]
    pub fn new(training: &Training, stages: u32) -> Self {
        let both_ways = training.schedule == PipelineSchedule::DualPipe;
        Self { stages, chunks: if both_ways { 2 } else { training.chunks }, both_ways }
    }

    /// Chunks of each stage.
    #[must_use]
    pub const fn of_stage(&self) -> u32 {
        self.chunks
    }

    /// Parts that the model is cut into.
    #[must_use]
    pub const fn parts(&self) -> u32 {
        if self.both_ways { self.stages } else { self.stages * self.chunks }
    }

    /// Layers with experts of each part. Leading dense layers are in the first part, which has that many fewer, but one at
    /// least.
    #[must_use]
    pub fn layers(&self, model: &Model) -> Vec<u32> {
        let (leading, parts) = (model.dense.leading_layers, self.parts());
        let mut of_part = spread(model.layers + leading, parts);
        of_part[0] = of_part[0].saturating_sub(leading).max(1);
        let others: u32 = model.layers.saturating_sub(of_part[0]);
        if parts > 1 {
            of_part.splice(1.., spread(others, parts - 1));
        }
        of_part
    }

    /// The parts that a stage has.
    pub fn of(self, stage: u32) -> impl Iterator<Item = u32> {
        (0..self.chunks).map(move |chunk| self.part(stage, chunk))
    }

    /// Which part of the model a chunk of a stage is.
    #[must_use]
    pub const fn part(&self, stage: u32, chunk: u32) -> u32 {
        match (self.both_ways, chunk) {
            (true, 0) => stage,
            (true, _) => self.stages - 1 - stage,
            (false, _) => chunk * self.stages + stage,
        }
    }

    /// The stage and chunk that hold the part before or after, for what enters in the same direction.
    #[must_use]
    pub const fn neighbour(&self, stage: u32, chunk: u32, after: bool) -> Option<(u32, u32)> {
        let part = self.part(stage, chunk);
        if (after && part + 1 == self.parts()) || (!after && part == 0) {
            return None;
        }
        let part = if after { part + 1 } else { part - 1 };
        Some(match (self.both_ways, chunk) {
            (true, 0) => (part, 0),
            (true, _) => (self.stages - 1 - part, 1),
            (false, _) => (part % self.stages, part / self.stages),
        })
    }
}

/// Layers of each part of a model with this many layers, the first and the last part, which have the embedding and the
/// output, being the last to get one more.
#[must_use]
pub fn spread(layers: u32, parts: u32) -> Vec<u32> {
    let mut spread = vec![layers / parts; parts as usize];
    let rest = (layers % parts) as usize;
    let middle = (1..parts as usize).take(rest);
    middle.for_each(|part| spread[part] += 1);
    spread
}
