//! The GPU of a network file: the `[gpu]` table of a built-in topology that has it.

use crate::config::topology::built_in_topologies;
use crate::config::{Diagnostic, NetworkFile, Source, is_same_gpu};

/// A GPU that a built-in topology describes.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Gpu {
    /// Its name.
    pub name: String,
    /// The rest of its table, as written.
    pub keys: Vec<(String, String)>,
}

impl Gpu {
    /// The GPU of this name, however it is spelt.
    pub(super) fn named(
        place: &str,
        name: Option<&str>,
        kind: NetworkFile,
    ) -> Result<Self, Diagnostic> {
        let all = known();
        let names = || all.iter().map(|gpu| gpu.name.as_str()).collect::<Vec<_>>().join(", ");
        let Some(name) = name else {
            let found = format!("is {}, which does not say what its GPUs can do", kind.described());
            let help = format!("add --gpu with one of: {}", names());
            return Err(Diagnostic::of(place, found, help));
        };
        let found = all.iter().find(|gpu| is_same_gpu(&gpu.name, name));
        found.cloned().ok_or_else(|| {
            let help =
                format!("name one of {} with --gpu, and change [gpu] in what is written", names());
            Diagnostic::of("--gpu", format!("no built-in topology has a GPU `{name}`"), help)
        })
    }

    /// What one NVLink carries one way, GB/s: 25 from Volta to Hopper, 50 of Blackwell [data sheets: 300 GB/s
    /// both ways over 6, 600 over 12, 900 over 18, 1,800 over 18].
    pub(super) fn nvlink(&self) -> f64 {
        let blackwell = ["B2", "B3", "GB2", "GB3"];
        if blackwell.iter().any(|start| self.name.starts_with(start)) { 50.0 } else { 25.0 }
    }

    /// Its CUDA compute capability, major version alone, where its name tells it [CUDA GPUs, developer.nvidia.com].
    pub(super) fn capability(&self) -> Option<u32> {
        let starts: [(&str, u32); 8] = [
            ("A100", 8),
            ("A800", 8),
            ("L40", 8),
            ("H", 9),
            ("B2", 10),
            ("B3", 10),
            ("GB", 10),
            ("RTX PRO", 12),
        ];
        starts.iter().find(|(start, _)| self.name.starts_with(start)).map(|(_, major)| *major)
    }

    /// Whether it is one of those that are known to have no NVLink.
    pub(super) fn lacks_nvlink(&self) -> bool {
        ["L40", "RTX PRO"].iter().any(|start| self.name.starts_with(start))
    }
}

/// Each GPU of built-in topologies, once.
fn known() -> Vec<Gpu> {
    let mut all: Vec<Gpu> = Vec::new();
    for (name, text) in built_in_topologies() {
        let Ok(file) = Source::built_in(name, text).parse::<toml::Table>() else { continue };
        let Some(table) = file.get("gpu").and_then(toml::Value::as_table) else { continue };
        let Some(gpu) = table.get("name").and_then(toml::Value::as_str) else { continue };
        if gpu == "any" || all.iter().any(|known| known.name == gpu) {
            continue;
        }
        let keys = table.iter().filter(|(key, _)| *key != "name");
        let keys = keys.map(|(key, value)| (key.clone(), value.to_string())).collect();
        all.push(Gpu { name: gpu.to_owned(), keys });
    }
    all.sort_by(|a, b| a.name.cmp(&b.name));
    all
}
