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
//!
//! Between numbers of GPUs n₀ < n < n₁ that were measured,
//!
//! ```text
//!   a, c, S0:  linear in n − 1                                                  (2)
//!   ln B:      linear in 1 − 1/n, the share of bytes that leave a GPU           (3)
//! ```
//!
//! (2) is how NCCL itself reckons: n − 1 hops of one latency in a ring within a node, twice that in an
//! all-reduce, and a threshold of the low-latency protocol that grows with the ranks (the same source).
//!
//! (3) is the law of a switch, which gives every GPU its own way. Where GPUs cannot reach each other's memory
//! over PCI Express (no *peer-to-peer*), every byte goes through the host's memory and all flows share it: what
//! a GPU gets falls with a power of how many there are, and with it the sizes at which the ramp rises,
//!
//! ```text
//!   ln a, ln B, ln c, ln S0:  linear in ln n                                    (4)
//! ```
//!
//! No table here has three numbers of GPUs, so neither law could be judged between the two it is fitted to:
//! intervals of such numbers say what leaving out one of two costs, in proportion of doublings.

use crate::base::units::{Bandwidth, Bytes, SimDuration};

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

    /// The constants between two ramps: `hops` of the way in start-up and ramp by (2), `remote` of the way
    /// in the logarithm of the rate by (3).
    #[must_use]
    pub fn between(&self, other: &Self, hops: f64, remote: f64) -> Self {
        let mix = |a: f64, b: f64| a + (b - a) * hops;
        let time = |a: SimDuration, b: SimDuration| SimDuration::from_secs(mix(a.secs(), b.secs()));
        let (here, there) = (self.bandwidth.bytes_per_sec(), other.bandwidth.bytes_per_sec());
        let rate = here.powf(1.0 - remote) * there.powf(remote);
        Self {
            alpha: time(self.alpha, other.alpha),
            bandwidth: Bandwidth::from_bytes_per_sec(rate),
            ramp: time(self.ramp, other.ramp),
            ramp_bytes: Bytes(mix(self.ramp_bytes.0 as f64, other.ramp_bytes.0 as f64) as u64),
        }
    }
}

impl Ramp {
    /// The constants between two ramps of a shared host, by (4).
    #[must_use]
    pub fn between_shared(&self, other: &Self, share: f64) -> Self {
        let mix = |a: f64, b: f64| {
            if a > 0.0 && b > 0.0 {
                a.powf(1.0 - share) * b.powf(share)
            } else {
                a + (b - a) * share
            }
        };
        let time = |a: SimDuration, b: SimDuration| SimDuration::from_secs(mix(a.secs(), b.secs()));
        let rate = mix(self.bandwidth.bytes_per_sec(), other.bandwidth.bytes_per_sec());
        Self {
            alpha: time(self.alpha, other.alpha),
            bandwidth: Bandwidth::from_bytes_per_sec(rate),
            ramp: time(self.ramp, other.ramp),
            ramp_bytes: Bytes(mix(self.ramp_bytes.0 as f64, other.ramp_bytes.0 as f64) as u64),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flows_that_share_a_host_take_the_geometric_mean_between() {
        let ramp = |alpha: u64, gb: f64| Ramp {
            alpha: SimDuration::from_ps(alpha),
            bandwidth: Bandwidth::from_bytes_per_sec(gb * 1e9),
            ramp: SimDuration::from_ps(alpha),
            ramp_bytes: Bytes(alpha),
        };
        let four = ramp(1_000_000, 16.0).between_shared(&ramp(4_000_000, 1.0), 0.5);
        assert!((four.bandwidth.gb_per_sec() - 4.0).abs() < 1e-9);
        assert!(
            four.alpha.ps().abs_diff(2_000_000) <= 1 && four.ramp_bytes.0.abs_diff(2_000_000) <= 1
        );
    }

    /// 2 and 8 GPUs measured: 4 are a third of the hops on, and two thirds of the share of bytes.
    #[test]
    fn between_measured_numbers_latencies_follow_hops_and_rates_bytes_that_leave() {
        let ramp = |alpha: u64, gb: f64, ramp: u64, bytes: u64| Ramp {
            alpha: SimDuration::from_ps(alpha * 1_000_000),
            bandwidth: Bandwidth::from_bytes_per_sec(gb * 1e9),
            ramp: SimDuration::from_ps(ramp * 1_000_000),
            ramp_bytes: Bytes(bytes),
        };
        let four =
            ramp(6, 100.0, 9, 3_000).between(&ramp(12, 800.0, 18, 9_000), 1.0 / 3.0, 2.0 / 3.0);
        assert!((four.alpha.us() - 8.0).abs() < 1e-5 && (four.ramp.us() - 12.0).abs() < 1e-5);
        assert!((four.bandwidth.gb_per_sec() - 400.0).abs() < 1e-6);
        assert!(four.ramp_bytes.0.abs_diff(5_000) <= 1);
    }
}
