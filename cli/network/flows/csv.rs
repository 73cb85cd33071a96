//! A line for each flow.

use std::io::{self, Write};

use moesim::studies::flows::SolvedFlows;

pub(super) fn write(solved: &SolvedFlows<'_>, out: &mut dyn Write) -> io::Result<()> {
    let ends = solved.ends();
    let done = |gpu: u32| ends[gpu as usize].done_s().unwrap_or_default();
    writeln!(out, "source,destination,bytes,start_s,finish_s,source_done_s,destination_done_s")?;
    for (transfer, finish) in solved.traffic.iter().zip(&solved.solution.finish_s) {
        let (from, to, bytes) = (transfer.source, transfer.destination, transfer.bytes.0);
        write!(out, "{from},{to},{bytes},{},{finish:.12}", transfer.start_s)?;
        writeln!(out, ",{:.12},{:.12}", done(from), done(to))?;
    }
    Ok(())
}
