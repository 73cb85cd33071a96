//! The quantised engine for dense parts: steps of `ε·t`, single precision, whole rows at a time.
//!
//! As [`super::quantised`], with rates `x_ij = min(s_i, u_j)`. A matrix holds what is left, in seconds at the
//! widest port's rate ([`left`]): a step subtracts from it where something may reach zero, notes the blocks of a row
//! where it did, and looks into those alone. Rows and columns without flows are squeezed
//! out as they die. Memory: a little over 8 bytes a cell. Single precision puts about 1e-4 on a finish time.

use pulp::Arch;

use super::bits;
use super::dense::{Dense, EMPTY};
use super::lanes::{self, BLOCK};
use super::order::Order;
use crate::network::fluid::parts::Part;

mod few;
mod left;
mod steps;

use few::{Few, FillFew, ToFill};
use left::Left;
pub(in crate::network::fluid) use steps::{Steps, solve_dense_in_steps};

/// The error to which ports are full in the order of their levels, in that asked for.
const ORDERED_TO: f64 = 0.125;
/// Ports whose flows are taken off the ports across together, at most.
const TOGETHER: usize = 8;
/// The least level, as a share of the widest port: rounding must not stop a flow.
const LEAST_LEVEL: f32 = 1e-9;

struct Engine<'a> {
    arch: Arch,
    dense: &'a Dense,
    /// Rows and columns still there, by their numbers in `dense`.
    number: [Vec<u32>; 2],
    ports: [Ports; 2],
    left: Left,
    /// Which cells run, a bit each, row by row and column by column.
    alive: [Vec<u32>; 2],
    running: usize,
    died: usize,
    waiting: Order,
    few: Few,
    /// Flows that ended in a step, by their cells in `dense`, and when: where they are written waits for memory.
    ended: Vec<(u32, f64)>,
}

/// The ports of one side.
#[derive(Default)]
struct Ports {
    capacity: Vec<f32>,
    running: Vec<f32>,
    level: Vec<f32>,
    /// What one step takes at the port's level.
    step: Vec<f32>,
    /// Flows that froze at the port's level.
    frozen: Vec<f32>,
    /// Rates of the flows that ended at the port in the last step.
    freed: Vec<f32>,
    /// These times what was left of the step then: capacity × time that nobody used.
    unused: Vec<f32>,
    /// The level at which the last step was filled.
    before: Vec<f32>,
    free: Vec<f32>,
    rising: Vec<f32>,
}

/// Ports of one side that froze one after another, before anything asked for the ports across.
#[derive(Default)]
struct Takers {
    side: usize,
    /// Ports and their levels.
    ports: [(usize, f32); TOGETHER],
    count: usize,
}

impl<'a> Engine<'a> {
    fn new(part: &Part, dense: &'a Dense, epsilon: f64) -> Self {
        let (rows, cols) = (dense.rows, dense.cols);
        let widest = dense.capacity.iter().copied().fold(0.0, f64::max);
        let ports = [&dense.capacity[..rows], &dense.capacity[rows..]].map(|capacity| Ports {
            capacity: padded(capacity.iter().map(|c| (c / widest) as f32)),
            ..Ports::sized(capacity.len())
        });
        let mut engine = Self {
            arch: lanes::widest(),
            dense,
            number: [(0..rows as u32).collect(), (0..cols as u32).collect()],
            ports,
            left: Left::sized(rows, cols),
            alive: [vec![0; rows * blocks(cols)], vec![0; cols * blocks(rows)]],
            running: 0,
            died: 0,
            waiting: Order::about(epsilon * ORDERED_TO),
            few: Few::default(),
            ended: Vec::new(),
        };
        for (cell, &flow) in dense.flow.iter().enumerate().filter(|&(_, &flow)| flow != EMPTY) {
            let (row, col) = (cell / cols, cell % cols);
            // A flow too small for single precision still has to end.
            let seconds = (part.bytes(flow) / widest) as f32;
            engine.left.cells[row * blocks(cols) * BLOCK + col] = seconds.max(f32::MIN_POSITIVE);
            engine.alive[0][row * blocks(cols) + col / BLOCK] |= 1 << (col % BLOCK);
            engine.alive[1][col * blocks(rows) + row / BLOCK] |= 1 << (row % BLOCK);
            engine.ports[0].running[row] += 1.0;
            engine.ports[1].running[col] += 1.0;
            engine.running += 1;
        }
        engine
    }

    const fn shape(&self) -> [usize; 2] {
        [self.number[0].len(), self.number[1].len()]
    }

    fn is_small(&self) -> bool {
        self.ports.iter().map(|ports| ports.free.len()).sum::<usize>() <= few::MOST_PORTS
    }

    /// What a filling of few ports works on.
    fn filled(&mut self) -> ToFill<'_> {
        self.ports.iter_mut().for_each(Ports::reset);
        ToFill { alive: &self.alive, ports: &mut self.ports, few: &mut self.few }
    }

    /// Water-filling over rows and columns.
    fn fill(&mut self) {
        let rows = self.shape()[0];
        if self.is_small() {
            return self.arch.dispatch(FillFew([self.filled()]));
        }
        self.ports.iter_mut().for_each(Ports::reset);
        let mut waiting = std::mem::take(&mut self.waiting);
        let [first, second] = &self.ports;
        let busy = first.rising_levels().chain(second.rising_levels().map(|(l, p)| (l, rows + p)));
        waiting.start(busy);
        let mut takers = Takers::default();
        while let Some((port, level)) = waiting.next(|port| {
            let side = usize::from(port >= rows);
            if takers.side != side {
                self.take(&mut takers);
            }
            self.ports[side].level_of(port - side * rows)
        }) {
            if takers.count == TOGETHER {
                self.take(&mut takers);
            }
            takers.side = usize::from(port >= rows);
            let port = port - takers.side * rows;
            takers.ports[takers.count] = (port, level as f32);
            takers.count += 1;
            let own = &mut self.ports[takers.side];
            own.level[port] = level as f32;
            own.frozen[port] = own.rising[port];
            own.rising[port] = 0.0;
        }
        self.waiting = waiting;
    }

    /// Takes the flows of ports that froze off the ports across.
    fn take(&mut self, takers: &mut Takers) {
        let [first, second] = &mut self.ports;
        let across = if takers.side == 0 { second } else { first };
        let width = across.free.len() / BLOCK;
        let alive = &self.alive[takers.side];
        let mut all: [(&[u32], f32); TOGETHER] = [(&[], 0.0); TOGETHER];
        let count = std::mem::take(&mut takers.count);
        for (taker, &(port, level)) in all.iter_mut().zip(&takers.ports[..count]) {
            *taker = (&alive[port * width..(port + 1) * width], level);
        }
        bits::take(self.arch, &all[..count], &mut across.free, &mut across.rising);
    }

    /// Time until the next flow ends at the present levels.
    fn until_next_end(&mut self) -> f64 {
        self.left.catch_up_all(self.arch);
        self.left.until_next_end(self.arch, &self.ports)
    }

    /// Raises the levels of ports whose capacity went unused in the last step, by no more than their
    /// flows would have had if the level had risen when flows ended: the rest went to other ports.
    fn give_back(&mut self, span: f32) -> bool {
        let mut given = false;
        for ports in &mut self.ports {
            for p in 0..ports.level.len() {
                let filled = ports.level[p];
                if ports.unused[p] > 0.0 && ports.frozen[p] > 0.0 {
                    let all = ports.unused[p] / (ports.frozen[p] * span);
                    let late = ports.unused[p] / ports.freed[p];
                    let missed = (filled - ports.before[p]).max(0.0) * late / span;
                    ports.level[p] += all.min(missed).min(filled);
                    given = true;
                }
                (ports.before[p], ports.freed[p], ports.unused[p]) = (filled, 0.0, 0.0);
            }
        }
        given
    }

    /// One step; tells the ends of flows and whether there were any.
    fn advance(&mut self, now: f64, span: f32, finish_s: &mut [f64]) -> bool {
        for ports in &mut self.ports {
            for p in 0..ports.level.len() {
                // Finite, because the difference of two infinities is not a number.
                ports.step[p] = (ports.level[p] * span).min(f32::MAX);
            }
        }
        self.left.begin_step(self.arch, &self.ports);
        let mut hits = Vec::new();
        for row in 0..self.shape()[0] {
            if self.ports[0].running[row] < 0.5 {
                continue;
            }
            hits.clear();
            self.left.step_row(self.arch, row, &self.ports, &mut hits);
            for &(block, ended) in &hits {
                self.end_in_block(row, block as usize, ended, now, span);
            }
        }
        for &(cell, at_s) in &self.ended {
            finish_s[self.dense.flow[cell as usize] as usize] = at_s;
        }
        let any = !self.ended.is_empty();
        self.ended.clear();
        any
    }

    fn end_in_block(&mut self, row: usize, block: usize, mut ended: u32, now: f64, span: f32) {
        let [width, height] = [self.ports[1].step.len(), self.ports[0].step.len()];
        while ended != 0 {
            let col = block * BLOCK + ended.trailing_zeros() as usize;
            ended &= ended - 1;
            let cell = row * width + col;
            let [own, across] = [self.ports[0].level[row], self.ports[1].level[col]];
            let rate = own.min(across);
            let late = (-self.left.cells[cell] / rate).clamp(0.0, span);
            let side = usize::from(across <= own);
            let port = if side == 0 { row } else { col };
            self.ports[side].unused[port] += rate * late;
            self.ports[side].freed[port] += rate;
            self.left.cells[cell] = f32::INFINITY;
            self.alive[0][cell / BLOCK] &= !(1 << (col % BLOCK));
            self.alive[1][(col * height + row) / BLOCK] &= !(1 << (row % BLOCK));
            self.ports[0].running[row] -= 1.0;
            self.ports[1].running[col] -= 1.0;
            self.running -= 1;
            self.died += 1;
            let [from, to] = [self.number[0][row] as usize, self.number[1][col] as usize];
            let at_s = self.dense.start_s + now + f64::from(span - late);
            self.ended.push(((from * self.dense.cols + to) as u32, at_s));
        }
    }

    /// Drops rows and columns without flows, if that makes the matrix smaller by a fifth.
    fn squeeze(&mut self) {
        self.died = 0;
        let [rows, cols] = self.shape();
        let [kept_rows, kept_cols] = [0, 1].map(|side| {
            let running = &self.ports[side as usize].running;
            (0..running.len()).filter(|&p| running[p] > 0.5).collect::<Vec<usize>>()
        });
        let [new_rows, new_cols] = [kept_rows.len(), kept_cols.len()];
        if 5 * new_rows * new_cols > 4 * rows * cols {
            return;
        }
        self.left.catch_up_all(self.arch);
        let cells = &mut self.left.cells;
        let (old_width, width) = (blocks(cols) * BLOCK, blocks(new_cols) * BLOCK);
        let height = blocks(new_rows) * BLOCK;
        let mut alive = [vec![0; new_rows * width / BLOCK], vec![0; new_cols * height / BLOCK]];
        for (new_row, &row) in kept_rows.iter().enumerate() {
            for (new_col, &col) in kept_cols.iter().enumerate() {
                // Cells only move forwards, so nothing is overwritten before it is read.
                let left = cells[row * old_width + col];
                cells[new_row * width + new_col] = left;
                if left < f32::INFINITY {
                    alive[0][(new_row * width + new_col) / BLOCK] |= 1 << (new_col % BLOCK);
                    alive[1][(new_col * height + new_row) / BLOCK] |= 1 << (new_row % BLOCK);
                }
            }
            cells[new_row * width + new_cols..(new_row + 1) * width].fill(f32::INFINITY);
        }
        cells.truncate(new_rows * width);
        self.left.reshape(new_rows, new_cols);
        self.alive = alive;
        for (side, kept) in [kept_rows, kept_cols].iter().enumerate() {
            self.number[side] = kept.iter().map(|&p| self.number[side][p]).collect();
            self.ports[side].keep(kept);
        }
    }
}

const fn blocks(cells: usize) -> usize {
    cells.div_ceil(BLOCK)
}

fn padded(values: impl Iterator<Item = f32>) -> Vec<f32> {
    let mut values: Vec<f32> = values.collect();
    values.resize(blocks(values.len()) * BLOCK, 0.0);
    values
}

impl Ports {
    /// Lists for this many ports, each padded to whole blocks.
    fn sized(ports: usize) -> Self {
        let zeros = vec![0.0; blocks(ports) * BLOCK];
        Self {
            capacity: Vec::new(),
            running: zeros.clone(),
            level: zeros.clone(),
            step: zeros.clone(),
            frozen: zeros.clone(),
            unused: zeros.clone(),
            freed: zeros.clone(),
            before: zeros.clone(),
            free: zeros.clone(),
            rising: zeros,
        }
    }

    /// Where a rising port would be full if nothing else froze.
    fn level_of(&self, port: usize) -> Option<f64> {
        let rising = self.rising[port];
        (rising > 0.5).then(|| f64::from((self.free[port] / rising).max(LEAST_LEVEL)))
    }

    fn rising_levels(&self) -> impl Iterator<Item = (f64, usize)> {
        (0..self.rising.len()).filter_map(|port| Some((self.level_of(port)?, port)))
    }

    fn reset(&mut self) {
        self.free.copy_from_slice(&self.capacity);
        self.rising.copy_from_slice(&self.running);
        self.level.fill(f32::INFINITY);
        self.frozen.fill(0.0);
    }

    fn keep(&mut self, kept: &[usize]) {
        let lists = [
            &mut self.capacity,
            &mut self.running,
            &mut self.level,
            &mut self.step,
            &mut self.frozen,
            &mut self.unused,
            &mut self.freed,
            &mut self.before,
            &mut self.free,
            &mut self.rising,
        ];
        for list in lists {
            *list = padded(kept.iter().map(|&p| list[p]));
        }
    }
}
