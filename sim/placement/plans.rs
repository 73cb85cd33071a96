//! The placements of a run: fixed ones, and ones planned from loads that were seen earlier.
//!
//! A plan for micro-batches b to b + period − 1 of a layer and group is made from the loads of that
//! group in `window` micro-batches, the last of them `age` before b. The gate draws those micro-batches
//! as any others: where it drifts, or sequences differ, a plan is as wrong as an old one would be.
//!
//! What it leaves out: moving parameters when a plan changes, which can be spread over the period.

use std::collections::BTreeMap;

use super::Placement;
use crate::gate::Gate;
use crate::workload::{Places, Workload};

/// Where experts live, by layer, micro-batch and group.
pub struct Plans<'a> {
    workload: &'a Workload,
    fixed: Placement,
    planned: BTreeMap<[u32; 3], Placement>,
}

impl<'a> Plans<'a> {
    /// The placements that a workload asks for.
    #[must_use]
    pub fn new(workload: &'a Workload) -> Self {
        let fixed = match workload.layout.places {
            Places::RoundRobin => Placement::round_robin(workload),
            _ => Placement::contiguous(workload),
        };
        Self { workload, fixed, planned: BTreeMap::new() }
    }

    /// The placement of a group in one micro-batch, counted from the gate's first, of a gate of the
    /// model; its first GPU is `first`.
    pub fn of(
        &mut self,
        gate: &Gate,
        [layer, micro_batch, group]: [u32; 3],
        first: usize,
    ) -> &Placement {
        let (workload, places) = (self.workload, self.workload.layout.places);
        let Some(seen) = places.seen() else { return &self.fixed };
        let epoch = (micro_batch - places.lead_in()) / seen.period;
        self.planned.entry([layer, epoch, group]).or_insert_with(|| {
            let end = places.lead_in() + epoch * seen.period - seen.age;
            let gpus = first..first + workload.layout.expert_parallel as usize;
            let mut loads = vec![0.0; workload.model.experts.ffn as usize];
            for seen in end - seen.window..end {
                let counts = gate.counts(layer, seen, gpus.clone());
                for (expert, load) in loads.iter_mut().enumerate() {
                    *load += counts.load(expert) as f64;
                }
            }
            match places {
                Places::Replicated { .. } => Placement::replicated(workload, &loads),
                _ => Placement::by_load(workload, &loads),
            }
        })
    }
}
