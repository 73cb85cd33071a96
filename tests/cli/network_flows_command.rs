//! Does `moesim flows` do what its options say?
//!
//! A pass says that the transport's limits enter as their formulas say, on single flows worked out by
//! hand, and that every format carries the times of flows and GPUs under the promised names.

use moesim::output::report::network::flows::FlowsResult;
use std::process::Command;

use serde_json::Value;

/// One flow of 50 MB over 50 GB/s NICs, 10 us away: 1.01 ms.
const ONE: &str = "source,destination,bytes,start_s\n0,8,50000000,0\n";

fn flows(csv: &str, name: &str, options: &[&str]) -> String {
    let file = std::env::temp_dir().join(format!("moesim-{}-{name}.csv", std::process::id()));
    std::fs::write(&file, csv).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_moesim"))
        .args(["flows", file.to_str().unwrap(), "--topology", "two-tier-8"])
        .args(options)
        .output()
        .unwrap();
    std::fs::remove_file(&file).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn makespan_us(csv: &str, name: &str, options: &[&str]) -> f64 {
    let options = [&["--format", "json"], options].concat();
    let report: Value = serde_json::from_str(&flows(csv, name, &options)).unwrap();
    report["makespan_s"].as_f64().unwrap() * 1e6
}

fn assert_us(got: f64, want: f64) {
    assert!((got - want).abs() < 1e-3, "{got} us, on paper {want}");
}

#[test]
fn each_limit_of_the_transport_enters_as_written() {
    assert_us(makespan_us(ONE, "plain", &[]), 1010.0);
    assert_us(makespan_us(ONE, "overhead", &["--message-overhead", "5 us"]), 1015.0);
    // Half the rate at 25 MB: 25 MB more to carry.
    assert_us(makespan_us(ONE, "ramp", &["--half-rate-bytes", "25 MB"]), 1510.0);
    assert_us(makespan_us(ONE, "pair", &["--pair-ceiling", "25 GB/s"]), 2010.0);
    assert_us(makespan_us(ONE, "sms", &["--sms", "4", "--per-sm", "5 GB/s"]), 2510.0);
    // Two flows of one sender share what its SMs drive.
    let two = format!("{ONE}0,16,50000000,0\n");
    assert_us(makespan_us(&two, "two", &["--sms", "4", "--per-sm", "5 GB/s"]), 5010.0);
}

/// The NIC is down for 2 ms in the middle: the flow waits so much longer.
#[test]
fn a_flapping_link_delays_by_as_long_as_it_was_down() {
    let report = flows(ONE, "names", &[]);
    let link = report
        .lines()
        .find_map(|line| line.trim().split_once(" ").filter(|_| line.contains(" nic ")))
        .map(|(name, _)| name.to_owned())
        .unwrap_or_else(|| panic!("no NIC among the busiest links:\n{report}"));
    let health = format!("{link}=0@0.5ms..2.5ms");
    assert_us(makespan_us(ONE, "flap", &["--health", &health]), 3010.0);
}

#[test]
fn every_format_carries_flows_and_gpus() {
    let csv = flows(ONE, "csv", &["--format", "csv"]);
    let mut lines = csv.lines();
    let columns = "source,destination,bytes,start_s,finish_s,source_done_s,destination_done_s";
    assert_eq!(lines.next(), Some(columns));
    assert_eq!(lines.next(), Some("0,8,50000000,0,0.001010000000,0.001010000000,0.001010000000"));
    let json: Value = serde_json::from_str(&flows(ONE, "json", &["--format", "json"])).unwrap();
    for key in ["makespan_s", "engine", "error_bound", "flows", "cpu_s", "peak_rss_bytes"] {
        assert!(!json[key].is_null(), "{key}");
    }
    assert_eq!(json["flows"], 1);
    assert!((json["arrival_s"][8].as_f64().unwrap() - 1.01e-3).abs() < 1e-9);
    assert!((json["sent_s"][0].as_f64().unwrap() - 1.01e-3).abs() < 1e-9);
    let table = flows(ONE, "table", &["--format", "table"]);
    assert!(table.contains("gpu8") && table.contains("10 % faster, exact"), "{table}");
}

/// A flow at its pair's ceiling gains nothing from faster links: the engine that ran knows, the
/// closed form of ports would not.
#[test]
fn upgrades_are_judged_by_the_engine_that_ran() {
    let options = ["--format", "json", "--pair-ceiling", "25 GB/s"];
    let json: Value = serde_json::from_str(&flows(ONE, "upgrade", &options)).unwrap();
    assert_eq!(json["upgrades_by"], "exact");
    for upgrade in json["upgrades"].as_array().unwrap() {
        let change = upgrade["makespan_change_percent_at_10_percent_faster"].as_f64().unwrap();
        assert!(change.abs() < 1e-9, "{upgrade}");
    }
}

/// A link at half its rate is the busiest, and faster links of its class help as they do where it is whole.
#[test]
fn a_sick_link_is_weighed_by_what_it_can_still_carry() {
    let asked = ["flows", "--pattern", "uniform", "--gpus", "16", "--json"];
    let result = |more: &[&str]| -> FlowsResult {
        let here = crate::program::folder("sick-link");
        let output = crate::program::moesim(&here, &[&asked[..], more].concat());
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let sick = result(&["--health", "gpu0:leaf0=0.5"]);
    let first = &sick.busiest_links[0];
    assert!(first.link == "gpu0:leaf0" && first.busy_share > 0.9, "{first:?}");
    let said = sick.poor_health.as_deref().unwrap_or_default();
    assert!(said.contains("gpu0:leaf0 at 50 % of its bandwidth"), "{said}");
    assert!(sick.lower_bound_s > 0.9 * sick.makespan_s, "{} s", sick.lower_bound_s);
    // The same as the cluster's own, and a window in which more were left changes nothing.
    let own = result(&["--set", "health.gpu0:leaf0=0.5"]);
    assert_eq!(own.makespan_s, sick.makespan_s);
    let twice = result(&["--health", "gpu0:leaf0=0.5", "--health", "gpu0:leaf0=1@0s..1s"]);
    assert_eq!(twice.makespan_s, sick.makespan_s);
    let faster = result(&["--health", "gpu0:leaf0=0.5", "--set", "nodes.nic.bandwidth=440 Gb/s"]);
    let change = 100.0 * (faster.makespan_s / sick.makespan_s - 1.0);
    let nic = sick.upgrades.iter().find(|upgrade| upgrade.class == "nic").unwrap();
    let told = nic.makespan_change_percent_at_10_percent_faster;
    assert!(told < -5.0 && (told - change).abs() < 0.1, "{told} %, made so {change} %");
}

#[test]
fn tables_stay_within_a_terminal_whatever_the_names() {
    let here = crate::program::folder("flows-names");
    let [one, other] = ["a", "b"].map(|letter| letter.repeat(32));
    let link = |from: &str, to: &str| {
        format!(
            "{{ from = \"{from}\", to = \"{to}\", bandwidth = \"100 GB/s\", latency = \"1 us\", class = \"nvlink\" }},\n"
        )
    };
    let links = [link("gpu0", &one), link(&one, &other), link("gpu1", &other)].concat();
    let text = format!(
        "schema = 1\nname = \"long\"\nsource = \"made up\"\n[gpu]\nname = \"a GPU of a very long name that its maker \
         liked well enough to print\"\npeak_bf16 = \"100 TFLOP/s\"\nmemory_bandwidth = \"1000 GB/s\"\nmemory = \"80 GB\"\nsms = 100\n\
         [graph]\ngpus = 2\ngpus_per_node = 2\nswitches = [\"{one}\", \"{other}\"]\nlinks = [\n{links}]\n"
    );
    std::fs::write(here.join("long.toml"), text).expect("a file of ours");
    for args in [
        &["topology", "long.toml"][..],
        &["flows", "--topology", "long.toml", "--pattern", "uniform"],
    ] {
        let output = crate::program::moesim(&here, args);
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(told.lines().all(|line| line.chars().count() <= 80), "{told}");
        assert!(told.contains('…'), "{told}");
    }
}

#[cfg(unix)]
#[test]
fn a_link_that_leads_round_in_a_circle_is_said_to() {
    let here = crate::program::folder("flows-circle");
    std::os::unix::fs::symlink("round.csv", here.join("round.csv")).expect("a link of ours");
    for args in [
        &["flows", "round.csv", "--topology", "a100-4x8"][..],
        &["plot", "round.csv"],
        &["plan", "a100-4x8", "--layer-ms", "1", "--quality", "round.csv"],
    ] {
        let output = crate::program::moesim(&here, args);
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            told.contains("is a symbolic link that leads round in a circle"),
            "{args:?}: {told}"
        );
    }
}
