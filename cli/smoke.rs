//! Every command, over and over, on inputs in which something was changed.
//!
//! A pass says that none of them panicked, printed a number that is none, echoed a control character, or
//! refused without saying how to fix it, in as many mutants as `MOESIM_MUTANTS` says: a number, or numbers
//! `FIRST..END`. `tests/run` asks for 20,000 of an optimised build. Mutants are drawn from their number alone,
//! so that a failure is run again with `MOESIM_MUTANT=number`. It says nothing of whether what was accepted is right, and mutants are small:
//! numbers in them are tiny, ordinary or absurd, never merely large, so that each ends soon.
//! docs/trust.md has the long run.

use std::io::Write;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::{Duration, Instant};

use rand::RngExt;

use super::{Cli, Failure, dispatch};
use moesim::base::streams::Streams;
use moesim::base::threads::{self, in_parallel_with};

mod cases;
mod mutate;

use cases::{Case, Files};

/// Mutants by default: what two cores do in half a minute without optimisation.
const MUTANTS: usize = 1_000;
/// None may take longer than this; one that does is stuck.
const LONGEST: Duration = Duration::from_secs(120);

/// The mutants that an environment variable asks for, as `end` or `first..end`.
fn asked(variable: &str) -> Option<Range<usize>> {
    let text = std::env::var(variable).ok()?;
    let (first, end) = text.split_once("..").unwrap_or(("0", &text));
    let number = |text: &str| text.parse().expect("a number of mutants, or FIRST..END");
    Some(number(first)..number(end))
}

#[test]
fn no_mutant_makes_a_command_panic_or_print_nonsense() {
    let only = asked("MOESIM_MUTANT").map(|upto| upto.end..upto.end + 1);
    let mutants = only.clone().or_else(|| asked("MOESIM_MUTANTS")).unwrap_or(0..MUTANTS);
    let count = if only.is_some() { 1 } else { threads::available() };
    // What panics say is in the failures; a backtrace each would bury them.
    let loud = std::panic::take_hook();
    if only.is_none() {
        std::panic::set_hook(Box::new(|_| {}));
    }
    let first = mutants.start;
    let ready = |thread| {
        let files = Files::new(thread);
        (cases::all(&files), files)
    };
    let judged = in_parallel_with(mutants.len(), count, ready, |(cases, files), at| {
        one(first + at, cases, files).err().map(|why| (first + at, why))
    });
    std::panic::set_hook(loud);
    let failures: Vec<(usize, String)> = judged.into_iter().flatten().collect();
    let told: Vec<String> = failures
        .iter()
        .take(20)
        .map(|(mutant, why)| format!("MOESIM_MUTANT={mutant}: {why}"))
        .collect();
    assert!(
        failures.is_empty(),
        "{} of {} mutants:\n{}",
        failures.len(),
        mutants.len(),
        told.join("\n")
    );
}

/// Draws a mutant, runs its command, and judges what came of it.
fn one(mutant: usize, cases: &[Case], files: &Files) -> Result<(), String> {
    let mut rng = Streams::new(mutant as u64).named("smoke");
    let case = &cases[rng.random_range(0..cases.len())];
    let mut args = case.arguments(files);
    let what = if rng.random_bool(0.15) && args.len() > case.fixed {
        let at = rng.random_range(case.fixed..args.len());
        args[at] = mutate::argument(&args[at], &mut rng);
        format!("argument {at}")
    } else {
        let (name, bytes) = &case.files[rng.random_range(0..case.files.len())];
        files.write(name, &mutate::file(name, bytes, &mut rng));
        name.clone()
    };
    let began = Instant::now();
    let outcome = catch_unwind(AssertUnwindSafe(|| run(&args)));
    let took = began.elapsed();
    files.restore(case);
    let place = format!("{} with another {what}", args.join(" "));
    if took > LONGEST {
        return Err(format!("{place}: took {} s", took.as_secs()));
    }
    match outcome {
        Ok(judged) => judged.map_err(|why| format!("{place}: {why}")),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|&text| text.to_owned()));
            Err(format!("{place}: panicked: {}", text.unwrap_or_default()))
        }
    }
}

fn run(args: &[String]) -> Result<(), String> {
    // A command line that makes no sense is clap's to refuse.
    let Ok(cli) = Cli::of(std::iter::once("moesim".to_owned()).chain(args.iter().cloned())) else {
        return Ok(());
    };
    let mut out = moesim::base::printable::Printable::new(Vec::new());
    let done = dispatch(cli, &mut out);
    // What was begun is let go: the text is what people see.
    let _ = out.flush();
    let text = String::from_utf8(out.into_inner()).map_err(|_| "printed no UTF-8".to_owned())?;
    match done {
        Ok(()) => sound(&text),
        Err(failure) => helpful(&failure),
    }
}

/// Whether a text shows numbers only where it has some.
fn sound(text: &str) -> Result<(), String> {
    let words = text.split(|c: char| !(c.is_alphanumeric() || c == '+' || c == '_'));
    for word in words {
        if matches!(word, "NaN" | "inf") {
            let line = text.lines().find(|line| line.contains(word)).unwrap_or_default();
            return Err(format!("printed `{word}`: {line}"));
        }
    }
    Ok(())
}

/// Whether a refusal says how to fix what it refuses, at a length that people read.
fn helpful(failure: &Failure) -> Result<(), String> {
    let text = failure.render();
    let acts = |c: char| c.is_control() && c != '\n' && c != '\t';
    if text.contains(acts) {
        return Err(format!("said what acts on a terminal: {text:?}"));
    }
    if text.len() > 12_000 {
        return Err(format!("said {} bytes: {}…", text.len(), &text[..200]));
    }
    let told = text.split_once("\n  help: ").is_some_and(|(_, help)| !help.trim().is_empty());
    if !told && !matches!(failure, Failure::Output(_)) {
        return Err(format!("said no help: {text}"));
    }
    Ok(())
}

#[test]
fn nonsense_and_helpless_refusals_are_recognised() {
    assert!(sound("0.5 ± 0.1 %, + 3, information, the infimum\n").is_ok());
    for text in ["mean NaN ms", "±inf", "[inf, 3]", "-inf", "NaN"] {
        assert!(sound(text).is_err(), "{text}");
    }
    let of = |found: &str, help: &str| {
        helpful(&moesim::config::Diagnostic::of("file", found, help).into())
    };
    assert!(of("is wrong", "fix it").is_ok());
    assert!(of("is wrong", "").is_err() && of("is wrong", " ").is_err());
    assert!(helpful(&moesim::execution::outcome::TooLong.into()).is_ok());
}

#[test]
fn the_seeds_of_all_mutants_are_sound() {
    let files = Files::new(1000);
    for case in cases::all(&files) {
        let args = case.arguments(&files);
        let cli = Cli::of(std::iter::once("moesim".to_owned()).chain(args.iter().cloned()));
        let cli = cli.unwrap_or_else(|error| panic!("{args:?}: {error}"));
        dispatch(cli, &mut Vec::new())
            .unwrap_or_else(|failure| panic!("{args:?}: {}", failure.render()));
        assert!(Path::new(&files.folder).exists());
        files.restore(&case);
    }
}
