//! How much of a cluster's links is used: by class and direction, and place by place.

use serde_json::{Value, json};

use crate::base::units::LinkId;
use crate::output::plot::{Diagram, Place, Stretch};
use crate::topology::{LinkClass, Topology, VertexId, VertexKind, bend, layout};

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

/// The share of its data-sheet bandwidth that each link carries, given bytes per second.
fn shares(topology: &Topology, bytes_per_s: &[f64]) -> Vec<f64> {
    let links = topology.links().iter().zip(bytes_per_s);
    links.map(|(link, bytes)| bytes / link.bandwidth.bytes_per_sec()).collect()
}

/// A share in percent, with a decimal where it is small.
pub(super) fn percent(share: f64) -> String {
    let percent = 100.0 * share;
    if percent < 10.0 { format!("{percent:.1}") } else { format!("{percent:.0}") }
}

/// The use of links as JSON: an object for each class and direction that carries anything.
#[must_use]
pub fn link_use(topology: &Topology, bytes_per_s: &[f64]) -> Value {
    let share = shares(topology, bytes_per_s);
    let of = |link: &LinkId| share.get(link.index()).copied().unwrap_or(0.0);
    let told = groups(topology).into_iter().filter_map(|group| {
        let busiest = group.links.iter().copied().max_by(|a, b| of(a).total_cmp(&of(b)))?;
        if of(&busiest) <= 0.0 {
            return None;
        }
        let each = group.links.len().div_ceil(MOST_PLACES);
        let mean = |links: &[LinkId]| links.iter().map(of).sum::<f64>() / links.len() as f64;
        let places: Vec<f64> =
            group.links.chunks(each).map(|own| (1e4 * mean(own)).round() / 1e4).collect();
        Some(json!({
            "class": group.class.name(),
            "from": group.from.name(),
            "to": group.to.name(),
            "links": group.links.len(),
            "gb_per_s_each": topology.links()[busiest.index()].bandwidth.gb_per_sec(),
            "mean_share": mean(&group.links),
            "max_share": of(&busiest),
            "busiest": topology.link_name(busiest),
            "links_a_place": each,
            "share_by_place": places,
        }))
    });
    Value::Array(told.collect())
}

/// The cluster drawn with its links shaded by how much of each is used.
#[must_use]
pub fn cluster_chart(topology: &Topology, bytes_per_s: &[f64], what: &str) -> Diagram {
    let share = shares(topology, bytes_per_s);
    let drawn = layout(topology);
    let ends = |link: &crate::topology::Link| {
        Some((drawn.at[link.from.0 as usize]?, drawn.at[link.to.0 as usize]?))
    };
    let links = topology.links().iter().zip(&share);
    let mut stretches: Vec<Stretch> = links
        .filter_map(|(link, &share)| {
            ends(link).map(|(from, to)| Stretch { from, by: bend(from, to), to, share })
        })
        .collect();
    // The most used are drawn last, above the others.
    stretches.sort_by(|a, b| a.share.total_cmp(&b.share));
    let vertices = (0..).map(VertexId).zip(&drawn.at);
    let places = vertices
        .filter_map(|(vertex, at)| Some(Place { name: topology.short_name(vertex), at: (*at)? }));
    let busiest = (0..share.len()).max_by(|&a, &b| share[a].total_cmp(&share[b]));
    let title = match busiest.filter(|&at| share[at] > 0.0) {
        Some(at) => format!(
            "{} is the busiest link: {} % of its bandwidth on average",
            topology.link_name(LinkId(at as u32)),
            percent(share[at])
        ),
        None => "No byte crosses a link".to_owned(),
    };
    let left_out = if drawn.gpus < topology.gpus() {
        format!("; {} of {} GPUs drawn", drawn.gpus, topology.gpus())
    } else {
        String::new()
    };
    Diagram {
        title,
        below: format!("{}, {what}{left_out}", topology.name()),
        value: "share of the data sheet's bandwidth".to_owned(),
        size: drawn.size,
        places: places.collect(),
        stretches,
    }
}
