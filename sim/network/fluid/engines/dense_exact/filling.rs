//! Water-filling of a dense part, resumed from where it can have changed, in the order of the last filling where that still holds.

use super::guess::NOT_FALLEN;
use super::{BETWEEN_COPIES, Engine, NEVER};
use crate::network::fluid::engines::bits;
use crate::network::fluid::engines::lanes::BLOCK;

/// A port that is overfull by no more than this share is so by rounding.
const ROUNDING: f64 = 1e-13;

impl Engine {
    /// Fills anew from the last copy at or before position `from`; returns that copy's position.
    pub(super) fn fill_from(&mut self, from: usize) -> usize {
        let copy = (from / BETWEEN_COPIES).min(self.copied);
        let start = copy * BETWEEN_COPIES;
        self.old_order.clear();
        self.old_order.extend_from_slice(&self.order[start.min(self.order.len())..]);
        let again = !self.old_order.is_empty();
        if again {
            let ports = (0..self.position.len() as u32)
                .filter(|&p| self.position[p as usize] == NEVER && self.running[p as usize] > 0.5);
            let order = self.old_order.iter().copied().chain(ports);
            self.guess.start(&self.moved, order, (self.rows + self.cols) as u32);
        }
        self.moved.clear();
        self.rewind(start);
        let right_to = if again { self.fill_as_guessed(start) } else { Some(start) };
        if let Some(right_to) = right_to {
            self.rewind(right_to);
            self.fill_by_search();
            // Another port may have been passed over before, and be found only now, or all its flows have frozen elsewhere.
            if right_to > start && (self.any_fallen(start) || self.any_overfull()) {
                self.rewind(start);
                self.fill_by_search();
            }
        }
        start
    }

    /// Puts the filling back to the last copy at or before this position.
    fn rewind(&mut self, position: usize) {
        let copy = position / BETWEEN_COPIES;
        let (free, rising) = match copy {
            0 => (&self.capacity, &self.running),
            copy => {
                let (free, rising) = &self.copies[copy - 1];
                (free, rising)
            }
        };
        self.free.copy_from_slice(free);
        self.rising.copy_from_slice(rising);
        self.copied = copy;
        for port in self.order.drain((copy * BETWEEN_COPIES).min(self.order.len())..) {
            self.level[port as usize] = 0.0;
            self.position[port as usize] = NEVER;
        }
    }

    /// Fills in the order guessed; where that is not the order of levels, tells up to which position it is.
    fn fill_as_guessed(&mut self, start: usize) -> Option<usize> {
        let mut guess = std::mem::take(&mut self.guess);
        let mut last = self.order.last().map_or(0.0, |&port| self.level[port as usize]);
        let mut right_to = None;
        while let Some((port, level)) = guess
            .next(|port| if self.rising[port] > 0.5 { self.level_of(port) } else { f64::INFINITY })
        {
            if level < last * NOT_FALLEN {
                let below = |&port: &u32| self.level[port as usize] <= level;
                right_to = Some(self.order.partition_point(below).max(start));
                break;
            }
            last = level;
            self.freeze(port, level);
        }
        self.guess = guess;
        right_to.or_else(|| self.any_overfull().then_some(start))
    }

    /// Whether levels fall from one port to the next, from this position on.
    fn any_fallen(&self, start: usize) -> bool {
        let levels = || self.order[start..].iter().map(|&port| self.level[port as usize]);
        levels().zip(levels().skip(1)).any(|(before, after)| after < before * NOT_FALLEN)
    }

    /// Whether flows that froze elsewhere fill some port by more than it has.
    fn any_overfull(&self) -> bool {
        let ports = self.free.iter().zip(&self.capacity).zip(&self.position);
        ports.fold(false, |any, ((&free, &capacity), &position)| {
            any | (position == NEVER && free < -capacity * ROUNDING)
        })
    }

    /// Fills on, looking for the next port to be full among all.
    fn fill_by_search(&mut self) {
        let open = (0..self.rows + self.cols).filter(|&port| self.position[port] == NEVER);
        let rising = open.filter(|&port| self.rising[port] > 0.5);
        let mut waiting = std::mem::take(&mut self.waiting_to_fill);
        waiting.start(rising.map(|port| (self.level_of(port), port)));
        while let Some((port, level)) =
            waiting.next(|port| (self.rising[port] > 0.5).then(|| self.level_of(port)))
        {
            self.freeze(port, level);
        }
        self.waiting_to_fill = waiting;
    }

    /// Where a port would be full if nothing else froze. Rounding may leave less than nothing free.
    fn level_of(&self, port: usize) -> f64 {
        (self.free[port] / f64::from(self.rising[port])).max(0.0)
    }

    fn freeze(&mut self, port: usize, level: f64) {
        let full = self.order.len();
        if full.is_multiple_of(BETWEEN_COPIES) && full / BETWEEN_COPIES > self.copied {
            if let Some((free, rising)) = self.copies.get_mut(self.copied) {
                free.copy_from_slice(&self.free);
                rising.copy_from_slice(&self.rising);
            } else {
                self.copies.push((self.free.clone(), self.rising.clone()));
            }
            self.copied += 1;
        }
        self.level[port] = level;
        self.position[port] = self.order.len() as u32;
        self.order.push(port as u32);
        self.rising[port] = 0.0;
        let rows = self.rows;
        let (free_rows, free_cols) = self.free.split_at_mut(rows);
        let (rising_rows, rising_cols) = self.rising.split_at_mut(rows);
        let (side, port, free, rising) = if port < rows {
            (0, port, free_cols, rising_cols)
        } else {
            (1, port - rows, free_rows, rising_rows)
        };
        let words = if side == 0 { self.cols } else { rows } / BLOCK;
        let alive = &self.alive[side][port * words..(port + 1) * words];
        bits::take_exactly(self.arch, alive, level, free, rising);
    }
}
