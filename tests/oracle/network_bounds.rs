//! Do generators build what theory says? Each family against its analytic uniform all-to-all bound.
//!
//! A pass says that links are as many and as wide as the family wants and that routes load them as
//! evenly as the analysis assumes. It does not say that a real routing algorithm does as well.

use moesim::config::{built_in_topology, read_topology};
use moesim::topology::{Bounds, LinkClass, Topology};

fn built_in(name: &str, overrides: &[&str]) -> Topology {
    let source = built_in_topology(name).unwrap_or_else(|| panic!("no {name}"));
    read_topology(&source.with_overrides(overrides.iter().copied()))
        .unwrap_or_else(|e| panic!("{e}"))
}

/// Checks GB/s per GPU in a uniform all-to-all, and the class that decides it.
fn assert_bound(name: &str, overrides: &[&str], gb_per_s: f64, class: LinkClass) {
    let bounds = Bounds::of(&built_in(name, overrides)).expect("several GPUs");
    let got = bounds.uniform_all_to_all.gb_per_sec();
    assert!((got / gb_per_s - 1.0).abs() < 1e-9, "{name}: {got} GB/s, on paper {gb_per_s}");
    assert_eq!(bounds.decided_by, class, "{name}");
}

/// Traffic that leaves the node gets the NIC: B · (n−1)/(n−8) with 8 GPUs per node.
#[test]
fn a_non_blocking_clos_gives_every_nic_its_rate() {
    for (name, n) in [("two-tier-8", 128.0), ("h100-64x8-clos3-ecmp", 512.0)] {
        assert_bound(name, &[], 50.0 * (n - 1.0) / (n - 8.0), LinkClass::Nic);
    }
    assert_bound("h100-4x8-rail", &[], 50.0 * 31.0 / 24.0, LinkClass::Nic);
}

/// B/o · (n−1)/(n−n_leaf): 50/2 GB/s, 128 GPUs, 32 under a leaf.
#[test]
fn an_oversubscribed_clos_is_bound_by_its_uplinks() {
    assert_bound("h100-16x8-clos", &[], 25.0 * 127.0 / 96.0, LinkClass::LeafSpine);
    let four = &["fabric.clos.uplink.oversubscription=4"];
    assert_bound("h100-16x8-clos", four, 12.5 * 127.0 / 96.0, LinkClass::LeafSpine);
}

/// Every remote byte leaves by the NIC of its destination's rail; rails share alike.
#[test]
fn rail_only_is_bound_by_the_nic_too() {
    assert_bound("h100-32x8-rail-only", &[], 50.0 * 255.0 / 248.0, LinkClass::Nic);
}

#[test]
fn a_switched_domain_gives_every_port_its_rate() {
    assert_bound("gb200-nvl72", &[], 900.0, LinkClass::Nvlink);
    assert_bound("gb200-nvl576", &[], 900.0, LinkClass::Nvlink);
    assert_bound("gb200-8xnvl72", &[], 50.0 * 575.0 / 504.0, LinkClass::Nic);
}

/// 8·B/k · (n−1)/n for rings of k.
#[test]
fn a_torus_gives_eight_kths_of_a_link() {
    assert_bound("tpu-v4-512-torus", &[], 8.0 * 50.0 / 8.0 * 511.0 / 512.0, LinkClass::Direct);
    assert_bound("torus-16x16", &[], 8.0 * 50.0 / 16.0 * 255.0 / 256.0, LinkClass::Direct);
}

/// (n−1) · B_pair.
#[test]
fn a_mesh_gives_all_its_links_at_once() {
    assert_bound("full-mesh-16", &[], 15.0 * 25.0, LinkClass::Direct);
    let one_node = &["nodes.count=1"];
    assert_bound("mi300x-4x8", one_node, 7.0 * 64.0, LinkClass::Xgmi);
}

/// Along one dimension a router of 8 ports sends 8·(n/4) routes over each link of 200 GB/s.
#[test]
fn a_hyperx_is_bound_by_a_rows_link_or_the_port() {
    let per_link = 8.0 * 128.0 / 4.0;
    let link = 200.0 * 127.0 / per_link;
    let port = 50.0 * 127.0 / 120.0;
    let (bound, class) =
        if link < port { (link, LinkClass::Direct) } else { (port, LinkClass::Nic) };
    assert_bound("h100-16x8-hyperx", &[], bound, class);
    let narrow = &["fabric.hyperx.bandwidth=400 Gb/s"];
    assert_bound("h100-16x8-hyperx", narrow, link / 4.0, LinkClass::Direct);
}

/// Two global links per pair of groups, hashed: on average 64 · 64 / 2 routes over each.
#[test]
fn a_dragonfly_is_bound_by_its_global_links_within_the_luck_of_the_hash() {
    let paper: f64 = 200.0 * 575.0 / (64.0 * 64.0 / 2.0);
    let got = |name| Bounds::of(&built_in(name, &[])).unwrap();
    let minimal = got("h100-72x8-dragonfly");
    let rate = minimal.uniform_all_to_all.gb_per_sec();
    // The fuller of two bins of 4096 balls exceeds half by some per cent.
    assert!(rate > 0.9 * paper.min(50.0) && rate <= paper, "{rate} GB/s, on paper {paper}");
    // Valiant doubles the global load.
    let detour = got("h100-72x8-dragonfly-valiant").uniform_all_to_all.gb_per_sec();
    assert!(detour < 0.6 * rate && detour > 0.4 * rate, "{detour} against {rate} GB/s");
}

/// 64 · 64 routes over a trunk of 800 GB/s.
#[test]
fn a_dragonfly_plus_is_bound_by_its_trunks() {
    let trunk = 800.0 * 255.0 / (64.0 * 64.0);
    assert_bound("h100-32x8-dragonfly-plus", &[], trunk, LinkClass::SpineCore);
}

/// A box without peer-to-peer: 16 of each GPU's routes... all cross the switch's uplink, which two
/// GPUs share: 31.5 GB/s for 2 · 7 routes within the box.
#[test]
fn a_pcie_box_is_bound_by_what_gpus_share() {
    let one_box = &["nodes.count=1"];
    // Between sockets 4 · 4 routes share 60 GB/s; over an uplink go 2 · 7 at 31.5 GB/s.
    let uplink = 31.5 * 7.0 / 14.0;
    let socket = 60.0 * 7.0 / 16.0;
    assert!(uplink < socket);
    assert_bound("l40s-2x8-pcie", one_box, uplink, LinkClass::Pcie);
}

/// Two boxes: two GPUs send 2 · 8 routes over the NIC under their switch, 25 GB/s, whose slot gives 31.5.
/// Over a narrow uplink go 2 · 7 routes within the box, or with peer-to-peer those to six others.
#[test]
fn two_pcie_boxes_are_bound_by_the_nic_its_slot_or_the_uplink() {
    assert_bound("l40s-2x8-pcie", &[], 25.0 * 15.0 / 16.0, LinkClass::Nic);
    let fast = &["nodes.nic.bandwidth=400 Gb/s"];
    assert_bound("l40s-2x8-pcie", fast, 31.5 * 15.0 / 16.0, LinkClass::Pcie);
    let narrow = "nodes.scale-up.pcie.uplink_bandwidth=16 GB/s";
    assert_bound("l40s-2x8-pcie", &[narrow], 16.0 * 15.0 / 14.0, LinkClass::Pcie);
    let direct = &[narrow, "nodes.scale-up.pcie.peer_to_peer=true"];
    assert_bound("l40s-2x8-pcie", direct, 16.0 * 15.0 / 12.0, LinkClass::Pcie);
}

/// Four nodes of a mesh: 24 routes leave by each NIC, one crosses each link between two GPUs. NICs
/// ten times as fast leave the mesh to decide.
#[test]
fn nodes_with_a_mesh_are_bound_by_the_nic() {
    assert_bound("mi300x-4x8", &[], 50.0 * 31.0 / 24.0, LinkClass::Nic);
    let fast = &["nodes.nic.bandwidth=20 Tb/s"];
    assert_bound("mi300x-4x8", fast, 64.0 * 31.0, LinkClass::Xgmi);
}

/// A GPU's port carries 5 routes at 50 GB/s, a trunk between two switches 2 · 2 at 100 GB/s. From half to
/// half 3 routes leave each of six ports.
#[test]
fn an_explicit_ring_is_bound_by_its_ports() {
    assert_bound("ring-of-switches", &[], 50.0, LinkClass::Nic);
    let half = Bounds::of(&built_in("ring-of-switches", &[])).unwrap().bisection;
    assert!((half.gb_per_sec() / (18.0 * 50.0 / 3.0) - 1.0).abs() < 1e-9, "{half:?}");
}

/// Each of 512 port pairs throws 248 routes at two planes by hash; the fullest decides. Thrown here by
/// another generator: the mean of the fullest over many clusters.
#[test]
fn two_planes_are_bound_by_the_luck_of_the_hash() {
    let mut state = 0x1234_5678_9ABC_DEF0_u64;
    let mut bit = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 63) as u32
    };
    let clusters = 40;
    let mut fullest = 0.0;
    for _ in 0..clusters {
        let port = |bit: &mut dyn FnMut() -> u32| {
            let first: u32 = (0..248).map(|_| bit()).sum();
            first.max(248 - first)
        };
        fullest += f64::from((0..512).map(|_| port(&mut bit)).max().unwrap());
    }
    let thrown = 25.0 * 255.0 / (fullest / f64::from(clusters));
    let got = Bounds::of(&built_in("h100-32x8-dual-plane", &[])).unwrap().uniform_all_to_all;
    let ratio = got.gb_per_sec() / thrown;
    assert!((0.95..=1.05).contains(&ratio), "{} GB/s, thrown {thrown}", got.gb_per_sec());
}

#[test]
fn two_gpus_on_one_nic_get_half_each() {
    assert_bound("a100-4x8", &[], 25.0 * 31.0 / 24.0, LinkClass::Nic);
    assert_bound("a100-4x8-shared-nics", &[], 12.5 * 31.0 / 24.0, LinkClass::Nic);
}

#[test]
fn a_hundred_thousand_gpus_are_described_from_a_sample() {
    let large = built_in("two-tier-8", &["nodes.count=12504"]);
    let bounds = Bounds::of(&large).unwrap();
    assert!(!bounds.counted);
    let got = bounds.uniform_all_to_all.gb_per_sec();
    assert!((got / (50.0 * 100_031.0 / 100_024.0) - 1.0).abs() < 1e-6, "{got}");
}
