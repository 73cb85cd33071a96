//! Logs of nccl-tests, rccl-tests and DeepEP's tests, which the calibration tool reads.
//!
//! The parsers are compiled from where they lie: the tool itself needs libraries of GPUs.

use moesim::config::{Diagnostic, Source};

use crate::targets::Target;

#[allow(dead_code)]
#[path = "../calibrate/tool/src/links/logs/deepep.rs"]
mod deepep;
#[allow(dead_code)]
#[path = "../calibrate/tool/src/links/logs/nccl.rs"]
mod nccl;

/// What the user says of logs that do not say it themselves: the tool's own, which these parsers take.
#[derive(Clone, Copy, Default)]
struct LogAs<'a> {
    op: Option<&'a str>,
    gpus: Option<u32>,
    nodes: Option<u32>,
    experts: Option<u32>,
    shape: Option<[u32; 3]>,
}

pub(crate) const TARGETS: &[Target] = &[Target {
    name: "link-log",
    seeds: &["tests/data/cases/09-nccl-tests.log", "calibrate/tool/src/links/logs/*.rs"],
    small: &[],
    holds: log,
}];

fn log(bytes: &[u8]) {
    let source = Source::built_in("a.log", std::str::from_utf8(bytes).unwrap_or_default());
    let told = LogAs {
        op: Some("all-reduce"),
        gpus: Some(8),
        nodes: Some(1),
        experts: Some(256),
        shape: Some([128, 7168, 8]),
    };
    for asked in [LogAs::default(), told] {
        match nccl::read(&source, asked) {
            Ok(log) => {
                let sound = log.rows.iter().all(|row| row.seconds > 0.0 && row.seconds.is_finite());
                assert!(sound && log.nodes > 0, "{log:?}");
            }
            Err(mistake) => refused(&mistake),
        }
        match deepep::read(&source, asked) {
            Ok(rows) => assert!(!format!("{rows:?}").contains("NaN"), "{rows:?}"),
            Err(mistake) => refused(&mistake),
        }
    }
}

fn refused(mistake: &Diagnostic) {
    assert!(!mistake.found.is_empty() && !mistake.help.is_empty(), "{mistake}");
}
