//! Meetings of a forward pass: dispatch and combine, gather and scatter; their numbers.

use super::Forward;
use crate::base::units::GpuId;
use crate::execution::blame::Reason;
use crate::execution::lowering::{ExchangePhase, StepMeeting};
use crate::execution::program::{After, Command, Fill, MeetingId, Stream, Work};

impl Forward<'_> {
    /// A meeting of a part of a step, joined on the exchange stream after own work.
    pub(super) fn join(
        &self,
        gpu: GpuId,
        (number, part, of): (u32, u32, StepMeeting),
        after: After,
        streams: &mut dyn Fill,
    ) -> After {
        let (group, rank) = self.grid.group_and_rank(gpu);
        let (reasons, contention) = match of {
            StepMeeting::Exchange(phase) => {
                let reasons = match phase {
                    ExchangePhase::Dispatch => [Reason::DispatchWait, Reason::Dispatch],
                    ExchangePhase::Combine => [Reason::CombineWait, Reason::Combine],
                };
                (reasons, self.contention[phase as usize])
            }
            StepMeeting::Gather(_) => {
                ([Reason::DispatchWait, Reason::TensorParallel], self.cut_contention)
            }
            StepMeeting::Scatter(_) => {
                ([Reason::CombineWait, Reason::TensorParallel], self.cut_contention)
            }
        };
        let rank = match of {
            StepMeeting::Exchange(_) => rank,
            _ => rank % self.grid.split as usize,
        };
        let meeting = self.meeting_of(group, (number, part), of);
        let work = Work::Join { meeting, rank, reasons, contention };
        streams.push(Stream::Exchange, Command { work, after: Some(after), awaited: true })
    }

    /// The cut of a GPU within its group, where experts are cut.
    fn cut_of(&self, gpu: GpuId) -> Option<u32> {
        let (_, rank) = self.grid.group_and_rank(gpu);
        (self.grid.split > 1).then(|| rank as u32 / self.grid.split)
    }

    /// The dispatch of a part of a step, and the gather behind it where experts are cut: their ends.
    pub(super) fn send_out(
        &self,
        gpu: GpuId,
        (number, part): (u32, u32),
        after: After,
        streams: &mut dyn Fill,
    ) -> [Option<After>; 2] {
        let of = StepMeeting::Exchange(ExchangePhase::Dispatch);
        let arrived = self.join(gpu, (number, part, of), after, streams);
        let Some(cut) = self.cut_of(gpu) else { return [None, Some(arrived)] };
        let of = StepMeeting::Gather(cut);
        [Some(arrived), Some(self.join(gpu, (number, part, of), arrived, streams))]
    }

    /// The combine of a part of a step, and the scatter before it where experts are cut: their ends.
    pub(super) fn send_back(
        &self,
        gpu: GpuId,
        (number, part): (u32, u32),
        after: After,
        streams: &mut dyn Fill,
    ) -> [Option<After>; 2] {
        let scattered = self
            .cut_of(gpu)
            .map(|cut| self.join(gpu, (number, part, StepMeeting::Scatter(cut)), after, streams));
        let of = StepMeeting::Exchange(ExchangePhase::Combine);
        let back = self.join(gpu, (number, part, of), scattered.unwrap_or(after), streams);
        [scattered, Some(back)]
    }

    /// Meetings of a part of a step.
    fn meetings(&self) -> u64 {
        2 + 2 * u64::from(self.grid.cuts())
    }

    fn meeting_of(&self, group: usize, (number, part): (u32, u32), of: StepMeeting) -> MeetingId {
        let step = group as u64 * u64::from(self.grid.steps()) + u64::from(number);
        let step = step * u64::from(self.grid.overlap.parts()) + u64::from(part);
        MeetingId(self.meetings() * step + of.number())
    }

    pub(super) fn of_meeting(&self, MeetingId(id): MeetingId) -> (usize, (u32, u32), StepMeeting) {
        let (steps, parts) = (u64::from(self.grid.steps()), u64::from(self.grid.overlap.parts()));
        let (all, of) = (id / self.meetings(), StepMeeting::numbered(id % self.meetings()));
        let (step, part) = (all / parts, all % parts);
        let (group, number) = (step / steps, step % steps);
        (group as usize, (number as u32, part as u32), of)
    }
}
