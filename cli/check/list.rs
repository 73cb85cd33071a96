//! `moesim list`: what is built in.

use std::io::Write;

use crate::Failure;
use moesim::config::{Kind, built_in, built_in_names};

pub(crate) fn run(out: &mut dyn Write) -> Result<(), Failure> {
    for (kind, title) in [
        (Kind::Scenario, "scenarios (moesim run NAME)"),
        (Kind::Topology, "topologies"),
        (Kind::Workload, "workloads"),
        (Kind::Profile, "profiles"),
        (Kind::Overheads, "overheads"),
    ] {
        writeln!(out, "{title}")?;
        for name in built_in_names(kind) {
            let about = built_in(kind, name).and_then(|source| source.summary());
            writeln!(out, "  {name:<22} {}", about.unwrap_or_default())?;
        }
        writeln!(out)?;
    }
    Ok(())
}
