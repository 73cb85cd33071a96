//! Counts, drawn without tokens, of schemes that are not a plain top-K.
//!
//! *Grouped*: within each of M groups the law of inclusion (see `inclusion`) with K/M slots.
//!
//! *Group-limited*: with q_g the chance that group g is among a token's M best,
//!
//! ```text
//!   π_i = q_g(i) (1 − e^{−w_i t}),    t such that Σ_i π_i = K                                  (1)
//! ```
//!
//! q is drawn: of some tokens the two first arrivals in each group, which decide its score. After
//! the first, which has taken the mean rate Σw²/Σw of its group, the rest arrive. (1) takes the
//! choice of groups and that within groups as independent.
//!
//! *Top-p*: P(f), the share of tokens with f experts, is drawn for each layer over sequences, token by
//! token; given their slots, experts are chosen as by a top-K.
//!
//! *Expert choice*: expert i takes the tokens that it reaches before a time t_i of its own, such that
//! it takes C of the group's tokens:
//!
//! ```text
//!   Σ_s T_s (1 − e^{−w_si t_i}) = C                                                            (2)
//! ```
//!
//! which leaves out that a token's probabilities sum to one. Its C tokens are spread over GPUs with
//! the means of (2) and their variances. `tests/gate_schemes.rs` compares all of them with the modules
//! of `scheme`, which decide token by token.

use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Exp1};

use super::counts::Counts;
use super::draw::Draw;
use super::law::Walk;
use super::sample::{self, Expected};
use super::{Gate, inclusion, scheme};

/// Tokens of a sequence of which groups are drawn, at least and at most.
const GROUP_TOKENS: (u32, u32) = (16, 256);
/// Sequences of a layer, and tokens of each, by which P(f) of top-p is drawn.
const TOP_P_SAMPLE: (usize, usize) = (256, 8);

/// At most `most` of `groups` groups of experts, and `slots` of their experts.
pub(super) struct GroupRule {
    pub(super) groups: u32,
    pub(super) most: u32,
    pub(super) slots: f64,
}

impl GroupRule {
    /// π of (1), for a sequence of so many tokens.
    pub(super) fn inclusion(
        &self,
        rates: &[f64],
        length: u32,
        rng: &mut ChaCha8Rng,
        out: &mut Vec<f64>,
    ) {
        let (groups, most) = (self.groups as usize, self.most as usize);
        let per_group = rates.len() / groups;
        let total: f64 = rates.iter().sum();
        let of_group: Vec<(f64, f64)> = rates
            .chunks_exact(per_group)
            .map(|rates| {
                let sum: f64 = rates.iter().sum();
                let squares: f64 = rates.iter().map(|rate| rate * rate).sum();
                (sum / total, (sum - squares / sum) / total)
            })
            .collect();
        let tokens = length.saturating_mul(2).clamp(GROUP_TOKENS.0, GROUP_TOKENS.1);
        let mut kept = vec![0u32; groups];
        let mut order: Vec<(f64, usize)> = vec![(0.0, 0); groups];
        for _ in 0..tokens {
            for (g, (&(sum, rest), place)) in of_group.iter().zip(&mut order).enumerate() {
                let [a, b]: [f64; 2] = std::array::from_fn(|_| Exp1.sample(rng));
                let first = a / sum;
                let second = if rest > 0.0 { first + b / rest } else { f64::INFINITY };
                // The sigmoid of −ln(time), of the two best.
                *place = (1.0 / (1.0 + first) + 1.0 / (1.0 + second), g);
            }
            order.select_nth_unstable_by(most - 1, |a, b| b.0.total_cmp(&a.0));
            order[..most].iter().for_each(|&(_, g)| kept[g] += 1);
        }
        let chance: Vec<f64> =
            (0..rates.len()).map(|i| f64::from(kept[i / per_group]) / f64::from(tokens)).collect();
        within_chance(rates, &chance, self.slots, out);
    }
}

/// π of (1), where expert i can be chosen with this chance.
///
/// Halley's method as in [`inclusion::from_rates`], stopped and corrected in the same way: an error below
/// 10⁻⁷ is left. Newton's steps from the left took dozens of rounds where rates differ much.
fn within_chance(rates: &[f64], chance: &[f64], slots: f64, out: &mut Vec<f64>) {
    out.clear();
    let able: f64 = chance.iter().sum();
    if slots >= able * (1.0 - 1e-9) {
        out.extend_from_slice(chance);
        return;
    }
    out.resize(rates.len(), 0.0);
    let total: f64 = rates.iter().zip(chance).map(|(rate, q)| rate * q).sum();
    let mut time = -able * (-slots / able).ln_1p() / total;
    // Steps grow shorter by their cube; the bound is for rates that are no numbers.
    for _ in 0..200 {
        let (mut absent, mut slope, mut bend) = (0.0, 0.0, 0.0);
        for (gone, rate) in out.iter_mut().zip(rates) {
            *gone = inclusion::exp_of_negative(-rate * time);
        }
        for ((gone, rate), q) in out.iter().zip(rates).zip(chance) {
            let gone = q * gone;
            absent += gone;
            slope += rate * gone;
            bend += rate * rate * gone;
        }
        let short = slots - (able - absent);
        let newton = if slope > 0.0 { short / slope } else { 0.0 };
        let curved = if slope > 0.0 { 1.0 - 0.5 * newton * bend / slope } else { 1.0 };
        let step = newton / curved.max(0.5);
        if step.abs() <= 1e-4 * time {
            for ((p, rate), q) in out.iter_mut().zip(rates).zip(chance) {
                let x = rate * step;
                *p = q * (1.0 - *p * (1.0 - x * (1.0 - x * (0.5 - x / 6.0))));
            }
            return;
        }
        time += step;
    }
    out.iter_mut().zip(chance).for_each(|(p, q)| *p = q * (1.0 - *p));
}

/// Inclusion of the experts of equal groups with `slots` slots over all of them.
pub(super) fn grouped_inclusion(rates: &[f64], groups: u32, slots: f64, out: &mut Vec<f64>) {
    let per_group = rates.len() / groups as usize;
    let mut one = vec![];
    out.clear();
    for rates in rates.chunks_exact(per_group) {
        inclusion::from_rates(rates, slots / f64::from(groups), &mut one);
        out.extend_from_slice(&one);
    }
}

/// Counts of equal groups with equal slots.
pub(super) fn grouped_counts(
    rng: &mut ChaCha8Rng,
    groups: u32,
    tokens: u32,
    slots: u64,
    expected: &Expected,
    out: &mut [u32],
) {
    let per_group = out.len() / groups as usize;
    for (group, out) in out.chunks_exact_mut(per_group).enumerate() {
        let expected = expected.part(group * per_group..(group + 1) * per_group);
        sample::counts_with_sum(rng, tokens, slots / u64::from(groups), &expected, out);
    }
}

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

/// Expert choice: counts of all GPUs at once, without tokens [(2)].
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
            &mut draw.ffn,
            gate.tokens_per_gpu,
            take as u64,
            &expected,
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
        sample::multinomial(&mut draw.others, gate.tokens_per_gpu, &p, tokens);
        settle(tokens, slots);
    }
}

/// t of (2).
fn time_to_take(sequences: &[Vec<(f64, Vec<f64>)>], expert: usize, take: f64) -> f64 {
    let each = || sequences.iter().flatten().map(|(tokens, rates)| (*tokens, rates[expert]));
    let total: f64 = each().map(|(tokens, _)| tokens).sum();
    if take >= total {
        return f64::INFINITY;
    }
    let mut time = 0.0;
    for _ in 0..60 {
        let (mut taken, mut slope) = (0.0, 0.0);
        for (tokens, rate) in each() {
            let absent = tokens * (-rate * time).exp();
            taken += tokens - absent;
            slope += rate * absent;
        }
        let step = (take - taken) / slope;
        time += step;
        if step <= 1e-9 * time {
            break;
        }
    }
    time
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

#[cfg(test)]
mod tests {
    use super::within_chance;

    /// The inclusion sums to the slots, and is that of Newton's method run to its end.
    #[test]
    fn inclusion_within_groups_meets_its_equation() {
        for spread in [0.0, 1.0, 3.0] {
            let rates: Vec<f64> =
                (0..256).map(|i| (spread * f64::from((i * 37) % 101 - 50) / 25.0).exp()).collect();
            let chance: Vec<f64> = (0..256).map(|i| f64::from((i / 32) % 4 + 1) / 4.0).collect();
            let mut time = 8.0 / rates.iter().sum::<f64>();
            for _ in 0..10_000 {
                let pairs = || rates.iter().zip(&chance);
                let arrived: f64 = pairs().map(|(w, q)| q * (1.0 - (-w * time).exp())).sum();
                let slope: f64 = pairs().map(|(w, q)| q * w * (-w * time).exp()).sum();
                time += (8.0 - arrived) / slope;
            }
            let mut found = vec![];
            within_chance(&rates, &chance, 8.0, &mut found);
            assert!((found.iter().sum::<f64>() - 8.0).abs() < 1e-6);
            for ((w, q), p) in rates.iter().zip(&chance).zip(&found) {
                let exact = q * (1.0 - (-w * time).exp());
                assert!((p - exact).abs() < 1e-6, "{p} for {exact} at spread {spread}");
            }
        }
    }
}
