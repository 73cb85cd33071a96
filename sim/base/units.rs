//! Quantities with their units: integer picoseconds, bytes, rates, and the ids of things.
//!
//! Files write units (`"450 GB/s"`, `"2 us"`), code has types, and data becomes time in one
//! place, [`Bandwidth::time_for`] and [`SimDuration::from_secs`], rounding **up**, so that a
//! transfer never ends before its last byte. Prefixes are decimal as on data sheets
//! (1 GB = 10⁹ B); `KiB`, `MiB`, `GiB` are the binary ones; `Gb` is bits, `GB` is bytes.
//!
//! Time is `u64` picoseconds: 213 days at most. Arithmetic saturates at that end instead of
//! wrapping; a run whose clock reaches it is reported as too long, never as a number.

use std::fmt;
use std::ops::{Add, AddAssign, Sub};

mod quantity;
pub use quantity::{Quantity, QuantityError, parse_quantity};

const PS_PER_SEC: f64 = 1e12;

/// An instant of simulated time, in picoseconds since the start of the run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SimTime(u64);

/// A length of simulated time, in picoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SimDuration(u64);

impl SimTime {
    /// The start of every run.
    pub const ZERO: Self = Self(0);
    /// The end of representable time (213 days); reaching it means "too long to simulate".
    pub const MAX: Self = Self(u64::MAX);

    /// The instant `ps` picoseconds after the start.
    #[must_use]
    pub const fn from_ps(ps: u64) -> Self {
        Self(ps)
    }

    /// Picoseconds since the start.
    #[must_use]
    pub const fn ps(self) -> u64 {
        self.0
    }

    /// Time elapsed since the start of the run.
    #[must_use]
    pub const fn since_start(self) -> SimDuration {
        SimDuration(self.0)
    }
}

impl SimDuration {
    /// No time at all.
    pub const ZERO: Self = Self(0);
    /// The longest representable duration (213 days).
    pub const MAX: Self = Self(u64::MAX);

    /// A duration of `ps` picoseconds.
    #[must_use]
    pub const fn from_ps(ps: u64) -> Self {
        Self(ps)
    }

    /// A duration of `secs` seconds, rounded up to a picosecond, saturating at [`Self::MAX`].
    ///
    /// # Panics
    /// If `secs` is negative or not a number: a cost model is broken.
    #[must_use]
    pub fn from_secs(secs: f64) -> Self {
        assert!(secs >= 0.0, "a duration of {secs} s");
        // `as` saturates: an infinite or huge value becomes `u64::MAX`.
        Self(up(secs * PS_PER_SEC))
    }

    /// A duration of `us` microseconds, rounded up to a picosecond.
    #[must_use]
    pub fn from_us(us: f64) -> Self {
        Self::from_secs(us * 1e-6)
    }

    /// The length in picoseconds.
    #[must_use]
    pub const fn ps(self) -> u64 {
        self.0
    }

    /// The length in seconds.
    #[must_use]
    pub fn secs(self) -> f64 {
        self.0 as f64 / PS_PER_SEC
    }

    /// The length in milliseconds.
    #[must_use]
    pub fn ms(self) -> f64 {
        self.0 as f64 / 1e9
    }

    /// The length in microseconds.
    #[must_use]
    pub fn us(self) -> f64 {
        self.0 as f64 / 1e6
    }

    /// This duration less `other`, or zero.
    #[must_use]
    pub const fn saturating_sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// This duration `count` times over, saturating.
    #[must_use]
    pub const fn times(self, count: u64) -> Self {
        Self(self.0.saturating_mul(count))
    }

    /// A duration `factor` times as long, rounded up to a picosecond.
    ///
    /// # Panics
    /// If the factor is negative or NaN.
    #[must_use]
    pub fn scaled(self, factor: f64) -> Self {
        assert!(factor >= 0.0, "a duration {factor} times as long");
        Self(up(self.0 as f64 * factor))
    }
}

/// The least whole number that is no less, where `ceil` is a call on processors that may lack the instruction.
fn up(x: f64) -> u64 {
    let whole = x as u64;
    whole.saturating_add(u64::from((whole as f64) < x))
}

impl Add<SimDuration> for SimTime {
    type Output = Self;
    fn add(self, by: SimDuration) -> Self {
        Self(self.0.saturating_add(by.0))
    }
}

impl AddAssign<SimDuration> for SimTime {
    fn add_assign(&mut self, by: SimDuration) {
        *self = *self + by;
    }
}

impl Sub for SimTime {
    type Output = SimDuration;
    /// Time from `earlier` to `self`.
    ///
    /// # Panics
    /// If `earlier` is later: the clock ran backwards.
    fn sub(self, earlier: Self) -> SimDuration {
        assert!(earlier <= self, "the clock ran backwards: from {earlier} to {self}");
        SimDuration(self.0 - earlier.0)
    }
}

impl Add for SimDuration {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl AddAssign for SimDuration {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl std::iter::Sum for SimDuration {
    fn sum<I: Iterator<Item = Self>>(parts: I) -> Self {
        parts.fold(Self::ZERO, Add::add)
    }
}

impl fmt::Display for SimTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.since_start().fmt(f)
    }
}

impl fmt::Display for SimDuration {
    /// Four significant figures in the largest unit that keeps the number at or above one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ps = self.0 as f64;
        let (value, unit) = match self.0 {
            0..1_000 => return write!(f, "{} ps", self.0),
            1_000..1_000_000 => (ps / 1e3, "ns"),
            1_000_000..1_000_000_000 => (ps / 1e6, "us"),
            1_000_000_000..1_000_000_000_000 => (ps / 1e9, "ms"),
            _ => (ps / 1e12, "s"),
        };
        let decimals = 3 - (value.log10().floor() as i32).clamp(0, 3);
        write!(f, "{value:.*} {unit}", decimals as usize)
    }
}

/// A number of bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bytes(pub u64);

impl Add for Bytes {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl AddAssign for Bytes {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

/// Bytes per second of one direction of a link, or given to a flow. Positive and finite.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Bandwidth(f64);

impl Bandwidth {
    /// A bandwidth of `rate` bytes per second.
    ///
    /// # Panics
    /// If `rate` is not positive and finite. Check what users write before coming here.
    #[must_use]
    pub fn from_bytes_per_sec(rate: f64) -> Self {
        assert!(rate > 0.0 && rate.is_finite(), "a bandwidth of {rate} B/s");
        Self(rate)
    }

    /// Bytes per second.
    #[must_use]
    pub const fn bytes_per_sec(self) -> f64 {
        self.0
    }

    /// Gigabytes (10⁹ bytes) per second.
    #[must_use]
    pub fn gb_per_sec(self) -> f64 {
        self.0 / 1e9
    }

    /// How long `bytes` take at this rate, rounded up: `t = S / B`.
    #[must_use]
    pub fn time_for(self, bytes: Bytes) -> SimDuration {
        SimDuration::from_secs(bytes.0 as f64 / self.0)
    }

    /// This bandwidth scaled by a positive, finite factor.
    #[must_use]
    pub fn scaled(self, factor: f64) -> Self {
        Self::from_bytes_per_sec(self.0 * factor)
    }
}

/// Floating-point operations per second. Positive and finite.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct FlopRate(f64);

impl FlopRate {
    /// A rate of `rate` floating-point operations per second.
    ///
    /// # Panics
    /// If `rate` is not positive and finite.
    #[must_use]
    pub fn from_flops_per_sec(rate: f64) -> Self {
        assert!(rate > 0.0 && rate.is_finite(), "a rate of {rate} FLOP/s");
        Self(rate)
    }

    /// Floating-point operations per second.
    #[must_use]
    pub const fn flops_per_sec(self) -> f64 {
        self.0
    }

    /// `factor` times this rate.
    #[must_use]
    pub fn scaled(self, factor: f64) -> Self {
        Self::from_flops_per_sec(self.0 * factor)
    }
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u32);

        impl $name {
            /// The id as an index into tables of these.
            #[must_use]
            pub const fn index(self) -> usize {
                self.0 as usize
            }
        }
    };
}

id! {
    /// A GPU, numbered from 0 through the cluster, node by node.
    GpuId
}
id! {
    /// One direction of one link.
    LinkId
}
id! {
    /// An FFN expert of a layer, numbered from 0.
    ExpertId
}
id! {
    /// A flow: bytes on their way from one GPU to another.
    FlowId
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_becomes_time_rounding_up() {
        let slow = Bandwidth::from_bytes_per_sec(3.0);
        assert_eq!(slow.time_for(Bytes(1)).ps(), 333_333_333_334);
        assert_eq!(slow.time_for(Bytes(0)), SimDuration::ZERO);
    }

    #[test]
    fn the_clock_saturates_instead_of_wrapping() {
        assert_eq!(SimTime::MAX + SimDuration::from_ps(1), SimTime::MAX);
        assert_eq!(SimDuration::from_secs(1e300), SimDuration::MAX);
        assert_eq!(SimDuration::MAX.times(3), SimDuration::MAX);
    }

    #[test]
    fn durations_print_four_figures() {
        for (ps, text) in [
            (7, "7 ps"),
            (1_234, "1.234 ns"),
            (12_340_000, "12.34 us"),
            (535_300_000_000, "535.3 ms"),
            (2_000_000_000_000, "2.000 s"),
        ] {
            assert_eq!(SimDuration::from_ps(ps).to_string(), text);
        }
    }
}
