//! How fast is the core? Events through the calendar, and operations run to a barrier.
//!
//! ```text
//! cargo bench --bench core
//! ```
//!
//! Targets on one core of a small machine: 10 M events/s with 10⁴ pending, 200 M operations/s.

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use moesim::base::units::{SimDuration, SimTime};
use moesim::execution::blame::{Blame, Op, Reason, run_to_barrier};
use moesim::execution::calendar::Calendar;

fn main() {
    divan::main();
}

/// A cheap source of increments, so that what is timed is the calendar.
fn next(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

const HOLDS: u64 = 1_000_000;

/// The hold model: take the next event out, put another in, the number pending constant.
#[divan::bench(args = [100, 10_000, 1_000_000])]
fn calendar_hold(bencher: Bencher<'_, '_>, pending: u64) {
    bencher
        .counter(ItemsCount::new(HOLDS))
        .with_inputs(|| {
            let (mut calendar, mut state) = (Calendar::new(), 88_172_645_463_325_252);
            for event in 0..pending {
                calendar.schedule().at(SimTime::from_ps(next(&mut state) >> 40), event);
            }
            (calendar, state)
        })
        .bench_local_values(|(mut calendar, mut state)| {
            for _ in 0..HOLDS {
                let event = calendar.next().expect("pending");
                let delay = SimDuration::from_ps(next(&mut state) >> 40);
                calendar.schedule().after(delay, event);
            }
            calendar.now()
        });
}

/// Own work of one GPU: eight operations between two synchronisations, over and over.
#[divan::bench]
fn run_to_barrier_ops(bencher: Bencher<'_, '_>) {
    let ops: Vec<Op> = (0..8)
        .map(|i| Op { reason: Reason::ALL[i], time: SimDuration::from_ps(1_000 + i as u64) })
        .collect();
    let stretches = 1_000_000;
    bencher.counter(ItemsCount::new(8 * stretches as u64)).bench_local(|| {
        let (mut clock, mut blame) = (SimTime::ZERO, Blame::default());
        for _ in 0..stretches {
            clock = run_to_barrier(clock, black_box(&ops), &mut blame);
        }
        (clock, blame)
    });
}
