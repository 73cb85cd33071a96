//! NVIDIA's management library, loaded at run time; read only, it changes nothing.
#![allow(unsafe_code)]

use std::ffi::{c_int, c_uint, c_void};

use libloading::Library;

use super::Reading;

/// The library's names; the path is where containers have the driver that the loader does not know.
const NAMES: [&str; 4] = [
    "libnvidia-ml.so.1",
    "libnvidia-ml.so",
    "/usr/local/nvidia/lib64/libnvidia-ml.so.1",
    "nvml.dll",
];

/// `nvmlClockType_t`: the clock of the streaming multiprocessors.
const CLOCK_SM: c_uint = 1;
/// `nvmlTemperatureSensors_t`: the GPU die.
const SENSOR_GPU: c_uint = 0;

type Handle = *mut c_void;

/// One GPU as the library sees it.
pub struct Nvml {
    library: Library,
    device: Handle,
}

impl Nvml {
    /// The GPU of this index, if the library and the GPU are there.
    #[must_use]
    pub fn open(index: usize) -> Option<Self> {
        // SAFETY: NVIDIA's library runs no code at load time that would break ours.
        let library = NAMES.iter().find_map(|name| unsafe { Library::new(name) }.ok())?;
        let mut device: Handle = std::ptr::null_mut();
        // SAFETY: the signatures are those of nvml.h; `device` outlives the call that fills it.
        let opened = unsafe {
            let init = library.get::<unsafe extern "C" fn() -> c_int>(b"nvmlInit_v2").ok()?;
            let by_index = library
                .get::<unsafe extern "C" fn(c_uint, *mut Handle) -> c_int>(
                    b"nvmlDeviceGetHandleByIndex_v2",
                )
                .ok()?;
            init() == 0 && by_index(index as c_uint, &raw mut device) == 0
        };
        opened.then_some(Self { library, device })
    }

    /// The highest clock of the streaming multiprocessors, in MHz.
    #[must_use]
    pub fn most_mhz(&self) -> Option<f64> {
        self.of_kind(b"nvmlDeviceGetMaxClockInfo", CLOCK_SM).map(f64::from)
    }

    /// The readings now.
    #[must_use]
    pub fn read(&self) -> Reading {
        Reading {
            mhz: self.of_kind(b"nvmlDeviceGetClockInfo", CLOCK_SM).map(f64::from),
            celsius: self.of_kind(b"nvmlDeviceGetTemperature", SENSOR_GPU).map(f64::from),
            watts: self.plain(b"nvmlDeviceGetPowerUsage").map(|mw| f64::from(mw) / 1e3),
        }
    }

    fn of_kind(&self, call: &[u8], kind: c_uint) -> Option<c_uint> {
        type Call = unsafe extern "C" fn(Handle, c_uint, *mut c_uint) -> c_int;
        let mut value: c_uint = 0;
        // SAFETY: these calls have this signature in nvml.h; the handle came from the library.
        let status =
            unsafe { self.library.get::<Call>(call).ok()?(self.device, kind, &raw mut value) };
        (status == 0).then_some(value)
    }

    fn plain(&self, call: &[u8]) -> Option<c_uint> {
        type Call = unsafe extern "C" fn(Handle, *mut c_uint) -> c_int;
        let mut value: c_uint = 0;
        // SAFETY: the call has this signature in nvml.h; the handle came from the library.
        let status = unsafe { self.library.get::<Call>(call).ok()?(self.device, &raw mut value) };
        (status == 0).then_some(value)
    }
}
