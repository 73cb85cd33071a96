//! The two loops that the quantised engine spends its time in, over rows of a matrix in single
//! precision with one bit a cell in words of [`BLOCK`] bits.
//!
//! Each is written twice: plainly, and for AVX2, because a compiler does not turn comparisons into
//! bits by itself. The results are the same bit for bit (tested).

use pulp::{Arch, NullaryFnOnce};

use super::lanes::BLOCK;

/// Takes the flows of a frozen port off the ports across, which share it at `rate`. What this does
/// to ports that are frozen themselves does not matter: it is not looked at again.
pub(in crate::network::fluid) fn take(
    arch: Arch,
    alive: &[u32],
    rate: f32,
    free: &mut [f32],
    rising: &mut [f32],
) {
    #[cfg(target_arch = "x86_64")]
    if let Arch::V3(simd) = arch {
        return simd.vectorize(wide::Take { simd, alive, rate, free, rising });
    }
    arch.dispatch(Take { alive, rate, free, rising });
}

/// Takes one step off the cells of a row, infinite where nothing runs; tells the blocks where flows
/// ended, with a bit for each. Rows are whole blocks.
pub(in crate::network::fluid) fn subtract(
    arch: Arch,
    cells: &mut [f32],
    own: f32,
    across: &[f32],
    hits: &mut Vec<(u32, u32)>,
) {
    #[cfg(target_arch = "x86_64")]
    if let Arch::V3(simd) = arch {
        return simd.vectorize(wide::Subtract { simd, cells, own, across, hits });
    }
    arch.dispatch(Subtract { cells, own, across, hits });
}

struct Take<'a> {
    alive: &'a [u32],
    rate: f32,
    free: &'a mut [f32],
    rising: &'a mut [f32],
}

impl NullaryFnOnce for Take<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let free = self.free.chunks_exact_mut(BLOCK);
        let blocks = free.zip(self.rising.chunks_exact_mut(BLOCK));
        for (&word, (free, rising)) in self.alive.iter().zip(blocks) {
            for i in 0..BLOCK {
                let one = ((word >> i) & 1) as f32;
                free[i] -= self.rate * one;
                rising[i] -= one;
            }
        }
    }
}

struct Subtract<'a> {
    cells: &'a mut [f32],
    own: f32,
    across: &'a [f32],
    hits: &'a mut Vec<(u32, u32)>,
}

impl NullaryFnOnce for Subtract<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let own = self.own;
        let blocks = self.cells.chunks_exact_mut(BLOCK).zip(self.across.chunks_exact(BLOCK));
        for (number, (block, steps)) in (0..).zip(blocks) {
            let mut ended = 0;
            for i in 0..BLOCK {
                let after = block[i] - if own < steps[i] { own } else { steps[i] };
                ended |= u32::from(after <= 0.0) << i;
                block[i] = after;
            }
            if ended != 0 {
                self.hits.push((number, ended));
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod wide {
    use std::arch::x86_64::{__m256, __m256i, _CMP_LE_OQ};

    use pulp::x86::V3;
    use pulp::{NullaryFnOnce, cast};

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
        pub alive: &'a [u32],
        pub rate: f32,
        pub free: &'a mut [f32],
        pub rising: &'a mut [f32],
    }

    impl NullaryFnOnce for Take<'_> {
        type Output = ();

        #[inline(always)]
        fn call(self) {
            let V3 { avx, avx2, .. } = self.simd;
            let (rate, one) = (avx._mm256_set1_ps(self.rate), avx._mm256_set1_ps(1.0));
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
                    let runs: __m256 = cast(runs);
                    let (was_free, was_rising): (__m256, __m256) =
                        (cast(free[quarter]), cast(rising[quarter]));
                    let taken = avx._mm256_and_ps(runs, rate);
                    free[quarter] = cast(avx._mm256_sub_ps(was_free, taken));
                    let fewer = avx._mm256_and_ps(runs, one);
                    rising[quarter] = cast(avx._mm256_sub_ps(was_rising, fewer));
                }
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
                    let (left, step): (__m256, __m256) =
                        (cast(block[quarter]), cast(steps[quarter]));
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
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers that look random, in a range of about one.
    fn numbers(seed: u32) -> impl Iterator<Item = f32> {
        (0..).map(move |n: u32| {
            let mixed =
                (n ^ seed).wrapping_mul(0x9E37_79B9).rotate_left(13).wrapping_mul(0x85EB_CA6B);
            (mixed >> 8) as f32 / (1 << 24) as f32
        })
    }

    #[test]
    fn wide_and_plain_loops_agree_to_the_last_bit() {
        for seed in 0..50 {
            let some = |salt: u32| numbers(seed * 8 + salt).take(4 * BLOCK).collect::<Vec<f32>>();
            let words: Vec<u32> = some(1).iter().take(4).map(|x| (x * 4e9) as u32).collect();
            let (mut free, mut rising) = (some(2), some(3));
            let (mut plain_free, mut plain_rising) = (free.clone(), rising.clone());
            take(Arch::new(), &words, 0.37, &mut free, &mut rising);
            let (alive, rate) = (&words[..], 0.37);
            Take { alive, rate, free: &mut plain_free, rising: &mut plain_rising }.call();
            assert_eq!((free, rising), (plain_free, plain_rising));
            let (mut cells, across) = (some(4), some(5));
            cells[7] = f32::INFINITY;
            cells[9] = across[9].min(0.4);
            let (mut plain_cells, own) = (cells.clone(), 0.4);
            let (mut hits, mut plain_hits) = (Vec::new(), Vec::new());
            subtract(Arch::new(), &mut cells, own, &across, &mut hits);
            let across = &across[..];
            Subtract { cells: &mut plain_cells, own, across, hits: &mut plain_hits }.call();
            assert_eq!((cells, hits), (plain_cells, plain_hits));
        }
    }
}
