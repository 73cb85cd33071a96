//! Which parameters move when one placement replaces another, and from whom each is taken.
//!
//! A GPU that is to hold an expert it did not hold takes a copy from one that did: from its own node
//! if there is one, from any other otherwise, and receivers are dealt to these senders in turn. That is
//! what SGLang's `ExpertLocationUpdater` does [sglang]. What stays on its GPU does not move, wherever
//! in memory the GPU keeps it.

use std::collections::BTreeMap;

use super::Placement;

/// One expert's parameters on their way from a rank that had them to one that is to have them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Move {
    /// The rank that sends.
    pub from: u32,
    /// The rank that receives.
    pub to: u32,
}

/// The moves that turn one placement of a group into another, `node_of` a rank being its node.
///
/// # Panics
/// If the placements are not of the same experts.
#[must_use]
pub fn moves(old: &Placement, new: &Placement, node_of: impl Fn(u32) -> u32) -> Vec<Move> {
    let (before, after) = (old.hosts.len(), new.hosts.len());
    assert!(before == after, "{before} experts before, {after} after");
    let mut moves = Vec::new();
    let mut turns: BTreeMap<Option<u32>, usize> = BTreeMap::new();
    for (had, get) in old.hosts.iter().zip(&new.hosts) {
        turns.clear();
        // An expert without hosts is on every rank and stays there.
        for &to in get.iter().filter(|to| !had.is_empty() && !had.contains(to)) {
            let near: Vec<u32> =
                had.iter().copied().filter(|&from| node_of(from) == node_of(to)).collect();
            let (senders, among) =
                if near.is_empty() { (had, None) } else { (&near, Some(node_of(to))) };
            let turn = turns.entry(among).or_insert(0);
            moves.push(Move { from: senders[*turn % senders.len()], to });
            *turn += 1;
        }
    }
    moves
}

#[cfg(test)]
mod tests {
    use super::*;

    fn placed(hosts: &[&[u32]]) -> Placement {
        Placement { ranks: 8, hosts: hosts.iter().map(|hosts| hosts.to_vec()).collect() }
    }

    fn pairs(old: &[&[u32]], new: &[&[u32]]) -> Vec<(u32, u32)> {
        let moved = moves(&placed(old), &placed(new), |rank| rank / 4);
        moved.iter().map(|Move { from, to }| (*from, *to)).collect()
    }

    #[test]
    fn what_stays_does_not_move() {
        assert_eq!(pairs(&[&[0, 5], &[1], &[]], &[&[5, 0], &[1], &[]]), []);
    }

    /// Ranks 0 to 3 are one node and 4 to 7 another.
    #[test]
    fn parameters_come_from_the_own_node_if_it_has_them_and_senders_take_turns() {
        assert_eq!(pairs(&[&[0, 5]], &[&[6, 1, 7]]), [(5, 6), (0, 1), (5, 7)]);
        assert_eq!(pairs(&[&[0, 1]], &[&[4, 5, 6, 2]]), [(0, 4), (1, 5), (0, 6), (0, 2)]);
    }
}
