//! Names of steps and of their exchanges, as numbers that the machine keeps.

use crate::execution::lowering::ExchangePhase;
use crate::execution::lowering::replicas::Kind;
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

/// 22 bits of group, 16 of round, 17 of micro-batch, 2 of kind, 1 of phase.
pub(super) fn id_of(key: Key, phase: ExchangePhase) -> MeetingId {
    let Key { group, round, micro_batch, kind } = key;
    let id = (u64::from(group) << 36)
        | (u64::from(round) << 20)
        | (u64::from(micro_batch) << 3)
        | ((kind as u64) << 1)
        | phase as u64;
    Kind::Exchange.id(id)
}

pub(super) fn key_of(meeting: MeetingId) -> (Key, ExchangePhase) {
    let id = Kind::number(meeting);
    let key = Key {
        group: (id >> 36) as u32,
        round: ((id >> 20) & 0xffff) as u32,
        micro_batch: ((id >> 3) & 0x1_ffff) as u32,
        kind: KINDS[((id >> 1) & 3) as usize],
    };
    (key, PHASES[(id & 1) as usize])
}
