//! What the host adds to a layer: equations (2) and (3) of `workload::host`.

use super::member::{MemberWork, nonzero};
use crate::base::units::SimDuration;
use crate::execution::blame::{Op, Reason};
use crate::workload::Workload;

/// What the host takes for each round of a layer, and before a micro-batch.
#[derive(Clone, Copy, Debug)]
pub(super) struct HostTimes {
    launch: SimDuration,
    gap: SimDuration,
}

impl HostTimes {
    /// Of a workload's host.
    pub(super) fn of(workload: &Workload) -> Self {
        let rounds = f64::from(workload.gating.scheme.rounds());
        Self { launch: workload.layer_launch().scaled(rounds.recip()), gap: workload.host.step_gap }
    }

    /// In front of a round's own work.
    pub(super) fn beside_forward(self, round: u32, part: &MemberWork) -> Option<Op> {
        let gap = if round == 0 { self.gap } else { SimDuration::ZERO };
        waited(self.launch.saturating_sub(computed(part)) + gap)
    }

    /// The same backward.
    pub(super) fn beside_backward(self, part: &MemberWork) -> Option<Op> {
        waited(self.launch.times(2).saturating_sub(computed(part)))
    }
}

fn computed(part: &MemberWork) -> SimDuration {
    let [own, other] = &part.weights;
    [&part.before, &part.local, &part.experts, &part.after, own, other]
        .into_iter()
        .flatten()
        .map(|op| op.time)
        .sum()
}

fn waited(time: SimDuration) -> Option<Op> {
    nonzero(Op { reason: Reason::Launch, time })
}
