//! What exchanges take from kernels beside them, of one workload.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::Scenario;
use crate::execution::run::NCCL_SMS;
use crate::output::report::shared::beside::beside;
use crate::studies::study::Row;

/// SMs that exchanges hold, and how much longer kernels beside them take.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BesideExchanges {
    /// SMs held.
    pub sms: u32,
    /// Whether their number was assumed.
    pub sms_assumed: bool,
    /// Whether they are kept from kernels for the whole step, so that nothing more is taken beside exchanges.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub sms_reserved: bool,
    /// The factor on matrix products, over what they take throughout.
    pub products_times: f64,
    /// The factor on memory kernels.
    pub memory_times: f64,
    /// The factor on exchanges beside memory kernels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exchange_times: Option<f64>,
}

impl BesideExchanges {
    pub(super) fn of(scenario: &Scenario, row: &Row) -> Self {
        let (known, times) = beside(scenario, &row.workload);
        let [products_times, memory_times, exchange_times] = times;
        let sms = known.unwrap_or(NCCL_SMS);
        Self {
            sms,
            sms_assumed: known.is_none(),
            sms_reserved: row.workload.stack.reserved,
            products_times,
            memory_times,
            exchange_times: Some(exchange_times),
        }
    }
}
