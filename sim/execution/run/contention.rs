//! What exchanges take from kernels beside them.

use crate::execution::program::Slowdown;
use crate::topology::{LinkClass, Topology};

/// SMs that NCCL's kernels hold where nothing else is known: 16 channels of one block each, its usual number within
/// a node of H100 [nccl].
pub const NCCL_SMS: u32 = 16;

/// What kernels that hold this many SMs, and move bytes as fast as the GPU's links do, do to kernels beside them:
///
/// ```text
///   bound by tiles    S / (S − k)
///   bound by memory   1 / (1 − 2·B / W)     each byte is read and written once by the GPUs at its ends
/// ```
///
/// with `B` the GPU's fastest link one way and `W` its memory bandwidth.
#[must_use]
pub fn slowdown(topology: &Topology, sms: u32) -> Slowdown {
    let gpu = topology.gpu();
    let (all, held) = (f64::from(gpu.sms), f64::from(sms.min(gpu.sms - 1)));
    let inside = [LinkClass::Nvlink, LinkClass::Xgmi, LinkClass::Pcie];
    let links = topology.links().iter().filter(|link| inside.contains(&link.class));
    let fastest = links.map(|link| link.bandwidth.bytes_per_sec()).fold(0.0, f64::max);
    let moved = (2.0 * fastest / gpu.memory_bandwidth.bytes_per_sec()).min(0.5);
    Slowdown { arithmetic: all / (all - held), memory: 1.0 / (1.0 - moved) }
}
