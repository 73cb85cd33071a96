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
    /// Tokens of each recorded sequence, in proportion to which it is drawn; none where all are alike.
    pub tokens: Vec<u32>,
    /// How choices persist from token to token, where layers do not say their own.
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
    /// b and φ of this layer, where they were fitted.
    pub persistence: Option<(f64, f64)>,
}

impl Law {
    /// How choices of one layer persist.
    #[must_use]
    pub fn persistence_of(&self, layer: usize) -> Persistence {
        match self.layers[layer].persistence {
            Some((share, decay)) => Persistence { share, decay, ..self.persistence },
            None => self.persistence,
        }
    }

    /// Experts of each layer.
    #[must_use]
    pub fn experts(&self) -> usize {
        self.layers.first().map_or(0, |layer| layer.log_weights.len())
    }
}
