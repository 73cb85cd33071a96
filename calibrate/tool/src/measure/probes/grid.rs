//! In which order points are asked: the coarse grid first, then what lies between.
//!
//! Points that differ in size alone form a line, sorted by size. Its ends are asked in round 0, its
//! middle in round 1, the quarters in round 2, and so on: whenever a session ends, what it has is
//! spread over the whole range, about evenly in places of the line.

use super::super::probe::Point;

/// The last round of the coarse grid: ends and middles.
pub const COARSE: u32 = 1;

/// Points, and the round that each is asked in.
#[derive(Clone, Debug, Default)]
pub struct Grid {
    /// The points.
    pub points: Vec<Point>,
    /// The round of each.
    pub rounds: Vec<u32>,
}

impl Grid {
    /// A grid of one line.
    #[must_use]
    pub fn of(points: Vec<Point>) -> Self {
        let mut grid = Self::default();
        grid.line(0, points);
        grid
    }

    /// Adds a line, sorted by size, that begins in round `first`.
    pub fn line(&mut self, first: u32, points: Vec<Point>) {
        self.rounds.extend(bisection(points.len()).into_iter().map(|round| first + round));
        self.points.extend(points);
    }

    /// How many points there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.points.len()
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.points.is_empty()
    }
}

/// The round of each of `count` places: ends, middle, quarters, …
fn bisection(count: usize) -> Vec<u32> {
    let mut rounds = vec![0; count];
    let mut spans = vec![(0, count.saturating_sub(1))];
    for round in 1.. {
        let mut halves = Vec::new();
        for (low, high) in spans {
            let middle = usize::midpoint(low, high);
            if middle > low {
                rounds[middle] = round;
                halves.extend([(low, middle), (middle, high)]);
            }
        }
        if halves.is_empty() {
            break;
        }
        spans = halves;
    }
    rounds
}

/// Sizes in bytes from `least` to `most`, each `ratio` times the one before.
#[must_use]
pub fn bytes(least: u64, most: u64, ratio: u64) -> Vec<u64> {
    let mut found: Vec<u64> =
        std::iter::successors(Some(most), |b| (b / ratio >= least).then_some(b / ratio)).collect();
    found.reverse();
    found
}

/// 1, … `most`, each `ratio` times the one before and at least one more; `edges` as well.
#[must_use]
pub fn steps(most: u32, ratio: f64, edges: &[u32]) -> Vec<u32> {
    let mut found = vec![1_u32];
    while let Some(&last) = found.last().filter(|last| **last < most) {
        let next = (f64::from(last) * ratio).round() as u32;
        found.push(next.clamp(last + 1, most));
    }
    found.extend(edges.iter().filter(|edge| **edge <= most));
    found.sort_unstable();
    found.dedup();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_come_first_then_halves() {
        assert!(bisection(0).is_empty());
        assert_eq!(bisection(1), [0]);
        assert_eq!(bisection(2), [0, 0]);
        assert_eq!(bisection(3), [0, 1, 0]);
        assert_eq!(bisection(9), [0, 3, 2, 3, 1, 3, 2, 3, 0]);
        // However many there are, no gap between places asked so far is twice another.
        for count in 2..200 {
            let rounds = bisection(count);
            for round in 0..8 {
                let asked: Vec<usize> = (0..count).filter(|&i| rounds[i] <= round).collect();
                let gaps = || asked.windows(2).map(|pair| pair[1] - pair[0]);
                let (least, most) = (gaps().min().unwrap(), gaps().max().unwrap());
                assert!(most <= least + 1, "{count} places, round {round}: gaps {least} to {most}");
            }
        }
    }

    #[test]
    fn sizes_step_up_to_the_most() {
        assert_eq!(bytes(1 << 14, 1 << 20, 16), [1 << 16, 1 << 20]);
        assert_eq!(steps(8, 2.0, &[3, 9]), [1, 2, 3, 4, 8]);
        let fine = steps(8192, 1.25, &[]);
        // A quarter more, rounded to a whole number; one more at least.
        let most = |from: u32| (from + 1).max((f64::from(from) * 1.25).round() as u32);
        assert!(fine.windows(2).all(|pair| pair[1] <= most(pair[0])), "{fine:?}");
        assert_eq!(fine.last(), Some(&8192));
    }
}
