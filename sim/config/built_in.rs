//! Files that are compiled in, so that the binary works from any folder.

use std::path::Path;

use super::{Diagnostic, Kind, Source};
use crate::base::choice::Choice;
use crate::base::near::{did_you_mean, nearest, quoted};

macro_rules! shipped {
    ($folder:literal: $($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("../../", $folder, "/", $name, ".toml")))),*]
    };
}

/// Names, which are file names without `.toml`, and texts.
type Shipped = &'static [(&'static str, &'static str)];

const SCENARIOS: Shipped = shipped!["scenarios":
    "paper",
    "two-batch",
    "tile-rounding",
    "tensor-experts",
    "hierarchical",
    "shortcut",
    "wide-ep",
    "moved-experts",
    "grouped-experts",
    "dualpipe",
    "hybrid-ep",
];

const WORKLOADS: Shipped = shipped!["workloads":
    "moe-0.6b",
    "moepp-0.6b",
    "moe-1b",
    "moepp-1b",
    "moe-2b",
    "moepp-2b",
    "moe-7b",
    "moepp-7b",
    "mixtral-8x7b",
    "olmoe-1b-7b",
    "qwen3-235b-a22b",
    "gpt-oss-120b",
    "deepseek-v3",
    "longcat-flash",
    "pangu-pro-moe",
    "qwen3-30b-a3b",
    "qwen3-coder-480b-a35b",
    "qwen2-57b-a14b",
    "qwen1.5-moe-a2.7b",
    "deepseek-v2",
    "deepseek-v2-lite",
    "deepseek-v3.2",
    "kimi-k2",
    "kimi-k2.5",
    "glm-4.5",
    "glm-4.5-air",
    "glm-4.7-flash",
    "glm-5",
    "llama-4-scout",
    "llama-4-maverick",
    "mixtral-8x22b",
    "dbrx",
    "phi-3.5-moe",
    "granite-3.0-1b-a400m",
    "granite-3.1-3b-a800m",
    "ernie-4.5-21b-a3b",
    "ernie-4.5-300b-a47b",
    "hunyuan-a13b",
    "minimax-m2",
    "dots.llm1",
    "solar-open-100b",
    "trinity-nano",
    "trinity-mini",
    "ling-lite-1.5",
    "ling-mini-2.0",
    "gpt-oss-20b",
    "grok-1",
    "moonlight-16b-a3b",
];

const OVERHEADS: Shipped = shipped!["calibrate/overheads": "moepp-loop"];

const PRICES: Shipped = shipped!["topologies": "prices"];

/// Files to start from, which `moesim new` writes.
const TEMPLATES: [(Kind, &str); 4] = [
    (Kind::Topology, include_str!("templates/topology.toml")),
    (Kind::Workload, include_str!("templates/workload.toml")),
    (Kind::Scenario, include_str!("templates/scenario.toml")),
    (Kind::Plan, include_str!("templates/plan.toml")),
];

/// A commented file of a kind to start from, where there is one.
#[must_use]
pub fn template(kind: Kind) -> Option<&'static str> {
    TEMPLATES.iter().find(|(of, _)| *of == kind).map(|(_, text)| *text)
}

fn shipped(kind: Kind) -> Vec<(&'static str, &'static str)> {
    let fixed = match kind {
        Kind::Scenario => SCENARIOS,
        Kind::Topology => super::built_in_topologies(),
        Kind::Workload => WORKLOADS,
        Kind::Profile => {
            return super::built_in_profiles().iter().map(|p| (p.name, p.toml)).collect();
        }
        Kind::Overheads => OVERHEADS,
        Kind::Plan => &[],
        Kind::Prices => PRICES,
    };
    fixed.to_vec()
}

/// The built-in file of this kind and name, if there is one.
#[must_use]
pub fn built_in(kind: Kind, name: &str) -> Option<Source> {
    let found = shipped(kind).into_iter().find(|(shipped, _)| *shipped == name);
    found.map(|(name, text)| Source::built_in(name, text))
}

/// The built-in file of this name, of whatever kind, and its kind.
#[must_use]
pub fn built_in_of_any_kind(name: &str) -> Option<(Kind, Source)> {
    Kind::ALL.iter().find_map(|&kind| Some((kind, built_in(kind, name)?)))
}

/// A built-in file by its name, or a file by its path.
///
/// # Errors
/// If there is neither, or the file cannot be read.
pub fn built_in_or_file(kind: Kind, name: &str) -> Result<Source, Diagnostic> {
    match built_in(kind, name) {
        Some(source) => Ok(source),
        None if Path::new(name).symlink_metadata().is_ok() => Source::read(Path::new(name)),
        None => Err(unknown(name, &[kind], Path::new(""))),
    }
}

/// Says that a name is neither a file (in a folder) nor built in as one of some kinds, and what was meant.
#[must_use]
pub fn unknown(name: &str, kinds: &[Kind], folder: &Path) -> Diagnostic {
    if let ([wanted], Some((other, _))) = (kinds, built_in_of_any_kind(name)) {
        let mut mistake = other.instead_of(*wanted, name);
        let near = nearest(name, built_in_names(*wanted));
        if !near.is_empty() {
            mistake.help = format!("{} {}", did_you_mean(&near), mistake.help);
        }
        return mistake;
    }
    let words: Vec<String> = kinds.iter().map(Kind::to_string).collect();
    let kind = if kinds.len() == 1 { format!(" {}", words[0]) } else { String::new() };
    let found = match kind.is_empty() {
        false => format!("`{name}` is neither a file nor a built-in{kind}"),
        true => format!("`{name}` is neither a file nor built in"),
    };
    let mut known: Vec<String> =
        kinds.iter().flat_map(|kind| built_in_names(*kind)).map(str::to_owned).collect();
    if kinds == [Kind::Overheads] {
        known.push("none".to_owned());
    }
    let all = known.len();
    known.extend(files_beside(folder, name));
    let near = nearest(name, known.iter().map(String::as_str));
    let listed: Vec<&str> = known[..all].iter().map(String::as_str).collect();
    let help = match (near.is_empty(), all) {
        (false, _) => format!("{} `moesim list` shows what is built in", did_you_mean(&near)),
        (true, 1..=MOST_LISTED) => format!("built in: {}", quoted(&listed, ", ")),
        (true, _) => String::from(
            "check the path; `moesim list` shows what is built in, `moesim new` writes files to start from",
        ),
    };
    Diagnostic::of(name, found, help)
}

/// Lists of more names than this are not shown where nothing is near.
const MOST_LISTED: usize = 6;

/// TOML files in the same folder as a file that is not there, written relative to `folder` as that is.
fn files_beside(folder: &Path, name: &str) -> Vec<String> {
    let within = Path::new(name).parent().unwrap_or(Path::new(""));
    let looked_in = folder.join(within);
    let looked_in = if looked_in.as_os_str().is_empty() { Path::new(".") } else { &looked_in };
    let entries = std::fs::read_dir(looked_in).into_iter().flatten().flatten().take(MOST_FILES);
    let mut names: Vec<String> = entries
        .map(|entry| within.join(entry.file_name()))
        .filter(|path| path.extension().is_some_and(|ending| ending == "toml"))
        .filter_map(|path| path.to_str().map(str::to_owned))
        .collect();
    names.sort();
    names
}

/// The most files of a folder that are looked at.
const MOST_FILES: usize = 1000;

/// The names of the built-in files of a kind, in the order in which they are listed.
pub fn built_in_names(kind: Kind) -> impl Iterator<Item = &'static str> {
    shipped(kind).into_iter().map(|(name, _)| name)
}

/// The shipped workloads, in the order in which they are listed.
pub fn built_in_workloads() -> impl Iterator<Item = Source> {
    WORKLOADS.iter().map(|(name, text)| Source::built_in(name, text))
}

/// The shipped workload of this name, if there is one.
#[must_use]
pub fn built_in_workload(name: &str) -> Option<Source> {
    built_in(Kind::Workload, name)
}
