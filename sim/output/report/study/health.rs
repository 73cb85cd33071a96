//! What is in poor health and without use in a run.

use crate::base::units::LinkId;
use crate::config::Scenario;
use crate::studies::study::Row;
use crate::topology::LinkClass;

/// Links and GPUs in poor health that no row of a run has use for, in words; none where there are none.
pub(super) fn idle(scenario: &Scenario, rows: &[Row]) -> Option<String> {
    let topology = &scenario.topology;
    let carries = |link: &LinkId| {
        let bytes = rows.iter().filter_map(|row| row.link_bytes_per_s.get(link.index()));
        bytes.fold(0.0_f64, |most, own| most.max(*own)) > 0.0
    };
    // Collectives are no flows over links: with these, any link may count.
    let flows_alone = rows.iter().all(|row| {
        let layout = &row.workload.layout;
        let shared = layout.tensor_parallel * layout.context_parallel > 1;
        layout.expert_tensor_parallel == 1 && !(shared && scenario.counted.is_whole_model())
    }) && !scenario.counted.has_backward();
    let nics = || (0..).map(LinkId).zip(topology.links());
    let by_nics = || nics().any(|(id, link)| link.class == LinkClass::Nic && carries(&id));
    // Nothing crosses a NIC that is down, and others carry its bytes instead.
    let matters = |(link, left): &(LinkId, f64)| carries(link) || (*left == 0.0 && by_nics());
    let links = topology.sick_links().filter(|sick| flows_alone && !matters(sick));
    let links = links.map(|(link, _)| topology.link_name(link));
    let used = rows.iter().map(|row| row.workload.layout.in_use(topology.gpus())).max();
    let gpus = topology.slow_gpus().keys().filter(|gpu| used.is_some_and(|used| gpu.0 >= used));
    let idle: Vec<String> = links.chain(gpus.map(|gpu| format!("gpu{}", gpu.0))).collect();
    (!idle.is_empty()).then(|| format!("in poor health, and without use here: {}", idle.join(", ")))
}
