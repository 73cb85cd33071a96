//! The loops that the engines for dense parts spend their time in, over rows of a matrix with one bit a
//! cell in words of [`BLOCK`] bits. Rows are whole words.
//!
//! Each is written three times: plainly, for AVX2, because a compiler does not turn comparisons into
//! bits by itself, and for AVX-512, which has registers for such bits. The results are the same bit for bit (tested).

use pulp::{Arch, NullaryFnOnce};

use super::lanes::BLOCK;

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;

/// Does a loop as the machine can do it best.
macro_rules! best {
    ($arch:expr, $name:ident { $($field:ident),* }) => {
        match $arch {
            #[cfg(target_arch = "x86_64")]
            Arch::V4(simd) => simd.vectorize(avx512::$name { simd, $($field),* }),
            #[cfg(target_arch = "x86_64")]
            Arch::V3(simd) => simd.vectorize(avx2::$name { simd, $($field),* }),
            arch => arch.dispatch($name { $($field),* }),
        }
    };
}

/// Takes the flows of frozen ports, each with its rate, off the ports across, one after another. What this does
/// to ports that are frozen themselves does not matter: it is not looked at again.
pub(in crate::network::fluid) fn take(
    arch: Arch,
    takers: &[(&[u32], f32)],
    free: &mut [f32],
    rising: &mut [f32],
) {
    best!(arch, Take { takers, free, rising });
}

/// The same of one port, in double precision.
pub(in crate::network::fluid) fn take_exactly(
    arch: Arch,
    alive: &[u32],
    rate: f64,
    free: &mut [f64],
    rising: &mut [f32],
) {
    best!(arch, TakeExactly { alive, rate, free, rising });
}

/// Takes one step off the cells of a row, infinite where nothing runs; tells the blocks where flows
/// ended, with a bit for each.
pub(in crate::network::fluid) fn subtract(
    arch: Arch,
    cells: &mut [f32],
    own: f32,
    across: &[f32],
    hits: &mut Vec<(u32, u32)>,
) {
    best!(arch, Subtract { cells, own, across, hits });
}

/// What a row of cells is behind with.
pub(in crate::network::fluid) struct Behind<'a> {
    /// How many steps each block has been through.
    pub through: &'a mut [u32],
    /// What may be taken off each block before a flow can end there.
    pub spare: &'a mut [f32],
    /// What each step takes off a cell of the row at most.
    pub own: &'a [f32],
    /// What each takes off a cell of each column at most: block by block, step by step.
    pub across: &'a [f32],
    /// Steps that there is room for in `across`.
    pub room: usize,
}

/// Takes off the cells of a row, infinite where nothing runs, all steps that the blocks `due` are behind with: none but the
/// last may end a flow. Tells the blocks where flows ended, with a bit for each.
pub(in crate::network::fluid) fn catch_up(
    arch: Arch,
    cells: &mut [f32],
    behind: Behind,
    due: &[(u32, u32)],
    hits: &mut Vec<(u32, u32)>,
) {
    best!(arch, CatchUp { cells, behind, due, hits });
}

/// How much of the least that a cell has left may be taken off before it is looked at: rounding must not end it.
const SPARE: f32 = 1.0 - 1.0 / 16_384.0;

/// Tells the blocks where running flows of a row would wait at their other port than now, with a bit for each:
/// `side` has a bit where a flow waits at the port across, and should where that has the lower place.
pub(in crate::network::fluid) fn moved(
    arch: Arch,
    alive: &[u32],
    side: &[u32],
    place: u32,
    places: &[u32],
    hits: &mut Vec<(u32, u32)>,
) {
    best!(arch, Moved { alive, side, place, places, hits });
}

struct Take<'a> {
    takers: &'a [(&'a [u32], f32)],
    free: &'a mut [f32],
    rising: &'a mut [f32],
}

impl NullaryFnOnce for Take<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        for &(alive, rate) in self.takers {
            let free = self.free.chunks_exact_mut(BLOCK);
            let blocks = free.zip(self.rising.chunks_exact_mut(BLOCK));
            for (&word, (free, rising)) in alive.iter().zip(blocks) {
                for i in 0..BLOCK {
                    let one = ((word >> i) & 1) as f32;
                    free[i] -= rate * one;
                    rising[i] -= one;
                }
            }
        }
    }
}

struct TakeExactly<'a> {
    alive: &'a [u32],
    rate: f64,
    free: &'a mut [f64],
    rising: &'a mut [f32],
}

impl NullaryFnOnce for TakeExactly<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let free = self.free.chunks_exact_mut(BLOCK);
        let blocks = free.zip(self.rising.chunks_exact_mut(BLOCK));
        for (&word, (free, rising)) in self.alive.iter().zip(blocks) {
            for i in 0..BLOCK {
                let one = (word >> i) & 1;
                free[i] -= self.rate * f64::from(one);
                rising[i] -= one as f32;
            }
        }
    }
}

struct CatchUp<'a> {
    cells: &'a mut [f32],
    behind: Behind<'a>,
    due: &'a [(u32, u32)],
    hits: &'a mut Vec<(u32, u32)>,
}

impl NullaryFnOnce for CatchUp<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Behind { through, spare, own, across, room } = self.behind;
        for &(word, due) in self.due {
            let bits = (0..BLOCK).filter(|bit| due >> bit & 1 != 0);
            for block in bits.map(|bit| word as usize * BLOCK + bit) {
                let cells = &mut self.cells[block * BLOCK..][..BLOCK];
                let first = through[block] as usize;
                let steps = across[(block * room + first) * BLOCK..].chunks_exact(BLOCK);
                for (&own, steps) in own[first..].iter().zip(steps) {
                    for (cell, &step) in cells.iter_mut().zip(steps) {
                        *cell -= if own < step { own } else { step };
                    }
                }
                let (mut ended, mut least) = (0, f32::INFINITY);
                for (i, &cell) in cells.iter().enumerate() {
                    ended |= u32::from(cell <= 0.0) << i;
                    least = if cell > 0.0 && cell < least { cell } else { least };
                }
                (through[block], spare[block]) = (own.len() as u32, least * SPARE);
                if ended != 0 {
                    self.hits.push((block as u32, ended));
                }
            }
        }
    }
}

struct Moved<'a> {
    alive: &'a [u32],
    side: &'a [u32],
    place: u32,
    places: &'a [u32],
    hits: &'a mut Vec<(u32, u32)>,
}

impl NullaryFnOnce for Moved<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let blocks = self.alive.iter().zip(self.side).zip(self.places.chunks_exact(BLOCK));
        for (number, ((&alive, &side), places)) in (0..).zip(blocks) {
            let mut wanted = 0;
            for (i, &place) in places.iter().enumerate() {
                wanted |= u32::from(place < self.place) << i;
            }
            let moved = (wanted ^ side) & alive;
            if moved != 0 {
                self.hits.push((number, moved));
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

    /// What this machine can do, the widest first.
    fn kinds() -> Vec<Arch> {
        #[cfg(target_arch = "x86_64")]
        let narrower = pulp::x86::V3::try_new().map(Arch::V3);
        #[cfg(not(target_arch = "x86_64"))]
        let narrower = None;
        std::iter::once(Arch::new()).chain(narrower).collect()
    }

    fn some(salt: u32) -> Vec<f32> {
        numbers(salt).take(4 * BLOCK).collect()
    }

    fn words(salt: u32) -> Vec<u32> {
        numbers(salt).take(4).map(|x| (x * 4e9) as u32).collect()
    }

    #[test]
    fn wide_and_plain_loops_take_the_same_to_the_last_bit() {
        for (arch, seed) in kinds().into_iter().flat_map(|arch| (0..400).map(move |n| (arch, n))) {
            let (alive, others) = (&words(seed)[..], &words(seed + 8)[..]);
            let takers = &[(alive, 0.37), (others, 0.41), (alive, 0.59)][..seed as usize % 4];
            let (mut free, mut rising) = (some(seed + 2), some(seed + 3));
            let (mut plain_free, mut plain_rising) = (free.clone(), rising.clone());
            take(arch, takers, &mut free, &mut rising);
            Take { takers, free: &mut plain_free, rising: &mut plain_rising }.call();
            assert_eq!((&free, &rising), (&plain_free, &plain_rising));
            let mut free: Vec<f64> = free.into_iter().map(f64::from).collect();
            let (mut plain_free, rate) = (free.clone(), 0.37);
            take_exactly(arch, alive, rate, &mut free, &mut rising);
            TakeExactly { alive, rate, free: &mut plain_free, rising: &mut plain_rising }.call();
            assert_eq!((free, rising), (plain_free, plain_rising));
        }
    }

    #[test]
    fn wide_and_plain_loops_find_the_same_blocks() {
        for (arch, seed) in kinds().into_iter().flat_map(|arch| (0..400).map(move |n| (arch, n))) {
            let (alive, side) = (&words(seed + 1)[..], &words(seed + 7)[..]);
            let places: Vec<u32> = some(seed + 6).iter().map(|x| (x * 9.0) as u32).collect();
            let (mut hits, mut plain_hits, place) = (Vec::new(), Vec::new(), 4);
            moved(arch, alive, side, place, &places, &mut hits);
            Moved { alive, side, place, places: &places, hits: &mut plain_hits }.call();
            assert_eq!(hits, plain_hits);
            let (mut cells, across) = (some(seed + 4), some(seed + 5));
            cells[7] = f32::INFINITY;
            cells[9] = across[9].min(0.4);
            let (mut plain_cells, own) = (cells.clone(), 0.4);
            (hits, plain_hits) = (Vec::new(), Vec::new());
            subtract(arch, &mut cells, own, &across, &mut hits);
            let across = &across[..];
            Subtract { cells: &mut plain_cells, own, across, hits: &mut plain_hits }.call();
            assert_eq!((cells, hits), (plain_cells, plain_hits));
        }
    }

    /// Four blocks that have been through none to four of four steps, three of them due.
    #[test]
    fn wide_and_plain_loops_catch_up_with_the_same() {
        for (arch, seed) in kinds().into_iter().flat_map(|arch| (0..400).map(move |n| (arch, n))) {
            let (own, across) =
                (&some(seed)[..4], &numbers(seed + 1).take(20 * BLOCK).collect::<Vec<_>>()[..]);
            let mut cells: Vec<f32> = some(seed + 2).iter().map(|x| 3.0 * x).collect();
            cells[seed as usize % 128] = f32::INFINITY;
            let (mut through, mut spare) = (vec![seed % 5, 4, 2, 0], vec![1.0; 4]);
            let (due, mut hits) = (&[(0, 0b1101)][..], Vec::new());
            let mut plain = (cells.clone(), through.clone(), spare.clone(), Vec::new());
            let behind = Behind { through: &mut through, spare: &mut spare, own, across, room: 5 };
            catch_up(arch, &mut cells, behind, due, &mut hits);
            let behind =
                Behind { through: &mut plain.1, spare: &mut plain.2, own, across, room: 5 };
            CatchUp { cells: &mut plain.0, behind, due, hits: &mut plain.3 }.call();
            assert_eq!((through[1], spare[1]), (4, 1.0), "a block that is not due");
            assert_eq!((cells, through, spare, hits), plain);
        }
    }
}
