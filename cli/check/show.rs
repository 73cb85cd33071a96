//! `moesim show`: a built-in file as it is.

use std::io::Write;
use std::path::Path;

use clap::Args;

use crate::Failure;
use crate::arguments::choice;
use moesim::base::choice::Choice;
use moesim::config::{Diagnostic, Kind, built_in, built_in_of_any_kind, unknown};

/// A built-in file to print.
#[derive(Args)]
pub(crate) struct ShowArgs {
    /// Its name, as `moesim list` has it.
    name: String,
    /// What it is, where one name is that of files of several kinds.
    #[arg(long, value_parser = choice::parser::<Kind>())]
    kind: Option<Kind>,
}

pub(crate) fn run(args: &ShowArgs, out: &mut dyn Write) -> Result<(), Failure> {
    let name = &args.name;
    let source = match args.kind {
        Some(kind) => built_in(kind, name),
        None => built_in_of_any_kind(name).map(|(_, source)| source),
    };
    let kinds = args.kind.map_or_else(|| Kind::ALL.to_vec(), |kind| vec![kind]);
    let source = source.ok_or_else(|| {
        if Path::new(name).exists() {
            let help = "read it as it is, or name a built-in file: see `moesim list`";
            return Diagnostic::of(name, "is a file, and `moesim show` prints built-in ones", help);
        }
        unknown(name, &kinds, Path::new(""))
    })?;
    Ok(out.write_all(source.text().as_bytes())?)
}
