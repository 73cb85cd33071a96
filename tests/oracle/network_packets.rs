//! How far are fluid flows from packets?
//!
//! A pass says that on the same all-to-alls a good packet transport takes a few percent longer than
//! shared flows, never less: what `fluid` says it leaves out. It does not say that any transport does.
//!
//! The stored makespans are htsim's (Broadcom/csg-htsim 841d9e7), NDP with `-strat perm -cwnd 50 -q 100
//! -linkspeed 400000`, packets of 9000 bytes, on a two-tier leaf-spine at full bisection: 400 Gb/s a
//! host, 1 us a hop, every ordered pair of hosts. It printed the same on every run.

use moesim::base::units::{Bytes, LinkId};
use moesim::network::fluid::{Choice, Engine, Problem, solve};
use moesim::network::traffic::{Pattern, PatternKind, generate};

/// Hosts, whether sizes are `zipf16`, and NDP's makespan in us.
const NDP: [(u32, bool, f64); 9] = [
    (8, false, 159.5),
    (8, true, 221.3),
    (16, false, 333.4),
    (16, true, 527.6),
    (32, false, 680.3),
    (32, true, 1133.2),
    (64, false, 1375.8),
    (64, true, 2047.3),
    (128, false, 2824.9),
];

/// One port out and one in for each host, 50 GB/s, over a fabric that does not bind.
fn makespan_us(hosts: u32, zipf16: bool) -> f64 {
    let kind = if zipf16 { PatternKind::Zipf16 } else { PatternKind::Uniform };
    let (gpus, group, mean) = (hosts, hosts, Bytes(1 << 20));
    let pattern = Pattern { kind, gpus, group, mean, sigma: 0.5, seed: 1 };
    let mut problem = Problem::new(vec![50e9; 2 * hosts as usize]);
    for transfer in generate(&pattern).unwrap().iter() {
        let route = [LinkId(transfer.source), LinkId(hosts + transfer.destination)];
        problem.add(&route, transfer.bytes.0 as f64, 0.0);
    }
    let choice = Choice { engine: Some(Engine::Exact), ..Choice::default() };
    solve(&problem, &choice).unwrap().makespan_s * 1e6
}

#[test]
fn packets_take_three_to_nine_percent_longer_and_never_less() {
    for (hosts, zipf16, ndp) in NDP {
        let ours = makespan_us(hosts, zipf16);
        let above = ndp / ours - 1.0;
        assert!((0.03..=0.09).contains(&above), "{hosts} hosts: {ours} us, NDP {ndp}: {above}");
    }
}
