//! `[kernels]` and `[exchange]` of a workload file: the software that it runs on.

use schemars::JsonSchema;
use serde::Deserialize;
use toml::Spanned;

use super::{Count, Diagnostic, Source};
use crate::workload::{ExchangeLibrary, Execution, ExpertsKernel, Phase, Stack};

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct KernelsTable {
    #[schemars(with = "Option<String>")]
    experts: Option<Spanned<String>>,
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ExchangeTable {
    library: Option<LibraryWord>,
    #[schemars(with = "Option<Count<1, 4_096>>")]
    sms: Option<Spanned<Count<1, 4_096>>>,
}

#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum LibraryWord {
    Auto,
    Nccl,
    DeepepNormal,
    DeepepLowLatency,
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
    if let Some(sms) = exchange.sms.as_ref().filter(|_| !library.takes_sms()) {
        let found = format!("does not apply to the library \"{}\"", library.word());
        let help = "remove it, or give exchange.library = \"deepep-normal\"";
        return Err(source.mistake(sms.span(), found, help));
    }
    Ok(Stack {
        phase: phase.map(Into::into),
        experts,
        exchange: library,
        sms: exchange.sms.as_ref().map(|sms| sms.get_ref().0),
    })
}
