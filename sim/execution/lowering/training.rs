//! A training step: every micro-batch forward and backward through every part of the model, gradients
//! between replicas, and the optimiser.
//!
//! ```text
//! forward    attention, gate, permute ─ dispatch ┄ experts ─ combine ┄ mix
//! backward   mix' ─ dispatch' ┄ experts' (inputs, weights) ─ combine' ┄ permute', gate', attention'
//! pair       mix'  attention  experts'  experts  weights'  attention'  mix       computed
//!               └ dispatch' ┄┘└ dispatch ┄┘└ combine' ┄┘└┄ combine ┄┘            exchanged
//! ```
//!
//! In a pair the backward pass of one micro-batch and the forward pass of another take turns layer by layer, so
//! that each computes while the other exchanges, as DualPipe and Megatron-LM's 1F1B overlap do. The order
//! of passes is the schedule's. Gradients of a layer are reduced when the last micro-batch has gone backward
//! through it, and parameters gathered before the first goes forward, beside the passes or after them.
//! Gradients of dense parts are shared by all GPUs of a stage with the same part of a product, those of
//! experts by the GPUs with the same experts.
//!
//! Left out: the layer that predicts several tokens, clipping of gradients, reduction between the two copies
//! that DualPipe keeps, and the next step's data.

mod draws;
mod key;
mod layers;
mod parameters;

use std::collections::BTreeMap;
use std::rc::Rc;

use draws::Draws;
pub use draws::draws_of;
use key::{Key, StepKind, key_of};
use parameters::For;

use super::replicas::Replicas;
use super::schedule::{Chunks, Part, Pass, passes};
use super::{At, Step, StepPlanner, Totals};
use crate::base::units::{GpuId, SimDuration};
use crate::execution::blame::Op;
use crate::execution::program::{
    After, Command, Contention, Fill, Meeting, MeetingId, Program, Work,
};
use crate::workload::{Workload, Zero};

/// Where a GPU is in its stage's passes.
#[derive(Clone, Copy, Debug, Default)]
struct Cursor {
    pass: usize,
    /// Rounds of the pass that are done.
    round: u32,
    /// Whether the step has been begun, and ended.
    begun: bool,
    ended: bool,
}

/// A step of a group, until all have left its exchanges.
struct InFlight {
    plan: Rc<Step>,
    left: usize,
}

/// How the GPUs of a cluster train together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grid {
    /// All of them.
    pub gpus: u32,
    /// Of a group that shares one copy of the FFN experts.
    pub group: u32,
    /// Of those that each expert is cut over, numbered one after another.
    pub split: u32,
    /// Pipeline stages, outermost in the numbering.
    pub stages: u32,
}

impl Grid {
    const fn per_stage(&self) -> u32 {
        self.gpus / self.stages
    }

    const fn stage(&self, gpu: GpuId) -> u32 {
        gpu.0 / self.per_stage()
    }

    /// Cuts of a group.
    const fn cuts(&self) -> u32 {
        self.group / self.split
    }

    /// The cut of a GPU within its group, where experts are cut.
    fn cut_of(&self, gpu: GpuId) -> Option<u32> {
        (self.split > 1).then(|| gpu.0 % self.group / self.split)
    }

    const fn group_of(&self, gpu: GpuId) -> u32 {
        gpu.0 / self.group
    }
}

/// A training step as a program.
pub struct TrainingStep<'a> {
    grid: Grid,
    workload: &'a Workload,
    planner: StepPlanner<'a>,
    replicas: Replicas<'a>,
    chunks: Chunks,
    /// First round of each part of the model, and one beyond the last.
    rounds: Vec<u32>,
    orders: Vec<Vec<Pass>>,
    cursors: Vec<Cursor>,
    in_flight: BTreeMap<Key, InFlight>,
    /// Where gates are not drawn for every step.
    draws: Option<Draws>,
    /// Weight gradients put off, of experts and of the rest.
    put_off: BTreeMap<(GpuId, Part), [SimDuration; 2]>,
    /// Passes with weight gradients that are left, by GPU and chunk.
    left: Vec<u32>,
    /// The gathers of a GPU's rounds that passes wait for: those of a step, or of one pass.
    gathered: BTreeMap<(GpuId, For), After>,
    contention: [Contention; 2],
    /// Of gathers and scatters of cuts.
    cut_contention: Contention,
}

impl<'a> TrainingStep<'a> {
    /// The training step that a planner plans on these GPUs; dispatch and combine contend so with kernels beside
    /// them, and gates are drawn so often for each layer, if not for every step.
    #[must_use]
    pub fn new(
        grid: Grid,
        workload: &'a Workload,
        planner: StepPlanner<'a>,
        replicas: Replicas<'a>,
        (contention, draws): ([Contention; 2], Option<u32>),
    ) -> Self {
        let training = &workload.training;
        let chunks = Chunks::new(training, grid.stages);
        let micro_batches = workload.batch.micro_batches;
        let orders: Vec<Vec<Pass>> = (0..grid.stages)
            .map(|stage| passes(training, stage, grid.stages, micro_batches))
            .collect();
        let gpus = grid.gpus as usize;
        let mut left = vec![0; gpus * chunks.of_stage() as usize];
        for gpu in 0..grid.gpus {
            for pass in &orders[grid.stage(GpuId(gpu)) as usize] {
                if let Some(part) = with_weights(*pass) {
                    left[(gpu * chunks.of_stage() + part.chunk) as usize] += 1;
                }
            }
        }
        Self {
            grid,
            workload,
            planner,
            replicas,
            chunks,
            rounds: rounds_of(workload, &chunks),
            orders,
            cursors: vec![Cursor::default(); gpus],
            in_flight: BTreeMap::new(),
            draws: draws.map(Draws::new),
            put_off: BTreeMap::new(),
            left,
            gathered: BTreeMap::new(),
            contention,
            cut_contention: Contention::NONE,
        }
    }

    /// The same whose experts are cut over GPUs that gather and scatter with this contention.
    #[must_use]
    pub const fn with_cut_contention(mut self, contention: Contention) -> Self {
        self.cut_contention = contention;
        self
    }

    /// What the gate has decided.
    #[must_use]
    pub fn totals(self) -> Totals {
        self.planner.totals()
    }

    /// Rounds of the part that a chunk of a GPU is.
    fn rounds(&self, gpu: GpuId, chunk: u32) -> std::ops::Range<u32> {
        let part = self.chunks.part(self.grid.stage(gpu), chunk) as usize;
        self.rounds[part]..self.rounds[part + 1]
    }

    /// The step of a group, planned when its first member comes to it.
    fn in_flight(&mut self, key: Key) -> &mut InFlight {
        let Self { in_flight, planner, grid, draws, .. } = self;
        in_flight.entry(key).or_insert_with(|| {
            let first = GpuId(key.group * grid.group);
            let backward = key.kind == StepKind::Backward;
            let at = At {
                round: key.round,
                micro_batch: key.micro_batch,
                group: key.group % (grid.per_stage() / grid.group),
                backward,
                part: 0,
                opens: key.micro_batch == 0 && !backward,
            };
            let plan = match draws {
                Some(draws) => draws.plan(at, planner, (first, key.kind == StepKind::Again)),
                None => Rc::new(planner.plan(at, first)),
            };
            let left = plan.meetings();
            InFlight { plan, left }
        })
    }

    /// Whether gradients are reduced beside this pass.
    fn reduces(&self, gpu: GpuId, part: Part) -> bool {
        let training = &self.workload.training;
        let last = self.left[(gpu.0 * self.chunks.of_stage() + part.chunk) as usize] == 1;
        let each = training.zero >= Zero::Gradients;
        self.replicas.any() && (each || (last && training.overlapped_gradients))
    }

    /// One layer of a pass, or of two.
    fn layer(&mut self, gpu: GpuId, pass: Pass, done: u32, streams: &mut dyn Fill) -> u32 {
        let ends = |rounds: &std::ops::Range<u32>| Ends {
            first: done == 0,
            last: done + 1 == rounds.end - rounds.start,
        };
        match pass {
            Pass::Forward(part) => {
                let rounds = self.rounds(gpu, part.chunk);
                let round = rounds.start + done;
                self.forward(gpu, (part, round, StepKind::Forward), ends(&rounds), streams);
                rounds.end - rounds.start
            }
            Pass::Backward(part) | Pass::Inputs(part) => {
                let rounds = self.rounds(gpu, part.chunk);
                let weights = matches!(pass, Pass::Backward(_));
                let round = rounds.end - 1 - done;
                self.backward(gpu, (part, round, weights), ends(&rounds), streams);
                rounds.end - rounds.start
            }
            Pass::Weights(part) => {
                self.weights(gpu, part, streams);
                1
            }
            Pass::Pair { forward, backward } => {
                let [up, down] = [forward, backward].map(|part| self.rounds(gpu, part.chunk));
                let most = up.len().max(down.len()) as u32;
                let ahead = (forward, up.start + done);
                let back = (backward, down.end.wrapping_sub(1 + done));
                match (ahead.1 < up.end, done < down.len() as u32) {
                    (true, true) => {
                        self.pair(gpu, [ahead, back], [ends(&up), ends(&down)], streams);
                    }
                    (true, false) => {
                        let at = (forward, ahead.1, StepKind::Forward);
                        self.forward(gpu, at, ends(&up), streams);
                    }
                    (false, _) => {
                        self.backward(gpu, (backward, back.1, true), ends(&down), streams)
                    }
                }
                most
            }
        }
    }
}

impl Program for TrainingStep<'_> {
    fn gpus(&self) -> u32 {
        self.grid.gpus
    }

    fn next(&mut self, gpu: GpuId, streams: &mut dyn Fill) -> bool {
        let cursor = self.cursors[gpu.index()];
        if !cursor.begun {
            self.cursors[gpu.index()].begun = true;
            self.begin(gpu, streams);
        }
        let stage = self.grid.stage(gpu) as usize;
        let Some(&pass) = self.orders[stage].get(cursor.pass) else {
            if cursor.ended {
                return false;
            }
            self.cursors[gpu.index()].ended = true;
            self.end(gpu, streams);
            return true;
        };
        let rounds = self.layer(gpu, pass, cursor.round, streams);
        let cursor = &mut self.cursors[gpu.index()];
        cursor.round += 1;
        if cursor.round == rounds {
            cursor.round = 0;
            cursor.pass += 1;
            if let Some(part) = with_weights(pass) {
                self.left[(gpu.0 * self.chunks.of_stage() + part.chunk) as usize] -= 1;
            }
        }
        true
    }

    fn meeting(&mut self, meeting: MeetingId) -> Meeting {
        if let Some(collective) = self.replicas.meeting(meeting) {
            return collective;
        }
        let (key, of) = key_of(meeting, self.grid.cuts());
        let first = GpuId(key.group * self.grid.group);
        self.in_flight(key).plan.meeting(of, first)
    }

    fn adjourned(&mut self, meeting: MeetingId) {
        if self.replicas.is_own(meeting) {
            return;
        }
        let (key, _) = key_of(meeting, self.grid.cuts());
        let step = self.in_flight(key);
        step.left -= 1;
        if step.left == 0
            && let Some(step) = self.in_flight.remove(&key)
            && let Ok(plan) = Rc::try_unwrap(step.plan)
        {
            self.planner.recycle(plan);
        }
    }
}

/// The part whose weight gradients a pass computes.
const fn with_weights(pass: Pass) -> Option<Part> {
    match pass {
        Pass::Backward(part) | Pass::Weights(part) | Pass::Pair { backward: part, .. } => {
            Some(part)
        }
        Pass::Forward(_) | Pass::Inputs(_) => None,
    }
}

/// First round of each part, and one beyond the last.
fn rounds_of(workload: &Workload, chunks: &Chunks) -> Vec<u32> {
    let rounds = workload.gating.scheme.rounds();
    let mut starts = vec![0];
    for layers in chunks.layers(&workload.model) {
        starts.push(starts[starts.len() - 1] + layers * rounds);
    }
    starts
}

/// Own work on the compute stream.
const fn own(ops: Vec<Op>, after: Option<After>, awaited: bool) -> Command {
    Command { work: Work::Compute(ops), after, awaited }
}

/// Whether a layer is the first and the last of its pass.
#[derive(Clone, Copy, Debug, Default)]
struct Ends {
    first: bool,
    last: bool,
}
