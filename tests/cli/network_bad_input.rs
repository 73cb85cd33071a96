//! Does the user get helped? Wrong topologies and wrong flows, each with the exact message it gets.
//!
//! A pass says that these mistakes are placed and worded as written here and that none panics. It
//! does not say that no other input does.

use std::process::Command;

use moesim::config::{Source, built_in_topology, read_topology};

const GRAPH: &str = "schema = 1\nname = \"t\"\nsource = \"made up\"\n[gpu]\nname = \"G\"\n\
    peak_bf16 = \"1 TFLOP/s\"\nmemory_bandwidth = \"1 TB/s\"\nmemory = \"80 GB\"\nsms = 1\n\
    [graph]\ngpus = 3\nswitches = [\"s\"]\n";

/// The message that a built-in topology gets once it is changed.
fn changed(name: &str, overrides: &[&str]) -> String {
    let source = built_in_topology(name).unwrap().with_overrides(overrides.iter().copied());
    read_topology(&source).expect_err("it is wrong").to_string()
}

/// The message that an explicit graph with these links gets.
fn graph(links: &str) -> String {
    let text = format!("{GRAPH}links = [\n{links}]\n");
    read_topology(&Source::built_in("t.toml", &text)).expect_err("it is wrong").to_string()
}

const CABLE: &str = "bandwidth = \"9 GB/s\", latency = \"1 us\"";
const CLASSED: &str = "bandwidth = \"9 GB/s\", latency = \"1 us\", class = \"nvlink\"";

#[test]
fn wrong_topologies_get_these_messages() {
    let table = [
        (
            changed("a100-4x8", &["nodes.nic.bandwidth=0 GB/s"]),
            "--set nodes.nic.bandwidth=0 GB/s: nodes.nic.bandwidth: `0 GB/s` is out of range for a \
             bandwidth\n  help: give between 1 B/s and 1e18 B/s",
        ),
        (
            changed("a100-4x8", &["nodes.nic.bandwidth=200"]),
            "--set nodes.nic.bandwidth=200: nodes.nic.bandwidth: `200` has no unit\n  help: write a \
             bandwidth with its unit, such as \"450 GB/s\"",
        ),
        (
            changed("a100-4x8", &["nodes.nic.per_node=3"]),
            "--set nodes.nic.per_node=3: nodes.nic.per_node: 3 NICs cannot serve 8 GPUs evenly\n  \
             help: let per_node divide gpus_per_node",
        ),
        (
            changed("a100-4x8", &["nodes.count=1000000"]),
            "--set nodes.count=1000000: nodes.count: 1000000 nodes of 8 GPUs are 8000000 GPUs\n  \
             help: build at most 1048576 GPUs",
        ),
        (
            changed("full-mesh-16", &["nodes.count=100000"]),
            "--set nodes.count=100000: nodes.count: the cluster would have 10000000000 links\n  \
             help: stay within 8388608 links: fewer nodes, or a switched fabric",
        ),
        (
            changed("two-tier-8", &["nodes.nic.per_node=4"]),
            "two-tier-8:29: nodes.nic: 2 GPUs share a NIC, but through what is not said\n  help: \
             add [nodes.nic.pcie] with bandwidth and latency, the slots at their PCIe switch",
        ),
        (
            changed("gb200-nvl72", &["nodes.count=2"]),
            "gb200-nvl72: fabric: only 72 of 144 GPUs can reach GPU 0 and be reached by it\n  \
             help: give the nodes NICs and a fabric that joins all of them",
        ),
        (
            changed("tpu-v4-512-torus", &["fabric.torus.dims=[8, 8, 7]"]),
            "--set fabric.torus.dims=[8, 8, 7]: fabric.torus.dims: a grid of [8, 8, 7] has 448 \
             places for 512 ports\n  help: let the dimensions, each at least 2, multiply to the \
             ports of all nodes",
        ),
        (
            graph(&format!("{{ from = \"gpu0\", to = \"gpu7\", {CLASSED} }}\n")),
            "t.toml:14: graph.links[0].to: there is no `gpu7`\n  help: name gpu0 to gpu2 or one of \
             `switches`",
        ),
        (
            graph(&format!("{{ from = \"s\", to = \"s\", {CLASSED} }}\n")),
            "t.toml:14: graph.links[0]: a loop from `s` to itself\n  help: join two different \
             vertices",
        ),
        (
            graph(&format!(
                "{{ from = \"gpu0\", to = \"s\", {CLASSED} }},\n{{ from = \"gpu1\", to = \"s\", {CLASSED} }}\n"
            )),
            "t.toml:13: graph.links: no way leads from gpu2 to gpu0\n  help: add links until every \
             GPU reaches every other, in both directions",
        ),
        (
            graph(&format!("{{ from = \"gpu0\", to = \"s\", {CABLE}, class = \"wifi\" }}\n")),
            "t.toml:14: graph.links[0].class: `wifi` is not a class of links\n  help: choose from: \
             nvlink, xgmi, pcie, socket, nic, leaf-spine, spine-core, direct",
        ),
    ];
    for (got, want) in table {
        assert_eq!(got, want);
    }
}

/// Standard error of `moesim flows` with these arguments, which must fail quickly and cleanly.
fn refused(args: &[&str]) -> String {
    let out = Command::new(env!("CARGO_BIN_EXE_moesim")).arg("flows").args(args).output().unwrap();
    assert_eq!(out.status.code(), Some(1), "{args:?}");
    assert!(out.stdout.is_empty(), "{args:?}");
    String::from_utf8(out.stderr).unwrap()
}

/// The message that a file of flows with these lines gets.
fn refused_file(name: &str, lines: &str) -> String {
    let path = std::env::temp_dir().join(format!("moesim-{}-{name}.csv", std::process::id()));
    std::fs::write(&path, lines).unwrap();
    let message = refused(&[path.to_str().unwrap()]);
    std::fs::remove_file(&path).unwrap();
    message.replace(path.to_str().unwrap(), "FILE")
}

#[test]
fn wrong_flows_get_these_messages() {
    let header = "source,destination,bytes,start_s";
    let table = [
        (
            refused_file("header", "from,to\n0,1\n"),
            "error: the header is `from,to`\n --> FILE:1:1\n  |\n1 | from,to\n  | ^^^^^^^\n  help: begin the file with `source,destination,bytes,start_s`\n",
        ),
        (
            refused_file("gpu", &format!("{header}\n0,1,5,0\n0,128,5,0\n")),
            "error: destination `128` is no GPU of this cluster\n --> FILE:3:1\n  |\n3 | 0,128,5,0\n  | ^^^^^^^^^\n  help: number GPUs from 0 to 127\n",
        ),
        (
            refused_file("bytes", &format!("{header}\n0,1,-5,0\n")),
            "error: bytes `-5`\n --> FILE:2:1\n  |\n2 | 0,1,-5,0\n  | ^^^^^^^^\n  help: give a whole number from 0 to 1125899906842624\n",
        ),
        (
            refused_file("start", &format!("{header}\n0,1,5,NaN\n")),
            "error: start_s `NaN`\n --> FILE:2:1\n  |\n2 | 0,1,5,NaN\n  | ^^^^^^^^^\n  help: give seconds from 0 to 1000000\n",
        ),
        (
            refused_file("columns", &format!("{header}\n0,1,5\n")),
            "error: 3 columns\n --> FILE:2:1\n  |\n2 | 0,1,5\n  | ^^^^^\n  help: give the four columns source,destination,bytes,start_s\n",
        ),
        (
            refused(&["--pattern", "uniform", "--gpus", "96", "--group", "7"]),
            "error: --pattern: groups of 7 do not fill 96 GPUs\n  help: let the group, at least 2, \
             divide the GPUs\n",
        ),
        (
            refused(&["--pattern", "uniform", "--epsilon", "0"]),
            "error: --epsilon: 0 is not a relative error\n  help: give a number from 0.000001 to 0.5\n",
        ),
        (
            refused(&["--pattern", "uniform", "--gpus", "8", "--health", "gpu0:mars=1"]),
            "error: --health gpu0:mars=1: there is no link `gpu0:mars`\n  help: write \
             LINK=SHARE[@FROM..UNTIL], such as gpu0:node-switch0=0.5@1ms..2ms\n",
        ),
        (
            refused(&["--pattern", "uniform", "--gpus", "8", "--health", "gpu0:node-switch0=0"]),
            "error: --health: the flow from GPU 0 to GPU 1 never ends: gpu0:node-switch0 stays \
             down\n  help: give the link's degradation an end, or some of its capacity\n",
        ),
        (
            refused(&[]),
            "error: moesim flows: no flows are given\n  help: name a CSV file, or give --pattern or \
             --matrix\n",
        ),
    ];
    for (got, want) in table {
        assert_eq!(got, want);
    }
}

/// 10¹⁰ flows are refused before memory is gone, with how many there would be.
#[test]
fn too_many_flows_are_refused_at_once() {
    let message = refused(&["--pattern", "uniform", "--gpus", "100000"]);
    assert!(message.contains("the pattern has 9999900000 flows"), "{message}");
    assert!(message.contains("smaller groups with --group"), "{message}");
}
