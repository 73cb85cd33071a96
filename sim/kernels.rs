//! What kernels cost on a device: pure functions from shape and profile to time.
//!
//! ```text
//!   profile (constants, residuals) ─┐
//!   device (data-sheet peaks) ──────┴─ Kernels ── gemm, experts, memory_bound, collective → time
//! ```
//!
//! Each family is a physical prior ([`gemm`], [`experts`], [`ramp`]) corrected by what measured
//! shapes left over ([`curves`]). For one shape, time over its running size (tokens) is read off a
//! [`Curve`]: log T is piecewise linear in log m through the corrected knots, pooled so that more
//! work never takes less time (GEMM: among multiples of 16 rows, and among all others), and beyond the last knot it grows as the prior does. Fixing the
//! shape first ([`Kernels::gemm_over_m`], [`Kernels::experts`]) makes the inner call cheap.
//!
//! A shape that was not measured is *extrapolated*, and says so in [`Trust`].

use crate::base::units::{Bandwidth, Bytes, FlopRate, SimDuration};
use crate::kernels::profile::{CollectiveOp, Family, Precision, Profile};

pub mod basis;
pub mod curves;
pub mod devices;
pub mod evidence;
pub mod exchange;
pub mod experts;
pub mod gemm;
pub mod measurements;
pub mod precision;
pub mod profile;
pub mod ramp;
pub mod skew;
pub mod transfer;
pub mod unmeasured;

mod curve;
mod times;
pub use basis::{Basis, Part, Support, TimedBasis};
pub use curve::Curve;
pub use times::{ExpertsTimes, GemmTimes, LAWS};

use curves::Site;
use experts::{ExpertsPrior, ExpertsShape};

/// A GPU's data-sheet peaks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Device {
    /// Dense bf16 arithmetic, without sparsity.
    pub peak_bf16: FlopRate,
    /// Memory bandwidth.
    pub memory_bandwidth: Bandwidth,
    /// Streaming multiprocessors.
    pub sms: u32,
}

/// Where a prediction comes from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Trust {
    /// The shape was measured; sizes between measured ones are interpolated.
    Measured,
    /// The shape lies among measured ones: their residuals are kriged. The distance is to the
    /// nearest of them, in correlation lengths.
    Interpolated {
        /// Distance to the nearest measured shape, in correlation lengths.
        distance: f64,
    },
    /// The family's constants are another's: of another precision, kernel or number of GPUs.
    Borrowed,
}

/// Times of kernels on one device.
#[derive(Clone, Copy, Debug)]
pub struct Kernels<'p> {
    profile: &'p Profile,
    device: Device,
}

impl<'p> Kernels<'p> {
    /// The kernels that `profile` knows, on a device with these peaks.
    #[must_use]
    pub const fn new(profile: &'p Profile, device: Device) -> Self {
        Self { profile, device }
    }

    /// The device.
    #[must_use]
    pub const fn device(&self) -> &Device {
        &self.device
    }

    /// Times of a dense GEMM of M×K by K×N for any M.
    ///
    /// # Panics
    /// If the profile knows no GEMM at all; `config` lets no such profile through.
    #[must_use]
    pub fn gemm_over_m(&self, n: u32, k: u32, precision: impl Into<Precision>) -> GemmTimes {
        self.gemm_without(n, k, precision, |_, _| false)
    }

    /// As [`Self::gemm_over_m`], as if the measured (N, K) that `skip` names had never been.
    ///
    /// # Panics
    /// As [`Self::gemm_over_m`].
    #[must_use]
    pub fn gemm_without(
        &self,
        n: u32,
        k: u32,
        precision: impl Into<Precision>,
        skip: impl Fn(u32, u32) -> bool,
    ) -> GemmTimes {
        let precision = precision.into();
        let own = self.profile.gemm.get(&precision);
        let borrowed = own.is_none();
        let family = own.or_else(|| self.profile.gemm.values().next());
        let Some(family) = family else {
            panic!("profile {} knows no GEMM", self.profile.name);
        };
        GemmTimes::without(family, self.device, precision, (n, k), borrowed, skip)
    }

    /// Time of a dense GEMM of M×K by K×N. Nothing at all when a side is zero.
    #[must_use]
    pub fn gemm(&self, m: u32, n: u32, k: u32, precision: impl Into<Precision>) -> SimDuration {
        self.gemm_over_m(n, k, precision).time(m)
    }

    /// Times of the fused experts of one GPU for any counts, by the profile's kernel `source`, or
    /// by its first for the precision when `source` is none.
    ///
    /// # Panics
    /// If the profile knows no fused experts at all; `config` lets no such profile through.
    #[must_use]
    pub fn experts(
        &self,
        shape: ExpertsShape,
        precision: impl Into<Precision>,
        source: Option<&str>,
    ) -> ExpertsTimes {
        self.experts_without(shape, precision, source, |_| false)
    }

    /// As [`Self::experts`], as if the measured shapes that `skip` names had never been.
    ///
    /// # Panics
    /// As [`Self::experts`].
    #[must_use]
    pub fn experts_without(
        &self,
        shape: ExpertsShape,
        precision: impl Into<Precision>,
        source: Option<&str>,
        skip: impl Fn(&Site) -> bool,
    ) -> ExpertsTimes {
        let precision = precision.into();
        let own = self.experts_family(precision, source);
        let borrowed = own.is_none();
        let Some(family) = own.or_else(|| self.profile.experts.values().next()) else {
            panic!("profile {} knows no fused experts", self.profile.name);
        };
        ExpertsTimes::without(family, self.device, precision, shape, borrowed, skip)
    }

    /// The constants and residuals of a kernel, if the profile has them: of `source`, or of the
    /// first kernel for the precision. A kernel that was never measured in this precision is taken
    /// for another that was.
    #[must_use]
    pub fn experts_family(
        &self,
        precision: Precision,
        source: Option<&str>,
    ) -> Option<&'p Family<ExpertsPrior>> {
        let of = |source: Option<&str>| {
            let fits = |(name, p): &(String, Precision)| {
                *p == precision && source.is_none_or(|source| source == name)
            };
            self.profile.experts.iter().find(|(key, _)| fits(key)).map(|(_, family)| family)
        };
        of(source).or_else(|| of(None))
    }

    /// Time of the fused experts of one GPU given the slots of each: two grouped GEMMs, the
    /// activation, permute and weighted sum within the GPU.
    #[must_use]
    pub fn grouped_ffn(
        &self,
        slots_per_expert: &[u32],
        (hidden, inter): (u32, u32),
        top_k: u32,
        precision: impl Into<Precision>,
    ) -> SimDuration {
        let experts = slots_per_expert.len() as u32;
        let shape = ExpertsShape { hidden, inter, experts, top_k, gated: true };
        self.experts(shape, precision, None).time(slots_per_expert)
    }

    /// Time of `launches` kernels that move `bytes` through memory in all, reads and writes.
    #[must_use]
    pub fn memory_bound(&self, bytes: Bytes, launches: u32) -> SimDuration {
        let memory = &self.profile.memory;
        let rate = self.device.memory_bandwidth.scaled(memory.efficiency);
        memory.launch.times(launches.into()) + rate.time_for(bytes)
    }

    /// Time from launch to end of a kernel that does next to nothing.
    #[must_use]
    pub const fn launch(&self) -> SimDuration {
        self.profile.memory.launch
    }

    /// Time of a collective among `gpus` GPUs of one node, if the profile knows it. `bytes` is
    /// the message size as nccl-tests counts it: what one GPU holds before a reduce-scatter,
    /// all-reduce or all-to-all, and after an all-gather.
    #[must_use]
    pub fn collective(&self, op: CollectiveOp, gpus: u32, bytes: Bytes) -> Option<SimDuration> {
        let fit = self.profile.collectives.get(&op)?;
        Some(SimDuration::from_secs(fit.seconds(gpus, bytes.0 as f64)))
    }
}
