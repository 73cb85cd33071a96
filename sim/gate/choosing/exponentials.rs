//! Exponentials of many numbers at once, in loops compiled for the widest vectors that the machine has.
//!
//! Results are the same bit for bit on every machine: nothing is reordered or fused.

use pulp::{Arch, NullaryFnOnce};

/// e^{−w t} of each of these rates w, into `out`.
pub(in crate::gate) fn absences(rates: &[f64], time: f64, out: &mut [f64]) {
    Arch::new().dispatch(Absences { rates, time, out });
}

/// Replaces logarithms by what they are of, over the largest; returns the logarithm of that.
pub(in crate::gate) fn over_largest(logarithms: &mut [f64]) -> f64 {
    Arch::new().dispatch(OverLargest(logarithms))
}

struct Absences<'a> {
    rates: &'a [f64],
    time: f64,
    out: &'a mut [f64],
}

impl NullaryFnOnce for Absences<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        for (gone, rate) in self.out.iter_mut().zip(self.rates) {
            *gone = exp_of_negative(-rate * self.time);
        }
    }
}

struct OverLargest<'a>(&'a mut [f64]);

impl NullaryFnOnce for OverLargest<'_> {
    type Output = f64;

    #[inline(always)]
    fn call(self) -> f64 {
        // The largest of eight at a time, which is the largest of all in whatever order.
        let (eights, rest) = self.0.as_chunks::<8>();
        let mut largest = [f64::NEG_INFINITY; 8];
        for eight in eights {
            for (largest, z) in largest.iter_mut().zip(eight) {
                *largest = if *z > *largest { *z } else { *largest };
            }
        }
        let most = largest.iter().chain(rest).copied().fold(f64::NEG_INFINITY, f64::max);
        for z in self.0.iter_mut() {
            *z = exp_of_negative(*z - most);
        }
        most
    }
}

/// eˣ for x ≤ 0, to 10⁻¹¹ of its value, written so that compilers take several x at once.
///
/// 2ⁿ by the bits of n, and a Taylor polynomial of degree 9 within ½·ln 2 of zero.
#[inline(always)]
fn exp_of_negative(x: f64) -> f64 {
    const LOG2_E: f64 = std::f64::consts::LOG2_E;
    // Adding and subtracting 1.5·2⁵² rounds to the nearest whole number.
    const ROUND: f64 = 6_755_399_441_055_744.0;
    let x = x.max(-700.0);
    let rounded = x * LOG2_E + ROUND;
    let n = rounded - ROUND;
    let r = x - n * std::f64::consts::LN_2;
    let p = 1.0 / 362_880.0;
    let p = p * r + 1.0 / 40_320.0;
    let p = p * r + 1.0 / 5_040.0;
    let p = p * r + 1.0 / 720.0;
    let p = p * r + 1.0 / 120.0;
    let p = p * r + 1.0 / 24.0;
    let p = p * r + 1.0 / 6.0;
    let p = p * r + 0.5;
    let p = p * r + 1.0;
    let p = p * r + 1.0;
    // The low bits of `rounded` hold n; moved to the exponent they are 2ⁿ.
    let power = (rounded.to_bits() << 52).wrapping_add(1023 << 52);
    p * f64::from_bits(power)
}

/// An exponential variable of mean one: −ln of the middle of one of 2²⁴ parts of the way from 0 to 1.
///
/// With u = 2ⁿ(1 + f), f within √½ − 1 and √2 − 1, and s = f/(2 + f): ln(1 + f) = 2 artanh s, by its series in s² up to
/// s⁹ with the remainder in the last coefficient.
#[inline(always)]
pub(super) fn exponential(word: u32) -> f32 {
    const HALF_ROOT: u32 = 0x3f35_04f3;
    const ONE: u32 = 0x3f80_0000;
    const PART: f32 = 1.0 / 16_777_216.0;
    let u = ((word >> 8).cast_signed() as f32 + 0.5) * PART;
    let bits = u.to_bits() + (ONE - HALF_ROOT);
    let n = (bits >> 23).cast_signed() - 127;
    let f = f32::from_bits((bits & 0x007f_ffff) + HALF_ROOT) - 1.0;
    let s = f / (2.0 + f);
    let z = s * s;
    let series = 2.0 / 3.0 + z * (2.0 / 5.0 + z * (2.0 / 7.0 + z * 0.242_790_8));
    -(n as f32 * std::f32::consts::LN_2 + (2.0 * s + s * z * series))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_minus_the_logarithm_of_the_part() {
        for step in 0..4_000_000_u32 {
            let word = step.wrapping_mul(1_073);
            let u = (f64::from((word >> 8) as f32 + 0.5)) / 16_777_216.0;
            let (got, want) = (f64::from(exponential(word)), -u.ln());
            assert!((got - want).abs() <= 4e-7 * want, "{word}: {got}, not {want}");
        }
        assert_eq!(exponential(u32::MAX), 0.0);
        assert!(exponential(0) > 17.3);
    }

    #[test]
    fn exponentials_are_those_of_the_library() {
        for i in 0..200_000 {
            let x = -f64::from(i) * 0.003_7;
            let (got, want) = (exp_of_negative(x), x.max(-700.0).exp());
            assert!((got / want - 1.0).abs() < 1e-10, "{x}: {got}, not {want}");
        }
    }

    #[test]
    fn the_largest_is_found_in_whatever_place() {
        for number in 1..40 {
            for largest in 0..number {
                let mut z: Vec<f64> = (0..number).map(|i| -f64::from(i)).collect();
                z[largest as usize] = 2.0;
                let most = over_largest(&mut z);
                assert!(most == 2.0 && z[largest as usize] == 1.0, "{number} {largest}: {z:?}");
            }
        }
    }
}
