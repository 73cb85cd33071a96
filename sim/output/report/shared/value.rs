//! Values with their intervals, under keys that share a beginning: `time_ms`, `time_ms_low`, `time_ms_high`.

use std::borrow::Cow;
use std::marker::PhantomData;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_with::with_prefix;

use crate::base::statistics::{Estimate, Range};

/// A mean over seeds and the ends of its interval; flattened, with the name of the quantity before each key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Mean {
    /// The mean; none where the quantity does not apply.
    #[serde(rename = "")]
    pub mean: Option<f64>,
    /// The lower end; none of a single seed.
    #[serde(rename = "_low")]
    pub low: Option<f64>,
    /// The upper end.
    #[serde(rename = "_high")]
    pub high: Option<f64>,
}

impl Mean {
    /// The mean, or zero where the quantity does not apply.
    #[must_use]
    pub fn value(&self) -> f64 {
        self.mean.unwrap_or_default()
    }

    /// Half the width of the interval.
    #[must_use]
    pub fn half_width(&self) -> Option<f64> {
        Some((self.high? - self.low?) / 2.0)
    }

    /// The two ends, if both are known.
    #[must_use]
    pub fn interval(&self) -> Option<(f64, f64)> {
        self.low.zip(self.high)
    }

    /// The mean and its interval, times a factor.
    #[must_use]
    pub(in crate::output) fn scaled(self, factor: f64) -> Self {
        let times = |value: Option<f64>| value.map(|value| factor * value);
        Self { mean: times(self.mean), low: times(self.low), high: times(self.high) }
    }

    /// `12.3 ± 0.4`, without the interval of a single seed; `-` where the quantity does not apply.
    #[must_use]
    pub fn shown(&self, decimals: usize) -> String {
        let Some(mean) = self.mean else { return "-".to_owned() };
        match self.half_width() {
            Some(half) => format!("{mean:.decimals$} ± {half:.decimals$}"),
            None => format!("{mean:.decimals$}"),
        }
    }
}

impl From<Estimate> for Mean {
    fn from(estimate: Estimate) -> Self {
        let ends = estimate.half_width.map(|_| (estimate.low(), estimate.high()));
        Self {
            mean: Some(estimate.mean),
            low: ends.map(|ends| ends.0),
            high: ends.map(|ends| ends.1),
        }
    }
}

impl From<Option<Estimate>> for Mean {
    fn from(estimate: Option<Estimate>) -> Self {
        estimate.map_or_else(Self::default, Self::from)
    }
}

/// The ends of a 90 % prediction interval; none unless calibration error is drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Predicted {
    /// The lower end.
    #[serde(rename = "_p05")]
    pub low: Option<f64>,
    /// The upper end.
    #[serde(rename = "_p95")]
    pub high: Option<f64>,
}

impl Predicted {
    /// `12.3 to 14.5`; `-` where there is no interval.
    #[must_use]
    pub fn shown(&self) -> String {
        let ends = self.low.zip(self.high);
        ends.map_or_else(|| "-".to_owned(), |(low, high)| format!("{low:.1} to {high:.1}"))
    }
}

impl From<Option<Range>> for Predicted {
    fn from(range: Option<Range>) -> Self {
        Self { low: range.map(|range| range.low), high: range.map(|range| range.high) }
    }
}

/// A module for `#[serde(flatten, with = …)]` that puts a name before each key, and a type whose schema says so.
macro_rules! prefixed {
    ($module:ident, $schema:ident, $prefix:literal) => {
        with_prefix!(pub(crate) $module $prefix);

        pub(crate) struct $schema<T>(PhantomData<T>);

        impl<T: JsonSchema> JsonSchema for $schema<T> {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                format!("{}{}", $prefix, T::schema_name()).into()
            }

            fn json_schema(generator: &mut SchemaGenerator) -> Schema {
                with_keys_behind(T::json_schema(generator), $prefix)
            }
        }
    };
}

/// An object's schema with a name before each of its keys.
fn with_keys_behind(mut schema: Schema, prefix: &str) -> Schema {
    let Some(object) = schema.as_object_mut() else { return schema };
    if let Some(Value::Object(keys)) = object.get_mut("properties") {
        let named = std::mem::take(keys).into_iter();
        *keys = named.map(|(key, value)| (format!("{prefix}{key}"), value)).collect();
    }
    if let Some(Value::Array(required)) = object.get_mut("required") {
        for key in required {
            if let Value::String(name) = key {
                *name = format!("{prefix}{name}");
            }
        }
    }
    schema
}

prefixed!(ffn_share, FfnShare, "ffn_share");
prefixed!(drop_share, DropShare, "drop_share");
prefixed!(dropped_weight_share, DroppedWeightShare, "dropped_weight_share");
prefixed!(makespan_ms, MakespanMs, "makespan_ms");
prefixed!(throughput_increase_percent, ThroughputIncreasePercent, "throughput_increase_percent");
prefixed!(tokens_per_s, TokensPerS, "tokens_per_s");
prefixed!(tokens_per_s_per_gpu, TokensPerSPerGpu, "tokens_per_s_per_gpu");
prefixed!(ratio_to_best, RatioToBest, "ratio_to_best");

/// A workload with its τ, if it has one.
#[must_use]
pub fn spoken(workload: &str, tau: Option<f64>) -> String {
    match tau {
        None => workload.to_owned(),
        Some(tau) => format!("{workload} at τ = {tau}"),
    }
}

/// Enough decimals for four figures.
#[must_use]
pub(in crate::output) fn decimals_of(value: f64) -> usize {
    if value <= 0.0 { 1 } else { (3 - value.log10().floor() as i32).clamp(1, 6) as usize }
}

/// A number in four significant digits.
#[must_use]
pub fn digits(value: f64) -> String {
    let size = if value > 0.0 { value.log10().floor() as i32 } else { 0 };
    let after = (3 - size).clamp(0, 6) as usize;
    format!("{value:.after$}")
}

/// A number in four significant digits, of a large one in thousands or millions.
#[must_use]
pub fn rounded(value: f64) -> String {
    let units = [(1e12, "T"), (1e9, "G"), (1e6, "M"), (1e4, "k")];
    // What rounds up to a unit is written in it.
    let unit = units.into_iter().find(|(least, _)| value.abs() >= least * 0.999_95);
    match unit {
        Some((_, "k")) => format!("{} k", digits(value / 1e3)),
        Some((unit, name)) => {
            format!("{} {name}", digits((value / unit).abs().max(1.0).copysign(value)))
        }
        None => digits(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_numbers_are_rounded_for_reading() {
        let shown = [0.0, 7.669, 1234.5, 9999.0, 43_430.0, 359_313.0, 999_990.0, 16_127_866.0];
        let shown = shown.map(rounded);
        assert_eq!(
            shown,
            ["0.000", "7.669", "1234", "9999", "43.43 k", "359.3 k", "1.000 M", "16.13 M"]
        );
    }
}
