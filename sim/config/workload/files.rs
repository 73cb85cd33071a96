//! Files that a gate can follow: laws that `moesim gate fit` wrote, and recordings.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use toml::Spanned;

use super::{Diagnostic, Kind, Source};
use crate::base::table::Table;
use crate::workload::{
    Experts, Latents, Law, LayerLaw, Lengths, Origin, Persistence, Recording, Scheme,
};

/// The largest law file that is read.
const MAX_LAW_BYTES: u64 = 256 << 20;
/// The most dimensions of latents, one less than the sequences that they were fitted to.
const MAX_RANK: usize = 4_095;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct LawFile {
    schema: u32,
    /// Where it comes from; for readers, not for the gate.
    #[serde(default)]
    provenance: Value,
    rank: usize,
    slots: f64,
    persistence: PersistenceTable,
    /// Latents of each recorded sequence; none where they are normal, or each dimension is a sequence.
    #[serde(default)]
    recorded: Vec<Vec<f64>>,
    /// Tokens of each recorded sequence; all count alike in files of latents that do not say.
    #[serde(default)]
    tokens: Vec<u32>,
    layers: Vec<LayerTable>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PersistenceTable {
    share: f64,
    decay: f64,
    depth: f64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct LayerTable {
    log_weights: Vec<f64>,
    loadings: Vec<f64>,
    own: Vec<f64>,
    /// b and φ of this layer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    persistence: Option<(f64, f64)>,
}

/// The text of a law file that [`read_law`] reads back to the last digit.
#[must_use]
pub fn law_json(law: &Law, provenance: Value) -> String {
    let Persistence { share, decay, depth } = law.persistence;
    let layer = |layer: &LayerLaw| LayerTable {
        log_weights: layer.log_weights.clone(),
        loadings: layer.loadings.clone(),
        own: layer.own.clone(),
        persistence: layer.persistence,
    };
    let (recorded, tokens) = match &law.latents {
        Latents::Normal => (vec![], vec![]),
        Latents::Recorded(of, lengths) => (of.clone(), lengths.tokens()),
        Latents::Sequences(lengths) => (vec![], lengths.tokens()),
    };
    let file = LawFile {
        schema: 1,
        provenance,
        rank: law.rank,
        slots: law.slots,
        persistence: PersistenceTable { share, decay, depth },
        recorded,
        tokens,
        layers: law.layers.iter().map(layer).collect(),
    };
    serde_json::to_string(&file).expect("numbers and lists have a text")
}

/// Reads a law file.
///
/// # Errors
/// If it cannot be read, or holds no law.
pub fn read_law(path: &Path) -> Result<Law, Diagnostic> {
    let place = path.display().to_string();
    let help = "name a file that `moesim gate fit --out` wrote";
    let unreadable =
        |e: std::io::Error| Diagnostic::of(&place, format!("cannot be read: {e}"), help);
    let size = std::fs::metadata(path).map_err(unreadable)?;
    if !size.is_file() || size.len() > MAX_LAW_BYTES {
        return Err(Diagnostic::of(&place, "is not a file of a law's size", help));
    }
    let text = std::fs::read_to_string(path).map_err(unreadable)?;
    let file: LawFile = serde_json::from_str(&text).map_err(|e| {
        let found = format!("is not a valid law: {e}");
        match e.line() {
            0 => Diagnostic::of(&place, found, help),
            line => Diagnostic::at_line(&place, (&text, line), found, help),
        }
    })?;
    law_of(file).map_err(|found| Diagnostic::of(&place, found, help))
}

fn law_of(file: LawFile) -> Result<Law, String> {
    if file.schema != 1 {
        return Err(format!("is of schema {}, not 1", file.schema));
    }
    let experts = file.layers.first().map_or(0, |layer| layer.log_weights.len());
    if experts == 0 || experts > 8_192 || file.layers.len() > 512 || file.rank > MAX_RANK {
        return Err("has no layers and experts, or too many".to_owned());
    }
    if !(file.slots > 0.0 && file.slots <= experts as f64) {
        return Err(format!("gives {} slots to {experts} experts", file.slots));
    }
    for (number, layer) in file.layers.iter().enumerate() {
        let sizes = [layer.log_weights.len(), layer.own.len()] == [experts; 2]
            && layer.loadings.len() == experts * file.rank;
        if !sizes {
            return Err(format!(
                "layer {number} is not of {experts} experts and rank {}",
                file.rank
            ));
        }
        let plausible = |x: &f64| x.is_finite() && x.abs() <= 1e3;
        let numbers = layer.log_weights.iter().chain(&layer.loadings).chain(&layer.own);
        if !numbers.clone().all(plausible) || layer.own.iter().any(|own| *own < 0.0) {
            return Err(format!("layer {number} holds a number that is not a logit"));
        }
    }
    let finite = |row: &Vec<f64>| row.len() == file.rank && row.iter().all(|x| x.abs() <= 1e3);
    if !file.recorded.iter().all(finite) {
        return Err(format!("a recorded sequence has not {} latents", file.rank));
    }
    let latents = latents_of(file.recorded, &file.tokens, file.rank)?;
    let of_layers = file.layers.iter().filter_map(|layer| layer.persistence);
    if !of_layers.clone().all(|(b, phi)| [b, phi].iter().all(|x| (0.0..=1.0).contains(x))) {
        return Err("has a layer's persistence outside 0 to 1".to_owned());
    }
    let PersistenceTable { share, decay, depth } = file.persistence;
    if ![share, decay, depth].iter().all(|x| (0.0..=1.0).contains(x)) {
        return Err("has a persistence outside 0 to 1".to_owned());
    }
    let layer = |layer: LayerTable| LayerLaw {
        log_weights: layer.log_weights,
        loadings: layer.loadings,
        own: layer.own,
        persistence: layer.persistence,
    };
    Ok(Law {
        rank: file.rank,
        slots: file.slots,
        layers: file.layers.into_iter().map(layer).collect(),
        latents,
        persistence: Persistence { share, decay, depth },
    })
}

/// Where latents come from that a file gives so.
fn latents_of(recorded: Vec<Vec<f64>>, tokens: &[u32], rank: usize) -> Result<Latents, String> {
    let sequences = if recorded.is_empty() { rank } else { recorded.len() };
    let alike = vec![1; sequences];
    let tokens = match (recorded.is_empty(), tokens.is_empty()) {
        (true, true) => return Ok(Latents::Normal),
        (false, true) => &alike,
        (_, false) => tokens,
    };
    if tokens.len() != sequences || tokens.iter().all(|&n| n == 0) {
        return Err(format!("has not the tokens of {sequences} recorded sequences"));
    }
    let lengths = Lengths::of(tokens);
    Ok(if recorded.is_empty() {
        Latents::Sequences(lengths)
    } else {
        Latents::Recorded(recorded, lengths)
    })
}

/// Reads a recording from a Parquet file.
///
/// # Errors
/// If it cannot be read, or is no recording.
pub fn read_recording(path: &Path) -> Result<Recording, Diagnostic> {
    let table = Table::read(path);
    let table = table.map_err(|e| Kind::misplaced_file(path).unwrap_or_else(|| e.into()))?;
    Ok(Recording::from_table(&table)?)
}

/// What a workload's gate follows; paths are relative to the workload's file.
pub(super) fn origin(
    source: &Source,
    law: Option<&Spanned<String>>,
    trace: Option<&Spanned<String>>,
) -> Result<Origin, Diagnostic> {
    let folder = Path::new(source.name()).parent().map(Path::to_path_buf).unwrap_or_default();
    let path = |name: &Spanned<String>| -> Result<PathBuf, Diagnostic> {
        let path = folder.join(name.get_ref());
        let help = "give a path relative to the workload's file";
        let missing = || source.mistake(name.span(), "is not a file", help);
        path.is_file().then_some(path).ok_or_else(missing)
    };
    match (law, trace) {
        (Some(name), _) => Ok(Origin::Law(Arc::new(read_law(&path(name)?)?))),
        (None, Some(name)) => Ok(Origin::Recording(Arc::new(read_recording(&path(name)?)?))),
        (None, None) => Ok(Origin::Drawn),
    }
}

/// Whether a model with these experts can follow what was given.
pub(super) fn check_origin(
    source: &Source,
    origin: &Origin,
    experts: &Experts,
    scheme: Scheme,
) -> Result<(), Diagnostic> {
    let (ffn, all) = (experts.ffn as usize, experts.total() as usize);
    match origin {
        Origin::Drawn => Ok(()),
        Origin::Law(law) if law.experts() == ffn || law.experts() == all => Ok(()),
        Origin::Law(law) => Err(source.mistake_at_key(
            "gate.law",
            format!("is of {} experts, and the model has {ffn} FFN experts", law.experts()),
            "fit a recording of a model with as many",
        )),
        Origin::Recording(recording) => {
            let k = experts.top_k / scheme.rounds();
            let fixed = !matches!(scheme, Scheme::ExpertChoice | Scheme::TopP { .. });
            if fixed && recording.top_k() == k as usize && recording.experts() <= all {
                return Ok(());
            }
            let (have, of) = (recording.top_k(), recording.experts());
            Err(source.mistake_at_key(
                "gate.trace",
                format!("chooses {have} of {of} experts per token, and the model {k} of {all}"),
                "replay a recording of a model with as many choices and no more experts",
            ))
        }
    }
}
