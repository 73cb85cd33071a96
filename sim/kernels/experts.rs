//! Fused MoE experts of one GPU: two grouped GEMMs, the activation between, permute and sum.
//!
//! With G = 2 matrices before the activation when it is gated (SwiGLU) and 1 when it is not
//! (squared ReLU), c_e slots at expert e, S = Σ c_e slots from t tokens, A experts that have any, and the
//! matrices as two grouped GEMMs (N, K) = (G·I, H) and (H, I), for tiles of bm × bn,
//!
//! ```text
//!   blocks = Σ_e ⌈c_e/bm⌉ · ⌈N/bn⌉                                              (1)
//!   t_mul  = max(1, blocks/SMs) · ( 2·bm·bn·K / (F/SMs · η_c) + t_block )       (2)
//!   t_mem  = ( b·A·N·K·(1 − h + h/(1 + s)) + 2·S·(K + N) ) / (B · η_m)          (3)
//!   h      = 1 / (1 + (W/C)^8),   W = b·A·(G + 1)·H·I                           (3a)
//!   t_gemm = ( t_mul^p + t_mem^p )^(1/p)                                        (4)
//!   T      = t_launch + Σ t_gemm + ( 2·S·((G + 1)·I + H) + 4·t·H ) / (B · η_t)  (5)
//! ```
//!
//! (1) pads every expert to whole tiles, (3) reads the weights of active experts once: what is
//! lost to skew is in the counts alone. Blocks of different experts share the SMs without a
//! barrier, so (2) has no ceiling. The kernel has two configurations, and as in SGLang's default
//! [sglang, fused_moe_triton_config.py] the small tile (16 × 32) runs while tokens do not exceed
//! the experts of the GPU, the large one (64 × 64) after that: the jump in measured time at
//! t = experts is this switch. Each configuration has its η_c, η_m and t_block.
//!
//! (3a): weights W that fit the L2 cache C stay there from one timed run to the next and are read
//! 1 + s times faster. A model of many layers never finds them there, which is worth remembering
//! for a device with a large cache and few active experts.
//!
//! Slots of other ranks' experts (expert parallelism without a dispatch, as public tables were
//! measured) are skipped by the products, but their rows are zeroed, activated and summed: they count
//! as S does in (5), with 2·(G·I + H) bytes more each.
//!
//! Left out: the L2 cache's losing battle against very large batches, tuned configurations that
//! SGLang ships for some (E, I) (both are in the residual), and tokens that are not this GPU's.

use super::Device;
use super::gemm::p_norm;
use crate::kernels::precision::Precision;

/// Tile rows and columns of the small and of the large configuration.
const SMALL: (u32, u32) = (16, 32);
const LARGE: (u32, u32) = (64, 64);

/// The constants of one configuration.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TilePrior {
    /// η_c: share of peak arithmetic.
    pub compute_efficiency: f64,
    /// η_m: share of peak memory bandwidth.
    pub memory_efficiency: f64,
    /// t_block, in seconds.
    pub block_s: f64,
}

/// The constants of (2)–(5).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ExpertsPrior {
    /// t_launch of the whole chain of kernels, in seconds.
    pub launch_s: f64,
    /// The configuration for few tokens.
    pub small: TilePrior,
    /// The configuration for many.
    pub large: TilePrior,
    /// p of (4).
    pub sharpness: f64,
    /// η_t: share of peak memory bandwidth in activation, permute and sum.
    pub traffic_efficiency: f64,
    /// C of (3a), from the data sheet, in bytes.
    pub cache_bytes: f64,
    /// s of (3).
    pub cache_speedup: f64,
    /// Whether this kernel was timed with a gate for models of [`is_squared_relu`] too.
    pub always_gated: bool,
}

/// Whether a model is known to use squared ReLU without a gate: NVIDIA's Nemotron 3 family, whose
/// measurements are not marked as such. They are a third faster where the kernel knows it.
#[must_use]
pub const fn is_squared_relu(hidden: u32, inter: u32, experts: u32, top_k: u32) -> bool {
    matches!(
        (hidden, inter, experts, top_k),
        (2688, 1856, 128, 6) | (4096, 2688, 512, 22) | (2048, 5120, 512, 22)
    )
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

/// What equations (1), (3) and (5) need to know of the counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExpertsLoad {
    /// t: tokens that enter.
    pub tokens: u64,
    /// S: slots computed.
    pub slots: u64,
    /// A: experts that compute any.
    pub active: u64,
    /// Σ ⌈c/16⌉.
    pub small_tiles: u64,
    /// Σ ⌈c/64⌉.
    pub large_tiles: u64,
    /// Σ c², for the skew.
    pub squares: u128,
    /// Slots of these tokens that other GPUs compute, which this one's kernels touch all the same.
    pub foreign: u64,
}

impl ExpertsLoad {
    /// The load of these slots per expert; `top_k` slots make a token.
    #[must_use]
    pub fn of(slots_per_expert: &[u32], top_k: u32) -> Self {
        let sum = |f: &dyn Fn(u64) -> u64| slots_per_expert.iter().map(|&c| f(c.into())).sum();
        let slots: u64 = sum(&|c| c);
        Self {
            tokens: slots.div_ceil(u64::from(top_k.max(1))),
            slots,
            active: sum(&|c| u64::from(c > 0)),
            small_tiles: sum(&|c| c.div_ceil(u64::from(SMALL.0))),
            large_tiles: sum(&|c| c.div_ceil(u64::from(LARGE.0))),
            squares: slots_per_expert.iter().map(|&c| u128::from(c) * u128::from(c)).sum(),
            foreign: 0,
        }
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
}

impl ExpertsPrior {
    /// h of (3a), for the weights of this many experts.
    #[must_use]
    pub fn cached(&self, precision: Precision, shape: ExpertsShape, active: u64) -> f64 {
        let [h, i] = [shape.hidden, shape.inter].map(f64::from);
        let matrices = if shape.gated { 3.0 } else { 2.0 };
        self.hit(precision.bytes() * active as f64 * matrices * h * i)
    }

    fn hit(&self, weights: f64) -> f64 {
        1.0 / (1.0 + (weights / self.cache_bytes.max(1.0)).powi(8))
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
        let few = load.tokens <= u64::from(shape.experts);
        let (tile, (bm, bn), rows) = if few {
            (self.small, SMALL, load.small_tiles)
        } else {
            (self.large, LARGE, load.large_tiles)
        };
        let bandwidth = device.memory_bandwidth.bytes_per_sec();
        let sms = f64::from(device.sms);
        let per_sm = device.peak(precision).flops_per_sec() / sms;
        let (active, slots) = (load.active as f64, load.slots as f64);
        let before = if shape.gated { 2.0 } else { 1.0 };
        let weights = precision.bytes() * active * (before + 1.0) * h * i;
        let hit = self.hit(weights);
        let read = 1.0 - hit + hit / (1.0 + self.cache_speedup);
        let gemm = |n: f64, k: f64| {
            let blocks = rows as f64 * (n / f64::from(bn)).ceil();
            let block =
                2.0 * f64::from(bm) * f64::from(bn) * k / (per_sm * tile.compute_efficiency);
            let t_mul = (blocks / sms).max(1.0) * (block + tile.block_s);
            let bytes = precision.bytes() * active * n * k * read + 2.0 * slots * (k + n);
            p_norm(t_mul, bytes / (bandwidth * tile.memory_efficiency), self.sharpness)
        };
        let foreign = load.foreign as f64;
        let touched = slots + foreign;
        let zeroed = 2.0 * foreign * (before * i + h);
        let traffic =
            2.0 * touched * ((before + 1.0) * i + h) + 4.0 * load.tokens as f64 * h + zeroed;
        self.launch_s
            + gemm(before * i, h)
            + gemm(h, i)
            + traffic / (bandwidth * self.traffic_efficiency)
    }
}
