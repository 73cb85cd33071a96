//! Holds a stream until all of a run has been enqueued, so that the time of short kernels is theirs
//! and not that of launching them.
//!
//! A kernel spins until the host sets a flag, and for [`LONGEST`] at most: a call that waits for the
//! device while the stream is held then goes on late instead of never. NVIDIA does not say whether the
//! grouped product waits; so it is tried, and held no more once two runs in a row have shown that it
//! does.
#![allow(unsafe_code)]

use std::ffi::c_void;
use std::time::Duration;

use cudarc::driver::{result, sys};

use super::{failed, load, nvrtc};
use crate::measure::backend::DeviceError;

/// The longest that a stream is held; the kernel's own limit.
const LONGEST: Duration = Duration::from_millis(20);

/// Holds the stream until the host says so, for at most twenty milliseconds.
pub const HOLD: &str = "
extern \"C\" __global__ void kernel_main(volatile unsigned int* flag) {
    unsigned long long start, now;
    asm volatile(\"mov.u64 %0, %globaltimer;\" : \"=l\"(start));
    do {
        asm volatile(\"mov.u64 %0, %globaltimer;\" : \"=l\"(now));
    } while (*flag == 0 && now - start < 20000000ull);
}
";

/// The kernel, its flag, and what is known of grouped products.
pub(super) struct Hold {
    kernel: sys::CUfunction,
    flag: *mut u32,
    /// Runs in a row that were not enqueued while the stream was held.
    late: u32,
    /// Whether grouped products wait for the device.
    pub(super) grouped_waits: bool,
}

impl Hold {
    pub(super) fn new(architecture: &str) -> Result<Self, DeviceError> {
        let kernel = load(&nvrtc::machine_code(HOLD, architecture)?)?;
        // SAFETY: the memory is freed with the process; it holds one word.
        let flag = unsafe { result::malloc_host(4, sys::CU_MEMHOSTALLOC_DEVICEMAP) };
        Ok(Self { kernel, flag: flag.map_err(failed)?.cast(), late: 0, grouped_waits: false })
    }

    /// Launches the kernel.
    pub(super) fn begin(&self, stream: sys::CUstream) -> Result<(), DeviceError> {
        // SAFETY: the flag is a word of pinned memory that host and device share.
        unsafe { self.flag.write_volatile(0) };
        let address = self.flag as u64;
        let mut args = [std::ptr::from_ref(&address) as *mut c_void];
        // SAFETY: the kernel takes one pointer, and ends by itself after twenty milliseconds.
        unsafe { result::launch_kernel(self.kernel, (1, 1, 1), (1, 1, 1), 0, stream, &mut args) }
            .map_err(failed)
    }

    /// Lets the stream go.
    pub(super) fn end(&self) {
        // SAFETY: as in `begin`.
        unsafe { self.flag.write_volatile(1) };
    }

    /// Whether a held run that took this long to enqueue says nothing and is to be timed again.
    pub(super) const fn again(&mut self, enqueuing: Duration, grouped: bool) -> bool {
        if enqueuing.as_nanos() < LONGEST.as_nanos() {
            self.late = 0;
            return false;
        }
        // The first time libraries may be loading their kernels.
        self.late += 1;
        if self.late < 2 {
            return true;
        }
        self.late = 0;
        self.grouped_waits = grouped;
        grouped
    }
}
