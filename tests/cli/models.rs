//! Are the shipped models those of their makers, and is every config.json read or refused with its reason?
//!
//! `workloads/sources/` holds what was taken of each model's config.json, and `models.csv` where it comes
//! from and what its maker publishes. A pass says that the shipped files are what `moesim import` makes of
//! these, that parameters agree with published ones, and that each fits its cluster. It does not say that
//! the extracts are complete. `UPDATE_EXPECT=1` writes the workloads anew.

use std::path::{Path, PathBuf};

use moesim::config::{self, ImportAs, Imported, Source};
use moesim::execution::Scope;
use moesim::execution::memory::{Fit, Parameters, fit, parameters};
use moesim::workload::{Attention, Workload};

/// A line of `models.csv`.
struct Shipped {
    name: String,
    source: String,
    /// GPUs that share its experts; none where the workload was written by hand.
    gpus: Option<u32>,
    cluster: String,
    total: String,
    active: String,
    counts: String,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("workloads")
}

fn shipped() -> Vec<Shipped> {
    let text = std::fs::read_to_string(folder().join("sources/models.csv")).unwrap();
    let row = |line: &str| {
        let cells: Vec<&str> = line.split(',').collect();
        let [name, model, date, found, gpus, cluster, total, active, counts] = cells[..] else {
            panic!("{line}: {} cells", cells.len())
        };
        Shipped {
            name: name.to_owned(),
            source: format!("{model} config.json, {date}; as in {found}"),
            gpus: gpus.parse().ok(),
            cluster: cluster.to_owned(),
            total: total.to_owned(),
            active: active.to_owned(),
            counts: counts.to_owned(),
        }
    };
    text.lines().skip(1).map(row).collect()
}

fn imported(model: &Shipped) -> Option<Imported> {
    let path = folder().join(format!("sources/{}.json", model.name));
    let text = std::fs::read_to_string(&path).ok()?;
    let zero = text.contains("zero_expert_num");
    let asked = ImportAs {
        name: &model.name,
        source: Some(&model.source),
        gpus: model.gpus,
        family: None,
        ffn_slots: zero.then_some(8.0),
    };
    let imported = config::import_config(&model.name, &text, asked);
    Some(imported.unwrap_or_else(|mistake| panic!("{mistake}")))
}

fn read(name: &str, text: &str) -> Workload {
    config::workload(&Source::built_in(name, text)).unwrap_or_else(|mistake| panic!("{mistake}"))
}

fn workload(name: &str) -> Workload {
    read(name, config::built_in_workload(name).unwrap_or_else(|| panic!("no {name}")).text())
}

#[test]
fn shipped_models_are_what_import_makes_of_their_sources() {
    let mut made = 0;
    for model in shipped() {
        let Some(imported) = imported(&model) else { continue };
        let path = folder().join(format!("{}.toml", model.name));
        if model.gpus.is_none() {
            // Written by hand, with the same model.
            let mut own = read(&model.name, &imported.text);
            let by_hand = workload(&model.name);
            own.model.name.clone_from(&by_hand.model.name);
            assert_eq!(own.model, by_hand.model, "{}", model.name);
            continue;
        }
        made += 1;
        assert_eq!(imported.account.unknown, Vec::<String>::new(), "{}", model.name);
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            std::fs::write(&path, &imported.text).unwrap();
        }
        let found = std::fs::read_to_string(&path).unwrap();
        assert!(found == imported.text, "{}.toml is not what import makes", model.name);
    }
    assert!(made >= 30, "{made} models");
}

/// They agree within 2 %, or are the published digits once rounded or cut off to as many.
fn agrees(computed: u64, published: &str, what: &str) {
    let value: f64 = published.parse().unwrap();
    let unit = 10f64.powi(-(published.split('.').nth(1).map_or(0, str::len) as i32));
    let computed = computed as f64 / 1e9;
    let same = |digits: f64| (digits * unit - value).abs() < unit / 2.0;
    let near = (computed - value).abs() <= 0.02 * value;
    assert!(
        near || same((computed / unit).round()) || same((computed / unit).floor()),
        "{what}: {computed:.3} B, published {value} B"
    );
}

#[test]
fn parameters_agree_with_what_makers_publish() {
    for model in shipped() {
        let workload = workload(&model.name);
        let Parameters { total, active, table } = parameters(&workload);
        agrees(total, &model.total, &format!("{} in all", model.name));
        let tables = if workload.model.tied { 1 } else { 2 };
        let active = match model.counts.as_str() {
            "all" => active,
            "output" => active - table,
            "none" => active - tables * table,
            other => panic!("{other}"),
        };
        if !model.active.is_empty() {
            agrees(active, &model.active, &format!("{} of a token", model.name));
        }
    }
}

#[test]
fn every_shipped_model_fits_its_cluster() {
    for model in shipped() {
        let source = config::built_in_topology(&model.cluster).unwrap();
        let topology = config::read_topology(&source).unwrap();
        let workload = workload(&model.name);
        assert_eq!(topology.gpus() % workload.layout.expert_parallel, 0, "{}", model.name);
        if let Fit::TooLarge { found, .. } = fit(&topology, &workload, Scope::ModelForward, 0) {
            panic!("{} on {}: {found}", model.name, model.cluster);
        }
    }
}

/// The README's table is that of the models.
#[test]
fn the_readme_lists_every_model() {
    let readme = std::fs::read_to_string(folder().join("README.md")).unwrap();
    for model in shipped() {
        let Parameters { total, active, .. } = parameters(&workload(&model.name));
        let [total, active] = [total, active].map(|count| count as f64 / 1e9);
        let row = format!("| `{}` | {total:.1} | {active:.1} |", model.name);
        assert!(readme.contains(&row), "no row `{row}`");
    }
}

fn import(text: &str) -> Result<Imported, String> {
    let asked = ImportAs { name: "m", ..ImportAs::default() };
    config::import_config("config.json", text, asked).map_err(|mistake| mistake.to_string())
}

/// A small config.json of this architecture with these keys more.
fn small(family: &str, more: &str) -> String {
    format!(
        "{{\"model_type\": \"{family}\",\n\"hidden_size\": 64, \"intermediate_size\": 96,\n\
         \"num_hidden_layers\": 4, \"num_attention_heads\": 4, \"num_key_value_heads\": 2,\n\
         \"num_experts\": 8, \"num_experts_per_tok\": 2, \"vocab_size\": 100{more}}}"
    )
}

#[test]
fn what_cannot_be_imported_says_why() {
    let dense = r#"{"model_type": "llama", "hidden_size": 64, "num_attention_heads": 4}"#;
    for (text, told) in [
        (dense.to_owned(), "describes a dense model"),
        ("{\"a\": 1}".to_owned(), "is JSON, but no model's config.json"),
        ("[1]".to_owned(), "holds no JSON object"),
        ("{".to_owned(), "is no JSON"),
        (small("qwen3_next", ""), "layers of linear attention, which are not simulated"),
        (small("jamba", ""), "Mamba layers"),
        (
            small("qwen3_moe", ", \"linear_num_value_heads\": 2"),
            "config.json:4: linear_num_value_heads",
        ),
        (
            small("qwen3_moed", ""),
            "the nearest is `qwen3_moe`: if its layers are the same, give --as",
        ),
        (small("novel", ", \"kv_lora_rank\": 8"), "the nearest is `deepseek_v3`"),
        (small("qwen3_moe", ", \"mlp_only_layers\": [2]"), "in no order that is simulated"),
        (small("qwen3_moe", ", \"head_dim\": \"x\""), "head_dim: found \"x\", not a whole number"),
        (small("qwen3_moe", ", \"moe_intermediate_size\": [1, 2]"), "differs from layer to layer"),
        (small("qwen3_moe", ", \"zero_expert_num\": 2"), "give --ffn-slots"),
        (small("qwen3_moe", ", \"use_cla\": true, \"cla_share_factor\": 2"), "that layers share"),
    ] {
        let found = import(&text).unwrap_err();
        assert!(found.contains(told), "{text}\n{found}");
    }
}

#[test]
fn every_key_is_read_or_listed() {
    let more = ", \"rope_theta\": 1e6, \"attention_bias\": true, \"index_topk\": 0, \"surprise\": 3, \
                \"sliding_window\": null";
    let imported = import(&small("qwen3_moe", more)).unwrap();
    let account = imported.account;
    assert_eq!(account.no_effect, ["index_topk", "rope_theta"]);
    assert_eq!(account.left_out.len(), 1);
    assert_eq!(account.unknown, ["surprise"]);
    assert!(imported.text.contains("# Not known, and ignored: surprise."), "{}", imported.text);
    assert!(imported.text.contains("(attention_bias)"), "{}", imported.text);
}

/// gpt-oss has biases of experts that no key names; other architectures say so.
#[test]
fn biases_of_experts_are_read() {
    let biases = |family: &str, more: &str| {
        let imported = import(&small(family, more)).unwrap();
        assert_eq!(imported.account.left_out, [], "{family} {more}");
        read("m", &imported.text).model.biases
    };
    assert!(biases("gpt_oss", ""));
    assert!(!biases("gpt_oss", ", \"mlp_bias\": false"));
    assert!(!biases("qwen3_moe", ", \"use_bias\": false"));
    let told = import(&small("qwen3_moe", ", \"mlp_bias\": \"yes\"")).unwrap_err();
    assert!(told.contains("mlp_bias: found") && told.contains("neither true nor false"), "{told}");
    for key in ["mlp_bias", "use_bias", "add_bias_linear"] {
        assert!(biases("qwen3_moe", &format!(", \"{key}\": true")), "{key}");
    }
}

/// gpt-oss's activation clamps, and that of others where `swiglu_limit` says so.
#[test]
fn clamped_activations_are_read() {
    let clamped = |family: &str, more: &str| {
        read("m", &import(&small(family, more)).unwrap().text).model.clamped_activation
    };
    assert!(clamped("gpt_oss", "") && clamped("qwen3_moe", ", \"swiglu_limit\": 7.0"));
    assert!(!clamped("gpt_oss", ", \"swiglu_limit\": 0") && !clamped("qwen3_moe", ""));
    let told = import(&small("gpt_oss", ", \"swiglu_limit\": \"seven\"")).unwrap_err();
    assert!(told.contains("swiglu_limit: found \"seven\", no number"), "{told}");
    let told = import(&small("gpt_oss", ", \"swiglu_limit\": -1")).unwrap_err();
    assert!(
        told.contains("swiglu_limit: found -1, below 0") && told.contains("0 for any"),
        "{told}"
    );
    // As the file's maker leaves a key out.
    assert!(clamped("gpt_oss", ", \"swiglu_limit\": null"));
    assert!(!clamped("qwen3_moe", ", \"swiglu_limit\": null"));
}

/// What each layer attends to is read to the last layer, whether or not the file has a window.
#[test]
fn kinds_of_layers_are_all_read() {
    let kinds = |list: &str| import(&small("qwen3_moe", &format!(",\n\"layer_types\": {list}")));
    let all = |kind: &str| format!("[{}]", vec![format!("\"{kind}\""); 4].join(","));
    for fine in [all("full_attention"), all("chunked_attention"), "null".to_owned()] {
        kinds(&fine).unwrap();
    }
    let linear = all("full_attention").replacen("full", "linear", 1);
    for (list, found, help) in [
        (linear.as_str(), "found \"linear_attention\" as entry 1, a kind of layer", "by hand"),
        ("[\"full_attention\"]", "found 1 entries for 4 layers", "for each layer"),
        ("\"full_attention\"", "found \"full_attention\", no list", "or leave it out"),
        ("[1, 2, 3, 4]", "found 1 as entry 1, which is no word", "sliding_attention"),
    ] {
        let told = kinds(list).unwrap_err();
        assert!(told.contains("config.json:5: layer_types: "), "{told}");
        assert!(told.contains(found) && told.contains(help), "{told}");
    }
}

#[test]
fn a_multimodal_model_gives_its_language_model() {
    let inner = small("qwen3_vl_moe_text", "");
    let text = format!(
        "{{\"model_type\": \"qwen3_vl_moe\", \"tie_word_embeddings\": true,\n\
         \"vision_config\": {{\"hidden_size\": 7}},\n\"text_config\": {inner}}}"
    );
    let imported = import(&text).unwrap();
    assert_eq!(imported.account.beside, ["model_type", "vision_config"]);
    let workload = read("m", &imported.text);
    assert_eq!(workload.model.hidden, 64);
    assert!(workload.model.tied);
    let wrong = text.replace("\"num_attention_heads\": 4", "\"num_attention_heads\": null");
    let told = import(&wrong).unwrap_err();
    assert!(told.contains("num_attention_heads: found null"), "{told}");
}

#[test]
fn sizes_that_families_say_differently_are_read() {
    let latent = ", \"kv_lora_rank\": 32, \"q_lora_rank\": null, \"qk_nope_head_dim\": 24, \
                  \"qk_rope_head_dim\": 8, \"v_head_dim\": 40, \"first_k_dense_replace\": 1, \
                  \"n_shared_experts\": 2, \"moe_intermediate_size\": 48, \"n_group\": 4, \
                  \"topk_group\": 2";
    let model = read("m", &import(&small("deepseek_v3", latent)).unwrap().text).model;
    assert_eq!((model.head_dim, model.value_dim, model.layers), (24, 40, 3));
    let expected = Attention::Latent { query_rank: None, key_value_rank: 32, rope_dim: 8 };
    assert_eq!(model.attention, expected);
    assert_eq!((model.dense.leading_layers, model.dense.shared), (1, 96));
    let between = ", \"interleave_moe_layer_step\": 2, \"intermediate_size_mlp\": 128";
    let model = read("m", &import(&small("llama4_text", between)).unwrap().text).model;
    assert_eq!((model.layers, model.dense.between, model.dense.leading_layers), (2, 1, 0));
    assert_eq!((model.dense.intermediate, model.dense.shared), (128, 96));
    assert_eq!(model.all_layers(), 4);
}

/// The example of EPLB's README (deepseek-ai/EPLB, MIT): two layers of 12 experts.
const EPLB: &str = "[[ 90, 132,  40,  61, 104, 165,  39,   4,  73,  56, 183,  86],
 [ 20, 107, 104,  64,  19, 197, 187, 157, 172,  86,  16,  27]]";

#[test]
fn counts_of_recorders_become_what_gate_fit_reads() {
    let folder = super::program::folder("recorders");
    let sglang = format!("{{\"logical_count\": {EPLB}}}");
    let steps = format!("{{\"logical_count\": [{EPLB}, {EPLB}]}}");
    let lines = EPLB.replace(['[', ']', ' '], "").replace(",\n", "\n");
    let mut tables = vec![];
    for (name, text) in [
        ("eplb.json", EPLB),
        ("sglang.json", &sglang),
        ("steps.json", &steps),
        ("lines.csv", &lines),
    ] {
        std::fs::write(folder.join(name), text).unwrap();
        let output = super::program::moesim(&folder, &["import", name, "--out", "counts.csv"]);
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        let told = String::from_utf8(output.stdout).unwrap();
        assert!(told.contains("2 layers of 12 experts"), "{told}");
        assert_eq!(told.contains("2 steps added up"), name == "steps.json", "{told}");
        tables.push(std::fs::read_to_string(folder.join("counts.csv")).unwrap());
        let output = super::program::moesim(&folder, &["gate", "fit", "counts.csv"]);
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        assert!(String::from_utf8_lossy(&output.stdout).contains("popularity_sd = "));
    }
    assert!(tables[0].contains("recorded,1,11,27\n"), "{}", tables[0]);
    assert_eq!(tables[0], tables[1]);
    assert_eq!(tables[0], tables[3]);
    assert!(tables[2].contains("recorded,1,11,54\n"), "{}", tables[2]);
}

#[test]
fn recordings_without_counts_say_what_they_hold() {
    for (text, told) in [
        (r#"{"physical_to_logical_map": [[0, 1]]}"#, "has no logical_count"),
        (r#"{"logical_count": 3}"#, "holds no counts by layer and expert"),
        ("[[1, 2], [3]]", "layer 1 has 1 experts, and layer 0 2"),
        ("[[1, 2], [0, 0]]", "layer 1 counts nothing"),
        ("[[1, 2.5]]", "holds no counts"),
        ("1,2\n3,x\n", "counts:2: is not a line of whole numbers"),
        ("[[[1, 2]], [[1, 2, 3]]]", "steps of different layers or experts"),
    ] {
        let found = config::import_counts("counts", text).unwrap_err().to_string();
        assert!(found.contains(told), "{text}: {found}");
    }
}

#[test]
fn the_list_fits_a_terminal_and_names_everything() {
    let folder = super::program::folder("list");
    let listed = String::from_utf8(super::program::moesim(&folder, &["list"]).stdout).unwrap();
    let wide: Vec<&str> = listed.lines().filter(|line| line.chars().count() > 80).collect();
    assert!(wide.is_empty(), "{wide:?}");
    for kind in [config::Kind::Topology, config::Kind::Workload, config::Kind::Profile] {
        for name in config::built_in_names(kind) {
            assert!(listed.split_whitespace().any(|word| word == name), "{name}");
        }
    }
}
