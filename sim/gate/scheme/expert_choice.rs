//! Expert choice: experts choose tokens [zhou22].
//!
//! Scores are turned into probabilities over experts, token by token; each expert then takes the
//! C = ⌊K·T/N⌋ tokens that give it the largest probability.
//!
//! Law: every expert has exactly C slots, so there is no skew and nothing is dropped; a token has any
//! number of slots from none to N. It needs the whole batch at once and so is not causal.

use super::{Choices, Scheme, Scores, best, softmax};

/// Each expert takes its share of the tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExpertChoice {
    /// K: slots of a token, on average.
    pub k: usize,
}

impl ExpertChoice {
    /// C: tokens that each expert takes.
    #[must_use]
    pub fn tokens_of_expert(&self, tokens: usize, experts: usize) -> usize {
        (self.k * tokens / experts).min(tokens)
    }
}

impl Scheme for ExpertChoice {
    fn name(&self) -> &'static str {
        "expert choice"
    }

    fn choose(&self, scores: &Scores) -> Choices {
        let (tokens, experts) = (scores.tokens(), scores.experts());
        let probability: Vec<Vec<f64>> = (0..tokens).map(|t| softmax(scores.of(t))).collect();
        let mut chosen = vec![vec![]; tokens];
        for expert in 0..experts {
            let column: Vec<f64> = probability.iter().map(|row| row[expert]).collect();
            for token in best(&column, self.tokens_of_expert(tokens, experts), |_| true) {
                chosen[token].push(expert);
            }
        }
        Choices::of(chosen.into_iter())
    }
}
