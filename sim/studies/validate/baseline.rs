//! What the data sheet alone would predict.

use crate::kernels::Device;
use crate::kernels::exchange::{Library, volume};
use crate::kernels::experts::{ExpertsLoad, ExpertsShape};
use crate::kernels::measurements::{CollectiveRow, ExchangeRow, GemmRow};
use crate::kernels::profile::{CollectiveOp, Precision, Profile};

/// Start-up of any transfer, in seconds: the round figure people use.
const ALPHA_S: f64 = 10e-6;

/// `max(operations/peak, bytes/bandwidth)` in seconds [williams09].
fn roofline(device: &Device, precision: Precision, operations: f64, bytes: f64) -> f64 {
    let peak = device.peak(precision).flops_per_sec();
    (operations / peak).max(bytes / device.memory_bandwidth.bytes_per_sec())
}

pub(super) fn gemm(device: &Device, row: &GemmRow) -> f64 {
    let [m, n, k] = [row.m, row.n, row.k].map(f64::from);
    let bytes = row.precision.bytes() * (m * k + k * n) + 2.0 * m * n;
    roofline(device, row.precision, 2.0 * m * n * k, bytes)
}

pub(super) fn experts(
    device: &Device,
    precision: Precision,
    shape: ExpertsShape,
    load: &ExpertsLoad,
) -> f64 {
    let [h, i] = [shape.hidden, shape.inter].map(f64::from);
    let matrices = if shape.gated { 3.0 } else { 2.0 };
    let (slots, active) = (load.slots as f64, load.active as f64);
    let weights = precision.bytes() * active * matrices * h * i;
    let activations = 2.0 * slots * (2.0 * h + matrices * i);
    roofline(device, precision, 2.0 * slots * matrices * h * i, weights + activations)
}

/// `α + S/B` with S what one GPU must send: (n−1)/n of the message, twice for an all-reduce. None where the
/// profile does not say what its GPU's links are.
pub(super) fn collective(profile: &Profile, row: &CollectiveRow) -> Option<f64> {
    let link = profile.scale_up?.bytes_per_sec();
    let rounds = if row.op == CollectiveOp::AllReduce { 2.0 } else { 1.0 };
    let sent = rounds * row.bytes as f64 * (1.0 - 1.0 / f64::from(row.gpus));
    Some(ALPHA_S + sent / link)
}

/// `α + S/B`: scale-up links within a node or an NVLink domain, a 400 Gb/s NIC between nodes. None where the
/// profile does not say what its GPU's links are.
pub(super) fn exchange(profile: &Profile, row: &ExchangeRow) -> Option<f64> {
    let nodes = row.library != Library::NvlinkDomain && row.shape.groups > 1;
    let link = if nodes { NIC } else { profile.scale_up?.bytes_per_sec() };
    let (sent, _) = volume(row.library, row.shape, row.bytes, row.tokens.into());
    Some(ALPHA_S + sent / link)
}

/// Bytes per second of the NICs of the multi-node tables.
const NIC: f64 = 50e9;
