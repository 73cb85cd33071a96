//! eˣ − 1 and ln(1 + x), which keep their digits near zero: fdlibm's, with terms of even and odd powers summed apart.

use super::{fma, of};

// ln 2 in two parts, other than those of logarithms.
const LN2: f64 = of(0x3fe6_2e42_fee0_0000);
const LN2_REST: f64 = of(0x3dea_39ef_3579_3c76);
const PER_LN2: f64 = of(0x3ff7_1547_652b_82fe);

/// The number with this much added to its exponent.
fn scaled(y: f64, k: i32) -> f64 {
    of(y.to_bits().wrapping_add((i64::from(k) << 52).cast_unsigned()))
}

fn high(x: f64) -> i32 {
    (x.to_bits() >> 32) as u32 as i32
}

fn with_high(x: f64, high: i32) -> f64 {
    of((x.to_bits() & 0xffff_ffff) | (u64::from(high as u32) << 32))
}

/// ln(1 + x).
pub(crate) fn log1p(x: f64) -> f64 {
    let (hx, ax) = (high(x), high(x) & 0x7fff_ffff);
    let plain = hx < 0x3fda_827a;
    if plain {
        if ax >= 0x3ff0_0000 {
            return if x == -1.0 { f64::NEG_INFINITY } else { f64::NAN };
        }
        if ax < 0x3e20_0000 {
            return if ax < 0x3c90_0000 { x } else { x - x * x * 0.5 };
        }
        if hx > 0 || hx <= 0xbfd2_bec3_u32 as i32 {
            return log1p_of((0, 0.0), x, 1);
        }
    } else if hx >= 0x7ff0_0000 {
        return x + x;
    }
    let (mut u, mut c) = (x, 0.0);
    let mut hu = high(u);
    let mut k = (hu >> 20) - 1023;
    if hx < 0x4340_0000 {
        u = 1.0 + x;
        hu = high(u);
        k = (hu >> 20) - 1023;
        c = if k > 0 { 1.0 - (u - x) } else { x - (u - 1.0) } / u;
    }
    hu &= 0x000f_ffff;
    if hu < 0x6a09e {
        u = with_high(u, hu | 0x3ff0_0000);
    } else {
        k += 1;
        u = with_high(u, hu | 0x3fe0_0000);
        hu = (0x0010_0000 - hu) >> 2;
    }
    log1p_of((k, c), u - 1.0, hu)
}

/// Of a number near one less one, with k times ln 2 and a correction; `hu` is zero where it is very near.
fn log1p_of((k, c): (i32, f64), f: f64, hu: i32) -> f64 {
    const L: [f64; 7] = [
        of(0x3fe5_5555_5555_5593),
        of(0x3fd9_9999_9997_fa04),
        of(0x3fd2_4924_9422_9359),
        of(0x3fcc_71c5_1d8e_78af),
        of(0x3fc7_4664_96cb_03de),
        of(0x3fc3_9a09_d078_c69f),
        of(0x3fc2_f112_df3e_5244),
    ];
    let half = 0.5 * f * f;
    let kf = f64::from(k);
    if hu == 0 {
        if f == 0.0 {
            return if k == 0 { 0.0 } else { fma(kf, LN2, fma(kf, LN2_REST, c)) };
        }
        let r = half * fma(-of(0x3fe5_5555_5555_5555), f, 1.0);
        return if k == 0 { f - r } else { fma(kf, LN2, -((r - fma(kf, LN2_REST, c)) - f)) };
    }
    let s = f / (2.0 + f);
    let z = s * s;
    let (z2, r2) = (z * z, fma(z, L[2], L[1]));
    let (z4, r3) = (z2 * z2, fma(z, L[4], L[3]));
    let (z6, r4) = (z4 * z2, fma(z, L[6], L[5]));
    let r = fma(z6, r4, fma(z4, r3, fma(z, L[0], z2 * r2)));
    if k == 0 {
        return f - (half - s * (half + r));
    }
    fma(kf, LN2, -((half - (s * (half + r) + fma(kf, LN2_REST, c))) - f))
}

/// eˣ − 1.
pub(crate) fn expm1(x: f64) -> f64 {
    let hx = high(x) & 0x7fff_ffff;
    if hx >= 0x4043_687a {
        if x.is_nan() || x == f64::INFINITY {
            return x;
        }
        if x > of(0x4086_2e42_fefa_39ef) {
            return f64::INFINITY;
        }
        if x < 0.0 {
            return -1.0;
        }
    }
    if hx < 0x3c90_0000 {
        return x;
    }
    let (mut own, mut c, mut k) = (x, 0.0, 0);
    if hx > 0x3fd6_2e42 {
        let (big, small);
        if hx < 0x3ff0_a2b2 {
            k = if x > 0.0 { 1 } else { -1 };
            (big, small) = (x - f64::from(k) * LN2, f64::from(k) * LN2_REST);
        } else {
            k = fma(PER_LN2, x, 0.5_f64.copysign(x)) as i32;
            (big, small) = (fma(-f64::from(k), LN2, x), f64::from(k) * LN2_REST);
        }
        own = big - small;
        c = (big - own) - small;
    }
    expm1_of(own, c, k)
}

/// Of a number within half a ln 2 of zero, times two to the k.
fn expm1_of(x: f64, c: f64, k: i32) -> f64 {
    const Q: [f64; 5] = [
        of(0xbfa1_1111_1111_10f4),
        of(0x3f5a_01a0_19fe_5585),
        of(0xbf14_ce19_9eaa_dbb7),
        of(0x3ed0_cfca_86e6_5239),
        of(0xbe8a_fdb7_6e09_c32d),
    ];
    let half = 0.5 * x;
    let square = x * half;
    let s2 = square * square;
    let r1 = fma(square, Q[0], 1.0);
    let r2 = fma(square, Q[2], Q[1]);
    let r3 = fma(square, Q[4], Q[3]);
    let r = fma(s2 * s2, r3, fma(s2, r2, r1));
    let t = fma(-r, half, 3.0);
    let e = square * ((r - t) / fma(-x, t, 6.0));
    if k == 0 {
        return x - fma(x, e, -square);
    }
    let e = fma(x, e - c, -c) - square;
    match k {
        -1 => 0.5 * (x - e) - 0.5,
        1 if x < -0.25 => -2.0 * (e - (x + 0.5)),
        1 => 1.0 + 2.0 * (x - e),
        ..=-2 | 57.. => scaled(1.0 - (e - x), k) - 1.0,
        0..20 => scaled((1.0 - of(((0x3ff - i64::from(k)) as u64) << 52)) - (e - x), k),
        _ => scaled(x - (e + of(((0x3ff - i64::from(k)) as u64) << 52)) + 1.0, k),
    }
}
