//! The loops for AVX-512: 16 cells in single precision, 8 in double precision, chosen by bits of a register.

use std::arch::x86_64::{__m512, __m512d, __m512i, _CMP_LE_OQ};

use pulp::x86::V4;
use pulp::{NullaryFnOnce, cast};

use super::{BLOCK, Behind, SPARE};

const LANES: usize = 16;

pub struct Take<'a> {
    pub simd: V4,
    pub takers: &'a [(&'a [u32], f32)],
    pub free: &'a mut [f32],
    pub rising: &'a mut [f32],
}

impl NullaryFnOnce for Take<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let avx = self.simd.avx512f;
        let one = avx._mm512_set1_ps(1.0);
        let free = self.free.as_chunks_mut::<LANES>().0.as_chunks_mut::<2>().0;
        let blocks =
            free.iter_mut().zip(self.rising.as_chunks_mut::<LANES>().0.as_chunks_mut::<2>().0);
        for (block, (free, rising)) in blocks.enumerate() {
            let (mut free_a, mut free_b): (__m512, __m512) = (cast(free[0]), cast(free[1]));
            let (mut rising_a, mut rising_b): (__m512, __m512) = (cast(rising[0]), cast(rising[1]));
            for &(alive, rate) in self.takers {
                let (rate, word) = (avx._mm512_set1_ps(rate), alive[block]);
                let (a, b) = (word as u16, (word >> LANES) as u16);
                free_a = avx._mm512_mask_sub_ps(free_a, a, free_a, rate);
                free_b = avx._mm512_mask_sub_ps(free_b, b, free_b, rate);
                rising_a = avx._mm512_mask_sub_ps(rising_a, a, rising_a, one);
                rising_b = avx._mm512_mask_sub_ps(rising_b, b, rising_b, one);
            }
            *free = [cast(free_a), cast(free_b)];
            *rising = [cast(rising_a), cast(rising_b)];
        }
    }
}

pub struct TakeExactly<'a> {
    pub simd: V4,
    pub alive: &'a [u32],
    pub rate: f64,
    pub free: &'a mut [f64],
    pub rising: &'a mut [f32],
}

impl NullaryFnOnce for TakeExactly<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let avx = self.simd.avx512f;
        let (rate, one) = (avx._mm512_set1_pd(self.rate), avx._mm512_set1_ps(1.0));
        let free = self.free.as_chunks_mut::<8>().0.chunks_exact_mut(4);
        let blocks = free.zip(self.rising.as_chunks_mut::<LANES>().0.chunks_exact_mut(2));
        for (&word, (free, rising)) in self.alive.iter().zip(blocks) {
            for (quarter, free) in free.iter_mut().enumerate() {
                let runs = (word >> (8 * quarter)) as u8;
                let was: __m512d = cast(*free);
                *free = cast(avx._mm512_mask_sub_pd(was, runs, was, rate));
            }
            for (half, rising) in rising.iter_mut().enumerate() {
                let runs = (word >> (LANES * half)) as u16;
                let was: __m512 = cast(*rising);
                *rising = cast(avx._mm512_mask_sub_ps(was, runs, was, one));
            }
        }
    }
}

pub struct Subtract<'a> {
    pub simd: V4,
    pub cells: &'a mut [f32],
    pub own: f32,
    pub across: &'a [f32],
    pub hits: &'a mut Vec<(u32, u32)>,
}

impl NullaryFnOnce for Subtract<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let avx = self.simd.avx512f;
        let (own, zero) = (avx._mm512_set1_ps(self.own), avx._mm512_setzero_ps());
        let cells = self.cells.as_chunks_mut::<LANES>().0.chunks_exact_mut(2);
        let across = self.across.as_chunks::<LANES>().0.chunks_exact(2);
        for (number, (block, steps)) in (0..).zip(cells.zip(across)) {
            let mut ended = 0;
            for half in 0..2 {
                let (left, step): (__m512, __m512) = (cast(block[half]), cast(steps[half]));
                let after = avx._mm512_sub_ps(left, avx._mm512_min_ps(own, step));
                let over = avx._mm512_cmp_ps_mask::<_CMP_LE_OQ>(after, zero);
                ended |= u32::from(over) << (LANES * half);
                block[half] = cast(after);
            }
            if ended != 0 {
                self.hits.push((number, ended));
            }
        }
    }
}

pub struct CatchUp<'a> {
    pub simd: V4,
    pub cells: &'a mut [f32],
    pub behind: Behind<'a>,
    pub due: &'a [(u32, u32)],
    pub hits: &'a mut Vec<(u32, u32)>,
}

impl NullaryFnOnce for CatchUp<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let avx = self.simd.avx512f;
        let (zero, infinite) = (avx._mm512_setzero_ps(), avx._mm512_set1_ps(f32::INFINITY));
        let Behind { through, spare, own, across, room } = self.behind;
        let cells = self.cells.as_chunks_mut::<LANES>().0.as_chunks_mut::<2>().0;
        let across = across.as_chunks::<LANES>().0.as_chunks::<2>().0;
        for &(word, due) in self.due {
            let mut due = due;
            while due != 0 {
                let block = word as usize * BLOCK + due.trailing_zeros() as usize;
                due &= due - 1;
                let [a, b] = cells[block];
                let (mut a, mut b): (__m512, __m512) = (cast(a), cast(b));
                let first = through[block] as usize;
                for (&own, &[step_a, step_b]) in
                    own[first..].iter().zip(&across[block * room + first..])
                {
                    let own = avx._mm512_set1_ps(own);
                    a = avx._mm512_sub_ps(a, avx._mm512_min_ps(own, cast(step_a)));
                    b = avx._mm512_sub_ps(b, avx._mm512_min_ps(own, cast(step_b)));
                }
                cells[block] = [cast(a), cast(b)];
                let over_a = avx._mm512_cmp_ps_mask::<_CMP_LE_OQ>(a, zero);
                let over_b = avx._mm512_cmp_ps_mask::<_CMP_LE_OQ>(b, zero);
                let a = avx._mm512_mask_mov_ps(a, over_a, infinite);
                let b = avx._mm512_mask_mov_ps(b, over_b, infinite);
                let least = avx._mm512_reduce_min_ps(avx._mm512_min_ps(a, b));
                (through[block], spare[block]) = (own.len() as u32, least * SPARE);
                let ended = u32::from(over_a) | u32::from(over_b) << LANES;
                if ended != 0 {
                    self.hits.push((block as u32, ended));
                }
            }
        }
    }
}

pub struct Moved<'a> {
    pub simd: V4,
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
        let avx = self.simd.avx512f;
        let place = avx._mm512_set1_epi32(self.place.cast_signed());
        let places = self.places.as_chunks::<LANES>().0.chunks_exact(2);
        let blocks = self.alive.iter().zip(self.side).zip(places);
        for (number, ((&alive, &side), places)) in (0..).zip(blocks) {
            let mut wanted = 0;
            for (half, &places) in places.iter().enumerate() {
                let there: __m512i = cast(places);
                let before = avx._mm512_cmplt_epu32_mask(there, place);
                wanted |= u32::from(before) << (LANES * half);
            }
            let moved = (wanted ^ side) & alive;
            if moved != 0 {
                self.hits.push((number, moved));
            }
        }
    }
}
