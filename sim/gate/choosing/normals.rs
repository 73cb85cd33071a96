//! Normal variables, and waits of the same ranks, of many cells at once, in loops compiled for the widest vectors
//! that the machine has.
//!
//! Two words make two normal variables [box58]: at a radius √(2E), E exponential, and an angle that is uniform. A normal
//! score x stands for the wait of an exponential variable at the same rank,
//!
//! ```text
//!   E = −ln Φ(x) = L + x²/2 for x < 0,     −ln(1 − e^{−(L + x²/2)}) for others                 (1)
//! ```
//!
//! in which L = −ln(½ erfcx(|x|/√2)) is smooth: a polynomial in t = 1/(1 + |x|/√8), off by 5·10⁻⁷. All is in single
//! precision and nothing is reordered or fused, so results are the same on every machine.

use std::f32::consts::{FRAC_1_SQRT_2, FRAC_PI_2, FRAC_PI_4, LN_2, LOG2_E};

use pulp::{Arch, NullaryFnOnce};
use rand_chacha::rand_core::Rng;
use rand_xoshiro::Xoshiro256PlusPlus;

use super::exponentials::exponential;

/// Normal variables drawn together: an even number of them.
const BLOCK: usize = 512;
/// Scores beyond this are taken as at it; one in 10¹⁵ is.
const FARTHEST: f32 = 8.0;

/// Replaces every x by `kept` times itself and `fresh` times a normal variable of its own.
pub(in crate::gate) fn mix_in(
    rng: &mut Xoshiro256PlusPlus,
    [kept, fresh]: [f32; 2],
    scores: &mut [f32],
) {
    Arch::new().dispatch(MixIn { rng, kept, fresh, scores });
}

/// Replaces normal scores by exponential waits of the same rank, (1): the greatest come soonest.
pub(in crate::gate) fn waits(scores: &mut [f32]) {
    Arch::new().dispatch(Waits(scores));
}

struct MixIn<'a> {
    rng: &'a mut Xoshiro256PlusPlus,
    kept: f32,
    fresh: f32,
    scores: &'a mut [f32],
}

impl NullaryFnOnce for MixIn<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        const HALF: usize = BLOCK / 2;
        let Self { rng, kept, fresh, scores } = self;
        let (mut radii, mut angles) = ([0_u32; HALF], [0_u32; HALF]);
        let mut normals = [0.0_f32; BLOCK];
        // A copy of the generator stays in registers.
        let mut quick = rng.clone();
        for scores in scores.chunks_mut(BLOCK) {
            for (radius, angle) in radii.iter_mut().zip(&mut angles) {
                let both = quick.next_u64();
                (*radius, *angle) = (both as u32, (both >> 32) as u32);
            }
            let (first, second) = normals.split_at_mut(HALF);
            for at in 0..HALF {
                [first[at], second[at]] = two_normals(radii[at], angles[at]);
            }
            for (x, z) in scores.iter_mut().zip(&normals) {
                *x = kept * *x + fresh * z;
            }
        }
        *rng = quick;
    }
}

struct Waits<'a>(&'a mut [f32]);

impl NullaryFnOnce for Waits<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        // A loop: what closures do is not always compiled for the widest vectors.
        for x in self.0 {
            *x = wait_of(*x);
        }
    }
}

/// Two normal variables by a word for their radius and one for their angle.
///
/// The angle lies within an eighth of a turn of either axis: 24 bits say where, and one each which side and which axis.
#[inline(always)]
pub(in crate::gate) fn two_normals(radius: u32, angle: u32) -> [f32; 2] {
    const PART: f32 = FRAC_PI_2 / 16_777_216.0;
    let length = (2.0 * exponential(radius)).sqrt();
    let a = ((angle >> 8).cast_signed() as f32 + 0.5) * PART - FRAC_PI_4;
    let q = a * a;
    let sine = a * (1.0 + q * (-1.0 / 6.0 + q * (1.0 / 120.0 + q * (-1.0 / 5_040.0))));
    let cosine = 1.0 + q * (-0.5 + q * (1.0 / 24.0 + q * (-1.0 / 720.0 + q / 40_320.0)));
    let along = length * f32::from_bits(cosine.to_bits() ^ (angle << 31));
    let across = length * sine;
    if angle & 2 == 0 { [along, across] } else { [across, along] }
}

/// (1).
#[inline(always)]
fn wait_of(x: f32) -> f32 {
    // In u, which goes from −1 to 1 as |x| from the farthest to 0.
    const L: [f32; 12] = [
        1.647_965,
        -1.093_550_8,
        0.167_115_7,
        -0.046_469_66,
        0.028_681_3,
        -0.015_566_69,
        0.007_664_28,
        -0.003_548_356,
        0.000_579_777_2,
        -0.000_318_279_9,
        0.001_285_837,
        -0.000_691_071_5,
    ];
    let far = x.abs();
    let far = if far < FARTHEST { far } else { FARTHEST };
    let u = 2.707_106_8 / (1.0 + 0.5 * FRAC_1_SQRT_2 * far) - 1.707_106_8;
    let low = L[0] + u * (L[1] + u * (L[2] + u * (L[3] + u * (L[4] + u * L[5]))));
    let high = L[6] + u * (L[7] + u * (L[8] + u * (L[9] + u * (L[10] + u * L[11]))));
    let cube = u * u * u;
    let smooth = low + cube * cube * high;
    let late = smooth + 0.5 * far * far;
    let gone = exp_of_negative(-late);
    // −ln(1 − q) = 2 artanh(q/(2 − q)), of q up to a half.
    let s = gone / (2.0 - gone);
    let z = s * s;
    let series = 1.0 / 7.0 + z * (1.0 / 9.0 + z * (1.0 / 11.0 + z / 13.0));
    let soon = 2.0 * s * (1.0 + z * (1.0 / 3.0 + z * (1.0 / 5.0 + z * series)));
    if x < 0.0 { late } else { soon }
}

/// eˣ for x from −40 to 0.
#[inline(always)]
fn exp_of_negative(x: f32) -> f32 {
    // Adding and subtracting 1.5·2²³ rounds to the nearest whole number.
    const ROUND: f32 = 12_582_912.0;
    let rounded = x * LOG2_E + ROUND;
    let n = rounded - ROUND;
    let r = x - n * LN_2;
    let p = 1.0
        + r * (1.0
            + r * (0.5 + r * (1.0 / 6.0 + r * (1.0 / 24.0 + r * (1.0 / 120.0 + r / 720.0)))));
    // The low bits of `rounded` hold n; moved to the exponent they are 2ⁿ.
    p * f32::from_bits((rounded.to_bits() << 23).wrapping_add(127 << 23))
}

#[cfg(test)]
mod tests {
    use rand_chacha::rand_core::SeedableRng;
    use statrs::function::erf::{erf, erfc};

    use super::*;

    #[test]
    fn waits_are_those_of_the_library() {
        for step in -7_900..7_900 {
            let x = f64::from(step) / 1_000.0;
            let tail = 0.5 * erfc(x * std::f64::consts::FRAC_1_SQRT_2);
            let want =
                if tail > 0.5 { -(0.5 * erfc(-x / 2_f64.sqrt())).ln() } else { -(-tail).ln_1p() };
            let got = f64::from(wait_of(x as f32));
            assert!((got / want - 1.0).abs() < 1e-5, "{x}: {got}, not {want}");
        }
    }

    /// By moments, tails and the whole distribution; what is mixed in keeps the variance.
    #[test]
    fn normal_variables_are_normal_and_independent() {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(1);
        let mut x = vec![0.0_f32; 1_000_000];
        mix_in(&mut rng, [0.0, 1.0], &mut x);
        let before = x.clone();
        mix_in(&mut rng, [0.6, 0.8], &mut x);
        let mean = |of: &dyn Fn(usize) -> f64| (0..x.len()).map(of).sum::<f64>() / x.len() as f64;
        for (x, what) in [(&before, "drawn"), (&x, "mixed")] {
            let moment = |k| mean(&|i| f64::from(x[i]).powi(k));
            // Five standard deviations of each mean.
            assert!(moment(1).abs() < 5e-3 && (moment(2) - 1.0).abs() < 7.1e-3, "{what}");
            assert!(moment(3).abs() < 0.02 && (moment(4) - 3.0).abs() < 0.05, "{what}");
            let mut sorted = x.clone();
            sorted.sort_by(f32::total_cmp);
            let apart = |(i, x): (usize, &f32)| {
                let below = 0.5 * (1.0 + erf(f64::from(*x) / 2_f64.sqrt()));
                (below - (i as f64 + 0.5) / sorted.len() as f64).abs()
            };
            let farthest = sorted.iter().enumerate().map(apart).fold(0.0, f64::max);
            // Kolmogorov's bound, passed once in 10⁵.
            assert!(farthest < 2.47e-3, "{what}: {farthest}");
        }
        let kept = mean(&|i| f64::from(before[i]) * f64::from(x[i]));
        assert!((kept - 0.6).abs() < 6e-3, "{kept}");
        // Those of one radius, and neighbours.
        for lag in [1, BLOCK / 2] {
            let both =
                mean(&|i| f64::from(before[i]) * f64::from(before[(i + lag) % before.len()]));
            assert!(both.abs() < 5e-3, "{both} at a lag of {lag}");
        }
    }
}
