//! How a model's quality depends on τ.
//!
//! Published averages over tasks differ from one τ to the next by as much as they trend, so a curve
//! is not read off point by point. A straight line in `ln τ` is fitted, one slope for all models and a
//! level for each,
//!
//! ```text
//!   q = a_model + b·ln τ + e                                                       (1)
//! ```
//!
//! and the standard deviation of `e` is stated with every figure as its noise. What a user measured of one model is no
//! line but a monotone curve through the points (`curve`). Vanilla's quality is what was measured of it, or unknown.
//! Left out: that quality depends on anything but τ.

use std::collections::BTreeMap;
use std::path::Path;

use crate::config::{Diagnostic, Kind};
use curve::Curve;
use line::Line;
use table::{Row, of, rows, vanilla};

mod curve;
mod line;
mod table;

/// Quality at a τ.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quality {
    /// By the line or the curve, in its unit (percent of tasks for the paper's).
    pub expected: f64,
    /// Standard deviation: of single points about a line, of the curve itself; none where nothing tells it.
    pub noise: Option<f64>,
    /// Whether τ lies outside what was measured.
    pub extrapolated: bool,
}

/// What quality follows over τ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Law {
    /// One line in `ln τ`, equation (1).
    Line,
    /// A curve that rises with τ.
    Rising,
    /// A curve that falls with τ.
    Falling,
}

/// What tells the noise of a curve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoiseFrom {
    /// Its points do.
    Stated,
    /// Points at the same τ.
    Repeats,
    /// How far points lie from it.
    Departures,
    /// Nothing does.
    Nothing,
}

/// What speaks against a law.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Doubt {
    /// Quality was measured at one τ alone: nothing says how it changes.
    OneTau(f64),
    /// Quality falls with τ, as a loss would.
    Falls,
    /// Points lie this many times farther from the curve than their noise says.
    BeyondNoise {
        /// Root mean square of residuals over noise.
        times: f64,
    },
    /// The law explains less than half of the variance over τ.
    ExplainsLittle {
        /// The share that it explains.
        share: f64,
    },
}

/// One point of quality at a τ.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Measured {
    tau: f64,
    quality: f64,
    /// Its standard deviation, if stated.
    noise: Option<f64>,
}

/// A fitted curve of one model.
#[derive(Clone, Debug, PartialEq)]
pub struct Trend {
    fitted: Fitted,
    measured: (f64, f64),
    vanilla: Option<f64>,
    /// Where it comes from.
    pub source: String,
}

#[derive(Clone, Debug, PartialEq)]
enum Fitted {
    Line(Line),
    Curve(Curve),
}

const PUBLISHED: &str = include_str!("../../../calibrate/data/paper_moepp_quality.csv");

impl Trend {
    /// The published curve of a model of the paper: averages over its tasks [moepp, Table 3].
    ///
    /// # Errors
    /// If the paper has no such model.
    pub fn published(model: &str) -> Result<Self, Diagnostic> {
        let name = "paper_moepp_quality.csv";
        let rows = rows(name, PUBLISHED.as_bytes())?;
        let own = of(name, &rows, model)?;
        let mut groups: BTreeMap<&str, Vec<(f64, f64)>> = BTreeMap::new();
        for row in &rows {
            let points = groups.entry(row.model.as_deref().unwrap_or("")).or_default();
            points.extend(row.tau.map(|tau| (tau.ln(), row.quality)));
        }
        groups.retain(|_, points| !points.is_empty());
        let points: Vec<(f64, f64)> =
            own.iter().filter_map(|row| Some((row.tau?.ln(), row.quality))).collect();
        let all = || groups.values().flatten().map(|point| point.0);
        let ends = (all().fold(f64::INFINITY, f64::min), all().fold(f64::NEG_INFINITY, f64::max));
        let line = Line::fit(&groups, &points);
        Ok(Self {
            fitted: Fitted::Line(line),
            measured: (ends.0.exp(), ends.1.exp()),
            vanilla: vanilla(&own),
            source: name.to_owned(),
        })
    }

    /// A user's curve: a CSV with columns `tau` (empty for vanilla) and `quality`, `noise` if the points have standard
    /// deviations, and `model` if it holds several.
    ///
    /// # Errors
    /// If the file cannot be read or lacks what a curve needs.
    pub fn read(path: &Path, model: &str) -> Result<Self, Diagnostic> {
        let name = path.display().to_string();
        Diagnostic::refuse_device(path)?;
        let bytes = std::fs::read(path).map_err(|error| Diagnostic::unreadable(&name, &error))?;
        if bytes.starts_with(b"PAR1") {
            let help = "write it as CSV with the columns tau and quality";
            return Err(Diagnostic::of(
                &name,
                "is a Parquet table, and a CSV is wanted here",
                help,
            ));
        }
        let other = |mistake| Kind::misplaced_file(path).unwrap_or(mistake);
        Self::parse(&name, &bytes, model).map_err(other)
    }

    fn parse(name: &str, csv: &[u8], model: &str) -> Result<Self, Diagnostic> {
        let rows = rows(name, csv)?;
        let own = of(name, &rows, model)?;
        let measured = |row: &&Row| {
            let (quality, noise) = (row.quality, row.noise);
            Some(Measured { tau: row.tau?, quality, noise })
        };
        let points: Vec<Measured> = own.iter().filter_map(measured).collect();
        let stated = points.iter().filter(|point| point.noise.is_some()).count();
        if stated > 0 && stated < points.len() {
            let found = format!("{stated} of {} points with a τ have a noise", points.len());
            let help = "give every point its standard deviation, or none";
            return Err(Diagnostic {
                key: "noise".to_owned(),
                ..Diagnostic::of(name, found, help)
            });
        }
        let curve = Curve::fit(&points);
        let (source, vanilla) = (name.to_owned(), vanilla(&own));
        Ok(Self { measured: curve.span(), fitted: Fitted::Curve(curve), vanilla, source })
    }

    /// Quality at a τ; vanilla's as it was measured, if it was.
    #[must_use]
    pub fn at(&self, tau: Option<f64>) -> Option<Quality> {
        let Some(tau) = tau else {
            let noise = self.noise();
            return self.vanilla.map(|expected| Quality { expected, noise, extrapolated: false });
        };
        let (low, high) = self.measured;
        let (expected, noise) = match &self.fitted {
            Fitted::Line(line) => (line.at(tau.ln()), Some(line.noise)),
            Fitted::Curve(curve) => curve.at(tau.ln()),
        };
        let extrapolated = !(low * 0.999..=high * 1.001).contains(&tau);
        Some(Quality { expected, noise, extrapolated })
    }

    /// What was measured at this τ (of vanilla for none) by the user; none where nothing was, or for published lines.
    #[must_use]
    pub fn measured(&self, tau: Option<f64>) -> Option<f64> {
        let Fitted::Curve(curve) = &self.fitted else { return None };
        let Some(tau) = tau else { return self.vanilla };
        curve.has(tau.ln()).then(|| curve.measured(tau.ln()))
    }

    /// What the user's points say of a τ: that which was measured there, or lies between its neighbours.
    #[must_use]
    pub fn by_points(&self, tau: Option<f64>) -> Option<f64> {
        let Fitted::Curve(curve) = &self.fitted else { return None };
        tau.map_or(self.vanilla, |tau| Some(curve.measured(tau.ln())))
    }

    /// The least difference of τ, between two of them, that quality can tell: it changes by its noise. Where noise is
    /// unknown, a tenth of the lower one.
    #[must_use]
    pub fn resolution(&self, low: f64, high: f64) -> f64 {
        let ends = [low, high].map(|tau| self.at(Some(tau)));
        let [Some(from), Some(to)] = ends else { return f64::INFINITY };
        let rise = (to.expected - from.expected).abs();
        match from.noise.zip(to.noise) {
            Some(_) if rise == 0.0 => f64::INFINITY,
            Some((a, b)) => (high - low) * a.max(b) / rise,
            None => 0.1 * low,
        }
    }

    /// What quality follows.
    #[must_use]
    pub const fn law(&self) -> Law {
        match &self.fitted {
            Fitted::Line(_) => Law::Line,
            Fitted::Curve(curve) if curve.rises => Law::Rising,
            Fitted::Curve(_) => Law::Falling,
        }
    }

    /// What one more `ln τ` brings, of a line.
    #[must_use]
    pub const fn slope(&self) -> Option<f64> {
        match &self.fitted {
            Fitted::Line(line) => Some(line.slope),
            Fitted::Curve(_) => None,
        }
    }

    /// Standard deviation of single points about it, if it is known.
    #[must_use]
    pub const fn noise(&self) -> Option<f64> {
        match &self.fitted {
            Fitted::Line(line) => Some(line.noise),
            Fitted::Curve(curve) => curve.noise,
        }
    }

    /// What tells the noise.
    #[must_use]
    pub const fn noise_from(&self) -> NoiseFrom {
        match &self.fitted {
            Fitted::Line(_) => NoiseFrom::Departures,
            Fitted::Curve(curve) => curve.from,
        }
    }

    /// The τ that a user measured, rising.
    #[must_use]
    pub fn taus(&self) -> Vec<f64> {
        match &self.fitted {
            Fitted::Line(_) => Vec::new(),
            Fitted::Curve(curve) => curve.taus(),
        }
    }

    /// What speaks against it.
    #[must_use]
    pub fn doubts(&self) -> Vec<Doubt> {
        match &self.fitted {
            Fitted::Line(line) if line.explained < 0.5 => {
                vec![Doubt::ExplainsLittle { share: line.explained }]
            }
            Fitted::Line(_) => Vec::new(),
            Fitted::Curve(curve) => curve.doubts.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(csv: &str) -> Trend {
        Trend::parse("mine.csv", csv.as_bytes(), "any").unwrap()
    }

    fn expected(trend: &Trend, tau: f64) -> f64 {
        trend.at(Some(tau)).unwrap().expected
    }

    #[test]
    fn the_published_curves_rise_gently_with_tau_and_say_their_noise() {
        let trend = Trend::published("1B").unwrap();
        let (slope, noise) = (trend.slope().unwrap(), trend.noise().unwrap());
        assert!(slope > 0.0 && slope < 1.5, "{slope}");
        assert!(noise > 0.1 && noise < 1.5, "{noise}");
        assert!((trend.at(None).unwrap().expected - 45.3).abs() < 1e-9);
        assert!(trend.at(Some(2.0)).unwrap().extrapolated);
        assert!(!trend.at(Some(0.5)).unwrap().extrapolated);
        assert!(expected(&trend, 1.0) > expected(&trend, 0.1));
        // By hand from the table: the line explains less than half of how quality differs within models.
        assert!(matches!(trend.doubts()[..], [Doubt::ExplainsLittle { share }] if share > 0.3));
    }

    #[test]
    fn a_users_points_are_met_straight_in_ln_tau_between_and_flat_beyond() {
        let trend = parsed("tau,quality\n0.1,50\n1,60\n10,61\n");
        assert_eq!([0.1, 1.0, 10.0].map(|tau| expected(&trend, tau)), [50.0, 60.0, 61.0]);
        assert!((expected(&trend, 0.1_f64.sqrt()) - 55.0).abs() < 1e-9);
        assert!((expected(&trend, 0.01) - 50.0).abs() < 1e-9);
        assert!(trend.at(Some(0.01)).unwrap().extrapolated);
        // Points that rise say nothing of their noise, and vanilla was not measured.
        assert_eq!((trend.noise(), trend.noise_from()), (None, NoiseFrom::Nothing));
        assert_eq!((trend.at(None), trend.law()), (None, Law::Rising));
    }

    #[test]
    fn points_that_fall_are_pooled_by_their_weights() {
        let trend = parsed("tau,quality\n0.1,50\n0.5,53\n1,51\n2,60\n");
        assert_eq!([0.5, 1.0].map(|tau| expected(&trend, tau)), [52.0, 52.0]);
        assert_eq!(trend.noise_from(), NoiseFrom::Departures);
        // Three levels of four points: one degree of freedom, Σ (1² + 1²).
        assert!((trend.noise().unwrap() - 2_f64.sqrt()).abs() < 1e-9);
        let stated = parsed("tau,quality,noise\n0.1,50,1\n0.5,53,1\n1,51,2\n2,60,1\n");
        assert!((expected(&stated, 1.0) - (53.0 + 51.0 / 4.0) / 1.25).abs() < 1e-9);
        let error = stated.at(Some(1.0)).unwrap().noise.unwrap();
        assert!((error - 1.25_f64.sqrt().recip()).abs() < 1e-9, "{error}");
        assert!(stated.doubts().is_empty(), "{:?}", stated.doubts());
    }

    #[test]
    fn what_speaks_against_a_curve_is_said() {
        let sure = parsed("tau,quality,noise\n0.1,50,0.1\n0.5,53,0.1\n1,51,0.1\n2,60,0.1\n");
        assert!(matches!(sure.doubts()[..], [Doubt::BeyondNoise { times }] if times > 10.0));
        let falls = parsed("tau,quality\n0.1,3\n0.5,2\n1,1\n");
        assert_eq!((falls.law(), falls.doubts()), (Law::Falling, vec![Doubt::Falls]));
        // Within its noise the same falls by chance.
        let chance = parsed("tau,quality,noise\n0.1,3,2\n0.5,2,2\n1,1,2\n");
        assert_eq!((chance.law(), chance.doubts()), (Law::Rising, vec![]));
        assert_eq!(parsed("tau,quality\n0.5,2\n").doubts(), [Doubt::OneTau(0.5)]);
        let any = parsed("tau,quality\n0.1,50\n0.2,58\n0.4,49\n0.8,57\n1,50\n");
        assert!(matches!(any.doubts()[..], [Doubt::ExplainsLittle { .. }]), "{:?}", any.doubts());
    }

    #[test]
    fn points_at_one_tau_tell_their_noise() {
        let trend = parsed("tau,quality\n0.1,49\n0.1,51\n1,59\n1,61\n,44\n,46\n");
        assert_eq!(expected(&trend, 1.0), 60.0);
        // Σ (4 · 1²) over 4 − 2; the mean of two is √2 surer.
        assert!((trend.noise().unwrap() - 2_f64.sqrt()).abs() < 1e-9);
        assert!((trend.at(Some(1.0)).unwrap().noise.unwrap() - 1.0).abs() < 1e-9);
        assert_eq!(trend.noise_from(), NoiseFrom::Repeats);
        assert_eq!(trend.at(None).unwrap().expected, 45.0);
        assert_eq!(trend.measured(Some(0.1)), Some(50.0));
        assert_eq!(trend.measured(Some(0.5)), None);
    }

    #[test]
    fn tau_is_told_no_finer_than_quality_tells_it() {
        let trend = Trend::published("1B").unwrap();
        assert!(trend.resolution(0.25, 0.4) > 0.2, "{}", trend.resolution(0.25, 0.4));
        let sure = parsed("tau,quality,noise\n0.1,50,0.1\n1,60,0.1\n");
        assert!((sure.resolution(0.1, 1.0) - 0.9 * 0.1 / 10.0).abs() < 1e-9);
        let flat = parsed("tau,quality,noise\n0.1,50,0.1\n1,50,0.1\n");
        assert_eq!(flat.resolution(0.1, 1.0), f64::INFINITY);
    }

    #[test]
    fn a_curve_that_is_none_is_refused_by_line() {
        let wrong =
            |csv: &str| Trend::parse("mine.csv", csv.as_bytes(), "m").unwrap_err().to_string();
        assert!(
            wrong("tau,quality\n0.1,fine\n").starts_with("mine.csv:2"),
            "{}",
            wrong("tau,quality\n0.1,fine\n")
        );
        assert!(wrong("tau,quality\n-1,3\n").contains("tau: found -1"));
        assert!(wrong("tau,quality,noise\n1,3,0\n").contains("noise: found 0"));
        assert!(wrong("tau,quality,noise\n1,3,1\n2,4,\n").contains("1 of 2 points"));
        assert!(wrong("model,tau,quality\nx,0.5,3\n").contains("models in it: x"));
        assert!(wrong("").contains("holds no points"));
    }
}
