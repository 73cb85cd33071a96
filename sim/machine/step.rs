//! What one group does in one layer of one micro-batch: the gate's counts turned into each
//! member's work and the group's two exchanges.

use super::dispatch::{AllToAll, Dispatch};
use crate::blame::{Op, Reason};
use crate::cost::{KernelTimes, LayerCost, ZeroComputationSlots, dense_op, output_op};
use crate::gate::{Counts, Gate};
use crate::network::Exchange;
use crate::placement::Placement;
use crate::units::{ExpertId, GpuId, SimDuration};
use crate::workload::Workload;

/// The two exchanges of a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leg {
    /// Tokens to their experts.
    Dispatch,
    /// Results back.
    Combine,
}

/// Work on a GPU's own tokens that can run while they are being exchanged.
#[derive(Clone, Debug, Default)]
pub struct LocalWork {
    ops: Vec<Op>,
}

impl LocalWork {
    /// Appends to `visible` what does not fit into `room`; returns the time that did.
    pub fn hide_under(&self, room: SimDuration, visible: &mut Vec<Op>) -> SimDuration {
        let mut left = room;
        for op in &self.ops {
            let shows = op.time.saturating_sub(left);
            left = left.saturating_sub(op.time);
            if shows > SimDuration::ZERO {
                visible.push(Op { reason: op.reason, time: shows });
            }
        }
        room.saturating_sub(left)
    }
}

/// One member's work in a step.
#[derive(Clone, Debug, Default)]
struct Part {
    before: Vec<Op>,
    local: LocalWork,
    experts: Vec<Op>,
    after: Vec<Op>,
}

/// One group's step: each member's work, and the bytes of the dispatch.
#[derive(Clone, Debug, Default)]
pub struct Step {
    parts: Vec<Part>,
    dispatch: Dispatch,
}

impl Step {
    /// What the member does before the dispatch.
    #[must_use]
    pub fn before(&self, rank: usize) -> &[Op] {
        &self.parts[rank].before
    }

    /// What the member can do while the dispatch is under way.
    #[must_use]
    pub fn local(&self, rank: usize) -> &LocalWork {
        &self.parts[rank].local
    }

    /// What the member does for the slots that reached it.
    #[must_use]
    pub fn experts(&self, rank: usize) -> &[Op] {
        &self.parts[rank].experts
    }

    /// What the member does once results are back.
    #[must_use]
    pub fn after(&self, rank: usize) -> &[Op] {
        &self.parts[rank].after
    }

    /// One of the two exchanges, among these members.
    #[must_use]
    pub fn exchange(&self, leg: Leg, members: Vec<GpuId>) -> Exchange {
        match leg {
            Leg::Dispatch => self.dispatch.forth(members),
            Leg::Combine => self.dispatch.back(members),
        }
    }
}

/// What is counted as the run's time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Counted {
    /// FFN and zero-computation experts alone: the paper's expert forward time.
    Experts,
    /// The whole MoE layer: gate to mix, with both exchanges.
    MoeLayer,
    /// The whole forward pass, attention and the rest included.
    ModelForward,
}

/// Sums over all steps planned.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Slots given to FFN experts, dropped ones included.
    pub ffn_slots: u64,
    /// Slots given to zero-computation experts, dropped ones included.
    pub zero_computation_slots: u64,
    /// Slots dropped.
    pub dropped_slots: u64,
    /// Rows computed for nothing, as padding.
    pub padded_rows: u64,
    /// Bytes dispatched from GPU to GPU, at every hop.
    pub dispatched_bytes: u64,
}

/// Plans steps: asks the gate, prices the work, and keeps the totals.
pub struct StepPlanner<'a> {
    workload: &'a Workload,
    counted: Counted,
    gate: Gate,
    placement: Placement,
    cost: LayerCost<'a>,
    all_to_all: AllToAll,
    dense: [Op; 3],
    totals: Totals,
    spare: Vec<Step>,
    rows: Vec<u32>,
}

impl<'a> StepPlanner<'a> {
    /// A planner of one run.
    #[must_use]
    pub fn new(
        workload: &'a Workload,
        counted: Counted,
        gate: Gate,
        placement: Placement,
        cost: LayerCost<'a>,
        all_to_all: AllToAll,
        kernels: &dyn KernelTimes,
    ) -> Self {
        let dense = |first_layer| dense_op(workload, kernels, first_layer);
        Self {
            workload,
            counted,
            gate,
            placement,
            cost,
            all_to_all,
            dense: match counted {
                Counted::ModelForward => [dense(true), dense(false), output_op(workload, kernels)],
                Counted::Experts | Counted::MoeLayer => {
                    [Op { reason: Reason::Dense, time: SimDuration::ZERO }; 3]
                }
            },
            totals: Totals::default(),
            spare: Vec::new(),
            rows: Vec::new(),
        }
    }

    /// Plans what a group does in one layer (of the whole model) of one micro-batch: the group of this
    /// number in its pipeline stage, whose rank 0 is `first_gpu`.
    pub fn plan(&mut self, layer: u32, micro_batch: u32, group: u32, first_gpu: GpuId) -> Step {
        let ranks = self.workload.layout.expert_parallel as usize;
        let first = group as usize * ranks;
        let counts = self.gate.counts(layer, micro_batch, first..first + ranks);
        let mut step = self.spare.pop().unwrap_or_default();
        step.parts.resize_with(ranks, Part::default);
        if self.counted == Counted::Experts {
            step.dispatch.clear(ranks);
        } else {
            let token = self.workload.token_bytes();
            step.dispatch.plan(&self.all_to_all, &counts, &self.placement, token, first_gpu);
        }
        for rank in 0..ranks {
            let mut part = std::mem::take(&mut step.parts[rank]);
            for ops in [&mut part.before, &mut part.local.ops, &mut part.experts, &mut part.after] {
                ops.clear();
            }
            self.plan_member(layer, rank, &counts, &mut part);
            step.parts[rank] = part;
        }
        self.tally(&counts, &step.dispatch);
        step
    }

    /// Takes back a step that is done with, for its memory.
    pub fn recycle(&mut self, step: Step) {
        self.spare.push(step);
    }

    /// What the gate has decided so far.
    #[must_use]
    pub fn totals(self) -> Totals {
        self.totals
    }

    fn plan_member(&mut self, layer: u32, rank: usize, counts: &Counts, part: &mut Part) {
        let sent: u64 = (0..counts.experts())
            .filter(|&expert| self.owner(expert).is_some())
            .map(|expert| u64::from(counts.computed(rank, expert)))
            .sum();
        let layers = self.workload.model.layers;
        match self.counted {
            Counted::Experts => {}
            Counted::MoeLayer | Counted::ModelForward => {
                if self.counted == Counted::ModelForward {
                    self.dense_before(layer, &mut part.before);
                }
                part.before.push(self.cost.gate(layer == 0));
                part.before.push(self.cost.permute(sent));
                part.after.push(self.cost.mix(sent));
                if self.counted == Counted::ModelForward && layer + 1 == layers {
                    part.after.push(self.dense[2]);
                }
            }
        }
        self.zero_computation(rank, counts, part);
        part.experts.push(self.cost.layer());
        let mut rows = std::mem::take(&mut self.rows);
        rows.clear();
        let ffn = self.workload.model.experts.ffn as usize;
        for expert in (0..ffn).filter(|&expert| self.owner(expert) == Some(rank)) {
            rows.push((0..counts.gpus()).map(|from| counts.computed(from, expert)).sum());
        }
        self.cost.ffn(&rows, &mut part.experts);
        self.rows = rows;
        if self.counted == Counted::Experts {
            // Nothing hides anything here: what counts is the experts' own time.
            let local = std::mem::take(&mut part.local.ops);
            part.experts.extend(local);
        }
    }

    /// Everything in front of a layer's gate that is not the MoE layer.
    fn dense_before(&self, layer: u32, ops: &mut Vec<Op>) {
        ops.push(self.dense[usize::from(layer > 0)]);
    }

    /// Zero-computation work of one member: on its own tokens, or, if such experts are placed like
    /// FFN experts, on all tokens that chose those it owns.
    fn zero_computation(&self, rank: usize, counts: &Counts, part: &mut Part) {
        let local = self.workload.zero_computation_local;
        let kinds = self.workload.model.experts.zero_computation;
        let first = self.workload.model.experts.ffn as usize;
        let mut slots = ZeroComputationSlots::default();
        let mut expert = first;
        for (kind, experts) in [kinds.zero, kinds.copy, kinds.constant].into_iter().enumerate() {
            let mut mine = 0;
            for _ in 0..experts {
                if local || self.owner(expert) == Some(rank) {
                    let worked: u64 = if local {
                        counts.kept(rank, expert).into()
                    } else {
                        (0..counts.gpus()).map(|from| u64::from(counts.kept(from, expert))).sum()
                    };
                    mine += 1;
                    slots.copy += if kind == 1 { worked } else { 0 };
                    slots.constant += if kind == 2 { worked } else { 0 };
                }
                expert += 1;
            }
            slots.kinds_visited += u32::from(mine > 0);
        }
        let ops = if local { &mut part.local.ops } else { &mut part.experts };
        self.cost.zero_computation(slots, ops);
    }

    /// The rank whose GPU must be sent the slots of an expert; none for experts on every GPU.
    fn owner(&self, expert: usize) -> Option<usize> {
        self.placement.rank_of(ExpertId(expert as u32)).map(|rank| rank as usize)
    }

    fn tally(&mut self, counts: &Counts, dispatch: &Dispatch) {
        let ffn = self.workload.model.experts.ffn as usize;
        let totals = &mut self.totals;
        for gpu in 0..counts.gpus() {
            for expert in 0..counts.experts() {
                let (kept, dropped) = (counts.kept(gpu, expert), counts.dropped(gpu, expert));
                let chosen = u64::from(kept) + u64::from(dropped);
                if expert < ffn {
                    totals.ffn_slots += chosen;
                    totals.padded_rows += u64::from(counts.computed(gpu, expert) - kept);
                } else {
                    totals.zero_computation_slots += chosen;
                }
                totals.dropped_slots += u64::from(dropped);
            }
        }
        totals.dispatched_bytes += dispatch.bytes();
    }
}
