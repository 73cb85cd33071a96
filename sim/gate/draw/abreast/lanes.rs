//! Numbers of eight GPUs, one a lane of vectors.
//!
//! A lane reads nothing of its neighbours, and nothing is reordered or fused: results are the same on every machine.

use rand::Rng;
use rand_xoshiro::Xoshiro256PlusPlus;

use crate::gate::choosing::normals::two_normals;

/// GPUs abreast: as many numbers as the widest vectors hold.
pub(super) const LANES: usize = 8;

pub(super) type Lanes = [f64; LANES];

/// The count that stands at this normal variable, with the Cornish–Fisher correction for the skewness of one of chance
/// `p`, between 0 and `trials`.
#[inline(always)]
pub(super) fn corrected(mean: f64, deviation: f64, p: f64, z: f64, trials: f64) -> f64 {
    let skewed = deviation * z + (1.0 - 2.0 * p) * (1.0 / 6.0) * (z * z - 1.0);
    between(rounded(mean + skewed), trials)
}

/// Between zero and `most`.
#[inline(always)]
pub(super) fn between(x: f64, most: f64) -> f64 {
    let x = if x > 0.0 { x } else { 0.0 };
    if x < most { x } else { most }
}

/// The nearest whole number: 1.5·2⁵² added leaves no bit for a fraction.
#[inline(always)]
pub(super) fn rounded(x: f64) -> f64 {
    const ROUND: f64 = 6_755_399_441_055_744.0;
    (x + ROUND) - ROUND
}

/// A whole number below 2³², whose bits are the lowest of a mantissa once 2⁵² is added.
#[inline(always)]
pub(super) fn lowest_bits(x: f64) -> u32 {
    const WHOLE: f64 = 4_503_599_627_370_496.0;
    (x + WHOLE).to_bits() as u32
}

/// Draws a normal variable for each cell of each lane, or for one cell more.
#[inline(always)]
pub(super) fn draw_normals(
    rngs: &mut [Xoshiro256PlusPlus],
    cells: usize,
    words: &mut Vec<[u32; 2]>,
    out: &mut Vec<f32>,
) {
    let half = cells.div_ceil(2) * LANES;
    words.clear();
    words.resize(half, [0; 2]);
    for (lane, rng) in rngs.iter_mut().enumerate() {
        // A copy of the generator stays in registers.
        let mut quick = rng.clone();
        for word in words.iter_mut().skip(lane).step_by(LANES) {
            let both = quick.next_u64();
            *word = [both as u32, (both >> 32) as u32];
        }
        *rng = quick;
    }
    out.clear();
    out.resize(2 * half, 0.0);
    let (first, second) = out.split_at_mut(half);
    for ((first, second), word) in first.iter_mut().zip(second).zip(&*words) {
        [*first, *second] = two_normals(word[0], word[1]);
    }
}
