//! Logs of tests of links → what they timed.
//!
//! ```text
//!   nccl-tests, rccl-tests   a line for each size: out of place, time in us           → collectives
//!   DeepEP's tests           the best of its tuning, and averages of low latency       → exchanges
//! ```
//!
//! A log says itself what it ran, on how many GPUs of which hosts; what it does not say is asked for.

use moesim::config::{Diagnostic, Source};

pub mod deepep;
pub mod nccl;

/// What one log timed.
#[derive(Clone, Debug, PartialEq)]
pub enum Log {
    /// A collective at several sizes.
    Collective(nccl::CollectiveLog),
    /// Exchanges of DeepEP's tests.
    Exchanges(Vec<deepep::TimedExchange>),
}

/// What the user says of logs that do not say it themselves.
#[derive(Clone, Copy, Debug, Default)]
pub struct LogAs<'a> {
    /// The collective.
    pub op: Option<&'a str>,
    /// GPUs in all.
    pub gpus: Option<u32>,
    /// Nodes that they are in.
    pub nodes: Option<u32>,
    /// Experts of the layer.
    pub experts: Option<u32>,
    /// Tokens of a GPU, size of a token, and slots of a token, in logs that lack them.
    pub shape: Option<[u32; 3]>,
}

/// Reads a log.
///
/// # Errors
/// If it is none that is known, or does not say enough.
pub fn read(source: &Source, asked: LogAs<'_>) -> Result<Log, Diagnostic> {
    let text = source.text();
    if nccl::is_one(text) {
        return nccl::read(source, asked).map(Log::Collective);
    }
    if deepep::is_one(text) {
        return deepep::read(source, asked).map(Log::Exchanges);
    }
    let help = "give what nccl-tests, rccl-tests or DeepEP's tests (test_intranode.py, test_internode.py, \
                test_low_latency.py) print";
    Err(Diagnostic::of(source.name(), "is no log that is known", help))
}
