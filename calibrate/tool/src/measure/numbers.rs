//! Formats of numbers, and inputs that device and CPU make alike without exchanging them.
//!
//! Element i of an input is a hash of (seed, i), folded into a sum of four uniform integers of 16 bits:
//!
//! ```text
//!   h = lowbias32(i + seed·0x9E3779B9),   g = lowbias32(h)
//!   s = (h & 65535) + (h >> 16) + (g & 65535) + (g >> 16) − 131070,   x_i = [s] · 2^e             (1)
//! ```
//!
//! near enough to normal (Irwin and Hall), of standard deviation 37837·2^e. [s] is s cut to its eight
//! leading bits, so that it is exact in every format here and yet has no bit that is always zero: a
//! product of numbers with idle bits takes less power, and a GPU at its limit of power runs it faster
//! than a model's numbers. So a kernel fills device memory with (1), its CPU twin computes any element
//! it needs, and neither waits for a transfer.

use half::{bf16, f16};
use moesim::base::hashes::lowbias32;

/// How numbers are stored on the device. Arithmetic within kernels is in 32 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Format {
    /// 32 bits.
    F32,
    /// 16 bits, five of them exponent.
    F16,
    /// 16 bits, eight of them exponent.
    Bf16,
    /// Whole numbers of 32 bits.
    U32,
}

impl Format {
    /// Bytes of one number.
    #[must_use]
    pub const fn bytes(self) -> u64 {
        match self {
            Self::F32 | Self::U32 => 4,
            Self::F16 | Self::Bf16 => 2,
        }
    }

    /// Its name in tables of samples.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::F32 => "float32",
            Self::F16 => "float16",
            Self::Bf16 => "bfloat16",
            Self::U32 => "uint32",
        }
    }

    /// The format of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        [Self::F32, Self::F16, Self::Bf16].into_iter().find(|f| f.name() == name)
    }

    /// The largest relative L2 error of an honest kernel: a few roundings of intermediate results
    /// to this format, far below what a wrong index or a missing term costs.
    #[must_use]
    pub const fn error_bound(self) -> f64 {
        match self {
            Self::F32 => 1e-4,
            Self::F16 => 2e-3,
            Self::Bf16 => 1e-2,
            Self::U32 => 0.0,
        }
    }

    /// A number as it is read from the device's bytes; poison reads as NaN.
    ///
    /// # Panics
    /// If `bytes` are not this format's.
    #[must_use]
    pub fn decode(self, bytes: &[u8]) -> f64 {
        let two = || u16::from_le_bytes([bytes[0], bytes[1]]);
        let four = || u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        match self {
            Self::F32 => f64::from(f32::from_bits(four())),
            Self::F16 => f16::from_bits(two()).to_f64(),
            Self::Bf16 => bf16::from_bits(two()).to_f64(),
            Self::U32 => f64::from(four()),
        }
    }
}

/// The word that poisoned outputs are filled with: NaN in every format of numbers.
pub const POISON: u32 = u32::MAX;

/// An input: every element by equation (1).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Numbers {
    /// Which numbers.
    pub seed: u32,
    /// e of (1).
    pub exponent: i32,
}

/// e of (1) for numbers of standard deviation near one.
const UNIT: i32 = -15;

impl Numbers {
    /// Of standard deviation near one: tokens.
    #[must_use]
    pub const fn tokens(seed: u32) -> Self {
        Self { seed, exponent: UNIT }
    }

    /// Weights of a product over `inner` numbers, which keep the size of what they multiply.
    #[must_use]
    pub fn weights(seed: u32, inner: u32) -> Self {
        let halvings = (f64::from(inner.max(1)).log2() / 2.0).round() as i32;
        Self { seed, exponent: UNIT - halvings }
    }

    /// 2^e of (1).
    #[must_use]
    pub const fn scale(&self) -> f32 {
        // Exponents here are far from the ends of the format.
        f32::from_bits(((127 + self.exponent) as u32) << 23)
    }

    /// Element `index`.
    #[must_use]
    pub fn at(&self, index: u64) -> f64 {
        let h = lowbias32((index as u32).wrapping_add(self.seed.wrapping_mul(0x9E37_79B9)));
        let g = lowbias32(h);
        let sum = (h & 0xFFFF) + (h >> 16) + (g & 0xFFFF) + (g >> 16);
        let cut = f32::from_bits((sum as f32 - 131_070.0).to_bits() & 0xFFFF_0000);
        f64::from(cut) * f64::from(self.scale())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_look_normal_and_are_exact_in_sixteen_bits() {
        let numbers = Numbers::tokens(7);
        let values: Vec<f64> = (0..20_000).map(|i| numbers.at(i)).collect();
        let mean = values.iter().sum::<f64>() / 20_000.0;
        let variance = values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 20_000.0;
        let fourth = values.iter().map(|x| (x - mean).powi(4)).sum::<f64>() / 20_000.0;
        // Standard errors: 1.155/√20000 = 0.008 of the mean, 0.012 of the variance 1.333.
        assert!(mean.abs() < 0.04, "{mean}");
        assert!((variance - 1.333).abs() < 0.06, "{variance}");
        // A sum of four uniforms has kurtosis 2.7, a normal 3, a uniform 1.8.
        assert!((fourth / variance.powi(2) - 2.7).abs() < 0.15, "{fourth}");
        // No bit of the seven behind the point is zero more often than not.
        for bit in 0..7 {
            let set = |x: &&f64| bf16::from_f64(**x).to_bits() >> bit & 1 == 1;
            let share = values.iter().filter(set).count() as f64 / 20_000.0;
            assert!((0.4..0.6).contains(&share), "bit {bit}: {share}");
        }
        for x in values {
            assert_eq!(bf16::from_f64(x).to_f64(), x);
            assert_eq!(f16::from_f64(x).to_f64(), x);
        }
    }

    #[test]
    fn seeds_give_other_numbers_and_poison_is_no_number() {
        let same = (0..1000).filter(|&i| Numbers::tokens(1).at(i) == Numbers::tokens(2).at(i));
        assert!(same.count() < 60);
        for format in [Format::F32, Format::F16, Format::Bf16] {
            let bytes = POISON.to_le_bytes();
            assert!(format.decode(&bytes[..format.bytes() as usize]).is_nan());
        }
    }
}
