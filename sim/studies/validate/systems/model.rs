//! The model, batch and layout of a row as a workload file.
//!
//! A row gives shapes alone. Where a shipped workload has the same shape, the rest of the model (its
//! attention, its rule of choosing, its dense network) is that workload's; where none has, heads are of
//! 128 and the row says so. Routing follows the row's words:
//!
//! ```text
//! balanced, random      independent uniform picks: multinomial counts
//! a of b groups         the same within the best a of b groups of experts
//! capacity 1, padded    exactly equal counts
//! token-drop            the same: what Megatron-Bridge calls so drops and pads to capacity 1 (its `apply_moe_token_drop`)
//! real, production      the shipped workload's gate, or the preset gpt-oss-serving
//! ```

use toml::{Table, Value};

use super::question::What;
use super::row::Row;
use super::stack::Stack;
use super::words::{count_before, has_any, so_many_of};
use crate::config::{Source, built_in_workloads};

/// The shape of a row's experts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    pub hidden: u32,
    pub intermediate: u32,
    pub experts: u32,
    pub top_k: u32,
}

impl Shape {
    /// The shape of a row.
    ///
    /// # Errors
    /// Which column is missing.
    pub(super) fn of(row: &Row) -> Result<Self, String> {
        Ok(Self {
            hidden: row.needed("hidden", &row.hidden)?,
            intermediate: row.needed("moe_ffn", &row.moe_ffn)?,
            experts: row.needed("experts", &row.experts)?,
            top_k: row.needed("topk", &row.topk)?,
        })
    }
}

/// A workload file, and what was assumed.
pub(super) struct Model {
    pub workload: Table,
    pub notes: Vec<String>,
    /// Experts in groups, of which a token may choose this many.
    pub groups: Option<(u32, u32)>,
}

/// The workload of a row: this many tokens per GPU and micro-batch, in one group of `ranks` GPUs.
///
/// # Errors
/// The reason why there is none.
pub(super) fn of(
    row: &Row,
    what: What,
    stack: &Stack,
    [tokens, ranks]: [u32; 2],
) -> Result<Model, String> {
    let shape = Shape::of(row)?;
    let mut notes = Vec::new();
    let shipped = shipped(row, shape)?;
    if let Some(other) = shipped.as_ref().filter(|table| !is_named(table, &row.model)) {
        let name = other.get("name").and_then(Value::as_str).unwrap_or_default();
        notes.push(format!("what the row does not give: from `{name}`, of the same shape"));
    }
    let mut workload = shipped.clone().unwrap_or_default();
    workload.insert("schema".into(), 1.into());
    workload.insert(
        "name".into(),
        row.id.chars().filter(|c| !c.is_control()).take(64).collect::<String>().into(),
    );
    workload.insert("source".into(), format!("{}: {}", row.setup, row.source).into());
    let whole = what.is_whole_model();
    let model = model_table(row, shape, whole, workload.get("model"), &mut notes)?;
    workload.insert("model".into(), model.into());
    match dense_table(row, whole, workload.get("dense"))? {
        Some(dense) => workload.insert("dense".into(), dense.into()),
        None => workload.remove("dense"),
    };
    let experts = experts_table(row, shape, workload.get("experts"))?;
    workload.insert("experts".into(), experts.into());
    let groups = routing(row, &mut workload, shipped.is_some(), &mut notes)?;
    let mut batch = Table::new();
    batch.insert("tokens_per_gpu".into(), i64::from(tokens).into());
    batch.insert("micro_batches".into(), 1.into());
    let sequence = if what == What::Decode { 1 } else { sequence(row, whole, tokens)? };
    batch.insert("sequence_tokens".into(), i64::from(sequence).into());
    if what == What::Decode {
        let context = row.needed("context", &row.context)?;
        batch.insert("context".into(), i64::from(context).into());
    }
    stack.batch(&mut batch);
    workload.insert("batch".into(), batch.into());
    workload.insert("layout".into(), layout(row, shape, ranks, &mut notes)?.into());
    workload.insert("kernels".into(), stack.kernels().into());
    workload.insert("exchange".into(), stack.exchange().into());
    Ok(Model { workload, notes, groups })
}

/// Whether a workload goes by the name that a row has for its model, in whatever spelling.
fn is_named(workload: &Table, model: &str) -> bool {
    let plain = |text: &str| -> String {
        let kept = text.chars().filter(char::is_ascii_alphanumeric);
        kept.map(|c| c.to_ascii_lowercase()).collect()
    };
    let name = workload.get("name").and_then(Value::as_str);
    name.is_some_and(|name| plain(name) == plain(model))
}

/// The shipped workload of this shape: of several the one of the row's name, else the first.
fn shipped(row: &Row, shape: Shape) -> Result<Option<Table>, String> {
    let zero = zero_experts(row)?;
    let same = |source: &Source| {
        let table: Table = source.parse().ok()?;
        let of = |part: &str, key: &str| {
            table
                .get(part)?
                .get(key)
                .and_then(Value::as_integer)
                .and_then(|n| u32::try_from(n).ok())
        };
        let zero_of = |key: &str| of("experts", key).unwrap_or(0);
        let found = Shape {
            hidden: of("model", "hidden")?,
            intermediate: of("model", "intermediate")?,
            experts: of("experts", "ffn")?,
            top_k: of("experts", "top_k")?,
        };
        let same_zero = zero_of("zero") + zero_of("copy") + zero_of("constant") == zero;
        (found == shape && same_zero).then_some(table)
    };
    let all: Vec<Table> = built_in_workloads().filter_map(|source| same(&source)).collect();
    let found = match all.iter().find(|table| is_named(table, &row.model)) {
        Some(table) => Some(table.clone()),
        None => all.into_iter().next(),
    };
    if zero > 0 && found.is_none() {
        return Err("the share of picks that zero-computation experts get is not stated".to_owned());
    }
    Ok(found)
}

fn zero_experts(row: &Row) -> Result<u32, String> {
    if row.zero_experts.trim().is_empty() {
        return Ok(0);
    }
    row.count("zero_experts", &row.zero_experts).map(Option::unwrap_or_default)
}

fn model_table(
    row: &Row,
    shape: Shape,
    whole: bool,
    shipped: Option<&Value>,
    notes: &mut Vec<String>,
) -> Result<Table, String> {
    let known = shipped.and_then(Value::as_table);
    let mut model = known.filter(|_| whole).cloned().unwrap_or_default();
    let name: String = row.model.chars().filter(|c| !c.is_control()).take(64).collect();
    let name = if name.trim().is_empty() { "not named".to_owned() } else { name };
    model.insert("name".into(), name.into());
    model.insert("hidden".into(), i64::from(shape.hidden).into());
    model.insert("intermediate".into(), i64::from(shape.intermediate).into());
    if !whole {
        // One layer and nothing else: heads and vocabulary are not computed.
        for (key, value) in [("layers", 1), ("heads", 1), ("head_dim", 1), ("vocabulary", 1)] {
            model.insert(key.into(), value.into());
        }
        for key in ["biases", "clamped_activation"] {
            let said = known.and_then(|known| known.get(key)).cloned();
            model.extend(said.map(|said| (key.to_owned(), said)));
        }
        return Ok(model);
    }
    let dense = row.count("dense_layers", &row.dense_layers)?.unwrap_or(0);
    let layers = row.needed("layers", &row.layers)?.checked_sub(dense).filter(|&layers| layers > 0);
    let mut layers = layers.ok_or("dense_layers leaves no layer with experts")?;
    if has_any(&row.note, &["mtp layer included"]) {
        layers += 1;
        notes.push(
            "the layer that predicts one more token as one more layer, without its output".into(),
        );
    }
    model.insert("layers".into(), i64::from(layers).into());
    if known.is_none() {
        attention(row, &mut model, notes)?;
    }
    Ok(model)
}

/// Heads and vocabulary of a model that is not shipped.
fn attention(row: &Row, model: &mut Table, notes: &mut Vec<String>) -> Result<(), String> {
    let heads = row.needed("heads", &row.heads)?;
    model.insert("heads".into(), i64::from(heads).into());
    model.insert("head_dim".into(), 128.into());
    notes.push("size of a head not stated: 128 assumed".to_owned());
    let vocabulary = row.needed("vocab", &row.vocab)?;
    model.insert("vocabulary".into(), i64::from(vocabulary).into());
    let cell = row.kv_heads.trim();
    let Some(latent) = cell.strip_prefix("MLA(").and_then(|rest| rest.strip_suffix(')')) else {
        if let Some(count) = row.count("kv_heads", cell)? {
            model.insert("key_value_heads".into(), i64::from(count).into());
        }
        return Ok(());
    };
    for part in latent.split(',') {
        let digits = part.find(|c: char| c.is_ascii_digit()).unwrap_or(part.len());
        let (word, number) = part.trim().split_at(digits.min(part.trim().len()));
        let key = match word {
            "q" => "query_rank",
            "kv" => "key_value_rank",
            "rope" => "rope_dim",
            _ => return Err(format!("kv_heads is `{cell}`, which is not understood")),
        };
        let number: i64 = number.parse().map_err(|_| format!("kv_heads is `{cell}`"))?;
        model.insert(key.into(), number.into());
    }
    Ok(())
}

fn dense_table(row: &Row, whole: bool, shipped: Option<&Value>) -> Result<Option<Table>, String> {
    let mut dense =
        shipped.and_then(Value::as_table).filter(|_| whole).cloned().unwrap_or_default();
    if let Some(shared) = row.count("shared_ffn", &row.shared_ffn)? {
        dense.insert("shared".into(), i64::from(shared).into());
    }
    let leading = row.count("dense_layers", &row.dense_layers)?.filter(|&n| whole && n > 0);
    if let Some(leading) = leading {
        let size = row.needed("dense_ffn", &row.dense_ffn)?;
        dense.insert("leading_layers".into(), i64::from(leading).into());
        dense.insert("intermediate".into(), i64::from(size).into());
    }
    Ok((!dense.is_empty()).then_some(dense))
}

fn experts_table(row: &Row, shape: Shape, shipped: Option<&Value>) -> Result<Table, String> {
    if shape.top_k > shape.experts {
        return Err(format!("topk {} is more than experts {}", shape.top_k, shape.experts));
    }
    let known =
        shipped.and_then(Value::as_table).filter(|_| zero_experts(row).is_ok_and(|n| n > 0));
    let mut experts = known.cloned().unwrap_or_default();
    experts.insert("ffn".into(), i64::from(shape.experts).into());
    experts.insert("top_k".into(), i64::from(shape.top_k).into());
    experts.insert("execution".into(), "grouped".into());
    Ok(experts)
}

/// Sets gate, scheme and slots by the row's words on routing; returns groups of experts, if any.
fn routing(
    row: &Row,
    workload: &mut Table,
    shipped: bool,
    notes: &mut Vec<String>,
) -> Result<Option<(u32, u32)>, String> {
    let words = row.routing.trim();
    if has_any(words, &["real", "production", "sharegpt", "dataset"]) {
        if !shipped {
            let gate = Table::from_iter([("preset".to_owned(), "gpt-oss-serving".into())]);
            workload.insert("gate".into(), gate.into());
        }
        notes.push("routing of real traffic assumed to vary as in gpt-oss-20b".to_owned());
        return Ok(None);
    }
    let padded = has_any(words, &["capacity 1", "token-drop"]);
    let known = padded || has_any(words, &["balance", "random", "uniform"]);
    if !known {
        let unknown = !words.is_empty() && !has_any(words, &["not stated"]);
        if unknown {
            return Err(format!("the routing `{words}` is not understood"));
        }
        notes.push("routing not stated: balanced assumed".to_owned());
    }
    let mut gate = Table::new();
    gate.insert("network".into(), "linear".into());
    gate.insert("popularity_sd".into(), 0.0.into());
    workload.insert("gate".into(), gate.into());
    let zero = zero_experts(row)? > 0;
    if !zero {
        workload.remove("scheme");
    }
    if padded {
        let slots = [("policy", Value::from("drop-and-pad")), ("factor", 1.0.into())];
        let slots: Table = slots.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        workload.insert("slots".into(), slots.into());
    }
    let groups = so_many_of(words, "groups").filter(|_| !zero);
    if let Some((chosen, all)) = groups {
        let mut scheme = Table::new();
        scheme.insert("kind".into(), "group-limited".into());
        scheme.insert("groups".into(), i64::from(all).into());
        scheme.insert("groups_chosen".into(), i64::from(chosen).into());
        workload.insert("scheme".into(), scheme.into());
    }
    Ok(groups)
}

/// Tokens of a prompt: what attention looks back over.
fn sequence(row: &Row, whole: bool, tokens: u32) -> Result<u32, String> {
    let first = [("isl", &row.isl), ("seq", &row.seq)].into_iter().find_map(|(column, cell)| {
        row.count(column, cell).ok().flatten().filter(|&count| count > 0)
    });
    match first {
        Some(sequence) => Ok(sequence),
        None if whole => Err("the length of prompts (isl) is not stated".to_owned()),
        None => Ok(tokens),
    }
}

fn layout(row: &Row, shape: Shape, ranks: u32, notes: &mut Vec<String>) -> Result<Table, String> {
    let mut layout = Table::new();
    layout.insert("expert_parallel".into(), i64::from(ranks).into());
    layout.insert("pipeline_parallel".into(), 1.into());
    let redundant =
        [&row.routing, &row.note].into_iter().find_map(|text| count_before(text, "redundant"));
    if let Some(redundant) = redundant {
        if !(shape.experts + redundant).is_multiple_of(ranks) {
            return Err(format!(
                "{} experts and {redundant} redundant ones do not spread evenly over {ranks} GPUs",
                shape.experts
            ));
        }
        layout.insert("places".into(), "replicated".into());
        layout.insert("redundant".into(), i64::from(redundant).into());
        notes.push(format!("{redundant} redundant experts placed by load"));
    } else if !shape.experts.is_multiple_of(ranks) {
        return Err(format!("{} experts do not spread evenly over {ranks} GPUs", shape.experts));
    }
    Ok(layout)
}
