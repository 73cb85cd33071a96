//! What links deliver under NCCL, from a fitted profile.
//!
//! Within a node the profile has, for groups of n GPUs, the constants of NCCL's all-to-all
//! `T = a + S/B + c·(1 − e^(−S/S0))` (`kernels::ramp`). `B` over the data-sheet peak it was measured on
//! is the efficiency of scale-up links; a topology with other peaks gets the same share of them, and the
//! ceiling of a pair of GPUs is as much higher or lower. What these constants leave over at the size of a
//! workload's messages, `carrier` applies on top. Across nodes figures are published: a share of
//! the NIC's rate, and a start-up by number of nodes n, its logarithm linear in ln n between two; there is no
//! table of NCCL between nodes to judge them by, and their interval is as wide as published fabrics scatter. A
//! profile that knows nothing of a class of link leaves it at its peak, and the basis says so.

use std::collections::BTreeMap;

use super::{NetworkRates, Startup};
use crate::base::units::SimDuration;
use crate::kernels::Support;
use crate::kernels::evidence::LogErrors;
use crate::kernels::profile::{CollectiveFit, CollectiveOp, InterNodeFit, Profile};
use crate::topology::{LinkClass, Topology};

/// So much wider are errors beyond measured numbers where the profile does not say how far off such are: a
/// stated guess.
const WIDER: f64 = 2.0;

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
            let here = scale_up_of(topology).map_or(1.0, |here| here / peak.bytes_per_sec());
            rates.within_node = Startup {
                alpha: Some(ramp.alpha),
                per_peer: SimDuration::ZERO,
                ramp: ramp.ramp,
                ramp_bytes: ramp.ramp_bytes,
                pair_ceiling: profile.pair_bandwidth.map(|pair| pair.scaled(here)),
            };
        }
        if let Some(out) = &profile.inter_node {
            let nodes = group.div_ceil(topology.gpus_per_node());
            for class in [LinkClass::Nic, LinkClass::LeafSpine, LinkClass::SpineCore] {
                rates = rates.with_efficiency(class, out.efficiency);
            }
            let alpha = startup_of(&out.alpha, nodes);
            rates.across_nodes = Startup { alpha, ..Startup::LATENCY_ONLY };
        }
        rates
    }
}

/// The peak of the links between a GPU and the others of its node, in bytes per second: NVLink and Infinity
/// Fabric where there are any, else PCI Express; the fastest where they differ.
fn scale_up_of(topology: &Topology) -> Option<f64> {
    let fastest = |classes: &[LinkClass]| {
        let of = topology.links().iter().filter(|link| classes.contains(&link.class));
        of.map(|link| link.bandwidth.bytes_per_sec()).reduce(f64::max)
    };
    fastest(&[LinkClass::Nvlink, LinkClass::Xgmi]).or_else(|| fastest(&[LinkClass::Pcie]))
}

/// The start-up of `nodes`: between known numbers as the module says, beyond them the nearest's.
fn startup_of(known: &BTreeMap<u32, SimDuration>, nodes: u32) -> Option<SimDuration> {
    let below = known.range(..=nodes).next_back();
    let above = known.range(nodes..).next();
    match (below, above) {
        (Some((&a, &at_a)), Some((&b, &at_b))) if a < b => {
            let x = |n: u32| f64::from(n).ln();
            let share = (x(nodes) - x(a)) / (x(b) - x(a));
            let seconds = at_a.secs().powf(1.0 - share) * at_b.secs().powf(share);
            Some(SimDuration::from_secs(seconds))
        }
        (Some((_, &alpha)), _) | (None, Some((_, &alpha))) => Some(alpha),
        (None, None) => None,
    }
}

/// What NCCL's time stands on, for a group of this many GPUs, and how far off it may be.
pub(super) struct NcclBasis {
    pub family: &'static str,
    pub support: Support,
    pub errors: Option<LogErrors>,
}

impl NcclBasis {
    pub fn of(profile: &Profile, topology: &Topology, group: u32) -> Self {
        let per_node = topology.gpus_per_node();
        if group > per_node {
            let out = profile.inter_node.as_ref();
            return across(out, group.div_ceil(per_node));
        }
        within(profile.collectives.get(&CollectiveOp::AllToAll), group)
    }
}

fn across(out: Option<&InterNodeFit>, nodes: u32) -> NcclBasis {
    let family = "inter_node";
    let Some(out) = out else {
        return NcclBasis { family, support: Support::DataSheet, errors: None };
    };
    let errors = out.evidence.log_errors.clone();
    match beyond(nodes, out.alpha.keys().copied(), "nodes") {
        Some(beyond) => NcclBasis {
            family,
            support: Support::Extrapolated { beyond: format!("{beyond}, published") },
            errors: errors.map(|law| law.widened(WIDER)),
        },
        None if out.evidence.rows == 0 => NcclBasis { family, support: Support::Published, errors },
        None => NcclBasis { family, support: Support::Measured, errors },
    }
}

fn within(fit: Option<&CollectiveFit>, gpus: u32) -> NcclBasis {
    let family = "collective/alltoall";
    let Some(fit) = fit else {
        return NcclBasis { family, support: Support::DataSheet, errors: None };
    };
    let seen = fit.ramps.contains_key(&gpus);
    let errors = fit.errors(gpus);
    let transferred = fit.evidence.transferred_from();
    let support = match (transferred, beyond(gpus, fit.ramps.keys().copied(), "GPUs")) {
        (Some(from), _) => Support::Borrowed { from: from.to_owned() },
        (None, Some(beyond)) if gpus > 1 => Support::Extrapolated { beyond },
        (None, _) if !seen && gpus > 1 => {
            let near = |n: &u32| (f64::from(gpus) / f64::from(*n)).log2().abs();
            let distance = fit.ramps.keys().map(near).fold(f64::INFINITY, f64::min);
            Support::Interpolated { distance }
        }
        (None, _) => Support::Measured,
    };
    NcclBasis { family, support, errors }
}

/// How `number` lies beyond those known, if it does.
fn beyond(number: u32, known: impl Iterator<Item = u32>, word: &str) -> Option<String> {
    let known: Vec<u32> = known.collect();
    let (&first, &last) = (known.first()?, known.last()?);
    let outside = number < first || number > last;
    outside.then(|| format!("{number} {word}, known for {first} to {last}"))
}
