//! Who sends how many bytes to whom and when: the network's input when it is studied by itself.

use crate::base::units::Bytes;

mod csv;
mod pairs;
mod pattern;

pub use csv::{BadLine, HEADER, read_matrix, read_transfers};
use pairs::Pairs;
pub use pattern::{BadPattern, Pattern, PatternKind, generate};

/// Transfers between GPUs, in the order given.
#[derive(Clone, Debug, Default)]
pub struct Traffic {
    pairs: Pairs,
    bytes: Vec<u64>,
    /// Empty while all transfers start at zero.
    start_s: Vec<f64>,
}

/// One transfer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Transfer {
    /// GPU that sends, from 0.
    pub source: u32,
    /// GPU that receives, from 0.
    pub destination: u32,
    /// What it sends.
    pub bytes: Bytes,
    /// When it starts, in seconds.
    pub start_s: f64,
}

/// Memory that one transfer takes in [`Traffic`], bytes.
pub const BYTES_PER_TRANSFER: u64 = 16;

impl Traffic {
    /// No transfers, with room for this many.
    #[must_use]
    pub fn with_room_for(transfers: usize) -> Self {
        Self {
            pairs: Pairs::Listed(Vec::with_capacity(transfers)),
            bytes: Vec::with_capacity(transfers),
            start_s: Vec::new(),
        }
    }

    /// What every GPU of a group of so many, at least two, sends to every other of its group, all at zero: groups, then
    /// sources, then destinations in order.
    pub(in crate::network) const fn within_groups(group: u32, bytes: Vec<u64>) -> Self {
        Self { pairs: Pairs::WithinGroups(group), bytes, start_s: Vec::new() }
    }

    /// Adds a transfer.
    pub fn push(&mut self, transfer: Transfer) {
        if transfer.start_s != 0.0 || !self.start_s.is_empty() {
            self.start_s.resize(self.len(), 0.0);
            self.start_s.push(transfer.start_s);
        }
        self.pairs.push(self.bytes.len(), [transfer.source, transfer.destination]);
        self.bytes.push(transfer.bytes.0);
    }

    /// How many transfers there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The `n`-th transfer.
    #[must_use]
    pub fn get(&self, n: usize) -> Transfer {
        self.transfer(n, self.pairs.get(n))
    }

    fn transfer(&self, n: usize, [source, destination]: [u32; 2]) -> Transfer {
        let start_s = self.start_s.get(n).copied().unwrap_or(0.0);
        Transfer { source, destination, bytes: Bytes(self.bytes[n]), start_s }
    }

    /// All transfers, in the order given.
    pub fn iter(&self) -> impl Iterator<Item = Transfer> {
        (0..self.len()).zip(self.pairs.iter()).map(|(n, pair)| self.transfer(n, pair))
    }
}

impl PartialEq for Traffic {
    /// Whether the same is sent in the same order.
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().eq(other.iter())
    }
}
