//! Mixture of Grouped Experts: equally many experts from every group [moge].
//!
//! Experts are split into M equal groups, one a device, and a token takes its K/M best in each.
//!
//! Law: every token has exactly K slots, K/M in each group, so every device has exactly K·T/M slots
//! whatever the scores: no straggler, and every token goes to every device.

use super::{Choices, Scheme, Scores, best};

/// The K/M best experts of each of M groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grouped {
    /// K.
    pub k: usize,
    /// M.
    pub groups: usize,
}

impl Scheme for Grouped {
    fn name(&self) -> &'static str {
        "grouped experts"
    }

    fn choose(&self, scores: &Scores) -> Choices {
        let (per_group, each) = (scores.experts() / self.groups, self.k / self.groups);
        Choices::of((0..scores.tokens()).map(|token| {
            let in_group = |group: usize| {
                best(scores.of(token), each, move |expert| expert / per_group == group)
            };
            (0..self.groups).flat_map(in_group).collect()
        }))
    }
}
