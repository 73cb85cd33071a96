//! Kinds of content of a GPU's memory.

/// One kind of content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum What {
    /// FFN experts, redundant copies included.
    FfnExperts,
    /// Zero-computation and shared experts.
    OtherExperts,
    /// Attention and norms.
    Attention,
    /// Dense networks beside or in front of experts.
    DenseNetworks,
    /// Gates.
    Gates,
    /// Embedding and output.
    Embedding,
    /// Keys and values of earlier tokens.
    KvCache,
    /// What is live in a layer, and inputs kept for the backward pass.
    Activations,
    /// Buffers of dispatch and combine.
    ExchangeBuffers,
    /// Gradients.
    Gradients,
    /// Master weights and moments.
    Optimiser,
    /// Parameters of the layer that is passed through and of the next, gathered from those who keep them.
    Gathered,
}

impl What {
    /// All of them, in the order of tables.
    pub const ALL: [Self; 12] = [
        Self::FfnExperts,
        Self::OtherExperts,
        Self::Attention,
        Self::DenseNetworks,
        Self::Gates,
        Self::Embedding,
        Self::KvCache,
        Self::Activations,
        Self::ExchangeBuffers,
        Self::Gradients,
        Self::Optimiser,
        Self::Gathered,
    ];

    /// Its name in tables.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::FfnExperts => "FFN experts",
            Self::OtherExperts => "shared and zero-comp. experts",
            Self::Attention => "attention and norms",
            Self::DenseNetworks => "dense networks",
            Self::Gates => "gates",
            Self::Embedding => "embedding and output",
            Self::KvCache => "KV cache",
            Self::Activations => "activations",
            Self::ExchangeBuffers => "exchange buffers",
            Self::Gradients => "gradients",
            Self::Optimiser => "optimiser states",
            Self::Gathered => "gathered parameters",
        }
    }

    /// Its key in JSON.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::FfnExperts => "ffn_experts",
            Self::OtherExperts => "other_experts",
            Self::Attention => "attention",
            Self::DenseNetworks => "dense_networks",
            Self::Gates => "gates",
            Self::Embedding => "embedding",
            Self::KvCache => "kv_cache",
            Self::Activations => "activations",
            Self::ExchangeBuffers => "exchange_buffers",
            Self::Gradients => "gradients",
            Self::Optimiser => "optimiser_states",
            Self::Gathered => "gathered_parameters",
        }
    }
}
