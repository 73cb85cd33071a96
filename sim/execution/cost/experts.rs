//! FFN experts of one GPU: equations (3) and (4) of the parent, what is done beside the products, and the same backward.
//!
//! With `m` rows in all at `A` experts that have any, hidden size `D`, inner size `I`, `G` = 2 products into an activation (1 where networks
//! are not gated) and `b` bytes of a number in products, grouped experts have beside their products, by what these do
//! before they write (`kernels.epilogue`):
//!
//! ```text
//! plain        activation m·I·(2·G + b) read and written (within (3)); biases by kernels of their own (`biases`),
//!              and what clamps before an activation (`clamp`)                                                        (1)
//! biases       the same, biases in the products and clamping in the activation for nothing
//! activation   biases, activation and quantising its result in the products for nothing                              (2)
//! in fp8       rows read in 16 bits, quantised, and in training their transposed copies written (`dense`, (7));
//!              of the activation a transposed copy alone                                                             (3)
//! backward     the forward time of the same rows, m·I·4 bytes more for the activation's gradient, quantising of
//!              2·m·I numbers in fp8; what is computed again once more; nothing of these with (2)                     (4)
//! sorted       2·m·D bytes more where rows came in 16 bits and products take 8: (3) sorts rows of 8                 (5)
//! padded       8·m·D bytes in two kernels, into multiples and back, where the stack pads rows (`kernels.pad_rows`);
//!              all beside (5), biases and these then has the rows of the multiples                                  (6)
//! ```
//!
//! (5) and (6) are of both passes; (6) is TransformerEngine's `Fp8Padding` and `Fp8Unpadding` [transformerengine], between which products, activation,
//! quantising and weight gradients have the multiples' rows. In (2) the rows of cuDNN's fused kernels are read and written by the products themselves [fusedmoe]; what they write
//! beside their result is taken to hide under their operations.

use std::borrow::Cow;

mod backward;
mod biases;
mod clamp;

pub use backward::WeightGradients;

use super::{Launches, LayerCost, PLAIN, dense};
use crate::base::units::{Bytes, SimDuration};
use crate::execution::blame::{Op, Reason};
use crate::kernels::ExpertsTime;
use crate::workload::{Dtype, Epilogue, Phase, Workload};

impl LayerCost<'_> {
    /// FFN experts of one GPU, eq. (3) or (4) of the parent, appended to `ops`. `rows[e]` are expert e's.
    pub fn ffn(&mut self, rows: &[u32], ops: &mut Vec<Op>) {
        let Some(mut time) = self.grouped_ffn(rows) else { return self.sequential_ffn(rows, ops) };
        if rows.iter().all(|&m| m == 0) {
            return;
        }
        time.moved += self.biases(rows) + self.clamped(sum(&self.computed(rows)));
        ops.push(Op { reason: Reason::FfnGemm, time: time.products });
        if time.moved > SimDuration::ZERO {
            ops.push(Op { reason: Reason::FfnMemory, time: time.moved });
        }
    }

    /// What grouped experts take but for their biases and clamps; none where experts run one after another.
    fn grouped_ffn(&self, rows: &[u32]) -> Option<ExpertsTime> {
        let grouped = self.grouped.as_ref()?;
        let slots = sum(rows);
        if slots == 0 {
            return Some(ExpertsTime::default());
        }
        let computed = self.computed(rows);
        let mut time = grouped(&computed);
        if self.grouped_share != 1.0 {
            time = time.scaled(self.grouped_share);
        }
        if self.activates_within() {
            time.moved = time.moved.saturating_sub(self.activation(sum(&computed)));
        }
        if self.quantises {
            time.moved += self.quantising(sum(&computed));
        }
        time.moved += self.sorted_in_16_bits(slots) + self.padded(rows);
        Some(time)
    }

    /// (5): a kernel that reads rows in 8 bits has them sorted so; those that came in 16 are sorted before.
    fn sorted_in_16_bits(&self, slots: u64) -> SimDuration {
        let Workload { model, batch, .. } = self.workload;
        let sorts = self.workload.experts_per_gpu() > 1;
        if !self.quantises || !sorts || batch.dispatch_dtype == Dtype::Fp8 {
            return SimDuration::ZERO;
        }
        self.kernels.memory_bound(Bytes(2 * slots * u64::from(model.hidden)), 0)
    }

    /// The kernels of (6), where any expert has a number of rows that is no such multiple.
    fn padded(&self, rows: &[u32]) -> SimDuration {
        if self.padded_to(rows).is_none() {
            return SimDuration::ZERO;
        }
        self.kernels.memory_bound(Bytes(8 * sum(rows) * u64::from(self.workload.model.hidden)), 2)
    }

    /// The multiple of (6), where not all experts have one.
    fn padded_to(&self, rows: &[u32]) -> Option<u32> {
        let of = self.workload.stack.pad_rows.filter(|_| self.grouped.is_some())?;
        (!rows.iter().all(|m| m.is_multiple_of(of))).then_some(of)
    }

    /// The rows of each expert that products compute: padded ones among them, (6).
    fn computed<'r>(&self, rows: &'r [u32]) -> Cow<'r, [u32]> {
        match self.padded_to(rows) {
            Some(of) => rows.iter().map(|m| m.next_multiple_of(of)).collect(),
            None => Cow::Borrowed(rows),
        }
    }

    /// Whether products apply the activation, (2).
    fn activates_within(&self) -> bool {
        self.grouped.is_some() && self.workload.stack.epilogue == Epilogue::Activation
    }

    /// The activation of (1).
    fn activation(&self, slots: u64) -> SimDuration {
        let Workload { model, batch, .. } = self.workload;
        let read = 2 * (u64::from(model.matrices()) - 1);
        let inner = u64::from(self.workload.expert_columns());
        self.memory(Bytes(slots * inner * (read + batch.dtype.bytes())))
    }

    /// (3), unless the dispatch has quantised the rows.
    fn quantising(&self, slots: u64) -> SimDuration {
        let Workload { model, batch, stack, .. } = self.workload;
        let rows = match batch.dispatch_dtype {
            Dtype::Fp8 => SimDuration::ZERO,
            Dtype::Bf16 => {
                dense::quantising(self.workload, self.kernels, slots * u64::from(model.hidden))
            }
        };
        let apart = stack.phase == Some(Phase::Training) && !self.activates_within();
        let copies = if apart { slots * u64::from(self.workload.expert_columns()) } else { 0 };
        rows + self.memory(Bytes(copies))
    }

    /// Quantising the weights of the experts of one GPU, both ways round, as the first micro-batch of a training
    /// step does [transformerengine].
    #[must_use]
    pub fn quantised_weights(&self) -> Option<Op> {
        let trains = self.workload.stack.phase == Some(Phase::Training);
        let params = self.workload.expert_bytes_per_gpu().0 / self.workload.batch.dtype.bytes();
        let all = params * u64::from(self.workload.experts_per_gpu());
        let time = || dense::quantising(self.workload, self.kernels, all);
        (trains && self.quantises).then(|| Op { reason: Reason::FfnMemory, time: time() })
    }

    /// Input gradients of the FFN experts of one GPU, (4), and apart their weight gradients (`backward`).
    pub fn ffn_backward(&mut self, rows: &[u32], inputs: &mut Vec<Op>, weights: &mut Vec<Op>) {
        let mut time = match self.grouped_ffn(rows) {
            Some(time) => time.products + time.moved,
            None => {
                let mut forward = Vec::new();
                self.sequential_ffn(rows, &mut forward);
                forward.iter().map(|op| op.time).sum()
            }
        };
        let computed = self.computed(rows);
        time += self.activation_backward(sum(&computed)) + self.biases_backward(rows);
        time += self.clamped_backward(sum(&computed));
        if self.quantises {
            time += self.turned(sum(&computed));
        }
        time += self.launches(Launches { layers: 0, visits: rows.len() as u64 }, time).time;
        inputs.push(Op { reason: Reason::FfnBackward, time });
        if let Some(gradients) = &self.weight_gradients {
            let time = gradients.time(&computed);
            weights.push(Op { reason: Reason::FfnWeightGradients, time });
        }
    }

    /// The activation's gradient and its quantising; where it is computed again, both halves are read and their product
    /// written.
    fn activation_backward(&self, slots: u64) -> SimDuration {
        if self.activates_within() {
            return SimDuration::ZERO;
        }
        let inter = u64::from(self.workload.expert_columns());
        let recomputed = dense::again(self.workload) * (4 + self.workload.batch.dtype.bytes());
        let time = self.memory(Bytes((4 + recomputed) * slots * inter));
        let quantised = if self.quantises { 2 * slots * inter } else { 0 };
        time + dense::quantising(self.workload, self.kernels, quantised)
    }

    fn sequential_ffn(&mut self, rows: &[u32], ops: &mut Vec<Op>) {
        let (hidden, inter) = (self.workload.model.hidden, self.workload.expert_columns());
        let moves = u64::from(self.workload.model.activation_moves());
        let elements = 7 * u64::from(hidden) + moves * u64::from(inter);
        let slots = sum(rows);
        let products = rows.iter().map(|&m| self.products_of(m)).sum();
        ops.push(Op { reason: Reason::FfnGemm, time: products });
        ops.push(Op {
            reason: Reason::FfnMemory,
            time: self.loop_traffic(slots * elements, self.overheads.traffic_factor),
        });
        let indexed = Bytes(self.overheads.slot_traffic.0.saturating_mul(slots));
        let time = self.kernels.memory_bound(indexed, 0);
        ops.push(Op { reason: Reason::FfnIndexing, time });
    }

    /// The products of one expert over `m` rows, remembered: rows repeat all the time.
    fn products_of(&mut self, m: u32) -> SimDuration {
        let at = m as usize;
        if at >= self.products.len() {
            self.products.resize(at + 1, None);
        }
        if let Some(time) = self.products[at] {
            return time;
        }
        let time = if m == 0 {
            SimDuration::ZERO
        } else {
            let up =
                if self.workload.model.gated { (self.up)(m.into()) } else { SimDuration::ZERO };
            (self.activated)(m.into()) + up + (self.down)(m.into())
        };
        self.products[at] = Some(time);
        time
    }

    /// Memory traffic of the loop over experts: `factor` times `elements`, launches not counted.
    fn loop_traffic(&self, elements: u64, factor: f64) -> SimDuration {
        let bytes = elements as f64 * PLAIN.bytes() as f64;
        self.kernels.memory_bound(Bytes((bytes * factor).round() as u64), 0)
    }
}

/// All rows.
fn sum(rows: &[u32]) -> u64 {
    rows.iter().map(|&m| u64::from(m)).sum()
}
