//! Sound inputs of every command, small enough to run a thousand times.

use std::fs;
use std::path::PathBuf;

use clap::Parser;
use serde_json::Value;

use super::super::{Cli, dispatch};
use moesim::base::table::{Column, Table};

const TOPOLOGY: &str = include_str!("topology.toml");
const VANILLA: &str = include_str!("vanilla.toml");
const MOEPP: &str = include_str!("moepp.toml");
const LOOP: &str = include_str!("../../calibrate/overheads/moepp-loop.toml");
const PRICES: &str = include_str!("../../topologies/prices.toml");
const PROFILE: &str = include_str!("../../calibrate/profiles/a100-sxm.toml");
const RESIDUALS: &[u8] = include_bytes!("../../calibrate/profiles/a100-sxm.parquet");
const CONFIG: &str = include_str!("../../tests/data/cases/09-config.json");

const SCENARIO: &str = r#"
schema    = 1
name      = "small"
topology  = "topology.toml"
overheads = "loop.toml"
counted   = "moe-layer"
network   = "auto"
epsilon   = 0.01
seeds     = "0..2"
tau       = [0.25, 0.75]

[[compare]]
vanilla = "vanilla.toml"
moepp   = "moepp.toml"
"#;

const PLAN: &str = r#"
schema   = 1
name     = "small"
scenario = "scenario.toml"
seeds    = "0..2"
[set]
"workload.batch.micro_batches" = 1
[vary]
"topology.nodes.nic.bandwidth" = { from = "100 Gb/s", to = "200 Gb/s", factor = 2 }
[plot.gain]
x   = "topology.nodes.nic.bandwidth"
y   = "throughput_increase_percent"
hue = "model"
"#;

const QUALITY: &str = "tau,quality\n,43.1\n0.1,42.5\n0.5,43.3\n1,43.2\n";
const FLOWS: &str =
    "source,destination,bytes,start_s\n0,1,1000000,0\n1,0,2000000,0.001\n2,3,5,0\n0,3,70000,0\n";
const MATRIX: &str = "0,1,2,1\n1,0,1,5\n3,1,0,1\n1,1,1,0\n";
const COUNTS: &str = "model,domain,kind,layer_slot,expert,count\n\
    m,a,expert_counts,0,0,50\nm,a,expert_counts,0,1,30\nm,b,expert_counts,0,0,20\nm,b,expert_counts,0,1,60\n\
    m,a,expert_counts,1,0,10\nm,a,expert_counts,1,1,70\nm,b,expert_counts,1,0,44\nm,b,expert_counts,1,1,36\n";

/// A folder for one thread's files.
pub(super) struct Files {
    pub(super) folder: PathBuf,
}

impl Files {
    pub(super) fn new(thread: usize) -> Self {
        let name = format!("moesim-smoke-{}-{thread}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).expect("a folder of ours");
        Self { folder }
    }

    pub(super) fn write(&self, name: &str, bytes: &[u8]) {
        let path = self.folder.join(name);
        fs::create_dir_all(path.parent().unwrap_or(&self.folder)).expect("a folder of ours");
        fs::write(path, bytes).expect("a file of ours");
    }

    /// Puts everything back as it was before a mutant of this case.
    pub(super) fn restore(&self, case: &Case) {
        let _ = fs::remove_dir_all(self.folder.join("out"));
        let _ = fs::remove_file(self.folder.join("swept/rows.damaged.jsonl"));
        for (name, bytes) in &case.files {
            self.write(name, bytes);
        }
    }

    fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.folder.join(name)).expect("a file of ours")
    }

    fn arguments(&self, text: &str) -> Vec<String> {
        let folder = self.folder.display().to_string();
        text.split_whitespace()
            .map(|word| {
                word.replace('@', &format!("{folder}/")).replace('~', " ").replace('%', "@")
            })
            .collect()
    }

    /// What a command prints.
    fn printed(&self, text: &str) -> Vec<u8> {
        let args = self.arguments(text);
        let words = std::iter::once("moesim").chain(args.iter().map(String::as_str));
        let cli = Cli::try_parse_from(words).expect("sound arguments");
        let mut out = Vec::new();
        dispatch(cli, &mut out).unwrap_or_else(|failure| panic!("{args:?}: {}", failure.render()));
        out
    }

    /// The JSON that a command prints, made by its arguments and not by those of this test.
    fn result(&self, text: &str) -> Vec<u8> {
        let mut value: Value = serde_json::from_slice(&self.printed(text)).expect("JSON");
        value["made_by"]["arguments"] = self.arguments(text).into();
        serde_json::to_vec_pretty(&value).expect("JSON")
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// A command and the files that it reads.
pub(super) struct Case {
    text: String,
    /// Arguments from here on may be changed.
    pub(super) fixed: usize,
    pub(super) files: Vec<(String, Vec<u8>)>,
}

impl Case {
    /// `fixed | may change`; `@name` is a file of the folder, `~` a space, `%` an `@`.
    fn new(text: &str, files: Vec<(String, Vec<u8>)>) -> Self {
        let (fixed, _) = text.split_once('|').unwrap_or((text, ""));
        let fixed = fixed.split_whitespace().count();
        Self { text: text.replace('|', " "), fixed, files }
    }

    pub(super) fn arguments(&self, files: &Files) -> Vec<String> {
        files.arguments(&self.text)
    }
}

const PARTS: &[&str] =
    &["scenario.toml", "topology.toml", "vanilla.toml", "moepp.toml", "loop.toml"];

/// Texts that several cases share.
const SHARED: [(&str, &str); 4] = [
    ("$compare", "compare @topology.toml --prices @prices.toml $small"),
    ("$plan", "plan @topology.toml --quality @quality.csv $small | --layer-ms 2 --tau 0.5,1"),
    ("$pattern", "flows --topology @topology.toml | --pattern uniform --bytes 1~kB"),
    (
        "$small",
        "--vanilla @vanilla.toml --moepp @moepp.toml --overheads @loop.toml --no-calibration-error --seeds 0..2",
    ),
];

/// Arguments, from `|` on such as may be changed, and the files of which one is changed.
const CASES: &[(&str, &[&str])] = &[
    ("check @scenario.toml", PARTS),
    ("check @topology.toml", &["topology.toml"]),
    ("check @moepp.toml", &["moepp.toml"]),
    ("check @loop.toml", &["loop.toml"]),
    ("check @a100-sxm.toml", &["a100-sxm.toml", "a100-sxm.parquet"]),
    ("check --kind workload @vanilla.toml", &["vanilla.toml"]),
    ("run @scenario.toml | --json --set seeds=0..1 --threads 1", PARTS),
    ("run @scenario.toml --plot @out | --set workload.batch.tokens_per_gpu=32", PARTS),
    ("gate show @plain.toml --gpus 2 | --set gate.law=law.json", &["law.json", "plain.toml"]),
    ("gate show @plain.toml --gpus 2 | --set gate.trace=recording.parquet", &["recording.parquet"]),
    ("sweep @plan.toml --out @out --quiet | --threads 2 --set seeds=0..1", &["plan.toml"]),
    (
        "sweep @plan.toml --out @swept --resume --rerun-damaged --quiet --threads 1",
        &["swept/rows.jsonl"],
    ),
    ("sweep @plan.toml --out @swept --resume", &["swept/rows.jsonl", "plan.toml"]),
    ("merge @plan.toml @swept --out @out", &["swept/rows.jsonl", "plan.toml"]),
    ("$plan --json", &["quality.csv", "topology.toml", "moepp.toml"]),
    ("$plan --plot @out.svg", &["quality.csv"]),
    (
        "$compare | --json",
        &["topology.toml", "vanilla.toml", "moepp.toml", "loop.toml", "prices.toml"],
    ),
    (
        "layouts @topology.toml --prices @prices.toml $small --for cost | --ep 1,2 --tokens 32 --json",
        &["topology.toml", "moepp.toml", "prices.toml"],
    ),
    ("$compare --equal cost | --set workload.batch.micro_batches=1", &["prices.toml"]),
    ("explain @run.json", &["run.json"]),
    ("explain @scenario.toml | --tau 0.75 --workload moepp", PARTS),
    ("advise @scenario.toml | --tau 0.75 --workload moepp --json", PARTS),
    (
        "advise @vanilla.toml --topology @topology.toml | --seeds 0..2 --worth 3",
        &["vanilla.toml", "topology.toml"],
    ),
    ("memory @scenario.toml", PARTS),
    ("timeline @scenario.toml --out @out.pftrace | --seed 1 --ranks 0,1 --tau 0.75", PARTS),
    ("plot @run.json --out @out.svg | --kind gain", &["run.json"]),
    ("plot @run.json --out @out.svg | --kind breakdown", &["run.json"]),
    ("plot @run.json --out @out.svg | --kind links", &["run.json"]),
    ("plot @compared.json --out @out.svg", &["compared.json"]),
    ("report @run.json --out @out.html", &["run.json"]),
    ("report @planned.json --out @out.html", &["planned.json"]),
    ("plot @planned.json --out @out.png", &["planned.json"]),
    ("plot @flowed.json --out @out.svg", &["flowed.json"]),
    (
        "plot @swept/results.csv --out @out.svg | --x tau --y time_ms --log-x",
        &["swept/results.csv"],
    ),
    ("plot @swept/results.parquet --out @out.svg | --hue tau", &["swept/results.parquet"]),
    ("reproduce @run.json", &["run.json", "moepp.toml"]),
    ("reproduce @flowed.json", &["flowed.json"]),
    (
        "flows @flows.csv --topology @topology.toml | --csv --engine exact --epsilon 0.01 \
             --health gpu0:node-switch0=0.5%1ms..2ms",
        &["flows.csv", "topology.toml"],
    ),
    ("flows --matrix @matrix.csv --topology @topology.toml | --bytes 1~kB", &["matrix.csv"]),
    ("$pattern --json", &["topology.toml"]),
    (
        "flows --topology @topology.toml | --pattern lognormal --bytes 1~kB --sigma 0.5 --seed 1 \
             --makespan-only --sms=4 --per-sm=17~GB/s --half-rate-bytes=64~KiB",
        &["topology.toml"],
    ),
    ("topology @topology.toml --svg @out.svg --prices @prices.toml | --json", &["topology.toml"]),
    ("topology @topology.toml --prices @prices.toml", &["topology.toml", "prices.toml"]),
    ("import @config.json | --name m", &["config.json"]),
    ("gate show @moepp.toml | --gpus 2 --micro-batches 1 --factors 1.1,2", &["moepp.toml"]),
    ("gate show @recording.parquet | --tokens 64 --micro-batches 2 --json", &["recording.parquet"]),
    ("gate fit @recording.parquet | --rank 1 --seed 2 --json", &["recording.parquet"]),
    (
        "gate fit @recording.parquet | --rank 0 --order ffn=4 --tau 0.75 --bootstrap 1",
        &["recording.parquet"],
    ),
    ("gate fit @counts.csv | --model m --kind expert_counts", &["counts.csv"]),
];

/// All cases, their files in place.
pub(super) fn all(files: &Files) -> Vec<Case> {
    let sources = sources();
    for (name, bytes) in &sources {
        files.write(name, bytes);
    }
    let made = made(files);
    for (name, bytes) in &made {
        files.write(name, bytes);
    }
    let known = || sources.iter().chain(&made);
    let case = |&(text, names): &(&str, &[&str])| {
        let named = known().filter(|(name, _)| names.contains(name));
        let named: Vec<_> =
            named.map(|(name, bytes)| ((*name).to_owned(), bytes.clone())).collect();
        assert_eq!(named.len(), names.len(), "{text} names a file that is not there");
        Case::new(&spelt(text), named)
    };
    CASES.iter().map(case).collect()
}

/// A text with what it shares with others.
fn spelt(text: &str) -> String {
    SHARED.iter().fold(text.to_owned(), |text, (name, shared)| text.replace(name, shared))
}

/// Files that are written by hand.
fn sources() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("scenario.toml", SCENARIO.as_bytes().to_vec()),
        ("topology.toml", TOPOLOGY.into()),
        ("vanilla.toml", VANILLA.into()),
        ("moepp.toml", MOEPP.into()),
        ("plain.toml", VANILLA.replace("popularity_sd = 0.1", "").into()),
        ("loop.toml", LOOP.into()),
        ("plan.toml", PLAN.into()),
        ("prices.toml", PRICES.into()),
        ("quality.csv", QUALITY.into()),
        ("flows.csv", FLOWS.into()),
        ("matrix.csv", MATRIX.into()),
        ("counts.csv", COUNTS.into()),
        ("config.json", CONFIG.into()),
        ("a100-sxm.toml", PROFILE.into()),
        ("a100-sxm.parquet", RESIDUALS.to_vec()),
        ("recording.parquet", recording()),
    ]
}

/// Files that commands write.
fn made(files: &Files) -> Vec<(&'static str, Vec<u8>)> {
    files.printed("sweep @plan.toml --out @swept --quiet --threads 1");
    files.printed("gate fit @recording.parquet --rank 1 --out @law.json");
    let result = |text: &str| files.result(&spelt(text).replace('|', ""));
    vec![
        ("run.json", result("run @scenario.toml --json --threads 1")),
        ("compared.json", result("$compare --json")),
        ("planned.json", result("$plan --json")),
        ("flowed.json", result("$pattern --json")),
        ("swept/rows.jsonl", files.read("swept/rows.jsonl")),
        ("swept/results.csv", files.read("swept/results.csv")),
        ("swept/results.parquet", files.read("swept/results.parquet")),
        ("law.json", files.read("law.json")),
    ]
}

/// Twelve sequences of eight tokens over four experts, two layers, two choices.
fn recording() -> Vec<u8> {
    let tokens = 96_i64;
    let column = |value: &dyn Fn(i64) -> i64| {
        Column::Integers((0..tokens).map(|t| Some(value(t))).collect())
    };
    let mut table = Table::new("recording").with("seq", column(&|token| token / 8));
    for layer in 0..2 {
        let first = move |token: i64| (token * 7 / 3 + token / 8 + layer) % 4;
        table = table.with(&format!("l{layer:02}_k0"), column(&first));
        let second = move |token: i64| (first(token) + 1 + (token / 5) % 3) % 4;
        table = table.with(&format!("l{layer:02}_k1"), column(&second));
    }
    table.to_parquet().expect("a small table")
}
