//! A run as a Perfetto trace: GPUs as processes, what they do as tracks.
//!
//! The observer keeps the facts of the GPUs asked for; [`Timeline::trace`] writes them as protocol
//! buffers [perfetto]. Times in a trace are whole nanoseconds, so every slice carries its exact
//! picoseconds as an annotation: their sums by name equal the blame table. An arrow leads from the
//! exchange of the GPU that joined last to the experts of each GPU that waited for it. Two tracks more show what its
//! exchange and reduction streams have in flight, whatever runs beside, with the SMs held ([`streams`]). Counters say how
//! many of the traced GPUs are sending and receiving, and what crosses the links of each class in the
//! whole cluster (see [`links`]).

use std::collections::BTreeMap;

use crate::base::units::{GpuId, SimTime};
use crate::execution::blame::Reason;
use crate::execution::machine::{Fact, Moved, Observer, Released};
use crate::topology::{ByClass, Topology};

mod links;
mod proto;
mod streams;

use crate::output::protobuf::Message;
use links::LinkUse;
use proto::Trace;
use streams::Streams;

/// A stretch of a GPU's time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slice {
    /// Which GPU.
    pub gpu: GpuId,
    /// For what.
    pub reason: Reason,
    /// From when.
    pub from: SimTime,
    /// Until when.
    pub to: SimTime,
}

/// Keeps the facts of some GPUs.
#[derive(Clone, Debug)]
pub struct Timeline<'a> {
    gpus: Vec<GpuId>,
    group: u32,
    slices: Vec<Slice>,
    /// Of each group and leg, who joined and when, since the exchange before.
    joined: BTreeMap<(u32, u8), Vec<(SimTime, GpuId)>>,
    /// Of each traced GPU, whom its latest dispatch waited for.
    waited_for: BTreeMap<u32, GpuId>,
    arrows: Vec<Arrow>,
    links: LinkUse<'a>,
    streams: Streams,
}

/// From the exchange of one GPU to the experts of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Arrow {
    from: GpuId,
    /// The slice that it ends at, by its place.
    to: usize,
}

impl<'a> Timeline<'a> {
    /// An observer of these GPUs of a cluster, in groups of `group` that exchange tokens.
    #[must_use]
    pub fn new(topology: &'a Topology, mut gpus: Vec<GpuId>, group: u32) -> Self {
        gpus.sort_unstable();
        gpus.dedup();
        Self {
            gpus,
            group: group.max(1),
            slices: Vec::new(),
            joined: BTreeMap::new(),
            waited_for: BTreeMap::new(),
            arrows: Vec::new(),
            links: LinkUse::new(topology),
            streams: Streams::default(),
        }
    }

    /// The same that says how many SMs exchanges and reductions hold, where that is known.
    #[must_use]
    pub const fn holding(mut self, sms: [Option<u32>; 2]) -> Self {
        self.streams.sms = sms;
        self
    }

    /// Meetings of the traced GPUs, each from when its GPU joined until it had all that it waited for.
    #[must_use]
    pub fn in_flight(&self) -> &[Slice] {
        &self.streams.slices
    }

    /// Bytes over the links of each class, of all GPUs of the cluster; a byte counts on every link.
    #[must_use]
    pub fn link_bytes(&self) -> ByClass<u64> {
        self.links.bytes()
    }

    /// The slices kept, in the order they became known.
    #[must_use]
    pub fn slices(&self) -> &[Slice] {
        &self.slices
    }

    fn traces(&self, gpu: GpuId) -> bool {
        self.gpus.binary_search(&gpu).is_ok()
    }

    /// Who joined a group's exchange last, if all have.
    fn last_joiner(&mut self, gpu: GpuId, reason: Reason, at: SimTime) {
        let group = gpu.0 / self.group;
        let joined = self.joined.entry((group, reason as u8)).or_default();
        joined.push((at, gpu));
        if joined.len() < self.group as usize {
            return;
        }
        let last = joined.iter().max_by_key(|(at, gpu)| (*at, gpu.0)).map(|(_, gpu)| *gpu);
        joined.clear();
        if let (Reason::Dispatch, Some(last)) = (reason, last) {
            for member in group * self.group..(group + 1) * self.group {
                self.waited_for.insert(member, last);
            }
        }
    }

    /// The trace as protocol buffers, for ui.perfetto.dev and its tools.
    #[must_use]
    pub fn trace(&self) -> Vec<u8> {
        let mut trace = Trace::default();
        for gpu in &self.gpus {
            describe(&mut trace, *gpu);
            Streams::describe(&mut trace, *gpu);
        }
        // Arrows that begin and end at each slice.
        let mut flows: BTreeMap<usize, Vec<(u64, bool)>> = BTreeMap::new();
        for (arrow, id) in self.arrows.iter().zip(1_u64..) {
            let arrives = self.slices[arrow.to].from;
            let dispatch = self.slices.iter().rposition(|slice| {
                slice.gpu == arrow.from && slice.reason == Reason::Dispatch && slice.from <= arrives
            });
            if let Some(dispatch) = dispatch {
                flows.entry(dispatch).or_default().push((id, false));
                flows.entry(arrow.to).or_default().push((id, true));
            }
        }
        for (at, slice) in self.slices.iter().enumerate() {
            write_slice(&mut trace, slice, flows.get(&at).map_or(&[][..], Vec::as_slice));
        }
        self.streams.write(&mut trace);
        self.count_exchanging(&mut trace);
        self.links.write(LINK_COUNTERS, &mut trace);
        trace.bytes()
    }

    /// A counter of how many traced GPUs are exchanging.
    fn count_exchanging(&self, trace: &mut Trace) {
        let mut changes: BTreeMap<u64, i64> = BTreeMap::new();
        for slice in &self.slices {
            if matches!(slice.reason, Reason::Dispatch | Reason::Combine) {
                *changes.entry(ns(slice.from)).or_default() += 1;
                *changes.entry(ns(slice.to)).or_default() -= 1;
            }
        }
        trace.track(|track| {
            track.number(1, COUNTER);
            track.text(2, "GPUs exchanging");
            track.message(8, |_| {});
        });
        let mut now = 0;
        for (at, change) in changes {
            now += change;
            trace.event(at, |event| {
                event.number(9, 4);
                event.number(11, COUNTER);
                event.number(30, now.cast_unsigned());
            });
        }
    }
}

impl Observer for Timeline<'_> {
    fn released(&mut self, released: &Released) {
        self.streams.leave(released.gpu, released.reason, released.at);
    }

    fn exchanged(&mut self, moved: &Moved) {
        self.links.add(moved);
    }

    fn observe(&mut self, fact: Fact) {
        match fact {
            Fact::Spent { gpu, reason, from, to } if self.traces(gpu) => {
                let after = self.slices.iter().rev().find(|slice| slice.gpu == gpu);
                let arrives = after.is_some_and(|slice| slice.reason == Reason::Dispatch);
                if arrives
                    && let Some(&last) = self.waited_for.get(&gpu.0)
                    && last != gpu
                    && self.traces(last)
                {
                    self.arrows.push(Arrow { from: last, to: self.slices.len() });
                }
                self.slices.push(Slice { gpu, reason, from, to });
            }
            Fact::Joined { gpu, reason, at } => {
                if self.traces(gpu) {
                    self.streams.join(gpu, reason, at);
                }
                self.last_joiner(gpu, reason, at);
            }
            Fact::Spent { .. } | Fact::Finished { .. } => {}
        }
    }
}

/// Track of the counter of GPUs; those of classes of links and of GPUs follow.
const COUNTER: u64 = 1;
const LINK_COUNTERS: u64 = 2;

/// The tracks of a GPU: what it computes, exchanges, and waits for.
const LANES: [&str; 3] = ["compute", "exchange", "wait"];

const fn lane_of(reason: Reason) -> usize {
    match reason {
        Reason::Dispatch | Reason::Combine => 1,
        _ if reason.is_wait() => 2,
        _ => 0,
    }
}

const fn process_track(gpu: GpuId) -> u64 {
    16 * (gpu.0 as u64 + 1)
}

fn describe(trace: &mut Trace, gpu: GpuId) {
    let process = process_track(gpu);
    let pid = u64::from(gpu.0) + 1;
    trace.track(|track| {
        track.number(1, process);
        track.message(3, |descriptor| {
            descriptor.number(1, pid);
            descriptor.text(6, &format!("GPU {}", gpu.0));
        });
    });
    for (lane, name) in LANES.iter().enumerate() {
        trace.track(|track| {
            track.number(1, process + 1 + lane as u64);
            track.number(5, process);
            track.message(4, |descriptor| {
                descriptor.number(1, pid);
                descriptor.number(2, pid * 16 + 1 + lane as u64);
                descriptor.text(5, name);
            });
        });
    }
}

fn ns(at: SimTime) -> u64 {
    at.since_start().ps() / 1_000
}

fn write_slice(trace: &mut Trace, slice: &Slice, arrows: &[(u64, bool)]) {
    let track = process_track(slice.gpu) + 1 + lane_of(slice.reason) as u64;
    trace.event(ns(slice.from), |event| {
        event.number(9, 1);
        event.number(11, track);
        event.text(23, slice.reason.label());
        event.message(4, |annotation: &mut Message| {
            annotation.text(10, "picoseconds");
            annotation.number(3, (slice.to - slice.from).ps());
        });
        for (id, ends) in arrows {
            event.fixed(if *ends { 48 } else { 47 }, *id);
        }
    });
    trace.event(ns(slice.to), |event| {
        event.number(9, 2);
        event.number(11, track);
    });
}
