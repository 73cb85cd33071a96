//! Rows of tables of dispatch and combine.

use super::{Cell, Rows, collect, counts, seconds};
use crate::base::table::{Table, TableError};
use crate::kernels::exchange::{ExchangeShape, Library};

/// A dispatch, a combine, or another step of an exchange.
#[derive(Clone, Debug, PartialEq)]
pub struct ExchangeRow {
    /// The key of its constants in profiles: `deepep_normal/dispatch`.
    pub name: String,
    /// The library.
    pub library: Library,
    /// Bytes of one number on the wire; hardly any where no tokens travel.
    pub bytes: f64,
    /// What is exchanged by whom.
    pub shape: ExchangeShape,
    /// Tokens on each GPU.
    pub tokens: u32,
    /// Measured time in seconds, metadata exchange included.
    pub seconds: f64,
    /// Of that, what kernels that move tokens take, where it is known by itself.
    pub kernel_s: Option<f64>,
}

/// The columns of a dispatch or a combine.
struct Side {
    seconds: Vec<Cell<f64>>,
    /// Exchange of metadata, in microseconds.
    notify: Option<Vec<Option<f64>>>,
    sms: Option<Vec<Cell<u32>>>,
}

impl Side {
    fn of(table: &Table, op: &str, normal: bool) -> Result<Self, TableError> {
        if !normal {
            let seconds = seconds(table, &format!("{op}_avg_t_us"))?;
            return Ok(Self { seconds, notify: None, sms: None });
        }
        let [sms] = counts(table, [&format!("{op}_sms")])?;
        let notify = table.numbers(&format!("{op}_notify_us"))?;
        let seconds = seconds(table, &format!("{op}_transmit_us"))?;
        Ok(Self { seconds, notify: Some(notify), sms: Some(sms) })
    }

    /// Transmission and, where it is known, exchange of metadata.
    fn time(&self, row: usize) -> Cell<f64> {
        let notify = self.notify.as_ref().and_then(|us| us[row]).filter(|us| us.is_finite());
        Ok(self.seconds[row]? + notify.unwrap_or(0.0).max(0.0) * 1e-6)
    }
}

/// Bytes of a number where none travel: a positive stand-in.
const NOTHING: f64 = 0.001;

impl ExchangeRow {
    /// The rows of a `deepep_normal_…` or `deepep_ll_…` table: a dispatch and a combine each.
    ///
    /// Nodes had `ranks` GPUs. A time is transmission plus the exchange of metadata, where the table
    /// knows the latter.
    ///
    /// # Errors
    /// If a column is missing or of the wrong kind.
    pub fn of_deepep(
        table: &Table,
        library: Library,
        ranks: u32,
    ) -> Result<Rows<Self>, TableError> {
        let normal = library == Library::DeepEpNormal;
        let names = ["node_num", "hidden_size", "num_topk", "num_experts", "num_token"];
        let [groups, hidden, top_k, experts, tokens] = counts(table, names)?;
        let [dispatch, combine] = ["dispatch", "combine"].map(|op| Side::of(table, op, normal));
        let sides = [("dispatch", 1.0, dispatch?), ("combine", 2.0, combine?)];
        // A table's row is a dispatch and a combine: both are usable, or neither is used.
        let found = collect(table, |row| {
            let side = |(op, bytes, side): &(&str, f64, Side)| {
                let shape = ExchangeShape {
                    groups: groups[row]?,
                    hidden: hidden[row]?,
                    top_k: top_k[row]?,
                    experts: experts[row]?,
                    sms: side.sms.as_ref().map_or(Ok(1), |sms| sms[row])?,
                    ranks,
                };
                Ok(Self {
                    name: format!("{}/{op}", library.name()),
                    library,
                    bytes: *bytes,
                    shape,
                    tokens: tokens[row]?,
                    seconds: side.time(row)?,
                    kernel_s: None,
                })
            };
            let [dispatch, combine]: [Result<Self, &'static str>; 2] = sides.each_ref().map(side);
            Ok([dispatch?, combine?])
        });
        let both = found.rows.into_iter().flat_map(|(row, both)| both.map(|side| (row, side)));
        let mut rows: Vec<(usize, Self)> = both.collect();
        // All dispatches, then all combines.
        rows.sort_by(|(a, x), (b, y)| y.bytes.total_cmp(&x.bytes).reverse().then(a.cmp(b)));
        Ok(Rows { rows, skipped: found.skipped })
    }

    /// The rows of an `alltoall_nvl72_…` table.
    ///
    /// # Errors
    /// If a column is missing or of the wrong kind.
    pub fn of_nvlink(table: &Table) -> Result<Rows<Self>, TableError> {
        let names = ["ep", "hidden", "top_k", "experts", "tokens"];
        let [groups, hidden, top_k, experts, tokens] = counts(table, names)?;
        let (ops, sources) = (table.texts("op_name")?, table.texts("kernel_source")?);
        let (dtypes, times) = (table.texts("dtype")?, seconds(table, "latency_us")?);
        Ok(collect(table, |row| {
            let op = ops[row].ok_or("no op_name")?;
            let source = sources[row].ok_or("no kernel_source")?;
            let dtype = dtypes[row].ok_or("no dtype")?;
            let shape = ExchangeShape {
                groups: groups[row]?,
                hidden: hidden[row]?,
                top_k: top_k[row]?,
                experts: experts[row]?,
                sms: 1,
                ranks: 1,
            };
            Ok(Self {
                name: format!("nvlink_domain/{op}/{source}/{dtype}"),
                library: Library::NvlinkDomain,
                bytes: bytes_of(op, dtype)?,
                shape,
                tokens: tokens[row]?,
                seconds: times[row]?,
                kernel_s: None,
            })
        }))
    }
}

/// Dispatch carries the format, combine bf16, preparation only counts.
fn bytes_of(op: &str, dtype: &str) -> Cell<f64> {
    match (op, dtype) {
        ("alltoall_prepare", _) => Ok(NOTHING),
        ("alltoall_combine" | "alltoall_combine_low_precision", _) | (_, "bfloat16") => Ok(2.0),
        ("alltoall_dispatch", "fp8") => Ok(1.0),
        // Four bits and a scale for every sixteen numbers.
        ("alltoall_dispatch", "nvfp4") => Ok(0.5625),
        _ => Err("unknown op_name or dtype"),
    }
}
