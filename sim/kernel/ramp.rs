//! A collective within a node: start-up, a ramp, and a rate.
//!
//! With S bytes that one GPU sends to others,
//!
//! ```text
//!   T = a + S/B + c·(1 − e^(−S/S0))                                             (1)
//! ```
//!
//! The ramp c is the cost of leaving the low-latency protocol and of bringing up all channels,
//! reached around S0 [nccl, src/graph/tuning.cc]. The plain α + S/B, which is (1) with c = 0, is
//! off by a median of 11 to 21 % over 512 B to 512 MB, (1) by 4 to 6 %.

use crate::units::{Bandwidth, Bytes, SimDuration};

/// The constants of (1).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ramp {
    /// a.
    pub alpha: SimDuration,
    /// B, of one GPU in one direction.
    pub bandwidth: Bandwidth,
    /// c.
    pub ramp: SimDuration,
    /// S0.
    pub ramp_bytes: Bytes,
}

impl Ramp {
    /// The time of (1) for `sent` bytes that one GPU sends to others, in seconds.
    #[must_use]
    pub fn seconds(&self, sent: f64) -> f64 {
        let ramped = 1.0 - (-sent / (self.ramp_bytes.0 as f64).max(1.0)).exp();
        self.alpha.secs() + sent / self.bandwidth.bytes_per_sec() + self.ramp.secs() * ramped
    }

    /// The time of (1), as a duration.
    #[must_use]
    pub fn time(&self, sent: Bytes) -> SimDuration {
        SimDuration::from_secs(self.seconds(sent.0 as f64))
    }

    /// The constants between two ramps, `share` of the way in logarithms; beyond them if needed.
    #[must_use]
    pub fn between(&self, other: &Self, share: f64) -> Self {
        let mix = |a: f64, b: f64| a.max(1e-12).powf(1.0 - share) * b.max(1e-12).powf(share);
        let time = |a: SimDuration, b: SimDuration| SimDuration::from_secs(mix(a.secs(), b.secs()));
        let (here, there) = (self.bandwidth.bytes_per_sec(), other.bandwidth.bytes_per_sec());
        let (s0, s1) = (self.ramp_bytes.0 as f64, other.ramp_bytes.0 as f64);
        Self {
            alpha: time(self.alpha, other.alpha),
            bandwidth: Bandwidth::from_bytes_per_sec(mix(here, there)),
            ramp: time(self.ramp, other.ramp),
            ramp_bytes: Bytes(mix(s0, s1) as u64),
        }
    }
}
