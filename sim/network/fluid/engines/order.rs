//! Ports in the order in which water-filling finds them full.
//!
//! Levels only rise while the filling goes on, so what a port was filed under is a lower bound. Ports
//! are filed by level in buckets of 2⁻⁹ relative width, numbered by the upper bits of the level as a
//! single-precision number, which order as levels do because levels are not negative. When its
//! bucket's turn comes a port is filed anew, unless its level still lies there; those that stay go
//! into a small heap of 64-bit keys: the bits of the level with the port's number in the lowest. That
//! costs relative precision 2⁻³⁶ for 65,536 ports, far below what rounding costs elsewhere, and
//! makes a comparison one instruction.
//!
//! Where the order need hold only to some relative error, buckets are as wide as that and there is no
//! heap: whichever port of a bucket comes first is next ([`Order::about`]).

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Most ports: as many as the lowest bits of a key can number.
pub(in crate::network::fluid) const MOST_PORTS: usize = 1 << PORT_BITS;
const PORT_BITS: u32 = 16;
const PORT: u64 = (1 << PORT_BITS) - 1;
/// Bits of a single-precision level below a bucket's number, where all are ordered.
const WITHIN: u32 = 14;
/// Bits of the fraction of a single-precision number.
const FRACTION: u32 = 23;
/// Buckets at a time: sixteen octaves with [`WITHIN`]. The last one takes what lies beyond.
const BUCKETS: usize = 8192;
const NONE: u32 = u32::MAX;

/// Ports that are not full yet.
#[derive(Debug)]
pub(in crate::network::fluid) struct Order {
    /// Bits of a level below a bucket's number, and whether ports of a bucket are ordered.
    within: u32,
    ordered: bool,
    /// The number of bucket 0, and the bucket in turn.
    base: u32,
    at: usize,
    /// First port of each bucket, and the next after each port.
    first: Vec<u32>,
    after: Vec<u32>,
    /// Which buckets hold ports, a bit each.
    held: Vec<u64>,
    /// Ports whose level lies in the bucket in turn.
    heap: BinaryHeap<Reverse<u64>>,
    given: Vec<(f64, usize)>,
}

const fn key(level: f64, port: usize) -> u64 {
    (level.to_bits() & !PORT) | port as u64
}

impl Default for Order {
    fn default() -> Self {
        Self {
            within: WITHIN,
            ordered: true,
            base: 0,
            at: 0,
            first: Vec::new(),
            after: Vec::new(),
            held: Vec::new(),
            heap: BinaryHeap::new(),
            given: Vec::new(),
        }
    }
}

impl Order {
    /// An order that holds to this relative error.
    pub fn about(error: f64) -> Self {
        let bits = (1.0 / error).log2().ceil().clamp(0.0, f64::from(FRACTION)) as u32;
        Self { within: FRACTION - bits, ordered: false, ..Self::default() }
    }

    const fn number(&self, level: f64) -> u32 {
        (level as f32).to_bits() >> self.within
    }

    /// Starts anew with these ports and levels.
    pub fn start(&mut self, ports: impl Iterator<Item = (f64, usize)>) {
        if self.first.is_empty() {
            self.first = vec![NONE; BUCKETS];
            self.held = vec![0; BUCKETS / 64];
        }
        while let Some(port) = self.take_from_first_bucket() {
            // Left over from a filling that was not finished.
            self.after[port] = NONE;
        }
        self.heap.clear();
        self.given.clear();
        self.given.extend(ports);
        self.file_given();
    }

    /// Files all given ports, the lowest in bucket 0.
    fn file_given(&mut self) {
        let most = self.given.iter().map(|&(_, port)| port + 1).max().unwrap_or(0);
        if self.after.len() < most {
            self.after.resize(most, NONE);
        }
        self.base = self.given.iter().map(|&(level, _)| self.number(level)).min().unwrap_or(0);
        self.at = 0;
        let given = std::mem::take(&mut self.given);
        for &(level, port) in &given {
            self.file(level, port);
        }
        self.given = given;
    }

    const fn bucket(&self, level: f64) -> usize {
        let bucket = self.number(level).saturating_sub(self.base) as usize;
        if bucket < BUCKETS { bucket } else { BUCKETS - 1 }
    }

    fn file(&mut self, level: f64, port: usize) {
        // Rounding may lower a level by its last bit; its bucket's turn must still come.
        let bucket = self.bucket(level).max(self.at);
        self.after[port] = std::mem::replace(&mut self.first[bucket], port as u32);
        self.held[bucket / 64] |= 1 << (bucket % 64);
    }

    fn first_held(&self) -> Option<usize> {
        let words = &self.held[self.at / 64..];
        let (skipped, word) = words.iter().enumerate().find(|&(_, &word)| word != 0)?;
        Some((self.at / 64 + skipped) * 64 + word.trailing_zeros() as usize)
    }

    fn take_from(&mut self, bucket: usize) -> Option<usize> {
        let port = self.first[bucket];
        if port == NONE {
            self.held[bucket / 64] &= !(1 << (bucket % 64));
            return None;
        }
        self.first[bucket] = self.after[port as usize];
        Some(port as usize)
    }

    fn take_from_first_bucket(&mut self) -> Option<usize> {
        loop {
            let bucket = self.first_held()?;
            if let Some(port) = self.take_from(bucket) {
                return Some(port);
            }
        }
    }

    /// Takes out the port that is full at the lowest level; `level_of` says the present level of a
    /// port that is still rising. Levels are never negative.
    pub fn next(&mut self, mut level_of: impl FnMut(usize) -> Option<f64>) -> Option<(usize, f64)> {
        loop {
            while let Some(&Reverse(lowest)) = self.heap.peek() {
                let port = (lowest & PORT) as usize;
                self.heap.pop();
                let Some(level) = level_of(port) else { continue };
                let present = key(level, port);
                let is_next = self.heap.peek().is_none_or(|&Reverse(other)| present <= other);
                if present <= lowest || (is_next && self.bucket(level) <= self.at) {
                    return Some((port, level));
                }
                self.keep_or_file(level, port);
            }
            let bucket = self.first_held()?;
            self.at = bucket;
            let last = bucket == BUCKETS - 1;
            self.given.clear();
            while let Some(port) = self.take_from(bucket) {
                if let Some(level) = level_of(port) {
                    if last {
                        self.given.push((level, port));
                    } else if !self.ordered && self.bucket(level) <= bucket {
                        return Some((port, level));
                    } else {
                        self.keep_or_file(level, port);
                    }
                }
            }
            if last {
                self.file_given();
            }
        }
    }

    fn keep_or_file(&mut self, level: f64, port: usize) {
        if self.bucket(level) <= self.at {
            self.heap.push(Reverse(key(level, port)));
        } else {
            self.file(level, port);
        }
    }
}
