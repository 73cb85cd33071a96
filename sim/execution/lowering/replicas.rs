//! What replicas of a layer share: gradients are reduced, parameters gathered, states updated.
//!
//! Of a stage's GPUs, those with the same share of products hold the same dense parameters, and those `e` apart the
//! same experts, `e` GPUs sharing one copy of all. With `n` GPUs in such a group and `P` parameters each,
//!
//! ```text
//!   reduce      reduce-scatter of P·b_g bytes, all-reduce without ZeRO           [zero]              (1)
//!   gather      all-gather of 2·P bytes; with ZeRO-3 before every pass through the layer, the next layer's
//!               meanwhile
//!   optimiser   30 bytes a parameter: weights, two moments and gradient read in 32 bits, three written,
//!               and 2 bytes of the weight in 16 bits; a share of 1/n with ZeRO    [adam]             (2)
//!               22 with moments in 16 bits
//! ```
//!
//! each layer by itself.

use std::collections::BTreeMap;

use crate::base::units::{Bytes, GpuId, SimDuration};
use crate::execution::blame::Reason;
use crate::execution::cost::{CollectiveTimes, Group, KernelTimes};
use crate::execution::memory::{attention_params, gate_params};
use crate::execution::program::{
    After, Command, Contention, Fill, Meeting, MeetingId, Stream, Work,
};
use crate::kernels::profile::CollectiveOp;
use crate::workload::{Workload, Zero};

/// What a meeting is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Dispatch or combine.
    Exchange,
    /// Gradients of dense parameters, and of experts.
    Reduce(Holders),
    /// Dense parameters, and experts, for a pass forward or for all.
    Gather(Holders),
    /// The same for a pass backward.
    GatherBackward(Holders),
}

/// A message that links bind, not what starts it.
const LARGE: Bytes = Bytes(1 << 30);

/// Whose parameters they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Holders {
    Dense,
    Experts,
}

impl Kind {
    const BITS: u32 = 60;

    /// The id of a meeting of this kind.
    pub const fn id(self, number: u64) -> MeetingId {
        let kind: u64 = match self {
            Self::Exchange => 0,
            Self::Reduce(Holders::Dense) => 1,
            Self::Reduce(Holders::Experts) => 2,
            Self::Gather(Holders::Dense) => 3,
            Self::Gather(Holders::Experts) => 4,
            Self::GatherBackward(Holders::Dense) => 5,
            Self::GatherBackward(Holders::Experts) => 6,
        };
        MeetingId((kind << Self::BITS) | number)
    }

    /// The number that an id was made of.
    pub const fn number(MeetingId(id): MeetingId) -> u64 {
        id & ((1 << Self::BITS) - 1)
    }

    const fn of(MeetingId(id): MeetingId) -> Self {
        match id >> Self::BITS {
            0 => Self::Exchange,
            1 => Self::Reduce(Holders::Dense),
            2 => Self::Reduce(Holders::Experts),
            3 => Self::Gather(Holders::Dense),
            4 => Self::Gather(Holders::Experts),
            5 => Self::GatherBackward(Holders::Dense),
            _ => Self::GatherBackward(Holders::Experts),
        }
    }
}

/// Replicas of the layers of a training step.
pub struct Replicas<'a> {
    workload: &'a Workload,
    kernels: &'a dyn KernelTimes,
    collectives: CollectiveTimes<'a>,
    per_stage: u32,
    groups: [Group; 2],
    counted: bool,
    /// What collectives of each kind of parameters and kernels beside them take of each other.
    contention: [Contention; 2],
    last: BTreeMap<GpuId, After>,
}

impl<'a> Replicas<'a> {
    /// Those of a workload on stages of this many GPUs; `counted` says whether the whole model is, and `contention` what
    /// a collective that moves so much in so long and kernels beside it take of each other.
    #[must_use]
    pub fn new(
        workload: &'a Workload,
        (kernels, collectives): (&'a dyn KernelTimes, CollectiveTimes<'a>),
        (per_stage, counted): (u32, bool),
        contention: impl Fn(Bytes, SimDuration) -> Contention,
    ) -> Self {
        let layout = &workload.layout;
        let of = |stride: u32| Group { gpus: per_stage / stride, stride };
        let groups = [of(layout.tensor_parallel), of(layout.expert_group())];
        let last = BTreeMap::new();
        let contention = groups.map(|group| {
            let time = collectives.time(CollectiveOp::ReduceScatter, group, LARGE);
            contention(LARGE, time)
        });
        Self { workload, kernels, collectives, per_stage, groups, counted, contention, last }
    }

    /// Whether any parameters have replicas.
    #[must_use]
    pub fn any(&self) -> bool {
        self.counted && self.groups.iter().any(|group| group.gpus > 1)
    }

    /// Reduces the gradients of a layer, after what computes them.
    pub(super) fn reduce(
        &mut self,
        gpu: GpuId,
        round: u32,
        micro_batch: u32,
        after: After,
        streams: &mut dyn Fill,
    ) -> Option<After> {
        let of = |holders| Kind::Reduce(holders);
        self.join(gpu, (round, micro_batch), Some(after), (streams, &of))
    }

    /// Gathers the parameters of a layer, after what updates them.
    pub(super) fn gather(
        &mut self,
        gpu: GpuId,
        round: u32,
        after: Option<After>,
        streams: &mut dyn Fill,
    ) -> Option<After> {
        let of = |holders| Kind::Gather(holders);
        self.join(gpu, (round, 0), after, (streams, &of))
    }

    /// Gathers the parameters of a layer for one pass of a micro-batch through it.
    pub(super) fn gather_for_pass(
        &mut self,
        gpu: GpuId,
        (round, micro_batch, backward): (u32, u32, bool),
        streams: &mut dyn Fill,
    ) -> Option<After> {
        let of = |holders| match backward {
            false => Kind::Gather(holders),
            true => Kind::GatherBackward(holders),
        };
        self.join(gpu, (round, micro_batch), None, (streams, &of))
    }

    fn join(
        &mut self,
        gpu: GpuId,
        (round, micro_batch): (u32, u32),
        after: Option<After>,
        (streams, kind): (&mut dyn Fill, &dyn Fn(Holders) -> Kind),
    ) -> Option<After> {
        let mut ended = None;
        for holders in [Holders::Dense, Holders::Experts] {
            let group = self.groups[holders as usize];
            if group.gpus < 2 || self.params(round, holders) == 0 {
                continue;
            }
            let first = self.first(gpu, group);
            let number = (u64::from(first.0) << 33)
                | (u64::from(round) << 17)
                | (u64::from(micro_batch) & 0x1_ffff);
            let work = Work::Join {
                meeting: kind(holders).id(number),
                rank: ((gpu.0 - first.0) / group.stride) as usize,
                reasons: [Reason::GradientWait, Reason::Gradients],
                contention: self.contention[holders as usize],
            };
            let command = Command { work, after, awaited: true };
            ended = Some(streams.push(Stream::Reduction, command));
        }
        if let Some(ended) = ended {
            self.last.insert(gpu, ended);
        }
        ended
    }

    /// The end of a GPU's last reduction or gather.
    pub(super) fn last_of(&self, gpu: GpuId) -> Option<After> {
        self.last.get(&gpu).copied()
    }

    fn first(&self, gpu: GpuId, group: Group) -> GpuId {
        let stage = gpu.0 / self.per_stage * self.per_stage;
        GpuId(stage + (gpu.0 - stage) % group.stride)
    }

    /// Whether a meeting is between replicas.
    pub(super) fn is_own(&self, meeting: MeetingId) -> bool {
        Kind::of(meeting) != Kind::Exchange
    }

    /// A meeting between replicas.
    pub(super) fn meeting(&self, meeting: MeetingId) -> Option<Meeting> {
        let training = &self.workload.training;
        let (holders, op, each) = match Kind::of(meeting) {
            Kind::Exchange => return None,
            Kind::Reduce(holders) if training.zero == Zero::Off => {
                (holders, CollectiveOp::AllReduce, training.gradient_bytes)
            }
            Kind::Reduce(holders) => {
                (holders, CollectiveOp::ReduceScatter, training.gradient_bytes)
            }
            Kind::Gather(holders) | Kind::GatherBackward(holders) => {
                (holders, CollectiveOp::AllGather, 2)
            }
        };
        let number = Kind::number(meeting);
        let (first, round) = (GpuId((number >> 33) as u32), ((number >> 17) & 0xffff) as u32);
        let group = self.groups[holders as usize];
        let bytes = Bytes(each * self.params(round, holders));
        let time = self.collectives.time(op, group, bytes);
        Some(Meeting::Collective { members: group.members(first).collect(), time })
    }

    /// (2) for one layer.
    pub(super) fn optimiser(&self, round: u32) -> SimDuration {
        if !self.counted {
            return SimDuration::ZERO;
        }
        let share = |holders: Holders| {
            let n = u64::from(self.groups[holders as usize].gpus);
            let of = if self.workload.training.zero == Zero::Off { 1 } else { n };
            self.params(round, holders) / of
        };
        let params = share(Holders::Dense) + share(Holders::Experts);
        let each = 14 + 4 * self.workload.training.moment_bytes;
        self.kernels.memory_bound(Bytes(each * params), 1)
    }

    /// Parameters of a layer on one GPU; those in front of it and behind it go with the first and last.
    fn params(&self, round: u32, holders: Holders) -> u64 {
        let (workload, model) = (self.workload, &self.workload.model);
        let rounds = workload.gating.scheme.rounds();
        if !round.is_multiple_of(rounds) {
            return 0;
        }
        let d = u64::from(model.hidden);
        if holders == Holders::Experts {
            let each = workload.expert_bytes_per_gpu().0 / workload.batch.dtype.bytes();
            return u64::from(workload.experts_per_gpu()) * each;
        }
        let shared = u64::from(workload.layout.tensor_parallel);
        let matrices = u64::from(model.matrices());
        let dense = matrices * d * u64::from(model.dense.intermediate);
        let block = attention_params(workload).div_ceil(shared) + 2 * d;
        let constant = 3 * d * u64::from(model.experts.zero_computation.constant);
        let mut params = block + matrices * d * u64::from(model.dense.shared) + constant;
        params += gate_params(workload);
        if model.dense.shortcut {
            params += block + 2 * dense.div_ceil(shared);
        }
        params += u64::from(model.dense.between) * (block + dense.div_ceil(shared));
        let table = (u64::from(model.vocabulary) * d).div_ceil(shared);
        if round == 0 {
            params +=
                table + u64::from(model.dense.leading_layers) * (block + dense.div_ceil(shared));
        }
        let own_output = !model.tied || workload.layout.pipeline_parallel > 1;
        if round + rounds >= workload.gates() && own_output {
            params += table;
        }
        params
    }
}
