//! That grouped products would run a workload's experts in far less time than the measured kernel that `auto` takes.

use super::workloads;
use crate::config::Scenario;
use crate::execution::cost::experts_ask;
use crate::kernels::Kernels;
use crate::workload::{Execution, Workload};

/// How many times as long `auto`'s kernel takes before that is said: a choice, above most errors of docs/accuracy.md.
pub(in crate::output) const SAID_FROM: f64 = 1.25;

/// What to do about it.
pub(in crate::output) const REMEDY: &str =
    "set workload.kernels.experts = \"grouped-gemm\" to run them so";

/// The first workload of a scenario for which that holds, in words.
pub(in crate::output) fn slower(scenario: &Scenario) -> Option<String> {
    let kernels = Kernels::new(&scenario.profile, scenario.topology.gpu().device());
    workloads(scenario).find_map(|workload| of(workload, &kernels))
}

fn of(workload: &Workload, kernels: &Kernels<'_>) -> Option<String> {
    if workload.execution != Execution::Grouped {
        return None;
    }
    let (kernel, [taken, other]) = kernels.fused_beside_grouped(&experts_ask(workload))?;
    (taken.secs() >= SAID_FROM * other.secs()).then(|| {
        format!(
            "experts of {} run as {kernel}, which \"auto\" takes: {taken} a layer where loads are even, and {other} by grouped \
             products, derived from dense ones; {REMEDY}",
            workload.name
        )
    })
}
