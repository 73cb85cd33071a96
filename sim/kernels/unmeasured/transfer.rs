//! A GPU known by a few dozen of its own GEMM timings, as a known GPU that runs faster or slower.
//!
//! What kernels do with a machine (tiles, waves, caches, what a library was tuned for) carries over
//! from a GPU that was measured, the *donor*, far better than times do. So a new GPU is the donor with
//! three factors, each the median ratio over the timings that it governs,
//!
//! ```text
//!   l = median t_own / t_donor     over tiny products, which only launch                       (1)
//!   b = median t_donor / t_own     over products of few rows, which read weights               (2)
//!   c = median t_donor / t_own     over large products, which compute                          (3)
//! ```
//!
//! on launch times, on the data sheet's memory bandwidth and on its peak arithmetic. As every
//! family's constants are shares of those peaks, the factors reach experts and memory-bound kernels
//! that were never timed on the new GPU. Among donors the one whose GEMMs, so scaled, come nearest to
//! the timings is taken; [`crate::kernels::unmeasured`] lets the others have a say. Left out: anything that a new
//! architecture does in another way.

use crate::base::hashes::scatter_key;
use crate::base::statistics::{Rule, quantile};
use crate::base::units::FlopRate;
use crate::kernels::gemm::GemmPrior;
use crate::kernels::measurements::GemmRow;
use crate::kernels::profile::{Precision, Profile};
use crate::kernels::{Device, Kernels};

/// How a device differs from a donor.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scales {
    /// l: launch times as a multiple of the donor's.
    pub launch: f64,
    /// b: memory bandwidth as a multiple of the donor's.
    pub memory: f64,
    /// c: arithmetic as a multiple of the donor's.
    pub compute: f64,
}

impl Scales {
    /// No difference.
    pub const NONE: Self = Self { launch: 1.0, memory: 1.0, compute: 1.0 };

    /// As the peaks of two data sheets differ, with launches alike.
    #[must_use]
    pub fn of_peaks(own: &Device, donor: &Device) -> Self {
        Self {
            launch: 1.0,
            memory: own.memory_bandwidth.bytes_per_sec() / donor.memory_bandwidth.bytes_per_sec(),
            compute: own.peak_bf16.flops_per_sec() / donor.peak_bf16.flops_per_sec(),
        }
    }

    /// How far two data sheets are apart: |ln| of arithmetic and of memory, added.
    fn distance(self) -> f64 {
        self.memory.ln().abs() + self.compute.ln().abs()
    }
}

/// The least error that tells donors apart: a few dozen timings do not measure closer than this.
pub const CLOSEST: f64 = 0.01;

/// Timings of each kind that are used: a handful.
const EACH: usize = 12;

/// What a timing is governed by.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Governs {
    Launch,
    Memory,
    Compute,
}

impl Governs {
    fn of(row: &GemmRow) -> Option<Self> {
        let [m, n, k] = [row.m, row.n, row.k].map(u64::from);
        if m <= 16 && n <= 64 && k <= 64 {
            return Some(Self::Launch);
        }
        if m <= 16 && n.saturating_mul(k) >= 50_000_000 {
            return Some(Self::Memory);
        }
        (m >= 1024 && n >= 1024 && k >= 1024).then_some(Self::Compute)
    }
}

/// A handful of bf16 timings, a dozen of each kind at most, scattered over those given.
#[must_use]
pub fn sample_timings(rows: &[GemmRow]) -> Vec<GemmRow> {
    let mut scattered: Vec<&GemmRow> =
        rows.iter().filter(|row| row.precision == Precision::Bf16).collect();
    scattered.sort_by_key(|row| (scatter_key(&[row.m, row.n, row.k]), row.m, row.n, row.k));
    let of = |kind| {
        scattered.iter().filter(move |row| Governs::of(row) == Some(kind)).take(EACH).copied()
    };
    let kinds = [Governs::Launch, Governs::Memory, Governs::Compute];
    kinds.into_iter().flat_map(of).copied().collect()
}

/// The factors (1) to (3) of these timings against `donor`, and the median |log error| that is left.
///
/// `peaks` are the new device's where they are known. A kind that no timing is of takes their ratio to
/// the donor's, launches the factor 1. None without timings.
#[must_use]
pub fn scales(
    donor: &Profile,
    peaks: Option<&Device>,
    timings: &[GemmRow],
) -> Option<(Scales, f64)> {
    if timings.is_empty() {
        return None;
    }
    let sms = peaks.map(|peaks| peaks.sms);
    let timed = |kind| timings.iter().any(|row| Governs::of(row) == Some(kind));
    let mut scales = peaks.map_or(Scales::NONE, |peaks| Scales::of_peaks(peaks, &donor.data_sheet));
    if timed(Governs::Memory) {
        scales.memory = 1.0;
    }
    if timed(Governs::Compute) {
        scales.compute = 1.0;
    }
    // Launch shows in all timings, memory in large products: three rounds settle them.
    for _ in 0..3 {
        for kind in [Governs::Launch, Governs::Memory, Governs::Compute] {
            let errors = log_errors(donor, sms, scales, timings, Some(kind));
            let Some(off) = median(errors) else { continue };
            match kind {
                Governs::Launch => scales.launch *= off.exp(),
                Governs::Memory => scales.memory /= off.exp(),
                Governs::Compute => scales.compute /= off.exp(),
            }
        }
    }
    let errors = log_errors(donor, sms, scales, timings, None);
    let left = median(errors.into_iter().map(f64::abs).collect())?;
    Some((scales, left))
}

/// `ln(measured / predicted)` of timings of one kind, or of all.
fn log_errors(
    donor: &Profile,
    sms: Option<u32>,
    scales: Scales,
    timings: &[GemmRow],
    kind: Option<Governs>,
) -> Vec<f64> {
    let profile = scaled_profile(donor, sms, scales);
    let kernels = Kernels::new(&profile, profile.data_sheet);
    let of = timings.iter().filter(|row| kind.is_none() || Governs::of(row) == kind);
    of.map(|row| {
        let predicted = kernels.gemm_over_m(row.n, row.k, row.precision).seconds(row.m);
        (row.seconds / predicted).ln()
    })
    .collect()
}

/// The median of those that are finite.
fn median(mut values: Vec<f64>) -> Option<f64> {
    values.retain(|v| v.is_finite());
    quantile(&values, 0.5, Rule::Middle)
}

/// The donor's kernels on a device that differs from it by `scales`.
#[must_use]
pub fn scaled_profile(donor: &Profile, sms: Option<u32>, scales: Scales) -> Profile {
    let mut profile = donor.clone();
    let from = donor.data_sheet;
    profile.data_sheet = Device {
        peak_bf16: FlopRate::from_flops_per_sec(from.peak_bf16.flops_per_sec() * scales.compute),
        peak_fp8: from.peak_fp8.map(|peak| peak.scaled(scales.compute)),
        memory_bandwidth: from.memory_bandwidth.scaled(scales.memory),
        sms: sms.unwrap_or(from.sms),
    };
    for family in profile.gemm.values_mut() {
        family.prior.launch_s *= scales.launch;
    }
    for family in profile.experts.values_mut() {
        family.prior.launch_s *= scales.launch;
    }
    profile.memory.launch = profile.memory.launch.scaled(scales.launch);
    profile
}

/// The best share of peak that products reach where loads hide: what [`balanced`] tends to.
const UNHINDERED: f64 = 0.95;

/// A profile carried to a device with `ratio` times the arithmetic of each multiprocessor, whose other
/// parts are as fast as the donor's.
///
/// What keeps tiles from the peak are loads, which take as long as they did, by clock, while arithmetic
/// takes 1/ratio as long: shares of peak do not carry over to parts that are balanced otherwise. An H20
/// has a quarter of the H100's arithmetic in each multiprocessor and nearly hides its loads. With η₀ the
/// share where nothing hinders,
///
/// ```text
///   i_half' = ratio · i_half              for GEMMs, η∞ kept      (4)
/// ```
///
/// The constants of experts keep loads and arithmetic apart ([`crate::kernels::experts`], equation 2) and carry over as they
/// are.
///
/// Clocks are taken as equal, as data sheets of one architecture are within 10 %.
pub fn balanced(profile: &mut Profile, ratio: f64) {
    for prior in profile.gemm.values_mut().map(|family| &mut family.prior) {
        let boundless = prior.compute_efficiency * (128.0 + prior.half_intensity) / 128.0;
        let most = prior.compute_efficiency.max(UNHINDERED);
        prior.half_intensity *= ratio;
        let share = boundless * 128.0 / (128.0 + prior.half_intensity);
        prior.compute_efficiency = share.min(most);
    }
}

/// The same times as shares of other peaks; the number of multiprocessors must not change.
///
/// # Panics
/// If it does: waves depend on it.
pub fn rebase_to_peaks(profile: &mut Profile, peaks: Device) {
    let from = profile.data_sheet;
    assert_eq!(from.sms, peaks.sms, "multiprocessors of {}", profile.name);
    let compute = from.peak_bf16.flops_per_sec() / peaks.peak_bf16.flops_per_sec();
    // Efficiencies in fp8 keep referring to the same multiple of the bf16 peak.
    let peak_fp8 = from.peak_fp8.map(|peak| peak.scaled(1.0 / compute));
    profile.data_sheet = Device { peak_fp8, ..peaks };
    let memory = from.memory_bandwidth.bytes_per_sec() / peaks.memory_bandwidth.bytes_per_sec();
    for GemmPrior { compute_efficiency, memory_efficiency, .. } in
        profile.gemm.values_mut().map(|family| &mut family.prior)
    {
        *compute_efficiency *= compute;
        *memory_efficiency *= memory;
    }
    for prior in profile.experts.values_mut().map(|family| &mut family.prior) {
        prior.small_efficiency *= compute;
        prior.large_efficiency *= compute;
        prior.cache_bandwidth *= memory;
        prior.memory_efficiency *= memory;
        prior.traffic_efficiency *= memory;
    }
    profile.memory.efficiency *= memory;
}

/// A known device beside one that is not, and how the latter's timings compare.
#[derive(Clone, Copy, Debug)]
pub struct Donor<'p> {
    /// The known device.
    pub profile: &'p Profile,
    /// The factors (1) to (3).
    pub scales: Scales,
    /// The median |log error| of the timings that is left.
    pub left: f64,
}

/// All `donors` with the factors that these timings give, the nearest once scaled first, and among those that
/// the timings do not tell apart the one with the nearest peaks; none without timings.
#[must_use]
pub fn by_nearness<'p>(
    donors: &'p [Profile],
    peaks: Option<&Device>,
    timings: &[GemmRow],
) -> Vec<Donor<'p>> {
    let scaled = donors.iter().filter_map(|profile| {
        let (scales, left) = scales(profile, peaks, timings)?;
        Some(Donor { profile, scales, left })
    });
    let mut found: Vec<Donor<'p>> = scaled.collect();
    let apart = |donor: &Donor<'_>| {
        peaks.map_or(0.0, |own| Scales::of_peaks(own, &donor.profile.data_sheet).distance())
    };
    found.sort_by(|a, b| {
        let errors = a.left.max(CLOSEST).total_cmp(&b.left.max(CLOSEST));
        errors.then(apart(a).total_cmp(&apart(b)))
    });
    found
}
