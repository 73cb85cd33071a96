//! Predicted against measured: whole layers, which no fit has seen.
//!
//! A layer is priced by the simulator's own [`LayerCost`], on the profile's own peaks, with the slots
//! of every expert as they were measured. A layer run one expert after another is priced with the
//! overheads of its loop, which its small ops were measured for alone, once for every expert that the
//! loop visits: as it is written here, each zero-computation expert is visited by itself.

use moesim::base::statistics::{Rule, quantile};
use moesim::base::units::SimDuration;
use moesim::config::{Kind, built_in};
use moesim::execution::blame::Op;
use moesim::execution::cost::{Launches, LayerCost, Overheads, ZeroComputationSlots};
use moesim::kernels::Kernels;
use moesim::kernels::profile::Profile;
use moesim::workload::{
    Capacity, Dtype, Execution, ExpertsKernel, GateNetwork, Workload, ZeroComputation,
};

use crate::fit_samples::KERNEL;
use crate::measure::probes::loop_ops::LAUNCHES;
use crate::measure::samples::Sample;
use crate::measure::shapes::Shape;

/// A layer as it was measured and as it is predicted, in seconds.
#[derive(Clone, Debug, PartialEq)]
pub struct Compared {
    /// The model whose shape it has.
    pub shape: String,
    /// Whether its experts ran at once, or one after another.
    pub grouped: bool,
    /// τ, or none: vanilla.
    pub tau: Option<f64>,
    /// Share of slots that went to FFN experts.
    pub ffn_share: f64,
    /// Measured: the median of its windows.
    pub measured: f64,
    /// Predicted: likewise, as each window has tokens of its own.
    pub predicted: f64,
    /// What was measured at times apart, in order.
    pub windows: Vec<f64>,
}

impl Compared {
    /// Relative error of the prediction.
    #[must_use]
    pub fn error(&self) -> f64 {
        self.predicted / self.measured - 1.0
    }

    /// How far its windows lie from their median, the farthest, relative to it: no prediction can be judged closer.
    #[must_use]
    pub fn repeats_to(&self) -> f64 {
        self.windows.iter().map(|w| (w / self.measured - 1.0).abs()).fold(0.0, f64::max)
    }
}

/// A gain in throughput over vanilla, t_vanilla / t − 1, measured and predicted.
#[derive(Clone, Debug, PartialEq)]
pub struct Gain {
    /// The MoE++ layer.
    pub layer: Compared,
    /// Measured: the median of what pairs of windows gained, each the nearest in time.
    pub measured: f64,
    /// Predicted.
    pub predicted: f64,
    /// How far such pairs lie from their median, the farthest.
    pub repeats_to: f64,
}

impl Gain {
    /// Whether the prediction is within ten points of what was measured, or a tenth of it, whichever is more.
    #[must_use]
    pub fn is_met(&self) -> bool {
        (self.predicted - self.measured).abs() <= CLOSE.max(CLOSE * self.measured.abs())
    }
}

/// Ten points, and a tenth.
const CLOSE: f64 = 0.1;

/// Every whole layer among the samples, ordered by shape, execution and τ. Without overheads of the
/// loop it is taken to launch its small ops and to move their bytes once.
#[must_use]
pub fn layers(profile: &Profile, of_loop: Option<Overheads>, samples: &[Sample]) -> Vec<Compared> {
    let mut found: Vec<Compared> =
        samples.iter().filter_map(|s| compared(profile, of_loop, s)).collect();
    let key = |c: &Compared| (c.shape.clone(), !c.grouped, c.tau.unwrap_or(0.0).to_bits());
    found.sort_by_key(key);
    found.chunk_by(|a, b| key(a) == key(b)).map(together).collect()
}

/// Windows of one layer as one.
fn together(windows: &[Compared]) -> Compared {
    let of = |value: fn(&Compared) -> f64| middle(windows.iter().map(value).collect());
    Compared {
        ffn_share: of(|c| c.ffn_share),
        measured: of(|c| c.measured),
        predicted: of(|c| c.predicted),
        windows: windows.iter().map(|c| c.measured).collect(),
        ..windows[0].clone()
    }
}

fn middle(values: Vec<f64>) -> f64 {
    quantile(&values, 0.5, Rule::Middle).unwrap_or(f64::NAN)
}

/// The gain of every MoE++ layer over the vanilla one of its shape and execution.
#[must_use]
pub fn gains(layers: &[Compared]) -> Vec<Gain> {
    let vanilla = |of: &Compared| {
        layers.iter().find(|v| v.tau.is_none() && v.shape == of.shape && v.grouped == of.grouped)
    };
    let gain = |layer: &Compared| {
        layer.tau?;
        let vanilla = vanilla(layer)?;
        let pairs = vanilla.windows.iter().zip(&layer.windows);
        let gained: Vec<f64> = pairs.map(|(v, m)| v / m - 1.0).collect();
        let measured = middle(gained.clone());
        Some(Gain {
            measured,
            predicted: vanilla.predicted / layer.predicted - 1.0,
            repeats_to: gained.iter().map(|g| (g - measured).abs()).fold(0.0, f64::max),
            layer: layer.clone(),
        })
    };
    layers.iter().filter_map(gain).collect()
}

/// A quantile of the relative errors' sizes, 0.5 for the median; none of nothing.
#[must_use]
pub fn error_quantile(layers: &[Compared], level: f64) -> Option<f64> {
    let sizes: Vec<f64> = layers.iter().map(|l| l.error().abs()).collect();
    quantile(&sizes, level, Rule::Linear)
}

fn compared(profile: &Profile, of_loop: Option<Overheads>, sample: &Sample) -> Option<Compared> {
    let point = &sample.point;
    let grouped = match point.part.as_str() {
        "vanilla grouped" | "moepp grouped" => true,
        "vanilla sequential" | "moepp sequential" => false,
        _ => return None,
    };
    let shape = Shape::named(&point.shape)?;
    let tokens = u32::try_from(point.tokens?).ok()?;
    let workload = workload(shape, tokens, point.tau, grouped)?;
    let predicted = predict(profile, of_loop, &workload, &point.slots)?;
    let ffn: u64 = point.slots.iter().take(shape.ffn as usize).map(|&c| u64::from(c)).sum();
    Some(Compared {
        shape: point.shape.clone(),
        grouped,
        tau: point.tau,
        ffn_share: ffn as f64 / (f64::from(tokens) * f64::from(shape.top_k)),
        measured: sample.timing.median,
        predicted,
        windows: Vec::new(),
    })
}

/// Seconds of one layer whose experts have these slots, in the public code's order.
fn predict(
    profile: &Profile,
    of_loop: Option<Overheads>,
    workload: &Workload,
    slots: &[u32],
) -> Option<f64> {
    let experts = workload.model.experts;
    if slots.len() != experts.total() as usize {
        return None;
    }
    let kernels = Kernels::new(profile, profile.data_sheet);
    let sequential = workload.execution == Execution::Sequential;
    let overheads = of_loop
        .unwrap_or(Overheads { expert_visit: kernels.launch().times(LAUNCHES), ..Overheads::NONE });
    // The grouped layer that was measured ran the kernel of this profile, where it has one.
    let mut workload = workload.clone();
    if profile.experts.keys().any(|(kernel, _)| kernel == KERNEL) {
        workload.stack.experts = ExpertsKernel::Named(KERNEL.to_owned());
    }
    let workload = &workload;
    let mut cost = LayerCost::new(workload, &kernels, overheads);
    let (ffn, rest) = slots.split_at(experts.ffn as usize);
    let sum = |slots: &[u32]| slots.iter().map(|&c| u64::from(c)).sum::<u64>();
    let zero_computation = experts.zero_computation;
    let (constant, rest) = rest.split_at(zero_computation.constant as usize);
    let copy = &rest[..zero_computation.copy as usize];
    let mut ops: Vec<Op> = vec![cost.gate(!workload.model.gating_residual)];
    if !sequential {
        ops.push(cost.permute(sum(ffn)));
    }
    let before = ops.len();
    cost.ffn(ffn, &mut ops);
    let mut device: SimDuration = ops[before..].iter().map(|op| op.time).sum();
    if !sequential {
        ops.push(cost.mix(sum(ffn)));
    }
    // The zero expert takes no launch here, whatever its kind would be charged. The loop visits every
    // other expert that has tokens; at once, each kind is one kernel.
    let visited = |slots: &[u32]| slots.iter().filter(|&&c| c > 0).count() as u32;
    let kinds_visited = if sequential {
        visited(copy) + visited(constant)
    } else {
        visited(&[sum(copy) as u32]) + visited(&[sum(constant) as u32])
    };
    let zero_slots =
        ZeroComputationSlots { copy: sum(copy), constant: sum(constant), kinds_visited };
    let zero = cost.zero_computation(zero_slots);
    device += zero.time;
    let visits = ffn.len() as u64 + u64::from(kinds_visited);
    ops.extend([zero, cost.launches(Launches { layers: 1, visits }, device)]);
    Some(ops.iter().map(|op| op.time.secs()).sum())
}

/// One layer of a shape on one GPU: a built-in workload in all that the price of a layer does not
/// depend on.
fn workload(shape: &Shape, tokens: u32, tau: Option<f64>, grouped: bool) -> Option<Workload> {
    let mut workload = moesim::config::workload(&built_in(Kind::Workload, "moe-0.6b")?).ok()?;
    let zero_computation = match tau {
        Some(_) => ZeroComputation { zero: shape.zero, copy: shape.copy, constant: shape.constant },
        None => ZeroComputation::default(),
    };
    let Workload { model, batch, layout, .. } = &mut workload;
    (model.layers, model.heads, model.head_dim) = (1, 1, shape.hidden);
    (model.hidden, model.intermediate) = (shape.hidden, shape.inter);
    (model.experts.ffn, model.experts.top_k) = (shape.ffn, shape.top_k);
    model.experts.zero_computation = zero_computation;
    model.experts.tau = tau;
    model.gate = if shape.pathway_aware { GateNetwork::TwoLayer } else { GateNetwork::Linear };
    model.gating_residual = shape.pathway_aware;
    (batch.tokens_per_gpu, batch.sequence_tokens, batch.micro_batches) = (tokens, tokens, 1);
    batch.dtype = Dtype::Bf16;
    (layout.expert_parallel, layout.pipeline_parallel) = (1, 1);
    workload.execution = if grouped { Execution::Grouped } else { Execution::Sequential };
    workload.capacity = Capacity::Dropless;
    Some(workload)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(tau: Option<f64>, windows: &[f64], predicted: f64) -> Compared {
        let window = |&measured: &f64| Compared {
            shape: "tiny".to_owned(),
            grouped: true,
            tau,
            ffn_share: 1.0,
            measured,
            predicted,
            windows: Vec::new(),
        };
        together(&windows.iter().map(window).collect::<Vec<_>>())
    }

    #[test]
    fn gains_are_those_of_windows_in_turn_so_that_drift_is_none() {
        // A device that gets slower by half, window by window, and a layer that takes half of vanilla's time.
        let vanilla = layer(None, &[2.0, 3.0, 4.5], 3.0);
        let half = layer(Some(0.1), &[1.0, 1.5, 2.25], 1.4);
        assert!(
            (vanilla.measured - 3.0).abs() < 1e-12 && (vanilla.repeats_to() - 0.5).abs() < 1e-12
        );
        let found = gains(&[vanilla, half]);
        assert_eq!(found.len(), 1);
        assert!((found[0].measured - 1.0).abs() < 1e-12 && found[0].repeats_to < 1e-12);
        // 3/1.4 − 1 = 1.143: more than a tenth of the gain off.
        assert!((found[0].predicted - 1.143).abs() < 1e-3 && !found[0].is_met());
    }

    #[test]
    fn ten_points_of_a_small_gain_and_a_tenth_of_a_large_one_are_close() {
        let of = |measured, predicted| {
            let layer = layer(Some(0.5), &[1.0], 1.0);
            Gain { layer, measured, predicted, repeats_to: 0.0 }.is_met()
        };
        assert!(of(0.2, 0.29) && !of(0.2, 0.31) && !of(-0.05, 0.06));
        assert!(of(5.0, 5.4) && !of(5.0, 4.4));
    }
}
