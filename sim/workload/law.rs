//! The law by which sequences choose experts, as data; `gate::law` has its equations.

use super::Persistence;

/// How likely the tokens of a sequence are to choose each expert, for every layer.
#[derive(Clone, Debug, PartialEq)]
pub struct Law {
    /// Dimensions of the latents that layers share.
    pub rank: usize,
    /// Slots of a token that these experts share.
    pub slots: f64,
    /// The layers, in order.
    pub layers: Vec<LayerLaw>,
    /// Latents of recorded sequences to draw from; none where latents are normal.
    pub recorded: Vec<Vec<f64>>,
    /// How choices persist from token to token.
    pub persistence: Persistence,
}

/// The law of one layer.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerLaw {
    /// μ, by expert.
    pub log_weights: Vec<f64>,
    /// W, `[expert × rank]`.
    pub loadings: Vec<f64>,
    /// R, by expert.
    pub own: Vec<f64>,
}

impl Law {
    /// Experts of each layer.
    #[must_use]
    pub fn experts(&self) -> usize {
        self.layers.first().map_or(0, |layer| layer.log_weights.len())
    }
}
