//! Do network files of other tools become the clusters that they describe?

use std::path::Path;

use crate::program;

use moesim::base::units::GpuId;
use moesim::config::{NetworkAs, Source, import_network, read_topology};
use moesim::topology::Topology;

fn run(args: &[&str]) -> std::process::Output {
    program::moesim(Path::new(env!("CARGO_MANIFEST_DIR")), args)
}

fn text(args: &[&str]) -> String {
    let output = run(args);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

fn refusal(args: &[&str]) -> String {
    let output = run(args);
    assert!(!output.status.success(), "{args:?} was not refused");
    String::from_utf8(output.stderr).expect("text")
}

fn file(name: &str) -> String {
    format!("{}/tests/data/networks/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// The cluster that a file becomes, and what was guessed and left out.
fn imported(name: &str, gpu: &str) -> (Topology, Vec<String>) {
    let text = std::fs::read_to_string(file(name)).expect("a sample");
    imported_text(name, &text, gpu)
}

fn imported_text(name: &str, text: &str, gpu: &str) -> (Topology, Vec<String>) {
    let asked = NetworkAs { name: "mine", source: None, gpu: Some(gpu) };
    let found = import_network(name, text, asked).unwrap_or_else(|mistake| panic!("{mistake}"));
    let read = read_topology(&Source::built_in(name, &found.text));
    let topology = read.unwrap_or_else(|mistake| panic!("{mistake}\n{}", found.text));
    (topology, [found.guesses, found.left_out].concat())
}

fn refused(name: &str, text: &str) -> String {
    let asked = NetworkAs { name: "mine", source: None, gpu: Some("H100") };
    import_network(name, text, asked).expect_err("a mistake").to_string()
}

/// GB/s of the slowest link on the way from one GPU to another.
fn rate(topology: &Topology, from: u32, to: u32) -> f64 {
    let mut route = vec![];
    topology.route(GpuId(from), GpuId(to), &mut route);
    let rates = route.iter().map(|link| topology.links()[link.index()].bandwidth.gb_per_sec());
    rates.fold(f64::INFINITY, f64::min)
}

#[test]
fn a_matrix_behind_switches_becomes_a_node_with_the_nics_beside_its_gpus() {
    let (node, told) = imported("dgx-h100-matrix.txt", "H100");
    assert_eq!(node.gpus(), 8);
    assert!((rate(&node, 0, 7) - 450.0).abs() < 1e-9, "18 links of 25 GB/s");
    let left_out: Vec<&String> = told.iter().filter(|line| line.starts_with("NIC")).collect();
    assert_eq!(left_out.len(), 5, "four NICs near no GPU, and the guess: {told:?}");
}

#[test]
fn a_matrix_without_nvlink_becomes_a_pcie_tree() {
    let (node, told) = imported("l40s-matrix.txt", "L40S");
    assert_eq!(node.gpus(), 8);
    assert!(told.iter().any(|line| line.contains("peer_to_peer")), "{told:?}");
}

#[test]
fn what_nccl_wrote_becomes_the_same_node_as_the_matrix() {
    let (node, told) = imported("h100-nccl.xml", "H100");
    assert_eq!(node.gpus(), 8);
    assert!((rate(&node, 0, 7) - 450.0).abs() < 1e-9);
    assert!(told.iter().any(|line| line.contains("eth0")), "slow NICs are left out: {told:?}");
}

#[test]
fn two_dimensions_of_astra_sim_are_nodes_on_rails() {
    let (cluster, _) = imported("two-nodes.yml", "H100");
    assert_eq!(cluster.gpus(), 32);
    assert!((rate(&cluster, 0, 7) - 450.0).abs() < 1e-9);
    assert!((rate(&cluster, 0, 8) - 50.0).abs() < 1e-9, "GPU 8 is GPU 0 of the second node");
}

#[test]
fn rings_of_astra_sim_are_written_link_by_link() {
    let (torus, _) = imported("torus.yml", "H100");
    assert_eq!(torus.gpus(), 24);
    // 24 in the first dimension, 24 in the second, 12 pairs in the third; both ways.
    assert_eq!(torus.links().len(), 2 * (24 + 24 + 12));
    assert!((rate(&torus, 0, 3) - 100.0).abs() < 1e-9, "the ring closes");
    assert!((rate(&torus, 0, 12) - 25.0).abs() < 1e-9);
}

#[test]
fn simai_gives_every_link_and_its_own_gpu() {
    let path = file("simai");
    let told = text(&["import", &path]);
    assert!(told.contains("H100-SXM5-80GB") && told.contains("nvswitch1"), "{told}");
    let (cluster, told) = imported("simai", "H100");
    assert_eq!(cluster.gpus(), 4);
    assert!((rate(&cluster, 0, 1) - 450.0).abs() < 1e-9);
    assert!((rate(&cluster, 0, 2) - 50.0).abs() < 1e-9);
    assert!(told.iter().any(|line| line.contains("error rates (1 of the links)")), "{told:?}");
}

#[test]
fn an_imported_cluster_runs() {
    let path = program::folder("imported-network").join("mine.toml");
    let path = path.to_str().expect("a path in UTF-8");
    let told = text(&["import", &file("two-nodes.yml"), "--gpu", "h100", "--out", path]);
    assert!(told.contains("32 GPUs"), "{told}");
    assert!(text(&["check", path]).contains("a sound topology"), "{path}");
    let told = text(&["flows", "--topology", path, "--pattern", "uniform"]);
    assert!(told.contains("makespan"), "{told}");
}

#[test]
fn what_a_network_file_lacks_is_asked_for() {
    let told = refusal(&["import", &file("two-nodes.yml")]);
    assert!(told.contains("--gpu") && told.contains("H100-SXM5-80GB"), "{told}");
    let told = refusal(&["import", &file("two-nodes.yml"), "--gpu", "H999"]);
    assert!(told.contains("no built-in topology has a GPU `H999`"), "{told}");
    let told = refusal(&["import", &file("two-nodes.yml"), "--gpu", "H100", "--ffn-slots", "2"]);
    assert!(told.contains("--ffn-slots"), "{told}");
    let told = refusal(&["import", &file("h100-nccl.xml"), "--gpu", "A100"]);
    assert!(told.contains("compute capability 9, and A100-SXM4-80GB has 8"), "{told}");
    let told = refusal(&["import", &file("dgx-h100-matrix.txt"), "--gpu", "L40S"]);
    assert!(told.contains("has NVLinks, and L40S has none"), "{told}");
    let told = refusal(&["import", &file("simai"), "--gpu", "A100"]);
    assert!(told.contains("names H100 as its GPU"), "{told}");
    let config = format!("{}/tests/data/cases/09-config.json", env!("CARGO_MANIFEST_DIR"));
    let told = refusal(&["import", &config, "--gpu", "H100"]);
    assert!(told.contains("--gpu"), "{told}");
}

#[test]
fn mistakes_in_network_files_have_their_line() {
    let yml = std::fs::read_to_string(file("two-nodes.yml")).expect("a sample");
    for (from, to, line, words) in [
        ("Switch, Switch", "Switch, Torus", 1, "the shape `Torus`"),
        ("[ 8, 4 ]", "[ 8 ]", 2, "1 values for 2 dimensions"),
        ("[ 450.0, 50.0 ]", "[ 450.0, -50.0 ]", 3, "-50 GB/s"),
        ("[ 500.0, 1000.0 ]", "[ .nan, 1000.0 ]", 4, "NaN ns"),
    ] {
        let told = refused("network.yml", &yml.replace(from, to));
        assert!(told.contains(&format!("network.yml:{line}:")) && told.contains(words), "{told}");
    }
    let simai = std::fs::read_to_string(file("simai")).expect("a sample");
    for (from, to, line, words) in [
        ("7 2 2 1 8 H100", "7 2 2 1 9 H100", 1, "says 9 links and lists 8"),
        ("7 2 2 1 8 H100", "7 3 2 1 8 H100", 1, "servers of 3 GPUs"),
        ("0 4 3600Gbps", "0 9 3600Gbps", 3, "`9` is none of the vertices"),
        ("0.0005ms 0.001", "0.0005 0.001", 10, "`0.0005` is no latency"),
    ] {
        let told = refused("topo", &simai.replace(from, to));
        assert!(told.contains(&format!("topo:{line}:")) && told.contains(words), "{told}");
    }
    let matrix = std::fs::read_to_string(file("dgx-h100-matrix.txt")).expect("a sample");
    let told = refused("topo.txt", &matrix.replacen("GPU3\tNV18\tNV18", "GPU3\tNV18\tNV12", 1));
    assert!(told.contains("topo.txt:") && told.contains("[graph]"), "{told}");
    let told = refused("topo.txt", &matrix.replacen("\nNIC11\t", "\nOTHER\t", 1));
    assert!(told.contains("19 rows for 20 columns"), "{told}");
    let xml = std::fs::read_to_string(file("h100-nccl.xml")).expect("a sample");
    let told = refused("topo.xml", &xml.replacen("</gpu>", "", 1));
    assert!(told.contains("topo.xml:") && told.contains("XML"), "{told}");
    let told = refused("topo.xml", &xml.replacen("count=\"5\"", "count=\"6\"", 1));
    assert!(told.contains("NVLinks to switches"), "{told}");
}
