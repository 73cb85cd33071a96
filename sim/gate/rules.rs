//! Counts, drawn without tokens, of top-p and of expert choice ([`super::groups`]: of groups).
//!
//! *Top-p*: P(f), the share of tokens with f experts, is drawn for each layer over sequences, token by
//! token; given their slots, experts are chosen as by a top-K.
//!
//! *Expert choice*: expert i takes the tokens that it reaches before a time t_i of its own, such that
//! it takes C of the group's tokens:
//!
//! ```text
//!   Σ_s T_s (1 − e^{−w_si t_i}) = C                                                            (1)
//! ```
//!
//! which leaves out that a token's probabilities sum to one. Its C tokens are spread over GPUs with
//! the means of (1) and their variances. `tests/property/gate_schemes.rs` compares all of them with the modules
//! of `scheme`, which decide token by token.

use super::counts::Counts;
use super::draw::Draw;
use super::law::Walk;
use super::sample::{self, Expected};
use super::{Gate, scheme};
use crate::base::statistics::roots::newton;

/// Sequences of a layer, and tokens of each, by which P(f) of top-p is drawn.
const TOP_P_SAMPLE: (usize, usize) = (256, 8);

/// P(0), …, P(K) of a layer under top-p.
pub(super) fn top_p_slots(gate: &Gate, layer: u32, most: usize) -> Vec<f64> {
    // A micro-batch of its own, which no run comes to.
    let mut draw = Draw::new(gate, layer, u32::MAX);
    let mut slots = vec![0.0; most + 1];
    let each = 1.0 / (TOP_P_SAMPLE.0 * TOP_P_SAMPLE.1) as f64;
    for sequence in 0..TOP_P_SAMPLE.0 {
        let mut walk = draw.walk(sequence);
        let choices = gate.choose(&mut walk, TOP_P_SAMPLE.1, || 1.0);
        for token in 0..choices.tokens() {
            slots[choices.of_token(token).len()] += each;
        }
    }
    slots
}

/// Expert choice: counts of all GPUs at once, without tokens [(1)].
pub(super) fn expert_choice_counts(draw: &mut Draw<'_>, first: usize, counts: &mut Counts) {
    let gate = draw.gate;
    let (gpus, experts) = (counts.gpus(), counts.experts());
    let all = gate.tokens_per_gpu as usize * gpus;
    let take =
        scheme::ExpertChoice { k: gate.experts.top_k as usize }.tokens_of_expert(all, experts);
    // [gpu][(tokens, rates)]
    let mut sequences: Vec<Vec<(f64, Vec<f64>)>> = vec![];
    for gpu in first..first + gpus {
        draw.seek(gpu);
        let of_gpu = draw.sequences().into_iter().map(|(sequence, length)| {
            let rates = draw.rates_of(sequence).ffn.clone();
            let total: f64 = rates.iter().sum();
            (f64::from(length), rates.into_iter().map(|rate| rate / total).collect())
        });
        sequences.push(of_gpu.collect());
    }
    draw.seek(first);
    let mut column = vec![0; gpus];
    let mut inclusion = vec![vec![0.0; experts]; gpus];
    for expert in 0..experts {
        let time = time_to_take(&sequences, expert, take as f64);
        let mut expected = Expected::default();
        expected.clear(gpus);
        for (gpu, of_gpu) in sequences.iter().enumerate() {
            for (tokens, rates) in of_gpu {
                let chance = 1.0 - (-rates[expert] * time).exp();
                expected.add_one(gpu, *tokens, chance);
                inclusion[gpu][expert] += chance * tokens / f64::from(gate.tokens_per_gpu);
            }
        }
        sample::counts_with_sum(
            draw.ffn.here(),
            gate.tokens_per_gpu,
            take as u64,
            &mut expected,
            &mut column,
        );
        for (gpu, &n) in column.iter().enumerate() {
            counts.kept[gpu * experts + expert] = n;
        }
    }
    for (gpu, inclusion) in inclusion.iter().enumerate().take(gpus) {
        draw.seek(first + gpu);
        let slots = counts.kept_by(gpu).iter().map(|&n| u64::from(n)).sum();
        let tokens = &mut counts.tokens[gpu * (experts + 1)..][..=experts];
        let p = poisson_binomial(inclusion);
        sample::multinomial(draw.others.here(), gate.tokens_per_gpu, &p, tokens);
        settle(tokens, slots);
    }
}

/// t of (1).
fn time_to_take(sequences: &[Vec<(f64, Vec<f64>)>], expert: usize, take: f64) -> f64 {
    let each = || sequences.iter().flatten().map(|(tokens, rates)| (*tokens, rates[expert]));
    let total: f64 = each().map(|(tokens, _)| tokens).sum();
    if take >= total {
        return f64::INFINITY;
    }
    newton(0.0, 1e-9, |time| {
        let (mut taken, mut slope) = (0.0, 0.0);
        for (tokens, rate) in each() {
            let absent = tokens * (-rate * time).exp();
            taken += tokens - absent;
            slope += rate * absent;
        }
        (take - taken, slope)
    })
}

/// The distribution of the number of successes of independent trials.
fn poisson_binomial(chances: &[f64]) -> Vec<f64> {
    let mut p = vec![0.0; chances.len() + 1];
    p[0] = 1.0;
    for (done, chance) in chances.iter().enumerate() {
        for f in (0..=done).rev() {
            p[f + 1] += p[f] * chance;
            p[f] *= 1.0 - chance;
        }
    }
    p
}

/// Moves tokens between neighbouring numbers of slots until they have `slots` together.
fn settle(tokens: &mut [u32], slots: u64) {
    let last = tokens.len() - 1;
    let mut have: u64 = tokens.iter().zip(0u64..).map(|(&n, f)| u64::from(n) * f).sum();
    while have < slots {
        // From the most common number that can grow, so that the shape stays.
        let Some(from) = (0..last).filter(|&f| tokens[f] > 0).max_by_key(|&f| tokens[f]) else {
            return;
        };
        let moved = u64::from(tokens[from]).div_ceil(2).min(slots - have);
        tokens[from] -= moved as u32;
        tokens[from + 1] += moved as u32;
        have += moved;
    }
    while have > slots {
        let Some(from) = (1..=last).filter(|&f| tokens[f] > 0).max_by_key(|&f| tokens[f]) else {
            return;
        };
        let moved = u64::from(tokens[from]).div_ceil(2).min(have - slots);
        tokens[from] -= moved as u32;
        tokens[from - 1] += moved as u32;
        have -= moved;
    }
}

/// Expert choice, token by token: all tokens of the GPUs at once.
pub(super) fn expert_choice_tokens(draw: &mut Draw<'_>, first: usize, counts: &mut Counts) {
    let gate = draw.gate;
    let (gpus, experts) = (counts.gpus(), counts.experts());
    let mut times = vec![];
    for gpu in first..first + gpus {
        draw.seek(gpu);
        for (sequence, length) in draw.sequences() {
            let mut walk: Walk = draw.walk(sequence);
            (0..length).for_each(|_| walk.next_times(usize::MAX, 1.0, &mut times));
        }
    }
    let choices = gate.choose_by(times);
    for token in 0..choices.tokens() {
        let gpu = token / gate.tokens_per_gpu as usize;
        let chosen = choices.of_token(token);
        counts.tokens[gpu * (experts + 1) + chosen.len()] += 1;
        chosen.iter().for_each(|&e| counts.kept[gpu * experts + usize::from(e)] += 1);
    }
}
