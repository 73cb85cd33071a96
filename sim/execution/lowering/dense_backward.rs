//! What is not the MoE layer: its backward pass, and the collectives of GPUs that share products.

use std::collections::BTreeMap;

use crate::base::units::{Bytes, SimDuration};
use crate::execution::Scope;
use crate::execution::blame::{Op, Reason};
use crate::execution::cost::{
    CollectiveTimes, Gradient, Group, KernelTimes, dense_backward, output_backward,
    shared_backward, shortcut_backward,
};
use crate::kernels::profile::CollectiveOp;
use crate::workload::{Attention, Workload};

/// Dense parts backward.
pub(super) struct DenseBackward {
    /// Input and weight gradients of what is in front of each layer's gate.
    pub layers: Vec<[Op; 2]>,
    /// Output and loss.
    pub output: Op,
    /// The shortcut's dense block, and shared experts.
    pub beside: [Op; 2],
}

impl DenseBackward {
    /// Those of a workload, as far as they are counted.
    pub fn of(workload: &Workload, counted: Scope, kernels: &dyn KernelTimes) -> Self {
        let shared = shared_backward(workload, kernels);
        let none = Op { reason: Reason::DenseBackward, time: SimDuration::ZERO };
        let layers = workload.model.layers;
        if !counted.is_whole_model() {
            let layers = vec![[none; 2]; layers as usize];
            return Self { layers, output: none, beside: [none, shared] };
        }
        let kind = |layer: u32| (layer == 0, workload.model.windowed_up_to(layer));
        let mut priced = BTreeMap::new();
        let of = |layer: u32| {
            *priced.entry(kind(layer)).or_insert_with(|| {
                [Gradient::Inputs, Gradient::Weights]
                    .map(|gradient| dense_backward(workload, kernels, layer, gradient))
            })
        };
        Self {
            layers: (0..layers).map(of).collect(),
            output: output_backward(workload, kernels),
            beside: [shortcut_backward(workload, kernels), shared],
        }
    }
}

/// Collectives of tensor and context parallelism.
///
/// With `t` GPUs of tensor parallelism and sequence parallelism [korthikanti22], each attention block and each
/// dense network gathers the tokens of all `t` before its first product and scatters the sums after its
/// last, in both passes. With `c` groups of context parallelism, each attention block gathers keys and values of
/// the whole sequence, and scatters their gradients. All of it is charged: libraries hide a part.
#[derive(Clone, Copy, Debug)]
pub(super) struct SharedProducts {
    /// Of a layer, and of leading dense layers.
    block: SimDuration,
    leading: SimDuration,
}

impl SharedProducts {
    /// Those of a workload.
    pub fn of(workload: &Workload, collectives: &CollectiveTimes<'_>) -> Self {
        let (layout, model) = (&workload.layout, &workload.model);
        let of_tensor = Group { gpus: layout.tensor_parallel, stride: 1 };
        let of_context = Group { gpus: layout.context_parallel, stride: layout.tensor_parallel };
        let tokens = u64::from(workload.batch.tokens_per_gpu) * u64::from(layout.tensor_parallel);
        let row = Bytes(tokens * u64::from(model.hidden) * 2);
        let tensor = collectives.time(CollectiveOp::AllGather, of_tensor, row)
            + collectives.time(CollectiveOp::ReduceScatter, of_tensor, row);
        let pairs = match model.attention {
            Attention::Grouped { key_value_heads } => {
                u64::from(key_value_heads.div_ceil(layout.tensor_parallel))
                    * u64::from(model.head_dim + model.value_dim)
            }
            Attention::Latent { key_value_rank, rope_dim, .. } => {
                u64::from(key_value_rank) + u64::from(rope_dim)
            }
        };
        let gathered = Bytes(2 * tokens * u64::from(layout.context_parallel) * pairs);
        let context = collectives.time(CollectiveOp::AllGather, of_context, gathered);
        let blocks = if model.dense.shortcut { 4 } else { 1 };
        let [leading, between] = [model.dense.leading_layers, model.dense.between].map(u64::from);
        let dense = tensor.times(2) + context;
        Self {
            block: tensor.times(blocks) + context + dense.times(between),
            leading: dense.times(leading),
        }
    }

    /// Of a layer's forward pass.
    pub fn forward(self, first: bool) -> Op {
        let time = if first { self.block + self.leading } else { self.block };
        Op { reason: Reason::TensorParallel, time }
    }

    /// Of its backward pass: as many.
    pub fn backward(self, first: bool) -> Op {
        self.forward(first)
    }
}
