//! The placements of a run: fixed ones, and ones planned from loads that were seen earlier.
//!
//! A plan for micro-batches b to b + period − 1 of a layer and group is made from the loads of that
//! group in `window` micro-batches, the last of them `age` before b. The gate draws those micro-batches
//! as any others: where it drifts, or sequences differ, a plan is as wrong as an old one would be.
//!
//! What moving parameters from one plan to the next takes is `machine::rebalance`'s matter; which
//! parameters move is [`moves`](super::moves)'s.

use std::collections::BTreeMap;

use super::Placement;
use crate::gate::Gate;
use crate::workload::{Places, Seen, Workload};

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
        match self.epoch(micro_batch) {
            Some(epoch) => self.planned(gate, [layer, epoch, group], first),
            None => &self.fixed,
        }
    }

    /// The placement of a group in one micro-batch as in [`Plans::of`], and the one of the plan that
    /// follows it; nothing if none ever does.
    pub fn change(
        &mut self,
        gate: &Gate,
        [layer, micro_batch, group]: [u32; 3],
        first: usize,
    ) -> Option<[&Placement; 2]> {
        let seen = self.workload.layout.places.seen()?;
        let epoch = self.epoch(micro_batch).filter(|_| seen.period != Seen::NEVER)?;
        let [now, then] = [epoch, epoch + 1].map(|epoch| [layer, epoch, group]);
        self.planned(gate, now, first);
        self.planned(gate, then, first);
        Some([&self.planned[&now], &self.planned[&then]])
    }

    /// Which plan a micro-batch is under, where there are any.
    pub fn epoch(&self, micro_batch: u32) -> Option<u32> {
        let places = self.workload.layout.places;
        places.seen().map(|seen| (micro_batch - places.lead_in()) / seen.period)
    }

    /// The plan of this number for a layer and group.
    fn planned(
        &mut self,
        gate: &Gate,
        [layer, epoch, group]: [u32; 3],
        first: usize,
    ) -> &Placement {
        let (workload, places) = (self.workload, self.workload.layout.places);
        let seen = places.seen().expect("placements that are planned are planned from loads");
        self.planned.entry([layer, epoch, group]).or_insert_with(|| {
            let end = places.lead_in() + epoch * seen.period - seen.age;
            let gpus = first..first + workload.layout.expert_group() as usize;
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
