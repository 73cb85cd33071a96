//! The quantised engine for dense parts: steps of `ε·t`, single precision, whole rows at a time.
//!
//! As [`super::quantised`], with rates `x_ij = min(s_i, u_j)`. A step is one pass over a matrix of
//! what is left, in seconds at the widest port's rate: subtract, note the blocks of a row where
//! something reached zero, and look into those alone. Rows and columns without flows are squeezed
//! out as they die. Memory: 10 bytes a cell. Single precision puts about 1e-4 on a finish time.

use std::collections::BinaryHeap;

use pulp::Arch;

use super::dense::{Dense, EMPTY};
use super::parts::Part;
use super::quantised::step_share;
use super::water::Full;

/// Cells looked at together.
const BLOCK: usize = 32;
/// Levels are put back if they rose by more than the rounding of single precision.
const STALE_SINGLE: f64 = 1.0 + 1e-6;
/// The least level, as a share of the widest port: rounding must not stop a flow.
const LEAST_LEVEL: f32 = 1e-9;

struct Engine<'a> {
    arch: Arch,
    dense: &'a Dense,
    /// Rows and columns still there, by their numbers in `dense`.
    number: [Vec<u32>; 2],
    ports: [Ports; 2],
    /// What each cell has left; at most zero where nothing is.
    left: Vec<f32>,
    /// Which cells run, row by row and column by column.
    alive: [Vec<u8>; 2],
    running: usize,
    died: usize,
    heap: BinaryHeap<Full>,
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
    /// Capacity × time that nobody used in the last step.
    unused: Vec<f32>,
    free: Vec<f32>,
    rising: Vec<f32>,
}

/// Solves a dense part to a relative error of about `epsilon`; `finish` is told each flow's finish
/// time. Returns the number of fillings.
pub(super) fn solve_dense_in_steps(
    part: &Part,
    dense: &Dense,
    epsilon: f64,
    finish: &mut dyn FnMut(u32, f64),
) -> u64 {
    let mut engine = Engine::new(part, dense);
    engine.fill();
    let (mut fillings, mut changed, mut now) = (1, false, 0.0);
    let mut span = engine.until_next_end();
    while engine.running > 0 {
        if changed {
            engine.fill();
            fillings += 1;
        }
        changed = engine.give_back(span as f32);
        let ended = engine.advance(now, span as f32, finish);
        changed |= ended;
        now += span;
        span = step_share(epsilon) * now;
        if !ended && engine.running > 0 {
            // Nothing ends sooner than at these levels, so a step need not be shorter.
            span = span.max(engine.until_next_end());
        }
        if engine.died * 16 > engine.left.len() {
            engine.squeeze();
            changed = true;
        }
    }
    fillings
}

impl<'a> Engine<'a> {
    fn new(part: &Part, dense: &'a Dense) -> Self {
        let (rows, cols) = (dense.rows, dense.cols);
        let widest = dense.capacity.iter().copied().fold(0.0, f64::max);
        let ports = [&dense.capacity[..rows], &dense.capacity[rows..]].map(|capacity| Ports {
            capacity: capacity.iter().map(|c| (c / widest) as f32).collect(),
            ..Ports::sized(capacity.len())
        });
        let mut engine = Self {
            arch: Arch::new(),
            dense,
            number: [(0..rows as u32).collect(), (0..cols as u32).collect()],
            ports,
            left: vec![0.0; rows * cols],
            alive: [vec![0; rows * cols], vec![0; rows * cols]],
            running: 0,
            died: 0,
            heap: BinaryHeap::with_capacity(rows + cols),
        };
        for (cell, &flow) in dense.flow.iter().enumerate().filter(|&(_, &flow)| flow != EMPTY) {
            let (row, col) = (cell / cols, cell % cols);
            // A flow too small for single precision still has to end.
            let seconds = (part.bytes(flow) / widest) as f32;
            engine.left[cell] = seconds.max(f32::MIN_POSITIVE);
            engine.alive[0][cell] = 1;
            engine.alive[1][col * rows + row] = 1;
            engine.ports[0].running[row] += 1.0;
            engine.ports[1].running[col] += 1.0;
            engine.running += 1;
        }
        engine
    }

    const fn shape(&self) -> [usize; 2] {
        [self.number[0].len(), self.number[1].len()]
    }

    /// Water-filling over rows and columns.
    fn fill(&mut self) {
        let rows = self.shape()[0];
        self.heap.clear();
        for (ports, base) in self.ports.iter_mut().zip([0, rows]) {
            ports.reset();
            let busy = (0..ports.running.len()).filter(|&p| ports.running[p] > 0.5);
            self.heap.extend(busy.map(|p| Full {
                level: f64::from(ports.capacity[p] / ports.running[p]),
                link: (base + p) as u32,
            }));
        }
        while let Some(Full { level: expected, link }) = self.heap.pop() {
            let side = usize::from(link as usize >= rows);
            let port = link as usize - side * rows;
            let [first, second] = &mut self.ports;
            let (own, across) = if side == 0 { (first, second) } else { (second, first) };
            if own.rising[port] < 0.5 {
                continue;
            }
            let level = (own.free[port] / own.rising[port]).max(LEAST_LEVEL);
            if f64::from(level) > expected * STALE_SINGLE {
                self.heap.push(Full { level: f64::from(level), link });
                continue;
            }
            own.level[port] = level;
            own.frozen[port] = own.rising[port];
            own.rising[port] = 0.0;
            let width = across.free.len();
            let alive = &self.alive[side][port * width..(port + 1) * width];
            let (free, rising) = (&mut across.free[..], &mut across.rising[..]);
            self.arch.dispatch(|| take(alive, level, free, rising));
        }
    }

    /// Time until the next flow ends at the present levels.
    fn until_next_end(&self) -> f64 {
        let cols = self.shape()[1];
        let mut soonest = f32::INFINITY;
        for (row, &level) in self.ports[0].level.iter().enumerate() {
            let cells = &self.left[row * cols..(row + 1) * cols];
            for (&left, &across) in cells.iter().zip(&self.ports[1].level) {
                if left > 0.0 {
                    soonest = soonest.min(left / level.min(across));
                }
            }
        }
        f64::from(soonest)
    }

    /// Raises the levels of ports whose capacity went unused in the last step.
    fn give_back(&mut self, span: f32) -> bool {
        let mut given = false;
        for ports in &mut self.ports {
            for p in 0..ports.level.len() {
                if ports.unused[p] > 0.0 && ports.frozen[p] > 0.0 {
                    let more = ports.unused[p] / (ports.frozen[p] * span);
                    ports.level[p] += more.min(ports.level[p]);
                    given = true;
                }
                ports.unused[p] = 0.0;
            }
        }
        given
    }

    /// One step; tells the ends of flows and whether there were any.
    fn advance(&mut self, now: f64, span: f32, finish: &mut dyn FnMut(u32, f64)) -> bool {
        for ports in &mut self.ports {
            for p in 0..ports.level.len() {
                ports.step[p] = ports.level[p] * span;
            }
        }
        let before = self.running;
        let cols = self.shape()[1];
        let mut hits = Vec::new();
        for row in 0..self.shape()[0] {
            if self.ports[0].running[row] < 0.5 {
                continue;
            }
            let cells = &mut self.left[row * cols..(row + 1) * cols];
            let (own, across) = (self.ports[0].step[row], &self.ports[1].step[..]);
            hits.clear();
            self.arch.dispatch(|| subtract(cells, own, across, &mut hits));
            for &block in &hits {
                let end = (block as usize + BLOCK).min(cols);
                self.end_in_block(row, block as usize..end, now, span, finish);
            }
        }
        self.running < before
    }

    fn end_in_block(
        &mut self,
        row: usize,
        block: std::ops::Range<usize>,
        now: f64,
        span: f32,
        finish: &mut dyn FnMut(u32, f64),
    ) {
        let [rows, cols] = self.shape();
        for col in block {
            let cell = row * cols + col;
            if self.left[cell] > 0.0 || self.alive[0][cell] == 0 {
                continue;
            }
            let [own, across] = [self.ports[0].level[row], self.ports[1].level[col]];
            let rate = own.min(across);
            let late = (-self.left[cell] / rate).clamp(0.0, span);
            let side = usize::from(across <= own);
            let port = if side == 0 { row } else { col };
            self.ports[side].unused[port] += rate * late;
            self.left[cell] = 0.0;
            self.alive[0][cell] = 0;
            self.alive[1][col * rows + row] = 0;
            self.ports[0].running[row] -= 1.0;
            self.ports[1].running[col] -= 1.0;
            self.running -= 1;
            self.died += 1;
            let [from, to] = [self.number[0][row] as usize, self.number[1][col] as usize];
            let flow = self.dense.flow[from * self.dense.cols + to];
            finish(flow, self.dense.start_s + now + f64::from(span - late));
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
        let mut across = vec![0; new_rows * new_cols];
        let (mut at, mut new_row) = (0, 0);
        for &row in &kept_rows {
            for (new_col, &col) in kept_cols.iter().enumerate() {
                // Cells only move forwards, so nothing is overwritten before it is read.
                self.left[at] = self.left[row * cols + col];
                let alive = self.alive[0][row * cols + col];
                self.alive[0][at] = alive;
                across[new_col * new_rows + new_row] = alive;
                at += 1;
            }
            new_row += 1;
        }
        self.left.truncate(at);
        self.alive[0].truncate(at);
        self.alive[1] = across;
        for (side, kept) in [kept_rows, kept_cols].iter().enumerate() {
            self.number[side] = kept.iter().map(|&p| self.number[side][p]).collect();
            self.ports[side].keep(kept);
        }
    }
}

impl Ports {
    fn sized(ports: usize) -> Self {
        let zeros = vec![0.0; ports];
        Self {
            capacity: Vec::new(),
            running: zeros.clone(),
            level: zeros.clone(),
            step: zeros.clone(),
            frozen: zeros.clone(),
            unused: zeros.clone(),
            free: zeros.clone(),
            rising: zeros,
        }
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
            &mut self.free,
            &mut self.rising,
        ];
        for list in lists {
            *list = kept.iter().map(|&p| list[p]).collect();
        }
    }
}

/// Takes the flows of a frozen port off the ports across. What this does to ports that are frozen
/// themselves does not matter, because it is not looked at again.
#[inline(always)]
fn take(alive: &[u8], rate: f32, free: &mut [f32], rising: &mut [f32]) {
    let cells = alive.len();
    let (free, rising) = (&mut free[..cells], &mut rising[..cells]);
    for i in 0..cells {
        let one = f32::from(alive[i]);
        free[i] -= rate * one;
        rising[i] -= one;
    }
}

/// Takes one step off the cells of a row; names the blocks where a flow ended.
#[inline(always)]
fn subtract(cells: &mut [f32], own: f32, across: &[f32], hits: &mut Vec<u32>) {
    let (mut blocks, mut steps) = (cells.chunks_exact_mut(BLOCK), across.chunks_exact(BLOCK));
    let mut start = 0;
    for (block, steps) in (&mut blocks).zip(&mut steps) {
        let mut least = [1.0; BLOCK];
        for i in 0..BLOCK {
            let left = block[i];
            let after = left - if own < steps[i] { own } else { steps[i] };
            let runs = left > 0.0;
            least[i] = if runs { after } else { 1.0 };
            block[i] = if runs { after } else { left };
        }
        if least.iter().copied().fold(1.0, f32::min) <= 0.0 {
            hits.push(start);
        }
        start += BLOCK as u32;
    }
    let rest = blocks.into_remainder();
    let mut any = false;
    for (left, &step) in rest.iter_mut().zip(steps.remainder()) {
        if *left > 0.0 {
            *left -= own.min(step);
            any |= *left <= 0.0;
        }
    }
    if any {
        hits.push(start);
    }
}
