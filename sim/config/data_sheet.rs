//! Data sheets and handfuls of timings of devices that were not measured here: TOML and CSV.

use std::path::Path;

use serde::Deserialize;
use toml::Spanned;

use super::profile::peer_to_peer_of;
use super::{Count, Diagnostic, Source, Written};
use crate::base::units::{Bandwidth, Bytes, FlopRate};
use crate::kernels::devices::{DEVICES, DataSheet};
use crate::kernels::measurements::{Between, CopyRow, GemmRow};
use crate::kernels::profile::Precision;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(rename = "schema")]
    _schema: Count<1, 1>,
    name: Spanned<String>,
    device: String,
    source: String,
    bf16: Written<FlopRate>,
    memory_bandwidth: Written<Bandwidth>,
    sms: Count<1, 4096>,
    scale_up: Written<Bandwidth>,
    peer_to_peer: Option<bool>,
    cache: Written<Bytes>,
    nearest: Option<Spanned<String>>,
}

/// Reads a data sheet, and the device's full name.
///
/// Its words live as long as the program: data sheets are constants everywhere else.
///
/// # Errors
/// If the text is none, or names a device as nearest that calibration does not know.
pub fn data_sheet(source: &Source) -> Result<(DataSheet, String), Diagnostic> {
    let file: File = source.parse()?;
    let name = file.name.get_ref();
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if name.is_empty() || !name.chars().all(plain) {
        let help = "files are named after it: use letters, digits, `-`, `_` and `.`";
        return Err(source.mistake(file.name.span(), format!("found {name:?}"), help));
    }
    let nearest = match &file.nearest {
        None => None,
        Some(wanted) => match DEVICES.iter().find(|known| known.name == wanted.get_ref()) {
            Some(known) => Some(known.name),
            None => {
                let names = DEVICES.map(|known| known.name).join(", ");
                let found = format!("found {:?}", wanted.get_ref());
                return Err(source.mistake(wanted.span(), found, format!("use one of {names}")));
            }
        },
    };
    let peer_to_peer = peer_to_peer_of(file.peer_to_peer, Some(file.scale_up.0))
        .map_err(|(found, help)| source.mistake_without_span("scale_up", found, help))?;
    let name: &'static str = String::leak(name.clone());
    let sheet = DataSheet {
        name,
        file: name,
        bf16_tflops: file.bf16.0.flops_per_sec() / 1e12,
        memory_gb_per_s: file.memory_bandwidth.0.gb_per_sec(),
        sms: file.sms.0,
        scale_up_gb_per_s: file.scale_up.0.gb_per_sec(),
        peer_to_peer,
        cache_mb: file.cache.0.0 as f64 / 1e6,
        source: String::leak(file.source),
        nearest,
    };
    Ok((sheet, file.device))
}

/// Timings of a device.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Timings {
    /// Its GEMMs.
    pub gemm: Vec<GemmRow>,
    /// Its copies.
    pub copies: Vec<CopyRow>,
}

/// A row of the table: sides of a GEMM, or bytes of a copy.
#[derive(Deserialize)]
struct Row {
    what: String,
    dtype: Option<String>,
    m: Option<u32>,
    n: Option<u32>,
    k: Option<u32>,
    bytes: Option<u64>,
    latency_us: f64,
}

const HELP: &str = "give the columns what, dtype, m, n, k, bytes and latency_us; what is gemm (with dtype \
                    bfloat16, fp8 or fp8_block, m, n and k), memory-copy or gpu-copy (with bytes)";

/// Reads timings from CSV.
///
/// # Errors
/// The first row that is none, by line.
pub fn read_timings(path: &Path) -> Result<Timings, Diagnostic> {
    let place = path.display().to_string();
    let text = std::fs::read_to_string(path)
        .map_err(|e| Diagnostic::of(&place, format!("cannot be read: {e}"), HELP))?;
    let table = (&*place, &*text);
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text.as_bytes());
    let refuse = |e: &csv::Error| Diagnostic::of_csv(table, e, HELP);
    let headers = reader.headers().map_err(|e| refuse(&e))?.clone();
    let mut timings = Timings::default();
    for record in reader.records() {
        let record = record.map_err(|e| refuse(&e))?;
        let line = record.position().map_or(1, |at| at.line() as usize);
        let row: Row = record.deserialize(Some(&headers)).map_err(|e| refuse(&e))?;
        take(&mut timings, &row)
            .map_err(|found| Diagnostic::at_line(&place, (&text, line), found, HELP))?;
    }
    if timings == Timings::default() {
        return Err(Diagnostic::of(place, "holds no timings", HELP));
    }
    Ok(timings)
}

fn take(timings: &mut Timings, row: &Row) -> Result<(), String> {
    let seconds = row.latency_us * 1e-6;
    if !(seconds.is_finite() && seconds > 0.0) {
        return Err(format!("latency_us is {}", row.latency_us));
    }
    let between = match row.what.as_str() {
        "memory-copy" => Between::Memory,
        "gpu-copy" => Between::Gpus,
        "gemm" => {
            let side = |side: Option<u32>| side.filter(|side| *side > 0);
            let (Some(m), Some(n), Some(k)) = (side(row.m), side(row.n), side(row.k)) else {
                return Err("a gemm without m, n or k".to_owned());
            };
            let Some(dtype) = row.dtype.as_deref().filter(|dtype| !dtype.is_empty()) else {
                return Err("a gemm without dtype".to_owned());
            };
            let precision = Precision::named(dtype).ok_or_else(|| format!("dtype is `{dtype}`"))?;
            timings.gemm.push(GemmRow { precision, m, n, k, seconds });
            return Ok(());
        }
        other => return Err(format!("what is `{other}`")),
    };
    let Some(bytes) = row.bytes.filter(|bytes| *bytes > 0) else {
        return Err("a copy without bytes".to_owned());
    };
    timings.copies.push(CopyRow { between, bytes, seconds });
    Ok(())
}
