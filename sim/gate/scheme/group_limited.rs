//! DeepSeek-V3's node-limited gate: a token goes to at most M groups of experts [deepseekv3, §2.1.2].
//!
//! Experts are split into equal groups, one a node. A group's score is the sum of its two best
//! sigmoid scores; the M best groups are kept, and the K best experts within them are chosen.
//!
//! Law: every token has exactly K slots in at most M groups, so at most M copies of a token cross
//! nodes. One shared expert, which every token has on its own GPU, is not a slot.

use super::{Choices, Scheme, Scores, best};

/// The K best experts of the M best groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupLimited {
    /// K.
    pub k: usize,
    /// Groups of experts, one a node.
    pub groups: usize,
    /// M.
    pub most: usize,
}

impl Scheme for GroupLimited {
    fn name(&self) -> &'static str {
        "group-limited top-k"
    }

    fn choose(&self, scores: &Scores) -> Choices {
        let per_group = scores.experts() / self.groups;
        Choices::of((0..scores.tokens()).map(|token| {
            let affinity: Vec<f64> =
                scores.of(token).iter().map(|z| 1.0 / (1.0 + (-z).exp())).collect();
            let of_group = |group: usize| {
                let here = &affinity[group * per_group..][..per_group];
                best(here, 2, |_| true).into_iter().map(|expert| here[expert]).sum()
            };
            let by_group: Vec<f64> = (0..self.groups).map(of_group).collect();
            let kept = best(&by_group, self.most, |_| true);
            best(scores.of(token), self.k, |expert| kept.contains(&(expert / per_group)))
        }))
    }
}
