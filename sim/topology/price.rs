//! What a cluster's network costs and draws, by a price book that users edit.
//!
//! ```text
//!   cost = Σ_cables (cable of its class + a switch port at each switched end)·Gb/s + Σ NIC·Gb/s   (1)
//! ```
//!
//! and power likewise. A cable is two links, there and back, and counts once; links inside a node
//! (NVLink, PCIe) come with the node. Prices per Gb/s make one book fit ports of several speeds.

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
    fn add(&mut self, each: Self, gbps: f64) {
        self.usd += each.usd * gbps;
        self.watts += each.watts * gbps;
    }
}

/// Prices for each Gb/s of one direction.
#[derive(Clone, Debug, PartialEq)]
pub struct PriceBook {
    /// When the prices held.
    pub date: String,
    /// Where they come from.
    pub source: String,
    /// Of a NIC.
    pub nic: Price,
    /// Of a switch's port.
    pub switch_port: Price,
    /// Of a cable of each class with its two ends.
    pub cable: ByClass<Price>,
}

/// A network's cost.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cost {
    /// NICs.
    pub nics: Price,
    /// Ports of switches.
    pub switches: Price,
    /// Cables with their transceivers.
    pub cables: Price,
}

impl Cost {
    /// Equation (1).
    #[must_use]
    pub fn of(topology: &Topology, book: &PriceBook) -> Self {
        let mut cost =
            Self { nics: Price::default(), switches: Price::default(), cables: Price::default() };
        for link in topology.links() {
            let gbps = link.bandwidth.bytes_per_sec() * 8e-9;
            let in_node = [LinkClass::Nvlink, LinkClass::Xgmi, LinkClass::Pcie, LinkClass::Socket];
            if in_node.contains(&link.class) {
                continue;
            }
            // Half a cable in each direction.
            cost.cables.add(book.cable.of(link.class), 0.5 * gbps);
            for end in [link.from, link.to] {
                match topology.vertices()[end.0 as usize].kind {
                    VertexKind::Leaf
                    | VertexKind::Spine
                    | VertexKind::Core
                    | VertexKind::Router => {
                        cost.switches.add(book.switch_port, 0.5 * gbps);
                    }
                    // A GPU's own port into the fabric is a NIC too.
                    VertexKind::Nic | VertexKind::Gpu if link.class == LinkClass::Nic => {
                        cost.nics.add(book.nic, 0.5 * gbps);
                    }
                    _ => {}
                }
            }
        }
        cost
    }

    /// Everything together.
    #[must_use]
    pub fn total(&self) -> Price {
        let parts = [self.nics, self.switches, self.cables];
        Price {
            usd: parts.iter().map(|part| part.usd).sum(),
            watts: parts.iter().map(|part| part.watts).sum(),
        }
    }
}
