//! Dense parts, step by step: one by itself, or two side by side.

use super::Engine;
use super::few::FillFew;
use crate::network::fluid::engines::dense::Dense;
use crate::network::fluid::engines::quantised::step_share;
use crate::network::fluid::parts::Part;

/// A dense part on its way through its steps.
pub(in crate::network::fluid) struct Steps<'a> {
    engine: Engine<'a>,
    epsilon: f64,
    /// When each flow ended.
    finish_s: &'a mut [f64],
    /// How often rates were computed.
    pub fillings: u64,
    /// Whether they are to be computed again before the next step.
    changed: bool,
    now: f64,
    span: f64,
}

/// Solves dense parts to a relative error of about ε, side by side: what few ports wait for is waited for
/// together. A result does not depend on what it was solved with.
pub(in crate::network::fluid) fn solve_dense_in_steps(parts: &mut [Steps]) {
    while parts.iter().any(Steps::is_running) {
        let together = parts.iter().all(|part| part.wants_filling() && part.is_small());
        if together && let [a, b] = parts {
            let arch = a.engine.arch;
            arch.dispatch(FillFew([a.engine.filled(), b.engine.filled()]));
            (a.fillings, b.fillings) = (a.fillings + 1, b.fillings + 1);
        } else {
            for part in parts.iter_mut().filter(|part| part.wants_filling()) {
                part.engine.fill();
                part.fillings += 1;
            }
        }
        parts.iter_mut().filter(|part| part.is_running()).for_each(Steps::step);
    }
}

impl<'a> Steps<'a> {
    pub fn of(part: &Part, dense: &'a Dense, epsilon: f64, finish_s: &'a mut [f64]) -> Self {
        let engine = Engine::new(part, dense, epsilon);
        Self { engine, epsilon, finish_s, fillings: 0, changed: true, now: 0.0, span: 0.0 }
    }

    const fn is_running(&self) -> bool {
        self.engine.running > 0
    }

    const fn wants_filling(&self) -> bool {
        self.is_running() && self.changed
    }

    fn is_small(&self) -> bool {
        self.engine.is_small()
    }

    fn step(&mut self) {
        let engine = &mut self.engine;
        if self.now == 0.0 {
            self.span = engine.until_next_end();
        }
        self.changed = engine.give_back(self.span as f32);
        let ended = engine.advance(self.now, self.span as f32, self.finish_s);
        self.changed |= ended;
        self.now += self.span;
        self.span = step_share(self.epsilon) * self.now;
        if !ended && engine.running > 0 {
            // Nothing ends sooner than at these levels, so a step need not be shorter.
            self.span = self.span.max(engine.until_next_end());
        }
        if engine.died * 16 > engine.left.cells.len() {
            engine.squeeze();
            self.changed = true;
        }
    }
}
