//! Exchanges as flows that share links, whatever else is in flight.
//!
//! A flow starts when both its ends have joined and their startup has passed, and from then on has
//! its weighted max–min fair share of every link it crosses, together with the flows of all other
//! exchanges (see [`crate::network::fluid::Sharing`]). A member is done when its last flow has ended.
//!
//! ```text
//!   start(i→j) = max(join_i, join_j) + max(startup_i, startup_j)                  (1)
//!   done_i     = max over flows of i, out and in, of their ends                   (2)
//! ```
//!
//! Links deliver what they do for the kind of exchange (dispatch, combine, other) that gets most of
//! them, `η_l`. A flow of a kind that gets `η'_l` takes as long as one of more bytes,
//!
//! ```text
//!   S' = S · max over links l of its route of η_l / η'_l                           (3)
//! ```
//!
//! Startup is that of [`NetworkRates`] for the bytes and peers of the member in this exchange. A
//! member without bytes for or from others is done when the last member has joined, as in the closed
//! form. Each start and each end computes the rates of the flows connected to it anew. Quantised to ε, ends
//! are grouped (see [`crate::network::fluid::Sharing`]), and so are starts: (1) is rounded up to a multiple of
//! the largest power of two of picoseconds within `κ·ε` of the flow's startup, which no exchange undercuts.
//!
//! Times inside are seconds in double precision; deliveries are rounded up to a picosecond.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Carries, Delivery, Exchange, ExchangeId, Network, NetworkReport, Rates, Relayed,
    ecmp_efficiency,
};
use crate::base::units::{Bandwidth, LinkId, SimDuration, SimTime};
use crate::network::fluid::{Engine, HELD, ROUNDING, Sharing};
use crate::topology::{ByClass, Spread, Topology};

/// A [`Network`] whose exchanges share links.
#[derive(Debug)]
pub struct FlowNetwork<'a> {
    topology: &'a Topology,
    rates: Rates,
    /// The highest efficiency of each class of link, over kinds of exchange: what links deliver.
    efficiency: ByClass<f64>,
    sharing: Sharing,
    /// Share of a flow's startup by which its start may be late, so that starts fall together.
    start_share: f64,
    exchanges: BTreeMap<ExchangeId, InFlight>,
    /// All flows since the network was idle last.
    flows: Vec<Flow>,
    /// Flows that wait for their startup.
    starting: BTreeSet<(SimTime, u32)>,
    due: BTreeSet<Delivery>,
    /// Flows on each trunk whose lanes are chosen by hash.
    hashed: BTreeMap<LinkId, u32>,
    route: Vec<LinkId>,
    /// Bytes over each link, all exchanges together.
    moved: Vec<u64>,
    network_report: NetworkReport,
}

#[derive(Clone, Copy, Debug)]
struct Flow {
    exchange: ExchangeId,
    transfer: Relayed,
    /// When all its ends had joined.
    joined: SimTime,
}

#[derive(Debug)]
struct InFlight {
    exchange: Exchange,
    joined: Vec<Option<SimTime>>,
    missing: usize,
    startup: Vec<SimDuration>,
    ceiling: Option<Bandwidth>,
    /// Flows of each member, out, in and passed on, that have not ended.
    left: Vec<u32>,
    /// Flows into each member that it passes on and that have not ended.
    fed: Vec<u32>,
    /// The members that pass something on to each member.
    feeders: Vec<Vec<usize>>,
    delivered: Vec<bool>,
}

impl InFlight {
    /// Whether a member has all that it waits for, and did not before.
    fn is_newly_done(&mut self, rank: usize) -> bool {
        let done = !self.delivered[rank]
            && self.left[rank] == 0
            && self.feeders[rank].iter().all(|&feeder| self.fed[feeder] == 0);
        self.delivered[rank] |= done;
        done
    }
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

/// The first multiple at or after `at` of the largest power of two of picoseconds that is at most `within`.
fn grouped(at: SimTime, within: SimDuration) -> SimTime {
    match within.ps().checked_ilog2() {
        Some(bits) => {
            at.ps().checked_next_multiple_of(1 << bits).map_or(SimTime::MAX, SimTime::from_ps)
        }
        None => at,
    }
}

impl<'a> FlowNetwork<'a> {
    /// A network of these links that deliver these rates.
    #[must_use]
    pub fn new(topology: &'a Topology, rates: impl Into<Rates>) -> Self {
        let rates = rates.into();
        let efficiency = rates.best_efficiency();
        let delivered = topology
            .links()
            .iter()
            .map(|link| link.bandwidth_left().bytes_per_sec() * efficiency.of(link.class));
        Self {
            topology,
            rates,
            efficiency,
            sharing: Sharing::new(delivered.collect()),
            start_share: 0.0,
            exchanges: BTreeMap::new(),
            flows: Vec::new(),
            starting: BTreeSet::new(),
            due: BTreeSet::new(),
            hashed: BTreeMap::new(),
            route: Vec::new(),
            moved: vec![0; topology.links().len()],
            network_report: NetworkReport::none(Engine::Exact, Some(ROUNDING)),
        }
    }

    /// The same with ends of flows gathered to a relative error of about `epsilon`.
    #[must_use]
    pub fn quantised(mut self, epsilon: f64) -> Self {
        self.sharing = self.sharing.quantised(epsilon);
        self.start_share = HELD * epsilon;
        self.network_report = NetworkReport::none(Engine::Quantised, Some(epsilon));
        self
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

    /// Puts the route of a transfer into `self.route`, its relay's included.
    fn route_of(&mut self, id: ExchangeId, transfer: &Relayed) {
        let Some(InFlight { exchange, .. }) = self.exchanges.get(&id) else {
            panic!("a flow of exchange {}, which is not open", id.0)
        };
        let [from, via, to] =
            [transfer.from, transfer.via, transfer.to].map(|rank| exchange.members()[rank]);
        self.topology.route(from, via, &mut self.route);
        if via != to {
            let first = std::mem::take(&mut self.route);
            self.topology.route(via, to, &mut self.route);
            self.route.splice(0..0, first);
        }
    }

    fn start(&mut self, number: u32) {
        let Flow { exchange: id, transfer, joined } = self.flows[number as usize];
        self.route_of(id, &transfer);
        let InFlight { exchange, ceiling, .. } = &self.exchanges[&id];
        let slower = self.slower_by(exchange.carries());
        let ceiling = ceiling.map_or(f64::INFINITY, Bandwidth::bytes_per_sec) * slower;
        let bytes = transfer.bytes.0 as f64 * slower;
        let (load, from_s) = ((bytes, 1.0, ceiling), seconds(joined));
        self.sharing.start(number, &self.route, load, from_s);
        self.count_hashed(1);
    }

    /// Equation (3) for the route in `self.route`.
    fn slower_by(&self, carries: Carries) -> f64 {
        let own = &self.rates.of(carries).efficiency;
        let slower = |link: &LinkId| {
            let class = self.topology.links()[link.index()].class;
            self.efficiency.of(class) / own.of(class)
        };
        self.route.iter().map(slower).fold(1.0, f64::max)
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
                let share = self.efficiency.of(link.class);
                let hashed = ecmp_efficiency(*flows, link.lanes);
                let whole = link.bandwidth_left().bytes_per_sec();
                self.sharing.set_capacity(id, whole * share * hashed);
            }
        }
    }

    fn end(&mut self, at: SimTime, number: u32) {
        let Flow { exchange: id, transfer, .. } = self.flows[number as usize];
        if self.topology.spread() == Spread::Ecmp {
            self.route_of(id, &transfer);
            self.count_hashed(-1);
        }
        let node = |gpu| self.topology.node_of(gpu);
        let Some(open) = self.exchanges.get_mut(&id) else {
            panic!("flow {number} of exchange {}, which is not open", id.0)
        };
        let Relayed { from, via, to, .. } = transfer;
        for rank in [from, to].into_iter().chain((via != to).then_some(via)) {
            open.left[rank] -= 1;
        }
        let [first, last] = [from, to].map(|rank| node(open.exchange.members()[rank]));
        let mut waiting = vec![from, via, to];
        if open.exchange.is_first_hop(first == last) {
            open.fed[to] -= 1;
            if open.fed[to] == 0 {
                waiting
                    .extend((0..open.left.len()).filter(|&rank| open.feeders[rank].contains(&to)));
            }
        }
        for rank in waiting {
            if open.is_newly_done(rank) {
                self.due.insert(Delivery { at, exchange: id, rank });
            }
        }
        self.close_if_done(id);
    }

    fn close_if_done(&mut self, id: ExchangeId) {
        let done = |open: &InFlight| open.missing == 0 && open.delivered.iter().all(|&done| done);
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
        let own = self.rates.of(exchange.carries());
        let rates = if together { own.within_node } else { own.across_nodes };
        let (mut left, mut fed) = (vec![0; ranks], vec![0; ranks]);
        let mut feeders = vec![Vec::new(); ranks];
        let mut latency = vec![SimDuration::ZERO; ranks];
        let mut flows = 0;
        for Relayed { from, via, to, bytes } in exchange.transfers() {
            flows += 1;
            let mut after = SimDuration::ZERO;
            for (a, b) in [(from, via), (via, to)] {
                let ends = [a, b].map(|rank| exchange.members()[rank]);
                self.topology.route(ends[0], ends[1], &mut self.route);
                after += self.topology.latency(&self.route);
                for link in &self.route {
                    self.moved[link.index()] += bytes.0;
                }
            }
            for rank in [from, to].into_iter().chain((via != to).then_some(via)) {
                left[rank] += 1;
                latency[rank] = latency[rank].max(after);
            }
            let same_node = node(from) == node(to);
            fed[to] += u32::from(exchange.is_first_hop(same_node));
            if exchange.is_second_hop(same_node) {
                feeders[to].push(from);
            }
        }
        self.network_report.exchanges += u64::from(flows > 0);
        self.network_report.certified = self.network_report.exchanges;
        self.network_report.flows += flows;
        let mut volumes = vec![];
        exchange.volumes(&mut volumes);
        let startup = volumes
            .iter()
            .zip(&latency)
            .map(|(volume, &latency)| rates.time_of(volume.bytes(), volume.peers, latency))
            .collect();
        let (joined, ceiling) = (vec![None; ranks], rates.pair_ceiling);
        let delivered = vec![false; ranks];
        let open = InFlight {
            exchange,
            joined,
            missing: ranks,
            startup,
            ceiling,
            left,
            fed,
            feeders,
            delivered,
        };
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
        let direct = (0..ranks).filter(|&peer| peer != rank).flat_map(|peer| {
            let between =
                |from, to| Relayed { from, via: to, to, bytes: open.exchange.bytes(from, to) };
            [between(rank, peer), between(peer, rank)]
        });
        let relayed = open.exchange.relayed().iter().copied();
        let own = relayed.filter(|t| [t.from, t.via, t.to].contains(&rank));
        for transfer in direct.chain(own).filter(|transfer| transfer.bytes.0 > 0) {
            let ends = [transfer.from, transfer.via, transfer.to];
            if ends.iter().all(|&rank| open.joined[rank].is_some()) {
                let startup = ends.iter().map(|&rank| open.startup[rank]).max();
                let startup = startup.unwrap_or_default();
                let at = grouped(now + startup, startup.scaled(self.start_share));
                self.starting.insert((at, self.flows.len() as u32));
                self.flows.push(Flow { exchange: id, transfer, joined: now });
            }
        }
        if open.missing == 0 {
            for rank in 0..ranks {
                // Not one of those whose flows have all ended: they are done already.
                if open.is_newly_done(rank) {
                    self.due.insert(Delivery { at: now, exchange: id, rank });
                }
            }
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

    fn network_report(&self) -> NetworkReport {
        self.network_report
    }

    fn link_bytes(&self) -> &[u64] {
        &self.moved
    }
}
