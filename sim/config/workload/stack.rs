//! `[kernels]` and `[exchange]` of a workload file: the software that it runs on.

use std::ops::Range;

use schemars::JsonSchema;
use serde::Deserialize;
use toml::Spanned;

use super::{Count, Diagnostic, Source};
use crate::workload::{Epilogue, ExchangeLibrary, Execution, ExpertsKernel, Overlap, Phase, Stack};

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct KernelsTable {
    /// `auto`, a family of kernels, or a kernel's name in the profile.
    #[schemars(with = "Option<String>")]
    experts: Option<Spanned<String>>,
    /// What grouped products do before they write: nothing, add biases, or apply the activation and quantise too.
    #[schemars(with = "Option<EpilogueWord>")]
    epilogue: Option<Spanned<EpilogueWord>>,
    /// The rows of each expert are copied to the next multiple of so many before grouped products, which compute all of
    /// these, and back after them; as they come if none is given.
    #[schemars(with = "Option<Count<2, 1_024>>")]
    pad_rows: Option<Spanned<Count<2, 1_024>>>,
    /// The rows of each expert are rounded to the nearest multiple of so many, of a tile; as chosen if none is given.
    #[schemars(with = "Option<Count<1, 1_024>>")]
    round_rows: Option<Spanned<Count<1, 1_024>>>,
}

#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum EpilogueWord {
    Plain,
    Biases,
    Activation,
}

impl From<EpilogueWord> for Epilogue {
    fn from(word: EpilogueWord) -> Self {
        match word {
            EpilogueWord::Plain => Self::Plain,
            EpilogueWord::Biases => Self::Biases,
            EpilogueWord::Activation => Self::Activation,
        }
    }
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ExchangeTable {
    /// `auto` if none is given.
    library: Option<LibraryWord>,
    /// SMs that the library may use, where it takes such a number.
    #[schemars(with = "Option<Count<1, 4_096>>")]
    sms: Option<Spanned<Count<1, 4_096>>>,
    /// Whether these are kept from kernels for the whole step, as DeepGEMM's and DeepEP's fixed numbers are; else while
    /// exchanges are in flight.
    #[schemars(with = "Option<bool>")]
    reserved: Option<Spanned<bool>>,
    /// What exchanges of a forward pass run beside; nothing if none is given.
    #[schemars(with = "Option<OverlapWord>")]
    overlap: Option<Spanned<OverlapWord>>,
    /// Of overlap in chunks: into how many a layer's tokens are cut; the best of 1, 2, 4 and 8 if none is given.
    #[schemars(with = "Option<Count<2, 64>>")]
    chunks: Option<Spanned<Count<2, 64>>>,
}

#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum OverlapWord {
    None,
    TwoBatch,
    SingleBatch,
    Chunks,
}

#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum LibraryWord {
    Auto,
    Nccl,
    DeepepNormal,
    DeepepLowLatency,
    HybridEp,
    NvlinkOneSided,
    NvlinkTwoSided,
}

#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum PhaseWord {
    Training,
    Prefill,
    Decode,
}

impl From<PhaseWord> for Phase {
    fn from(word: PhaseWord) -> Self {
        match word {
            PhaseWord::Training => Self::Training,
            PhaseWord::Prefill => Self::Prefill,
            PhaseWord::Decode => Self::Decode,
        }
    }
}

impl From<LibraryWord> for ExchangeLibrary {
    fn from(word: LibraryWord) -> Self {
        match word {
            LibraryWord::Auto => Self::Auto,
            LibraryWord::Nccl => Self::Nccl,
            LibraryWord::DeepepNormal => Self::DeepEpNormal,
            LibraryWord::DeepepLowLatency => Self::DeepEpLowLatency,
            LibraryWord::HybridEp => Self::HybridEp,
            LibraryWord::NvlinkOneSided => Self::NvlinkOneSided,
            LibraryWord::NvlinkTwoSided => Self::NvlinkTwoSided,
        }
    }
}

/// The stack that a workload names. Whether a profile has the kernel is checked where both are known.
pub(super) fn stack(
    source: &Source,
    phase: Option<PhaseWord>,
    (kernels, execution): (&KernelsTable, Execution),
    exchange: &ExchangeTable,
) -> Result<Stack, Diagnostic> {
    if let (Some(word), Execution::Sequential) = (&kernels.experts, execution) {
        let found = "has no effect, as experts.execution = \"sequential\" runs a dense product for each expert";
        let help = "remove it, or give experts.execution = \"grouped\"";
        return Err(source.mistake(word.span(), found, help));
    }
    let experts = match &kernels.experts {
        None => ExpertsKernel::Auto,
        Some(word) => {
            let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
            let text = word.get_ref();
            if text.is_empty() || text.len() > 64 || !text.chars().all(plain) {
                let help = "give \"auto\", \"grouped-gemm\", \"triton\", \"cutlass\", \"trtllm\" or \
                            the name of a kernel of the profile";
                return Err(source.mistake(word.span(), "is not a kernel's name", help));
            }
            ExpertsKernel::of_word(text)
        }
    };
    let library = exchange.library.map_or(ExchangeLibrary::Auto, Into::into);
    exchange.check_sms(source, library)?;
    let phase = phase.map(Phase::from);
    let grouped = takes_grouped_products(&experts, phase, execution);
    Ok(Stack {
        phase,
        // What says so is the caller's to know.
        phase_implied: false,
        epilogue: kernels.epilogue(source, grouped)?,
        pad_rows: kernels.padded(source, grouped)?,
        experts,
        round_rows: kernels.rounded(source, execution)?,
        exchange: library,
        sms: exchange.sms.as_ref().map(|sms| sms.get_ref().0),
        reserved: exchange.reserved.as_ref().is_some_and(|reserved| *reserved.get_ref()),
        overlap: exchange.overlap(source, execution)?,
    })
}

/// Whether experts run as grouped products, as `auto` takes in training; whether the profile has them is checked where both
/// are known.
fn takes_grouped_products(
    experts: &ExpertsKernel,
    phase: Option<Phase>,
    execution: Execution,
) -> bool {
    let trains = phase == Some(Phase::Training) && execution == Execution::Grouped;
    *experts == ExpertsKernel::GroupedGemm || (*experts == ExpertsKernel::Auto && trains)
}

/// Refuses a key of grouped products where other kernels may run.
fn of_grouped_products(
    source: &Source,
    (grouped, named): (bool, bool),
    span: Range<usize>,
) -> Result<(), Diagnostic> {
    if grouped {
        return Ok(());
    }
    let found = match named {
        true => "is of grouped products, and kernels.experts names another kernel",
        false => {
            "is of grouped products, and no kernel is named, so that \"auto\" may take another"
        }
    };
    let help = "give kernels.experts = \"grouped-gemm\", or leave it out";
    Err(source.mistake(span, found, help))
}

impl KernelsTable {
    /// Whether experts have a kernel of a name, rather than the one that "auto" takes.
    fn names_kernel(&self) -> bool {
        self.experts.as_ref().is_some_and(|word| word.get_ref() != "auto")
    }

    /// What grouped products do beside multiplying: other kernels were measured with all that they do.
    fn epilogue(&self, source: &Source, grouped: bool) -> Result<Epilogue, Diagnostic> {
        let Some(word) = &self.epilogue else { return Ok(Epilogue::default()) };
        of_grouped_products(source, (grouped, self.names_kernel()), word.span())?;
        Ok((*word.get_ref()).into())
    }

    /// The multiple that the rows of each expert are copied to.
    fn padded(&self, source: &Source, grouped: bool) -> Result<Option<u32>, Diagnostic> {
        let Some(rows) = &self.pad_rows else { return Ok(None) };
        of_grouped_products(source, (grouped, self.names_kernel()), rows.span())?;
        Ok(Some(rows.get_ref().0))
    }

    /// The rows that those of each expert are rounded to multiples of.
    fn rounded(&self, source: &Source, execution: Execution) -> Result<Option<u32>, Diagnostic> {
        let Some(rows) = &self.round_rows else { return Ok(None) };
        if execution == Execution::Sequential {
            let found = "has no effect, as experts.execution = \"sequential\" computes no tiles of several experts";
            let help = "remove it, or give experts.execution = \"grouped\"";
            return Err(source.mistake(rows.span(), found, help));
        }
        Ok(Some(rows.get_ref().0))
    }
}

impl ExchangeTable {
    /// SMs are of libraries that take a number of them, and reserved where one is stated.
    fn check_sms(&self, source: &Source, library: ExchangeLibrary) -> Result<(), Diagnostic> {
        if let Some(sms) = self.sms.as_ref().filter(|_| !library.takes_sms()) {
            let found = format!("does not apply to the library \"{}\"", library.word());
            let help = "remove it, or give exchange.library = \"deepep-normal\" or \"hybrid-ep\"";
            return Err(source.mistake(sms.span(), found, help));
        }
        if let (Some(reserved), None) = (&self.reserved, &self.sms) {
            let help = "give exchange.sms, how many";
            return Err(source.mistake(reserved.span(), "reserves SMs that nothing states", help));
        }
        Ok(())
    }

    /// What exchanges run beside.
    fn overlap(&self, source: &Source, execution: Execution) -> Result<Overlap, Diagnostic> {
        let word = self.overlap.as_ref().map_or(OverlapWord::None, |word| *word.get_ref());
        match (word, &self.chunks) {
            (OverlapWord::None, None) => Ok(Overlap::None),
            (OverlapWord::TwoBatch, None) => Ok(Overlap::TwoBatch),
            (OverlapWord::SingleBatch, None) if execution == Execution::Sequential => {
                let found = "starts the combine in the last of a layer's products, and experts.execution = \
                             \"sequential\" runs products expert by expert";
                let help = "give experts.execution = \"grouped\", or overlap = \"chunks\"";
                Err(source.mistake_at_key("exchange.overlap", found, help))
            }
            (OverlapWord::SingleBatch, None) => Ok(Overlap::SingleBatch),
            (OverlapWord::Chunks, Some(chunks)) => Ok(Overlap::Chunks(chunks.get_ref().0)),
            (OverlapWord::Chunks, None) => Ok(Overlap::BestChunks),
            (_, Some(chunks)) => {
                let found = "has no effect: exchange.overlap is not \"chunks\"";
                let help = "remove it, or give exchange.overlap = \"chunks\"";
                Err(source.mistake(chunks.span(), found, help))
            }
        }
    }

    /// Refuses tokens that do not divide into the parts that they travel in.
    pub(super) fn check_parts(
        &self,
        source: &Source,
        (overlap, tokens): (Overlap, u32),
    ) -> Result<(), Diagnostic> {
        let parts = overlap.parts();
        if tokens.is_multiple_of(parts) {
            return Ok(());
        }
        let found = format!(
            "divides the {tokens} tokens of a GPU into {parts} parts, which leaves a remainder"
        );
        let key = if self.chunks.is_some() { "exchange.chunks" } else { "exchange.overlap" };
        let help = format!("change batch.tokens_per_gpu to a multiple of {parts}");
        Err(source.mistake_at_key(key, found, help))
    }
}
