//! What several GPUs share: meetings that they join, exchanges that deliver, messages that arrive.

use std::rc::Rc;

use super::gpu::Cause;
use super::hold::Hold;
use super::{Carried, Event, Machine, OpenMeeting, Purpose, Released, UnitEnd};
use crate::base::units::{Bytes, GpuId, SimTime};
use crate::execution::blame::Reason;
use crate::execution::calendar::Schedule;
use crate::execution::program::{Meeting, MeetingId, Program};
use crate::network::fluid::Engine;
use crate::network::{Delivery, Exchange, ExchangeId};

impl<P: Program> Machine<'_, P> {
    /// A GPU joins a meeting, which the first to join opens.
    pub(super) fn join(
        &mut self,
        meeting: MeetingId,
        gpu: GpuId,
        rank: usize,
        schedule: &mut Schedule<'_, Event>,
    ) {
        let now = schedule.now();
        let changes = self.gpus[gpu.index()].changes_once_moving(meeting);
        if !self.meetings.contains_key(&meeting) {
            self.open(meeting, (now, gpu));
        }
        let open = self.meetings.get_mut(&meeting).expect("opened above");
        assert!(open.members[rank] == gpu, "{gpu:?} is not member {rank} of {meeting:?}");
        open.joined += 1;
        (open.last_join, open.last_joiner) = (now, gpu);
        let all = open.joined == open.members.len();
        let members = (all && changes).then(|| Rc::clone(&open.members));
        match open.carried {
            Carried::Network(id) => self.join_exchange(now, id, rank),
            Carried::Clock(time) if all => {
                schedule.at(now + time, Event::CollectiveDue { meeting });
            }
            Carried::Clock(_) => {}
        }
        for &member in members.iter().flat_map(|members| members.iter()) {
            self.account(member, now);
            self.gpus[member.index()].begins_to_move(meeting);
            self.reprice(member, schedule);
        }
    }

    /// Asks the program what a meeting is and opens it.
    fn open(&mut self, meeting: MeetingId, (now, first): (SimTime, GpuId)) {
        let (members, carried) = match self.program.meeting(meeting) {
            Meeting::Exchange(exchange) => {
                let members = exchange.members().into();
                let id = self.open_exchange(exchange, Purpose::Meeting(meeting));
                (members, Carried::Network(id))
            }
            Meeting::Collective { members, time } => (members.into(), Carried::Clock(time)),
        };
        let members: Rc<[GpuId]> = members;
        let left = members.len();
        let (last_join, last_joiner) = (now, first);
        let open = OpenMeeting { members, joined: 0, left, last_join, last_joiner, carried };
        self.meetings.insert(meeting, open);
    }

    /// Announces an exchange to the network.
    fn open_exchange(&mut self, exchange: Exchange, purpose: Purpose) -> ExchangeId {
        let id = ExchangeId(self.next_exchange);
        self.next_exchange += 1;
        self.purposes.insert(id, purpose);
        if self.observer.is_some() {
            self.exchange_tracker.open(id, &exchange);
        }
        self.network.open(id, exchange);
        id
    }

    /// A member joins an exchange that has been announced.
    fn join_exchange(&mut self, now: SimTime, id: ExchangeId, rank: usize) {
        if self.observer.is_some() {
            let waits_for_all = self.network.network_report().engine == Engine::ClosedForm;
            self.exchange_tracker.join(now, id, waits_for_all);
        }
        self.network.join(now, id, rank);
    }

    /// A member of an exchange has all it waits for.
    pub(super) fn receive(&mut self, delivery: Delivery, schedule: &mut Schedule<'_, Event>) {
        let Delivery { at, exchange, rank } = delivery;
        match self.purposes[&exchange] {
            Purpose::Meeting(meeting) => {
                let gpu = self.meetings[&meeting].members[rank];
                self.delivered_to(meeting, gpu, schedule);
            }
            Purpose::Message { from, sent, to, number } => {
                self.tell_exchanged(exchange, at);
                if rank == RECEIVER {
                    self.purposes.remove(&exchange);
                    self.arrive((to, number), (from, sent), at, schedule);
                }
            }
        }
    }

    /// A member of an exchange has its bytes: observers hear of it when the last one does.
    fn tell_exchanged(&mut self, exchange: ExchangeId, at: SimTime) {
        if let (Some(moved), Some(observer)) =
            (self.exchange_tracker.deliver(exchange, at), &mut self.observer)
        {
            observer.exchanged(&moved);
        }
    }

    /// A member has all that it waits for of a meeting.
    pub(super) fn leave(
        &mut self,
        meeting: MeetingId,
        gpu: GpuId,
        schedule: &mut Schedule<'_, Event>,
    ) {
        let open = self.meetings.get_mut(&meeting).expect("a meeting ends once for each member");
        open.left -= 1;
        let (last_join, decided_by, left) = (open.last_join, open.last_joiner, open.left);
        if let Carried::Network(id) = open.carried {
            self.tell_exchanged(id, schedule.now());
            if left == 0 {
                self.purposes.remove(&id);
            }
        }
        if left == 0 {
            let members = self.meetings.remove(&meeting).map(|open| open.members);
            if let (Some(group), Some(members)) = (self.program.ends_unit(meeting), members) {
                self.end_unit(group, &members, schedule.now());
            }
            self.program.adjourned(meeting);
        }
        let Hold { stream, reasons, .. } = self.gpus[gpu.index()].release(meeting);
        self.tell_released(gpu, (decided_by, last_join), reasons[1], schedule.now());
        self.reprice(gpu, schedule);
        self.gpus[gpu.index()].end(stream, Some(Cause { reasons, last_join }));
        self.advance(gpu, schedule);
    }

    /// A unit of a group's work has ended.
    fn end_unit(&mut self, group: usize, members: &[GpuId], at: SimTime) {
        let worked = members.iter().map(|gpu| self.gpus[gpu.index()].blame.worked()).sum();
        self.unit_ends.push(UnitEnd { group, at, worked });
    }

    /// A message is on its way as soon as it is sent: its receiver has room for it.
    pub(super) fn send(&mut self, from: GpuId, to: GpuId, bytes: Bytes, number: u64, now: SimTime) {
        let cells = vec![Bytes(0), bytes, Bytes(0), Bytes(0)];
        let exchange = Exchange::new(vec![from, to], cells);
        let purpose = Purpose::Message { from, sent: now, to, number };
        let id = self.open_exchange(exchange, purpose);
        if let Some(observer) = &mut self.observer {
            observer.sent(from, now);
        }
        self.join_exchange(now, id, 0);
        self.join_exchange(now, id, RECEIVER);
    }

    fn tell_released(
        &mut self,
        gpu: GpuId,
        (decided_by, since): (GpuId, SimTime),
        reason: Reason,
        at: SimTime,
    ) {
        if let Some(observer) = &mut self.observer {
            observer.released(&Released { gpu, decided_by, since, reason, at });
        }
    }

    /// A message is here.
    pub(super) fn arrive(
        &mut self,
        (gpu, number): (GpuId, u64),
        sent: (GpuId, SimTime),
        at: SimTime,
        schedule: &mut Schedule<'_, Event>,
    ) {
        match self.gpus[gpu.index()].awaited {
            Some((stream, awaited)) if awaited == number => {
                self.tell_released(gpu, sent, Reason::PipelineWait, at);
                let state = &mut self.gpus[gpu.index()];
                state.awaited = None;
                let reasons = [Reason::PipelineWait; 2];
                state.end(stream, Some(Cause { reasons, last_join: at }));
                self.advance(gpu, schedule);
            }
            _ => {
                self.arrived.insert((gpu, number));
            }
        }
    }
}

/// The rank of a message's receiver in its exchange.
const RECEIVER: usize = 1;
