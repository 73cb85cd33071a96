//! `moesim sweep` and `moesim merge`: many runs, kept as they finish.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;

use super::Failure;
use super::output::Files;
use super::output::progress::Progress;
use moesim::base::threads;
use moesim::config::{Diagnostic, SweepPlan};
use moesim::execution::outcome::TooLong;
use moesim::output::report;
use moesim::studies::sweep::{self, Journal, JournalError, Results, Row, Stopped, Sweep};

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

fn shard(text: &str) -> Result<(usize, usize), String> {
    let parts = text.split_once('/').and_then(|(i, n)| Some((i.parse().ok()?, n.parse().ok()?)));
    match parts {
        Some((i, n)) if (1..=n).contains(&i) => Ok((i, n)),
        _ => Err("write I/N with I from 1 to N, such as 2/8".to_owned()),
    }
}

pub(super) fn run(args: &SweepArgs, out: &mut dyn Write) -> Result<(), Failure> {
    let plan = SweepPlan::read(&args.plan, &super::with_oom(&args.set, args.allow_oom))?;
    report::check_drawings(&plan)?;
    let sweep = Sweep::new(&plan)?;
    if args.strict {
        sweep.refuse_borrowed()?;
    }
    let folder = args.out.clone().unwrap_or_else(|| args.plan.with_extension("results"));
    let (mut journal, mut rows) = open(&folder, &sweep, args)?;
    let (nth, of) = args.shard.unwrap_or((1, 1));
    let mine = |task: &usize| task % of == nth - 1;
    let left: Vec<usize> =
        (0..sweep.tasks()).filter(mine).filter(|task| !rows.contains_key(task)).collect();
    let progress = Progress::new(left.len() as u64, "runs", args.quiet);
    let threads = args.threads.map_or_else(threads::available, usize::from);
    let done = sweep.run(&left, threads, |record| {
        journal.keep(&record)?;
        rows.insert(record.task, record.rows);
        progress.step();
        Ok(())
    });
    drop(progress);
    done.map_err(|stopped| failure(stopped, &folder))?;
    if of > 1 {
        if !args.quiet {
            writeln!(out, "shard {nth}/{of}: {} tasks in {}", rows.len(), folder.display())?;
        }
        return Ok(());
    }
    finish(&sweep, &rows, &folder, (args.plot, args.quiet), out)
}

pub(super) fn merge(args: &MergeArgs, out: &mut dyn Write) -> Result<(), Failure> {
    let plan = SweepPlan::read(&args.plan, &args.set)?;
    let sweep = Sweep::new(&plan)?;
    let mut rows = BTreeMap::new();
    for shard in &args.shards {
        for (task, own) in sweep::finished(shard, &sweep.shape()).map_err(kept)? {
            if rows.get(&task).is_some_and(|known| *known != own) {
                let found = format!("has other rows of task {task} than a folder before it");
                let help = "run this shard again with the same moesim as the others";
                return Err(Diagnostic::of(shard.display().to_string(), found, help).into());
            }
            rows.insert(task, own);
        }
    }
    let missing = (0..sweep.tasks()).filter(|task| !rows.contains_key(task)).count();
    if missing > 0 {
        return Err(Diagnostic::of(
            args.plan.display().to_string(),
            format!("{missing} of {} tasks are in none of these folders", sweep.tasks()),
            "name the folders of all shards, and finish interrupted ones with --resume",
        )
        .into());
    }
    finish(&sweep, &rows, &args.out, (false, false), out)
}

/// The journal to write to, and the rows that are there already.
fn open(
    folder: &Path,
    sweep: &Sweep<'_>,
    args: &SweepArgs,
) -> Result<(Journal, BTreeMap<usize, Vec<Row>>), Failure> {
    let there = folder.join(sweep::JOURNAL).exists();
    match (there, args.resume) {
        (true, true) => Journal::resume(folder, &sweep.shape(), args.rerun_damaged).map_err(kept),
        (true, false) => Err(Diagnostic::of(
            folder.display().to_string(),
            "holds results already",
            "go on with --resume, or name another folder with --out",
        )
        .into()),
        (false, _) => {
            let journal = Journal::create(folder, &sweep.shape());
            Ok((journal.map_err(kept)?, BTreeMap::new()))
        }
    }
}

fn finish(
    sweep: &Sweep<'_>,
    rows: &BTreeMap<usize, Vec<Row>>,
    folder: &Path,
    (plot, quiet): (bool, bool),
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let plan = sweep.plan();
    let varied: Vec<&str> =
        plan.axes.iter().flat_map(|axis| &axis.keys).map(String::as_str).collect();
    let results = Results::of(&varied, rows);
    let mut files = Files::of(folder)?;
    for (name, bytes) in results.files().map_err(|error| {
        let place = folder.display().to_string();
        Diagnostic::of(place, format!("the table cannot be written: {error}"), GO_ON)
    })? {
        files.add(name, bytes).map_err(go_on)?;
    }
    files.keep().map_err(go_on)?;
    let drawn = draw(plan, &results, folder, plot)?;
    if !quiet {
        report::write_sweep(out, plan, &results)?;
        writeln!(out, "{} rows: {}", results.rows.len(), folder.join("results.parquet").display())?;
        for picture in drawn {
            writeln!(out, "picture: {}", picture.display())?;
        }
    }
    Ok(())
}

/// Draws what the plan asks for, and what fits the results best where that is asked; returns the paths.
fn draw(
    plan: &SweepPlan,
    results: &Results,
    folder: &Path,
    any: bool,
) -> Result<Vec<PathBuf>, Failure> {
    let placed = |mistake: Diagnostic| Diagnostic { place: plan.name.clone(), ..mistake };
    let mut drawings = plan.drawings.clone();
    if any {
        drawings.push(report::any_drawing(results, [None; 3], [false; 2]).map_err(placed)?);
    }
    let (mut files, mut drawn) = (Files::of(folder)?, Vec::new());
    for drawing in &drawings {
        let name = format!("{}.svg", drawing.name);
        let chart = report::chart(results, drawing).map_err(placed)?;
        files.add_chart(&name, &chart).map_err(go_on)?;
        drawn.push(folder.join(name));
    }
    files.keep().map_err(go_on)?;
    Ok(drawn)
}

const GO_ON: &str = "check the folder, its permissions and the space left; all rows are in the journal, go \
                     on with --resume";

/// What cannot be written of results is not lost: the journal has it.
fn go_on(failure: Failure) -> Failure {
    match failure {
        Failure::Refused(mistake) => Diagnostic { help: GO_ON.to_owned(), ..mistake }.into(),
        other => other,
    }
}

fn kept(error: JournalError) -> Failure {
    error.diagnostic().into()
}

fn failure(stopped: Stopped, folder: &Path) -> Failure {
    match stopped {
        Stopped::Refused(mistake) => Diagnostic {
            help: format!("{}; finished runs are kept in {}", mistake.help, folder.display()),
            ..mistake
        }
        .into(),
        Stopped::TooLong => TooLong.into(),
        Stopped::Journal(error) => kept(error),
    }
}
