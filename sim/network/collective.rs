//! Tokens and their destinations → the hops that an all-to-all algorithm makes of them.
//!
//! Token `t` of GPU `(n, i)` (node, index in the node) has experts on some GPUs; `R_t` are the
//! distinct ones among these, `N_t` their distinct nodes, `b` the bytes of one copy. Per token:
//!
//! | algorithm | hops |
//! |---|---|
//! | direct | `b` to the GPU of each expert, once for each expert (NCCL send/receive, DeepEP low latency) |
//! | pxn | as direct, but over the GPU of the sender's node on the receiver's rail [nccl] |
//! | one-sided | `b` to each of `R_t` (NVLink stores within a domain) |
//! | two-hop | `b` to each of `R_t` in the own node; `b` to `(m, i)` for each other node `m` of `N_t`, and from there `b` to each of `R_t` in `m` but `(m, i)` itself (DeepEP normal, Hybrid-EP) [deepep] |
//!
//! What stays on a GPU makes no hop. A combine is the same hops backwards: whoever forwarded adds up,
//! so one copy crosses between nodes. Forwarding is pipelined with the first hop in chunks, so
//! both hops are flows of the same time; filling the pipe is part of the measured startup.
//!
//! A group need not fill its nodes: where the GPU of the sender's rail is no member, the member of
//! that node takes its place whose turn it is when its members are dealt out to rails.
//!
//! Counts of distinct destinations come from the tokens themselves ([`Accounting::token`]) or, where
//! only numbers of slots are known, from their expectation ([`Accounting::expect`]): never from
//! bytes × (share of FFN slots), which promises too much saving.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::base::units::{Bytes, GpuId};

mod expected;

use expected::Grouping;
pub use expected::{Allowed, Chosen, expected_distinct, expected_distinct_over};

/// How an all-to-all moves its bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Algorithm {
    /// From sender to receiver, a copy for each expert.
    #[default]
    Direct,
    /// As direct, changing rails inside the sender's node.
    Pxn,
    /// A copy for each distinct GPU.
    OneSided,
    /// A copy for each distinct node, forwarded inside it.
    TwoHop,
}

impl Algorithm {
    /// The name in files and reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Pxn => "pxn",
            Self::OneSided => "one-sided",
            Self::TwoHop => "two-hop",
        }
    }
}

/// Bytes from one GPU to another over links that join them directly, or over `via`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hop {
    /// Who sends.
    pub from: GpuId,
    /// A GPU in between that passes on what it gets, where the way is not the fabric's own.
    pub via: Option<GpuId>,
    /// Who receives.
    pub to: GpuId,
    /// How much.
    pub bytes: Bytes,
}

/// What the tokens of a GPU chose, and the GPU that each expert is on.
#[derive(Clone, Copy, Debug)]
pub struct Sending<'a> {
    /// Whose tokens.
    pub source: GpuId,
    /// What they chose.
    pub chosen: Chosen<'a>,
    /// The GPU of each expert.
    pub owner: &'a [GpuId],
}

/// GPUs and nodes with experts, in order, and the places of each expert's among them.
struct Reached {
    gpus: Vec<u32>,
    nodes: Vec<u32>,
    groupings: Vec<Grouping>,
}

/// Adds up the hops of tokens.
#[derive(Clone, Debug)]
pub struct Accounting {
    algorithm: Algorithm,
    gpus_per_node: u32,
    members: Range<u32>,
    copy: Bytes,
    /// Copies by sender, relay and receiver; whole numbers where tokens are counted.
    copies: BTreeMap<(u32, Option<u32>, u32), f64>,
    distinct: Vec<u32>,
}

impl Accounting {
    /// Nothing yet; every copy of a token is of `copy` bytes, and every GPU may pass copies on.
    ///
    /// # Panics
    /// If a node has no GPUs.
    #[must_use]
    pub fn new(algorithm: Algorithm, gpus_per_node: u32, copy: Bytes) -> Self {
        assert!(gpus_per_node > 0, "a node of no GPUs");
        let members = 0..u32::MAX;
        let (copies, distinct) = (BTreeMap::new(), Vec::new());
        Self { algorithm, gpus_per_node, members, copy, copies, distinct }
    }

    /// The same for a group of these GPUs, which alone pass copies on.
    #[must_use]
    pub const fn among(mut self, members: Range<u32>) -> Self {
        self.members = members;
        self
    }

    /// A token of `source` has an expert on each of these GPUs; a GPU may stand there repeatedly.
    pub fn token(&mut self, source: GpuId, experts_on: &[GpuId]) {
        let from = source.0;
        match self.algorithm {
            Algorithm::Direct => {
                experts_on.iter().for_each(|to| self.hop(from, None, to.0, 1.0));
            }
            Algorithm::Pxn => {
                for to in experts_on {
                    let relay = self.on_rail_of(from, to.0);
                    let away = self.node_of(from) != self.node_of(to.0);
                    let via = (away && relay != from && relay != to.0).then_some(relay);
                    self.hop(from, via, to.0, 1.0);
                }
            }
            Algorithm::OneSided => {
                self.once_each(experts_on, |own, to| own.hop(from, None, to, 1.0))
            }
            Algorithm::TwoHop => {
                let mut last_node = None;
                self.once_each(experts_on, |own, to| {
                    let (home, node) = (own.node_of(from), own.node_of(to));
                    let entry = if node == home { from } else { own.on_rail_of(to, from) };
                    // Receivers come sorted, so those of one node follow each other.
                    if node != home && last_node != Some(node) {
                        own.hop(from, None, entry, 1.0);
                    }
                    last_node = Some(node);
                    own.hop(entry, None, to, 1.0);
                });
            }
        }
    }

    /// All hops so far, by sender, relay and receiver.
    #[must_use]
    pub fn hops(&self) -> Vec<Hop> {
        let hop = |(&(from, via, to), &copies): (&(u32, Option<u32>, u32), &f64)| Hop {
            from: GpuId(from),
            via: via.map(GpuId),
            to: GpuId(to),
            bytes: Self::bytes_of(copies, self.copy),
        };
        self.copies.iter().map(hop).collect()
    }

    /// The hops of the combine: backwards, with copies of `copy` bytes.
    #[must_use]
    pub fn combine(&self, copy: Bytes) -> Vec<Hop> {
        let hop = |(&(from, via, to), &copies): (&(u32, Option<u32>, u32), &f64)| Hop {
            from: GpuId(to),
            via: via.map(GpuId),
            to: GpuId(from),
            bytes: Self::bytes_of(copies, copy),
        };
        self.copies.iter().map(hop).collect()
    }

    /// The tokens of these GPUs chose so.
    ///
    /// # Panics
    /// If there is not an owner for each expert.
    pub fn expect(&mut self, of: &[Sending<'_>]) {
        if matches!(self.algorithm, Algorithm::Direct | Algorithm::Pxn) {
            return of.iter().for_each(|sending| self.expect_each_slot(sending));
        }
        let reached: Vec<Reached> = of.iter().map(|sending| self.reached(sending.owner)).collect();
        let groupings: Vec<(Chosen<'_>, Vec<Grouping>)> = of
            .iter()
            .zip(&reached)
            .map(|(sending, reached)| (sending.chosen, reached.groupings.clone()))
            .collect();
        let copies = expected::copies_of_each(&groupings);
        for ((sending, reached), copies) in of.iter().zip(&reached).zip(&copies) {
            self.expect_copies(sending.source.0, reached, copies);
        }
    }

    /// A copy for each slot.
    fn expect_each_slot(&mut self, Sending { source, chosen, owner }: &Sending<'_>) {
        let from = source.0;
        for (e, to) in owner.iter().enumerate() {
            let copies = chosen.slots[e] * (1.0 - chosen.dropped[e]);
            let relay = self.on_rail_of(from, to.0);
            let away = self.node_of(from) != self.node_of(to.0);
            let relayed = self.algorithm == Algorithm::Pxn && away;
            let via = (relayed && relay != from && relay != to.0).then_some(relay);
            self.hop(from, via, to.0, copies);
        }
    }

    /// What can be reached where experts are on these GPUs.
    fn reached(&self, owner: &[GpuId]) -> Reached {
        let gpus = distinct_in_order(owner.iter().map(|gpu| gpu.0));
        let nodes = distinct_in_order(gpus.iter().map(|&gpu| self.node_of(gpu)));
        let place = |among: &[u32], of: u32| among.binary_search(&of).unwrap_or_default();
        let by_gpu = owner.iter().map(|gpu| place(&gpus, gpu.0)).collect();
        let mut groupings = vec![Grouping { group_of: by_gpu, groups: gpus.len() }];
        if self.algorithm == Algorithm::TwoHop {
            let by_node = owner.iter().map(|gpu| place(&nodes, self.node_of(gpu.0))).collect();
            groupings.push(Grouping { group_of: by_node, groups: nodes.len() });
        }
        Reached { gpus, nodes, groupings }
    }

    /// The hops of these copies to each GPU that is reached, and where they are forwarded to each node.
    fn expect_copies(&mut self, from: u32, reached: &Reached, copies: &[Vec<f64>]) {
        let home = self.node_of(from);
        for (&to, &copies) in reached.gpus.iter().zip(copies.iter().take(1).flatten()) {
            let enters = self.algorithm == Algorithm::TwoHop && self.node_of(to) != home;
            let entry = if enters { self.on_rail_of(to, from) } else { from };
            self.hop(entry, None, to, copies);
        }
        for (&node, &copies) in reached.nodes.iter().zip(copies.iter().skip(1).flatten()) {
            if node != home {
                let entry = self.on_rail_of(node * self.gpus_per_node, from);
                self.hop(from, None, entry, copies);
            }
        }
    }

    fn hop(&mut self, from: u32, via: Option<u32>, to: u32, copies: f64) {
        if from != to && copies > 0.0 {
            *self.copies.entry((from, via, to)).or_insert(0.0) += copies;
        }
    }

    fn bytes_of(copies: f64, copy: Bytes) -> Bytes {
        // A cast from floating point stops at the largest number.
        Bytes((copies * copy.0 as f64).round() as u64)
    }

    /// Visits the distinct GPUs among these, in order of their numbers.
    fn once_each(&mut self, gpus: &[GpuId], mut visit: impl FnMut(&mut Self, u32)) {
        let mut distinct = std::mem::take(&mut self.distinct);
        distinct.clear();
        distinct.extend(gpus.iter().map(|gpu| gpu.0));
        distinct.sort_unstable();
        distinct.dedup();
        distinct.iter().for_each(|&gpu| visit(self, gpu));
        self.distinct = distinct;
    }

    const fn node_of(&self, gpu: u32) -> u32 {
        gpu / self.gpus_per_node
    }

    /// The member of one GPU's node with the other's index, or the one that stands in for it.
    fn on_rail_of(&self, of_node: u32, rail: u32) -> u32 {
        let (first, rail) = (of_node - of_node % self.gpus_per_node, rail % self.gpus_per_node);
        let wanted = first + rail;
        if self.members.contains(&wanted) {
            return wanted;
        }
        let low = first.max(self.members.start);
        let high = (first + self.gpus_per_node).min(self.members.end);
        if low < high { low + rail % (high - low) } else { wanted }
    }
}

fn distinct_in_order(of: impl Iterator<Item = u32>) -> Vec<u32> {
    let mut distinct: Vec<u32> = of.collect();
    distinct.sort_unstable();
    distinct.dedup();
    distinct
}
