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
    /// Where the latents of a sequence come from.
    pub latents: Latents,
    /// How choices persist from token to token, where layers do not say their own.
    pub persistence: Persistence,
}

/// Where the latents of a sequence come from.
#[derive(Clone, Debug, PartialEq)]
pub enum Latents {
    /// Every dimension is a normal variable of its own.
    Normal,
    /// A recorded sequence, drawn in proportion to its tokens, has these, `[sequence][dimension]`.
    Recorded(Vec<Vec<f64>>, Lengths),
    /// The same where each dimension is a recorded sequence.
    Sequences(Lengths),
}

/// Lengths of recorded sequences, in proportion to which they are drawn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lengths {
    /// Tokens up to and with each sequence.
    sums: Vec<u64>,
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

impl Lengths {
    /// Sequences of these many tokens.
    ///
    /// # Panics
    /// If there are no tokens.
    #[must_use]
    pub fn of(tokens: &[u32]) -> Self {
        let sums: Vec<u64> = tokens
            .iter()
            .scan(0, |sum, &n| {
                *sum += u64::from(n);
                Some(*sum)
            })
            .collect();
        assert!(sums.last().is_some_and(|&sum| sum > 0), "{} sequences of no tokens", sums.len());
        Self { sums }
    }

    /// Tokens of each sequence.
    #[must_use]
    pub fn tokens(&self) -> Vec<u32> {
        let before = std::iter::once(&0).chain(&self.sums);
        self.sums.iter().zip(before).map(|(sum, before)| (sum - before) as u32).collect()
    }

    /// Sequences.
    #[must_use]
    pub fn sequences(&self) -> usize {
        self.sums.len()
    }

    /// The sequence within which this share of all tokens ends.
    #[must_use]
    pub fn at(&self, share: f64) -> usize {
        let last = self.sums.len() - 1;
        let token = (share * self.sums[last] as f64) as u64;
        self.sums.partition_point(|&sum| sum <= token).min(last)
    }
}
