//! The transformer whose every feed-forward layer is a Mixture of Experts.

/// Zero-computation experts of a layer [moepp, eq. 3–5].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ZeroComputation {
    /// Experts that discard the token.
    pub zero: u32,
    /// Experts that pass the token on.
    pub copy: u32,
    /// Experts that mix the token with a learned vector.
    pub constant: u32,
}

impl ZeroComputation {
    /// All of them.
    #[must_use]
    pub const fn total(self) -> u32 {
        self.zero + self.copy + self.constant
    }
}

/// The experts of one layer. Ids run FFN first, then zero, copy, constant.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Experts {
    /// Feed-forward (SwiGLU) experts.
    pub ffn: u32,
    /// Zero-computation experts; none in a vanilla model.
    pub zero_computation: ZeroComputation,
    /// Experts chosen for each token.
    pub top_k: u32,
    /// τ of the heterogeneous balance loss [moepp, eq. 7]; only ratios of loads depend on it.
    pub tau: f64,
}

impl Experts {
    /// All experts a gate chooses among.
    #[must_use]
    pub const fn total(&self) -> u32 {
        self.ffn + self.zero_computation.total()
    }

    /// φ(τ) = τ·N_FFN / (τ·N_FFN + N_ZC): the share of slots that FFN experts get at balance
    /// [moepp, Table 1], 1 for vanilla.
    #[must_use]
    pub fn ffn_share_at_balance(&self) -> f64 {
        let (ffn, zc) = (f64::from(self.ffn), f64::from(self.zero_computation.total()));
        self.tau * ffn / (self.tau * ffn + zc)
    }
}

/// The gate's network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GateNetwork {
    /// One matrix, D → N [moepp, eq. 2].
    Linear,
    /// D → 8N → tanh → N, as in MoE++'s public code.
    TwoLayer,
}

/// A transformer whose every feed-forward layer is a Mixture of Experts.
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    /// Short name: `"1B"`.
    pub name: String,
    /// Transformer layers.
    pub layers: u32,
    /// Hidden size D.
    pub hidden: u32,
    /// Expert intermediate size H.
    pub intermediate: u32,
    /// Attention heads.
    pub heads: u32,
    /// Size of one attention head.
    pub head_dim: u32,
    /// Vocabulary size, for embedding and output.
    pub vocabulary: u32,
    /// The experts of each layer.
    pub experts: Experts,
    /// The gate's network.
    pub gate: GateNetwork,
    /// Whether the gate adds a map of the previous layer's scores [moepp, eq. 6].
    pub gating_residual: bool,
}
