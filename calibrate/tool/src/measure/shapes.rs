//! The expert shapes that can be asked for.

/// The MoE layer of a model, as much of it as one GPU holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shape {
    /// Its name on the command line.
    pub name: &'static str,
    /// D.
    pub hidden: u32,
    /// H.
    pub inter: u32,
    /// FFN experts on this GPU.
    pub ffn: u32,
    /// Constant, copy and zero experts of its MoE++ version.
    pub constant: u32,
    /// See [`Self::constant`].
    pub copy: u32,
    /// See [`Self::constant`].
    pub zero: u32,
    /// K.
    pub top_k: u32,
    /// Tokens of a whole layer.
    pub tokens: u32,
    /// Whether its gate has two layers, D → 8N → N, and a gating residual, as MoE++'s has.
    pub pathway_aware: bool,
}

const fn shape(name: &'static str, (hidden, inter): (u32, u32), ffn: u32, top_k: u32) -> Shape {
    Shape {
        name,
        hidden,
        inter,
        ffn,
        constant: 2,
        copy: 1,
        zero: 1,
        top_k,
        tokens: 4096,
        pathway_aware: false,
    }
}

/// The shapes that are known: the paper's [moepp, Table 2]; Mixtral 8x7B; one GPU of eight of
/// DeepSeek-V3 and of LongCat-Flash; gpt-oss-120b; and two for CPUs. Zero-computation experts of
/// models that have none follow [moepp, eq. 10].
pub const SHAPES: [Shape; 10] = [
    Shape { tokens: 256, ..shape("tiny", (64, 128), 4, 2) },
    Shape { tokens: 256, ..shape("small", (128, 256), 8, 2) },
    Shape { tokens: 2048, pathway_aware: true, ..shape("moepp-0.6b", (768, 2048), 8, 2) },
    Shape { tokens: 2048, pathway_aware: true, ..shape("moepp-1b", (768, 2048), 16, 2) },
    Shape {
        tokens: 2048,
        pathway_aware: true,
        constant: 6,
        ..shape("moepp-2b", (768, 2048), 32, 2)
    },
    Shape { tokens: 2048, pathway_aware: true, ..shape("moepp-7b", (1536, 4096), 16, 2) },
    shape("mixtral", (4096, 14_336), 8, 2),
    Shape { constant: 6, ..shape("deepseek-v3", (7168, 2048), 32, 8) },
    Shape { constant: 30, ..shape("gpt-oss", (2880, 2880), 128, 4) },
    Shape { constant: 0, copy: 32, zero: 0, ..shape("longcat", (6144, 2048), 64, 12) },
];

impl Shape {
    /// The shape of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        SHAPES.iter().find(|shape| shape.name == name)
    }

    /// Experts of all kinds of its MoE++ version.
    #[must_use]
    pub const fn all(&self) -> u32 {
        self.ffn + self.constant + self.copy + self.zero
    }

    /// φ(τ): the share of slots that FFN experts get at balance [moepp, Table 1].
    #[must_use]
    pub fn ffn_share(&self, tau: f64) -> f64 {
        let (ffn, zero) = (f64::from(self.ffn), f64::from(self.all() - self.ffn));
        tau * ffn / (tau * ffn + zero)
    }
}
