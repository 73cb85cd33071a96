//! What becomes of a sharing of links when its problem is written in another way, or made a little larger?
//!
//! A pass says that names, order, origin of time and cuts of flows and links do not matter, and that times rise
//! with what theory says they rise with. They do not rise with everything: a faster link can delay a flow that
//! does not cross it, which is shown too, so that nobody takes it for a defect.

use crate::plain::assert_close;
use moesim::base::units::{FlowId, LinkId};
use moesim::network::fluid::{Choice, Engine, Problem, drain, solve};
use proptest::prelude::*;

/// Route, bytes, start, weight and ceiling of a flow.
#[derive(Clone, Debug)]
struct Flow {
    route: Vec<u32>,
    bytes: f64,
    start_s: f64,
    weight: f64,
    ceiling: Option<f64>,
}

fn build(capacity: &[f64], flows: &[Flow]) -> Problem {
    let mut problem = Problem::new(capacity.to_vec());
    for flow in flows {
        let route: Vec<LinkId> = flow.route.iter().map(|link| LinkId(*link)).collect();
        let id: FlowId = problem.add(&route, flow.bytes, flow.start_s);
        problem.set_weight(id, flow.weight);
        if let Some(ceiling) = flow.ceiling {
            problem.set_ceiling(id, ceiling);
        }
    }
    problem
}

fn exact(capacity: &[f64], flows: &[Flow]) -> Vec<f64> {
    let choice = Choice { engine: Some(Engine::Exact), ..Choice::default() };
    solve(&build(capacity, flows), &choice).expect("a problem of ours").finish_s
}

fn flow(links: u32) -> impl Strategy<Value = Flow> {
    let route = prop::collection::btree_set(0..links, 1..=4.min(links as usize));
    let start = prop_oneof![Just(0.0), 0.0..3.0];
    let ceiling = prop::option::weighted(0.3, 1e3..1e6);
    (route, 1.0..1e6, start, 0.2..5.0, ceiling).prop_map(
        |(route, bytes, start_s, weight, ceiling)| Flow {
            route: route.into_iter().collect(),
            bytes,
            start_s,
            weight,
            ceiling,
        },
    )
}

/// Capacities, and flows over these links.
fn tangled() -> impl Strategy<Value = (Vec<f64>, Vec<Flow>)> {
    prop::collection::vec(1e4..1e6, 1..9).prop_flat_map(|capacity| {
        let links = capacity.len() as u32;
        (Just(capacity), prop::collection::vec(flow(links), 1..24))
    })
}

/// The same whose flows start together.
fn together() -> impl Strategy<Value = (Vec<f64>, Vec<Flow>)> {
    tangled().prop_map(|(capacity, mut flows)| {
        flows.iter_mut().for_each(|flow| flow.start_s = 0.0);
        (capacity, flows)
    })
}

proptest! {
    #[test]
    fn names_of_links_do_not_matter((capacity, flows) in tangled(), seed in any::<u64>()) {
        let mut order: Vec<u32> = (0..capacity.len() as u32).collect();
        order.sort_by_key(|&link| (u64::from(link) + 1).wrapping_mul(seed | 1));
        let place = |link: u32| order.iter().position(|&own| own == link).expect("a link") as u32;
        let renamed: Vec<Flow> = flows
            .iter()
            .map(|flow| Flow { route: flow.route.iter().map(|&l| place(l)).collect(), ..flow.clone() })
            .collect();
        let of: Vec<f64> = order.iter().map(|&link| capacity[link as usize]).collect();
        assert_close(&exact(&of, &renamed), &exact(&capacity, &flows), 1e-8)?;
    }

    /// Each flow as two of half its bytes, weight and ceiling: both end with it, and nobody else notices.
    #[test]
    fn a_flow_is_its_halves((capacity, flows) in tangled(), which in any::<prop::sample::Index>()) {
        let cut = which.index(flows.len());
        let whole = &flows[cut];
        let half = Flow {
            bytes: whole.bytes / 2.0,
            weight: whole.weight / 2.0,
            ceiling: whole.ceiling.map(|ceiling| ceiling / 2.0),
            ..whole.clone()
        };
        let mut halved = flows.clone();
        halved[cut] = half.clone();
        halved.push(half);
        let mut want = exact(&capacity, &flows);
        want.push(want[cut]);
        assert_close(&exact(&capacity, &halved), &want, 1e-8)?;
    }

    /// A link in two pieces, one behind the other, and a link that is never full, change nothing.
    #[test]
    fn links_in_series_are_the_narrower((capacity, flows) in tangled(), which in any::<prop::sample::Index>()) {
        let cut = which.index(capacity.len());
        let (behind, ample) = (capacity.len() as u32, capacity.len() as u32 + 1);
        let mut pieces = capacity.clone();
        pieces.extend([capacity[cut], 1e15]);
        let longer: Vec<Flow> = flows
            .iter()
            .map(|flow| {
                let more = flow.route.contains(&(cut as u32)).then_some(behind);
                let route = flow.route.iter().copied().chain(more).chain([ample]).collect();
                Flow { route, ..flow.clone() }
            })
            .collect();
        assert_close(&exact(&pieces, &longer), &exact(&capacity, &flows), 1e-8)?;
    }

    #[test]
    fn all_that_starts_later_ends_as_much_later((capacity, flows) in tangled(), delay in 0.1..10.0_f64) {
        let later: Vec<Flow> =
            flows.iter().map(|f| Flow { start_s: f.start_s + delay, ..f.clone() }).collect();
        let want: Vec<f64> = exact(&capacity, &flows).iter().map(|end| end + delay).collect();
        assert_close(&exact(&capacity, &later), &want, 1e-8)?;
    }

    /// Until a flow of fewer bytes ends, one of more runs as it does: it cannot end earlier.
    #[test]
    fn more_bytes_end_no_earlier(
        (capacity, flows) in tangled(),
        which in any::<prop::sample::Index>(),
        factor in 1.0..4.0_f64,
    ) {
        let at = which.index(flows.len());
        let mut larger = flows.clone();
        larger[at].bytes *= factor;
        let [was, is] = [&flows, &larger].map(|flows| exact(&capacity, flows)[at]);
        prop_assert!(is >= was * (1.0 - 1e-9), "{is} with {factor} times the bytes, {was} before");
    }

    /// On one link nobody loses by a larger one; over several some can, as the test below shows.
    #[test]
    fn on_one_link_more_capacity_delays_nobody((_, flows) in tangled(), factor in 1.0..4.0_f64) {
        let flows: Vec<Flow> = flows.into_iter().map(|f| Flow { route: vec![0], ..f }).collect();
        let [was, is] = [1e5, 1e5 * factor].map(|capacity| exact(&[capacity], &flows));
        for (was, is) in was.iter().zip(is) {
            prop_assert!(is <= was * (1.0 + 1e-9), "{is} over {factor} times the link, {was} before");
        }
    }

    /// Flows that start together over one link, without ceilings, keep it full: the closed form is the truth.
    #[test]
    fn on_one_link_the_closed_form_is_exact((_, flows) in tangled(), start_s in 0.0..5.0_f64) {
        let one = |f: Flow| Flow { route: vec![0], start_s, ceiling: None, ..f };
        let flows: Vec<Flow> = flows.into_iter().map(one).collect();
        let exact = exact(&[1e5], &flows).into_iter().fold(0.0, f64::max);
        let closed = drain(&build(&[1e5], &flows)).makespan_s;
        prop_assert!((closed / exact - 1.0).abs() < 1e-9, "{closed} for {exact}");
    }

    /// The closed form rises with every flow's bytes and falls with every link's capacity, without exception.
    #[test]
    fn the_closed_form_is_monotone(
        (capacity, flows) in together(),
        which in any::<prop::sample::Index>(),
        factor in 1.0..4.0_f64,
    ) {
        let before = drain(&build(&capacity, &flows)).makespan_s;
        let mut larger = flows.clone();
        larger[which.index(flows.len())].bytes *= factor;
        prop_assert!(drain(&build(&capacity, &larger)).makespan_s >= before * (1.0 - 1e-12));
        let mut faster = capacity.clone();
        faster[which.index(capacity.len())] *= factor;
        prop_assert!(drain(&build(&faster, &flows)).makespan_s <= before * (1.0 + 1e-12));
    }
}

/// Max–min fairness gives the second flow more of the second link once the first link lets it: the third, which
/// never crosses the first link, ends later than before.
#[test]
fn a_faster_link_can_delay_who_does_not_cross_it() {
    let flow = |route: &[u32]| Flow {
        route: route.to_vec(),
        bytes: 3.0,
        start_s: 0.0,
        weight: 1.0,
        ceiling: None,
    };
    let flows = [flow(&[0]), flow(&[0, 1]), flow(&[1])];
    let [slow, fast] = [1.0, 2.0].map(|first| exact(&[first, 2.0], &flows)[2]);
    assert!((slow - 2.0).abs() < 1e-9 && (fast - 3.0).abs() < 1e-9, "{slow}, {fast}");
}
