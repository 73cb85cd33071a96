//! Fused MoE experts of one GPU: two grouped GEMMs, the activation between, permute and sum.
//!
//! With G = 2 matrices before the activation when it is gated (SwiGLU) and 1 when it is not
//! (squared ReLU), c_e slots at expert e, S = Σ c_e slots from t tokens, A experts that have any, and the
//! matrices as two grouped GEMMs (N, K) = (G·I, H) and (H, I), in blocks of bm × bn that go through K in
//! steps of bk, gm row blocks sharing what they load of the weights ([`tiles`] says which):
//!
//! ```text
//!   blocks = Σ_e ⌈c_e/bm⌉ · ⌈N/bn⌉,    x = blocks/SMs                                           (1)
//!   t_work = x · ( 2·bm·bn·K / (F/SMs·η) + b·K·(bm + bn) / (λ·B/SMs) + r + ⌈K/bk⌉·t_step + t_block )   (2)
//!   r      = K·(bm + bn) / ρ where K is no multiple of 16, else 0                              (2a)
//!   t_wait = max(1, x/o) · ⌈K/bk⌉ · t_lat / max(1, stages − 1)                                  (2b)
//!   o      = min( 160 KB / (max(1, stages − 1)·bk·(bm + bn)·b), 32/warps, 39322/(bm·bn) ), at least 1
//!   t_mem  = ( b·N·K·( A·(1 − h + h/(1 + s)) + ψ·X )/ν + 2·S·(K + N) ) / (B·η_m)               (3)
//!   X      = max(0, Σ_e ⌈c_e/(bm·gm)⌉ − A),    ν = 1 where b·bk ≥ 128 bytes                     (3a)
//!   h      = 1 / (1 + (W/C)^8),   W = b·A·(G + 1)·H·I                                          (3b)
//!   t_gemm = ( (t_work + t_wait)^p + t_mem^p )^(1/p)                                           (4)
//!   T      = t_launch + Σ t_gemm + ( 2·S·((G + 1)·I + H) + 4·t·H ) / (B·η_t)                   (5)
//! ```
//!
//! (1) pads every expert to whole tiles, (3) reads the weights of active experts once: what is
//! lost to skew is in the counts alone. Blocks of different experts share the SMs without a
//! barrier, so (2) has no ceiling. (2) is arithmetic (η of its own for tiles of fewer than 64 rows, which
//! cannot use the widest matrix instructions), loads from L2 at λ times the memory's rate, and what a step and
//! a block cost besides. (2b) is the time to wait for loads where few blocks run, o on an SM at once, by what
//! they keep in shared memory, warps and registers. Where K is no multiple of 16 elements, Triton cannot
//! show loads to be aligned and loads one element at a time, ρ elements per second and SM (2a): such splits are a
//! third to a half slower. A step that is less deep than a cache line of 128 bytes fetches lines in halves
//! (ν, about 0.7), and weights are fetched again, mostly from L2 (ψ, about 0.08), once for each group of row
//! blocks (3a). All shares of peaks are at most 0.95.
//!
//! (3b): weights W that fit the L2 cache C stay there from one timed run to the next and are read
//! 1 + s times faster. A model of many layers never finds them there, which is worth remembering
//! for a device with a large cache and few active experts.
//!
//! Slots of other ranks' experts (expert parallelism without a dispatch, as public tables were
//! measured) are skipped by the products, but their rows are zeroed, activated and summed: they count
//! as S does in (5), with 2·(G·I + H) bytes more each.
//!
//! Constants alone are off by 4 to 6 % at the median and 15 to 26 % at the 90th percentile on models left out
//! of their fit (`evidence.prior` in profiles has each family's). Left out: clocks that fall under load, and how row blocks and columns
//! share L2 beyond (3a).

pub mod tiles;

use tiles::{Tile, TileRule};

use crate::kernels::Device;
use crate::kernels::gemm::p_norm;
use crate::kernels::precision::Precision;

/// In the coordinates of a measured shape: every slot of the tokens is the rank's own.
pub const OWN: u32 = 1;
/// In the coordinates of a measured shape: some slots of the tokens are other ranks'.
pub const FOREIGN: u32 = 2;

/// The constants of (2)–(5).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ExpertsPrior {
    /// t_launch of the whole chain of kernels, in seconds.
    pub launch_s: f64,
    /// η of tiles of fewer than 64 rows: share of peak arithmetic.
    pub small_efficiency: f64,
    /// η of tiles of 64 rows and more.
    pub large_efficiency: f64,
    /// λ: loads from L2 as a multiple of the memory's bandwidth.
    pub cache_bandwidth: f64,
    /// t_step, in seconds.
    pub step_s: f64,
    /// t_block, in seconds.
    pub block_s: f64,
    /// t_lat, in seconds.
    pub latency_s: f64,
    /// ρ: elements loaded one at a time, per second and SM.
    pub ragged_rate: f64,
    /// η_m: share of peak memory bandwidth.
    pub memory_efficiency: f64,
    /// ν of (3).
    pub narrow_efficiency: f64,
    /// ψ of (3).
    pub refetched: f64,
    /// p of (4).
    pub sharpness: f64,
    /// η_t: share of peak memory bandwidth in activation, permute and sum.
    pub traffic_efficiency: f64,
    /// C of (3b), from the data sheet, in bytes.
    pub cache_bytes: f64,
    /// s of (3).
    pub cache_speedup: f64,
    /// Whether this kernel was timed with a gate for models of [`is_squared_relu`] too.
    pub always_gated: bool,
    /// How the kernel chooses its tiles.
    pub tiles: TileRule,
    /// How it chose them where the residuals were measured, if that is another device.
    pub measured_tiles: TileRule,
    /// How wide intervals are.
    pub interval: Option<Interval>,
}

/// Half-widths of intervals of nine in ten, in logarithms and units of σ of the kriging
/// ([`crate::kernels::curves`], equation 5), from models left out in turn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// Where experts of the same kind (few or many, tuned or not) were measured: the split-conformal one over
    /// all rows left out.
    pub known: f64,
    /// Where none were: models are what is exchangeable, so the ⌈0.9·(S + 1)⌉-th of S models' 90th percentiles.
    pub absent: f64,
}

impl Interval {
    /// This many times as wide.
    #[must_use]
    pub fn widened(self, factor: f64) -> Self {
        Self { known: self.known * factor, absent: self.absent * factor }
    }
}

/// Whether experts are known to use squared ReLU without a gate: NVIDIA's Nemotron 3 family, whose
/// measurements are not marked as such. They are a third faster where the kernel knows it. What tells them
/// apart is all but the hidden size, which variants with a latent in front of the experts change.
#[must_use]
pub const fn is_squared_relu(inter: u32, experts: u32, top_k: u32) -> bool {
    matches!((inter, experts, top_k), (1856, 128, 6) | (2688 | 5120, 512, 22))
}

/// The experts that one GPU holds, as the kernel sees them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ExpertsShape {
    /// H: size of a token.
    pub hidden: u32,
    /// I: inner size of an expert on this GPU.
    pub inter: u32,
    /// FFN experts of this GPU.
    pub experts: u32,
    /// Experts chosen for each token.
    pub top_k: u32,
    /// Whether the activation is gated (SwiGLU, three matrices) or not (two).
    pub gated: bool,
}

/// The least and the greatest power of two whose row blocks are counted: 8 rows, and 256 × 128.
const LEAST: u32 = 3;
const POWERS: usize = 13;

/// What equations (1), (3) and (5) need to know of the counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExpertsLoad {
    /// t: tokens that enter.
    pub tokens: u64,
    /// S: slots computed.
    pub slots: u64,
    /// A: experts that compute any.
    pub active: u64,
    /// Σ ⌈c/2^j⌉ from j = 3.
    blocks: [u64; POWERS],
    /// Σ c², for the skew.
    pub squares: u128,
    /// Slots of these tokens that other GPUs compute, which this one's kernels touch all the same.
    pub foreign: u64,
}

impl ExpertsLoad {
    /// The load of these slots per expert; `top_k` slots make a token.
    #[must_use]
    pub fn of(slots_per_expert: &[u32], top_k: u32) -> Self {
        let (mut slots, mut active, mut squares) = (0_u64, 0_u64, 0_u128);
        let mut blocks = [0_u64; POWERS];
        for &c in slots_per_expert.iter().filter(|&&c| c > 0) {
            let c = u64::from(c);
            slots += c;
            active += 1;
            squares += u128::from(c) * u128::from(c);
            for (power, sum) in blocks.iter_mut().enumerate() {
                *sum += ((c - 1) >> (LEAST as usize + power)) + 1;
            }
        }
        let tokens = slots.div_ceil(u64::from(top_k.max(1)));
        Self { tokens, slots, active, blocks, squares, foreign: 0 }
    }

    /// The same slots among those of `tokens` tokens of `top_k` slots, the rest of which belong to
    /// experts of other GPUs.
    #[must_use]
    pub fn among(self, tokens: u32, top_k: u32) -> Self {
        let all = u64::from(tokens) * u64::from(top_k);
        Self { tokens: tokens.into(), foreign: all.saturating_sub(self.slots), ..self }
    }

    /// ln( n·Σc² / (Σc)² ) over `experts` = n: zero when all counts are equal.
    #[must_use]
    pub fn log_skew(&self, experts: u32) -> f64 {
        let slots = self.slots as f64;
        if self.slots == 0 {
            0.0
        } else {
            (f64::from(experts) * self.squares as f64 / (slots * slots)).ln()
        }
    }

    /// Σ ⌈c/rows⌉ for a power of two.
    fn row_blocks(&self, rows: u32) -> f64 {
        let power = rows.max(1).ilog2().saturating_sub(LEAST) as usize;
        self.blocks[power.min(POWERS - 1)] as f64
    }
}

/// One product of (4): N, K and its tile.
struct Product {
    n: f64,
    k: f64,
    ragged: bool,
    tile: Tile,
}

/// Shared memory of an SM and registers for sums, of which (2b) counts blocks.
const SHARED_BYTES: f64 = 160e3;
const SUMS: f64 = 39_322.0;

impl ExpertsPrior {
    /// h of (3b), for the weights of this many experts.
    #[must_use]
    pub fn cached(&self, precision: Precision, shape: ExpertsShape, active: u64) -> f64 {
        Self::cached_of(self.cache_bytes, precision, shape, active)
    }

    /// h of (3b), for a cache of this size.
    #[must_use]
    pub fn cached_of(bytes: f64, precision: Precision, shape: ExpertsShape, active: u64) -> f64 {
        let [h, i] = [shape.hidden, shape.inter].map(f64::from);
        let matrices = if shape.gated { 3.0 } else { 2.0 };
        let weights = precision.bytes() * active as f64 * matrices * h * i;
        1.0 / (1.0 + (weights / bytes.max(1.0)).powi(8))
    }

    /// The time of equation (5), in seconds; nothing at all when there are no slots.
    #[must_use]
    pub fn seconds(
        &self,
        device: &Device,
        precision: Precision,
        shape: ExpertsShape,
        load: &ExpertsLoad,
    ) -> f64 {
        if load.slots == 0 {
            return 0.0;
        }
        let [h, i] = [shape.hidden, shape.inter].map(f64::from);
        let before = if shape.gated { 2.0 } else { 1.0 };
        let hit = self.cached(precision, shape, load.active);
        let read = load.active as f64 * (1.0 - hit + hit / (1.0 + self.cache_speedup));
        let [up, down] = self.tiles.tiles(precision, shape, load.tokens);
        let product = |n: f64, k: f64, size: u32, tile: Tile| Product {
            n,
            k,
            ragged: !size.is_multiple_of(16),
            tile,
        };
        let products = [product(before * i, h, shape.hidden, up), product(h, i, shape.inter, down)];
        let gemms: f64 =
            products.iter().map(|p| self.product(device, precision, load, p, read)).sum();
        let (slots, foreign) = (load.slots as f64, load.foreign as f64);
        let zeroed = 2.0 * foreign * (before * i + h);
        let traffic = 2.0 * (slots + foreign) * ((before + 1.0) * i + h)
            + 4.0 * load.tokens as f64 * h
            + zeroed;
        let bandwidth = device.memory_bandwidth.bytes_per_sec();
        self.launch_s + gemms + traffic / (bandwidth * self.traffic_efficiency)
    }

    /// Equation (4), `read` being how many experts' weights come from memory.
    fn product(
        &self,
        device: &Device,
        precision: Precision,
        load: &ExpertsLoad,
        product: &Product,
        read: f64,
    ) -> f64 {
        let &Product { n, k, ragged, tile } = product;
        let [bm, bn, bk] = [tile.rows, tile.columns, tile.depth].map(f64::from);
        let (b, sms) = (precision.bytes(), f64::from(device.sms));
        let bandwidth = device.memory_bandwidth.bytes_per_sec();
        let share = if tile.rows < 64 { self.small_efficiency } else { self.large_efficiency };
        let (steps, flight) = ((k / bk).ceil(), (f64::from(tile.stages) - 1.0).max(1.0));
        let each = 2.0 * bm * bn * k / (device.peak(precision).flops_per_sec() / sms * share)
            + b * k * (bm + bn) / (self.cache_bandwidth * bandwidth / sms)
            + if ragged { k * (bm + bn) / self.ragged_rate } else { 0.0 }
            + steps * self.step_s
            + self.block_s;
        let busy = load.row_blocks(tile.rows) * (n / bn).ceil() / sms;
        let at_once = (SHARED_BYTES / (flight * bk * (bm + bn) * b))
            .min(32.0 / f64::from(tile.warps.max(1)))
            .min(SUMS / (bm * bn))
            .max(1.0);
        let wait = (busy / at_once).max(1.0) * steps * self.latency_s / flight;
        let groups = load.row_blocks(tile.rows.saturating_mul(tile.group));
        let again = self.refetched * (groups - load.active as f64).max(0.0);
        let narrow = if b * bk < 128.0 { self.narrow_efficiency } else { 1.0 };
        let bytes = b * n * k * (read + again) / narrow + 2.0 * load.slots as f64 * (k + n);
        let memory = bytes / (bandwidth * self.memory_efficiency);
        p_norm(busy * each + wait, memory, self.sharpness)
    }
}
