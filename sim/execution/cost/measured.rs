//! Kernels as a fitted profile knows them.

use super::{KernelTimes, RowTimes, SlotTimes};
use crate::base::units::{Bytes, SimDuration};
use crate::kernels::Kernels;
use crate::kernels::experts::ExpertsShape;
use crate::workload::Dtype;

impl KernelTimes for Kernels<'_> {
    fn gemm(&self, n: u32, k: u32, dtype: Dtype) -> RowTimes<'_> {
        let times = self.gemm_over_m(n, k, dtype);
        // A product of more rows than a profile counts is taken as several.
        Box::new(move |rows| {
            let whole = u64::from(u32::MAX);
            times.time(u32::MAX).times(rows / whole) + times.time((rows % whole) as u32)
        })
    }

    fn grouped_ffn(&self, shape: ExpertsShape, dtype: Dtype) -> SlotTimes<'_> {
        let times = self.experts(shape, dtype, None);
        Box::new(move |slots| times.time(slots))
    }

    fn memory_bound(&self, bytes: Bytes, launches: u32) -> SimDuration {
        Kernels::memory_bound(self, bytes, launches)
    }
}
