//! What links deliver, from a fitted profile.
//!
//! Within a node the profile has, for groups of n GPUs, the constants of NCCL's all-to-all
//! `T = a + S/B + c·(1 − e^(−S/S0))` (`kernel::ramp`). `B` over the data-sheet peak it was measured on
//! is the efficiency of scale-up links; a topology with other peaks gets the same share of them. A
//! profile that knows nothing of a class of link leaves it at its peak.

use super::{NetworkRates, Startup};
use crate::base::units::SimDuration;
use crate::kernels::profile::{CollectiveOp, Profile};
use crate::topology::{LinkClass, Topology};

impl NetworkRates {
    /// What an all-to-all among groups of `group` GPUs gets from the links of `topology`.
    #[must_use]
    pub fn measured(profile: &Profile, topology: &Topology, group: u32) -> Self {
        let mut rates = Self::IDEAL;
        let in_node = group.min(topology.gpus_per_node());
        let fit = profile.collectives.get(&CollectiveOp::AllToAll);
        if let (Some(ramp), Some(peak)) = (fit.and_then(|fit| fit.ramp(in_node)), profile.scale_up)
        {
            let share = (ramp.bandwidth.bytes_per_sec() / peak.bytes_per_sec()).min(1.0);
            for class in [LinkClass::Nvlink, LinkClass::Xgmi] {
                rates = rates.with_efficiency(class, share);
            }
            rates.within_node = Startup {
                alpha: Some(ramp.alpha),
                per_peer: SimDuration::ZERO,
                ramp: ramp.ramp,
                ramp_bytes: ramp.ramp_bytes,
                pair_ceiling: profile.pair_bandwidth,
            };
        }
        if let Some(out) = &profile.inter_node {
            let nodes = group.div_ceil(topology.gpus_per_node());
            for class in [LinkClass::Nic, LinkClass::LeafSpine, LinkClass::SpineCore] {
                rates = rates.with_efficiency(class, out.efficiency);
            }
            let below = out.alpha.range(..=nodes).next_back();
            let alpha = below.or_else(|| out.alpha.iter().next()).map(|(_, alpha)| *alpha);
            rates.across_nodes = Startup { alpha, ..Startup::LATENCY_ONLY };
        }
        rates
    }
}
