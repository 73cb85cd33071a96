//! `moesim compare`: clusters against each other.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;

use crate::arguments::choice;
use crate::arguments::comparison::{ComparisonArgs, price_book};
use crate::output::progress::during;
use crate::{Failure, output};
use moesim::base::threads;
use moesim::config::Diagnostic;
use moesim::execution::outcome::TooLong;
use moesim::output::pictures::{self, Picture};
use moesim::output::report::comparison::{Compared, Comparison};
use moesim::studies::compare::{ClusterCase, Equal, catch_ups, compare};
use moesim::topology::PriceBook;

/// Clusters, and what to run on them.
#[derive(Args)]
pub(crate) struct CompareArgs {
    /// The clusters: built in or files, each NAME or NAME=PROFILE.
    #[arg(required = true, num_args = 1..)]
    clusters: Vec<String>,
    /// Compare at equal GPUs, cost or power.
    #[arg(long, value_parser = choice::parser::<Equal>(), default_value = "gpus")]
    equal: Equal,
    #[command(flatten)]
    comparison: ComparisonArgs,
    /// A price book; the built-in one if not given.
    #[arg(long)]
    prices: Option<PathBuf>,
    /// Draw throughput, at equal cost or power against what it costs, into this .svg or .png.
    #[arg(long, value_name = "FILE")]
    pub(crate) plot: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &CompareArgs, out: &mut dyn Write) -> Result<(), Failure> {
    let (book, prices) = price_book(args.prices.as_deref())?;
    let mut cluster_cases = Vec::new();
    for (name, scenario) in args.comparison.on_each(&args.clusters)? {
        let cluster_case = ClusterCase::new(name, scenario, &book);
        refuse_unpriced(args.equal, &cluster_case, &book)?;
        cluster_cases.push(cluster_case);
    }
    let (results, catch_ups) = during("runs", || {
        let results = compare(&cluster_cases, threads::available())?;
        let catch_ups = catch_ups(&cluster_cases, &results, args.equal)?;
        Ok::<_, TooLong>((results, catch_ups))
    })?;
    let own = cluster_cases.iter().flat_map(|case| &case.scenario.ingredients.inputs);
    let named = args.comparison.named();
    let asked = Compared {
        made_by: crate::reproduce::made_by(own.cloned().chain(prices)),
        equal: args.equal,
        workload: named.own(),
        vanilla: named.vanilla(),
        set: &args.comparison.set,
        prices_of: &book.date,
    };
    let comparison = Comparison::of(asked, &cluster_cases, &results, &catch_ups);
    if let Some(path) = &args.plot {
        let chart = match args.equal {
            Equal::Gpus => Picture::Bars(pictures::throughput_chart(&comparison)),
            Equal::Cost | Equal::Power => {
                Picture::Spots(pictures::cost_chart(&comparison, "--plot")?)
            }
        };
        output::chart(&chart, path)?;
    }
    if args.json { output::result(out, &comparison) } else { Ok(comparison.write_text(out)?) }
}

/// Refuses a cluster of GPUs that the price book does not know, where that matters.
pub(crate) fn refuse_unpriced(
    equal: Equal,
    cluster_case: &ClusterCase,
    book: &PriceBook,
) -> Result<(), Failure> {
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
    )
    .into())
}
