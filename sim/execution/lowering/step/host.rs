//! What the host adds to a layer: equations (2) and (3) of `workload::host`.

use super::member::{MemberWork, nonzero};
use crate::base::units::SimDuration;
use crate::execution::Scope;
use crate::execution::blame::{Op, Reason};
use crate::workload::Workload;

/// What the host takes for each round of a layer, and before a micro-batch.
#[derive(Clone, Copy, Debug)]
pub(super) struct HostTimes {
    /// Of a round of a layer with experts.
    launch: SimDuration,
    /// Of the dense layers in front of the first layer with experts, and of each.
    dense: [SimDuration; 2],
    rounds: u32,
    gap: SimDuration,
}

impl HostTimes {
    /// Of a workload's host; what lies between steps where whole steps are counted.
    pub(super) fn of(workload: &Workload, counted: Scope) -> Self {
        let gap = if counted.is_whole_model() { workload.host.step_gap } else { SimDuration::ZERO };
        let rounds = workload.gating.scheme.rounds();
        let (launch, dense) = (workload.layer_launch(), workload.model.dense);
        Self {
            launch: launch.scaled(f64::from(rounds).recip()),
            dense: [dense.leading_layers, dense.between].map(|layers| launch.times(layers.into())),
            rounds,
            gap,
        }
    }

    /// Of a round with the dense layers in front of it.
    fn of_round(self, round: u32) -> SimDuration {
        let [leading, between] = self.dense;
        let mut time = self.launch;
        if round == 0 {
            time += leading;
        }
        if round.is_multiple_of(self.rounds) {
            time += between;
        }
        time
    }

    /// Adds what launching a round's kernels takes longer than these, beside its dispatch, and what lies before it.
    pub(super) fn add_forward(self, round: u32, part: &mut MemberWork) {
        let longer = self.of_round(round).saturating_sub(computed(part));
        part.local.extend(waited(longer));
        let gap = if round == 0 { self.gap } else { SimDuration::ZERO };
        part.before.splice(0..0, waited(gap));
    }

    /// The same backward.
    pub(super) fn add_backward(self, round: u32, part: &mut MemberWork) {
        let longer = self.of_round(round).times(2).saturating_sub(computed(part));
        part.local.extend(waited(longer));
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
