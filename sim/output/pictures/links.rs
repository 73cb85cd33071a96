//! How full links are, as a grid: a row for each class and direction, a column for each place.

use crate::config::Diagnostic;
use crate::output::plot::HeatMap;
use crate::output::report::network::flows::FlowsResult;
use crate::output::report::study::{StudyResult, StudyRow};
use crate::output::report::{LinkGroup, spoken};

/// Columns that every row is stretched to.
const COLUMNS: usize = 64;

/// The use of links by one workload of a run: the one named, or else the one whose links are fullest.
///
/// # Errors
/// If there is no such workload, or nothing crossed a link; `place` says of which result.
pub fn links_chart(
    run: &StudyResult,
    workload: Option<&str>,
    place: &str,
) -> Result<HeatMap, Diagnostic> {
    let named = |row: &&StudyRow| workload.is_none_or(|name| row.workload.workload == name);
    let mut fullest: Option<&StudyRow> = None;
    for row in run.results.iter().filter(named) {
        if fullest.is_none_or(|known| row.fullest_link() > known.fullest_link()) {
            fullest = Some(row);
        }
    }
    let Some(row) = fullest else {
        return Err(Diagnostic::of(place, "has no such workload", "leave --workload out"));
    };
    let what = spoken(&row.workload.workload, row.tau());
    heat_map(&row.link_use, &run.topology, &what, place)
}

/// The use of links by flows.
///
/// # Errors
/// If nothing crossed a link; `place` says of which result.
pub fn flow_links_chart(flows: &FlowsResult, place: &str) -> Result<HeatMap, Diagnostic> {
    heat_map(&flows.link_use, &flows.topology, &format!("{} flows", flows.flows), place)
}

/// A share in percent, with a decimal where it is small.
pub(super) fn percent(share: f64) -> String {
    let percent = 100.0 * share;
    if percent < 10.0 { format!("{percent:.1}") } else { format!("{percent:.0}") }
}

fn heat_map(
    groups: &[LinkGroup],
    topology: &str,
    what: &str,
    place: &str,
) -> Result<HeatMap, Diagnostic> {
    let mut most: Option<&LinkGroup> = None;
    for group in groups {
        if most.is_none_or(|known| group.max_share > known.max_share) {
            most = Some(group);
        }
    }
    let Some(most) = most else {
        let found = "no byte crosses a link: experts alone are counted, or all stay on their GPU";
        let help = "count moe-layer or model-forward: --set counted=moe-layer";
        return Err(Diagnostic::of(place, found, help));
    };
    let stretched = |group: &LinkGroup| {
        let shares = &group.share_by_place;
        let columns = if shares.is_empty() { 0 } else { COLUMNS.max(shares.len()) };
        (0..columns).map(|c| 100.0 * shares[c * shares.len() / columns]).collect()
    };
    let name = |group: &LinkGroup| format!("{} {} → {}", group.class, group.from, group.to);
    Ok(HeatMap {
        title: format!(
            "{} is the busiest link: {} % of its bandwidth",
            most.busiest,
            percent(most.max_share)
        ),
        below: format!("{topology}, {what}; mean over the makespan"),
        x: "links of each kind, from the first to the last".to_owned(),
        y: String::new(),
        value: "% of the data sheet's bandwidth".to_owned(),
        columns: vec![String::new(); COLUMNS],
        rows: groups.iter().map(name).collect(),
        cells: groups.iter().map(stretched).collect(),
        up_to: Some(100.0),
    })
}
