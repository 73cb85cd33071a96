//! What exchanges and the kernels beside them take of each other.
//!
//! An exchange holds k of a GPU's S SMs. Its bytes go through that GPU's memory: what leaves is read and copied into a
//! buffer that the link is fed from, what arrives is written into one and copied out [deepep; nccl], four
//! times for each byte. Under an even choice of experts a GPU sends V_l bytes over the links of class l, at its share c_l of
//! what these deliver, once the exchange has started, which takes α, so that
//!
//! ```text
//!   G = 4·Σ_l V_l / (α + max_l (V_l / c_l))   bytes a second that it asks of memory, W at most       (1)
//!   bound by tiles    S / (S − k)                                                                (2)
//!   bound by memory   1 + G/W                                                                    (3)
//!   exchange          1 + G/W beside kernels bound by memory, 1 beside others                    (4)
//! ```
//!
//! W is the memory's bandwidth. A kernel that memory binds asks for all of it, and the controllers serve requests as they
//! come, so each gets its share of what is asked in all: (3) and (4). In decode products read weights and are bound by
//! memory too. Collectives between replicas have their own rate for G.
//!
//! G is the mean over the exchange from its last join on, as kernels are stretched all along it: so what they lose to its bytes is
//! the same however fast the links are. Before, while it waits for members, it holds its SMs and moves nothing.
//!
//! Left out: what kernels that tiles bind ask of memory, which together with an exchange stays below W; queues in the L2
//! cache and at its crossbar; waiting for SMs that a kernel without a limit holds. DeepSeek's trace has exchanges 1.3 to
//! 1.8 times as long beside computation (docs/systems.md), of which (4) explains a small part.

use super::Inputs;
use crate::base::units::{Bytes, SimDuration};
use crate::execution::cost::{CollectiveTimes, Group};
use crate::execution::program::{Contention, Slowdown};
use crate::kernels::exchange::{ExchangeShape, Library};
use crate::kernels::profile::CollectiveOp;
use crate::network::collective::Algorithm;
use crate::network::{Balanced, Carries, NetworkRates, Rates};
use crate::topology::{LinkClass, Topology};
use crate::workload::{Dtype, Overlap, Phase, Workload};

/// SMs that NCCL's kernels hold where nothing else is known: 16 channels of one block each, its usual number within
/// a node of H100 [nccl].
pub const NCCL_SMS: u32 = 16;

/// A message that links bind, not what starts it.
const LARGE: Bytes = Bytes(1 << 30);

/// Times that a byte of an exchange goes through memory on a GPU that sends as much as it receives.
const TOUCHES: f64 = 4.0;

/// (2) to (4) for the dispatch and the combine of a workload, whose tokens travel so at these rates, by kernels that
/// hold so many SMs.
#[must_use]
pub fn of_exchanges(
    topology: &Topology,
    workload: &Workload,
    (rates, algorithm): (&Rates, Algorithm),
    sms: u32,
) -> [Contention; 2] {
    let batch = &workload.batch;
    let both = [(Carries::Dispatch, batch.dispatch_dtype), (Carries::Combine, batch.combine_dtype)];
    let products = if workload.phase() == Phase::Decode { Bound::Memory } else { Bound::Tiles };
    // What is reserved for the whole step is nothing that an exchange takes.
    let sms = if workload.stack.reserved { 0 } else { sms };
    both.map(|(carries, format)| {
        let sent = sent(topology, workload, algorithm, format);
        let rates = rates.of(carries);
        let asked = asked(topology, rates, sent, startup(rates, workload, algorithm, sent));
        contention(topology, sms, asked, products)
    })
}

/// The same for a run.
pub(super) fn of_run(inputs: &Inputs<'_>) -> [Contention; 2] {
    let sms = inputs.exchange_sms.unwrap_or(NCCL_SMS);
    of_exchanges(inputs.topology, inputs.workload, (&inputs.rates, inputs.all_to_all), sms)
}

/// The same for a collective that moves `bytes` from every member and to it in this time.
#[must_use]
pub fn of_collective(topology: &Topology, bytes: Bytes, time: SimDuration) -> Contention {
    let seconds = time.secs();
    let asked = if seconds > 0.0 { TOUCHES * bytes.0 as f64 / seconds } else { 0.0 };
    contention(topology, NCCL_SMS, asked, Bound::Tiles)
}

/// The same for what GPUs gather and scatter that experts are cut over, beside passes that overlap.
pub(super) fn of_cut(inputs: &Inputs<'_>, collectives: CollectiveTimes<'_>) -> Contention {
    let gpus = inputs.workload.layout.expert_tensor_parallel;
    let alone = inputs.workload.stack.overlap == Overlap::None && !inputs.counted.has_backward();
    if gpus < 2 || alone {
        return Contention::NONE;
    }
    let time = collectives.time(CollectiveOp::AllGather, Group { gpus, stride: 1 }, LARGE);
    of_collective(inputs.topology, LARGE, time)
}

/// What binds matrix products.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Bound {
    Tiles,
    Memory,
}

fn contention(topology: &Topology, sms: u32, asked: f64, products: Bound) -> Contention {
    let gpu = topology.gpu();
    let (all, held) = (f64::from(gpu.sms), f64::from(sms.min(gpu.sms.saturating_sub(1))));
    let memory = 1.0 + (asked / gpu.memory_bandwidth.bytes_per_sec()).min(1.0);
    let [waiting, arithmetic, beside] = match products {
        Bound::Tiles => [all / (all - held), all / (all - held), 1.0],
        Bound::Memory => [1.0, memory, memory],
    };
    Contention {
        waiting: Slowdown { arithmetic: waiting, memory: 1.0 },
        kernels: Slowdown { arithmetic, memory },
        meeting: Slowdown { arithmetic: beside, memory },
    }
}

/// Bytes that a GPU sends to others of its node, and to other nodes, under an even choice of experts.
fn sent(topology: &Topology, workload: &Workload, algorithm: Algorithm, format: Dtype) -> [f64; 2] {
    let group = workload.layout.expert_parallel;
    // Of the GPUs of a node, an all-to-all has one of each cut.
    let cut = workload.layout.expert_tensor_parallel;
    let per_node = (topology.gpus_per_node() / cut).max(1);
    let library = match algorithm {
        Algorithm::Direct | Algorithm::Pxn => Library::DeepEpLowLatency,
        Algorithm::OneSided => Library::NvlinkDomain,
        Algorithm::TwoHop => Library::DeepEpNormal,
    };
    let model = &workload.model;
    let shape = ExchangeShape {
        groups: group.div_ceil(per_node),
        hidden: model.hidden,
        top_k: workload.slots_per_round().min(model.experts.ffn),
        experts: model.experts.ffn,
        sms: 1,
        ranks: group.min(per_node),
    };
    // An exchange carries one part of a micro-batch, and starts up for it.
    let tokens = workload.batch.tokens_per_gpu / workload.stack.overlap.parts();
    let even = Balanced::of(library, shape, group, format.bytes() as f64, tokens);
    if algorithm == Algorithm::OneSided {
        let inside = group.min(per_node);
        return [inside.saturating_sub(1), group - inside]
            .map(|peers| f64::from(peers) * even.to_peer as f64);
    }
    [even.within(), even.leaving()].map(|bytes| bytes as f64)
}

/// α of a GPU that sends these bytes, in seconds. The latency of a route, where no start-up was measured, is left out.
fn startup(
    rates: &NetworkRates,
    workload: &Workload,
    algorithm: Algorithm,
    [within, leaving]: [f64; 2],
) -> f64 {
    let startup = if leaving > 0.0 { rates.across_nodes } else { rates.within_node };
    let peers = match algorithm {
        Algorithm::Direct | Algorithm::Pxn | Algorithm::OneSided => {
            u64::from(workload.layout.expert_parallel).saturating_sub(1)
        }
        // Start-ups of exchanges by relays are measured whole.
        Algorithm::TwoHop => 0,
    };
    startup.time_of(Bytes((within + leaving) as u64), peers, SimDuration::ZERO).secs()
}

/// (1), without its bound.
fn asked(
    topology: &Topology,
    rates: &NetworkRates,
    [within, leaving]: [f64; 2],
    startup: f64,
) -> f64 {
    use LinkClass::{Direct, Nic, Nvlink, Pcie, Xgmi};
    let drained = |bytes: f64, classes: &[LinkClass]| {
        let share = classes.iter().find_map(|&class| share_of_gpu(topology, rates, class));
        share.map_or(0.0, |share| bytes / share)
    };
    let time = drained(within, &[Nvlink, Xgmi, Pcie, Direct])
        .max(drained(leaving, &[Nic, Direct, Nvlink, Pcie]));
    if time > 0.0 { TOUCHES * (within + leaving) / (startup + time) } else { 0.0 }
}

/// What links of a class deliver one way, for each GPU, if the cluster has any; those between switches count for all that
/// pass them.
fn share_of_gpu(topology: &Topology, rates: &NetworkRates, class: LinkClass) -> Option<f64> {
    let links = topology.links().iter().filter(|link| link.class == class);
    let both_ways: f64 = links.map(|link| link.bandwidth_left().bytes_per_sec()).sum();
    let one_way = both_ways / 2.0 / f64::from(topology.gpus().max(1));
    (one_way > 0.0).then(|| one_way * rates.efficiency.of(class))
}
