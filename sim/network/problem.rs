//! Lays traffic over a topology: transfers → flows over links.
//!
//! A flow starts to use its links when the latency of its route has passed. Links deliver their
//! data-sheet bandwidth times the class's efficiency, and behind hashed lanes times what hashing
//! leaves of it for the flows that cross them (see [`super::ecmp_efficiency`]).
//!
//! Further limits of a flow, all optional: the channels that a library gives one pair of peers
//! (a ceiling by class of the slowest link), the SMs that drive a transfer,
//!
//! ```text
//!   u_f = min(B_pair, k_sm · SMs / flows of the sender)                           (1)
//! ```
//!
//! the cost `o` of posting a message before its first byte, and the size ramp `η(S) = S/(S + S½)`,
//! which counts as `S½` more bytes: `S/(B·η(S)) = (S + S½)/B`.

use super::NetworkRates;
use super::ecmp_efficiency;
use crate::base::units::{Bandwidth, GpuId, SimDuration};
use crate::network::fluid::Problem;
use crate::network::traffic::Traffic;
use crate::topology::{Spread, Topology};

mod degradation;

pub use degradation::LinkDegradation;
use degradation::degraded;

/// Memory that one flow over one link takes while it is solved, and that of each further link.
pub const BYTES_PER_FLOW: u64 = 60;
/// Memory of each link of a route.
pub const BYTES_PER_HOP: u64 = 4;

/// What the transport adds to the links.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Transport {
    /// What links deliver.
    pub rates: NetworkRates,
    /// `o`: before the first byte of every message.
    pub message_overhead: SimDuration,
    /// `S½`: the size at which a message gets half the rate.
    pub half_rate_bytes: f64,
    /// The most that SMs drive out of one GPU, `k_sm · SMs`, shared by its flows.
    pub driven: Option<Bandwidth>,
}

impl Transport {
    /// Links as their data sheets say and nothing else.
    pub const IDEAL: Self = Self {
        rates: NetworkRates::IDEAL,
        message_overhead: SimDuration::ZERO,
        half_rate_bytes: 0.0,
        driven: None,
    };
}

/// The flows of some traffic over a topology.
#[must_use]
pub fn build_problem(
    topology: &Topology,
    traffic: &Traffic,
    transport: &Transport,
    degradations: &[LinkDegradation],
) -> Problem {
    let links = topology.links();
    let delivered = links.iter().map(|link| {
        link.bandwidth_left().bytes_per_sec() * transport.rates.efficiency.of(link.class)
    });
    let mut problem = Problem::new(delivered.collect());
    let mut route = Vec::new();
    let hops = traffic.iter().next().map_or(0, |first| {
        topology.route(GpuId(first.source), GpuId(first.destination), &mut route);
        route.len().max(2)
    });
    problem.reserve(traffic.len(), traffic.len() * hops);
    let mut on_lanes = vec![0_u32; links.len()];
    let overhead = transport.message_overhead.secs();
    for transfer in traffic.iter() {
        topology.route(GpuId(transfer.source), GpuId(transfer.destination), &mut route);
        let mut bytes = transfer.bytes.0 as f64;
        if bytes > 0.0 && !route.is_empty() {
            bytes += transport.half_rate_bytes;
        }
        let start = transfer.start_s + topology.latency(&route).secs() + overhead;
        problem.add(&route, bytes, start);
        for link in route.iter().filter(|link| links[link.index()].lanes > 1) {
            on_lanes[link.index()] += 1;
        }
    }
    limit_flows(topology, traffic, transport, &mut problem);
    let problem = hash_onto_lanes(topology, &on_lanes, problem);
    degraded(topology, problem, degradations)
}

/// Equation (1).
fn limit_flows(
    topology: &Topology,
    traffic: &Traffic,
    transport: &Transport,
    problem: &mut Problem,
) {
    let (within, across) = (transport.rates.within_node, transport.rates.across_nodes);
    if transport.driven.is_none() && within.pair_ceiling.or(across.pair_ceiling).is_none() {
        return;
    }
    let mut flows_of = vec![0_u32; topology.gpus() as usize];
    if transport.driven.is_some() {
        traffic.iter().for_each(|transfer| flows_of[transfer.source as usize] += 1);
    }
    for (flow, transfer) in (0..).zip(traffic.iter()) {
        let [a, b] = [transfer.source, transfer.destination].map(|g| topology.node_of(GpuId(g)));
        let pair = if a == b { within.pair_ceiling } else { across.pair_ceiling };
        let own = transport
            .driven
            .map(|all| all.bytes_per_sec() / f64::from(flows_of[transfer.source as usize]));
        let pair = pair.map_or(f64::INFINITY, Bandwidth::bytes_per_sec);
        let ceiling = own.map_or(pair, |own| own.min(pair));
        if ceiling < f64::INFINITY {
            problem.set_ceiling(crate::base::units::FlowId(flow), ceiling);
        }
    }
}

fn hash_onto_lanes(topology: &Topology, flows: &[u32], problem: Problem) -> Problem {
    if topology.spread() == Spread::Spray {
        return problem;
    }
    let mut known = std::collections::BTreeMap::new();
    let mut capacity = problem.capacities().to_vec();
    for (l, link) in topology.links().iter().enumerate().filter(|(_, link)| link.lanes > 1) {
        let key = (flows[l], link.lanes);
        capacity[l] *= *known.entry(key).or_insert_with(|| ecmp_efficiency(key.0, key.1));
    }
    problem.with_capacities(capacity)
}
