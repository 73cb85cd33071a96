//! Some steps of a forward pass in place of all.
//!
//! Its micro-batches are drawn alike, and so are the layers of one. A *unit* is what is drawn at random: a whole
//! micro-batch, or a layer of one. The first unit is always among those simulated, with what happens once in a run, and
//! where layers are units the last one too, which has the output behind it.

/// Steps that are simulated in place of all, in the order in which they come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SampledSteps {
    /// Micro-batch and round on each stage.
    pub steps: Vec<[u32; 2]>,
    /// Steps of a unit.
    pub in_unit: u32,
    /// Units of the whole run.
    pub units: u32,
    /// Rounds of a micro-batch on each stage.
    pub rounds: u32,
    /// How many units at the end stand for themselves, as the first does.
    pub at_end: u32,
}

impl SampledSteps {
    /// Whole micro-batches of these numbers, the first among them in front, of so many with so many rounds each.
    #[must_use]
    pub fn of_micro_batches(numbers: &[u32], [micro_batches, rounds]: [u32; 2]) -> Self {
        let steps = numbers.iter().flat_map(|&at| (0..rounds).map(move |round| [at, round]));
        Self { steps: steps.collect(), in_unit: rounds, units: micro_batches, rounds, at_end: 0 }
    }

    /// Rounds of micro-batches of these numbers, counted through all micro-batches; the first in front and the last
    /// behind.
    #[must_use]
    pub fn of_rounds(numbers: &[u32], [micro_batches, rounds]: [u32; 2]) -> Self {
        let steps = numbers.iter().map(|at| [at / rounds, at % rounds]).collect();
        Self { steps, in_unit: 1, units: micro_batches * rounds, rounds, at_end: 1 }
    }

    /// Units that are simulated.
    #[must_use]
    pub fn simulated(&self) -> u32 {
        self.steps.len() as u32 / self.in_unit
    }
}
