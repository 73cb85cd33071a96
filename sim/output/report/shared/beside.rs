//! What exchanges and the kernels beside them take of each other, in a scenario.

use crate::config::Scenario;
use crate::execution::program::Contention;
use crate::execution::run::{NCCL_SMS, of_exchanges};
use crate::workload::Workload;

/// SMs that a workload's exchanges hold, where that is known; the most that they take of products and of kernels bound
/// by memory, and these of them.
pub(in crate::output) fn beside(
    scenario: &Scenario,
    workload: &Workload,
) -> (Option<u32>, [f64; 3]) {
    let Ok(carrier) = scenario.carrier(workload) else { return (None, [1.0; 3]) };
    let known = carrier.sms(workload);
    let travels = (&carrier.rates, carrier.algorithm);
    let sms = known.unwrap_or(NCCL_SMS);
    (known, most(of_exchanges(&scenario.topology, workload, travels, sms)))
}

fn most(each: [Contention; 2]) -> [f64; 3] {
    let of = |part: fn(&Contention) -> f64| each.iter().map(part).fold(1.0, f64::max);
    [of(|one| one.kernels.arithmetic), of(|one| one.kernels.memory), of(|one| one.meeting.memory)]
}
