//! Loops over whole rows of a matrix, compiled for the widest vectors that the machine has.
//!
//! Each is a plain loop in a type of its own, because only what is inlined into [`Arch::dispatch`]
//! is compiled for those vectors, and only a named function can be told to be inlined. The results
//! are the same bit for bit on every machine: no loop reorders or fuses arithmetic.

use pulp::{Arch, NullaryFnOnce};

/// Cells looked at together.
pub(in crate::network::fluid) const BLOCK: usize = 32;

/// The least time until some cell of a row is used up.
pub(in crate::network::fluid) struct SoonestEnd<'a> {
    pub cells: &'a [f32],
    pub own: f32,
    pub across: &'a [f32],
}

impl NullaryFnOnce for SoonestEnd<'_> {
    type Output = f32;

    #[inline(always)]
    fn call(self) -> f32 {
        // The bits of numbers that are not negative order as they do, and a compiler may reorder a minimum of bits.
        let soonest =
            self.cells.iter().zip(self.across).fold(u32::MAX, |soonest, (&left, &across)| {
                let rate = if self.own < across { self.own } else { across };
                soonest.min((left / rate).to_bits())
            });
        f32::from_bits(soonest.min(f32::INFINITY.to_bits()))
    }
}

/// The least time until a port's virtual time reaches its first end; nothing ends where a level is zero.
pub(in crate::network::fluid) struct NextEnd<'a> {
    pub first: &'a [f64],
    pub clock: &'a [f64],
    pub level: &'a [f64],
}

impl NullaryFnOnce for NextEnd<'_> {
    type Output = f64;

    #[inline(always)]
    fn call(self) -> f64 {
        let ports = self.first.iter().zip(self.clock).zip(self.level);
        let soonest = ports.fold(i64::MAX, |soonest, ((&first, &clock), &level)| {
            let time = if level > 0.0 { (first - clock) / level } else { f64::INFINITY };
            soonest.min(time.to_bits().cast_signed())
        });
        f64::from_bits(soonest.min(f64::INFINITY.to_bits().cast_signed()).cast_unsigned())
    }
}

/// The machine's vectors.
pub(in crate::network::fluid) fn widest() -> Arch {
    Arch::new()
}
