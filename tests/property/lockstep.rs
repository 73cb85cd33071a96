//! Groups in lockstep are accounted for as by events: an observed run has events, one that nobody watches has none.

use moesim::base::units::{Bytes, SimDuration};
use moesim::execution::Scope;
use moesim::execution::cost::Overheads;
use moesim::execution::lowering::SampledSteps;
use moesim::execution::machine::{Fact, Observer};
use moesim::execution::run::{Inputs, simulate, simulate_observed};
use proptest::prelude::*;

use crate::common::{ideal, roofline, topology, workload};

/// Counts the facts it is told.
#[derive(Default)]
struct Watching(usize);

impl Observer for Watching {
    fn observe(&mut self, _: Fact) {
        self.0 += 1;
    }
}

const LOOP: Overheads = Overheads {
    traffic_factor: 1.0,
    slot_traffic: Bytes(10_000),
    expert_visit: SimDuration::from_ps(3_000_000),
    layer: SimDuration::from_ps(5_000_000),
    overlap: 1.5,
};

/// Experts counted alone: of a loop or grouped, in stages, at a pace of each GPU, all of them or a sample.
fn lines() -> impl Strategy<Value = Vec<String>> {
    let execution = prop_oneof![Just("grouped"), Just("sequential")];
    let numbers =
        (1..4_u32, 1..5_u32, prop_oneof![Just(1), Just(2)], prop_oneof![Just(2), Just(4)]);
    let slots = prop_oneof![Just("drop"), Just("drop-and-pad"), Just("dropless")];
    (execution, numbers, slots, 0.0..1.0).prop_map(
        |(execution, (layers, micro_batches, stages, group), slots, skew)| {
            let mut lines = vec![
                format!("experts.execution={execution}"),
                format!("model.layers={}", layers * stages),
                format!("batch.micro_batches={micro_batches}"),
                format!("layout.pipeline_parallel={stages}"),
                format!("layout.expert_parallel={group}"),
                format!("slots.policy={slots}"),
                format!("gate.popularity_sd={skew}"),
                "experts.zero=1".to_owned(),
                "experts.constant=1".to_owned(),
                "experts.tau=0.5".to_owned(),
            ];
            if slots != "dropless" {
                lines.push("slots.factor=1.1".to_owned());
            }
            lines
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn nothing_tells_lockstep_from_events(
        lines in lines(),
        seed in any::<u64>(),
        jitter in prop_oneof![Just(0.0), Just(0.2)],
        sampled in any::<bool>(),
    ) {
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let (cluster, load) = (topology(&["nodes.gpus_per_node=8"]), workload(&lines));
        let kernels = roofline(100.0, 1000.0);
        let rounds = load.layers_per_gpu();
        let steps = SampledSteps::of_micro_batches(&[0], [load.batch.micro_batches, rounds]);
        let inputs = Inputs {
            jitter,
            overheads: LOOP,
            steps: sampled.then_some(&steps),
            ..ideal(&cluster, &load, &kernels, Scope::Experts)
        };
        let mut watching = Watching::default();
        let mut by_events = simulate_observed(&inputs, seed, Some(&mut watching)).expect("short");
        prop_assert!(watching.0 > 0);
        let alone = simulate(&inputs, seed).expect("short");
        // Steps of groups are planned in another order, and so is what they lose added up.
        let lost = [&alone, &by_events].map(|outcome| outcome.totals.dropped_weight);
        prop_assert!((lost[0] - lost[1]).abs() <= 1e-12 * lost[0]);
        by_events.totals.dropped_weight = alone.totals.dropped_weight;
        prop_assert_eq!(alone, by_events);
    }
}
