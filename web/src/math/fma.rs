//! `a·b + c`, rounded once, where WebAssembly has no instruction for it and the compiler's own function is slow.
//!
//! The product is taken apart into two numbers that sum to it exactly, as Dekker does it, what is added into two sums without
//! error, and the smallest two are added by rounding to odd, so that rounding their sum with the largest is as if all had
//! been rounded once: Boldo and Melquiond prove it.

/// Sizes between which nothing of this overflows or is lost below; beyond, the compiler's function does it.
const LEAST: f64 = f64::from_bits(0x0c80_0000_0000_0000); // 2⁻⁸²³
const MOST: f64 = f64::from_bits(0x73f0_0000_0000_0000); // 2⁸³²
const FACTOR: f64 = f64::from_bits(0x5ff0_0000_0000_0000); // 2⁵¹²

/// `a·b + c`, rounded once.
pub(super) fn fma(a: f64, b: f64, c: f64) -> f64 {
    let product = a * b;
    let size = product.abs();
    let plain =
        size > LEAST && size < MOST && a.abs() < FACTOR && b.abs() < FACTOR && c.abs() < MOST;
    if !plain || (c != 0.0 && c.abs() < LEAST) {
        return a.mul_add(b, c);
    }
    let rest = rest_of_product(a, b, product);
    let (high, low) = sum(c, rest);
    let (most, least) = sum(product, high);
    most + odd_sum(low, least)
}

/// A sum, and what rounding took from it.
fn sum(a: f64, b: f64) -> (f64, f64) {
    let whole = a + b;
    let own = whole - a;
    (whole, (a - (whole - own)) + (b - own))
}

/// A number as two of half as many digits.
fn halves(a: f64) -> (f64, f64) {
    let scaled = a * 134_217_729.0;
    let high = scaled - (scaled - a);
    (high, a - high)
}

/// What rounding took from a product.
fn rest_of_product(a: f64, b: f64, product: f64) -> f64 {
    let ((a1, a2), (b1, b2)) = (halves(a), halves(b));
    ((a1 * b1 - product) + a1 * b2 + a2 * b1) + a2 * b2
}

/// A sum that, where it is not exact, is the neighbour whose last bit is one.
fn odd_sum(a: f64, b: f64) -> f64 {
    let (whole, lost) = sum(a, b);
    let bits = whole.to_bits();
    if lost == 0.0 || bits & 1 == 1 {
        return whole;
    }
    // Towards what was lost: away from zero where both have a sign.
    let away = (lost > 0.0) == (whole > 0.0);
    f64::from_bits(if away { bits + 1 } else { bits - 1 })
}
