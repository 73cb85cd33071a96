//! GPUs that only work and wait for each other: the same accounts without a calendar.
//!
//! Experts counted alone exchange nothing, so a step of a group is a sum of times for each GPU, and the latest of them for
//! all:
//!
//! ```text
//!   work (prefix sum) ─ wait for the last of the group ─ work …
//! ```

use std::ops::Range;

use super::gpu::Gpu;
use super::{Machine, UnitEnd};
use crate::base::threads;
use crate::base::units::GpuId;
use crate::execution::blame::{Op, Reason, run_to_barrier};
use crate::execution::program::{Lockstep, Program};

impl<P: Program> Machine<'_, P> {
    /// Runs a program whose groups go in lockstep to its end; says whether it is one, and nobody observes it.
    pub fn run_in_lockstep(&mut self) -> bool {
        let Some(groups) = self.program.in_lockstep().filter(|_| self.observer.is_none()) else {
            return false;
        };
        let Self { program, gpus, unit_ends, .. } = self;
        let mut accounts = Accounts { gpus, unit_ends, stretched: Vec::new() };
        let mut going = true;
        while going {
            threads::go_on();
            going = false;
            for group in 0..groups {
                going |= program.next_in_lockstep(group, &mut accounts);
            }
        }
        self.unit_ends.sort_by_key(|end| end.at);
        self.gpus.iter_mut().for_each(|gpu| gpu.finished = true);
        true
    }
}

struct Accounts<'a> {
    gpus: &'a mut [Gpu],
    unit_ends: &'a mut Vec<UnitEnd>,
    /// Memory of work at a GPU's own pace.
    stretched: Vec<Op>,
}

impl Lockstep for Accounts<'_> {
    fn work(&mut self, gpu: GpuId, ops: &[Op]) {
        let gpu = &mut self.gpus[gpu.index()];
        let ops = match &mut gpu.pace {
            Some(pace) => {
                self.stretched.clear();
                self.stretched.extend_from_slice(ops);
                pace.stretch(&mut self.stretched);
                &self.stretched
            }
            None => ops,
        };
        gpu.clock = run_to_barrier(gpu.clock, ops, &mut gpu.blame);
    }

    fn meet(&mut self, gpus: Range<u32>, reason: Reason, ends: Option<usize>) {
        let members = &mut self.gpus[gpus.start as usize..gpus.end as usize];
        let Some(last) = members.iter().map(|gpu| gpu.clock).max() else { return };
        for gpu in members.iter_mut() {
            gpu.blame.add(reason, last - gpu.clock);
            gpu.clock = last;
        }
        if let Some(group) = ends {
            let worked = members.iter().map(|gpu| gpu.blame.worked()).sum();
            self.unit_ends.push(UnitEnd { group, at: last, worked });
        }
    }
}
