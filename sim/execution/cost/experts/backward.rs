//! What FFN experts take backward, derived from forward tables.
//!
//! ```text
//! input gradients     the forward time of the same rows, and 4·I bytes a row more for the activation    (1)
//! weight gradients    Σ_e w(m_e) − (A − 1)·launch,  and 2·b_g bytes a parameter of active experts      (2)
//!                     w(m) = gemm(H, G·I, m) + gemm(I, H, m) as dense products with inner size m        (3)
//! ```
//!
//! (1) has the operations of the forward products with sides exchanged. (2) adds the experts' gradients up
//! in b_g bytes, as Megatron-LM's fused accumulation does, in one grouped launch, whose inner sizes are too short to hide
//! reading and writing them: of grouped products with 1,024 and 1,232 rows each, published for B200, weight gradients
//! take 1.3 to 1.6 times the forward product's time at equal operations, of dense ones with inner sizes of 4,096
//! 1.1 times [simumax]. w is asked for at powers of
//! two and its logarithm is linear in ln m between. Neither was measured by itself.

use crate::base::units::{Bytes, SimDuration};
use crate::execution::cost::KernelTimes;
use crate::workload::Workload;

/// Inner sizes at which (3) is asked for: powers of two from 2⁶ to 2¹⁸.
const SIZES: std::ops::RangeInclusive<u32> = 6..=18;

/// Weight gradients of the experts of one GPU.
pub struct WeightGradients {
    /// ln of (3) in seconds at each of [`SIZES`].
    at_sizes: Vec<f64>,
    launch_s: f64,
    /// Time to read and write one expert's gradients.
    accumulation: SimDuration,
}

impl WeightGradients {
    /// Those of a workload's experts.
    #[must_use]
    pub fn new(workload: &Workload, kernels: &dyn KernelTimes) -> Self {
        let (hidden, inter) = (workload.model.hidden, workload.expert_columns());
        let (dtype, matrices) = (workload.batch.dtype, workload.model.matrices());
        let at = |size: u32| {
            let up = kernels.gemm((matrices - 1) * inter, 1 << size, dtype)(hidden.into());
            let down = kernels.gemm(hidden, 1 << size, dtype)(inter.into());
            (up + down).secs().max(f64::MIN_POSITIVE).ln()
        };
        let params = u64::from(matrices) * u64::from(hidden) * u64::from(inter);
        Self {
            at_sizes: SIZES.map(at).collect(),
            launch_s: kernels.memory_bound(Bytes(0), 1).secs(),
            accumulation: kernels
                .memory_bound(Bytes(2 * workload.training.gradient_bytes * params), 0),
        }
    }

    /// (2), in few launches.
    #[must_use]
    pub fn time(&self, rows: &[u32]) -> SimDuration {
        let active = rows.iter().filter(|&&rows| rows > 0).count();
        if active == 0 {
            return SimDuration::ZERO;
        }
        let apart: f64 = rows.iter().filter(|&&rows| rows > 0).map(|&rows| self.of(rows)).sum();
        let together = apart - 2.0 * (active - 1) as f64 * self.launch_s;
        SimDuration::from_secs(together.max(0.0)) + self.accumulation.times(active as u64)
    }

    /// (3) in seconds: below the smallest size, that size; tiles are no smaller.
    fn of(&self, rows: u32) -> f64 {
        let last = self.at_sizes.len() - 1;
        let x = (f64::from(rows).log2() - f64::from(*SIZES.start())).max(0.0);
        let below = (x as usize).min(last - 1);
        let share = x - below as f64;
        let [a, b] = [self.at_sizes[below], self.at_sizes[below + 1]];
        (a + (b - a) * share).exp()
    }
}
