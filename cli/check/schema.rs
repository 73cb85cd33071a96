//! `moesim schema`: what a kind of file may hold, as a JSON Schema.

use std::io::Write;

use clap::Args;

use crate::Failure;
use crate::arguments::choice;
use moesim::config::{Kind, schema};

/// Of which kind of file.
#[derive(Args)]
pub(crate) struct SchemaArgs {
    /// The kind of file.
    #[arg(value_parser = choice::parser::<Kind>())]
    kind: Kind,
}

pub(crate) fn run(args: &SchemaArgs, out: &mut dyn Write) -> Result<(), Failure> {
    crate::output::json(out, &schema(args.kind))
}
