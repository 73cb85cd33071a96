//! `calibrate compare` and `calibrate report`: predicted against measured whole layers.

use std::path::{Path, PathBuf};

use clap::Args;
use moesim::base::statistics::{Rule, quantile};
use moesim::config::{Diagnostic, Source, read_profile};
use moesim::output::plot::{Axis, Cloud, LineChart, Point, PredictedMeasured, Series, save};

use super::{Refused, loop_name, say};
use crate::compare::{Compared, Gain, error_quantile, gains, layers};
use crate::measure::samples;
use crate::measure::session::{Coverage, coverage, recorded};

/// Whose prediction, and of what.
#[derive(Args)]
pub struct CompareArgs {
    /// The profile.
    profile: PathBuf,
    /// The folder of samples. Default: the folder that the profile lies in.
    #[arg(long)]
    samples: Option<PathBuf>,
}

/// What to draw, and where to.
#[derive(Args)]
pub struct ReportArgs {
    #[command(flatten)]
    compare: CompareArgs,
    /// The folder for the pictures.
    #[arg(long)]
    out: PathBuf,
}

/// What was found, the device's name, and how much of what was planned was measured.
fn load(args: &CompareArgs) -> Result<(Vec<Compared>, String, Coverage), Refused> {
    let source = Source::read(&args.profile)?;
    let profile = read_profile(&source, &args.profile)?;
    let beside = args.profile.parent().map(Path::to_path_buf).unwrap_or_default();
    let folder = args.samples.clone().unwrap_or_else(|| beside.clone());
    let rows = samples::read_folder(&folder).map_err(|e| e.to_string())?;
    let software = recorded(&folder).is_some_and(|identity| identity.is_software());
    let rows = samples::undisturbed(rows, software);
    let of_loop = beside.join(format!("{}.toml", loop_name(&profile.name)));
    let of_loop = if of_loop.exists() {
        let source = Source::read(&of_loop)?;
        Some(moesim::config::overheads(&source)?.overheads)
    } else {
        None
    };
    let found = layers(&profile, of_loop, &rows);
    if found.is_empty() {
        let help = "let `calibrate measure` finish, in the same folder";
        let place = folder.display().to_string();
        return Err(Diagnostic::of(place, "holds no whole layers", help).into());
    }
    Ok((found, profile.device, coverage(&folder, &rows)))
}

pub(super) fn compare(args: &CompareArgs) -> Result<(), Refused> {
    let (found, device, covered) = load(args)?;
    say(&format!(
        "whole layers on {device}: measured, and predicted by a fit that has not seen them"
    ));
    say("");
    say(
        "                                 FFN            layer, us                    gain over vanilla, %",
    );
    say(
        "shape       experts      tau   share  measured    +-  predicted   error  measured    +-  predicted",
    );
    let gains = gains(&found);
    for layer in &found {
        let tau = layer.tau.map_or("-".to_owned(), |tau| format!("{tau:.2}"));
        let gain = gains.iter().find(|g| g.layer == *layer).map_or(String::new(), |g| {
            let [measured, predicted] = [g.measured, g.predicted].map(|share| share * 100.0);
            let within = repeats(layer, g.repeats_to, "");
            let far = if g.is_met() { "" } else { " *" };
            format!("{measured:10.1}{within:>6}{predicted:11.1}{far}")
        });
        say(&format!(
            "{:<12}{:<11}{tau:>5}{:8.3}{:10.1}{:>6}{:11.1}{:+7.1}%{gain}",
            layer.shape,
            if layer.grouped { "grouped" } else { "sequential" },
            layer.ffn_share,
            layer.measured * 1e6,
            repeats(layer, layer.repeats_to(), "%"),
            layer.predicted * 1e6,
            layer.error() * 100.0
        ));
    }
    say("");
    said_of_all(&found, &gains);
    if !covered.short.is_empty() {
        say(&format!("measured so far: {}", covered.described()));
    }
    Ok(())
}

/// How well a layer was measured to repeat, in percent; unknown of one window.
fn repeats(layer: &Compared, share: f64, unit: &str) -> String {
    if layer.windows.len() > 1 { format!("{:.1}{unit}", share * 100.0) } else { "-".to_owned() }
}

/// What there is to say of all layers and gains at once.
fn said_of_all(found: &[Compared], gains: &[Gain]) {
    let count = found.len();
    let error = error_quantile(found, 0.5).unwrap_or_default() * 100.0;
    let p90 = error_quantile(found, 0.9).unwrap_or_default() * 100.0;
    let median = |values: Vec<f64>| quantile(&values, 0.5, Rule::Linear).unwrap_or(0.0) * 100.0;
    let points = median(gains.iter().map(|g| (g.predicted - g.measured).abs()).collect());
    say(&format!(
        "time of {count} layers: median error {error:.1} %, p90 {p90:.1} %; gain: median {points:.1} \
         points off"
    ));
    let windows = found.iter().map(|layer| layer.windows.len()).max().unwrap_or_default();
    if windows > 1 {
        let times = median(found.iter().map(Compared::repeats_to).collect());
        let of_gains = median(gains.iter().map(|g| g.repeats_to).collect());
        say(&format!(
            "+-: the farthest of {windows} windows from their median; at the median {times:.1} % of a \
             time, {of_gains:.1} points of a gain"
        ));
    }
    let met = gains.iter().filter(|gain| gain.is_met()).count();
    let all = gains.len();
    say(&format!(
        "{met} of {all} gains are predicted to ten points or a tenth of the gain; * marks the others"
    ));
}

/// For the line below a picture: how much of the plan was measured, if not all.
fn short(covered: &Coverage) -> String {
    let Coverage { planned, measured, short } = covered;
    if short.is_empty() { String::new() } else { format!("; {measured} of {planned} points") }
}

pub(super) fn report(args: &ReportArgs) -> Result<(), Refused> {
    let (found, device, covered) = load(&args.compare)?;
    std::fs::create_dir_all(&args.out)
        .map_err(|e| format!("{}: cannot be made: {e}", args.out.display()))?;
    let error = error_quantile(&found, 0.5).unwrap_or_default() * 100.0;
    let cloud = |name: &str, grouped: bool| Cloud {
        name: name.to_owned(),
        points: found
            .iter()
            .filter(|l| l.grouped == grouped)
            .map(|l| (l.measured * 1e6, l.predicted * 1e6))
            .collect(),
        names: Vec::new(),
    };
    let times = PredictedMeasured {
        title: format!("Whole layers are predicted to a median of {error:.0} %"),
        below: format!("{device}; the fit has not seen whole layers{}", short(&covered)),
        quantity: "time of a layer, µs".to_owned(),
        clouds: vec![cloud("grouped", true), cloud("one after another", false)],
    };
    let file = |name: &str| args.out.join(name);
    let written = |e: moesim::output::plot::PlotError| e.to_string();
    save(&times, &file("layers.svg")).map_err(written)?;
    let gains = gains(&found);
    let mut shapes: Vec<(&str, bool)> =
        gains.iter().map(|g| (g.layer.shape.as_str(), g.layer.grouped)).collect();
    shapes.dedup();
    let mut series = Vec::new();
    for (style, (shape, grouped)) in shapes.into_iter().enumerate() {
        let of: Vec<_> =
            gains.iter().filter(|g| g.layer.shape == shape && g.layer.grouped == grouped).collect();
        let points = |value: fn(&crate::compare::Gain) -> f64| -> Vec<Point> {
            of.iter()
                .map(|g| Point {
                    x: g.layer.tau.unwrap_or_default(),
                    y: value(g) * 100.0,
                    interval: None,
                })
                .collect()
        };
        let how = if grouped { "grouped" } else { "sequential" };
        let line = Series::new(format!("{shape} {how}, predicted"), points(|g| g.predicted));
        series.push(Series { style: Some(style), marked: false, ..line });
        let dots = Series::new(format!("{shape} {how}, measured"), points(|g| g.measured));
        series.push(Series { style: Some(style), joined: false, ..dots });
    }
    let chart = LineChart {
        title: "What zero-computation experts gain on this device".to_owned(),
        below: format!("{device}; lines predicted, points measured"),
        x: Axis::linear("τ"),
        y: Axis::linear("gain in throughput over vanilla, %"),
        series,
    };
    save(&chart, &file("gains.svg")).map_err(written)?;
    say(&format!("{} and {}", file("layers.svg").display(), file("gains.svg").display()));
    Ok(())
}
