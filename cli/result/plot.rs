//! `moesim plot`: any result as the picture that fits it.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use serde::Deserialize;
use serde_json::Value;

use crate::{Failure, output};
use moesim::config::{Diagnostic, Kind as FileKind, Overrides, ScenarioSource, read_result};
use moesim::execution::Scope;
use moesim::output::pictures::{self, Picture};
use moesim::output::report::comparison::Comparison;
use moesim::output::report::layouts::LayoutsResult;
use moesim::output::report::network::flows::FlowsResult;
use moesim::output::report::plan::PlanResult;
use moesim::output::report::study::StudyResult;
use moesim::output::report::{any_drawing, chart, spoken};
use moesim::output::schema::ResultKind;
use moesim::studies::compare::Equal;
use moesim::studies::sweep::Results;
use moesim::studies::validate::summary::FileErrors;

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

/// What `moesim validate --json` prints, as far as it is drawn.
#[derive(Deserialize)]
struct Validated {
    files: Vec<FileErrors>,
}

/// What a file turned out to hold.
enum Found {
    Study(StudyResult),
    Comparison(Comparison),
    Plan(Box<PlanResult>),
    Layouts(Box<LayoutsResult>),
    Flows(FlowsResult),
    Errors(Vec<FileErrors>),
    Table(Results),
    Counts(Results),
}

impl Found {
    /// The list that a picture would be of, where it is empty.
    fn nothing_under(&self) -> Option<&'static str> {
        match self {
            Self::Study(run) => run.results.is_empty().then_some("results"),
            Self::Comparison(of) => of.clusters.is_empty().then_some("clusters"),
            Self::Plan(plan) => plan.candidates.is_empty().then_some("candidates"),
            Self::Layouts(found) => found.front.is_empty().then_some("front"),
            _ => None,
        }
    }

    /// A result of a kind that can be drawn.
    fn read(kind: ResultKind, name: &str, text: &str) -> Option<Result<Self, Diagnostic>> {
        Some(match kind {
            ResultKind::Run => read_result(name, text).map(Self::Study),
            ResultKind::Comparison => read_result(name, text).map(Self::Comparison),
            ResultKind::Plan => read_result(name, text).map(|plan| Self::Plan(Box::new(plan))),
            ResultKind::Layouts => read_result(name, text).map(|all| Self::Layouts(Box::new(all))),
            ResultKind::Flows => read_result(name, text).map(Self::Flows),
            _ => return None,
        })
    }

    /// The pictures that fit it, the best first.
    fn kinds(&self) -> &'static [Kind] {
        match self {
            Self::Study(run) if run.counted == Scope::Experts => &[Kind::Gain, Kind::Breakdown],
            Self::Study(_) => &[Kind::Gain, Kind::Breakdown, Kind::Links, Kind::Cluster],
            Self::Comparison(of) if of.equal == Equal::Gpus => &[Kind::Throughput, Kind::Cost],
            Self::Comparison(_) => &[Kind::Cost, Kind::Throughput],
            Self::Plan(_) | Self::Layouts(_) => &[Kind::Front],
            Self::Flows(_) => &[Kind::Links],
            Self::Errors(_) => &[Kind::Errors],
            Self::Table(_) => &[Kind::Lines],
            Self::Counts(_) => &[Kind::Loads],
        }
    }
}

/// Runs `moesim plot`.
pub(crate) fn run(args: &PlotArgs, out: &mut dyn Write) -> Result<(), Failure> {
    let name = args.result.display().to_string();
    let found = find(&args.result, &name)?;
    let kinds = found.kinds();
    let kind = args.kind.unwrap_or(kinds[0]);
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

/// The picture of a kind that fits what was found.
fn draw(args: &PlotArgs, found: &Found, kind: Kind, name: &str) -> Result<Picture, Failure> {
    let placed = |mistake: Diagnostic| Diagnostic { place: name.to_owned(), ..mistake };
    Ok(match found {
        Found::Study(run) => match kind {
            Kind::Breakdown => Picture::Bars(pictures::breakdown_chart(run)),
            Kind::Links => {
                Picture::Heat(pictures::links_chart(run, args.workload.as_deref(), name)?)
            }
            Kind::Cluster => cluster(args, run)?,
            _ => Picture::Lines(pictures::gain_chart(run)),
        },
        Found::Comparison(comparison) if kind == Kind::Throughput => {
            Picture::Bars(pictures::throughput_chart(comparison))
        }
        Found::Comparison(comparison) => Picture::Spots(pictures::cost_chart(comparison, name)?),
        Found::Layouts(found) => Picture::Lines(pictures::layouts_chart(found)),
        Found::Plan(plan) => Picture::Lines(pictures::front_chart(plan, name)?),
        Found::Flows(flows) => Picture::Heat(pictures::flow_links_chart(flows, name)?),
        Found::Errors(files) => Picture::Bars(pictures::errors_chart(files, name)?),
        Found::Counts(table) => Picture::Heat(pictures::loads_chart(table, name)?),
        Found::Table(table) => {
            let columns = [&args.x, &args.y, &args.hue].map(Option::as_deref);
            let drawing = any_drawing(table, columns, [args.log_x, args.log_y]).map_err(placed)?;
            Picture::Lines(chart(table, &drawing).map_err(placed)?)
        }
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

/// Reads a result and finds out what it is.
fn find(path: &Path, name: &str) -> Result<Found, Failure> {
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    if path.is_dir() || ending == "parquet" || ending == "csv" {
        let table = Results::read(path)?;
        let counts = pictures::is_counts(&table);
        return Ok(if counts { Found::Counts(table) } else { Found::Table(table) });
    }
    let text = read(path, name)?;
    let value = json(name, &text, ending)?;
    // Results of moesim before they were labelled are told by their keys.
    let told = ResultKind::told(&value)
        .map_err(|found| Diagnostic::of(name, found, "make the result again with this moesim"))?;
    let has = |key: &str| told.is_none() && value.get(key).is_some();
    let found = if let Some(found) = told.and_then(|kind| Found::read(kind, name, &text)) {
        found?
    } else if has("files") {
        Found::Errors(read_result::<Validated>(name, &text)?.files)
    } else if has("results") {
        Found::Study(read_result(name, &text)?)
    } else if has("clusters") {
        Found::Comparison(read_result(name, &text)?)
    } else if has("candidates") {
        Found::Plan(Box::new(read_result(name, &text)?))
    } else if has("front") && has("objective") {
        Found::Layouts(Box::new(read_result(name, &text)?))
    } else if has("link_use") {
        Found::Flows(read_result(name, &text)?)
    } else {
        let found = "is JSON, but no result that can be drawn";
        return Err(Diagnostic::of(name, found, RESULTS).into());
    };
    refuse_empty(found, name, RESULTS)
}

const RESULTS: &str = "name what moesim run, compare, plan, flows or validate printed with --json, or a sweep's \
                       folder";

/// A result's text as JSON, or what it is instead.
fn json(name: &str, text: &str, ending: &str) -> Result<Value, Diagnostic> {
    serde_json::from_str(text).map_err(|error| {
        let found = match ending {
            "pftrace" => "is a trace: open it at ui.perfetto.dev".to_owned(),
            _ => match FileKind::misplaced(name, text) {
                Some(mistake) => return mistake,
                None => format!("is no JSON: {error}"),
            },
        };
        Diagnostic::of(name, found, RESULTS)
    })
}

/// Refuses a result whose list is empty.
fn refuse_empty(found: Found, name: &str, help: &str) -> Result<Found, Failure> {
    let Some(key) = found.nothing_under() else { return Ok(found) };
    let mistake = Diagnostic::of(name, "the list is empty: there is nothing to draw", help);
    Err(Diagnostic { key: key.to_owned(), ..mistake }.into())
}

fn read(path: &Path, name: &str) -> Result<String, Failure> {
    let help =
        "name a result: JSON of moesim run, compare, plan, flows or validate, or a sweep's folder";
    let unreadable =
        |error: std::io::Error| Failure::from(Diagnostic::unreadable_but(name, &error, help));
    let mut bytes = Vec::new();
    if path == Path::new("-") {
        std::io::stdin().lock().read_to_end(&mut bytes).map_err(unreadable)?;
    } else {
        bytes = std::fs::read(path).map_err(unreadable)?;
    }
    // What is no text is no JSON either: the parser says so.
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Draws a run's cluster with the links of one workload under the first seed, which is run again.
fn cluster(args: &PlotArgs, run: &StudyResult) -> Result<Picture, Failure> {
    let scenario =
        ScenarioSource::open(&run.asked.scenario, Overrides::new(run.asked.set.clone()))?.load()?;
    let workload = crate::timeline::choose(&scenario, args.workload.as_deref(), None)?;
    let outcome =
        moesim::studies::study::run(&scenario, workload, scenario.overheads, scenario.seeds.start)?;
    let secs = outcome.makespan.secs();
    let rates: Vec<f64> = outcome.link_bytes.iter().map(|&bytes| bytes as f64 / secs).collect();
    let shown = spoken(&workload.name, workload.model.experts.tau);
    let what = format!("{shown}, seed {}", outcome.seed);
    Ok(Picture::Diagram(pictures::cluster_chart(&scenario.topology, &rates, &what)))
}
