//! Does a cluster cost what its parts cost?
//!
//! A pass says that parts are counted as often as they are there, that the built-in book adds up to the
//! whole nodes and racks that its figures come from, and that what the book does not know is refused
//! and not guessed. It does not say that anybody sells at these prices.

use std::process::Command;

use moesim::config::{Source, built_in_prices, built_in_topology, read_prices, read_topology};
use moesim::topology::{Cost, Topology};

fn built_in(name: &str, overrides: &[&str]) -> Topology {
    let source = built_in_topology(name).unwrap_or_else(|| panic!("no {name}"));
    read_topology(&source.with_overrides(overrides.iter().copied()))
        .unwrap_or_else(|e| panic!("{e}"))
}

fn cost(topology: &Topology) -> Cost {
    Cost::of(topology, &read_prices(&built_in_prices()).expect("sound"))
}

fn assert_near(got: f64, want: f64, relative: f64) {
    assert!((got / want - 1.0).abs() <= relative, "{got}, expected {want}");
}

/// What the comments of the book say their figures come from.
#[test]
fn nodes_and_racks_cost_and_draw_what_they_are_said_to() {
    // A node with its NICs, without the switches and cables beyond them.
    let node = |name: &str, nodes: f64| {
        let cost = cost(&built_in(name, &[]));
        let (total, beyond) = (cost.total(), [cost.switches, cost.cables]);
        let usd = total.usd.unwrap() - beyond.iter().map(|part| part.usd).sum::<f64>();
        let watts = total.watts.unwrap() - beyond.iter().map(|part| part.watts).sum::<f64>();
        (usd / nodes, watts / nodes)
    };
    let (usd, watts) = node("h100-4x8-rail", 4.0);
    assert_near(usd, 310_000.0, 0.01);
    assert_near(watts, 10_200.0, 0.01);
    assert_near(node("a100-4x8", 4.0).1, 6_500.0, 0.01);
    let (usd, watts) = node("gb200-nvl72", 1.0);
    assert_near(usd, 3_000_000.0, 0.01);
    assert_near(watts, 120_000.0, 0.01);
}

/// Four nodes of eight, 450 GB/s of NVLink and a NIC of 400 Gb/s each: by hand.
#[test]
fn parts_are_counted_as_often_as_they_are_there() {
    let cost = cost(&built_in("h100-4x8-rail", &[]));
    assert_near(cost.gpus.usd.unwrap(), 32.0 * 33_000.0, 1e-12);
    assert_near(cost.nodes.watts, 32.0 * 500.0, 1e-12);
    assert_near(cost.nvswitch.usd, 32.0 * 3600.0 * 0.5, 1e-12);
    assert_near(cost.nics.usd, 32.0 * 400.0 * 3.0, 1e-12);
    let parts = [cost.nodes, cost.nvswitch, cost.network()].map(|part| part.usd);
    let whole = cost.gpus.usd.unwrap() + parts.iter().sum::<f64>();
    assert_near(cost.total().usd.unwrap(), whole, 1e-12);
    let twice = self::cost(&built_in("h100-4x8-rail", &["nodes.count=8"]));
    assert_near(twice.gpus.usd.unwrap(), 2.0 * cost.gpus.usd.unwrap(), 1e-12);
}

/// A mesh inside a node comes with the node; one NVLink domain has no network beyond it.
#[test]
fn what_comes_with_the_node_is_not_counted_again() {
    assert_eq!(cost(&built_in("mi300x-4x8", &[])).nvswitch.usd, 0.0);
    let rack = cost(&built_in("gb200-nvl72", &[]));
    assert_eq!(rack.network().usd, 0.0);
    assert_near(rack.nvswitch.usd, 72.0 * 7200.0 * 0.5, 1e-12);
}

#[test]
fn a_gpu_that_is_not_known_has_no_price() {
    let made_up = cost(&built_in("two-tier-8", &[]));
    assert_eq!((made_up.total().usd, made_up.total().watts), (None, None));
    assert!(made_up.network().usd > 0.0);
    // Not sold, but measured.
    let tpu = cost(&built_in("tpu-v4-512-torus", &[]));
    assert_eq!(tpu.total().usd, None);
    assert!(tpu.total().watts.unwrap() > 512.0 * 192.0);
}

fn moesim(args: &[&str]) -> (bool, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_moesim")).args(args).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(said).unwrap())
}

/// Made-up GPUs are compared a GPU, but not a dollar: the message says what to write where.
#[test]
fn unknown_prices_are_refused_with_a_remedy() {
    let few = ["--set", "workload.batch.micro_batches=1"];
    let quick = [&["--seeds", "0..1", "--no-calibration-error"][..], &few].concat();
    let compare = |equal| {
        let named = ["compare", "two-tier-8=h100-sxm", "h100-4x8-rail", "--equal", equal];
        moesim(&[&named[..], &quick[..]].concat())
    };
    let (done, said) = compare("cost");
    assert!(!done, "{said}");
    for part in ["two-tier-8", "the GPU `any`", "`usd`", "[gpu.\"any\"]", "--prices"] {
        assert!(said.contains(part), "no {part} in {said}");
    }
    let (done, said) = compare("power");
    assert!(!done && said.contains("`watts`"), "{said}");
    let (done, said) = compare("gpus");
    assert!(done, "{said}");
}

/// Both clusters whole, an NVLink rack among them, and the network's part said.
#[test]
fn clusters_are_compared_at_equal_cost_and_power() {
    for equal in ["cost", "power"] {
        let named = ["compare", "h100-4x8-rail", "gb200-nvl72", "--equal", equal];
        let few = ["--set", "workload.batch.micro_batches=1"];
        let quick = ["--seeds", "0..1", "--no-calibration-error"];
        let (done, said) = moesim(&[&named[..], &quick, &few].concat());
        assert!(done, "{said}");
        let row = |name: &str| {
            let of_costs = said.lines().skip_while(|line| !line.starts_with("by the price book"));
            of_costs.skip(1).find(|line| line.starts_with(name)).unwrap_or_default().to_owned()
        };
        assert!(row("gb200-nvl72").contains("2995200"), "{said}");
        assert!(row("gb200-nvl72").contains("0 % of USD"), "{said}");
    }
}

/// One file name in two folders: the second goes by its path, so that no row is taken for the other.
#[test]
fn clusters_in_files_of_one_name_are_told_apart() {
    let here = std::env::temp_dir().join(format!("moesim-one-name-{}", std::process::id()));
    let [one, two] = ["one", "two"].map(|folder| here.join(folder).join("mine.toml"));
    for path in [&one, &two] {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::copy("topologies/a100-4x8.toml", path).unwrap();
    }
    let with_profile = |path: &std::path::Path| format!("{}=a100-sxm", path.display());
    let quick = ["--seeds", "0..1", "--no-calibration-error"];
    let (done, said) =
        moesim(&[&["compare", &with_profile(&one), &with_profile(&two)], &quick[..]].concat());
    std::fs::remove_dir_all(&here).unwrap();
    assert!(done, "{said}");
    let begins = |name: &str| said.lines().any(|line| line.starts_with(name));
    assert!(begins("mine ") && begins(&two.display().to_string()), "{said}");
}

#[test]
fn a_price_book_with_mistakes_is_refused_where_they_are() {
    let good = include_str!("../../topologies/prices.toml");
    for (from, to, said) in [
        ("watts      = 700", "watts      = -700", "watts"),
        ("usd        = 33_000", "usd        = \"33000 USD\"", "usd"),
        ("[scale-up.nvswitch]", "[scale-up.nvswich]", "nvswich"),
        ("node_usd   = 2_640 ", "node_uds   = 2_640 ", "node_uds"),
    ] {
        assert!(good.contains(from), "{from}");
        let mistake = read_prices(&Source::built_in("prices.toml", &good.replacen(from, to, 1)));
        let mistake = mistake.expect_err(to).to_string();
        assert!(mistake.contains(said) && mistake.contains("prices.toml:"), "{mistake}");
    }
}
