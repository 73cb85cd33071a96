//! Biases that a controller sets, so that loads are what was asked for without a loss term.
//!
//! Expert i gets a bias b_i for choosing only, not for mixing. After each batch of T tokens, with T_i
//! the slots of expert i,
//!
//! ```text
//!   b_i += μ (f_i − T_i / (K·T)),                                                             (1)
//! ```
//!
//! f_i being the share of slots that the expert is to get. LongCat-Flash [longcat, §2.1] has f_i =
//! K_e/(K·N) for its N FFN experts, K_e being the FFN experts a token is to have on average, and
//! none for identity experts, whose biases stay: the sum decides. DeepSeek-V3 [deepseekv3, §2.1.2]
//! is K_e = K without identity experts, with the sign of the bracket instead of the bracket.
//!
//! Law: every token has exactly K slots; a fixed point has T_i/(K·T) = f_i. Popularity over all
//! traffic is then even, and what stays uneven is that batches differ.

use super::{Choices, Scheme, Scores, best};

/// N FFN experts, then identity experts; the K best by biased score.
#[derive(Clone, Debug, PartialEq)]
pub struct Controlled {
    /// N.
    pub ffn: usize,
    /// K.
    pub k: usize,
    /// K_e: FFN experts of a token, on average.
    pub expected: f64,
    /// b, by FFN expert.
    pub bias: Vec<f64>,
}

impl Controlled {
    /// Without biases yet.
    #[must_use]
    pub fn new(ffn: usize, k: usize, expected: f64) -> Self {
        Self { ffn, k, expected, bias: vec![0.0; ffn] }
    }

    /// Updates the biases after a batch [(1)], `gain` being μ·K·N: near one, it halves errors in a
    /// few batches; larger, it may swing.
    pub fn observe(&mut self, choices: &Choices, gain: f64) {
        let counts = choices.counts(usize::from(u16::MAX) + 1);
        let wanted = self.expected * choices.tokens() as f64 / self.ffn as f64;
        for (bias, &slots) in self.bias.iter_mut().zip(&counts) {
            *bias += gain * (1.0 - slots as f64 / wanted);
        }
    }
}

impl Scheme for Controlled {
    fn name(&self) -> &'static str {
        "controlled biases"
    }

    fn choose(&self, scores: &Scores) -> Choices {
        let mut bias = self.bias.clone();
        bias.resize(scores.experts(), 0.0);
        let biased = scores.biased(&bias);
        Choices::of((0..scores.tokens()).map(|token| best(biased.of(token), self.k, |_| true)))
    }

    fn computes(&self, expert: usize) -> bool {
        expert < self.ffn
    }
}
