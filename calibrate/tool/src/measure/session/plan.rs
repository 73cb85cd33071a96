//! What a session has left to ask, and what of it comes next.
//!
//! Points are asked in rounds (see [`crate::measure::probes::grid`]): the coarse grid of every probe
//! before anything finer. The time left is shared out among all points left, by the weights of their
//! probes, but no point gets less than [`LEAST_POINT`]: where time is short the last rounds go
//! unasked, not the answers bad.

use std::time::Duration;

use rand::SeedableRng as _;
use rand::seq::SliceRandom as _;
use rand_chacha::ChaCha8Rng;

use super::super::backend::DeviceError;
use super::super::probe::{Point, Probe};
use super::super::probes::grid::COARSE;
use super::super::samples::Sample;

/// The shortest time that a point is given.
pub(super) const LEAST_POINT: Duration = Duration::from_millis(60);

/// What became of a point.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Not asked, or not in time.
    Left,
    /// A session before this one asked it.
    Found,
    /// Asked and answered.
    Measured,
    /// Its kernel was wrong.
    Refused,
    /// The device could not do it.
    Unable(DeviceError),
}

/// A probe, its points, and what became of them.
pub(super) struct Asked<'p> {
    pub(super) probe: &'p dyn Probe,
    pub(super) points: Vec<Point>,
    rounds: Vec<u32>,
    pub(super) states: Vec<State>,
    pub(super) samples: Vec<Sample>,
    /// Samples that no file has yet.
    pub(super) unsaved: usize,
    /// How long a point takes before it is timed, as far as those before it tell.
    setup: Duration,
}

impl<'p> Asked<'p> {
    /// A probe of which these samples are there already.
    pub(super) fn new(probe: &'p dyn Probe, samples: Vec<Sample>) -> Self {
        let points = probe.points();
        let mut states = vec![State::Left; points.len()];
        for sample in &samples {
            let point = Point { slots: Vec::new(), ..sample.point.clone() };
            // Points may be alike, as windows of time are: each sample stands for one of them.
            let at = (0..points.len()).find(|&i| points[i] == point && states[i] == State::Left);
            if let Some(at) = at {
                states[at] = State::Found;
            }
        }
        let rounds = probe.rounds();
        Self { probe, points, rounds, states, samples, unsaved: 0, setup: Duration::ZERO }
    }

    /// Weight of one point.
    fn weight(&self) -> f64 {
        self.probe.weight() / self.points.len().max(1) as f64
    }

    fn left(&self) -> usize {
        self.states.iter().filter(|state| **state == State::Left).count()
    }

    /// The last round of which every point was asked; none if a point of round 0 was not.
    pub(super) fn complete_to(&self) -> Option<u32> {
        let left = self.rounds.iter().zip(&self.states).filter(|(_, state)| **state == State::Left);
        match left.map(|(round, _)| *round).min() {
            Some(round) => round.checked_sub(1),
            None => Some(u32::MAX),
        }
    }

    /// Remembers how long a point took before it was timed: the longest, half forgotten at each.
    pub(super) fn took_to_set_up(&mut self, time: Duration) {
        self.setup = time.max(self.setup / 2);
    }
}

/// All probes of a session.
pub(super) struct Plan<'p> {
    pub(super) asked: Vec<Asked<'p>>,
    seed: u64,
}

impl<'p> Plan<'p> {
    pub(super) const fn new(asked: Vec<Asked<'p>>, seed: u64) -> Self {
        Self { asked, seed }
    }

    /// Rounds and probes in the order in which they are asked.
    pub(super) fn turns(&self) -> Vec<(u32, usize)> {
        let rounds = self.asked.iter().flat_map(|a| &a.rounds).max().map_or(0, |last| last + 1);
        let probes = self.asked.len();
        (0..rounds).flat_map(|round| (0..probes).map(move |probe| (round, probe))).collect()
    }

    /// Points of a probe that are left in a round, in an order drawn from the seed, so that drift of
    /// the clock does not look like an effect of size.
    pub(super) fn of_round(&self, probe: usize, round: u32) -> Vec<usize> {
        let asked = &self.asked[probe];
        let name = moesim::base::hashes::fnv1a(asked.probe.name().as_bytes());
        let mut order = ChaCha8Rng::seed_from_u64(self.seed ^ name ^ u64::from(round));
        let is_left = |&at: &usize| asked.rounds[at] == round && asked.states[at] == State::Left;
        let mut found: Vec<usize> = (0..asked.points.len()).filter(is_left).collect();
        found.shuffle(&mut order);
        found
    }

    /// The time for the next point of a probe when `remaining` is left for all; none if there is too
    /// little for what its points have taken so far.
    pub(super) fn slice(&self, probe: usize, remaining: Duration) -> Option<Duration> {
        let asked = &self.asked[probe];
        if remaining <= asked.setup {
            return None;
        }
        let all: f64 = self.asked.iter().map(|a| a.weight() * a.left() as f64).sum();
        let share = remaining.mul_f64((asked.weight() / all).clamp(0.0, 1.0));
        Some(share.max(LEAST_POINT).min(remaining))
    }

    /// Share of the plan's weight that is done.
    pub(super) fn done(&self) -> f64 {
        let all: f64 = self.asked.iter().map(|a| a.probe.weight()).sum();
        let left: f64 = self.asked.iter().map(|a| a.weight() * a.left() as f64).sum();
        if all > 0.0 { 1.0 - left / all } else { 1.0 }
    }

    /// Probes whose coarse grid is not complete.
    pub(super) fn without_coarse(&self) -> Vec<String> {
        let coarse = |a: &&Asked<'_>| a.complete_to().is_none_or(|round| round < COARSE);
        self.asked.iter().filter(coarse).map(|a| a.probe.name()).collect()
    }

    /// The largest error against a twin.
    pub(super) fn worst_error(&self) -> f64 {
        self.asked.iter().flat_map(|a| &a.samples).map(|s| s.error).fold(0.0, f64::max)
    }

    /// Points that the device could not do.
    pub(super) fn unable(&self) -> usize {
        let states = self.asked.iter().flat_map(|a| &a.states);
        states.filter(|state| matches!(state, State::Unable(_))).count()
    }

    pub(super) fn count(&self, state: &State) -> usize {
        self.asked.iter().flat_map(|a| &a.states).filter(|s| *s == state).count()
    }
}
