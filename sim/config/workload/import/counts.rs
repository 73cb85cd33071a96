//! Counts of experts, as serving engines record them → the table that `moesim gate fit` reads.
//!
//! ```text
//! {"logical_count": [[…], …]}     SGLang's recorder, as `--init-expert-location` takes it: layers × experts,
//!                                 or steps × layers × experts, whose steps are added up
//! [[…], …]                        EPLB's `weight`, and vLLM's expert load: layers × experts
//! 1,2,3                           a line a layer, without a header
//! ```
//!
//! [sglang: python/sglang/srt/eplb/expert_location.py; deepseek-ai/EPLB README]. Counts are of logical experts:
//! those of copies have to be added up first. Layers are numbered from 0, as recorded.

use serde_json::Value;

use crate::config::Diagnostic;

/// The most layers and experts that a recording may have.
const MOST: (usize, usize) = (512, 4_096);

const HELP: &str = "give counts of logical experts, layers × experts: {\"logical_count\": [[…], …]}, [[…], …], or \
                    a line of numbers a layer";

/// Counts of experts by layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportedCounts {
    /// The text of the table: domain, layer, expert, count.
    pub table: String,
    /// Layers.
    pub layers: usize,
    /// Experts of each.
    pub experts: usize,
    /// Steps that were added up.
    pub steps: usize,
}

/// Whether a text looks like a recorder's counts and not like a config.json.
#[must_use]
pub fn is_counts(text: &str) -> bool {
    let start = text.trim_start();
    let line = start.lines().next().unwrap_or_default();
    let numbers = line.split(',').all(|cell| cell.trim().parse::<f64>().is_ok());
    let recorder =
        ["\"logical_count\"", "\"physical_to_logical_map\"", "\"global_physical_count\""];
    let object = start.starts_with('{') && recorder.iter().any(|key| start.contains(key));
    start.starts_with('[') || object || (line.contains(',') && numbers)
}

/// The table of counts in a recorder's file.
///
/// # Errors
/// If it holds no counts by layer and expert.
pub fn import_counts(place: &str, text: &str) -> Result<ImportedCounts, Diagnostic> {
    let (steps, layers) = if text.trim_start().starts_with(['{', '[']) {
        of_json(place, text)?
    } else {
        (1, of_lines(place, text)?)
    };
    let refuse = |found: String| Diagnostic::of(place, found, HELP);
    let experts = layers.first().map_or(0, Vec::len);
    if let Some(at) = layers.iter().position(|layer| layer.len() != experts) {
        let found = format!("layer {at} has {} experts, and layer 0 {experts}", layers[at].len());
        return Err(refuse(found));
    }
    if experts < 2 || experts > MOST.1 || layers.len() > MOST.0 {
        return Err(refuse(format!("holds {} layers of {experts} experts", layers.len())));
    }
    if let Some(at) = layers.iter().position(|layer| layer.iter().all(|count| *count == 0)) {
        return Err(refuse(format!("layer {at} counts nothing")));
    }
    let mut table = String::from("domain,layer,expert,count\n");
    for (layer, counts) in layers.iter().enumerate() {
        for (expert, count) in counts.iter().enumerate() {
            table += &format!("recorded,{layer},{expert},{count}\n");
        }
    }
    Ok(ImportedCounts { table, layers: layers.len(), experts, steps })
}

fn of_json(place: &str, text: &str) -> Result<(usize, Vec<Vec<u64>>), Diagnostic> {
    let refuse = |found: &str| Diagnostic::of(place, found, HELP);
    let value: Value = serde_json::from_str(text).map_err(|e| {
        let mut mistake = refuse(&format!("is no JSON: {e}"));
        mistake.line = Some(e.line()).filter(|&line| line > 0);
        mistake
    })?;
    let counts = match &value {
        Value::Object(keys) => keys.get("logical_count").ok_or_else(|| {
            refuse("says where experts are, or counts their copies, and has no logical_count")
        })?,
        other => other,
    };
    let no_matrix = || refuse("holds no counts by layer and expert");
    let outer = counts.as_array().ok_or_else(no_matrix)?;
    let is_deep =
        |value: &Value| value.as_array().and_then(|of| of.first()).is_some_and(Value::is_array);
    if !outer.first().is_some_and(is_deep) {
        return Ok((1, matrix(counts).ok_or_else(no_matrix)?));
    }
    let mut sum: Vec<Vec<u64>> = vec![];
    for step in outer {
        let step = matrix(step).ok_or_else(no_matrix)?;
        if sum.is_empty() {
            sum = step;
            continue;
        }
        let shape = |of: &[Vec<u64>]| of.iter().map(Vec::len).collect::<Vec<_>>();
        if shape(&sum) != shape(&step) {
            return Err(refuse("has steps of different layers or experts"));
        }
        for (sum, step) in sum.iter_mut().flatten().zip(step.iter().flatten()) {
            *sum = sum.saturating_add(*step);
        }
    }
    Ok((outer.len(), sum))
}

/// Whole numbers by row; some recorders write them as floats.
fn matrix(value: &Value) -> Option<Vec<Vec<u64>>> {
    let whole = |value: &Value| {
        let float = || value.as_f64().filter(|x| x.fract() == 0.0 && (0.0..2e14).contains(x));
        value.as_u64().or_else(|| float().map(|x| x as u64)).filter(|count| *count <= 1 << 48)
    };
    let row = |row: &Value| row.as_array()?.iter().map(whole).collect();
    value.as_array()?.iter().map(row).collect()
}

fn of_lines(place: &str, text: &str) -> Result<Vec<Vec<u64>>, Diagnostic> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let row = |(at, line): (usize, &str)| {
        let cells = line.split(',').map(|cell| cell.trim().parse::<u64>().ok());
        let row: Option<Vec<u64>> =
            cells.map(|cell| cell.filter(|count| *count <= 1 << 48)).collect();
        row.ok_or_else(|| {
            let mut mistake = Diagnostic::of(place, "is not a line of whole numbers", HELP);
            mistake.line = Some(at + 1);
            mistake
        })
    };
    lines.map(row).collect()
}
