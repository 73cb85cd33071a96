//! Pending events and the clock.
//!
//! Events leave in order of time; ties leave first scheduled, first served, so a run is a function
//! of its inputs alone and never of the heap's layout. A handler is given a [`Schedule`], which can
//! read the clock and add to the future; only [`Calendar::next`] moves time.
//!
//! A quaternary heap on `(time, seq)` holds what several GPUs share; the work of a single GPU
//! between two synchronisations never comes here (see `program`).

use std::cmp::Reverse;

use dary_heap::QuaternaryHeap;

use crate::units::{SimDuration, SimTime};

/// Events still to happen, soonest first; equals in the order they were scheduled.
#[derive(Debug)]
pub struct Calendar<E> {
    now: SimTime,
    next_seq: u64,
    heap: QuaternaryHeap<Reverse<Entry<E>>>,
}

#[derive(Debug)]
struct Entry<E> {
    at: SimTime,
    seq: u64,
    event: E,
}

impl<E> Entry<E> {
    const fn key(&self) -> (SimTime, u64) {
        (self.at, self.seq)
    }
}

impl<E> PartialEq for Entry<E> {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl<E> Eq for Entry<E> {}

impl<E> PartialOrd for Entry<E> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<E> Ord for Entry<E> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key().cmp(&other.key())
    }
}

impl<E> Default for Calendar<E> {
    fn default() -> Self {
        Self { now: SimTime::ZERO, next_seq: 0, heap: QuaternaryHeap::new() }
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
    pub fn len(&self) -> usize {
        self.heap.len()
    }

    /// Whether nothing is pending.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }

    /// Moves the clock to the next event and takes it out.
    #[expect(clippy::should_implement_trait, reason = "a calendar is no iterator: it is added to")]
    pub fn next(&mut self) -> Option<E> {
        let Reverse(Entry { at, event, .. }) = self.heap.pop()?;
        self.now = at;
        Some(event)
    }

    /// What a handler may hold: the clock, and the way to add to the future.
    pub const fn schedule(&mut self) -> Schedule<'_, E> {
        Schedule { calendar: self }
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
        let seq = self.calendar.next_seq;
        self.calendar.next_seq += 1;
        self.calendar.heap.push(Reverse(Entry { at, seq, event }));
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

    #[test]
    #[should_panic(expected = "it is 5 ps already")]
    fn the_past_cannot_be_changed() {
        let mut calendar = Calendar::new();
        calendar.schedule().at(SimTime::from_ps(5), ());
        calendar.next();
        calendar.schedule().at(SimTime::from_ps(4), ());
    }
}
