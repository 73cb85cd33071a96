//! From a row to a scenario that can be printed, written to a folder and run.

use std::collections::BTreeMap;

use rand::RngExt;
use toml::{Table, Value};

use super::drafts;
use super::hardware;
use super::model::{self, Model, Shape};
use super::question::{self, Per, Question, What};
use super::recipe;
use super::row::Row;
use super::stack::{self, Library, Stack};
use super::training::{self, Step};
use crate::base::order::descending;
use crate::base::streams::Streams;
use crate::config::{Diagnostic, Overrides, Scenario, ScenarioSource};

/// Names of the files of a scenario.
const SCENARIO: &str = "scenario.toml";
const TOPOLOGY: &str = "topology.toml";
const WORKLOAD: &str = "workload.toml";
const VANILLA: &str = "vanilla.toml";

/// Seeds whose mean is the prediction.
const SEEDS: &str = "0..3";

/// A row's scenario, and how its outcome becomes the row's figure.
pub(super) struct Plan {
    pub question: Question,
    pub per: Per,
    /// What was assumed, in the order of the mapping.
    pub notes: Vec<String>,
    /// Inputs that are not stated, or that a relative stands in for.
    pub open: u32,
    /// Whether its source counts the products of layers as operations, and neither attention's scores nor the output.
    pub counts_layers_alone: bool,
    files: BTreeMap<String, String>,
}

impl Plan {
    /// The scenario's files by name, `scenario.toml` first.
    pub(super) fn files(&self) -> impl Iterator<Item = (&str, &str)> {
        let first = self.files.iter().filter(|(name, _)| *name == SCENARIO);
        let rest = self.files.iter().filter(|(name, _)| *name != SCENARIO);
        first.chain(rest).map(|(name, text)| (name.as_str(), text.as_str()))
    }

    /// The files as they are written for a reader: what the row notes, what was assumed and why the scenario does not run,
    /// if it does not, are comments.
    pub(super) fn written(&self, row: &Row, refusal: Option<&str>) -> Vec<(String, String)> {
        let noted = Some(line(&row.note)).filter(|note| !note.is_empty());
        let noted = noted.map(|note| format!("# The row's note: {note}\n"));
        let assumed = self.notes.iter().map(|note| format!("# Assumed: {}\n", line(note)));
        let refused = refusal.map(|reason| format!("# It does not run as it is: {reason}\n"));
        let comments: String = noted.into_iter().chain(assumed).chain(refused).collect();
        let text = |(name, text): (&str, &str)| match text.split_once('\n') {
            Some((head, rest)) if name == SCENARIO => format!("{head}\n{comments}{rest}"),
            _ => text.to_owned(),
        };
        self.files().map(|file| (file.0.to_owned(), text(file))).collect()
    }

    /// Where a step does not fit into memory as it is, and the row does not say what is computed again: as little
    /// as makes it fit.
    fn recompute_to_fit(
        &mut self,
        row: &Row,
        scenario: &Table,
        (topology, mut workload): (&Table, Table),
    ) {
        for recompute in ["selective", "full"] {
            if !self.load().is_err_and(|mistake| mistake.found.contains(" on a GPU of ")) {
                return;
            }
            if let Some(training) = workload.get_mut("training").and_then(Value::as_table_mut) {
                training.insert("recompute".into(), recompute.into());
            }
            self.files = files_of(row, scenario.clone(), topology, workload.clone());
            self.notes.push(format!("does not fit without: recompute = \"{recompute}\" assumed"));
        }
    }

    /// What makes runs differ: the question and the files, but for the row's name.
    pub(super) fn setup(&self) -> String {
        let lines = self.files.values().flat_map(|text| text.lines());
        let named = |line: &&str| !line.starts_with('#') && !line.starts_with("name = ");
        let lines: Vec<&str> = lines.filter(named).collect();
        format!("{:?} {}\n{}", self.question.what, self.open, lines.join("\n"))
    }

    /// The scenario, read as `moesim run` reads it.
    pub(super) fn load(&self) -> Result<Scenario, Diagnostic> {
        ScenarioSource::of_files(SCENARIO, self.files.clone(), Overrides::default())?.load()
    }
}

/// Why a scenario is refused, its key first.
pub(super) fn refusal(mistake: &Diagnostic) -> String {
    let key = if mistake.key.is_empty() { String::new() } else { format!("{}: ", mistake.key) };
    format!("the scenario is refused: {key}{}", line(&mistake.found))
}

/// A text in one line.
fn line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<&str>>().join(" ")
}

/// The plan of a row.
///
/// # Errors
/// The reason why the row cannot be simulated.
pub(super) fn of(stated: &Row) -> Result<Plan, String> {
    let (row, of_recipe) = recipe::completed(stated);
    let row = &row;
    let question = question::of(row)?;
    let shape = Shape::of(row)?;
    let (ranks, cut) = (ranks_of(row)?, cut_of(row, question.what)?);
    let given = tokens_of(row, cut)?;
    let drafted = if question.what == What::Decode { drafts::of(row)? } else { None };
    let tokens = given * drafted.map_or(1, |drafts| 1 + drafts.number);
    let stack = stack::of(row, ranks)?;
    if ranks > 1 && stack.library == Library::None {
        return Err(format!("no exchange among {ranks} GPUs"));
    }
    let step = match question.what {
        What::Training => Some(training::of(row, ranks)?),
        _ => None,
    };
    let serves = matches!(question.what, What::Prefill | What::Decode);
    let overlapped_kernel = question.what == What::GroupedProduct && Stack::overlaps(row);
    let taken = stack.sms.filter(|_| overlapped_kernel).unwrap_or(0);
    let simulated = step.as_ref().map_or(ranks * cut, |step| step.gpus);
    let hardware = hardware::of(row, simulated, taken)?;
    let mut model = model::of(row, question.what, &stack, [tokens, ranks])?;
    if let Some(drafts) = &drafted {
        drafts.write(&mut model.workload, &mut model.notes);
    }
    if serves {
        served(row, &mut model, [cut, tokens]);
    }
    if training::counted(question.what).is_some() {
        trains(&mut model.workload, step.as_ref());
    }
    let yielded = drafted.map_or(1.0, |drafts| drafts.yielded);
    let bytes = bytes_of(question.what, &stack, shape, model.groups, &hardware, tokens);
    let per = Per {
        tokens: step.as_ref().map_or(yielded * f64::from(given), |step| step.tokens_per_gpu),
        of_sequence: yielded,
        operations: operations_of(question.what, shape, tokens),
        bytes,
        gpus_per_node: f64::from(row.count("gpus_per_node", &row.gpus_per_node)?.unwrap_or(8)),
        gpus: f64::from(row.count("n_gpus", &row.n_gpus)?.unwrap_or(ranks)),
    };
    let assumed = [cut > 1, hardware.transferred, of_recipe.is_some()].map(u32::from);
    let open = stack.open + assumed.iter().sum::<u32>() + step.as_ref().map_or(0, |step| step.open);
    let of_step = step.as_ref().map_or_else(Vec::new, |step| step.notes.clone());
    let mut notes: Vec<String> =
        [hardware.notes, stack.notes.clone(), model.notes, of_step].concat();
    notes.extend(of_recipe);
    let alone = if serves { "model-forward" } else { "moe-layer" };
    let counted = training::counted(question.what).unwrap_or(alone);
    let scenario = scenario_of(row, hardware.profile, counted);
    let files = files_of(row, scenario.clone(), &hardware.topology, model.workload.clone());
    let counts_layers_alone = counts_layers_alone(row, &mut notes)?;
    let mut plan = Plan { question, per, notes, open, counts_layers_alone, files };
    if question.what == What::Training && stated.recompute.trim().is_empty() {
        plan.recompute_to_fit(row, &scenario, (&hardware.topology, model.workload));
    }
    Ok(plan)
}

/// Whether a source's operations are those of the products of layers alone.
fn counts_layers_alone(row: &Row, notes: &mut Vec<String>) -> Result<bool, String> {
    match row.operations.trim() {
        "" => Ok(false),
        "layers" => {
            notes.push(
                "TFLOP/s count the products of layers alone, neither scores nor the output"
                    .to_owned(),
            );
            Ok(true)
        }
        other => Err(format!("operations is `{other}`: only \"layers\" is known, or nothing")),
    }
}

/// GPUs that products are cut over, those of experts too where a row has no expert parallelism beside it, as serving
/// engines do without [vllm; sglang].
fn cut_of(row: &Row, what: What) -> Result<u32, String> {
    let tensor = row.count("tp", &row.tp)?.unwrap_or(1).max(1);
    let experts = row.count("ep", &row.ep)?.unwrap_or(1);
    match what {
        What::Prefill | What::Decode if tensor > 1 && experts > 1 => {
            Err("it does not say whether experts are cut over tensor parallelism".to_owned())
        }
        What::Prefill | What::Decode => Ok(tensor),
        _ => Ok(1),
    }
}

/// Tokens of a GPU in a batch; where products are cut and a row has none, those of one prompt, spread over the GPUs.
fn tokens_of(row: &Row, cut: u32) -> Result<u32, String> {
    if cut == 1 || row.count("tokens_per_gpu", &row.tokens_per_gpu)?.is_some() {
        return row.needed("tokens_per_gpu", &row.tokens_per_gpu);
    }
    Ok((row.needed("isl", &row.isl)? / cut).max(1))
}

/// Says in a workload how a serving engine overlaps its exchanges and cuts its products.
fn served(row: &Row, model: &mut Model, [cut, tokens]: [u32; 2]) {
    if Stack::overlaps(row) {
        let overlap = Stack::overlap_of_serving(row);
        if let Some(exchange) = model.workload.get_mut("exchange").and_then(Value::as_table_mut) {
            exchange.insert("overlap".into(), overlap.word().into());
        }
    }
    if cut > 1 {
        cuts(&mut model.workload, cut);
        model.notes.push(format!(
            "products cut over {cut} GPUs, those of experts too; {tokens} tokens of a batch on each"
        ));
    }
}

/// Says in a workload over how many GPUs its products are cut, whose all-reduces are in 16 bits.
fn cuts(workload: &mut Table, cut: u32) {
    if let Some(batch) = workload.get_mut("batch").and_then(Value::as_table_mut) {
        batch.insert("dispatch_dtype".into(), "bf16".into());
    }
    if let Some(layout) = workload.get_mut("layout").and_then(Value::as_table_mut) {
        for key in ["tensor_parallel", "expert_tensor_parallel"] {
            layout.insert(key.into(), i64::from(cut).into());
        }
    }
}

/// Says in a workload how its step trains.
fn trains(workload: &mut Table, step: Option<&Step>) {
    let training = step.map_or_else(Table::new, |step| step.training.clone());
    workload.insert("training".into(), training.into());
    let Some(step) = step else { return };
    workload.extend(step.host.clone().map(|host| ("host".to_owned(), host.into())));
    if let Some(layout) = workload.get_mut("layout").and_then(Value::as_table_mut) {
        layout.extend(step.layout.clone());
    }
    if let Some(batch) = workload.get_mut("batch").and_then(Value::as_table_mut) {
        batch.insert("micro_batches".into(), i64::from(step.micro_batches).into());
    }
}

/// GPUs of one expert group: the layer is alike in all others.
fn ranks_of(row: &Row) -> Result<u32, String> {
    let ranks = match row.count("ep", &row.ep)? {
        Some(ranks) if ranks > 0 => ranks,
        _ if row.count("n_gpus", &row.n_gpus)? == Some(1) => 1,
        _ => return Err("ep is not stated".to_owned()),
    };
    let gpus = row.count("n_gpus", &row.n_gpus)?.unwrap_or(ranks);
    if gpus < ranks {
        return Err(format!("ep is {ranks} on {gpus} GPUs"));
    }
    if ranks > 4096 {
        return Err(format!("ep is {ranks}: at most 4096 are simulated"));
    }
    Ok(ranks)
}

/// Operations of one GPU's experts, by the count of equation (3) of `question`.
fn operations_of(what: What, shape: Shape, tokens: u32) -> f64 {
    let [k, d, h] = [shape.top_k, shape.hidden, shape.intermediate].map(f64::from);
    let matrices = if what == What::GroupedProduct { 3.0 } else { 6.0 };
    matrices * f64::from(tokens) * k * d * h
}

/// Bytes that one GPU's exchange moves, by the count of equation (4) of `question`.
fn bytes_of(
    what: What,
    stack: &Stack,
    shape: Shape,
    groups: Option<(u32, u32)>,
    hardware: &hardware::Hardware,
    tokens: u32,
) -> f64 {
    let [_, dispatch, combine] = stack.dtypes;
    let word = if what == What::Combine { combine } else { dispatch };
    // A scale of four bytes goes with every 128 numbers of fp8.
    let element = if word == "fp8" { 1.0 + 4.0 / 128.0 } else { 2.0 };
    let copies = match (stack.library, hardware.nodes) {
        (Library::Normal | Library::Hybrid, 1) => distinct(shape, groups, hardware.gpus),
        (Library::Normal | Library::Hybrid, nodes) => distinct(shape, groups, nodes),
        _ => f64::from(shape.top_k),
    };
    f64::from(tokens) * copies * f64::from(shape.hidden) * element
}

/// Mean number of distinct parts, of this many equal ones, among the experts that a token picks:
/// the best K by score, within the groups with the best scores where groups are chosen first.
fn distinct(shape: Shape, groups: Option<(u32, u32)>, parts: u32) -> f64 {
    const TOKENS: u32 = 4_000;
    let (chosen, all) = groups.unwrap_or((1, 1));
    let experts = shape.experts as usize;
    let in_group = experts.div_ceil(all.max(1) as usize);
    let in_part = experts.div_ceil(parts.max(1) as usize);
    let mut rng = Streams::new(0).named("systems/copies");
    let mut found = 0_usize;
    for _ in 0..TOKENS {
        let scores: Vec<f64> = (0..experts).map(|_| rng.random::<f64>()).collect();
        let mut best: Vec<(usize, f64)> = scores
            .chunks(in_group.max(1))
            .map(|group| group.iter().copied().fold(0.0, f64::max))
            .enumerate()
            .collect();
        descending(&mut best, |one| one.1);
        best.truncate(chosen as usize);
        let mut open: Vec<usize> = (0..experts)
            .filter(|expert| best.iter().any(|(group, _)| *group == expert / in_group.max(1)))
            .collect();
        descending(&mut open, |&expert| scores[expert]);
        let mut homes: Vec<usize> =
            open.iter().take(shape.top_k as usize).map(|expert| expert / in_part.max(1)).collect();
        homes.sort_unstable();
        homes.dedup();
        found += homes.len();
    }
    found as f64 / f64::from(TOKENS)
}

fn scenario_of(row: &Row, profile: &str, counted: &str) -> Table {
    let mut table = Table::new();
    table.insert("schema".into(), 1.into());
    table.insert("name".into(), row.id.as_str().into());
    table.insert("topology".into(), TOPOLOGY.into());
    table.insert("profile".into(), profile.into());
    table.insert("counted".into(), counted.into());
    table.insert("seeds".into(), SEEDS.into());
    table
}

fn files_of(
    row: &Row,
    mut scenario: Table,
    topology: &Table,
    workload: Table,
) -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    let mut compare = Table::new();
    match without_zero_computation(&workload) {
        None => compare.insert("vanilla".into(), WORKLOAD.into()),
        Some(vanilla) => {
            files.insert(VANILLA.to_owned(), vanilla.to_string());
            compare.insert("moepp".into(), WORKLOAD.into());
            compare.insert("vanilla".into(), VANILLA.into())
        }
    };
    scenario.insert("compare".into(), Value::Array(vec![compare.into()]));
    let head = format!(
        "# {}: {}, {} {} measured.\n",
        line(&row.id),
        line(&row.quantity),
        line(&row.value),
        line(&row.unit)
    );
    files.insert(SCENARIO.to_owned(), format!("{head}{scenario}"));
    files.insert(TOPOLOGY.to_owned(), topology.to_string());
    files.insert(WORKLOAD.to_owned(), workload.to_string());
    files
}

/// The vanilla model beside one with zero-computation experts, which a scenario compares it with.
fn without_zero_computation(workload: &Table) -> Option<Table> {
    let mut vanilla = workload.clone();
    let experts = vanilla.get_mut("experts")?.as_table_mut()?;
    let kinds = ["zero", "copy", "constant"].map(|kind| experts.remove(kind).is_some());
    experts.remove("zero_computation");
    experts.remove("tau");
    let any = kinds.contains(&true);
    vanilla.remove("scheme");
    any.then_some(vanilla)
}

#[cfg(test)]
mod tests {
    use super::*;

    const V3: Shape = Shape { hidden: 7168, intermediate: 2048, experts: 256, top_k: 8 };

    #[test]
    fn copies_are_counted_as_deepep_counts_them() {
        // 8 picks of 256 over 8 GPUs: 8·(1 − C(224, 8)/C(256, 8)) = 5.29.
        let ranks = distinct(V3, None, 8);
        assert!((ranks - 5.29).abs() < 0.05, "{ranks}");
        // Four of eight groups, one a node: hardly a node that is chosen gets no pick.
        let nodes = distinct(V3, Some((4, 8)), 8);
        assert!((3.5..=4.0).contains(&nodes), "{nodes}");
    }
}
