//! An MoE++ layer on several processes of this machine, with real all-to-alls: measured, and predicted from its parts.
//!
//! `calibrate/tool/examples/distributed/run` builds and starts it. Each process is a GPU to the simulator: one
//! thread of the `native` backend computes, MPI exchanges. On the same processes at the same time `calibrate` measures
//! what a layer is made of, and all-to-alls are timed alone; moesim predicts the layer from these, vanilla and MoE++
//! over τ. Versions run in turn, so that what the machine does beside is in all of them.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use moesim::base::statistics::{Rule, quantile};

mod measured;
mod mpi;
mod predicted;

use measured::{Run, versions};
use mpi::Processes;

/// What to measure, and where to keep it.
#[derive(Parser)]
struct Args {
    /// What `exchange.c` was built into.
    library: PathBuf,
    /// The folder for samples, the profile and the scenario.
    #[arg(long)]
    out: PathBuf,
    /// Seconds for the parts.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Rounds of all versions.
    #[arg(long, default_value_t = 300)]
    rounds: usize,
}

fn main() -> ExitCode {
    let args = Args::parse();
    match Processes::begin(&args.library).and_then(|all| measure(all, &args)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            let _ = writeln!(std::io::stderr(), "error: {message}");
            ExitCode::FAILURE
        }
    }
}

fn measure(all: Processes, args: &Args) -> Result<(), String> {
    if all.count < 2 || !measured::SHAPE.ffn.is_multiple_of(all.count as u32) {
        return Err("start it by mpirun on 2, 4 or 8 processes".to_owned());
    }
    let folder = args.out.join(format!("process-{}", all.rank));
    measured::compute(&all, &folder, Duration::from_secs(args.seconds))?;
    measured::exchanges(&all, &folder)?;
    let runs = measured::layers(&all, args.rounds)?;
    if all.rank == 0 {
        let predicted = predicted::layers(&folder, all.count)?;
        print(&table(&runs, &predicted, all.count))?;
    }
    all.wait()?;
    all.end()
}

fn print(text: &str) -> Result<(), String> {
    std::io::stdout().write_all(text.as_bytes()).map_err(|e| e.to_string())
}

/// What nothing else of this machine was added to: as for parts, which [`calibrate::measure::samples::undisturbed`]
/// judges so.
fn undisturbed(seconds: &[f64]) -> f64 {
    quantile(seconds, 0.05, Rule::Nearest).unwrap_or(f64::NAN)
}

/// Windows of rounds, one after another: what differs between them is what measuring repeats to.
const WINDOWS: usize = 3;

/// Each window's time.
fn windows(runs: &[Run], of: fn(&Run) -> f64) -> Vec<f64> {
    let each = runs.len().div_ceil(WINDOWS).max(1);
    let time = |window: &[Run]| undisturbed(&window.iter().map(of).collect::<Vec<_>>());
    runs.chunks(each).map(time).collect()
}

/// How far values lie from the middle one, the farthest.
fn spread(values: &[f64]) -> (f64, f64) {
    let middle = quantile(values, 0.5, Rule::Middle).unwrap_or(f64::NAN);
    (middle, values.iter().map(|v| (v - middle).abs()).fold(0.0, f64::max))
}

/// The table: a line each for vanilla and every τ.
fn table(runs: &[Vec<Run>], predicted: &[f64], processes: usize) -> String {
    let mut out = format!(
        "a layer on {processes} processes, until the slowest is done; process 0 by part\n\n\
         {:>28}{:>40}{:>36}\n\
         {:>4}{:>10}{:>7}{:>11}{:>8}{:>10}{:>8}{:>11}{:>9}{:>9}{:>9}{:>9}{:>8}\n",
        "layer, us",
        "gain over vanilla, %",
        "parts, us",
        "tau",
        "measured",
        "+-",
        "predicted",
        "error",
        "measured",
        "+-",
        "predicted",
        "before",
        "dispatch",
        "experts",
        "combine",
        "after"
    );
    let vanilla = windows(&runs[0], |run| run.all);
    for ((tau, runs), predicted_ms) in versions().into_iter().zip(runs).zip(predicted) {
        let own = windows(runs, |run| run.all);
        let (time, within) = spread(&own);
        let foreseen = predicted_ms * 1e-3;
        let name = tau.map_or("-".to_owned(), |tau| format!("{tau:.2}"));
        let (within, off) = (within / time * 100.0, (foreseen / time - 1.0) * 100.0);
        let [time, foreseen] = [time, foreseen].map(|seconds| seconds * 1e6);
        out += &format!("{name:>4} {time:>9.1} {within:>5.1}% {foreseen:>10.1} {off:>+6.1}%");
        out += &tau.map_or_else(
            || " ".repeat(29),
            |_| gained((&vanilla, &own), (predicted[0], *predicted_ms)),
        );
        for part in 0..5 {
            let times: Vec<f64> = runs.iter().map(|run| run.parts[part]).collect();
            out += &format!(" {:>8.1}", undisturbed(&times) * 1e6);
        }
        out.push('\n');
    }
    out
}

/// What windows of one version gained over those of vanilla, and what was predicted.
fn gained((vanilla, own): (&[f64], &[f64]), (before, predicted): (f64, f64)) -> String {
    let gains: Vec<f64> = vanilla.iter().zip(own).map(|(v, m)| (v / m - 1.0) * 100.0).collect();
    let (gain, within) = spread(&gains);
    format!(" {gain:>9.1} {within:>7.1} {:>10.1}", (before / predicted - 1.0) * 100.0)
}
