//! `moesim gate show`: loads by expert and layer, as figures and as a picture of characters.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::super::Failure;
use crate::config::{Kind, Mistake, Source, built_in, read_recording, workload};
use crate::gate::Gate;
use crate::gate::statistics::{FACTORS, Uneven};
use crate::streams::Streams;

/// Whose loads to show.
#[derive(Args)]
pub(super) struct ShowArgs {
    /// A workload file, the name of a built-in one, or a recording (`.parquet`).
    what: String,
    /// Override a key of the workload, such as gate.popularity_sd=0.5. Repeatable.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// GPUs whose tokens are counted together.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=4096))]
    gpus: u16,
    /// Seed of what the gate draws.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Print JSON instead of tables.
    #[arg(long)]
    json: bool,
}

/// Loads of every layer of one micro-batch, or of a whole recording.
struct Loads {
    title: String,
    /// FFN experts, which come first.
    ffn: usize,
    top_k: usize,
    /// `[layer][expert]`.
    load: Vec<Vec<u64>>,
    /// Share of slots that the workload's own capacity drops.
    dropped: Option<f64>,
    /// Share of tokens with 0, 1, … K FFN slots.
    ffn_slots: Vec<f64>,
}

pub(super) fn run(args: &ShowArgs, out: &mut dyn Write) -> Result<(), Failure> {
    let loads =
        if args.what.ends_with(".parquet") { of_recording(args)? } else { of_workload(args)? };
    if args.json { write_json(&loads, out) } else { write_text(&loads, out) }
}

fn of_recording(args: &ShowArgs) -> Result<Loads, Failure> {
    let recording = read_recording(&PathBuf::from(&args.what))?;
    let counts = recording.counts();
    let layers = 0..recording.layers();
    let total = counts.all_tokens() as f64;
    let whole = |share: f64| (share * total).round() as u64;
    Ok(Loads {
        title: format!("{}: {} tokens", args.what, recording.tokens()),
        ffn: recording.experts(),
        top_k: recording.top_k(),
        load: layers.map(|l| counts.inclusion(l).into_iter().map(whole).collect()).collect(),
        dropped: None,
        ffn_slots: vec![],
    })
}

fn of_workload(args: &ShowArgs) -> Result<Loads, Failure> {
    let source = match built_in(Kind::Workload, &args.what) {
        Some(source) => source,
        None => Source::read(&PathBuf::from(&args.what)).map_err(|mut mistake: Mistake| {
            mistake.help += ", or name a built-in workload (see `moesim list`)";
            mistake
        })?,
    };
    let workload = workload(&source.with_overrides(args.set.iter().map(String::as_str)))?;
    let gate = Gate::new(&workload, Streams::new(args.seed));
    let experts = workload.model.experts;
    let (gpus, top_k) = (usize::from(args.gpus), experts.top_k as usize);
    let mut tokens = vec![0.0; top_k + 1];
    let (mut dropped, layers) = (0.0, workload.model.layers);
    let mut load = vec![];
    for layer in 0..layers {
        let counts = gate.counts(layer, 0, 0..gpus);
        load.push((0..experts.total() as usize).map(|expert| counts.load(expert)).collect());
        dropped += counts.drop_share() / f64::from(layers);
        for gpu in 0..gpus {
            for (f, share) in tokens.iter_mut().enumerate() {
                *share += f64::from(counts.tokens_with(gpu, f));
            }
        }
    }
    let total: f64 = tokens.iter().sum();
    Ok(Loads {
        title: format!("{}: one micro-batch on {gpus} GPUs", workload.name),
        ffn: experts.ffn as usize,
        top_k,
        load,
        dropped: Some(dropped),
        ffn_slots: tokens.iter().map(|n| n / total).collect(),
    })
}

fn write_json(loads: &Loads, out: &mut dyn Write) -> Result<(), Failure> {
    let layers: Vec<_> = loads
        .load
        .iter()
        .map(|load| {
            let uneven = Uneven::of(&load[..loads.ffn]);
            json!({
                "slots_by_expert": load, "max_over_mean": uneven.peak, "cv": uneven.cv,
                "gini": uneven.gini, "drop_1_1": uneven.drop[0], "drop_1_25": uneven.drop[1],
                "drop_1_5": uneven.drop[2],
            })
        })
        .collect();
    let report = json!({
        "title": loads.title, "ffn_experts": loads.ffn, "top_k": loads.top_k,
        "dropped_share": loads.dropped, "tokens_by_ffn_slots": loads.ffn_slots, "layers": layers,
    });
    writeln!(out, "{report:#}")?;
    Ok(())
}

fn write_text(loads: &Loads, out: &mut dyn Write) -> Result<(), Failure> {
    writeln!(out, "{}\n", loads.title)?;
    let drops = FACTORS.map(|factor| format!("drop@{factor}")).join(" ");
    writeln!(out, "layer  max/mean    cv   gini  {drops}  load of each expert over the mean")?;
    let mut mean = [0.0; 6];
    for (layer, load) in loads.load.iter().enumerate() {
        let Uneven { peak, cv, gini, drop: [a, b, c] } = Uneven::of(&load[..loads.ffn]);
        let figures = [peak, cv, gini, 100.0 * a, 100.0 * b, 100.0 * c];
        for (mean, figure) in mean.iter_mut().zip(figures) {
            *mean += figure / loads.load.len() as f64;
        }
        writeln!(out, "{layer:>5} {} {}", columns(figures), picture(load, loads.ffn))?;
    }
    writeln!(out, " mean {}", columns(mean))?;
    let shades: Vec<String> =
        SHADES.iter().map(|(least, shade)| format!("{shade} ≥ {least}")).collect();
    writeln!(out, "\nFFN experts, over their mean: {}", shades.join("  "))?;
    if loads.load.first().is_some_and(|load| load.len() > loads.ffn) {
        writeln!(out, "behind |: zero, copy and constant experts, over the mean of FFN experts")?;
        let mean = loads.ffn_slots.iter().enumerate().map(|(f, share)| f as f64 * share);
        let shares: Vec<String> =
            loads.ffn_slots.iter().map(|share| format!("{:.1} %", 100.0 * share)).collect();
        writeln!(
            out,
            "FFN experts a token: {:.3} (0, 1, …: {})",
            mean.sum::<f64>(),
            shares.join(", ")
        )?;
    }
    if let Some(dropped) = loads.dropped {
        writeln!(out, "dropped by the workload's capacity: {:.2} % of slots", 100.0 * dropped)?;
    }
    Ok(())
}

fn columns([peak, cv, gini, a, b, c]: [f64; 6]) -> String {
    format!("{peak:>9.2} {cv:>5.2} {gini:>6.3} {a:>7.1} % {b:>7.1} % {c:>6.1} %")
}

/// The least load over the mean that each character stands for.
const SHADES: [(f64, char); 6] =
    [(0.0, '·'), (0.25, '░'), (0.75, '▒'), (1.25, '▓'), (2.0, '█'), (4.0, '#')];

fn picture(load: &[u64], ffn: usize) -> String {
    let mean = load[..ffn].iter().sum::<u64>() as f64 / ffn as f64;
    let mut text = String::new();
    for (expert, &n) in load.iter().enumerate() {
        if expert == ffn {
            text.push('|');
        }
        let ratio = if mean > 0.0 { n as f64 / mean } else { 0.0 };
        let shade = SHADES.iter().rev().find(|(least, _)| ratio >= *least);
        text.push(shade.map_or(' ', |(_, shade)| *shade));
    }
    text
}
