//! `moesim plot`: any result as the picture that fits it.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use serde_json::Value;

use super::{Failure, output};
use moesim::config::{Diagnostic, Kind as FileKind};
use moesim::output::report::pictures::{self, Part, Picture};
use moesim::output::report::{any_drawing, chart, cluster_chart};
use moesim::studies::sweep::Results;

/// A result, and how to draw it.
#[derive(Args)]
pub(super) struct PlotArgs {
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
    /// Of a plan: quality against throughput, and the Pareto front.
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

/// What a file turned out to hold.
enum Found {
    Json(Value, &'static [Kind]),
    Table(Results, &'static [Kind]),
}

/// Runs `moesim plot`.
pub(super) fn run(args: &PlotArgs, out: &mut dyn Write) -> Result<(), Failure> {
    let name = args.result.display().to_string();
    let found = find(&args.result, &name)?;
    let (Found::Json(_, kinds) | Found::Table(_, kinds)) = &found;
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
    let picture = match &found {
        Found::Json(value, _) => of_json(args, &name, value, kind)?,
        Found::Table(table, _) if kind == Kind::Loads => {
            Picture::Heat(pictures::loads_chart(table, &name)?)
        }
        Found::Table(table, _) => {
            let columns = [&args.x, &args.y, &args.hue].map(Option::as_deref);
            let placed = |mistake: Diagnostic| Diagnostic { place: name.clone(), ..mistake };
            let drawing = any_drawing(table, columns, [args.log_x, args.log_y]).map_err(placed)?;
            Picture::Lines(chart(table, &drawing).map_err(placed)?)
        }
    };
    let path = args.out.clone().unwrap_or_else(|| beside(&args.result, kind));
    output::chart(&picture, &path)?;
    writeln!(out, "picture: {}", path.display())?;
    Ok(())
}

impl PlotArgs {
    /// The file to write, where one is named.
    pub(super) fn file(&self) -> Option<&Path> {
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
        if pictures::is_counts(&table) {
            return Ok(Found::Table(table, &[Kind::Loads]));
        }
        return Ok(Found::Table(table, &[Kind::Lines]));
    }
    let text = read(path, name)?;
    let help = "name what moesim run, compare, plan, flows or validate printed with --json, or a \
                sweep's folder";
    let value: Value = serde_json::from_str(&text).map_err(|error| {
        let found = match ending {
            "pftrace" => "is a trace: open it at ui.perfetto.dev".to_owned(),
            _ => match FileKind::misplaced(name, &text) {
                Some(mistake) => return mistake,
                None => format!("is no JSON: {error}"),
            },
        };
        Diagnostic::of(name, found, help)
    })?;
    let kinds: &'static [Kind] = if value.is_array() {
        &[Kind::Errors]
    } else if value.get("results").is_some() {
        let whole = Part::whole(name, &value);
        if whole.counts_exchanges() {
            &[Kind::Gain, Kind::Breakdown, Kind::Links, Kind::Cluster]
        } else {
            &[Kind::Gain, Kind::Breakdown]
        }
    } else if value.get("clusters").is_some() {
        if value.get("equal").and_then(Value::as_str) == Some("gpus") {
            &[Kind::Throughput, Kind::Cost]
        } else {
            &[Kind::Cost, Kind::Throughput]
        }
    } else if value.get("candidates").is_some() {
        &[Kind::Front]
    } else if value.get("link_use").is_some() {
        &[Kind::Links]
    } else {
        return Err(Diagnostic::of(name, "is JSON, but no result that can be drawn", help).into());
    };
    Ok(Found::Json(value, kinds))
}

fn read(path: &Path, name: &str) -> Result<String, Failure> {
    let help =
        "name a result: JSON of moesim run, compare, plan, flows or validate, or a sweep's folder";
    let unreadable = |error: std::io::Error| {
        Failure::from(Diagnostic::of(name, format!("cannot be read: {error}"), help))
    };
    let mut bytes = Vec::new();
    if path == Path::new("-") {
        std::io::stdin().lock().read_to_end(&mut bytes).map_err(unreadable)?;
    } else {
        bytes = std::fs::read(path).map_err(unreadable)?;
    }
    // What is no text is no JSON either: the parser says so.
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn of_json(args: &PlotArgs, name: &str, value: &Value, kind: Kind) -> Result<Picture, Failure> {
    let whole = Part::whole(name, value);
    Ok(match kind {
        Kind::Gain => Picture::Lines(pictures::gain_chart(&whole)?),
        Kind::Breakdown => Picture::Bars(pictures::breakdown_chart(&whole)?),
        Kind::Links => Picture::Heat(pictures::links_chart(&whole, args.workload.as_deref())?),
        Kind::Cluster => cluster(args, value, name)?,
        Kind::Throughput => Picture::Bars(pictures::throughput_chart(&whole)?),
        Kind::Cost => Picture::Spots(pictures::cost_chart(&whole)?),
        Kind::Front => Picture::Lines(pictures::front_chart(&whole)?),
        Kind::Errors => Picture::Bars(pictures::errors_chart(&whole)?),
        Kind::Lines | Kind::Loads => unreachable!("tables are drawn elsewhere"),
    })
}

/// Draws a run's cluster with the links of one workload under the first seed, which is run again.
fn cluster(args: &PlotArgs, value: &Value, name: &str) -> Result<Picture, Failure> {
    let (scenario, workload) = super::explain::asked(value, name, args.workload.as_deref())?;
    let outcome = moesim::studies::study::run(
        &scenario,
        &workload,
        scenario.overheads,
        scenario.seeds.start,
    )?;
    let secs = outcome.makespan.secs();
    let rates: Vec<f64> = outcome.link_bytes.iter().map(|&bytes| bytes as f64 / secs).collect();
    let spoken = pictures::spoken(&workload.name, workload.model.experts.tau);
    let what = format!("{spoken}, seed {}", outcome.seed);
    Ok(Picture::Diagram(cluster_chart(&scenario.topology, &rates, &what)))
}
