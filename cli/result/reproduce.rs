//! `moesim reproduce`: what a result says it was made by, run again and compared.
//!
//! JSON that moesim prints says under `made_by` which moesim made it, with which arguments, and from which
//! files. Results are functions of these, so that the same moesim makes the same numbers, digit for digit.

use std::io::{Read, Write};
use std::path::Path;

use clap::Args;
use serde_json::Value;

use crate::Failure;
use moesim::config::{Diagnostic, Kind};
use moesim::output::report::MadeBy;

mod compared;
use compared::differences;

/// A result to make again.
#[derive(Args)]
pub(crate) struct ReproduceArgs {
    /// JSON that moesim printed (- for standard input). Paths in it are relative to this folder.
    result: std::path::PathBuf,
}

const HELP: &str = "name JSON that moesim run, memory, compare, plan, layouts, advise, explain, flows, topology, gate or validate printed";

/// Runs `moesim reproduce`.
pub(crate) fn run(args: &ReproduceArgs, out: &mut dyn Write) -> Result<(), Failure> {
    let place = args.result.display().to_string();
    let then = read(&args.result)?;
    let made_by = said(&then, &place)?;
    let now = again(&made_by, &place)?;
    let (same, different) = differences(&then, &now);
    let now = said(&now, &place)?;
    let changed = changes(&made_by, &now);
    let Some(first) = different.first() else {
        writeln!(out, "{place}: reproduced, {same} values are the same")?;
        return Ok(changed.iter().try_for_each(|change| writeln!(out, "  {change}"))?);
    };
    let more = match different.len() {
        1 => String::new(),
        n => format!(", and {} more of {} values", n - 1, same + n),
    };
    let help = if changed.is_empty() {
        "the same moesim, arguments and files gave other numbers: if the result was edited since, take it as it was \
         written; if not, this is a defect, please report it"
            .to_owned()
    } else {
        changed.join("; ")
    };
    Err(Diagnostic::of(place, format!("came out otherwise: {first}{more}"), help).into())
}

/// What the same arguments print now.
fn again(made_by: &MadeBy, place: &str) -> Result<Value, Failure> {
    let words = std::iter::once("moesim").chain(without_files(&made_by.arguments));
    let command = crate::Cli::of(words.map(str::to_owned)).map_err(|error| {
        let found = format!("was made by arguments that this moesim does not know: {error}");
        Diagnostic::of(place, found, format!("use moesim {}", made_by.moesim))
    })?;
    // Others write files, or print no JSON: whoever made the result must not choose what is written here.
    use crate::Command::{
        Advise, Compare, Explain, Flows, Gate, Goodput, Layouts, Memory, Plan, Run, Topology,
        Validate,
    };
    if !matches!(
        command.command,
        None | Some(
            Run(_)
                | Memory(_)
                | Compare(_)
                | Plan(_)
                | Layouts(_)
                | Advise(_)
                | Explain(_)
                | Goodput(_)
                | Flows(_)
                | Topology(_)
                | Gate(_)
                | Validate(_)
        )
    ) {
        return Err(Diagnostic::of(place, "was made by another command", HELP).into());
    }
    let mut again = Vec::new();
    crate::dispatch(command, &mut again)?;
    Ok(serde_json::from_slice(&again).map_err(|error| {
        let found = format!("was made by a command that prints no JSON: {error}");
        Diagnostic::of(place, found, HELP)
    })?)
}

fn read(path: &Path) -> Result<Value, Failure> {
    let unfit =
        |found: String| Failure::from(Diagnostic::of(path.display().to_string(), found, HELP));
    let unread = |error: std::io::Error| unfit(format!("cannot be read: {error}"));
    let mut bytes = Vec::new();
    if path == Path::new("-") {
        std::io::stdin().lock().read_to_end(&mut bytes).map_err(unread)?;
    } else {
        Diagnostic::refuse_device(path)?;
        bytes = std::fs::read(path).map_err(unread)?;
    }
    serde_json::from_slice(&bytes).map_err(|error| {
        let text = String::from_utf8_lossy(&bytes);
        let other = Kind::misplaced(&path.display().to_string(), &text);
        other.map_or_else(|| unfit(format!("is no JSON: {error}")), Failure::from)
    })
}

fn said(result: &Value, place: &str) -> Result<MadeBy, Diagnostic> {
    let made_by = result
        .get("made_by")
        .ok_or_else(|| Diagnostic::of(place, "does not say what it was made by", HELP))?;
    serde_json::from_value(made_by.clone()).map_err(|error| Diagnostic {
        key: "made_by".to_owned(),
        ..Diagnostic::of(place, error.to_string(), HELP)
    })
}

/// The arguments without those that write files: only what is printed is made again.
fn without_files(arguments: &[String]) -> Vec<&str> {
    const WRITE: [&str; 4] = ["--plot", "--out", "--svg", "--export"];
    let mut kept = Vec::new();
    let mut rest = arguments.iter().map(String::as_str);
    while let Some(argument) = rest.next() {
        if WRITE.contains(&argument) {
            rest.next();
        } else if !WRITE.iter().any(|own| argument.starts_with(&format!("{own}="))) {
            kept.push(argument);
        }
    }
    kept
}

/// What differs between what two results were made by, in words.
fn changes(then: &MadeBy, now: &MadeBy) -> Vec<String> {
    let mut changes = Vec::new();
    if then.moesim != now.moesim {
        changes.push(format!("made by moesim {}, this is {}", then.moesim, now.moesim));
    }
    if then.commit != now.commit {
        let known = |commit: &Option<String>| commit.clone().unwrap_or("unknown".to_owned());
        let [then, now] = [known(&then.commit), known(&now.commit)];
        changes.push(format!("made by commit {then}, this is {now}"));
    }
    for input in &then.inputs {
        let of_name = now.inputs.iter().find(|other| other.name == input.name);
        match of_name {
            Some(other) if other.digest == input.digest => {}
            Some(_) => changes.push(format!("{} has changed since", input.name)),
            None => changes.push(format!("{} is not read any more", input.name)),
        }
    }
    let new = now.inputs.iter().filter(|own| !then.inputs.iter().any(|old| old.name == own.name));
    changes.extend(new.map(|input| format!("{} was not read then", input.name)));
    changes
}
