//! Who sends how many bytes to whom and when: the network's input when it is studied by itself.

use crate::base::units::Bytes;

mod csv;
mod pattern;

pub use csv::{BadLine, HEADER, read_matrix, read_transfers};
pub use pattern::{BadPattern, Pattern, PatternKind, generate};

/// Transfers between GPUs, in the order given.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Traffic {
    source: Vec<u32>,
    destination: Vec<u32>,
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
            source: Vec::with_capacity(transfers),
            destination: Vec::with_capacity(transfers),
            bytes: Vec::with_capacity(transfers),
            start_s: Vec::new(),
        }
    }

    /// Adds a transfer.
    pub fn push(&mut self, transfer: Transfer) {
        if transfer.start_s != 0.0 || !self.start_s.is_empty() {
            self.start_s.resize(self.len(), 0.0);
            self.start_s.push(transfer.start_s);
        }
        self.source.push(transfer.source);
        self.destination.push(transfer.destination);
        self.bytes.push(transfer.bytes.0);
    }

    /// How many transfers there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.source.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.source.is_empty()
    }

    /// The `n`-th transfer.
    #[must_use]
    pub fn get(&self, n: usize) -> Transfer {
        Transfer {
            source: self.source[n],
            destination: self.destination[n],
            bytes: Bytes(self.bytes[n]),
            start_s: self.start_s.get(n).copied().unwrap_or(0.0),
        }
    }

    /// All transfers, in the order given.
    pub fn iter(&self) -> impl Iterator<Item = Transfer> {
        (0..self.len()).map(|n| self.get(n))
    }
}
