//! What share of its bandwidth has a link when, whatever is said of its health?
//!
//! A pass says that the capacities that engines are given are those of a plain reckoning: at every instant the least share
//! that holds then. It does not say how engines share them.

use moesim::base::units::LinkId;
use moesim::config::{built_in_topology, read_topology};
use moesim::network::fluid::Problem;
use moesim::network::traffic::Traffic;
use moesim::network::{LinkDegradation, Transport, build_problem};
use moesim::topology::Topology;
use proptest::prelude::*;

/// The link with a health of its own, and one in full health.
const LINKS: [u32; 2] = [3, 5];
const OWN: f64 = 0.6;

fn cluster() -> Topology {
    let source = built_in_topology("a100-4x8").expect("it is built in");
    let topology = read_topology(&source).expect("it is sound");
    let sick = [(topology.link_name(LinkId(LINKS[0])), OWN)].into();
    topology.with_health(&sick).expect("a link of this cluster")
}

/// Whole seconds, so that ends meet beginnings.
fn degradation() -> impl Strategy<Value = LinkDegradation> {
    let share = prop_oneof![Just(0.0), Just(0.2), Just(0.5), Just(1.0), 0.0..1.0];
    (0..2_usize, share, 0..6_u32, prop::option::of(1..6_u32)).prop_map(
        |(link, left, from, long)| {
            let from_s = f64::from(from);
            let until_s = long.map(|long| from_s + f64::from(long));
            LinkDegradation { link: LinkId(LINKS[link]), left, from_s, until_s }
        },
    )
}

/// A link's capacity at an instant, by the changes in the order of their times.
fn capacity_at(problem: &Problem, link: LinkId, at_s: f64) -> f64 {
    let mut own: Vec<_> = problem.changes().iter().filter(|change| change.link == link).collect();
    own.sort_by(|a, b| a.at_s.total_cmp(&b.at_s));
    let last = own.into_iter().rfind(|change| change.at_s <= at_s);
    last.map_or(problem.capacities()[link.index()], |change| change.capacity)
}

proptest! {
    #[test]
    fn at_every_instant_the_least_share_holds(
        degradations in prop::collection::vec(degradation(), 0..8),
    ) {
        let (topology, none) = (cluster(), Traffic::with_room_for(0));
        let healthy = build_problem(&topology, &none, &Transport::IDEAL, &[]);
        let problem = build_problem(&topology, &none, &Transport::IDEAL, &degradations);
        for (link, own) in LINKS.map(LinkId).into_iter().zip([OWN, 1.0]) {
            let whole = topology.links()[link.index()].bandwidth.bytes_per_sec();
            prop_assert!((healthy.capacities()[link.index()] / whole - own).abs() < 1e-12);
            for at_s in (0..48).map(|quarter| f64::from(quarter) / 4.0) {
                let mut share = own;
                for one in degradations.iter().filter(|one| one.link == link) {
                    let over = one.until_s.is_some_and(|until| at_s >= until);
                    if at_s >= one.from_s && !over && one.left < share {
                        share = one.left;
                    }
                }
                let got = capacity_at(&problem, link, at_s) / whole;
                prop_assert!((got - share).abs() < 1e-12, "{got} of {share} at {at_s} s");
                // The most it ever has, which bounds what it carries.
                prop_assert!(got <= problem.capacities()[link.index()] / whole + 1e-12);
            }
        }
    }
}
