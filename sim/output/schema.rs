//! JSON Schemas of the results that commands print, and the version of each.
//!
//! A result begins with `"schema": "run-result/1"`. The number grows when a key goes, changes its meaning or its unit;
//! a key that is added changes nothing for those who read the others.

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde::Serialize;
use serde_json::{Value, json};

use super::report::advice::AdviceResult;
use super::report::comparison::Comparison;
use super::report::evidence::law::{LawResult, SpreadsResult};
use super::report::evidence::loads::GateLoads;
use super::report::evidence::validation::{SystemsResult, ValidationResult};
use super::report::explanation::Explanation;
use super::report::goodput::GoodputResult;
use super::report::layouts::LayoutsResult;
use super::report::memory::MemoryResult;
use super::report::network::flows::FlowsResult;
use super::report::network::topology::ClusterDescription;
use super::report::plan::PlanResult;
use super::report::study::StudyResult;
use crate::base::choice::Choice;

/// The results of commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResultKind {
    /// Of `moesim run`.
    Run,
    /// Of `moesim memory`.
    Memory,
    /// Of `moesim compare`.
    Comparison,
    /// Of `moesim plan`.
    Plan,
    /// Of `moesim layouts`.
    Layouts,
    /// Of `moesim advise`.
    Advice,
    /// Of `moesim explain`.
    Explanation,
    /// Of `moesim goodput`.
    Goodput,
    /// Of `moesim flows`.
    Flows,
    /// Of `moesim topology`.
    Cluster,
    /// Of `moesim gate show`.
    Loads,
    /// Of `moesim gate fit` of a recording.
    Law,
    /// Of `moesim gate fit` of counts.
    Spreads,
    /// Of `moesim validate`.
    Validation,
    /// Of `moesim validate systems`.
    Systems,
}

impl Choice for ResultKind {
    const ALL: &'static [Self] = &[
        Self::Run,
        Self::Memory,
        Self::Comparison,
        Self::Plan,
        Self::Layouts,
        Self::Advice,
        Self::Explanation,
        Self::Goodput,
        Self::Flows,
        Self::Cluster,
        Self::Loads,
        Self::Law,
        Self::Spreads,
        Self::Validation,
        Self::Systems,
    ];

    fn word(self) -> &'static str {
        match self {
            Self::Run => "run-result",
            Self::Memory => "memory-result",
            Self::Comparison => "comparison-result",
            Self::Plan => "plan-result",
            Self::Layouts => "layouts-result",
            Self::Advice => "advice-result",
            Self::Explanation => "explanation-result",
            Self::Goodput => "goodput-result",
            Self::Flows => "flows-result",
            Self::Cluster => "cluster-result",
            Self::Loads => "loads-result",
            Self::Law => "law-result",
            Self::Spreads => "spreads-result",
            Self::Validation => "validation-result",
            Self::Systems => "systems-result",
        }
    }

    fn help(self) -> &'static str {
        match self {
            Self::Run => "What `moesim run --json` prints",
            Self::Memory => "What `moesim memory --json` prints",
            Self::Comparison => "What `moesim compare --json` prints",
            Self::Plan => "What `moesim plan --json` prints",
            Self::Layouts => "What `moesim layouts --json` prints",
            Self::Advice => "What `moesim advise --json` prints",
            Self::Explanation => "What `moesim explain --json` prints",
            Self::Goodput => "What `moesim goodput --json` prints",
            Self::Flows => "What `moesim flows --json` prints",
            Self::Cluster => "What `moesim topology --json` prints",
            Self::Loads => "What `moesim gate show --json` prints",
            Self::Law => "What `moesim gate fit --json` prints of a recording",
            Self::Spreads => "What `moesim gate fit --json` prints of counts",
            Self::Validation => "What `moesim validate --json` prints",
            Self::Systems => "What `moesim validate systems --json` prints",
        }
    }
}

impl ResultKind {
    /// The version of its schema.
    #[must_use]
    pub const fn version(self) -> u32 {
        1
    }

    /// What a result says it is: `run-result/1`.
    #[must_use]
    pub fn label(self) -> String {
        format!("{}/{}", self.word(), self.version())
    }

    /// The kind that a result says it is; none where it says nothing, as those written before results said what they are.
    ///
    /// # Errors
    /// Where it says what this moesim does not read.
    pub fn told(result: &Value) -> Result<Option<Self>, String> {
        let Some(label) = result.get("schema") else { return Ok(None) };
        let found = Self::ALL.iter().copied().find(|kind| *label == kind.label());
        found.map(Some).ok_or_else(|| {
            let known: Vec<String> = Self::ALL.iter().map(|kind| kind.label()).collect();
            format!("is of schema {label}; this moesim reads {}", known.join(", "))
        })
    }

    /// Its JSON Schema.
    #[must_use]
    pub fn schema(self) -> Value {
        match self {
            Self::Run => of::<StudyResult>(),
            Self::Memory => of::<MemoryResult>(),
            Self::Comparison => of::<Comparison>(),
            Self::Plan => of::<PlanResult>(),
            Self::Layouts => of::<LayoutsResult>(),
            Self::Advice => of::<AdviceResult>(),
            Self::Explanation => of::<Explanation>(),
            Self::Goodput => of::<GoodputResult>(),
            Self::Flows => of::<FlowsResult>(),
            Self::Cluster => of::<ClusterDescription>(),
            Self::Loads => of::<GateLoads>(),
            Self::Law => of::<LawResult>(),
            Self::Spreads => of::<SpreadsResult>(),
            Self::Validation => of::<ValidationResult>(),
            Self::Systems => of::<SystemsResult>(),
        }
    }
}

fn of<R: Printed + JsonSchema>() -> Value {
    let generator = SchemaSettings::draft07().for_serialize().into_generator();
    let mut schema = generator.into_root_schema_for::<R>().to_value();
    schema["title"] = format!("moesim {}", R::KIND.label()).into();
    schema["properties"]["schema"] = json!({ "const": R::KIND.label() });
    if let Some(required) = schema["required"].as_array_mut() {
        required.insert(0, "schema".into());
    }
    schema
}

/// A result that a command prints with `--json`.
pub trait Printed: Serialize {
    /// Its kind.
    const KIND: ResultKind;
}

macro_rules! printed {
    ($($result:ty => $kind:ident),* $(,)?) => {
        $(impl Printed for $result {
            const KIND: ResultKind = ResultKind::$kind;
        })*
    };
}

printed! {
    StudyResult => Run,
    MemoryResult => Memory,
    Comparison => Comparison,
    PlanResult => Plan,
    LayoutsResult => Layouts,
    AdviceResult => Advice,
    Explanation => Explanation,
    GoodputResult => Goodput,
    FlowsResult => Flows,
    ClusterDescription => Cluster,
    GateLoads => Loads,
    LawResult => Law,
    SpreadsResult => Spreads,
    ValidationResult => Validation,
    SystemsResult => Systems,
}

/// A result behind what it says it is.
#[derive(Serialize)]
pub struct Labelled<'r, R> {
    schema: String,
    #[serde(flatten)]
    result: &'r R,
}

impl<'r, R: Printed> Labelled<'r, R> {
    /// Of a result.
    #[must_use]
    pub fn of(result: &'r R) -> Self {
        Self { schema: R::KIND.label(), result }
    }
}
