//! Pending events and the clock.
//!
//! Events leave in order of time; ties leave first scheduled, first served, so a run is a function
//! of its inputs alone and never of a heap's layout. A handler is given a [`Schedule`], which can
//! read the clock and add to the future; only [`Calendar::next`] moves time.
//!
//! Time never runs backwards, which a radix heap [ahuja90] turns into speed: an event stands in the
//! bucket of the highest bit in which its time differs from now. Only when a bucket's turn comes are
//! its events spread over lower buckets, so each moves at most 64 times however many are pending.
//! Events of one instant always share a bucket and every move keeps their order, which is why ties
//! need no sequence numbers.
//!
//! Here stands what several GPUs share; the work of one GPU between two synchronisations never
//! comes here (see `blame::run_to_barrier`).

use std::collections::VecDeque;

use crate::base::units::{SimDuration, SimTime};

/// Events still to happen, soonest first; equals in the order they were scheduled.
#[derive(Debug)]
pub struct Calendar<E> {
    now: SimTime,
    /// Events of this instant.
    due: VecDeque<E>,
    /// `later[b]`: events whose time first differs from now in bit `b`.
    later: [Vec<(SimTime, E)>; 64],
    /// Bit `b` is set if `later[b]` is not empty.
    occupied: u64,
    pending: usize,
}

impl<E> Default for Calendar<E> {
    fn default() -> Self {
        Self {
            now: SimTime::ZERO,
            due: VecDeque::new(),
            later: std::array::from_fn(|_| Vec::new()),
            occupied: 0,
            pending: 0,
        }
    }
}

impl<E> Calendar<E> {
    /// An empty calendar at time zero.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The time of the event that was last taken out.
    #[must_use]
    pub const fn now(&self) -> SimTime {
        self.now
    }

    /// How many events are pending.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.pending
    }

    /// Whether nothing is pending.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.pending == 0
    }

    /// Moves the clock to the next event and takes it out.
    #[expect(clippy::should_implement_trait, reason = "a calendar is no iterator: it is added to")]
    pub fn next(&mut self) -> Option<E> {
        if self.due.is_empty() {
            self.advance();
        }
        let event = self.due.pop_front()?;
        self.pending -= 1;
        Some(event)
    }

    /// What a handler may hold: the clock, and the way to add to the future.
    pub const fn schedule(&mut self) -> Schedule<'_, E> {
        Schedule { calendar: self }
    }

    /// Moves the clock to the earliest pending instant and spreads its bucket from there.
    fn advance(&mut self) {
        if self.occupied == 0 {
            return;
        }
        let lowest = self.occupied.trailing_zeros() as usize;
        let mut bucket = std::mem::take(&mut self.later[lowest]);
        self.occupied &= !(1 << lowest);
        self.now = bucket.iter().map(|(at, _)| *at).min().unwrap_or(self.now);
        for (at, event) in bucket.drain(..) {
            self.file(at, event);
        }
        // Nothing of a bucket comes back to it: its bit now agrees with the clock's. Keep its memory.
        self.later[lowest] = bucket;
    }

    fn file(&mut self, at: SimTime, event: E) {
        let differs = at.ps() ^ self.now.ps();
        if differs == 0 {
            self.due.push_back(event);
        } else {
            let bit = 63 - differs.leading_zeros();
            self.later[bit as usize].push((at, event));
            self.occupied |= 1 << bit;
        }
    }
}

/// What a handler may do to the future: read the clock and add to it.
///
/// A handler never holds the [`Calendar`] itself, so it cannot advance time.
#[derive(Debug)]
pub struct Schedule<'a, E> {
    calendar: &'a mut Calendar<E>,
}

impl<E> Schedule<'_, E> {
    /// The time of the event being handled.
    #[must_use]
    pub const fn now(&self) -> SimTime {
        self.calendar.now
    }

    /// Adds an event at an instant that is not in the past.
    ///
    /// # Panics
    /// If `at` lies before now: a handler tried to change the past.
    pub fn at(&mut self, at: SimTime, event: E) {
        let now = self.calendar.now;
        assert!(at >= now, "an event for {at}, but it is {now} already");
        self.calendar.pending += 1;
        self.calendar.file(at, event);
    }

    /// Adds an event `delay` from now.
    pub fn after(&mut self, delay: SimDuration, event: E) {
        self.at(self.now() + delay, event);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equals_are_served_in_the_order_they_were_scheduled() {
        let mut calendar = Calendar::new();
        for event in 0..1000 {
            calendar.schedule().at(SimTime::from_ps(7 * u64::from(event % 2 == 0)), event);
        }
        let served: Vec<i32> = std::iter::from_fn(|| calendar.next()).collect();
        let odd_then_even: Vec<i32> =
            (0..1000).filter(|e| e % 2 == 1).chain((0..1000).step_by(2)).collect();
        assert_eq!(served, odd_then_even);
    }

    /// The slow twin: a binary heap on (time, sequence number).
    #[test]
    fn it_serves_as_a_heap_with_sequence_numbers_does() {
        use std::cmp::Reverse;
        use std::collections::BinaryHeap;
        let (mut calendar, mut heap) = (Calendar::new(), BinaryHeap::new());
        let mut state = 88_172_645_463_325_252_u64;
        for event in 0..200_000_u64 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            // Bursts of adding and of taking; delays from none to 2⁴⁰, many of them equal.
            let delay = SimDuration::from_ps((state >> 8) & ((1 << (state % 41)) - 1));
            if state >> 62 < 2 + u64::from(event % 1000 < 500) {
                heap.push(Reverse((calendar.now() + delay, event)));
                calendar.schedule().after(delay, event);
            } else {
                let expected = heap.pop().map(|Reverse((at, event))| (at, event));
                let served = calendar.next().map(|event| (calendar.now(), event));
                assert_eq!(served, expected);
            }
            assert_eq!(calendar.len(), heap.len());
        }
    }

    #[test]
    #[should_panic(expected = "it is 5 ps already")]
    fn the_past_cannot_be_changed() {
        let mut calendar = Calendar::new();
        calendar.schedule().at(SimTime::from_ps(5), ());
        calendar.next();
        calendar.schedule().at(SimTime::from_ps(4), ());
    }
}
