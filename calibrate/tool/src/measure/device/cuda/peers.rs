//! The other GPUs of the machine: their contexts, streams, and what they exchange.
//!
//! GPU 0 here is the one that is measured; the others follow in the driver's order. Nothing is opened
//! on them before a probe asks for it.
#![allow(unsafe_code)]

use std::collections::BTreeMap;

use cudarc::driver::result::{self, stream::StreamKind};
use cudarc::driver::sys::{self, CUcontext, CUdeviceptr, CUevent, CUstream};

use super::failed;
use super::nccl::{Group, Nccl, Part};
use crate::measure::backend::DeviceError;

/// One GPU that takes part.
struct Gpu {
    ordinal: i32,
    context: CUcontext,
    stream: CUstream,
    /// Where its stream was when it was last asked to wait or to be waited for.
    event: CUevent,
}

/// The GPUs opened so far, and how they exchange.
pub(super) struct Peers {
    /// The measured GPU first.
    ordinals: Vec<i32>,
    open: Vec<Gpu>,
    groups: BTreeMap<usize, Group>,
}

/// An all-to-all that is ready to be enqueued.
pub(super) struct Exchange {
    parts: Vec<Part>,
    block: usize,
}

impl Peers {
    /// Of the GPU of this ordinal, opened already, among `count`.
    pub(super) fn new(ordinal: i32, count: i32, context: CUcontext, stream: CUstream) -> Self {
        let others = (0..count).filter(|&other| other != ordinal);
        let event = std::ptr::null_mut();
        Self {
            ordinals: std::iter::once(ordinal).chain(others).collect(),
            open: vec![Gpu { ordinal, context, stream, event }],
            groups: BTreeMap::new(),
        }
    }

    /// Opens GPUs up to this one.
    pub(super) fn reach(&mut self, gpu: u32) -> Result<(), DeviceError> {
        while self.open.len() <= gpu as usize {
            let Some(&ordinal) = self.ordinals.get(self.open.len()) else {
                return Err(DeviceError::Unsupported(format!("GPU {gpu}: there are fewer")));
            };
            let opened = self.open_one(ordinal);
            self.enter(0)?;
            self.open.push(opened?);
        }
        Ok(())
    }

    fn open_one(&self, ordinal: i32) -> Result<Gpu, DeviceError> {
        let device = result::device::get(ordinal).map_err(failed)?;
        // SAFETY: `device` came from the driver; the context lives as long as the process.
        let context = unsafe { result::primary_ctx::retain(device) }.map_err(failed)?;
        for gpu in &self.open {
            // Copies between GPUs that cannot reach one another go through the host: slower, not wrong.
            // SAFETY: both contexts are live.
            unsafe {
                result::ctx::set_current(gpu.context).map_err(failed)?;
                let _ = sys::cuCtxEnablePeerAccess(context, 0);
                result::ctx::set_current(context).map_err(failed)?;
                let _ = sys::cuCtxEnablePeerAccess(gpu.context, 0);
            }
        }
        // SAFETY: the context was just retained.
        unsafe { result::ctx::set_current(context) }.map_err(failed)?;
        let stream = result::stream::create(StreamKind::NonBlocking).map_err(failed)?;
        let flags = sys::CUevent_flags::CU_EVENT_DISABLE_TIMING;
        let event = result::event::create(flags).map_err(failed)?;
        Ok(Gpu { ordinal, context, stream, event })
    }

    /// Makes a GPU the one that calls refer to.
    pub(super) fn enter(&self, gpu: u32) -> Result<(), DeviceError> {
        let context = self.open[gpu as usize].context;
        // SAFETY: contexts live as long as the process.
        unsafe { result::ctx::set_current(context) }.map_err(failed)
    }

    /// Does something on a GPU, and goes back to the measured one.
    pub(super) fn on<T>(
        &self,
        gpu: u32,
        what: impl FnOnce() -> Result<T, DeviceError>,
    ) -> Result<T, DeviceError> {
        if gpu == 0 {
            return what();
        }
        self.enter(gpu)?;
        let done = what();
        self.enter(0)?;
        done
    }

    /// Copies from a buffer of one GPU to that of another, by the stream of the measured one.
    pub(super) fn copy(
        &self,
        (from, source): (CUdeviceptr, u32),
        (to, target): (CUdeviceptr, u32),
        bytes: usize,
    ) -> Result<(), DeviceError> {
        let context = |gpu: u32| self.open[gpu as usize].context;
        let stream = self.open[0].stream;
        // SAFETY: the buffers are live, hold this many bytes, and belong to these contexts.
        unsafe {
            result::memcpy_peer_async(context(target), to, context(source), from, bytes, stream)
        }
        .map_err(failed)
    }

    /// Connects the GPUs that these buffers are on, first to last.
    pub(super) fn exchange(
        &mut self,
        buffers: &[(CUdeviceptr, CUdeviceptr)],
        block: usize,
    ) -> Result<Exchange, DeviceError> {
        let gpus = buffers.len();
        if !self.groups.contains_key(&gpus) {
            let ordinals: Vec<i32> = self.open[..gpus].iter().map(|gpu| gpu.ordinal).collect();
            let group = Nccl::find()?.group(&ordinals);
            // NCCL goes from GPU to GPU.
            self.enter(0)?;
            self.groups.insert(gpus, group?);
        }
        let parts = buffers.iter().zip(&self.open);
        let parts = parts.map(|(&(from, to), gpu)| Part { from, to, stream: gpu.stream }).collect();
        Ok(Exchange { parts, block })
    }

    /// Enqueues an all-to-all on all its GPUs.
    pub(super) fn run(&self, exchange: &Exchange) -> Result<(), DeviceError> {
        let group = &self.groups[&exchange.parts.len()];
        let done = group.all_to_all(&exchange.parts, exchange.block);
        self.enter(0)?;
        done
    }

    /// Lets all other GPUs begin when the measured one gets past `event`.
    pub(super) fn begin_after(&self, event: CUevent) -> Result<(), DeviceError> {
        self.open[1..].iter().try_for_each(|gpu| waits(gpu.stream, event))
    }

    /// Lets the measured GPU go on when all others are done.
    pub(super) fn end_with(&self) -> Result<(), DeviceError> {
        for (gpu, number) in self.open[1..].iter().zip(1..) {
            self.on(number, || {
                // SAFETY: event and stream are of this GPU, and live.
                unsafe { result::event::record(gpu.event, gpu.stream) }.map_err(failed)
            })?;
            waits(self.open[0].stream, gpu.event)?;
        }
        Ok(())
    }

    /// Waits until the other GPUs are done.
    pub(super) fn wait(&self) -> Result<(), DeviceError> {
        // SAFETY: streams are ours and live.
        self.open[1..]
            .iter()
            .try_for_each(|gpu| unsafe { result::stream::synchronize(gpu.stream) }.map_err(failed))
    }
}

fn waits(stream: CUstream, event: CUevent) -> Result<(), DeviceError> {
    let flags = sys::CUevent_wait_flags::CU_EVENT_WAIT_DEFAULT;
    // SAFETY: stream and event live; they may be of different GPUs.
    unsafe { result::stream::wait_event(stream, event, flags) }.map_err(failed)
}
