//! Opens a GPU, and says what is wrong where that fails: most of what can be wrong with a machine
//! shows here.
#![allow(unsafe_code)]

use cudarc::driver::result::{self, DriverError};
use cudarc::driver::sys::{self, CUcontext, CUevent, CUstream};

use super::failed;
use crate::measure::backend::{Clock, DeviceError, DeviceFacts};
use crate::measure::numbers::Format;

/// The oldest CUDA that a driver must speak, as it tells it: 12.8.
const OLDEST: i32 = 12_080;

/// A GPU that is ready to be used.
pub(super) struct Opened {
    pub(super) context: CUcontext,
    pub(super) stream: CUstream,
    /// Before and after what is timed.
    pub(super) start: CUevent,
    /// See [`Self::start`].
    pub(super) stop: CUevent,
    /// GPUs of this machine.
    pub(super) count: i32,
    /// Such as `sm_90`.
    pub(super) architecture: String,
    pub(super) facts: DeviceFacts,
}

/// What a failure before anything runs means: what was being done, and what helps.
fn unopened(doing: &'static str) -> impl Fn(DriverError) -> DeviceError {
    use sys::CUresult as E;
    move |error| {
        let help = match error.0 {
            E::CUDA_ERROR_NO_DEVICE => {
                ": `nvidia-smi` lists the GPUs there are, and CUDA_VISIBLE_DEVICES may hide some"
            }
            E::CUDA_ERROR_SYSTEM_NOT_READY => {
                ": on machines with NVSwitch, start NVIDIA's fabric manager"
            }
            E::CUDA_ERROR_SYSTEM_DRIVER_MISMATCH => {
                ": the driver's library and the kernel's module differ; restart after an update"
            }
            _ => "",
        };
        match failed(error) {
            DeviceError::OutOfMemory(text) => DeviceError::OutOfMemory(format!("{doing}: {text}")),
            DeviceError::Absent(text)
            | DeviceError::Unsupported(text)
            | DeviceError::Lost(text)
            | DeviceError::Failed(text) => DeviceError::Absent(format!("{doing}: {text}{help}")),
        }
    }
}

/// The driver's version as it tells it, if it is new enough.
fn version() -> Result<i32, DeviceError> {
    let mut version = 0;
    // SAFETY: `version` is written during the call alone.
    let asked = unsafe { sys::cuDriverGetVersion(&raw mut version) }.result();
    asked.map_err(unopened("asking the driver for its version"))?;
    if version < OLDEST {
        let (major, minor) = (version / 1000, version % 1000 / 10);
        let found =
            format!("the driver speaks CUDA {major}.{minor}, and 12.8 is needed: update it");
        return Err(DeviceError::Absent(found));
    }
    Ok(version)
}

/// Opens the GPU of this index.
pub(super) fn open(index: usize) -> Result<Opened, DeviceError> {
    result::init().map_err(unopened("starting CUDA"))?;
    let version = version()?;
    let count = result::device::get_count().map_err(unopened("counting GPUs"))?;
    if index as i64 >= i64::from(count) {
        let found = format!("there is no GPU {index}: found {count}, counted from 0");
        return Err(DeviceError::Absent(found));
    }
    let device = result::device::get(index as i32).map_err(unopened("finding the GPU"))?;
    // SAFETY: `device` came from the driver; the context lives as long as the process.
    let context = unsafe { result::primary_ctx::retain(device) };
    let context = context.map_err(unopened("opening the GPU"))?;
    // SAFETY: the context was just retained.
    unsafe { result::ctx::set_current(context) }.map_err(unopened("opening the GPU"))?;
    let stream = result::stream::create(result::stream::StreamKind::NonBlocking);
    let stream = stream.map_err(unopened("making a stream"))?;
    let event = || result::event::create(sys::CUevent_flags::CU_EVENT_DEFAULT);
    let [start, stop] = [event(), event()].map(|made| made.map_err(unopened("making an event")));
    let (facts, architecture) =
        facts(device, version, count).map_err(unopened("asking what it is"))?;
    Ok(Opened { context, stream, start: start?, stop: stop?, count, architecture, facts })
}

fn facts(
    device: sys::CUdevice,
    version: i32,
    count: i32,
) -> Result<(DeviceFacts, String), DriverError> {
    use sys::CUdevice_attribute as A;
    let attribute = |which| {
        // SAFETY: `device` came from the driver.
        unsafe { result::device::get_attribute(device, which) }
    };
    let major = attribute(A::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)?;
    let minor = attribute(A::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)?;
    let sms = attribute(A::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)?;
    let cache = attribute(A::CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE)?;
    let (free, _) = result::mem_get_info()?;
    let half = if major >= 8 { vec![Format::F16, Format::Bf16] } else { vec![Format::F16] };
    let facts = DeviceFacts {
        name: result::device::get_name(device)?,
        backend: "cuda".to_owned(),
        driver: format!("CUDA {}.{}", version / 1000, version % 1000 / 10),
        software: false,
        memory: Some(free as u64),
        cache: cache.max(0) as u64,
        sms: Some(sms.max(1) as u32),
        gpus: count.max(1) as u32,
        largest_buffer: free as u64,
        formats: [vec![Format::F32], half].concat(),
        clock: Clock::Device,
    };
    Ok((facts, format!("sm_{major}{minor}")))
}
