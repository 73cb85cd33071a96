//! What DeepEP's tests print [deepseek-ai/DeepEP, tests/].
//!
//! ```text
//!   [config] num_tokens=4096, hidden=7168, num_topk=8
//!   [tuning] Best dispatch (FP8): SMs 24, NVL chunk 30, 352.43 GB/s (NVL), t: 453.49 us          one node
//!   [tuning] Best dispatch (FP8): SMs 24, NVL chunk 24, RDMA chunk 8: 437 + 2412 us, 50.08 GB/s (RDMA), …
//!   [rank 0] Dispatch bandwidth: 98.13 GB/s, avg_t=76.60 us | Combine bandwidth: 127.20 GB/s, avg_t=114.30 us
//! ```
//!
//! The first time of two is that of the notification. Dispatches in BF16 are passed by: profiles hold fp8 out and
//! bf16 back. Logs of versions that print rates alone are refused, since rates count copies by the routing drawn.

use moesim::config::{Diagnostic, Source};
use moesim::kernels::exchange::{ExchangeShape, Library, RANKS_OF_NODE};

use super::LogAs;

/// Experts in DeepEP's tests, unless its options say otherwise.
const EXPERTS: u32 = 256;
/// Tokens, hidden size and slots that `test_low_latency.py` takes without options.
const LOW_LATENCY: [u32; 3] = [128, 7168, 8];

/// One exchange that was timed.
#[derive(Clone, Debug, PartialEq)]
pub struct TimedExchange {
    /// The family in profiles: `deepep_normal/dispatch`.
    pub family: String,
    /// What was exchanged by whom.
    pub shape: ExchangeShape,
    /// Tokens on each GPU.
    pub tokens: u32,
    /// How long it took.
    pub seconds: f64,
}

pub(super) fn is_one(text: &str) -> bool {
    text.contains("[tuning] Best ") || text.contains("Dispatch bandwidth:")
}

pub(super) fn read(source: &Source, asked: LogAs<'_>) -> Result<Vec<TimedExchange>, Diagnostic> {
    let text = source.text();
    let refuse = |found: &str, help: &str| Diagnostic::of(source.name(), found, help);
    let low_latency = !text.contains("[tuning] Best ");
    let printed = text.lines().find_map(config);
    let shape = asked.shape.or(printed).or(low_latency.then_some(LOW_LATENCY)).ok_or_else(|| {
        let help = "give the whole log, with its line `[config] num_tokens=…`, or say them with --shape";
        refuse("does not say its tokens, hidden size and slots", help)
    })?;
    let across = text.contains("RDMA chunk");
    let nodes = asked
        .nodes
        .or((!across && !low_latency).then_some(1))
        .ok_or_else(|| refuse("does not say how many nodes took part", "say it with --nodes"))?;
    let library = if low_latency { Library::DeepEpLowLatency } else { Library::DeepEpNormal };
    let [tokens, hidden, top_k] = shape;
    let experts = asked.experts.unwrap_or(EXPERTS);
    let mut found = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let timed = if low_latency { latencies(line) } else { best(line).into_iter().collect() };
        for (op, sms, us) in timed {
            let us = us.ok_or_else(|| rate_alone(source, at + 1))?;
            let shape =
                ExchangeShape { groups: nodes, hidden, top_k, experts, sms, ranks: RANKS_OF_NODE };
            let family = format!("{}/{op}", library.name());
            found.push(TimedExchange { family, shape, tokens, seconds: us * 1e-6 });
        }
    }
    if found.is_empty() {
        let help = "give a log with `[tuning] Best dispatch (FP8)` and `[tuning] Best combine`, or with \
                    `Dispatch bandwidth`";
        return Err(refuse("has no time of a dispatch in fp8 nor of a combine", help));
    }
    Ok(found)
}

fn rate_alone(source: &Source, line: usize) -> Diagnostic {
    let help = "rates count copies by the routing that was drawn: time with a version of DeepEP that prints \
                microseconds";
    Diagnostic::at_line(source.name(), (source.text(), line), "has a rate and no time", help)
}

/// `[config] num_tokens=4096, hidden=7168, num_topk=8`
fn config(line: &str) -> Option<[u32; 3]> {
    let rest = line.split_once("[config]")?.1;
    let value = |key: &str| {
        let text =
            rest.split([',', ' ']).find_map(|word| word.strip_prefix(key)?.strip_prefix('='))?;
        text.parse::<u32>().ok().filter(|n| (1..=1 << 24).contains(n))
    };
    Some([value("num_tokens")?, value("hidden")?, value("num_topk")?])
}

/// The operation of a line of the best, its SMs, and microseconds if there are any.
fn best(line: &str) -> Option<(&'static str, u32, Option<f64>)> {
    let rest = line.split_once("[tuning] Best ")?.1;
    let op = if rest.starts_with("dispatch (FP8)") {
        "dispatch"
    } else if rest.starts_with("combine") {
        "combine"
    } else {
        return None;
    };
    let sms = rest.split_once("SMs ")?.1;
    let sms: u32 = sms.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()?;
    let us = rest.split_once(" us").and_then(|(before, _)| {
        // One time, or that of the notification and that of the transfer.
        let mut sum = None;
        for word in before.rsplit([' ', ',', ':']) {
            match word.parse::<f64>() {
                Ok(us) if us > 0.0 && us.is_finite() => sum = Some(sum.unwrap_or(0.0) + us),
                _ if word == "+" => {}
                _ => break,
            }
        }
        sum
    });
    Some((op, sms, us))
}

/// Both operations of a line of low latency.
fn latencies(line: &str) -> Vec<(&'static str, u32, Option<f64>)> {
    let of = |title: &str, op| {
        let rest = line.split_once(title)?.1;
        let us = rest.split_once("avg_t=")?.1.split_once(" us")?.0.parse::<f64>().ok();
        Some((op, 1, us.filter(|us| *us > 0.0 && us.is_finite())))
    };
    [of("Dispatch bandwidth:", "dispatch"), of("Combine bandwidth:", "combine")]
        .into_iter()
        .flatten()
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_as(text: &str, asked: LogAs<'_>) -> Result<Vec<TimedExchange>, Diagnostic> {
        read(&Source::built_in("log", text), asked)
    }

    #[test]
    fn the_best_of_one_node_is_read_and_bf16_is_passed_by() {
        let log = "[config] num_tokens=4096, hidden=7168, num_topk=8\n\
                   [tuning] Best dispatch (FP8): SMs 24, NVL chunk 30, 352.43 GB/s (NVL), t: 453.49 us\n\
                   [tuning] Best dispatch (BF16): SMs 24, NVL chunk 13, 483.86 GB/s (NVL), t: 640.59 us\n\
                   [tuning] Best combine: SMs 24, NVL chunk 15: 399.63 GB/s (NVL), t: 775.61 us\n";
        let found = read_as(log, LogAs::default()).unwrap();
        let told: Vec<(&str, u32, f64)> =
            found.iter().map(|row| (row.family.as_str(), row.tokens, row.seconds * 1e6)).collect();
        let near = |a: f64, b: f64| (a - b).abs() < 1e-6;
        assert!(
            matches!(told[..], [("deepep_normal/dispatch", 4096, d), ("deepep_normal/combine", 4096, c)]
            if near(d, 453.49) && near(c, 775.61)),
            "{told:?}"
        );
        assert_eq!((found[0].shape.sms, found[0].shape.groups), (24, 1));
    }

    #[test]
    fn across_nodes_notification_and_transfer_add_up_and_the_nodes_are_asked_for() {
        let log = "[config] num_tokens=4096, hidden=7168, num_topk_groups=4, num_topk=8\n\
                   [tuning] Best dispatch (FP8): SMs 24, NVL chunk 24, RDMA chunk 8: 437 + 2412 us, 50.08 GB/s (RDMA), 99.93 GB/s (NVL)\n\
                   [tuning] Best combine: SMs 24, NVL chunk 2, RDMA chunk 8, 570.70 + 4566.00 us, 51.31 GB/s (RDMA), 102.37 GB/s (NVL)\n";
        assert!(read_as(log, LogAs::default()).unwrap_err().help.contains("--nodes"));
        let found = read_as(log, LogAs { nodes: Some(8), ..LogAs::default() }).unwrap();
        let us: Vec<f64> = found.iter().map(|row| (row.seconds * 1e8).round() / 100.0).collect();
        assert_eq!(us, [2849.0, 5136.7]);
    }

    #[test]
    fn rates_without_times_are_refused_with_their_line() {
        let log = "[config] num_tokens=4096, hidden=7168, num_topk=8\n\
                   [tuning] Best dispatch (FP8): SMs 24, NVL chunk 20, RDMA chunk 32: 22.65 GB/s (RDMA), 74.16 GB/s (NVL)\n";
        let refused = read_as(log, LogAs { nodes: Some(2), ..LogAs::default() }).unwrap_err();
        assert_eq!(refused.line, Some(2));
        assert!(refused.help.contains("microseconds"), "{refused}");
    }

    #[test]
    fn low_latency_gives_both_of_every_rank() {
        let log = "[rank 0] Dispatch bandwidth: 98.13 GB/s, avg_t=76.60 us | Combine bandwidth: 127.20 GB/s, avg_t=114.30 us\n";
        let found = read_as(log, LogAs { nodes: Some(1), ..LogAs::default() }).unwrap();
        assert_eq!(found.len(), 2);
        assert_eq!((found[1].family.as_str(), found[1].tokens), ("deepep_ll/combine", 128));
    }
}
