//! When flows start. Those of an exchange do so at a few instants, after the latency of their routes: a byte says which,
//! where eight would wait for memory.

/// So many instants are told apart; with more, every flow has its own.
const FEW: usize = 16;

#[derive(Clone, Debug, Default)]
pub(super) struct Starts {
    few: Vec<f64>,
    /// Which of the few each flow starts at; empty while every flow has its own.
    which: Vec<u8>,
    each: Vec<f64>,
}

impl Starts {
    pub fn reserve(&mut self, flows: usize) {
        self.which.reserve_exact(flows);
    }

    /// Adds the start of one more flow, in seconds.
    #[inline]
    pub fn push(&mut self, start_s: f64) {
        if self.each.is_empty() {
            let same = |known: &f64| known.to_bits() == start_s.to_bits();
            match self.few.iter().position(same) {
                Some(known) => return self.which.push(known as u8),
                None if self.few.len() < FEW => {
                    self.few.push(start_s);
                    return self.which.push(self.few.len() as u8 - 1);
                }
                None => self.give_each_its_own(),
            }
        }
        self.each.push(start_s);
    }

    #[cold]
    fn give_each_its_own(&mut self) {
        let which = std::mem::take(&mut self.which);
        self.each.reserve_exact(which.capacity().max(which.len() + 1));
        self.each.extend(which.iter().map(|&known| self.few[known as usize]));
    }

    #[inline]
    pub fn of(&self, flow: usize) -> f64 {
        match self.which.get(flow) {
            Some(&known) => self.few[known as usize],
            None => self.each[flow],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_and_many_instants_come_back_as_they_were_added() {
        for instants in [1, 2, FEW, FEW + 1, 1000] {
            let start_of = |flow: usize| (flow * 7 % instants) as f64 * 1e-6;
            let mut starts = Starts::default();
            starts.reserve(500);
            (0..1000).for_each(|flow| starts.push(start_of(flow)));
            assert_eq!(starts.each.is_empty(), instants <= FEW, "{instants} instants");
            assert!((0..1000).all(|flow| starts.of(flow) == start_of(flow)), "{instants} instants");
        }
    }
}
