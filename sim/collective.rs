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
//! Counts of distinct destinations come from the tokens themselves. Where only numbers of slots are
//! known, [`expected_distinct`] is the exact expectation for a balanced gate that picks `k` of `E`
//! experts without repetition, `E/G` in each of `G` groups:
//!
//! ```text
//!   E[distinct] = G·(1 − C(E − E/G, k) / C(E, k))                                 (1)
//! ```
//!
//! With zero-computation experts `k` varies from token to token; the expectation is taken over its
//! law, because (1) is concave: bytes × (share of FFN slots) would promise too much saving.

use std::collections::BTreeMap;

use crate::units::{Bytes, GpuId};

/// How an all-to-all moves its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// From sender to receiver, a copy for each expert.
    Direct,
    /// As direct, changing rails inside the sender's node.
    Pxn,
    /// A copy for each distinct GPU.
    OneSided,
    /// A copy for each distinct node, forwarded inside it.
    TwoHop,
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

/// Adds up the hops of tokens.
#[derive(Clone, Debug)]
pub struct Accounting {
    algorithm: Algorithm,
    gpus_per_node: u32,
    copy: Bytes,
    /// Copies by sender, relay and receiver.
    copies: BTreeMap<(u32, Option<u32>, u32), u64>,
    distinct: Vec<u32>,
}

impl Accounting {
    /// Nothing yet; every copy of a token is of `copy` bytes.
    ///
    /// # Panics
    /// If a node has no GPUs.
    #[must_use]
    pub fn new(algorithm: Algorithm, gpus_per_node: u32, copy: Bytes) -> Self {
        assert!(gpus_per_node > 0, "a node of no GPUs");
        Self { algorithm, gpus_per_node, copy, copies: BTreeMap::new(), distinct: Vec::new() }
    }

    /// A token of `source` has an expert on each of these GPUs; a GPU may stand there repeatedly.
    pub fn token(&mut self, source: GpuId, experts_on: &[GpuId]) {
        let from = source.0;
        match self.algorithm {
            Algorithm::Direct => {
                experts_on.iter().for_each(|to| self.hop(from, None, to.0));
            }
            Algorithm::Pxn => {
                for to in experts_on {
                    let relay = self.on_rail_of(from, to.0);
                    let away = self.node_of(from) != self.node_of(to.0);
                    self.hop(from, (away && relay != from).then_some(relay), to.0);
                }
            }
            Algorithm::OneSided => self.once_each(experts_on, |own, to| own.hop(from, None, to)),
            Algorithm::TwoHop => {
                let mut last_node = None;
                self.once_each(experts_on, |own, to| {
                    let (home, node) = (own.node_of(from), own.node_of(to));
                    let entry = if node == home { from } else { own.on_rail_of(to, from) };
                    // Receivers come sorted, so those of one node follow each other.
                    if node != home && last_node != Some(node) {
                        own.hop(from, None, entry);
                    }
                    last_node = Some(node);
                    own.hop(entry, None, to);
                });
            }
        }
    }

    /// All hops so far, by sender, relay and receiver.
    #[must_use]
    pub fn hops(&self) -> Vec<Hop> {
        let hop = |(&(from, via, to), &copies): (&(u32, Option<u32>, u32), &u64)| Hop {
            from: GpuId(from),
            via: via.map(GpuId),
            to: GpuId(to),
            bytes: Bytes(copies.saturating_mul(self.copy.0)),
        };
        self.copies.iter().map(hop).collect()
    }

    /// The hops of the combine: backwards, with copies of `copy` bytes.
    #[must_use]
    pub fn combine(&self, copy: Bytes) -> Vec<Hop> {
        let hop = |(&(from, via, to), &copies): (&(u32, Option<u32>, u32), &u64)| Hop {
            from: GpuId(to),
            via: via.map(GpuId),
            to: GpuId(from),
            bytes: Bytes(copies.saturating_mul(copy.0)),
        };
        self.copies.iter().map(hop).collect()
    }

    fn hop(&mut self, from: u32, via: Option<u32>, to: u32) {
        if from != to {
            *self.copies.entry((from, via, to)).or_insert(0) += 1;
        }
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

    /// The GPU of one GPU's node with the other's index.
    const fn on_rail_of(&self, of_node: u32, rail: u32) -> u32 {
        of_node - of_node % self.gpus_per_node + rail % self.gpus_per_node
    }
}

/// How many of `groups` equal groups of `experts` a token with `slots` distinct experts touches on
/// average under a balanced gate, equation (1).
///
/// # Panics
/// If the groups do not divide the experts or there are fewer experts than slots.
#[must_use]
pub fn expected_distinct(groups: u32, experts: u32, slots: u32) -> f64 {
    assert!(groups > 0 && experts.is_multiple_of(groups), "{groups} groups of {experts} experts");
    assert!(slots <= experts, "{slots} slots for {experts} experts");
    let elsewhere = experts - experts / groups;
    // C(elsewhere, k) / C(experts, k) as a product, which neither overflows nor cancels.
    let missed = (0..slots).fold(1.0, |missed, k| {
        missed * (f64::from(elsewhere) - f64::from(k)).max(0.0) / f64::from(experts - k)
    });
    f64::from(groups) * (1.0 - missed)
}

/// [`expected_distinct`] over a law of the number of slots: `law[k]` is the share of tokens with `k`.
#[must_use]
pub fn expected_distinct_over(groups: u32, experts: u32, law: &[f64]) -> f64 {
    let each =
        (0..).zip(law).map(|(slots, share)| share * expected_distinct(groups, experts, slots));
    each.sum()
}
