//! The `moesim` command.
fn main() {}
