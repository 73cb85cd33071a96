//! What a device must offer to be measured: memory, kernels, products, and a clock.
//!
//! A [`Step`] is one thing that a device does; steps of one list run in order, each after the one
//! before. A backend turns steps into something it can enqueue fast ([`Backend::prepare`]), and
//! times runs of it ([`Backend::time`]). Everything above this trait is the same for wgpu, CUDA and
//! the fake device that tests break on purpose.

use std::fmt;

use super::kernels::Kernel;
use super::numbers::Format;

/// How a duration was obtained. Device and host clocks are never mixed in one fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Clock {
    /// Timestamps that the device wrote before and after.
    Device,
    /// Host time from enqueueing to the end of waiting; launch and wait are in it.
    Host,
}

impl Clock {
    /// Its name in tables of samples.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Device => "device",
            Self::Host => "host",
        }
    }
}

/// What a run took, in seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Elapsed {
    /// By the device's clock, where it has one.
    pub device: Option<f64>,
    /// By the host's clock, from enqueueing to the end of waiting.
    pub host: f64,
}

impl Elapsed {
    /// By the best clock there is.
    #[must_use]
    pub fn best(&self) -> (f64, Clock) {
        self.device.map_or((self.host, Clock::Host), |seconds| (seconds, Clock::Device))
    }
}

/// Why a device did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeviceError {
    /// There is no device of this kind; the text says what was looked for.
    Absent(String),
    /// It has too little memory, or limits a buffer to less than this.
    OutOfMemory(String),
    /// It does not know how to do this.
    Unsupported(String),
    /// It stopped answering; nothing more can be asked of it.
    Lost(String),
    /// A kernel was rejected, or a call failed.
    Failed(String),
}

impl fmt::Display for DeviceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent(what) => write!(f, "{what}"),
            Self::OutOfMemory(what) => write!(f, "out of device memory: {what}"),
            Self::Unsupported(what) => write!(f, "not supported: {what}"),
            Self::Lost(what) => write!(f, "the device was lost: {what}"),
            Self::Failed(what) => write!(f, "the device refused: {what}"),
        }
    }
}

impl std::error::Error for DeviceError {}

/// What is known of a device before anything is measured.
#[derive(Clone, Debug, PartialEq)]
pub struct DeviceFacts {
    /// As its driver names it.
    pub name: String,
    /// `wgpu/vulkan`, `cuda`, …
    pub backend: String,
    /// The driver and its version.
    pub driver: String,
    /// Whether kernels run on the CPU: correct, slow, and good for trying things out.
    pub software: bool,
    /// Memory in bytes, where the driver tells.
    pub memory: Option<u64>,
    /// The largest cache that timed runs must not live in, in bytes; a guess where unknown.
    pub cache: u64,
    /// Streaming multiprocessors, or what the vendor calls them; none where the API hides them.
    pub sms: Option<u32>,
    /// GPUs of this machine that exchange with one another, this one included.
    pub gpus: u32,
    /// The largest buffer, in bytes.
    pub largest_buffer: u64,
    /// Formats that kernels can store.
    pub formats: Vec<Format>,
    /// The clock that durations come from.
    pub clock: Clock,
}

/// Memory on the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Buffer(pub u32);

/// One of our kernels over a grid of groups.
#[derive(Clone, Debug)]
pub struct Launch {
    /// Which.
    pub kernel: &'static Kernel,
    /// What its numbers are stored as.
    pub format: Format,
    /// Its buffers, in its order.
    pub buffers: Vec<Buffer>,
    /// Its parameters, in its order.
    pub params: Vec<u32>,
    /// Groups of threads.
    pub groups: u64,
}

/// Products of consecutive rows of A with the matrices of B, one matrix a group of rows:
/// C\[r, n\] = A\[r, k\] · B\[g, k, n\] for the rows r of group g. All row by row in memory.
#[derive(Clone, Debug, PartialEq)]
pub struct Gemm {
    /// Rows × k.
    pub a: Buffer,
    /// Groups × k × n.
    pub b: Buffer,
    /// Rows × n.
    pub c: Buffer,
    /// Columns of B.
    pub n: u32,
    /// The inner dimension.
    pub k: u32,
    /// Rows of each group; groups without rows cost nothing.
    pub rows: Vec<u32>,
    /// The first matrix of B: 0 unless experts are visited one at a time.
    pub first_group: u32,
    /// Format of A and B.
    pub format: Format,
    /// Format of C: `format`, or 32 bits.
    pub out: Format,
    /// At most this many SMs (or groups of threads where SMs are out of reach).
    pub sms: Option<u32>,
}

/// One thing a device does.
#[derive(Clone, Debug)]
pub enum Step {
    /// Runs a kernel.
    Launch(Launch),
    /// Multiplies matrices, by the vendor's library where there is one.
    Gemm(Gemm),
    /// Copies bytes from one buffer to another, on the same GPU or not, by the copy engine or the
    /// driver.
    Copy {
        /// From.
        from: Buffer,
        /// To.
        to: Buffer,
        /// How many.
        bytes: u64,
    },
    /// Block j of what GPU i holds becomes block i of what GPU j gets, for all of them at once.
    AllToAll {
        /// What each GPU sends: as many blocks as there are GPUs.
        from: Vec<Buffer>,
        /// What each GPU gets.
        to: Vec<Buffer>,
        /// Bytes of one block.
        block: u64,
    },
    /// Copies this many bytes of host memory into the buffer.
    Upload {
        /// To.
        to: Buffer,
        /// How many.
        bytes: u64,
    },
    /// Copies this many bytes of the buffer into host memory.
    Download {
        /// From.
        from: Buffer,
        /// How many.
        bytes: u64,
    },
}

/// Steps that a backend has made ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Prepared(pub u32);

/// A device that can be measured.
pub trait Backend {
    /// What is known of it.
    fn facts(&self) -> &DeviceFacts;

    /// What its times so far are to be doubted for, in sentences.
    fn doubts(&self) -> Vec<String> {
        Vec::new()
    }

    /// Memory for `bytes` bytes, of any content.
    ///
    /// # Errors
    /// If there is not so much.
    fn allocate(&mut self, bytes: u64) -> Result<Buffer, DeviceError>;

    /// The same on another GPU of the machine; this one is 0.
    ///
    /// # Errors
    /// If there is no such GPU, or not so much.
    fn allocate_on(&mut self, gpu: u32, bytes: u64) -> Result<Buffer, DeviceError> {
        if gpu == 0 {
            return self.allocate(bytes);
        }
        Err(DeviceError::Unsupported(format!("GPU {gpu} of several")))
    }

    /// Gives back all memory, and all that was prepared.
    fn release_all(&mut self);

    /// Writes host bytes to the start of a buffer, and waits.
    ///
    /// # Errors
    /// If the device fails.
    fn write(&mut self, to: Buffer, bytes: &[u8]) -> Result<(), DeviceError>;

    /// Reads bytes of a buffer from `offset`, a multiple of four, once everything is done.
    ///
    /// # Errors
    /// If the device fails.
    fn read(&mut self, from: Buffer, offset: u64, bytes: u64) -> Result<Vec<u8>, DeviceError>;

    /// Compiles and binds what these steps need.
    ///
    /// # Errors
    /// If a kernel is rejected or a step is not supported.
    fn prepare(&mut self, steps: &[Step]) -> Result<Prepared, DeviceError>;

    /// Runs prepared steps one after another and waits for the last.
    ///
    /// # Errors
    /// If the device fails or is lost.
    fn time(&mut self, runs: &[Prepared]) -> Result<Elapsed, DeviceError>;
}
