//! The closed form: every port drains its bytes at its full rate.
//!
//! An exchange starts when its last member has joined, at `t0`. With `D_l` the bytes over link `l`
//! and `c_l` what the link delivers (data-sheet bandwidth × efficiency), link `l` has drained after
//! `D_l / c_l`, and a flow is done when all links of its route have:
//!
//! ```text
//!   c_l     = B_l · η_class(l) · η_ecmp(flows on l, lanes of l)                   (1)
//!   T(i→j)  = max( max_{l ∈ route(i,j)} D_l / c_l ,  S_ij / B_pair )              (2)
//!   done_i  = t0 + startup_i + max over flows of i, out and in, of T              (3)
//! ```
//!
//! When all flows start together on a fabric that blocks only at its ports, the most loaded port
//! stays busy to the end under max–min fairness, almost: the last delivery of (3) is early by at most
//! about the time of one flow ([`Certificate`], docs/engine-error.md). What it leaves out:
//!
//! - *Order among flows.* A flow may end before the links it shares have drained, so deliveries of
//!   single ranks are late rather than early: hardly at all where everybody sends to the busiest
//!   receiver, twice the time where little traffic meets a busy sender. A sender waits for the busiest
//!   receiver it feeds, which is why (3) goes over flows and not over a rank's own ports.
//! - *Other exchanges.* Two exchanges in flight do not slow each other.
//! - *Staggered starts.* Early members wait for the last one.
//!
//! Bytes that stay on their GPU take no network. A member with nothing to send or to receive is
//! done at `t0`, without startup.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::rc::Rc;

use super::exchange::Volume;
use super::{
    Delivery, Exchange, ExchangeId, FlowNetwork, Forwarding, Network, NetworkRates, NetworkReport,
    Rates, Relayed, Startup, ecmp_efficiency,
};
use crate::base::units::{Bandwidth, Bytes, GpuId, LinkId, SimDuration, SimTime};
use crate::network::fluid::{Certificate, Engine};
use crate::topology::{LinkClass, Spread, Topology};
use routes::Routes;

mod routes;

/// Groups of up to this many members keep their routes; larger ones compute them each time.
const MAX_KEPT_MEMBERS: usize = 512;
/// Most work spent on measuring the error, as flows² of the exchanges solved as flows: under a second.
const MEASURING: u64 = 5_000_000;

/// A [`Network`] without sharing between exchanges: each port drains at its full rate.
#[derive(Debug)]
pub struct ClosedForm<'a> {
    topology: &'a Topology,
    rates: Rates,
    waiting: BTreeMap<ExchangeId, Waiting>,
    /// Soonest first.
    deliveries: BinaryHeap<Reverse<Delivery>>,
    routes: BTreeMap<Vec<GpuId>, Rc<Routes>>,
    /// Bytes and flows over each link, zero between exchanges.
    load: Vec<u64>,
    flows: Vec<u32>,
    drain: Vec<SimDuration>,
    /// What a flow takes at its fair share of each link, over its bytes.
    fair: Vec<f64>,
    touched: Vec<LinkId>,
    /// Transfers of the exchange that starts, and what its members wait for.
    transfers: Vec<Relayed>,
    of_members: (Vec<SlowestOf>, Vec<Volume>),
    /// Memory of exchanges that are done with: when members joined.
    joins: Vec<Vec<Option<SimTime>>>,
    /// Bytes over each link, all exchanges together.
    moved: Vec<u64>,
    busy_until: Vec<SimTime>,
    network_report: NetworkReport,
    /// Work that may still be spent on solving exchanges a second time.
    measuring_left: u64,
}

#[derive(Debug)]
struct Waiting {
    exchange: Exchange,
    joined: Vec<Option<SimTime>>,
    missing: usize,
}

/// The longest that a transfer of a member takes, and the longest of those whose bytes it passes on.
#[derive(Clone, Copy, Debug, Default)]
struct SlowestOf {
    any: SimDuration,
    fed: SimDuration,
}

impl<'a> ClosedForm<'a> {
    /// A network of these links that deliver these rates.
    #[must_use]
    pub fn new(topology: &'a Topology, rates: impl Into<Rates>) -> Self {
        let links = topology.links().len();
        Self {
            topology,
            rates: rates.into(),
            waiting: BTreeMap::new(),
            deliveries: BinaryHeap::new(),
            routes: BTreeMap::new(),
            load: vec![0; links],
            flows: vec![0; links],
            drain: vec![SimDuration::ZERO; links],
            fair: vec![0.0; links],
            touched: Vec::new(),
            transfers: Vec::new(),
            of_members: Default::default(),
            joins: Vec::new(),
            moved: vec![0; links],
            busy_until: vec![SimTime::ZERO; links],
            network_report: NetworkReport::none(Engine::ClosedForm, None),
            measuring_left: MEASURING,
        }
    }

    /// The same without spending time on measuring its error.
    #[must_use]
    pub const fn unmeasured(mut self) -> Self {
        self.measuring_left = 0;
        self
    }

    /// The same in a sample that is this share of a run: as much of what may be spent on measuring, and one exchange at
    /// least, where a run could measure one.
    #[must_use]
    pub const fn of_share(mut self, share: f64) -> Self {
        self.measuring_left = (MEASURING as f64 * share) as u64;
        self
    }

    /// Schedules the deliveries of an exchange whose last member joined now.
    fn start(&mut self, now: SimTime, id: ExchangeId, waiting: &Waiting) {
        let exchange = &waiting.exchange;
        let members = exchange.members();
        let routes = self.routes_between(members);
        // Listed once: which cells of a matrix are transfers takes longer to find than to keep.
        self.transfers.clear();
        exchange.transfers().for_each(|transfer| self.transfers.push(transfer));
        self.drain_links(exchange, &routes);
        let startup = self.startup_of(exchange);
        let (mut slowest, mut volumes) = std::mem::take(&mut self.of_members);
        self.transfer_times(exchange, &routes, &startup, &mut slowest);
        exchange.volumes(&mut volumes);
        let mut last = SimDuration::ZERO;
        for (rank, (volume, slowest)) in volumes.iter().zip(&slowest).enumerate() {
            let after = time_of(*volume, slowest, routes.longest, &startup);
            last = last.max(after);
            self.deliveries.push(Reverse(Delivery { at: now + after, exchange: id, rank }));
        }
        self.of_members = (slowest, volumes);
        if last > SimDuration::ZERO {
            self.account(now, waiting, &routes, last);
        }
        for link in self.touched.drain(..) {
            self.moved[link.index()] += std::mem::take(&mut self.load[link.index()]);
            self.flows[link.index()] = 0;
        }
    }

    fn routes_between(&mut self, members: &[GpuId]) -> Rc<Routes> {
        if let Some(kept) = self.routes.get(members) {
            return Rc::clone(kept);
        }
        let routes = Rc::new(Routes::between(self.topology, members));
        if members.len() <= MAX_KEPT_MEMBERS {
            self.routes.insert(members.to_vec(), Rc::clone(&routes));
        }
        routes
    }

    /// Fills `drain` with `D_l / c_l` for every link that carries something.
    fn drain_links(&mut self, exchange: &Exchange, routes: &Routes) {
        for transfer in &self.transfers {
            routes.of(transfer).for_each(|link| {
                if self.flows[link.index()] == 0 {
                    self.touched.push(link);
                }
                self.load[link.index()] += transfer.bytes.0;
                self.flows[link.index()] += 1;
            });
        }
        let rates = self.rates.of(exchange.carries());
        for &link in &self.touched {
            let bytes = Bytes(self.load[link.index()]);
            let capacity = self.capacity_of(link, self.flows[link.index()], rates);
            self.drain[link.index()] = capacity.time_for(bytes);
        }
    }

    /// Equation (2) for every transfer: the slowest of each member, and what it gets to pass on.
    fn transfer_times(
        &self,
        exchange: &Exchange,
        routes: &Routes,
        startup: &Startup,
        slowest: &mut Vec<SlowestOf>,
    ) {
        let node = |rank: usize| self.topology.node_of(exchange.members()[rank]);
        slowest.clear();
        slowest.resize(exchange.members().len(), SlowestOf::default());
        for transfer in &self.transfers {
            let drained = routes.of(transfer).map(|link| self.drain[link.index()]).max();
            let alone = startup.pair_ceiling.map(|ceiling| ceiling.time_for(transfer.bytes));
            let time = drained.unwrap_or_default().max(alone.unwrap_or_default());
            for rank in [transfer.from, transfer.via, transfer.to] {
                slowest[rank].any = slowest[rank].any.max(time);
            }
            if exchange.is_first_hop(node(transfer.from) == node(transfer.to)) {
                let fed = &mut slowest[transfer.to].fed;
                *fed = (*fed).max(time);
            }
        }
        if exchange.forwarding() != Forwarding::None {
            for &Relayed { from, to, .. } in &self.transfers {
                if exchange.is_second_hop(node(from) == node(to)) {
                    slowest[to].any = slowest[to].any.max(slowest[from].fed);
                }
            }
        }
    }

    /// Equation (1).
    fn capacity_of(&self, id: LinkId, flows: u32, rates: &NetworkRates) -> Bandwidth {
        let link = &self.topology.links()[id.index()];
        let share = rates.efficiency.of(link.class);
        let hashed = match self.topology.spread() {
            Spread::Ecmp => ecmp_efficiency(flows, link.lanes),
            Spread::Spray => 1.0,
        };
        link.bandwidth_left().scaled(share * hashed)
    }

    fn startup_of(&self, exchange: &Exchange) -> Startup {
        let (members, rates) = (exchange.members(), self.rates.of(exchange.carries()));
        let node = |gpu: &GpuId| self.topology.node_of(*gpu);
        let together = members.windows(2).all(|pair| node(&pair[0]) == node(&pair[1]));
        if together { rates.within_node } else { rates.across_nodes }
    }

    /// Notes what is known of the error of an exchange that ends `last` after its last join.
    fn account(&mut self, now: SimTime, waiting: &Waiting, routes: &Routes, last: SimDuration) {
        let exchange = &waiting.exchange;
        let (flows, mut inner) = (self.transfers.len() as u64, SimDuration::ZERO);
        let (mut largest, mut latest) = (0, 0.0_f64);
        let busiest = self.touched.iter().copied().max_by_key(|link| self.drain[link.index()]);
        for link in &self.touched {
            let l = link.index();
            let (drain, load) = (self.drain[l].secs(), (self.load[l] as f64).max(1.0));
            self.fair[l] = drain * f64::from(self.flows[l]) / load;
        }
        for transfer in &self.transfers {
            let hops = routes.of(transfer).count();
            routes.of(transfer).enumerate().for_each(|(hop, link)| {
                if Some(link) == busiest {
                    largest = largest.max(transfer.bytes.0);
                }
                latest = latest.max(transfer.bytes.0 as f64 * self.fair[link.index()]);
                // Behind a relay, ports lie in the middle of a route.
                if hop > 0 && hop + 1 < hops && !self.is_port(link) {
                    inner = inner.max(self.drain[link.index()]);
                }
            });
        }
        let mut overlaps = false;
        for link in &self.touched {
            let busy = &mut self.busy_until[link.index()];
            overlaps |= *busy > now;
            *busy = (*busy).max(now + last);
        }
        let makespan = busiest.map_or(SimDuration::ZERO, |link| self.drain[link.index()]);
        let share = |part: SimDuration| part.secs() / makespan.secs().max(f64::MIN_POSITIVE);
        let first = waiting.joined.iter().flatten().min().copied().unwrap_or(now);
        let rates = self.rates.of(exchange.carries());
        let plain =
            rates.within_node.pair_ceiling.is_none() && rates.across_nodes.pair_ceiling.is_none();
        let (start_spread, inner_load) = (share(now - first), share(inner));
        let load = busiest.map_or(0, |link| self.load[link.index()]);
        let largest = largest as f64 / load.max(1) as f64;
        // Fair shares say nothing of flows that wait for others, nor of those that start before.
        let even = if exchange.forwarding() == Forwarding::None {
            latest / makespan.secs().max(f64::MIN_POSITIVE) - 1.0 + start_spread
        } else {
            f64::INFINITY
        };
        let certificate = Certificate { start_spread, inner_load, largest, even, plain };
        self.network_report.exchanges += 1;
        self.network_report.flows += flows;
        self.network_report.certified += u64::from(certificate.holds() && !overlaps);
        let cost = flows.saturating_mul(flows);
        if self.network_report.exchanges.is_power_of_two() && self.affords(cost) {
            let ended = self.as_flows(waiting);
            let (ours, theirs) = (now + last, ended.max(now));
            let difference = ours.ps() as f64 - theirs.ps() as f64;
            self.network_report.measure(difference / last.ps() as f64);
        }
    }

    /// Whether so much work may be spent on measuring, which it then is.
    fn affords(&mut self, cost: u64) -> bool {
        let first = self.network_report.measured == 0 && self.measuring_left > 0;
        let affords = cost <= if first { MEASURING } else { self.measuring_left };
        self.measuring_left = self.measuring_left.saturating_sub(if affords { cost } else { 0 });
        affords
    }

    fn is_port(&self, link: LinkId) -> bool {
        let class = self.topology.links()[link.index()].class;
        matches!(class, LinkClass::Nvlink | LinkClass::Xgmi | LinkClass::Pcie | LinkClass::Nic)
    }

    /// When the exchange's last delivery would be if flows started as soon as their ends have joined.
    fn as_flows(&self, waiting: &Waiting) -> SimTime {
        let mut flows = FlowNetwork::new(self.topology, self.rates);
        let id = ExchangeId(0);
        flows.open(id, waiting.exchange.clone());
        let mut joins: Vec<(SimTime, usize)> =
            waiting.joined.iter().flatten().copied().zip(0..).collect();
        joins.sort_unstable();
        joins.iter().for_each(|&(at, rank)| flows.join(at, id, rank));
        let mut delivered = Vec::new();
        while let Some(due) = flows.next_delivery() {
            flows.deliver(due, &mut delivered);
        }
        delivered.iter().map(|delivery| delivery.at).max().unwrap_or(SimTime::ZERO)
    }
}

/// Equation (3) for a member that exchanges these bytes with so many others, from `t0` on.
fn time_of(
    volume: Volume,
    slowest: &SlowestOf,
    longest: SimDuration,
    startup: &Startup,
) -> SimDuration {
    if volume.peers == 0 {
        return SimDuration::ZERO;
    }
    startup.time_of(volume.bytes(), volume.peers, longest) + slowest.any
}

impl Network for ClosedForm<'_> {
    fn open(&mut self, id: ExchangeId, exchange: Exchange) {
        let missing = exchange.members().len();
        let mut joined = self.joins.pop().unwrap_or_default();
        joined.resize(missing, None);
        let old = self.waiting.insert(id, Waiting { exchange, joined, missing });
        assert!(old.is_none(), "exchange {} is open already", id.0);
    }

    fn join(&mut self, now: SimTime, id: ExchangeId, rank: usize) {
        let Some(waiting) = self.waiting.get_mut(&id) else {
            panic!("rank {rank} joins exchange {}, which is not open", id.0)
        };
        let twice = waiting.joined[rank].replace(now);
        assert!(twice.is_none(), "rank {rank} joins exchange {} twice", id.0);
        waiting.missing -= 1;
        if waiting.missing == 0
            && let Some(mut waiting) = self.waiting.remove(&id)
        {
            self.start(now, id, &waiting);
            waiting.joined.clear();
            self.joins.push(waiting.joined);
        }
    }

    fn next_delivery(&mut self) -> Option<SimTime> {
        self.deliveries.peek().map(|Reverse(delivery)| delivery.at)
    }

    fn deliver(&mut self, now: SimTime, delivered: &mut Vec<Delivery>) {
        while let Some(&Reverse(first)) = self.deliveries.peek() {
            if first.at > now {
                break;
            }
            self.deliveries.pop();
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
