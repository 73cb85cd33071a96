//! Does the command line help its users?

mod answers;
mod cases;
mod choices;
#[cfg(unix)]
mod full_disk;
mod gate_commands;
mod gate_files;
mod mistakes;
mod network_bad_input;
mod network_flows_command;
mod plots;
mod prices;
mod sweep;
mod timeline;
