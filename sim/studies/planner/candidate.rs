//! What a plan looks at: a τ on a cluster.

use super::Quality;
use crate::base::statistics::mean;
use crate::studies::study::Reached;

/// One τ on one cluster.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// The cluster.
    pub cluster: String,
    /// τ; none for vanilla.
    pub tau: Option<f64>,
    /// Tokens per second by seed.
    pub tokens_per_sec: Vec<f64>,
    /// The target in tokens per second.
    pub target: f64,
    /// Equation (1).
    pub probability: f64,
    /// Expected quality; none of vanilla where it was not measured.
    pub quality: Option<Quality>,
    /// The arithmetic of what does not fit into the GPUs' memory; such a candidate is not recommended unless asked to
    /// run all the same.
    pub too_large: Option<String>,
    /// How much of its runs was simulated and what precision that reached, where one was asked for.
    pub reached: Option<Reached>,
}

impl Candidate {
    /// Mean tokens per second.
    #[must_use]
    pub fn mean(&self) -> f64 {
        mean(&self.tokens_per_sec)
    }

    /// Expected quality, if it is known.
    pub(super) fn expected(&self) -> Option<f64> {
        self.quality.map(|quality| quality.expected)
    }

    /// How far the mean lies above the target, in percent of the target.
    #[must_use]
    pub fn margin_percent(&self) -> f64 {
        100.0 * (self.mean() / self.target - 1.0)
    }
}
