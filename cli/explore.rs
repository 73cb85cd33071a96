//! `moesim explore`: a page of this machine's own, where questions are asked by moving things.

use std::io::Write;
use std::net::SocketAddr;

use clap::Args;

use super::Failure;
use moesim::config::Diagnostic;

mod answers;
mod refusal;
mod server;

/// Where the page is.
#[derive(Args)]
pub(super) struct ExploreArgs {
    /// The port to listen at, on this machine alone; 0 takes one that is free.
    #[arg(long, value_name = "N", default_value_t = 8643)]
    port: u16,
}

/// Runs `moesim explore`: until it is interrupted.
pub(super) fn run(args: &ExploreArgs, out: &mut dyn Write) -> Result<(), Failure> {
    let told = |address: SocketAddr| {
        writeln!(out, "http://{address}/")?;
        writeln!(out, "open it in a browser of this machine; Ctrl-C ends it")?;
        out.flush()
    };
    server::serve(args.port, told).map_err(|error| {
        let found = format!("cannot be listened at: {error}");
        let help = "name another port, or 0 for one that is free";
        Failure::Refused(Diagnostic::of(format!("--port {}", args.port), found, help))
    })
}
