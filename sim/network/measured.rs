//! What links deliver under NCCL, from a fitted profile.
//!
//! Within a node the profile has, for groups of n GPUs, the constants of NCCL's all-to-all
//! `T = a + S/B + c·(1 − e^(−S/S0))` (`kernels::ramp`). `B` over the data-sheet peak it was measured on
//! is the efficiency of scale-up links; a topology with other peaks gets the same share of them, and the
//! ceiling of a pair of GPUs is as much higher or lower. In a box of PCI Express, whose GPUs share switches, the host
//! and the link between sockets, `B` is that of the whole box: slots and the links behind them get the
//! share η at which the busiest of them takes `S/B` under an even all-to-all,
//!
//! ```text
//!   η = B · B_here/B_profile · max over links l of (bytes over l for one sent by each GPU) / B_l
//! ```
//!
//! but no more than all, so that links behind the slots matter by what was measured of the box, not by their data
//! sheets. What these constants leave over at the size of a
//! workload's messages, `carrier` applies on top. Across nodes figures are published: a share of
//! the NIC's rate, and a start-up by number of nodes n, its logarithm linear in ln n between two; there is no
//! table of NCCL between nodes to judge them by, and their interval is as wide as published fabrics scatter. A
//! profile that knows nothing of a class of link leaves it at its peak, and the basis says so.

use std::collections::BTreeMap;

use super::{NetworkRates, Startup};
use crate::base::units::{GpuId, LinkId, SimDuration};
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
            let inside = Inside::of(topology);
            let here = inside.peak(topology).map_or(1.0, |here| here / peak.bytes_per_sec());
            let share = ramp.bandwidth.bytes_per_sec() / peak.bytes_per_sec();
            let share = match inside {
                Inside::Own => Some(share),
                Inside::Pcie => busiest(topology, group, in_node)
                    .map(|seconds| share * here * peak.bytes_per_sec() * seconds),
            };
            for &class in inside.classes() {
                rates = rates.with_efficiency(class, share.map_or(1.0, |share| share.min(1.0)));
            }
            rates.table.links = here;
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
            for class in
                [LinkClass::Nic, LinkClass::LeafSpine, LinkClass::SpineCore, LinkClass::Direct]
            {
                rates = rates.with_efficiency(class, out.efficiency);
            }
            let alpha = startup_of(&out.alpha, nodes);
            rates.across_nodes = Startup { alpha, ..Startup::LATENCY_ONLY };
        }
        rates
    }
}

/// How the GPUs of a node reach each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Inside {
    /// By links of their own: NVLink or Infinity Fabric.
    Own,
    /// By PCI Express.
    Pcie,
}

impl Inside {
    fn of(topology: &Topology) -> Self {
        let own = topology.links().iter().any(|link| Self::Own.classes().contains(&link.class));
        if own { Self::Own } else { Self::Pcie }
    }

    const fn classes(self) -> &'static [LinkClass] {
        match self {
            Self::Own => &[LinkClass::Nvlink, LinkClass::Xgmi],
            Self::Pcie => &[LinkClass::Pcie, LinkClass::Socket],
        }
    }

    /// The peak of a GPU's own link, in bytes per second: the fastest where they differ.
    fn peak(self, topology: &Topology) -> Option<f64> {
        let classes = &self.classes()[..if self == Self::Own { 2 } else { 1 }];
        let links = topology.links().iter().filter(|link| classes.contains(&link.class));
        links.map(|link| link.bandwidth.bytes_per_sec()).reduce(f64::max)
    }
}

/// What the busiest link of a PCI Express box takes at its peak for one byte that each of its `in_node` GPUs sends to
/// the others, all evenly, in seconds. Of a group over several nodes a GPU sends the others of its node a share
/// of its bytes only, and NICs carry the rest over the same slots: the time is that of the share.
/// Nothing where a GPU has no other in its node.
fn busiest(topology: &Topology, group: u32, in_node: u32) -> Option<f64> {
    let peers = f64::from(in_node.checked_sub(1).filter(|&peers| peers > 0)?);
    let mut carried: BTreeMap<LinkId, f64> = BTreeMap::new();
    let mut route = Vec::new();
    for from in 0..in_node {
        for to in (0..in_node).filter(|&to| to != from) {
            topology.route(GpuId(from), GpuId(to), &mut route);
            for &link in &route {
                *carried.entry(link).or_default() += 1.0 / peers;
            }
        }
    }
    let taken = |(link, bytes): (&LinkId, &f64)| {
        bytes / topology.links()[link.index()].bandwidth.bytes_per_sec()
    };
    let within = carried.iter().map(taken).reduce(f64::max)?;
    Some(within * f64::from(group.max(2) - 1) / peers)
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
