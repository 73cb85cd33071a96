//! What moves tokens between their own order and that of experts, forward and backward: equations (2) and (7) of the
//! parent.

use super::LayerCost;
use crate::base::units::{Bytes, SimDuration};
use crate::execution::blame::{Op, Reason};
use crate::kernels::profile::{MemoryKernel, Moved};
use crate::workload::{Dtype, Workload};

impl LayerCost<'_> {
    /// Permute, eq. (2), for the slots of one GPU that leave the token order.
    #[must_use]
    pub fn permute(&self, slots: u64) -> Op {
        let bytes = Bytes(2 * slots * self.workload.dispatch_bytes().0);
        Op { reason: Reason::Permute, time: self.rows_moved(MemoryKernel::Permute, bytes) }
    }

    /// Mix, eq. (7): `slots` results into the GPU's tokens.
    #[must_use]
    pub fn mix(&self, slots: u64) -> Op {
        let tokens = u64::from(self.workload.batch.tokens_per_gpu);
        let (result, token) = (self.workload.combine_bytes().0, self.workload.token_bytes().0);
        let bytes = Bytes(slots * result + tokens * token);
        Op { reason: Reason::Mix, time: self.rows_moved(MemoryKernel::Mix, bytes) }
    }

    fn rows_moved(&self, kernel: MemoryKernel, bytes: Bytes) -> SimDuration {
        self.kernels.moved(&[Moved { kernel, width: self.workload.model.hidden, bytes }])
    }

    /// Permute backward: gradients of the same rows the other way, in the format of a combine.
    #[must_use]
    pub fn permute_backward(&self, slots: u64) -> Op {
        let bytes = Bytes(2 * slots * self.workload.combine_bytes().0);
        Op { reason: Reason::RoutingBackward, time: self.memory(bytes) }
    }

    /// Mix backward: a gradient for each slot, in the format of a dispatch, and one for its weight from its result.
    #[must_use]
    pub fn mix_backward(&self, slots: u64) -> Op {
        let Workload { batch, .. } = self.workload;
        let tokens = u64::from(batch.tokens_per_gpu) * self.workload.token_bytes().0;
        let (gradient, result) =
            (self.workload.dispatch_bytes().0, self.workload.combine_bytes().0);
        let bytes = Bytes(slots * (gradient + result) + tokens);
        Op { reason: Reason::RoutingBackward, time: self.memory(bytes) }
    }

    /// Rows and gradients that a dispatch brought in fp8 are read and written once more, turned: weight gradients
    /// need their scales along the other side [deepseekv3, §3.3.2]. Rows that were dispatched in 16 bits are
    /// quantised both ways at once (`quantising`).
    pub(super) fn turned(&self, slots: u64) -> SimDuration {
        match self.workload.batch.dispatch_dtype {
            Dtype::Fp8 => self.memory(Bytes(4 * slots * self.workload.dispatch_bytes().0)),
            Dtype::Bf16 => SimDuration::ZERO,
        }
    }
}
