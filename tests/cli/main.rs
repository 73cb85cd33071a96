//! Does the command line help its users?

mod advice;
mod alone;
mod answers;
mod cases;
mod choices;
mod damage;
mod experts_kernels;
mod explore;
mod files;
#[cfg(unix)]
mod full_disk;
mod gate_commands;
mod gate_files;
mod goodput;
mod health;
mod idle;
mod layouts;
mod limits;
mod mistakes;
mod models;
mod network_bad_input;
mod network_flows_command;
mod networks;
mod nonsense;
mod outputs;
mod planner;
mod plots;
mod prices;
mod program;
mod report;
mod reproduce;
mod results;
mod same_answers;
mod schemas;
mod sweep;
mod timeline;
