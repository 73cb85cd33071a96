//! Kernels at data-sheet speed: the ideal, and the baseline that fitted profiles must beat.

use super::{KernelTimes, RowTimes, SlotTimes};
use crate::base::units::{Bandwidth, Bytes, FlopRate, SimDuration};
use crate::kernels::profile::CollectiveOp;
use crate::kernels::{Basis, ExpertsAsk, ExpertsTime, Part, Support};
use crate::workload::Dtype;

/// Each kernel takes the longer of its operations at the peak rate and its bytes, each touched
/// once, at the peak memory bandwidth; launches are free [williams09].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Roofline {
    /// Peak rate of dense matrix products.
    pub peak: FlopRate,
    /// Peak memory bandwidth.
    pub memory_bandwidth: Bandwidth,
}

impl Roofline {
    fn longer(&self, flops: f64, bytes: f64) -> SimDuration {
        let compute = flops / self.peak.flops_per_sec();
        SimDuration::from_secs(compute.max(bytes / self.memory_bandwidth.bytes_per_sec()))
    }
}

impl KernelTimes for Roofline {
    fn gemm(&self, n: u32, k: u32, dtype: Dtype) -> RowTimes<'_> {
        let (n, k) = (f64::from(n), f64::from(k));
        Box::new(move |rows| {
            let m = rows as f64;
            self.longer(2.0 * m * n * k, (m * k + k * n + m * n) * dtype.bytes() as f64)
        })
    }

    fn experts(&self, ask: &ExpertsAsk<'_>) -> SlotTimes<'_> {
        let (d, h) = (f64::from(ask.shape.hidden), f64::from(ask.shape.inter));
        let matrices = if ask.shape.gated { 3.0 } else { 2.0 };
        let bytes = ask.formats.first().map_or(2.0, |format| format.bytes());
        Box::new(move |slots| {
            let rows: f64 = slots.iter().map(|&m| f64::from(m)).sum();
            let active = slots.iter().filter(|&&m| m > 0).count() as f64;
            // Weights of active experts once; rows in and out, the intermediates, their product.
            let elements =
                active * matrices * d * h + rows * (2.0 * d + (2.0 * matrices - 1.0) * h);
            let products = self.longer(2.0 * matrices * rows * d * h, elements * bytes);
            ExpertsTime { products, moved: SimDuration::ZERO }
        })
    }

    fn memory_bound(&self, bytes: Bytes, _launches: u32) -> SimDuration {
        self.memory_bandwidth.time_for(bytes)
    }

    fn collective(&self, _: CollectiveOp, _: u32, _: Bytes) -> Option<[SimDuration; 2]> {
        None
    }

    fn gemm_basis(&self, _: (u32, u32), _: Dtype, _: u64) -> Basis {
        peaks(Part::Dense)
    }

    fn experts_basis(&self, _: &ExpertsAsk<'_>) -> Basis {
        peaks(Part::Experts)
    }

    fn memory_basis(&self) -> Basis {
        peaks(Part::Memory)
    }
}

fn peaks(part: Part) -> Basis {
    Basis { part, name: "roofline".to_owned(), support: Support::DataSheet }
}
