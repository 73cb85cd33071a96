//! `moesim layouts`: how to lay a workload over clusters.

use std::path::PathBuf;

use super::compare::refuse_unpriced;
use super::comparison::{Batch, Options as Comparing, price_book};
use crate::base::threads;
use crate::commands::Call;
use crate::config::Diagnostic;
use crate::output::report::layouts::LayoutsResult;
use crate::studies::compare::{ClusterCase, Equal};
use crate::studies::layouts::{Objective, Space, search_told};

/// A workload, clusters, and what may be varied.
#[derive(Clone, Debug)]
pub struct Options {
    /// The clusters: built in or files, each NAME or NAME=PROFILE.
    pub clusters: Vec<String>,
    /// What is wanted most.
    pub objective: Objective,
    /// Sizes, libraries and τ to try; where none are named, those that fit.
    pub space: Space,
    /// Run every layout, those too that their bounds would drop.
    pub exhaustive: bool,
    /// The workloads.
    pub comparison: Comparing,
    /// A price book; the built-in one if not given.
    pub prices: Option<PathBuf>,
}

/// Searches layouts; `told` hears how many steps of layouts of how many are done.
///
/// # Errors
/// If an option or a file is refused, no layout can be run, or a run exceeds representable time.
pub fn run(
    options: &Options,
    call: &Call,
    told: &dyn Fn(usize, usize),
) -> Result<LayoutsResult, Diagnostic> {
    let (book, prices) = price_book(options.prices.as_deref())?;
    let mut clusters = Vec::new();
    for (name, mut scenario) in
        options.comparison.on_each(&options.clusters, call, Batch::Searched)?
    {
        // All layouts of a cluster share its calibration: drawn errors would only blur their order and bounds.
        scenario.calibration_uncertainty = false;
        let case = ClusterCase::new(name, scenario, &book);
        if options.objective == Objective::Cost {
            refuse_unpriced(Equal::Cost, &case, &book)?;
        }
        clusters.push(case);
    }
    refuse_idle_axes(&options.space, &clusters)?;
    let asked = (options.objective, options.exhaustive);
    let found = search_told(&clusters, &options.space, asked, threads::available(), told)?;
    let own = clusters.iter().flat_map(|case| case.scenario.ingredients.inputs.clone());
    let made_by = call.made_by(own.chain(prices));
    let asked = (options.objective, options.comparison.set.as_slice());
    let result = LayoutsResult::of(made_by, asked, &clusters, &found);
    refuse_none(&options.clusters, &result)?;
    Ok(result)
}

/// Refuses axes that change nothing: τ of a model without zero-computation experts, tensor parallelism where nothing that
/// it divides counts.
fn refuse_idle_axes(space: &Space, clusters: &[ClusterCase]) -> Result<(), Diagnostic> {
    let Some(first) = clusters.first() else { return Ok(()) };
    let own = first.own();
    if !space.taus.is_empty() && own.model.experts.tau.is_none() {
        let found = format!("`{}` has no τ, so it decides nothing", own.name);
        return Err(Diagnostic::of(
            "--tau",
            found,
            "leave it out, or name an MoE++ workload by --moepp",
        ));
    }
    let counted = first.scenario.counted;
    if space.tensor_parallel.iter().any(|size| *size > 1) && !counted.is_whole_model() {
        let found = format!(
            "divides attention and dense products, which \"{}\" leaves out",
            counted.word()
        );
        let help = "leave it out, or give --counted model-forward or training-step";
        return Err(Diagnostic::of("--tp", found, help));
    }
    Ok(())
}

/// Refuses an answer without a layout: says why none can be run.
fn refuse_none(clusters: &[String], result: &LayoutsResult) -> Result<(), Diagnostic> {
    if !result.front.is_empty() {
        return Ok(());
    }
    let found = format!("no layout of {} can be run: {}", result.workload, result.counted());
    let large = result.too_large_why.as_ref().map(|why| format!("the least: {why}"));
    let refused = || result.refused_why.as_ref().map(|why| format!("of one: {why}"));
    let why = large.or_else(refused).unwrap_or_else(|| "name other sizes".to_owned());
    Err(Diagnostic::of(clusters.join(", "), found, why))
}
