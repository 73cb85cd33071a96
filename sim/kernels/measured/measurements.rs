//! Rows of measurement tables, as kernels and fits take them.
//!
//! A row that cannot be used is skipped and counted under its reason (a zero or NaN latency, an
//! absent or negative size, a dtype or law that is not known), never guessed at. A table without a
//! needed column is an error: it is not of this schema.

use std::collections::BTreeMap;

use crate::base::table::{Table, TableError};
use crate::kernels::experts::{ExpertsShape, is_squared_relu};
use crate::kernels::profile::{CollectiveOp, Precision};
use crate::kernels::skew::Popularity;

/// The usable rows of a table and the reasons why others are not.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rows<R> {
    /// Usable rows, each with its place in the table, from 0.
    pub rows: Vec<(usize, R)>,
    /// How many rows were skipped, by reason.
    pub skipped: BTreeMap<&'static str, usize>,
}

/// A dense GEMM.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GemmRow {
    /// Number format.
    pub precision: Precision,
    /// Rows of the left matrix.
    pub m: u32,
    /// Columns of the right matrix.
    pub n: u32,
    /// The inner dimension.
    pub k: u32,
    /// Measured time in seconds.
    pub seconds: f64,
}

/// The fused experts of one GPU.
#[derive(Clone, Debug, PartialEq)]
pub struct ExpertsRow {
    /// The kernel.
    pub source: String,
    /// Number format.
    pub precision: Precision,
    /// Tokens that enter the layer.
    pub tokens: u32,
    /// Size of a token.
    pub hidden: u32,
    /// Inner size of an expert before `tp` splits it.
    pub inter: u32,
    /// Experts chosen for each token.
    pub top_k: u32,
    /// Experts of the layer.
    pub experts: u32,
    /// GPUs that split each expert.
    pub tp: u32,
    /// GPUs that split the set of experts.
    pub ep: u32,
    /// How slots are spread.
    pub popularity: Popularity,
    /// Measured time in seconds.
    pub seconds: f64,
}

/// A collective within a node.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CollectiveRow {
    /// The collective.
    pub op: CollectiveOp,
    /// GPUs that take part.
    pub gpus: u32,
    /// Message size as nccl-tests counts it.
    pub bytes: u64,
    /// Measured time in seconds.
    pub seconds: f64,
}

/// What a copy runs between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Between {
    /// Two places in one GPU's memory.
    Memory,
    /// Two GPUs.
    Gpus,
}

/// A copy.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CopyRow {
    /// From where to where.
    pub between: Between,
    /// Bytes copied.
    pub bytes: u64,
    /// Measured time in seconds.
    pub seconds: f64,
}

impl GemmRow {
    /// The rows of a `gemm_<gpu>` table.
    ///
    /// # Errors
    /// If a column is missing or of the wrong kind.
    pub fn of(table: &Table) -> Result<Rows<Self>, TableError> {
        let precision = precisions(table)?;
        let [m, n, k] = counts(table, ["m", "n", "k"])?;
        let seconds = seconds(table, "latency_us")?;
        Ok(collect(table, |row| {
            Ok(Self {
                precision: precision[row]?,
                m: m[row]?,
                n: n[row]?,
                k: k[row]?,
                seconds: seconds[row]?,
            })
        }))
    }
}

impl ExpertsRow {
    /// The rows of a `moe_<gpu>` table.
    ///
    /// # Errors
    /// If a column is missing or of the wrong kind.
    pub fn of(table: &Table) -> Result<Rows<Self>, TableError> {
        let precision = precisions(table)?;
        let names = ["tokens", "hidden", "inter", "top_k", "experts", "tp", "ep"];
        let [tokens, hidden, inter, top_k, experts, tp, ep] = counts(table, names)?;
        let (sources, laws) = (table.texts("kernel_source")?, table.texts("distribution")?);
        let seconds = seconds(table, "latency_us")?;
        Ok(collect(table, |row| {
            let popularity = laws[row].and_then(Popularity::named).ok_or("unknown distribution")?;
            let found = Self {
                source: sources[row].ok_or("no kernel_source")?.to_owned(),
                precision: precision[row]?,
                tokens: tokens[row]?,
                hidden: hidden[row]?,
                inter: inter[row]?,
                top_k: top_k[row]?,
                experts: experts[row]?,
                tp: tp[row]?,
                ep: ep[row]?,
                popularity,
                seconds: seconds[row]?,
            };
            let splits = found.experts.is_multiple_of(found.ep) && found.tp <= found.inter;
            let fits = splits && found.experts <= MOST_EXPERTS && found.tokens <= MOST_TOKENS;
            if fits && found.top_k <= found.experts { Ok(found) } else { Err("impossible shape") }
        }))
    }

    /// Inner size of an expert on this GPU.
    #[must_use]
    pub const fn local_inter(&self) -> u32 {
        self.inter.div_ceil(self.tp)
    }

    /// The shape that this GPU runs; `always_gated` as in the kernel's constants.
    #[must_use]
    pub const fn shape(&self, always_gated: bool) -> ExpertsShape {
        let squared_relu = is_squared_relu(self.inter, self.experts, self.top_k);
        ExpertsShape {
            hidden: self.hidden,
            inter: self.local_inter(),
            experts: self.experts / self.ep,
            top_k: self.top_k,
            gated: always_gated || !squared_relu,
        }
    }

    /// Slots of each expert of this GPU: of the hottest rank, when there are several.
    #[must_use]
    pub fn local_slots(&self) -> Vec<u32> {
        let slots = self.popularity.slots(self.tokens, self.experts, self.top_k);
        if self.ep == 1 { slots } else { self.popularity.hottest_rank(slots, self.ep) }
    }
}

/// More experts or tokens than any model or batch has: a damaged row must not exhaust memory.
const MOST_EXPERTS: u32 = 65_536;
const MOST_TOKENS: u32 = 1 << 22;

impl CollectiveRow {
    /// The rows of an `nccl_<gpu>` table.
    ///
    /// # Errors
    /// If a column is missing or of the wrong kind.
    pub fn of(table: &Table) -> Result<Rows<Self>, TableError> {
        let ops = table.texts("op")?;
        let [gpus] = counts(table, ["gpus"])?;
        let bytes = table.integers("bytes")?;
        let seconds = seconds(table, "latency_us")?;
        Ok(collect(table, |row| {
            Ok(Self {
                op: ops[row].and_then(CollectiveOp::named).ok_or("unknown op")?,
                gpus: gpus[row]?,
                bytes: bytes[row].and_then(|b| u64::try_from(b).ok()).ok_or("no bytes")?,
                seconds: seconds[row]?,
            })
        }))
    }
}

mod exchange;
mod hybrid;
pub use exchange::ExchangeRow;

/// A cell, or why it cannot be used.
pub(crate) type Cell<T> = Result<T, &'static str>;

/// Builds each row, counting the reasons of those that cannot be.
pub(crate) fn collect<R>(table: &Table, build: impl Fn(usize) -> Cell<R>) -> Rows<R> {
    let mut found = Rows { rows: Vec::with_capacity(table.rows()), skipped: BTreeMap::new() };
    for row in 0..table.rows() {
        match build(row) {
            Ok(built) => found.rows.push((row, built)),
            Err(reason) => *found.skipped.entry(reason).or_insert(0) += 1,
        }
    }
    found
}

/// Columns of positive whole numbers that fit 32 bits.
pub(crate) fn counts<const N: usize>(
    table: &Table,
    names: [&str; N],
) -> Result<[Vec<Cell<u32>>; N], TableError> {
    let cell = |v: &Option<i64>| {
        let fits = v.and_then(|v| u32::try_from(v).ok()).filter(|v| *v > 0);
        fits.ok_or("absent, negative, zero or huge size")
    };
    let mut columns = std::array::from_fn(|_| Vec::new());
    for (to, name) in columns.iter_mut().zip(names) {
        *to = table.integers(name)?.iter().map(cell).collect();
    }
    Ok(columns)
}

/// A column of times in microseconds, as seconds.
pub(crate) fn seconds(table: &Table, name: &str) -> Result<Vec<Cell<f64>>, TableError> {
    let cell = |v: Option<f64>| match v {
        None => Err("no latency"),
        Some(us) if us.is_nan() => Err("latency is NaN"),
        Some(us) if us <= 0.0 => Err("latency is not positive"),
        Some(us) if us > 1e12 => Err("latency beyond eleven days"),
        Some(us) => Ok(us * 1e-6),
    };
    Ok(table.numbers(name)?.into_iter().map(cell).collect())
}

fn precisions(table: &Table) -> Result<Vec<Cell<Precision>>, TableError> {
    let cell = |v: Option<&str>| v.and_then(Precision::named).ok_or("unknown dtype");
    Ok(table.texts("dtype")?.into_iter().map(cell).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::table::{Column, Texts};

    #[test]
    fn rows_that_cannot_be_used_are_counted_by_reason() {
        let words = vec!["bfloat16".to_owned(), "int4".to_owned()];
        let dtype = Texts { words, ids: vec![Some(0), Some(0), Some(0), Some(1), Some(0)] };
        let ones = || Column::Integers(vec![Some(1), Some(-1), Some(1), Some(1), Some(1)]);
        let latency = [Some(2.0), Some(2.0), Some(0.0), Some(2.0), Some(f64::NAN)];
        let table = Table::new("gemm_x")
            .with("dtype", Column::Texts(dtype))
            .with("m", ones())
            .with("n", ones())
            .with("k", ones())
            .with("latency_us", Column::Numbers(latency.to_vec()));
        let found = GemmRow::of(&table).unwrap();
        assert_eq!(found.rows.len(), 1);
        let reasons: Vec<(&str, usize)> = found.skipped.into_iter().collect();
        assert_eq!(
            reasons,
            [
                ("absent, negative, zero or huge size", 1),
                ("latency is NaN", 1),
                ("latency is not positive", 1),
                ("unknown dtype", 1),
            ]
        );
    }
}
