//! `moesim check`: is a file sound? Says what it is and what of it is hardly meant, or the first mistake and how to fix it.

use std::io::Write;
use std::path::Path;

use clap::Args;

pub(super) mod import;
pub(super) mod list;
pub(super) mod new;
pub(super) mod schema;
pub(super) mod show;

use super::Failure;
use crate::arguments::choice;
use moesim::base::choice::Choice;
use moesim::config::{
    self, Kind, Overrides, ScenarioSource, Source, SweepPlan, built_in, built_in_of_any_kind,
    profile_with_built_in_table, read_profile, unknown,
};
use moesim::execution::memory::{Parameters, parameters};
use moesim::output::report::{self, wrapped};
use moesim::topology::Topology;
use moesim::workload::Workload;

/// A file to check.
#[derive(Args)]
pub(super) struct CheckArgs {
    /// A scenario, topology, workload, profile, overheads file, sweep plan or price book: a file, or the
    /// name of a built-in one.
    #[arg(value_name = "FILE|NAME")]
    file: String,
    /// What the file is meant to be, if it should not be guessed from its keys.
    #[arg(long, value_parser = choice::parser::<Kind>())]
    kind: Option<Kind>,
}

pub(super) fn run(args: &CheckArgs, out: &mut dyn Write) -> Result<(), Failure> {
    let name = &*args.file;
    let (kind, source) = find(name, args.kind)?;
    let is_built_in = built_in(kind, name).is_some();
    let summary = match kind {
        Kind::Scenario => comparisons(name, out)?,
        Kind::Topology => {
            let topology = config::read_topology(&source)?;
            doubted(name, &topology, out)?;
            format!("{} GPUs", topology.gpus())
        }
        Kind::Workload => sizes(&config::workload(&source)?),
        Kind::Profile if is_built_in => {
            format!("of {}", profile_with_built_in_table(&source, name)?.device)
        }
        Kind::Profile => format!("of {}", read_profile(&source, Path::new(name))?.device),
        Kind::Overheads => {
            let overheads = config::overheads(&source)?.overheads;
            let slot = overheads.slot_traffic.0;
            format!("traffic factor {}, {slot} bytes a slot", overheads.traffic_factor)
        }
        Kind::Plan => {
            let plan = SweepPlan::read(Path::new(name), &[])?;
            report::check_drawings(&plan)?;
            let scenario = plan.scenario_at(0)?;
            doubted(name, &scenario.topology, out)?;
            let (points, cluster) = (plan.points(), scenario.topology.name());
            format!("{points} points, the first on {cluster}")
        }
        Kind::Prices => {
            let book = config::read_prices(&source)?;
            format!("{} GPUs, of {}", book.gpus.len(), book.date)
        }
    };
    Ok(wrapped(out, &format!("{name}: "), &format!("a sound {kind}: {summary}"))?)
}

/// What a scenario compares, and what of it changes nothing.
fn comparisons(name: &str, out: &mut dyn Write) -> Result<String, Failure> {
    let scenario = ScenarioSource::open(name, Overrides::default())?.load()?;
    let (cases, cluster) = (scenario.cases.len(), scenario.topology.name());
    let s = if cases == 1 { "" } else { "s" };
    for idle in &scenario.without_effect {
        wrapped(out, &format!("{name}: "), idle)?;
    }
    doubted(name, &scenario.topology, out)?;
    Ok(format!("{cases} comparison{s} on {cluster}"))
}

/// What of a cluster no data sheet has: sound, but perhaps not meant.
fn doubted(name: &str, topology: &Topology, out: &mut dyn Write) -> std::io::Result<()> {
    let doubts = config::doubts(topology);
    doubts.iter().try_for_each(|doubt| wrapped(out, &format!("{name}: "), doubt))
}

/// The file or built-in file of a name, and what it is.
fn find(name: &str, kind: Option<Kind>) -> Result<(Kind, Source), Failure> {
    if Path::new(name).symlink_metadata().is_ok() {
        let source = Source::read(Path::new(name))?;
        let kind = kind.map_or_else(|| Kind::guess(&source), Ok)?;
        return Ok((kind, source));
    }
    let known = match kind {
        Some(kind) => built_in(kind, name).map(|source| (kind, source)),
        None => built_in_of_any_kind(name),
    };
    let kinds = kind.map_or_else(|| Kind::ALL.to_vec(), |kind| vec![kind]);
    Ok(known.ok_or_else(|| unknown(name, &kinds, Path::new("")))?)
}

/// How many experts and parameters a model has.
fn sizes(workload: &Workload) -> String {
    let experts = workload.model.experts;
    let zc = experts.zero_computation.total();
    let Parameters { total, active, .. } = parameters(workload);
    let [total, active] = [total, active].map(|count| count as f64 / 1e9);
    format!(
        "{} FFN and {zc} zero-computation experts, {total:.1} B parameters, {active:.1} B of them active",
        experts.ffn
    )
}
