//! Powers of e and of any number.

use super::tables::{EXP, POW};
use super::{LN2, LN2_REST, fma, of, split, top12};

const TINY: u64 = 0x3c9; // of 2⁻⁵⁴
const LARGE: u64 = 0x408; // of 512
const TOO_LARGE: u64 = 0x409; // of 1024
const INFINITE: u64 = 0x7ff;

/// eˣ.
pub(crate) fn exp(x: f64) -> f64 {
    let top = top12(x) & 0x7ff;
    if top < TINY {
        return 1.0 + x;
    }
    if top >= TOO_LARGE {
        return match () {
            () if x == f64::NEG_INFINITY => 0.0,
            () if top >= INFINITE => 1.0 + x,
            () if x < 0.0 => 0.0,
            () => f64::INFINITY,
        };
    }
    exp_of_sum(x, 0.0, 0, top >= LARGE)
}

/// e to the sum of two numbers, the second much smaller, with a sign at the place of [`SIGN`].
fn exp_of_sum(x: f64, rest: f64, sign: u64, special: bool) -> f64 {
    // 128/ln 2, and −ln 2/128 in two parts.
    const PER_STEP: f64 = of(0x4067_1547_652b_82fe);
    const STEP: f64 = of(0xbf76_2e42_fefa_0000);
    const STEP_REST: f64 = of(0xbd0c_f79a_bc9e_3b3a);
    // Added, it rounds to whole numbers.
    const SHIFT: f64 = of(0x4338_0000_0000_0000);
    const C: [f64; 4] = [
        of(0x3fdf_ffff_ffff_fdbd),
        of(0x3fc5_5555_5555_543c),
        of(0x3fa5_5555_cf17_2b91),
        of(0x3f81_1111_67a4_d017),
    ];
    let shifted = fma(PER_STEP, x, SHIFT);
    let step = shifted.to_bits();
    let k = shifted - SHIFT;
    let r = fma(k, STEP_REST, fma(k, STEP, x)) + rest;
    let at = 2 * (step % 128) as usize;
    let tail = of(EXP[at]);
    let bits = EXP[at + 1].wrapping_add(step.wrapping_add(sign) << 45);
    let r2 = r * r;
    let low = fma(r2, fma(r, C[1], C[0]), tail + r);
    let all = fma(r2 * r2, fma(r, C[3], C[2]), low);
    if special {
        return near_the_ends(all, bits, step);
    }
    fma(of(bits), all, of(bits))
}

/// Where the scale itself would be beyond what numbers can be.
fn near_the_ends(all: f64, bits: u64, step: u64) -> f64 {
    if step & 0x8000_0000 == 0 {
        let scale = of(bits.wrapping_sub(1009 << 52));
        return of(0x7f00_0000_0000_0000) * fma(scale, all, scale);
    }
    let bits = bits.wrapping_add(1022 << 52);
    let scale = of(bits);
    // Rounded twice there, for its product is used twice.
    let more = scale * all;
    let mut y = scale + more;
    if y.abs() < 1.0 {
        let one = 1.0_f64.copysign(y);
        let low = scale - y + more;
        let high = one + y;
        let low = one - high + y + low;
        y = (high + low) - one;
        if y == 0.0 {
            y = of(bits & (1 << 63));
        }
    }
    f64::MIN_POSITIVE * y
}

/// Where [`exp_of_sum`] takes a sign.
const SIGN: u64 = 0x800 << 7;

/// Whether a number is no whole one, an odd one, or an even one.
#[derive(PartialEq, Eq)]
enum Whole {
    No,
    Odd,
    Even,
}

fn whole(y: f64) -> Whole {
    match () {
        () if y.fract() != 0.0 => Whole::No,
        () if (y * 0.5).fract() != 0.0 => Whole::Odd,
        () => Whole::Even,
    }
}

/// xʸ.
pub(crate) fn pow(x: f64, y: f64) -> f64 {
    if let Some(plain) = plain_power(x, y) {
        return plain;
    }
    let sign = if x < 0.0 && whole(y) == Whole::Odd { SIGN } else { 0 };
    let size = x.abs();
    let exponent = top12(y) & 0x7ff;
    if !(0x3be..0x43e).contains(&exponent) {
        return match () {
            () if size == 1.0 => 1.0,
            () if exponent < 0x3be => 1.0 + if size > 1.0 { y } else { -y },
            () if (size > 1.0) == (y > 0.0) => f64::INFINITY,
            () => 0.0,
        };
    }
    let bits = match size < f64::MIN_POSITIVE {
        true => (size * of(0x4330_0000_0000_0000)).to_bits().wrapping_sub(52 << 52),
        false => size.to_bits(),
    };
    let (high, low) = log_in_two(bits);
    let product = y * high;
    let rest = fma(y, low, fma(y, high, -product));
    let top = top12(product) & 0x7ff;
    let negative = sign != 0;
    if top < TINY {
        return if negative { -(1.0 + product) } else { 1.0 + product };
    }
    if top >= TOO_LARGE {
        let end: f64 = if product < 0.0 { 0.0 } else { f64::INFINITY };
        return if negative { -end } else { end };
    }
    exp_of_sum(product, rest, sign, top >= LARGE)
}

/// Powers that need no logarithm: of what is zero, infinite or no number.
fn plain_power(x: f64, y: f64) -> Option<f64> {
    if y == 0.0 || x == 1.0 {
        return Some(1.0);
    }
    if x.is_nan() || y.is_nan() {
        return Some(f64::NAN);
    }
    if y.is_infinite() {
        let grows = (x.abs() > 1.0) == (y > 0.0);
        return Some(if x == -1.0 {
            1.0
        } else if grows {
            f64::INFINITY
        } else {
            0.0
        });
    }
    if x == 0.0 || x.is_infinite() {
        let size = if (x == 0.0) == (y > 0.0) { 0.0 } else { f64::INFINITY };
        let negative = x.is_sign_negative() && whole(y) == Whole::Odd;
        return Some(if negative { -size } else { size });
    }
    (x < 0.0 && whole(y) == Whole::No).then_some(f64::NAN)
}

/// A logarithm, and what rounding left of it.
fn log_in_two(bits: u64) -> (f64, f64) {
    const OFFSET: u64 = 0x3fe6_9555_0000_0000;
    const A: [f64; 7] = [
        of(0xbfe0_0000_0000_0000),
        of(0xbfe5_5555_5555_5560),
        of(0x3fe0_0000_0000_0006),
        of(0x3fe9_9999_9959_554e),
        of(0xbfe5_5555_5529_a47a),
        of(0xbff2_495b_9b48_45e9),
        of(0x3ff0_002b_8b26_3fc3),
    ];
    let (k, at, z) = split(bits, OFFSET);
    let [inverse, logarithm, tail] = [0, 1, 2].map(|own| of(POW[3 * at + own]));
    let r = fma(z, inverse, -1.0);
    let t1 = fma(k, LN2, logarithm);
    let t2 = t1 + r;
    let low1 = fma(k, LN2_REST, tail);
    let low2 = t1 - t2 + r;
    let ar = A[0] * r;
    let ar2 = r * ar;
    let ar3 = r * ar2;
    let high = t2 + ar2;
    let low3 = fma(ar, r, -ar2);
    let low4 = t2 - high + ar2;
    let inner = fma(ar2, fma(r, A[6], A[5]), fma(r, A[4], A[3]));
    let p = fma(ar2, inner, fma(r, A[2], A[1]));
    let low = fma(ar3, p, low1 + low2 + low3 + low4);
    let y = high + low;
    (y, high - y + low)
}
