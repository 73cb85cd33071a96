//! How full links are, as a grid: a row for each class and direction, a column for each place.

use super::Part;
use crate::config::Diagnostic;
use crate::output::plot::HeatMap;
use crate::output::report::link_use::percent;

/// Columns that every row is stretched to.
const COLUMNS: usize = 64;

/// The use of links in a result that has `link_use`: what `moesim flows` printed, or one workload of what
/// `moesim run` did, the one named or else the one whose links are fullest.
///
/// # Errors
/// If the result lacks what is drawn, or nothing crossed a link.
pub fn links_chart(result: &Part<'_>, workload: Option<&str>) -> Result<HeatMap, Diagnostic> {
    let (part, what) = if result.has("results") {
        fullest(result, workload)?
    } else {
        (result.clone(), format!("{} flows", result.number("flows")?))
    };
    let groups = part.list("link_use")?;
    if groups.is_empty() {
        let found = "no byte crosses a link: experts alone are counted, or all stay on their GPU";
        let help = "count moe-layer or model-forward: --set counted=moe-layer";
        return Err(Diagnostic::of(result.file, found, help));
    }
    let (mut rows, mut cells, mut most) = (Vec::new(), Vec::new(), None::<(f64, String)>);
    for group in &groups {
        let (from, to) = (group.text("from")?, group.text("to")?);
        let places = group.list("share_by_place")?;
        let shares: Vec<f64> = places.iter().filter_map(|place| place.value.as_f64()).collect();
        if shares.is_empty() {
            return Err(group.missing("share_by_place", "number"));
        }
        rows.push(format!("{} {from} → {to}", group.text("class")?));
        let columns = COLUMNS.max(shares.len());
        cells.push((0..columns).map(|c| 100.0 * shares[c * shares.len() / columns]).collect());
        let share = group.number("max_share")?;
        if most.as_ref().is_none_or(|(known, _)| share > *known) {
            most = Some((share, group.text("busiest")?.to_owned()));
        }
    }
    let (share, name) = most.unwrap_or_default();
    Ok(HeatMap {
        title: format!("{name} is the busiest link: {} % of its bandwidth", percent(share)),
        below: format!("{}, {what}; mean over the makespan", result.text("topology")?),
        x: "links of each kind, from the first to the last".to_owned(),
        y: String::new(),
        value: "% of the data sheet's bandwidth".to_owned(),
        columns: vec![String::new(); COLUMNS],
        rows,
        cells,
    })
}

/// The row of this workload, or that with the fullest link.
fn fullest<'a>(run: &Part<'a>, workload: Option<&str>) -> Result<(Part<'a>, String), Diagnostic> {
    let mut found: Option<(f64, Part<'a>)> = None;
    for row in run.list("results")? {
        if workload.is_some_and(|name| row.text("workload").is_ok_and(|own| own != name)) {
            continue;
        }
        let shares = row.list("link_use")?;
        let most = shares.iter().filter_map(|group| group.maybe("max_share")).fold(0.0, f64::max);
        if found.as_ref().is_none_or(|(known, _)| most > *known) {
            found = Some((most, row));
        }
    }
    let Some((_, row)) = found else {
        return Err(Diagnostic::of(run.file, "has no such workload", "leave --workload out"));
    };
    let what = super::spoken(row.text("workload")?, row.maybe("tau"));
    Ok((row, what))
}
