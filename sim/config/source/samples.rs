//! Sample values of keys, from the files that `moesim new` writes and from shipped ones.

use toml::{Table, Value};

/// Files whose values serve as samples, the first that has a key counts.
const FILES: [&str; 7] = [
    include_str!("../templates/topology.toml"),
    include_str!("../templates/workload.toml"),
    include_str!("../templates/scenario.toml"),
    include_str!("../templates/plan.toml"),
    include_str!("../../../calibrate/overheads/moepp-loop.toml"),
    include_str!("../../../topologies/prices.toml"),
    include_str!("../../../topologies/h100-72x8-dragonfly.toml"),
];

/// What the first of [`FILES`] are, as overrides name them.
const KINDS: [&str; 2] = ["topology", "workload"];

/// The kind of file that has a dotted key, such as `workload` of `batch.tokens_per_gpu`.
pub(in crate::config) fn table_of(key: &str) -> Option<&'static str> {
    let (table, name) = key.rsplit_once('.')?;
    let has = |file: Table| in_file(&file, table, name).is_some();
    let nth = FILES.iter().take(KINDS.len()).position(|text| text.parse().is_ok_and(has))?;
    Some(KINDS[nth])
}

fn files() -> impl Iterator<Item = Table> {
    FILES.iter().filter_map(|text| text.parse().ok())
}

/// A sample of a key of the table at a dotted key; all items of a list are alike.
pub(super) fn sample(table: &str, name: &str) -> Option<Value> {
    files().find_map(|file| in_file(&file, table, name))
}

fn in_file(file: &Table, table: &str, name: &str) -> Option<Value> {
    let mut at = file;
    for step in table.split('.').filter(|step| !step.is_empty()) {
        let mut value = at.get(step.split('[').next()?)?;
        if let Value::Array(items) = value {
            value = items.first()?;
        }
        at = value.as_table()?;
    }
    at.get(name).cloned()
}

/// The table, by its dotted key, that a key is of in some file.
pub(super) fn home_of(name: &str) -> Option<String> {
    files().find_map(|file| within(&file, name))
}

fn within(table: &Table, name: &str) -> Option<String> {
    let inner = table.iter().filter_map(|(key, value)| Some((key, value.as_table()?)));
    for (key, inner) in inner {
        if inner.contains_key(name) {
            return Some(key.clone());
        }
        if let Some(rest) = within(inner, name) {
            return Some(format!("{key}.{rest}"));
        }
    }
    None
}
