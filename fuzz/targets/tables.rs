//! CSV: traffic, curves of quality, counts, timings, published figures, results.

use moesim::base::units::Bytes;
use moesim::config::{Diagnostic, read_domain_counts, read_timings};
use moesim::network::traffic::{BadLine, HEADER, Traffic, read_matrix, read_transfers};
use moesim::output::plot::{self, Format};
use moesim::output::{pictures, report};
use moesim::studies::planner::quality::Trend;
use moesim::studies::sweep::Results;
use moesim::studies::validate::systems;

use super::{Target, accepted, as_file, finite, text};

pub(super) const TARGETS: &[Target] = &[
    Target {
        name: "transfers",
        seeds: &[],
        small: &["source,destination,bytes,start_s\n0,1,1000000,0\n1,0,2000000,0.001\n2,3,5,0\n"],
        holds: transfers,
    },
    Target {
        name: "matrix",
        seeds: &[],
        small: &["0,1,2,1\n1,0,1,5\n3,1,0,1\n1,1,1,0\n"],
        holds: matrix,
    },
    Target {
        name: "quality",
        seeds: &["calibrate/data/paper_moepp_quality.csv"],
        small: &[
            "tau,quality\n,43.1\n0.1,42.5\n0.5,43.3\n1,43.2\n",
            "model,tau,quality,noise\nm,0.5,1,0.1\nm,1,2,0.2\n",
        ],
        holds: quality,
    },
    Target {
        name: "domain-counts",
        seeds: &["tests/data/cases/10-counts.csv", "workloads/traces/olmoe_repo_expert_counts.csv"],
        small: &[
            "model,domain,kind,layer_slot,expert,count\nm,a,k,0,0,50\nm,a,k,0,1,30\nm,b,k,0,0,20\nm,b,k,0,1,60\n",
        ],
        holds: domain_counts,
    },
    Target {
        name: "timings",
        seeds: &["calibrate/sheets/*.csv"],
        small: &[
            "what,dtype,m,n,k,bytes,latency_us\ngemm,bfloat16,1,2,3,,4.5\ngpu-copy,,,,,1024,2\n",
        ],
        holds: timings,
    },
    Target {
        name: "paper-rows",
        seeds: &["calibrate/data/paper_moepp_table3.csv"],
        small: &[],
        holds: paper_rows,
    },
    Target {
        name: "systems",
        seeds: &["calibrate/data/systems/*.csv"],
        small: &[],
        holds: published,
    },
    Target {
        name: "results-csv",
        seeds: &[],
        small: &[
            "point,model,tau,seed,time_ms\n0,vanilla,,0,12.5\n0,moepp,0.5,0,11.25\n0,moepp,1,1,11.5\n",
            "layer,expert,count\n0,0,5\n0,1,7\n",
        ],
        holds: results,
    },
];

fn refused<T>(parsed: Result<T, BadLine>) -> Option<T> {
    accepted(parsed.map_err(|bad| Diagnostic::of("traffic.csv", bad.found, bad.help)))
}

/// Transfers as the file that is read.
fn written(traffic: &Traffic) -> String {
    let line = |t: moesim::network::traffic::Transfer| {
        format!("{},{},{},{}\n", t.source, t.destination, t.bytes.0, t.start_s)
    };
    format!("{HEADER}\n{}", traffic.iter().map(line).collect::<String>())
}

fn transfers(bytes: &[u8]) {
    let Some(traffic) = refused(read_transfers(text(bytes), 64)) else { return };
    assert!(!traffic.is_empty(), "no transfers");
    let again = read_transfers(&written(&traffic), 64).expect("what was written");
    assert_eq!(again, traffic, "written and read again");
}

fn matrix(bytes: &[u8]) {
    let Some(traffic) = refused(read_matrix(text(bytes), Bytes(1000), 64)) else { return };
    if !traffic.is_empty() {
        let again = read_transfers(&written(&traffic), 64).expect("what was written");
        assert_eq!(again, traffic, "written and read again");
    }
}

fn quality(bytes: &[u8]) {
    let read = as_file("quality.csv", bytes, |path| Trend::read(path, "m"));
    let Some(trend) = accepted(read) else { return };
    for tau in [0.001, 0.1, 0.5, 0.75, 1.0, 1000.0] {
        let Some(at) = trend.at(Some(tau)) else { continue };
        finite("quality", std::iter::once(at.expected).chain(at.noise));
    }
    if let Some(at) = trend.at(None) {
        finite("vanilla's quality", [at.expected]);
    }
}

fn domain_counts(bytes: &[u8]) {
    let read = as_file("counts.csv", bytes, |path| read_domain_counts(path, None, "k"));
    let Some(counts) = accepted(read) else { return };
    for layer in 0..counts.layers.len() {
        let spread = counts.spread(layer);
        finite("popularity", [spread.popularity_sd.0, spread.mixed.peak, spread.mixed.cv]);
        finite("domains", spread.domain_sd.map(|sd| sd.0));
    }
}

fn timings(bytes: &[u8]) {
    let Some(timings) = accepted(as_file("timings.csv", bytes, read_timings)) else { return };
    finite("seconds", timings.gemm.iter().map(|row| row.seconds));
    finite("seconds", timings.copies.iter().map(|row| row.seconds));
}

fn paper_rows(bytes: &[u8]) {
    let read = as_file("rows.csv", bytes, moesim::studies::paper::read);
    let Some(rows) = accepted(read) else { return };
    finite("time", rows.iter().map(|row| row.expert_forward_ms));
}

fn published(bytes: &[u8]) {
    let read = as_file("systems.csv", bytes, |path| systems::rows(Some(path)));
    let Some(rows) = accepted(read) else { return };
    for row in rows.iter().take(2) {
        match systems::scenario(row) {
            Ok(scenario) => assert!(!scenario.files.is_empty(), "a scenario without files"),
            Err(reason) => assert!(!reason.is_empty(), "no reason"),
        }
    }
}

fn results(bytes: &[u8]) {
    let read = as_file("results.csv", bytes, Results::read);
    // A cell that says infinity is text, and is drawn as the text that it is.
    let said = String::from_utf8_lossy(bytes).to_lowercase();
    let own = ["inf", "nan"].iter().any(|word| said.contains(word));
    drawn(accepted(read).filter(|_| !own));
}

/// What was read can be drawn, or says why not.
pub(super) fn drawn(results: Option<Results>) {
    let Some(results) = results else { return };
    if pictures::is_counts(&results) {
        if let Some(chart) = accepted(pictures::loads_chart(&results, "counts.csv")) {
            pictured(&chart);
        }
        return;
    }
    for log in [[false, false], [true, true]] {
        let drawing = accepted(report::any_drawing(&results, [None; 3], log));
        let chart = drawing.and_then(|drawing| accepted(report::chart(&results, &drawing)));
        if let Some(chart) = chart {
            pictured(&chart);
        }
    }
}

/// A picture shows numbers where it has some.
pub(super) fn pictured(chart: &impl plot::Chart) {
    let Ok(svg) = plot::render(chart, Format::Svg) else { return };
    let svg = String::from_utf8(svg).expect("SVG is text");
    let words = svg.split(|c: char| !(c.is_alphanumeric() || c == '_'));
    let nonsense = words.into_iter().find(|word| matches!(*word, "NaN" | "inf"));
    assert!(nonsense.is_none(), "a picture with {nonsense:?}");
}
