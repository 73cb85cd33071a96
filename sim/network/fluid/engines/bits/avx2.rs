//! The loops for AVX2: 8 cells in single precision, 4 in double precision.

use std::arch::x86_64::{__m256, __m256d, __m256i, _CMP_LE_OQ};

use pulp::x86::V3;
use pulp::{NullaryFnOnce, cast};

use super::{BLOCK, Behind, SPARE};

const LANES: usize = 8;
/// Which bit of a word each lane of each quarter of a block looks at.
const BIT_OF: [[u32; LANES]; 4] = {
    let mut bits = [[0; LANES]; 4];
    let mut lane = 0;
    while lane < 4 * LANES {
        bits[lane / LANES][lane % LANES] = 1 << lane;
        lane += 1;
    }
    bits
};

pub struct Take<'a> {
    pub simd: V3,
    pub takers: &'a [(&'a [u32], f32)],
    pub free: &'a mut [f32],
    pub rising: &'a mut [f32],
}

impl NullaryFnOnce for Take<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let V3 { avx, avx2, .. } = self.simd;
        let one = avx._mm256_set1_ps(1.0);
        let bit_of: [__m256i; 4] = BIT_OF.map(cast);
        let free = self.free.as_chunks_mut::<LANES>().0.iter_mut();
        let quarters = free.zip(self.rising.as_chunks_mut::<LANES>().0);
        for (at, (free, rising)) in quarters.enumerate() {
            let bit = bit_of[at % 4];
            let (mut left, mut still): (__m256, __m256) = (cast(*free), cast(*rising));
            for &(alive, rate) in self.takers {
                let word = avx._mm256_set1_epi32(alive[at / 4].cast_signed());
                let runs = avx2._mm256_cmpeq_epi32(avx2._mm256_and_si256(word, bit), bit);
                let runs: __m256 = cast(runs);
                left = avx._mm256_sub_ps(left, avx._mm256_and_ps(runs, avx._mm256_set1_ps(rate)));
                still = avx._mm256_sub_ps(still, avx._mm256_and_ps(runs, one));
            }
            (*free, *rising) = (cast(left), cast(still));
        }
    }
}

pub struct Subtract<'a> {
    pub simd: V3,
    pub cells: &'a mut [f32],
    pub own: f32,
    pub across: &'a [f32],
    pub hits: &'a mut Vec<(u32, u32)>,
}

impl NullaryFnOnce for Subtract<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let V3 { avx, .. } = self.simd;
        let (own, zero) = (avx._mm256_set1_ps(self.own), avx._mm256_setzero_ps());
        let cells = self.cells.as_chunks_mut::<LANES>().0.chunks_exact_mut(4);
        let across = self.across.as_chunks::<LANES>().0.chunks_exact(4);
        for (number, (block, steps)) in (0..).zip(cells.zip(across)) {
            let mut over = [zero; 4];
            for quarter in 0..4 {
                let (left, step): (__m256, __m256) = (cast(block[quarter]), cast(steps[quarter]));
                let after = avx._mm256_sub_ps(left, avx._mm256_min_ps(own, step));
                over[quarter] = avx._mm256_cmp_ps::<_CMP_LE_OQ>(after, zero);
                block[quarter] = cast(after);
            }
            let any = avx._mm256_or_ps(
                avx._mm256_or_ps(over[0], over[1]),
                avx._mm256_or_ps(over[2], over[3]),
            );
            if avx._mm256_movemask_ps(any) != 0 {
                let bits = over.map(|lanes| avx._mm256_movemask_ps(lanes).cast_unsigned());
                let ended = bits[0] | bits[1] << 8 | bits[2] << 16 | bits[3] << 24;
                self.hits.push((number, ended));
            }
        }
    }
}

pub struct TakeExactly<'a> {
    pub simd: V3,
    pub alive: &'a [u32],
    pub rate: f64,
    pub free: &'a mut [f64],
    pub rising: &'a mut [f32],
}

impl NullaryFnOnce for TakeExactly<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let V3 { avx, avx2, .. } = self.simd;
        let (rate, one) = (avx._mm256_set1_pd(self.rate), avx._mm256_set1_ps(1.0));
        let bit_of: [__m256i; 4] = BIT_OF.map(cast);
        let free = self.free.as_chunks_mut::<LANES>().0.chunks_exact_mut(4);
        let blocks = free.zip(self.rising.as_chunks_mut::<LANES>().0.chunks_exact_mut(4));
        for (&word, (free, rising)) in self.alive.iter().zip(blocks) {
            if word == 0 {
                continue;
            }
            let word = avx._mm256_set1_epi32(word.cast_signed());
            for quarter in 0..4 {
                let bit = bit_of[quarter];
                let runs = avx2._mm256_cmpeq_epi32(avx2._mm256_and_si256(word, bit), bit);
                let was_rising: __m256 = cast(rising[quarter]);
                let fewer = avx._mm256_and_ps(cast(runs), one);
                rising[quarter] = cast(avx._mm256_sub_ps(was_rising, fewer));
                let halves =
                    [avx._mm256_castsi256_si128(runs), avx2._mm256_extracti128_si256::<1>(runs)];
                let (own_free, _) = free[quarter].as_chunks_mut::<4>();
                for half in 0..2 {
                    let runs: __m256d = cast(avx2._mm256_cvtepi32_epi64(halves[half]));
                    let was: __m256d = cast(own_free[half]);
                    own_free[half] = cast(avx._mm256_sub_pd(was, avx._mm256_and_pd(runs, rate)));
                }
            }
        }
    }
}

pub struct CatchUp<'a> {
    pub simd: V3,
    pub cells: &'a mut [f32],
    pub behind: Behind<'a>,
    pub due: &'a [(u32, u32)],
    pub hits: &'a mut Vec<(u32, u32)>,
}

impl NullaryFnOnce for CatchUp<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let V3 { avx, .. } = self.simd;
        let (zero, infinite) = (avx._mm256_setzero_ps(), avx._mm256_set1_ps(f32::INFINITY));
        let Behind { through, spare, own, across, room } = self.behind;
        let cells = self.cells.as_chunks_mut::<LANES>().0.as_chunks_mut::<4>().0;
        let across = across.as_chunks::<LANES>().0.as_chunks::<4>().0;
        for &(word, due) in self.due {
            let mut due = due;
            while due != 0 {
                let block = word as usize * BLOCK + due.trailing_zeros() as usize;
                due &= due - 1;
                let first = through[block] as usize;
                let steps = &across[block * room + first..];
                let mut least = infinite;
                let mut ended = 0;
                for quarter in 0..4 {
                    let mut left: __m256 = cast(cells[block][quarter]);
                    for (&own, step) in own[first..].iter().zip(steps) {
                        let step = avx._mm256_min_ps(avx._mm256_set1_ps(own), cast(step[quarter]));
                        left = avx._mm256_sub_ps(left, step);
                    }
                    cells[block][quarter] = cast(left);
                    let over = avx._mm256_cmp_ps::<_CMP_LE_OQ>(left, zero);
                    let running = avx._mm256_blendv_ps(left, infinite, over);
                    least = avx._mm256_min_ps(least, running);
                    ended |= avx._mm256_movemask_ps(over).cast_unsigned() << (LANES * quarter);
                }
                let least: [f32; LANES] = cast(least);
                let mut lowest = f32::INFINITY;
                for least in least {
                    lowest = if least < lowest { least } else { lowest };
                }
                (through[block], spare[block]) = (own.len() as u32, lowest * SPARE);
                if ended != 0 {
                    self.hits.push((block as u32, ended));
                }
            }
        }
    }
}

pub struct Moved<'a> {
    pub simd: V3,
    pub alive: &'a [u32],
    pub side: &'a [u32],
    pub place: u32,
    pub places: &'a [u32],
    pub hits: &'a mut Vec<(u32, u32)>,
}

impl NullaryFnOnce for Moved<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let V3 { avx, avx2, .. } = self.simd;
        // Comparisons are of signed numbers.
        let flip = avx._mm256_set1_epi32(i32::MIN);
        let place = avx2._mm256_xor_si256(avx._mm256_set1_epi32(self.place.cast_signed()), flip);
        let places = self.places.as_chunks::<LANES>().0.chunks_exact(4);
        let blocks = self.alive.iter().zip(self.side).zip(places);
        for (number, ((&alive, &side), places)) in (0..).zip(blocks) {
            let mut wanted = 0;
            for (quarter, &places) in places.iter().enumerate() {
                let there = avx2._mm256_xor_si256(cast(places), flip);
                let before = avx2._mm256_cmpgt_epi32(place, there);
                let bits = avx._mm256_movemask_ps(cast(before)).cast_unsigned();
                wanted |= bits << (LANES * quarter);
            }
            let moved = (wanted ^ side) & alive;
            if moved != 0 {
                self.hits.push((number, moved));
            }
        }
    }
}
