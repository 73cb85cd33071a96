//! What a cluster costs and draws, by a price book that users edit.
//!
//! ```text
//!   network = Σ_cables (cable of its class + a switch port at each switched end)·Gb/s + Σ NIC·Gb/s   (1)
//!   cluster = GPUs·(GPU + its share of a node + its NVSwitch port·Gb/s) + network                     (2)
//! ```
//!
//! and power likewise. A cable is two links, there and back, and counts once. Meshes and PCIe trees
//! inside a node come with the node. Prices per Gb/s make one book fit ports of several speeds. A GPU
//! that the book does not know leaves the cluster without a price: it is not guessed.

use std::collections::BTreeMap;
use std::ops::Add;

use super::{ByClass, LinkClass, Topology, VertexKind};

/// US dollars and watts.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Price {
    /// US dollars.
    pub usd: f64,
    /// Watts.
    pub watts: f64,
}

impl Price {
    fn add(&mut self, each: Self, times: f64) {
        self.usd += each.usd * times;
        self.watts += each.watts * times;
    }
}

/// US dollars and watts where they are known.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Known {
    /// US dollars.
    pub usd: Option<f64>,
    /// Watts.
    pub watts: Option<f64>,
}

impl Add<Price> for Known {
    type Output = Self;

    fn add(self, more: Price) -> Self {
        Self {
            usd: self.usd.map(|usd| usd + more.usd),
            watts: self.watts.map(|watts| watts + more.watts),
        }
    }
}

/// What a GPU of one name costs and draws.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GpuPrice {
    /// The GPU itself.
    pub gpu: Known,
    /// Its share of a node without GPUs, NICs and NVSwitches: processors, memory, chassis, cooling.
    pub node: Price,
}

/// Prices for each Gb/s of one direction, and of GPUs.
#[derive(Clone, Debug, PartialEq)]
pub struct PriceBook {
    /// When the prices held.
    pub date: String,
    /// Where they come from.
    pub source: String,
    /// Of GPUs, by the names that topologies give them.
    pub gpus: BTreeMap<String, GpuPrice>,
    /// Of a GPU's port into a scale-up switch, with its share of the switch and the cables.
    pub nvswitch: Price,
    /// Of a NIC.
    pub nic: Price,
    /// Of a switch's port.
    pub switch_port: Price,
    /// Of a cable of each class with its two ends.
    pub cable: ByClass<Price>,
}

/// A cluster's cost.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cost {
    /// GPUs, if the book knows them.
    pub gpus: Known,
    /// Nodes without GPUs, NICs and scale-up switches.
    pub nodes: Price,
    /// Scale-up switches with their cables.
    pub nvswitch: Price,
    /// NICs.
    pub nics: Price,
    /// Ports of switches.
    pub switches: Price,
    /// Cables with their transceivers.
    pub cables: Price,
}

impl Cost {
    /// Equations (1) and (2).
    #[must_use]
    pub fn of(topology: &Topology, book: &PriceBook) -> Self {
        let mut cost = Self::default();
        if let Some(each) = book.gpus.get(&topology.gpu().name) {
            let gpus = f64::from(topology.gpus());
            let all = |each: Option<f64>| each.map(|each| each * gpus);
            cost.gpus = Known { usd: all(each.gpu.usd), watts: all(each.gpu.watts) };
            cost.nodes.add(each.node, gpus);
        }
        for link in topology.links() {
            let gbps = link.bandwidth.bytes_per_sec() * 8e-9;
            let ends = [link.from, link.to].map(|end| topology.vertices()[end.0 as usize].kind);
            match link.class {
                LinkClass::Nvlink if ends == [VertexKind::Gpu, VertexKind::NodeSwitch] => {
                    cost.nvswitch.add(book.nvswitch, gbps);
                }
                LinkClass::Nvlink | LinkClass::Xgmi | LinkClass::Pcie | LinkClass::Socket => {}
                class => cost.add_cable(class, ends, 0.5 * gbps, book),
            }
        }
        cost
    }

    /// One direction of a cable of the network, half of its price.
    fn add_cable(
        &mut self,
        class: LinkClass,
        ends: [VertexKind; 2],
        half_gbps: f64,
        book: &PriceBook,
    ) {
        self.cables.add(book.cable.of(class), half_gbps);
        for end in ends {
            match end {
                VertexKind::Leaf | VertexKind::Spine | VertexKind::Core | VertexKind::Router => {
                    self.switches.add(book.switch_port, half_gbps);
                }
                // A GPU's own port into the fabric is a NIC too.
                VertexKind::Nic | VertexKind::Gpu if class == LinkClass::Nic => {
                    self.nics.add(book.nic, half_gbps);
                }
                _ => {}
            }
        }
    }

    /// The network beyond the nodes, equation (1).
    #[must_use]
    pub fn network(&self) -> Price {
        let parts = [self.nics, self.switches, self.cables];
        Price {
            usd: parts.iter().map(|part| part.usd).sum(),
            watts: parts.iter().map(|part| part.watts).sum(),
        }
    }

    /// Everything together, equation (2), where the book knows the GPUs.
    #[must_use]
    pub fn total(&self) -> Known {
        self.gpus + self.nodes + self.nvswitch + self.network()
    }
}
