//! Loops over whole rows of a matrix, compiled for the widest vectors that the machine has.
//!
//! Each is a plain loop in a type of its own, because only what is inlined into [`Arch::dispatch`]
//! is compiled for those vectors, and only a named function can be told to be inlined. The results
//! are the same bit for bit on every machine: no loop reorders or fuses arithmetic.

use pulp::{Arch, NullaryFnOnce};

/// Cells looked at together.
pub(in crate::network::fluid) const BLOCK: usize = 32;

/// Takes the flows of a frozen port off the ports across, which share it at this rate. What this
/// does to ports that are frozen themselves does not matter: it is not looked at again.
pub(in crate::network::fluid) struct Take<'a> {
    pub alive: &'a [u8],
    pub rate: f64,
    pub free: &'a mut [f64],
    pub rising: &'a mut [f32],
}

impl NullaryFnOnce for Take<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let cells = self.alive.len();
        let (free, rising) = (&mut self.free[..cells], &mut self.rising[..cells]);
        for i in 0..cells {
            free[i] -= self.rate * f64::from(self.alive[i]);
            rising[i] -= f32::from(self.alive[i]);
        }
    }
}

/// Whether some running flow of a row would wait at its other port than now.
pub(in crate::network::fluid) struct AnyMoved<'a> {
    pub alive: &'a [u8],
    pub side: &'a [u8],
    pub places: &'a [u32],
    pub place: u32,
}

impl NullaryFnOnce for AnyMoved<'_> {
    type Output = bool;

    #[inline(always)]
    fn call(self) -> bool {
        let cells = self.alive.len();
        let (side, places) = (&self.side[..cells], &self.places[..cells]);
        let mut moved = 0;
        for i in 0..cells {
            let wanted = u8::from(places[i] < self.place);
            moved |= (wanted ^ side[i]) & self.alive[i];
        }
        moved != 0
    }
}

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
        let across = &self.across[..self.cells.len()];
        let mut soonest = [f32::INFINITY; 8];
        for (i, &left) in self.cells.iter().enumerate() {
            let rate = if self.own < across[i] { self.own } else { across[i] };
            let time = left / rate;
            soonest[i % 8] = if time < soonest[i % 8] { time } else { soonest[i % 8] };
        }
        soonest.into_iter().fold(f32::INFINITY, f32::min)
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
        let ports = self.first.len();
        let (clock, level) = (&self.clock[..ports], &self.level[..ports]);
        let mut soonest = [f64::INFINITY; 8];
        for i in 0..ports {
            // Not a number where nothing is left at a level of zero: no comparison holds then.
            let time = (self.first[i] - clock[i]) / level[i];
            soonest[i % 8] = if time < soonest[i % 8] { time } else { soonest[i % 8] };
        }
        soonest.into_iter().fold(f64::INFINITY, f64::min)
    }
}

/// The machine's vectors.
pub(in crate::network::fluid) fn widest() -> Arch {
    Arch::new()
}
