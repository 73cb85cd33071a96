//! Parameters that replicas divide: gathered before passes, updated at the end.

use super::{TrainingStep, own};
use crate::base::units::GpuId;
use crate::execution::blame::{Op, Reason};
use crate::execution::program::{After, Fill, Stream};
use crate::workload::Zero;

/// What parameters of a layer are gathered for: a pass of a micro-batch, or all of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct For {
    /// Round of the layer, through all of the model.
    pub round: u32,
    /// The micro-batch.
    pub micro_batch: u32,
    /// Whether backward.
    pub backward: bool,
}

impl For {
    /// All passes of a step.
    const fn step(round: u32) -> Self {
        Self { round, micro_batch: u32::MAX, backward: false }
    }

    const fn of_step(self) -> Self {
        Self::step(self.round)
    }

    /// The same pass through the layer that comes next in its part of the model, which parts begin with these rounds.
    fn next(self, starts: &[u32]) -> Option<Self> {
        let round = if self.backward { self.round.checked_sub(1)? } else { self.round + 1 };
        let edge = if self.backward { self.round } else { round };
        (!starts.contains(&edge)).then_some(Self { round, ..self })
    }
}

impl TrainingStep<'_> {
    /// What a pass through a layer waits for: its parameters, where they are gathered beside the passes. Those gathered once
    /// a step are waited for by the first pass, which goes forward.
    pub(super) fn wait_for_parameters(
        &mut self,
        gpu: GpuId,
        pass: For,
        received: Option<After>,
        streams: &mut dyn Fill,
    ) -> Option<After> {
        self.gather_ahead(gpu, pass, streams);
        let key = if self.lets_go() { pass } else { pass.of_step() };
        let Some(gathered) = self.gathered.remove(&(gpu, key)) else { return received };
        let Some(received) = received else { return Some(gathered) };
        // Commands wait for one end each: an empty one waits for the other.
        streams.push(Stream::Compute, own(Vec::new(), Some(received), false));
        Some(gathered)
    }

    /// Whether parameters are let go of after each pass through a layer.
    fn lets_go(&self) -> bool {
        self.workload.training.zero == Zero::Parameters && self.replicas.any()
    }

    /// Gathers the parameters of this pass, unless that was begun, and where collectives run beside passes those of the
    /// layer that comes next in it.
    fn gather_ahead(&mut self, gpu: GpuId, pass: For, streams: &mut dyn Fill) {
        if !self.lets_go() {
            return;
        }
        let ahead = self.workload.training.overlapped_gradients;
        let next = pass.next(&self.rounds).filter(|_| ahead);
        for pass in std::iter::once(pass).chain(next) {
            let known = self.gathered.contains_key(&(gpu, pass));
            if !known {
                let of = (pass.round, pass.micro_batch, pass.backward);
                let gathered = self.replicas.gather_for_pass(gpu, of, streams);
                self.gathered.extend(gathered.map(|after| ((gpu, pass), after)));
            }
        }
    }

    /// Before the first pass: parameters are gathered, layer by layer as they are needed.
    pub(super) fn begin(&mut self, gpu: GpuId, streams: &mut dyn Fill) {
        let training = &self.workload.training;
        let once = matches!(training.zero, Zero::Optimiser | Zero::Gradients);
        if !once || !training.overlapped_gradients || !self.replicas.any() {
            return;
        }
        for chunk in 0..self.chunks.of_stage() {
            for round in self.rounds(gpu, chunk) {
                let gathered = self.replicas.gather(gpu, round, None, streams);
                self.gathered.extend(gathered.map(|after| ((gpu, For::step(round)), after)));
            }
        }
    }

    /// After the last pass: the optimiser, once all gradients are reduced.
    pub(super) fn end(&mut self, gpu: GpuId, streams: &mut dyn Fill) {
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
        if apart && matches!(training.zero, Zero::Optimiser | Zero::Gradients) {
            let mut last = None;
            for &round in &rounds {
                last = self.replicas.gather(gpu, round, Some(updated), streams).or(last);
            }
            streams.push(Stream::Compute, own(Vec::new(), last, false));
        }
    }
}
