//! Is each set-up that once went wrong right, or refused with its reason?
//!
//! Small inputs from real set-ups lie in `data/cases`. A pass says that each gives its right value or its
//! message. It does not say how near predictions come; `moesim validate` does.

use std::process::{Command, Output};

fn moesim(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_moesim"))
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/cases"))
        .args(args)
        .output()
        .unwrap()
}

fn text(args: &[&str]) -> String {
    let output = moesim(args);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn refusal(args: &[&str]) -> String {
    let output = moesim(args);
    assert!(!output.status.success(), "{args:?} was not refused");
    String::from_utf8(output.stderr).unwrap()
}

fn json(args: &[&str]) -> serde_json::Value {
    serde_json::from_str(&text(&[args, &["--json"]].concat())).unwrap()
}

/// One model's own share of FFN slots leaves τ without effect: one of the two decides.
#[test]
fn tau_beside_a_measured_share_is_refused() {
    let told = refusal(&["run", "06-tau-ignored.toml"]);
    assert!(told.contains("06-qwen3-moepp.toml"), "{told}");
    assert!(told.contains("has no effect, as gate.ffn_share says"), "{told}");
}

/// The scenario's list of τ does nothing to a model whose controller holds its share.
#[test]
fn a_list_of_tau_for_a_model_without_tau_is_refused() {
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"));
    let path = folder.join("longcat-tau.toml");
    let text = "schema = 1\nname = \"t\"\ntopology = \"h100-4x8-rail\"\ncounted = \"experts\"\n\
                seeds = \"0..1\"\ntau = [0.5, 1.0]\n[[compare]]\nvanilla = \"qwen3-235b-a22b\"\n\
                moepp = \"longcat-flash\"\n";
    std::fs::write(&path, text).unwrap();
    let told = refusal(&["check", path.to_str().unwrap()]);
    assert!(told.contains("has no effect on `longcat-flash`"), "{told}");
}

/// LongCat-Flash has no τ: results show none.
#[test]
fn a_model_without_tau_is_reported_without() {
    let source = moesim::config::built_in_workload("longcat-flash").unwrap();
    let workload = moesim::config::workload(&source).unwrap();
    assert_eq!(workload.model.experts.tau, None);
    let moepp = moesim::config::built_in_workload("moepp-1b").unwrap();
    assert_eq!(moesim::config::workload(&moepp).unwrap().model.experts.tau, Some(0.75));
}

/// A switch goes by the name that its file gives it, in reports and in arguments.
#[test]
fn switches_go_by_the_names_that_users_give() {
    let flows = ["flows", "--topology", "07-switch-names.toml", "--pattern", "uniform"];
    let told = text(&flows);
    assert!(told.contains(":nvs") || told.contains("nvs:"), "{told}");
    assert!(!told.contains("router0"), "{told}");
    text(&[&flows[..], &["--health", "gpu0:nvs=0.5"]].concat());
    let told = refusal(&[&flows[..], &["--health", "gpu0:router0=0.5"]].concat());
    assert!(told.contains("there is no link `gpu0:router0`"), "{told}");
}

/// Files of other tools are told apart, in one sentence.
#[test]
fn files_of_other_tools_are_recognised() {
    for (file, what, remedy) in [
        ("09-config.json", "is a model's config.json", "moesim import"),
        ("09-nccl-tests.log", "is a log of nccl-tests", "calibrate links"),
        ("09-network.yml", "is a network file of ASTRA-sim", "moesim import"),
        ("09-simai-topo", "is a topology of SimAI", "moesim import"),
    ] {
        for command in [&["check", file][..], &["topology", file], &["run", file]] {
            let told = refusal(command);
            assert!(told.contains(what), "{command:?}: {told}");
            assert!(told.contains(remedy), "{command:?}: {told}");
        }
    }
}

/// Qwen3-30B-A3B's config.json gives the model that was written by hand.
#[test]
fn a_config_json_becomes_the_workload() {
    let imported = text(&["import", "09-config.json", "--name", "06-qwen3-30b"]);
    let read = |text: &str| {
        let source = moesim::config::Source::built_in("imported", text);
        moesim::config::workload(&source).unwrap_or_else(|mistake| panic!("{mistake}"))
    };
    let by_hand = std::fs::read_to_string("tests/data/cases/06-qwen3-30b.toml").unwrap();
    let (imported, by_hand) = (read(&imported), read(&by_hand));
    assert_eq!(imported.model.experts, by_hand.model.experts);
    assert_eq!(imported.model.attention, by_hand.model.attention);
    assert_eq!(imported.batch.dtype, by_hand.batch.dtype);
    let sizes = |w: &moesim::workload::Workload| {
        let m = &w.model;
        [m.layers, m.hidden, m.intermediate, m.heads, m.head_dim, m.vocabulary]
    };
    assert_eq!(sizes(&imported), sizes(&by_hand));
}

/// The published keys of DeepSeek-V3 and gpt-oss-120b give the shipped models.
#[test]
fn configs_of_other_families_give_the_shipped_models() {
    let deepseek = r#"{"model_type": "deepseek_v3", "hidden_size": 7168, "num_hidden_layers": 61,
        "num_attention_heads": 128, "num_key_value_heads": 128, "q_lora_rank": 1536,
        "kv_lora_rank": 512, "qk_nope_head_dim": 128, "qk_rope_head_dim": 64, "v_head_dim": 128,
        "moe_intermediate_size": 2048, "intermediate_size": 18432, "first_k_dense_replace": 3,
        "moe_layer_freq": 1, "n_routed_experts": 256, "n_shared_experts": 1,
        "num_experts_per_tok": 8, "n_group": 8, "topk_group": 4, "scoring_func": "sigmoid",
        "vocab_size": 129280, "quantization_config": {"quant_method": "fp8"}}"#;
    let kinds = ["\"sliding_attention\"", "\"full_attention\""].repeat(18).join(",");
    let gpt_oss = format!(
        r#"{{"model_type": "gpt_oss", "hidden_size": 2880, "num_hidden_layers": 36,
        "num_attention_heads": 64, "num_key_value_heads": 8, "head_dim": 64,
        "intermediate_size": 2880, "num_local_experts": 128, "num_experts_per_tok": 4,
        "sliding_window": 128, "layer_types": [{kinds}], "vocab_size": 201088}}"#
    );
    for (config, shipped) in [(deepseek, "deepseek-v3"), (gpt_oss.as_str(), "gpt-oss-120b")] {
        let asked = moesim::config::ImportAs { name: shipped, ..Default::default() };
        let text = moesim::config::import_config("config.json", config, asked).unwrap().text;
        let source = moesim::config::Source::built_in("imported", &text);
        let mut imported = moesim::config::workload(&source).unwrap();
        let source = moesim::config::built_in_workload(shipped).unwrap();
        let shipped = moesim::config::workload(&source).unwrap();
        imported.model.name.clone_from(&shipped.model.name);
        assert_eq!(imported.model, shipped.model);
        assert_eq!(imported.gating.scheme, shipped.gating.scheme);
        assert_eq!(imported.batch.dtype, shipped.batch.dtype);
    }
}

/// Squared ReLU has no gate: two matrices an expert, which take less memory and time.
#[test]
fn networks_without_a_gate_have_two_matrices() {
    let config = r#"{"model_type": "deepseek", "num_hidden_layers": 23, "hidden_size": 2688,
        "moe_intermediate_size": 1856, "num_attention_heads": 32, "head_dim": 128,
        "num_key_value_heads": 2, "vocab_size": 131072, "n_routed_experts": 128,
        "num_experts_per_tok": 6, "n_shared_experts": 1,
        "moe_shared_expert_intermediate_size": 3712, "mlp_hidden_act": "relu2"}"#;
    let asked = moesim::config::ImportAs { name: "nemotron", ..Default::default() };
    let text = moesim::config::import_config("config.json", config, asked).unwrap().text;
    let read = |text: &str| {
        let source = moesim::config::Source::built_in("imported", text);
        moesim::config::workload(&source).unwrap()
    };
    let plain = read(&text);
    assert!(!plain.model.gated);
    assert_eq!(plain.model.dense.shared, 3712);
    assert_eq!(plain.expert_bytes().0, 2 * 2688 * 1856 * 2);
    let gated = read(&text.replace("gated        = false", "gated        = true"));
    assert_eq!(gated.expert_bytes().0, 3 * 2688 * 1856 * 2);
    let profile = moesim::config::built_in_profile("h100-sxm").unwrap();
    let kernels = moesim::kernels::Kernels::new(&profile, profile.data_sheet);
    let seconds = |workload: &moesim::workload::Workload| {
        let ask = moesim::execution::cost::experts_ask(workload);
        assert_eq!(ask.shape.gated, workload.model.gated);
        let kernels: &dyn moesim::execution::cost::KernelTimes = &kernels;
        kernels.experts(&ask)(&[2048; 16]).total().secs()
    };
    let ratio = seconds(&plain) / seconds(&gated);
    assert!((0.55..0.85).contains(&ratio), "{ratio}");
}

/// Of one domain, how domains differ cannot be known: it stays at its default, and that is said.
#[test]
fn counts_of_one_domain_are_fitted() {
    let told = text(&["gate", "fit", "10-counts.csv"]);
    // ln of the counts has a standard deviation of 1.775 over eight experts.
    assert!(told.contains("popularity_sd = 1.77"), "{told}");
    assert!(told.contains("not known: how domains differ"), "{told}");
    assert!(!told.contains("domains = 1,"), "{told}");
    let report = json(&["gate", "fit", "10-counts.csv"]);
    assert!(report["domain_sd"].is_null());
    assert_eq!(report["not_known"].as_array().unwrap().len(), 2);
}

/// A scenario without a profile takes that of the topology's GPU; another GPU's is taken where it is
/// named for it, and said.
#[test]
fn profiles_follow_gpus() {
    let quick = [
        "--set",
        "seeds=0..1",
        "--set",
        "tau=[0.75]",
        "--set",
        "workload.model.layers=1",
        "--set",
        "workload.layout.pipeline_parallel=1",
    ];
    let run = |more: &[&str]| json(&[&["run", "paper"], &quick[..], more].concat());
    assert_eq!(run(&[])["profile"], "a100-sxm");
    let moved = run(&["--set", "topology=h100-4x8-rail"]);
    assert_eq!(moved["profile"], "h100-sxm");
    assert_eq!(moved["profile_borrowed"], false);
    let named = ["--set", "topology=h100-4x8-rail", "--set", "profile=a100-sxm"];
    assert_eq!(run(&named)["profile_borrowed"], true);
    let told = text(&[&["run", "paper"], &quick[..], &named].concat());
    assert!(told.contains("profile of NVIDIA A100-SXM4-80GB applied to H100-SXM5-80GB"), "{told}");
}

/// What a file says of its own cluster does not follow `--set topology=…` to another GPU.
#[test]
fn a_profile_does_not_follow_to_another_gpu_unasked() {
    let told = refusal(&["run", "01-h100-experts.toml", "--set", "topology=a100-4x8"]);
    assert!(told.contains("error: profile: is of NVIDIA H100"), "{told}");
    assert!(told.contains("--> 01-h100-experts.toml:5:11"), "{told}");
    assert!(told.contains("--set profile=a100-sxm is its own"), "{told}");
}

/// A GPU without a profile is refused with the ways to one.
#[test]
fn a_gpu_without_a_profile_is_refused_with_the_remedy() {
    for command in [
        &["run", "paper", "--set", "topology=tpu-v4-512-torus"][..],
        &["compare", "tpu-v4-512-torus", "--seeds", "0..1"],
    ] {
        let told = refusal(command);
        assert!(told.contains("its GPU is called `TPU v4`, and no profile"), "{told}");
        assert!(told.contains("calibrate transfer"), "{told}");
        assert!(told.contains("h200-sxm (NVIDIA H200)"), "{told}");
    }
}

/// 93 GB of weights do not fit 80 GB: the arithmetic and the nearest layouts, unless asked for.
#[test]
fn what_does_not_fit_is_refused_with_the_arithmetic() {
    let told = refusal(&["run", "04-memory.toml"]);
    assert!(told.contains("error: compare[0].vanilla: `04-mixtral-ep1`"), "{told}");
    assert!(told.contains("--> 04-memory.toml:9:11"), "{told}");
    // 32 layers · 8 experts · 3 · 4096 · 14336 · 2 bytes = 90.2 GB.
    assert!(told.contains("on a GPU of 80.0 GB: FFN experts 90.2 GB + "), "{told}");
    assert!(told.contains("expert_parallel = 2, pipeline_parallel = 1"), "{told}");
    let own = ["--set", "topology.gpu.memory=1 GB", "--set", "workload.layout.expert_parallel=8"];
    let told = refusal(&[&["run", "04-memory.toml"], &own[..]].concat());
    assert!(told.contains("on a GPU of 1.0 GB"), "{told}");
    assert!(told.contains("no layout of these 8 GPUs fits"), "{told}");
}

/// `--allow-oom` runs it, and the result says so in text and JSON.
#[test]
fn what_does_not_fit_runs_when_asked_and_says_so() {
    let quick = ["run", "04-memory.toml", "--allow-oom", "--set", "counted=experts"];
    let told = text(&quick);
    assert!(told.contains("does not fit, run as asked: `04-mixtral-ep1` needs"), "{told}");
    let report = json(&quick);
    assert_eq!(report["does_not_fit"].as_array().unwrap().len(), 1);
    let memory = &report["results"][0]["memory"];
    assert_eq!(memory["ffn_experts_bytes"], 32_u64 * 8 * 3 * 4096 * 14336 * 2);
    assert_eq!(memory["fits"], false);
}

/// The table of a scenario: what fits has its free bytes, and training its optimiser.
#[test]
fn the_memory_table_adds_up() {
    let ep8 = ["memory", "04-memory.toml", "--set", "workload.layout.expert_parallel=8"];
    let report = json(&ep8);
    let memory = &report["workloads"][0]["memory"];
    let parts: u64 = memory
        .as_object()
        .unwrap()
        .iter()
        .filter(|(key, _)| {
            key.ends_with("_bytes")
                && !["total", "capacity", "free"].iter().any(|w| key.starts_with(w))
        })
        .map(|(_, value)| value.as_u64().unwrap())
        .sum();
    assert_eq!(memory["total_bytes"], parts);
    assert_eq!(memory["fits"], true);
    // Two sequences of 2048 tokens, 32 layers, 8 heads of keys and values of 128.
    assert_eq!(memory["kv_cache_bytes"], 2_u64 * 2048 * 32 * 2 * 8 * 128 * 2);
    let cached = json(&[&ep8[..], &["--set", "workload.batch.context=2048"]].concat());
    let doubled = &cached["workloads"][0]["memory"]["kv_cache_bytes"];
    assert_eq!(*doubled, 2 * memory["kv_cache_bytes"].as_u64().unwrap());
    let training = [&ep8[..], &["--set", "workload.batch.phase=training", "--allow-oom"]].concat();
    let memory = json(&training)["workloads"][0]["memory"].clone();
    assert!(
        memory["gradients_bytes"].as_u64().unwrap()
            > 2 * memory["ffn_experts_bytes"].as_u64().unwrap()
    );
    assert_eq!(memory["kv_cache_bytes"], 0);
    assert!(text(&training).contains("fp32 gradients"));
}

/// `memory` and `run` go by one ledger: the bytes of the table are those that are refused, and both end alike.
#[test]
fn memory_shows_what_run_refuses_and_ends_as_it_does() {
    let [shown, refused] = ["memory", "run"].map(|command| moesim(&[command, "04-memory.toml"]));
    assert_eq!([shown.status.code(), refused.status.code()], [Some(1), Some(1)]);
    assert_eq!(shown.stderr, refused.stderr);
    let table = String::from_utf8(shown.stdout).unwrap();
    let total = table.lines().find(|line| line.starts_with("total")).unwrap();
    let needed = total.trim_start_matches("total").trim();
    let said = String::from_utf8(refused.stderr).unwrap().replace('\n', " ");
    assert!(said.contains(&format!("needs {needed} on a GPU")), "{needed}: {said}");
}

/// A topology that does not state its GPUs' memory is not checked, and that is said.
#[test]
fn memory_that_is_not_stated_is_said() {
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"));
    let topology = std::fs::read_to_string("tests/data/cases/h100-1x8.toml").unwrap();
    let without: String = topology
        .lines()
        .filter(|line| !line.starts_with("memory  "))
        .map(|line| format!("{line}\n"))
        .collect();
    let path = folder.join("no-memory.toml");
    std::fs::write(&path, without).unwrap();
    let set = format!("topology={}", path.display());
    let told = text(&["run", "04-memory.toml", "--set", &set, "--set", "counted=experts"]);
    assert!(told.contains("memory of the GPU is not stated: not checked"), "{told}");
}

/// Every shipped workload fits where it is meant to run.
#[test]
fn the_paper_fits_its_gpus() {
    let report = json(&["memory", "paper"]);
    assert_eq!(report["does_not_fit"].as_array().unwrap().len(), 0);
    for workload in report["workloads"].as_array().unwrap() {
        assert_eq!(workload["memory"]["fits"], true, "{workload}");
    }
}

/// What was asked for and changes nothing is said with the result, and really changes nothing.
#[test]
fn what_changes_nothing_is_said_and_changes_nothing() {
    let small = ["seeds=0..1", "tau=[0.75]", "counted=moe-layer", "workload.batch.micro_batches=1"];
    let idle =
        ["topology.nodes.scale-up.nvswitch.latency=9 us", "topology.nodes.nic.bandwidth=50 Gb/s"];
    let run = |set: &[&str]| {
        let set = set.iter().flat_map(|line| ["--set", line]);
        json(&["run", "paper"].into_iter().chain(set).collect::<Vec<&str>>())
    };
    let (plain, asked) =
        (run(&small), run(&[small, [idle[0], idle[1], "epsilon=0.02", "network=exact"]].concat()));
    let said = asked["cautions"].to_string();
    for what in [
        "nvswitch.latency changes nothing here: the start-ups of nccl were measured",
        "nic.bandwidth changes nothing here: no byte leaves a node",
        "epsilon changes nothing here",
    ] {
        assert!(said.contains(what), "{said}");
    }
    assert!(!plain["cautions"].to_string().contains("changes nothing"), "{plain}");
    let alone = run(&[small, [idle[0], idle[1], small[0], small[1]]].concat());
    for (before, after) in
        plain["results"].as_array().unwrap().iter().zip(alone["results"].as_array().unwrap())
    {
        assert_eq!(before["tokens_per_s"], after["tokens_per_s"]);
    }
}

/// An axis of a sweep that moves no result is named.
#[test]
fn an_axis_that_changes_no_result_is_named() {
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("idle-axis");
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    let plan = folder.join("plan.toml");
    let text_of = "schema = 1\nname = \"idle\"\nscenario = \"paper\"\nseeds = \"0..1\"\n[set]\n\
                   counted = \"moe-layer\"\ntau = [0.75]\n\"workload.batch.micro_batches\" = 1\n[vary]\n\
                   \"topology.nodes.nic.bandwidth\" = [\"200 Gb/s\", \"400 Gb/s\"]\n\
                   \"workload.batch.tokens_per_gpu\" = [512, 1024]\n";
    std::fs::write(&plan, text_of).unwrap();
    let told = text(&["sweep", plan.to_str().unwrap()]);
    assert!(told.contains("topology.nodes.nic.bandwidth changed no result"), "{told}");
    assert!(!told.contains("tokens_per_gpu changed no result"), "{told}");
}
