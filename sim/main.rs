//! The `moesim` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    moesim::cli::main()
}
