//! Vertices, one-way links and their classes.

use crate::base::units::{Bandwidth, SimDuration};

/// A GPU, NIC or switch of the cluster; GPUs come first, so `VertexId(g)` is GPU `g`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct VertexId(pub u32);

/// What a vertex is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum VertexKind {
    /// A GPU.
    Gpu,
    /// The scale-up switch of a node or NVLink domain.
    NodeSwitch,
    /// A PCIe switch.
    PcieSwitch,
    /// A CPU socket with its memory and root complex.
    Host,
    /// A network interface.
    Nic,
    /// A switch that NICs plug into.
    Leaf,
    /// The switches above leaves, as one layer that spreads traffic evenly.
    Spine,
    /// The switches above spines, as one layer.
    Core,
    /// A switch of a dragonfly, torus, `HyperX` or explicit graph.
    Router,
}

impl VertexKind {
    /// The name in link names and pictures.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gpu => "gpu",
            Self::NodeSwitch => "node-switch",
            Self::PcieSwitch => "pcie-switch",
            Self::Host => "host",
            Self::Nic => "nic",
            Self::Leaf => "leaf",
            Self::Spine => "spine",
            Self::Core => "core",
            Self::Router => "router",
        }
    }
}

impl std::fmt::Display for Vertex {
    /// `gpu3`, `leaf0`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{}", self.kind.name(), self.index)
    }
}

/// A vertex: its kind and its number among those of its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vertex {
    /// What it is.
    pub kind: VertexKind,
    /// Its number among its kind, from 0.
    pub index: u32,
}

/// What sort of link, as named in profiles and reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LinkClass {
    /// NVLink between a GPU and its switch.
    Nvlink,
    /// AMD's Infinity Fabric between two GPUs.
    Xgmi,
    /// PCI Express.
    Pcie,
    /// Between the CPU sockets of a node.
    Socket,
    /// Between a NIC and the switch it plugs into.
    Nic,
    /// Between a leaf and the spines, or within a dragonfly group.
    LeafSpine,
    /// Between spines and cores, or between dragonfly groups.
    SpineCore,
    /// A direct link of a torus, mesh or `HyperX`.
    Direct,
}

impl LinkClass {
    /// All classes, in the order of [`Self::index`].
    pub const ALL: [Self; 8] = [
        Self::Nvlink,
        Self::Xgmi,
        Self::Pcie,
        Self::Socket,
        Self::Nic,
        Self::LeafSpine,
        Self::SpineCore,
        Self::Direct,
    ];

    /// The name in profiles and reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Nvlink => "nvlink",
            Self::Xgmi => "xgmi",
            Self::Pcie => "pcie",
            Self::Socket => "socket",
            Self::Nic => "nic",
            Self::LeafSpine => "leaf-spine",
            Self::SpineCore => "spine-core",
            Self::Direct => "direct",
        }
    }

    /// Whether such links lie inside a node.
    #[must_use]
    pub const fn within_node(self) -> bool {
        matches!(self, Self::Nvlink | Self::Xgmi | Self::Pcie | Self::Socket)
    }

    /// The class of this name, if any.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.name() == name)
    }

    /// Position in [`Self::ALL`].
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }
}

/// One value for each class of link.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub struct ByClass<T>([T; LinkClass::ALL.len()]);

impl<T: Copy> ByClass<T> {
    /// The same value for every class.
    pub const fn all(value: T) -> Self {
        Self([value; LinkClass::ALL.len()])
    }

    /// These values with that of one class replaced.
    #[must_use]
    pub const fn with(mut self, class: LinkClass, value: T) -> Self {
        self.0[class.index()] = value;
        self
    }

    /// The value of a class.
    pub const fn of(&self, class: LinkClass) -> T {
        self.0[class.index()]
    }
}

/// One direction of a cable, or of a trunk of equal cables.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Link {
    /// Where bytes enter.
    pub from: VertexId,
    /// Where they leave.
    pub to: VertexId,
    /// Data-sheet peak of all lanes together.
    pub bandwidth: Bandwidth,
    /// Delay of the first byte.
    pub latency: SimDuration,
    /// What sort of link.
    pub class: LinkClass,
    /// Cables in the trunk; one for a plain link.
    pub lanes: u32,
    /// The share of its bandwidth that is left: 1 where it is in full health, 0 where it is down and no route crosses it.
    pub health: f64,
}

/// What a link that is down counts for, as rates are positive: nothing crosses it.
const NOTHING: f64 = 1e-12;

impl Link {
    /// What its data sheet says, times the share of it that is left.
    #[must_use]
    pub fn bandwidth_left(&self) -> Bandwidth {
        self.bandwidth.scaled(self.health.max(NOTHING))
    }
}

/// How traffic is spread over the lanes of a trunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spread {
    /// Packet by packet, or adaptively: lanes fill evenly.
    Spray,
    /// Flow by flow, by a hash: some lanes get more flows than others.
    Ecmp,
}
