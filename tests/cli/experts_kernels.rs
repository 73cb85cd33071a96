//! What is said of the kernels that run experts.

use crate::program;

/// `auto` takes a kernel that was measured where engines run it; that another would take far less time is said.
#[test]
fn a_kernel_that_is_far_from_the_fastest_is_said() {
    let here = program::folder("kernels-slower");
    let text = "schema = 1\nname = \"s\"\ntopology = \"h200-4x8\"\ncounted = \"moe-layer\"\nseeds = \"0..1\"\n\
                [[compare]]\nvanilla = \"mixtral-8x7b\"\n[set]\nworkload.batch.micro_batches = 1\n\
                workload.exchange.library = \"nccl\"\n";
    std::fs::write(here.join("s.toml"), text).expect("writable");
    let said = |more: &[&str]| {
        let told = program::runs(&here, &[&["run", "s.toml"], more].concat());
        let plain = told.split_whitespace().collect::<Vec<_>>().join(" ");
        plain.contains("experts of mixtral-8x7b run as sglang_fused_moe_triton")
    };
    let two = ["--set", "workload.layout.expert_parallel=2"];
    assert!(said(&two));
    assert!(!said(&["--set", "workload.layout.expert_parallel=8"]));
    assert!(!said(&[&two[..], &["--set", "workload.kernels.experts=grouped-gemm"]].concat()));
}

/// The same of the layouts that a search ran, and of the points of a sweep.
#[test]
fn searches_say_where_a_kernel_is_far_from_the_fastest() {
    let here = program::folder("kernels-searched");
    let few = ["--seeds", "0..1", "--no-calibration-error", "--tp", "1", "--pp", "1"];
    let layouts = [
        "layouts",
        "h200-4x8",
        "--vanilla",
        "mixtral-8x7b",
        "--tokens",
        "4096",
        "--library",
        "nccl",
    ];
    let said = |more: &[&str]| {
        let told = program::runs(&here, &[&layouts[..], &few, more].concat());
        told.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let told = said(&["--ep", "2,8"]);
    assert!(told.contains("times at EP 2 what grouped products"), "{told}");
    let told = said(&["--ep", "8"]);
    assert!(!told.contains("grouped products"), "{told}");
    let plan = "schema = 1\nname = \"p\"\nscenario = \"s.toml\"\nseeds = \"0..1\"\n[vary]\n\
                \"workload.layout.expert_parallel\" = [8, 2]\n";
    let scenario = "schema = 1\nname = \"s\"\ntopology = \"h200-4x8\"\ncounted = \"moe-layer\"\n[[compare]]\n\
                    vanilla = \"mixtral-8x7b\"\n[set]\nworkload.batch.micro_batches = 1\nworkload.exchange.library = \"nccl\"\n";
    std::fs::write(here.join("s.toml"), scenario).expect("writable");
    std::fs::write(here.join("p.toml"), plan).expect("writable");
    let told = program::runs(&here, &["sweep", "p.toml"]);
    assert!(told.contains("experts of mixtral-8x7b run as sglang_fused_moe_triton"), "{told}");
}

/// Rounding to tiles gives rows up where experts have few.
#[test]
fn rounding_few_rows_to_tiles_is_said() {
    let here = program::folder("kernels-rounded");
    let said = |tile: &str| {
        let set = format!("workload.kernels.round_rows={tile}");
        let run = [
            "run",
            "tile-rounding",
            "--set",
            "seeds=0..1",
            "--set",
            "workload.batch.micro_batches=1",
        ];
        let few = ["--set", "workload.batch.tokens_per_gpu=2048", "--set"];
        let few = [&few[..], &["workload.batch.sequence_tokens=2048", "--set", &set]].concat();
        program::runs(&here, &[&run[..], &few].concat())
    };
    assert!(!said("8").contains("compute none"));
    assert!(said("1024").contains("compute none"));
}
