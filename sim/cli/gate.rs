//! `moesim gate`: recorded choices of real gates, and how well a law predicts them.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{Failure, write_whole};
use crate::config::{Mistake, law_json, read_recording as recording};
use crate::gate::fit::{self, DEFAULT_RANK};
use crate::gate::judge::{self, BatchJudgement, Judgement, Pair};
use crate::streams::Streams;
use crate::workload::{Law, Recording};

mod show;

/// What to do with gates.
#[derive(Args)]
pub(super) struct GateArgs {
    #[command(subcommand)]
    command: GateCommand,
}

#[derive(Subcommand)]
enum GateCommand {
    /// Fit the law of sequences to a recording and judge it on sequences that were held out.
    Fit(FitArgs),
    /// Show how uneven the loads of a workload's gate, or of a recording, are.
    Show(show::ShowArgs),
}

/// A recording to fit, and what to judge the fit by.
#[derive(Args)]
struct FitArgs {
    /// A recording: Parquet, one row a token, columns `seq` and `lLL_kK` (layer, choice).
    trace: PathBuf,
    /// Judge by this recording; else by every second sequence, after fitting the others.
    #[arg(long, value_name = "TRACE")]
    judge: Option<PathBuf>,
    /// Dimensions of the latents that layers share.
    #[arg(long, default_value_t = DEFAULT_RANK as u8, value_parser = clap::value_parser!(u8).range(0..=64))]
    rank: u8,
    /// Seed of what the law draws.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Print JSON instead of tables.
    #[arg(long)]
    json: bool,
    /// Write the fitted law to this file, as JSON.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Runs `moesim gate …`.
///
/// # Errors
/// If a file is refused or output cannot be written.
pub(super) fn run(args: &GateArgs, out: &mut dyn Write) -> Result<(), Failure> {
    match &args.command {
        GateCommand::Fit(args) => fit_and_judge(args, out),
        GateCommand::Show(args) => show::run(args, out),
    }
}

fn fit_and_judge(args: &FitArgs, out: &mut dyn Write) -> Result<(), Failure> {
    let streams = Streams::new(args.seed);
    let whole = recording(&args.trace)?;
    let (fitted, held_out) = match &args.judge {
        Some(path) => (whole, recording(path)?),
        None => whole.halves(),
    };
    check(&args.trace, &fitted, &held_out)?;
    let experts = fitted.experts().max(held_out.experts());
    let (fitted, held_out) = (fitted.with_experts(experts), held_out.with_experts(experts));
    let counts = fitted.counts();
    let law = fit::fit(&counts, args.rank.into(), streams).with_persistence_of(&fitted, streams);
    let judgement = judge::judge(&law, &counts, &held_out, streams);
    if let Some(path) = &args.out {
        write_whole(path, &law_json(&law, Value::Null))?;
    }
    if args.json {
        let mut report = judgement_json(&judgement);
        report["trace"] = shape_json(&fitted);
        report["held_out"] = shape_json(&held_out);
        report["persistence"] = persistence_json(&law);
        writeln!(out, "{report:#}")?;
        return Ok(());
    }
    write_text(&law, &judgement, [&fitted, &held_out], out)
}

fn check(path: &Path, fitted: &Recording, held_out: &Recording) -> Result<(), Failure> {
    let place = path.display().to_string();
    let few = fitted.sequences().len().min(held_out.sequences().len());
    if few < 2 {
        let help = "give a recording of at least four sequences, or another by --judge";
        return Err(Mistake::of(place, "has too few sequences to fit and judge", help).into());
    }
    let same = |f: fn(&Recording) -> usize| f(fitted) == f(held_out);
    if !same(Recording::layers) || !same(Recording::top_k) {
        let help = "judge by a recording of the same model: as many layers and choices";
        return Err(Mistake::of(place, "is of another model than the one to judge by", help).into());
    }
    Ok(())
}

fn write_text(
    law: &Law,
    judgement: &Judgement,
    [fitted, held_out]: [&Recording; 2],
    out: &mut dyn Write,
) -> Result<(), Failure> {
    for (what, recording) in [("fitted on", fitted), ("judged on", held_out)] {
        writeln!(
            out,
            "{what}: {} tokens of {} sequences, {} layers, {} of {} experts a token",
            recording.tokens(),
            recording.sequences().len(),
            recording.layers(),
            recording.top_k(),
            recording.experts()
        )?;
    }
    writeln!(out, "\nmax/mean load, batches of whole sequences (mean over layers)")?;
    writeln!(
        out,
        "  tokens   seen    law  error   error of independent tokens, of the fitted part"
    )?;
    for batch in &judgement.batches {
        let Pair { seen, modelled } = batch.peak();
        writeln!(
            out,
            "{:>8} {seen:>6.3} {modelled:>6.3} {:>5.1} %  {:>8.1} %  {:>8.1} %",
            batch.seen.batch_tokens,
            100.0 * batch.peak_error(),
            100.0 * batch.independent_peak_error(),
            100.0 * batch.fitted_peak_error()
        )?;
    }
    writeln!(out, "\nstatistic                                seen    law   error")?;
    let mut line = |name: String, pair: Pair| {
        let Pair { seen, modelled } = pair;
        writeln!(out, "{name:<38} {seen:>6.3} {modelled:>6.3} {:>+6.1} %", 100.0 * pair.error())
    };
    for (gap, pair) in &judgement.overlap {
        line(format!("overlap of tokens {gap} apart"), *pair)?;
    }
    for (lag, pair) in &judgement.depth {
        line(format!("information of layers {lag} apart"), *pair)?;
    }
    if let Some(pair) = judgement.correlation() {
        line("correlation of layers' imbalance".to_owned(), pair)?;
    }
    let persistence = law.persistence;
    writeln!(
        out,
        "\nlaw: rank {}, persistence {:.2} decaying by {:.2} a token, {:.2} common to layers",
        law.rank, persistence.share, persistence.decay, persistence.depth
    )?;
    Ok(())
}

fn shape_json(recording: &Recording) -> Value {
    json!({
        "tokens": recording.tokens(),
        "sequences": recording.sequences().len(),
        "layers": recording.layers(),
        "experts": recording.experts(),
        "top_k": recording.top_k(),
    })
}

fn persistence_json(law: &Law) -> Value {
    let persistence = law.persistence;
    json!({
        "share": persistence.share, "decay": persistence.decay, "depth": persistence.depth,
    })
}

fn pair_json(pair: Pair) -> Value {
    json!({ "seen": pair.seen, "law": pair.modelled, "relative_error": pair.error() })
}

fn judgement_json(judgement: &Judgement) -> Value {
    let by_distance = |pairs: &[(usize, Pair)]| -> Value {
        pairs.iter().map(|(at, pair)| (at.to_string(), pair_json(*pair))).collect()
    };
    json!({
        "loads": judgement.batches.iter().map(batch_json).collect::<Vec<Value>>(),
        "token_overlap_by_gap": by_distance(&judgement.overlap),
        "layer_information_by_lag": by_distance(&judgement.depth),
        "imbalance_correlation": judgement.correlation().map(pair_json),
    })
}

fn batch_json(batch: &BatchJudgement) -> Value {
    let loads = |loads: &crate::gate::statistics::Loads| {
        json!({
            "max_over_mean": loads.peak, "max_over_mean_p90": loads.peak_p90, "cv": loads.cv,
            "gini": loads.gini, "drop_1_1": loads.drop[0], "drop_1_25": loads.drop[1],
            "drop_1_5": loads.drop[2], "imbalance_correlation": loads.correlation,
        })
    };
    json!({
        "batch_tokens": batch.seen.batch_tokens,
        "max_over_mean_error": batch.peak_error(),
        "max_over_mean_error_independent": batch.independent_peak_error(),
        "max_over_mean_error_fitted_part": batch.fitted_peak_error(),
        "max_over_mean_ks_distance": batch.distance(),
        "by_layer": {
            "seen": loads(&batch.seen), "law": loads(&batch.modelled),
            "independent": loads(&batch.independent),
        },
    })
}
