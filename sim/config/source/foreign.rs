//! Files of other tools, recognised so that their user hears in one sentence what to do with them.

/// What a text that is no TOML of ours turns out to be, and what to do with it.
#[must_use]
pub fn foreign(text: &str) -> Option<(&'static str, &'static str)> {
    let start = text.trim_start();
    if start.starts_with('{') && start.contains("\"model_type\"") {
        return Some((
            "is a model's config.json, not TOML",
            "`moesim import config.json --out model.toml` writes the workload file",
        ));
    }
    if start.starts_with('{') && start.contains("\"asked\"") {
        return Some((
            "is the result of a run, not TOML",
            "`moesim explain` and `moesim plot` read results; name the scenario here",
        ));
    }
    if start.starts_with('{') {
        return Some((
            "is JSON",
            "moesim's files are TOML; `moesim import` reads a model's config.json",
        ));
    }
    if start.starts_with("# nThread") || (text.contains("algbw") && text.contains("busbw")) {
        return Some((
            "is a log of nccl-tests",
            "rates of links come from a profile's [collective] tables: put the times (out of place) into \
             nccl_GPU.parquet with the columns device, op, dtype, gpus, bytes, latency_us and run \
             `calibrate fit`, as calibrate/README.md says",
        ));
    }
    let has_key = |key: &str| text.lines().any(|line| line.trim_start().starts_with(key));
    if has_key("npus_count:") && has_key("topology:") {
        return Some((
            "is a network file of ASTRA-sim",
            "write the cluster as a topology: its first dimension is [nodes] with [nodes.scale-up.…], the \
             others are [nodes.nic] with a [fabric.…]; bandwidth in GB/s, latency in ns; see \
             topologies/README.md",
        ));
    }
    if is_simai(text) {
        return Some((
            "is a topology of SimAI",
            "write its links as the [graph] of a topology: from, to, bandwidth, latency, with the switches' \
             names in `switches` (or use [nodes] and a [fabric.…]); see topologies/README.md",
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

/// What a text that is no TOML turns out to be, where no table is wanted either.
pub(super) fn foreign_or_table(text: &str) -> Option<(&'static str, &'static str)> {
    foreign(text).or_else(|| {
        is_csv(text).then_some((
            "is a CSV table, not TOML",
            "`moesim flows` reads flows (source,destination,bytes,start_s), `moesim plan --quality` \
             curves of quality, `moesim gate` counts, `moesim plot` the results of a sweep",
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
            "`moesim gate` reads recordings of gates, `moesim plot` results of a sweep, `moesim validate` a \
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

/// Five whole numbers and a GPU's name on the first line, and links such as `0 8 2400Gbps 0.000025ms 0`.
fn is_simai(text: &str) -> bool {
    let mut lines = text.lines();
    let first: Vec<&str> = lines.next().unwrap_or_default().split_whitespace().collect();
    let numbers = first.iter().take(5).filter(|word| word.parse::<u64>().is_ok()).count();
    let is_link = |line: &str| line.split_whitespace().any(|word| word.ends_with("bps"));
    first.len() >= 5 && numbers == 5 && lines.any(is_link)
}
