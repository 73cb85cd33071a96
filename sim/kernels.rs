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
//! What a time stands on (a measured shape, an interpolation, another family) is said by its [`Basis`].

use crate::base::units::{Bandwidth, Bytes, FlopRate, SimDuration};
use crate::kernels::profile::{CollectiveOp, Moved, Precision, Profile};

pub mod basis;
pub mod choice;
pub mod curves;
pub mod evidence;
pub mod exchange;
pub mod measured;
pub mod precision;
pub mod priors;
pub mod profile;
pub mod times;
pub mod unmeasured;

pub use basis::{Basis, Part, Support, TimedBasis};
pub use choice::{ExpertsAsk, ExpertsChoice, NoKernel};
pub use curves::curve;
pub use curves::curve::Curve;
pub use measured::{devices, floor, measurements};
pub use priors::{experts, gemm, ramp, skew};
pub use times::fused::{FusedTimes, LAWS};
pub use times::grouped::GroupedTimes;
pub use times::{GemmTimes, grouped};
pub use unmeasured::transfer;

use curves::Site;
use experts::ExpertsShape;

/// What a reading at this distance from the nearest measured shape stands on.
fn support_of(distance: f64) -> Support {
    if distance == 0.0 {
        Support::Measured
    } else if distance.is_infinite() {
        Support::Extrapolated { beyond: "no shape was measured".to_owned() }
    } else {
        Support::Interpolated { distance }
    }
}

/// A GPU's data-sheet peaks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Device {
    /// Dense bf16 arithmetic, without sparsity.
    pub peak_bf16: FlopRate,
    /// Dense fp8 arithmetic, where the GPU has the unit.
    pub peak_fp8: Option<FlopRate>,
    /// Memory bandwidth.
    pub memory_bandwidth: Bandwidth,
    /// Streaming multiprocessors.
    pub sms: u32,
}

impl Device {
    /// Peak arithmetic in a format; 8-bit numbers without a unit for them are multiplied as bf16
    /// (configuration refuses such workloads).
    #[must_use]
    pub fn peak(&self, precision: Precision) -> FlopRate {
        match precision {
            Precision::Bf16 => self.peak_bf16,
            Precision::Fp8 | Precision::Fp8Block => self.peak_fp8.unwrap_or(self.peak_bf16),
        }
    }

    /// Whether the other is the same chip by the data sheets: as many multiprocessors, arithmetic and memory.
    #[must_use]
    pub fn is_chip_of(&self, other: &Self) -> bool {
        let near = |ratio: f64| ratio.ln().abs() < SAME_PEAK;
        self.sms == other.sms
            && near(self.peak_bf16.flops_per_sec() / other.peak_bf16.flops_per_sec())
            && near(self.memory_bandwidth.bytes_per_sec() / other.memory_bandwidth.bytes_per_sec())
    }
}

/// Peaks this near are one chip's, rounded by two data sheets.
const SAME_PEAK: f64 = 0.01;

/// Times of the experts of one GPU, by the slots of each.
#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant, reason = "a run holds one")]
pub enum ExpertsTimes {
    /// By a fused kernel with a table of its own.
    Fused(FusedTimes),
    /// By grouped GEMMs, derived from dense ones.
    Grouped(Box<GroupedTimes>),
}

impl ExpertsTimes {
    /// Time for these slots of each expert, in seconds; zero without slots.
    #[must_use]
    pub fn seconds(&self, slots_per_expert: &[u32]) -> f64 {
        match self {
            Self::Fused(times) => times.seconds(slots_per_expert),
            Self::Grouped(times) => times.seconds(slots_per_expert),
        }
    }

    /// Time for these slots of each expert.
    #[must_use]
    pub fn time(&self, slots_per_expert: &[u32]) -> SimDuration {
        SimDuration::from_secs(self.seconds(slots_per_expert))
    }

    /// The same in its parts.
    #[must_use]
    pub fn parts(&self, slots_per_expert: &[u32]) -> ExpertsTime {
        let all = self.time(slots_per_expert);
        let moved = match self {
            Self::Fused(_) => SimDuration::ZERO,
            Self::Grouped(times) => times.moved_time(slots_per_expert).min(all),
        };
        ExpertsTime { products: all.saturating_sub(moved), moved }
    }
}

/// What the experts of one GPU take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExpertsTime {
    /// Products; where a kernel does all at once, all of it.
    pub products: SimDuration,
    /// Kernels of their own that only move memory: the activation, and putting rows in the order of experts.
    pub moved: SimDuration,
}

impl ExpertsTime {
    /// The whole time.
    #[must_use]
    pub fn total(self) -> SimDuration {
        self.products + self.moved
    }

    /// Both scaled.
    #[must_use]
    pub fn scaled(self, factor: f64) -> Self {
        Self { products: self.products.scaled(factor), moved: self.moved.scaled(factor) }
    }
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
    pub fn gemm_over_m(&self, n: u32, k: u32, precision: Precision) -> GemmTimes {
        self.dense(n, k, &[precision])
    }

    /// As [`Self::gemm_over_m`], in the first of these formats that the profile has; if it has none,
    /// with the constants of another, which [`Support::Borrowed`] then names.
    ///
    /// # Panics
    /// As [`Self::gemm_over_m`].
    #[must_use]
    pub fn dense(&self, n: u32, k: u32, formats: &[Precision]) -> GemmTimes {
        let (precision, borrowed) = self.dense_format(formats);
        match (self.profile.gemm.get(&precision), borrowed) {
            (Some(family), None) => times::known::dense(family, self.device, precision, (n, k)),
            _ => self.dense_without(n, k, formats, |_, _| false),
        }
    }

    /// As [`Self::dense`], as if the measured (N, K) that `skip` names had never been.
    ///
    /// # Panics
    /// As [`Self::gemm_over_m`].
    #[must_use]
    pub fn dense_without(
        &self,
        n: u32,
        k: u32,
        formats: &[Precision],
        skip: impl Fn(u32, u32) -> bool,
    ) -> GemmTimes {
        let (precision, borrowed) = self.dense_format(formats);
        let Some(family) = self.profile.gemm.get(&borrowed.unwrap_or(precision)) else {
            panic!("profile {} knows no GEMM", self.profile.name);
        };
        GemmTimes::without(family, self.device, precision, (n, k), borrowed, skip)
    }

    /// The format that dense products are computed in, and the one whose constants are borrowed where
    /// the profile has none of `formats`: the bf16 ones before others.
    #[must_use]
    pub fn dense_format(&self, formats: &[Precision]) -> (Precision, Option<Precision>) {
        let has = |precision: &&Precision| self.profile.gemm.contains_key(precision);
        if let Some(own) = formats.iter().find(has) {
            return (*own, None);
        }
        let others = [Precision::Bf16, Precision::Fp8Block, Precision::Fp8];
        let other = others.iter().find(has).copied().unwrap_or(Precision::Bf16);
        (formats.first().copied().unwrap_or(other), Some(other))
    }

    /// Time of a dense GEMM of M×K by K×N. Nothing at all when a side is zero.
    #[must_use]
    pub fn gemm(&self, m: u32, n: u32, k: u32, precision: Precision) -> SimDuration {
        self.gemm_over_m(n, k, precision).time(m)
    }

    /// Times of the experts of one GPU by a kernel, for any counts.
    #[must_use]
    pub fn experts(&self, choice: ExpertsChoice<'p>, shape: ExpertsShape) -> ExpertsTimes {
        self.experts_without(choice, shape, |_| false)
    }

    /// As [`Self::experts`], as if the measured shapes of a fused kernel that `skip` names had never
    /// been.
    #[must_use]
    pub fn experts_without(
        &self,
        choice: ExpertsChoice<'p>,
        shape: ExpertsShape,
        skip: impl Fn(&Site) -> bool,
    ) -> ExpertsTimes {
        match choice {
            ExpertsChoice::Fused { family, precision, .. } => ExpertsTimes::Fused(
                FusedTimes::without(family, self.device, precision, shape, skip),
            ),
            ExpertsChoice::Grouped { family, precision } => {
                let memory = &self.profile.memory;
                let rate = self.device.memory_bandwidth.scaled(memory.efficiency).bytes_per_sec();
                let moves = (rate, memory.launch);
                ExpertsTimes::Grouped(Box::new(GroupedTimes::new(
                    family,
                    (self.device, precision),
                    shape,
                    moves,
                )))
            }
        }
    }

    /// What the times of a kernel stand on, for this many slots of even experts.
    #[must_use]
    pub fn experts_basis(
        &self,
        choice: ExpertsChoice<'p>,
        times: &ExpertsTimes,
        (shape, slots): (ExpertsShape, u64),
    ) -> Basis {
        let name = format!("{} {}", choice.kernel(), choice.precision().short());
        let transferred = choice.evidence().transferred_from();
        let support = match (choice, times) {
            _ if transferred.is_some() => Support::borrowed(transferred),
            (ExpertsChoice::Fused { family, .. }, ExpertsTimes::Fused(times)) => choice::beyond(
                family, shape, slots,
            )
            .map_or_else(|| times.support().clone(), |beyond| Support::Extrapolated { beyond }),
            (_, ExpertsTimes::Grouped(times)) => Support::Derived { from: times.source() },
            (ExpertsChoice::Grouped { .. }, ExpertsTimes::Fused(times)) => times.support().clone(),
        };
        Basis { part: Part::Experts, name, support }
    }

    /// What kernels that only move memory stand on.
    #[must_use]
    pub fn memory_basis(&self) -> Basis {
        let evidence = &self.profile.memory.evidence;
        let support = match evidence.transferred_from() {
            None if evidence.rows > 0 => Support::Measured,
            None => Support::Published,
            from => Support::borrowed(from),
        };
        Basis { part: Part::Memory, name: "memory-bound kernels".to_owned(), support }
    }

    /// The profile.
    #[must_use]
    pub const fn profile(&self) -> &'p Profile {
        self.profile
    }

    /// Time of `launches` kernels that move `bytes` through memory in all, reads and writes.
    #[must_use]
    pub fn memory_bound(&self, bytes: Bytes, launches: u32) -> SimDuration {
        let memory = &self.profile.memory;
        let rate = self.device.memory_bandwidth.scaled(memory.efficiency);
        memory.launch.times(launches.into()) + rate.time_for(bytes)
    }

    /// Time of kernels of a layer that mostly move memory: of each as it was measured, of those that were not
    /// together as by [`Self::memory_bound`].
    #[must_use]
    pub fn moved(&self, parts: &[Moved]) -> SimDuration {
        let (mut time, mut rest, mut launches) = (SimDuration::ZERO, Bytes(0), 0);
        for part in parts.iter().filter(|part| part.bytes.0 > 0) {
            let own = part.kernel.launches();
            match self.profile.memory.own_factor(*part) {
                Some(factor) => time += self.memory_bound(part.bytes, own).scaled(factor),
                None => (rest.0, launches) = (rest.0 + part.bytes.0, own.max(launches)),
            }
        }
        if rest.0 > 0 { time + self.memory_bound(rest, launches) } else { time }
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

    /// The same in two parts: what it takes however few bytes, and what it takes in proportion to them.
    #[must_use]
    pub fn collective_parts(
        &self,
        op: CollectiveOp,
        gpus: u32,
        bytes: Bytes,
    ) -> Option<[SimDuration; 2]> {
        let fit = self.profile.collectives.get(&op)?;
        Some(fit.parts(gpus, bytes.0 as f64).map(SimDuration::from_secs))
    }
}
