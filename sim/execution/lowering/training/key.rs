//! Names of steps and of their exchanges, as numbers that the machine keeps.

use crate::execution::lowering::replicas::Kind;
use crate::execution::lowering::{ExchangePhase, StepMeeting};
use crate::execution::program::MeetingId;

/// A step of a group: which round of which micro-batch in which pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub group: u32,
    pub round: u32,
    pub micro_batch: u32,
    pub kind: StepKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum StepKind {
    Forward,
    Backward,
    Again,
}

const PHASES: [ExchangePhase; 2] = [ExchangePhase::Dispatch, ExchangePhase::Combine];
const KINDS: [StepKind; 3] = [StepKind::Forward, StepKind::Backward, StepKind::Again];

/// Whether a meeting is of a cut and not of a group.
const OF_CUT: u64 = 1 << 58;

/// 1 bit that says whether a cut meets, 22 of the group, or of the cut among all, 16 of round, 17 of micro-batch, 2 of kind,
/// 1 of phase: dispatch or combine, gather or scatter. A group has `cuts` cuts.
pub(super) fn id_of(key: Key, of: StepMeeting, cuts: u32) -> MeetingId {
    let Key { group, round, micro_batch, kind } = key;
    let (of_cut, number, phase) = match of {
        StepMeeting::Exchange(phase) => (0, group, phase as u64),
        StepMeeting::Gather(cut) => (OF_CUT, group * cuts + cut, 0),
        StepMeeting::Scatter(cut) => (OF_CUT, group * cuts + cut, 1),
    };
    let id = of_cut
        | (u64::from(number) << 36)
        | (u64::from(round) << 20)
        | (u64::from(micro_batch) << 3)
        | ((kind as u64) << 1)
        | phase;
    Kind::Exchange.id(id)
}

pub(super) fn key_of(meeting: MeetingId, cuts: u32) -> (Key, StepMeeting) {
    let id = Kind::number(meeting);
    let number = ((id >> 36) & 0x3f_ffff) as u32;
    let (group, of) = match (id & OF_CUT, id & 1) {
        (0, phase) => (number, StepMeeting::Exchange(PHASES[phase as usize])),
        (_, 0) => (number / cuts, StepMeeting::Gather(number % cuts)),
        (..) => (number / cuts, StepMeeting::Scatter(number % cuts)),
    };
    let key = Key {
        group,
        round: ((id >> 20) & 0xffff) as u32,
        micro_batch: ((id >> 3) & 0x1_ffff) as u32,
        kind: KINDS[((id >> 1) & 3) as usize],
    };
    (key, of)
}
