//! Times of one fixed shape over its running size.

mod collective;
pub mod fused;
pub mod grouped;
pub(in crate::kernels) mod known;
mod moving;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use super::gemm::{GemmPrior, ShapePrior};
use super::{Device, Support, choice, support_of};
use crate::base::order::ascending;
use crate::base::units::SimDuration;
use crate::kernels::curve::Curve;
use crate::kernels::profile::{Family, Precision};

/// Rows that tensor cores take at once: numbers of rows that are whole multiples have kernels of their own.
const ALIGNED: u32 = 16;

/// Times of a dense GEMM of one (N, K) over M.
///
/// They never fall as M grows among multiples of 16, nor among all other M. The two are apart because
/// libraries treat them apart: an fp8 GEMM on H100 takes a quarter longer for 257 rows than for 512, and
/// one curve through both is 4.1 % off at the median where two are 3.3 %. Tables hold multiples of 16, and one
/// more; between two of these, tiles decide (see `filled`).
#[derive(Clone, Debug)]
pub struct GemmTimes {
    prior: ShapePrior,
    precision: Precision,
    /// Whether a product of it is nothing.
    empty: bool,
    /// Over multiples of [`ALIGNED`].
    whole: Curve,
    /// Over all other M.
    broken: Curve,
    /// What the prior says at the last knot of either, in seconds.
    prior_at_last: [f64; 2],
    support: Support,
    /// What was asked for before, of this and all its copies.
    asked: Arc<Asked>,
}

/// Times by rows that were asked for, as the bits of seconds, zero where they were not: pages of [`PAGE`], each made when
/// one of its rows is asked for.
#[derive(Debug)]
struct Asked([OnceLock<Box<[AtomicU64; PAGE]>>; PAGES]);

/// Rows of a page; pages, which hold what most runs ask for.
const PAGE: usize = 512;
const PAGES: usize = 128;

impl Default for Asked {
    fn default() -> Self {
        Self([const { OnceLock::new() }; PAGES])
    }
}

impl Asked {
    /// The time of so many rows, by `times` where it is asked for the first time.
    fn of(&self, m: u32, times: impl FnOnce() -> f64) -> f64 {
        let Some(page) = self.0.get(m as usize / PAGE) else { return times() };
        let page = page.get_or_init(|| Box::new([const { AtomicU64::new(0) }; PAGE]));
        let cell = &page[m as usize % PAGE];
        match cell.load(Ordering::Relaxed) {
            0 => {
                let seconds = times();
                cell.store(seconds.to_bits(), Ordering::Relaxed);
                seconds
            }
            bits => f64::from_bits(bits),
        }
    }
}

impl GemmTimes {
    /// As if measured (N, K) that `skip` names had never been: for judging what is left out. The
    /// constants may be borrowed from another format, whose residuals then say nothing.
    #[must_use]
    pub fn without(
        family: &Family<GemmPrior>,
        device: Device,
        precision: Precision,
        (n, k): (u32, u32),
        borrowed: Option<Precision>,
        skip: impl Fn(u32, u32) -> bool,
    ) -> Self {
        let prior = family.prior;
        let none = || Curve::new(Vec::new());
        let (whole, broken, support) = match (family.residual.first(), borrowed) {
            (Some(residual), None) if n > 0 && k > 0 => {
                let reading = residual.read(&[n, k], |site| skip(site.at[0], site.at[1]));
                let known =
                    || residual.knots().iter().copied().zip(reading.residual.iter().copied());
                let over = |knots: Vec<(f64, f64)>| prior.curve(&device, precision, (n, k), &knots);
                let (whole, broken) = known().partition(|(m, _)| is_aligned(*m as u32));
                let (whole, broken) = filled(&over(whole), &over(broken));
                let own = || support_of(reading.distance);
                let transferred = family.evidence.transferred_from();
                let support = transferred.map_or_else(own, |from| Support::borrowed(Some(from)));
                (whole, broken, support)
            }
            (_, Some(other)) => {
                let from = format!("the constants of gemm {}", other.short());
                (none(), none(), Support::Borrowed { from })
            }
            _ => (none(), none(), support_of(f64::INFINITY)),
        };
        let of_shape = prior.of(&device, precision, (n, k));
        let at_last = |curve: &Curve| {
            let m = curve.span().map_or(0, |(_, last)| last.round() as u32);
            of_shape.seconds(m)
        };
        let prior_at_last = [at_last(&whole), at_last(&broken)];
        let (asked, empty) = (Arc::default(), n == 0 || k == 0);
        Self { prior: of_shape, precision, empty, whole, broken, prior_at_last, support, asked }
    }

    /// Where these times come from.
    #[must_use]
    pub const fn support(&self) -> &Support {
        &self.support
    }

    /// Where the time of this many rows comes from: far more than were measured are extrapolated.
    #[must_use]
    pub fn support_at(&self, rows: u64) -> Support {
        match (&self.support, self.whole.span()) {
            (Support::Borrowed { .. }, _) | (_, None) => self.support.clone(),
            (_, Some((_, last))) if rows as f64 > choice::REACH * last => {
                Support::Extrapolated { beyond: format!("{rows} rows, at most {last:.0} measured") }
            }
            _ => self.support.clone(),
        }
    }

    /// What the constants alone say.
    pub(in crate::kernels) const fn prior(&self) -> &ShapePrior {
        &self.prior
    }

    /// The format that it computes in.
    #[must_use]
    pub const fn precision(&self) -> Precision {
        self.precision
    }

    /// Time for M = `m`, in seconds.
    #[must_use]
    pub fn seconds(&self, m: u32) -> f64 {
        if m == 0 || self.empty {
            return 0.0;
        }
        self.asked.of(m, || self.read(m))
    }

    /// The same, read off the curves.
    fn read(&self, m: u32) -> f64 {
        let prior = |m: u32| self.prior.seconds(m);
        let [of_whole, of_broken] = self.prior_at_last;
        let (curve, at_last) =
            if is_aligned(m) { (&self.whole, of_whole) } else { (&self.broken, of_broken) };
        match (curve.at(m.into()), curve.span()) {
            (Some(at), Some((_, last))) if f64::from(m) > last => at * prior(m) / at_last,
            (Some(at), _) => at,
            (None, _) => prior(m),
        }
    }

    /// Time for M = `m`.
    #[must_use]
    pub fn time(&self, m: u32) -> SimDuration {
        SimDuration::from_secs(self.seconds(m))
    }
}

/// Both curves with what each tells of the other between knots a < c of whole multiples:
///
/// ```text
///   T(a + 16) = clamp( T(a + 1), T(a), T(c) )          whole: tiles were started by the first row more
///   T(c − 1)  = max( T(broken knot before c), T(c) )   broken: no less than the tiles it fills take,
///               but no more than T(broken knot after c)
/// ```
///
/// Where one curve has no knots at all, the other speaks for it.
fn filled(whole: &Curve, broken: &Curve) -> (Curve, Curve) {
    let (mut of_whole, mut of_broken) = (whole.knots(), broken.knots());
    let (tile, knots) = (f64::from(ALIGNED), of_whole.clone());
    for (&(a, at_a), &(c, at_c)) in knots.iter().zip(&knots[1.min(knots.len())..]) {
        let known = of_broken.iter().find(|(m, _)| (m - a - 1.0).abs() < 0.5);
        if let Some(&(_, first)) = known.filter(|_| c - a > 1.5 * tile) {
            of_whole.push((a + tile, first.max(at_a).min(at_c)));
        }
    }
    let knots_of_broken = of_broken.clone();
    for &(c, at_c) in &knots {
        let before = knots_of_broken.iter().rfind(|(m, _)| *m < c - 0.5);
        let after = knots_of_broken.iter().find(|(m, _)| *m > c - 0.5);
        if before.is_none_or(|(m, _)| *m < c - 1.5) {
            let least = before.map_or(at_c, |(_, t)| t.max(at_c));
            of_broken.push((c - 1.0, after.map_or(least, |(_, t)| least.min(*t))));
        }
    }
    if of_whole.is_empty() {
        of_whole.clone_from(&of_broken);
    }
    let sorted = |mut knots: Vec<(f64, f64)>| {
        knots.retain(|(m, _)| *m > 0.5);
        ascending(&mut knots, |one| one.0);
        Curve::new(knots)
    };
    (sorted(of_whole), sorted(of_broken))
}

const fn is_aligned(m: u32) -> bool {
    m.is_multiple_of(ALIGNED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_once_as_far_as_there_are_pages() {
        let asked = Asked::default();
        for rows in [1, 511, 512, (PAGE * PAGES) as u32 - 1] {
            assert_eq!(asked.of(rows, || f64::from(rows)), f64::from(rows));
            assert_eq!(asked.of(rows, || unreachable!("{rows} rows")), f64::from(rows));
        }
        let beyond = (PAGE * PAGES) as u32;
        for seconds in [1.0, 2.0] {
            assert_eq!(asked.of(beyond, || seconds), seconds);
        }
    }
}
