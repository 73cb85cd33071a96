//! What every flow has left, carried on only where one may end.
//!
//! A step takes `min(s_i, u_j)` off each cell, and a pass over all cells waits for memory. So the last steps are kept,
//! and a block of cells catches up with them only when one of its flows may have ended: when what steps took off any of
//! them at most exceeds what the least of them had left. A cell goes through the same subtractions in the same order
//! whenever that is.

use pulp::Arch;

use super::{Ports, blocks};
use crate::network::fluid::engines::bits::{self, Behind};
use crate::network::fluid::engines::lanes::{BLOCK, SoonestEnd};

/// Steps that are kept.
const STEPS: usize = 32;
/// So few cells are near enough to go through every step at once.
const FEW: usize = 512 * 512;

#[derive(Default)]
pub(super) struct Left {
    /// What each cell had left after the steps that its block has been through; infinite where nothing runs, so that
    /// nothing ends there.
    pub cells: Vec<f32>,
    /// Whether steps are kept.
    keeps: bool,
    /// Cells of a row, in whole blocks, and its blocks, in whole words.
    width: usize,
    words: usize,
    /// How many of the steps kept each block has been through.
    through: Vec<u32>,
    /// What can be taken off each block before a flow can end there.
    spare: Vec<f32>,
    /// How many steps are kept: what they take at most in each row, and in each column block by block.
    steps: usize,
    own: Vec<f32>,
    across: Vec<f32>,
    /// The most that the last step takes in a block of columns.
    most: Vec<f32>,
    due: Vec<(u32, u32)>,
}

impl Left {
    /// Nothing runs in any cell.
    pub fn sized(rows: usize, cols: usize) -> Self {
        let mut left = Self { cells: vec![f32::INFINITY; rows * padded(cols)], ..Self::default() };
        left.reshape(rows, cols);
        left
    }

    /// Fits what is known of blocks to the cells of so many rows and columns. All blocks are through all steps.
    pub fn reshape(&mut self, rows: usize, cols: usize) {
        self.width = padded(cols);
        self.steps = 0;
        self.keeps = self.cells.len() > FEW;
        if self.keeps {
            self.keep_steps(rows);
        }
    }

    /// Makes room for what is kept of so many rows.
    fn keep_steps(&mut self, rows: usize) {
        let row = self.width / BLOCK;
        self.words = blocks(row);
        self.through = vec![0; rows * self.words * BLOCK];
        // What no block stands for is never due, all others are at once.
        self.spare = vec![f32::INFINITY; rows * self.words * BLOCK];
        for spare in self.spare.chunks_exact_mut(self.words * BLOCK) {
            spare[..row].fill(0.0);
        }
        self.own.resize(rows * STEPS, 0.0);
        self.across.resize(self.width * STEPS, 0.0);
        self.most = vec![0.0; self.words * BLOCK];
    }

    /// Prepares one more step of these ports.
    pub fn begin_step(&mut self, arch: Arch, [rows, cols]: &[Ports; 2]) {
        if !self.keeps {
            return;
        }
        if self.steps == STEPS {
            self.catch_up_all(arch);
        }
        let at = self.steps;
        self.steps += 1;
        for (own, &step) in self.own.chunks_exact_mut(STEPS).zip(&rows.step) {
            own[at] = step;
        }
        let steps = cols.step.chunks_exact(BLOCK).zip(cols.running.chunks_exact(BLOCK));
        let kept = self.across.chunks_exact_mut(STEPS * BLOCK).zip(&mut self.most);
        for ((kept, most), (steps, running)) in kept.zip(steps) {
            kept[at * BLOCK..][..BLOCK].copy_from_slice(steps);
            // Where no flow runs a level is infinite.
            let running = steps.iter().zip(running).filter(|&(_, &running)| running > 0.5);
            *most = running.fold(0.0, |most, (&step, _)| step.max(most));
        }
    }

    /// Takes the step off a row, at least where flows end; tells the blocks where some do, with a bit for each.
    pub fn step_row(
        &mut self,
        arch: Arch,
        row: usize,
        [rows, cols]: &[Ports; 2],
        hits: &mut Vec<(u32, u32)>,
    ) {
        if !self.keeps {
            let cells = &mut self.cells[row * self.width..(row + 1) * self.width];
            return bits::subtract(arch, cells, rows.step[row], &cols.step, hits);
        }
        let words = row * self.words * BLOCK..(row + 1) * self.words * BLOCK;
        let mut due = std::mem::take(&mut self.due);
        due.clear();
        bits::subtract(arch, &mut self.spare[words], rows.step[row], &self.most, &mut due);
        if !due.is_empty() {
            self.catch_up(arch, row, &due, hits);
        }
        self.due = due;
    }

    fn catch_up(&mut self, arch: Arch, row: usize, due: &[(u32, u32)], hits: &mut Vec<(u32, u32)>) {
        let words = row * self.words * BLOCK..(row + 1) * self.words * BLOCK;
        let behind = Behind {
            through: &mut self.through[words.clone()],
            spare: &mut self.spare[words],
            own: &self.own[row * STEPS..][..self.steps],
            across: &self.across,
            room: STEPS,
        };
        let cells = &mut self.cells[row * self.width..(row + 1) * self.width];
        bits::catch_up(arch, cells, behind, due, hits);
    }

    /// Takes all steps off all cells.
    pub fn catch_up_all(&mut self, arch: Arch) {
        if self.steps == 0 {
            return;
        }
        let row = self.width / BLOCK;
        let bits_of = |word: usize| u32::MAX >> (BLOCK - BLOCK.min(row - word * BLOCK));
        let all: Vec<(u32, u32)> =
            (0..self.words).map(|word| (word as u32, bits_of(word))).collect();
        let mut hits = Vec::new();
        for row in 0..self.cells.len() / self.width {
            self.catch_up(arch, row, &all, &mut hits);
        }
        debug_assert!(hits.is_empty(), "flows ended where none could: {hits:?}");
        self.through.fill(0);
        self.steps = 0;
    }

    /// Time until the next flow ends at these levels. All cells have caught up.
    pub fn until_next_end(&self, arch: Arch, [rows, cols]: &[Ports; 2]) -> f64 {
        let across = &cols.level[..];
        let mut soonest = f32::INFINITY;
        for (cells, &own) in self.cells.chunks_exact(self.width).zip(&rows.level) {
            soonest = soonest.min(arch.dispatch(SoonestEnd { cells, own, across }));
        }
        f64::from(soonest)
    }
}

const fn padded(cells: usize) -> usize {
    blocks(cells) * BLOCK
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::fluid::engines::lanes;

    /// Numbers that look random, from 0 to 1.
    fn lot(n: usize, salt: usize) -> f32 {
        let mixed = (n as u32 ^ (salt as u32) << 20).wrapping_mul(0x9E37_79B9);
        let mixed = (mixed ^ mixed >> 15).wrapping_mul(0x85EB_CA6B);
        ((mixed ^ mixed >> 13) >> 8) as f32 / (1 << 24) as f32
    }

    fn filled(rows: usize, cols: usize, keeps: bool) -> Left {
        let mut left = Left { keeps, ..Left::sized(rows, cols) };
        if keeps {
            left.keep_steps(rows);
        }
        for (n, cell) in left.cells.iter_mut().enumerate() {
            let runs = n % padded(cols) < cols && lot(n, 1) > 0.1;
            *cell = if runs { 0.01 + 5.0 * lot(n, 2) } else { f32::INFINITY };
        }
        left
    }

    #[test]
    fn flows_end_in_the_same_steps_whether_steps_are_kept_or_not() {
        let arch = lanes::widest();
        // More blocks than bits of a word, and a last block that is not full.
        for (rows, cols) in [(3, 2070), (40, 70)] {
            let [mut kept, mut at_once] = [true, false].map(|keeps| filled(rows, cols, keeps));
            let mut ports = [Ports::sized(rows), Ports::sized(cols)];
            ports[1].running[..cols].fill(1.0);
            let mut ended = 0;
            for step in 0..300 {
                for (side, ports) in ports.iter_mut().enumerate() {
                    let steps = ports.step.iter_mut().zip(0..);
                    steps.for_each(|(own, p)| *own = 0.03 * (0.8 + lot(p, 3 + side + step)));
                }
                // A port that binds nothing.
                ports[0].step[1] = f32::MAX;
                kept.begin_step(arch, &ports);
                at_once.begin_step(arch, &ports);
                for row in 0..rows {
                    let (mut hits, mut wanted) = (Vec::new(), Vec::new());
                    kept.step_row(arch, row, &ports, &mut hits);
                    at_once.step_row(arch, row, &ports, &mut wanted);
                    assert_eq!(hits, wanted, "row {row} in step {step}");
                    for (block, bits) in hits {
                        for bit in (0..BLOCK).filter(|bit| bits >> bit & 1 != 0) {
                            let cell = row * padded(cols) + block as usize * BLOCK + bit;
                            assert_eq!(kept.cells[cell], at_once.cells[cell], "how late it is");
                            (kept.cells[cell], at_once.cells[cell]) =
                                (f32::INFINITY, f32::INFINITY);
                            ended += 1;
                        }
                    }
                }
            }
            assert!(ended > rows * cols / 2, "{ended} ended");
            kept.catch_up_all(arch);
            assert_eq!(kept.cells, at_once.cells);
        }
    }
}
