//! What users type: one module a subcommand, and the rules they share.
//!
//! Results go to standard output, mistakes to standard error. Exit status: 0 when done, 1 when the
//! user's input was refused or could not be simulated, 2 when the command line makes no sense. A
//! closed pipe ends the command quietly.

use std::fmt;
use std::io::{self, BufWriter, Write};
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use moesim::config::Diagnostic;
use moesim::execution::outcome::TooLong;

mod check;
mod choice;
mod compare;
mod comparison_args;
mod explain;
mod fit_overheads;
mod flows;
mod gate;
mod list;
mod plan;
mod plot;
mod progress;
mod run;
mod sweep;
mod timeline;
mod topology;
mod validate;

/// Predicts what distributed Mixture-of-Experts layers take, and what MoE++'s zero-computation
/// experts gain over vanilla MoE. Without a subcommand: the paper's study.
#[derive(Parser)]
#[command(name = "moesim", version, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    study: run::StudyArgs,
}

#[derive(Subcommand)]
enum Command {
    /// Run a scenario: a file, or a built-in by name.
    Run(run::RunArgs),
    /// Run a plan: a scenario at every combination of what varies.
    Sweep(sweep::SweepArgs),
    /// Find the τ that meets a target at the least loss of quality.
    Plan(plan::PlanArgs),
    /// Compare clusters: throughput, MoE++'s gain, what binds, what would help.
    Compare(compare::CompareArgs),
    /// Say in a few lines why a scenario comes out as it does.
    Explain(explain::ExplainArgs),
    /// Show what lies in the memory of the fullest GPU, and whether it fits.
    Memory(run::memory::MemoryArgs),
    /// Write one run as a trace for Perfetto.
    Timeline(timeline::TimelineArgs),
    /// Draw a result: the JSON of run, compare, plan, flows or validate, or a sweep's table.
    Plot(plot::PlotArgs),
    /// Put the shards of a sweep together.
    Merge(sweep::MergeArgs),
    /// Print a script that completes moesim's commands in a shell.
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
    /// Print the manual page, in roff.
    Man,
    /// List what is built in.
    List,
    /// Check a scenario, topology, workload, profile or overheads file.
    Check(check::CheckArgs),
    /// Write a model's config.json as a workload file.
    Import(check::import::ImportArgs),
    /// Describe a cluster: counts, bounds, cost, and a picture.
    Topology(topology::TopologyArgs),
    /// Carry flows over a cluster: the network alone.
    Flows(flows::FlowsArgs),
    /// Fit the overheads of a loop over experts to published expert forward times.
    FitOverheads(fit_overheads::FitArgs),
    /// Predict every row of a folder of measurements, and say how far off.
    Validate(validate::ValidateArgs),
    /// Fit and show how gates spread tokens.
    Gate(gate::GateArgs),
}

/// Why a command ended without doing what was asked.
#[derive(Debug)]
pub enum Failure {
    /// The user's input was refused.
    Refused(Diagnostic),
    /// The input is sound but cannot be simulated.
    TooLong,
    /// Output could not be written.
    Output(io::Error),
}

impl From<Diagnostic> for Failure {
    fn from(mistake: Diagnostic) -> Self {
        Self::Refused(mistake)
    }
}

impl From<TooLong> for Failure {
    fn from(_: TooLong) -> Self {
        Self::TooLong
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(mistake) => mistake.fmt(f),
            Self::TooLong => write!(
                f,
                "{TooLong}\n  help: fewer micro-batches or tokens, or faster links and GPUs"
            ),
            Self::Output(error) => write!(f, "output cannot be written: {error}"),
        }
    }
}

/// Parses the command line and runs it.
fn main() -> ExitCode {
    let cli = Cli::parse();
    let mut out = BufWriter::new(io::stdout().lock());
    let done = dispatch(cli, &mut out).and_then(|()| Ok(out.flush()?));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
            ExitCode::SUCCESS
        }
        Err(failure) => {
            // Nothing more can be done if standard error is closed too.
            let _ = writeln!(io::stderr(), "error: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(cli: Cli, out: &mut dyn Write) -> Result<(), Failure> {
    match cli.command {
        None => run::study(run::PAPER, &cli.study, out),
        Some(Command::Run(args)) => run::run(&args, out),
        Some(Command::Sweep(args)) => sweep::run(&args, out),
        Some(Command::Plan(args)) => plan::run(&args, out),
        Some(Command::Compare(args)) => compare::run(&args, out),
        Some(Command::Explain(args)) => explain::run(&args, out),
        Some(Command::Memory(args)) => run::memory::run(&args, out),
        Some(Command::Timeline(args)) => timeline::run(&args, out),
        Some(Command::Plot(args)) => plot::run(&args, out),
        Some(Command::Merge(args)) => sweep::merge(&args, out),
        Some(Command::Completions { shell }) => {
            // Into memory first: a pipe that is closed must not panic.
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "moesim", &mut script);
            Ok(out.write_all(&script)?)
        }
        Some(Command::Man) => Ok(manual(out)?),
        Some(Command::List) => list::run(out),
        Some(Command::Check(args)) => check::run(&args, out),
        Some(Command::Import(args)) => check::import::run(&args, out),
        Some(Command::Topology(args)) => topology::run(&args, out),
        Some(Command::Flows(args)) => flows::run(&args, out),
        Some(Command::FitOverheads(args)) => fit_overheads::run(&args, out),
        Some(Command::Validate(args)) => validate::run(&args, out),
        Some(Command::Gate(args)) => gate::run(&args, out),
    }
}

/// The manual page of moesim and of each of its commands.
fn manual(out: &mut dyn Write) -> io::Result<()> {
    let mut command = Cli::command();
    command.build();
    clap_mangen::Man::new(command.clone()).render(&mut &mut *out)?;
    for own in command.get_subcommands().filter(|own| own.get_name() != "help") {
        let name = format!("moesim {}", own.get_name());
        clap_mangen::Man::new(own.clone().display_name(name)).render(&mut &mut *out)?;
    }
    Ok(())
}

/// The overrides of a scenario, and that what does not fit into memory may run, where that is asked.
fn with_oom(set: &[String], allow: bool) -> Vec<String> {
    let allowed = allow.then(|| "allow_oom=true".to_owned());
    set.iter().cloned().chain(allowed).collect()
}

/// Threads to use when the user does not say: as many as the machine offers.
fn default_threads() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// Draws a chart to a file.
fn save_chart(
    chart: &impl moesim::output::plot::Chart,
    path: &std::path::Path,
) -> Result<(), Failure> {
    moesim::output::plot::save(chart, path).map_err(|error| {
        let help = "name a file that ends in .svg or .png, in a folder that can be written";
        Diagnostic::of(path.display().to_string(), error.to_string(), help).into()
    })
}

/// Makes a folder for results.
fn make_folder(folder: &std::path::Path) -> Result<(), Failure> {
    std::fs::create_dir_all(folder).map_err(|error| {
        Diagnostic::of(
            folder.display().to_string(),
            format!("cannot be made: {error}"),
            "name a folder that can be written",
        )
        .into()
    })
}

/// Writes a file whole or not at all.
fn write_atomically(path: &std::path::Path, bytes: impl AsRef<[u8]>) -> Result<(), Failure> {
    moesim::base::atomic_file::write(path, bytes).map_err(|error| {
        Diagnostic::of(
            path.display().to_string(),
            format!("cannot be written: {error}"),
            "check the folder and its permissions",
        )
        .into()
    })
}
