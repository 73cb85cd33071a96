//! The gate's kernels, and whether experts' rows are quantised apart.

use super::{KernelTimes, experts_ask};
use crate::base::units::{Bytes, SimDuration};
use crate::kernels::Support;
use crate::kernels::profile::{MemoryKernel, Moved};
use crate::workload::{Dtype, GateNetwork, Model, Scheme, Workload};

/// Whether the kernel of grouped experts takes its rows as quantised by a kernel of their own: grouped GEMMs
/// do, kernels that were measured with it do not.
pub(super) fn quantises_apart(workload: &Workload, kernels: &dyn KernelTimes) -> bool {
    let basis = kernels.experts_basis(&experts_ask(workload));
    workload.batch.dtype == Dtype::Fp8 && matches!(basis.support, Support::Derived { .. })
}

/// Share of the experts' kernel that is left after the gate, where the first product has this many columns left.
pub(super) fn share_after_gate(model: &Model, left: u32) -> f64 {
    let matrices = f64::from(model.matrices());
    (f64::from(left) / f64::from(model.hidden) + matrices - 1.0) / matrices
}

/// What gates compute in, whatever the format of experts.
const UNQUANTISED: Dtype = Dtype::Bf16;

/// Eq. (1).
pub(crate) fn gate(workload: &Workload, kernels: &dyn KernelTimes, first: bool) -> SimDuration {
    let Workload { model, batch, .. } = workload;
    let tokens = u64::from(workload.computed_tokens());
    let experts = model.experts.total();
    // Gates stay in 16 bits where experts compute in fp8 [deepseekv3, §3.3].
    let gemm = |n, k| kernels.gemm(n, k, UNQUANTISED)(tokens);
    let scores = match (workload.gating.scheme, model.gate) {
        (Scheme::Autonomy { rank }, _) => {
            let norms = tokens * u64::from(experts) * u64::from(rank);
            gemm(experts * rank, model.hidden)
                + kernels.memory_bound(Bytes(norms * batch.dtype.bytes()), 1)
        }
        (_, GateNetwork::Linear) => gemm(experts, model.hidden),
        (_, GateNetwork::TwoLayer) => gemm(8 * experts, model.hidden) + gemm(experts, 8 * experts),
    };
    let residual =
        if model.gating_residual && !first { gemm(experts, experts) } else { SimDuration::ZERO };
    // Softmax and top-K read and write the scores in fp32, in three launches.
    let bytes = Bytes(3 * 4 * tokens * u64::from(experts));
    let choose = kernels.moved(&[Moved { kernel: MemoryKernel::Choose, width: experts, bytes }]);
    scores + residual + choose
}
