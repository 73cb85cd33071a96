//! What pages of several kinds say alike: what went in, what was taken, what it stands on, what is left out.

use std::collections::BTreeMap;

use super::{Block, Table};
use crate::base::inputs::Input;
use crate::base::order::descending;
use crate::base::printable::printable;
use crate::config;
pub(super) use crate::output::report::rounded;
use crate::output::report::{Basis, Setting, digits};

/// A command as a shell takes it.
pub(crate) fn command(arguments: &[String]) -> String {
    let words = arguments.iter().map(|word| quoted(word));
    std::iter::once("moesim".to_owned()).chain(words).collect::<Vec<_>>().join(" ")
}

/// A word as a shell takes it; what would act on a terminal is shown, not done.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", printable(word).replace('\'', "'\\''"))
}

/// What a result was made from: where each file comes from by its own words, and its digest.
pub(super) fn inputs(inputs: &[Input]) -> Table {
    let mut table = Table::of("What it was made from", ["input", "source", "digest, FNV-1a"]);
    for input in inputs {
        let source = match input.built_in {
            true => source_of(&input.name)
                .unwrap_or_else(|| "built in, or handed over as text".to_owned()),
            false => "a file of whoever asked".to_owned(),
        };
        table.row([input.name.clone(), source, input.digest.clone()]);
    }
    table
}

/// What a built-in file says of where its figures come from.
fn source_of(name: &str) -> Option<String> {
    let (kind, file) = config::built_in_of_any_kind(name)?;
    let text: toml::Table = file.text().parse().ok()?;
    let said = |table: &toml::Table| Some(table.get("source")?.as_str()?.to_owned());
    let data_sheet = || said(text.get("data_sheet")?.as_table()?);
    let of = said(&text).or_else(data_sheet);
    Some(match of {
        Some(source) => format!("built-in {kind}: {source}"),
        None => format!("built-in {kind}"),
    })
}

/// What each kernel and library of some results is near to, the largest share first.
pub(super) fn stands_on<'b>(all: impl IntoIterator<Item = &'b Basis>) -> Vec<Block> {
    type Key<'k> = (&'k str, &'k str, &'k str, &'k str);
    let mut groups: BTreeMap<Key<'_>, f64> = BTreeMap::new();
    let mut whole = 0.0;
    for basis in all {
        let detail = basis.detail.as_deref().unwrap_or_default();
        let key = (basis.part.as_str(), basis.name.as_str(), basis.support.as_str(), detail);
        *groups.entry(key).or_default() += basis.time_ms;
        whole += basis.time_ms;
    }
    let mut groups: Vec<(Key<'_>, f64)> = groups.into_iter().filter(|(_, ms)| *ms > 0.0).collect();
    descending(&mut groups, |one| one.1);
    if groups.is_empty() {
        return Vec::new();
    }
    let mut table = Table::of(
        "Shares of the time that rests on each, and how near that is to what was measured",
        ["part", "kernel or library", "support", "share of the time"],
    );
    for ((part, name, support, detail), ms) in groups {
        let said =
            if detail.is_empty() { support.to_owned() } else { format!("{support}: {detail}") };
        let share = format!("{:.1} %", 100.0 * ms / whole);
        table.row([part.to_owned(), name.to_owned(), said, share]);
    }
    vec![Block::Table(table)]
}

/// What was taken for each cluster.
pub(super) fn taken(settings: &[Setting]) -> Table {
    let head = ["cluster", "GPU", "counted", "profile", "overheads", "seeds"];
    let mut table = Table::of("What was taken", head);
    for own in settings {
        let name = own.cluster.as_ref().unwrap_or(&own.topology);
        let overheads = if own.overheads_in_words.is_empty() {
            &own.overheads
        } else {
            &own.overheads_in_words
        };
        table.row([
            name.clone(),
            own.gpu.clone(),
            own.counted.description().to_owned(),
            own.profile.clone(),
            overheads.clone(),
            format!("{} to {}", own.seeds[0], own.seeds[1].saturating_sub(1)),
        ]);
    }
    table
}

/// Overrides, where there are any.
pub(super) fn overrides(set: &[String]) -> Option<Block> {
    let told = || format!("Set otherwise than in the files: {}.", set.join(", "));
    (!set.is_empty()).then(|| Block::Words(told()))
}

/// What each cluster's result is to be taken with care for.
pub(super) fn cautions(settings: &[Setting]) -> Vec<String> {
    let mut all = Vec::new();
    for own in settings {
        let name = own.cluster.as_ref().unwrap_or(&own.topology);
        let lines = own.cautions.iter().chain(&own.idle).map(|line| format!("{name}: {line}"));
        all.extend(lines);
        let large = own.does_not_fit.iter();
        all.extend(large.map(|line| format!("{name}: does not fit, run as asked: {line}")));
    }
    all
}

/// What a result leaves out: its own cautions, then what moesim does not model.
pub(super) fn left_out(own: Vec<String>) -> Vec<Block> {
    let mut blocks = Vec::new();
    if !own.is_empty() {
        blocks.extend([Block::Words("Of this result:".to_owned()), Block::List(own)]);
    }
    blocks.push(Block::Words("Of every result:".to_owned()));
    blocks.push(Block::List(NOT_MODELLED.map(str::to_owned).to_vec()));
    blocks
}

/// As docs/guide.md has it; a test of it compares the two.
const NOT_MODELLED: [&str; 3] = [
    "request queues of inference",
    "queues in a GPU's caches where kernels and exchanges run together",
    "clock changes under load",
];

/// Elasticities of several, the largest first.
pub(super) fn elasticities(all: &[(&str, &BTreeMap<String, f64>)]) -> Vec<Block> {
    let mut table = Table::of(
        "Percent of throughput for one percent of each, the largest first",
        ["of", "elasticities"],
    );
    for (name, own) in all.iter().filter(|(_, own)| !own.is_empty()) {
        let mut own: Vec<(&String, &f64)> = own.iter().collect();
        descending(&mut own, |one| *one.1);
        let said = own.iter().map(|(knob, value)| format!("{knob} {:.2}", value.max(0.0)));
        table.row([(*name).to_owned(), said.collect::<Vec<_>>().join(", ")]);
    }
    if table.rows.is_empty() { Vec::new() } else { vec![Block::Table(table)] }
}

/// A number, or a dash.
pub(super) fn known(value: Option<f64>) -> String {
    value.map_or_else(|| "–".to_owned(), digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_modelled_is_what_the_guide_says() {
        let guide = include_str!("../../../docs/guide.md");
        let said = guide.split("## What it does not model").nth(1).expect("the section");
        let said = said.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
        for words in NOT_MODELLED.iter().flat_map(|line| line.split(", and ")) {
            assert!(said.contains(&words.to_lowercase()), "{words}: {said}");
        }
    }

    #[test]
    fn commands_can_be_typed_again() {
        let words = ["run", "paper", "--set", "topology.nodes.nic.bandwidth=200 Gb/s", "it's", ""];
        let words: Vec<String> = words.map(str::to_owned).to_vec();
        let said = command(&words);
        assert_eq!(
            said,
            "moesim run paper --set 'topology.nodes.nic.bandwidth=200 Gb/s' 'it'\\''s' ''"
        );
    }

    #[test]
    fn built_in_inputs_say_where_they_come_from() {
        for name in ["a100-4x8", "moepp-1b", "h100-sxm"] {
            assert!(source_of(name).is_some_and(|said| said.contains(": ")), "{name}");
        }
        assert_eq!(source_of("no such file"), None);
    }
}
