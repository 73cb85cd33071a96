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

use std::collections::BTreeMap;

use super::replicas::{Kind, Replicas};
use super::schedule::{Chunks, Part, Pass, passes, spread};
use super::{At, ExchangePhase, Step, StepPlanner, Totals};
use crate::base::units::{Bytes, GpuId, SimDuration};
use crate::execution::blame::{Op, Reason};
use crate::execution::program::{
    After, Command, Fill, Meeting, MeetingId, Program, Slowdown, Stream, Work,
};
use crate::workload::{Recompute, Workload, Zero};

/// A step of a group: which round of which micro-batch in which pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    group: u32,
    round: u32,
    micro_batch: u32,
    kind: StepKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum StepKind {
    Forward,
    Backward,
    Again,
}

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
    plan: Step,
    left: u8,
}

/// How the GPUs of a cluster train together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grid {
    /// All of them.
    pub gpus: u32,
    /// Of a group that shares one copy of the FFN experts.
    pub group: u32,
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
    /// Weight gradients put off, of experts and of the rest.
    put_off: BTreeMap<(GpuId, Part), [SimDuration; 2]>,
    /// Passes with weight gradients that are left, by GPU and chunk.
    left: Vec<u32>,
    /// The gathers of a GPU's rounds that passes wait for.
    gathered: BTreeMap<(GpuId, u32), After>,
    slowdown: Slowdown,
}

impl<'a> TrainingStep<'a> {
    /// The training step that a planner plans on these GPUs; exchanges slow kernels beside them down so much.
    #[must_use]
    pub fn new(
        grid: Grid,
        workload: &'a Workload,
        planner: StepPlanner<'a>,
        replicas: Replicas<'a>,
        slowdown: Slowdown,
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
            put_off: BTreeMap::new(),
            left,
            gathered: BTreeMap::new(),
            slowdown,
        }
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
        let Self { in_flight, planner, grid, .. } = self;
        in_flight.entry(key).or_insert_with(|| {
            let first = GpuId(key.group * grid.group);
            let at = At {
                round: key.round,
                micro_batch: key.micro_batch,
                group: key.group % (grid.per_stage() / grid.group),
                backward: key.kind == StepKind::Backward,
            };
            InFlight { plan: planner.plan(at, first), left: 2 }
        })
    }

    fn join(
        &self,
        gpu: GpuId,
        (key, phase): (Key, ExchangePhase),
        after: After,
        streams: &mut dyn Fill,
    ) -> After {
        let reasons = match (key.kind, phase) {
            (StepKind::Backward, _) => [Reason::BackwardWait, Reason::BackwardExchange],
            (_, ExchangePhase::Dispatch) => [Reason::DispatchWait, Reason::Dispatch],
            (_, ExchangePhase::Combine) => [Reason::CombineWait, Reason::Combine],
        };
        let rank = (gpu.0 % self.grid.group) as usize;
        let work =
            Work::Join { meeting: id_of(key, phase), rank, reasons, slowdown: self.slowdown };
        streams.push(Stream::Exchange, Command { work, after: Some(after), awaited: true })
    }

    /// Waits for what the neighbour sends, where there is one on another stage.
    fn receive(
        &self,
        gpu: GpuId,
        part: Part,
        backward: bool,
        streams: &mut dyn Fill,
    ) -> Option<After> {
        let stage = self.grid.stage(gpu);
        let (from, _) = self.chunks.neighbour(stage, part.chunk, backward)?;
        if from == stage {
            return None;
        }
        let work = Work::Receive { number: number_of(part, backward) };
        Some(streams.push(Stream::Receive, Command { work, after: None, awaited: true }))
    }

    /// Sends to the neighbour, where there is one on another stage.
    fn send(
        &self,
        gpu: GpuId,
        part: Part,
        (backward, after): (bool, After),
        streams: &mut dyn Fill,
    ) {
        let stage = self.grid.stage(gpu);
        let Some((to, chunk)) = self.chunks.neighbour(stage, part.chunk, !backward) else { return };
        if to == stage {
            return;
        }
        let to = GpuId(to * self.grid.per_stage() + gpu.0 % self.grid.per_stage());
        let tokens = u64::from(self.workload.batch.tokens_per_gpu);
        let bytes = Bytes(tokens * u64::from(self.workload.model.hidden) * 2);
        let number = number_of(Part { chunk, ..part }, backward);
        let work = Work::Send { to, bytes, number };
        streams.push(Stream::Send, Command { work, after: Some(after), awaited: false });
    }

    /// The plan of a step of a GPU.
    fn key(&self, gpu: GpuId, round: u32, part: Part, kind: StepKind) -> Key {
        let group = self.grid.group_of(gpu);
        Key { group, round, micro_batch: part.micro_batch, kind }
    }

    /// A layer forward; again, where the backward pass needs it once more.
    fn forward(
        &mut self,
        gpu: GpuId,
        (part, round, kind): (Part, u32, StepKind),
        ends: Ends,
        streams: &mut dyn Fill,
    ) {
        let received = if ends.first && kind == StepKind::Forward {
            self.receive(gpu, part, false, streams)
        } else {
            None
        };
        let received = self.wait_for_parameters(gpu, round, received, streams);
        let key = self.key(gpu, round, part, kind);
        let rank = (gpu.0 % self.grid.group) as usize;
        let work = Blocks::forward(&self.in_flight(key).plan, rank, streams);
        let ready = streams.push(Stream::Compute, own(work.before, received, true));
        let arrived = self.join(gpu, (key, ExchangePhase::Dispatch), ready, streams);
        streams.push(Stream::Compute, covered(work.local));
        let computed = streams.push(Stream::Compute, own(work.experts, Some(arrived), true));
        let back = self.join(gpu, (key, ExchangePhase::Combine), computed, streams);
        let sends = ends.last && kind == StepKind::Forward;
        let mixed = streams.push(Stream::Compute, own(work.after, Some(back), sends));
        if sends {
            self.send(gpu, part, (false, mixed), streams);
        }
    }

    /// A layer backward, weight gradients included or put off.
    fn backward(
        &mut self,
        gpu: GpuId,
        (part, round, weights): (Part, u32, bool),
        ends: Ends,
        streams: &mut dyn Fill,
    ) {
        let received = if ends.first { self.receive(gpu, part, true, streams) } else { None };
        if self.workload.training.recompute == Recompute::Full {
            self.forward(gpu, (part, round, StepKind::Again), Ends::default(), streams);
        }
        let key = self.key(gpu, round, part, StepKind::Backward);
        let rank = (gpu.0 % self.grid.group) as usize;
        let mut work = Blocks::forward(&self.in_flight(key).plan, rank, streams);
        let own_weights = self.in_flight(key).plan.weights(rank).clone();
        if weights {
            let [of_experts, of_others] = own_weights;
            work.experts.extend(of_experts);
            work.after.extend(of_others);
        } else {
            let put_off = self.put_off.entry((gpu, part)).or_default();
            for (sum, ops) in put_off.iter_mut().zip(&own_weights) {
                *sum += ops.iter().map(|op| op.time).sum();
            }
        }
        let ready = streams.push(Stream::Compute, own(work.before, received, true));
        let arrived = self.join(gpu, (key, ExchangePhase::Dispatch), ready, streams);
        streams.push(Stream::Compute, covered(work.local));
        let computed = streams.push(Stream::Compute, own(work.experts, Some(arrived), true));
        let back = self.join(gpu, (key, ExchangePhase::Combine), computed, streams);
        let reduces = weights && self.reduces(gpu, part);
        let last = own(work.after, Some(back), ends.last || reduces);
        let done = streams.push(Stream::Compute, last);
        if ends.last {
            self.send(gpu, part, (true, done), streams);
        }
        if reduces {
            self.replicas.reduce(gpu, round, part.micro_batch, done, streams);
        }
    }

    /// A layer of one micro-batch forward beside a layer of another backward.
    fn pair(
        &mut self,
        gpu: GpuId,
        [(forward, up), (backward, down)]: [(Part, u32); 2],
        [ends_up, ends_down]: [Ends; 2],
        streams: &mut dyn Fill,
    ) {
        let rank = (gpu.0 % self.grid.group) as usize;
        let asked = if ends_down.first { self.receive(gpu, backward, true, streams) } else { None };
        if self.workload.training.recompute == Recompute::Full {
            self.forward(gpu, (backward, down, StepKind::Again), Ends::default(), streams);
        }
        let back_key = self.key(gpu, down, backward, StepKind::Backward);
        let mut back = Blocks::forward(&self.in_flight(back_key).plan, rank, streams);
        let [of_experts, of_others] = self.in_flight(back_key).plan.weights(rank).clone();
        let key = self.key(gpu, up, forward, StepKind::Forward);
        let work = Blocks::forward(&self.in_flight(key).plan, rank, streams);
        let (dispatch, combine) = (ExchangePhase::Dispatch, ExchangePhase::Combine);

        let ready_back = streams.push(Stream::Compute, own(back.before, asked, true));
        let sent_back = self.join(gpu, (back_key, dispatch), ready_back, streams);
        let received =
            if ends_up.first { self.receive(gpu, forward, false, streams) } else { None };
        let received = self.wait_for_parameters(gpu, up, received, streams);
        let ready = streams.push(Stream::Compute, own(work.before, received, true));
        let sent = self.join(gpu, (key, dispatch), ready, streams);
        streams.push(Stream::Compute, covered(back.local));
        let done_back = streams.push(Stream::Compute, own(back.experts, Some(sent_back), true));
        let home_back = self.join(gpu, (back_key, combine), done_back, streams);
        streams.push(Stream::Compute, covered(work.local));
        let done = streams.push(Stream::Compute, own(work.experts, Some(sent), true));
        let home = self.join(gpu, (key, combine), done, streams);
        streams.push(Stream::Compute, own(of_experts, None, false));
        back.after.extend(of_others);
        let reduces = self.reduces(gpu, backward);
        let last = own(back.after, Some(home_back), ends_down.last || reduces);
        let ended = streams.push(Stream::Compute, last);
        if ends_down.last {
            self.send(gpu, backward, (true, ended), streams);
        }
        if reduces {
            self.replicas.reduce(gpu, down, backward.micro_batch, ended, streams);
        }
        let mixed = streams.push(Stream::Compute, own(work.after, Some(home), ends_up.last));
        if ends_up.last {
            self.send(gpu, forward, (false, mixed), streams);
        }
    }

    /// Weight gradients of a whole pass that were put off.
    fn weights(&mut self, gpu: GpuId, part: Part, streams: &mut dyn Fill) {
        let [of_experts, of_others] = self.put_off.remove(&(gpu, part)).unwrap_or_default();
        let ops = vec![
            Op { reason: Reason::FfnWeightGradients, time: of_experts },
            Op { reason: Reason::DenseBackward, time: of_others },
        ];
        let reduces = self.reduces(gpu, part);
        let done = streams.push(Stream::Compute, own(ops, None, reduces));
        if reduces {
            for round in self.rounds(gpu, part.chunk).rev() {
                self.replicas.reduce(gpu, round, part.micro_batch, done, streams);
            }
        }
    }

    /// Whether gradients are reduced beside this pass.
    fn reduces(&self, gpu: GpuId, part: Part) -> bool {
        let training = &self.workload.training;
        let last = self.left[(gpu.0 * self.chunks.of_stage() + part.chunk) as usize] == 1;
        let each = training.zero >= Zero::Gradients;
        self.replicas.any() && (each || (last && training.overlapped_gradients))
    }

    /// What a layer's forward pass waits for: its parameters, where they are gathered beside the passes.
    fn wait_for_parameters(
        &mut self,
        gpu: GpuId,
        round: u32,
        received: Option<After>,
        streams: &mut dyn Fill,
    ) -> Option<After> {
        let Some(gathered) = self.gathered.remove(&(gpu, round)) else { return received };
        let Some(received) = received else { return Some(gathered) };
        // Commands wait for one end each: an empty one waits for the other.
        streams.push(Stream::Compute, own(Vec::new(), Some(received), false));
        Some(gathered)
    }

    /// Before the first pass: parameters are gathered, layer by layer as they are needed.
    fn begin(&mut self, gpu: GpuId, streams: &mut dyn Fill) {
        let training = &self.workload.training;
        if training.zero == Zero::Off || !training.overlapped_gradients || !self.replicas.any() {
            return;
        }
        for chunk in 0..self.chunks.of_stage() {
            for round in self.rounds(gpu, chunk) {
                let gathered = self.replicas.gather(gpu, round, None, streams);
                self.gathered.extend(gathered.map(|after| ((gpu, round), after)));
            }
        }
    }

    /// After the last pass: the optimiser, once all gradients are reduced.
    fn end(&mut self, gpu: GpuId, streams: &mut dyn Fill) {
        let training = self.workload.training;
        let rounds: Vec<u32> =
            (0..self.chunks.of_stage()).flat_map(|chunk| self.rounds(gpu, chunk)).collect();
        let apart = self.replicas.any() && !training.overlapped_gradients;
        let mut ended = None;
        if apart && training.zero < Zero::Gradients {
            let passed = streams.push(Stream::Compute, own(Vec::new(), None, true));
            for &round in &rounds {
                let last = self.replicas.reduce(gpu, round, u32::MAX, passed, streams);
                ended = last.or(ended);
            }
        } else if self.replicas.any() {
            ended = self.replicas.last_of(gpu);
        }
        let time = rounds.iter().map(|&round| self.replicas.optimiser(round)).sum();
        let ops = vec![Op { reason: Reason::Optimiser, time }];
        let updated = streams.push(Stream::Compute, own(ops, ended, apart));
        if apart && training.zero != Zero::Off {
            let mut last = None;
            for &round in &rounds {
                last = self.replicas.gather(gpu, round, Some(updated), streams).or(last);
            }
            streams.push(Stream::Compute, own(Vec::new(), last, false));
        }
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
                let both = (up.start + done, down.end.wrapping_sub(1 + done));
                match (done < up.len() as u32, done < down.len() as u32) {
                    (true, true) => {
                        let parts = [(forward, both.0), (backward, both.1)];
                        self.pair(gpu, parts, [ends(&up), ends(&down)], streams);
                    }
                    (true, false) => {
                        let at = (forward, both.0, StepKind::Forward);
                        self.forward(gpu, at, ends(&up), streams);
                    }
                    (false, _) => {
                        self.backward(gpu, (backward, both.1, true), ends(&down), streams);
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
        let (key, phase) = key_of(meeting);
        let first = key.group * self.grid.group;
        let members = (first..first + self.grid.group).map(GpuId).collect();
        Meeting::Exchange(self.in_flight(key).plan.exchange(phase, members))
    }

    fn adjourned(&mut self, meeting: MeetingId) {
        if self.replicas.is_own(meeting) {
            return;
        }
        let (key, _) = key_of(meeting);
        let step = self.in_flight(key);
        step.left -= 1;
        if step.left == 0
            && let Some(step) = self.in_flight.remove(&key)
        {
            self.planner.recycle(step.plan);
        }
    }
}

/// Whether a layer is the first and the last of its pass.
#[derive(Clone, Copy, Debug, Default)]
struct Ends {
    first: bool,
    last: bool,
}

/// A member's work in a step, copied for its commands.
struct Blocks {
    before: Vec<Op>,
    local: Vec<Op>,
    experts: Vec<Op>,
    after: Vec<Op>,
}

impl Blocks {
    fn forward(plan: &Step, rank: usize, streams: &mut dyn Fill) -> Self {
        let mut copy = |ops: &[Op]| {
            let mut own = streams.ops();
            own.extend_from_slice(ops);
            own
        };
        Self {
            before: copy(plan.before(rank)),
            local: copy(plan.local(rank)),
            experts: copy(plan.experts(rank)),
            after: copy(plan.after(rank)),
        }
    }
}

const fn own(ops: Vec<Op>, after: Option<After>, awaited: bool) -> Command {
    Command { work: Work::Compute(ops), after, awaited }
}

const fn covered(ops: Vec<Op>) -> Command {
    Command { work: Work::Covered(ops), after: None, awaited: false }
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

/// First round of each part, and one beyond the last. Leading dense layers are in the first part, which has
/// that many fewer layers with experts, but one at least.
fn rounds_of(workload: &Workload, chunks: &Chunks) -> Vec<u32> {
    let (layers, leading) = (workload.model.layers, workload.model.dense.leading_layers);
    let rounds = workload.gating.scheme.rounds();
    let parts = chunks.parts();
    let mut of_part = spread(layers + leading, parts);
    of_part[0] = of_part[0].saturating_sub(leading).max(1);
    let others: u32 = layers.saturating_sub(of_part[0]);
    if parts > 1 {
        of_part.splice(1.., spread(others, parts - 1));
    }
    let mut starts = vec![0];
    for layers in of_part {
        starts.push(starts[starts.len() - 1] + layers * rounds);
    }
    starts
}

/// Of all messages to a GPU.
fn number_of(part: Part, backward: bool) -> u64 {
    (u64::from(backward) << 40) | (u64::from(part.chunk) << 32) | u64::from(part.micro_batch)
}

const PHASES: [ExchangePhase; 2] = [ExchangePhase::Dispatch, ExchangePhase::Combine];
const KINDS: [StepKind; 3] = [StepKind::Forward, StepKind::Backward, StepKind::Again];

/// 22 bits of group, 16 of round, 17 of micro-batch, 2 of kind, 1 of phase.
fn id_of(key: Key, phase: ExchangePhase) -> MeetingId {
    let Key { group, round, micro_batch, kind } = key;
    let id = (u64::from(group) << 36)
        | (u64::from(round) << 20)
        | (u64::from(micro_batch) << 3)
        | ((kind as u64) << 1)
        | phase as u64;
    Kind::Exchange.id(id)
}

fn key_of(meeting: MeetingId) -> (Key, ExchangePhase) {
    let id = Kind::number(meeting);
    let key = Key {
        group: (id >> 36) as u32,
        round: ((id >> 20) & 0xffff) as u32,
        micro_batch: ((id >> 3) & 0x1_ffff) as u32,
        kind: KINDS[((id >> 1) & 3) as usize],
    };
    (key, PHASES[(id & 1) as usize])
}
