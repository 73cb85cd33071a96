//! Steps of groups that exchange nothing: their GPUs work, and wait for each other.

use super::Forward;
use crate::base::units::GpuId;
use crate::execution::blame::Reason;
use crate::execution::program::Lockstep;

impl Forward<'_> {
    /// Whether nothing is exchanged, within groups or between them.
    pub(super) const fn goes_in_lockstep(&self) -> bool {
        let alone = !self.grid.dispatches && self.grid.handover.is_none();
        alone && self.grid.overlap.parts() == 1
    }

    /// The next step of a group; false after the last.
    pub(super) fn step_in_lockstep(&mut self, group: usize, gpus: &mut dyn Lockstep) -> bool {
        let first = self.grid.gpu(group, 0).0;
        let members = first..first + self.grid.group;
        let number = self.next[first as usize];
        if number == self.grid.steps() {
            return false;
        }
        self.next[first as usize] += 1;
        let plan = self.plan(group, (number, 0));
        for (rank, gpu) in members.clone().map(GpuId).enumerate() {
            gpus.work(gpu, plan.before(rank));
            gpus.work(gpu, plan.experts(rank));
        }
        let ends = self.sample.is_some() && self.ends(number);
        gpus.meet(members.clone(), Reason::CombineWait, ends.then_some(group));
        for (rank, gpu) in members.map(GpuId).enumerate() {
            gpus.work(gpu, plan.after(rank));
        }
        self.planner.recycle(plan);
        true
    }
}
