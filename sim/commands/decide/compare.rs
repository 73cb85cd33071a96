//! `moesim compare`: clusters against each other.

use std::path::PathBuf;

use super::comparison::{Batch, Options as Comparing, price_book};
use crate::base::threads;
use crate::commands::Call;
use crate::config::Diagnostic;
use crate::output::report::comparison::{Compared, Comparison};
use crate::studies::compare::{ClusterCase, Equal, catch_ups, compare};
use crate::topology::PriceBook;

/// Clusters, and what to run on them.
#[derive(Clone, Debug)]
pub struct Options {
    /// The clusters: built in or files, each NAME or NAME=PROFILE.
    pub clusters: Vec<String>,
    /// Compare at equal GPUs, cost or power.
    pub equal: Equal,
    /// The workloads.
    pub comparison: Comparing,
    /// A price book; the built-in one if not given.
    pub prices: Option<PathBuf>,
}

/// Compares clusters.
///
/// # Errors
/// If an option or a file is refused, or a run exceeds representable time.
pub fn run(options: &Options, call: &Call) -> Result<Comparison, Diagnostic> {
    let (book, prices) = price_book(options.prices.as_deref())?;
    let mut cluster_cases = Vec::new();
    for (name, scenario) in options.comparison.on_each(&options.clusters, call, Batch::Own)? {
        let cluster_case = ClusterCase::new(name, scenario, &book);
        refuse_unpriced(options.equal, &cluster_case, &book)?;
        cluster_cases.push(cluster_case);
    }
    let results = compare(&cluster_cases, threads::available())?;
    let catch_ups = catch_ups(&cluster_cases, &results, options.equal)?;
    let own = cluster_cases.iter().flat_map(|case| &case.scenario.ingredients.inputs);
    let named = options.comparison.named();
    let asked = Compared {
        made_by: call.made_by(own.cloned().chain(prices)),
        equal: options.equal,
        workload: named.own(),
        vanilla: named.vanilla(),
        set: &options.comparison.set,
        prices_of: &book.date,
    };
    Ok(Comparison::of(asked, &cluster_cases, &results, &catch_ups))
}

/// Refuses a cluster of GPUs that the price book does not know, where that matters.
pub(super) fn refuse_unpriced(
    equal: Equal,
    cluster_case: &ClusterCase,
    book: &PriceBook,
) -> Result<(), Diagnostic> {
    let topology = &cluster_case.scenario.topology;
    if equal.of(topology.gpus(), &cluster_case.cost).is_some() {
        return Ok(());
    }
    let (gpu, dated) = (&topology.gpu().name, &book.date);
    let (what, key) = if equal == Equal::Power { ("power", "watts") } else { ("price", "usd") };
    Err(Diagnostic::of(
        cluster_case.name.clone(),
        format!("has no {what}: the price book of {dated} does not know that of the GPU `{gpu}`"),
        format!(
            "give `{key}` of [gpu.\"{gpu}\"] in a copy of topologies/prices.toml with --prices, or \
             compare at equal gpus"
        ),
    ))
}
