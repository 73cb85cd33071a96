//! `moesim sweep` and `moesim merge`: many runs, kept as they finish.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;

use super::output::progress::Progress;
use super::{Failure, output};
use moesim::base::threads;
use moesim::commands::stored;
use moesim::commands::sweep::{self, Kept, Resume};
use moesim::commands::words::shard;
use moesim::commands::{with_oom, with_precision};
use moesim::config::SweepPlan;
use moesim::output::report;
use moesim::studies::sweep::{Finished, Sweep};

/// A plan, and where its results go.
#[derive(Args)]
pub(super) struct SweepArgs {
    /// The plan: a TOML file with a scenario and what varies over it.
    plan: PathBuf,
    /// The folder for results. Default: the plan's name with `.results` for `.toml`.
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
    /// Go on where an interrupted sweep stopped.
    #[arg(long)]
    resume: bool,
    /// Of a damaged journal keep the whole lines, and run the tasks of the others again.
    #[arg(long, requires = "resume")]
    rerun_damaged: bool,
    /// Run every n-th task only, from the i-th; put shards together with `moesim merge`.
    #[arg(long, value_name = "I/N", value_parser = shard)]
    shard: Option<(usize, usize)>,
    /// Override a key at every point. Repeatable.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Run what does not fit into the GPUs' memory, and say so.
    #[arg(long)]
    allow_oom: bool,
    /// How exactly the mean time over seeds is wanted, as in 0.5%: no more is simulated than that takes. Default: exact,
    /// which is all, or what the scenario says.
    #[arg(long, value_name = "PERCENT")]
    precision: Option<String>,
    /// Threads to use; results are the same for any number. Default: all cores.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// Draw the gain over what varies, as lines.svg beside the results, whatever the plan asks for.
    #[arg(long)]
    plot: bool,
    /// Refuse kernels whose constants are borrowed from another kernel, format or GPU.
    #[arg(long)]
    strict: bool,
    /// Print nothing but mistakes.
    #[arg(long, short)]
    quiet: bool,
}

/// Folders of shards to put together.
#[derive(Args)]
pub(super) struct MergeArgs {
    /// The plan that the shards ran.
    plan: PathBuf,
    /// Result folders of all shards.
    #[arg(required = true)]
    shards: Vec<PathBuf>,
    /// The folder for the merged results.
    #[arg(long, value_name = "FOLDER")]
    out: PathBuf,
    /// As given to the shards.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
}

pub(super) fn run(args: &SweepArgs, out: &mut dyn Write) -> Result<(), Failure> {
    let plan = SweepPlan::read(
        &args.plan,
        &with_oom(&with_precision(&args.set, args.precision.as_deref()), args.allow_oom),
    )?;
    report::check_drawings(&plan)?;
    let sweep = Sweep::new(&plan)?;
    if args.strict {
        sweep.refuse_borrowed()?;
    }
    let folder = args.out.clone().unwrap_or_else(|| args.plan.with_extension("results"));
    let resume = Resume { resume: args.resume, rerun_damaged: args.rerun_damaged };
    let mut kept = Kept::open(&folder, &sweep, resume)?;
    let (nth, of) = args.shard.unwrap_or((1, 1));
    let left = kept.left(&sweep, (nth, of));
    let progress = Progress::new(left.len() as u64, "runs", args.quiet);
    let threads = args.threads.map_or_else(threads::available, usize::from);
    let done = sweep.run(&left, threads, |record| {
        kept.keep(record)?;
        progress.step();
        Ok(())
    });
    drop(progress);
    done.map_err(|stopped| kept.stopped(stopped))?;
    if of > 1 {
        if !args.quiet {
            let tasks = kept.rows().len();
            writeln!(out, "shard {nth}/{of}: {tasks} tasks in {}", folder.display())?;
        }
        return Ok(());
    }
    finish(&sweep, kept.rows(), &folder, (args.plot, args.quiet), out)
}

pub(super) fn merge(args: &MergeArgs, out: &mut dyn Write) -> Result<(), Failure> {
    let plan = SweepPlan::read(&args.plan, &args.set)?;
    let sweep = Sweep::new(&plan)?;
    let rows = sweep::merged(&args.plan.display().to_string(), &sweep, &args.shards)?;
    finish(&sweep, &rows, &args.out, (false, false), out)
}

fn finish(
    sweep: &Sweep<'_>,
    rows: &Finished,
    folder: &Path,
    (plot, quiet): (bool, bool),
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let (results, drawn) = sweep::finish(sweep, rows, folder, plot)?;
    let made_by = output::call().made_by(sweep.inputs().iter().cloned());
    let text = serde_json::to_string_pretty(&made_by).map_err(std::io::Error::from)?;
    output::write(&folder.join(stored::MADE_BY), text + "\n")?;
    if !quiet {
        report::write_sweep(out, sweep.plan(), &results)?;
        writeln!(out, "{} rows: {}", results.rows.len(), folder.join("results.parquet").display())?;
        for picture in drawn {
            writeln!(out, "picture: {}", picture.display())?;
        }
    }
    Ok(())
}
