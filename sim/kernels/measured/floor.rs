//! The least that experts can take: what physics leaves no kernel below.
//!
//! With the terms of [`crate::kernels::experts`], peaks F and B of the data sheet, and the share h of weights that a
//! benchmark can find in its cache of C bytes,
//!
//! ```text
//!   T >= max( b·A·(G + 1)·H·I·(1 − h) / B,   2·S·(G + 1)·H·I / F )                            (1)
//!   h  = min( 1, C / (b·A·(G + 1)·H·I) )
//! ```
//!
//! Some measured rows lie below it, and [`refused`] says which no fit and no judgement may use. Of rows on one
//! rank these are, on H100, 74 balanced ones of DeepSeek-V3's shape in fp8_block (7168 × 2048, 256 experts), down
//! to 0.56 of (1). From 32 to 256 tokens they take exactly half of what the same kernel takes for 6144 × 2048 by
//! hidden size, and the same from 8,192 tokens on, where rows count and not weights: the benchmark let all
//! tokens choose among half of the experts, as DeepSeek-V3's gate chooses 4 of 8 groups. Power laws of that
//! shape are not halved. So where more than a tenth of a law's rows lie below, the counts are not what the law
//! says, and all its rows go; single rows go alone. No prediction lies below: in a run the counts say which experts are active.

use std::collections::BTreeMap;

use crate::kernels::Device;
use crate::kernels::experts::{ExpertsLoad, ExpertsShape};
use crate::kernels::measurements::ExpertsRow;
use crate::kernels::profile::Precision;
use crate::kernels::skew::Popularity;

/// The experts' work of one GPU.
#[derive(Clone, Copy, Debug)]
pub struct Work {
    /// The format.
    pub precision: Precision,
    /// The experts.
    pub shape: ExpertsShape,
    /// S: rows computed.
    pub slots: u64,
    /// A: experts that compute any.
    pub active: u64,
}

impl Work {
    fn per_row(&self) -> f64 {
        let matrices = if self.shape.gated { 3.0 } else { 2.0 };
        let [hidden, inter] = [self.shape.hidden, self.shape.inter].map(f64::from);
        matrices * hidden * inter
    }

    /// Bytes of the weights of active experts.
    fn weights(&self) -> f64 {
        self.precision.bytes() * self.active as f64 * self.per_row()
    }

    /// (1) in seconds, with the share of weights that is in the cache.
    #[must_use]
    pub fn seconds(&self, device: &Device, cached: f64) -> f64 {
        let weights = self.weights() * (1.0 - cached);
        let arithmetic = 2.0 * self.slots as f64 * self.per_row();
        let by_memory = weights / device.memory_bandwidth.bytes_per_sec();
        by_memory.max(arithmetic / device.peak(self.precision).flops_per_sec())
    }
}

/// A row with its shape and load.
pub type Loaded<'r> = (&'r ExpertsRow, ExpertsShape, ExpertsLoad);

/// Why a single row is refused.
pub const TOO_FAST: &str =
    "faster than its weights at the memory's peak or its products at the arithmetic's";
/// Why all rows of a law are.
pub const NOT_THE_LAW: &str = "of a shape and law of which a tenth is faster than the memory's peak: its counts are not the law's";
/// The share of a law's rows on one rank that may lie below.
const MOST_BELOW: f64 = 0.1;

/// For each row why it is refused, if it is; `cache_bytes` is what may lie in the cache from one timing to the next.
#[must_use]
pub fn refused(
    rows: &[Loaded<'_>],
    device: &Device,
    cache_bytes: f64,
) -> Vec<Option<&'static str>> {
    let below = |(row, shape, load): &Loaded<'_>| {
        let work = Work {
            precision: row.precision,
            shape: *shape,
            slots: load.slots,
            active: load.active,
        };
        row.seconds < work.seconds(device, (cache_bytes / work.weights()).min(1.0))
    };
    let law = |row: &ExpertsRow| match row.popularity {
        Popularity::Balanced => 0,
        Popularity::PowerLaw(exponent) => exponent.to_bits(),
    };
    let key = |row: &ExpertsRow| {
        let sizes = [row.hidden, row.inter, row.experts, row.top_k];
        (row.source.clone(), row.precision, sizes, law(row))
    };
    let is_below: Vec<bool> = rows.iter().map(below).collect();
    let mut shares: BTreeMap<_, (usize, usize)> = BTreeMap::new();
    for ((row, ..), below) in rows.iter().zip(&is_below).filter(|((row, ..), _)| row.ep == 1) {
        let (some, all) = shares.entry(key(row)).or_default();
        *some += usize::from(*below);
        *all += 1;
    }
    let odd = |row: &ExpertsRow| {
        shares.get(&key(row)).is_some_and(|(some, all)| *some as f64 > MOST_BELOW * *all as f64)
    };
    let reason = |((row, ..), below): (&Loaded<'_>, &bool)| {
        if odd(row) { Some(NOT_THE_LAW) } else { below.then_some(TOO_FAST) }
    };
    rows.iter().zip(&is_below).map(reason).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::devices::DataSheet;

    fn row(tokens: u32, popularity: Popularity, seconds: f64) -> ExpertsRow {
        ExpertsRow {
            source: "any".to_owned(),
            precision: Precision::Bf16,
            tokens,
            hidden: 4096,
            inter: 4096,
            top_k: 8,
            experts: 64,
            tp: 1,
            ep: 1,
            popularity,
            seconds,
        }
    }

    #[test]
    fn a_row_below_the_floor_goes_alone_and_a_law_of_many_goes_whole() {
        let device = DataSheet::named("a100-sxm").map(DataSheet::device).unwrap();
        let skewed = Popularity::PowerLaw(1.2);
        // All 64 experts' weights: 6.4 GB, 3.2 ms at the peak.
        let mut rows: Vec<ExpertsRow> =
            (0..20).map(|i| row(64, skewed, if i == 0 { 1e-3 } else { 5e-3 })).collect();
        rows.extend(
            (0..20).map(|i| row(64, Popularity::Balanced, if i < 3 { 2e-3 } else { 5e-3 })),
        );
        let loaded: Vec<Loaded<'_>> = rows
            .iter()
            .map(|r| (r, r.shape(true), ExpertsLoad::of(&r.local_slots(), r.top_k)))
            .collect();
        let refused = refused(&loaded, &device, 40e6);
        assert_eq!(refused[0], Some(TOO_FAST));
        assert!(refused[1..20].iter().all(Option::is_none));
        assert!(refused[20..].iter().all(|reason| *reason == Some(NOT_THE_LAW)));
    }
}
