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

use super::dense::{Dense, EMPTY};
use super::lanes::{self, AnyMoved, NextEnd, Take};
use super::order::Order;
use crate::network::fluid::SAME_INSTANT;
use crate::network::fluid::parts::Part;

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
    rows: usize,
    cols: usize,
    /// Which cells run, row by row and column by column.
    alive: Vec<u8>,
    alive_across: Vec<u8>,
    capacity: Vec<f64>,
    running: Vec<f32>,
    // The filling: what is free and rising on each port, and in which order ports froze.
    free: Vec<f64>,
    rising: Vec<f32>,
    /// Zero where a port is not full.
    level: Vec<f64>,
    position: Vec<u32>,
    order: Vec<u32>,
    copies: Vec<(Vec<f64>, Vec<f32>)>,
    waiting_to_fill: Order,
    // Virtual time.
    clock: Vec<f64>,
    /// Where each cell waits: 0 its row, 1 its column.
    side: Vec<u8>,
    /// The virtual time of that port at which it ends; before the first filling, its bytes.
    ends_at: Vec<f64>,
    waiting: Vec<BinaryHeap<Ending>>,
    /// The virtual time of the first end at each port; infinite where nothing waits.
    first: Vec<f64>,
    /// The filling order before the last filling, from where that resumed.
    old_order: Vec<u32>,
    /// Columns among the ports whose places may have changed.
    moved_cols: Vec<u32>,
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
            finish(dense.flow[cell], dense.start_s + now);
            left -= 1;
        }
    }
    fillings
}

impl Engine {
    fn new(part: &Part, dense: &Dense) -> Self {
        let (rows, cols) = (dense.rows, dense.cols);
        let ports = rows + cols;
        let mut running = vec![0.0; ports];
        let mut alive_across = vec![0; rows * cols];
        let (mut alive, mut ends_at) = (vec![0; rows * cols], vec![0.0; rows * cols]);
        for (cell, &flow) in dense.flow.iter().enumerate().filter(|&(_, &flow)| flow != EMPTY) {
            let (row, col) = (cell / cols, cell % cols);
            alive[cell] = 1;
            alive_across[col * rows + row] = 1;
            running[row] += 1.0;
            running[rows + col] += 1.0;
            ends_at[cell] = part.bytes(flow);
        }
        Self {
            arch: lanes::widest(),
            rows,
            cols,
            alive,
            alive_across,
            capacity: dense.capacity.clone(),
            free: dense.capacity.clone(),
            rising: running.clone(),
            running,
            level: vec![0.0; ports],
            position: vec![NEVER; ports],
            order: Vec::with_capacity(ports),
            copies: Vec::new(),
            waiting_to_fill: Order::default(),
            clock: vec![0.0; ports],
            side: vec![0; rows * cols],
            ends_at,
            waiting: vec![BinaryHeap::new(); ports],
            first: vec![f64::INFINITY; ports],
            old_order: Vec::with_capacity(ports),
            moved_cols: Vec::with_capacity(cols),
        }
    }

    /// Fills anew from the last copy at or before position `from`; returns that copy's position.
    fn fill_from(&mut self, from: usize) -> usize {
        let copy = (from / BETWEEN_COPIES).min(self.copies.len().saturating_sub(1));
        let start = if self.copies.is_empty() { 0 } else { copy * BETWEEN_COPIES };
        if start == 0 {
            self.copies.clear();
            self.free.copy_from_slice(&self.capacity);
            self.rising.copy_from_slice(&self.running);
        } else {
            self.copies.truncate(copy + 1);
            if let Some((free, rising)) = self.copies.pop() {
                (self.free, self.rising) = (free, rising);
            }
        }
        self.old_order.clear();
        self.old_order.extend(self.order.drain(start.min(self.order.len())..));
        for &port in &self.old_order {
            self.level[port as usize] = 0.0;
            self.position[port as usize] = NEVER;
        }
        let open = (0..self.rows + self.cols).filter(|&port| self.position[port] == NEVER);
        let rising = open.filter(|&port| self.rising[port] > 0.5);
        let mut waiting = std::mem::take(&mut self.waiting_to_fill);
        waiting.start(rising.map(|port| (self.level_of(port), port)));
        while let Some((port, level)) =
            waiting.next(|port| (self.rising[port] > 0.5).then(|| self.level_of(port)))
        {
            if self.order.len().is_multiple_of(BETWEEN_COPIES) {
                self.copies.push((self.free.clone(), self.rising.clone()));
            }
            self.freeze(port, level);
        }
        self.waiting_to_fill = waiting;
        start
    }

    /// Where a port would be full if nothing else froze. Rounding may leave less than nothing free.
    fn level_of(&self, port: usize) -> f64 {
        (self.free[port] / f64::from(self.rising[port])).max(0.0)
    }

    fn freeze(&mut self, port: usize, level: f64) {
        self.level[port] = level;
        self.position[port] = self.order.len() as u32;
        self.order.push(port as u32);
        self.rising[port] = 0.0;
        let rows = self.rows;
        let (free_rows, free_cols) = self.free.split_at_mut(rows);
        let (rising_rows, rising_cols) = self.rising.split_at_mut(rows);
        if port < rows {
            let alive = &self.alive[port * self.cols..(port + 1) * self.cols];
            let (free, rising) = (free_cols, rising_cols);
            self.arch.dispatch(Take { alive, rate: level, free, rising });
        } else {
            let col = port - rows;
            let alive = &self.alive_across[col * rows..(col + 1) * rows];
            let (free, rising) = (free_rows, rising_rows);
            self.arch.dispatch(Take { alive, rate: level, free, rising });
        }
    }

    /// Lets every flow wait at the one of its ports that freezes first.
    fn place_flows(&mut self) {
        for row in 0..self.rows {
            for col in 0..self.cols {
                let cell = row * self.cols + col;
                if self.alive[cell] != 0 {
                    let wanted = self.wanted_side(row, col);
                    self.wait_at(cell, row, col, wanted, self.ends_at[cell]);
                }
            }
        }
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
        self.moved_cols.clear();
        let rows = self.rows as u32;
        let gone = |&port: &u32| self.position[port as usize] == NEVER;
        let moved = self.order[new].iter().copied();
        let moved: Vec<u32> = moved.chain(old[left_out].iter().copied().filter(gone)).collect();
        self.moved_cols.extend(moved.iter().filter(|&&port| port >= rows).map(|port| port - rows));
        for &row in moved.iter().filter(|&&port| port < rows) {
            let (row, place) = (row as usize, self.position[row as usize]);
            if self.running[row] < 0.5 || self.moved_cols.is_empty() {
                continue;
            }
            let cells = row * self.cols..(row + 1) * self.cols;
            let places = &self.position[self.rows..];
            let (alive, side) = (&self.alive[cells.clone()], &self.side[cells.clone()]);
            if self.arch.dispatch(AnyMoved { alive, side, places, place }) {
                for at in 0..self.moved_cols.len() {
                    self.reconsider(row, self.moved_cols[at] as usize);
                }
            }
        }
    }

    fn wanted_side(&self, row: usize, col: usize) -> u8 {
        u8::from(self.position[self.rows + col] < self.position[row])
    }

    fn reconsider(&mut self, row: usize, col: usize) {
        let cell = row * self.cols + col;
        let wanted = self.wanted_side(row, col);
        if self.alive[cell] == 0 || wanted == self.side[cell] {
            return;
        }
        let before = if wanted == 0 { self.rows + col } else { row };
        let (end, left) = (self.ends_at[cell], self.ends_at[cell] - self.clock[before]);
        self.wait_at(cell, row, col, wanted, left);
        if end <= self.first[before] {
            self.find_first(before);
        }
    }

    /// Lets a flow wait at one of its ports until that has served what is left of it.
    fn wait_at(&mut self, cell: usize, row: usize, col: usize, side: u8, left: f64) {
        let (port, other) = if side == 0 { (row, col) } else { (self.rows + col, row) };
        let at = self.clock[port] + left;
        self.side[cell] = side;
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
            let here = self.side[cell] == u8::from(port >= self.rows);
            if self.alive[cell] != 0 && here && self.ends_at[cell] == first.at {
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
                    self.alive[cell] = 0;
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
        self.alive[cell] = 0;
        self.alive_across[col * self.rows + row] = 0;
        let at = ports.map(|port| self.position[port]).into_iter().min().unwrap_or(0) as usize;
        for port in ports {
            self.running[port] -= 1.0;
            for (_, rising) in self.copies.iter_mut().take(at / BETWEEN_COPIES + 1) {
                rising[port] -= 1.0;
            }
        }
        at
    }
}
