//! Exponentials, logarithms and powers as glibc computes them on processors that multiply and add in one step, to the last bit.
//!
//! A gate draws random numbers by comparing with such values: one that differs in its last bit now and then takes
//! another turn, and all draws after it differ. WebAssembly's own functions are other ones, so these are taken for them:
//! Arm's optimized routines, which glibc has had since 2.28, in the order in which it computes them with `fma`. A
//! program that loads glibc without `fma`, or another C library, may differ in last bits, here as among machines.
//!
//! Derived from `exp.c`, `log.c`, `log2.c` and `pow.c` of Arm's optimized routines (MIT), which have the equations and the
//! bounds on their errors, half a unit in the last place and a hundredth of it; decimal logarithms and what keeps its digits
//! near zero from fdlibm. See NOTICE. Compared with glibc 2.36 on 20 million numbers each, and, result by result, by
//! `web/test.mjs`.

mod fma;
mod logarithms;
mod near_zero;
mod powers;
mod tables;

use fma::fma;

pub(super) use logarithms::{log, log2, log10};
pub(super) use near_zero::{expm1, log1p};
pub(super) use powers::{exp, pow};

/// The number that these bits are.
const fn of(bits: u64) -> f64 {
    f64::from_bits(bits)
}

/// Sign and exponent.
const fn top12(x: f64) -> u64 {
    x.to_bits() >> 52
}

const LN2: f64 = of(0x3fe6_2e42_fefa_3800);
const LN2_REST: f64 = of(0x3d2e_f357_93c7_6730);

/// A positive finite number as a power of two, a step of 128, and the number less its exponent.
const fn split(bits: u64, offset: u64) -> (f64, usize, f64) {
    let from = bits.wrapping_sub(offset);
    let k = from.cast_signed() >> 52;
    (k as f64, (from >> 45) as usize % 128, of(bits.wrapping_sub(from & (0xfff << 52))))
}
