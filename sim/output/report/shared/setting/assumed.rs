//! What one key of a workload decided about others, unasked: the exchange library and the phase.

use super::workloads;
use crate::config::Scenario;
use crate::execution::Scope;
use crate::workload::{ExchangeLibrary, Workload};

/// That `auto` takes another exchange library as the number of its SMs is given.
pub(super) fn library_by_sms(scenario: &Scenario) -> Option<String> {
    let exchanges = |workload: &&Workload| {
        scenario.counted != Scope::Experts && workload.layout.expert_parallel > 1
    };
    workloads(scenario).filter(exchanges).find_map(|workload| {
        let sms = workload.stack.sms.filter(|_| workload.stack.exchange == ExchangeLibrary::Auto)?;
        let mut free = workload.clone();
        (free.stack.sms, free.stack.reserved) = (None, false);
        let [taken, other] = [workload, &free].map(|one| scenario.carrier(one).ok());
        let (taken, other) = (taken?.library, other?.library);
        (taken != other).then(|| {
            format!(
                "exchange.sms = {sms} has \"auto\" take {}, which takes a number of SMs, in place of {}: name a library in \
                 exchange.library to compare numbers of SMs alone",
                taken.word(),
                other.word()
            )
        })
    })
}

/// That keys of [training] make a batch one of training, where no backward pass is counted.
pub(super) fn training_by_keys(scenario: &Scenario) -> Option<String> {
    let implied = |workload: &&Workload| workload.stack.phase_implied;
    let workload = workloads(scenario).find(implied)?;
    (!scenario.counted.has_backward()).then(|| {
        format!(
            "keys of [training] make the batch of {} one of training, by which \"auto\" takes kernels and libraries: leave them \
             out, or give batch.phase",
            workload.name
        )
    })
}
