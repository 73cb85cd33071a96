//! The bytes of a layer's two exchanges: the gate's counts through an all-to-all algorithm.
//!
//! *Direct* sends one hidden vector for each slot computed elsewhere, padding included. The others
//! go by [`crate::network::collective`]: by the drawn tokens where there are any, by expectation otherwise.
//! Of an expert's slots those that come last in the order of tokens are the dropped ones; padding
//! is not sent, as only buffers of fixed size need it. Where experts are cut over t GPUs, a slot goes to the one of
//! them that has its sender's place in a cut; what the others get of it is `step::split`'s matter.

use crate::base::units::{Bytes, ExpertId, GpuId};
use crate::gate::Counts;
use crate::network::collective::{Accounting, Algorithm, Allowed, Chosen, Hop, Sending};
use crate::network::{Carries, Exchange, Forwarding, Relayed};
use crate::placement::Placement;
use crate::workload::Scheme;

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
    /// Bytes of a slot on its way to its expert, and on its way back.
    slot: [u64; 2],
}

impl Dispatch {
    /// Nothing to dispatch among this many members.
    pub fn clear(&mut self, ranks: usize) {
        self.cells.clear();
        self.cells.resize(ranks * ranks, Bytes(0));
        self.relayed.clear();
        self.two_hop = false;
    }

    /// What a group sends whose rank 0 is `first`, with slots of this many bytes there and back.
    pub fn plan(
        &mut self,
        how: &AllToAll,
        counts: &Counts,
        placement: &Placement,
        slot: [u64; 2],
        first: GpuId,
    ) {
        let ranks = counts.gpus();
        self.clear(ranks);
        self.slot = slot;
        let token = Bytes(slot[0]);
        if how.algorithm == Algorithm::Direct {
            self.one_for_each_slot(counts, placement, token);
            return;
        }
        self.two_hop = how.algorithm == Algorithm::TwoHop;
        let accounting = accounted(how, counts, placement, (first, token));
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
        let split = ranks / placement.ranks() as usize;
        for expert in 0..counts.experts() {
            for from in 0..ranks {
                let slots = counts.computed(from, expert);
                for (host, share) in placement.shares(ExpertId(expert as u32), from, slots) {
                    let to = host * split + from % split;
                    if from != to {
                        self.cells[from * ranks + to] += Bytes(u64::from(share) * token.0);
                    }
                }
            }
        }
    }

    /// Bytes of all hops.
    pub fn bytes(&self) -> u64 {
        let relayed = self.relayed.iter().map(|relayed| 2 * relayed.bytes.0).sum::<u64>();
        self.cells.iter().map(|bytes| bytes.0).sum::<u64>() + relayed
    }

    /// The dispatch.
    pub fn dispatch_exchange(&self, members: Vec<GpuId>) -> Exchange {
        let forwarding = if self.two_hop { Forwarding::AcrossThenWithin } else { Forwarding::None };
        Exchange::new(members, self.cells.clone())
            .with_relayed(self.relayed.clone())
            .with_forwarding(forwarding)
            .carrying(Carries::Dispatch)
    }

    /// The combine.
    pub fn combine_exchange(&self, members: Vec<GpuId>) -> Exchange {
        let ranks = members.len();
        let [there, back] = [self.slot[0].max(1), self.slot[1]];
        let smaller = |Bytes(bytes): Bytes| match bytes.checked_mul(back) {
            Some(scaled) => Bytes(scaled / there),
            None => Bytes((u128::from(bytes) * u128::from(back) / u128::from(there)) as u64),
        };
        let cells = (0..ranks * ranks)
            .map(|cell| smaller(self.cells[(cell % ranks) * ranks + cell / ranks]));
        let turned = |&Relayed { from, via, to, bytes }: &Relayed| Relayed {
            from: to,
            via,
            to: from,
            bytes: smaller(bytes),
        };
        let forwarding = if self.two_hop { Forwarding::WithinThenAcross } else { Forwarding::None };
        Exchange::new(members, cells.collect())
            .with_relayed(self.relayed.iter().map(turned).collect())
            .with_forwarding(forwarding)
            .carrying(Carries::Combine)
    }
}

/// The hops of a group's tokens, each copy of so many bytes.
fn accounted(
    how: &AllToAll,
    counts: &Counts,
    placement: &Placement,
    (first, copy): (GpuId, Bytes),
) -> Accounting {
    let ranks = counts.gpus();
    let accounting = Accounting::new(how.algorithm, how.gpus_per_node, copy);
    let mut accounting = accounting.among(first.0..first.0 + ranks as u32);
    if counts.drawn_on(0).is_some() {
        for rank in 0..ranks {
            account_tokens(&mut accounting, rank, counts, placement, first);
        }
    } else {
        let known: Vec<Known> =
            (0..ranks).map(|rank| Known::of(rank, counts, placement, first)).collect();
        let sendings: Vec<Sending<'_>> = known.iter().map(Known::sending).collect();
        accounting.expect(&sendings);
    }
    accounting
}

/// The GPU on which a member's slots find the experts of a host.
fn gpu_of(
    rank: usize,
    counts: &Counts,
    placement: &Placement,
    first: GpuId,
) -> impl Fn(u32) -> GpuId {
    let split = (counts.gpus() / placement.ranks() as usize) as u32;
    move |host| GpuId(first.0 + host * split + rank as u32 % split)
}

/// Accounts for the tokens of one member, where they were drawn.
fn account_tokens(
    accounting: &mut Accounting,
    rank: usize,
    counts: &Counts,
    placement: &Placement,
    first: GpuId,
) {
    let source = GpuId(first.0 + rank as u32);
    let gpu_of = gpu_of(rank, counts, placement, first);
    let mut room = counts.kept_by(rank).to_vec();
    let mut experts_on = Vec::new();
    for (number, token) in counts.drawn_on(rank).into_iter().flatten().enumerate() {
        experts_on.clear();
        for &expert in token {
            let expert = usize::from(expert);
            let kept = room[expert] > 0;
            room[expert] -= u32::from(kept);
            // Copies of an expert take tokens in turn.
            let hosts = placement.hosts(ExpertId(expert as u32));
            let host = hosts.get((number + rank) % hosts.len().max(1));
            experts_on.extend(host.filter(|_| kept).map(|&host| gpu_of(host)));
        }
        accounting.token(source, &experts_on);
    }
}

/// What is known of the tokens of a member where only counts are: of each copy of an expert, which counts as one, with
/// its share of the slots.
struct Known {
    source: GpuId,
    owner: Vec<GpuId>,
    slots: Vec<f64>,
    dropped: Vec<f64>,
    tokens: Vec<f64>,
    block_of: Vec<usize>,
    allowed: Option<Allowed>,
}

impl Known {
    fn of(rank: usize, counts: &Counts, placement: &Placement, first: GpuId) -> Self {
        let hosts_of = |expert: usize| placement.hosts(ExpertId(expert as u32));
        let (gpu_of, experts) = (gpu_of(rank, counts, placement, first), counts.experts());
        let copies = || {
            (0..experts).flat_map(|expert| hosts_of(expert).iter().map(move |&host| (expert, host)))
        };
        let chosen = |e: usize| f64::from(counts.kept(rank, e) + counts.dropped(rank, e));
        let share = |e: usize| 1.0 / hosts_of(e).len().max(1) as f64;
        let dropped = |e: usize| f64::from(counts.dropped(rank, e)) / chosen(e).max(1.0);
        let mut tokens: Vec<f64> =
            (0..=counts.top_k()).map(|f| f64::from(counts.tokens_with(rank, f))).collect();
        if (0..experts).all(|expert| !hosts_of(expert).is_empty()) {
            // Zero-computation experts are sent to as well: every token has all its K slots under way.
            let all = tokens.drain(..).sum();
            tokens = vec![0.0; counts.top_k()];
            tokens.push(all);
        }
        let (groups, allowed) = match counts.scheme() {
            Scheme::GroupLimited { groups, most } => (groups, Some(Allowed::AtMost(most as usize))),
            Scheme::Grouped { groups } => {
                (groups, Some(Allowed::Each(counts.top_k() / groups as usize)))
            }
            _ => (0, None),
        };
        Self {
            source: GpuId(first.0 + rank as u32),
            owner: copies().map(|(_, host)| gpu_of(host)).collect(),
            slots: copies().map(|(e, _)| share(e) * chosen(e)).collect(),
            dropped: copies().map(|(e, _)| dropped(e)).collect(),
            tokens,
            block_of: copies().map(|(e, _)| e * groups as usize / experts).collect(),
            allowed,
        }
    }

    fn sending(&self) -> Sending<'_> {
        let Self { source, owner, slots, dropped, tokens, block_of, allowed } = self;
        let blocks = allowed.map(|allowed| (&block_of[..], allowed));
        let chosen = Chosen { slots, dropped, tokens, blocks };
        Sending { source: *source, chosen, owner }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_combine_sends_everything_back() {
        let mut dispatch = Dispatch::default();
        dispatch.clear(3);
        dispatch.slot = [1, 1];
        dispatch.cells[1] = Bytes(7);
        dispatch.relayed.push(Relayed { from: 0, via: 1, to: 2, bytes: Bytes(5) });
        dispatch.two_hop = true;
        let members = || (0..3).map(GpuId).collect();
        let (dispatched, combined) =
            (dispatch.dispatch_exchange(members()), dispatch.combine_exchange(members()));
        assert_eq!((dispatched.bytes(0, 1), combined.bytes(1, 0)), (Bytes(7), Bytes(7)));
        assert_eq!((dispatched.bytes(1, 0), combined.bytes(0, 1)), (Bytes(0), Bytes(0)));
        assert_eq!(combined.relayed(), [Relayed { from: 2, via: 1, to: 0, bytes: Bytes(5) }]);
        assert_eq!(dispatched.forwarding(), Forwarding::AcrossThenWithin);
        assert_eq!(combined.forwarding(), Forwarding::WithinThenAcross);
    }
}
