//! Gating schemes: rules that turn scores into choices, each exact in what it does to counts.
//!
//! A scheme sees a batch of tokens, each with a score for every expert (a logit with the token's noise
//! in it), and decides who computes what. All obey these laws, and each module states its own:
//!
//! ```text
//!   no token has an expert twice                                                             (1)
//!   equal scores give equal choices: there is no other state and no chance                   (2)
//!   a constant added to all scores of a token changes nothing                                (3)
//! ```
//!
//! What they leave out: mixing weights, which change values but neither counts nor traffic.

use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Gumbel};

use crate::workload;

mod autonomy;
mod chain;
mod controlled;
mod dynamic;
mod expert_choice;
mod group_limited;
mod grouped;
mod null_experts;

pub use autonomy::AutonomyOfExperts;
pub use chain::ChainOfExperts;
pub use controlled::Controlled;
pub use dynamic::TopP;
pub use expert_choice::ExpertChoice;
pub use group_limited::GroupLimited;
pub use grouped::Grouped;
pub use null_experts::NullExperts;

/// Scores of the tokens of a batch.
#[derive(Clone, Debug, PartialEq)]
pub struct Scores {
    experts: usize,
    values: Vec<f64>,
}

impl Scores {
    /// Scores `[token × expert]`.
    ///
    /// # Panics
    /// If they are not whole rows, or there are none.
    #[must_use]
    pub fn new(experts: usize, values: Vec<f64>) -> Self {
        let cells = values.len();
        assert!(cells.is_multiple_of(experts.max(1)), "{cells} scores of {experts} experts");
        Self { experts, values }
    }

    /// Scores of tokens with these logits and independent Gumbel noise.
    ///
    /// # Panics
    /// If there are no experts.
    #[must_use]
    pub fn drawn(logits: &[f64], tokens: usize, rng: &mut ChaCha8Rng) -> Self {
        let noise = Gumbel::new(0.0, 1.0).expect("a scale of one is positive");
        let rows = (0..tokens).flat_map(|_| logits);
        let values = rows.map(|logit| logit + noise.sample(rng)).collect();
        Self::new(logits.len(), values)
    }

    /// Experts.
    #[must_use]
    pub const fn experts(&self) -> usize {
        self.experts
    }

    /// Tokens.
    #[must_use]
    pub fn tokens(&self) -> usize {
        self.values.len() / self.experts
    }

    /// The scores of one token.
    #[must_use]
    pub fn of(&self, token: usize) -> &[f64] {
        &self.values[token * self.experts..][..self.experts]
    }

    /// The same scores with `bias[i]` added to those of expert i.
    #[must_use]
    pub fn biased(&self, bias: &[f64]) -> Self {
        let each = self.values.iter().zip(bias.iter().cycle());
        Self { experts: self.experts, values: each.map(|(z, b)| z + b).collect() }
    }
}

/// Who computes which token.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Choices {
    /// Where each token's experts begin, and the number of slots.
    starts: Vec<usize>,
    experts: Vec<u16>,
}

impl Choices {
    /// Choices of the tokens in order.
    pub fn of(tokens: impl Iterator<Item = Vec<usize>>) -> Self {
        let mut choices = Self { starts: vec![0], experts: vec![] };
        for chosen in tokens {
            choices.experts.extend(chosen.into_iter().map(|expert| expert as u16));
            choices.starts.push(choices.experts.len());
        }
        choices
    }

    /// Tokens.
    #[must_use]
    pub fn tokens(&self) -> usize {
        self.starts.len().saturating_sub(1)
    }

    /// The experts of one token, best first where the scheme ranks them.
    #[must_use]
    pub fn of_token(&self, token: usize) -> &[u16] {
        &self.experts[self.starts[token]..self.starts[token + 1]]
    }

    /// Slots of each expert.
    #[must_use]
    pub fn counts(&self, experts: usize) -> Vec<u64> {
        let mut counts = vec![0; experts];
        for &expert in &self.experts {
            counts[usize::from(expert)] += 1;
        }
        counts
    }

    /// Copies of a token's vector that leave for groups of `per_group` experts: distinct groups.
    #[must_use]
    pub fn groups_of(&self, token: usize, per_group: usize) -> usize {
        let mut groups: Vec<usize> =
            self.of_token(token).iter().map(|&e| usize::from(e) / per_group).collect();
        groups.sort_unstable();
        groups.dedup();
        groups.len()
    }
}

/// A rule that turns scores into choices.
pub trait Scheme {
    /// Its name in reports.
    fn name(&self) -> &'static str;

    /// Decides for a batch.
    fn choose(&self, scores: &Scores) -> Choices;

    /// Whether an expert computes at all: null, zero and copy experts cost no FFN and no traffic.
    fn computes(&self, _expert: usize) -> bool {
        true
    }

    /// Rounds of dispatch, experts and combine in one layer.
    fn rounds(&self) -> u32 {
        1
    }

    /// Floating-point operations of a token before it is sent, beyond a gate matrix.
    fn flops_before_dispatch(&self, _hidden: u32, _experts: u32) -> u64 {
        0
    }
}

/// The rule of this name over these experts, as a round of a layer sees them.
#[must_use]
pub fn of(scheme: workload::Scheme, experts: &workload::Experts) -> Box<dyn Scheme> {
    let (k, ffn) = (experts.top_k as usize, experts.ffn as usize);
    match scheme {
        workload::Scheme::TopK => Box::new(TopK { k }),
        workload::Scheme::NullExperts => Box::new(NullExperts { real: ffn, k }),
        workload::Scheme::Controlled { ffn_slots } => Box::new(Controlled::new(ffn, k, ffn_slots)),
        workload::Scheme::GroupLimited { groups, most } => {
            Box::new(GroupLimited { k, groups: groups as usize, most: most as usize })
        }
        workload::Scheme::ExpertChoice => Box::new(ExpertChoice { k }),
        workload::Scheme::TopP { p, sharpness } => Box::new(TopP { p, sharpness, most: k }),
        workload::Scheme::Grouped { groups } => Box::new(Grouped { k, groups: groups as usize }),
        workload::Scheme::Autonomy { rank } => Box::new(AutonomyOfExperts { k, rank }),
        // K is a round's already.
        workload::Scheme::Chain { rounds } => {
            Box::new(ChainOfExperts { k: k * rounds as usize, rounds })
        }
    }
}

/// The K best scores, whether softmax or sigmoid turns them into weights: both are monotone.
///
/// Law: every token has exactly K slots. [shazeer17]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TopK {
    /// K.
    pub k: usize,
}

impl Scheme for TopK {
    fn name(&self) -> &'static str {
        "top-k"
    }

    fn choose(&self, scores: &Scores) -> Choices {
        Choices::of((0..scores.tokens()).map(|token| best(scores.of(token), self.k, |_| true)))
    }
}

/// The `k` best experts among those allowed, best first; the lower id wins ties.
fn best(scores: &[f64], k: usize, allowed: impl Fn(usize) -> bool) -> Vec<usize> {
    best_of(scores, k, (0..scores.len()).filter(|&expert| allowed(expert)).collect())
}

/// The `k` best of some experts.
fn best_of(scores: &[f64], k: usize, mut order: Vec<usize>) -> Vec<usize> {
    let better = |&a: &usize, &b: &usize| scores[b].total_cmp(&scores[a]).then(a.cmp(&b));
    if k < order.len() {
        order.select_nth_unstable_by(k, better);
        order.truncate(k);
    }
    order.sort_unstable_by(better);
    order
}

/// The softmax of scores.
fn softmax(scores: &[f64]) -> Vec<f64> {
    let most = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let weights: Vec<f64> = scores.iter().map(|z| (z - most).exp()).collect();
    let total: f64 = weights.iter().sum();
    weights.iter().map(|weight| weight / total).collect()
}
