//! What `moesim flows` prints.

use std::io::{self, Write};

use super::FlowsResult;
use crate::base::statistics::{Rule, quantile_of_sorted};
use crate::base::units::SimDuration;
use crate::output::report::shared::table::{Column, Table, elided};
use crate::output::report::shared::wrapped::wrapped;

/// When a GPU has sent and received its last byte, in seconds; none if it has no byte to.
type Ends = (Option<f64>, Option<f64>);

/// The longest name of a link that leaves room for the rest of 80 columns.
const LINK: usize = 54;

/// GPUs listed as the last to be done.
const LAST: usize = 8;

pub(super) fn write(result: &FlowsResult, out: &mut dyn Write) -> io::Result<()> {
    wrapped(out, "", &format!("{} flows over {}", result.flows, result.topology))?;
    result.poor_health.iter().try_for_each(|line| wrapped(out, "", line))?;
    result.degraded_for_a_time().iter().try_for_each(|line| wrapped(out, "", line))?;
    writeln!(out, "makespan          {}", time(result.makespan_s))?;
    writeln!(out, "lower bound       {}", time(result.lower_bound_s))?;
    writeln!(out, "engine            {}, {}", result.engine.name(), result.known_error())?;
    let (parts, distinct) = (result.parts, result.distinct_parts);
    // Where the makespan alone is wanted, those that cannot end last are not solved.
    let which = if result.sent_s.is_some() || parts == 1 { "different" } else { "solved" };
    writeln!(out, "independent parts {parts}, {distinct} of them {which}")?;
    if let (Some(sent), Some(received)) = (&result.sent_s, &result.arrival_s) {
        ends(sent, received, out)?;
    }
    let mut table = Table::of([Column::left(30), Column::left(12).after(1), Column::right(8)]);
    table.row(["busiest links", "class", "busy"]);
    for busy in &result.busiest_links {
        let percent = format!("{:.1} %", 100.0 * busy.busy_share);
        table.row([format!("  {}", elided(&busy.link, LINK)), busy.class.clone(), percent]);
    }
    writeln!(out)?;
    table.write(out)?;
    let by = result.upgrades_by.name();
    writeln!(out, "\nmakespan if a class of links were 10 % faster, {by}")?;
    for upgrade in &result.upgrades {
        // What rounds to nothing has no sign.
        let change = upgrade.makespan_change_percent_at_10_percent_faster;
        let change = if change.abs() < 5e-3 { 0.0 } else { change };
        writeln!(out, "  {:<28} {change:>+6.2} %", upgrade.class)?;
    }
    Ok(())
}

fn time(seconds: f64) -> SimDuration {
    SimDuration::from_secs(seconds.max(0.0))
}

/// When GPUs have received their last byte, and which are done last.
fn ends(sent: &[Option<f64>], received: &[Option<f64>], out: &mut dyn Write) -> io::Result<()> {
    let mut arrivals: Vec<f64> = received.iter().filter_map(|at| *at).collect();
    arrivals.sort_by(f64::total_cmp);
    if let (Some(first), Some(last)) = (arrivals.first(), arrivals.last()) {
        let median = quantile_of_sorted(&arrivals, 0.5, Rule::Upper).unwrap_or(*last);
        writeln!(
            out,
            "last byte at GPUs {} first, {} median, {} last",
            time(*first),
            time(median),
            time(*last)
        )?;
    }
    let pairs = sent.iter().copied().zip(received.iter().copied()).enumerate();
    let mut last: Vec<(usize, Ends)> = pairs.collect();
    let done = |(sent, received): Ends| sent.into_iter().chain(received).reduce(f64::max);
    last.sort_by(|a, b| {
        let [first, second] = [a, b].map(|gpu| done(gpu.1).unwrap_or_default());
        second.total_cmp(&first).then(a.0.cmp(&b.0))
    });
    let shown = |at: Option<f64>| at.map_or_else(|| "-".to_owned(), |at| time(at).to_string());
    writeln!(out, "\nlast GPUs to be done                      sent      received")?;
    for (gpu, (sent, received)) in last.iter().take(LAST).filter(|gpu| done(gpu.1).is_some()) {
        let [sent, received] = [*sent, *received].map(shown);
        writeln!(out, "  gpu{gpu:<25} {sent:>16}  {received:>12}")?;
    }
    Ok(())
}
