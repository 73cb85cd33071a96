//! Attention over scores that stay on chip, as a share of what large dense products reach.
//!
//! ```text
//!   t = 4·P·(a + 88) / (s·R·216/128)        P pairs scored, a the mean size of keys and values        (1)
//!   R = 2·8192³ / gemm(8192, 8192, 8192),   s = 0.88
//! ```
//!
//! A pair costs 4·a operations in two products and one exponential with what goes with it, which takes as long as 88
//! more numbers of a head: published forward rates without a mask at head sizes of 64 and 128 are 497 and 648 TFLOP/s
//! on H100 [flashattention3, fig. 5] and 879 and 1,330 on B200 [flashattention, pull request 2605], that is 0.77 and
//! 0.66 of each other, 0.71 in the middle, and (64/152)/(128/216) = 0.71. A head of 128 runs at 0.86, 0.96 and 0.82 to
//! 0.87 of the rate R of the profiles of A100 (225 TFLOP/s [flashattention2]), H100 and B200 (1,418 [flashattention,
//! pull request 2280]). So (1) is within 8 % for heads of 128 on these and within 16 % for heads of 64, and needs
//! nothing of a GPU but its own table of products. Left out: too few heads and tokens to fill the GPU.
//!
//! Attention was priced before as two dense products that wrote their scores to memory: twice as slow as published on
//! B200, and right by chance on H100.

use super::KernelTimes;
use crate::base::units::SimDuration;
use crate::workload::Dtype;

/// Pairs of a query and a key that are scored, and how large both products are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scores {
    /// Pairs, of all heads.
    pub pairs: f64,
    /// Numbers of a head's key and of its value, together.
    pub dims: u32,
}

/// Share of the rate of large products that a head of 128 gets.
const SHARE: f64 = 0.88;
/// What a pair costs beside its products, in numbers of a head.
const BESIDE: f64 = 88.0;
/// The size of head that [`SHARE`] is of.
const HEAD: f64 = 128.0;
/// Rows, columns and inner size of a large product.
const LARGE: u32 = 8192;

/// (1).
pub(super) fn attended<K: KernelTimes + ?Sized>(kernels: &K, scores: Scores) -> SimDuration {
    let large = kernels.gemm(LARGE, LARGE, Dtype::Bf16)(LARGE.into());
    let per_operation = large.secs() / (2.0 * f64::from(LARGE).powi(3));
    let size = f64::from(scores.dims) / 2.0;
    let share = SHARE * (HEAD + BESIDE) / HEAD;
    SimDuration::from_secs(4.0 * scores.pairs * (size + BESIDE) * per_operation / share)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::units::{Bandwidth, FlopRate};
    use crate::execution::cost::Roofline;

    /// Published forward rates on H100 and B200, whose profiles' large products run at 678 and 1,629 TFLOP/s.
    #[test]
    fn rates_are_those_published_for_two_sizes_of_head() {
        let rate = |reached: f64, dims: u32| {
            let kernels = Roofline {
                peak: FlopRate::from_flops_per_sec(reached * 1e12),
                memory_bandwidth: Bandwidth::from_bytes_per_sec(1e15),
            };
            let pairs = 16_384.0 * 16_384.0 * 16.0;
            2.0 * pairs * f64::from(dims) / attended(&kernels, Scores { pairs, dims }).secs() / 1e12
        };
        let off = |found: f64, published: f64| (found / published - 1.0).abs();
        assert!(off(rate(678.0, 256), 648.0) < 0.08 && off(rate(1629.0, 256), 1418.0) < 0.08);
        assert!(off(rate(678.0, 128), 497.0) < 0.16 && off(rate(1629.0, 128), 879.0) < 0.16);
    }
}
