//! What to do about a gain, and why.
//!
//! ```text
//!   the interval's lower end ≥ worth       adopt; adopt if trained anew, where no such model exists yet
//!   its upper end < IDLE_PERCENT           avoid
//!   else, or without an interval           defer
//! ```

use super::parts::Part;
use crate::base::statistics::Estimate;

/// The gain from which MoE++ pays unless the user says otherwise, in percent: about what one release of a kernel
/// library brings, and more than most calibration errors that vanilla and MoE++ do not share. A stated choice.
pub const WORTH_PERCENT: f64 = 5.0;

/// A gain that certainly stays below this is none, in percent. A stated choice.
pub const IDLE_PERCENT: f64 = 1.0;

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The MoE++ model at hand, or the one about to be trained, pays.
    Adopt,
    /// It would pay, and has yet to be trained.
    AdoptIfTrainedAnew,
    /// It is not shown to pay, nor not to.
    Defer,
    /// It does not pay.
    Avoid,
}

impl Verdict {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Adopt, Self::AdoptIfTrainedAnew, Self::Defer, Self::Avoid];

    /// In words.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Adopt => "adopt",
            Self::AdoptIfTrainedAnew => "adopt if trained anew",
            Self::Defer => "defer",
            Self::Avoid => "avoid",
        }
    }
}

/// What a verdict rests on.
pub(super) struct Evidence<'a> {
    pub(super) gain: &'a Estimate,
    pub(super) worth: f64,
    pub(super) proportional: f64,
    pub(super) shares: &'a [[f64; Part::ALL.len()]; 2],
    pub(super) to_be_trained: bool,
    pub(super) placed: bool,
}

impl Evidence<'_> {
    /// The verdict, and why in a sentence without its full stop.
    pub(super) fn judge(&self) -> (Verdict, String) {
        let (low, high) = (self.gain.low(), self.gain.high());
        let (worth, mean) = (self.worth, self.gain.mean);
        if self.gain.half_width.is_none() {
            let found = format!("one seed gives a gain of {mean:.1} % and no interval: give more");
            return (Verdict::Defer, found);
        }
        if low >= worth {
            let verdict =
                if self.to_be_trained { Verdict::AdoptIfTrainedAnew } else { Verdict::Adopt };
            return (verdict, format!("the gain is {low:.1} % or more"));
        }
        if high < IDLE_PERCENT {
            let found = if high < 0.0 {
                "MoE++ is slower".to_owned()
            } else {
                "nothing is gained".to_owned()
            };
            return (Verdict::Avoid, format!("{found}: {}", self.why()));
        }
        if high >= worth {
            let found = format!(
                "the gain's interval, {low:.1} to {high:.1} %, contains {worth} %: more seeds, or a nearer \
                 calibration, would decide"
            );
            return (Verdict::Defer, found);
        }
        (Verdict::Defer, format!("a gain of {mean:.1} % is below {worth} %: {}", self.why()))
    }

    /// What keeps the gain small.
    fn why(&self) -> String {
        if self.placed {
            return "zero-computation experts are placed like FFN experts, so their slots are dispatched, too"
                .to_owned();
        }
        let [vanilla, _] = self.shares;
        let taken = vanilla[Part::Ffn as usize] + vanilla[Part::Exchange as usize];
        let rest = Part::ALL.into_iter().skip(Part::Dense as usize);
        let largest = rest
            .max_by(|a, b| vanilla[*a as usize].total_cmp(&vanilla[*b as usize]))
            .unwrap_or(Part::Dense);
        let (share, name) = (100.0 * vanilla[largest as usize], largest.label());
        let taken = 100.0 * taken;
        if self.proportional < 2.0 * self.worth || share > taken {
            return format!(
                "{name} takes {share:.0} % of vanilla's time, FFN experts and exchanges {taken:.0} %"
            );
        }
        format!(
            "fewer slots do not shorten what FFN experts and exchanges take ({taken:.0} % of the time): small \
             batches, startup or stragglers decide it"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(mean: f64, half: Option<f64>, to_be_trained: bool) -> Verdict {
        let gain = Estimate { mean, half_width: half };
        let shares = [[0.2, 0.1, 0.5, 0.1, 0.05, 0.05, 0.0]; 2];
        let evidence = Evidence {
            gain: &gain,
            worth: WORTH_PERCENT,
            proportional: 8.0,
            shares: &shares,
            to_be_trained,
            placed: false,
        };
        evidence.judge().0
    }

    #[test]
    fn the_interval_decides_not_the_mean() {
        assert_eq!(judged(9.0, Some(4.0), false), Verdict::Adopt);
        assert_eq!(judged(9.0, Some(4.0), true), Verdict::AdoptIfTrainedAnew);
        assert_eq!(judged(9.0, Some(4.1), false), Verdict::Defer);
        assert_eq!(judged(3.0, Some(0.5), false), Verdict::Defer);
        assert_eq!(judged(0.5, Some(0.4), true), Verdict::Avoid);
        assert_eq!(judged(0.5, Some(0.6), true), Verdict::Defer);
        assert_eq!(judged(40.0, None, false), Verdict::Defer, "one seed is no interval");
    }
}
