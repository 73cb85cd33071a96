//! What a gate decided for one layer and micro-batch: slots of each source GPU and expert.

use crate::workload::Scheme;

/// The count matrix of one layer and micro-batch.
///
/// A *slot* is one of the K choices of one token. Experts are ordered FFN, zero, copy, constant.
/// Slots are given by the GPU that holds the token, before anything is sent.
#[derive(Clone, Debug, PartialEq)]
pub struct Counts {
    pub(super) experts: usize,
    pub(super) top_k: usize,
    /// `[gpu × experts]`: slots chosen and kept.
    pub(super) kept: Vec<u32>,
    /// `[gpu × experts]`: slots chosen and dropped.
    pub(super) dropped: Vec<u32>,
    /// `[gpu × (K + 1)]`: tokens by their number of FFN slots, K being the most a token can have.
    pub(super) tokens: Vec<u32>,
    /// The fixed number of slots of each expert on each GPU, where unused ones are computed.
    pub(super) padded: Option<Vec<u32>>,
    /// Mixing weight dropped; one a token if all of it is.
    pub(super) lost_weight: f64,
    /// `[gpu × token × K]`: what each token chose, where tokens were drawn and asked for.
    pub(super) drawn: Option<Vec<u16>>,
    /// The rule by which tokens chose.
    pub(super) scheme: Scheme,
}

impl Counts {
    /// Counts without a slot in them.
    pub(super) fn empty(gpus: usize, experts: usize, top_k: usize, scheme: Scheme) -> Self {
        let cells = vec![0; gpus * experts];
        Self {
            experts,
            top_k,
            kept: cells.clone(),
            dropped: cells,
            tokens: vec![0; gpus * (top_k + 1)],
            padded: None,
            lost_weight: 0.0,
            drawn: None,
            scheme,
        }
    }

    /// The same memory without a slot in it, for other GPUs of the same gate.
    pub(super) fn emptied(mut self, gpus: usize) -> Self {
        for (cells, width) in [
            (&mut self.kept, self.experts),
            (&mut self.dropped, self.experts),
            (&mut self.tokens, self.top_k + 1),
        ] {
            cells.clear();
            cells.resize(gpus * width, 0);
        }
        Self { padded: None, lost_weight: 0.0, drawn: None, ..self }
    }

    /// The counts of every `parts`-th GPU from this one on: of one part of each GPU's tokens, where a gate took
    /// each part for a GPU.
    ///
    /// # Panics
    /// Unless GPUs divide into parts, and this is one of them.
    #[must_use]
    pub fn part(&self, part: usize, parts: usize) -> Self {
        assert!(part < parts && self.gpus().is_multiple_of(parts), "part {part} of {parts}");
        let gpus = self.gpus() / parts;
        let rows = |cells: &[u32]| -> Vec<u32> {
            let width = cells.len() / self.gpus();
            (0..gpus)
                .flat_map(|gpu| &cells[(gpu * parts + part) * width..][..width])
                .copied()
                .collect()
        };
        let drawn = self.drawn.as_ref().map(|drawn| {
            let width = drawn.len() / self.gpus();
            (0..gpus)
                .flat_map(|gpu| &drawn[(gpu * parts + part) * width..][..width])
                .copied()
                .collect()
        });
        Self {
            kept: rows(&self.kept),
            dropped: rows(&self.dropped),
            tokens: rows(&self.tokens),
            padded: self.padded.clone(),
            lost_weight: self.lost_weight / parts as f64,
            drawn,
            ..*self
        }
    }

    /// The counts of every `parts` GPUs together: of each GPU's tokens, where a gate took parts of them for GPUs.
    ///
    /// # Panics
    /// Unless GPUs divide into parts.
    #[must_use]
    pub fn merged(&self, parts: usize) -> Self {
        assert!(self.gpus().is_multiple_of(parts), "{} GPUs in {parts}", self.gpus());
        let sums = |cells: &[u32]| -> Vec<u32> {
            let width = cells.len() / self.gpus();
            let groups = cells.chunks(width * parts);
            groups
                .flat_map(|rows| (0..width).map(|at| rows.iter().skip(at).step_by(width).sum()))
                .collect()
        };
        Self {
            kept: sums(&self.kept),
            dropped: sums(&self.dropped),
            tokens: sums(&self.tokens),
            padded: self
                .padded
                .as_ref()
                .map(|padded| padded.iter().map(|rows| rows * parts as u32).collect()),
            drawn: self.drawn.clone(),
            ..*self
        }
    }

    /// Choices of single tokens that are kept.
    #[must_use]
    pub fn drawn_cells(&self) -> usize {
        self.drawn.as_ref().map_or(0, Vec::len)
    }

    /// The rule by which tokens chose.
    #[must_use]
    pub const fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// GPUs that hold tokens.
    #[must_use]
    pub fn gpus(&self) -> usize {
        self.tokens.len() / (self.top_k + 1)
    }

    /// Experts of the layer: FFN, zero, copy, constant.
    #[must_use]
    pub const fn experts(&self) -> usize {
        self.experts
    }

    /// K, the slots of a token.
    #[must_use]
    pub const fn top_k(&self) -> usize {
        self.top_k
    }

    /// Slots of tokens on `gpu` that go to `expert`.
    #[must_use]
    pub fn kept(&self, gpu: usize, expert: usize) -> u32 {
        self.kept_by(gpu)[expert]
    }

    /// Slots of tokens on `gpu`, by expert.
    #[must_use]
    pub fn kept_by(&self, gpu: usize) -> &[u32] {
        &self.kept[gpu * self.experts..][..self.experts]
    }

    /// Slots of tokens on `gpu` that chose `expert` and found it full.
    #[must_use]
    pub fn dropped(&self, gpu: usize, expert: usize) -> u32 {
        self.dropped_by(gpu)[expert]
    }

    /// Slots of tokens on `gpu` that found their expert full, by expert.
    #[must_use]
    pub fn dropped_by(&self, gpu: usize) -> &[u32] {
        &self.dropped[gpu * self.experts..][..self.experts]
    }

    /// Rows that `expert` computes for tokens of `gpu`: kept slots, and padding where there is any.
    #[must_use]
    pub fn computed(&self, gpu: usize, expert: usize) -> u32 {
        self.padded.as_ref().map_or_else(|| self.kept(gpu, expert), |padded| padded[expert])
    }

    /// Rows that `expert` computes for tokens of all GPUs.
    #[must_use]
    pub fn computed_of_all(&self, expert: usize) -> u32 {
        match &self.padded {
            Some(padded) => padded[expert] * self.gpus() as u32,
            None => self.kept.iter().skip(expert).step_by(self.experts).sum(),
        }
    }

    /// Whether experts compute a fixed number of slots, unused ones among them.
    #[must_use]
    pub const fn is_padded(&self) -> bool {
        self.padded.is_some()
    }

    /// Tokens on `gpu` that chose exactly `ffn_slots` FFN experts, dropped ones included.
    #[must_use]
    pub fn tokens_with(&self, gpu: usize, ffn_slots: usize) -> u32 {
        self.tokens[gpu * (self.top_k + 1)..][..=self.top_k][ffn_slots]
    }

    /// What each token of `gpu` chose, K experts per token, dropped slots included; nothing where counts
    /// were drawn without tokens or tokens were not asked for.
    #[must_use]
    pub fn drawn_on(&self, gpu: usize) -> Option<std::slice::ChunksExact<'_, u16>> {
        let each = self.drawn.as_ref()?.len() / self.gpus();
        let own = &self.drawn.as_ref()?[gpu * each..(gpu + 1) * each];
        Some(own.chunks_exact(self.top_k))
    }

    /// Slots chosen for `expert` on all GPUs, dropped ones included.
    #[must_use]
    pub fn load(&self, expert: usize) -> u64 {
        let of = |cells: &[u32]| -> u64 {
            cells.iter().skip(expert).step_by(self.experts).map(|&n| u64::from(n)).sum()
        };
        of(&self.kept) + of(&self.dropped)
    }

    /// Share of all slots that were dropped.
    #[must_use]
    pub fn drop_share(&self) -> f64 {
        let sum = |cells: &[u32]| cells.iter().map(|&n| u64::from(n)).sum::<u64>() as f64;
        let (kept, dropped) = (sum(&self.kept), sum(&self.dropped));
        dropped / (kept + dropped)
    }

    /// Mixing weight of the slots that were dropped, a token having one in all.
    #[must_use]
    pub const fn lost_weight(&self) -> f64 {
        self.lost_weight
    }

    /// The most slots that a token can have.
    #[must_use]
    pub const fn most_slots(&self) -> usize {
        self.top_k
    }
}
