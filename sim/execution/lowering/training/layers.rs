//! One layer of a pass as commands: forward, backward, or both in turns.

use super::key::{Key, StepKind, id_of};
use super::parameters::For;
use super::{Ends, TrainingStep, own};
use crate::base::units::{Bytes, GpuId};
use crate::execution::blame::{Op, Reason};
use crate::execution::lowering::schedule::Part;
use crate::execution::lowering::{ExchangePhase, Step, StepMeeting};
use crate::execution::program::{After, Command, Fill, Stream, Work};
use crate::workload::Recompute;

impl TrainingStep<'_> {
    fn join(
        &self,
        gpu: GpuId,
        (key, of): (Key, StepMeeting),
        after: After,
        streams: &mut dyn Fill,
    ) -> After {
        let out =
            matches!(of, StepMeeting::Exchange(ExchangePhase::Dispatch) | StepMeeting::Gather(_));
        let waits = match (key.kind, out) {
            (StepKind::Backward, _) => Reason::BackwardWait,
            (_, true) => Reason::DispatchWait,
            (_, false) => Reason::CombineWait,
        };
        let rank = gpu.0 % self.grid.group;
        let (moves, rank, contention) = match of {
            StepMeeting::Exchange(phase) => {
                let moves = match (key.kind, phase) {
                    (StepKind::Backward, _) => Reason::BackwardExchange,
                    (_, ExchangePhase::Dispatch) => Reason::Dispatch,
                    (_, ExchangePhase::Combine) => Reason::Combine,
                };
                (moves, rank, self.contention[phase as usize])
            }
            _ => (Reason::TensorParallel, rank % self.grid.split, self.cut_contention),
        };
        let meeting = id_of(key, of, self.grid.cuts());
        let (rank, reasons) = (rank as usize, [waits, moves]);
        let work = Work::Join { meeting, rank, reasons, contention };
        streams.push(Stream::Exchange, Command { work, after: Some(after), awaited: true })
    }

    /// The dispatch of a step, and the gather behind it where experts are cut: their ends, the first only where there
    /// is a second.
    fn out(&self, gpu: GpuId, key: Key, after: After, streams: &mut dyn Fill) -> Ended {
        let of = StepMeeting::Exchange(ExchangePhase::Dispatch);
        let arrived = self.join(gpu, (key, of), after, streams);
        match self.grid.cut_of(gpu) {
            None => Ended { first: None, last: arrived },
            Some(cut) => {
                let of = StepMeeting::Gather(cut);
                Ended { first: Some(arrived), last: self.join(gpu, (key, of), arrived, streams) }
            }
        }
    }

    /// The combine of a step, and the scatter before it where experts are cut.
    fn back(&self, gpu: GpuId, key: Key, after: After, streams: &mut dyn Fill) -> Ended {
        let scattered = |cut| self.join(gpu, (key, StepMeeting::Scatter(cut)), after, streams);
        let first = self.grid.cut_of(gpu).map(scattered);
        let of = StepMeeting::Exchange(ExchangePhase::Combine);
        let last = self.join(gpu, (key, of), first.unwrap_or(after), streams);
        Ended { first, last }
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
    pub(super) fn forward(
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
        // Computed again, a layer has what its backward pass gathered.
        let received = match kind {
            StepKind::Again => received,
            _ => self.wait_for_parameters(gpu, part.at(round, false), received, streams),
        };
        let key = self.key(gpu, round, part, kind);
        let rank = (gpu.0 % self.grid.group) as usize;
        let work = Blocks::forward(&self.in_flight(key).plan, rank, streams);
        let ready = streams.push(Stream::Compute, own(work.before, received, true));
        let arrived = self.out(gpu, key, ready, streams).beside(work.local, streams);
        let computed = streams.push(Stream::Compute, own(work.experts, Some(arrived), true));
        let back = self.back(gpu, key, computed, streams).awaited(streams);
        let sends = ends.last && kind == StepKind::Forward;
        let mixed = streams.push(Stream::Compute, own(work.after, Some(back), sends));
        if sends {
            self.send(gpu, part, (false, mixed), streams);
        }
    }

    /// A layer backward, weight gradients included or put off.
    pub(super) fn backward(
        &mut self,
        gpu: GpuId,
        (part, round, weights): (Part, u32, bool),
        ends: Ends,
        streams: &mut dyn Fill,
    ) {
        let received = if ends.first { self.receive(gpu, part, true, streams) } else { None };
        let received = self.wait_for_parameters(gpu, part.at(round, true), received, streams);
        if self.workload.training.recompute == Recompute::Full {
            self.forward(gpu, (part, round, StepKind::Again), Ends::default(), streams);
        }
        let key = self.key(gpu, round, part, StepKind::Backward);
        let rank = (gpu.0 % self.grid.group) as usize;
        let mut work = Blocks::forward(&self.in_flight(key).plan, rank, streams);
        let [of_experts, of_others] = self.in_flight(key).plan.weights(rank).clone();
        if weights {
            work.experts.extend(of_experts);
            work.after.extend(of_others);
        } else {
            let put_off = self.put_off.entry((gpu, part)).or_default();
            for (sum, ops) in put_off.iter_mut().zip([&of_experts, &of_others]) {
                *sum += ops.iter().map(|op| op.time).sum();
            }
        }
        let ready = streams.push(Stream::Compute, own(work.before, received, true));
        let arrived = self.out(gpu, key, ready, streams).beside(work.local, streams);
        let computed = streams.push(Stream::Compute, own(work.experts, Some(arrived), true));
        let back = self.back(gpu, key, computed, streams).awaited(streams);
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
    pub(super) fn pair(
        &mut self,
        gpu: GpuId,
        [(forward, up), (backward, down)]: [(Part, u32); 2],
        [ends_up, ends_down]: [Ends; 2],
        streams: &mut dyn Fill,
    ) {
        let rank = (gpu.0 % self.grid.group) as usize;
        let asked = ends_down.first.then(|| self.receive(gpu, backward, true, streams)).flatten();
        let asked = self.wait_for_parameters(gpu, backward.at(down, true), asked, streams);
        if self.workload.training.recompute == Recompute::Full {
            self.forward(gpu, (backward, down, StepKind::Again), Ends::default(), streams);
        }
        let back_key = self.key(gpu, down, backward, StepKind::Backward);
        let mut back = Blocks::forward(&self.in_flight(back_key).plan, rank, streams);
        let [of_experts, of_others] = self.in_flight(back_key).plan.weights(rank).clone();
        let key = self.key(gpu, up, forward, StepKind::Forward);
        let work = Blocks::forward(&self.in_flight(key).plan, rank, streams);

        let ready_back = streams.push(Stream::Compute, own(back.before, asked, true));
        let sent_back = self.out(gpu, back_key, ready_back, streams);
        let received = ends_up.first.then(|| self.receive(gpu, forward, false, streams)).flatten();
        let received = self.wait_for_parameters(gpu, forward.at(up, false), received, streams);
        let ready = streams.push(Stream::Compute, own(work.before, received, true));
        let sent = self.out(gpu, key, ready, streams);
        streams.push(Stream::Compute, covered(back.local));
        let sent_back = sent_back.awaited(streams);
        let done_back = streams.push(Stream::Compute, own(back.experts, Some(sent_back), true));
        let home_back = self.back(gpu, back_key, done_back, streams);
        streams.push(Stream::Compute, covered(work.local));
        let sent = sent.awaited(streams);
        let done = streams.push(Stream::Compute, own(work.experts, Some(sent), true));
        let home = self.back(gpu, key, done, streams);
        streams.push(Stream::Compute, own(of_experts, None, false));
        back.after.extend(of_others);
        let reduces = self.reduces(gpu, backward);
        let home_back = home_back.awaited(streams);
        let last = own(back.after, Some(home_back), ends_down.last || reduces);
        let ended = streams.push(Stream::Compute, last);
        if ends_down.last {
            self.send(gpu, backward, (true, ended), streams);
        }
        if reduces {
            self.replicas.reduce(gpu, down, backward.micro_batch, ended, streams);
        }
        let home = home.awaited(streams);
        let mixed = streams.push(Stream::Compute, own(work.after, Some(home), ends_up.last));
        if ends_up.last {
            self.send(gpu, forward, (false, mixed), streams);
        }
    }

    /// Weight gradients of a whole pass that were put off.
    pub(super) fn weights(&mut self, gpu: GpuId, part: Part, streams: &mut dyn Fill) {
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
}

impl Part {
    /// This part's pass through a round of a layer.
    const fn at(self, round: u32, backward: bool) -> For {
        For { round, micro_batch: self.micro_batch, backward }
    }
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

/// Ends of one or two meetings in turn.
struct Ended {
    first: Option<After>,
    last: After,
}

impl Ended {
    /// The same, with own work that hides under them.
    fn beside(self, local: Vec<Op>, streams: &mut dyn Fill) -> After {
        streams.push(Stream::Compute, covered(local));
        self.awaited(streams)
    }

    /// Waits on the compute stream for the first, so that each is blamed for its own time; the end of the last.
    fn awaited(self, streams: &mut dyn Fill) -> After {
        if self.first.is_some() {
            streams.push(Stream::Compute, own(Vec::new(), self.first, false));
        }
        self.last
    }
}

const fn covered(ops: Vec<Op>) -> Command {
    Command { work: Work::Covered(ops), after: None, awaited: false }
}

/// Of all messages to a GPU.
fn number_of(part: Part, backward: bool) -> u64 {
    (u64::from(backward) << 40) | (u64::from(part.chunk) << 32) | u64::from(part.micro_batch)
}
