//! Where every picosecond of every GPU went: one reason each, summing to the makespan.
//!
//! A GPU's time is blamed on what it could not go on without. Work done under the cover of an
//! exchange therefore costs nothing here: it is the exchange that the GPU waits for, and only what
//! sticks out past the delivery is blamed on the work. How much was hidden is reported apart.

use crate::base::units::{SimDuration, SimTime};

/// Why a GPU's time passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Reason {
    /// Attention, norms, embedding and output: everything that is not the MoE layer.
    Dense,
    /// Scoring and choosing experts.
    Gate,
    /// Putting tokens in the order of their experts.
    Permute,
    /// Waiting for other GPUs to be ready to dispatch.
    DispatchWait,
    /// Tokens on their way to their experts.
    Dispatch,
    /// Matrix multiplications of FFN experts.
    FfnGemm,
    /// Memory-bound work of FFN experts: gathering, activation, scaling, adding.
    FfnMemory,
    /// Finding, sorting and indexing the slots of FFN experts, in a loop over experts.
    FfnIndexing,
    /// Experts that every token has on its own GPU, as far as no exchange hides them.
    SharedExperts,
    /// Zero, copy and constant experts, as far as no exchange hides them.
    ZeroComputation,
    /// Launching and synchronising: once for each expert visited and for each layer.
    Launch,
    /// Waiting for other GPUs to be ready to combine: the slowest decides.
    CombineWait,
    /// Results on their way back.
    Combine,
    /// Putting results back in order and mixing them.
    Mix,
    /// Waiting for the previous pipeline stage.
    PipelineWait,
    /// Moving experts' parameters to where the next plan wants them, spread over a plan's micro-batches.
    Rebalance,
    /// Collectives of tensor and context parallelism.
    TensorParallel,
    /// Attention, norms, embedding and output, backward.
    DenseBackward,
    /// Gate, permute and mix, backward.
    RoutingBackward,
    /// Input gradients of FFN experts.
    FfnBackward,
    /// Weight gradients of FFN experts.
    FfnWeightGradients,
    /// Shared and zero-computation experts backward, as far as no exchange hides them.
    LocalBackward,
    /// Waiting for other GPUs to be ready to exchange in the backward pass.
    BackwardWait,
    /// Gradients of results on their way to experts, and of tokens on their way back.
    BackwardExchange,
    /// Waiting for other replicas to reduce gradients or gather parameters.
    GradientWait,
    /// Gradients and parameters on their way between replicas, as far as nothing hides them.
    Gradients,
    /// Updating parameters.
    Optimiser,
    /// Finished, while others are not.
    Done,
}

impl Reason {
    /// All reasons, in the order of a layer.
    pub const ALL: [Self; 28] = [
        Self::Dense,
        Self::Gate,
        Self::Permute,
        Self::DispatchWait,
        Self::Dispatch,
        Self::FfnGemm,
        Self::FfnMemory,
        Self::FfnIndexing,
        Self::SharedExperts,
        Self::ZeroComputation,
        Self::Launch,
        Self::CombineWait,
        Self::Combine,
        Self::Mix,
        Self::PipelineWait,
        Self::Rebalance,
        Self::TensorParallel,
        Self::DenseBackward,
        Self::RoutingBackward,
        Self::FfnBackward,
        Self::FfnWeightGradients,
        Self::LocalBackward,
        Self::BackwardWait,
        Self::BackwardExchange,
        Self::GradientWait,
        Self::Gradients,
        Self::Optimiser,
        Self::Done,
    ];

    /// The reason in a word or two, for tables.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Dense => "attention and the rest",
            Self::Gate => "gate",
            Self::Permute => "permute",
            Self::DispatchWait => "wait to dispatch",
            Self::Dispatch => "dispatch",
            Self::FfnGemm => "FFN matrix products",
            Self::FfnMemory => "FFN memory traffic",
            Self::FfnIndexing => "FFN slot indexing",
            Self::SharedExperts => "shared experts",
            Self::ZeroComputation => "zero-computation experts",
            Self::Launch => "launch and synchronise",
            Self::CombineWait => "wait for the slowest",
            Self::Combine => "combine",
            Self::Mix => "mix",
            Self::PipelineWait => "wait for the stage before",
            Self::Rebalance => "rebalance experts",
            Self::TensorParallel => "tensor-parallel collectives",
            Self::DenseBackward => "attention and the rest, backward",
            Self::RoutingBackward => "gate, permute and mix, backward",
            Self::FfnBackward => "FFN experts, backward",
            Self::FfnWeightGradients => "FFN weight gradients",
            Self::LocalBackward => "local experts, backward",
            Self::BackwardWait => "wait for the slowest, backward",
            Self::BackwardExchange => "exchanges, backward",
            Self::GradientWait => "wait for replicas",
            Self::Gradients => "gradients and parameters",
            Self::Optimiser => "optimiser",
            Self::Done => "finished early",
        }
    }

    /// Whether the GPU itself does and sends nothing, but waits for others.
    #[must_use]
    pub const fn is_wait(self) -> bool {
        matches!(
            self,
            Self::DispatchWait
                | Self::CombineWait
                | Self::PipelineWait
                | Self::BackwardWait
                | Self::GradientWait
                | Self::Done
        )
    }

    /// Whether something is carried between GPUs meanwhile, by an exchange or a collective of its own.
    #[must_use]
    pub const fn is_exchange(self) -> bool {
        matches!(self, Self::Dispatch | Self::Combine | Self::BackwardExchange | Self::Gradients)
    }

    /// Whether it arises in training alone.
    #[must_use]
    pub const fn is_of_training(self) -> bool {
        self as u8 > Self::TensorParallel as u8 && self as u8 <= Self::Optimiser as u8
    }

    /// Whether kernels blamed on it are bound by memory bandwidth rather than by tiles on SMs.
    #[must_use]
    pub const fn is_bound_by_memory(self) -> bool {
        matches!(
            self,
            Self::Permute
                | Self::FfnMemory
                | Self::FfnIndexing
                | Self::ZeroComputation
                | Self::Mix
                | Self::RoutingBackward
                | Self::Optimiser
        )
    }

    /// The reason as a column name, without its unit.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::Dense => "dense",
            Self::Gate => "gate",
            Self::Permute => "permute",
            Self::DispatchWait => "dispatch_wait",
            Self::Dispatch => "dispatch",
            Self::FfnGemm => "ffn_gemm",
            Self::FfnMemory => "ffn_memory",
            Self::FfnIndexing => "ffn_indexing",
            Self::SharedExperts => "shared_experts",
            Self::ZeroComputation => "zero_computation",
            Self::Launch => "launch",
            Self::CombineWait => "combine_wait",
            Self::Combine => "combine",
            Self::Mix => "mix",
            Self::PipelineWait => "pipeline_wait",
            Self::Rebalance => "rebalance",
            Self::TensorParallel => "tensor_parallel",
            Self::DenseBackward => "dense_backward",
            Self::RoutingBackward => "routing_backward",
            Self::FfnBackward => "ffn_backward",
            Self::FfnWeightGradients => "ffn_weight_gradients",
            Self::LocalBackward => "local_backward",
            Self::BackwardWait => "backward_wait",
            Self::BackwardExchange => "backward_exchange",
            Self::GradientWait => "gradient_wait",
            Self::Gradients => "gradients",
            Self::Optimiser => "optimiser",
            Self::Done => "done",
        }
    }
}

/// One GPU's time by reason.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Blame {
    by_reason: [SimDuration; Reason::ALL.len()],
}

impl Blame {
    /// Blames `time` on `reason`.
    pub fn add(&mut self, reason: Reason, time: SimDuration) {
        self.by_reason[reason as usize] += time;
    }

    /// Time blamed on `reason`.
    #[must_use]
    pub const fn of(&self, reason: Reason) -> SimDuration {
        self.by_reason[reason as usize]
    }

    /// All time blamed.
    #[must_use]
    pub fn total(&self) -> SimDuration {
        self.by_reason.iter().copied().sum()
    }

    /// All time but waiting.
    #[must_use]
    pub fn worked(&self) -> SimDuration {
        Reason::ALL.iter().filter(|reason| !reason.is_wait()).map(|&reason| self.of(reason)).sum()
    }

    /// The same times `factor` times as long, so that they sum to `total`: what rounding leaves goes to the longest.
    #[must_use]
    pub(in crate::execution) fn stretched(&self, factor: f64, total: SimDuration) -> Self {
        let floor = |time: &SimDuration| SimDuration::from_ps((time.ps() as f64 * factor) as u64);
        let mut by_reason = self.by_reason.each_ref().map(floor);
        let sum: SimDuration = by_reason.iter().copied().sum();
        let longest = (0..by_reason.len()).max_by_key(|&at| by_reason[at]).unwrap_or(0);
        let left = by_reason[longest] + total.saturating_sub(sum);
        by_reason[longest] = left.saturating_sub(sum.saturating_sub(total));
        Self { by_reason }
    }
}

/// One piece of a GPU's own work between two synchronisations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Op {
    /// What it is blamed on.
    pub reason: Reason,
    /// How long it takes.
    pub time: SimDuration,
}

/// Work that covers can hide: appends to `visible` what does not fit into `room`; returns the time that did.
pub fn hide_under(covered: &[Op], room: SimDuration, visible: &mut Vec<Op>) -> SimDuration {
    let mut left = room;
    for op in covered {
        let shows = op.time.saturating_sub(left);
        left = left.saturating_sub(op.time);
        if shows > SimDuration::ZERO {
            visible.push(Op { reason: op.reason, time: shows });
        }
    }
    room.saturating_sub(left)
}

/// Runs a GPU's own work to its next synchronisation: a prefix sum, no calendar.
///
/// Returns the clock after the last operation. `benches/core.rs` compares it with the calendar.
#[must_use]
pub fn run_to_barrier(start: SimTime, ops: &[Op], blame: &mut Blame) -> SimTime {
    let mut clock = start;
    for op in ops {
        blame.add(op.reason, op.time);
        clock += op.time;
    }
    clock
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_its_place_in_the_table() {
        for (i, reason) in Reason::ALL.iter().enumerate() {
            assert_eq!(*reason as usize, i, "{reason:?}");
        }
    }

    #[test]
    fn what_is_hidden_and_what_shows_sum_to_the_work() {
        let op = |ps| Op { reason: Reason::ZeroComputation, time: SimDuration::from_ps(ps) };
        for (room, shown, hidden) in
            [(0, vec![3, 4], 0), (5, vec![2], 5), (7, vec![], 7), (9, vec![], 7)]
        {
            let mut visible = Vec::new();
            let room = SimDuration::from_ps(room);
            assert_eq!(hide_under(&[op(3), op(4)], room, &mut visible).ps(), hidden);
            let shows: Vec<u64> = visible.iter().map(|op| op.time.ps()).collect();
            assert_eq!(shows, shown, "{} ps of room", room.ps());
        }
    }

    #[test]
    fn a_run_to_the_barrier_moves_the_clock_by_what_it_blames() {
        let ops = Reason::ALL.map(|reason| Op { reason, time: SimDuration::from_ps(3) });
        let mut blame = Blame::default();
        let end = run_to_barrier(SimTime::from_ps(5), &ops, &mut blame);
        assert_eq!(end - SimTime::from_ps(5), blame.total());
        assert_eq!(blame.of(Reason::Gate).ps(), 3);
    }
}
