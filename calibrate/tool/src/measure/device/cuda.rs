//! NVIDIA GPUs through CUDA: the driver, NVRTC and cuBLAS are loaded at run time, so that one
//! program runs with and without them.
//!
//! Our kernels are compiled for the device found; products are cuBLASLt's, several at once cuBLAS's
//! grouped product. Runs are timed by events; a kernel holds the stream until all of a run has been
//! enqueued, so that the time of short kernels is theirs and not that of launching them.
#![allow(unsafe_code)]

use std::collections::BTreeMap;
use std::ffi::{c_uint, c_void};
use std::time::Instant;

use cudarc::driver::result::{self, DriverError};
use cudarc::driver::sys;

use crate::measure::backend::{
    Backend, Buffer, DeviceError, DeviceFacts, Elapsed, Gemm, Launch, Prepared, Step,
};
use crate::measure::kernels::{self, Kernel};
use crate::measure::numbers::Format;

mod blas;
mod hold;
pub mod libraries;
pub mod nccl;
pub mod nvrtc;
mod opening;
mod peers;

use blas::{Blas, Product};
pub use hold::HOLD;
use hold::Hold;
use opening::Opened;
use peers::{Exchange, Peers};

/// Groups of threads along the first axis of a grid: as in wgpu, so that indices are the same.
const MOST_GROUPS: u64 = 65_535;
/// More calls than this are not enqueued behind a held stream: its queue is finite.
const MOST_HELD: usize = 400;
/// Kernels and copies that a grouped product is taken to enqueue at most.
const GROUPED_CALLS: usize = 8;

/// A GPU opened through CUDA.
pub struct Cuda {
    stream: sys::CUstream,
    start: sys::CUevent,
    stop: sys::CUevent,
    facts: DeviceFacts,
    architecture: String,
    memory: Vec<Memory>,
    peers: Peers,
    pinned: Vec<*mut c_void>,
    ready: Vec<Vec<Ready>>,
    functions: BTreeMap<(&'static str, Format), sys::CUfunction>,
    hold: Hold,
    blas: Blas,
}

/// A buffer: where, how large, on which GPU.
#[derive(Clone, Copy)]
struct Memory {
    at: sys::CUdeviceptr,
    bytes: u64,
    gpu: u32,
}

enum Ready {
    Kernel {
        function: sys::CUfunction,
        grid: (c_uint, c_uint),
        threads: c_uint,
        buffers: Vec<sys::CUdeviceptr>,
        params: Vec<u32>,
    },
    Product(Product),
    Copy {
        from: sys::CUdeviceptr,
        to: sys::CUdeviceptr,
        bytes: usize,
    },
    /// A copy between GPUs: addresses and GPUs.
    Across {
        from: (sys::CUdeviceptr, u32),
        to: (sys::CUdeviceptr, u32),
        bytes: usize,
    },
    Exchange(Exchange),
    Upload {
        from: *const c_void,
        to: sys::CUdeviceptr,
        bytes: usize,
    },
    Download {
        from: sys::CUdeviceptr,
        to: *mut c_void,
        bytes: usize,
    },
}

impl Ready {
    /// How many calls of a held stream's queue it takes; none where it may wait for the device.
    const fn held_as(&self, grouped_waits: bool) -> Option<usize> {
        match self {
            Self::Kernel { .. } | Self::Copy { .. } => Some(1),
            Self::Product(product) => match product.is_grouped() {
                true if grouped_waits => None,
                true => Some(GROUPED_CALLS),
                false => Some(1),
            },
            // NCCL may wait for its GPUs while it enqueues.
            Self::Across { .. }
            | Self::Exchange(_)
            | Self::Upload { .. }
            | Self::Download { .. } => None,
        }
    }

    const fn is_grouped(&self) -> bool {
        matches!(self, Self::Product(product) if product.is_grouped())
    }
}

/// What a driver's error means to us: errors that end a context lose the device.
fn failed(error: DriverError) -> DeviceError {
    use sys::CUresult as E;
    let text = error.error_string().map_or_else(
        |_| format!("{:?}", error.0),
        |text| format!("{:?}: {}", error.0, text.to_string_lossy()),
    );
    match error.0 {
        E::CUDA_ERROR_OUT_OF_MEMORY => DeviceError::OutOfMemory(text),
        E::CUDA_ERROR_NOT_SUPPORTED => DeviceError::Unsupported(text),
        E::CUDA_ERROR_ECC_UNCORRECTABLE
        | E::CUDA_ERROR_ILLEGAL_ADDRESS
        | E::CUDA_ERROR_LAUNCH_TIMEOUT
        | E::CUDA_ERROR_LAUNCH_FAILED
        | E::CUDA_ERROR_HARDWARE_STACK_ERROR
        | E::CUDA_ERROR_ILLEGAL_INSTRUCTION
        | E::CUDA_ERROR_MISALIGNED_ADDRESS
        | E::CUDA_ERROR_ASSERT
        | E::CUDA_ERROR_CONTEXT_IS_DESTROYED
        | E::CUDA_ERROR_UNKNOWN => DeviceError::Lost(text),
        _ => DeviceError::Failed(text),
    }
}

impl Cuda {
    /// Opens the GPU of this index.
    ///
    /// # Errors
    /// If the driver, NVRTC, cuBLAS or the GPU is not there, or too old.
    pub fn open(index: usize) -> Result<Self, DeviceError> {
        libraries::find()?;
        // The bindings panic where a library lacks a function: too old, for us.
        let opened = std::panic::catch_unwind(|| Self::with_libraries(index));
        opened.unwrap_or_else(|_| {
            let found = "a CUDA library is too old: update the driver and CUDA to 12.8 or newer";
            Err(DeviceError::Absent(found.to_owned()))
        })
    }

    fn with_libraries(index: usize) -> Result<Self, DeviceError> {
        let Opened { context, stream, start, stop, count, architecture, facts } =
            opening::open(index)?;
        let hold = Hold::new(&architecture)?;
        Ok(Self {
            stream,
            start,
            stop,
            facts,
            architecture,
            memory: Vec::new(),
            peers: Peers::new(index as i32, count, context, stream),
            pinned: Vec::new(),
            ready: Vec::new(),
            functions: BTreeMap::new(),
            hold,
            blas: Blas::new(stream)?,
        })
    }

    fn address(&self, buffer: Buffer) -> sys::CUdeviceptr {
        self.memory[buffer.0 as usize].at
    }

    fn function(
        &mut self,
        kernel: &'static Kernel,
        format: Format,
    ) -> Result<sys::CUfunction, DeviceError> {
        if let Some(found) = self.functions.get(&(kernel.name, format)) {
            return Ok(*found);
        }
        let source = kernels::cuda(kernel, format);
        let function = load(&nvrtc::machine_code(&source, &self.architecture)?)?;
        self.functions.insert((kernel.name, format), function);
        Ok(function)
    }

    fn kernel(&mut self, launch: &Launch) -> Result<Ready, DeviceError> {
        let function = self.function(launch.kernel, launch.format)?;
        let groups = launch.groups * u64::from(launch.kernel.cuda_lanes);
        let x = groups.clamp(1, MOST_GROUPS);
        Ok(Ready::Kernel {
            function,
            grid: (x as c_uint, groups.div_ceil(x).clamp(1, MOST_GROUPS) as c_uint),
            threads: launch.kernel.threads,
            buffers: launch.buffers.iter().map(|&b| self.address(b)).collect(),
            params: launch.params.clone(),
        })
    }

    fn product(&mut self, gemm: &Gemm) -> Result<Vec<Ready>, DeviceError> {
        let addresses = [gemm.a, gemm.b, gemm.c].map(|b| self.address(b));
        let made = self.blas.plan(gemm, addresses)?;
        Ok(made.into_iter().map(Ready::Product).collect())
    }

    fn sized(&self, buffer: Buffer, least: u64) -> Memory {
        let memory = self.memory[buffer.0 as usize];
        assert!(least <= memory.bytes, "{least} bytes of {}", memory.bytes);
        memory
    }

    fn copy(&self, from: Buffer, to: Buffer, bytes: u64) -> Ready {
        let [from, to] = [from, to].map(|buffer| self.sized(buffer, bytes));
        let bytes = bytes as usize;
        if from.gpu == 0 && to.gpu == 0 {
            return Ready::Copy { from: from.at, to: to.at, bytes };
        }
        Ready::Across { from: (from.at, from.gpu), to: (to.at, to.gpu), bytes }
    }

    fn all_to_all(
        &mut self,
        from: &[Buffer],
        to: &[Buffer],
        block: u64,
    ) -> Result<Ready, DeviceError> {
        let all = block * from.len() as u64;
        let pairs = from.iter().zip(to).zip(0..).map(|((&from, &to), gpu)| {
            let [from, to] = [from, to].map(|buffer| self.sized(buffer, all));
            assert_eq!((from.gpu, to.gpu), (gpu, gpu), "buffer {gpu} of an all-to-all");
            (from.at, to.at)
        });
        let pairs: Vec<_> = pairs.collect();
        self.peers.exchange(&pairs, block as usize).map(Ready::Exchange)
    }

    /// Host memory that the copy engine reaches directly.
    fn pin(&mut self, bytes: u64) -> Result<*mut c_void, DeviceError> {
        // SAFETY: freed in `release_all`, after the stream is done with it.
        let memory = unsafe { result::malloc_host(bytes as usize, 0) }.map_err(failed)?;
        // SAFETY: the driver just gave us this many bytes.
        unsafe { std::ptr::write_bytes(memory.cast::<u8>(), 0x5A, bytes as usize) };
        self.pinned.push(memory);
        Ok(memory)
    }

    fn wait(&self) -> Result<(), DeviceError> {
        // SAFETY: the stream is ours and lives.
        unsafe { result::stream::synchronize(self.stream) }.map_err(failed)?;
        self.peers.wait()
    }

    fn enqueue(&self, ready: &Ready) -> Result<(), DeviceError> {
        match ready {
            Ready::Kernel { function, grid, threads, buffers, params } => {
                let pointer = |buffer: &sys::CUdeviceptr| std::ptr::from_ref(buffer) as *mut c_void;
                let mut args: Vec<*mut c_void> = buffers.iter().map(pointer).collect();
                args.push(params.as_ptr() as *mut c_void);
                // SAFETY: buffers and parameters are as many as the kernel's source declares, which
                // `bench::launch` asserts; the driver copies them before the call returns.
                unsafe {
                    result::launch_kernel(
                        *function,
                        (grid.0, grid.1, 1),
                        (*threads, 1, 1),
                        0,
                        self.stream,
                        &mut args,
                    )
                }
                .map_err(failed)
            }
            Ready::Product(product) => self.blas.run(product),
            Ready::Copy { from, to, bytes } => {
                // SAFETY: both buffers hold this many bytes; `prepare` checked it.
                unsafe { result::memcpy_dtod_async(*to, *from, *bytes, self.stream) }
                    .map_err(failed)
            }
            Ready::Across { from, to, bytes } => self.peers.copy(*from, *to, *bytes),
            Ready::Exchange(exchange) => self.peers.run(exchange),
            Ready::Upload { from, to, bytes } => {
                // SAFETY: pinned memory and buffer hold this many bytes and outlive the copy.
                unsafe { sys::cuMemcpyHtoDAsync_v2(*to, *from, *bytes, self.stream) }
                    .result()
                    .map_err(failed)
            }
            Ready::Download { from, to, bytes } => {
                // SAFETY: as above.
                unsafe { sys::cuMemcpyDtoHAsync_v2(*to, *from, *bytes, self.stream) }
                    .result()
                    .map_err(failed)
            }
        }
    }

    /// Enqueues work between the two events; `several` GPUs begin and end with the measured one.
    fn enqueue_all(&self, work: &[&Ready], several: bool) -> Result<(), DeviceError> {
        self.record(self.start)?;
        if several {
            self.peers.begin_after(self.start)?;
        }
        work.iter().try_for_each(|ready| self.enqueue(ready))?;
        if several {
            self.peers.end_with()?;
        }
        self.record(self.stop)
    }

    fn record(&self, event: sys::CUevent) -> Result<(), DeviceError> {
        // SAFETY: event and stream are ours and live.
        unsafe { result::event::record(event, self.stream) }.map_err(failed)
    }
}

impl Drop for Cuda {
    fn drop(&mut self) {
        self.release_all();
    }
}

/// The function of a compiled kernel; modules stay loaded as long as the process.
fn load(code: &[u8]) -> Result<sys::CUfunction, DeviceError> {
    // SAFETY: `code` is machine code from NVRTC, whole and alive during the call.
    let module = unsafe { result::module::load_data(code.as_ptr().cast()) }.map_err(failed)?;
    // SAFETY: the module was just loaded.
    unsafe { result::module::get_function(module, c"kernel_main".to_owned()) }.map_err(failed)
}

impl Backend for Cuda {
    fn facts(&self) -> &DeviceFacts {
        &self.facts
    }

    fn doubts(&self) -> Vec<String> {
        let doubt = "grouped products wait for the device: times of experts and of whole layers \
                     include launching their kernels";
        self.hold.grouped_waits.then(|| doubt.to_owned()).into_iter().collect()
    }

    fn allocate(&mut self, bytes: u64) -> Result<Buffer, DeviceError> {
        self.allocate_on(0, bytes)
    }

    fn allocate_on(&mut self, gpu: u32, bytes: u64) -> Result<Buffer, DeviceError> {
        let bytes = bytes.div_ceil(16).max(1) * 16;
        self.peers.reach(gpu)?;
        // SAFETY: freed in `release_all`.
        let memory = || unsafe { result::malloc_sync(bytes as usize) }.map_err(failed);
        let at = self.peers.on(gpu, memory)?;
        self.memory.push(Memory { at, bytes, gpu });
        Ok(Buffer(self.memory.len() as u32 - 1))
    }

    fn release_all(&mut self) {
        // After an error there is nothing to wait for; memory goes with the context.
        let _ = self.wait();
        self.ready.clear();
        self.blas.release();
        for Memory { at, gpu, .. } in self.memory.drain(..) {
            // SAFETY: allocated here, and nothing runs on it any more.
            let _ = self.peers.on(gpu, || unsafe { result::free_sync(at) }.map_err(failed));
        }
        for memory in self.pinned.drain(..) {
            // SAFETY: as above.
            let _ = unsafe { result::free_host(memory) };
        }
    }

    fn write(&mut self, to: Buffer, bytes: &[u8]) -> Result<(), DeviceError> {
        self.wait()?;
        let Memory { at, bytes: size, gpu } = self.memory[to.0 as usize];
        assert!(bytes.len() as u64 <= size, "{} bytes into {size}", bytes.len());
        // SAFETY: the buffer holds this many bytes, and nothing runs on it.
        self.peers.on(gpu, || unsafe { result::memcpy_htod_sync(at, bytes) }.map_err(failed))
    }

    fn read(&mut self, from: Buffer, offset: u64, bytes: u64) -> Result<Vec<u8>, DeviceError> {
        self.wait()?;
        let Memory { at, bytes: size, gpu } = self.memory[from.0 as usize];
        assert!(offset + bytes <= size, "{bytes} bytes from {offset} of {size}");
        let mut found = vec![0_u8; bytes as usize];
        // SAFETY: the buffer holds these bytes, and nothing runs on it.
        let copied =
            || unsafe { result::memcpy_dtoh_sync(&mut found, at + offset) }.map_err(failed);
        self.peers.on(gpu, copied)?;
        Ok(found)
    }

    fn prepare(&mut self, steps: &[Step]) -> Result<Prepared, DeviceError> {
        let mut ready = Vec::new();
        for step in steps {
            match step {
                Step::Launch(launch) => ready.push(self.kernel(launch)?),
                Step::Gemm(gemm) => ready.extend(self.product(gemm)?),
                Step::Copy { from, to, bytes } => {
                    ready.push(self.copy(*from, *to, *bytes));
                }
                Step::AllToAll { from, to, block } => {
                    ready.push(self.all_to_all(from, to, *block)?);
                }
                Step::Upload { to, bytes } => {
                    let (from, to) = (self.pin(*bytes)?, self.address(*to));
                    ready.push(Ready::Upload { from, to, bytes: *bytes as usize });
                }
                Step::Download { from, bytes } => {
                    let (from, to) = (self.address(*from), self.pin(*bytes)?);
                    ready.push(Ready::Download { from, to, bytes: *bytes as usize });
                }
            }
        }
        self.ready.push(ready);
        Ok(Prepared(self.ready.len() as u32 - 1))
    }

    fn time(&mut self, runs: &[Prepared]) -> Result<Elapsed, DeviceError> {
        let work: Vec<&Ready> = runs.iter().flat_map(|run| &self.ready[run.0 as usize]).collect();
        let calls: Option<usize> =
            work.iter().map(|ready| ready.held_as(self.hold.grouped_waits)).sum();
        let held = calls.is_some_and(|calls| calls <= MOST_HELD);
        let several = work.iter().any(|ready| matches!(ready, Ready::Exchange(_)));
        let begun = Instant::now();
        if held {
            self.hold.begin(self.stream)?;
        }
        let enqueued = self.enqueue_all(&work, several);
        let enqueuing = begun.elapsed();
        // Whatever happened.
        self.hold.end();
        enqueued?;
        self.wait()?;
        let host = begun.elapsed().as_secs_f64();
        let grouped = work.iter().any(|ready| ready.is_grouped());
        if held && self.hold.again(enqueuing, grouped) {
            return self.time(runs);
        }
        // SAFETY: both events were recorded with timing, and are over.
        let ms = unsafe { result::event::elapsed(self.start, self.stop) }.map_err(failed)?;
        Ok(Elapsed { device: Some(f64::from(ms) * 1e-3).filter(|s| *s > 0.0), host })
    }
}
