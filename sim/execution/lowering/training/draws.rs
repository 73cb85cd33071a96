//! Gates drawn a few times for each layer, where a step has many micro-batches and groups.
//!
//! What the gate decides in one micro-batch of one group is as likely in any other: so of each layer a few draws are made,
//! and each (group, micro-batch) takes one of them by lot, the same one in all layers. Means are those of
//! draws of their own; that of a step of L layers rests on L draws times their number. What is lost: loads more
//! extreme than any that was drawn, of which the slowest of very many groups would meet some.
//!
//! Every step is drawn where draws are not alike: popularity that drifts, experts placed by loads seen before, groups
//! that lie differently in their nodes.

use std::collections::BTreeMap;
use std::rc::Rc;

use crate::base::hashes::{fnv1a, fnv1a_on};
use crate::base::units::GpuId;
use crate::execution::lowering::{At, Step, StepPlanner};
use crate::topology::Topology;
use crate::workload::{Places, Workload};

/// Draws for each layer.
const DRAWS: u32 = 8;

/// How often gates are drawn for each layer of a training step; none where for every micro-batch and group.
#[must_use]
pub fn draws_of(topology: &Topology, workload: &Workload) -> Option<u32> {
    let (layout, group) = (&workload.layout, workload.layout.expert_group());
    let groups = layout.in_use(topology.gpus()) / (layout.pipeline_parallel * group);
    let node = topology.gpus_per_node();
    let alike = workload.gating.spread.drift == 0.0
        && matches!(layout.places, Places::Contiguous | Places::RoundRobin)
        && (group.is_multiple_of(node) || node.is_multiple_of(group));
    let many = groups.saturating_mul(workload.batch.micro_batches) > DRAWS;
    (alike && many).then_some(DRAWS)
}

/// A plan: its round, which draw, whether backward, whether the first.
type Plan = (u32, u32, bool, bool);

/// The plans of all draws so far.
pub(super) struct Draws {
    number: u32,
    plans: BTreeMap<Plan, Rc<Step>>,
}

impl Draws {
    pub(super) const fn new(number: u32) -> Self {
        Self { number, plans: BTreeMap::new() }
    }

    /// The plan that a step takes, made if it is the first to take it; `again` if the step was counted before.
    pub(super) fn plan(
        &mut self,
        at: At,
        planner: &mut StepPlanner<'_>,
        (first, again): (GpuId, bool),
    ) -> Rc<Step> {
        let lot = fnv1a_on(fnv1a(&at.group.to_le_bytes()), &at.micro_batch.to_le_bytes());
        // The low bits of this hash mix worst.
        let draw = (lot >> 32) as u32 % self.number;
        let key = (at.round, draw, at.backward, at.opens);
        if let Some(plan) = self.plans.get(&key) {
            if !again {
                planner.repeat(plan);
            }
            return Rc::clone(plan);
        }
        // Forward and backward steps of a draw exchange the same.
        let alike = self.plans.range((at.round, draw, false, false)..).next();
        let alike = alike.filter(|((round, of, ..), _)| (*round, *of) == (at.round, draw));
        let alike = alike.map(|(_, plan)| Rc::clone(plan));
        let at = At { micro_batch: draw, group: 0, ..at };
        let plan = Rc::new(planner.plan_sharing(at, first, alike.as_deref()));
        self.plans.insert(key, Rc::clone(&plan));
        plan
    }
}
