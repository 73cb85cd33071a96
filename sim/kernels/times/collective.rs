//! Times of collectives within a node, for numbers of GPUs that were measured and others.

use crate::kernels::curve::interpolate;
use crate::kernels::evidence::LogErrors;
use crate::kernels::profile::CollectiveFit;
use crate::kernels::ramp::Ramp;

/// So much wider are errors of numbers of GPUs that were not measured where the profile does not say how far
/// off such are: a stated guess.
const WIDER: f64 = 2.0;

impl CollectiveFit {
    /// Time for a message of `bytes` among `gpus` GPUs, in seconds: constants and residual.
    #[must_use]
    pub fn seconds(&self, gpus: u32, bytes: f64) -> f64 {
        if gpus < 2 {
            return 0.0;
        }
        let remote = 1.0 - 1.0 / f64::from(gpus);
        let prior = self.ramp(gpus).map_or(0.0, |ramp| ramp.seconds(bytes * remote));
        prior * self.residual(gpus, bytes)
    }

    /// The same in two parts, in seconds: what it takes however few bytes, and what it takes in proportion to them.
    #[must_use]
    pub fn parts(&self, gpus: u32, bytes: f64) -> [f64; 2] {
        let all = self.seconds(gpus, bytes);
        let Some(ramp) = self.ramp(gpus).filter(|_| gpus > 1) else { return [all, 0.0] };
        let sent = bytes * (1.0 - 1.0 / f64::from(gpus));
        let moving = sent / ramp.bandwidth.bytes_per_sec() * self.residual(gpus, bytes);
        [all - moving, moving]
    }

    /// What the constants leave over for a message of `bytes` among `gpus` GPUs, as a factor. Between
    /// measured numbers its logarithm is taken as far on the way as that of the rate.
    #[must_use]
    pub fn residual(&self, gpus: u32, bytes: f64) -> f64 {
        let Some((n0, n1)) = self.neighbours(gpus) else { return 1.0 };
        let residual = |n: u32| {
            let curve = self.residual.sites().iter().find(|site| site.at == [n]);
            let knots: Vec<f64> = self.residual.knots().iter().map(|b| b.ln()).collect();
            curve.and_then(|site| interpolate(&knots, &site.residual, bytes.max(1.0).ln()))
        };
        let [r0, r1] = [n0, n1].map(|n| residual(n).unwrap_or(0.0));
        let share = self.share(gpus, n0, n1);
        (r0 * (1.0 - share) + r1 * share).exp()
    }

    /// The constants for `gpus` GPUs, between those of measured numbers if need be, as `kernels::ramp` says.
    #[must_use]
    pub fn ramp(&self, gpus: u32) -> Option<Ramp> {
        let (n0, n1) = self.neighbours(gpus)?;
        let (from, to) = (&self.ramps[&n0], &self.ramps[&n1]);
        let share = self.share(gpus, n0, n1);
        if !self.peer_to_peer {
            return Some(from.between_shared(to, share));
        }
        let hops = if n0 == n1 { 0.0 } else { f64::from(gpus - n0) / f64::from(n1 - n0) };
        Some(from.between(to, hops, share))
    }

    /// The law of errors for `gpus` GPUs: that of unseen numbers where theirs was not measured, as much wider
    /// as they lie further off.
    #[must_use]
    pub fn errors(&self, gpus: u32) -> Option<LogErrors> {
        let own = self.evidence.log_errors.as_ref();
        let Some(reach) = self.reach(gpus) else { return own.cloned() };
        let unseen = self.unseen_gpus.as_ref().and_then(|evidence| evidence.log_errors.as_ref());
        match (own, unseen) {
            (Some(own), Some(law)) => Some(law.widened(reach).or_wider(own)),
            (None, Some(law)) => Some(law.widened(reach)),
            (own, None) => own.map(|law| law.widened(WIDER * reach.max(1.0))),
        }
    }

    /// Half the width of the 90 % interval of the log error for `gpus` GPUs.
    #[must_use]
    pub fn half_width(&self, gpus: u32) -> Option<f64> {
        let own = self.evidence.log_error_p90;
        let Some(reach) = self.reach(gpus) else { return own };
        match self.unseen_gpus.as_ref().and_then(|evidence| evidence.log_error_p90) {
            Some(width) => Some((width * reach).max(own.unwrap_or(0.0))),
            None => own.map(|width| width * WIDER * reach.max(1.0)),
        }
    }

    /// How far `gpus` lies from the nearest measured number, in doublings, over how far those lay that were
    /// left out in turn to learn of unseen ones; none where it was measured.
    fn reach(&self, gpus: u32) -> Option<f64> {
        if gpus < 2 || self.ramps.contains_key(&gpus) {
            return None;
        }
        let apart = |a: u32, b: u32| (f64::from(a) / f64::from(b)).log2().abs();
        let nearest = |n: u32| {
            let others = self.ramps.keys().filter(|&&other| other != n);
            others.map(|&other| apart(n, other)).fold(f64::INFINITY, f64::min)
        };
        let learned = self.ramps.keys().map(|&n| nearest(n)).filter(|far| far.is_finite());
        let learned = learned.fold(0.0, f64::max);
        Some(if learned > 0.0 { nearest(gpus) / learned } else { 1.0 })
    }

    /// The measured numbers of GPUs around `gpus`.
    fn neighbours(&self, gpus: u32) -> Option<(u32, u32)> {
        let below = self.ramps.range(..=gpus).next_back().or_else(|| self.ramps.iter().next());
        let above = self.ramps.range(gpus..).next().or_else(|| self.ramps.iter().next_back());
        Some((*below?.0, *above?.0))
    }

    /// How far `gpus` lies on the way of rates from n₀ to n₁.
    fn share(&self, gpus: u32, n0: u32, n1: u32) -> f64 {
        let place = |n: u32| {
            let n = f64::from(n);
            if self.peer_to_peer { 1.0 - 1.0 / n } else { n.ln() }
        };
        if n0 == n1 { 0.0 } else { (place(gpus) - place(n0)) / (place(n1) - place(n0)) }
    }
}
