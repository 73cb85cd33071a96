//! How much of a cluster's links is used: by class and direction, and place by place.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::base::units::LinkId;
use crate::topology::{LinkClass, Topology, VertexKind};

/// Most places of a group that are told apart; more are put together in equal numbers.
const MOST_PLACES: usize = 64;

/// Links of one class that lead from one kind of vertex to another.
struct Group {
    class: LinkClass,
    from: VertexKind,
    to: VertexKind,
    links: Vec<LinkId>,
}

fn groups(topology: &Topology) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for (at, link) in topology.links().iter().enumerate() {
        let kind = |end: crate::topology::VertexId| topology.vertices()[end.0 as usize].kind;
        let (class, from, to) = (link.class, kind(link.from), kind(link.to));
        let own = groups.iter_mut().find(|g| (g.class, g.from, g.to) == (class, from, to));
        match own {
            Some(group) => group.links.push(LinkId(at as u32)),
            None => groups.push(Group { class, from, to, links: vec![LinkId(at as u32)] }),
        }
    }
    groups.sort_by_key(|group| (group.class, group.from, group.to));
    groups
}

/// The share that each link carries of what its data sheet and its health leave, given bytes per second.
pub(in crate::output) fn shares(topology: &Topology, bytes_per_s: &[f64]) -> Vec<f64> {
    let links = topology.links().iter().zip(bytes_per_s);
    links.map(|(link, bytes)| bytes / link.bandwidth_left().bytes_per_sec()).collect()
}

/// How full the links of one class and direction are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LinkGroup {
    /// The class of link.
    pub class: String,
    /// What they lead from.
    pub from: String,
    /// What they lead to.
    pub to: String,
    /// How many there are.
    pub links: usize,
    /// The bandwidth of the busiest that its health leaves, in GB/s.
    pub gb_per_s_each: f64,
    /// The share that a link carries of its data-sheet bandwidth times its health, mean over the group.
    pub mean_share: f64,
    /// The share of the busiest.
    pub max_share: f64,
    /// The busiest link's name.
    pub busiest: String,
    /// Links put together into one place.
    pub links_a_place: usize,
    /// Mean shares of places, from the first link to the last.
    pub share_by_place: Vec<f64>,
}

/// The use of links: a group for each class and direction that carries anything, given bytes per second.
#[must_use]
pub fn link_use(topology: &Topology, bytes_per_s: &[f64]) -> Vec<LinkGroup> {
    let share = shares(topology, bytes_per_s);
    let of = |link: &LinkId| share.get(link.index()).copied().unwrap_or(0.0);
    let told = groups(topology).into_iter().filter_map(|group| {
        let busiest = group.links.iter().copied().max_by(|a, b| of(a).total_cmp(&of(b)))?;
        if of(&busiest) <= 0.0 {
            return None;
        }
        let each = group.links.len().div_ceil(MOST_PLACES);
        let mean = |links: &[LinkId]| links.iter().map(of).sum::<f64>() / links.len() as f64;
        Some(LinkGroup {
            class: group.class.name().to_owned(),
            from: group.from.name().to_owned(),
            to: group.to.name().to_owned(),
            links: group.links.len(),
            gb_per_s_each: topology.links()[busiest.index()].bandwidth_left().gb_per_sec(),
            mean_share: mean(&group.links),
            max_share: of(&busiest),
            busiest: topology.link_name(busiest),
            links_a_place: each,
            share_by_place: group
                .links
                .chunks(each)
                .map(|own| (1e4 * mean(own)).round() / 1e4)
                .collect(),
        })
    });
    told.collect()
}
