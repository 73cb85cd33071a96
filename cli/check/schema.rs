//! `moesim schema`: what a kind of file or result may hold, as a JSON Schema.

use std::io::Write;

use clap::Args;

use crate::Failure;
use crate::arguments::choice;
use moesim::base::choice::Choice;
use moesim::config::{Kind, schema};
use moesim::output::schema::ResultKind;

/// Of which kind of file or result.
#[derive(Args)]
pub(crate) struct SchemaArgs {
    /// The kind of file, or of what a command prints with --json.
    #[arg(value_parser = choice::parser_of_two::<Kind, ResultKind>())]
    kind: &'static str,
}

pub(crate) fn run(args: &SchemaArgs, out: &mut dyn Write) -> Result<(), Failure> {
    let file = Kind::ALL.iter().find(|kind| kind.word() == args.kind).map(|kind| schema(*kind));
    let result = || ResultKind::ALL.iter().find(|kind| kind.word() == args.kind);
    let found = file.or_else(|| result().map(|kind| kind.schema()));
    crate::output::json(out, &found.unwrap_or_default())
}
