//! Exchanges as flows that share links, whatever else is in flight.
//!
//! A flow starts when both its ends have joined and their startup has passed, and from then on has
//! its weighted max–min fair share of every link it crosses, together with the flows of all other
//! exchanges (see [`crate::fluid`], exact engine). A member is done when its last flow has ended.
//!
//! ```text
//!   start(i→j) = max(join_i, join_j) + max(startup_i, startup_j)                  (1)
//!   done_i     = max over flows of i, out and in, of their ends                   (2)
//! ```
//!
//! Startup is that of [`NetworkRates`] for the bytes and peers of the member in this exchange. A
//! member without bytes for or from others is done when the last member has joined, as in the closed
//! form. Each start and end computes all rates anew, `O(flows in flight)`: a thousand GPUs in
//! one exchange are a matter for [`crate::fluid::solve`].
//!
//! Times inside are seconds in double precision; deliveries are rounded up to a picosecond.

use std::collections::{BTreeMap, BTreeSet};

use super::{Delivery, Exchange, ExchangeId, Network, NetworkRates, ecmp_efficiency};
use crate::fluid::Sharing;
use crate::topology::{Spread, Topology};
use crate::units::{Bandwidth, Bytes, LinkId, SimDuration, SimTime};

/// A [`Network`] whose exchanges share links.
#[derive(Debug)]
pub struct FlowNetwork<'a> {
    topology: &'a Topology,
    rates: NetworkRates,
    sharing: Sharing,
    exchanges: BTreeMap<ExchangeId, InFlight>,
    /// All flows since the network was idle last.
    flows: Vec<Flow>,
    /// Flows that wait for their startup.
    starting: BTreeSet<(SimTime, u32)>,
    due: BTreeSet<Delivery>,
    /// Flows on each trunk whose lanes are chosen by hash.
    hashed: BTreeMap<LinkId, u32>,
    route: Vec<LinkId>,
}

#[derive(Clone, Copy, Debug)]
struct Flow {
    exchange: ExchangeId,
    from: usize,
    to: usize,
}

#[derive(Debug)]
struct InFlight {
    exchange: Exchange,
    joined: Vec<Option<SimTime>>,
    missing: usize,
    startup: Vec<SimDuration>,
    ceiling: Option<Bandwidth>,
    /// Flows of each member, out and in, that have not ended.
    left: Vec<u32>,
}

/// Seconds of a time of the machine.
fn seconds(at: SimTime) -> f64 {
    at.since_start().secs()
}

/// The first picosecond at or after `at_s`, allowing for rounding of the seconds themselves.
fn instant(at_s: f64) -> SimTime {
    let ps = at_s * 1e12;
    let nearest = ps.round();
    SimTime::from_ps(if (ps - nearest).abs() <= ps * 1e-15 { nearest } else { ps.ceil() } as u64)
}

impl<'a> FlowNetwork<'a> {
    /// A network of these links that deliver these rates.
    #[must_use]
    pub fn new(topology: &'a Topology, rates: NetworkRates) -> Self {
        let delivered = topology
            .links()
            .iter()
            .map(|link| link.bandwidth.bytes_per_sec() * rates.efficiency.of(link.class));
        Self {
            topology,
            rates,
            sharing: Sharing::new(delivered.collect()),
            exchanges: BTreeMap::new(),
            flows: Vec::new(),
            starting: BTreeSet::new(),
            due: BTreeSet::new(),
            hashed: BTreeMap::new(),
            route: Vec::new(),
        }
    }

    /// Works through starts and ends of flows up to and including `now`.
    fn carry_to(&mut self, now: SimTime) {
        let mut ended = Vec::new();
        loop {
            let start = self.starting.first().map(|&(at, _)| at).filter(|&at| at <= now);
            let end = self.sharing.next_end_s().map(|at_s| (instant(at_s), at_s));
            let end = end.filter(|&(at, _)| at <= now);
            // An end at the time of a start comes first, so that it frees its links.
            let (at, at_s) = match (start, end) {
                (None, None) => break,
                (Some(start), Some((end, _))) if start < end => (start, seconds(start)),
                (Some(start), None) => (start, seconds(start)),
                (_, Some(end)) => end,
            };
            self.sharing.carry(at_s.max(self.sharing.now_s()), &mut ended);
            for flow in ended.drain(..) {
                self.end(at, flow);
            }
            while let Some(&(start, flow)) = self.starting.first()
                && start <= at
            {
                self.starting.pop_first();
                self.start(flow);
            }
        }
        if self.sharing.in_flight() == 0 && self.starting.is_empty() {
            self.flows.clear();
        }
    }

    fn start(&mut self, number: u32) {
        let Flow { exchange: id, from, to } = self.flows[number as usize];
        let Some(InFlight { exchange, ceiling, .. }) = self.exchanges.get(&id) else {
            panic!("flow {number} of exchange {}, which is not open", id.0)
        };
        let ends = [from, to].map(|rank| exchange.members()[rank]);
        self.topology.route(ends[0], ends[1], &mut self.route);
        let bytes = exchange.bytes(from, to).0 as f64;
        let ceiling = ceiling.map_or(f64::INFINITY, Bandwidth::bytes_per_sec);
        self.sharing.start(number, &self.route, bytes, 1.0, ceiling);
        self.count_hashed(1);
    }

    /// Counts a flow on or off the hashed trunks of `self.route`.
    fn count_hashed(&mut self, change: i32) {
        if self.topology.spread() == Spread::Spray {
            return;
        }
        for &id in &self.route {
            let link = self.topology.links()[id.index()];
            if link.lanes > 1 {
                let flows = self.hashed.entry(id).or_insert(0);
                *flows = flows.saturating_add_signed(change);
                let share = self.rates.efficiency.of(link.class);
                let hashed = ecmp_efficiency(*flows, link.lanes);
                self.sharing.set_capacity(id, link.bandwidth.bytes_per_sec() * share * hashed);
            }
        }
    }

    fn end(&mut self, at: SimTime, number: u32) {
        let Flow { exchange: id, from, to } = self.flows[number as usize];
        let Some(open) = self.exchanges.get_mut(&id) else {
            panic!("flow {number} of exchange {}, which is not open", id.0)
        };
        for rank in [from, to] {
            open.left[rank] -= 1;
            if open.left[rank] == 0 {
                self.due.insert(Delivery { at, exchange: id, rank });
            }
        }
        if self.topology.spread() == Spread::Ecmp {
            let ends = [from, to].map(|rank| open.exchange.members()[rank]);
            self.topology.route(ends[0], ends[1], &mut self.route);
            self.count_hashed(-1);
        }
        self.close_if_done(id);
    }

    fn close_if_done(&mut self, id: ExchangeId) {
        let done = |open: &InFlight| open.missing == 0 && open.left.iter().all(|&left| left == 0);
        if self.exchanges.get(&id).is_some_and(done) {
            self.exchanges.remove(&id);
        }
    }
}

impl Network for FlowNetwork<'_> {
    fn open(&mut self, id: ExchangeId, exchange: Exchange) {
        let ranks = exchange.members().len();
        let node = |rank: usize| self.topology.node_of(exchange.members()[rank]);
        let together = (1..ranks).all(|rank| node(rank) == node(0));
        let rates = if together { self.rates.within_node } else { self.rates.across_nodes };
        let (mut left, mut startup) = (Vec::with_capacity(ranks), Vec::with_capacity(ranks));
        for rank in 0..ranks {
            let mut own_flows = 0;
            let (mut out, mut into, mut peers) = (Bytes(0), Bytes(0), 0);
            let mut latency = SimDuration::ZERO;
            for peer in (0..ranks).filter(|&peer| peer != rank) {
                let (sent, received) = (exchange.bytes(rank, peer), exchange.bytes(peer, rank));
                out += sent;
                into += received;
                let flows = u32::from(sent.0 > 0) + u32::from(received.0 > 0);
                own_flows += flows;
                if flows > 0 {
                    peers += 1;
                    let ends = [rank, peer].map(|r| exchange.members()[r]);
                    self.topology.route(ends[0], ends[1], &mut self.route);
                    latency = latency.max(self.topology.latency(&self.route));
                }
            }
            left.push(own_flows);
            startup.push(rates.time_of(out.max(into), peers, latency));
        }
        let (joined, ceiling) = (vec![None; ranks], rates.pair_ceiling);
        let open = InFlight { exchange, joined, missing: ranks, startup, ceiling, left };
        let old = self.exchanges.insert(id, open);
        assert!(old.is_none(), "exchange {} is open already", id.0);
    }

    fn join(&mut self, now: SimTime, id: ExchangeId, rank: usize) {
        self.carry_to(now);
        let Some(open) = self.exchanges.get_mut(&id) else {
            panic!("rank {rank} joins exchange {}, which is not open", id.0)
        };
        assert!(open.joined[rank].is_none(), "rank {rank} joins exchange {} twice", id.0);
        open.joined[rank] = Some(now);
        open.missing -= 1;
        let ranks = open.joined.len();
        for peer in (0..ranks).filter(|&peer| peer != rank) {
            let Some(other) = open.joined[peer] else { continue };
            let at = now.max(other) + open.startup[rank].max(open.startup[peer]);
            for (from, to) in [(rank, peer), (peer, rank)] {
                if open.exchange.bytes(from, to).0 > 0 {
                    self.starting.insert((at, self.flows.len() as u32));
                    self.flows.push(Flow { exchange: id, from, to });
                }
            }
        }
        if open.missing == 0 {
            let idle = (0..ranks).filter(|&rank| {
                let all = (0..ranks).filter(|&peer| peer != rank);
                let bytes =
                    |peer| open.exchange.bytes(rank, peer).0 + open.exchange.bytes(peer, rank).0;
                all.map(bytes).all(|bytes| bytes == 0)
            });
            self.due.extend(idle.map(|rank| Delivery { at: now, exchange: id, rank }));
            self.close_if_done(id);
        }
    }

    fn next_delivery(&mut self) -> Option<SimTime> {
        let end = self.sharing.next_end_s().map(instant);
        let start = self.starting.first().map(|&(at, _)| at);
        let due = self.due.first().map(|delivery| delivery.at);
        [end, start, due].into_iter().flatten().min()
    }

    fn deliver(&mut self, now: SimTime, delivered: &mut Vec<Delivery>) {
        self.carry_to(now);
        while let Some(&first) = self.due.first()
            && first.at <= now
        {
            self.due.pop_first();
            delivered.push(first);
        }
    }
}
