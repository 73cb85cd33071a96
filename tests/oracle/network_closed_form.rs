//! Is the closed form right where paper gives the answer?
//!
//! A pass says that bytes are counted on the right ports and times are those of the formula. It
//! does not say how far the formula is from shared links; the flow engines' tests do.

use moesim::base::units::{Bytes, GpuId, SimDuration, SimTime};
use moesim::config::{built_in_topology, read_topology};
use moesim::network::{ClosedForm, Delivery, Exchange, ExchangeId, Network, NetworkRates, Startup};
use moesim::topology::{LinkClass, Topology};

fn built_in(name: &str) -> Topology {
    read_topology(&built_in_topology(name).unwrap()).unwrap()
}

/// Deliveries of one exchange whose members all join at zero.
fn deliveries(
    topology: &Topology,
    rates: NetworkRates,
    members: &[u32],
    bytes: impl Fn(usize, usize) -> u64,
) -> Vec<Delivery> {
    let ranks = members.len();
    let cells = (0..ranks * ranks).map(|cell| Bytes(bytes(cell / ranks, cell % ranks))).collect();
    let exchange = Exchange::new(members.iter().map(|&gpu| GpuId(gpu)).collect(), cells);
    let mut network = ClosedForm::new(topology, rates);
    network.open(ExchangeId(0), exchange);
    for rank in 0..ranks {
        assert_eq!(network.next_delivery(), None, "nothing moves before the last has joined");
        network.join(SimTime::ZERO, ExchangeId(0), rank);
    }
    let mut delivered = Vec::new();
    while let Some(at) = network.next_delivery() {
        network.deliver(at, &mut delivered);
    }
    assert_eq!(delivered.len(), ranks);
    delivered
}

const NO_STARTUP: Startup = Startup::fixed(SimDuration::ZERO);
const PORTS_ONLY: NetworkRates =
    NetworkRates { within_node: NO_STARTUP, across_nodes: NO_STARTUP, ..NetworkRates::IDEAL };

/// Eight GPUs, 3 MB to each other: each port carries 21 MB at 300 GB/s, 70 us.
#[test]
fn uniform_all_to_all_in_a_node_is_bound_by_the_nvlink_port() {
    let topology = built_in("a100-4x8");
    for delivery in deliveries(&topology, PORTS_ONLY, &[0, 1, 2, 3, 4, 5, 6, 7], |_, _| 3_000_000) {
        assert_eq!(delivery.at.ps(), 70_000_000);
    }
}

/// 32 GPUs, 1 MB to each other: each NIC carries 24 MB at 25 GB/s, 960 us; with four NICs per node
/// two GPUs share one, 1920 us.
#[test]
fn uniform_all_to_all_across_nodes_is_bound_by_the_nic() {
    let everyone: Vec<u32> = (0..32).collect();
    for (name, us) in [("a100-4x8", 960), ("a100-4x8-shared-nics", 1920)] {
        for delivery in deliveries(&built_in(name), PORTS_ONLY, &everyone, |_, _| 1_000_000) {
            assert_eq!(delivery.at.ps(), us * 1_000_000, "{name}");
        }
    }
}

#[test]
fn incast_is_bound_by_the_receiver_and_the_idle_wait_for_nobody() {
    let topology = built_in("h100-4x8-rail");
    let members = [0, 8, 16, 24];
    let to_first = |from: usize, to: usize| u64::from(from < 3 && to == 0) * 50_000_000;
    for delivery in deliveries(&topology, PORTS_ONLY, &members, to_first) {
        // Two senders of 50 MB into one NIC of 50 GB/s; the last member has no part in it.
        let want = if delivery.rank == 3 { 0 } else { 2_000_000_000 };
        assert_eq!(delivery.at.ps(), want, "{delivery:?}");
    }
}

#[test]
fn what_stays_on_a_gpu_takes_no_network_and_no_startup() {
    let rates = NetworkRates {
        across_nodes: Startup::fixed(SimDuration::from_us(9.0)),
        ..NetworkRates::IDEAL
    };
    let own = |from: usize, to: usize| u64::from(from == to) * 1_000_000;
    for delivery in deliveries(&built_in("a100-4x8"), rates, &[0, 8, 16], own) {
        assert_eq!(delivery.at, SimTime::ZERO);
    }
}

#[test]
fn startup_ramp_efficiency_and_pair_ceiling_enter_as_written() {
    let rates = NetworkRates {
        within_node: Startup {
            alpha: Some(SimDuration::from_us(10.0)),
            per_peer: SimDuration::from_us(1.0),
            ramp: SimDuration::from_us(4.0),
            ramp_bytes: Bytes(1),
            pair_ceiling: None,
        },
        ..NetworkRates::IDEAL
    }
    .with_efficiency(LinkClass::Nvlink, 0.5);
    let topology = built_in("a100-4x8");
    let pair = |rates| deliveries(&topology, rates, &[0, 1], |_, _| 3_000_000)[0].at.ps();
    // 10 + 1 peer + the whole ramp + 3 MB at half of 300 GB/s.
    assert_eq!(pair(rates), 35_000_000);
    let mut narrow = rates;
    narrow.within_node.pair_ceiling =
        Some(moesim::base::units::Bandwidth::from_bytes_per_sec(100e9));
    assert_eq!(pair(narrow), 45_000_000);
}

#[test]
fn ideal_rates_take_the_latency_of_the_longest_route() {
    let topology = built_in("gb200-nvl72");
    let times = deliveries(&topology, NetworkRates::IDEAL, &[0, 71], |_, _| 9_000);
    // 500 ns on each side of the switch, and 9 kB at 900 GB/s.
    assert!(times.iter().all(|delivery| delivery.at.ps() == 1_010_000), "{times:?}");
}
