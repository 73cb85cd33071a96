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

/// What is said of one run of the experts' layers of a model on 32 H100, on one line.
fn said_of(here: &std::path::Path, model: &str, more: &[&str]) -> String {
    let text = format!(
        "schema = 1\nname = \"s\"\ntopology = \"h100-4x8-rail\"\ncounted = \"moe-layer\"\nseeds = \"0..1\"\n\
         [[compare]]\nvanilla = \"{model}\"\n[set]\nworkload.batch.micro_batches = 1\nworkload.model.layers = 2\n"
    );
    std::fs::write(here.join("s.toml"), text).expect("writable");
    let told = program::runs(here, &[&["run", "s.toml"], more].concat());
    told.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Biases that no kernel is charged for, and products that leave biases which are not there to others.
#[test]
fn biases_that_change_nothing_are_said() {
    let here = program::folder("kernels-biases");
    let idle = "changes nothing for mixtral-8x7b: its experts have neither biases nor";
    let untimed =
        "model.biases changes no time of mixtral-8x7b: its experts run as sglang_fused_moe_triton";
    let grouped = ["--set", "workload.kernels.experts=grouped-gemm"];
    let plain = ["--set", "workload.kernels.epilogue=plain"];
    let biases = ["--set", "workload.model.biases=true"];
    let said = |more: &[&[&str]]| {
        let told = said_of(&here, "mixtral-8x7b", &more.concat());
        (told.contains(idle), told.contains(untimed))
    };
    assert_eq!(said(&[]), (false, false));
    assert_eq!(said(&[&grouped, &plain]), (true, false));
    assert_eq!(said(&[&grouped, &plain, &biases]), (false, false));
    assert_eq!(said(&[&biases, &["--set", "workload.layout.expert_parallel=2"]]), (false, true));
}

/// An activation that is said to clamp where no kernel of its own does it.
#[test]
fn a_clamp_that_changes_nothing_is_said() {
    let here = program::folder("kernels-clamps");
    let clamped = ["--set", "workload.model.clamped_activation=true"];
    let plain = [
        "--set",
        "workload.kernels.experts=grouped-gemm",
        "--set",
        "workload.kernels.epilogue=plain",
    ];
    let idle = "model.clamped_activation changes nothing here: gated activations clamp by kernels of their own";
    assert!(said_of(&here, "mixtral-8x7b", &clamped).contains(idle));
    assert!(!said_of(&here, "mixtral-8x7b", &[&clamped[..], &plain].concat()).contains(idle));
    assert!(!said_of(&here, "gpt-oss-120b", &[]).contains(idle), "nobody asked");
}

/// Attention in fp8 that is no faster is said to change no time; where it is, nothing is said.
#[test]
fn attention_in_fp8_that_changes_no_time_is_said() {
    let here = program::folder("kernels-attention");
    let decodes = |model: &str| {
        let text = format!(
            "schema = 1\nname = \"s\"\ntopology = \"gb200-nvl72\"\ncounted = \"model-forward\"\nseeds = \"0..1\"\n\
             [[compare]]\nvanilla = \"{model}\"\n[set]\nworkload.batch.micro_batches = 1\nworkload.batch.phase = \"decode\"\n\
             workload.batch.tokens_per_gpu = 64\nworkload.batch.sequence_tokens = 1\nworkload.batch.context = 8192\n\
             workload.batch.attention_dtype = \"fp8\"\nworkload.layout.expert_parallel = 32\nworkload.model.layers = 4\n"
        );
        std::fs::write(here.join("s.toml"), text).expect("writable");
        program::runs(&here, &["run", "s.toml"]).split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let said = |model: &str| format!("batch.attention_dtype = \"fp8\" changes no time of {model}:");
    assert!(decodes("deepseek-v3").contains(&said("deepseek-v3")));
    assert!(!decodes("qwen3-235b-a22b").contains(&said("qwen3-235b-a22b")));
}

/// Training takes grouped products where no kernel is named, so that their keys need none.
#[test]
fn keys_of_grouped_products_stand_alone_in_training() {
    let here = program::folder("kernels-training");
    let trains = ["--set", "workload.batch.phase=training"];
    let keys =
        ["--set", "workload.kernels.epilogue=activation", "--set", "workload.kernels.pad_rows=64"];
    let named = ["--set", "workload.kernels.experts=grouped-gemm"];
    let said = |more: &[&[&str]]| said_of(&here, "mixtral-8x7b", &more.concat());
    let alone = said(&[&trains, &keys]);
    assert_eq!(alone, said(&[&trains, &keys, &named]));
    assert_ne!(alone, said(&[&trains]));
    let loops = ["--set", "workload.experts.execution=sequential"];
    let refused =
        program::refused(&here, &[&["run", "s.toml"], &trains[..], &keys, &loops].concat());
    assert!(refused.contains("is of grouped products"), "{refused}");
}

/// SMs that are kept from kernels take of products throughout, and nothing more beside exchanges.
#[test]
fn what_kept_sms_take_is_said_once() {
    let here = program::folder("kernels-kept");
    let small = [
        "topology.nodes.count=2",
        "workload.layout.expert_parallel=8",
        "workload.layout.pipeline_parallel=2",
        "workload.model.layers=4",
        "workload.dense.leading_layers=0",
        "workload.batch.micro_batches=4",
        "workload.batch.tokens_per_gpu=512",
        "workload.batch.sequence_tokens=512",
    ];
    let set = small.into_iter().flat_map(|line| ["--set", line]).collect::<Vec<_>>();
    let told = program::runs(&here, &[&["run", "dualpipe"], &set[..]].concat());
    let told = told.split_whitespace().collect::<Vec<_>>().join(" ");
    let kept = "20 of 132 SMs are kept for exchanges: products take 1.18 times as long throughout, and lose no more beside";
    assert!(told.contains(kept), "{told}");
    assert!(!told.contains("decode"), "{told}");
    assert!(told.contains("(20 of 132 SMs kept): products lose no more, memory x 1.14"), "{told}");
    let free = ["--set", "workload.exchange.reserved=false"];
    let told = program::runs(&here, &[&["run", "dualpipe"], &set[..], &free].concat());
    assert!(told.contains("(20 of 132 SMs held): products x 1.18, memory x 1.14"), "{told}");
    let most = ["--set", "workload.exchange.sms=131"];
    let told = program::runs(&here, &[&["run", "dualpipe"], &set[..], &free, &most].concat());
    let told = told.split_whitespace().collect::<Vec<_>>().join(" ");
    let few = "exchange.sms = 131 of 132 SMs leaves 1 to kernels beside exchanges, 132 / 1 = 132.0 times as long";
    assert!(told.contains(few), "{told}");
}
