//! Water-filling of the quantised engine for parts of up to [`MOST_PORTS`] ports: the lowest level is looked for among
//! all, in vectors, which for so few takes less time than keeping them in order.
//!
//! A port's level and its number share 32 bits, so that one minimum finds both: the level's upper bits, which
//! order as levels do, above the number. Levels that differ by less than 2⁻¹⁵ count as equal.

use pulp::NullaryFnOnce;

use super::{LEAST_LEVEL, Ports};
use crate::network::fluid::engines::lanes::BLOCK;

/// Most ports, both sides together and each padded to whole blocks.
pub(super) const MOST_PORTS: usize = 256;
const NUMBER: u32 = MOST_PORTS as u32 - 1;
/// The key of a port without flows that rise.
const NONE: u32 = u32::MAX;

/// Space for one filling: rows first, then columns.
#[derive(Debug)]
pub(super) struct Few {
    free: [f32; MOST_PORTS],
    rising: [f32; MOST_PORTS],
    level: [f32; MOST_PORTS],
    frozen: [f32; MOST_PORTS],
    /// Where each port would be full if nothing else froze.
    rises_to: [f32; MOST_PORTS],
    keys: [u32; MOST_PORTS],
}

impl Default for Few {
    fn default() -> Self {
        let zeros = [0.0; MOST_PORTS];
        Self {
            free: zeros,
            rising: zeros,
            level: zeros,
            frozen: zeros,
            rises_to: zeros,
            keys: [NONE; MOST_PORTS],
        }
    }
}

/// What one filling works on. Ports have been reset.
pub(super) struct ToFill<'a> {
    pub alive: &'a [Vec<u32>; 2],
    pub ports: &'a mut [Ports; 2],
    pub few: &'a mut Few,
}

/// Where a port would be full, and its key.
#[inline(always)]
fn level_and_key(free: f32, rising: f32, number: usize) -> (f32, u32) {
    let level = free / rising;
    let level = if level > LEAST_LEVEL { level } else { LEAST_LEVEL };
    (level, if rising > 0.5 { level.to_bits() & !NUMBER | number as u32 } else { NONE })
}

/// The number where `run` is 1, nothing where it is 0.
#[inline(always)]
const fn where_runs(number: f32, run: u32) -> f32 {
    f32::from_bits(number.to_bits() & run.wrapping_neg())
}

/// Fillings of some parts, side by side: each waits for its own numbers, so that several take hardly longer than one.
pub(super) struct FillFew<'a, const N: usize>(pub [ToFill<'a>; N]);

impl<const N: usize> NullaryFnOnce for FillFew<'_, N> {
    type Output = ();

    #[inline(always)]
    fn call(mut self) {
        self.0.iter_mut().for_each(ToFill::begin);
        loop {
            let mut any = false;
            for part in &mut self.0 {
                any |= part.freeze_next();
            }
            if !any {
                break;
            }
        }
        self.0.iter_mut().for_each(ToFill::end);
    }
}

impl ToFill<'_> {
    #[inline(always)]
    fn begin(&mut self) {
        let Self { ports, few, .. } = self;
        let rows = ports[0].free.len();
        for (own, first) in ports.iter().zip([0, rows]) {
            let own_ports = first..first + own.free.len();
            few.free[own_ports.clone()].copy_from_slice(&own.free);
            few.rising[own_ports].copy_from_slice(&own.rising);
        }
        for port in 0..rows + ports[1].free.len() {
            (few.rises_to[port], few.keys[port]) =
                level_and_key(few.free[port], few.rising[port], port);
            (few.level[port], few.frozen[port]) = (f32::INFINITY, 0.0);
        }
    }

    #[inline(always)]
    fn end(&mut self) {
        let rows = self.ports[0].free.len();
        for (own, first) in self.ports.iter_mut().zip([0, rows]) {
            let own_ports = first..first + own.free.len();
            own.level.copy_from_slice(&self.few.level[own_ports.clone()]);
            own.frozen.copy_from_slice(&self.few.frozen[own_ports]);
        }
    }

    /// Freezes the port with the lowest key, if there is one. Which side it is on must not be a branch, because
    /// nothing foretells it.
    #[inline(always)]
    fn freeze_next(&mut self) -> bool {
        let few = &mut *self.few;
        let [rows, cols] = [self.ports[0].free.len(), self.ports[1].free.len()];
        let (first, across, words) = ([0, rows], [rows, 0], [cols / BLOCK, rows / BLOCK]);
        let lowest = few.keys[..rows + cols].iter().copied().fold(NONE, u32::min);
        if lowest == NONE {
            return false;
        }
        let port = (lowest & NUMBER) as usize;
        let side = usize::from(port >= rows);
        let level = few.rises_to[port];
        (few.level[port], few.frozen[port]) = (level, few.rising[port]);
        (few.keys[port], few.rising[port]) = (NONE, 0.0);
        let (words, across) = (words[side], across[side]);
        let alive = &self.alive[side][(port - first[side]) * words..][..words];
        for (&word, at) in alive.iter().zip((across..).step_by(BLOCK)) {
            let free = &mut few.free[at..at + BLOCK];
            let rising = &mut few.rising[at..at + BLOCK];
            let rises_to = &mut few.rises_to[at..at + BLOCK];
            let keys = &mut few.keys[at..at + BLOCK];
            for i in 0..BLOCK {
                let run = (word >> i) & 1;
                free[i] -= where_runs(level, run);
                rising[i] -= where_runs(1.0, run);
                (rises_to[i], keys[i]) = level_and_key(free[i], rising[i], at + i);
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pulp::Arch;

    /// The levels of rows and columns by looking at every port anew before each freeze.
    fn plainly(mut free: Vec<f64>, rows: usize, runs: &dyn Fn(usize, usize) -> bool) -> Vec<f64> {
        let cols = free.len() - rows;
        let joined =
            |a: usize, b: usize| if a < rows { runs(a, b - rows) } else { runs(b, a - rows) };
        let across = |port: usize| if port < rows { rows..rows + cols } else { 0..rows };
        let mut levels = vec![f64::INFINITY; free.len()];
        loop {
            let rising = |port: usize| {
                let open = |&other: &usize| levels[other] == f64::INFINITY && joined(port, other);
                across(port).filter(open).count()
            };
            let open = (0..free.len()).filter(|&port| levels[port] == f64::INFINITY);
            let full = open.filter(|&port| rising(port) > 0);
            let level = |port: usize| free[port] / rising(port) as f64;
            let Some(next) = full.min_by(|&a, &b| level(a).total_cmp(&level(b))) else {
                return levels;
            };
            let level = level(next);
            for other in across(next).filter(|&other| joined(next, other)) {
                free[other] -= level;
            }
            levels[next] = level;
        }
    }

    #[test]
    fn levels_are_those_of_a_plain_filling() {
        for seed in 1..60_usize {
            let (rows, cols) = (1 + seed * 7 % 90, 1 + seed * 13 % 128);
            let lot = |n: usize| ((n * 2_654_435_761) ^ (seed * 40_503)) % 1009;
            let runs = |row: usize, col: usize| lot(row * 131 + col) % 5 < seed % 4 + 1;
            let capacity: Vec<f64> =
                (0..rows + cols).map(|p| 1.0 + lot(p) as f64 / 500.0).collect();
            let alive = [(rows, cols), (cols, rows)]
                .map(|(own, across)| vec![0_u32; own * across.div_ceil(BLOCK)]);
            let mut ports = [Ports::sized(rows), Ports::sized(cols)];
            let mut alive = alive;
            let (wide, high) = (cols.div_ceil(BLOCK), rows.div_ceil(BLOCK));
            for row in 0..rows {
                for col in (0..cols).filter(|&col| runs(row, col)) {
                    alive[0][row * wide + col / BLOCK] |= 1 << (col % BLOCK);
                    alive[1][col * high + row / BLOCK] |= 1 << (row % BLOCK);
                    ports[0].rising[row] += 1.0;
                    ports[1].rising[col] += 1.0;
                }
            }
            for (p, &capacity) in capacity.iter().enumerate() {
                let (side, port) = if p < rows { (0, p) } else { (1, p - rows) };
                ports[side].free[port] = capacity as f32;
            }
            let (alive, few) = (&alive, &mut Few::default());
            Arch::new().dispatch(FillFew([ToFill { alive, ports: &mut ports, few }]));
            let found = ports[0].level[..rows].iter().chain(&ports[1].level[..cols]);
            for (&found, want) in found.zip(plainly(capacity, rows, &runs)) {
                let same = f64::from(found) == want || (f64::from(found) / want - 1.0).abs() < 1e-3;
                assert!(same, "{rows} x {cols}: {found} instead of {want}");
            }
        }
    }
}
