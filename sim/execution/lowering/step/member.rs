//! One member's part of a step.

use std::collections::BTreeMap;

use crate::base::units::{ExpertId, SimDuration};
use crate::execution::Scope;
use crate::execution::blame::{Op, Reason};
use crate::execution::cost::{KernelTimes, ZeroComputationSlots, dense_op, output_op, shortcut_op};
use crate::gate::Counts;
use crate::placement::Placement;
use crate::workload::{Scheme, Workload};

/// One member's work in a step.
#[derive(Clone, Debug, Default)]
pub(super) struct MemberWork {
    pub before: Vec<Op>,
    /// What can run while its own tokens are being exchanged.
    pub local: Vec<Op>,
    pub experts: Vec<Op>,
    pub after: Vec<Op>,
    /// Weight gradients of its experts, and of everything else in the layer, in a backward step.
    pub weights: [Vec<Op>; 2],
}

impl MemberWork {
    pub fn clear(&mut self) {
        let Self { before, local, experts, after, weights: [of_experts, of_others] } = self;
        for ops in [before, local, experts, after, of_experts, of_others] {
            ops.clear();
        }
    }
}

/// What comes before the gate of each layer. Pricing it is work, and layers are of few kinds: the first,
/// those with a window, and those without.
fn dense_of(workload: &Workload, kernels: &dyn KernelTimes) -> Vec<Op> {
    let model = &workload.model;
    let kind = |layer: u32| (layer == 0, layer >= model.layers, model.windowed_up_to(layer));
    let mut priced = BTreeMap::new();
    (0..workload.layers_passed())
        .map(|layer| {
            *priced.entry(kind(layer)).or_insert_with(|| dense_op(workload, kernels, layer))
        })
        .collect()
}

/// Slots of one member that leave the token order.
pub(super) fn sent_by(placement: &Placement, of: Member<'_>) -> u64 {
    (0..of.counts.experts())
        .filter(|&expert| !placement.hosts(ExpertId(expert as u32)).is_empty())
        .map(|expert| u64::from(of.counts.computed(of.rank, expert)))
        .sum()
}

/// One member of a group in one step.
#[derive(Clone, Copy)]
pub(super) struct Member<'a> {
    pub rank: usize,
    pub counts: &'a Counts,
    /// Rows of each FFN expert that it holds.
    pub rows: &'a [u32],
}

/// An op that takes time, or nothing.
pub(super) fn nonzero(op: Op) -> Option<Op> {
    (op.time > SimDuration::ZERO).then_some(op)
}

/// Rows of the FFN experts of each rank of a placement, by expert that it holds.
pub(super) fn rows_of(
    placement: &Placement,
    counts: &Counts,
    ffn: usize,
    rows: &mut Vec<Vec<u32>>,
) {
    rows.resize_with(placement.ranks() as usize, Vec::new);
    rows.iter_mut().for_each(Vec::clear);
    for expert in 0..ffn {
        let id = ExpertId(expert as u32);
        let hosts = placement.hosts(id);
        if let [host] = hosts {
            rows[*host as usize].push(counts.computed_of_all(expert));
            continue;
        }
        hosts.iter().for_each(|&host| rows[host as usize].push(0));
        for from in 0..counts.gpus() {
            for (host, share) in placement.shares(id, from, counts.computed(from, expert)) {
                if let Some(row) = rows[host].last_mut() {
                    *row += share;
                }
            }
        }
    }
}

/// Tile-aware token rounding [sonicmoe]: an expert gives up the tokens beyond its last full tile, or takes the next ones in its
/// favour until it is full, whichever is fewer; halves are filled. As many are given up as taken, in the mean, so that what
/// travels is left as it was drawn.
pub(super) const fn rounded(rows: u32, tile: u32) -> u32 {
    rows.saturating_add(tile / 2) / tile * tile
}

/// What comes before the gate of each layer; and after the last, and beside the experts.
pub(super) fn outside_experts(
    workload: &Workload,
    counted: Scope,
    kernels: &dyn KernelTimes,
) -> (Vec<Op>, [Op; 2]) {
    if counted.is_whole_model() {
        let beside = [output_op(workload, kernels), shortcut_op(workload, kernels)];
        return (dense_of(workload, kernels), beside);
    }
    let none = Op { reason: Reason::Dense, time: SimDuration::ZERO };
    (vec![none; workload.layers_passed() as usize], [none; 2])
}

/// Zero-computation work of one member: on its own tokens, or, if such experts are placed like
/// FFN experts, on all tokens that chose those it owns. Null experts are no work, not even a visit.
pub(super) fn zero_computation_slots(
    workload: &Workload,
    placement: &Placement,
    of: Member<'_>,
) -> ZeroComputationSlots {
    if workload.gating.scheme == Scheme::NullExperts {
        return ZeroComputationSlots::default();
    }
    let local = workload.zero_computation_local;
    let kinds = workload.model.experts.zero_computation;
    let first = workload.model.experts.ffn as usize;
    let mut slots = ZeroComputationSlots::default();
    // Placed, they are not cut: the GPUs of a cut have them all, and each the tokens that come to it.
    let gpus = of.counts.gpus();
    let split = gpus / placement.ranks() as usize;
    let host = (of.rank / split) as u32;
    let mut expert = first;
    for (kind, experts) in [kinds.zero, kinds.copy, kinds.constant].into_iter().enumerate() {
        let mut mine = 0;
        for _ in 0..experts {
            let hosts = placement.hosts(ExpertId(expert as u32));
            if local || hosts.contains(&host) {
                let kept = |from| u64::from(of.counts.kept(from, expert));
                let all = (of.rank % split..gpus).step_by(split);
                let worked: u64 = if local { kept(of.rank) } else { all.map(kept).sum() };
                mine += 1;
                slots.copy += if kind == 1 { worked } else { 0 };
                slots.constant += if kind == 2 { worked } else { 0 };
            }
            expert += 1;
        }
        slots.kinds_visited += u32::from(mine > 0);
    }
    slots
}

#[cfg(test)]
mod tests {
    use super::rounded;

    #[test]
    fn rows_are_rounded_to_the_nearest_tile() {
        for (rows, wanted) in [(0, 0), (63, 0), (64, 128), (128, 128), (191, 128), (192, 256)] {
            assert_eq!(rounded(rows, 128), wanted, "{rows} rows");
        }
        assert_eq!(rounded(u32::MAX, 128) % 128, 0);
    }
}
