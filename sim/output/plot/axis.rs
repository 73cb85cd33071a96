//! Axes: from a quantity to a position, with ticks at round values.

/// Numbers nearer to zero are drawn as zero, and those farther from it not at all: steps between ticks, a part of
/// what is spanned, must be numbers too.
const LEAST: f64 = 1e-290;
const MOST: f64 = 1e290;

/// How a quantity is laid along an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// Equal steps are equal differences.
    Linear,
    /// Equal steps are equal ratios; values at or below zero are left out.
    Log,
}

/// One axis: what it shows, and how.
#[derive(Clone, Debug, PartialEq)]
pub struct Axis {
    /// The quantity with its unit: "time, ms".
    pub label: String,
    /// Its scale.
    pub scale: Scale,
    /// Whether zero must be shown (linear axes alone).
    pub from_zero: bool,
}

impl Axis {
    /// A linear axis that shows what the data spans.
    #[must_use]
    pub fn linear(label: impl Into<String>) -> Self {
        Self { label: label.into(), scale: Scale::Linear, from_zero: false }
    }

    /// A linear axis that starts at zero.
    #[must_use]
    pub fn from_zero(label: impl Into<String>) -> Self {
        Self { label: label.into(), scale: Scale::Linear, from_zero: true }
    }

    /// A logarithmic axis.
    #[must_use]
    pub fn log(label: impl Into<String>) -> Self {
        Self { label: label.into(), scale: Scale::Log, from_zero: false }
    }

    /// The axis laid out over all `values` that it can show.
    pub(super) fn over(&self, values: impl Iterator<Item = f64>) -> Laid {
        let shown = values
            .map(|value| if value.abs() < LEAST { 0.0 } else { value })
            .filter(|value| value.abs() <= MOST && (self.scale == Scale::Linear || *value > 0.0));
        let (mut low, mut high) = shown
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
        if low > high {
            (low, high) = (1.0, 10.0);
        }
        match self.scale {
            Scale::Linear => Laid::linear(low, high, self.from_zero),
            Scale::Log => Laid::log(low, high),
        }
    }
}

/// An axis with its range and ticks, in positions along it.
#[derive(Clone, Debug)]
pub(super) struct Laid {
    scale: Scale,
    /// Positions of the two ends.
    pub(super) ends: (f64, f64),
    /// Positions of ticks, with what is written at them.
    pub(super) ticks: Vec<(f64, String)>,
}

impl Laid {
    fn linear(low: f64, high: f64, from_zero: bool) -> Self {
        let (mut low, mut high) = (low, high);
        if from_zero {
            (low, high) = (low.min(0.0), high.max(0.0));
        }
        if high - low <= high.abs().max(low.abs()) * 1e-9 {
            let room = if high == 0.0 { 1.0 } else { high.abs() * 0.1 };
            (low, high) = (if from_zero { low } else { low - room }, high + room);
        }
        let step = round_step((high - low) / 6.0);
        let room = (high - low) * 0.04;
        let low_end = if from_zero && low == 0.0 { 0.0 } else { low - room };
        let high_end = if from_zero && high == 0.0 { 0.0 } else { high + room };
        let first = (low_end / step).ceil() as i64;
        let last = (high_end / step).floor() as i64;
        let digits = (-step.log10().floor()).max(0.0) as usize;
        let ticks = (first..=last).map(|k| k as f64 * step);
        Self {
            scale: Scale::Linear,
            ends: (low_end, high_end),
            ticks: ticks.map(|value| (value, plain(value, digits))).collect(),
        }
    }

    fn log(low: f64, high: f64) -> Self {
        let (mut low, mut high) = (low.log10(), high.log10());
        if high - low < 0.3 {
            (low, high) = (low - 0.15, high + 0.15);
        }
        let room = (high - low) * 0.03;
        let (low, high) = (low - room, high + room);
        let decades = high - low;
        let marks: &[f64] = match decades {
            d if d < 1.2 => &[1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0],
            d if d < 2.5 => &[1.0, 2.0, 5.0],
            _ => &[1.0],
        };
        let every = (decades / 9.0).ceil().max(1.0) as i64;
        let mut ticks = Vec::new();
        for decade in low.floor() as i64..=high.ceil() as i64 {
            if decade.rem_euclid(every) != 0 {
                continue;
            }
            for mark in marks {
                let at = decade as f64 + mark.log10();
                if (low..=high).contains(&at) {
                    ticks.push((at, short(mark * 10_f64.powi(decade as i32))));
                }
            }
        }
        Self { scale: Scale::Log, ends: (low, high), ticks }
    }

    /// Where a value lies, if the axis can show it.
    pub(super) fn at(&self, value: f64) -> Option<f64> {
        let at = match self.scale {
            Scale::Linear => value,
            Scale::Log if value > 0.0 => value.log10(),
            Scale::Log => return None,
        };
        at.is_finite().then_some(at)
    }
}

/// The round number 1, 2, 2.5 or 5 · 10ᵏ at or above `rough`.
fn round_step(rough: f64) -> f64 {
    let decade = 10_f64.powf(rough.log10().floor());
    let steps = [1.0, 2.0, 2.5, 5.0, 10.0];
    let step = steps.into_iter().find(|step| step * decade >= rough * 0.999_999);
    step.unwrap_or(10.0) * decade
}

/// A tick of a linear axis.
fn plain(value: f64, digits: usize) -> String {
    if value.abs() >= 1e5 {
        return short(value);
    }
    // 2.5 needs one digit more than its step's decade says.
    let written = format!("{value:.*}", digits + 1);
    let written = written.trim_end_matches('0').trim_end_matches('.').to_owned();
    if written == "-0" { "0".to_owned() } else { written }
}

/// A number in few characters: 20k, 1.5M, 0.05, 3e-7.
pub(super) fn short(value: f64) -> String {
    let size = value.abs();
    let scaled = |digits: usize, unit: f64, name: &str| {
        let text = format!("{:.digits$}", value / unit);
        let text =
            if digits > 0 { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
        format!("{text}{name}")
    };
    match size {
        s if s >= 1e15 => format!("{value:.0e}"),
        s if s >= 1e12 => scaled(2, 1e12, "T"),
        s if s >= 1e9 => scaled(2, 1e9, "G"),
        s if s >= 1e6 => scaled(2, 1e6, "M"),
        s if s >= 1e4 => scaled(1, 1e3, "k"),
        s if s >= 100.0 => scaled(0, 1.0, ""),
        s if s >= 10.0 => scaled(1, 1.0, ""),
        s if s >= 1e-3 || s == 0.0 => scaled(3, 1.0, ""),
        _ => format!("{value:.0e}"),
    }
}

/// A number in four significant figures, as readers who point at it are told.
pub(in crate::output) fn figures(value: f64) -> String {
    let size = value.abs();
    if !(1e-4..1e7).contains(&size) {
        return short(value);
    }
    let after = (3 - size.log10().floor() as i32).clamp(0, 7) as usize;
    let text = format!("{value:.after$}");
    if !text.contains('.') {
        return text;
    }
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_inside() {
        for (low, high) in [(0.0, 1.0), (3.2, 17.9), (-4.0, 250.0), (1e-7, 3e-7), (5.0, 5.0)] {
            let laid = Axis::linear("x").over([low, high].into_iter());
            assert!((3..=9).contains(&laid.ticks.len()), "{low}..{high}: {:?}", laid.ticks);
            for (at, _) in &laid.ticks {
                assert!((laid.ends.0..=laid.ends.1).contains(at));
            }
        }
        let laid = Axis::from_zero("x").over([0.25, 0.5, 0.75].into_iter());
        assert_eq!(laid.ticks[0], (0.0, "0".to_owned()));
    }

    /// Found by the long run of mutants: steps that were no numbers asked for ticks without end.
    #[test]
    fn numbers_beyond_all_measure_have_few_ticks() {
        for value in [5e-324, 1e-308, 1e-290, 1e290, 1.7e308, -1.7e308] {
            for axis in [Axis::linear("x"), Axis::from_zero("x"), Axis::log("x")] {
                let laid = axis.over([value, 2.0 * value, 0.0, 1.0].into_iter());
                assert!(laid.ticks.len() < 20, "{value:e}: {} ticks", laid.ticks.len());
                assert!(laid.ends.0.is_finite() && laid.ends.1.is_finite(), "{value:e}");
            }
        }
    }

    #[test]
    fn a_log_axis_leaves_out_what_it_cannot_show() {
        let laid = Axis::log("x").over([-3.0, 0.0, 10.0, 1e5].into_iter());
        assert!(laid.at(0.0).is_none() && laid.at(f64::NAN).is_none());
        assert_eq!(laid.at(100.0), Some(2.0));
        assert_eq!(laid.ticks.first().map(|tick| tick.1.as_str()), Some("10"));
    }

    #[test]
    fn numbers_are_short() {
        assert_eq!(short(20_000.0), "20k");
        assert_eq!(short(1_500_000.0), "1.5M");
        assert_eq!(short(1_250_000.0), "1.25M");
        assert_eq!(short(0.05), "0.05");
        assert_eq!(short(350.0), "350");
        assert_eq!(short(0.0), "0");
        let told = [12.345_6, 0.001_234_56, 250_000.0, 3.0, 0.0, -7.25].map(figures);
        assert_eq!(told, ["12.35", "0.001235", "250000", "3", "0", "-7.25"]);
    }
}
