//! What nccl-tests and rccl-tests print.
//!
//! ```text
//!   # Collective test starting: alltoall_perf
//!   #  Rank  0 Group  0 Pid 173504 on  node1 device  0 [0x03] NVIDIA H100 80GB HBM3
//!   #       size         count      type   redop    root     time   algbw   busbw …
//!       1048576         32768     float    none      -1    58.14   18.04   15.78 …
//! ```
//!
//! Sizes count bytes as moesim's tables do. Where no line names the collective (before version 2.17), the ratio
//! busbw/algbw does, 2(n − 1)/n for an all-reduce; of the others it is (n − 1)/n, and the user names it.

use std::collections::BTreeSet;

use moesim::config::{Diagnostic, Source};
use moesim::kernels::measurements::CollectiveRow;
use moesim::kernels::profile::CollectiveOp;

use super::LogAs;

/// A collective at several sizes.
#[derive(Clone, Debug, PartialEq)]
pub struct CollectiveLog {
    /// Nodes that its GPUs are in.
    pub nodes: u32,
    /// What was timed.
    pub rows: Vec<CollectiveRow>,
}

/// A size, and what it took out of place.
struct Line {
    bytes: u64,
    us: f64,
    algbw: f64,
    busbw: f64,
}

pub(super) fn is_one(text: &str) -> bool {
    text.contains("# nThread") || (text.contains("algbw") && text.contains("busbw"))
}

pub(super) fn read(source: &Source, asked: LogAs<'_>) -> Result<CollectiveLog, Diagnostic> {
    let text = source.text();
    let refuse = |found: &str, help: &str| Diagnostic::of(source.name(), found, help);
    let time_at = time_column(text).ok_or_else(|| {
        let help =
            "give the whole of what the test printed, with its header `# size count type … time`";
        refuse("has no header that says where times stand", help)
    })?;
    let lines: Vec<Line> = text.lines().filter_map(|line| timed(line, time_at)).collect();
    if lines.is_empty() {
        let help = "give the whole of what the test printed, with a line for each size";
        return Err(refuse("has no line with a size and a time", help));
    }
    let (mut ranks, mut hosts) = (0, BTreeSet::new());
    for host in text.lines().filter_map(host_of_rank) {
        ranks += 1;
        hosts.insert(host);
    }
    let gpus = asked.gpus.or_else(|| Some(ranks).filter(|&ranks| ranks > 1)).ok_or_else(|| {
        let help = "say it with --gpus (and --nodes), or give a log with its lines `# Rank 0 … on HOST device …`";
        refuse("does not say how many GPUs took part", help)
    })?;
    let nodes = asked.nodes.or_else(|| u32::try_from(hosts.len()).ok().filter(|&n| n > 0));
    let nodes = nodes.ok_or_else(|| {
        refuse("does not say how many nodes its GPUs are in", "say it with --nodes")
    })?;
    if nodes == 0 || gpus < 2 || !gpus.is_multiple_of(nodes) {
        let found = format!("{gpus} GPUs in {nodes} nodes");
        return Err(refuse(&found, "give at least two GPUs, as many in every node"));
    }
    let op = op_of(source, asked.op, &lines, gpus)?;
    let row = |line: &Line| CollectiveRow { op, gpus, bytes: line.bytes, seconds: line.us * 1e-6 };
    Ok(CollectiveLog { nodes, rows: lines.iter().map(row).collect() })
}

/// `# Rank 0 Group 0 Pid 12 on HOST device 0 …`
fn host_of_rank(line: &str) -> Option<&str> {
    let rest = line.trim_start().strip_prefix('#')?.trim_start().strip_prefix("Rank")?;
    let mut words = rest.split_whitespace();
    words.by_ref().find(|word| *word == "on")?;
    words.next()
}

/// In which word of a line the time out of place stands, by the header.
fn time_column(text: &str) -> Option<usize> {
    let header = |line: &str| {
        let names: Vec<&str> = line.trim_start().strip_prefix('#')?.split_whitespace().collect();
        (names.first() == Some(&"size")).then(|| names.iter().position(|name| *name == "time"))?
    };
    text.lines().find_map(header)
}

/// A line of sizes and times, out of place.
fn timed(line: &str, time_at: usize) -> Option<Line> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let bytes: u64 = words.first()?.parse().ok()?;
    let number = |at: usize| words.get(at)?.parse::<f64>().ok().filter(|x| x.is_finite());
    let (us, algbw, busbw) = (number(time_at)?, number(time_at + 1)?, number(time_at + 2)?);
    (bytes > 0 && us > 0.0).then_some(Line { bytes, us, algbw, busbw })
}

const OPS: [(&str, CollectiveOp); 4] = [
    ("alltoall", CollectiveOp::AllToAll),
    ("all_gather", CollectiveOp::AllGather),
    ("reduce_scatter", CollectiveOp::ReduceScatter),
    ("all_reduce", CollectiveOp::AllReduce),
];

fn named(name: &str) -> Option<CollectiveOp> {
    let stem = name.trim_end_matches("_mpi").trim_end_matches("_perf");
    OPS.iter().find(|(known, _)| *known == stem).map(|(_, op)| *op)
}

fn op_of(
    source: &Source,
    asked: Option<&str>,
    lines: &[Line],
    gpus: u32,
) -> Result<CollectiveOp, Diagnostic> {
    let known = OPS.map(|(name, _)| name).join(", ");
    if let Some(name) = asked {
        return named(name).ok_or_else(|| {
            Diagnostic::of(
                "--op",
                format!("`{name}` is no collective"),
                format!("use one of {known}"),
            )
        });
    }
    let title = source.text().lines().enumerate().find_map(|(at, line)| {
        let name = line.split_once("Collective test starting:")?.1.trim();
        Some((at + 1, name.split_whitespace().next().unwrap_or_default()))
    });
    if let Some((line, name)) = title {
        return named(name).ok_or_else(|| {
            let found = format!("`{name}` is a test of a collective that moesim has no use for");
            Diagnostic::at_line(
                source.name(),
                (source.text(), line),
                found,
                format!("use one of {known}"),
            )
        });
    }
    // The largest size has the most digits.
    let ratio = lines.last().map_or(0.0, |line| line.busbw / line.algbw);
    let share = 1.0 - 1.0 / f64::from(gpus);
    if (ratio / (2.0 * share) - 1.0).abs() < 0.02 {
        return Ok(CollectiveOp::AllReduce);
    }
    let found = "does not say which collective it timed";
    Err(Diagnostic::of(source.name(), found, format!("say it with --op: {known}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "\
# nThread 1 nGpus 2 minBytes 1048576 maxBytes 2097152 step: 2(factor) warmup iters: 5 iters: 20\n\
#  Rank  0 Group  0 Pid 1 on  node1 device  0 [0x03] NVIDIA H100 80GB HBM3\n\
#  Rank  1 Group  0 Pid 1 on  node1 device  1 [0x16] NVIDIA H100 80GB HBM3\n\
#       size         count      type   redop    root     time   algbw   busbw #wrong     time   algbw   busbw #wrong\n\
     1048576        131072     float    none      -1    58.14   18.04    9.02      0    57.87   18.12    9.06    N/A\n\
     2097152        262144     float    none      -1    58.94   35.58   17.79      0    58.10   36.10   18.05    N/A\n\
# Avg bus bandwidth    : 13.5\n";

    fn read_as(text: &str, asked: LogAs<'_>) -> Result<CollectiveLog, Diagnostic> {
        read(&Source::built_in("log", text), asked)
    }

    #[test]
    fn a_log_tells_its_gpus_and_nodes_and_the_user_its_collective() {
        let missing = read_as(LOG, LogAs::default()).unwrap_err();
        assert!(missing.help.contains("--op"), "{missing}");
        let asked = LogAs { op: Some("alltoall"), ..LogAs::default() };
        let log = read_as(LOG, asked).unwrap();
        assert_eq!((log.nodes, log.rows.len(), log.rows[0].gpus), (1, 2, 2));
        assert_eq!(log.rows[1].bytes, 2_097_152);
        assert!((log.rows[1].seconds - 58.94e-6).abs() < 1e-12);
        let titled = format!("# Collective test starting: alltoall_perf\n{LOG}");
        assert_eq!(read_as(&titled, LogAs::default()).unwrap(), log);
    }

    #[test]
    fn an_all_reduce_is_known_by_its_two_passes() {
        let text = LOG.replace("17.79 ", "35.58 ");
        assert_eq!(read_as(&text, LogAs::default()).unwrap().rows[0].op, CollectiveOp::AllReduce);
    }

    #[test]
    fn hosts_are_nodes_and_logs_without_ranks_are_asked_about() {
        let two = LOG.replace("Pid 1 on  node1 device  1", "Pid 1 on  node2 device  0");
        let asked = LogAs { op: Some("alltoall"), ..LogAs::default() };
        assert_eq!(read_as(&two, asked).unwrap().nodes, 2);
        let bare: String =
            LOG.lines().filter(|line| !line.contains("Rank")).collect::<Vec<_>>().join("\n");
        assert!(read_as(&bare, asked).unwrap_err().help.contains("--gpus"));
        let asked = LogAs { gpus: Some(16), nodes: Some(2), ..asked };
        assert_eq!(read_as(&bare, asked).unwrap().rows[0].gpus, 16);
    }
}
