//! DualPipe [deepseekv3, §3.2.1], step by step as in DeepSeek's public implementation [dualpipe].
//!
//! Micro-batches enter at both ends, half of them at each; chunk 0 of a stage goes with those that enter at the
//! first stage. Stages of the second half see the two directions exchanged.

use std::collections::VecDeque;

use super::{Part, Pass};

pub(super) fn passes(stage: u32, stages: u32, micro_batches: u32) -> Vec<Pass> {
    let half = stages / 2;
    let rank = stage.min(stages - 1 - stage);
    let middle = stage == half || stage + 1 == half;
    let mut list = List::new(stage >= half);
    for _ in 0..2 * (half - rank - 1) {
        list.forward(0);
    }
    for _ in 0..=rank {
        list.forward(0);
        list.forward(1);
    }
    for _ in 0..half - rank - 1 {
        list.inputs(1);
        list.weights();
        list.forward(1);
    }
    for at in 0..micro_batches / 2 + rank + 1 - stages {
        if at == 0 && middle {
            list.forward(0);
            list.backward(1);
        } else {
            list.pair(0, 1);
        }
        list.pair(1, 0);
    }
    for _ in 0..half - rank - 1 {
        list.backward(1);
        list.pair(1, 0);
    }
    drain(&mut list, half, rank);
    list.passes
}

/// The last passes of a stage this far from the nearer end.
fn drain(list: &mut List, half: u32, rank: u32) {
    let steps = rank + 1;
    let mut apart = false;
    for at in 0..steps {
        apart |= at == steps / 2 && rank % 2 == 1;
        list.last(1, apart);
        apart |= at == steps / 2 && rank.is_multiple_of(2);
        list.last(0, apart);
    }
    for _ in 0..half - rank - 1 {
        list.weights();
        list.inputs(0);
    }
    for _ in 0..=rank {
        list.weights();
    }
}

/// Passes so far, and which micro-batch of each direction comes next.
struct List {
    passes: Vec<Pass>,
    turned: bool,
    forwards: [u32; 2],
    backwards: [u32; 2],
    weights: VecDeque<Part>,
}

impl List {
    fn new(turned: bool) -> Self {
        let weights = VecDeque::new();
        Self { passes: Vec::new(), turned, forwards: [0; 2], backwards: [0; 2], weights }
    }

    /// The next micro-batch of a direction, as the stage sees it.
    fn next(&mut self, direction: u32, forward: bool) -> Part {
        let chunk = direction ^ u32::from(self.turned);
        let counters = if forward { &mut self.forwards } else { &mut self.backwards };
        let at = &mut counters[chunk as usize];
        *at += 1;
        Part { micro_batch: 2 * (*at - 1) + chunk, chunk }
    }

    fn forward(&mut self, direction: u32) {
        let part = self.next(direction, true);
        self.passes.push(Pass::Forward(part));
    }

    fn backward(&mut self, direction: u32) {
        let part = self.next(direction, false);
        self.passes.push(Pass::Backward(part));
    }

    fn inputs(&mut self, direction: u32) {
        let part = self.next(direction, false);
        self.weights.push_back(part);
        self.passes.push(Pass::Inputs(part));
    }

    fn last(&mut self, direction: u32, apart: bool) {
        if apart { self.inputs(direction) } else { self.backward(direction) }
    }

    fn weights(&mut self) {
        self.passes.extend(self.weights.pop_front().map(Pass::Weights));
    }

    fn pair(&mut self, forward: u32, backward: u32) {
        let forward = self.next(forward, true);
        let backward = self.next(backward, false);
        self.passes.push(Pass::Pair { forward, backward });
    }
}
