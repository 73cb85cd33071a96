//! Workload files: the model, the batch, the layout and the gate, checked.
//!
//! Bounds keep every later product far from overflow: slots of a GPU fit 32 bits
//! (2²⁴ tokens × 64 slots), and one count matrix has at most 2¹³ experts per GPU.

use schemars::JsonSchema;
use serde::Deserialize;
use toml::Spanned;

use super::{Count, Diagnostic, Kind, Number, Source};
use crate::workload::{
    Capacity, DropBy, Execution, Experts, Gating, Origin, ShareOf, Stack, Workload, ZeroComputation,
};

mod batch;
mod counts;
mod files;
mod gate;
mod host;
mod import;
mod model;
mod places;
mod preset;
mod scheme;
mod stack;
mod training;

use batch::{BatchTable, DtypeWord};
pub use counts::read_domain_counts;
pub use files::{law_json, read_law, read_recording};
use gate::GateTable;
use host::HostTable;
pub use import::{
    Account, ImportAs, Imported, ImportedCounts, import_config, import_counts, is_counts,
};
use model::{DenseTable, ModelTable};
use places::LayoutTable;
use scheme::SchemeTable;
use stack::{ExchangeTable, KernelsTable, PhaseWord};
use training::TrainingTable;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct File {
    /// The version of this kind of file.
    schema: Count<1, 1>,
    /// Its name.
    #[schemars(with = "String")]
    name: Spanned<String>,
    /// Where its figures come from, and which are assumed.
    #[serde(rename = "source")]
    _source: String,
    /// The model's shape.
    model: ModelTable,
    /// What is beside the experts.
    dense: Option<DenseTable>,
    /// Experts of a layer.
    experts: ExpertsTable,
    /// How the gate spreads tokens.
    #[serde(default)]
    gate: GateTable,
    /// The rule by which tokens get experts.
    #[serde(default)]
    scheme: SchemeTable,
    /// Capacity of experts.
    #[serde(default)]
    slots: SlotsTable,
    /// The batch.
    batch: BatchTable,
    /// How GPUs share the work, and where experts live.
    layout: LayoutTable,
    /// Kernels of the software.
    #[serde(default)]
    kernels: KernelsTable,
    /// The library that carries dispatch and combine.
    #[serde(default)]
    exchange: ExchangeTable,
    /// What the host does between steps and beside their kernels.
    #[serde(default)]
    host: HostTable,
    /// The training step; a workload with it trains.
    training: Option<TrainingTable>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ExpertsTable {
    /// FFN experts of a layer.
    #[schemars(with = "Count<1, 4_096>")]
    ffn: Spanned<Count<1, 4_096>>,
    /// Zero experts of a layer.
    #[serde(default)]
    zero: Count<0, 1_024>,
    /// Copy experts.
    #[serde(default)]
    copy: Count<0, 1_024>,
    /// Constant experts.
    #[serde(default)]
    constant: Count<0, 1_024>,
    /// Slots of a token.
    #[schemars(with = "Count<1, 64>")]
    top_k: Spanned<Count<1, 64>>,
    /// τ: the smaller, the fewer slots go to FFN experts.
    #[schemars(with = "Option<Number<1, 1_000_000>>")]
    tau: Option<Spanned<Number<1, 1_000_000>>>,
    /// One expert after another, or all at once.
    execution: ExecutionWord,
    /// Where zero-computation experts are: on every GPU, or placed like FFN experts.
    #[schemars(with = "Option<PlaceWord>")]
    zero_computation: Option<Spanned<PlaceWord>>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum ExecutionWord {
    Sequential,
    Grouped,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum PlaceWord {
    Local,
    Placed,
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SlotsTable {
    /// Whether slots beyond an expert's capacity are dropped.
    #[serde(default)]
    policy: PolicyWord,
    /// Capacity of an expert, over its even share of slots.
    #[schemars(with = "Option<Number<1, 1_000_000>>")]
    factor: Option<Spanned<Number<1, 1_000_000>>>,
    /// What the share is of.
    #[schemars(with = "Option<ShareWord>")]
    of: Option<Spanned<ShareWord>>,
    /// Which slots are dropped first: the last tokens', or those of the smallest weights.
    #[schemars(with = "Option<DropWord>")]
    by: Option<Spanned<DropWord>>,
}

#[derive(Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum PolicyWord {
    #[default]
    Dropless,
    Drop,
    DropAndPad,
}

#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum ShareWord {
    Slots,
    Tokens,
}

#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum DropWord {
    Position,
    Probability,
}

/// Reads a workload.
///
/// # Errors
/// If the text is no workload, or one that cannot exist.
pub fn workload(source: &Source) -> Result<Workload, Diagnostic> {
    let file: File = Kind::Workload.parse(source)?;
    let Count(1) = file.schema else { unreachable!("the type admits schema 1 alone") };
    let trains = file.training.is_some();
    let experts = [file.experts.ffn.get_ref().0, file.model.intermediate.0];
    let of = (experts, file.model.layers.0, trains);
    let layout = file.layout.layout(source, of)?;
    let phase_implied = trains && file.batch.phase.is_none();
    let phase = file.batch.phase.or(trains.then_some(PhaseWord::Training));
    let training = file.training.unwrap_or_default();
    let latent = file.model.is_latent();
    let training = training.training(source, (&layout, latent), file.batch.micro_batches.0)?;
    let stack =
        stack::stack(source, phase, (&file.kernels, execution_of(&file.experts)), &file.exchange)?;
    file.batch.check_drafts(source, layout.pipeline_parallel)?;
    let tokens = file.batch.tokens_per_gpu.0;
    let execution = execution_of(&file.experts);
    file.exchange.check_parts(source, (stack.overlap, tokens))?;
    let zero_computation = zero_computation_of(&file.experts).total();
    let scheme = file.scheme.scheme(source, &file.experts)?;
    let gating = file.gate.gating(source, zero_computation == 0, scheme)?;
    check_shifts(source, &gating, file.model.layers.0 * scheme.rounds())?;
    let capacity = capacity_of(source, &file.slots)?;
    let said_by = share_said_by(&gating, &file.experts);
    let experts = experts_of(source, &file.experts, said_by, capacity == Capacity::Dropless)?;
    files::check_origin(source, &gating.origin, &experts, scheme)?;
    Ok(Workload {
        name: name_of(source, &file.name)?,
        model: file.model.model(source, file.dense.as_ref(), experts, &file.gate)?,
        batch: file.batch.batch(),
        layout,
        execution,
        capacity,
        gating,
        zero_computation_local: is_local(source, &file.experts)?,
        stack: Stack { phase_implied, ..stack },
        host: file.host.host(source, phase, execution)?,
        training,
    })
}

const fn execution_of(experts: &ExpertsTable) -> Execution {
    match experts.execution {
        ExecutionWord::Sequential => Execution::Sequential,
        ExecutionWord::Grouped => Execution::Grouped,
    }
}

fn name_of(source: &Source, name: &Spanned<String>) -> Result<String, Diagnostic> {
    let text = name.get_ref().trim();
    let plain = |c: char| !c.is_control();
    if text.is_empty() || text.len() > 64 || !text.chars().all(plain) {
        let help = "give a name of 1 to 64 printable characters";
        return Err(source.mistake(name.span(), "is not a usable name", help));
    }
    Ok(text.to_owned())
}

fn zero_computation_of(experts: &ExpertsTable) -> ZeroComputation {
    ZeroComputation { zero: experts.zero.0, copy: experts.copy.0, constant: experts.constant.0 }
}

/// The key that says what share of slots FFN experts get, where it is not τ that decides.
/// The FFN share's shift is one for all gates, or one for each.
fn check_shifts(source: &Source, gating: &Gating, gates: u32) -> Result<(), Diagnostic> {
    let shifts = gating.ffn_logit_shift.len();
    if shifts <= 1 || shifts == gates as usize {
        return Ok(());
    }
    let found = format!("has {shifts} values for {gates} layers");
    Err(source.mistake_at_key(
        "gate.ffn_logit_shift",
        found,
        "give one for each layer, or one for all",
    ))
}

fn share_said_by(gating: &Gating, experts: &ExpertsTable) -> Option<&'static str> {
    let ffn = experts.ffn.get_ref().0 as usize;
    match &gating.origin {
        Origin::Recording(_) => Some("gate.trace"),
        Origin::Law(law) if law.experts() > ffn => Some("gate.law"),
        _ if gating.ffn_share.is_some() => Some("gate.ffn_share"),
        _ => gating.scheme.says_share().then_some("scheme.kind"),
    }
}

/// The experts; `said_by` is what says the share of FFN slots in place of τ. Where slots beyond an
/// expert's capacity are dropped, τ still decides the capacities [moepp, eq. 8].
fn experts_of(
    source: &Source,
    table: &ExpertsTable,
    said_by: Option<&str>,
    dropless: bool,
) -> Result<Experts, Diagnostic> {
    let zero_computation = zero_computation_of(table);
    let tau = match (&table.tau, zero_computation.total(), said_by) {
        (Some(tau), 0, _) => return Err(needs_zero_computation(source, tau)),
        (Some(tau), _, Some(key)) if dropless => {
            return Err(source.mistake(
                tau.span(),
                format!("has no effect, as {key} says what share of slots FFN experts get"),
                "remove one of the two: either decides the share; gate.ffn_logit_shift moves τ's",
            ));
        }
        (Some(tau), _, _) => Some(tau.get_ref().0),
        (None, 1.., None) => {
            return Err(source.mistake_without_span(
                "experts.tau",
                "nothing says how many slots go to FFN experts",
                "give experts.tau, or a measured gate.ffn_share",
            ));
        }
        (None, 1.., Some(_)) if !dropless => {
            return Err(source.mistake_without_span(
                "experts.tau",
                "is missing, and the capacities of slots.policy follow from it",
                "give experts.tau, or leave slots.policy out",
            ));
        }
        (None, ..) => None,
    };
    let experts = Experts {
        ffn: table.ffn.get_ref().0,
        zero_computation,
        top_k: table.top_k.get_ref().0,
        tau,
    };
    if experts.top_k > experts.total() {
        return Err(source.mistake(
            table.top_k.span(),
            format!("a token cannot choose {} of {} experts", experts.top_k, experts.total()),
            format!("give at most {}", experts.total()),
        ));
    }
    Ok(experts)
}

fn needs_zero_computation<T>(source: &Source, key: &Spanned<T>) -> Diagnostic {
    source.mistake(
        key.span(),
        "does not apply to a vanilla model, which has no zero-computation experts",
        "remove it, or give experts.zero, experts.copy or experts.constant",
    )
}

fn is_local(source: &Source, table: &ExpertsTable) -> Result<bool, Diagnostic> {
    match &table.zero_computation {
        None => Ok(true),
        Some(word) if zero_computation_of(table).total() == 0 => {
            Err(needs_zero_computation(source, word))
        }
        Some(word) => Ok(*word.get_ref() == PlaceWord::Local),
    }
}

fn capacity_of(source: &Source, slots: &SlotsTable) -> Result<Capacity, Diagnostic> {
    let of = match slots.of.as_ref().map(Spanned::get_ref) {
        None | Some(ShareWord::Slots) => ShareOf::Slots,
        Some(ShareWord::Tokens) => ShareOf::Tokens,
    };
    let by = match slots.by.as_ref().map(Spanned::get_ref) {
        None | Some(DropWord::Position) => DropBy::Position,
        Some(DropWord::Probability) => DropBy::Probability,
    };
    let factor = |policy: &str| match &slots.factor {
        Some(factor) => Ok(factor.get_ref().0),
        None => Err(source.mistake_without_span(
            "slots.factor",
            format!("is missing, and policy \"{policy}\" needs it"),
            "add a capacity factor, such as factor = 1.1",
        )),
    };
    match slots.policy {
        PolicyWord::Dropless => {
            let factor = slots.factor.as_ref().map(Spanned::span);
            let of = slots.of.as_ref().map(Spanned::span);
            let by = slots.by.as_ref().map(Spanned::span);
            let Some(unused) = factor.or(of).or(by) else { return Ok(Capacity::Dropless) };
            let help = "remove it, or give slots.policy = \"drop\" or \"drop-and-pad\"";
            Err(source.mistake(unused, "does not apply where no slot is dropped", help))
        }
        PolicyWord::Drop => Ok(Capacity::Drop { factor: factor("drop")?, of, by }),
        PolicyWord::DropAndPad => {
            Ok(Capacity::DropAndPad { factor: factor("drop-and-pad")?, of, by })
        }
    }
}
