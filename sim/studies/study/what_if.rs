//! Questions of the kind: what if links were faster, startups shorter, a part of the work free?

use crate::execution::blame::Reason;
use crate::network::NetworkRates;
use crate::topology::{ByClass, LinkClass};

/// What would be otherwise: factors on what links deliver and on what starting an exchange costs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WhatIf {
    /// On the bandwidth of each class of link, ceilings of pairs that use it included.
    pub bandwidth: ByClass<f64>,
    /// On every part of the startup of an exchange.
    pub startup: f64,
    /// Kernels that take no time.
    pub without: Option<Reason>,
    /// The seed under which what calibration leaves open is drawn, in place of the run's.
    pub calibration: Option<u64>,
}

impl WhatIf {
    /// All as it is.
    pub const NOTHING: Self =
        Self { bandwidth: ByClass::all(1.0), startup: 1.0, without: None, calibration: None };

    /// Kernels of this reason taking no time.
    #[must_use]
    pub const fn without(reason: Reason) -> Self {
        Self { without: Some(reason), ..Self::NOTHING }
    }

    /// One class of link faster by a factor.
    #[must_use]
    pub const fn faster(class: LinkClass, factor: f64) -> Self {
        Self { bandwidth: Self::NOTHING.bandwidth.with(class, factor), ..Self::NOTHING }
    }

    /// Startups longer by a factor.
    #[must_use]
    pub const fn startup(factor: f64) -> Self {
        Self { startup: factor, ..Self::NOTHING }
    }

    /// What calibration leaves open being drawn under this seed, whatever the run's.
    #[must_use]
    pub const fn calibrated(seed: u64) -> Self {
        Self { calibration: Some(seed), ..Self::NOTHING }
    }

    pub(super) fn on(&self, mut rates: NetworkRates) -> NetworkRates {
        let mut at_least = [1.0_f64; 2];
        for class in LinkClass::ALL {
            let factor = self.bandwidth.of(class);
            if factor != 1.0 {
                rates = rates.with_efficiency(class, rates.efficiency.of(class) * factor);
                at_least[usize::from(!class.within_node())] = factor;
            }
        }
        for (startup, faster) in
            [&mut rates.within_node, &mut rates.across_nodes].into_iter().zip(at_least)
        {
            startup.pair_ceiling = startup.pair_ceiling.map(|ceiling| ceiling.scaled(faster));
            startup.alpha = startup.alpha.map(|alpha| alpha.scaled(self.startup));
            startup.per_peer = startup.per_peer.scaled(self.startup);
            startup.ramp = startup.ramp.scaled(self.startup);
        }
        rates.table.links *= at_least[0];
        rates.table.startup *= self.startup;
        rates
    }
}
