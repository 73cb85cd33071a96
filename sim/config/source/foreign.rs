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
    is_simai(text).then_some((
        "is a topology of SimAI",
        "write its links as the [graph] of a topology: from, to, bandwidth, latency, with the switches' \
         names in `switches` (or use [nodes] and a [fabric.…]); see topologies/README.md",
    ))
}

/// Five whole numbers and a GPU's name on the first line, and links such as `0 8 2400Gbps 0.000025ms 0`.
fn is_simai(text: &str) -> bool {
    let mut lines = text.lines();
    let first: Vec<&str> = lines.next().unwrap_or_default().split_whitespace().collect();
    let numbers = first.iter().take(5).filter(|word| word.parse::<u64>().is_ok()).count();
    let is_link = |line: &str| line.split_whitespace().any(|word| word.ends_with("bps"));
    first.len() >= 5 && numbers == 5 && lines.any(is_link)
}
