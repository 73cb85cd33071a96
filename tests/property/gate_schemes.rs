//! Each gating scheme obeys the law that its module states, for any scores.
//!
//! A pass says what counts a scheme gives. It does not say that real scores are like these, nor what
//! a scheme does to quality.

use moesim::base::streams::Streams;
use moesim::gate::scheme::{
    AutonomyOfExperts, ChainOfExperts, Choices, Controlled, ExpertChoice, GroupLimited, Grouped,
    NullExperts, Scheme, Scores, TopK, TopP,
};
use moesim::placement::{Placement, Replicas};
use proptest::prelude::*;

const EXPERTS: usize = 24;

fn schemes() -> Vec<Box<dyn Scheme>> {
    vec![
        Box::new(TopK { k: 4 }),
        Box::new(NullExperts { real: 16, k: 6 }),
        Box::new(Controlled::new(16, 6, 4.0)),
        Box::new(GroupLimited { k: 4, groups: 6, most: 2 }),
        Box::new(ExpertChoice { k: 4 }),
        Box::new(TopP { p: 0.6, sharpness: 1.0, most: 8 }),
        Box::new(Grouped { k: 8, groups: 4 }),
        Box::new(AutonomyOfExperts { k: 4, rank: 64 }),
        Box::new(ChainOfExperts { k: 8, rounds: 2 }),
    ]
}

prop_compose! {
    fn any_scores()(
        tokens in 1usize..60,
        spread in 0.1..3.0_f64,
        seed in any::<u64>(),
    ) -> Scores {
        let mut rng = Streams::new(seed).named("test/scores");
        let logits: Vec<f64> = (0..EXPERTS).map(|i| spread * (i as f64 / 7.0).sin()).collect();
        Scores::drawn(&logits, tokens, &mut rng)
    }
}

fn slots(choices: &Choices) -> Vec<usize> {
    (0..choices.tokens()).map(|token| choices.of_token(token).len()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Laws (1), (2) and (3) of `gate::scheme`, for all schemes but those that use sigmoids, which
    /// rank groups by more than differences of scores.
    #[test]
    fn no_expert_twice_no_chance_and_no_origin(scores in any_scores(), shift in -5.0..5.0_f64) {
        for scheme in schemes() {
            let choices = scheme.choose(&scores);
            prop_assert_eq!(choices.tokens(), scores.tokens());
            prop_assert_eq!(&choices, &scheme.choose(&scores));
            for token in 0..choices.tokens() {
                let mut ids = choices.of_token(token).to_vec();
                ids.sort_unstable();
                ids.dedup();
                prop_assert_eq!(ids.len(), choices.of_token(token).len(), "{}", scheme.name());
            }
            if scheme.name() != "group-limited top-k" {
                let shifted = scores.biased(&[shift; EXPERTS]);
                prop_assert_eq!(&choices, &scheme.choose(&shifted), "{}", scheme.name());
            }
        }
    }

    /// Every token has exactly K slots where the scheme says so, and they are its best.
    #[test]
    fn slots_of_a_token_are_k(scores in any_scores()) {
        let with_k: [(&dyn Scheme, usize); 6] = [
            (&TopK { k: 4 }, 4),
            (&NullExperts { real: 16, k: 6 }, 6),
            (&Controlled::new(16, 6, 4.0), 6),
            (&GroupLimited { k: 4, groups: 6, most: 2 }, 4),
            (&Grouped { k: 8, groups: 4 }, 8),
            (&ChainOfExperts { k: 8, rounds: 2 }, 4),
        ];
        for (scheme, k) in with_k {
            prop_assert_eq!(slots(&scheme.choose(&scores)), vec![k; scores.tokens()]);
        }
        let choices = TopK { k: 4 }.choose(&scores);
        for token in 0..scores.tokens() {
            let (row, chosen) = (scores.of(token), choices.of_token(token));
            let worst = chosen.iter().map(|&e| row[usize::from(e)]).fold(f64::INFINITY, f64::min);
            let left_out = (0..EXPERTS).filter(|&e| !chosen.contains(&(e as u16)));
            prop_assert!(left_out.into_iter().all(|e| row[e] <= worst));
        }
    }

    /// Node limit: no token in more than M groups, and at least one slot outside the best two of
    /// them all is what it costs (the groups kept hold the token's best expert).
    #[test]
    fn a_group_limited_token_stays_within_its_groups(scores in any_scores()) {
        let choices = GroupLimited { k: 4, groups: 6, most: 2 }.choose(&scores);
        for token in 0..scores.tokens() {
            prop_assert!(choices.groups_of(token, 4) <= 2);
        }
    }

    /// Grouped experts: every group has exactly K·T/M slots.
    #[test]
    fn grouped_experts_leave_no_straggler(scores in any_scores()) {
        let counts = Grouped { k: 8, groups: 4 }.choose(&scores).counts(EXPERTS);
        for group in counts.chunks(EXPERTS / 4) {
            prop_assert_eq!(group.iter().sum::<u64>(), 2 * scores.tokens() as u64);
        }
    }

    /// Expert choice: perfectly balanced, whatever the scores.
    #[test]
    fn expert_choice_is_perfectly_balanced(scores in any_scores()) {
        let scheme = ExpertChoice { k: 4 };
        let each = scheme.tokens_of_expert(scores.tokens(), EXPERTS) as u64;
        prop_assert_eq!(each, 4 * scores.tokens() as u64 / EXPERTS as u64);
        prop_assert_eq!(scheme.choose(&scores).counts(EXPERTS), vec![each; EXPERTS]);
    }

    /// Top-p: the fewest experts that reach p, and never none.
    #[test]
    fn top_p_takes_the_fewest_that_suffice(scores in any_scores(), p in 0.05..0.999_f64) {
        let choices = TopP { p, sharpness: 1.0, most: EXPERTS }.choose(&scores);
        for token in 0..scores.tokens() {
            let weights: Vec<f64> = scores.of(token).iter().map(|z| z.exp()).collect();
            let total: f64 = weights.iter().sum();
            let chosen = choices.of_token(token);
            let reached = |n: usize| -> f64 {
                chosen[..n].iter().map(|&e| weights[usize::from(e)] / total).sum()
            };
            prop_assert!(reached(chosen.len()) >= p - 1e-9);
            prop_assert!(chosen.len() == 1 || reached(chosen.len() - 1) < p + 1e-9);
        }
    }

    /// Null experts: what computes is what is not null, between K − m and K slots.
    #[test]
    fn null_experts_cost_nothing(scores in any_scores()) {
        let scheme = NullExperts { real: 20, k: 6 };
        let choices = scheme.choose(&scores);
        for token in 0..scores.tokens() {
            let computed =
                choices.of_token(token).iter().filter(|&&e| scheme.computes(e.into())).count();
            prop_assert!((2..=6).contains(&computed));
        }
    }

    /// Replicas: every expert has a home, no GPU holds more than its places or one twice, slots are
    /// conserved, and with a place to spare the heaviest GPU is never heavier than without.
    #[test]
    fn replicas_conserve_slots_and_places(
        loads in prop::collection::vec(0.1..50.0_f64, 4..40), gpus in 1usize..9, spare in 0usize..12,
    ) {
        let places = (loads.len() + spare).div_ceil(gpus);
        let plan = Replicas::plan(&loads, gpus, places).unwrap();
        let mut used = vec![0; gpus];
        for expert in 0..loads.len() {
            let hosts = plan.hosts(expert);
            prop_assert!(!hosts.is_empty());
            for (i, &gpu) in hosts.iter().enumerate() {
                prop_assert!(!hosts[..i].contains(&gpu));
                used[gpu] += 1;
            }
        }
        prop_assert!(used.iter().all(|&n| n <= places), "{:?} of {}", used, places);
        let slots: Vec<u64> = loads.iter().map(|load| (load * 100.0) as u64).collect();
        let total: f64 = plan.loads(&slots).iter().sum();
        prop_assert!((total - slots.iter().sum::<u64>() as f64).abs() < 1e-6 * total);
        prop_assert_eq!(Replicas::plan(&loads, gpus, (loads.len() - 1) / gpus.max(1)).is_none(),
            gpus * ((loads.len() - 1) / gpus.max(1)) < loads.len());
    }
}

/// The controller brings the FFN experts of a token to K_e and their loads together.
///
/// Judged on a fresh batch of 4,000 tokens: an FFN expert has 4000·4/16 = 1000 slots, sampling alone
/// spreads loads by √1000 = 3 %, five of which bound the worst of 16; K_e by √(6·⅔·⅓/4000) = 0.02.
#[test]
fn a_controller_reaches_its_expected_number_of_experts() {
    let mut scheme = Controlled::new(16, 6, 4.0);
    let logits: Vec<f64> = (0..EXPERTS).map(|i| (i as f64 / 3.0).sin()).collect();
    let mut rng = Streams::new(3).named("test/scores");
    let mut batch = || Scores::drawn(&logits, 4_000, &mut rng);
    for _ in 0..60 {
        let scores = batch();
        let choices = scheme.choose(&scores);
        scheme.observe(&choices, 0.3);
    }
    let counts = scheme.choose(&batch()).counts(EXPERTS);
    let ffn: u64 = counts[..16].iter().sum();
    assert!((ffn as f64 / 4_000.0 - 4.0).abs() < 0.1, "{counts:?}");
    assert!(counts[..16].iter().all(|&n| (850..=1150).contains(&n)), "{counts:?}");
}

/// A plan made from today's loads evens today's GPUs; made from another day's, it evens less.
#[test]
fn replicas_help_and_stale_ones_help_less() {
    let today: Vec<u64> = (0..32).map(|i| 100 + 900 * u64::from(i % 8 == 0)).collect();
    let yesterday: Vec<f64> = (0..32).map(|i| if i % 8 == 3 { 1000.0 } else { 100.0 }).collect();
    let peak =
        |loads: &[f64]| loads.iter().copied().fold(0.0, f64::max) * 8.0 / loads.iter().sum::<f64>();
    let plan = |loads: &[f64]| Replicas::plan(loads, 8, 5).unwrap();
    let fresh = peak(&plan(&today.iter().map(|&n| n as f64).collect::<Vec<_>>()).loads(&today));
    let stale = peak(&plan(&yesterday).loads(&today));
    assert!(fresh < 1.15, "{fresh}");
    assert!(stale > fresh + 0.2, "{stale} {fresh}");
}

/// Every rank holds as many experts as any other, whatever the placement.
#[test]
fn placements_are_even_in_number() {
    let source = moesim::config::built_in_workload("moe-2b").unwrap();
    let workload = moesim::config::workload(&source).unwrap();
    let loads: Vec<f64> = (0..32).map(|i| f64::from(i % 5)).collect();
    for placement in [
        Placement::contiguous(&workload),
        Placement::round_robin(&workload),
        Placement::by_load(&workload, &loads),
    ] {
        for rank in 0..placement.ranks() {
            assert_eq!(placement.experts_of(rank).count(), 4);
        }
    }
    let by_load = Placement::by_load(&workload, &loads);
    let load = |rank| by_load.experts_of(rank).map(|e| loads[e.index()]).sum::<f64>();
    let most = (0..by_load.ranks()).map(load).fold(0.0, f64::max);
    // 62 over 8 ranks is 7.75; the greedy rule is within one expert's load of it.
    assert!(most <= 9.0, "{most}");
}
