//! NICs that have failed, and where their traffic goes.
//!
//! A NIC any of whose ports is down in either direction carries nothing. What its GPUs would send or receive through it
//! crosses the node's own links to the GPUs of the next NIC of the node that is up, counted onwards from it and around,
//! and goes through that one: as NCCL's PXN reaches a NIC by way of another GPU, and rail failover picks one
//! neighbour [nccl]. One neighbour takes all, so no port that is up carries less than before, and one carries up to twice
//! as much. On a fabric that keeps to rails both ends take the next rail on which both have a NIC.
//!
//! A link that flaps is down for a share of the time, for seconds at a time, much longer than a step: each seed of a run
//! draws whether its NIC is up or down throughout, from the stream `flap/LINK`. What would cut a node off is drawn again, from
//! `flap/LINK/again=N`: a job that a node has left runs no steps, so that steps know only what leaves it joined.

use std::collections::{BTreeMap, BTreeSet};

use rand::RngExt;

use crate::base::streams::Streams;
use crate::base::units::LinkId;
use crate::topology::{Link, LinkClass, Paths, Topology, Vertex, VertexKind};

/// NICs that are down, counted through all nodes.
#[derive(Clone, Debug, Default)]
pub(in crate::topology) struct Failed {
    nics: BTreeSet<u32>,
    per_node: u32,
}

impl Failed {
    /// Whether all NICs are up.
    pub fn none(&self) -> bool {
        self.nics.is_empty()
    }

    /// The NICs that carry the traffic from one to another, on one rail where the fabric keeps to them.
    pub fn stand_in(&self, to_rails: bool, [out, into]: [u32; 2]) -> [u32; 2] {
        if to_rails { self.rail(out, into) } else { [out, into].map(|nic| self.stands_in(nic)) }
    }

    /// The NIC that carries the traffic of this one.
    fn stands_in(&self, nic: u32) -> u32 {
        self.next(nic, |nic| !self.nics.contains(&nic))
    }

    /// The NICs of two nodes on one rail that carry the traffic between these two, which are on one rail.
    fn rail(&self, out: u32, into: u32) -> [u32; 2] {
        let first = into - into % self.per_node;
        let peer = |nic: u32| first + nic % self.per_node;
        let up = |nic: u32| !self.nics.contains(&nic) && !self.nics.contains(&peer(nic));
        let out = self.next(out, up);
        [out, peer(out)]
    }

    fn next(&self, nic: u32, up: impl Fn(u32) -> bool) -> u32 {
        let (own, first) = (nic % self.per_node, nic - nic % self.per_node);
        let mut onwards = (0..self.per_node).map(|step| first + (own + step) % self.per_node);
        onwards.find(|&nic| up(nic)).unwrap_or(nic)
    }
}

/// How often a seed draws what is down until all nodes are joined.
const MOST_DRAWS: u32 = 10_000;

/// Why links cannot be down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unroutable {
    /// The link's name.
    pub link: String,
    /// What was found.
    pub found: String,
    /// How to mend it.
    pub help: String,
}

impl Topology {
    /// The same cluster with the NICs at these links down, beside those that are.
    ///
    /// # Errors
    /// If one of the links is no NIC's port, or what would remain does not join all nodes.
    pub fn with_failed(mut self, links: &[LinkId]) -> Result<Self, Unroutable> {
        let links: Vec<LinkId> = links.iter().copied().chain(self.failed_links()).collect();
        let nics = self.nics_of(&links)?;
        if nics.is_empty() {
            return Ok(self);
        }
        let Paths::Structured { node, fabric } = &mut self.paths else { return Ok(self) };
        let failed = Failed { nics, per_node: node.nics() };
        let to_rails = fabric.keeps_to_rails();
        node.fail(failed.clone());
        let is_down =
            |link: &LinkId| self.nic_of(*link).is_some_and(|nic| failed.nics.contains(&nic));
        let down: Vec<LinkId> = (0..self.links.len() as u32).map(LinkId).filter(is_down).collect();
        for link in down {
            self.links[link.index()].health = 0.0;
        }
        self.check_joined(&links, &failed, to_rails)?;
        Ok(self)
    }

    /// The same cluster in which these links are down for a share of the time.
    ///
    /// # Errors
    /// As [`Self::with_failed`], were any one of them down.
    pub fn with_flapping(mut self, shares: BTreeMap<LinkId, f64>) -> Result<Self, Unroutable> {
        for &link in shares.keys() {
            let down: Vec<LinkId> = self.failed_links().chain([link]).collect();
            self.check(&down)?;
        }
        self.flapping = shares;
        Ok(self)
    }

    /// That the cluster stays joined with these links down.
    fn check(&self, down: &[LinkId]) -> Result<(), Unroutable> {
        let nics = self.nics_of(down)?;
        let Paths::Structured { node, fabric } = &self.paths else { return Ok(()) };
        let failed = Failed { nics, per_node: node.nics() };
        self.check_joined(down, &failed, fabric.keeps_to_rails())
    }

    /// Links that are down for a share of the time.
    #[must_use]
    pub const fn flapping(&self) -> &BTreeMap<LinkId, f64> {
        &self.flapping
    }

    /// The cluster as one seed finds it: whether each link that flaps is down is drawn.
    ///
    /// # Panics
    /// Never: what is drawn leaves all nodes joined.
    #[must_use]
    pub fn drawn(&self, streams: Streams) -> Self {
        let down: Vec<LinkId> =
            self.drawn_down(streams).into_iter().chain(self.failed_links()).collect();
        self.clone().with_failed(&down).expect("drawn so that all nodes are joined")
    }

    /// The links that flap and that one seed finds down.
    #[must_use]
    pub fn drawn_down(&self, streams: Streams) -> Vec<LinkId> {
        let draw = |again: u32| -> Vec<LinkId> {
            let down = |(&link, &share): (&LinkId, &f64)| {
                let name = format!("flap/{}", self.link_name(link));
                let name = if again == 0 { name } else { format!("{name}/again={again}") };
                let drawn: f64 = streams.named(&name).random();
                (drawn < share).then_some(link)
            };
            self.flapping.iter().filter_map(down).collect()
        };
        let joined = |down: &Vec<LinkId>| {
            let all: Vec<LinkId> = down.iter().copied().chain(self.failed_links()).collect();
            self.check(&all).is_ok()
        };
        // Shares near one cut nodes off nearly always: then nothing that flaps is down.
        (0..MOST_DRAWS).map(draw).find(joined).unwrap_or_default()
    }

    /// Links that are down.
    fn failed_links(&self) -> impl Iterator<Item = LinkId> {
        self.sick_links().filter(|(_, left)| *left == 0.0).map(|(link, _)| link)
    }

    /// What a ring through the NICs of the worst node gets of them, in bytes per second for each of its NICs: with all at
    /// the rate of the slowest, or without the slowest, whichever is most, as NCCL's search for rings has it [nccl].
    #[must_use]
    pub fn ring_rate(&self) -> Option<f64> {
        let Paths::Structured { node, .. } = &self.paths else { return self.slowest_nic() };
        let per_node = node.nics().max(1);
        let mut of_nic: BTreeMap<u32, f64> = BTreeMap::new();
        for (id, link) in (0..).map(LinkId).zip(&self.links) {
            let Some(nic) = self.nic_of(id) else { continue };
            let rate = link.bandwidth_left().bytes_per_sec();
            of_nic.entry(nic).and_modify(|own| *own = own.min(rate)).or_insert(rate);
        }
        let mut of_node: BTreeMap<u32, Vec<f64>> = BTreeMap::new();
        for (nic, rate) in of_nic {
            of_node.entry(nic / per_node).or_default().push(rate);
        }
        let most = |mut rates: Vec<f64>| {
            rates.sort_by(|a, b| b.total_cmp(a));
            let all = rates.len() as f64;
            let through = rates.iter().zip(1..).map(|(rate, nics)| rate * (f64::from(nics) / all));
            through.fold(0.0, f64::max)
        };
        of_node.into_values().map(most).reduce(f64::min)
    }

    /// What the slowest NIC that is up has left, in bytes per second.
    fn slowest_nic(&self) -> Option<f64> {
        let nics =
            self.links.iter().filter(|link| link.class == LinkClass::Nic && link.health > 0.0);
        nics.map(|link| link.bandwidth_left().bytes_per_sec()).reduce(f64::min)
    }

    /// The NIC whose port a link is, if it is one: that of a GPU has its number.
    fn nic_of(&self, link: LinkId) -> Option<u32> {
        let Link { from, to, class, .. } = self.links[link.index()];
        let ends = [from, to].map(|end| self.vertices[end.0 as usize]);
        let is_end = |end: &&Vertex| matches!(end.kind, VertexKind::Gpu | VertexKind::Nic);
        ends.iter().find(is_end).filter(|_| class == LinkClass::Nic).map(|end| end.index)
    }

    /// The NICs that these links are ports of.
    fn nics_of(&self, links: &[LinkId]) -> Result<BTreeSet<u32>, Unroutable> {
        let detours = match &self.paths {
            Paths::Structured { node, .. } => node.joins_its_gpus() && node.nics() > 1,
            Paths::Explicit(_) => false,
        };
        let of = |link: &LinkId| {
            self.nic_of(*link).filter(|_| detours).ok_or_else(|| Unroutable {
                link: self.link_name(*link),
                found:
                    "cannot be down: only traffic of a node's NIC has another way, by a neighbour's"
                        .to_owned(),
                help: "give a share of at least 0.001, or leave the link out of a [graph]"
                    .to_owned(),
            })
        };
        links.iter().map(of).collect()
    }

    fn check_joined(
        &self,
        links: &[LinkId],
        failed: &Failed,
        to_rails: bool,
    ) -> Result<(), Unroutable> {
        let node_of = |nic: &u32| nic / failed.per_node;
        let mut down: BTreeMap<u32, BTreeSet<u32>> = BTreeMap::new();
        for nic in &failed.nics {
            down.entry(node_of(nic)).or_default().insert(nic % failed.per_node);
        }
        let refuse = |found: String| {
            let link = links.first().map(|link| self.link_name(*link)).unwrap_or_default();
            let help = "leave each node a NIC that is up".to_owned();
            Err(Unroutable { link, found, help })
        };
        let all = failed.per_node as usize;
        if let Some((node, _)) = down.iter().find(|(_, own)| own.len() == all) {
            return refuse(format!(
                "leaves node {node} without a NIC: all of its {all} would be down"
            ));
        }
        let apart = |(a, own): (&u32, &BTreeSet<u32>)| {
            let other = down.iter().find(|(_, other)| own.union(other).count() == all);
            other.map(|(b, _)| (*a, *b))
        };
        match down.iter().find_map(apart).filter(|_| to_rails) {
            Some((a, b)) => {
                refuse(format!("leaves nodes {a} and {b} without a rail on which both have a NIC"))
            }
            None => Ok(()),
        }
    }
}
