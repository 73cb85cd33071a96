//! `moesim topology`: what a cluster is, what it can do at best, what it costs and draws.

use std::path::PathBuf;

use super::Call;
use crate::config::{self, Diagnostic, Kind, Source};
use crate::output::report::network::topology::ClusterDescription;
use crate::topology::Topology;

/// A cluster to describe.
#[derive(Clone, Debug)]
pub struct Options {
    /// A topology file or a built-in name.
    pub topology: String,
    /// Overrides of its keys.
    pub set: Vec<String>,
    /// A price book; the built-in one if not given.
    pub prices: Option<PathBuf>,
}

/// Describes a cluster; the cluster itself comes with it.
///
/// # Errors
/// If a file is refused.
pub fn run(options: &Options, call: &Call) -> Result<(ClusterDescription, Topology), Diagnostic> {
    let source = call.source(Kind::Topology, &options.topology)?;
    let source = source.with_overrides(own_keys(&options.set));
    let topology = config::read_topology(&source)?;
    let prices = match &options.prices {
        Some(path) => Source::read(path)?,
        None => config::built_in_prices(),
    };
    let book = config::read_prices(&prices)?;
    let own = source.inputs(&[]).into_iter().chain(prices.inputs(&[]));
    Ok((ClusterDescription::of(call.made_by(own), &topology, &book), topology))
}

/// Overrides of a topology alone: those that begin with `topology.`, as `moesim run` takes them, too.
pub(super) fn own_keys<'a>(
    set: impl IntoIterator<Item = &'a String>,
) -> impl Iterator<Item = &'a str> {
    let lines = set.into_iter().map(|line| line.trim_start());
    lines.map(|line| line.strip_prefix("topology.").unwrap_or(line))
}
