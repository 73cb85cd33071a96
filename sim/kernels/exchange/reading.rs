//! Times of a fit, for numbers of groups that were measured and others.

use std::collections::BTreeSet;

use super::{ExchangeFit, ExchangeShape, Library, NIC, RANKS_OF_NODE};
use crate::kernels::curve;

/// What going over NICs adds to start-up, in seconds, for devices that were measured on one node
/// alone: published for healthy InfiniBand [deepep].
const NIC_ALPHA_S: f64 = 20e-6;

/// Equation (8) of the module above.
const STARTUP_BY_RANKS: f64 = 0.25;

/// A start-up read beyond measured numbers is no less than this share of the least measured one: a stated
/// guess, which keeps a line in ln n from crossing zero.
const LEAST_STARTUP: f64 = 0.5;

/// A time asked of a fit.
struct Asked {
    shape: ExchangeShape,
    /// Tokens per GPU, at which residuals are read.
    tokens: u32,
    /// Tokens whose bytes and slots count: all, or none for the start-up alone.
    moved: f64,
    /// Bytes of a number.
    bytes: f64,
    /// Share of the NICs' rate that the fabric carries.
    fabric: f64,
}

impl ExchangeFit {
    /// Time for `tokens` on each GPU, in seconds, by (6) to (8), on the fabric that was measured; measured
    /// groups and shapes that `skip` names are passed by. Zero without any constants.
    #[must_use]
    pub fn seconds(&self, shape: ExchangeShape, tokens: u32, skip: impl Fn(&[u32]) -> bool) -> f64 {
        let fabric = if skip(&[shape.groups]) { 1.0 } else { self.fabric(shape.groups) };
        self.seconds_on(fabric, shape, tokens, skip)
    }

    /// The same on a fabric that carries this share of the NICs' rate.
    #[must_use]
    pub fn seconds_on(
        &self,
        fabric: f64,
        shape: ExchangeShape,
        tokens: u32,
        skip: impl Fn(&[u32]) -> bool,
    ) -> f64 {
        self.read(&Asked { shape, tokens, moved: tokens.into(), bytes: self.bytes, fabric }, &skip)
    }

    /// The same with `bytes` per number on the wire and no congestion, in two parts: what remains when the
    /// bytes vanish, and the whole.
    #[must_use]
    pub fn parts(&self, shape: ExchangeShape, tokens: u32, bytes: f64) -> [f64; 2] {
        [0.0, f64::from(tokens)]
            .map(|moved| Asked { shape, tokens, moved, bytes, fabric: 1.0 })
            .map(|asked| self.read(&asked, &|_| false))
    }

    /// Share of the NICs' rate that the fabric carried where `groups` were measured; whole elsewhere.
    #[must_use]
    pub fn fabric(&self, groups: u32) -> f64 {
        self.priors.get(&groups).map_or(1.0, |prior| prior.fabric)
    }

    /// Numbers of groups that tell of `groups`, or all where none does.
    pub(super) fn telling(&self, groups: u32, skip: &impl Fn(&[u32]) -> bool) -> BTreeSet<u32> {
        let usable: BTreeSet<u32> = self.priors.keys().copied().filter(|n| !skip(&[*n])).collect();
        let alike: BTreeSet<u32> =
            usable.iter().copied().filter(|&n| self.library.alike(n, groups)).collect();
        if alike.is_empty() { usable } else { alike }
    }

    /// The time that (6) to (8) give for what is asked.
    fn read(&self, asked: &Asked, skip: &impl Fn(&[u32]) -> bool) -> f64 {
        let groups = asked.shape.groups;
        let known = self.telling(groups, skip);
        let below = known.range(..=groups).next_back().or_else(|| known.first());
        let above = known.range(groups..).next().or_else(|| known.last());
        let (Some(&a), Some(&b)) = (below, above) else { return 0.0 };
        let place = |n: u32| f64::from(n.max(1)).ln();
        let apart = place(b) - place(a);
        let share = if apart > 0.0 { (place(groups) - place(a)) / apart } else { 0.0 };
        let alpha_s = self.startup(groups, &known);
        let time = |n: u32| self.seconds_as(n, alpha_s, asked, skip);
        if share == 0.0 { time(a) } else { time(a).powf(1.0 - share) * time(b).powf(share) }
    }

    /// α of equation (7), through the two measured numbers nearest to `groups`.
    fn startup(&self, groups: u32, known: &BTreeSet<u32>) -> f64 {
        let alpha = |n: u32| self.priors[&n].alpha_s;
        let (mut below, mut above) = (known.range(..=groups).rev(), known.range(groups..));
        let pair = match (below.next(), above.next()) {
            (Some(&a), Some(&b)) => (a, b),
            (Some(&b), None) => (below.next().copied().unwrap_or(b), b),
            (None, Some(&a)) => (a, above.next().copied().unwrap_or(a)),
            (None, None) => return 0.0,
        };
        let (a, b) = pair;
        if a == b {
            return alpha(a);
        }
        let x = |n: u32| f64::from(n.max(1)).ln();
        let share = (x(groups) - x(a)) / (x(b) - x(a));
        let read = match self.library {
            Library::NvlinkDomain => alpha(a) + (alpha(b) - alpha(a)) * share,
            Library::DeepEpNormal | Library::DeepEpLowLatency | Library::HybridEp => {
                alpha(a).powf(1.0 - share) * alpha(b).powf(share)
            }
        };
        read.max(LEAST_STARTUP * alpha(a).min(alpha(b)))
    }

    /// The time by the rates and residuals of `n` groups, for the bytes and start-up of the shape's own.
    fn seconds_as(
        &self,
        n: u32,
        alpha_s: f64,
        asked: &Asked,
        skip: &impl Fn(&[u32]) -> bool,
    ) -> f64 {
        let Asked { shape, tokens, moved, bytes, fabric } = *asked;
        let mut prior = self.priors[&n];
        prior.alpha_s = alpha_s * startup_by_ranks(self.library, shape);
        if !self.library.alike(n, shape.groups) && shape.groups > 1 {
            // Kernels of one node over the NICs of a fabric that was never measured.
            prior.bandwidth = prior.bandwidth.min(NIC);
            prior.alpha_s += NIC_ALPHA_S;
            return prior.seconds_on(fabric, self.library, shape, bytes, moved);
        }
        let at = [n, shape.hidden, shape.top_k, shape.experts, shape.sms];
        let curve = self.residual.read(&at, |site| site.at[0] != n || skip(&site.at));
        let knots: Vec<f64> = self.residual.knots().iter().map(|t| t.ln()).collect();
        let log_tokens = f64::from(tokens.max(1)).ln();
        let residual = curve::interpolate(&knots, &curve.residual, log_tokens).unwrap_or(0.0);
        prior.seconds_on(fabric, self.library, shape, bytes, moved) * self.held(n, shape, residual)
    }

    /// The factor of a residual. Other numbers of groups take it no further than nine in ten of those that
    /// were measured: outliers are theirs alone.
    fn held(&self, n: u32, shape: ExchangeShape, residual: f64) -> f64 {
        let most = match self.evidence.prior {
            Some(prior) if n != shape.groups => prior.p90.ln_1p(),
            _ => f64::INFINITY,
        };
        residual.clamp(-most, most).exp()
    }
}

/// Equation (8): start-up with r ranks a node, relative to the measured eight.
#[must_use]
pub fn startup_by_ranks(library: Library, shape: ExchangeShape) -> f64 {
    match library {
        Library::DeepEpNormal | Library::DeepEpLowLatency | Library::HybridEp => {
            let ratio = f64::from(shape.ranks.max(1)) / f64::from(RANKS_OF_NODE);
            1.0 + STARTUP_BY_RANKS * ratio.ln()
        }
        Library::NvlinkDomain => 1.0,
    }
}
