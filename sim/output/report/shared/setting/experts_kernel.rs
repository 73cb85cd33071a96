//! That another kernel of the profile would run a workload's experts in far less time than the one that `auto` takes.

use super::workloads;
use crate::config::Scenario;
use crate::execution::cost::experts_ask;
use crate::kernels::{ExpertsAsk, ExpertsChoice, Kernels};
use crate::workload::{Execution, ExpertsKernel, Workload};

/// How much longer `auto`'s kernel takes before that is said: twice what a profile's tables are off by.
const SAID_FROM: f64 = 1.25;

/// `auto` takes the kernel that engines run, measured, be it tuned for this shape or not: without a tile configuration
/// of its own SGLang's Triton kernel takes two to three times as long as with one.
pub(super) fn slower(scenario: &Scenario) -> Option<String> {
    let kernels = Kernels::new(&scenario.profile, scenario.topology.gpu().device());
    workloads(scenario).find_map(|workload| of(workload, &kernels))
}

fn of(workload: &Workload, kernels: &Kernels<'_>) -> Option<String> {
    if workload.execution != Execution::Grouped || workload.stack.experts != ExpertsKernel::Auto {
        return None;
    }
    let ask = experts_ask(workload);
    let fused = kernels.choose_experts(&ask).ok()?;
    let grouped = ExpertsAsk { kernel: &ExpertsKernel::GroupedGemm, ..ask };
    let grouped = kernels.choose_experts(&grouped).ok()?;
    if matches!(fused, ExpertsChoice::Grouped { .. }) {
        return None;
    }
    let even = ask.slots.div_ceil(u64::from(ask.shape.experts.max(1)));
    let rows = vec![u32::try_from(even).ok()?; ask.shape.experts as usize];
    let time = |choice| kernels.experts(choice, ask.shape).parts(&rows).total();
    let (taken, other) = (time(fused), time(grouped));
    (taken.secs() >= SAID_FROM * other.secs()).then(|| {
        format!(
            "experts of {} run as {}, which kernels.experts = \"auto\" takes where its table covers them: {taken} a layer \
             for even loads; \"grouped-gemm\", derived, would take {other}",
            workload.name,
            fused.kernel()
        )
    })
}
