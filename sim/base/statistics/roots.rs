//! Where functions change sign or reach a value.

use std::convert::Infallible;

/// An interval in which something changes: a condition holds at `low` and not at `high`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bracket {
    /// The end at which the condition holds.
    pub low: f64,
    /// The end at which it does not.
    pub high: f64,
}

impl Bracket {
    /// The middle of the interval.
    #[must_use]
    pub fn middle(&self) -> f64 {
        f64::midpoint(self.low, self.high)
    }

    /// Bisection: the interval halved this many times, by whether the condition holds in its middle. 60
    /// halvings exhaust an f64.
    #[must_use]
    pub fn halved(self, times: u32, mut holds: impl FnMut(f64) -> bool) -> Self {
        let Ok(bracket) = self.try_halved(times, |x| Ok::<bool, Infallible>(holds(x)));
        bracket
    }

    /// As [`Self::halved`], of a condition that may fail.
    ///
    /// # Errors
    /// The condition's first.
    pub fn try_halved<E>(
        mut self,
        times: u32,
        mut holds: impl FnMut(f64) -> Result<bool, E>,
    ) -> Result<Self, E> {
        for _ in 0..times {
            let middle = self.middle();
            self.keep(middle, holds(middle)?);
        }
        Ok(self)
    }

    /// Bisection at geometric means, until the ends differ by no more than a ratio.
    ///
    /// # Errors
    /// The condition's first.
    pub fn try_narrowed<E>(
        mut self,
        ratio: f64,
        mut holds: impl FnMut(f64) -> Result<bool, E>,
    ) -> Result<Self, E> {
        while self.high / self.low > ratio {
            let middle = (self.low * self.high).sqrt();
            self.keep(middle, holds(middle)?);
        }
        Ok(self)
    }

    const fn keep(&mut self, middle: f64, holds: bool) {
        if holds { self.low = middle } else { self.high = middle }
    }
}

/// Rounds of Newton's method at most; what is not found by then has no root.
const ROUNDS: usize = 60;

/// Newton's method from the left on a concave increasing function, whose steps never overshoot.
///
/// `short` gives what is missing at a point, and the slope there. It ends with a step of no more than
/// `relative` of where it is.
#[must_use]
pub fn newton(start: f64, relative: f64, short: impl Fn(f64) -> (f64, f64)) -> f64 {
    let mut at = start;
    for _ in 0..ROUNDS {
        let (missing, slope) = short(at);
        let step = missing / slope;
        at += step;
        if step <= relative * at {
            break;
        }
    }
    at
}

/// The step of Halley's method [traub64, §5.2] where `short` is missing of an increasing function whose
/// slope is `slope` and falls at `bend`.
///
/// No step where the slope is gone. The correction of Newton's step is at most twofold, so that a step from far
/// off stays finite.
#[must_use]
pub fn halley_step(short: f64, slope: f64, bend: f64) -> f64 {
    let newton = if slope > 0.0 { short / slope } else { 0.0 };
    let curved = if slope > 0.0 { 1.0 - 0.5 * newton * bend / slope } else { 1.0 };
    newton / curved.max(0.5)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_of_two_by_each_method() {
        let root = 2.0_f64.sqrt();
        let bracket = Bracket { low: 0.0, high: 4.0 }.halved(60, |x| x * x < 2.0);
        assert!((bracket.middle() - root).abs() < 1e-15);
        let coarse = Bracket { low: 0.5, high: 4.0 };
        let coarse = coarse.try_narrowed(1.01, |x| Ok::<bool, ()>(x * x < 2.0)).unwrap();
        assert!(coarse.low <= root && root <= coarse.high && coarse.high / coarse.low <= 1.01);
        // 1 − e^{−x} = ½ at ln 2.
        let short = |x: f64| (0.5 - (1.0 - (-x).exp()), (-x).exp());
        assert!((newton(0.0, 1e-12, short) - 2.0_f64.ln()).abs() < 1e-15);
        let mut x = 0.0_f64;
        for _ in 0..4 {
            let absent = (-x).exp();
            x += halley_step(0.5 - (1.0 - absent), absent, absent);
        }
        assert!((x - 2.0_f64.ln()).abs() < 1e-15);
        assert_eq!(halley_step(1.0, 0.0, 0.0), 0.0);
    }

    #[test]
    fn a_condition_that_fails_ends_the_search() {
        let bracket = Bracket { low: 1.0, high: 2.0 };
        assert_eq!(bracket.try_halved(3, |_| Err("lost")), Err("lost"));
        assert_eq!(bracket.try_narrowed(1.01, |_| Err("lost")), Err("lost"));
    }
}
