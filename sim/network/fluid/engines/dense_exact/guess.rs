//! Ports in the order in which water-filling finds them full, guessed from the last filling.
//!
//! Between two fillings few flows end, so most ports are full in nearly the same order. The next one
//! is looked for among [`FEW`] candidates alone: those that come next in the order guessed. Whoever
//! takes them checks that levels never fall from one port to the next. Then the order is right: had a
//! port been passed over whose level lay below that of the port taken, each port taken since, at a higher
//! level, would have taken more from it than its share and lowered its level further.

/// Candidates at a time. More find ports that have moved farther, and take longer.
const FEW: usize = 8;
/// Of these, at most so many that are looked at from the beginning, wherever they were before.
const MOST_MOVED: usize = 4;
/// Levels that fall by no more than this have fallen by rounding.
pub(super) const NOT_FALLEN: f64 = 1.0 - 1e-12;

/// Ports that are not full yet, and a guess of their order.
#[derive(Debug, Default)]
pub(super) struct Guess {
    order: Vec<u32>,
    next: usize,
    candidates: [u32; FEW],
}

impl Guess {
    /// Starts anew: ports that may have moved far, then all others in the order guessed. Ports that have no flow
    /// rising, or are named twice, do no harm; one is named by `nobody`.
    pub fn start(&mut self, moved: &[u32], order: impl Iterator<Item = u32>, nobody: u32) {
        self.order.clear();
        self.order.extend(&moved[..moved.len().min(MOST_MOVED)]);
        self.order.extend(order);
        let padding = std::iter::repeat_n(nobody, FEW);
        self.order.extend(padding);
        self.candidates.copy_from_slice(&self.order[..FEW]);
        self.next = FEW;
    }

    /// Takes out the candidate that is full at the lowest level; `level_of` says the level of a port, infinite where
    /// no flow rises.
    pub fn next(&mut self, level_of: impl Fn(usize) -> f64) -> Option<(usize, f64)> {
        loop {
            let mut levels = [0.0; FEW];
            let (mut lowest, mut at) = (f64::INFINITY, 0);
            for (n, (level, &port)) in levels.iter_mut().zip(&self.candidates).enumerate() {
                *level = level_of(port as usize);
                (lowest, at) = if *level < lowest { (*level, n) } else { (lowest, at) };
            }
            let more = self.next < self.order.len();
            if more && levels.contains(&f64::INFINITY) {
                // Their flows have all frozen at other ports.
                for (candidate, level) in self.candidates.iter_mut().zip(levels) {
                    if level == f64::INFINITY
                        && let Some(&port) = self.order.get(self.next)
                    {
                        *candidate = port;
                        self.next += 1;
                    }
                }
                continue;
            }
            if lowest == f64::INFINITY {
                return None;
            }
            let port = self.candidates[at];
            if more {
                self.candidates[at] = self.order[self.next];
                self.next += 1;
            }
            return Some((port as usize, lowest));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes all ports out, which are done when they have been taken.
    fn taken(mut guess: Guess, levels: &mut [f64]) -> Vec<usize> {
        let mut order = Vec::new();
        while let Some((port, level)) = guess.next(|port| levels[port]) {
            assert_eq!(levels[port], level);
            levels[port] = f64::INFINITY;
            order.push(port);
        }
        order
    }

    #[test]
    fn ports_that_moved_a_little_or_are_named_come_in_their_turn() {
        let mut levels: Vec<f64> = (0..40).map(f64::from).chain([f64::INFINITY]).collect();
        // Neighbours change places, one port comes from far, two have no flow that rises.
        levels.swap(3, 7);
        levels[35] = 0.5;
        (levels[10], levels[11]) = (f64::INFINITY, f64::INFINITY);
        let mut want: Vec<usize> = (0..40).filter(|port| ![10, 11].contains(port)).collect();
        want.sort_by(|&a, &b| levels[a].total_cmp(&levels[b]));
        let mut guess = Guess::default();
        guess.start(&[35], 0..40, 40);
        assert_eq!(taken(guess, &mut levels), want);
    }

    #[test]
    fn all_ports_come_whatever_the_guess() {
        let mut levels: Vec<f64> = (0..100).map(|port| f64::from(port * 37 % 100)).collect();
        levels.push(f64::INFINITY);
        let mut guess = Guess::default();
        guess.start(&[5, 6, 7, 8, 9, 10], 0..100, 100);
        let mut all = taken(guess, &mut levels);
        all.sort_unstable();
        assert_eq!(all, (0..100).collect::<Vec<_>>());
    }
}
