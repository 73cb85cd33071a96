//! What a scenario states: names, choices and numbers, before anything that it names is read.
//!
//! A scenario's file is parsed into a [`ScenarioSpec`]; commands build one from their arguments.

use std::collections::BTreeMap;
use std::ops::Range;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use toml::Value;

use super::words::{AllToAllWord, CountedWord, NetworkWord, PrecisionWord, scope};
use crate::config::source::HELP_FOLLOWS;
use crate::config::{Count, Number};
use crate::execution::Scope;

/// A scenario as its file states it.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ScenarioSpec {
    /// The version of this kind of file.
    schema: Count<1, 1>,
    /// Its name.
    pub name: String,
    /// The cluster: a file, or built in.
    pub topology: String,
    /// The profile; the GPU's own if none is named.
    pub profile: Option<String>,
    /// The overheads, or `none`; if none are named they follow from how experts run.
    pub overheads: Option<String>,
    /// What is counted.
    #[serde(with = "scope")]
    #[schemars(with = "CountedWord")]
    pub counted: Scope,
    /// How tokens travel; as the exchange library does if none is given.
    pub(super) all_to_all: Option<AllToAllWord>,
    /// How links are shared.
    #[serde(default)]
    pub(super) network: NetworkWord,
    /// Relative error that the time of an exchange may have; 0.01 if none is given.
    pub(super) epsilon: Option<f64>,
    /// Whether each seed draws what calibration leaves open.
    #[serde(default)]
    pub calibration_uncertainty: bool,
    /// Standard deviation of the logarithm of what kernels take, from one to the next.
    #[serde(default)]
    pub(super) jitter: Option<Number<0, 1_000>>,
    /// How exactly the mean of the counted time over seeds is wanted, such as `"0.5%"`: no more of each run is simulated than
    /// that takes. `"exact"`, all of it, if none is given.
    #[serde(default)]
    #[schemars(with = "String")]
    pub(super) precision: PrecisionWord,
    /// Whether workloads that do not fit into memory are run nevertheless.
    #[serde(default)]
    pub allow_oom: bool,
    /// The seeds.
    pub seeds: Seeds,
    /// τ of the MoE++ workloads; each workload's own if none is given.
    pub(super) tau: Option<Vec<Number<1, 1_000_000>>>,
    /// The τ whose time is broken down; the last if none is given.
    pub(super) breakdown: Option<Number<1, 1_000_000>>,
    /// The comparisons.
    pub compare: Vec<CaseSpec>,
    /// Keys of the files that it names, and values to take in place of theirs.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "BTreeMap<String, serde_json::Value>")]
    pub(super) set: BTreeMap<String, Value>,
}

impl ScenarioSpec {
    /// A comparison on a cluster, all else as a file that does not mention it.
    #[must_use]
    pub fn new(
        name: &str,
        topology: &str,
        counted: Scope,
        seeds: Seeds,
        compare: CaseSpec,
    ) -> Self {
        Self {
            schema: Count(1),
            name: name.to_owned(),
            topology: topology.to_owned(),
            profile: None,
            overheads: None,
            counted,
            all_to_all: None,
            network: NetworkWord::default(),
            epsilon: None,
            calibration_uncertainty: false,
            jitter: None,
            precision: PrecisionWord::default(),
            allow_oom: false,
            seeds,
            tau: None,
            breakdown: None,
            compare: vec![compare],
            set: BTreeMap::new(),
        }
    }

    /// As the text of a file, which `--set` lines are laid over.
    pub(super) fn text(&self) -> String {
        toml::to_string(self).expect("names and numbers have a TOML form")
    }
}

/// Two workloads to compare: files, or built in.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields)]
pub struct CaseSpec {
    /// The vanilla workload.
    pub vanilla: String,
    /// The MoE++ workload, if it is compared with one.
    pub moepp: Option<String>,
}

/// Seeds, half open; written `first..end`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seeds(Range<u64>);

impl Seeds {
    const MOST: u64 = 100_000;

    /// The range.
    #[must_use]
    pub const fn range(&self) -> &Range<u64> {
        &self.0
    }

    /// Whether there is more than one.
    #[must_use]
    pub const fn are_several(&self) -> bool {
        self.0.end - self.0.start > 1
    }
}

impl FromStr for Seeds {
    /// What is wrong, and how to fix it.
    type Err = (String, &'static str);

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bounds = text.split_once("..").and_then(|(first, end)| {
            Some(first.trim().parse::<u64>().ok()?..end.trim().parse::<u64>().ok()?)
        });
        let fits = |seeds: &Range<u64>| !seeds.is_empty() && seeds.end - seeds.start <= Self::MOST;
        bounds.filter(fits).map(Self).ok_or_else(|| {
            (
                format!("`{text}` is not a range of 1 to {} seeds", Self::MOST),
                "write first..end, end not included, such as \"0..5\" for five seeds",
            )
        })
    }
}

impl<'de> Deserialize<'de> for Seeds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let wrong = |(found, help)| D::Error::custom(format!("{found}{HELP_FOLLOWS}{help}"));
        match toml::Value::deserialize(deserializer)? {
            toml::Value::String(text) => text.parse().map_err(wrong),
            other => other.to_string().parse().map_err(wrong),
        }
    }
}

impl Serialize for Seeds {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{}..{}", self.0.start, self.0.end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_specification_reads_back_from_its_own_text() {
        let compare = CaseSpec { vanilla: "a \"quoted\" name".to_owned(), moepp: None };
        let seeds: Seeds = " 3 .. 7".parse().unwrap();
        let mut spec = ScenarioSpec::new("t", "C:\\x", Scope::MoeLayer, seeds, compare);
        spec.profile = Some("own".to_owned());
        let again: ScenarioSpec = toml::from_str(&spec.text()).unwrap();
        assert_eq!(again.text(), spec.text());
        assert_eq!((again.seeds.range(), again.topology.as_str()), (&(3..7), "C:\\x"));
        assert_eq!(again.compare[0].vanilla, "a \"quoted\" name");
    }

    #[test]
    fn a_precision_is_a_share_of_the_time_or_exact() {
        let read = |text: &str| toml::from_str::<Held>(&format!("precision = {text}"));
        for (text, share) in [
            ("\"0.5%\"", Some(0.005)),
            ("\" 20 % \"", Some(0.2)),
            ("\"0.01%\"", Some(1e-4)),
            ("\"exact\"", None),
        ] {
            assert_eq!(read(text).unwrap().precision.0, share, "{text}");
        }
        for wrong in ["\"0.5\"", "0.005", "\"0%\"", "\"21%\"", "\"-1%\"", "\"NaN%\"", "\"\""] {
            let refused = read(wrong).unwrap_err().to_string();
            assert!(refused.contains("is no precision"), "{wrong}: {refused}");
        }
    }

    #[derive(Debug, Deserialize)]
    struct Held {
        precision: PrecisionWord,
    }

    #[test]
    fn seeds_are_a_range_of_some() {
        for wrong in ["", "3", "x", "3..3", "5..2", "0..100001", "-1..2", "0..18446744073709551616"]
        {
            assert!(wrong.parse::<Seeds>().is_err(), "{wrong}");
        }
    }
}
