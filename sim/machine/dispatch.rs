//! The bytes of a layer's two exchanges: the gate's counts through an all-to-all algorithm.
//!
//! *Direct* sends one hidden vector for each slot computed elsewhere, padding included. The others
//! go by [`crate::collective`]: by the drawn tokens where there are any, by expectation otherwise.
//! Of an expert's slots those that come last in the order of tokens are the dropped ones; padding
//! is not sent, as only buffers of fixed size need it.

use crate::collective::{Accounting, Algorithm, Chosen, Hop};
use crate::gate::Counts;
use crate::network::{Exchange, Forwarding, Relayed};
use crate::placement::Placement;
use crate::units::{Bytes, ExpertId, GpuId};

/// How tokens are moved to their experts and back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AllToAll {
    /// The algorithm.
    pub algorithm: Algorithm,
    /// GPUs that share a node, numbered one after another.
    pub gpus_per_node: u32,
}

/// Bytes from member to member in a dispatch; the combine sends the same back.
#[derive(Clone, Debug, Default)]
pub(super) struct Dispatch {
    /// `[from][to]`, row-major.
    cells: Vec<Bytes>,
    relayed: Vec<Relayed>,
    two_hop: bool,
}

impl Dispatch {
    /// Nothing to dispatch among so many members.
    pub fn clear(&mut self, ranks: usize) {
        self.cells.clear();
        self.cells.resize(ranks * ranks, Bytes(0));
        self.relayed.clear();
        self.two_hop = false;
    }

    /// What a group sends whose rank 0 is `first`, with tokens of `token` bytes.
    pub fn plan(
        &mut self,
        how: &AllToAll,
        counts: &Counts,
        placement: &Placement,
        token: Bytes,
        first: GpuId,
    ) {
        let ranks = counts.gpus();
        self.clear(ranks);
        if how.algorithm == Algorithm::Direct {
            self.one_for_each_slot(counts, placement, token);
            return;
        }
        self.two_hop = how.algorithm == Algorithm::TwoHop;
        let members = first.0..first.0 + ranks as u32;
        let accounting = Accounting::new(how.algorithm, how.gpus_per_node, token);
        let mut accounting = accounting.among(members);
        for rank in 0..ranks {
            account(&mut accounting, rank, counts, placement, first);
        }
        for Hop { from, via, to, bytes } in accounting.hops() {
            let [from, to] = [from, to].map(|gpu| (gpu.0 - first.0) as usize);
            match via {
                None => self.cells[from * ranks + to] += bytes,
                Some(via) => {
                    let via = (via.0 - first.0) as usize;
                    self.relayed.push(Relayed { from, via, to, bytes });
                }
            }
        }
    }

    fn one_for_each_slot(&mut self, counts: &Counts, placement: &Placement, token: Bytes) {
        let ranks = counts.gpus();
        for expert in 0..counts.experts() {
            let Some(to) = placement.rank_of(ExpertId(expert as u32)) else { continue };
            let to = to as usize;
            for from in (0..ranks).filter(|&from| from != to) {
                let sent = u64::from(counts.computed(from, expert)) * token.0;
                self.cells[from * ranks + to] += Bytes(sent);
            }
        }
    }

    /// Bytes of all hops.
    pub fn bytes(&self) -> u64 {
        let relayed = self.relayed.iter().map(|relayed| 2 * relayed.bytes.0).sum::<u64>();
        self.cells.iter().map(|bytes| bytes.0).sum::<u64>() + relayed
    }

    /// The dispatch.
    pub fn forth(&self, members: Vec<GpuId>) -> Exchange {
        let forwarding = if self.two_hop { Forwarding::AcrossThenWithin } else { Forwarding::None };
        Exchange::new(members, self.cells.clone())
            .with_relayed(self.relayed.clone())
            .with_forwarding(forwarding)
    }

    /// The combine.
    pub fn back(&self, members: Vec<GpuId>) -> Exchange {
        let ranks = members.len();
        let cells =
            (0..ranks * ranks).map(|cell| self.cells[(cell % ranks) * ranks + cell / ranks]);
        let turned = |&Relayed { from, via, to, bytes }: &Relayed| Relayed {
            from: to,
            via,
            to: from,
            bytes,
        };
        let forwarding = if self.two_hop { Forwarding::WithinThenAcross } else { Forwarding::None };
        Exchange::new(members, cells.collect())
            .with_relayed(self.relayed.iter().map(turned).collect())
            .with_forwarding(forwarding)
    }
}

/// Accounts for the tokens of one member.
fn account(
    accounting: &mut Accounting,
    rank: usize,
    counts: &Counts,
    placement: &Placement,
    first: GpuId,
) {
    let source = GpuId(first.0 + rank as u32);
    let owner_of = |expert: usize| {
        placement.rank_of(ExpertId(expert as u32)).map(|rank| GpuId(first.0 + rank))
    };
    if let Some(tokens) = counts.drawn_on(rank) {
        let mut room = counts.kept_by(rank).to_vec();
        let mut experts_on = Vec::new();
        for token in tokens {
            experts_on.clear();
            for &expert in token {
                let expert = usize::from(expert);
                let kept = room[expert] > 0;
                room[expert] -= u32::from(kept);
                experts_on.extend(owner_of(expert).filter(|_| kept));
            }
            accounting.token(source, &experts_on);
        }
        return;
    }
    let sent: Vec<usize> = (0..counts.experts()).filter(|&e| owner_of(e).is_some()).collect();
    let owner: Vec<GpuId> = sent.iter().filter_map(|&expert| owner_of(expert)).collect();
    let slots_of = |&e: &usize| f64::from(counts.kept(rank, e) + counts.dropped(rank, e));
    let slots: Vec<f64> = sent.iter().map(slots_of).collect();
    let dropped: Vec<f64> =
        sent.iter().map(|e| f64::from(counts.dropped(rank, *e)) / slots_of(e).max(1.0)).collect();
    let mut tokens: Vec<f64> =
        (0..=counts.top_k()).map(|f| f64::from(counts.tokens_with(rank, f))).collect();
    if sent.len() == counts.experts() {
        // Zero-computation experts are sent to as well: every token has all its K slots under way.
        let all = tokens.drain(..).sum();
        tokens = vec![0.0; counts.top_k()];
        tokens.push(all);
    }
    accounting.expect(
        source,
        &Chosen { slots: &slots, dropped: &dropped, tokens: &tokens },
        &owner,
    );
}
