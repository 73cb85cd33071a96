//! Which engine shares links in a run whose engine is to be chosen.

use super::{Inputs, grid};
use crate::execution::Scope;
use crate::network::NetworkReport;
use crate::network::fluid::Engine;
use crate::topology::{Link, LinkClass};

/// Most flows that a run whose engine is chosen by itself may have carried one by one.
pub(super) const MOST_FLOWS: u64 = 400_000;
/// Exchanges of up to this many flows are then shared exactly, larger ones in steps.
const FEW_FLOWS: u64 = 512;

/// Events between two questions whether a run is to be given up.
pub(super) const ASKED_AFTER: u64 = 16;

/// What is asked after every [`ASKED_AFTER`] events, and may name another engine to run with instead.
pub(super) type GiveUp<'a> = &'a dyn Fn(&NetworkReport) -> Option<Engine>;

/// How many exchanges a run has, where that is known beforehand.
pub(super) struct Flows {
    exchanges: Option<u64>,
    /// Units of the run, and those of them that are simulated.
    units: [u64; 2],
    /// Whether NICs differ in health: exchanges differ then, and an average of some says little of the others.
    uneven: bool,
}

impl Flows {
    pub(super) fn of(inputs: &Inputs<'_>) -> Self {
        let forward = !inputs.counted.has_backward() && inputs.counted != Scope::Experts;
        let grid = forward.then(|| grid(inputs));
        let units = inputs.steps.map_or([1, 1], |sample| [sample.units, sample.simulated()]);
        let units = units.map(u64::from);
        let exchanges = grid.map(|grid| {
            let groups = u64::from(grid.gpus / grid.group);
            let parts = u64::from(grid.overlap.parts());
            let simulated = 2 * parts * groups * u64::from(grid.steps());
            simulated * units[0] / units[1]
        });
        let is_nic = |link: &Link| link.class == LinkClass::Nic;
        let uneven = inputs.topology.links().iter().any(|link| is_nic(link) && link.health < 1.0);
        Self { exchanges, units, uneven }
    }

    /// The engine that a run will have to be made again with, by what is known after a few exchanges: one was not
    /// certified, none of the first four could be measured, and so no later one will be.
    pub(super) fn better_engine_early(&self, so_far: &NetworkReport) -> Option<Engine> {
        let hopeless = so_far.exchanges >= 4
            && so_far.measured == 0
            && so_far.certified < so_far.exchanges
            && so_far.error_bound.is_none();
        let all = self.exchanges.filter(|_| hopeless)?;
        let flows = so_far.flows.saturating_mul(all) / so_far.exchanges;
        let whole = NetworkReport { exchanges: all, flows, ..*so_far };
        self.better(&whole, 0.0)
    }

    /// The engine to take instead of the closed form, if there is need and time for it: what the whole run would take,
    /// where a sample of it is simulated.
    pub(super) fn better_engine(&self, closed: &NetworkReport, epsilon: f64) -> Option<Engine> {
        let [whole, simulated] = self.units;
        let of_whole = |count: u64| count.saturating_mul(whole) / simulated;
        let [exchanges, certified, flows] =
            [closed.exchanges, closed.certified, closed.flows].map(of_whole);
        self.better(&NetworkReport { exchanges, certified, flows, ..*closed }, epsilon)
    }

    /// The engine to take instead of the closed form, if there is need and time for it.
    fn better(&self, closed: &NetworkReport, epsilon: f64) -> Option<Engine> {
        let good = if self.uneven { closed.is_known(epsilon) } else { closed.within(epsilon) };
        if good || closed.flows > MOST_FLOWS {
            return None;
        }
        let few = closed.flows <= closed.exchanges.saturating_mul(FEW_FLOWS);
        Some(if few { Engine::Exact } else { Engine::Quantised })
    }
}
