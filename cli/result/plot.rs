//! `moesim plot`: any result as the picture that fits it.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use crate::{Failure, output};
use moesim::commands::stored::{self, Stored};
use moesim::config::{Diagnostic, Overrides, Scenario, ScenarioSource};
use moesim::execution::Scope;
use moesim::output::pictures::{self, Picture};
use moesim::output::plot::{Diagram, Spans};
use moesim::output::report::study::StudyResult;
use moesim::output::report::{any_drawing, chart, spoken};
use moesim::studies::compare::Equal;

/// A result, and how to draw it.
#[derive(Args)]
pub(crate) struct PlotArgs {
    /// JSON that run, compare, plan, flows or validate printed (- for standard input), a sweep's folder,
    /// or a table: a sweep's, or counts that gate show exported.
    result: PathBuf,
    /// What to draw. Default: what fits the result best.
    #[arg(long, value_enum)]
    kind: Option<Kind>,
    /// The .svg or .png to write. Default: beside the result, its name with the kind's.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Of a run: the workload whose links are drawn. Default: the one with the fullest link.
    #[arg(long)]
    workload: Option<String>,
    /// Of a table: the column along the horizontal axis.
    #[arg(long, value_name = "COLUMN")]
    x: Option<String>,
    /// Of a table: the column along the vertical axis.
    #[arg(long, value_name = "COLUMN")]
    y: Option<String>,
    /// Of a table: the column whose values tell lines apart.
    #[arg(long, value_name = "COLUMN")]
    hue: Option<String>,
    /// Of a table: a logarithmic horizontal axis.
    #[arg(long)]
    log_x: bool,
    /// Of a table: a logarithmic vertical axis.
    #[arg(long)]
    log_y: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// Of a run: the gain over τ, and what was published.
    Gain,
    /// Of a run: where the time goes, vanilla beside MoE++.
    Breakdown,
    /// Of a run or of flows: how full links are, class by class.
    Links,
    /// Of a run: how full links are, on a drawing of the cluster; runs one workload again.
    Cluster,
    /// Of a comparison: throughput on each cluster, vanilla and what MoE++ adds.
    Throughput,
    /// Of a comparison: throughput against cost, or power.
    Cost,
    /// Of a plan: quality against throughput, and the Pareto front; of layouts: throughput against step time.
    Front,
    /// Of a validation: how far off predictions are.
    Errors,
    /// Of a sweep: one column over another.
    Lines,
    /// Of exported counts: load by expert and layer.
    Loads,
}

impl Kind {
    fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }
}

/// The pictures that fit a result, the best first; none where it cannot be drawn.
fn kinds(found: &Stored) -> &'static [Kind] {
    match found {
        Stored::Study(run) if run.counted == Scope::Experts => &[Kind::Gain, Kind::Breakdown],
        Stored::Study(_) => &[Kind::Gain, Kind::Breakdown, Kind::Links, Kind::Cluster],
        Stored::Comparison(of) if of.equal == Equal::Gpus => &[Kind::Throughput, Kind::Cost],
        Stored::Comparison(_) => &[Kind::Cost, Kind::Throughput],
        Stored::Plan(_) | Stored::Layouts(_) => &[Kind::Front],
        Stored::Flows(_) => &[Kind::Links],
        Stored::Errors(_) => &[Kind::Errors],
        Stored::Table(_) => &[Kind::Lines],
        Stored::Counts(_) => &[Kind::Loads],
        _ => &[],
    }
}

/// Runs `moesim plot`.
pub(crate) fn run(args: &PlotArgs, out: &mut dyn Write) -> Result<(), Failure> {
    let name = args.result.display().to_string();
    let found = stored::open(&args.result)?.result;
    let kinds = kinds(&found);
    let Some(first) = kinds.first() else { return Err(undrawable(&name)) };
    let kind = args.kind.unwrap_or(*first);
    if !kinds.contains(&kind) {
        let fitting: Vec<String> = kinds.iter().map(|kind| kind.name()).collect();
        return Err(Diagnostic::of(
            name,
            format!("cannot be drawn as {}", kind.name()),
            format!("what fits it: --kind {}", fitting.join(", --kind ")),
        )
        .into());
    }
    let picture = draw(args, &found, kind, &name)?;
    let path = args.out.clone().unwrap_or_else(|| beside(&args.result, kind));
    output::chart(&picture, &path)?;
    writeln!(out, "picture: {}", path.display())?;
    Ok(())
}

fn undrawable(name: &str) -> Failure {
    Diagnostic::of(name, "is JSON, but no result that can be drawn", stored::RESULTS).into()
}

/// The picture of a kind that fits what was found.
fn draw(args: &PlotArgs, found: &Stored, kind: Kind, name: &str) -> Result<Picture, Failure> {
    let placed = |mistake: Diagnostic| Diagnostic { place: name.to_owned(), ..mistake };
    Ok(match found {
        Stored::Study(run) => match kind {
            Kind::Breakdown => Picture::Bars(pictures::breakdown_chart(run)),
            Kind::Links => {
                Picture::Heat(pictures::links_chart(run, args.workload.as_deref(), name)?)
            }
            Kind::Cluster => Picture::Diagram(cluster(args.workload.as_deref(), run)?),
            _ => Picture::Lines(pictures::gain_chart(run)),
        },
        Stored::Comparison(comparison) if kind == Kind::Throughput => {
            Picture::Bars(pictures::throughput_chart(comparison))
        }
        Stored::Comparison(comparison) => Picture::Spots(pictures::cost_chart(comparison, name)?),
        Stored::Layouts(found) => Picture::Lines(pictures::layouts_chart(found)),
        Stored::Plan(plan) => Picture::Lines(pictures::front_chart(plan, name)?),
        Stored::Flows(flows) => Picture::Heat(pictures::flow_links_chart(flows, name)?),
        Stored::Errors(found) => Picture::Bars(pictures::errors_chart(&found.files, name)?),
        Stored::Counts(table) => Picture::Heat(pictures::loads_chart(table, name)?),
        Stored::Table(table) => {
            let columns = [&args.x, &args.y, &args.hue].map(Option::as_deref);
            let drawing = any_drawing(table, columns, [args.log_x, args.log_y]).map_err(placed)?;
            Picture::Lines(chart(table, &drawing).map_err(placed)?)
        }
        _ => return Err(undrawable(name)),
    })
}

impl PlotArgs {
    /// The file to write, where one is named.
    pub(crate) fn file(&self) -> Option<&Path> {
        self.out.as_deref()
    }
}

/// `run.json` → `run.gain.svg`; what comes from standard input is named by its kind alone.
fn beside(result: &Path, kind: Kind) -> PathBuf {
    if result == Path::new("-") {
        return PathBuf::from(format!("{}.svg", kind.name()));
    }
    if result.is_dir() {
        return result.join(format!("{}.svg", kind.name()));
    }
    result.with_extension(format!("{}.svg", kind.name()))
}

/// Draws a run's cluster with the links of one workload under the first seed, which is run again.
pub(super) fn cluster(workload: Option<&str>, run: &StudyResult) -> Result<Diagram, Failure> {
    let scenario = scenario_of(run)?;
    let workload = crate::timeline::choose(&scenario, workload, None)?;
    let outcome =
        moesim::studies::study::run(&scenario, workload, scenario.overheads, scenario.seeds.start)?;
    let secs = outcome.makespan.secs();
    let rates: Vec<f64> = outcome.link_bytes.iter().map(|&bytes| bytes as f64 / secs).collect();
    let shown = spoken(&workload.name, workload.model.experts.tau);
    let what = format!("{shown}, seed {}", outcome.seed);
    Ok(pictures::cluster_chart(&scenario.topology, &rates, &what))
}

/// The scenario that a run is of, read again.
fn scenario_of(run: &StudyResult) -> Result<Scenario, Failure> {
    let set = Overrides::new(run.asked.set.clone());
    Ok(ScenarioSource::open(&run.asked.scenario, set)?.load()?)
}

/// A stretch of the timeline of a run's last workload, which is run again.
pub(super) fn timeline(run: &StudyResult) -> Result<Spans, Failure> {
    let scenario = scenario_of(run)?;
    let workload = crate::timeline::choose(&scenario, None, None)?;
    Ok(moesim::commands::run::excerpt(&scenario, workload)?)
}
