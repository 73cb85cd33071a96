//! Files of other tools, recognised so that their user hears in one sentence what to do with them.

use super::NetworkFile;

/// What a text that is no TOML of ours turns out to be, and what to do with it.
#[must_use]
pub fn foreign(text: &str) -> Option<(&'static str, &'static str)> {
    let start = text.trim_start();
    if start.starts_with('{') {
        return Some(foreign_json(start));
    }
    if start.starts_with("# nThread") || (text.contains("algbw") && text.contains("busbw")) {
        return Some((
            "is a log of nccl-tests",
            "rates of links come from a profile: `calibrate links FILE… --profile NAME --out mine.toml` makes one \
             of such logs, as calibrate/README.md says",
        ));
    }
    if let Some(kind) = NetworkFile::of(text) {
        return Some((
            kind.is_not_toml(),
            "`moesim import FILE --gpu NAME --out cluster.toml` writes the topology",
        ));
    }
    if start.starts_with('<') {
        return Some((
            "is XML or HTML, not TOML",
            "was a web page saved in place of the file? `moesim new` writes a file to start from",
        ));
    }
    None
}

/// What JSON turns out to be.
fn foreign_json(start: &str) -> (&'static str, &'static str) {
    if start.contains("\"model_type\"") {
        return (
            "is a model's config.json, not TOML",
            "`moesim import config.json --out model.toml` writes the workload file",
        );
    }
    if start.contains("\"asked\"") {
        return (
            "is the result of a run, not TOML",
            "`moesim explain` and `moesim plot` read results; name the scenario here",
        );
    }
    ("is JSON", "moesim's files are TOML; `moesim import` reads a model's config.json")
}

/// What a text that is no TOML turns out to be, where no table is wanted either.
pub(super) fn foreign_or_table(text: &str) -> Option<(&'static str, &'static str)> {
    foreign(text).or_else(|| {
        is_csv(text).then_some((
            "is a CSV table, not TOML",
            "`moesim flows` reads flows (source,destination,bytes,start_s), `moesim plan --quality` \
             curves of quality, `moesim gate fit` counts, `moesim plot` the results of a sweep",
        ))
    })
}

/// What bytes that are no text turn out to be, and what to do with them.
#[must_use]
pub(super) fn foreign_bytes(bytes: &[u8]) -> Option<(&'static str, &'static str)> {
    let kinds: [(&[u8], &str, &str); 4] = [
        (
            b"PAR1",
            "is a Parquet table, not TOML",
            "`moesim gate fit` reads recordings of gates, `moesim plot` results of a sweep, `moesim validate` a \
             folder of measurements; a profile's table is named in its TOML",
        ),
        (b"\x89PNG", "is a picture, not TOML", "name the result that it was drawn from"),
        (b"\x1f\x8b", "is compressed by gzip", "unpack it first: `gunzip FILE`"),
        (b"PK\x03\x04", "is a zip archive", "unpack it first"),
    ];
    let found = kinds.into_iter().find(|(magic, ..)| bytes.starts_with(magic));
    found.map(|(_, found, help)| (found, help))
}

/// A line of names between commas, and a second with as many values.
fn is_csv(text: &str) -> bool {
    let mut lines = text.lines().filter(|line| !line.trim().is_empty()).take(2);
    let (Some(head), Some(row)) = (lines.next(), lines.next()) else { return false };
    let commas = |line: &str| line.matches(',').count();
    let plain = |line: &str| !line.contains(['=', '{']) && !line.starts_with(['#', '[']);
    commas(head) >= 1 && commas(head) == commas(row) && plain(head) && plain(row)
}
