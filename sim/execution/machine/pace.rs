//! How much longer the kernels of one GPU take than planned: a slow GPU, and variation from kernel to kernel.
//!
//! ```text
//!   t = t₀ / h · exp(σ z − σ²/2),   z ~ N(0, 1) for each kernel            (1)
//! ```
//!
//! with `h` the share of its speed that the GPU has left and `σ` the scenario's jitter; a kernel's mean time stays t₀/h.
//! The law is a stated choice: never negative, and with its tail to the long side. A GPU draws from a
//! stream of its own, in the order of its program, so that nothing else moves when one GPU changes.

use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

use crate::base::streams::Streams;
use crate::base::units::{GpuId, SimDuration};
use crate::execution::blame::{Op, Reason};

/// The pace of one GPU.
#[derive(Clone, Debug)]
pub struct Pace {
    health: f64,
    jitter: f64,
    rng: ChaCha8Rng,
    /// Kernels that take no time.
    without: Option<Reason>,
}

impl Pace {
    /// That of a GPU with this share of its speed left, whose kernels vary by this standard deviation of the logarithm.
    #[must_use]
    pub fn of(gpu: GpuId, health: f64, jitter: f64, streams: Streams) -> Self {
        let rng = streams.named(&format!("pace/gpu={}", gpu.0));
        Self { health, jitter, rng, without: None }
    }

    /// The same with kernels of this reason taking no time.
    #[must_use]
    pub const fn without(mut self, reason: Option<Reason>) -> Self {
        self.without = reason;
        self
    }

    /// Equation (1) for each of these ops.
    pub(super) fn stretch(&mut self, ops: &mut [Op]) {
        for op in ops {
            let mut factor = 1.0 / self.health;
            if self.jitter > 0.0 {
                let z: f64 = StandardNormal.sample(&mut self.rng);
                factor *= (self.jitter * z - self.jitter * self.jitter / 2.0).exp();
            }
            let free = Some(op.reason) == self.without;
            op.time = if free { SimDuration::ZERO } else { op.time.scaled(factor) };
        }
    }
}
