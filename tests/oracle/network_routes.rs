//! Do routes lead where they should? Every route is walked link by link.
//!
//! A pass says that routes are walks of the right ends and that every GPU reaches every other. It
//! does not say that a route is the one that hardware would take.

use std::collections::BTreeMap;

use moesim::base::streams::Streams;
use moesim::base::units::{GpuId, LinkId};
use moesim::config::{Source, built_in_topologies, built_in_topology, read_topology};
use moesim::topology::{LinkClass, Topology, VertexId};

fn topology(text: &str) -> Topology {
    read_topology(&Source::built_in("test.toml", text)).unwrap_or_else(|e| panic!("{e}"))
}

const HEAD: &str = "schema = 1\nname = \"t\"\nsource = \"made up\"\n[gpu]\nname = \"G\"\n\
    peak_bf16 = \"1 TFLOP/s\"\nmemory_bandwidth = \"1 TB/s\"\nmemory = \"80 GB\"\nsms = 1\n";
const SWITCHED: &str = "[nodes.scale-up.nvswitch]\nbandwidth = \"300 GB/s\"\nlatency = \"1 us\"\n";
const NIC: &str = "bandwidth = \"50 GB/s\"\nlatency = \"5 us\"\n";
const LINK: &str = "{ bandwidth = \"10 GB/s\", latency = \"1 us\" }";

/// One small cluster of every family, each with every choice that changes routes.
fn families() -> Vec<String> {
    let nodes = |count: u32, gpus: u32, per_node: u32, inside: &str| {
        format!(
            "{HEAD}[nodes]\ncount = {count}\ngpus_per_node = {gpus}\n{inside}[nodes.nic]\n\
             per_node = {per_node}\n{NIC}"
        )
    };
    let bare = |count: u32, gpus: u32, inside: &str| {
        format!("{HEAD}[nodes]\ncount = {count}\ngpus_per_node = {gpus}\n{inside}")
    };
    let up = "oversubscription = 2, latency = \"1 us\"";
    let slots = "[nodes.nic.pcie]\nbandwidth = \"31.5 GB/s\"\nlatency = \"1 us\"\n";
    let tree = "[nodes.scale-up.pcie]\ngpus_per_switch = 2\nswitches_per_socket = 2\n\
        slot_bandwidth = \"32 GB/s\"\nuplink_bandwidth = \"32 GB/s\"\n\
        socket_bandwidth = \"40 GB/s\"\nlatency = \"1 us\"\n";
    let mesh = "[nodes.scale-up.mesh]\nbandwidth = \"64 GB/s\"\nlatency = \"1 us\"\n";
    let mut all = vec![
        bare(1, 72, SWITCHED),
        bare(1, 8, mesh),
        bare(1, 8, &format!("{tree}peer_to_peer = true\n")),
        nodes(4, 8, 8, SWITCHED) + "[fabric.single-switch]\n",
        nodes(4, 8, 4, SWITCHED) + slots + "[fabric.single-switch]\n",
        nodes(4, 8, 8, mesh) + slots + "[fabric.single-switch]\n",
        nodes(3, 8, 4, &format!("{tree}peer_to_peer = false\n"))
            + slots
            + "[fabric.single-switch]\n",
        nodes(6, 4, 4, SWITCHED)
            + &format!("[fabric.clos]\nnodes_per_leaf = 2\nuplink = {{ {up} }}\n"),
        nodes(8, 4, 4, SWITCHED)
            + &format!(
                "[fabric.clos]\nnodes_per_leaf = 1\nuplink = {{ {up} }}\npod = {{ leaves = 2, {up} }}\n"
            ),
        bare(64, 1, "")
            + "[fabric.torus]\ndims = [4, 4, 4]\nbandwidth = \"9 GB/s\"\nlatency = \"1 us\"\n",
        bare(3, 5, "")
            + "[fabric.torus]\ndims = [5, 3]\nbandwidth = \"9 GB/s\"\nlatency = \"1 us\"\n",
        bare(12, 1, "") + "[fabric.full-mesh]\nbandwidth = \"9 GB/s\"\nlatency = \"1 us\"\n",
        bare(24, 1, "")
            + "[fabric.hyperx]\ndims = [2, 3, 4]\nbandwidth = \"9 GB/s\"\nlatency = \"1 us\"\n",
        nodes(4, 6, 6, SWITCHED)
            + "[fabric.hyperx]\ndims = [2, 3]\nterminals = 4\nbandwidth = \"9 GB/s\"\nlatency = \"1 us\"\n",
        HEAD.to_owned()
            + "[graph]\ngpus = 3\nswitches = [\"s\"]\nlinks = [\n\
               { from = \"gpu0\", to = \"s\", bandwidth = \"9 GB/s\", latency = \"1 us\", class = \"nvlink\" },\n\
               { from = \"gpu1\", to = \"s\", bandwidth = \"9 GB/s\", latency = \"1 us\", class = \"nvlink\" },\n\
               { from = \"gpu2\", to = \"gpu1\", bandwidth = \"9 GB/s\", latency = \"1 us\", class = \"nvlink\" },\n]\n",
    ];
    for family in ["rail-optimized", "rail-only"] {
        for leaf in [2, 6] {
            all.push(
                nodes(6, 4, 4, SWITCHED)
                    + &format!("[fabric.{family}]\nnodes_per_leaf = {leaf}\nuplink = {{ {up} }}\n"),
            );
        }
    }
    for spread in ["spray", "ecmp"] {
        all.push(
            nodes(6, 4, 4, SWITCHED)
                + &format!(
                    "[fabric.multi-plane]\nnodes_per_leaf = 2\nplanes = 2\nspread = \"{spread}\"\n\
                     uplink = {{ {up} }}\n"
                ),
        );
    }
    for detour in ["minimal", "valiant"] {
        for (groups, globals) in [(9, 2), (5, 2), (3, 1)] {
            all.push(
                nodes(groups * 2, 4, 4, SWITCHED)
                    + &format!(
                        "[fabric.dragonfly]\nports_per_router = 2\nrouters_per_group = 4\n\
                         globals_per_router = {globals}\ndetour = \"{detour}\"\nlocal = {LINK}\n\
                         global = {LINK}\n"
                    ),
            );
        }
        all.push(
            nodes(8, 4, 4, SWITCHED)
                + &format!(
                    "[fabric.dragonfly-plus]\ngroups = 4\nports_per_leaf = 4\ndetour = \"{detour}\"\n\
                     uplink = {{ lanes = 4, lane_bandwidth = \"50 GB/s\", latency = \"1 us\" }}\n\
                     global = {{ lanes = 2, lane_bandwidth = \"50 GB/s\", latency = \"1 us\" }}\n"
                ),
        );
    }
    all
}

fn walk_every_route(topology: &Topology) {
    let mut route = Vec::new();
    for from in (0..topology.gpus()).map(GpuId) {
        for to in (0..topology.gpus()).map(GpuId) {
            topology.route(from, to, &mut route);
            let mut here = VertexId(from.0);
            let mut seen = route.clone();
            for link in &route {
                let link = topology.links()[link.index()];
                assert_eq!(link.from, here, "{from:?} to {to:?} on {}", topology.family());
                here = link.to;
            }
            assert_eq!(here, VertexId(to.0), "{from:?} to {to:?} on {}", topology.family());
            seen.sort();
            seen.dedup();
            assert_eq!(seen.len(), route.len(), "a link is crossed twice on {}", topology.family());
        }
    }
}

#[test]
fn every_route_of_every_family_is_a_walk_from_end_to_end() {
    for text in families() {
        walk_every_route(&topology(&text));
    }
}

/// With NICs down routes are walks all the same, and none crosses a port that is down.
#[test]
fn routes_lead_around_nics_that_are_down() {
    let mut found = 0;
    for text in families() {
        let whole = topology(&text);
        let ports: Vec<LinkId> = (0..whole.links().len() as u32)
            .map(LinkId)
            .filter(|link| whole.links()[link.index()].class == LinkClass::Nic)
            .collect();
        let Some(&last) = ports.last() else { continue };
        let Ok(damaged) = whole.clone().with_failed(&[ports[2], last]) else {
            assert!(!text.contains("[nodes.nic]"), "{text}");
            continue;
        };
        found += 1;
        walk_every_route(&damaged);
        let down: Vec<LinkId> = damaged.sick_links().map(|(link, _)| link).collect();
        assert!(down.contains(&last) && down.len() >= 4, "{down:?}");
        let mut route = Vec::new();
        for (from, to) in pairs(&damaged) {
            damaged.route(from, to, &mut route);
            assert!(!route.iter().any(|link| down.contains(link)), "{from:?} to {to:?}: {text}");
        }
    }
    assert!(found > 15, "{found} clusters with NICs");
}

fn pairs(topology: &Topology) -> impl Iterator<Item = (GpuId, GpuId)> {
    let gpus = topology.gpus();
    (0..gpus * gpus).map(move |pair| (GpuId(pair / gpus), GpuId(pair % gpus)))
}

/// One neighbour carries what the NIC that is down would, and every other NIC what it did.
#[test]
fn the_next_nic_carries_twice_as_much() {
    let source = built_in_topology("a100-4x8").expect("built in");
    let whole = read_topology(&source).unwrap_or_else(|e| panic!("{e}"));
    let port = |nic: u32| whole.link_named(&format!("nic{nic}:leaf{}", nic % 8)).expect("a port");
    let damaged = whole.clone().with_failed(&[port(11)]).expect("others are up");
    let crossing = |topology: &Topology, nic: u32| {
        let mut route = Vec::new();
        let crosses = |&(from, to): &(GpuId, GpuId)| {
            topology.route(from, to, &mut route);
            route.contains(&port(nic))
        };
        pairs(topology).filter(crosses).count()
    };
    for nic in 0..32 {
        let (before, after) = (crossing(&whole, nic), crossing(&damaged, nic));
        let times = match nic {
            11 => 0,
            12 => 2,
            _ => 1,
        };
        assert_eq!(after, times * before, "NIC {nic}");
    }
    let rate = |topology: &Topology| topology.ring_rate().expect("NICs");
    assert!((rate(&damaged) / rate(&whole) - 7.0 / 8.0).abs() < 1e-12);
    // Rings leave out a NIC that is slower than what its absence costs, and no other.
    for (left, wanted) in [(0.5, 7.0 / 8.0), (0.95, 0.95)] {
        let sick = BTreeMap::from([(whole.link_name(port(11)), left)]);
        let sick = whole.clone().with_health(&sick).expect("its name");
        assert!((rate(&sick) / rate(&whole) - wanted).abs() < 1e-12, "{left} left");
    }
}

/// A port that flaps is down in its share of the seeds, each seed finds it the same way again, and a second one changes
/// nothing for the first.
#[test]
fn ports_that_flap_are_down_in_their_share_of_seeds() {
    let source = built_in_topology("a100-4x8").expect("built in");
    let whole = read_topology(&source).unwrap_or_else(|e| panic!("{e}"));
    let port = |name: &str| whole.link_named(name).expect("a port");
    let [one, other] = ["nic3:leaf3", "leaf2:nic10"].map(port);
    let flapping = |shares: &[(LinkId, f64)]| {
        whole.clone().with_flapping(shares.iter().copied().collect()).expect("others are up")
    };
    let (alone, both) = (flapping(&[(one, 0.3)]), flapping(&[(one, 0.3), (other, 0.5)]));
    let is_down = |topology: &Topology, seed: u64, link: LinkId| {
        topology.drawn(Streams::new(seed)).links()[link.index()].health == 0.0
    };
    let seeds = 0..2000_u64;
    let down = seeds.clone().filter(|&seed| is_down(&alone, seed, one)).count();
    assert!((540..660).contains(&down), "{down} of 2000, not 600");
    for seed in seeds.take(200) {
        assert_eq!(is_down(&alone, seed, one), is_down(&both, seed, one), "seed {seed}");
    }
    assert!(alone.links()[one.index()].health > 0.0);
}

/// All NICs of a node may flap: a seed that would find them all down at once draws again.
#[test]
fn what_flaps_never_cuts_a_node_off() {
    let source = built_in_topology("a100-4x8").expect("built in");
    let whole = read_topology(&source).unwrap_or_else(|e| panic!("{e}"));
    let port = |nic: u32| whole.link_named(&format!("nic{nic}:leaf{nic}")).expect("a port");
    let shares: BTreeMap<LinkId, f64> = (0..8).map(|nic| (port(nic), 0.9)).collect();
    let flapping = whole.clone().with_flapping(shares).expect("each may be down");
    for seed in 0..100 {
        let down = flapping.drawn_down(Streams::new(seed));
        assert!(down.len() < 8, "seed {seed}");
        assert_eq!(flapping.drawn(Streams::new(seed)).sick_links().count(), 2 * down.len());
    }
    // One NIC for a whole node cannot flap.
    let others: Vec<LinkId> = (1..8).map(port).collect();
    let alone = whole.clone().with_failed(&others).expect("one is up");
    assert!(alone.with_flapping(BTreeMap::from([(port(0), 0.1)])).is_err());
}

#[test]
fn every_built_in_topology_is_named_as_its_file_and_walks() {
    for (name, _) in built_in_topologies() {
        let built_in = built_in_topology(name).expect("it is listed");
        let topology = read_topology(&built_in).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(topology.name(), *name);
        if topology.gpus() <= 1024 {
            walk_every_route(&topology);
        }
    }
}

#[test]
fn links_to_and_fro_are_neighbours_and_graphs_are_petgraphs() {
    let text = families().remove(3);
    let topology = topology(&text);
    for pair in topology.links().chunks(2) {
        assert_eq!((pair[0].from, pair[0].to), (pair[1].to, pair[1].from));
    }
}
