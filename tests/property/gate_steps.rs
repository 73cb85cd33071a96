//! Steps of decoding where scores are carried: all sequences of a GPU are drawn at once, by the law of tokens drawn
//! one by one.
//!
//! A pass says that experts are as popular as where tokens do not persist, that a step repeats experts of the step
//! before, that layers choose alike as far as scores are common, and that every token has its slots. That recorded
//! steps repeat as many says `tests/accuracy/gate_traces.rs`.

use moesim::base::streams::Streams;
use moesim::config::{built_in_workload, workload};
use moesim::gate::{Counts, Gate};
use moesim::workload::{
    Capacity, DropBy, Persistence, Popularity, Sampling, Scheme, ShareOf, Spread, Workload,
};

const GPUS: usize = 8;
const TOKENS: usize = 64;

/// A step of decoding 64 sequences on each GPU, whose scores persist; `group` decides whether a pool stands for them.
fn decoding(model: &str, scheme: Option<Scheme>, group: u32, law: Persistence) -> Workload {
    let mut workload = workload(&built_in_workload(model).unwrap()).unwrap();
    workload.model.layers = 4;
    workload.capacity = Capacity::Dropless;
    workload.model.experts.top_k = 4;
    workload.batch.tokens_per_gpu = TOKENS as u32;
    workload.batch.sequence_tokens = 1;
    workload.layout.expert_parallel = group;
    workload.gating.scheme = scheme.unwrap_or(workload.gating.scheme);
    workload.gating.sampling = Sampling::Exact;
    workload.gating.popularity = Popularity::LogNormal { sd: 0.4 };
    workload.gating.spread =
        Spread { sequence_sd: 0.5, common: 0.5, persistence: law, ..Spread::NONE };
    workload
}

/// How many of a token's experts it has in both, of K.
fn overlap(a: &Counts, b: &Counts) -> f64 {
    let (mut common, mut slots) = (0, 0);
    for gpu in 0..GPUS {
        for (a, b) in a.drawn_on(gpu).unwrap().zip(b.drawn_on(gpu).unwrap()) {
            common += a.iter().filter(|id| b.contains(id)).count();
            slots += a.len();
        }
    }
    common as f64 / slots as f64
}

const GROUPS: Scheme = Scheme::GroupLimited { groups: 4, most: 2 };
const LAW: Persistence = Persistence { share: 0.5, decay: 0.7, depth: 0.9 };
const FREE: Persistence = Persistence { share: 0.0, decay: 0.0, depth: 0.0 };

/// Whatever the scheme, the sequences' own rates or a pool's: 16,384 tokens each way.
#[test]
fn experts_are_as_popular_as_where_nothing_persists() {
    let cases = [
        ("moe-2b", Some(GROUPS), 8),
        ("moe-2b", Some(GROUPS), 32),
        ("moe-2b", None, 8),
        ("moepp-2b", None, 8),
    ];
    for (model, scheme, group) in cases {
        let loads = |law| {
            let workload = decoding(model, scheme, group, law);
            let experts = workload.experts_of_round().total() as usize;
            let mut loads = vec![0.0; 2 * experts];
            let gate = Gate::new(&workload, Streams::new(1));
            // Far apart, so that steps tell nothing of each other.
            for (step, layer) in (0..32).flat_map(|step| [(100 * step, 0), (100 * step, 1)]) {
                let counts = gate.counts(layer, step, 0..GPUS);
                for expert in 0..experts {
                    loads[layer as usize * experts + expert] += counts.load(expert) as f64;
                }
            }
            loads
        };
        for (carried, free) in loads(LAW).iter().zip(&loads(FREE)) {
            let sd = (carried + free).sqrt();
            assert!(
                (carried - free).abs() < 4.5 * sd,
                "{model} {scheme:?} {group}: {carried} {free}"
            );
        }
    }
}

#[test]
fn steps_repeat_experts_and_layers_choose_alike_as_scores_are_common() {
    for (scheme, group) in [(Some(GROUPS), 8), (Some(GROUPS), 32), (None, 8)] {
        let of = |law| {
            let mut workload = decoding("moe-2b", scheme, group, law);
            // Popularity orders equals by their number, so that a rank is the same expert in every layer.
            workload.gating.popularity = Popularity::LogNormal { sd: 0.0 };
            workload.gating.spread.sequence_sd = 1e-6;
            let gate = Gate::new(&workload, Streams::new(2)).keeping_tokens();
            let [now, next, far] = [20, 21, 90].map(|step| gate.counts(0, step, 0..GPUS));
            let other = gate.counts(1, 20, 0..GPUS);
            [overlap(&now, &next), overlap(&now, &far), overlap(&now, &other)]
        };
        let by_chance = of(FREE)[0];
        let [next, far, other] = of(LAW);
        assert!(next > by_chance + 0.1, "{scheme:?}: {next} beside {by_chance}");
        assert!((far - by_chance).abs() < 0.06, "{scheme:?}: {far} beside {by_chance}");
        assert!(other > 0.6, "{scheme:?}: {other} of experts in both layers");
        let [.., other] = of(Persistence { depth: 1.0, ..LAW });
        assert!(other > 0.99, "{scheme:?}: {other} where all is common");
        let [.., other] = of(Persistence { depth: 0.0, ..LAW });
        assert!((other - by_chance).abs() < 0.06, "{scheme:?}: {other} where nothing is");
    }
}

/// Slots are complete, tokens are counted by their FFN slots, and dropped weight is known where slots are dropped.
#[test]
fn every_token_has_its_slots() {
    for (model, scheme) in [
        ("moepp-2b", None),
        ("moe-2b", Some(GROUPS)),
        ("moe-2b", Some(Scheme::Grouped { groups: 4 })),
    ] {
        let mut workload = decoding(model, scheme, 8, LAW);
        workload.capacity =
            Capacity::Drop { factor: 1.0, of: ShareOf::Slots, by: DropBy::Position };
        let counts = Gate::new(&workload, Streams::new(5)).counts(1, 3, 0..GPUS);
        let ffn = workload.experts_of_round().ffn as usize;
        for gpu in 0..GPUS {
            let with = |slots| counts.tokens_with(gpu, slots) as usize;
            assert_eq!((0..=4).map(with).sum::<usize>(), TOKENS);
            let chosen = |expert| (counts.kept(gpu, expert) + counts.dropped(gpu, expert)) as usize;
            assert_eq!((0..counts.experts()).map(chosen).sum::<usize>(), 4 * TOKENS);
            let of_ffn: usize = (0..ffn).map(chosen).sum();
            assert_eq!((0..=4).map(|slots| slots * with(slots)).sum::<usize>(), of_ffn);
        }
        assert!(counts.drop_share() > 0.0 && counts.lost_weight() > 0.0);
    }
}
