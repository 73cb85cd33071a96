//! Links and GPUs that are not in full health, in words.

use crate::base::order::ascending;
use crate::base::streams::Streams;
use crate::base::units::LinkId;
use crate::config::Scenario;
use crate::topology::Topology;

/// Most links or GPUs in poor health that are named.
const NAMED: usize = 4;

/// Which links and GPUs of a cluster are not in full health, in words; none where all are.
#[must_use]
pub(in crate::output) fn poor_health(topology: &Topology) -> Vec<String> {
    let gpus = topology.slow_gpus().iter().map(|(gpu, share)| (format!("gpu{}", gpu.0), *share));
    links_in_poor_health(topology)
        .into_iter()
        .chain(listed(gpus.collect(), "slow GPUs", "speed"))
        .chain(flapping(topology))
        .collect()
}

/// Which links of a cluster are not in full health, in words.
#[must_use]
pub(in crate::output) fn links_in_poor_health(topology: &Topology) -> Option<String> {
    let links = topology.sick_links().map(|(link, share)| (topology.link_name(link), share));
    listed(links.collect(), "links in poor health", "bandwidth")
}

/// Which links are down for a share of the time, in words.
fn flapping(topology: &Topology) -> Option<String> {
    let said = |(link, share): (&LinkId, &f64)| {
        let percent = (1e5 * share).round() / 1e3;
        format!("{} for {percent} % of the time", topology.link_name(*link))
    };
    let all: Vec<String> = topology.flapping().iter().map(said).collect();
    (!all.is_empty()).then(|| format!("NICs down, seed by seed: {}", all.join(", ")))
}

/// What each seed of a scenario finds down of the links that flap, in words; none where none do.
pub(super) fn drawn_down(scenario: &Scenario) -> Option<String> {
    let topology = &scenario.topology;
    if topology.flapping().is_empty() {
        return None;
    }
    let of = |seed: u64| {
        let down = topology.drawn_down(Streams::new(seed));
        let names: Vec<String> = down.into_iter().map(|link| topology.link_name(link)).collect();
        (!names.is_empty()).then(|| format!("seed {seed}: {}", names.join(", ")))
    };
    let seeds = scenario.seeds.clone();
    let all: Vec<String> = seeds.clone().filter_map(of).collect();
    let shown = all.iter().take(SEEDS_NAMED).cloned().collect::<Vec<_>>().join("; ");
    let more = match all.len().saturating_sub(SEEDS_NAMED) {
        0 => String::new(),
        more => format!("; and {more} more"),
    };
    let (down, seeds) = (all.len(), seeds.count());
    let shown = if all.is_empty() { String::new() } else { format!(": {shown}{more}") };
    Some(format!("{down} of {seeds} seeds find NICs down{shown}"))
}

/// Seeds that are named with what they find down.
const SEEDS_NAMED: usize = 8;

/// What share of something a part has left, in words.
pub(in crate::output) fn at_share(name: &str, share: f64, of: &str) -> String {
    let percent = (1e5 * share).round() / 1e3;
    format!("{name} at {percent} % of its {of}")
}

/// The worst of some parts with the share of something that they have left.
fn listed(mut sick: Vec<(String, f64)>, what: &str, of: &str) -> Option<String> {
    ascending(&mut sick, |one| one.1);
    let said = |(name, share): &(String, f64)| at_share(name, *share, of);
    let (named, others) = sick.split_at(sick.len().min(NAMED));
    let named: Vec<String> = named.iter().map(said).collect();
    let more = match others.len() {
        0 => String::new(),
        more => format!(", and {more} more"),
    };
    (!sick.is_empty()).then(|| format!("{what}: {}{more}", named.join(", ")))
}
