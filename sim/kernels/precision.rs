//! How kernels store and scale numbers.

use crate::workload::Dtype;

/// How the numbers of a kernel are stored and scaled; a key of measured tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Precision {
    /// Brain floating point, 16 bits.
    Bf16,
    /// 8-bit floating point, one scale per tensor.
    Fp8,
    /// 8-bit floating point, one scale per block.
    Fp8Block,
}

impl Precision {
    /// Its name in measurements and profiles.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bf16 => "bfloat16",
            Self::Fp8 => "fp8",
            Self::Fp8Block => "fp8_block",
        }
    }

    /// The precision of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        [Self::Bf16, Self::Fp8, Self::Fp8Block].into_iter().find(|p| p.name() == name)
    }

    /// Bytes of one multiplied number.
    #[must_use]
    pub const fn bytes(self) -> f64 {
        match self {
            Self::Bf16 => 2.0,
            Self::Fp8 | Self::Fp8Block => 1.0,
        }
    }

    /// Peak rate that a profile's efficiencies refer to, as a multiple of the bf16 peak: tensor cores
    /// run 8-bit numbers twice as fast.
    #[must_use]
    pub const fn speedup(self) -> f64 {
        match self {
            Self::Bf16 => 1.0,
            Self::Fp8 | Self::Fp8Block => 2.0,
        }
    }

    /// The formats of measured tables that a workload's format stands for, the best first.
    #[must_use]
    pub const fn of_dtype(dtype: Dtype) -> &'static [Self] {
        match dtype {
            Dtype::Bf16 => &[Self::Bf16],
            Dtype::Fp8 => &[Self::Fp8Block, Self::Fp8],
        }
    }

    /// Its name in reports.
    #[must_use]
    pub const fn short(self) -> &'static str {
        match self {
            Self::Bf16 => "bf16",
            Self::Fp8 => "fp8",
            Self::Fp8Block => "fp8_block",
        }
    }
}
