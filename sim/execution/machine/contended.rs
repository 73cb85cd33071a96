//! Meetings that kernels beside them slow down.
//!
//! While a kernel runs on a member's GPU, the meeting's bytes move there at 1/f of their rate, f the factor that the
//! meeting's contention has for kernels of this kind. So by the time t_d at which a member would have all it waits
//! for, it lacks what its bytes have lost since the last member joined, and it goes on losing:
//!
//! ```text
//!   lost(t) = ∫ (1 − 1/f) dt over the time that kernels run                                   (1)
//!   it leaves at the first t with  t − t_d = lost(t)                                           (2)
//! ```
//!
//! Left out: that others wait for the bytes of a member whose GPU computes more than theirs, and that links
//! which carry them longer carry less of other exchanges.

use super::gpu::{Gpu, Running};
use super::hold::Hold;
use super::{Event, Machine};
use crate::base::units::GpuId;
use crate::execution::calendar::Schedule;
use crate::execution::program::{MeetingId, Program};

impl Gpu {
    fn held(&mut self, meeting: MeetingId) -> Option<&mut Hold> {
        self.holds.iter_mut().find(|(held, _)| *held == meeting).map(|(_, hold)| hold)
    }

    /// Whether it matters to kernels, or kernels to it, that a meeting which it has joined begins to move bytes.
    pub fn changes_once_moving(&mut self, meeting: MeetingId) -> bool {
        self.held(meeting).is_some_and(|hold| hold.changes_once_moving())
    }

    /// Whether kernels slow down a meeting that it has joined.
    pub fn contends(&mut self, meeting: MeetingId) -> bool {
        self.held(meeting).is_some_and(|hold| hold.contends())
    }

    /// The last member of a meeting has joined.
    pub fn begins_to_move(&mut self, meeting: MeetingId) {
        if let Some(hold) = self.held(meeting) {
            hold.begins_to_move();
        }
    }
}

impl<P: Program> Machine<'_, P> {
    /// A member of a meeting would have all it waits for, had no kernels run beside it.
    pub(super) fn delivered_to(
        &mut self,
        meeting: MeetingId,
        gpu: GpuId,
        schedule: &mut Schedule<'_, Event>,
    ) {
        let now = schedule.now();
        if self.gpus[gpu.index()].contends(meeting) {
            self.account(gpu, now);
            if let Some(hold) = self.gpus[gpu.index()].held(meeting) {
                hold.is_due(now);
            }
        }
        self.leave_or_wait(meeting, gpu, schedule);
    }

    /// It has made up what it had lost, unless more was lost since.
    pub(super) fn made_up(
        &mut self,
        gpu: GpuId,
        meeting: MeetingId,
        epoch: u32,
        schedule: &mut Schedule<'_, Event>,
    ) {
        let now = schedule.now();
        let holds = self.gpus[gpu.index()].held(meeting).is_some_and(|hold| hold.is_of(epoch));
        if holds {
            self.account(gpu, now);
            self.leave_or_wait(meeting, gpu, schedule);
        }
    }

    fn leave_or_wait(
        &mut self,
        meeting: MeetingId,
        gpu: GpuId,
        schedule: &mut Schedule<'_, Event>,
    ) {
        let now = schedule.now();
        let lacks = self.gpus[gpu.index()].held(meeting).and_then(|hold| hold.lacks(now));
        if lacks.is_some_and(|lacks| lacks >= 1.0) {
            self.expect_made_up(gpu, schedule);
        } else {
            self.leave(meeting, gpu, schedule);
        }
    }

    /// Expects anew when meetings that are late on a GPU will have made up for it, as its work has changed.
    pub(super) fn expect_made_up(&mut self, gpu: GpuId, schedule: &mut Schedule<'_, Event>) {
        let now = schedule.now();
        let Gpu { holds, running, .. } = &mut self.gpus[gpu.index()];
        for (meeting, hold) in holds {
            let pieces = running.iter().flat_map(Running::pieces);
            if let Some(end) = hold.end(now, pieces) {
                let (meeting, epoch) = (*meeting, hold.expected_anew());
                schedule.at(end.max(now), Event::MadeUp { gpu, meeting, epoch });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::units::{SimDuration, SimTime};
    use crate::execution::blame::{Op, Reason};
    use crate::execution::calendar::Calendar;
    use crate::execution::program::{Command, Contention, Fill, Meeting, Slowdown, Stream, Work};
    use crate::network::{Delivery, Exchange, ExchangeId, Network, NetworkReport};

    /// Two GPUs that meet for 4 ms from the start, beside kernels of one kind.
    struct Beside {
        reason: Reason,
        kernels_ms: [f64; 2],
        begun: [bool; 2],
    }

    impl Program for Beside {
        fn gpus(&self) -> u32 {
            2
        }

        fn next(&mut self, gpu: GpuId, streams: &mut dyn Fill) -> bool {
            if std::mem::replace(&mut self.begun[gpu.index()], true) {
                return false;
            }
            let meeting = Slowdown { arithmetic: 1.0, memory: 1.25 };
            let work = Work::Join {
                meeting: MeetingId(7),
                rank: gpu.index(),
                reasons: [Reason::DispatchWait, Reason::Dispatch],
                contention: Contention { meeting, ..Contention::NONE },
            };
            let command = Command { work, after: None, awaited: true };
            let met = streams.push(Stream::Exchange, command);
            for (time, after) in self.kernels_ms.into_iter().zip([None, Some(met)]) {
                let time = SimDuration::from_us(1e3 * time);
                let work = Work::Compute(vec![Op { reason: self.reason, time }]);
                streams.push(Stream::Compute, Command { work, after, awaited: true });
            }
            true
        }

        fn meeting(&mut self, _: MeetingId) -> Meeting {
            let time = SimDuration::from_us(4000.0);
            Meeting::Collective { members: vec![GpuId(0), GpuId(1)], time }
        }
    }

    struct Nothing;

    impl Network for Nothing {
        fn open(&mut self, _: ExchangeId, _: Exchange) {}
        fn join(&mut self, _: SimTime, _: ExchangeId, _: usize) {}
        fn next_delivery(&mut self) -> Option<SimTime> {
            None
        }
        fn deliver(&mut self, _: SimTime, _: &mut Vec<Delivery>) {}
        fn network_report(&self) -> NetworkReport {
            NetworkReport::none(crate::network::fluid::Engine::ClosedForm, None)
        }
        fn link_bytes(&self) -> &[u64] {
            &[]
        }
    }

    /// When the meeting ends beside a kernel of so long, in ms: the makespan without the kernel that waits for it.
    fn left_at(reason: Reason, kernel_ms: f64) -> f64 {
        let program = Beside { reason, kernels_ms: [kernel_ms, 1.0], begun: [false; 2] };
        let mut machine = Machine::new(program, Box::new(Nothing), None);
        let mut calendar = Calendar::new();
        machine.start(calendar.schedule());
        while let Some(event) = calendar.next() {
            machine.handle(event, calendar.schedule());
        }
        let (finished, _) = machine.finish();
        finished.makespan.ms() - 1.0
    }

    #[test]
    fn a_meeting_moves_at_a_share_of_its_rate_while_kernels_bound_by_memory_run() {
        // 0.8 of 4 ms are done when 2 ms of kernels have cost it 0.4, and so on.
        for (kernel, end) in [(0.0, 4.0), (2.0, 4.4), (4.0, 4.8), (4.9, 4.98), (5.0, 5.0)] {
            let found = left_at(Reason::Mix, kernel);
            assert!(
                (found - end).abs() < 1e-6,
                "{found} ms beside {kernel} ms of kernels, not {end}"
            );
        }
        // The kernel that waits begins once the first has ended; the meeting has ended before.
        assert!((left_at(Reason::Mix, 9.0) - 9.0).abs() < 1e-6);
        for kernel in [0.0, 2.0, 4.0] {
            assert!((left_at(Reason::FfnGemm, kernel) - 4.0).abs() < 1e-6);
        }
    }
}
