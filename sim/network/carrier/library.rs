//! What is known of a library without any profile: SMs, and how its tokens travel.

use crate::network::collective::Algorithm;
use crate::workload::{ExchangeLibrary, Workload};

/// SMs that DeepEP's normal kernels take unless told otherwise (`Buffer.num_sms`).
pub const DEFAULT_SMS: u32 = 20;
/// The same of Hybrid-EP's (Megatron-LM's `moe_hybridep_num_sms`).
const HYBRID_SMS: u32 = 16;

pub(super) const NVLINK_ONE: ExchangeLibrary = ExchangeLibrary::NvlinkOneSided;
pub(super) const NVLINK_TWO: ExchangeLibrary = ExchangeLibrary::NvlinkTwoSided;

/// Whether a library takes a number of SMs.
pub(super) const fn takes_sms(library: ExchangeLibrary) -> bool {
    matches!(library, ExchangeLibrary::DeepEpNormal | ExchangeLibrary::HybridEp)
}

/// SMs that a library which takes a number of them runs on.
pub(super) fn sms_of(library: ExchangeLibrary, workload: &Workload) -> u32 {
    let own = if library == ExchangeLibrary::HybridEp { HYBRID_SMS } else { DEFAULT_SMS };
    workload.stack.sms.unwrap_or(own)
}

/// How a library's tokens travel.
pub(super) const fn algorithm_of(library: ExchangeLibrary) -> Algorithm {
    match library {
        ExchangeLibrary::Auto | ExchangeLibrary::Nccl | ExchangeLibrary::DeepEpLowLatency => {
            Algorithm::Direct
        }
        ExchangeLibrary::DeepEpNormal | ExchangeLibrary::HybridEp => Algorithm::TwoHop,
        NVLINK_ONE | NVLINK_TWO => Algorithm::OneSided,
    }
}

/// Whether tokens of a library may travel so.
pub(super) fn travels(library: ExchangeLibrary, how: Algorithm) -> bool {
    library == ExchangeLibrary::Nccl || algorithm_of(library) == how
}
