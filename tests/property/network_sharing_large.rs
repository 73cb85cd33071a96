//! Does sharing hold at sizes where the fast paths are taken? Up to 256 ports, against plainer engines.
//!
//! The slow twin judges exchanges of up to 128 GPUs whose flows end at few instants. Where every flow
//! ends at its own, the engine for any routes judges the one for matrices; the twin judges that on
//! sizes it can afford. A pass says that copies, buckets, squeezing and components change nothing.

use crate::plain::assert_close;
use moesim::base::units::LinkId;
use moesim::network::fluid::{
    CapacityChange, Choice, Engine, Problem, Solution, certificate, drain, solve,
};
use proptest::prelude::*;

fn with(problem: &Problem, engine: Engine, epsilon: f64) -> Solution {
    let choice = Choice { engine: Some(engine), epsilon, ..Choice::default() };
    solve(problem, &choice).unwrap_or_else(|e| panic!("{e}"))
}

/// The flows of an exchange, from a matrix of bytes: rows are ports out, columns ports in.
fn exchange(capacity: &[f64], cols: usize, bytes: impl Iterator<Item = f64>) -> Problem {
    let rows = capacity.len() - cols;
    let mut problem = Problem::new(capacity.to_vec());
    for (cell, bytes) in bytes.enumerate().filter(|&(_, bytes)| bytes > 0.0) {
        let route = [LinkId((cell / cols) as u32), LinkId((rows + cell % cols) as u32)];
        problem.add(&route, bytes, 0.0);
    }
    problem
}

/// The same problem in a form that the engine for matrices does not take: a link's capacity "changes"
/// to what it is, long after everything has ended.
fn not_as_a_matrix(problem: &Problem) -> Problem {
    let mut other = problem.clone();
    let capacity = problem.capacities()[0];
    other.change(CapacityChange { at_s: 1e12, link: LinkId(0), capacity });
    other
}

/// Problems that share no link, as one; `start_s` says when the flows of each start.
fn side_by_side(groups: &[Problem], start_s: impl Fn(usize, &Problem) -> f64) -> Problem {
    let capacity = groups.iter().flat_map(|group| group.capacities().iter().copied());
    let mut problem = Problem::new(capacity.collect());
    let mut first = 0;
    for (n, group) in groups.iter().enumerate() {
        for flow in 0..group.flows() {
            let route = group.route(flow).iter().map(|link| LinkId(first + link.0));
            let route: Vec<LinkId> = route.collect();
            problem.add(&route, group.bytes(flow), start_s(n, group));
        }
        first += group.capacities().len() as u32;
    }
    problem
}

/// A number that looks random for each cell.
fn mixed(seed: u64, cell: usize) -> u64 {
    let mut x = seed ^ (cell as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}

/// Ports of a few speeds and flows of a few sizes, some silent, and some flows of their own size: many
/// ties, few instants, up to 256 ports.
fn few_instants() -> impl Strategy<Value = Problem> {
    let side = 33..=128_usize;
    (side.clone(), side, any::<u64>(), 1..4_u64, 1..4_u64, 0..24_usize).prop_map(
        |(rows, cols, seed, speeds, sizes, odd)| {
            let speed = |port| 1e5 * (1 + mixed(seed, port) % speeds) as f64;
            let capacity: Vec<f64> = (0..rows + cols).map(speed).collect();
            let size = move |cell| match mixed(seed, cell + 100_000) {
                lot if lot % 8 == 0 => 0.0,
                lot if cell % (rows * cols / (odd + 1) + 1) == 7 => 1.0 + (lot % 99_991) as f64,
                lot => 65_536.0 * (1 + lot / 8 % sizes) as f64,
            };
            exchange(&capacity, cols, (0..rows * cols).map(size))
        },
    )
}

/// Every size different, ports whose speeds span `octaves`, a share of the cells silent.
fn all_different(most: usize, octaves: i32) -> impl Strategy<Value = Problem> {
    let side = 20..=most;
    (side.clone(), side, any::<u64>(), 0..3_u64).prop_map(move |(rows, cols, seed, silent)| {
        let share = |lot: u64| (lot >> 11) as f64 / (1_u64 << 53) as f64;
        let speed = |port| 1e5 * (share(mixed(seed, port)) * f64::from(octaves)).exp2();
        let capacity: Vec<f64> = (0..rows + cols).map(speed).collect();
        let size = move |cell| {
            let lot = mixed(seed, cell + 100_000);
            if lot % 4 < silent { 0.0 } else { 1e4 * (4.0 * share(lot)).exp2() }
        };
        exchange(&capacity, cols, (0..rows * cols).map(size))
    })
}

/// Sizes within a few per cent of each other and ports of one speed or two.
fn nearly_alike() -> impl Strategy<Value = Problem> {
    (2..24_usize, any::<u64>(), 0..5_u64, any::<bool>()).prop_map(|(n, seed, spread, two)| {
        let speed = |port| if two && mixed(seed, port).is_multiple_of(2) { 2e5 } else { 1e5 };
        let capacity: Vec<f64> = (0..2 * n).map(speed).collect();
        let size = |cell: usize| {
            let alike = 1e6 + (mixed(seed, cell) % (1 + spread * 10_000)) as f64;
            if cell / n == cell % n { 0.0 } else { alike }
        };
        exchange(&capacity, n, (0..n * n).map(size))
    })
}

/// Up to 60 links of which a flow crosses one to three neighbours, so that components meet and part
/// again; starts and sizes on a grid where `grid` says so, so that events fall together.
fn scattered() -> impl Strategy<Value = Problem> {
    (20..60_usize, 60..160_usize, any::<u64>(), any::<bool>()).prop_map(
        |(links, flows, seed, grid)| {
            let share = |lot: u64| (lot >> 11) as f64 / (1_u64 << 53) as f64;
            let mut problem = Problem::new(vec![1e5; links]);
            for flow in 0..flows {
                let lot = |salt: usize| mixed(seed, flow * 8 + salt);
                let first = lot(0) as usize % links;
                let route: Vec<LinkId> = (0..1 + lot(1) as usize % 3)
                    .map(|hop| LinkId(((first + hop) % links) as u32))
                    .collect();
                let (bytes, start) = if grid {
                    (5e4 * (1 + lot(2) % 4) as f64, 0.5 * (lot(3) % 8) as f64)
                } else {
                    (1e3 + 2e5 * share(lot(2)), 4.0 * share(lot(3)))
                };
                problem.add(&route, bytes, start);
            }
            problem
        },
    )
}

/// No link has carried more by any instant than it could since its first flow started.
fn assert_no_link_overfull(
    problem: &Problem,
    finish_s: &[f64],
    slack: f64,
) -> Result<(), TestCaseError> {
    for link in 0..problem.capacities().len() {
        let here = |flow: &usize| problem.route(*flow).contains(&LinkId(link as u32));
        let mut flows: Vec<usize> = (0..problem.flows()).filter(here).collect();
        flows.sort_by(|&a, &b| finish_s[a].total_cmp(&finish_s[b]));
        let first = flows.iter().map(|&f| problem.start_s(f)).fold(f64::INFINITY, f64::min);
        let mut network_report = 0.0;
        for &flow in &flows {
            network_report += problem.bytes(flow);
            // What is `slack` late elsewhere may be `slack` early here.
            let could = problem.capacities()[link] * (finish_s[flow] * (1.0 + slack) - first);
            prop_assert!(
                network_report <= could * (1.0 + 1e-9),
                "link {link} carried {network_report} by {}, and can {could}",
                finish_s[flow]
            );
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn large_exchanges_are_shared_as_by_the_slow_twin(problem in few_instants()) {
        let want = crate::plain::finish_times(&problem);
        assert_close(&with(&problem, Engine::Exact, 0.01).finish_s, &want, 1e-8)?;
        assert_close(&with(&problem, Engine::Quantised, 0.01).finish_s, &want, 0.01)?;
        assert_close(&with(&problem, Engine::Quantised, 0.001).finish_s, &want, 0.001)?;
    }

    /// Ports up to a million times faster than others: levels leave the buckets of `fluid::order`.
    #[test]
    fn matrices_are_shared_as_any_routes_are(
        problem in prop_oneof![all_different(64, 0), all_different(64, 2), all_different(40, 20)],
    ) {
        let want = with(&not_as_a_matrix(&problem), Engine::Exact, 0.01).finish_s;
        assert_close(&with(&problem, Engine::Exact, 0.01).finish_s, &want, 1e-8)?;
        for epsilon in [0.01, 0.001] {
            assert_close(&with(&problem, Engine::Quantised, epsilon).finish_s, &want, epsilon)?;
        }
    }

    /// Groups that share nothing, of which few can end last: the makespan alone is that of all.
    #[test]
    fn parts_that_cannot_end_last_are_left_out(
        groups in proptest::collection::vec(all_different(24, 1), 20..40), later in 0..3_u32,
    ) {
        // Some groups start when others are half done, or long after.
        let start_s = |n: usize, group: &Problem| {
            if n % 7 == 3 { f64::from(later) * drain(group).makespan_s / 2.0 } else { 0.0 }
        };
        let problem = side_by_side(&groups, start_s);
        let all = solve(&problem, &Choice::default()).unwrap();
        let only = solve(&problem, &Choice { makespan_only: true, ..Choice::default() }).unwrap();
        assert_close(&[only.makespan_s], &[all.makespan_s], 0.01)?;
        prop_assert!(only.distinct_parts < all.parts && only.finish_s.is_empty());
    }

    /// Parts that are solved two at a time end as each does by itself, to the last bit.
    #[test]
    fn parts_are_solved_together_as_alone(
        groups in proptest::collection::vec(all_different(40, 1), 4..8),
    ) {
        let together = with(&side_by_side(&groups, |_, _| 0.0), Engine::Quantised, 0.01).finish_s;
        let alone = groups.iter().flat_map(|group| with(group, Engine::Quantised, 0.01).finish_s);
        prop_assert_eq!(together, alone.collect::<Vec<_>>());
    }

    #[test]
    fn any_routes_are_shared_as_by_the_slow_twin(problem in scattered()) {
        let want = crate::plain::finish_times(&problem);
        assert_close(&with(&problem, Engine::Exact, 0.01).finish_s, &want, 1e-8)?;
        assert_close(&with(&problem, Engine::Quantised, 0.01).finish_s, &want, 0.01)?;
    }

    /// Bytes are conserved: what has arrived has crossed every link of its route in the time there was.
    #[test]
    fn no_link_carries_more_than_it_can(
        problem in prop_oneof![all_different(40, 2), few_instants(), scattered()],
    ) {
        for (engine, slack) in [
            (Engine::Exact, 1e-9), (Engine::Quantised, 0.01), (Engine::ClosedForm, 1e-9),
        ] {
            assert_no_link_overfull(&problem, &with(&problem, engine, 0.01).finish_s, slack)?;
        }
    }

    /// Other numbers for GPUs and flows: the same times for the same flows.
    #[test]
    fn numbering_does_not_matter(problem in all_different(40, 2), seed in any::<u64>()) {
        let shuffled = |length: usize, salt: u64| {
            let mut order: Vec<usize> = (0..length).collect();
            order.sort_by_key(|&n| mixed(seed ^ salt, n));
            order
        };
        let (links, flows) =
            (shuffled(problem.capacities().len(), 1), shuffled(problem.flows(), 2));
        let mut renumbered =
            Problem::new(links.iter().map(|&link| problem.capacities()[link]).collect());
        let mut new_number = vec![0; links.len()];
        for (new, &old) in links.iter().enumerate() {
            new_number[old] = new as u32;
        }
        for &flow in &flows {
            let route = problem.route(flow).iter().map(|link| LinkId(new_number[link.index()]));
            renumbered.add(&route.collect::<Vec<_>>(), problem.bytes(flow), 0.0);
        }
        for (engine, tolerance) in [
            (Engine::Exact, 1e-8), (Engine::Quantised, 0.01), (Engine::ClosedForm, 1e-9),
        ] {
            let times = with(&problem, engine, 0.01).finish_s;
            let want: Vec<f64> = flows.iter().map(|&flow| times[flow]).collect();
            assert_close(&with(&renumbered, engine, 0.01).finish_s, &want, tolerance)?;
        }
    }

    /// Bytes and capacities in other units, time in others still. A factor of two rounds nothing.
    #[test]
    fn units_do_not_matter(
        problem in prop_oneof![all_different(40, 2), scattered()],
        (faster, later) in (-20..20_i32, -20..20_i32),
    ) {
        let (faster, later) = (f64::from(faster).exp2(), f64::from(later).exp2());
        let mut scaled =
            Problem::new(problem.capacities().iter().map(|c| c * faster).collect());
        for flow in 0..problem.flows() {
            let bytes = problem.bytes(flow) * faster * later;
            scaled.add(problem.route(flow), bytes, problem.start_s(flow) * later);
        }
        for engine in [Engine::Exact, Engine::Quantised, Engine::ClosedForm] {
            let want: Vec<f64> =
                with(&problem, engine, 0.01).finish_s.iter().map(|t| t * later).collect();
            assert_close(&with(&scaled, engine, 0.01).finish_s, &want, 1e-9)?;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// The closed form is never late, and early by no more than its certificate says.
    #[test]
    fn the_certificate_keeps_its_word(
        problem in prop_oneof![all_different(28, 0), all_different(28, 2), nearly_alike()],
    ) {
        let drained = drain(&problem);
        let certificate = certificate(&problem, &drained);
        let exact = with(&problem, Engine::Exact, 0.01).makespan_s;
        let early = 1.0 - drained.makespan_s / exact;
        prop_assert!(early >= -1e-9, "{early} late");
        if let Some(bound) = certificate.known_error().bound() {
            prop_assert!(early <= bound, "{early} early with {certificate:?}");
        }
    }
}

/// Where all flows are alike the certificate is a proof; behind a narrow link in the middle it is not given.
#[test]
fn certificates_are_given_where_they_should_be() {
    let even = exchange(&[1e5; 16], 8, (0..64).map(|cell| f64::from(cell / 8 != cell % 8) * 1e6));
    let of = |problem: &Problem| certificate(problem, &drain(problem));
    assert!(of(&even).holds() && of(&even).even < 1e-9, "{:?}", of(&even));
    // So many flows that no single one weighs much.
    let mut capacity = vec![1e5; 33];
    capacity[32] = 8e5;
    let mut uneven = Problem::new(capacity);
    for cell in 0..256 {
        let route = [LinkId(cell / 16), LinkId(32), LinkId(16 + cell % 16)];
        uneven.add(&route, 1e6 + f64::from(cell % 7) * 4e5, 0.0);
    }
    assert!(!of(&uneven).holds() && of(&uneven).largest < 0.008, "{:?}", of(&uneven));
    let mut late = even.clone();
    late.add(&[LinkId(0), LinkId(8)], 1e6, 50.0);
    assert!(!of(&late).holds(), "{:?}", of(&late));
    let mut slow = even;
    slow.set_ceiling(moesim::base::units::FlowId(3), 1e3);
    assert!(!of(&slow).holds(), "{:?}", of(&slow));
}

/// Ten parts drain later than one that ends later than it drains, and than they.
#[test]
fn a_part_that_ends_late_is_solved_though_others_drain_later() {
    let uneven = |seed: u64| {
        let size = move |cell| 1e4 * (1 + mixed(seed, cell) % 9) as f64;
        exchange(&[1e5; 8], 4, (0..16).map(size))
    };
    let late = |group: &Problem| with(group, Engine::Exact, 0.01).makespan_s;
    let by = |group: &Problem| late(group) / drain(group).makespan_s;
    let latest = (0..1000).map(uneven).max_by(|a, b| by(a).total_cmp(&by(b))).unwrap();
    assert!(by(&latest) > 1.05, "{}", by(&latest));
    let bytes = 1.02 * drain(&latest).makespan_s * 1e5;
    let one = || exchange(&[1e5; 2], 1, std::iter::once(bytes));
    let groups: Vec<Problem> = (0..10).map(|_| one()).chain([latest]).collect();
    let problem = side_by_side(&groups, |_, _| 0.0);
    let only = solve(&problem, &Choice { makespan_only: true, ..Choice::default() }).unwrap();
    assert_close(&[only.makespan_s], &[late(&groups[10])], 1e-9).unwrap();
}
