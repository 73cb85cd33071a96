//! Logarithms: natural, binary, decimal.

use super::tables::{LOG, LOG2};
use super::{LN2, LN2_REST, fma, of, split};

/// The natural logarithm.
pub(crate) fn log(x: f64) -> f64 {
    const OFFSET: u64 = 0x3fe6_0000_0000_0000;
    const A: [f64; 5] = [
        of(0xbfe0_0000_0000_0001),
        of(0x3fd5_5555_5551_305b),
        of(0xbfcf_ffff_ffeb_4590),
        of(0x3fc9_99b3_24f1_0111),
        of(0xbfc5_5575_e506_c89f),
    ];
    let mut bits = x.to_bits();
    if (1.0 - 1.0 / 16.0..of(0x3ff1_0900_0000_0000)).contains(&x) {
        return if x == 1.0 { 0.0 } else { log_near_one(x - 1.0) };
    }
    if !(f64::MIN_POSITIVE..f64::INFINITY).contains(&x) {
        if x == 0.0 {
            return f64::NEG_INFINITY;
        }
        if !(x > 0.0 && x < f64::INFINITY) {
            return if x > 0.0 { x } else { f64::NAN };
        }
        bits = (x * of(0x4330_0000_0000_0000)).to_bits().wrapping_sub(52 << 52);
    }
    let (k, at, z) = split(bits, OFFSET);
    let (inverse, logarithm) = (of(LOG[2 * at]), of(LOG[2 * at + 1]));
    let r = fma(z, inverse, -1.0);
    let w = fma(k, LN2, logarithm);
    let high = w + r;
    let low = fma(k, LN2_REST, w - high + r);
    let r2 = r * r;
    let inner = fma(r2, fma(r, A[4], A[3]), fma(r, A[2], A[1]));
    fma(r * r2, inner, fma(r2, A[0], low)) + high
}

fn log_near_one(r: f64) -> f64 {
    const B: [f64; 11] = [
        of(0xbfe0_0000_0000_0000),
        of(0x3fd5_5555_5555_5577),
        of(0xbfcf_ffff_ffff_fdcb),
        of(0x3fc9_9999_9995_dd0c),
        of(0xbfc5_5555_5567_45a7),
        of(0x3fc2_4924_a344_de30),
        of(0xbfbf_ffff_a442_3d65),
        of(0x3fbc_7184_282a_d6ca),
        of(0xbfb9_99eb_43b0_68ff),
        of(0x3fb7_8182_f7af_d085),
        of(0xbfb5_5213_75d1_45cd),
    ];
    let r2 = r * r;
    let r3 = r * r2;
    let last = fma(r3, B[10], fma(r2, B[9], fma(r, B[8], B[7])));
    let middle = fma(r3, last, fma(r2, B[6], fma(r, B[5], B[4])));
    let first = fma(r3, middle, fma(r2, B[3], fma(r, B[2], B[1])));
    let w = r * of(0x41a0_0000_0000_0000);
    let rough = r + w - w;
    let rest = r - rough;
    let w = rough * rough * B[0];
    let high = r + w;
    let low = fma(B[0] * rest, rough + r, r - high + w);
    fma(r3, first, low) + high
}

/// The decimal logarithm: the natural one of what is left without powers of two. It is no part of Arm's routines, and
/// computed without `fma` there.
pub(crate) fn log10(x: f64) -> f64 {
    const PER_LN: f64 = of(0x3fdb_cb7b_1526_e50e);
    const TWO: f64 = of(0x3fd3_4413_509f_6000);
    const TWO_REST: f64 = of(0x3d59_fef3_11f1_2b36);
    if !(x > 0.0 && x < f64::INFINITY) {
        return log(x);
    }
    let small = x < f64::MIN_POSITIVE;
    let bits = if small { (x * of(0x4350_0000_0000_0000)).to_bits() } else { x.to_bits() };
    let k = (bits >> 52).cast_signed() - 1023 - if small { 54 } else { 0 };
    let i = i64::from(k < 0);
    let left = of((bits & ((1 << 52) - 1)) | ((0x3ff - i.cast_unsigned()) << 52));
    let y = (k + i) as f64;
    let z = y * TWO_REST + PER_LN * log(left);
    z + y * TWO
}

/// The binary logarithm.
pub(crate) fn log2(x: f64) -> f64 {
    const OFFSET: u64 = 0x3fe6_0000_0000_0000;
    const A: [f64; 6] = [
        of(0xbfe7_1547_652b_8339),
        of(0x3fde_c709_dc3a_04be),
        of(0xbfd7_1547_6470_2ffb),
        of(0x3fd2_776c_5003_4c48),
        of(0xbfce_c7b3_28ea_92bc),
        of(0x3fca_6225_e117_f92e),
    ];
    let mut bits = x.to_bits();
    if (of(0x3fee_a4af_0000_0000)..of(0x3ff0_b559_0000_0000)).contains(&x) {
        return if x == 1.0 { 0.0 } else { log2_near_one(x - 1.0) };
    }
    if !(f64::MIN_POSITIVE..f64::INFINITY).contains(&x) {
        if !(x > 0.0 && x < f64::INFINITY) {
            return log(x);
        }
        bits = (x * of(0x4330_0000_0000_0000)).to_bits().wrapping_sub(52 << 52);
    }
    let from = bits.wrapping_sub(OFFSET);
    let k = (from.cast_signed() >> 52) as f64;
    let at = (from >> 46) as usize % 64;
    let z = of(bits.wrapping_sub(from & (0xfff << 52)));
    let (inverse, logarithm) = (of(LOG2[2 * at]), of(LOG2[2 * at + 1]));
    let r = fma(z, inverse, -1.0);
    let t1 = r * PER_LN2;
    let t2 = fma(r, PER_LN2_REST, fma(r, PER_LN2, -t1));
    let t3 = k + logarithm;
    let high = t3 + t1;
    let low = t3 - high + t1 + t2;
    let r2 = r * r;
    let first = fma(r2, fma(r, A[3], A[2]), fma(r, A[1], A[0]));
    let all = fma(r2 * r2, fma(r, A[5], A[4]), first);
    fma(r2, all, low) + high
}

// 1/ln 2 in two parts.
const PER_LN2: f64 = of(0x3ff7_1547_6520_0000);
const PER_LN2_REST: f64 = of(0x3de7_05fc_2eef_a200);

fn log2_near_one(r: f64) -> f64 {
    const B: [f64; 10] = [
        of(0xbfe7_1547_652b_82fe),
        of(0x3fde_c709_dc3a_03f7),
        of(0xbfd7_1547_652b_7c3f),
        of(0x3fd2_776c_50f0_5be4),
        of(0xbfce_c709_dd76_8fe5),
        of(0x3fca_6176_1ec4_e736),
        of(0xbfc7_153f_bc64_a79b),
        of(0x3fc4_84d1_54f0_1b4a),
        of(0xbfc2_89e4_a72c_383c),
        of(0x3fc0_b32f_285a_ee66),
    ];
    let high = r * PER_LN2;
    let low = fma(r, PER_LN2_REST, fma(r, PER_LN2, -high));
    let r2 = r * r;
    let r4 = r2 * r2;
    let p = fma(r, B[1], B[0]);
    let y = fma(r2, p, high);
    let low = low + fma(r2, p, high - y);
    let last = fma(
        r4,
        fma(r2, fma(r, B[9], B[8]), fma(r, B[7], B[6])),
        fma(r2, fma(r, B[5], B[4]), fma(r, B[3], B[2])),
    );
    y + fma(r4, last, low)
}
