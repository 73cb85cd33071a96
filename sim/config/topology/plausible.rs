//! Figures of a cluster that no data sheet has: most are a unit or a digit that slipped.
//!
//! Ranges are those of the shipped topologies with room: downwards for older parts and for a few lanes, upwards for two
//! generations more. Nothing is refused for it.

use std::collections::BTreeSet;

use crate::base::units::Bandwidth;
use crate::topology::{Link, LinkClass, Topology, VertexKind};

/// What data sheets have of a figure, from and to, in its unit.
struct Range {
    what: &'static str,
    unit: &'static str,
    least: f64,
    most: f64,
}

const MEMORY_BANDWIDTH: Range =
    Range { what: "memory bandwidth", unit: "GB/s", least: 200.0, most: 25_000.0 };
const MEMORY: Range = Range { what: "memory", unit: "GB", least: 8.0, most: 1_500.0 };
const BF16: Range = Range { what: "peak in bf16", unit: "TFLOP/s", least: 20.0, most: 20_000.0 };
const FP8: Range = Range { what: "peak in fp8", unit: "TFLOP/s", least: 40.0, most: 40_000.0 };

/// What one lane of a link carries in one direction; none where links of the class are of all sizes.
const fn of_class(class: LinkClass) -> Option<Range> {
    let (what, least, most) = match class {
        LinkClass::Nvlink => ("a GPU's NVLink port", 100.0, 4_000.0),
        LinkClass::Xgmi => ("an Infinity Fabric link", 16.0, 400.0),
        LinkClass::Pcie => ("a PCIe slot", 7.0, 260.0),
        LinkClass::Socket => ("a link between sockets", 10.0, 500.0),
        LinkClass::Nic => ("a NIC", 1.0, 200.0),
        LinkClass::LeafSpine | LinkClass::SpineCore => ("a switch's cable", 1.0, 400.0),
        LinkClass::Direct => return None,
    };
    Some(Range { what, unit: "GB/s", least, most })
}

impl Range {
    /// What to say of a figure outside.
    fn doubt(&self, figure: f64) -> Option<String> {
        let Self { what, unit, least, most } = self;
        let fits = |figure: f64| (*least..=*most).contains(&figure);
        if fits(figure) {
            return None;
        }
        let slips = [
            (8.0, "\"Gb/s\" for \"GB/s\""),
            (0.125, "\"GB/s\" for \"Gb/s\""),
            (1e-3, "a prefix too large, such as \"T\" for \"G\""),
            (1e3, "a prefix too small, such as \"G\" for \"T\""),
            (0.1, "a digit too many"),
            (10.0, "a digit too few"),
        ];
        // Bits and bytes are of bandwidths, where eight times as much or little is the likeliest.
        let bits = |factor: f64| (0.125..=8.0).contains(&factor);
        let found = slips
            .iter()
            .find(|(factor, _)| (unit.ends_with("B/s") || !bits(*factor)) && fits(figure * factor));
        let slip = found.map_or("its unit or its digits", |(_, slip)| slip);
        Some(format!(
            "{what} of {figure} {unit} is beyond the {least} to {most} {unit} of data sheets: look for {slip}"
        ))
    }
}

/// What of a cluster lies beyond what data sheets have, in words.
#[must_use]
pub fn doubts(topology: &Topology) -> Vec<String> {
    let gpu = topology.gpu();
    let giga = |of: Bandwidth| of.bytes_per_sec() / 1e9;
    let tera = |flops: f64| flops / 1e12;
    let of_gpu = [
        MEMORY_BANDWIDTH.doubt(giga(gpu.memory_bandwidth)),
        gpu.memory.and_then(|memory| MEMORY.doubt(memory.0 as f64 / 1e9)),
        BF16.doubt(tera(gpu.peak_bf16.flops_per_sec())),
        gpu.peak_fp8.and_then(|peak| FP8.doubt(tera(peak.flops_per_sec()))),
    ];
    // Pairs of a mesh share a GPU's NVLinks; ports into a switch have all of them.
    let is_port = |link: &&Link| {
        let ends = [link.from, link.to].map(|end| topology.vertices()[end.0 as usize].kind);
        link.class != LinkClass::Nvlink || ends.contains(&VertexKind::NodeSwitch)
    };
    let of_link = |link: &Link| {
        of_class(link.class)?.doubt(giga(link.bandwidth) / f64::from(link.lanes.max(1)))
    };
    let of_links: BTreeSet<String> =
        topology.links().iter().filter(is_port).filter_map(of_link).collect();
    of_gpu.into_iter().flatten().chain(of_links).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{built_in_topology, read_topology};

    fn doubts_of(name: &str, set: &[&str]) -> Vec<String> {
        let source = built_in_topology(name).expect("it is built in");
        doubts(&read_topology(&source.with_overrides(set.iter().copied())).expect("it is sound"))
    }

    #[test]
    fn no_shipped_cluster_is_doubted() {
        for (name, _) in crate::config::built_in_topologies() {
            assert_eq!(doubts_of(name, &[]), [""; 0], "{name}");
        }
    }

    #[test]
    fn units_that_slipped_are_said_with_the_range_and_the_slip() {
        for (set, said) in [
            (
                "nodes.scale-up.nvswitch.bandwidth=450 Gb/s",
                "a GPU's NVLink port of 56.25 GB/s is beyond the 100 to 4000 GB/s of data sheets: look for \"Gb/s\" for \
                 \"GB/s\"",
            ),
            (
                "nodes.nic.bandwidth=400 GB/s",
                "a NIC of 400 GB/s is beyond the 1 to 200 GB/s of data sheets: look for \"GB/s\" for \"Gb/s\"",
            ),
            (
                "gpu.memory_bandwidth=3350 TB/s",
                "memory bandwidth of 3350000 GB/s is beyond the 200 to 25000 GB/s of data sheets: look for a prefix too \
                 large, such as \"T\" for \"G\"",
            ),
            (
                "gpu.memory_bandwidth=33500 TB/s",
                "memory bandwidth of 33500000 GB/s is beyond the 200 to 25000 GB/s of data sheets: look for its unit or \
                 its digits",
            ),
            (
                "gpu.memory=80 MB",
                "memory of 0.08 GB is beyond the 8 to 1500 GB of data sheets: look for a prefix too small, such as \"G\" for \
                 \"T\"",
            ),
            (
                "gpu.peak_bf16=989 GFLOP/s",
                "peak in bf16 of 0.989 TFLOP/s is beyond the 20 to 20000 TFLOP/s of data sheets: look for a prefix too \
                 small, such as \"G\" for \"T\"",
            ),
        ] {
            assert_eq!(doubts_of("h100-4x8-rail", &[set]), [said], "{set}");
        }
    }
}
