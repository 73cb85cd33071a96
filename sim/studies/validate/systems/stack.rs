//! The software of a row: which exchange library, which expert kernel, which number formats.
//!
//! A library or kernel that no table describes is predicted as its nearest relative where there is
//! one, and the row says so; where there is none, it is the reason why the row is not judged.

use toml::Table;

use super::row::Row;
use super::words::{count_before, has_any, has_word};
use crate::workload::{Epilogue, Overlap};

/// What a batch is part of, as workload files say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Training,
    Prefill,
    Decode,
}

impl Phase {
    const fn word(self) -> &'static str {
        match self {
            Self::Training => "training",
            Self::Prefill => "prefill",
            Self::Decode => "decode",
        }
    }
}

/// The libraries that carry exchanges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Library {
    /// One GPU: there is no exchange.
    None,
    Nccl,
    Normal,
    LowLatency,
    Hybrid,
    OneSided,
    /// Not stated.
    Auto,
}

impl Library {
    const fn word(self) -> &'static str {
        match self {
            Self::None | Self::Auto => "auto",
            Self::Nccl => "nccl",
            Self::Normal => "deepep-normal",
            Self::LowLatency => "deepep-low-latency",
            Self::Hybrid => "hybrid-ep",
            Self::OneSided => "nvlink-one-sided",
        }
    }
}

/// GPUs of an ordinary node.
const NODE: u32 = 8;

/// Grouped products, as workload files name them.
const GROUPED: &str = "grouped-gemm";

/// The software of a row.
pub(super) struct Stack {
    pub phase: Phase,
    pub library: Library,
    /// SMs that the library keeps, where the row says so.
    pub sms: Option<u32>,
    kernel: &'static str,
    /// What its grouped products do beside multiplying.
    epilogue: Epilogue,
    /// The multiple that rows of each expert are padded to by copies.
    pad_rows: Option<u32>,
    /// Formats of computing, dispatch and combine.
    pub dtypes: [&'static str; 3],
    /// Whether attention multiplies in fp8, by the row's words.
    fp8_attention: bool,
    /// What was assumed.
    pub notes: Vec<String>,
    /// Parts of the stack that are not stated, or that a relative stands in for.
    pub open: u32,
}

/// The stack of a row whose expert group has `gpus` GPUs.
///
/// # Errors
/// The reason why it cannot be predicted.
pub(super) fn of(row: &Row, gpus: u32) -> Result<Stack, String> {
    let mut notes = Vec::new();
    let phase = phase_of(row);
    let compute =
        dtype("dtype_compute", &row.dtype_compute)?.ok_or("dtype_compute is not stated")?;
    // Megatron-LM sends hidden states in 16 bits and quantises them in front of the products [megatronlm].
    let sent = if has_any(&row.source, &["megatron"]) { "bf16" } else { compute };
    let dispatch = dtype("dtype_dispatch", &row.dtype_dispatch)?.unwrap_or(sent);
    let combine = dtype("dtype_combine", &row.dtype_combine)?.unwrap_or("bf16");
    let library = library_of(row, gpus, phase, &mut notes)?;
    let kernel = kernel_of(row, &mut notes)?;
    let epilogue = epilogue_of(row)?;
    let pad_rows = pad_rows_of(row, compute, epilogue);
    let open = notes.len() as u32;
    let sms = count_before(&row.dispatcher, "SMs")
        .filter(|_| matches!(library, Library::Normal | Library::Hybrid));
    let words = format!("{} {}", row.note, row.dtype_compute);
    let stated = dtype("attention", &row.attention)?;
    let fp8_attention = stated == Some("fp8")
        || has_any(&words, &["fp8 mla", "fa3-fp8", "fp8 attention", "fp8 kv"]);
    if fp8_attention {
        notes.push("attention and its cache in fp8".to_owned());
    }
    let dtypes = [compute, dispatch, combine];
    Ok(Stack {
        phase,
        library,
        sms,
        kernel,
        epilogue,
        pad_rows,
        dtypes,
        fp8_attention,
        notes,
        open,
    })
}

impl Stack {
    /// `[kernels]`.
    pub(super) fn kernels(&self) -> Table {
        let mut table = Table::from_iter([("experts".to_owned(), self.kernel.into())]);
        if self.kernel == GROUPED && self.epilogue != Epilogue::default() {
            table.insert("epilogue".into(), self.epilogue.word().into());
        }
        if let Some(rows) = self.pad_rows.filter(|_| self.kernel == GROUPED) {
            table.insert("pad_rows".into(), i64::from(rows).into());
        }
        table
    }

    /// `[exchange]`.
    pub(super) fn exchange(&self) -> Table {
        let mut table = Table::new();
        table.insert("library".into(), self.library.word().into());
        if let Some(sms) = self.sms {
            table.insert("sms".into(), i64::from(sms).into());
        }
        table
    }

    /// The keys of `[batch]` that name formats and phase.
    pub(super) fn batch(&self, batch: &mut Table) {
        let [compute, dispatch, combine] = self.dtypes;
        batch.insert("dtype".into(), compute.into());
        if self.fp8_attention {
            batch.insert("attention_dtype".into(), "fp8".into());
        }
        batch.insert("dispatch_dtype".into(), dispatch.into());
        batch.insert("combine_dtype".into(), combine.into());
        batch.insert("phase".into(), self.phase.word().into());
    }

    /// How exchanges of a serving engine overlap, by the row's word.
    pub(super) fn overlap_of_serving(row: &Row) -> Overlap {
        if has_any(&row.overlap, &["single"]) { Overlap::SingleBatch } else { Overlap::TwoBatch }
    }

    /// Whether exchanges overlap, by the row's word.
    pub(super) fn overlaps(row: &Row) -> bool {
        let none = ["", "none", "no", "off"];
        let text = row.overlap.trim().to_lowercase();
        !none.contains(&text.as_str()) && !text.starts_with("none ")
    }
}

fn phase_of(row: &Row) -> Phase {
    if has_any(&row.phase, &["prefill"]) {
        Phase::Prefill
    } else if has_any(&row.phase, &["decode"])
        || has_any(&row.dispatcher, &["low-latency", "low latency"])
    {
        Phase::Decode
    } else {
        Phase::Training
    }
}

/// The format that a cell begins with: "bf16 (no fp8 dispatch flag set)" is bf16.
fn dtype(column: &str, cell: &str) -> Result<Option<&'static str>, String> {
    let first: String =
        cell.trim().to_lowercase().chars().take_while(char::is_ascii_alphanumeric).collect();
    match first.as_str() {
        "" => Ok(None),
        "bf16" | "bfloat16" | "fp16" => Ok(Some("bf16")),
        // Blocks of 32 instead of 128 numbers share a scale; the products run at the same rate.
        "fp8" | "mxfp8" => Ok(Some("fp8")),
        other => Err(format!("no profile holds timings in {other} ({column})")),
    }
}

fn library_of(
    row: &Row,
    gpus: u32,
    phase: Phase,
    notes: &mut Vec<String>,
) -> Result<Library, String> {
    let name = row.dispatcher.trim();
    if gpus == 1 || has_any(name, &["single gpu"]) {
        return Ok(Library::None);
    }
    if name.is_empty() {
        notes.push("dispatcher not stated: library chosen by the rule of \"auto\"".to_owned());
        return Ok(Library::Auto);
    }
    let others = ["uccl", "nvshmem", "libfabric", "allgather", "all-reduce", "jax"];
    if let Some(other) = others.iter().find(|other| has_any(name, &[other])) {
        return Err(format!("exchanges of this kind were never measured: {other}"));
    }
    if has_word(name, &["hybridep", "hybrid-ep"]) {
        return Ok(hybrid_of(row, gpus, notes));
    }
    if has_word(name, &["low-latency", "low latency"]) {
        return Ok(Library::LowLatency);
    }
    if has_word(name, &["deepep"]) {
        let decode = phase == Phase::Decode && !has_any(name, &["normal"]);
        return Ok(if decode { Library::LowLatency } else { Library::Normal });
    }
    if has_word(name, &["one-sided", "nvlinkonesided"]) {
        return Ok(Library::OneSided);
    }
    if has_word(name, &["nccl", "alltoall", "alltoallv", "all-to-all", "all-to-allv", "a2a"]) {
        return Ok(Library::Nccl);
    }
    Err(format!(
        "dispatcher is `{name}`, which is not known: write {DISPATCHERS}, or leave it empty"
    ))
}

/// Dispatchers that are known, as messages list them.
const DISPATCHERS: &str = "NCCL alltoall, DeepEP, DeepEP low-latency, HybridEP or NVLink one-sided";

/// Hybrid-EP, or DeepEP's normal kernels where it was not measured: within one node of Hopper.
fn hybrid_of(row: &Row, gpus: u32, notes: &mut Vec<String>) -> Library {
    let blackwell = has_any(&row.gpu, &["B200", "B300"]);
    if blackwell || gpus > NODE {
        return Library::Hybrid;
    }
    notes.push(
        "HybridEP predicted as DeepEP's normal kernels: not measured in a node of this GPU"
            .to_owned(),
    );
    Library::Normal
}

/// What grouped products do beside multiplying: what the row or its recipe says, else in Megatron-LM nothing with biases.
fn epilogue_of(row: &Row) -> Result<Epilogue, String> {
    let said = row.epilogue.trim();
    if said.is_empty() {
        let megatron = has_any(&row.source, &["megatron"]);
        return Ok(if megatron { Epilogue::Plain } else { Epilogue::default() });
    }
    let of = Epilogue::ALL.into_iter().find(|epilogue| epilogue.word() == said);
    of.ok_or_else(|| format!("the epilogue `{said}` is not known"))
}

/// Megatron-LM pads the rows of each expert to what 8 bits need, 32 rows with a scale for every 32 numbers and else 16, by copies
/// unless its router pads them or the products of experts are fused [transformerengine: `Fp8Padding`].
fn pad_rows_of(row: &Row, compute: &str, epilogue: Epilogue) -> Option<u32> {
    let pads = compute == "fp8" && has_any(&row.source, &["megatron"]);
    let own = epilogue == Epilogue::Activation || has_any(&row.routing, &["padded", "token-drop"]);
    let rows = if has_any(&row.dtype_compute, &["mx"]) { 32 } else { 16 };
    (pads && !own).then_some(rows)
}

fn kernel_of(row: &Row, notes: &mut Vec<String>) -> Result<&'static str, String> {
    let name = row.gemm_kernel.trim();
    if name.is_empty() {
        notes.push("expert kernel not stated: chosen by the rule of \"auto\"".to_owned());
        return Ok("auto");
    }
    let grouped =
        ["te grouped", "deepgemm", "cublas", "transformerengine", "megatron", "grouped gemm"];
    if has_any(name, &grouped) || has_any(name, &["transformer engine"]) {
        return Ok(GROUPED);
    }
    for (words, kernel) in [("triton", "triton"), ("cutlass", "cutlass"), ("trtllm", "trtllm")] {
        if has_any(name, &[words]) {
            return Ok(kernel);
        }
    }
    Err(format!("the expert kernel `{name}` was never measured"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(dispatcher: &str, phase: &str) -> Row {
        let (dispatcher, phase) = (dispatcher.to_owned(), phase.to_owned());
        Row { dispatcher, phase, dtype_compute: "fp8 GEMM".to_owned(), ..Row::default() }
    }

    #[test]
    fn libraries_are_known_by_the_dispatchers_name() {
        let library = |name: &str, phase: &str| of(&row(name, phase), 8).map(|stack| stack.library);
        assert_eq!(library("NCCL alltoall", "forward"), Ok(Library::Nccl));
        assert_eq!(library("DeepEP internode (20 SMs)", "training"), Ok(Library::Normal));
        assert_eq!(library("DeepEP", "decode"), Ok(Library::LowLatency));
        assert_eq!(library("HybridEP", "forward"), Ok(Library::Normal));
        let on = |gpu: &str, gpus: u32| {
            let own = Row { gpu: gpu.to_owned(), ..row("HybridEP", "training") };
            of(&own, gpus).map(|stack| stack.library)
        };
        assert_eq!(on("GB200", 8), Ok(Library::Hybrid));
        assert_eq!((on("H100", 8), on("H100", 32)), (Ok(Library::Normal), Ok(Library::Hybrid)));
        assert!(library("DeepEP API on UCCL", "forward").is_err());
        assert!(library("carrier pigeon", "forward").is_err());
        assert_eq!(library("alltoallv", "training"), Ok(Library::Nccl));
        let other = library("HybridEP2", "training").unwrap_err();
        assert!(
            other.starts_with("dispatcher is `HybridEP2`, which is not known: write"),
            "{other}"
        );
        assert_eq!(of(&row("DeepEP internode (20 SMs)", "training"), 8).unwrap().sms, Some(20));
    }

    #[test]
    fn megatron_sends_in_16_bits_where_nothing_else_is_said() {
        let mut fp8 = row("HybridEP", "training");
        assert_eq!(of(&fp8, 8).unwrap().dtypes, ["fp8", "fp8", "bf16"]);
        fp8.source = "NVIDIA-NeMo/Megatron-Bridge docs".to_owned();
        assert_eq!(of(&fp8, 8).unwrap().dtypes, ["fp8", "bf16", "bf16"]);
        fp8.dtype_dispatch = "fp8".to_owned();
        assert_eq!(of(&fp8, 8).unwrap().dtypes, ["fp8", "fp8", "bf16"]);
    }

    #[test]
    fn megatron_adds_biases_apart_unless_its_recipe_fuses_them() {
        let mut own = row("HybridEP", "training");
        own.gemm_kernel = "TE grouped GEMM".to_owned();
        let epilogue = |row: &Row| of(row, 8).map(|stack| stack.epilogue);
        assert_eq!(epilogue(&own), Ok(Epilogue::Biases));
        own.source = "NVIDIA-NeMo/Megatron-Bridge docs".to_owned();
        assert_eq!(epilogue(&own), Ok(Epilogue::Plain));
        own.epilogue = "activation".to_owned();
        assert_eq!(epilogue(&own), Ok(Epilogue::Activation));
        own.epilogue = "all".to_owned();
        assert!(epilogue(&own).is_err());
    }

    #[test]
    fn megatron_pads_rows_of_8_bits_by_copies() {
        let mut own = row("HybridEP", "training");
        let padded = |row: &Row| of(row, 8).map(|stack| stack.pad_rows);
        assert_eq!(padded(&own), Ok(None));
        own.source = "NVIDIA-NeMo/Megatron-Bridge docs".to_owned();
        assert_eq!(padded(&own), Ok(Some(16)));
        own.dtype_compute = "MXFP8".to_owned();
        assert_eq!(padded(&own), Ok(Some(32)));
        own.epilogue = "activation".to_owned();
        assert_eq!(padded(&own), Ok(None));
        own.epilogue.clear();
        own.dtype_compute = "bf16".to_owned();
        assert_eq!(padded(&own), Ok(None));
    }

    #[test]
    fn formats_are_read_from_their_first_word() {
        assert_eq!(dtype("c", "bf16 (no fp8 dispatch flag set)"), Ok(Some("bf16")));
        assert_eq!(dtype("c", "fp8 blockwise (e4m3 hybrid)"), Ok(Some("fp8")));
        assert_eq!(dtype("c", ""), Ok(None));
        assert!(dtype("c", "nvfp4 MoE").is_err());
        assert_eq!(dtype("c", "MXFP8"), Ok(Some("fp8")));
    }
}
