//! Attention over scores that stay on chip, as a share of what large dense products reach.
//!
//! ```text
//!   t = 4·P·(a·R/R_f + 88) / (s·R·216/128)  P pairs scored, a the mean size of keys and values        (1)
//!   R = median of 2·8192·n·k / gemm(8192, n, k)  over n, k ∈ {6144, 10240, 16384},   s = 0.93
//! ```
//!
//! R_f is the same of products in the format f of attention, R in 16 bits: exponentials are no faster in 8 bits. So heads
//! of 128 are 1.4 times as fast in fp8 on H100; 1.2 PFLOP/s are published for heads of 256, 1.6 times [flashattention3].
//! A pair costs 4·a operations in two products and one exponential with what goes with it, which takes as long as 88
//! more numbers of a head: published forward rates without a mask at head sizes of 64 and 128 are 497 and 648 TFLOP/s
//! on H100 [flashattention3, fig. 5] and 879 and 1,330 on B200 [flashattention, pull request 2605], that is 0.77 and
//! 0.66 of each other, 0.71 in the middle, and (64/152)/(128/216) = 0.71. A head of 128 runs at 0.89, 0.94 and 0.92 to
//! 0.98 of the rate R of the profiles of A100 (225 TFLOP/s [flashattention2]), H100 and B200 (1,418 [flashattention,
//! pull request 2280]). So (1) is within 6 % for heads of 128 on these and within 14 % for heads of 64, and needs
//! nothing of a GPU but its own table of products. Left out: too few heads and tokens to fill the GPU.
//!
//! Judged on what it was not made from: cuDNN's attention on an H200, eight shapes of 100 us and more with a causal
//! mask, is predicted within 7 % at the median and 14 % at the 90th percentile, 4 % too fast (`tests/accuracy/parts.rs`).
//! R is a median because a table may be wrong in a place: the H200's own 8192³ takes 1.4 times as long as its
//! neighbours and as was measured again, and attention was predicted 37 % too slow by it.
//!
//! Attention was priced before as two dense products that wrote their scores to memory: twice as slow as published on
//! B200, and right by chance on H100.

use super::{KernelTimes, PLAIN};
use crate::base::units::SimDuration;
use crate::workload::Dtype;

/// Pairs of a query and a key that are scored, and how large both products are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scores {
    /// Pairs, of all heads.
    pub pairs: f64,
    /// Numbers of a head's key and of its value, together.
    pub dims: u32,
    /// What they are multiplied in.
    pub dtype: Dtype,
}

/// Share of the rate of large products that a head of 128 gets.
const SHARE: f64 = 0.93;
/// What a pair costs beside its products, in numbers of a head.
const BESIDE: f64 = 88.0;
/// The size of head that [`SHARE`] is of.
const HEAD: f64 = 128.0;
/// Columns and inner sizes of large products.
const LARGE: [u32; 3] = [6144, 10_240, 16_384];
/// Their rows.
const ROWS: u32 = 8192;

/// (1).
pub(super) fn attended<K: KernelTimes + ?Sized>(kernels: &K, scores: Scores) -> SimDuration {
    let size = f64::from(scores.dims) / 2.0;
    let plain = large_rate(kernels, PLAIN);
    let slower = match scores.dtype {
        Dtype::Bf16 => 1.0,
        // The units of 8 bits are no slower, whatever a table of block-wise products has.
        Dtype::Fp8 => (plain / large_rate(kernels, Dtype::Fp8)).min(1.0),
    };
    let rate = SHARE * plain * (HEAD + BESIDE) / HEAD;
    SimDuration::from_secs(4.0 * scores.pairs * (size * slower + BESIDE) / rate)
}

/// R, operations a second: the median of large products.
fn large_rate<K: KernelTimes + ?Sized>(kernels: &K, dtype: Dtype) -> f64 {
    let rate = |n: u32, k: u32| {
        let operations = 2.0 * f64::from(ROWS) * f64::from(n) * f64::from(k);
        operations / kernels.gemm(n, k, dtype)(ROWS.into()).secs()
    };
    let mut rates: Vec<f64> =
        LARGE.iter().flat_map(|&n| LARGE.iter().map(move |&k| rate(n, k))).collect();
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::units::{Bandwidth, FlopRate};
    use crate::execution::cost::Roofline;

    /// Published forward rates on A100, H100 and B200, whose profiles' large products run at 253, 688 and 1,440 TFLOP/s.
    #[test]
    fn rates_are_those_published_for_two_sizes_of_head() {
        let rate = |reached: f64, dims: u32| {
            let kernels = Roofline {
                peak: FlopRate::from_flops_per_sec(reached * 1e12),
                memory_bandwidth: Bandwidth::from_bytes_per_sec(1e15),
            };
            let pairs = 16_384.0 * 16_384.0 * 16.0;
            2.0 * pairs * f64::from(dims)
                / attended(&kernels, Scores { pairs, dims, dtype: PLAIN }).secs()
                / 1e12
        };
        let off = |found: f64, published: f64| (found / published - 1.0).abs();
        assert!(off(rate(253.0, 256), 225.0) < 0.06 && off(rate(688.0, 256), 648.0) < 0.06);
        assert!(off(rate(1440.0, 256), 1418.0) < 0.06 && off(rate(1440.0, 256), 1330.0) < 0.06);
        assert!(off(rate(688.0, 128), 497.0) < 0.14 && off(rate(1440.0, 128), 879.0) < 0.14);
    }
}
