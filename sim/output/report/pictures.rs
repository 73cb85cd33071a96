//! Pictures of results: each is made from the JSON that a command prints, so that a command's `--plot`
//! and a later `moesim plot` draw the same.

use serde_json::Value;

use crate::config::Diagnostic;
use crate::output::plot::{
    Area, Chart, Diagram, DrawingBackend, HeatMap, LineChart, PlotError, Spots, StackedBars,
};

mod clusters;
mod counts;
mod links;
mod plan;
mod study;
mod validation;

pub use clusters::{cost_chart, throughput_chart};
pub use counts::{is_counts, loads_chart};
pub use links::links_chart;
pub use plan::front_chart;
pub use study::{breakdown_chart, gain_chart};
pub use validation::errors_chart;

/// A picture of any kind.
#[derive(Clone, Debug)]
pub enum Picture {
    /// Lines over two axes.
    Lines(LineChart),
    /// Bars in parts.
    Bars(StackedBars),
    /// A grid.
    Heat(HeatMap),
    /// Named points.
    Spots(Spots),
    /// A network at work.
    Diagram(Diagram),
}

impl Chart for Picture {
    fn size(&self) -> (u32, u32) {
        match self {
            Self::Lines(chart) => chart.size(),
            Self::Bars(chart) => chart.size(),
            Self::Heat(chart) => chart.size(),
            Self::Spots(chart) => chart.size(),
            Self::Diagram(chart) => chart.size(),
        }
    }

    fn draw<DB: DrawingBackend>(&self, area: &Area<DB>) -> Result<(), PlotError> {
        match self {
            Self::Lines(chart) => chart.draw(area),
            Self::Bars(chart) => chart.draw(area),
            Self::Heat(chart) => chart.draw(area),
            Self::Spots(chart) => chart.draw(area),
            Self::Diagram(chart) => chart.draw(area),
        }
    }
}

/// A workload with its τ, if it has one.
#[must_use]
pub fn spoken(workload: &str, tau: Option<f64>) -> String {
    match tau {
        None => workload.to_owned(),
        Some(tau) => format!("{workload} at τ = {tau}"),
    }
}

/// A part of a result's JSON, and where it stands, for messages.
#[derive(Clone, Debug)]
pub struct Part<'a> {
    file: &'a str,
    at: String,
    value: &'a Value,
}

impl<'a> Part<'a> {
    /// A whole result, read from a file.
    #[must_use]
    pub fn whole(file: &'a str, value: &'a Value) -> Self {
        Self { file, at: String::new(), value }
    }

    /// Whether there is something under a name.
    #[must_use]
    pub fn has(&self, key: &str) -> bool {
        self.value.get(key).is_some_and(|value| !value.is_null())
    }

    /// Whether a run's exchanges were counted, so that links were used.
    #[must_use]
    pub fn counts_exchanges(&self) -> bool {
        self.value.get("counted").and_then(Value::as_str) != Some("experts")
    }

    fn missing(&self, key: &str, what: &str) -> Diagnostic {
        Diagnostic {
            key: format!("{}{key}", self.at),
            ..Diagnostic::of(
                self.file,
                format!("there is no {what} here"),
                "take the file as this version of moesim wrote it",
            )
        }
    }

    fn maybe(&self, key: &str) -> Option<f64> {
        self.value.get(key).and_then(Value::as_f64)
    }

    fn number(&self, key: &str) -> Result<f64, Diagnostic> {
        self.maybe(key).ok_or_else(|| self.missing(key, "number"))
    }

    fn text(&self, key: &str) -> Result<&'a str, Diagnostic> {
        let text = self.value.get(key).and_then(Value::as_str);
        text.ok_or_else(|| self.missing(key, "text"))
    }

    fn part(&self, key: &str) -> Result<Self, Diagnostic> {
        let value = self.value.get(key).filter(|value| value.is_object());
        let value = value.ok_or_else(|| self.missing(key, "object"))?;
        Ok(Self { file: self.file, at: format!("{}{key}.", self.at), value })
    }

    /// The objects of an array; the whole, if no name is given.
    fn list(&self, key: &str) -> Result<Vec<Self>, Diagnostic> {
        let array = if key.is_empty() { Some(self.value) } else { self.value.get(key) };
        let array = array.and_then(Value::as_array);
        let array = array.ok_or_else(|| self.missing(key, "array"))?;
        let part = |(n, value): (usize, &'a Value)| Self {
            file: self.file,
            at: format!("{}{key}[{n}].", self.at),
            value,
        };
        Ok(array.iter().enumerate().map(part).collect())
    }

    /// The two ends of an interval, if both are there.
    fn interval(&self, key: &str) -> Option<(f64, f64)> {
        self.maybe(&format!("{key}_low")).zip(self.maybe(&format!("{key}_high")))
    }
}
