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
use super::generic::SAME_INSTANT;
use super::lanes::{self, AnyMoved, Take};
use super::order::Order;
use super::parts::Part;

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
}

/// Solves a dense part; `finish` is told each flow's finish time. Returns the number of fillings.
pub(super) fn solve_dense_exactly(
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
        engine.move_flows(redone, fillings == 0);
        fillings += 1;
        let span = engine.until_next_end();
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
            level: vec![f64::INFINITY; ports],
            position: vec![NEVER; ports],
            order: Vec::with_capacity(ports),
            copies: Vec::new(),
            waiting_to_fill: Order::default(),
            clock: vec![0.0; ports],
            side: vec![0; rows * cols],
            ends_at,
            waiting: vec![BinaryHeap::new(); ports],
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
        for port in self.order.drain(start.min(self.order.len())..) {
            self.level[port as usize] = f64::INFINITY;
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

    /// Lets flows wait at the port that now freezes first, among ports frozen from `redone` on.
    fn move_flows(&mut self, redone: usize, first: bool) {
        let redone = redone as u32;
        for row in 0..self.rows {
            let place = self.position[row];
            if self.running[row] < 0.5 || (place < redone && !first) {
                continue;
            }
            let cells = row * self.cols..(row + 1) * self.cols;
            let places = &self.position[self.rows..];
            let (alive, side) = (&self.alive[cells.clone()], &self.side[cells.clone()]);
            let moved = self.arch.dispatch(AnyMoved { alive, side, places, place });
            if moved || first {
                for col in 0..self.cols {
                    self.reconsider(row, col, first);
                }
            }
        }
    }

    fn reconsider(&mut self, row: usize, col: usize, first: bool) {
        let cell = row * self.cols + col;
        let ports = [row, self.rows + col];
        let wanted = u8::from(self.position[ports[1]] < self.position[ports[0]]);
        if self.alive[cell] == 0 || (wanted == self.side[cell] && !first) {
            return;
        }
        let left = if first {
            self.ends_at[cell]
        } else {
            self.ends_at[cell] - self.clock[ports[self.side[cell] as usize]]
        };
        let port = ports[wanted as usize];
        self.side[cell] = wanted;
        self.ends_at[cell] = self.clock[port] + left;
        let other = if wanted == 0 { col } else { row };
        self.waiting[port].push(Ending { at: self.ends_at[cell], other: other as u32 });
    }

    const fn cell_of(&self, port: usize, other: u32) -> usize {
        if port < self.rows {
            port * self.cols + other as usize
        } else {
            other as usize * self.cols + port - self.rows
        }
    }

    /// The first flow to end at a port, after dropping those that moved away or have ended.
    fn first_at(&mut self, port: usize) -> Option<Ending> {
        while let Some(&first) = self.waiting[port].peek() {
            let cell = self.cell_of(port, first.other);
            let here = self.side[cell] == u8::from(port >= self.rows);
            if self.alive[cell] != 0 && here && self.ends_at[cell] == first.at {
                return Some(first);
            }
            self.waiting[port].pop();
        }
        None
    }

    fn until_next_end(&mut self) -> f64 {
        let mut soonest = f64::INFINITY;
        for port in 0..self.rows + self.cols {
            if self.level[port] < f64::INFINITY
                && let Some(first) = self.first_at(port)
            {
                soonest = soonest.min((first.at - self.clock[port]) / self.level[port]);
            }
        }
        soonest.max(0.0)
    }

    /// Moves all virtual times by `span` and takes out the flows that end at `now`.
    fn collect_ended(&mut self, span: f64, now: f64, ended: &mut Vec<usize>) {
        for port in 0..self.rows + self.cols {
            if self.level[port] == f64::INFINITY {
                continue;
            }
            self.clock[port] += self.level[port] * span;
            let reach = self.clock[port] + self.level[port] * now * SAME_INSTANT;
            while let Some(first) = self.first_at(port)
                && first.at <= reach
            {
                self.waiting[port].pop();
                let cell = self.cell_of(port, first.other);
                // At once, because it may wait at this port twice, at the same virtual time.
                self.alive[cell] = 0;
                ended.push(cell);
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
