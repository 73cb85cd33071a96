//! How mistakes are placed and worded, on a small layout of its own.

use serde::Deserialize;
use toml::Spanned;

use super::*;
use crate::base::units::{Bandwidth, SimDuration};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    count: Count<1, 64>,
    link: Link,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Link {
    bandwidth: Spanned<Written<Bandwidth>>,
    latency: Written<SimDuration>,
}

const GOOD: &str = "count = 4\n\n[link]\nbandwidth = \"400 Gb/s\"\nlatency = \"2 us\"\n";

fn message(text: &str, overrides: &[&str]) -> String {
    let source = Source::built_in("x.toml", text).with_overrides(overrides.iter().copied());
    source.parse::<File>().unwrap_err().to_string()
}

#[test]
fn overrides_replace_values_and_bare_quantities_need_no_quotes() {
    let source =
        Source::built_in("x.toml", GOOD).with_overrides(["link.bandwidth=50 GB/s", "count=8"]);
    let file: File = source.parse().unwrap();
    assert_eq!(file.link.bandwidth.get_ref().0.gb_per_sec(), 50.0);
    assert_eq!(file.link.latency.0.ps(), 2_000_000);
    assert_eq!(file.count.0, 8);
    let here = source.mistake(file.link.bandwidth.span(), "found", "help").to_string();
    assert_eq!(here, "--set link.bandwidth=50 GB/s: link.bandwidth: found\n  help: help");
}

#[test]
fn mistakes_name_file_line_key_and_remedy() {
    let bare = GOOD.replace("\"400 Gb/s\"", "400");
    assert_eq!(
        message(&bare, &[]),
        "x.toml:4: link.bandwidth: `400` has no unit\n  help: write a bandwidth with its unit, \
         such as \"450 GB/s\""
    );
    assert_eq!(
        message(GOOD, &["count=-1"]),
        "--set count=-1: count: found -1\n  help: give a whole number from 1 to 64"
    );
    assert_eq!(
        message(&format!("{GOOD}lanes = 3\n"), &[]),
        "x.toml:6: link.lanes: unknown key `lanes`\n  help: known keys here: `bandwidth`, `latency`"
    );
    assert_eq!(
        message("count = 4\n[link]\nlatency = \"1 us\"\n", &[]),
        "x.toml:2: link: the key `bandwidth` is missing\n  help: add `bandwidth`"
    );
}
