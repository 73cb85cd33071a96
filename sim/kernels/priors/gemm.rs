//! Dense GEMM of M×K by K×N: tiles in waves over the SMs, or memory, whichever lasts.
//!
//! For each tile shape (bm, bn) of a fixed menu and each split s of the inner dimension,
//!
//! ```text
//!   waves = ⌈ ⌈M/bm⌉ · ⌈N/bn⌉ · s / SMs ⌉                                     (1)
//!   i     = bm·bn / (bm + bn)                 multiplications a loaded number   (2)
//!   e     = η_c · i/(i + i_half) · (128 + i_half)/128
//!   t_mul = waves · ( 2·bm·bn·(K/s) / (F/SMs · e) + t_wave )                      (3)
//!           + [s > 1] ( 4·M·N·s / (B · η_m · σ) + t_wave )
//!   t_mem = ( b·(M·K + K·N) + 2·M·N ) / (B · η_m)                               (4)
//!   T     = t_launch + ( min_(bm,bn,s) t_mul^p + t_mem^p )^(1/p)                (5)
//! ```
//!
//! F and B are the data sheet's peaks for the precision of b bytes; the seven constants η_c, η_m,
//! t_wave, i_half, σ, p, t_launch are fitted for each device and precision. The library's choice of
//! kernel is taken to be the best of the menu, as its heuristics intend. (1)–(3) are tile and wave
//! quantisation as in [neusight25, §4]; (5)'s p-norm blends overlap of loads and arithmetic.
//! Each branch of (5) is monotone in M, N and K for tiles of any size, and so is their minimum.
//!
//! The prior alone is off by a median of 5 to 7 %; the profile states its error, and that of
//! the table-corrected time, for every device.

use crate::kernels::precision::Precision;
use crate::kernels::{Curve, Device};

/// Tiles a library chooses among, rows × columns.
const TILES: [(f64, f64); 9] = [
    (256.0, 256.0),
    (256.0, 128.0),
    (128.0, 256.0),
    (128.0, 128.0),
    (128.0, 64.0),
    (64.0, 128.0),
    (64.0, 64.0),
    (32.0, 64.0),
    (16.0, 64.0),
];
/// Intensity of the largest tile.
const LARGEST: f64 = 128.0;
/// Splits of the inner dimension.
const SPLITS: [f64; 4] = [1.0, 2.0, 4.0, 8.0];

/// The constants of (3)–(5).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GemmPrior {
    /// t_launch, in seconds.
    pub launch_s: f64,
    /// η_c: share of peak arithmetic that the largest tile, of intensity 128, reaches.
    pub compute_efficiency: f64,
    /// η_m: share of peak memory bandwidth.
    pub memory_efficiency: f64,
    /// t_wave, in seconds.
    pub wave_s: f64,
    /// i_half: intensity at which half of what boundless tiles would reach is reached.
    pub half_intensity: f64,
    /// σ: how much faster than memory partial sums of a split travel (they stay in the L2 cache).
    pub split_speedup: f64,
    /// p of (5).
    pub sharpness: f64,
}

/// M, N and K of a GEMM.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct GemmShape {
    /// Rows of the left matrix: tokens.
    pub m: u32,
    /// Columns of the right matrix.
    pub n: u32,
    /// The inner dimension.
    pub k: u32,
}

/// Rows of one launch: their sum, the products that they belong to, and row blocks of tiles of a height.
pub(in crate::kernels) struct Tiles<'a> {
    /// Σ m.
    pub(in crate::kernels) rows: f64,
    /// Products, each with a right matrix of its own.
    pub(in crate::kernels) groups: f64,
    /// Σ ⌈m/bm⌉, by bm.
    pub(in crate::kernels) of_height: &'a dyn Fn(f64) -> f64,
}

/// The prior for one (N, K) on a device in one format: what no number of rows changes is worked out.
#[derive(Clone, Copy, Debug)]
pub struct ShapePrior {
    prior: GemmPrior,
    n: f64,
    k: f64,
    /// Bytes of a number, sustained bytes a second, and SMs.
    bytes: f64,
    memory: f64,
    sms: f64,
    /// ⌈N/bn⌉ by tile, and what a wave takes by tile and split.
    columns: [f64; TILES.len()],
    waves: [[f64; SPLITS.len()]; TILES.len()],
}

impl ShapePrior {
    /// The time of equation (5) for M = `m`, in seconds.
    #[must_use]
    pub fn seconds(&self, m: u32) -> f64 {
        let rows = f64::from(m);
        let tiles = Tiles { rows, groups: 1.0, of_height: &|bm| up(rows / bm) };
        self.grouped(&tiles, (1.0, 1.0))
    }

    /// The time of (5) of one launch for several products, whose own rows and tiles are given; arithmetic and memory
    /// traffic take `factors` times as long as the constants say.
    #[must_use]
    pub(in crate::kernels) fn grouped(
        &self,
        rows: &Tiles<'_>,
        (of_mul, of_mem): (f64, f64),
    ) -> f64 {
        let &Self { prior, n, k, bytes, memory, sms, .. } = self;
        let m = rows.rows;
        let t_mem = (bytes * (m * k + rows.groups * k * n) + 2.0 * m * n) / memory;
        // What adding parts up costs, whatever the tile.
        let sums = SPLITS.map(|split| {
            let sums = 4.0 * m * n * split / (memory * prior.split_speedup) + prior.wave_s;
            if split > 1.0 { sums } else { 0.0 }
        });
        let (mut t_mul, mut of_height) = (f64::INFINITY, (0.0, 0.0));
        for (((bm, _), columns), waves) in TILES.iter().zip(&self.columns).zip(&self.waves) {
            if of_height.0 != *bm {
                of_height = (*bm, (rows.of_height)(*bm));
            }
            // Splits are powers of two, so that they may be multiplied with after the division.
            let filled = of_height.1 * columns / sms;
            for ((split, wave), sums) in SPLITS.iter().zip(waves).zip(sums) {
                t_mul = t_mul.min(up(filled * split) * wave + sums);
            }
        }
        prior.launch_s * of_mul + p_norm(t_mul * of_mul, t_mem * of_mem, prior.sharpness)
    }
}

impl GemmPrior {
    /// The time of equation (5), in seconds.
    #[must_use]
    pub fn seconds(&self, device: &Device, precision: Precision, shape: GemmShape) -> f64 {
        self.of(device, precision, (shape.n, shape.k)).seconds(shape.m)
    }

    /// That of one (N, K).
    #[must_use]
    pub fn of(&self, device: &Device, precision: Precision, (n, k): (u32, u32)) -> ShapePrior {
        let (n, k) = (f64::from(n), f64::from(k));
        let waves = TILES.map(|(bm, bn)| {
            let per_wave = self.rate_of(device, precision, bm, bn);
            SPLITS.map(|split| 2.0 * bm * bn * (k / split) / per_wave + self.wave_s)
        });
        ShapePrior {
            prior: *self,
            n,
            k,
            bytes: precision.bytes(),
            memory: device.memory_bandwidth.bytes_per_sec() * self.memory_efficiency,
            sms: f64::from(device.sms),
            columns: TILES.map(|(_, bn)| up(n / bn)),
            waves,
        }
    }

    /// Operations a second of one SM working on tiles of this size.
    fn rate_of(&self, device: &Device, precision: Precision, bm: f64, bn: f64) -> f64 {
        let intensity = bm * bn / (bm + bn);
        let peak = device.peak(precision).flops_per_sec() / f64::from(device.sms);
        let saturation = intensity / (intensity + self.half_intensity);
        peak * self.compute_efficiency * saturation * (1.0 + self.half_intensity / LARGEST)
    }

    /// Time over M for one (N, K): the prior at knots of M, corrected by the log residual at each.
    #[must_use]
    pub fn curve(
        &self,
        device: &Device,
        precision: Precision,
        (n, k): (u32, u32),
        knots: &[(f64, f64)],
    ) -> Curve {
        let prior = self.of(device, precision, (n, k));
        Curve::new(knots.iter().map(|&(m, r)| (m, prior.seconds(m as u32) * r.exp())).collect())
    }
}

/// ⌈x⌉ of what lies between 0 and 2⁶³, where `ceil` is a call on processors that may lack the instruction.
fn up(x: f64) -> f64 {
    let whole = x as i64 as f64;
    if whole < x { whole + 1.0 } else { whole }
}

/// `(a^p + b^p)^(1/p)`: the larger of two times that overlap, rounded off where they meet.
#[must_use]
pub(crate) fn p_norm(a: f64, b: f64, p: f64) -> f64 {
    let (small, large) = if a < b { (a, b) } else { (b, a) };
    if large == 0.0 { 0.0 } else { large * (1.0 + (small / large).powf(p)).powf(1.0 / p) }
}
