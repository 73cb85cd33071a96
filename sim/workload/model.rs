//! The transformer: its Mixture-of-Experts layers and what is beside them.

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
    /// τ of the heterogeneous balance loss [moepp, eq. 7]; only ratios of loads depend on it. None in a
    /// vanilla model, and where the share of FFN slots is given as measured or by the gate's scheme.
    pub tau: Option<f64>,
}

impl Experts {
    /// All experts a gate chooses among.
    #[must_use]
    pub const fn total(&self) -> u32 {
        self.ffn + self.zero_computation.total()
    }

    /// The load of an FFN expert over that of a zero-computation expert at balance: τ, and 1 where no
    /// balance loss tells them apart.
    #[must_use]
    pub const fn balance(&self) -> f64 {
        match self.tau {
            Some(tau) => tau,
            None => 1.0,
        }
    }

    /// φ(τ) = τ·N_FFN / (τ·N_FFN + N_ZC): the share of slots that FFN experts get at balance
    /// [moepp, Table 1], 1 for vanilla.
    #[must_use]
    pub fn ffn_share_at_balance(&self) -> f64 {
        let (ffn, zc) = (f64::from(self.ffn), f64::from(self.zero_computation.total()));
        self.balance() * ffn / (self.balance() * ffn + zc)
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

/// How keys and values are shared or compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attention {
    /// Groups of heads share keys and values [ainslie23]; as many as heads is plain attention.
    Grouped {
        /// Heads of keys and values.
        key_value_heads: u32,
    },
    /// Queries, keys and values pass a bottleneck each [deepseekv2, §2.1].
    Latent {
        /// Rank of the queries' bottleneck; none where they are made from the hidden vector at once.
        query_rank: Option<u32>,
        /// Rank of the keys' and values' bottleneck.
        key_value_rank: u32,
        /// What a head has beside `head_dim` for positions.
        rope_dim: u32,
    },
}

/// A limit on how far back tokens attend in some layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlidingWindow {
    /// Tokens that one attends to, itself included.
    pub tokens: u32,
    /// Of this many layers in a row, the last attends to its whole context; none does if absent.
    pub pattern: Option<u32>,
}

impl SlidingWindow {
    /// Whether it limits a layer of the transformer, counted from 0.
    #[must_use]
    pub const fn limits(&self, layer: u32) -> bool {
        match self.pattern {
            Some(pattern) => !(layer + 1).is_multiple_of(pattern),
            None => true,
        }
    }

    /// Pairs of query and key that causal attention scores in `s` tokens of a sequence, `c` tokens of which came before, over
    /// those without a window: Σ min(c + i, w) / Σ (c + i) for i from 1 to s.
    #[must_use]
    pub fn scored_share(&self, c: u32, s: u32) -> f64 {
        let (c, s, w) = (f64::from(c), f64::from(s), f64::from(self.tokens));
        // Queries that the window does not limit.
        let free = (w - c).clamp(0.0, s);
        let first = |n: f64| n * (2.0 * c + n + 1.0) / 2.0;
        (first(free) + (s - free) * w) / first(s)
    }
}

/// Dense feed-forward (SwiGLU) networks beside the experts; sizes are zero where there are none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dense {
    /// Layers in front of those with experts, with one dense network each.
    pub leading_layers: u32,
    /// Layers with one dense network each in front of every layer with experts.
    pub between: u32,
    /// Intermediate size of a dense network.
    pub intermediate: u32,
    /// Intermediate size of all experts together that every token has on its own GPU.
    pub shared: u32,
    /// Whether a second attention and two dense networks run beside the experts of each layer, as
    /// the shortcut connection lets them [longcat, §2.2].
    pub shortcut: bool,
}

/// A transformer of Mixture-of-Experts layers.
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    /// Short name: `"1B"`.
    pub name: String,
    /// Transformer layers with experts; leading dense layers are not among them.
    pub layers: u32,
    /// Hidden size D.
    pub hidden: u32,
    /// Expert intermediate size H.
    pub intermediate: u32,
    /// Whether networks multiply two products before the third (SwiGLU, GeGLU), or apply a function to one
    /// (GELU, squared ReLU): experts, shared experts and dense networks alike.
    pub gated: bool,
    /// Whether the products of these networks add biases.
    pub biases: bool,
    /// Whether the activation of gated networks clamps what it is given, as gpt-oss's does.
    pub clamped_activation: bool,
    /// Attention heads.
    pub heads: u32,
    /// Size of queries and keys of one attention head, without what `rope_dim` adds.
    pub head_dim: u32,
    /// Size of the values of one attention head.
    pub value_dim: u32,
    /// How attention is computed.
    pub attention: Attention,
    /// How far back tokens attend, where that is not their whole context.
    pub sliding_window: Option<SlidingWindow>,
    /// Dense feed-forward networks beside the experts.
    pub dense: Dense,
    /// Vocabulary size, for embedding and output.
    pub vocabulary: u32,
    /// Whether embedding and output are one table.
    pub tied: bool,
    /// The experts of each layer.
    pub experts: Experts,
    /// The gate's network.
    pub gate: GateNetwork,
    /// Whether the gate adds a map of the previous layer's scores [moepp, eq. 6].
    pub gating_residual: bool,
}

impl Model {
    /// Matrices of one expert or dense network.
    #[must_use]
    pub const fn matrices(&self) -> u32 {
        if self.gated { 3 } else { 2 }
    }

    /// The place among all layers of the transformer, from 0, of a layer with experts, counted among its kind.
    #[must_use]
    pub const fn layer_number(&self, layer: u32) -> u32 {
        self.dense.leading_layers + layer * (self.dense.between + 1) + self.dense.between
    }

    /// Layers of the transformer, those without experts among them.
    #[must_use]
    pub const fn all_layers(&self) -> u32 {
        self.dense.leading_layers + self.layers * (self.dense.between + 1)
    }

    /// How many of the layers from behind the last layer with experts up to this one a window limits.
    #[must_use]
    pub fn windowed_up_to(&self, layer: u32) -> u32 {
        let last = self.layer_number(layer);
        let limits = |at: &u32| self.sliding_window.is_some_and(|window| window.limits(*at));
        (last - self.dense.between..=last).filter(limits).count() as u32
    }

    /// Values for each inner unit and row that an activation apart from its products moves: each product is
    /// written and read, the result written.
    #[must_use]
    pub const fn activation_moves(&self) -> u32 {
        2 * self.matrices() - 1
    }
}
