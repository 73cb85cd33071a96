//! Does a timeline show what the blame table says?
//!
//! A pass says that the slices of each traced GPU cover its time without gaps and sum, by reason, to its
//! accounts to the picosecond. `tests/timeline.py` reads the written file with Perfetto's own protocol
//! buffers.

use moesim::blame::Reason;
use moesim::config::{Overrides, ScenarioSource};
use moesim::study::{self, WhatIf};
use moesim::timeline::Timeline;
use moesim::units::{GpuId, SimDuration};

#[test]
fn slices_cover_each_gpus_time_and_sum_to_its_blame() {
    let set = ["counted=model-forward", "workload.batch.micro_batches=2", "seeds=0..1"];
    let overrides = Overrides::new(set.map(str::to_owned).to_vec());
    let scenario = ScenarioSource::open("paper", overrides).unwrap().load().unwrap();
    // The 7B model has pipeline stages; the 1B model none.
    for case in [1, 3] {
        let workload = &scenario.cases[case].moepp[3];
        let gpus = [0, 5, 31].map(GpuId).to_vec();
        let mut timeline = Timeline::new(gpus.clone(), workload.layout.expert_parallel);
        let outcome = study::run_if(
            &scenario,
            workload,
            scenario.overheads,
            0,
            &WhatIf::NOTHING,
            Some(&mut timeline),
        )
        .unwrap();
        for gpu in gpus {
            let own: Vec<_> = timeline.slices().iter().filter(|slice| slice.gpu == gpu).collect();
            assert!(own.windows(2).all(|pair| pair[0].to == pair[1].from), "a gap on {gpu:?}");
            let last = own.last().map(|slice| slice.to.since_start());
            assert_eq!(last, Some(outcome.makespan));
            for reason in Reason::ALL {
                let slices = own.iter().filter(|slice| slice.reason == reason);
                let total: SimDuration = slices.map(|slice| slice.to - slice.from).sum();
                assert_eq!(total, outcome.blame[gpu.index()].of(reason), "{reason:?} on {gpu:?}");
            }
        }
    }
}
