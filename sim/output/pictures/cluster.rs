//! How full links are, on a drawing of the cluster.

use super::links::percent;
use crate::base::order::ascending;
use crate::base::units::LinkId;
use crate::output::plot::{Diagram, Place, Stretch};
use crate::output::report::shares;
use crate::topology::{Topology, VertexId, bend, layout};

/// The cluster drawn with its links shaded by how much of each is used.
#[must_use]
pub fn cluster_chart(topology: &Topology, bytes_per_s: &[f64], what: &str) -> Diagram {
    let share = shares(topology, bytes_per_s);
    let drawn = layout(topology);
    let ends = |link: &crate::topology::Link| {
        Some((drawn.at[link.from.0 as usize]?, drawn.at[link.to.0 as usize]?))
    };
    let links = (0..).map(LinkId).zip(topology.links()).zip(&share);
    let mut stretches: Vec<Stretch> = links
        .filter_map(|((id, link), &share)| {
            let name = || topology.link_name(id);
            ends(link).map(|(from, to)| Stretch {
                name: name(),
                from,
                by: bend(from, to),
                to,
                share,
            })
        })
        .collect();
    // The most used are drawn last, above the others.
    ascending(&mut stretches, |one| one.share);
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
        value: "% of the data sheet's bandwidth".to_owned(),
        size: drawn.size,
        places: places.collect(),
        stretches,
    }
}
