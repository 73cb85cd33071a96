//! The kernels of the MoE++ layer, each in WGSL and in CUDA C, side by side.
//!
//! A [`Kernel`] holds two bodies; declarations of its buffers and parameters are generated, alike
//! for both languages. Within a body `p` holds the parameters, `group` is the group of threads,
//! `lid` the thread within it and `i` the thread within the grid. `T` is the stored format, `T4`
//! four numbers of it; arithmetic is in 32 bits. Rows of tokens have a multiple of eight numbers.
//!
//! The CPU twins stand in `super::twin` and in the probes that check with them.

use super::numbers::Format;

mod elementwise;
mod gate;
pub mod product;
mod source;
mod zero_computation;

pub use elementwise::{AXPY, COPY, FILL, GATHER, MIX, MULTIPLY, NOTHING, POISON_FILL, SCALE};
pub use elementwise::{SCATTER_ADD, SILU, SWIGLU, TANH, ZERO};
pub use gate::{CHOOSE, ORDER, PLACE, RESIDUAL};
pub use product::{GEMM, GEMM_F32};
pub use source::{cuda, wgsl};
pub use zero_computation::{CONSTANT, CONSTANT_TOKENS, COPY_TOKENS};

/// Marks a slot that no expert takes, in ranks and positions.
pub const NONE: u32 = u32::MAX - 1;

/// What a buffer of a kernel holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Of {
    /// Numbers of the launch's format.
    Numbers,
    /// The same, four at a time.
    Quads,
    /// 32-bit numbers, whatever the format.
    F32,
    /// Whole numbers.
    U32,
    /// Sixteen bytes of anything.
    Blocks,
}

/// One buffer of a kernel.
#[derive(Clone, Copy, Debug)]
pub struct Arg {
    /// Its name in the bodies.
    pub name: &'static str,
    /// What it holds.
    pub of: Of,
    /// Whether the kernel writes to it.
    pub written: bool,
}

const fn input(name: &'static str, of: Of) -> Arg {
    Arg { name, of, written: false }
}

const fn output(name: &'static str, of: Of) -> Arg {
    Arg { name, of, written: true }
}

/// A parameter: 32 bits.
#[derive(Clone, Copy, Debug)]
pub enum Param {
    /// A whole number.
    Whole(&'static str),
    /// A number.
    Real(&'static str),
}

/// A kernel in both languages.
#[derive(Debug)]
pub struct Kernel {
    /// Its name; unique.
    pub name: &'static str,
    /// Its buffers, in order; no buffer may stand for two of them.
    pub buffers: &'static [Arg],
    /// Its parameters, in order.
    pub params: &'static [Param],
    /// Threads of a group in CUDA and, unless [`Self::software`] says otherwise, in WGSL.
    pub threads: u32,
    /// Declarations before the WGSL entry point.
    pub wgsl_globals: &'static str,
    /// The WGSL body.
    pub wgsl: &'static str,
    /// Threads and WGSL body for devices that are CPUs, where they differ.
    pub software: Option<(u32, &'static str)>,
    /// The CUDA body.
    pub cuda: &'static str,
    /// Threads in CUDA that work on what one thread of the WGSL body does.
    pub cuda_lanes: u32,
}

impl Kernel {
    /// Groups of `threads` that cover `items`, one item a thread of the WGSL body.
    #[must_use]
    pub const fn groups_for(items: u64, threads: u32) -> u64 {
        let groups = items.div_ceil(threads as u64);
        if groups == 0 { 1 } else { groups }
    }
}

/// What most kernels are like: 256 threads, one body for all WGSL devices, one lane an item.
const PLAIN: Kernel = Kernel {
    name: "",
    buffers: &[],
    params: &[],
    threads: 256,
    wgsl_globals: "",
    wgsl: "",
    software: None,
    cuda: "",
    cuda_lanes: 1,
};

/// All kernels, for compiling and for tests that none is left out.
#[must_use]
pub fn all() -> Vec<&'static Kernel> {
    vec![
        &FILL,
        &POISON_FILL,
        &NOTHING,
        &COPY,
        &AXPY,
        &GATHER,
        &SWIGLU,
        &SILU,
        &MULTIPLY,
        &SCALE,
        &SCATTER_ADD,
        &MIX,
        &ZERO,
        &TANH,
        &RESIDUAL,
        &CHOOSE,
        &ORDER,
        &PLACE,
        &COPY_TOKENS,
        &CONSTANT_TOKENS,
        &CONSTANT,
        &GEMM,
        &GEMM_F32,
    ]
}

/// The 32 bits of a parameter that is a number.
#[must_use]
pub const fn bits(x: f32) -> u32 {
    x.to_bits()
}

/// Bytes of `count` numbers, rounded up so that words and blocks of sixteen bytes fit.
#[must_use]
pub const fn bytes_of(count: u64, format: Format) -> u64 {
    let bytes = count * format.bytes();
    let whole = bytes.div_ceil(16) * 16;
    if whole == 0 { 16 } else { whole }
}
