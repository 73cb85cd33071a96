//! Groups of which tokens take their experts, the soonest first.

use pulp::Simd;
use rand_chacha::rand_core::Rng;
use rand_xoshiro::Xoshiro256PlusPlus;

use super::{Cells, NEXT_TO_NOTHING, place_of, rate_of, uniform};

/// The key of a group whose experts have all come.
const NEVER: u64 = u64::MAX;
/// Groups of which a token of DeepSeek-V3 takes its experts.
const USUAL_LINES: usize = 4;

/// The groups of which tokens take experts, some for each token.
#[derive(Debug, Default)]
pub(super) struct Lines {
    of_token: usize,
    /// Experts of a group.
    per_group: usize,
    /// Each one's cell, and room for one more.
    cells: Vec<u32>,
    lines: Vec<Line>,
    /// Who has come, a bit for each expert of a line.
    come: Vec<u64>,
}

/// What is known of a group of which a token takes experts; it lies together, as it is used.
#[derive(Clone, Copy, Debug, Default)]
struct Line {
    /// When its next expert comes: the bits of that time, which are in order as it is, and its number among the token's.
    key: u64,
    /// Rates of all its experts, and of those that have not come, once its first has.
    whole: f32,
    left: f32,
    /// Who comes first, and when the second does.
    first: u32,
    second: f32,
    /// How many have come.
    number: u32,
    /// The first of its experts.
    begin: u32,
}

impl Lines {
    /// The best groups of each token wait for their experts.
    #[inline(always)]
    pub(super) fn begin(
        &mut self,
        of: &Cells,
        [tokens, groups, most]: [usize; 3],
        per_group: usize,
    ) {
        (self.of_token, self.per_group) = (groups.min(most), per_group);
        let lines = tokens * self.of_token;
        self.cells.resize(lines + 1, 0);
        self.come.clear();
        self.come.resize(lines * per_group.div_ceil(64), 0);
        let mut line = 0;
        for (cell, &better) in of.better.iter().enumerate() {
            // What is not kept is written over.
            self.cells[line] = cell as u32;
            line += usize::from((better as usize) < self.of_token);
        }
        self.lines.clear();
        let tokens = self.cells[..lines].chunks_exact(self.of_token.max(1)).enumerate();
        for (token, cells) in tokens {
            self.lines.extend(cells.iter().enumerate().map(|(line, &cell)| {
                let cell = cell as usize;
                Line {
                    key: key(of.times[0][cell], line),
                    whole: of.whole[cell],
                    left: of.left[cell],
                    first: of.first[cell],
                    second: of.times[1][cell],
                    number: 0,
                    begin: ((cell - token * groups) * per_group) as u32,
                }
            }));
        }
    }

    /// A token takes the soonest expert of its lines, which is counted in `out`. Drawn were how long one waits for the
    /// next of that line, and who this one is.
    #[inline(always)]
    pub(super) fn take<S: Simd>(
        &mut self,
        (simd, token): (S, usize),
        (wait, who): (f32, u32),
        row: &[f32],
        rng: &mut Xoshiro256PlusPlus,
        out: &mut [u32],
    ) {
        let lines = &mut self.lines[token * self.of_token..][..self.of_token];
        let soonest = match <&[Line; USUAL_LINES]>::try_from(&*lines) {
            Ok(lines) => soonest(lines),
            Err(_) => soonest(lines),
        };
        if soonest == NEVER {
            return;
        }
        let at = soonest as u32 as usize;
        let line = &mut lines[at];
        let Line { whole, left, number, .. } = *line;
        let begin = line.begin as usize;
        let sums = &row[begin..][..self.per_group];
        let words = self.per_group.div_ceil(64);
        let come = &mut self.come[(token * self.of_token + at) * words..][..words];
        // Both are computed and one is chosen, because which it is nothing foretells.
        let drawn = place_of(simd, whole * uniform(who), sums);
        let mut expert = if number == 0 { line.first as usize } else { drawn };
        if has(come, expert) {
            expert = another(come, sums, left, rng);
        }
        come[expert / 64] |= 1 << (expert % 64);
        let after = left - rate_of(expert, sums);
        let then = f32::from_bits((soonest >> 32) as u32) + wait / after.max(NEXT_TO_NOTHING);
        let next = if number == 0 { line.second } else { then };
        line.left = if number == 0 { left } else { after };
        line.number = number + 1;
        let more = (number as usize) + 1 < self.per_group;
        line.key = if more { key(next, at) } else { NEVER };
        out[begin + expert] += 1;
    }
}

/// A key by which lines are in order of these times.
#[inline(always)]
fn key(time: f32, line: usize) -> u64 {
    (u64::from(time.to_bits()) << 32) | line as u64
}

/// The least key of a token's lines.
#[inline(always)]
fn soonest(lines: &[Line]) -> u64 {
    lines.iter().fold(NEVER, |least, line| least.min(line.key))
}

#[inline(always)]
fn has(come: &[u64], expert: usize) -> bool {
    come[expert / 64] >> (expert % 64) & 1 == 1
}

/// One of those that have not come, whose rates sum to `left`, in proportion to their rates: by trying while these are
/// much of all.
#[cold]
fn another(come: &[u64], sums: &[f32], left: f32, rng: &mut Xoshiro256PlusPlus) -> usize {
    let whole = sums[sums.len() - 1];
    if left > 0.25 * whole {
        loop {
            let mass = whole * uniform(rng.next_u32());
            let expert = sums.partition_point(|sum| *sum <= mass).min(sums.len() - 1);
            if !has(come, expert) {
                return expert;
            }
        }
    }
    let (mut mass, mut last) = (left * uniform(rng.next_u32()), 0);
    for expert in (0..sums.len()).filter(|&expert| !has(come, expert)) {
        last = expert;
        mass -= rate_of(expert, sums);
        if mass < 0.0 {
            break;
        }
    }
    last
}

#[cfg(test)]
mod tests {
    use rand_chacha::rand_core::SeedableRng;

    use super::*;

    #[test]
    fn those_that_have_not_come_follow_in_proportion() {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(1);
        // Rates 1, 2, 0, 3, 4 of 10. What is left is 1 and 4, 1 and 2, or 1 alone.
        let sums = [0.1, 0.3, 0.3, 0.6, 1.0];
        for (come, left, shares) in [
            ([0b01010], 0.5, [0.2, 0.0, 0.0, 0.0, 0.8]),
            ([0b11000], 0.3, [1.0 / 3.0, 2.0 / 3.0, 0.0, 0.0, 0.0]),
            ([0b11010], 0.1, [1.0, 0.0, 0.0, 0.0, 0.0]),
        ] {
            let mut counts = [0.0; 5];
            (0..10_000).for_each(|_| counts[another(&come, &sums, left, &mut rng)] += 1e-4);
            for (count, share) in counts.iter().zip(shares) {
                // Four standard deviations of a share of 10,000.
                let most = 4.0 * f64::sqrt(share * (1.0 - share) / 1e4) + 1e-9;
                assert!((count - share).abs() < most, "{come:?}: {counts:?}, not {shares:?}");
            }
        }
    }
}
