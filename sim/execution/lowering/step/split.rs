//! Experts cut over GPUs of tensor parallelism: what these gather before the products, and scatter after them.
//!
//! Each of the t GPUs of a cut has H/t of the width H of its experts and computes it for the rows of all t, so every one
//! needs all rows, and each row's results are sums over the t [megatronmoe; vllm]. With r slots that the dispatch brings
//! to the t of a cut together, D·b_d and D·b_c bytes of one on its way out and back,
//!
//! ```text
//!   gather    all-gather      S = r·D·b_d             left on each                                  (1)
//!   scatter   reduce-scatter  S = r·D·b_c             taken from each                               (2)
//!   E = 1     nothing is dispatched, and tokens travel once each, whatever they chose:
//!             S = t·T·D·b,  b = b_d or b_c            T own tokens of a GPU                         (3)
//! ```
//!
//! as Megatron-LM's all-to-all dispatcher does (1, 2), and its all-gather dispatcher, vLLM and SGLang without expert
//! parallelism (3), whose all-reduce is a gather and a scatter one after the other; each then permutes and mixes the
//! slots of all t. Backward the same travel: the gather
//! of results' gradients mirrors (2), the scatter of inputs' (1). Zero-computation experts on every GPU take no part:
//! each works on its own tokens. Taken as equal: what each of the t brings, which libraries gather with unequal sizes.
//! Left out: sorting gathered rows by expert where E > 1.

use super::StepPlanner;
use super::member::{Member, sent_by};
use crate::base::units::{Bytes, SimDuration};
use crate::execution::Scope;
use crate::execution::cost::{CollectiveTimes, Group};
use crate::kernels::profile::CollectiveOp;
use crate::placement::Placement;
use crate::workload::Workload;

/// Times of the collectives of a cut.
pub(super) struct Split<'a> {
    collectives: CollectiveTimes<'a>,
    cut: Group,
    /// Bytes of a slot or token on its way out, and back.
    slot: [u64; 2],
    /// What travels where nothing is dispatched.
    tokens: Option<u64>,
}

impl<'a> Split<'a> {
    /// Those of a workload, a slot being of so many bytes out and back.
    fn of(workload: &Workload, collectives: CollectiveTimes<'a>, slot: [u64; 2]) -> Self {
        let gpus = workload.layout.expert_tensor_parallel;
        let parts = workload.stack.overlap.parts();
        let own = u64::from(workload.batch.tokens_per_gpu / parts);
        let alone = workload.layout.expert_parallel == 1;
        let tokens = alone.then(|| u64::from(gpus) * own);
        Self { collectives, cut: Group { gpus, stride: 1 }, slot, tokens }
    }

    /// Slots that one member takes out of the token order: its own, or where nothing is dispatched those of all, which
    /// each of the cut has gathered.
    pub fn sent(&self, placement: &Placement, of: Member<'_>) -> u64 {
        match self.tokens {
            None => sent_by(placement, of),
            Some(_) => {
                let all = (0..of.counts.gpus()).map(|rank| Member { rank, ..of });
                all.map(|of| sent_by(placement, of)).sum()
            }
        }
    }

    /// The gather and the scatter of a cut to which a dispatch brings so many slots.
    pub fn times(&self, slots: u64) -> [SimDuration; 2] {
        let rows = self.tokens.unwrap_or(slots);
        let both = [CollectiveOp::AllGather, CollectiveOp::ReduceScatter];
        [0, 1].map(|leg| self.collectives.time(both[leg], self.cut, Bytes(rows * self.slot[leg])))
    }
}

impl<'a> StepPlanner<'a> {
    /// The same with gathers and scatters where experts are cut over GPUs, if they are counted.
    #[must_use]
    pub fn with_split_experts(mut self, collectives: CollectiveTimes<'a>) -> Self {
        let cut = self.workload.layout.expert_tensor_parallel > 1;
        let counted = cut && self.counted != Scope::Experts;
        self.split = counted.then(|| Split::of(self.workload, collectives, self.slot));
        self
    }
}
