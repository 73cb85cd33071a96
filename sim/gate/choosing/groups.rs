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
//! choice of groups and that within groups as independent. The one token of a sequence that has no
//! other is chosen for as it is, without (1): that is exact, and quicker.

use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Exp1};

use super::inclusion;
use super::sample::{self, Expected};

/// Tokens of a sequence of which groups are drawn, at least and at most.
const GROUP_TOKENS: (u32, u32) = (16, 256);
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

impl GroupRule {
    /// The choice of one token, counted: arrivals of all experts, the groups by their two first, and the first
    /// experts of the best groups.
    pub(in crate::gate) fn choose(
        &self,
        rates: &[f64],
        rng: &mut ChaCha8Rng,
        race: &mut Vec<(f64, u32)>,
        counts: &mut [u32],
    ) {
        let (groups, most, slots) = (self.groups as usize, self.most as usize, self.slots as usize);
        let per_group = rates.len() / groups;
        let total: f64 = rates.iter().sum();
        race.clear();
        race.extend(rates.iter().zip(0..).map(|(rate, expert)| {
            let wait: f64 = Exp1.sample(rng);
            (wait * total / rate, expert)
        }));
        // The sigmoid of −ln(time), of the two best.
        let score = |group: &[(f64, u32)]| {
            let two = group.iter().fold([f64::INFINITY; 2], |[a, b], &(time, _)| {
                if time < a { [time, a] } else { [a, b.min(time)] }
            });
            two.map(|time| 1.0 / (1.0 + time)).iter().sum::<f64>()
        };
        let mut order: Vec<(f64, usize)> =
            race.chunks_exact(per_group).map(score).zip(0..).collect();
        order.select_nth_unstable_by(most - 1, |a, b| b.0.total_cmp(&a.0));
        order[..most].sort_unstable_by_key(|&(_, group)| group);
        for (at, &(_, group)) in order[..most].iter().enumerate() {
            race.copy_within(group * per_group..(group + 1) * per_group, at * per_group);
        }
        race.truncate(most * per_group);
        let slots = slots.min(race.len());
        if slots > 0 {
            race.select_nth_unstable_by(slots - 1, |a, b| a.0.total_cmp(&b.0));
            race[..slots].iter().for_each(|&(_, expert)| counts[expert as usize] += 1);
        }
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
        let expected = expected.part(group * per_group..(group + 1) * per_group);
        sample::counts_with_sum(rng, tokens, slots / u64::from(groups), &expected, out);
    }
}

#[cfg(test)]
mod tests {
    use super::{GroupRule, within_chance};
    use crate::base::streams::Streams;

    /// Eight of 64 experts in two of four groups: popular ones more often, never of a third group.
    #[test]
    fn one_token_chooses_all_its_slots_within_its_groups() {
        let rule = GroupRule { groups: 4, most: 2, slots: 8.0 };
        let rates: Vec<f64> = (0..64).map(|i| if i % 16 == 0 { 2.0 } else { 1.0 }).collect();
        let mut rng = Streams::new(3).named("test");
        let (mut race, mut all) = (vec![], vec![0; 64]);
        for _ in 0..2_000 {
            let mut counts = vec![0; 64];
            rule.choose(&rates, &mut rng, &mut race, &mut counts);
            assert_eq!(counts.iter().sum::<u32>(), 8);
            let groups = counts.chunks(16).filter(|of| of.iter().any(|&count| count > 0)).count();
            assert!(groups <= 2 && counts.iter().all(|&count| count <= 1), "{counts:?}");
            all.iter_mut().zip(&counts).for_each(|(all, count)| *all += count);
        }
        let (popular, others): (Vec<_>, Vec<_>) =
            all.iter().zip(0..).partition(|(_, expert)| expert % 16 == 0);
        let mean = |of: &[(&u32, i32)]| {
            of.iter().map(|(n, _)| f64::from(**n)).sum::<f64>() / of.len() as f64
        };
        assert!(mean(&popular) > 1.4 * mean(&others), "{} {}", mean(&popular), mean(&others));
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
