//! What joins the nodes: one enum over the families, each wired and routed by its own module.

use super::clos::{Clos, WiredClos};
use super::dragonfly::{Dragonfly, DragonflyPlus, WiredDragonfly, WiredDragonflyPlus};
use super::grid::{HyperX, Torus, WiredHyperX, WiredTorus};
use super::link::Spread;
use super::wiring::{Ports, Unbuildable, Wiring};
use crate::base::units::LinkId;

/// What joins the nodes.
#[derive(Clone, Debug, PartialEq)]
pub enum Fabric {
    /// Nothing: a single node.
    Alone,
    /// Leaves, spines and perhaps cores: Clos, rail-optimised, rail-only, multi-plane.
    Clos(Clos),
    /// Groups of routers, every pair of groups joined.
    Dragonfly(Dragonfly),
    /// Groups of leaves under spines, every pair of groups joined.
    DragonflyPlus(DragonflyPlus),
    /// Rings in one to four dimensions.
    Torus(Torus),
    /// Full meshes in one to four dimensions.
    HyperX(HyperX),
}

impl Fabric {
    pub(super) const fn family(&self) -> &'static str {
        match self {
            Self::Alone => "alone",
            Self::Clos(clos) => clos.family,
            Self::Dragonfly(_) => "dragonfly",
            Self::DragonflyPlus(_) => "dragonfly-plus",
            Self::Torus(_) => "torus",
            Self::HyperX(grid) => grid.family(),
        }
    }

    pub(super) const fn spread(&self) -> Spread {
        match self {
            Self::Clos(clos) => clos.spread,
            _ => Spread::Spray,
        }
    }

    /// One-way links for this many ports, or a little more.
    pub(super) fn links_for(&self, ports: u64) -> u64 {
        match self {
            Self::Alone => 0,
            Self::Clos(clos) => 6 * ports * u64::from(clos.planes),
            Self::Dragonfly(fly) => fly.links_for(ports),
            Self::DragonflyPlus(fly) => 4 * ports + u64::from(fly.groups).pow(2),
            Self::Torus(torus) => torus.links_for(ports),
            Self::HyperX(grid) => grid.links_for(ports),
        }
    }

    pub(super) fn wire(
        &self,
        ports: &Ports,
        wiring: &mut Wiring,
    ) -> Result<WiredFabric, Unbuildable> {
        Ok(match self {
            Self::Alone => WiredFabric::Alone,
            Self::Clos(clos) => WiredFabric::Clos(clos.wire(ports, wiring)?),
            Self::Dragonfly(fly) => WiredFabric::Dragonfly(fly.wire(ports, wiring)?),
            Self::DragonflyPlus(fly) => WiredFabric::DragonflyPlus(fly.wire(ports, wiring)?),
            Self::Torus(torus) => WiredFabric::Torus(torus.wire(ports, wiring)?),
            Self::HyperX(grid) => WiredFabric::HyperX(grid.wire(ports, wiring)?),
        })
    }
}

/// A fabric whose links have numbers.
#[derive(Clone, Debug)]
pub(super) enum WiredFabric {
    Alone,
    Clos(WiredClos),
    Dragonfly(WiredDragonfly),
    DragonflyPlus(WiredDragonflyPlus),
    Torus(WiredTorus),
    HyperX(WiredHyperX),
}

impl WiredFabric {
    /// Appends the links from one port to another; `choice` decides among equal routes.
    #[inline]
    pub fn route(&self, from: u32, to: u32, choice: u64, route: &mut Vec<LinkId>) {
        match self {
            Self::Alone => unreachable!("a single node has no routes between nodes"),
            Self::Clos(clos) => clos.route(from, to, choice, route),
            Self::Dragonfly(fly) => fly.route(from, to, choice, route),
            Self::DragonflyPlus(fly) => fly.route(from, to, choice, route),
            Self::Torus(torus) => torus.route(from, to, route),
            Self::HyperX(grid) => grid.route(from, to, route),
        }
    }

    /// Whether ports of different rails cannot reach each other.
    pub const fn keeps_to_rails(&self) -> bool {
        matches!(self, Self::Clos(clos) if clos.keeps_to_rails())
    }
}
