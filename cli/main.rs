//! What users type: one module a subcommand, and the rules they share.
//!
//! Results go to standard output, mistakes to standard error. Exit status: 0 when done, 1 when the
//! user's input was refused or could not be simulated, 2 when the command line makes no sense. A
//! closed pipe ends the command quietly. `-` in place of a file is standard output.

use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use moesim::base::atomic_file::is_stdout;
use moesim::base::printable::Printable;
use moesim::config::Diagnostic;
use moesim::execution::outcome::TooLong;

mod arguments;
mod check;
mod decide;
#[cfg(feature = "explore")]
mod explore;
mod gate;
mod network;
mod output;
mod result;
mod run;
#[cfg(test)]
mod smoke;
mod sweep;
mod validate;

use arguments::negative::joined;
use decide::{advise, compare, explain, goodput, layouts, plan};
use network::{flows, topology};
use result::{plot, report, reproduce, timeline};
use validate::fit_overheads;

/// Predicts what distributed Mixture-of-Experts layers take, and what MoE++'s zero-computation
/// experts gain over vanilla MoE. Without a subcommand: the paper's study.
#[derive(Parser)]
#[command(name = "moesim", version, args_conflicts_with_subcommands = true, max_term_width = 80)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    study: run::StudyArgs,
}

impl Cli {
    /// Parses a command line, the program's name first.
    fn of(words: impl IntoIterator<Item = String>) -> Result<Self, clap::Error> {
        Self::try_parse_from(joined(words))
    }
}

#[derive(Subcommand)]
enum Command {
    /// Run a scenario: a file, or a built-in by name.
    Run(run::RunArgs),
    /// Run a plan: a scenario at every combination of what varies.
    Sweep(sweep::SweepArgs),
    /// Find the τ that meets a target at the least loss of quality.
    Plan(plan::PlanArgs),
    /// Find the best layouts of a workload on clusters: EP, TP, PP, micro-batch, library, τ.
    Layouts(layouts::LayoutsArgs),
    /// Compare clusters: throughput, MoE++'s gain, what binds, what would help.
    Compare(compare::CompareArgs),
    /// Say whether MoE++ pays here, why, and where that turns.
    Advise(advise::AdviseArgs),
    /// Say in a few lines why a scenario comes out as it does.
    Explain(explain::ExplainArgs),
    /// Say what failures, checkpoints and restarts leave of a training run's throughput.
    Goodput(goodput::GoodputArgs),
    /// Show what lies in the memory of the fullest GPU, and whether it fits.
    Memory(run::memory::MemoryArgs),
    /// Write one run as a trace for Perfetto.
    Timeline(timeline::TimelineArgs),
    /// Open a page of this machine's own, where questions are asked by moving things.
    #[cfg(feature = "explore")]
    Explore(explore::ExploreArgs),
    /// Draw a result: the JSON of run, compare, plan, flows or validate, or a sweep's table.
    Plot(plot::PlotArgs),
    /// Write a result as one page that opens anywhere: pictures that say their numbers, no network.
    Report(report::ReportArgs),
    /// Run again what a result says it was made by, and compare.
    Reproduce(reproduce::ReproduceArgs),
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
    /// Print a built-in file as it is.
    Show(check::show::ShowArgs),
    /// Start a topology, workload, scenario or plan of one's own.
    New(check::new::NewArgs),
    /// Print the JSON Schema of a kind of file, for editors.
    Schema(check::schema::SchemaArgs),
    /// Check a file, or a built-in one: is it sound, and if not, why.
    Check(check::CheckArgs),
    /// Write a model's config.json, counts of experts or a network file as a file of moesim.
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

impl Command {
    /// The file that it writes, where it writes one.
    fn file(&self) -> Option<&Path> {
        match self {
            Self::Plan(args) => args.plot.as_deref(),
            Self::Compare(args) => args.plot.as_deref(),
            Self::Layouts(args) => args.plot.as_deref(),
            Self::Timeline(args) => args.out.as_deref(),
            Self::Plot(args) => args.file(),
            Self::Report(args) => args.file(),
            Self::Import(args) => args.out.as_deref(),
            Self::New(args) => args.out.as_deref(),
            Self::Topology(args) => args.svg.as_deref(),
            Self::Flows(args) => args.plot.as_deref(),
            Self::FitOverheads(args) => args.out.as_deref(),
            Self::Gate(args) => args.file(),
            _ => None,
        }
    }
}

/// Why a command ended without doing what was asked.
#[derive(Debug)]
pub enum Failure {
    /// The user's input was refused.
    Refused(Diagnostic),
    /// Output could not be written.
    Output(io::Error),
}

impl From<Diagnostic> for Failure {
    fn from(mistake: Diagnostic) -> Self {
        Self::Refused(mistake)
    }
}

impl From<TooLong> for Failure {
    fn from(error: TooLong) -> Self {
        Self::Refused(error.into())
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

impl Failure {
    /// The message for standard error: with colours and in lines of its width where that is a terminal.
    fn render(&self) -> String {
        let style = output::style_of_stderr();
        match self {
            Self::Refused(mistake) => mistake.render(style),
            Self::Output(error) => {
                Diagnostic::of("", format!("output cannot be written: {error}"), "").render(style)
            }
        }
    }
}

/// Parses the command line and runs it.
fn main() -> ExitCode {
    if let Some(mistake) = output::not_text(std::env::args_os().skip(1)) {
        let _ = writeln!(io::stderr(), "{}", mistake.render(output::style_of_stderr()));
        return ExitCode::FAILURE;
    }
    let cli = Cli::of(std::env::args()).unwrap_or_else(|refusal| output::end_with(refusal));
    // What is written to standard output as a file must not be mixed with what people read.
    let taken = cli.command.as_ref().and_then(Command::file).is_some_and(is_stdout);
    let to: Box<dyn Write> =
        if taken { Box::new(io::stderr()) } else { Box::new(io::stdout().lock()) };
    let mut out = Printable::new(BufWriter::new(to));
    let done = dispatch(cli, &mut out).and_then(|()| Ok(out.flush()?));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
            ExitCode::SUCCESS
        }
        Err(failure) => {
            // Nothing more can be done if standard error is closed too.
            let _ = writeln!(io::stderr(), "{}", failure.render());
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
        Some(Command::Layouts(args)) => layouts::run(&args, out),
        Some(Command::Compare(args)) => compare::run(&args, out),
        Some(Command::Advise(args)) => advise::run(&args, out),
        Some(Command::Explain(args)) => explain::run(&args, out),
        Some(Command::Memory(args)) => run::memory::run(&args, out),
        Some(Command::Goodput(args)) => goodput::run(&args, out),
        Some(Command::Timeline(args)) => timeline::run(&args, out),
        #[cfg(feature = "explore")]
        Some(Command::Explore(args)) => explore::run(&args, out),
        Some(Command::Plot(args)) => plot::run(&args, out),
        Some(Command::Report(args)) => report::run(&args, out),
        Some(Command::Reproduce(args)) => reproduce::run(&args, out),
        Some(Command::Merge(args)) => sweep::merge(&args, out),
        Some(Command::Completions { shell }) => {
            // Into memory first: a pipe that is closed must not panic.
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "moesim", &mut script);
            Ok(out.write_all(&script)?)
        }
        Some(Command::Man) => Ok(manual(out)?),
        Some(Command::List) => check::list::run(out),
        Some(Command::Show(args)) => check::show::run(&args, out),
        Some(Command::New(args)) => check::new::run(&args, out),
        Some(Command::Schema(args)) => check::schema::run(&args, out),
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
