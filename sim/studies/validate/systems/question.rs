//! What a row measured, and how seconds become its unit.
//!
//! ```text
//! time          t                                                                     (1)
//! tokens/s/GPU  T / t,   /node times GPUs per node, of all times GPUs                 (2)
//! TFLOP/s       6·T·K·D·H / t for a layer of SwiGLU experts, multiply and add apart   (3)
//! tokens/s/user  those that a decode step yields for a sequence / t
//! GB/s          copies of tokens · bytes of a token / t                               (4)
//! ```
//!
//! with `T` tokens per GPU, `K` picks, hidden size `D` and intermediate size `H`. The copies of (4)
//! are those that DeepEP's own benchmark counts [deepep]: to each GPU within a node and to each node
//! between nodes, the sender's own included; to each pick for kernels of low latency.

use super::row::Row;
use super::words::has_any;

/// What of a run answers the row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// One MoE layer, gate to mix.
    Layer,
    /// Tokens on their way to their experts.
    Dispatch,
    /// Results on their way back.
    Combine,
    /// One of the two grouped products of a layer, the mean of both.
    GroupedProduct,
    /// A forward pass of the whole model over prompts.
    Prefill,
    /// A decode step of the whole model.
    Decode,
    /// One MoE layer backward, weight gradients included.
    LayerBackward,
    /// One MoE layer forward and backward.
    LayerBoth,
    /// A training step of the whole model.
    Training,
}

impl What {
    /// Whether all layers are run, with what is beside the experts.
    pub(super) const fn is_whole_model(self) -> bool {
        matches!(self, Self::Prefill | Self::Decode | Self::Training)
    }
}

/// The unit of a row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Unit {
    /// Of time, in seconds.
    Time(f64),
    /// Tokens per second of one GPU.
    TokensPerGpu,
    /// Tokens per second of one node.
    TokensPerNode,
    /// Tokens per second of all GPUs.
    Tokens,
    /// Tokens per second of one sequence.
    TokensPerUser,
    /// 10¹² operations per second of one GPU.
    Teraflops,
    /// 10⁹ bytes per second of one GPU.
    Gigabytes,
}

/// A row's question.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Question {
    pub what: What,
    pub unit: Unit,
}

/// What a run does not model yet, in the words of reports.
const PAIR: &str = "one forward and one backward chunk together: see docs/systems.md";
const BACKWARD_KERNEL: &str = "a backward kernel by itself is not reported";
const SERVING: &str = "serving loops are not modelled yet (prefill and decode in one engine)";
const RATIO: &str = "a ratio whose set-up is not stated";
const OVERLAPPED: &str =
    "an exchange measured under computation: a run reports what nothing hides of it";
const TENSOR: &str = "a layer under tensor parallelism does not say how its experts are cut";
const CONTEXT: &str = "context parallelism of one layer is not modelled yet";

/// What a row asks.
///
/// # Errors
/// The reason why no run answers it.
pub(super) fn of(row: &Row) -> Result<Question, String> {
    let refuse = |reason: &str| Err(reason.to_owned());
    row.measured()?;
    let phase = row.phase.to_lowercase();
    if has_any(&phase, &["chunk pair"]) {
        return refuse(PAIR);
    }
    let trains = row.family == "train_step" || has_any(&phase, &["training iteration"]);
    if has_any(&row.quantity, &["memory", "allocated"]) {
        return refuse("peak memory of training is not modelled yet");
    }
    let unit = unit_of(&row.unit)?;
    if trains {
        fits(What::Training, unit, &row.unit)?;
        return Ok(Question { what: What::Training, unit });
    }
    let cut = row.count("tp", &row.tp)?.is_some_and(|tp| tp > 1);
    if cut && row.family != "serving" {
        return refuse(TENSOR);
    }
    if row.count("cp", &row.cp)?.is_some_and(|cp| cp > 1) {
        return refuse(CONTEXT);
    }
    let what = match row.family.as_str() {
        "comm" => exchange(row)?,
        "kernel" => kernel(row)?,
        "layer" | "zero_expert" if has_any(&phase, &["backward", "bwd"]) => {
            if has_any(&phase, &["forward", "fwd"]) { What::LayerBoth } else { What::LayerBackward }
        }
        "layer" | "zero_expert" if has_any(&phase, &["forward", "fwd", "prefill", "decode"]) => {
            What::Layer
        }
        "serving" => serving(row)?,
        "layer" => return Err(format!("phase `{}` is not understood", row.phase)),
        other => return Err(format!("the family `{other}` is not understood")),
    };
    fits(what, unit, &row.unit)?;
    Ok(Question { what, unit })
}

fn unit_of(text: &str) -> Result<Unit, String> {
    match text.trim() {
        "s" => Ok(Unit::Time(1.0)),
        "ms" => Ok(Unit::Time(1e-3)),
        "us" | "µs" => Ok(Unit::Time(1e-6)),
        "tokens/s/GPU" => Ok(Unit::TokensPerGpu),
        "tokens/s/node" => Ok(Unit::TokensPerNode),
        "tokens/s" => Ok(Unit::Tokens),
        "tokens/s/user" => Ok(Unit::TokensPerUser),
        "TFLOP/s" | "TFLOP/s/GPU" => Ok(Unit::Teraflops),
        "GB/s" | "GB/s/GPU" => Ok(Unit::Gigabytes),
        "x" | "%" | "ratio" => Err(RATIO.to_owned()),
        other => Err(format!("the unit `{other}` is not understood")),
    }
}

/// Whether a quantity has this unit.
fn fits(what: What, unit: Unit, text: &str) -> Result<(), String> {
    let good = match unit {
        Unit::Time(_) => true,
        Unit::TokensPerGpu | Unit::TokensPerNode | Unit::Tokens => {
            matches!(what, What::Layer | What::Prefill | What::Decode | What::Training)
        }
        Unit::TokensPerUser => what == What::Decode,
        Unit::Teraflops => {
            matches!(what, What::Layer | What::GroupedProduct | What::Training)
        }
        Unit::Gigabytes => matches!(what, What::Dispatch | What::Combine),
    };
    if good { Ok(()) } else { Err(format!("the unit `{text}` does not fit the quantity")) }
}

fn exchange(row: &Row) -> Result<What, String> {
    let text = format!("{} {}", row.quantity, row.phase);
    if has_any(&text, &["notify", "wait"]) {
        return Err("a kernel that waits for peers".to_owned());
    }
    if !matches!(row.overlap.trim(), "" | "none" | "no" | "off") {
        return Err(OVERLAPPED.to_owned());
    }
    match (has_any(&text, &["dispatch"]), has_any(&text, &["combine"])) {
        (true, false) => Ok(What::Dispatch),
        (false, true) => Ok(What::Combine),
        _ => Err(format!("`{}` is neither a dispatch nor a combine", row.quantity)),
    }
}

fn kernel(row: &Row) -> Result<What, String> {
    let text = &row.quantity;
    if has_any(text, &["grouped gemm", "grouped_gemm", "expert gemm", "group gemm"]) {
        return Ok(What::GroupedProduct);
    }
    if has_any(text, &["backward", "bwd"]) {
        return Err(BACKWARD_KERNEL.to_owned());
    }
    let apart = "a run does not report this kernel apart from the others of its part of a layer";
    Err(apart.to_owned())
}

fn serving(row: &Row) -> Result<What, String> {
    let [prefill, decode] = ["prefill", "decode"].map(|word| has_any(&row.phase, &[word]));
    match (prefill, decode) {
        (true, false) => Ok(What::Prefill),
        (false, true) => Ok(What::Decode),
        (true, true) => Err(SERVING.to_owned()),
        (false, false) => Err(format!("phase `{}` is not understood", row.phase)),
    }
}

impl Unit {
    /// Seconds in this unit, or as a rate.
    pub(super) fn of_seconds(self, seconds: f64, per: &Per) -> f64 {
        match self {
            Self::Time(scale) => seconds / scale,
            Self::TokensPerGpu => per.tokens / seconds,
            Self::TokensPerNode => per.tokens * per.gpus_per_node / seconds,
            Self::Tokens => per.tokens * per.gpus / seconds,
            Self::TokensPerUser => per.of_sequence / seconds,
            Self::Teraflops => per.operations / seconds / 1e12,
            Self::Gigabytes => per.bytes / seconds / 1e9,
        }
    }
}

/// What one GPU does in the time that is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Per {
    /// Tokens that it yields.
    pub tokens: f64,
    /// Tokens that it yields for each sequence of a decode step.
    pub of_sequence: f64,
    /// Operations of (3).
    pub operations: f64,
    /// Bytes of (4).
    pub bytes: f64,
    /// GPUs of a node.
    pub gpus_per_node: f64,
    /// GPUs of the row.
    pub gpus: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(family: &str, phase: &str, quantity: &str, unit: &str) -> Result<Question, String> {
        let [family, phase, quantity, unit] = [family, phase, quantity, unit].map(str::to_owned);
        of(&Row { family, phase, quantity, unit, value: "1".to_owned(), ..Row::default() })
    }

    #[test]
    fn rows_ask_for_parts_of_a_run() {
        let what =
            |family, phase, quantity, unit| asked(family, phase, quantity, unit).map(|q| q.what);
        assert_eq!(what("layer", "forward", "MoE layer time", "ms"), Ok(What::Layer));
        assert_eq!(what("comm", "prefill", "dispatch bandwidth", "GB/s"), Ok(What::Dispatch));
        assert_eq!(what("serving", "prefill", "throughput", "tokens/s/node"), Ok(What::Prefill));
        assert_eq!(what("layer", "backward", "MoE layer time", "ms"), Ok(What::LayerBackward));
        assert_eq!(what("layer", "fwd+bwd", "MoE layer time", "ms"), Ok(What::LayerBoth));
        assert_eq!(what("serving", "decode", "throughput", "tokens/s/GPU"), Ok(What::Decode));
        assert_eq!(what("train_step", "training iteration", "time", "s"), Ok(What::Training));
        assert!(what("layer", "forward", "MoE layer time", "GB/s").is_err());
        assert!(what("layer", "forward", "MoE layer time", "furlongs").is_err());
    }

    #[test]
    fn seconds_become_the_rows_unit() {
        let per = Per {
            tokens: 100.0,
            of_sequence: 2.0,
            operations: 4e12,
            bytes: 6e9,
            gpus_per_node: 8.0,
            gpus: 16.0,
        };
        let of = |unit: &str| unit_of(unit).unwrap().of_seconds(2.0, &per);
        assert_eq!(of("ms"), 2000.0);
        assert_eq!(of("tokens/s/GPU"), 50.0);
        assert_eq!(of("tokens/s/node"), 400.0);
        assert_eq!(of("tokens/s"), 800.0);
        assert_eq!(of("TFLOP/s"), 2.0);
        assert_eq!(of("GB/s"), 3.0);
    }
}
