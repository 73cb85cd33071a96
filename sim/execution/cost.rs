//! Shape and profile → time for each part of an MoE layer: pure functions.
//!
//! With `T` tokens per GPU, hidden size `D`, intermediate size `H`, `b` bytes a number and `m_e` slots
//! for expert `e`, times are sums over kernels that a [`KernelTimes`] knows:
//!
//! ```text
//! gate        gemm(T, N, D) [two-layer: gemm(T, 8N, D) + gemm(T, N, 8N)]  + softmax and top-K   (1)
//!             + gemm(T, N, N) from the second layer on, with the gating residual [moepp, eq. 6]
//!             autonomy of experts: gemm(T, N·r, D) and the norms of N·r numbers instead [aoe]
//! permute     2·b_d·D bytes for each slot that leaves the token order                           (2)
//! FFN, grouped      experts(m_1 … m_n)                                                          (3)
//! FFN, sequential   Σ_e  2·gemm(m_e, H, D) + gemm(m_e, D, H)  +  (κ·b·(7D + 5H) + s)·m_e / BW  (4)
//! copy              b·7D bytes, sequential;   b·3D bytes, grouped                               (5)
//! constant          b·12D bytes, sequential;  b·4D bytes, grouped [moepp, eq. 5]                (6)
//! zero              nothing but its visit
//! mix         b_c·D bytes read for each slot, 2·D written for each token                        (7)
//! ```
//!
//! b_d and b_c are bytes of a number in a dispatch and a combine; tokens between kernels have 16 bits a number whatever
//! products compute in, so b = 2 in (4) to (6).
//!
//! The element counts of (4)–(6) are those of the loop over experts in MoE++'s public code, run op
//! by op: gather (read and write D), `silu` (2H), product (3H), scale by the mixing weight (2D), add
//! into the output (3D); the constant expert adds its 2×D product, softmax and two scaled terms (5D).
//! κ and `s`, and what the host adds (`overheads`), are the [`Overheads`] of such a loop: what it spends beyond touching
//! each of these once. They are fitted (see the overheads file); κ = 1 and no other cost is the ideal. κ and `s`
//! stand for what is unfused or unknown within an FFN expert, and so apply to (4) alone. A visit is
//! paid for each FFN expert and once for each *kind* of zero-computation expert: experts of a kind
//! differ in one vector at most and run as one batch. (The published rows cannot tell this from a
//! visit to each: all have one zero, one copy and two constant experts. With a visit to each, eight
//! such experts would eat up the gain of the 2B model, against the paper's "1.1 to 2.1 times".)
//!
//! Where experts choose for themselves (autonomy), their first factor was applied before, so of one
//! of the three D×H matrices only r×H is left: (4) has gemm(m_e, H, r) for one gemm(m_e, H, D), and (3)
//! is taken at (2D + r)/3D of its time. Shared experts and attention are in `dense`.
//!
//! Left out: contention of hidden work with the exchange that hides it, clock changes under load.

use crate::base::units::{Bytes, SimDuration};
use crate::execution::blame::{Op, Reason};
use crate::kernels::experts::ExpertsShape;
use crate::kernels::profile::{CollectiveOp, MemoryKernel, Moved, Precision};
use crate::kernels::{Basis, ExpertsAsk, ExpertsTime};
use crate::workload::{Dtype, Execution, Workload};

mod attention;
mod collectives;
mod dense;
mod experts;
mod gate;
mod links;
mod measured;
mod operations;
mod overheads;
mod roofline;
mod routing;
mod uncertainty;

/// What tokens are in between kernels, whatever the format of products.
const PLAIN: Dtype = Dtype::Bf16;

pub use attention::Scores;
pub use collectives::{CollectiveTimes, Group};
pub use dense::{
    Gradient, dense_backward, dense_op, output_backward, output_op, shared_backward, shared_op,
    shortcut_backward, shortcut_op,
};
pub use experts::WeightGradients;
pub(crate) use gate::gate;
use gate::{quantises_apart, share_after_gate};
pub use links::drawn;
pub use operations::{Operations, operations, operations_per_token};
pub use overheads::{Launches, Overheads};
pub use roofline::Roofline;
pub use uncertainty::{Factors, PerturbedKernels, Uncertainty};

/// Time of one kernel of fixed shape, by its rows.
pub type RowTimes<'a> = Box<dyn Fn(u64) -> SimDuration + 'a>;

/// Time of the experts of one GPU, by the slots of each.
pub type SlotTimes<'a> = Box<dyn Fn(&[u32]) -> ExpertsTime + 'a>;

/// What a GPU takes for each kind of kernel. Implemented by fitted profiles and by data sheets.
///
/// Shapes are fixed first, as reading a profile for a new shape is work; the functions handed out
/// are cheap. More rows never take less time.
pub trait KernelTimes: Sync {
    /// A dense product of an m×k and a k×n matrix, by m.
    fn gemm(&self, n: u32, k: u32, dtype: Dtype) -> RowTimes<'_>;

    /// The SwiGLU experts of one GPU at once, activation and permute within the GPU included, by the
    /// slots of each expert.
    fn experts(&self, ask: &ExpertsAsk<'_>) -> SlotTimes<'_>;

    /// Attention over scores that stay on chip.
    fn attention(&self, scores: Scores) -> SimDuration {
        attention::attended(self, scores)
    }

    /// A product of m×k and k×n within attention over what was seen before. The units of 8 bits are no slower than those of
    /// 16, but tables of block-wise products are where sizes are short: the shorter of both.
    fn attention_product(&self, (m, n, k): (u64, u32, u32), dtype: Dtype) -> SimDuration {
        let plain = self.gemm(n, k, PLAIN)(m);
        if dtype == PLAIN { plain } else { plain.min(self.gemm(n, k, dtype)(m)) }
    }

    /// Kernels that only move `bytes` through device memory, launched `launches` times.
    fn memory_bound(&self, bytes: Bytes, launches: u32) -> SimDuration;

    /// Kernels of a layer that mostly move memory, in turn. Where a device was not measured at each, bytes and launches
    /// of all say what they take.
    fn moved(&self, parts: &[Moved]) -> SimDuration {
        let bytes = parts.iter().map(|part| part.bytes.0).sum();
        let launches = parts.iter().map(|part| part.kernel.launches()).max().unwrap_or(0);
        if bytes == 0 { SimDuration::ZERO } else { self.memory_bound(Bytes(bytes), launches) }
    }

    /// A collective among this many GPUs of one node, where it was measured; `bytes` as nccl-tests counts. What it
    /// takes however few bytes, and what it takes in proportion to them, on the links it was measured on.
    fn collective(&self, op: CollectiveOp, gpus: u32, bytes: Bytes) -> Option<[SimDuration; 2]>;

    /// What the time of this many rows of a dense product of this (n, k) stands on.
    fn gemm_basis(&self, shape: (u32, u32), dtype: Dtype, rows: u64) -> Basis;

    /// What the time of the experts stands on.
    fn experts_basis(&self, ask: &ExpertsAsk<'_>) -> Basis;

    /// What kernels that only move memory stand on.
    fn memory_basis(&self) -> Basis;
}

/// What a workload asks of the experts' kernel.
#[must_use]
pub fn experts_ask(workload: &Workload) -> ExpertsAsk<'_> {
    let Workload { model, batch, .. } = workload;
    let (hidden, inter) = (model.hidden, workload.expert_columns());
    let (experts, top_k) = (workload.experts_per_gpu(), workload.slots_per_round());
    ExpertsAsk {
        shape: ExpertsShape { hidden, inter, experts, top_k, gated: model.gated },
        formats: Precision::of_dtype(batch.dtype),
        kernel: &workload.stack.experts,
        phase: workload.phase(),
        slots: u64::from(batch.tokens_per_gpu / workload.stack.overlap.parts())
            * u64::from(top_k * workload.layout.expert_tensor_parallel),
    }
}

/// Slots of zero-computation experts worked on by one GPU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ZeroComputationSlots {
    /// Slots of copy experts.
    pub copy: u64,
    /// Slots of constant experts.
    pub constant: u64,
    /// Kinds of zero-computation experts (zero, copy, constant) that the GPU holds any of.
    pub kinds_visited: u32,
}

/// Times of the parts of one layer of one workload on one kind of GPU.
pub struct LayerCost<'a> {
    kernels: &'a dyn KernelTimes,
    workload: &'a Workload,
    overheads: Overheads,
    /// The gate of the first MoE layer, and of those after it.
    first_gate: SimDuration,
    later_gate: SimDuration,
    /// D → H and H → D products of one expert; `activated` is the one that goes into its activation.
    activated: RowTimes<'a>,
    up: RowTimes<'a>,
    down: RowTimes<'a>,
    /// All experts at once, where they run so.
    grouped: Option<SlotTimes<'a>>,
    /// Share of the grouped kernel's time that is left to do after the gate.
    grouped_share: f64,
    /// Whether the grouped kernel takes rows that were quantised before (see `dense`, (7)).
    quantises: bool,
    /// Where there is a backward pass.
    weight_gradients: Option<WeightGradients>,
    /// Time of the matrix products of one expert, by its rows; filled as asked for.
    products: Vec<Option<SimDuration>>,
}

impl<'a> LayerCost<'a> {
    /// The costs of `workload` on GPUs that run kernels as `kernels` says.
    #[must_use]
    pub fn new(workload: &'a Workload, kernels: &'a dyn KernelTimes, overheads: Overheads) -> Self {
        let Workload { model, batch, .. } = workload;
        let (hidden, inter) = (model.hidden, workload.expert_columns());
        let left = workload.first_product_columns();
        let at_once = workload.execution == Execution::Grouped;
        Self {
            kernels,
            workload,
            overheads,
            first_gate: gate(workload, kernels, true),
            later_gate: gate(workload, kernels, false),
            activated: kernels.gemm(inter, left, batch.dtype),
            up: kernels.gemm(inter, hidden, batch.dtype),
            down: kernels.gemm(hidden, inter, batch.dtype),
            grouped: at_once.then(|| kernels.experts(&experts_ask(workload))),
            grouped_share: share_after_gate(model, left),
            quantises: at_once && quantises_apart(workload, kernels),
            weight_gradients: None,
            products: Vec::new(),
        }
    }

    /// The same with what a backward pass takes.
    #[must_use]
    pub fn with_backward(mut self) -> Self {
        self.weight_gradients = Some(WeightGradients::new(self.workload, self.kernels));
        self
    }

    /// Gate, eq. (1); `first` says whether this is the model's first MoE layer.
    #[must_use]
    pub const fn gate(&self, first: bool) -> Op {
        let time = if first { self.first_gate } else { self.later_gate };
        Op { reason: Reason::Gate, time }
    }

    /// Gate backward: input and weight gradients of its products, and its scores once more.
    #[must_use]
    pub fn gate_backward(&self, first: bool) -> Op {
        Op { reason: Reason::RoutingBackward, time: self.gate(first).time.times(2) }
    }

    /// Zero-computation experts backward: twice the forward traffic and visits.
    #[must_use]
    pub fn zero_computation_backward(&self, slots: ZeroComputationSlots) -> Op {
        let device = self.zero_computation(slots).time.times(2);
        let launches = Launches { layers: 0, visits: 2 * u64::from(slots.kinds_visited) };
        let time = device + self.launches(launches, device).time;
        Op { reason: Reason::LocalBackward, time }
    }

    /// Zero-computation experts of one GPU, eq. (5) and (6), but for their launches.
    #[must_use]
    pub fn zero_computation(&self, slots: ZeroComputationSlots) -> Op {
        let hidden = u64::from(self.workload.model.hidden);
        let moved = |kernel, elements: u64| Moved {
            kernel,
            width: self.workload.model.hidden,
            bytes: Bytes(elements * hidden * PLAIN.bytes()),
        };
        let time = self.kernels.moved(&match self.workload.execution {
            Execution::Sequential => [
                moved(MemoryKernel::LoopCopy, 7 * slots.copy),
                moved(MemoryKernel::LoopConstant, 12 * slots.constant),
            ],
            Execution::Grouped => [
                moved(MemoryKernel::Copy, 3 * slots.copy),
                moved(MemoryKernel::Constant, 4 * slots.constant),
            ],
        });
        Op { reason: Reason::ZeroComputation, time }
    }

    /// One memory-bound kernel, or nothing for nothing.
    fn memory(&self, bytes: Bytes) -> SimDuration {
        if bytes.0 == 0 { SimDuration::ZERO } else { self.kernels.memory_bound(bytes, 1) }
    }
}
