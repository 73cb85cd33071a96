//! Networks laid out as grids: tori, HyperX and full meshes.
//!
//! Grid points are numbered with the first dimension fastest. A point is a port itself, or a
//! router with `terminals` ports. Routes go dimension by dimension [dally04, §8.4].
//!
//! Torus of `k` points a ring: the shorter way round; at distance `k/2` even points go up and odd
//! ones down. With `S` bytes for each pair of the `n` points a link then carries
//! `k²/8 · n/k · S` (for `4 | k`), so with links of `B` bytes/s a uniform all-to-all takes
//!
//! ```text
//!   T = k·n·S / (8·B)        or, per point,   n·S/T = 8·B/k                       (1)
//! ```
//!
//! HyperX [ahn09]: in each dimension every point has a link to every other of its row; one hop a
//! dimension. One dimension without routers is the full mesh: `(n−1)·B` a point.

use super::link::{LinkClass, VertexId, VertexKind};
use super::wiring::{Cable, Ports, Unbuildable, Wiring};
use crate::base::units::LinkId;

/// Rings in every dimension.
#[derive(Clone, Debug, PartialEq)]
pub struct Torus {
    /// Points along each dimension, at least two.
    pub dims: Vec<u32>,
    /// Each link between neighbours, one direction.
    pub link: Cable,
    /// Ports of each router; none where the ports themselves are the points.
    pub terminals: Option<u32>,
}

/// A full mesh in every dimension.
#[derive(Clone, Debug, PartialEq)]
pub struct HyperX {
    /// Points along each dimension, at least two; none for one row of all ports.
    pub dims: Vec<u32>,
    /// Each link between two points of a row, one direction.
    pub link: Cable,
    /// Ports of each router; none where the ports themselves are the points.
    pub terminals: Option<u32>,
}

/// The points of a grid and how ports reach them.
#[derive(Clone, Debug)]
struct Points {
    dims: Vec<u32>,
    terminals: Option<u32>,
    first_port_link: u32,
}

#[derive(Clone, Debug)]
pub(super) struct WiredTorus {
    points: Points,
    first: u32,
}

#[derive(Clone, Debug)]
pub(super) struct WiredHyperX {
    points: Points,
    /// Number of the first link of each dimension.
    first: Vec<u32>,
}

impl Points {
    /// Checks the dimensions against the ports and adds routers where there are any.
    fn wire(
        family: &str,
        dims: &[u32],
        terminals: Option<u32>,
        ports: &Ports,
        wiring: &mut Wiring,
    ) -> Result<(Self, Vec<VertexId>), Unbuildable> {
        // A full mesh is one row of as many points as there are ports.
        let row = [ports.vertices.len() as u32];
        let dims = if dims.is_empty() { &row[..] } else { dims };
        let points = dims.iter().fold(1, |points: u64, &k| points.saturating_mul(u64::from(k)));
        let places = points.saturating_mul(u64::from(terminals.unwrap_or(1)));
        let count = ports.vertices.len() as u64;
        if places != count || dims.iter().any(|&k| k < 2) {
            return Err(Unbuildable::at(
                &format!("fabric.{family}.dims"),
                format!("a grid of {dims:?} has {places} places for {count} ports"),
                "let the dimensions, each at least 2, multiply to the ports of all nodes",
            ));
        }
        let first_port_link = wiring.next_link();
        let mut vertices = ports.vertices.clone();
        if let Some(terminals) = terminals {
            let cable = ports.cable()?;
            vertices = wiring.vertices_of(VertexKind::Router, points as u32);
            for (p, &port) in ports.vertices.iter().enumerate() {
                let router = vertices[p / terminals as usize];
                wiring.both_ways(port, router, cable, LinkClass::Nic);
            }
        }
        Ok((Self { dims: dims.to_vec(), terminals, first_port_link }, vertices))
    }

    /// Appends the way from the sender's port to its router, that through the grid, and that to
    /// the receiver's port.
    fn route(
        &self,
        from: u32,
        to: u32,
        route: &mut Vec<LinkId>,
        through: impl Fn(u32, u32, &mut Vec<LinkId>),
    ) {
        let Some(terminals) = self.terminals else {
            return through(from, to, route);
        };
        route.push(LinkId(self.first_port_link + 2 * from));
        through(from / terminals, to / terminals, route);
        route.push(LinkId(self.first_port_link + 2 * to + 1));
    }
}

impl Torus {
    pub(super) fn links_for(&self, ports: u64) -> u64 {
        ports * (2 + 2 * self.dims.len() as u64)
    }

    pub(super) fn wire(
        &self,
        ports: &Ports,
        wiring: &mut Wiring,
    ) -> Result<WiredTorus, Unbuildable> {
        let (points, vertices) = Points::wire("torus", &self.dims, self.terminals, ports, wiring)?;
        let first = wiring.next_link();
        for (p, &here) in vertices.iter().enumerate() {
            let mut stride = 1;
            for &k in &self.dims {
                let k = k as usize;
                let at = p / stride % k;
                let along = |to: usize| vertices[p - at * stride + to * stride];
                wiring.one_way(here, along((at + 1) % k), self.link, LinkClass::Direct);
                wiring.one_way(here, along((at + k - 1) % k), self.link, LinkClass::Direct);
                stride *= k;
            }
        }
        Ok(WiredTorus { points, first })
    }
}

impl WiredTorus {
    pub fn route(&self, from: u32, to: u32, route: &mut Vec<LinkId>) {
        self.points.route(from, to, route, |from, to, route| self.through(from, to, route));
    }

    fn through(&self, from: u32, to: u32, route: &mut Vec<LinkId>) {
        let (mut here, mut stride) = (from, 1);
        let dims = self.points.dims.len() as u32;
        for (d, &k) in (0..).zip(&self.points.dims) {
            let (mut at, goal) = (here / stride % k, to / stride % k);
            let up = (goal + k - at) % k;
            let ascend = 2 * up < k || (2 * up == k && at % 2 == 0);
            while at != goal {
                let next = if ascend { (at + 1) % k } else { (at + k - 1) % k };
                route.push(LinkId(self.first + 2 * (here * dims + d) + u32::from(!ascend)));
                here = here - at * stride + next * stride;
                at = next;
            }
            stride *= k;
        }
    }
}

impl HyperX {
    pub(super) const fn family(&self) -> &'static str {
        if self.dims.is_empty() { "full-mesh" } else { "hyperx" }
    }

    pub(super) fn links_for(&self, ports: u64) -> u64 {
        if self.dims.is_empty() {
            return ports * ports;
        }
        let points = ports / u64::from(self.terminals.unwrap_or(1));
        2 * ports + points * self.dims.iter().map(|&k| u64::from(k)).sum::<u64>()
    }

    pub(super) fn wire(
        &self,
        ports: &Ports,
        wiring: &mut Wiring,
    ) -> Result<WiredHyperX, Unbuildable> {
        let (points, vertices) =
            Points::wire(self.family(), &self.dims, self.terminals, ports, wiring)?;
        let (mut first, mut stride) = (Vec::new(), 1);
        for &k in &points.dims {
            first.push(wiring.next_link());
            for (p, &here) in vertices.iter().enumerate() {
                let at = p / stride % k as usize;
                for to in (0..k as usize).filter(|&to| to != at) {
                    let there = vertices[p - at * stride + to * stride];
                    wiring.one_way(here, there, self.link, LinkClass::Direct);
                }
            }
            stride *= k as usize;
        }
        Ok(WiredHyperX { points, first })
    }
}

impl WiredHyperX {
    pub fn route(&self, from: u32, to: u32, route: &mut Vec<LinkId>) {
        self.points.route(from, to, route, |from, to, route| self.through(from, to, route));
    }

    fn through(&self, from: u32, to: u32, route: &mut Vec<LinkId>) {
        let (mut here, mut stride) = (from, 1);
        for (&first, &k) in self.first.iter().zip(&self.points.dims) {
            let (at, goal) = (here / stride % k, to / stride % k);
            if at != goal {
                let slot = if goal < at { goal } else { goal - 1 };
                route.push(LinkId(first + here * (k - 1) + slot));
                here = here - at * stride + goal * stride;
            }
            stride *= k;
        }
    }
}
