//! Inclusion and counts, drawn without tokens, of schemes that choose among groups of experts.
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
//! Sequences of up to [`SHORT`] tokens in the batch, as in decoding, take fewer draws token by token than (1)
//! needs: arrivals t_i ~ Exp(w_i/Σw) of all experts, the M groups with the best two scores 1/(1 + t), and the
//! K first arrivals within them (see `tokens`). Nothing is approximated there.

mod soonest;
mod tokens;

use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Exp1};

use super::exponentials::absences;
use super::inclusion;
use super::sample::{self, Expected};
use crate::base::statistics::roots::halley_step;

pub(in crate::gate) use tokens::TokenSpace;

/// Tokens of a sequence of which groups are drawn, at least and at most.
const GROUP_TOKENS: (u32, u32) = (16, 256);
/// Sequences of up to this many tokens are drawn token by token.
pub(in crate::gate) const SHORT: u32 = 4;

/// At most `most` of `groups` groups of experts, and `slots` of their experts.
pub(in crate::gate) struct GroupRule {
    pub(in crate::gate) groups: u32,
    pub(in crate::gate) most: u32,
    pub(in crate::gate) slots: f64,
}

impl GroupRule {
    /// π of (1), for a sequence of this many tokens.
    pub(in crate::gate) fn inclusion(
        &self,
        rates: &[f64],
        length: u32,
        rng: &mut ChaCha8Rng,
        out: &mut Vec<f64>,
    ) {
        let per_group = rates.len() / self.groups as usize;
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
        let kept = self.kept_groups(&of_group, tokens, rng);
        let chance: Vec<f64> =
            (0..rates.len()).map(|i| f64::from(kept[i / per_group]) / f64::from(tokens)).collect();
        within_chance(rates, &chance, self.slots, out);
    }

    /// How many of some tokens have each group among their best, with the rates of each group's first two arrivals.
    fn kept_groups(&self, of_group: &[(f64, f64)], tokens: u32, rng: &mut ChaCha8Rng) -> Vec<u32> {
        let (groups, most) = (of_group.len(), self.most as usize);
        let mut kept = vec![0u32; groups];
        match <&[(f64, f64); USUAL]>::try_from(of_group) {
            // A number of groups that the compiler knows takes half the time.
            Ok(of_group) => {
                let mut waits = [[0.0; 2]; USUAL];
                let mut scores = [0.0; USUAL];
                for _ in 0..tokens {
                    draw_scores(of_group, &mut waits, &mut scores, rng);
                    count_best_of_few(most, &scores, &mut kept);
                }
            }
            Err(_) => {
                let (mut waits, mut scores) = (vec![[0.0; 2]; groups], vec![0.0; groups]);
                for _ in 0..tokens {
                    draw_scores(of_group, &mut waits, &mut scores, rng);
                    count_best(most, &scores, &mut kept);
                }
            }
        }
        kept
    }
}

/// Appends rates to `sums`, added up within each group, in units in which all sum to one.
pub(in crate::gate) fn push_sums(rates: &[f64], groups: usize, sums: &mut Vec<f32>) {
    let total: f64 = rates.iter().sum();
    for group in rates.chunks_exact(rates.len() / groups) {
        let mut sum = 0.0;
        sums.extend(group.iter().map(|rate| {
            sum += rate / total;
            sum as f32
        }));
    }
}

/// Scores of groups, of which a token's first expert comes at the first rate and the next at the second.
#[inline(always)]
fn draw_scores(
    of_group: &[(f64, f64)],
    waits: &mut [[f64; 2]],
    scores: &mut [f64],
    rng: &mut ChaCha8Rng,
) {
    // All waits are drawn before any is used, so that what follows is done to several groups at once.
    for waits in waits.iter_mut() {
        *waits = std::array::from_fn(|_| Exp1.sample(rng));
    }
    for ((&(sum, rest), &[a, b]), score) in of_group.iter().zip(&*waits).zip(scores) {
        let first = a / sum;
        let second = if rest > 0.0 { first + b / rest } else { f64::INFINITY };
        // The sigmoid of −ln(time), of the two best.
        *score = 1.0 / (1.0 + first) + 1.0 / (1.0 + second);
    }
}

/// The groups of DeepSeek-V3, and the experts of each.
const USUAL: usize = 8;
const USUAL_GROUP: usize = 32;

/// As [`count_best`]; each pair is compared once.
fn count_best_of_few(most: usize, scores: &[f64; USUAL], counts: &mut [u32]) {
    let mut before = [0_u32; USUAL];
    for at in 0..USUAL {
        for other in at + 1..USUAL {
            let later = scores[other] > scores[at];
            before[at] += u32::from(later);
            before[other] += u32::from(!later);
        }
    }
    for (count, before) in counts.iter_mut().zip(before) {
        *count += u32::from((before as usize) < most);
    }
}

/// Counts the groups of the `most` best scores, which are few: those before each are counted sooner than sorted.
fn count_best(most: usize, scores: &[f64], counts: &mut [u32]) {
    for (g, count) in counts.iter_mut().enumerate() {
        let better = |(other, score): (usize, &f64)| {
            *score > scores[g] || (*score == scores[g] && other < g)
        };
        *count += u32::from(scores.iter().enumerate().filter(|&at| better(at)).count() < most);
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
        absences(rates, time, out);
        for ((gone, rate), q) in out.iter().zip(rates).zip(chance) {
            let gone = q * gone;
            absent += gone;
            slope += rate * gone;
            bend += rate * rate * gone;
        }
        let step = halley_step(slots - (able - absent), slope, bend);
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
pub(in crate::gate) fn grouped_inclusion(
    rates: &[f64],
    groups: u32,
    slots: f64,
    out: &mut Vec<f64>,
) {
    let per_group = rates.len() / groups as usize;
    let mut one = vec![];
    out.clear();
    for rates in rates.chunks_exact(per_group) {
        inclusion::from_rates(rates, slots / f64::from(groups), &mut one);
        out.extend_from_slice(&one);
    }
}

/// Counts of equal groups with equal slots.
pub(in crate::gate) fn grouped_counts(
    rng: &mut ChaCha8Rng,
    groups: u32,
    tokens: u32,
    slots: u64,
    expected: &Expected,
    out: &mut [u32],
) {
    let per_group = out.len() / groups as usize;
    for (group, out) in out.chunks_exact_mut(per_group).enumerate() {
        let mut expected = expected.part(group * per_group..(group + 1) * per_group);
        sample::counts_with_sum(rng, tokens, slots / u64::from(groups), &mut expected, out);
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;
    use rand_distr::{Distribution, Exp1};
    use rand_xoshiro::Xoshiro256PlusPlus;

    use super::{GroupRule, TokenSpace, push_sums, within_chance};
    use crate::gate::scheme::{GroupLimited, Scheme, Scores};

    /// Tokens drawn by arrivals group by group choose as the scheme does from scores of all experts.
    #[test]
    fn short_sequences_choose_as_the_scheme_does() {
        let (groups, most, k, experts, tokens) = (8_u32, 4_u32, 8_usize, 64_usize, 40_000_u32);
        // From groups of equals to groups that one expert leads.
        let rates: Vec<f64> = (0..experts)
            .map(|i| if i % 8 == 0 { 1.0 + (i / 8) as f64 } else { 1.0 - (i / 8) as f64 / 8.0 })
            .collect();
        let total: f64 = rates.iter().sum();
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut drawn = vec![0; experts];
        let rule = GroupRule { groups, most, slots: k as f64 };
        let (mut sums, mut space) = (vec![], TokenSpace::default());
        push_sums(&rates, 8, &mut sums);
        let mut quick = Xoshiro256PlusPlus::seed_from_u64(1);
        for _ in 0..tokens {
            let mut one = vec![0; experts];
            rule.draw_tokens((&sums, &[0]), &mut quick, &mut space, &mut one);
            let used = one.chunks(8).filter(|group| group.iter().sum::<u32>() > 0).count();
            assert!(used <= 4 && one.iter().sum::<u32>() == 8 && one.iter().all(|n| *n < 2));
            drawn.iter_mut().zip(one).for_each(|(sum, n)| *sum += n);
        }
        let mut wait = |rate: &f64| -> f64 {
            let wait: f64 = Exp1.sample(&mut rng);
            -(wait * total / rate).ln()
        };
        let scores: Vec<f64> =
            (0..tokens).flat_map(|_| rates.iter().map(&mut wait).collect::<Vec<f64>>()).collect();
        let scheme = GroupLimited { k, groups: 8, most: 4 };
        let choices = scheme.choose(&Scores::new(experts, scores));
        let mut chosen = vec![0_u32; experts];
        for token in 0..tokens as usize {
            choices.of_token(token).iter().for_each(|&expert| chosen[usize::from(expert)] += 1);
        }
        for (drawn, chosen) in drawn.iter().zip(&chosen) {
            let apart = f64::from(*drawn) - f64::from(*chosen);
            let sd = (2.0 * f64::from(*chosen)).sqrt();
            assert!(apart.abs() < 4.5 * sd, "{drawn} for {chosen}");
        }
    }

    #[test]
    fn each_pair_of_groups_compared_once_counts_as_all_with_all_do() {
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        for most in 1..=8 {
            let (mut few, mut all) = ([0; 8], [0; 8]);
            for _ in 0..200 {
                // Whole numbers, so that some are equal.
                let score = |_| -> f64 { 4.0 * Distribution::<f64>::sample(&Exp1, &mut rng) };
                let scores: [f64; 8] = std::array::from_fn(score).map(f64::floor);
                super::count_best_of_few(most, &scores, &mut few);
                super::count_best(most, &scores, &mut all);
            }
            assert_eq!(few, all, "the best {most}");
        }
    }

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
