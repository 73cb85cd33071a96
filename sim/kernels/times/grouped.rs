//! Experts as one grouped GEMM per product, derived from the table of dense GEMMs.
//!
//! cuBLAS, TransformerEngine and DeepGEMM run all experts of a GPU in one launch per product: tiles of
//! different experts fill the SMs together, and each expert's weights are read. With c_e rows at expert e,
//! S = Σ c_e, A experts that have any, c̄ = S/A, and products (N, K) = (G·I, H), G = 2 when gated, and (H, I),
//!
//! ```text
//!   t_mul  = time of Σ_e ⌈c_e/bm⌉·⌈N/bn⌉ tiles, as for a dense GEMM          equation (3) of `gemm`       (1)
//!   t_mem  = ( b·(S·K + A·K·N) + 2·S·N ) / (B · η_m)                                          (2)
//!   ρ(m)   = T(m; N, K) / prior(m; N, K)            what the dense table leaves over           (3)
//!   t_gemm = t_launch·ρ(S) + ( min_(bm,bn,s) (t_mul·ρ(S))^p + (t_mem·ρ(c̄))^p )^(1/p)        (4)
//!   T      = Σ t_gemm + act(S·(2·G·I + b·I)) + [A_local > 1] sort(S·(2·b·H + 4·H))             (5)
//! ```
//!
//! T(m; N, K) is the dense table's time (`times`), prior its constants' ([`crate::kernels::gemm`]). Arithmetic is
//! corrected as a dense product of all rows is, because together the experts fill the SMs as it does;
//! memory traffic as a dense product of one expert's rows, because that has the same operations per byte. One
//! expert with all rows takes exactly the dense table's time. A separate launch per expert, as a loop
//! over dense products pays, is not charged: there is one per product.
//!
//! act is one memory-bound kernel, which reads both halves in 16 bits and writes their product in b bytes;
//! sort are two kernels that put rows in the order of local experts before and back after, where there
//! is more than one local expert. Rows are counted in multiples of 16 in (3), as grouped libraries pad.
//!
//! Left out: padding of each expert to an alignment in memory, a scheduler's cost per group, and quantising
//! activations where the dispatch has not done it.

use crate::base::units::SimDuration;
use crate::kernels::gemm::{GemmPrior, Tiles};
use crate::kernels::profile::{Family, Precision};
use crate::kernels::times::{GemmTimes, known};
use crate::kernels::{Device, Support, experts::ExpertsShape, floor};

/// Times of the experts of one GPU by grouped GEMMs.
#[derive(Clone, Debug)]
pub struct GroupedTimes {
    device: Device,
    precision: Precision,
    shape: ExpertsShape,
    /// Dense times of G·I × H and H × I.
    products: [GemmTimes; 2],
    /// Sustained memory bandwidth, and the launch of a kernel that only moves memory.
    bytes_per_s: f64,
    launch_s: f64,
}

impl GroupedTimes {
    /// Times for a shape, from dense GEMMs' family and the memory-bound kernels' rate.
    #[must_use]
    pub fn new(
        family: &Family<GemmPrior>,
        (device, precision): (Device, Precision),
        shape: ExpertsShape,
        (bytes_per_s, launch): (f64, SimDuration),
    ) -> Self {
        let halves = if shape.gated { 2 } else { 1 };
        let of = |n: u32, k: u32| known::dense(family, device, precision, (n, k));
        let products =
            [of(shape.inter.saturating_mul(halves), shape.hidden), of(shape.hidden, shape.inter)];
        let launch_s = launch.secs();
        Self { device, precision, shape, products, bytes_per_s, launch_s }
    }

    /// The dense family that the times are derived from, and how near its own shapes are.
    #[must_use]
    pub fn source(&self) -> String {
        let distance = |dense: &GemmTimes| match dense.support() {
            Support::Interpolated { distance } => *distance,
            _ => 0.0,
        };
        let [up, down] = self.products.each_ref().map(distance);
        let farther = if up >= down { &self.products[0] } else { &self.products[1] };
        format!("dense GEMMs in {}: {}", self.precision.short(), farther.support())
    }

    /// (5) in seconds; nothing without slots.
    #[must_use]
    pub fn seconds(&self, slots_per_expert: &[u32]) -> f64 {
        let slots: u64 = slots_per_expert.iter().map(|&c| u64::from(c)).sum();
        let active = slots_per_expert.iter().filter(|&&c| c > 0).count();
        if slots == 0 {
            return 0.0;
        }
        let load = Load { slots, active: active as u64, rows: slots_per_expert };
        let products: f64 = self.products.iter().map(|dense| Self::product(dense, &load)).sum();
        let work = floor::Work {
            precision: self.precision,
            shape: self.shape,
            slots,
            active: active as u64,
        };
        (products + self.moved(slots as f64)).max(work.seconds(&self.device, 0.0))
    }

    /// Time for these slots of each expert.
    #[must_use]
    pub fn time(&self, slots_per_expert: &[u32]) -> SimDuration {
        SimDuration::from_secs(self.seconds(slots_per_expert))
    }

    /// The last two terms of (5); nothing without slots.
    #[must_use]
    pub fn moved_time(&self, slots_per_expert: &[u32]) -> SimDuration {
        let slots: u64 = slots_per_expert.iter().map(|&c| u64::from(c)).sum();
        SimDuration::from_secs(if slots == 0 { 0.0 } else { self.moved(slots as f64) })
    }

    /// (4).
    fn product(dense: &GemmTimes, load: &Load<'_>) -> f64 {
        let all = left_over(dense, load.slots);
        let each = left_over(dense, load.slots.div_ceil(load.active));
        let tiles = Tiles {
            rows: load.slots as f64,
            groups: load.active as f64,
            // Heights are powers of two.
            of_height: &|bm| {
                let (up, shift) = (bm as u64 - 1, (bm as u64).trailing_zeros());
                load.rows.iter().map(|&c| (u64::from(c) + up) >> shift).sum::<u64>() as f64
            },
        };
        dense.prior().grouped(&tiles, (all, each))
    }

    /// The last two terms of (5).
    fn moved(&self, slots: f64) -> f64 {
        let [hidden, inter] = [self.shape.hidden, self.shape.inter].map(f64::from);
        let (b, halves) = (self.precision.bytes(), if self.shape.gated { 2.0 } else { 1.0 });
        let kernel =
            |bytes: f64, launches: f64| launches * self.launch_s + bytes / self.bytes_per_s;
        let activation = kernel(slots * (2.0 * halves * inter + b * inter), 1.0);
        let sorts = self.shape.experts > 1;
        let sort = if sorts { kernel(slots * (2.0 * b * hidden + 4.0 * hidden), 2.0) } else { 0.0 };
        activation + sort
    }
}

/// (3) at a number of rows, in multiples of 16.
fn left_over(dense: &GemmTimes, rows: u64) -> f64 {
    let m = u32::try_from(rows.next_multiple_of(16)).unwrap_or(u32::MAX / 16 * 16);
    let prior = dense.prior().seconds(m);
    if prior > 0.0 { dense.seconds(m) / prior } else { 1.0 }
}

/// Rows of each expert, their sum, and how many experts have any.
struct Load<'a> {
    slots: u64,
    active: u64,
    rows: &'a [u32],
}
