//! An exchange: which member sends how much to whom, and over whom.
//!
//! A two-hop all-to-all is two sets of transfers in one exchange. Bytes are passed on chunk by chunk,
//! so both sets move at the same time; but the last chunk a forwarder passes on is, like every chunk,
//! made of what several senders gave it. A member served by forwarder `k` therefore waits for all
//! that `k` receives to pass on:
//!
//! ```text
//!   done_j ≥ max over forwarders k of j, over first hops i → k, of their ends           (1)
//! ```

use super::Carries;
use crate::base::units::{Bytes, GpuId};

/// Bytes that go through a third member, which passes on each chunk as it comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Relayed {
    /// The rank that sends.
    pub from: usize,
    /// The rank that passes on.
    pub via: usize,
    /// The rank that receives.
    pub to: usize,
    /// How much.
    pub bytes: Bytes,
}

/// Which transfers of an exchange pass on what others brought, if any do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Forwarding {
    /// Nobody passes anything on.
    #[default]
    None,
    /// Transfers within nodes pass on what came from other nodes: a two-hop dispatch.
    AcrossThenWithin,
    /// Transfers between nodes pass on what came from the own node: a two-hop combine.
    WithinThenAcross,
}

/// One all-to-all among the members of a group: who sends how many bytes to whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchange {
    members: Vec<GpuId>,
    bytes: Vec<Bytes>,
    relayed: Vec<Relayed>,
    forwarding: Forwarding,
    carries: Carries,
}

impl Exchange {
    /// An exchange of `bytes[from * members.len() + to]` bytes from member to member.
    ///
    /// # Panics
    /// If `bytes` is no square matrix over `members`.
    #[must_use]
    pub fn new(members: Vec<GpuId>, bytes: Vec<Bytes>) -> Self {
        let (ranks, cells) = (members.len(), bytes.len());
        assert!(ranks * ranks == cells, "{cells} cells for {ranks} members");
        let (relayed, forwarding) = (Vec::new(), Forwarding::None);
        Self { members, bytes, relayed, forwarding, carries: Carries::Other }
    }

    /// The same with bytes that go through a third member.
    ///
    /// # Panics
    /// If a rank is not a member's.
    #[must_use]
    pub fn with_relayed(mut self, relayed: Vec<Relayed>) -> Self {
        let ranks = self.members.len();
        for Relayed { from, via, to, .. } in &relayed {
            assert!([from, via, to].iter().all(|&&rank| rank < ranks), "ranks beyond {ranks}");
        }
        self.relayed = relayed;
        self
    }

    /// The same with some transfers passing on what others brought.
    #[must_use]
    pub const fn with_forwarding(mut self, forwarding: Forwarding) -> Self {
        self.forwarding = forwarding;
        self
    }

    /// The same as a dispatch, a combine or something else.
    #[must_use]
    pub const fn carrying(mut self, carries: Carries) -> Self {
        self.carries = carries;
        self
    }

    /// What it carries.
    #[must_use]
    pub const fn carries(&self) -> Carries {
        self.carries
    }

    /// The GPUs that take part, in order of rank.
    #[must_use]
    pub fn members(&self) -> &[GpuId] {
        &self.members
    }

    /// Bytes from the member of rank `from` to that of rank `to`; what stays on a GPU counts too.
    #[must_use]
    pub fn bytes(&self, from: usize, to: usize) -> Bytes {
        self.bytes[from * self.members.len() + to]
    }

    /// Bytes that go through a third member, beside those of [`Exchange::bytes`].
    #[must_use]
    pub fn relayed(&self) -> &[Relayed] {
        &self.relayed
    }

    /// Which transfers pass on what others brought.
    #[must_use]
    pub const fn forwarding(&self) -> Forwarding {
        self.forwarding
    }

    /// All transfers that take the network: sender, receiver, bytes, and who passes them on.
    pub fn transfers(&self) -> impl Iterator<Item = Relayed> + '_ {
        let rows = self.bytes.chunks_exact(self.members.len().max(1)).enumerate();
        let direct = rows.flat_map(|(from, row)| {
            let cell = move |(to, &bytes): (usize, &Bytes)| Relayed { from, via: to, to, bytes };
            row.iter().enumerate().map(cell)
        });
        let all = direct.chain(self.relayed.iter().copied());
        all.filter(|transfer| transfer.from != transfer.to && transfer.bytes.0 > 0)
    }

    /// Whether a transfer from one node to the same or another is the first of two hops.
    pub(super) const fn is_first_hop(&self, same_node: bool) -> bool {
        match self.forwarding {
            Forwarding::None => false,
            Forwarding::AcrossThenWithin => !same_node,
            Forwarding::WithinThenAcross => same_node,
        }
    }

    /// Whether it is the second.
    pub(super) const fn is_second_hop(&self, same_node: bool) -> bool {
        match self.forwarding {
            Forwarding::None => false,
            Forwarding::AcrossThenWithin => same_node,
            Forwarding::WithinThenAcross => !same_node,
        }
    }

    /// Volumes of each member, by rank, into `out`: memory of other exchanges' serves.
    pub(super) fn volumes(&self, out: &mut Vec<Volume>) {
        let ranks = self.members.len();
        out.clear();
        out.resize(ranks, Volume::default());
        for one in 0..ranks {
            for other in 0..one {
                let (there, back) = (self.bytes(one, other).0, self.bytes(other, one).0);
                let meet = u64::from(there + back > 0);
                for (rank, sent, received) in [(one, there, back), (other, back, there)] {
                    out[rank].sent += sent;
                    out[rank].received += received;
                    out[rank].peers += meet;
                }
            }
        }
        for &Relayed { from, via, to, bytes } in &self.relayed {
            if bytes.0 == 0 {
                continue;
            }
            // Each rank once, whatever it is in the transfer.
            out[from].sent += bytes.0;
            out[to].received += bytes.0;
            if via != from {
                out[via].sent += bytes.0;
            }
            if via != to {
                out[via].received += bytes.0;
            }
            for (at, &rank) in [from, via, to].iter().enumerate() {
                let again = [from, via, to][..at].contains(&rank);
                out[rank].peers += u64::from(!again);
            }
        }
    }
}

/// What a member of an exchange sends and receives, what it passes on included, and with how many others.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Volume {
    sent: u64,
    received: u64,
    pub(super) peers: u64,
}

impl Volume {
    /// Bytes that it sends or receives, whichever is more.
    pub(super) fn bytes(self) -> Bytes {
        Bytes(self.sent.max(self.received))
    }
}
