//! Which rule turns a gate's scores into choices, and where a layer's experts live.

/// A rule that turns scores into choices. Its law is in the module of `gate::scheme` of its name.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Scheme {
    /// The K best of all experts; with zero-computation experts this is MoE++ [moepp].
    #[default]
    TopK,
    /// AdaMoE: the K best, some of which are null experts, balanced as one [adamoe].
    NullExperts,
    /// LongCat-Flash: biases hold the mean number of FFN experts of a token at K_e [longcat].
    Controlled {
        /// K_e.
        ffn_slots: f64,
    },
    /// DeepSeek-V3: the K best of the M best groups of experts [deepseekv3].
    GroupLimited {
        /// Groups of experts, in order of their ids.
        groups: u32,
        /// M.
        most: u32,
    },
    /// Each expert takes the tokens that like it best, equally many [zhou22].
    ExpertChoice,
    /// As many experts as it takes to reach a probability, at most K [huang24].
    TopP {
        /// The probability.
        p: f64,
        /// What logits are multiplied by before the softmax: large is peaked.
        sharpness: f64,
    },
    /// Pangu Pro MoE: the K/M best of each of M groups [moge].
    Grouped {
        /// M.
        groups: u32,
    },
    /// Autonomy of Experts: the K that react most, after a product of this rank with each [aoe].
    Autonomy {
        /// Rank of an expert's first factor.
        rank: u32,
    },
    /// Chain of Experts: K/R experts in each of R rounds [coe].
    Chain {
        /// R.
        rounds: u32,
    },
}

impl Scheme {
    /// Rounds of gate, dispatch, experts and combine in one layer.
    #[must_use]
    pub const fn rounds(self) -> u32 {
        match self {
            Self::Chain { rounds } => rounds,
            _ => 1,
        }
    }

    /// Whether experts may be zero-computation experts.
    #[must_use]
    pub const fn admits_zero_computation(self) -> bool {
        matches!(
            self,
            Self::TopK | Self::NullExperts | Self::Controlled { .. } | Self::Chain { .. }
        )
    }

    /// The most slots a token can have, of `top_k` and of `ffn` experts.
    #[must_use]
    pub const fn most_slots(self, top_k: u32, ffn: u32) -> u32 {
        match self {
            Self::ExpertChoice => ffn,
            _ => top_k / self.rounds(),
        }
    }
}

/// How scores become mixing weights; the K best are the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scoring {
    /// Softmax over the chosen.
    #[default]
    Softmax,
    /// Sigmoid of each, divided by their sum.
    Sigmoid,
}

/// Which micro-batches a plan of places is made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Micro-batches whose loads are added up.
    pub window: u32,
    /// Micro-batches between the last of them and the first that the plan is for.
    pub age: u32,
    /// Micro-batches until the next plan, or [`Seen::NEVER`].
    pub period: u32,
}

impl Seen {
    /// The period of a plan that is never replaced.
    pub const NEVER: u32 = u32::MAX;
}

/// Which expert lives where within an expert-parallel group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Places {
    /// In blocks of neighbouring ids.
    #[default]
    Contiguous,
    /// Dealt out one GPU after another.
    RoundRobin,
    /// By loads seen earlier, equally many on each GPU.
    LoadAware(Seen),
    /// By loads seen earlier, with more places than experts [eplb].
    Replicated {
        /// Places beyond one for each expert, over the whole group.
        redundant: u32,
        /// Which loads.
        seen: Seen,
    },
}

impl Places {
    /// Which micro-batches plans are made from, where they are made from any.
    #[must_use]
    pub const fn seen(self) -> Option<Seen> {
        match self {
            Self::Contiguous | Self::RoundRobin => None,
            Self::LoadAware(seen) | Self::Replicated { seen, .. } => Some(seen),
        }
    }

    /// Places beyond one for each expert.
    #[must_use]
    pub const fn redundant(self) -> u32 {
        match self {
            Self::Replicated { redundant, .. } => redundant,
            _ => 0,
        }
    }

    /// Micro-batches that pass before a run begins, so that there is something to have seen.
    #[must_use]
    pub const fn lead_in(self) -> u32 {
        match self.seen() {
            Some(seen) => seen.window + seen.age,
            None => 0,
        }
    }
}
