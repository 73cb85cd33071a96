//! The results of `moesim validate` and of `moesim validate systems`: how far off predictions are.

use std::collections::BTreeMap;
use std::io::{self, Write};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::shared::made_by::MadeBy;
use crate::studies::paper::verdict::{Errors, Judgement, Verdict};
use crate::studies::validate::summary::{self, FileErrors};
use crate::studies::validate::systems::summary::SystemRow;

/// How far off predictions of a folder's measurements are.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ValidationResult {
    /// How it was made.
    #[serde(default)]
    pub made_by: MadeBy,
    /// Each table of measurements.
    pub files: Vec<FileErrors>,
    /// Each table in the columns of the paper's.
    #[serde(default)]
    pub papers: Vec<PaperErrors>,
}

impl ValidationResult {
    /// A line per table of measurements.
    ///
    /// # Errors
    /// If `out` cannot be written to.
    pub fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        write!(out, "{}", summary::HEADER)?;
        self.files.iter().try_for_each(|file| write!(out, "{}", summary::line(file)))
    }
}

/// How well a table of the paper's columns is predicted.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PaperErrors {
    /// The file's name.
    pub file: String,
    /// All rows, with the overheads as they stand.
    #[serde(flatten)]
    pub all: RowErrors,
    /// Rows whose model is unknown.
    pub skipped: usize,
    /// Each model's rows, predicted with overheads fitted to the other models' rows.
    pub left_out: Vec<RowErrors>,
}

impl PaperErrors {
    /// Of a verdict.
    #[must_use]
    pub fn of(verdict: &Verdict) -> Self {
        Self {
            file: verdict.file.clone(),
            all: RowErrors::of(&verdict.all),
            skipped: verdict.skipped,
            left_out: verdict.left_out.iter().map(RowErrors::of).collect(),
        }
    }
}

/// How well a set of rows is predicted, and how well baselines do on the same.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RowErrors {
    /// What was judged: a model's name, or `all`.
    pub model: String,
    /// Rows judged.
    pub rows: usize,
    /// Ours.
    #[serde(flatten)]
    pub ours: Errors,
    /// Each baseline's: `ideal`, `amdahl`, `other_models`.
    pub baselines: BTreeMap<String, Errors>,
}

impl RowErrors {
    fn of(judgement: &Judgement) -> Self {
        let named = judgement.baselines.iter();
        Self {
            model: judgement.of.clone(),
            rows: judgement.rows,
            ours: judgement.ours,
            baselines: named
                .map(|(baseline, errors)| (baseline.key().to_owned(), *errors))
                .collect(),
        }
    }
}

/// Published whole layers, exchanges, steps and serving figures, predicted and judged.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SystemsResult {
    /// How it was made.
    #[serde(default)]
    pub made_by: MadeBy,
    /// Each row.
    pub rows: Vec<SystemRow>,
}
