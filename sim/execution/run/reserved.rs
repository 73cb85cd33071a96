//! Kernels on the SMs that an exchange library leaves them for a whole step.
//!
//! DeepGEMM's kernels and DeepEP's are launched on fixed numbers of SMs, 112 and 20 of an H800's 132 [deepseekv3, §3.2.2], whether
//! or not an exchange is in flight. With S SMs of which k are reserved, what tiles bind takes S/(S − k) times as long throughout:
//! products, experts and attention. Kernels that memory binds fill it from fewer SMs too, and take as long as before.

use crate::base::units::{Bytes, SimDuration};
use crate::execution::cost::{KernelTimes, RowTimes, Scores, SlotTimes};
use crate::kernels::profile::{CollectiveOp, Moved};
use crate::kernels::{Basis, ExpertsAsk, ExpertsTime};
use crate::workload::Dtype;

/// Kernels of which what tiles bind takes longer by a factor.
#[derive(Clone, Copy)]
pub struct ReservedKernels<'a> {
    kernels: &'a dyn KernelTimes,
    factor: f64,
}

impl<'a> ReservedKernels<'a> {
    /// `kernels` on a GPU of `all` SMs of which `reserved` are kept from them.
    #[must_use]
    pub fn new(kernels: &'a dyn KernelTimes, all: u32, reserved: u32) -> Self {
        let left = all.saturating_sub(reserved).max(1);
        Self { kernels, factor: f64::from(all) / f64::from(left) }
    }

    fn longer(&self, time: SimDuration) -> SimDuration {
        if self.factor == 1.0 { time } else { time.scaled(self.factor) }
    }
}

impl KernelTimes for ReservedKernels<'_> {
    fn gemm(&self, n: u32, k: u32, dtype: Dtype) -> RowTimes<'_> {
        let times = self.kernels.gemm(n, k, dtype);
        Box::new(move |rows| self.longer(times(rows)))
    }

    fn experts(&self, ask: &ExpertsAsk<'_>) -> SlotTimes<'_> {
        let times = self.kernels.experts(ask);
        Box::new(move |slots| {
            let ExpertsTime { products, moved } = times(slots);
            ExpertsTime { products: self.longer(products), moved }
        })
    }

    fn attention(&self, scores: Scores) -> SimDuration {
        self.longer(self.kernels.attention(scores))
    }

    fn memory_bound(&self, bytes: Bytes, launches: u32) -> SimDuration {
        self.kernels.memory_bound(bytes, launches)
    }

    fn moved(&self, parts: &[Moved]) -> SimDuration {
        self.kernels.moved(parts)
    }

    fn collective(&self, op: CollectiveOp, gpus: u32, bytes: Bytes) -> Option<[SimDuration; 2]> {
        self.kernels.collective(op, gpus, bytes)
    }

    fn gemm_basis(&self, shape: (u32, u32), dtype: Dtype, rows: u64) -> Basis {
        self.kernels.gemm_basis(shape, dtype, rows)
    }

    fn experts_basis(&self, ask: &ExpertsAsk<'_>) -> Basis {
        self.kernels.experts_basis(ask)
    }

    fn memory_basis(&self) -> Basis {
        self.kernels.memory_basis()
    }
}
