//! The exact engine for dense parts: virtual time on every port, levels from where they change.
//!
//! A flow's *bottleneck* is whichever of its two ports freezes first in water-filling; it runs at
//! that port's level. Port `p` keeps a virtual time `V_p = ∫ level_p dt`, so a flow with `r` bytes
//! left when it comes to `p` ends when `V_p` has grown by `r`, whatever the level does meanwhile:
//! no flow has to be touched until it ends or its bottleneck moves.
//!
//! When a flow ends that was frozen at position `k` of the filling order, all freezes before `k`
//! stand as they are, because until then the flow only counted as rising on two ports that were
//! still open. So the filling resumes from the last of the copies of the state, made every
//! [`BETWEEN_COPIES`] freezes, that is not beyond `k`. Only flows both of whose ports froze after
//! that copy can have changed their bottleneck.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use pulp::Arch;

use super::bits;
use super::dense::{Dense, EMPTY};
use super::lanes::{self, BLOCK, NextEnd};
use super::order::Order;
use crate::network::fluid::SAME_INSTANT;
use crate::network::fluid::parts::Part;

mod filling;
mod guess;

use guess::Guess;

const BETWEEN_COPIES: usize = 32;
/// The position of a port that is not full.
const NEVER: u32 = u32::MAX;

/// A flow waiting for its bottleneck's virtual time; the greatest is the first to end.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Ending {
    at: f64,
    other: u32,
}

impl Eq for Ending {}

impl PartialOrd for Ending {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Ending {
    fn cmp(&self, other: &Self) -> Ordering {
        other.at.total_cmp(&self.at).then_with(|| other.other.cmp(&self.other))
    }
}

struct Engine {
    arch: Arch,
    /// Rows and columns, each padded to whole blocks: ports are rows first.
    rows: usize,
    cols: usize,
    /// Which cells run, a bit each, row by row and column by column.
    alive: [Vec<u32>; 2],
    capacity: Vec<f64>,
    running: Vec<f32>,
    // The filling: what is free and rising on each port, and in which order ports froze.
    free: Vec<f64>,
    rising: Vec<f32>,
    /// Zero where a port is not full.
    level: Vec<f64>,
    position: Vec<u32>,
    order: Vec<u32>,
    /// Copies of these where 32 ports were full, 64, and so on; how many of them hold.
    copies: Vec<(Vec<f64>, Vec<f32>)>,
    copied: usize,
    waiting_to_fill: Order,
    guess: Guess,
    /// Ports whose flows ended last: their levels change most.
    moved: Vec<u32>,
    // Virtual time.
    clock: Vec<f64>,
    /// Which cells wait at their column, a bit each, row by row.
    side: Vec<u32>,
    /// The virtual time of that port at which it ends; before the first filling, its bytes.
    ends_at: Vec<f64>,
    waiting: Vec<BinaryHeap<Ending>>,
    /// The virtual time of the first end at each port; infinite where nothing waits.
    first: Vec<f64>,
    /// The filling order before the last filling, from where that resumed.
    old_order: Vec<u32>,
    /// Blocks of a row where flows wait elsewhere than before.
    hits: Vec<(u32, u32)>,
}

/// Solves a dense part; `finish` is told each flow's finish time. Returns the number of fillings.
pub(in crate::network::fluid) fn solve_dense_exactly(
    part: &Part,
    dense: &Dense,
    finish: &mut dyn FnMut(u32, f64),
) -> u64 {
    let mut engine = Engine::new(part, dense);
    let mut left = dense.flow.iter().filter(|&&flow| flow != EMPTY).count();
    let (mut now, mut from, mut fillings) = (0.0, 0, 0);
    let mut ended = Vec::new();
    while left > 0 {
        let redone = engine.fill_from(from);
        if fillings == 0 {
            engine.place_flows();
        } else {
            engine.move_flows(redone);
        }
        fillings += 1;
        let span = engine.until_next_end();
        assert!(span < f64::INFINITY, "{left} flows left and none ends");
        now += span;
        engine.collect_ended(span, now, &mut ended);
        assert!(!ended.is_empty(), "{left} flows left and none ends after {span} s");
        from = usize::MAX;
        for cell in ended.drain(..) {
            from = from.min(engine.end(cell));
            let [row, col] = [cell / engine.cols, cell % engine.cols];
            finish(dense.flow[row * dense.cols + col], dense.start_s + now);
            left -= 1;
        }
    }
    fillings
}

impl Engine {
    fn new(part: &Part, dense: &Dense) -> Self {
        let [rows, cols] = [dense.rows, dense.cols].map(|ports| ports.next_multiple_of(BLOCK));
        let ports = rows + cols;
        // One more than there are, on which nothing ever runs.
        let mut running = vec![0.0; ports + 1];
        let cells = dense.rows * cols;
        let mut alive = [vec![0; cells / BLOCK], vec![0; dense.cols * rows / BLOCK]];
        let mut ends_at = vec![0.0; cells];
        for (cell, &flow) in dense.flow.iter().enumerate().filter(|&(_, &flow)| flow != EMPTY) {
            let (row, col) = (cell / dense.cols, cell % dense.cols);
            alive[0][(row * cols + col) / BLOCK] |= 1 << (col % BLOCK);
            alive[1][(col * rows + row) / BLOCK] |= 1 << (row % BLOCK);
            running[row] += 1.0;
            running[rows + col] += 1.0;
            ends_at[row * cols + col] = part.bytes(flow);
        }
        let mut capacity = vec![0.0; ports + 1];
        capacity[..dense.rows].copy_from_slice(&dense.capacity[..dense.rows]);
        capacity[rows..rows + dense.cols].copy_from_slice(&dense.capacity[dense.rows..]);
        Self {
            arch: lanes::widest(),
            rows,
            cols,
            alive,
            free: capacity.clone(),
            capacity,
            rising: running.clone(),
            running,
            level: vec![0.0; ports],
            position: vec![NEVER; ports],
            order: Vec::with_capacity(ports),
            copies: Vec::new(),
            copied: 0,
            waiting_to_fill: Order::default(),
            guess: Guess::default(),
            moved: Vec::new(),
            clock: vec![0.0; ports],
            side: vec![0; cells / BLOCK],
            ends_at,
            waiting: vec![BinaryHeap::new(); ports],
            first: vec![f64::INFINITY; ports],
            old_order: Vec::with_capacity(ports),
            hits: Vec::new(),
        }
    }

    /// Lets every flow wait at the one of its ports that freezes first.
    fn place_flows(&mut self) {
        for row in 0..self.alive[0].len() * BLOCK / self.cols {
            for col in 0..self.cols {
                if self.runs(row * self.cols + col) {
                    self.reconsider(row, col, true);
                }
            }
        }
    }

    fn runs(&self, cell: usize) -> bool {
        self.alive[0][cell / BLOCK] & (1 << (cell % BLOCK)) != 0
    }

    fn side(&self, cell: usize) -> bool {
        self.side[cell / BLOCK] & (1 << (cell % BLOCK)) != 0
    }

    /// Lets flows wait at the port that now freezes first. Where the same ports are full as before, one
    /// can have overtaken another only in the stretch in which the orders before and after differ.
    fn move_flows(&mut self, redone: usize) {
        let (old, new) = (&self.old_order[..], &self.order[redone..]);
        let same_ahead = old.iter().zip(new).take_while(|(a, b)| a == b).count();
        // A port that is full no longer, or only now, has changed places with all behind it.
        let gone = |&port: &u32| self.position[port as usize] == NEVER;
        let same_behind = if old.len() == new.len() && !old.iter().any(gone) {
            let behind = old[same_ahead..].iter().rev().zip(new[same_ahead..].iter().rev());
            behind.take_while(|(a, b)| a == b).count()
        } else {
            0
        };
        let new = redone + same_ahead..self.order.len() - same_behind;
        let left_out = same_ahead..old.len() - same_behind;
        let gone = |&port: &u32| self.position[port as usize] == NEVER;
        let moved = self.order[new].iter().copied();
        let left_out = old[left_out].iter().copied().filter(gone);
        let moved: Vec<u32> =
            moved.chain(left_out).filter(|&port| port < self.rows as u32).collect();
        let cols = self.cols;
        for row in moved.into_iter().map(|port| port as usize) {
            if self.running[row] < 0.5 {
                continue;
            }
            let words = row * cols / BLOCK..(row + 1) * cols / BLOCK;
            let (alive, side) = (&self.alive[0][words.clone()], &self.side[words]);
            let places = &self.position[self.rows..self.rows + cols];
            self.hits.clear();
            bits::moved(self.arch, alive, side, self.position[row], places, &mut self.hits);
            for at in 0..self.hits.len() {
                let (block, mut cells) = self.hits[at];
                while cells != 0 {
                    let col = block as usize * BLOCK + cells.trailing_zeros() as usize;
                    cells &= cells - 1;
                    self.reconsider(row, col, false);
                }
            }
        }
    }

    /// Lets a flow wait at the port that freezes first: not where it waited before, unless it is placed first.
    fn reconsider(&mut self, row: usize, col: usize, first: bool) {
        let cell = row * self.cols + col;
        let across = self.position[self.rows + col] < self.position[row];
        if first {
            self.wait_at(cell, row, col, across, self.ends_at[cell]);
            return;
        }
        let before = if across { row } else { self.rows + col };
        let (end, left) = (self.ends_at[cell], self.ends_at[cell] - self.clock[before]);
        self.wait_at(cell, row, col, across, left);
        if end <= self.first[before] {
            self.find_first(before);
        }
    }

    /// Lets a flow wait at one of its ports until that has served what is left of it.
    fn wait_at(&mut self, cell: usize, row: usize, col: usize, across: bool, left: f64) {
        let (port, other) = if across { (self.rows + col, row) } else { (row, col) };
        let at = self.clock[port] + left;
        let bit = 1 << (cell % BLOCK);
        self.side[cell / BLOCK] = self.side[cell / BLOCK] & !bit | if across { bit } else { 0 };
        self.ends_at[cell] = at;
        self.first[port] = self.first[port].min(at);
        self.waiting[port].push(Ending { at, other: other as u32 });
    }

    const fn cell_of(&self, port: usize, other: u32) -> usize {
        if port < self.rows {
            port * self.cols + other as usize
        } else {
            other as usize * self.cols + port - self.rows
        }
    }

    /// Looks for the first flow to end at a port, dropping those that moved away or have ended.
    fn find_first(&mut self, port: usize) {
        while let Some(&first) = self.waiting[port].peek() {
            let cell = self.cell_of(port, first.other);
            let here = self.side(cell) == (port >= self.rows);
            if self.runs(cell) && here && self.ends_at[cell] == first.at {
                self.first[port] = first.at;
                return;
            }
            self.waiting[port].pop();
        }
        self.first[port] = f64::INFINITY;
    }

    fn until_next_end(&self) -> f64 {
        let (first, clock, level) = (&self.first[..], &self.clock[..], &self.level[..]);
        self.arch.dispatch(NextEnd { first, clock, level }).max(0.0)
    }

    /// Moves all virtual times by `span` and takes out the flows that end at `now`.
    fn collect_ended(&mut self, span: f64, now: f64, ended: &mut Vec<usize>) {
        for (clock, level) in self.clock.iter_mut().zip(&self.level) {
            *clock += level * span;
        }
        for port in 0..self.rows + self.cols {
            let reach = self.clock[port] + self.level[port] * now * SAME_INSTANT;
            while self.first[port] <= reach && self.level[port] > 0.0 {
                if let Some(first) = self.waiting[port].pop() {
                    let cell = self.cell_of(port, first.other);
                    // At once, because it may wait at this port twice, at the same virtual time.
                    self.alive[0][cell / BLOCK] &= !(1 << (cell % BLOCK));
                    ended.push(cell);
                }
                self.find_first(port);
            }
        }
    }

    /// Ends the flow in a cell; returns the position at which it was frozen.
    fn end(&mut self, cell: usize) -> usize {
        let (row, col) = (cell / self.cols, cell % self.cols);
        let ports = [row, self.rows + col];
        self.alive[0][cell / BLOCK] &= !(1 << (cell % BLOCK));
        self.alive[1][(col * self.rows + row) / BLOCK] &= !(1 << (row % BLOCK));
        let at = ports.map(|port| self.position[port]).into_iter().min().unwrap_or(0) as usize;
        for port in ports {
            self.moved.push(port as u32);
            self.running[port] -= 1.0;
            for (_, rising) in self.copies.iter_mut().take(self.copied.min(at / BETWEEN_COPIES)) {
                rising[port] -= 1.0;
            }
        }
        at
    }
}
