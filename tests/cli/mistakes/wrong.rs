//! Wrong inputs, each with a name.

/// What to do to a sound file, and how it is then given to `moesim`.
pub(super) enum Wrong {
    /// Replace one text by another in a shipped file and check it.
    Edit(&'static str, &'static str, &'static str),
    /// Check a file of these bytes.
    Bytes(&'static [u8]),
    /// Check a file of this size, all zeros.
    Size(u64),
    /// Run moesim with these arguments.
    Args(&'static [&'static str]),
    /// Run a scenario that differs from the paper's in one text.
    Scenario(&'static str, &'static str),
    /// Give a shipped file, as `wrong.toml`, to a command.
    Given(&'static str, &'static [&'static str]),
    /// Give a file of this text, as `wrong.toml`, to a command.
    Text(&'static str, &'static [&'static str]),
}
use Wrong::{Args, Bytes, Edit, Given, Scenario, Size, Text};

const WORKLOAD: &str = "workloads/moe-1b.toml";
const MOEPP: &str = "workloads/moepp-1b.toml";
const WINDOWED: &str = "workloads/gpt-oss-120b.toml";
const TOPOLOGY: &str = "topologies/a100-4x8.toml";
const OVERHEADS: &str = "calibrate/overheads/moepp-loop.toml";
const PROFILE: &str = "calibrate/profiles/a100-sxm.toml";

const PLAN: &str = "notebooks/plans/skew.toml";
const SCENARIO: &str = "scenarios/paper.toml";

const MODEL: &[u8] = br#"
schema = 1
name = "model"
[model]
name = "tiny"
layers = 4
[experts]
ffn = 8
top_k = 2
execution = "grouped"
"#;

const GRAPH: &[u8] = br#"
schema = 1
name = "graph"
source = "made up"
[gpu]
name = "round"
peak_bf16 = "100 TFLOP/s"
memory_bandwidth = "1000 GB/s"
memory = "80 GB"
sms = 100
[graph]
gpus = 3
gpus_per_node = 1
switches = ["s"]
links = [
  { from = "gpu0", to = "s", class = "nic", bandwidth = "50 GB/s", latency = "1 us" },
  { from = "gpu1", to = "s", class = "nic", bandwidth = "50 GB/s", latency = "1 us" },
]
"#;

pub(super) const CASES: &[(&str, Wrong)] = &[
    ("an unknown key", Edit(WORKLOAD, "layers       =", "leyers       =")),
    ("a bandwidth without a unit", Edit(TOPOLOGY, "\"300 GB/s\"", "300")),
    ("a bandwidth in the unit of a size", Edit(TOPOLOGY, "\"300 GB/s\"", "\"300 GB\"")),
    ("no bandwidth at all", Edit(TOPOLOGY, "\"300 GB/s\"", "\"0 GB/s\"")),
    ("an infinite bandwidth", Edit(TOPOLOGY, "\"300 GB/s\"", "\"inf GB/s\"")),
    ("a negative bandwidth", Edit(TOPOLOGY, "\"300 GB/s\"", "\"-300 GB/s\"")),
    ("a latency in words", Edit(TOPOLOGY, "\"500 ns\"", "\"half a microsecond\"")),
    ("a negative count", Edit(WORKLOAD, "layers       = 12", "layers       = -12")),
    ("no layers", Edit(WORKLOAD, "layers       = 12", "layers       = 0")),
    (
        "a number beyond all bounds",
        Edit(WORKLOAD, "layers       = 12", "layers       = 99999999999"),
    ),
    (
        "a number that is not an integer",
        Edit(WORKLOAD, "layers       = 12", "layers = 99999999999999999999"),
    ),
    ("text for a number", Edit(WORKLOAD, "layers       = 12", "layers       = \"twelve\"")),
    (
        "experts that cannot be spread evenly",
        Edit(WORKLOAD, "expert_parallel   = 8", "expert_parallel   = 3"),
    ),
    (
        "layers that cannot be cut into stages",
        Edit(WORKLOAD, "pipeline_parallel = 1", "pipeline_parallel = 5"),
    ),
    ("more choices than experts", Edit(WORKLOAD, "top_k     = 2", "top_k     = 17")),
    ("a vanilla model with τ", Edit(WORKLOAD, "top_k     = 2", "top_k     = 2\ntau = 0.5")),
    ("an MoE++ model without τ or shares", Edit(MOEPP, "tau       = 0.75", "# tau")),
    ("τ of zero", Edit(MOEPP, "tau       = 0.75", "tau       = 0")),
    ("τ below zero", Edit(MOEPP, "tau       = 0.75", "tau       = -1")),
    ("τ that is not a number", Edit(MOEPP, "tau       = 0.75", "tau       = nan")),
    ("τ without end", Edit(MOEPP, "tau       = 0.75", "tau       = inf")),
    ("a capacity factor of zero", Edit(MOEPP, "factor = 1.1", "factor = 0")),
    ("a word that is not a choice", Edit(WORKLOAD, "\"sequential\"", "\"parallel\"")),
    ("a missing key", Edit(WORKLOAD, "hidden       =", "# ")),
    ("a window of no tokens", Edit(WINDOWED, "sliding_window         = 128", "sliding_window = 0")),
    ("a window that no layer has", Edit(WINDOWED, "pattern = 2", "pattern = 1")),
    ("a pattern of windows without one", Edit(WINDOWED, "sliding_window         = 128", "# ")),
    (
        "a window beside a shortcut",
        Edit("workloads/longcat-flash.toml", "[dense]", "sliding_window = 128\n[dense]"),
    ),
    ("a missing table", Edit(WORKLOAD, "[layout]", "[layouts]")),
    ("a key given twice", Edit(WORKLOAD, "layers       = 12", "layers = 12\nlayers = 12")),
    ("a text that does not end", Edit(WORKLOAD, "dtype           = \"bf16\"", "dtype = \"bf16")),
    ("another schema", Edit(WORKLOAD, "schema = 1", "schema = 2")),
    ("more GPUs than can be modelled", Edit(TOPOLOGY, "count         = 4", "count = 1000000000")),
    ("no nodes", Edit(TOPOLOGY, "count         = 4", "count = 0")),
    ("a GPU that nothing reaches", Bytes(GRAPH)),
    ("a factor below one", Edit(OVERHEADS, "traffic_factor = ", "traffic_factor = -")),
    (
        "a profile whose table is gone",
        Edit(PROFILE, "table = \"a100-sxm.parquet\"", "table = \"gone.parquet\""),
    ),
    ("an empty file", Bytes(b"")),
    ("a file that is not text", Bytes(b"schema = 1\nname = \"\xff\xfe\"\n")),
    ("a file of a hundred megabytes", Size(100_000_000)),
    ("a file that is not there", Args(&["check", "nowhere.toml"])),
    ("a folder", Args(&["check", "."])),
    ("a scenario that is not there", Args(&["run", "nowhere.toml"])),
    ("a topology that is not there", Scenario("\"a100-4x8\"", "\"b100-4x8\"")),
    ("seeds that are not a range", Scenario("\"0..3\"", "\"3\"")),
    ("seeds that run backwards", Scenario("\"0..3\"", "\"3..0\"")),
    ("more seeds than anyone can wait for", Scenario("\"0..3\"", "\"0..1000000000\"")),
    ("no τ to compare", Scenario("[0.1, 0.25, 0.5, 0.75, 1.0]", "[]")),
    ("a negative τ in a list", Scenario("[0.1, 0.25, 0.5, 0.75, 1.0]", "[0.1, -0.25]")),
    ("vanilla and MoE++ the wrong way round", Scenario("\"moe-1b\"", "\"moepp-1b\"")),
    ("vanilla for MoE++", Scenario("\"moepp-1b\"", "\"moe-1b\"")),
    ("something unknown to count", Scenario("\"experts\"", "\"attention\"")),
    (
        "a training step of what does not train",
        Args(&["run", "paper", "--set", "counted=training-step"]),
    ),
    (
        "more chunks than layers",
        Args(&[
            "run",
            "paper",
            "--set",
            "counted=training-step",
            "--set",
            "workload.training.chunks=64",
        ]),
    ),
    (
        "heads that products are not shared by",
        Args(&[
            "run",
            "paper",
            "--set",
            "counted=training-step",
            "--set",
            "workload.training.zero=1",
            "--set",
            "workload.layout.tensor_parallel=5",
        ]),
    ),
    (
        "experts that do not cut evenly",
        Args(&["run", "paper", "--set", "workload.layout.expert_tensor_parallel=3"]),
    ),
    (
        "two directions through one stage",
        Args(&[
            "run",
            "paper",
            "--set",
            "counted=training-step",
            "--set",
            "workload.training.schedule=dualpipe",
        ]),
    ),
    (
        "a stage of ZeRO that is not modelled",
        Args(&[
            "run",
            "paper",
            "--set",
            "counted=training-step",
            "--set",
            "workload.training.zero=4",
        ]),
    ),
    ("an override without a value", Args(&["run", "paper", "--set", "seeds"])),
    ("an override of an unknown key", Args(&["run", "paper", "--set", "speed=3"])),
    (
        "an override of the wrong type",
        Args(&["run", "paper", "--set", "workload.batch.tokens_per_gpu=many"]),
    ),
    (
        "an override that breaks the layout",
        Args(&["run", "paper", "--set", "topology.nodes.count=3"]),
    ),
    (
        "an override of a topology without a unit",
        Args(&["run", "paper", "--set", "topology.nodes.nic.bandwidth=25"]),
    ),
    (
        "a run longer than the clock",
        Args(&[
            "run",
            "paper",
            "--set",
            "overheads.layer=24 h",
            "--set",
            "seeds=0..1",
            "--set",
            "tau=[0.75]",
        ]),
    ),
    ("a key of another table", Edit(WORKLOAD, "layers       = 12", "micro_batches = 12")),
    ("many keys missing", Edit(WORKLOAD, "layers       = 12\nhidden       = 768\n", "")),
    ("tables missing", Bytes(MODEL)),
    ("an unknown key within a table of two words", Edit(TOPOLOGY, "per_node  = 8", "pernode = 8")),
    ("a table missing from a scenario", Scenario("[[compare]]", "[[compared]]")),
    (
        "a fabric named twice",
        Edit(
            TOPOLOGY,
            "[fabric.rail-optimized]\n",
            "[fabric.clos]\nnodes_per_leaf = 4\n[fabric.rail-optimized]\n",
        ),
    ),
    (
        "a fabric that is none",
        Edit("topologies/torus-16x16.toml", "[fabric.torus]", "[fabric.tores]"),
    ),
    ("a table of a fabric alone", Edit(TOPOLOGY, "[fabric.rail-optimized]", "[fabrik.clos]")),
    ("a text without quotes", Edit(WORKLOAD, "\"sequential\"", "sequential")),
    ("a quantity without quotes", Edit(TOPOLOGY, "\"300 GB/s\"", "300 GB/s")),
    ("a table that is not closed", Edit(WORKLOAD, "[model]", "[model")),
    ("a line without an equals sign", Edit(WORKLOAD, "layers       = 12", "layers 12")),
    ("a colon for an equals sign", Edit(WORKLOAD, "layers       = 12", "layers: 12")),
    ("a number without a digit", Edit(MOEPP, "factor = 1.1", "factor = .5")),
    ("a list that is not closed", Scenario("[0.1, 0.25, 0.5, 0.75, 1.0]", "[0.1, 0.25")),
    ("a word for true", Edit(WORKLOAD, "residual = false", "residual = False")),
    ("a unit in the wrong case", Edit(TOPOLOGY, "\"300 GB/s\"", "\"300 gbps\"")),
    ("a ratio of nothing", Edit(TOPOLOGY, "oversubscription = 1", "oversubscription = \"0:1\"")),
    ("a topology given to run", Given(TOPOLOGY, &["run", "wrong.toml"])),
    ("a workload given to sweep", Given(WORKLOAD, &["sweep", "wrong.toml"])),
    ("a plan given to run", Given(PLAN, &["run", "wrong.toml"])),
    ("a scenario given to compare", Given(SCENARIO, &["compare", "wrong.toml"])),
    ("overheads given to topology", Given(OVERHEADS, &["topology", "wrong.toml"])),
    ("a workload given to flows", Given(WORKLOAD, &["flows", "wrong.toml"])),
    ("a scenario given to plot", Given(SCENARIO, &["plot", "wrong.toml", "--out", "x.svg"])),
    ("a scenario given to reproduce", Given(SCENARIO, &["reproduce", "wrong.toml"])),
    (
        "a log of nccl-tests given to run",
        Given("tests/data/cases/09-nccl-tests.log", &["run", "wrong.toml"]),
    ),
    (
        "a list that is not closed, on the command line",
        Args(&["run", "paper", "--set", "tau=[0.5"]),
    ),
    ("a topology given to gate fit", Given(TOPOLOGY, &["gate", "fit", "wrong.toml", "--out", "x"])),
    (
        "a workload given as a curve of quality",
        Given(WORKLOAD, &["plan", "a100-4x8", "--layer-ms", "2", "--quality", "wrong.toml"]),
    ),
    (
        "a curve of quality without its column",
        Text(
            "tau,qualty\n0.5,40\n",
            &["plan", "a100-4x8", "--layer-ms", "2", "--quality", "wrong.toml"],
        ),
    ),
    (
        "a cell that is no number",
        Text(
            "tau,quality\n0.5,good\n",
            &["plan", "a100-4x8", "--layer-ms", "2", "--quality", "wrong.toml"],
        ),
    ),
    ("a workload given to validate", Given(WORKLOAD, &["validate", "wrong.toml"])),
    (
        "a vanilla model of another shape than the MoE++ one",
        Args(&["compare", "h100-4x8-rail", "--vanilla", "gpt-oss-20b", "--moepp", "moepp-1b"]),
    ),
    (
        "more SMs for exchanges than the GPU has",
        Args(&[
            "run",
            "paper",
            "--set",
            "counted=moe-layer",
            "--set",
            "workload.exchange.library=deepep-normal",
            "--set",
            "workload.exchange.sms=1000",
        ]),
    ),
    ("a workload with a letter too many", Args(&["compare", "a100-4x8", "--vanilla", "moe-1bb"])),
    ("a workload that a scenario has not", Args(&["explain", "paper", "--workload", "moepp-1"])),
    (
        "a CSV table given to run",
        Text("source,destination,bytes,start_s\n0,1,100,0\n", &["run", "wrong.toml"]),
    ),
    ("a table of Parquet given to check", Bytes(b"PAR1\xff\xfe\xff")),
    ("a built-in topology given to run", Args(&["run", "a100-4x8"])),
    ("a built-in workload given to compare", Args(&["compare", "moe-1b"])),
    ("a scenario with a letter missing", Args(&["run", "papr"])),
    ("a cluster with a letter too many", Args(&["topology", "h100-4x8-rails"])),
    ("a part of a name", Args(&["show", "deepseek"])),
    ("a name like no other", Args(&["show", "nothing"])),
    (
        "an override for a kind of file that is none",
        Args(&["run", "paper", "--set", "worklod.batch.tokens_per_gpu=64"]),
    ),
    (
        "an override that does not say for which file",
        Args(&["run", "paper", "--set", "batch.tokens_per_gpu=64"]),
    ),
    ("an override with a letter missing", Args(&["run", "paper", "--set", "seed=0..2"])),
    (
        "an override of a workload with letters swapped",
        Args(&["run", "paper", "--set", "workload.batch.tokens_per_gup=64"]),
    ),
    ("a number for a list", Args(&["run", "paper", "--set", "tau=0.5"])),
    ("a number for a list that may not hold it", Args(&["run", "paper", "--set", "tau=0"])),
    ("a choice with a letter missing", Args(&["run", "paper", "--set", "counted=expert"])),
    (
        "a column that is none",
        Text(
            "schema = 1\nname = \"x\"\nscenario = \"paper\"\n[vary]\nnetwork = [\"auto\"]\n\
             [plot.gain]\nx = \"network\"\ny = \"throughput_increase\"\n",
            &["sweep", "wrong.toml"],
        ),
    ),
    (
        "a value that does not fit its key",
        Text(
            "schema = 1\nname = \"x\"\nscenario = \"paper\"\n[vary]\ncounted = [\"expert\"]\n",
            &["sweep", "wrong.toml"],
        ),
    ),
    (
        "a line of flows that is none",
        Text("source,destination,bytes,start_s\n0,1,-5,0\n", &["flows", "wrong.toml"]),
    ),
    ("a cluster that is none", Args(&["compare", "nowhere"])),
    ("a profile of a cluster that is none", Args(&["compare", "a100-4x8=nobody"])),
    ("a workload that is none, by its flag", Args(&["compare", "a100-4x8", "--vanilla", "nobody"])),
    ("vanilla as MoE++, by its flag", Args(&["compare", "a100-4x8", "--moepp", "moe-1b"])),
    ("overheads that are none, by --set", Args(&["explain", "paper", "--set", "overheads=what"])),
    ("overheads that are none, by a flag", Args(&["compare", "a100-4x8", "--overheads", "what"])),
    ("a cluster compared with itself", Args(&["compare", "a100-4x8", "a100-4x8"])),
    ("a cluster planned with twice", Args(&["plan", "a100-4x8", "a100-4x8", "--layer-ms", "2"])),
    ("a data sheet given to check", Given("tests/data/cases/12-h20-sheet.toml", CHECK)),
    ("a config.json with half a layer", Text(HALF_A_LAYER, IMPORT)),
    ("a config.json with a null", Text(NULL_LAYERS, IMPORT)),
    ("a config.json whose tokens choose too many", Text(TOO_MANY_CHOSEN, IMPORT)),
    ("a folder given to import", Args(&["import", "."])),
    ("a built-in name given to sweep", Args(&["sweep", "paper"])),
    ("a plan that varies nothing", Text(NOTHING_VARIES, SWEEP)),
    ("a plan with a value twice", Text(TWICE, SWEEP)),
    ("flows without a flow", Text("source,destination,bytes,start_s\n", &["flows", "wrong.toml"])),
    ("seeds that are one number", Args(&["run", "paper", "--set", "seeds=0"])),
    ("an override without a key", Args(&["run", "paper", "--set", "=1"])),
    ("a schema of a later moesim", Scenario("schema    = 1", "schema    = 9")),
    (
        "a layout of which 72 GPUs hold no replica",
        Args(&[
            "compare",
            "gb200-nvl72",
            "--set",
            "workload.layout.expert_parallel=16",
            "--set",
            "workload.layout.pipeline_parallel=6",
        ]),
    ),
    ("a result without rows", Text("{\"results\": []}", &["plot", "wrong.toml"])),
    ("a result with a number that none holds", Text(ABSURD, &["plot", "wrong.toml"])),
    ("a result with a text for a number", Text(TEXT_FOR_NUMBER, &["plot", "wrong.toml"])),
    ("a negative precision", Args(&["run", "paper", "--precision", "-1%"])),
];

const CHECK: &[&str] = &["check", "wrong.toml"];
const IMPORT: &[&str] = &["import", "wrong.toml"];
const SWEEP: &[&str] = &["sweep", "wrong.toml"];
const HALF_A_LAYER: &str = "{\"model_type\": \"mixtral\", \"hidden_size\": 64, \"num_local_experts\": 8,\n\
                            \"num_hidden_layers\": 8.5}\n";
const NULL_LAYERS: &str = "{\"model_type\": \"mixtral\", \"hidden_size\": 64, \"num_local_experts\": 8,\n\
                           \"num_hidden_layers\": null}\n";
const TOO_MANY_CHOSEN: &str = "{\"model_type\": \"mixtral\", \"hidden_size\": 64, \"num_local_experts\": 8,\n\
    \"num_experts_per_tok\": 9, \"num_hidden_layers\": 2, \"intermediate_size\": 64,\n\
    \"num_attention_heads\": 4, \"num_key_value_heads\": 4, \"vocab_size\": 100}\n";
const NOTHING_VARIES: &str = "schema = 1\nname = \"p\"\nscenario = \"paper\"\n[vary]\n";
const TWICE: &str = "schema = 1\nname = \"p\"\nscenario = \"paper\"\n[vary]\ntau = [0.5, 0.5]\n";
const ABSURD: &str = "{\"clusters\": [\n{\"cluster\": \"a\", \"usd\": 1e300}]}\n";
const TEXT_FOR_NUMBER: &str = "{\"workload\": \"a\",\n\"tau\": \"small\",\n\"clusters\": []}\n";
