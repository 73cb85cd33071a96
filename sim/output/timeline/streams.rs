//! The streams of a GPU on which it meets others beside its kernels: each meeting from when it joins until it has all.

use std::collections::BTreeMap;

use super::{Slice, ns, process_track};
use crate::base::units::{GpuId, SimTime};
use crate::execution::blame::Reason;
use crate::output::timeline::proto::Trace;

/// The tracks, by their place behind those of what a GPU's time is blamed on.
const STREAMS: [&str; 2] = ["exchange stream", "reduction stream"];
const FIRST: u64 = 4;

/// Meetings of the traced GPUs.
#[derive(Clone, Debug, Default)]
pub(super) struct Streams {
    open: BTreeMap<(GpuId, usize), SimTime>,
    pub slices: Vec<Slice>,
    /// SMs that exchanges and reductions hold, where that is known.
    pub sms: [Option<u32>; 2],
}

const fn stream_of(reason: Reason) -> usize {
    matches!(reason, Reason::Gradients) as usize
}

impl Streams {
    pub fn join(&mut self, gpu: GpuId, reason: Reason, at: SimTime) {
        self.open.insert((gpu, stream_of(reason)), at);
    }

    pub fn leave(&mut self, gpu: GpuId, reason: Reason, at: SimTime) {
        if !reason.is_exchange() {
            return;
        }
        if let Some(from) = self.open.remove(&(gpu, stream_of(reason))) {
            self.slices.push(Slice { gpu, reason, from, to: at });
        }
    }

    /// Describes the tracks of a GPU.
    pub fn describe(trace: &mut Trace, gpu: GpuId) {
        let (process, pid) = (process_track(gpu), u64::from(gpu.0) + 1);
        for (stream, name) in (0..).zip(STREAMS) {
            trace.track(|track| {
                track.number(1, process + FIRST + stream);
                track.number(5, process);
                track.message(4, |descriptor| {
                    descriptor.number(1, pid);
                    descriptor.number(2, pid * 16 + FIRST + stream);
                    descriptor.text(5, name);
                });
            });
        }
    }

    /// Writes what was in flight, with the SMs that it holds.
    pub fn write(&self, trace: &mut Trace) {
        for slice in &self.slices {
            let stream = stream_of(slice.reason);
            let track = process_track(slice.gpu) + FIRST + stream as u64;
            let held = self.sms[stream].map_or_else(String::new, |sms| format!(", {sms} SMs held"));
            let name = format!("{} in flight{held}", slice.reason.label());
            trace.event(ns(slice.from), |event| {
                event.number(9, 1);
                event.number(11, track);
                event.text(23, &name);
                event.message(4, |annotation| {
                    annotation.text(10, "picoseconds");
                    annotation.number(3, (slice.to - slice.from).ps());
                });
            });
            trace.event(ns(slice.to), |event| {
                event.number(9, 2);
                event.number(11, track);
            });
        }
    }
}
