//! Does `moesim flows` hold links to the health that `--health` gives them, and say so?
//!
//! A pass says that several on one link hold by the least share, that windows and dead links are refused where an engine
//! cannot follow them, and that each window is said. `tests/property/network_health.rs` holds shares against a reckoning.

use moesim::output::report::network::flows::FlowsResult;

use crate::program::{folder, refused, runs};

const ASKED: [&str; 6] =
    ["flows", "--topology", "h100-4x8-rail", "--pattern", "uniform", "--makespan-only"];

fn asked<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&ASKED[..], more].concat()
}

fn told(more: &[&str]) -> FlowsResult {
    let json = runs(&folder("flows-health"), &asked(&[more, &["--json"]].concat()));
    serde_json::from_str(&json).expect("a result")
}

fn makespan_us(health: &[&str]) -> f64 {
    let each = health.iter().flat_map(|one| {
        let option = if one.starts_with("health.") { "--set" } else { "--health" };
        [option, one]
    });
    let all: Vec<&str> = ["--engine", "exact"].into_iter().chain(each).collect();
    1e6 * told(&all).makespan_s
}

/// A window does not end what still holds, whatever their order and however the other is given.
#[test]
fn of_several_at_one_time_the_least_share_holds() {
    let half = makespan_us(&["nic30:leaf6=0.5"]);
    let dip = makespan_us(&["nic30:leaf6=0.5", "nic30:leaf6=0.2@50us..60us"]);
    // 10 us at 0.2 in place of 0.5 carry 6 us less of what half a link carries.
    assert!((dip - half - 6.0).abs() < 1e-3, "{dip} us, {half} us without the window");
    assert_eq!(dip, makespan_us(&["nic30:leaf6=0.2@50us..60us", "nic30:leaf6=0.5"]));
    assert_eq!(dip, makespan_us(&["health.nic30:leaf6=0.5", "nic30:leaf6=0.2@50us..60us"]));
    assert_eq!(half, makespan_us(&["health.nic30:leaf6=0.5", "nic30:leaf6=0.8"]));
    let over = makespan_us(&["nic30:leaf6=0.5@0us..100us", "nic30:leaf6=0.2@50us..200us"]);
    let apart = makespan_us(&["nic30:leaf6=0.5@0us..50us", "nic30:leaf6=0.2@50us..200us"]);
    assert_eq!(over, apart);
    let twice = refused(
        &folder("flows-health-twice"),
        &asked(&["--health", "nic30:leaf6=0.2", "--health", "nic30:leaf6=0.5@0us.."]),
    );
    assert_eq!(
        twice,
        "error: --health nic30:leaf6=0.5@0us..: nic30:leaf6 is at 0.2 and at 0.5 for good\n  help: \
         give one of them, or a time for one: LINK=SHARE@FROM..UNTIL\n"
    );
}

/// A NIC that the cluster says is down stays so beside one that `--health` takes down.
#[test]
fn nics_are_down_by_the_cluster_and_by_health_together() {
    let both = makespan_us(&["nic3:leaf3=0", "nic30:leaf6=0"]);
    assert_eq!(both, makespan_us(&["health.nic3:leaf3=0", "nic30:leaf6=0"]));
    assert_eq!(both, makespan_us(&["health.nic3:leaf3=0", "health.nic30:leaf6=0"]));
}

/// The closed form knows one rate of each link, and that of a link that is down is none.
#[test]
fn the_closed_form_refuses_what_it_cannot_follow() {
    let here = folder("flows-health-closed");
    let window = ["--health", "nic30:leaf6=0@10us..1s"];
    let closed = ["--engine", "closed-form"];
    assert_eq!(
        refused(&here, &asked(&[&closed[..], &window].concat())),
        "error: --engine closed-form: drains every link at one rate, and --health changes \
         nic30:leaf6 meanwhile\n  help: take auto, exact or quantised, which follow changes, or \
         give a health without times\n"
    );
    for engine in ["closed-form", "auto", "exact", "quantised"] {
        let dead = ["--engine", engine, "--health", "gpu0:node-switch0=0"];
        let told = refused(&here, &asked(&dead));
        assert!(told.contains("never ends: gpu0:node-switch0 stays down"), "{engine}: {told}");
    }
    // However much error is allowed.
    let allowed = told(&[&["--epsilon", "0.5"], &window[..]].concat());
    assert!(allowed.makespan_s > 1.0, "{} by {:?}", allowed.makespan_s, allowed.engine);
}

/// What nothing proves is not called a bound.
#[test]
fn an_error_is_said_with_what_it_stands_on() {
    let line = |args: &[&str]| {
        let text = runs(&folder("flows-health-error"), args);
        text.lines().find(|line| line.starts_with("engine")).expect("a line").to_owned()
    };
    let said = |more: &[&str]| line(&asked(more));
    let closed = ["--engine", "closed-form"];
    assert_eq!(
        said(&[&closed[..], &["--pair-ceiling", "1 GB/s"]].concat()),
        "engine            closed-form, error not known"
    );
    let ceiling = told(&[&closed[..], &["--pair-ceiling", "1 GB/s"]].concat());
    assert!(ceiling.error_bound.is_none() && ceiling.error_basis.is_none());
    assert!(said(&closed).starts_with("engine            closed-form, error up to"));
    let drawn = line(&["flows", "--pattern", "lognormal", "--engine", "closed-form"]);
    assert!(drawn.starts_with("engine            closed-form, error measured up to"), "{drawn}");
    assert!(said(&["--engine", "exact"]).ends_with("exact, error up to 1.0e-7 %"));
    assert!(said(&["--engine", "quantised"]).ends_with("error aimed at 1.0e0 %"));
}

/// Each window with its times, in words and as numbers.
#[test]
fn every_window_is_said_with_its_times() {
    let health = [
        "--health",
        "nic30:leaf6=0.5@0us..100us",
        "--health",
        "nic30:leaf6=0.2@1ms..",
        "--health",
        "nic3:leaf3=0.8",
    ];
    let text = runs(&folder("flows-health-said"), &asked(&health)).replace('\n', " ");
    assert!(
        text.contains(
            "links in poor health: nic3:leaf3 at 80 % of its bandwidth links in poor health for a \
             time: nic30:leaf6 at 50 % of its bandwidth from 0 s to 100.0 us, nic30:leaf6 at 20 % \
             of its bandwidth from 1.000 ms on"
        ),
        "{text}"
    );
    let [first, second] = &told(&health).degradations[..] else { panic!("two windows") };
    assert_eq!((first.link.as_str(), first.share, first.until_s), ("nic30:leaf6", 0.5, Some(1e-4)));
    assert_eq!((second.from_s, second.until_s), (1e-3, None));
    let unit =
        refused(&folder("flows-health-unit"), &asked(&["--health", "nic30:leaf6=0.5@0..1us"]));
    assert_eq!(
        unit,
        "error: --health nic30:leaf6=0.5@0..1us: `0` has no unit\n  help: give every time a unit, 0us \
         too: write LINK=SHARE[@FROM..UNTIL], such as gpu0:node-switch0=0.5@1ms..2ms\n"
    );
}

/// What makes flows up says nothing where they come from elsewhere.
#[test]
fn options_without_effect_are_refused() {
    let here = folder("flows-no-effect");
    std::fs::write(here.join("f.csv"), "source,destination,bytes,start_s\n0,8,50000000,0\n")
        .expect("a file of ours");
    std::fs::write(here.join("m.csv"), "0,1\n1,0\n").expect("a file of ours");
    let file = ["f.csv", "--topology", "a100-4x8"];
    let matrix = ["--matrix", "m.csv", "--topology", "a100-4x8"];
    let uniform = ["--pattern", "uniform"];
    let drawn = "leave it out: of --pattern lognormal alone";
    for (flows, option, value, on, help) in [
        (&file[..], "--bytes", "1 MiB", "flows of a file", "leave it out: the file says the bytes"),
        (&file, "--sigma", "0.5", "flows of a file", drawn),
        (&file, "--seed", "1", "flows of a file", drawn),
        (&file, "--group", "8", "flows of a file", "leave it out: of a --pattern alone"),
        (
            &file,
            "--gpus",
            "16",
            "flows of a file",
            "leave it out; what changes the size of a cluster is --set nodes.count",
        ),
        (&matrix, "--seed", "1", "flows of a --matrix", drawn),
        (&matrix, "--group", "2", "flows of a --matrix", "leave it out: of a --pattern alone"),
        (&uniform, "--sigma", "0.5", "--pattern uniform", drawn),
        (&uniform, "--seed", "2", "--pattern uniform", drawn),
    ] {
        let told = refused(&here, &[&["flows"], flows, &[option, value]].concat());
        assert_eq!(told, format!("error: {option}: has no effect on {on}\n  help: {help}\n"));
    }
    for taken in [
        &["flows", "f.csv", "--gpus", "16"][..],
        &["flows", "--matrix", "m.csv", "--bytes", "2 MiB", "--gpus", "8"],
        &["flows", "--pattern", "lognormal", "--gpus", "8", "--sigma", "1", "--seed", "2"],
    ] {
        runs(&here, taken);
    }
}
