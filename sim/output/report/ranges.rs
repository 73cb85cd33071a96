//! Where times and gains lie when calibration error is drawn too.

use std::io::{self, Write};

use crate::base::statistics::Range;
use crate::config::Scenario;
use crate::studies::study::Row;

/// Writes the range of each row's time and gain.
pub(super) fn write(out: &mut dyn Write, scenario: &Scenario, rows: &[Row]) -> io::Result<()> {
    let worlds = scenario.seeds.end - scenario.seeds.start;
    let cover = Range::COVERAGE * 100.0;
    writeln!(out, "{cover}% prediction interval, calibration error included")?;
    writeln!(out, "{:<6}{:>6} {:>6} {:>26} {:>20}", "model", "expts", "tau", "ms", "increase %")?;
    for row in rows {
        let Some(predicted) = row.predicted else { continue };
        let experts = row.workload.model.experts;
        let expts = format!("{}+{}", experts.ffn, experts.zero_computation.total());
        let tau = row.tau().map_or_else(|| "-".to_owned(), |tau| format!("{tau:.2}"));
        let name = &row.workload.model.name;
        let (time, gain) = (shown(predicted.time_ms), shown(predicted.increase_percent));
        writeln!(out, "{name:<6}{expts:>6} {tau:>6} {time:>26} {gain:>20}")?;
    }
    writeln!(out)?;
    writeln!(
        out,
        "{worlds} seeds, each with its own draw of every kernel and link family's error;"
    )?;
    writeln!(out, "vanilla and MoE++ of a pair meet the same draw.")?;
    writeln!(out)
}

fn shown(range: Option<Range>) -> String {
    range.map_or_else(|| "-".to_owned(), |r| format!("{:.1} to {:.1}", r.low, r.high))
}
