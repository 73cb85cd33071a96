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
    /// Each one's cell, and room for one more.
    cells: Vec<u32>,
    /// When its next expert comes: the bits of that time, which are in order as it is, and its number among the token's.
    keys: Vec<u64>,
    /// Rates of those that have not come, once its first has.
    left: Vec<f32>,
    /// How many have come.
    number: Vec<u32>,
    /// Who has, a bit for each expert.
    come: Vec<u64>,
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
        self.of_token = groups.min(most);
        let lines = tokens * self.of_token;
        self.cells.resize(lines + 1, 0);
        self.keys.resize(lines, 0);
        self.left.resize(lines, 0.0);
        self.number.clear();
        self.number.resize(lines, 0);
        self.come.clear();
        self.come.resize(lines * per_group.div_ceil(64), 0);
        let mut line = 0;
        for (cell, &better) in of.better.iter().enumerate() {
            // What is not kept is written over.
            self.cells[line] = cell as u32;
            line += usize::from((better as usize) < self.of_token);
        }
        for line in 0..lines {
            let cell = self.cells[line] as usize;
            self.keys[line] = key(of.times[0][cell], line % self.of_token);
            self.left[line] = of.left[cell];
        }
    }

    /// The least key of a token's lines, the first of which is this.
    #[inline(always)]
    fn soonest(&self, first: usize) -> u64 {
        let keys = &self.keys[first..][..self.of_token];
        match <&[u64; USUAL_LINES]>::try_from(keys) {
            Ok(keys) => least(keys),
            Err(_) => least(keys),
        }
    }

    /// A token takes the soonest expert of its lines, which is counted in `out`. Drawn were how long one waits for the
    /// next of that line, and who this one is.
    #[inline(always)]
    pub(super) fn take<S: Simd>(
        &mut self,
        (simd, of): (S, &Cells),
        [token, groups]: [usize; 2],
        (wait, who): (f32, u32),
        row: &[f32],
        rng: &mut Xoshiro256PlusPlus,
        out: &mut [u32],
    ) {
        let first = token * self.of_token;
        let soonest = self.soonest(first);
        if soonest == NEVER {
            return;
        }
        let line = first + soonest as u32 as usize;
        let cell = self.cells[line] as usize;
        let per_group = row.len() / groups;
        let begin = (cell - token * groups) * per_group;
        let sums = &row[begin..][..per_group];
        let words = per_group.div_ceil(64);
        let come = &mut self.come[line * words..][..words];
        let (number, left, whole) = (self.number[line], self.left[line], of.whole[cell]);
        // Both are computed and one is chosen, because which it is nothing foretells.
        let drawn = place_of(simd, whole * uniform(who), sums);
        let mut expert = if number == 0 { of.first[cell] as usize } else { drawn };
        if has(come, expert) {
            expert = another(come, sums, left, rng);
        }
        come[expert / 64] |= 1 << (expert % 64);
        let after = left - rate_of(expert, sums);
        let then = f32::from_bits((soonest >> 32) as u32) + wait / after.max(NEXT_TO_NOTHING);
        let next = if number == 0 { of.times[1][cell] } else { then };
        self.left[line] = if number == 0 { left } else { after };
        self.number[line] = number + 1;
        let more = (number as usize) + 1 < per_group;
        self.keys[line] = if more { key(next, line - first) } else { NEVER };
        out[begin + expert] += 1;
    }
}

/// A key by which lines are in order of these times.
#[inline(always)]
fn key(time: f32, line: usize) -> u64 {
    (u64::from(time.to_bits()) << 32) | line as u64
}

#[inline(always)]
fn least(keys: &[u64]) -> u64 {
    keys.iter().fold(NEVER, |least, &key| least.min(key))
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
