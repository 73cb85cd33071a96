//! Do whole runs answer to what is asked of them as every machine would?
//!
//! A pass says that over the closed form faster links, shorter startups and fewer tokens never make a run longer,
//! and that the order of what a scenario lists does not matter. Over flows a faster link can delay others
//! (`network_metamorphic.rs`), so that nothing is said of those; nor is anything said of how much time changes.

use moesim::config::{CaseSpec, Overrides, Scenario, ScenarioSource, ScenarioSpec};
use moesim::execution::Scope;
use moesim::studies::study::{self, WhatIf};
use moesim::topology::ByClass;
use proptest::prelude::*;

fn scenario(tokens: u32, counted: &str) -> Scenario {
    let lines = [
        format!("counted={counted}"),
        format!("workload.batch.tokens_per_gpu={tokens}"),
        "network=closed-form".to_owned(),
        "workload.batch.micro_batches=1".to_owned(),
        "tau=[0.5]".to_owned(),
    ];
    let source = ScenarioSource::open("paper", Overrides::new(lines.to_vec())).expect("built in");
    source.load().unwrap_or_else(|mistake| panic!("{mistake}"))
}

/// Seconds of the 1B pair: vanilla, then MoE++.
fn secs(scenario: &Scenario, seed: u64, what_if: &WhatIf) -> [f64; 2] {
    let pair = &scenario.cases[1];
    [&pair.vanilla, &pair.moepp[0]].map(|workload| {
        let run = study::run_if(scenario, workload, scenario.overheads, seed, what_if, None);
        run.expect("a short run").makespan.secs()
    })
}

fn counted() -> impl Strategy<Value = &'static str> {
    prop_oneof![Just("moe-layer"), Just("model-forward")]
}

/// Seconds of one MoE layer's forward pass on four nodes with these NICs down.
fn beside_failed(nics: &[u32], skew: f64, seed: u64) -> f64 {
    let mut lines = vec![
        "network=closed-form".to_owned(),
        "workload.layout.expert_parallel=16".to_owned(),
        "workload.batch.micro_batches=1".to_owned(),
        "workload.batch.tokens_per_gpu=300".to_owned(),
        format!("workload.gate.popularity_sd={skew}"),
    ];
    lines.extend(nics.iter().map(|nic| format!("topology.health.nic{nic}:leaf{}=0", nic % 8)));
    let alone = CaseSpec { vanilla: "moe-1b".to_owned(), moepp: None };
    let seeds = "0..1".parse().expect("seeds");
    let spec = ScenarioSpec::new("t", "a100-4x8", Scope::MoeLayer, seeds, alone);
    let source = ScenarioSource::of_spec(&spec, Overrides::new(lines));
    let scenario = source.load().unwrap_or_else(|mistake| panic!("{mistake}"));
    let run = study::run(&scenario, &scenario.cases[0].vanilla, scenario.overheads, seed);
    run.expect("a short run").makespan.secs()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn nics_that_are_down_speed_no_run_up(
        seed in 0..1000_u64,
        skew in 0.0..1.5_f64,
        nics in proptest::collection::btree_set(0..32_u32, 1..6),
    ) {
        // A node keeps a NIC: of five that are down no eight are of one node.
        let nics: Vec<u32> = nics.into_iter().collect();
        let (down, up) = (beside_failed(&nics, skew, seed), beside_failed(&[], skew, seed));
        prop_assert!(down >= up * (1.0 - 1e-9), "{down} s without {nics:?}, {up} with all");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn faster_links_and_shorter_startups_delay_no_run(
        seed in 0..1000_u64,
        tokens in 64..600_u32,
        counted in counted(),
        factor in 1.0..8.0_f64,
    ) {
        let scenario = scenario(tokens, counted);
        let was = secs(&scenario, seed, &WhatIf::NOTHING);
        let faster = WhatIf { bandwidth: ByClass::all(factor), ..WhatIf::NOTHING };
        for (is, was) in secs(&scenario, seed, &faster).iter().zip(was) {
            prop_assert!(*is <= was * (1.0 + 1e-9), "{is} s over links {factor} times as fast, {was}");
        }
        for (is, was) in secs(&scenario, seed, &WhatIf::startup(factor)).iter().zip(was) {
            prop_assert!(*is >= was * (1.0 - 1e-9), "{is} s with startups {factor} times as long, {was}");
        }
    }

    #[test]
    fn twice_the_tokens_take_no_less(seed in 0..1000_u64, tokens in 64..600_u32, counted in counted()) {
        let [few, many] = [tokens, 2 * tokens]
            .map(|tokens| secs(&scenario(tokens, counted), seed, &WhatIf::NOTHING));
        for (few, many) in few.iter().zip(many) {
            prop_assert!(many >= *few, "{many} s for twice the tokens of {few} s");
        }
    }
}
