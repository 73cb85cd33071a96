//! What every GPU sends where its tokens choose experts evenly.
//!
//! With t tokens of H numbers of b bytes, k slots per token, N GPUs in n nodes of r, and D(g) the
//! groups of g that a token reaches (`kernels::exchange`, equation 1), bytes from one GPU to another:
//!
//! ```text
//!   direct      to each peer                     b·t·H · k/N                            (1)
//!   one-sided   to each peer of a domain         b·t·H · min(N, k)/N                    (2)
//!   two-hop     one node: to each peer           b·t·H · D(r)/r                         (3)
//!               n nodes: to the GPU of its rail in each other node   b·t·H · D(n)/n     (4)
//!               to each peer of its own node     b·t·H · D(N)/N, of its own tokens and of
//!                                                those that n − 1 others brought        (5)
//! ```
//!
//! These are what measured kernels were given, so an exchange of these bytes takes exactly the
//! measured time.

use crate::base::units::{Bytes, GpuId};
use crate::kernels::exchange::{ExchangeShape, Library, distinct_groups};
use crate::network::{Carries, Exchange, Forwarding};

/// Bytes from a GPU to its peers under an even choice of experts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Balanced {
    /// GPUs of a node.
    ranks: u32,
    /// GPUs of the group.
    members: u32,
    /// To each other GPU of its own node.
    pub to_peer: u64,
    /// To GPUs of other nodes: each of them, or the one of its rail.
    pub across: u64,
    /// Whether each other node is entered once and passes on.
    two_hop: bool,
}

impl Balanced {
    /// Equations (1) to (5) for numbers of this many bytes.
    #[must_use]
    pub fn of(
        library: Library,
        shape: ExchangeShape,
        members: u32,
        bytes: f64,
        tokens: u32,
    ) -> Self {
        let copy = bytes * f64::from(tokens) * f64::from(shape.hidden);
        let whole = |share: f64| (copy * share).round() as u64;
        let (n, all) = (f64::from(shape.groups), f64::from(members.max(1)));
        let reached = |groups: u32| {
            distinct_groups(groups, shape.experts, shape.top_k) / f64::from(groups.max(1))
        };
        let two_hop = library.is_two_hop();
        let (to_peer, across) = match library {
            Library::DeepEpLowLatency => [whole(f64::from(shape.top_k) / all); 2].into(),
            Library::NvlinkDomain => (whole(all.min(shape.top_k.into()) / all), 0),
            Library::DeepEpNormal | Library::HybridEp if shape.groups <= 1 => {
                (whole(reached(members)), 0)
            }
            Library::DeepEpNormal | Library::HybridEp => {
                (whole(n * reached(members)), whole(reached(shape.groups)))
            }
        };
        let ranks = if shape.groups <= 1 { members } else { shape.ranks };
        Self { ranks, members, to_peer, across, two_hop }
    }

    /// Bytes that a GPU sends to others of its node.
    #[must_use]
    pub fn within(&self) -> u64 {
        u64::from(self.ranks.saturating_sub(1)) * self.to_peer
    }

    /// Bytes that it sends to other nodes.
    #[must_use]
    pub fn leaving(&self) -> u64 {
        let others = self.members.saturating_sub(self.ranks);
        let copies = if self.two_hop { others / self.ranks.max(1) } else { others };
        u64::from(copies) * self.across
    }

    /// The dispatch or the combine among GPUs 0, 1, ….
    #[must_use]
    pub fn exchange(&self, carries: Carries) -> Exchange {
        let (n, r) = (self.members as usize, self.ranks as usize);
        let bytes = |cell: usize| {
            let (from, to) = (cell / n, cell % n);
            match (from == to, from / r == to / r) {
                (true, _) => 0,
                (false, true) => self.to_peer,
                (false, false) if self.two_hop && from % r != to % r => 0,
                (false, false) => self.across,
            }
        };
        let cells = (0..n * n).map(|cell| Bytes(bytes(cell))).collect();
        let forwarding = match carries {
            _ if !self.two_hop => Forwarding::None,
            Carries::Combine => Forwarding::WithinThenAcross,
            Carries::Dispatch | Carries::Other => Forwarding::AcrossThenWithin,
        };
        let members = (0..self.members).map(GpuId).collect();
        Exchange::new(members, cells).with_forwarding(forwarding).carrying(carries)
    }
}
