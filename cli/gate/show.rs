//! `moesim gate show`: loads by expert and layer, as figures, as a picture of characters, as plots and
//! as a table.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;

use super::super::{Failure, output};
use super::export::{self, Drawn};
use super::loads::{Layer, Loads};
use super::recording::ExpertsArg;
use super::{plot, print};
use moesim::base::inputs::Input;
use moesim::base::streams::Streams;
use moesim::config::{Diagnostic, Kind, built_in_or_file, workload};
use moesim::gate::Gate;
use moesim::gate::statistics::{self, Uneven};
use moesim::workload::{Recording, Workload};

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
    /// Micro-batches to draw; a run with this seed draws the same.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=4096))]
    micro_batches: u16,
    /// Capacity factors at which drops are shown.
    #[arg(long, value_delimiter = ',', default_values_t = statistics::FACTORS, value_parser = factor)]
    factors: Vec<f64>,
    /// Tokens of a batch of whole sequences, for a recording.
    #[arg(long, default_value_t = 2048, value_parser = clap::value_parser!(u32).range(1..=16_777_216))]
    tokens: u32,
    /// Seed of what the gate draws.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Print JSON instead of tables.
    #[arg(long)]
    json: bool,
    /// Draw `loads.svg` and `batches.svg`, and the same as PNG, into this folder.
    #[arg(long, value_name = "DIR")]
    plot: Option<PathBuf>,
    #[command(flatten)]
    experts: ExpertsArg,
    /// Write all counts drawn to this file, `.parquet` or `.csv`.
    #[arg(long, value_name = "FILE")]
    pub(super) export: Option<PathBuf>,
}

fn factor(text: &str) -> Result<f64, String> {
    let number = text.parse::<f64>().ok().filter(|factor| (0.001..=1000.0).contains(factor));
    number.ok_or_else(|| "give a number from 0.001 to 1000".to_owned())
}

/// Collects the unevenness of batches.
struct Batches {
    factors: Vec<f64>,
    load: Vec<Vec<u64>>,
    layers: Vec<Layer>,
    peaks: Vec<Vec<f64>>,
    number: f64,
}

impl Batches {
    fn new(layers: usize, experts: usize, factors: &[f64], number: usize) -> Self {
        let layer = Layer { drop: vec![0.0; factors.len()], ..Layer::default() };
        Self {
            factors: factors.to_vec(),
            load: vec![vec![0; experts]; layers],
            layers: vec![layer; layers],
            peaks: vec![vec![]; layers],
            number: number as f64,
        }
    }

    /// Adds one batch's loads in one layer, of which the first `ffn` are FFN experts'.
    fn add(&mut self, layer: usize, load: &[u64], ffn: usize) {
        let uneven = Uneven::of(&load[..ffn]);
        let mean = &mut self.layers[layer];
        mean.peak += uneven.peak / self.number;
        mean.cv += uneven.cv / self.number;
        mean.gini += uneven.gini / self.number;
        for (mean, &factor) in mean.drop.iter_mut().zip(&self.factors) {
            *mean += statistics::beyond(&load[..ffn], factor) / self.number;
        }
        self.peaks[layer].push(uneven.peak);
        self.load[layer].iter_mut().zip(load).for_each(|(sum, n)| *sum += n);
    }

    fn correlation(&self) -> Option<f64> {
        (self.number >= 3.0 && self.peaks.len() > 1)
            .then(|| statistics::mean_correlation(&self.peaks))
    }
}

pub(super) fn run(args: &ShowArgs, out: &mut dyn Write) -> Result<(), Failure> {
    let (loads, inputs) = if args.what.ends_with(".parquet") {
        let recording = args.experts.read(&PathBuf::from(&args.what))?;
        if args.export.is_some() {
            let help = "export a workload with gate.trace, or read the recording itself";
            return Err(Diagnostic::of("--export", "is of what a gate drew", help).into());
        }
        let loads = of_recording(args, &recording);
        if let Some(folder) = &args.plot {
            plot::recording(folder, &loads, &recording, args.seed)?;
        }
        (loads, output::input(args.what.as_ref()).into_iter().collect())
    } else {
        let (workload, inputs) = named(args)?;
        let (loads, drawn) = of_workload(args, &workload);
        if let Some(path) = &args.export {
            export::write(path, &drawn)?;
        }
        if let Some(folder) = &args.plot {
            plot::workload(folder, &loads, &workload, args.seed)?;
        }
        (loads, inputs)
    };
    let result = print::result(output::call().made_by(inputs), &loads);
    if args.json { output::result(out, &result) } else { Ok(result.write_text(out)?) }
}

fn of_recording(args: &ShowArgs, recording: &Recording) -> Loads {
    let counts = recording.counts();
    let number = usize::from(args.micro_batches);
    let mut batches = Batches::new(recording.layers(), recording.experts(), &args.factors, number);
    let mut rng = Streams::new(args.seed).named("gate/show");
    statistics::batches(&counts, args.tokens, number, &mut rng, |load| {
        for (layer, load) in load.chunks_exact(recording.experts()).enumerate() {
            batches.add(layer, load, recording.experts());
        }
    });
    let (sequences, tokens) = (recording.sequences().len(), recording.tokens());
    Loads {
        title: format!(
            "{}: {tokens} tokens of {sequences} sequences; means of {number} batches of {} tokens \
             or more",
            args.what, args.tokens
        ),
        ffn: recording.experts(),
        top_k: recording.top_k(),
        correlation: batches.correlation(),
        load: batches.load,
        layers: batches.layers,
        dropped: None,
        ffn_slots: vec![],
        factors: args.factors.clone(),
    }
}

/// The workload, and what is read of it.
fn named(args: &ShowArgs) -> Result<(Workload, Vec<Input>), Failure> {
    let source = built_in_or_file(Kind::Workload, &args.what)?;
    // As `moesim run` takes them.
    let own = args.set.iter().map(|line| line.trim_start());
    let source = source.with_overrides(own.map(|l| l.strip_prefix("workload.").unwrap_or(l)));
    Ok((workload(&source)?, source.inputs(&["law", "trace"])))
}

fn of_workload(args: &ShowArgs, workload: &Workload) -> (Loads, Vec<Drawn>) {
    let gate = Gate::new(workload, Streams::new(args.seed));
    let experts = workload.model.experts;
    let (gpus, number) = (usize::from(args.gpus), usize::from(args.micro_batches));
    let (ffn, all) = (experts.ffn as usize, experts.total() as usize);
    let rounds = workload.gates();
    let mut batches = Batches::new(rounds as usize, all, &args.factors, number);
    let (mut tokens, mut dropped, mut drawn) = (vec![], (0.0, 0.0), vec![]);
    let cells = (rounds as usize * number) as f64;
    let weight = cells * f64::from(workload.batch.tokens_per_gpu) * gpus as f64;
    let lead_in = workload.layout.places.lead_in();
    for micro_batch in 0..u32::from(args.micro_batches) {
        for round in 0..rounds {
            let counts = gate.counts(round, lead_in + micro_batch, 0..gpus);
            let load: Vec<u64> = (0..all).map(|expert| counts.load(expert)).collect();
            batches.add(round as usize, &load, ffn);
            dropped.0 += counts.drop_share() / cells;
            dropped.1 += counts.lost_weight() / weight;
            tokens.resize(counts.most_slots() + 1, 0.0);
            for gpu in 0..gpus {
                for (f, sum) in tokens.iter_mut().enumerate() {
                    *sum += f64::from(counts.tokens_with(gpu, f));
                }
            }
            if args.export.is_some() {
                drawn.push(Drawn { round, micro_batch, counts });
            }
        }
    }
    let total: f64 = tokens.iter().sum();
    let loads = Loads {
        title: format!("{}: means of {number} micro-batches on {gpus} GPUs", workload.name),
        ffn,
        top_k: workload.slots_per_round() as usize,
        correlation: batches.correlation(),
        load: batches.load,
        layers: batches.layers,
        dropped: Some(dropped),
        ffn_slots: tokens.iter().map(|n| n / total).collect(),
        factors: args.factors.clone(),
    };
    (loads, drawn)
}
