//! Top-p: as many experts as it takes to reach a probability p [huang24].
//!
//! Law: a token has the fewest experts whose probabilities, the softmax of its scores times a sharpness,
//! sum to p or more, and at least
//! one; where that is more than `most`, the `most` best. Peaked scores give few experts, flat scores
//! many: counts depend on how calibrated the scores are, not on their order alone.

use super::{Choices, Scheme, Scores, best, softmax};

/// Experts until their probabilities reach p.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TopP {
    /// p.
    pub p: f64,
    /// What scores are multiplied by before the softmax: large is peaked.
    pub sharpness: f64,
    /// Most experts of a token.
    pub most: usize,
}

impl Scheme for TopP {
    fn name(&self) -> &'static str {
        "top-p"
    }

    fn choose(&self, scores: &Scores) -> Choices {
        Choices::of((0..scores.tokens()).map(|token| {
            let sharp: Vec<f64> = scores.of(token).iter().map(|z| self.sharpness * z).collect();
            let probability = softmax(&sharp);
            let mut chosen = best(&probability, self.most, |_| true);
            let mut sum = 0.0;
            let enough = chosen.iter().position(|&expert| {
                sum += probability[expert];
                sum >= self.p
            });
            chosen.truncate(enough.map_or(chosen.len(), |last| last + 1));
            chosen
        }))
    }
}
