//! Training steps of a row: layout, schedule and counts from its cells, and what a step takes from two
//! short runs.
//!
//! A pipeline in its steady state takes equally long for every further round of micro-batches, so a step of `M`
//! micro-batches is predicted from two of fewer,
//!
//! ```text
//!   T(M) = T(a) + (M − a)·(T(b) − T(a)) / (b − a),   a = max(p, 2),  b = 2a              (1)
//! ```
//!
//! A host that launches kernels one by one bounds a layer from below. Steps of Mixtral-8x7B on 8 B300, four experts on each
//! GPU, PyTorch and TransformerEngine without graphs, take nearly as long for one sequence as for four: 240 ms for 32 layers
//! with a loop over experts and 449 ms with its grouped products [te2939], that is 7.5 and 14.0 ms a layer. The middle of the
//! two, a third of it forward; where graphs hold all but experts, the 3.49 of 6.17 ms that these take of a layer forward there:
//!
//! ```text
//!   H = √(7.5·14.0) / 3 = 3.4 ms forward, 2·H backward;   0.565·H = 1.9 ms                          (2)
//! ```
//!
//! with a factor of 1.4 either way. Launches alone would be less: some 270 of a layer of 16 local experts, both passes, at the
//! 13.5 us that a host takes for one product of PyTorch [te2053] are 3.6 ms. In a graph of the whole step there is none.
//!
//! What calibration leaves open moves each part of the time by its family's factor: the parts of the mean
//! blame stretch, the schedule does not change.

use toml::Table;

use super::question::What;
use super::row::Row;
use super::words::has_any;
use crate::base::streams::Streams;
use crate::config::Scenario;
use crate::execution::blame::Reason;
use crate::execution::cost::{Factors, Uncertainty};
use crate::execution::lowering::Drawn;
use crate::execution::outcome::Outcome;
use crate::kernels::Kernels;
use crate::network::ExchangeBasis;
use crate::studies::study::{self, WhatIf};
use crate::workload::Workload;

/// H of (2), and with all but experts in graphs.
const LAUNCH: &str = "3.4 ms";
const LAUNCH_OF_EXPERTS: &str = "1.9 ms";

/// What of a step runs as CUDA graphs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Graph {
    None,
    /// Attention, router and what comes before the dispatch.
    Parts,
    Step,
}

/// Layout and counts of a training step.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Step {
    /// All GPUs.
    pub gpus: u32,
    /// `[layout]` beside the expert group.
    pub layout: Table,
    /// `[training]`.
    pub training: Table,
    /// `[host]`, where its launches are known to take time.
    pub host: Option<Table>,
    pub micro_batches: u32,
    /// Tokens of the whole step on one GPU.
    pub tokens_per_gpu: f64,
    pub notes: Vec<String>,
    pub open: u32,
}

/// The step of a row.
///
/// # Errors
/// The reason why there is none.
pub(super) fn of(row: &Row, ranks: u32) -> Result<Step, String> {
    let count =
        |column: &str, cell: &String| row.count(column, cell).map(|n| n.unwrap_or(1).max(1));
    let [tp, pp, cp] = [count("tp", &row.tp)?, count("pp", &row.pp)?, count("cp", &row.cp)?];
    let gpus = row.needed("n_gpus", &row.n_gpus)?;
    if !gpus.is_multiple_of(pp * tp * cp) || !(gpus / pp).is_multiple_of(ranks) {
        return Err(format!(
            "{gpus} GPUs do not divide into tp {tp}, cp {cp}, pp {pp}, ep {ranks}"
        ));
    }
    let replicas = gpus / (pp * tp * cp);
    let (mbs, gbs) = (row.needed("mbs", &row.mbs)?, row.needed("gbs", &row.gbs)?);
    let seq = row.needed("seq", &row.seq)?;
    if !gbs.is_multiple_of(replicas * mbs) {
        return Err(format!("gbs {gbs} does not divide over {replicas} replicas of mbs {mbs}"));
    }
    let micro_batches = gbs / (replicas * mbs);
    let mut notes = Vec::new();
    let mut layout = Table::new();
    for (key, value) in
        [("pipeline_parallel", pp), ("tensor_parallel", tp), ("context_parallel", cp)]
    {
        layout.insert(key.into(), i64::from(value).into());
    }
    let training = training_table(row, (pp, micro_batches), &mut notes)?;
    let open = notes.len() as u32;
    let host = host_table(row, &mut notes)?;
    let tokens_per_gpu = f64::from(gbs) * f64::from(seq) / f64::from(gpus);
    Ok(Step { gpus, layout, training, host, micro_batches, tokens_per_gpu, notes, open })
}

/// `[training]` of a row.
fn training_table(
    row: &Row,
    (pp, micro_batches): (u32, u32),
    notes: &mut Vec<String>,
) -> Result<Table, String> {
    let mut training = Table::new();
    let chunks = row.count("vpp", &row.vpp)?.filter(|&chunks| chunks > 1 && pp > 1);
    if let Some(chunks) = chunks {
        if micro_batches.is_multiple_of(pp) {
            training.insert("chunks".into(), i64::from(chunks).into());
        } else {
            notes.push(format!(
                "{micro_batches} micro-batches do not interleave over {pp} stages: \
                                one chunk per stage"
            ));
        }
    }
    let paired = paired(row, notes) && micro_batches > 1;
    training.insert("paired".into(), paired.into());
    training.insert("recompute".into(), recompute(row, notes).into());
    training.insert("zero".into(), zero(row)?.into());
    if has_any(&row.gradients, &["bf16"]) {
        training.insert("gradients".into(), "bf16".into());
    }
    if has_any(&row.note, &["overlap features off"]) {
        training.insert("overlapped_gradients".into(), false.into());
    }
    Ok(training)
}

/// What of a step runs as CUDA graphs, by the recipe's or the row's words. Megatron-LM captures nothing unless told, nor do
/// the recipes of Megatron-Bridge's library (`cuda_graph_impl = "none"`), which others than its vendor start from; what a
/// release whose performance recipes are not known was told is not known.
fn graph_of(row: &Row) -> Result<Option<Graph>, String> {
    let said = format!("{} {}", row.overlap, row.note);
    Ok(match row.graph.trim() {
        "step" => Some(Graph::Step),
        "parts" => Some(Graph::Parts),
        "none" => Some(Graph::None),
        other if !other.is_empty() => {
            return Err(format!("graph is `{other}`: none, parts or step are known, or nothing"));
        }
        _ if has_any(&said, &["full cuda graph"]) => Some(Graph::Step),
        _ if has_any(
            &said,
            &["cuda graph attn", "partial cuda graph", "preprocess cuda graph"],
        ) =>
        {
            Some(Graph::Parts)
        }
        _ => {
            let tells = has_any(&row.source, &["nvidia-nemo/megatron-bridge"]);
            (has_any(&row.source, &["megatron"]) && !tells).then_some(Graph::None)
        }
    })
}

/// `[host]`: equation (2).
fn host_table(row: &Row, notes: &mut Vec<String>) -> Result<Option<Table>, String> {
    let (launched, time) = match graph_of(row)? {
        Some(Graph::None) => ("all kernels", LAUNCH),
        Some(Graph::Parts) => ("kernels of experts", LAUNCH_OF_EXPERTS),
        Some(Graph::Step) | None => return Ok(None),
    };
    notes.push(format!("the host launches {launched} of a layer one by one: {time} forward"));
    Ok(Some(Table::from_iter([("layer_launch".to_owned(), time.into())])))
}

/// Whether forward and backward passes run together, by the row's words.
fn paired(row: &Row, notes: &mut Vec<String>) -> bool {
    let text = format!("{} {}", row.overlap, row.dispatcher);
    if has_any(&text, &["a2a_overlap on", "1f1b", "ep overlap", "ep a2a overlap", "dualpipe"]) {
        return true;
    }
    if has_any(&text, &["see recipe"]) {
        notes.push("overlap of exchanges not stated: none assumed".to_owned());
    }
    false
}

fn recompute(row: &Row, notes: &mut Vec<String>) -> &'static str {
    let text = row.recompute.trim().to_lowercase();
    if text.is_empty() {
        notes.push("recomputation not stated: none assumed".to_owned());
    }
    if has_any(&text, &["mlp"]) {
        notes.push("recomputation of dense networks taken as selective".to_owned());
    }
    match text.as_str() {
        "" | "none" | "no" => "none",
        "full" => "full",
        _ if has_any(&text, &["mla_up_proj"]) => "up-projections",
        _ => "selective",
    }
}

fn zero(row: &Row) -> Result<i64, String> {
    let text = row.zero_stage.to_lowercase();
    if has_any(&text, &["fsdp", "zero-3", "zero3"]) {
        return Err("parameters divided among replicas (ZeRO-3, FSDP) are not modelled yet".into());
    }
    Ok(if has_any(&text, &["zero-2", "zero2"]) { 2 } else { 1 })
}

/// What a step takes, and the run that its parts are of.
///
/// # Errors
/// The reason why it cannot be run.
pub(super) fn run(
    scenario: &Scenario,
    workload: &Workload,
    seed: u64,
) -> Result<(f64, Outcome), String> {
    // What gates decide in a micro-batch does not depend on how many there are.
    let gates = Drawn::default();
    let run = |micro_batches: u32| {
        let mut fewer = workload.clone();
        fewer.batch.micro_batches = micro_batches;
        let asked = (&fewer, scenario.overheads, seed);
        let outcome = study::run_keeping(scenario, asked, &WhatIf::NOTHING, None, Some(&gates));
        outcome.map_err(|long| long.to_string())
    };
    let all = workload.batch.micro_batches;
    let a = workload.layout.pipeline_parallel.max(2);
    if all <= 2 * a {
        let outcome = run(all)?;
        return Ok((outcome.makespan.secs(), outcome));
    }
    let (short, long) = (run(a)?, run(2 * a)?);
    let [at_a, at_b] = [&short, &long].map(|outcome| outcome.makespan.secs());
    let time = at_a + f64::from(all - a) * (at_b - at_a) / f64::from(a);
    Ok((time, long))
}

/// The time of a step under each of these seeds' draws of what calibration leaves open.
pub(super) fn drawn(
    scenario: &Scenario,
    workload: &Workload,
    (time, outcome): (f64, &Outcome),
    seeds: std::ops::Range<u64>,
) -> Result<Vec<f64>, String> {
    let kernels = Kernels::new(&scenario.profile, scenario.topology.gpu().device());
    let open = Uncertainty::of(&kernels, workload);
    let carrier = scenario.carrier(workload).map_err(|unavailable| unavailable.found)?;
    let whole: f64 = Reason::ALL.map(|reason| outcome.mean_blame_ms(reason)).iter().sum();
    let of = |seed: u64| {
        let streams = Streams::new(seed);
        let factors = open.draw(streams);
        let legs = carrier.phases.each_ref().map(|leg| leg_factor(leg, streams));
        let longer: f64 = Reason::ALL
            .into_iter()
            .map(|reason| outcome.mean_blame_ms(reason) * (factor_of(reason, &factors, legs) - 1.0))
            .sum();
        time * (1.0 + longer / whole)
    };
    Ok(seeds.map(of).collect())
}

fn leg_factor(leg: &ExchangeBasis, streams: Streams) -> f64 {
    let mut rng = streams.named(&format!("calibration/{}", leg.family));
    leg.errors.as_ref().map_or(1.0, |law| law.draw(&mut rng))
}

fn factor_of(reason: Reason, factors: &Factors, [dispatch, combine]: [f64; 2]) -> f64 {
    match reason {
        Reason::Dense | Reason::DenseBackward | Reason::Gate | Reason::SharedExperts => {
            factors.gemm
        }
        Reason::FfnGemm | Reason::FfnBackward | Reason::FfnWeightGradients => factors.experts,
        Reason::Dispatch => dispatch,
        Reason::Combine => combine,
        Reason::BackwardExchange => f64::midpoint(dispatch, combine),
        Reason::TensorParallel => factors.within_node,
        Reason::Gradients => factors.across_nodes,
        _ if reason.is_bound_by_memory() => factors.memory,
        _ => 1.0,
    }
}

/// Seconds of a layer's backward pass: all that is blamed on it.
pub(super) fn backward(outcome: &Outcome) -> f64 {
    let of_backward = [
        Reason::DenseBackward,
        Reason::RoutingBackward,
        Reason::FfnBackward,
        Reason::FfnWeightGradients,
        Reason::LocalBackward,
        Reason::BackwardWait,
        Reason::BackwardExchange,
    ];
    of_backward.iter().map(|&reason| outcome.mean_blame_ms(reason) / 1e3).sum()
}

/// What is counted for a question about training.
pub(super) const fn counted(what: What) -> Option<&'static str> {
    match what {
        What::Training => Some("training-step"),
        What::LayerBackward | What::LayerBoth => Some("layer-training"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_launch_kernels_unless_a_recipe_or_the_vendor_may_say_otherwise() {
        let of = |source: &str, graph: &str| {
            graph_of(&Row { source: source.into(), graph: graph.into(), ..Row::default() })
        };
        let vendor = "NVIDIA-NeMo/Megatron-Bridge docs/performance-summary.md";
        assert_eq!(of(vendor, ""), Ok(None), "its recipe is not known");
        assert_eq!(of(vendor, "parts"), Ok(Some(Graph::Parts)));
        assert!(of(vendor, "most").is_err());
        let others = "awslabs/awsome-distributed-ai 3.test_cases/megatron/megatron-bridge";
        assert_eq!(of(others, ""), Ok(Some(Graph::None)), "the library's recipe captures nothing");
        assert_eq!(of("NVIDIA/Megatron-LM", ""), Ok(Some(Graph::None)));
        assert_eq!(of("MooreThreads/SimuMax", ""), Ok(None));
    }
}
