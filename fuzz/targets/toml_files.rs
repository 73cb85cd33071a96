//! TOML of every kind, and quantities with units.

use std::collections::BTreeMap;
use std::fmt::Debug;

use moesim::base::table::{Column, Table, Texts};
use moesim::base::units::{
    Bandwidth, Bytes, FlopRate, GpuId, Quantity, SimDuration, parse_quantity,
};
use moesim::config::{
    self, Kind, Overrides, ScenarioSource, Source, SweepPlan, data_sheet, overheads, read_prices,
    read_topology, workload,
};
use moesim::topology::{Cost, Topology};

use super::{Target, accepted, as_file, finite, helpful, text};

pub(super) const TARGETS: &[Target] = &[
    Target {
        name: "topology",
        seeds: &["topologies/*.toml", "notebooks/published/*.toml"],
        small: &[include_str!("../../cli/smoke/topology.toml")],
        holds: topology,
    },
    Target {
        name: "workload",
        seeds: &["workloads/*.toml"],
        small: &[
            include_str!("../../cli/smoke/vanilla.toml"),
            include_str!("../../cli/smoke/moepp.toml"),
        ],
        holds: of_workload,
    },
    Target {
        name: "scenario",
        seeds: &["scenarios/*.toml", "notebooks/longcat.scenario.toml", "tests/data/cases/*.toml"],
        small: &[SCENARIO],
        holds: scenario,
    },
    Target { name: "plan", seeds: &["notebooks/plans/*.toml"], small: &[PLAN], holds: plan },
    Target { name: "profile", seeds: &["calibrate/profiles/*.toml"], small: &[], holds: profile },
    Target {
        name: "overheads",
        seeds: &["calibrate/overheads/*.toml"],
        small: &[],
        holds: of_overheads,
    },
    Target { name: "prices", seeds: &["topologies/prices.toml"], small: &[], holds: prices },
    Target { name: "data-sheet", seeds: &["calibrate/sheets/*.toml"], small: &[], holds: sheet },
    Target {
        name: "kind",
        seeds: &["topologies/two-tier-8.toml", "workloads/moepp-1b.toml"],
        small: &["a,b\n1,2\n", "{\"model_type\": 1}", "<html>"],
        holds: kind,
    },
    Target {
        name: "override",
        seeds: &[],
        small: &["nodes.count=4", "nodes.nic.bandwidth=100 Gb/s\nname=\"x\"", "gpu={sms = 1}"],
        holds: overriding,
    },
    Target {
        name: "units",
        seeds: &[],
        small: &["450 GB/s", "2 us", "1_000 KiB", "989.4 TFLOP/s", "1e-3 s", "0 ps", "12 h"],
        holds: units,
    },
];

const SCENARIO: &str = r#"schema = 1
name = "small"
topology = "a100-4x8"
counted = "moe-layer"
network = "auto"
epsilon = 0.01
seeds = "0..2"
tau = [0.25, 0.75]
[[compare]]
vanilla = "vanilla.toml"
moepp = "moepp.toml"
"#;

const PLAN: &str = r#"schema = 1
name = "small"
scenario = "paper"
seeds = "0..2"
[set]
"workload.batch.micro_batches" = 1
[vary]
"topology.nodes.nic.bandwidth" = { from = "100 Gb/s", to = "200 Gb/s", factor = 2 }
[[zip]]
"workload.batch.tokens_per_gpu" = [64, 128]
tau = [0.5, 1]
[plot.gain]
x = "topology.nodes.nic.bandwidth"
y = "throughput_increase_percent"
hue = "model"
log_x = true
"#;

fn source(bytes: &[u8]) -> Source {
    Source::built_in("file.toml", text(bytes))
}

fn topology(bytes: &[u8]) {
    let Some(built) = accepted(read_topology(&source(bytes))) else { return };
    routes_lead_somewhere(&built);
}

/// Every route leads over links that are there, and takes time.
fn routes_lead_somewhere(topology: &Topology) {
    let (last, mut route) = (topology.gpus() - 1, Vec::new());
    for to in [0, 1, last / 2, last].into_iter().filter(|&to| to <= last) {
        route.clear();
        topology.route(GpuId(last - to), GpuId(to), &mut route);
        for link in &route {
            let link = &topology.links()[link.0 as usize];
            assert!(link.bandwidth.bytes_per_sec() > 0.0, "a link without bandwidth");
        }
        finite("latency", [topology.latency(&route).secs()]);
    }
    if topology.gpus() <= 1024 {
        let book = read_prices(&config::built_in_prices()).expect("the built-in price book");
        let network = Cost::of(topology, &book).network();
        finite("price", [network.usd, network.watts]);
    }
}

fn of_workload(bytes: &[u8]) {
    let Some(read) = accepted(workload(&source(bytes))) else { return };
    let parameters = moesim::execution::memory::parameters(&read);
    assert!(parameters.active <= parameters.total, "{parameters:?}");
}

fn scenario(bytes: &[u8]) {
    let beside = [
        ("scenario.toml", text(bytes)),
        ("vanilla.toml", include_str!("../../cli/smoke/vanilla.toml")),
        ("moepp.toml", include_str!("../../cli/smoke/moepp.toml")),
    ];
    let files: BTreeMap<_, _> =
        beside.into_iter().map(|(name, text)| (name.to_owned(), text.to_owned())).collect();
    let opened = ScenarioSource::of_files("scenario.toml", files, Overrides::default());
    let Some(read) = accepted(opened.and_then(|scenario| scenario.load())) else { return };
    assert!(!read.cases.is_empty(), "nothing to compare");
    assert!(!read.seeds.is_empty(), "no seeds");
}

fn plan(bytes: &[u8]) {
    let read = as_file("plan.toml", bytes, |path| SweepPlan::read(path, &[]));
    let Some(plan) = accepted(read) else { return };
    let points = plan.points();
    assert!(points > 0, "no points");
    for point in [0, points / 2, points - 1] {
        // The scenario may not be there; its keys may not be either.
        accepted(plan.scenario_at(usize::try_from(point).expect("a point of five million")));
    }
    if let Err(mistake) = moesim::output::report::check_drawings(&plan) {
        helpful(&mistake);
    }
}

/// With a table without rows: shipped ones have thousands, which the target of residuals reads.
fn profile(bytes: &[u8]) {
    let none = || Column::Integers(Vec::new());
    let empty = Table::new("residuals").with("family", Column::Texts(Texts::default()));
    let columns = ["x0", "x1", "x2", "x3", "x4", "knot", "residual"];
    let empty = columns.iter().fold(empty, |table, name| table.with(name, none()));
    accepted(config::profile(&source(bytes), empty));
}

fn of_overheads(bytes: &[u8]) {
    let Some(read) = accepted(overheads(&source(bytes))) else { return };
    finite("overheads", [read.overheads.traffic_factor, read.overheads.overlap]);
}

fn prices(bytes: &[u8]) {
    accepted(read_prices(&source(bytes)));
}

fn sheet(bytes: &[u8]) {
    let Some((sheet, _)) = accepted(data_sheet(&source(bytes))) else { return };
    finite("sheet", [sheet.bf16_tflops, sheet.memory_gb_per_s, sheet.cache_mb]);
}

fn kind(bytes: &[u8]) {
    let read = as_file("file.toml", bytes, Source::read);
    let Some(source) = accepted(read) else { return };
    accepted(Kind::guess(&source));
    let _ = source.summary();
    if let Some(mistake) = Kind::misplaced("file.toml", source.text()) {
        helpful(&mistake);
    }
    if as_file("table.csv", bytes, moesim::studies::paper::looks_like) {
        accepted(as_file("table.csv", bytes, moesim::studies::paper::read));
    }
}

/// `--set` lines over a shipped topology.
fn overriding(bytes: &[u8]) {
    let shipped = include_str!("../../topologies/two-tier-8.toml");
    let source = Source::built_in("two-tier-8", shipped).with_overrides(text(bytes).lines());
    if let Some(built) = accepted(read_topology(&source)) {
        routes_lead_somewhere(&built);
    }
}

fn units(bytes: &[u8]) {
    fn one<Q: Quantity + Debug>(text: &str) {
        match parse_quantity::<Q>(text) {
            Err(error) => assert!(!error.found.is_empty() && !error.help.is_empty(), "{error:?}"),
            Ok(quantity) => {
                let said = format!("{quantity:?}");
                assert!(!said.contains("NaN") && !said.contains("inf"), "{said}");
            }
        }
    }
    let text = text(bytes);
    one::<Bandwidth>(text);
    one::<SimDuration>(text);
    one::<Bytes>(text);
    one::<FlopRate>(text);
}
