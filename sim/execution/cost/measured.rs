//! Kernels as a fitted profile knows them.

use super::{KernelTimes, RowTimes, SlotTimes};
use crate::base::units::{Bytes, SimDuration};
use crate::kernels::profile::{CollectiveOp, Moved, Precision};
use crate::kernels::{Basis, ExpertsAsk, ExpertsChoice, Kernels, Part};
use crate::workload::Dtype;

impl KernelTimes for Kernels<'_> {
    fn gemm(&self, n: u32, k: u32, dtype: Dtype) -> RowTimes<'_> {
        let times = self.dense(n, k, Precision::of_dtype(dtype));
        // A product of more rows than a profile counts is taken as several.
        Box::new(move |rows| {
            let whole = u64::from(u32::MAX);
            times.time(u32::MAX).times(rows / whole) + times.time((rows % whole) as u32)
        })
    }

    fn experts(&self, ask: &ExpertsAsk<'_>) -> SlotTimes<'_> {
        let times = Kernels::experts(self, chosen(self, ask), ask.shape);
        Box::new(move |slots| times.parts(slots))
    }

    fn memory_bound(&self, bytes: Bytes, launches: u32) -> SimDuration {
        Kernels::memory_bound(self, bytes, launches)
    }

    fn moved(&self, parts: &[Moved]) -> SimDuration {
        Kernels::moved(self, parts)
    }

    fn collective(&self, op: CollectiveOp, gpus: u32, bytes: Bytes) -> Option<[SimDuration; 2]> {
        self.collective_parts(op, gpus, bytes)
    }

    fn gemm_basis(&self, (n, k): (u32, u32), dtype: Dtype, rows: u64) -> Basis {
        let times = self.dense(n, k, Precision::of_dtype(dtype));
        let name = format!("gemm {}", times.precision().short());
        Basis { part: Part::Dense, name, support: times.support_at(rows) }
    }

    fn experts_basis(&self, ask: &ExpertsAsk<'_>) -> Basis {
        let choice = chosen(self, ask);
        let times = Kernels::experts(self, choice, ask.shape);
        Kernels::experts_basis(self, choice, &times, (ask.shape, ask.slots))
    }

    fn memory_basis(&self) -> Basis {
        Kernels::memory_basis(self)
    }
}

/// The experts' kernel. `config` lets no workload through whose kernel the profile lacks.
fn chosen<'p>(kernels: &Kernels<'p>, ask: &ExpertsAsk<'_>) -> ExpertsChoice<'p> {
    match kernels.choose_experts(ask) {
        Ok(choice) => choice,
        Err(none) => panic!("{none}"),
    }
}
