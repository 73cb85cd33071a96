//! What one group does in one layer of one micro-batch: the gate's counts turned into each
//! member's work and the group's two exchanges.

mod backward;
mod drawn;
mod host;
mod member;
mod parts;
mod planned;
mod rows;
mod split;
mod tally;

use drawn::Decided;
pub use drawn::Drawn;
use host::HostTimes;
use member::{Member, MemberWork, nonzero, outside_experts, sent_by, zero_computation_slots};
use parts::{Parts, Shared};
pub use planned::{ExchangePhase, Step, StepMeeting};
use rows::HottestRows;
use split::Split;
use tally::tally;

use std::borrow::Cow;
use std::cell::LazyCell;

use super::dense_backward::{DenseBackward, SharedProducts};
use super::dispatch::{AllToAll, Dispatch};
use super::rebalance::Rebalancing;
use super::totals::Totals;
use crate::base::units::{GpuId, SimDuration};
use crate::execution::Scope;
use crate::execution::blame::{Op, Reason};
use crate::execution::cost::{CollectiveTimes, KernelTimes, Launches, LayerCost, shared_op};
use crate::gate::{self, Counts, Gate};
use crate::placement::{Placement, Plans};
use crate::workload::{Scheme, Workload};

/// Which step of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct At {
    /// Round of a layer, counted through all layers of the model.
    pub round: u32,
    /// Micro-batch.
    pub micro_batch: u32,
    /// Group, counted within its pipeline stage.
    pub group: u32,
    /// Part of the micro-batch, where it is exchanged in parts.
    pub part: u32,
    /// Whether it is the backward step.
    pub backward: bool,
    /// Whether it is its group's first of this layer, which quantises weights.
    pub opens: bool,
}

/// Plans steps: asks the gate, prices the work, and keeps the totals.
pub struct StepPlanner<'a> {
    workload: &'a Workload,
    counted: Scope,
    /// Made when it is first asked: not at all where all was drawn before.
    gate: LazyCell<Gate, Box<dyn FnOnce() -> Gate + 'a>>,
    /// Where micro-batches are exchanged in parts.
    parts: Option<Parts>,
    /// Taken out while a step is planned.
    plans: Option<Plans<'a>>,
    /// What earlier runs of this workload under this seed have drawn.
    drawn: Option<&'a Drawn>,
    rebalancing: Option<Rebalancing<'a>>,
    cost: LayerCost<'a>,
    all_to_all: AllToAll,
    host: HostTimes,
    /// What comes before the gate of each layer, and after the last.
    dense: Vec<Op>,
    output: Op,
    /// What runs beside the experts: the shortcut's dense block, and shared experts.
    beside: [Op; 2],
    /// The same backward, where there is a backward pass.
    backward: Option<DenseBackward>,
    /// What tensor and context parallelism add to an attention block or dense network in one pass.
    shared: Option<SharedProducts>,
    /// What GPUs that experts are cut over gather and scatter.
    split: Option<Split<'a>>,
    /// Bytes of a slot on its way to its expert, and on its way back.
    slot: [u64; 2],
    totals: Totals,
    hottest: HottestRows,
    spare: Vec<Step>,
    /// Of draws of the gate.
    memory: gate::Memory,
    rows: Vec<Vec<u32>>,
}

impl<'a> StepPlanner<'a> {
    /// A planner of one run.
    #[must_use]
    pub fn new(
        workload: &'a Workload,
        counted: Scope,
        gate: impl FnOnce() -> Gate + 'a,
        cost: LayerCost<'a>,
        all_to_all: AllToAll,
        kernels: &dyn KernelTimes,
    ) -> Self {
        let (dense, [output, shortcut]) = outside_experts(workload, counted, kernels);
        let backward =
            counted.has_backward().then(|| DenseBackward::of(workload, counted, kernels));
        let cost = if counted.has_backward() { cost.with_backward() } else { cost };
        Self {
            workload,
            counted,
            gate: LazyCell::new(Box::new(gate)),
            parts: None,
            plans: Some(Plans::new(workload)),
            drawn: None,
            rebalancing: None,
            cost,
            all_to_all,
            host: HostTimes::of(workload, counted),
            dense,
            output,
            beside: [shortcut, shared_op(workload, kernels)],
            backward,
            shared: None,
            split: None,
            slot: bytes_of_slot(workload),
            totals: Totals::default(),
            hottest: HottestRows::of_rounds(workload.gates()),
            spare: Vec::new(),
            memory: gate::Memory::default(),
            rows: Vec::new(),
        }
    }

    /// The same with what earlier runs have drawn: of the same workload and seed, by the same way of an all-to-all.
    #[must_use]
    pub const fn with_drawn(mut self, drawn: Option<&'a Drawn>) -> Self {
        self.drawn = drawn;
        self
    }

    /// The same whose micro-batches are exchanged in so many parts, on which this gate decides; `chunks` says that gate,
    /// permute and mix take all parts at once.
    #[must_use]
    pub fn in_parts(mut self, gate: Gate, count: u32, chunks: bool) -> Self {
        if chunks {
            // Work for all parts would have to be drawn again.
            self.drawn = None;
        }
        self.parts = Some(Parts::new(gate, count, chunks));
        self
    }

    /// The same with parameters moved from plan to plan, where that is counted.
    #[must_use]
    pub fn with_rebalancing(mut self, rebalancing: Rebalancing<'a>) -> Self {
        self.rebalancing = (self.counted != Scope::Experts).then_some(rebalancing);
        self
    }

    /// The same with collectives of tensor and context parallelism, where products are shared.
    #[must_use]
    pub fn with_shared_products(mut self, collectives: &CollectiveTimes<'_>) -> Self {
        let layout = &self.workload.layout;
        let shares = layout.tensor_parallel > 1 || layout.context_parallel > 1;
        let shares = shares && self.counted.is_whole_model();
        self.shared = shares.then(|| SharedProducts::of(self.workload, collectives));
        self
    }

    /// Plans what a group does in one round of a layer (of the whole model) of one micro-batch, rounds
    /// being counted through all layers: the group of this number in its pipeline stage, whose rank 0
    /// is `first_gpu`.
    pub fn plan(&mut self, at: At, first_gpu: GpuId) -> Step {
        self.plan_sharing(at, first_gpu, None)
    }

    /// The same, with the exchanges of a step in which the gate decided alike.
    pub fn plan_sharing(&mut self, at: At, first_gpu: GpuId, alike: Option<&Step>) -> Step {
        let At { round, micro_batch, group, part, backward, .. } = at;
        let ranks = self.workload.layout.expert_group() as usize;
        let first = group as usize * ranks;
        let micro_batch = micro_batch + self.workload.layout.places.lead_in();
        let key = [round, micro_batch, group, first_gpu.0, part];
        let kept = self.drawn.and_then(|drawn| drawn.of(key));
        let of = first..first + ranks;
        let (counts, whole) = match &kept {
            Some(kept) => (Cow::Borrowed(&kept.counts), None),
            None => {
                let Shared { counts, whole } = self.counts([round, micro_batch], of, part as usize);
                (Cow::Owned(counts), whole)
            }
        };
        let mut step = self.spare.pop().unwrap_or_default();
        step.parts.resize_with(ranks, MemberWork::default);
        let mut plans = self.plans.take().expect("put back after each step");
        let planned = [round, micro_batch, group];
        let shares = self.rebalancing.as_mut().map_or_else(Vec::new, |rebalancing| {
            rebalancing.shares(&mut plans, &self.gate, planned, first_gpu).to_vec()
        });
        let placement = kept.as_ref().and_then(|kept| kept.placement.as_ref());
        let placement = placement.unwrap_or_else(|| plans.of(&self.gate, planned, first));
        let mut rows = std::mem::take(&mut self.rows);
        self.rows_in(at, placement, &counts, (&mut rows, &mut step));
        let known = kept.as_ref().map(|kept| &kept.dispatch);
        match alike.map(|alike| &alike.dispatch).or(known) {
            _ if self.counted == Scope::Experts => step.dispatch.clear(ranks),
            Some(known) => step.dispatch.clone_from(known),
            None => step.dispatch.plan(&self.all_to_all, &counts, placement, self.slot, first_gpu),
        }
        if kept.is_none() && !backward {
            self.keep(key, &counts, &step.dispatch, placement);
        }
        let whole = whole.as_ref().unwrap_or(&counts);
        for rank in 0..ranks {
            let rows = &rows[rank * placement.ranks() as usize / ranks];
            let share = shares.get(rank).filter(|_| part == 0);
            let share = share.map(|&time| Op { reason: Reason::Rebalance, time });
            let of = Member { rank, counts: &counts, rows };
            let both = [of, Member { counts: whole, ..of }];
            self.plan_work((at, share), placement, both, &mut step.parts[rank]);
        }
        self.rows = rows;
        self.plans = Some(plans);
        step.totals = Totals::default();
        if !backward {
            step.totals = tally(self.workload, &counts, &step.dispatch);
            self.totals.add(&step.totals);
        }
        if let (Cow::Owned(counts), None) = (counts, &self.parts) {
            self.memory.spare = Some(counts);
        }
        step
    }

    /// One member's work in a step, and what it does for `all` parts of it if it is the first or last of them.
    fn plan_work(
        &mut self,
        (at, rebalance): (At, Option<Op>),
        placement: &Placement,
        [of, all]: [Member<'_>; 2],
        part: &mut MemberWork,
    ) {
        part.clear();
        if at.backward {
            return self.plan_backward(at.round, placement, of, part);
        }
        part.before.extend(rebalance.and_then(nonzero));
        if at.opens {
            part.experts.extend(self.cost.quantised_weights());
        }
        let parts = self.parts.as_ref();
        let does = parts.map_or([true; 2], |parts| parts.does(at.part as usize));
        self.plan_member((at.round, does), placement, [of, all], part);
    }

    /// What the gate decides for a part of these GPUs' tokens.
    fn counts(&mut self, at: [u32; 2], gpus: std::ops::Range<usize>, part: usize) -> Shared {
        match &mut self.parts {
            Some(parts) => parts.counts(at, gpus, part),
            None => {
                let counts = self.gate.counts_in(&mut self.memory, at, gpus);
                Shared { counts, whole: None }
            }
        }
    }

    fn keep(&self, key: [u32; 5], counts: &Counts, dispatch: &Dispatch, placement: &Placement) {
        let Some(drawn) = self.drawn else { return };
        let planned = self.workload.layout.places.seen().is_some();
        drawn.keep(key, || Decided {
            counts: counts.clone(),
            dispatch: dispatch.clone(),
            placement: planned.then(|| placement.clone()),
        });
    }

    /// Counts a planned step once more.
    pub fn repeat(&mut self, step: &Step) {
        self.totals.add(&step.totals);
    }

    /// Takes back a step that is done with, for its memory.
    pub fn recycle(&mut self, step: Step) {
        self.spare.push(step);
    }

    /// What the gate has decided so far.
    #[must_use]
    pub fn totals(self) -> Totals {
        Totals { hottest_rows: self.hottest.most(), ..self.totals }
    }

    /// Slots that a member takes out of the token order.
    fn sent(&self, placement: &Placement, of: Member<'_>) -> u64 {
        self.split.as_ref().map_or_else(|| sent_by(placement, of), |cut| cut.sent(placement, of))
    }

    fn plan_member(
        &mut self,
        (round, [opens, closes]): (u32, [bool; 2]),
        placement: &Placement,
        [of, all]: [Member<'_>; 2],
        part: &mut MemberWork,
    ) {
        let rounds = self.workload.gating.scheme.rounds();
        let routes = self.counted != Scope::Experts;
        let sent = if routes && (opens || closes) { self.sent(placement, all) } else { 0 };
        if routes && opens {
            if round.is_multiple_of(rounds) {
                // Everything in front of a layer's gate that is not the MoE layer.
                part.before.extend(nonzero(self.dense[(round / rounds) as usize]));
                part.before.extend(self.shared.map(|shared| shared.forward(round == 0)));
                part.local.extend(nonzero(self.beside[0]));
            }
            part.before.push(self.cost.gate(round == 0));
            part.before.push(self.cost.permute(sent));
        }
        if routes && closes {
            part.after.push(self.cost.mix(sent));
            if has_output(self.workload, round) {
                part.after.extend(nonzero(self.output));
            }
        }
        if opens && round.is_multiple_of(rounds) {
            part.local.extend(nonzero(self.beside[1]));
        }
        self.plan_experts(placement, (of, opens.then_some(all)), part);
        if opens && self.counted != Scope::Experts {
            self.host.add_forward(round, part);
        }
        if self.counted == Scope::Experts {
            // Nothing hides anything here: what counts is the experts' own time.
            let local = std::mem::take(&mut part.local);
            part.experts.extend(local);
        }
    }

    /// FFN experts and zero-computation experts of one member with their launches: one stretch, or where local work
    /// runs beside the dispatch two.
    fn plan_experts(
        &mut self,
        placement: &Placement,
        (of, local): (Member<'_>, Option<Member<'_>>),
        part: &mut MemberWork,
    ) {
        let slots = local
            .map(|of| zero_computation_slots(self.workload, placement, of))
            .unwrap_or_default();
        let zero_computation = self.cost.zero_computation(slots);
        let mut launches = Launches { layers: 1, visits: of.rows.len() as u64 };
        let of_kinds = u64::from(slots.kinds_visited);
        let from = part.experts.len();
        // Launching comes first, and is known once the rest is.
        part.experts.push(Op { reason: Reason::Launch, time: SimDuration::ZERO });
        self.cost.ffn(of.rows, &mut part.experts);
        if self.workload.zero_computation_local && self.counted != Scope::Experts {
            let of_kinds = Launches { layers: 0, visits: of_kinds };
            part.local.extend(nonzero(self.cost.launches(of_kinds, zero_computation.time)));
            part.local.extend(nonzero(zero_computation));
        } else {
            launches.visits += of_kinds;
            part.experts.extend(nonzero(zero_computation));
        }
        let device = part.experts[from..].iter().map(|op| op.time).sum();
        part.experts[from] = self.cost.launches(launches, device);
    }
}

/// Whether an output follows on a round: the model's last layer and every draft have one.
const fn has_output(workload: &Workload, round: u32) -> bool {
    let rounds = workload.gating.scheme.rounds();
    round + 1 >= workload.model.layers * rounds && (round + 1).is_multiple_of(rounds)
}

/// Bytes of a slot on its way to its expert, and on its way back.
fn bytes_of_slot(workload: &Workload) -> [u64; 2] {
    let ahead = match workload.gating.scheme {
        // What a token's chosen expert has computed of it already goes with it.
        Scheme::Autonomy { rank } => u64::from(rank) * workload.batch.dispatch_dtype.bytes(),
        _ => 0,
    };
    [workload.dispatch_bytes().0 + ahead, workload.combine_bytes().0]
}
