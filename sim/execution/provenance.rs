//! What a run stands on: which kernels its time comes from, and how near they are to measurements.
//!
//! The mean time over GPUs of each [`Reason`] is divided over the bases of the kernels that make it
//! up, in proportion to their times: those are asked for once more, through a recorder. Waiting
//! rests on nothing of its own and is left out.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::base::units::{Bytes, SimDuration};
use crate::execution::Scope;
use crate::execution::blame::{Blame, Reason};
use crate::execution::cost::{
    KernelTimes, RowTimes, Scores, SlotTimes, dense_op, experts_ask, gate, output_op, shared_op,
    shortcut_op,
};
use crate::kernels::profile::{CollectiveOp, Moved};
use crate::kernels::{Basis, ExpertsAsk, Part, Support, TimedBasis};
use crate::network::ExchangeBasis;
use crate::workload::{Dtype, Execution, Workload};

/// Kernels that note what each of their times stands on.
struct Recorder<'a> {
    kernels: &'a dyn KernelTimes,
    noted: Mutex<Vec<TimedBasis>>,
}

impl<'a> Recorder<'a> {
    fn new(kernels: &'a dyn KernelTimes) -> Self {
        Self { kernels, noted: Mutex::new(Vec::new()) }
    }

    fn note(&self, basis: Basis, time: SimDuration) {
        let mut noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        noted.push(TimedBasis { basis, time });
    }

    fn noted(self) -> Vec<TimedBasis> {
        TimedBasis::merged(self.noted.into_inner().unwrap_or_else(PoisonError::into_inner))
    }
}

impl KernelTimes for Recorder<'_> {
    fn gemm(&self, n: u32, k: u32, dtype: Dtype) -> RowTimes<'_> {
        let times = self.kernels.gemm(n, k, dtype);
        Box::new(move |rows| {
            let time = times(rows);
            self.note(self.kernels.gemm_basis((n, k), dtype, rows), time);
            time
        })
    }

    fn experts(&self, ask: &ExpertsAsk<'_>) -> SlotTimes<'_> {
        let (times, basis) = (self.kernels.experts(ask), self.kernels.experts_basis(ask));
        Box::new(move |slots| {
            let time = times(slots);
            self.note(basis.clone(), time.products);
            if time.moved > SimDuration::ZERO {
                self.note(self.kernels.memory_basis(), time.moved);
            }
            time
        })
    }

    fn attention(&self, scores: Scores) -> SimDuration {
        let time = self.kernels.attention(scores);
        self.note(derived(Part::Dense, "attention", "large products, at a published share"), time);
        time
    }

    fn attention_product(&self, (m, n, k): (u64, u32, u32), dtype: Dtype) -> SimDuration {
        let time = self.kernels.attention_product((m, n, k), dtype);
        let plain = time == self.kernels.gemm(n, k, Dtype::Bf16)(m);
        let format = if plain { Dtype::Bf16 } else { dtype };
        self.note(self.kernels.gemm_basis((n, k), format, m), time);
        time
    }

    fn memory_bound(&self, bytes: Bytes, launches: u32) -> SimDuration {
        let time = self.kernels.memory_bound(bytes, launches);
        self.note(self.kernels.memory_basis(), time);
        time
    }

    fn moved(&self, parts: &[Moved]) -> SimDuration {
        let time = self.kernels.moved(parts);
        if time > SimDuration::ZERO {
            self.note(self.kernels.memory_basis(), time);
        }
        time
    }

    fn collective(&self, op: CollectiveOp, gpus: u32, bytes: Bytes) -> Option<[SimDuration; 2]> {
        self.kernels.collective(op, gpus, bytes)
    }

    fn gemm_basis(&self, shape: (u32, u32), dtype: Dtype, rows: u64) -> Basis {
        self.kernels.gemm_basis(shape, dtype, rows)
    }

    fn experts_basis(&self, ask: &ExpertsAsk<'_>) -> Basis {
        self.kernels.experts_basis(ask)
    }

    fn memory_basis(&self) -> Basis {
        self.kernels.memory_basis()
    }
}

/// The bases of everything in a run, dispatch and combine by the legs given, with the time that rests
/// on each, the mean over GPUs.
#[must_use]
pub fn stands_on(
    workload: &Workload,
    kernels: &dyn KernelTimes,
    (counted, phases): (Scope, Option<&[ExchangeBasis; 2]>),
    blame: &[Blame],
) -> Vec<TimedBasis> {
    let of_reason = |reason: Reason| {
        let time = mean(blame, reason);
        let parts = if time == SimDuration::ZERO {
            Vec::new()
        } else {
            parts_of(workload, kernels, counted, reason)
        };
        divided(time, parts)
    };
    let exchanged =
        [Reason::Dispatch, Reason::Combine].into_iter().zip(phases.into_iter().flatten());
    // Backward, each library carries one exchange of each format too.
    let backward = mean(blame, Reason::BackwardExchange).ps() / 2;
    let exchanged = exchanged.map(|(reason, exchange_phase)| TimedBasis {
        basis: exchange_phase.basis.clone(),
        time: mean(blame, reason) + SimDuration::from_ps(backward),
    });
    let exchanged = exchanged.filter(|timed| timed.time > SimDuration::ZERO);
    TimedBasis::merged(Reason::ALL.into_iter().flat_map(of_reason).chain(exchanged))
}

fn mean(blame: &[Blame], reason: Reason) -> SimDuration {
    let all: u128 = blame.iter().map(|of| u128::from(of.of(reason).ps())).sum();
    SimDuration::from_ps((all / blame.len().max(1) as u128) as u64)
}

/// Every basis that a run of the workload may stand on, exchanges left out.
#[must_use]
pub fn bases(workload: &Workload, kernels: &dyn KernelTimes, counted: Scope) -> Vec<Basis> {
    let of_reason = |reason| parts_of(workload, kernels, counted, reason);
    let all = Reason::ALL.into_iter().flat_map(of_reason);
    TimedBasis::merged(all).into_iter().map(|timed| timed.basis).collect()
}

/// What one reason's time is made of, with weights.
fn parts_of(
    workload: &Workload,
    kernels: &dyn KernelTimes,
    counted: Scope,
    reason: Reason,
) -> Vec<TimedBasis> {
    let recorded = |ask: &dyn Fn(&Recorder<'_>)| recorded(kernels, ask);
    let alone = |basis: Basis| vec![TimedBasis { basis, time: SimDuration::from_ps(1) }];
    let layout = &workload.layout;
    let shares = layout.tensor_parallel > 1 || layout.context_parallel > 1;
    let arises = match reason {
        Reason::TensorParallel => {
            let cut = layout.expert_tensor_parallel > 1 && counted != Scope::Experts;
            cut || (shares && counted.is_whole_model())
        }
        _ => counted.has_backward() || !reason.is_of_training(),
    };
    if !arises {
        return Vec::new();
    }
    match reason {
        Reason::Dense if counted.is_whole_model() => dense_parts(workload, kernels),
        Reason::SharedExperts => recorded(&|recorder| ignore(shared_op(workload, recorder))),
        Reason::Gate if counted != Scope::Experts => {
            let parts = recorded(&|recorder| ignore(gate(workload, recorder, false)));
            parts.into_iter().map(of_gate).collect()
        }
        Reason::FfnGemm => match workload.execution {
            Execution::Grouped => alone(kernels.experts_basis(&experts_ask(workload))),
            Execution::Sequential => {
                let parts = recorded(&|recorder| products(workload, recorder));
                parts.into_iter().map(of_experts).collect()
            }
        },
        Reason::Permute | Reason::FfnMemory | Reason::ZeroComputation | Reason::Mix => {
            alone(kernels.memory_basis())
        }
        Reason::FfnIndexing | Reason::Launch if workload.execution == Execution::Sequential => {
            alone(of_loop())
        }
        Reason::Launch => alone(of_host()),
        Reason::DenseBackward | Reason::LocalBackward => {
            alone(derived(Part::Dense, "backward products", "the forward tables"))
        }
        Reason::FfnBackward | Reason::FfnWeightGradients => {
            alone(derived(Part::Experts, "backward experts", "the forward tables"))
        }
        Reason::RoutingBackward | Reason::Optimiser => alone(kernels.memory_basis()),
        Reason::TensorParallel | Reason::Gradients => {
            let from = "NCCL's tables within nodes, link rates across";
            alone(derived(Part::Exchange, "collectives", from))
        }
        _ => Vec::new(),
    }
}

/// A family that no table holds, computed from others.
fn derived(part: Part, name: &str, from: &str) -> Basis {
    Basis { part, name: name.to_owned(), support: Support::Derived { from: from.to_owned() } }
}

/// What is noted while `ask` asks for times.
fn recorded(kernels: &dyn KernelTimes, ask: &dyn Fn(&Recorder<'_>)) -> Vec<TimedBasis> {
    let recorder = Recorder::new(kernels);
    ask(&recorder);
    recorder.noted()
}

/// Attention and the rest: one layer of each kind as often as the model has it, and the output.
fn dense_parts(workload: &Workload, kernels: &dyn KernelTimes) -> Vec<TimedBasis> {
    let model = &workload.model;
    let mut kinds: BTreeMap<(bool, bool, u32), (u32, u64)> = BTreeMap::new();
    for layer in 0..workload.layers_passed() {
        let kind = (layer == 0, layer >= model.layers, model.windowed_up_to(layer));
        kinds.entry(kind).or_insert((layer, 0)).1 += 1;
    }
    let outputs = u64::from(1 + workload.drafts());
    let mut parts: Vec<TimedBasis> =
        recorded(kernels, &|recorder| ignore(output_op(workload, recorder)))
            .into_iter()
            .map(|part| TimedBasis { time: part.time.times(outputs), ..part })
            .collect();
    parts.extend(recorded(kernels, &|recorder| ignore(shortcut_op(workload, recorder))));
    for (layer, layers) in kinds.into_values() {
        let of_layer = recorded(kernels, &|recorder| ignore(dense_op(workload, recorder, layer)));
        let all = |part: TimedBasis| TimedBasis { time: part.time.times(layers), ..part };
        parts.extend(of_layer.into_iter().map(all));
    }
    TimedBasis::merged(parts)
}

/// The products of an expert with an even share of slots, as a loop over experts runs them.
fn products(workload: &Workload, kernels: &dyn KernelTimes) {
    let (hidden, inter) = (workload.model.hidden, workload.expert_columns());
    let ask = experts_ask(workload);
    let rows = ask.slots.div_ceil(u64::from(ask.shape.experts.max(1)));
    let dtype = workload.batch.dtype;
    kernels.gemm(inter, workload.first_product_columns(), dtype)(rows);
    if workload.model.gated {
        kernels.gemm(inter, hidden, dtype)(rows);
    }
    kernels.gemm(hidden, inter, dtype)(rows);
}

/// Times asked for so that the recorder notes them.
fn ignore<T>(_: T) {}

fn of_gate(timed: TimedBasis) -> TimedBasis {
    let is_product = timed.basis.part == Part::Dense;
    let part = if is_product { Part::Gate } else { timed.basis.part };
    TimedBasis { basis: Basis { part, ..timed.basis }, ..timed }
}

fn of_experts(timed: TimedBasis) -> TimedBasis {
    TimedBasis { basis: Basis { part: Part::Experts, ..timed.basis }, ..timed }
}

/// Visits and launches of a loop over experts, from an overheads file.
fn of_loop() -> Basis {
    let support = Support::Derived { from: "the overheads file".to_owned() };
    Basis { part: Part::Overheads, name: "loop over experts".to_owned(), support }
}

fn of_host() -> Basis {
    let support = Support::Derived { from: "the workload's [host]".to_owned() };
    Basis { part: Part::Overheads, name: "host".to_owned(), support }
}

/// `time` over parts in proportion to their own times.
fn divided(time: SimDuration, parts: Vec<TimedBasis>) -> Vec<TimedBasis> {
    let all: f64 = parts.iter().map(|part| part.time.secs()).sum();
    let share = |part: TimedBasis| {
        let share = if all > 0.0 { part.time.secs() / all } else { 0.0 };
        TimedBasis { time: time.scaled(share), ..part }
    };
    parts.into_iter().map(share).collect()
}
