//! One member's work in a backward step.

use super::StepPlanner;
use super::member::{Member, MemberWork, nonzero, zero_computation_slots};
use crate::placement::Placement;

impl StepPlanner<'_> {
    /// The same backward: mix, experts, permute and gate, and what is in front of them, in this order.
    pub(super) fn plan_backward(
        &mut self,
        round: u32,
        placement: &Placement,
        of: Member<'_>,
        part: &mut MemberWork,
    ) {
        let Some(dense) = &self.backward else { return };
        let sent = self.sent(placement, of);
        let rounds = self.workload.gating.scheme.rounds();
        let (first, last) = (round == 0, round + 1 == self.workload.gates());
        if last {
            part.before.extend(nonzero(dense.output));
        }
        part.before.push(self.cost.mix_backward(sent));
        let [experts_weights, other_weights] = &mut part.weights;
        self.cost.ffn_backward(of.rows, &mut part.experts, experts_weights);
        part.after.push(self.cost.permute_backward(sent));
        part.after.push(self.cost.gate_backward(first));
        if round.is_multiple_of(rounds) {
            part.local.extend(dense.beside.into_iter().filter_map(nonzero));
            let [inputs, weights] = dense.layers[(round / rounds) as usize];
            part.after.extend(nonzero(inputs));
            part.after.extend(self.shared.map(|shared| shared.backward(first)));
            other_weights.extend(nonzero(weights));
        }
        let mut slots = zero_computation_slots(self.workload, placement, of);
        slots.kinds_visited = slots.kinds_visited.min(u32::from(slots.copy + slots.constant > 0));
        part.local.push(self.cost.zero_computation_backward(slots));
        self.host.add_backward(round, part);
    }
}
