//! Ports in the order in which water-filling finds them full.
//!
//! A heap of 64-bit keys: the bits of a level, which order as the level does because levels are
//! not negative, with the port's number in the lowest bits. That costs relative precision
//! 2⁻³⁶ for 65,536 ports, which is far below what rounding costs elsewhere, and makes a comparison
//! one instruction. Levels only rise while the filling goes on, so a key is a lower bound; the
//! lowest is brought up to date in place until it is true.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Most ports: as many as the lowest bits of a key can number.
pub(super) const MOST_PORTS: usize = 1 << PORT_BITS;
const PORT_BITS: u32 = 16;
const PORT: u64 = (1 << PORT_BITS) - 1;

/// Ports that are not full yet.
#[derive(Debug, Default)]
pub(super) struct Order {
    heap: BinaryHeap<Reverse<u64>>,
    keys: Vec<Reverse<u64>>,
}

const fn key(level: f64, port: usize) -> u64 {
    (level.to_bits() & !PORT) | port as u64
}

impl Order {
    /// Starts anew with these ports and levels.
    pub fn start(&mut self, ports: impl Iterator<Item = (f64, usize)>) {
        self.keys.clear();
        self.keys.extend(ports.map(|(level, port)| Reverse(key(level, port))));
        let keys = std::mem::take(&mut self.keys);
        self.keys = std::mem::replace(&mut self.heap, BinaryHeap::from(keys)).into_vec();
    }

    /// Takes out the port that is full at the lowest level; `level_of` says the present level of a
    /// port that is still rising. Levels are never negative.
    pub fn next(&mut self, mut level_of: impl FnMut(usize) -> Option<f64>) -> Option<(usize, f64)> {
        loop {
            let mut lowest = self.heap.peek_mut()?;
            let port = (lowest.0 & PORT) as usize;
            let Some(level) = level_of(port) else {
                std::collections::binary_heap::PeekMut::pop(lowest);
                continue;
            };
            let present = key(level, port);
            if present <= lowest.0 {
                std::collections::binary_heap::PeekMut::pop(lowest);
                return Some((port, level));
            }
            lowest.0 = present;
            drop(lowest);
            // Still the lowest: true as it stands.
            if self.heap.peek() == Some(&Reverse(present)) {
                self.heap.pop();
                return Some((port, level));
            }
        }
    }
}
