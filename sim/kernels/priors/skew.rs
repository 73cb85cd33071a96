//! The counts behind a measurement's `distribution`: how many slots each expert was given.
//!
//! Public tables name a law, not counts. The collector that made them [aiconfigurator,
//! collector/helper.py] gives `balanced` rows slots in strides, and draws `power_law_a` rows from
//! a density ∝ x^−a cut off at x_min and x_max, then scales to t·k slots:
//!
//! ```text
//!   x(u) = ( (x_max^(1−a) − x_min^(1−a))·u + x_min^(1−a) )^(1/(1−a))           (1)
//!   [x_min, x_max] = [1, 0.8·t] when t·k > E, else [0.01, 2]                    (2)
//! ```
//!
//! In place of random draws u we take the E midpoints (i + ½)/E, hottest expert first: the
//! distribution's shape without one run's luck. With several ranks the hottest one is timed.

use rand::seq::SliceRandom;

use crate::base::streams::Streams;

/// How slots are spread over experts in a measurement.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Popularity {
    /// Even, in strides.
    Balanced,
    /// Density ∝ x^−a, by (1).
    PowerLaw(f64),
}

impl Popularity {
    /// From a table's name for it: `balanced` or `power_law_1.2`.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        if name == "balanced" {
            return Some(Self::Balanced);
        }
        let exponent: f64 = name.strip_prefix("power_law_")?.parse().ok()?;
        (exponent > 0.0 && exponent < 16.0).then_some(Self::PowerLaw(exponent))
    }

    /// Slots of each of `experts` experts for `tokens` tokens of `top_k` slots, all of them.
    #[must_use]
    pub fn slots(self, tokens: u32, experts: u32, top_k: u32) -> Vec<u32> {
        match self {
            Self::Balanced => balanced(tokens, experts, top_k),
            Self::PowerLaw(exponent) => power_law(tokens, experts, top_k, exponent),
        }
    }
}

impl Popularity {
    /// The slots of the rank with most, when experts are dealt to `ranks` ranks.
    ///
    /// Balanced slots lie as they are handed out. Of a power law popular experts are anywhere: the
    /// rank is that of the median deal among fifteen, each a shuffle from a stream of its own.
    ///
    /// # Panics
    /// If `ranks` is zero.
    #[must_use]
    pub fn hottest_rank(self, slots: Vec<u32>, ranks: u32) -> Vec<u32> {
        let each = (slots.len() / ranks as usize).max(1);
        let hottest = |slots: &[u32]| -> Vec<u32> {
            let sum = |rank: &&[u32]| rank.iter().map(|&c| u64::from(c)).sum::<u64>();
            slots.chunks(each).max_by_key(sum).map(<[u32]>::to_vec).unwrap_or_default()
        };
        if self == Self::Balanced {
            return hottest(&slots);
        }
        let deal = |n: u64| {
            let mut dealt = slots.clone();
            dealt.shuffle(&mut Streams::new(n).named("skew/deal"));
            hottest(&dealt)
        };
        let mut deals: Vec<Vec<u32>> = (0..DEALS).map(deal).collect();
        deals.sort_by_key(|rank| rank.iter().map(|&c| u64::from(c)).sum::<u64>());
        deals.swap_remove(deals.len() / 2)
    }
}

const DEALS: u64 = 15;

/// Token i's j-th slot goes to expert i + j·stride, spread out when tokens are few.
fn balanced(tokens: u32, experts: u32, top_k: u32) -> Vec<u32> {
    let stride = u64::from(experts.div_ceil(top_k.max(1)));
    let (tokens, count) = (u64::from(tokens), u64::from(experts));
    let mut slots = vec![0_u32; experts as usize];
    for slot in 0..u64::from(top_k) {
        if tokens < stride {
            for token in 0..tokens {
                let expert = (token * stride / tokens + slot * stride) % count;
                slots[expert as usize] += 1;
            }
            continue;
        }
        // Tokens in a row go to experts in a row: whole rounds, then the first of one more.
        for expert in 0..count {
            let place = (expert + count - slot * stride % count) % count;
            slots[expert as usize] += (tokens / count + u64::from(place < tokens % count)) as u32;
        }
    }
    slots
}

fn power_law(tokens: u32, experts: u32, top_k: u32, exponent: f64) -> Vec<u32> {
    let wanted = u64::from(tokens) * u64::from(top_k);
    let many = wanted > u64::from(experts);
    let (least, most) = if many { (1.0, (f64::from(tokens) * 0.8).max(1.0)) } else { (0.01, 2.0) };
    let x = |i: u32| draw(exponent, least, most, (f64::from(i) + 0.5) / f64::from(experts));
    let popularity: Vec<f64> = (0..experts).rev().map(x).collect();
    let total: f64 = popularity.iter().sum();
    let share = |p: &f64| ((p / total * wanted as f64).round() as u32).min(tokens);
    let mut slots: Vec<u32> = popularity.iter().map(share).collect();
    settle(&mut slots, wanted, tokens);
    slots
}

/// Equation (1), with its limit at a = 1.
fn draw(a: f64, least: f64, most: f64, u: f64) -> f64 {
    let b = 1.0 - a;
    if b.abs() < 1e-9 {
        return least * (most / least).powf(u);
    }
    ((most.powf(b) - least.powf(b)) * u + least.powf(b)).powf(1.0 / b)
}

/// Makes the sum exact after rounding: adds to the hottest first that has not all tokens yet, takes from the
/// coldest first. A token's choices are distinct experts, so none gets more slots than there are tokens: timings of
/// one token are the same under all laws.
fn settle(slots: &mut [u32], wanted: u64, tokens: u32) {
    let mut sum: u64 = slots.iter().map(|&s| u64::from(s)).sum();
    let mut at = 0;
    let room = wanted.min(u64::from(tokens) * slots.len() as u64);
    while sum < room {
        let hottest = at % slots.len();
        at += 1;
        if slots[hottest] < tokens {
            slots[hottest] += 1;
            sum += 1;
        }
    }
    at = slots.len();
    while sum > wanted && at > 0 {
        at -= 1;
        if slots[at] > 0 {
            slots[at] -= 1;
            sum -= 1;
        }
        if at == 0 && sum > wanted {
            at = slots.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_law_hands_out_every_slot() {
        for name in ["balanced", "power_law_1.01", "power_law_1.2", "power_law_1"] {
            for (tokens, experts, top_k) in
                [(1, 128, 8), (16, 128, 8), (300, 512, 22), (4096, 8, 1)]
            {
                let slots = Popularity::named(name).unwrap().slots(tokens, experts, top_k);
                let sum: u64 = slots.iter().map(|&s| u64::from(s)).sum();
                assert_eq!(sum, u64::from(tokens * top_k), "{name} {tokens} {experts} {top_k}");
            }
        }
    }

    #[test]
    fn few_balanced_tokens_touch_experts_far_apart() {
        assert_eq!(Popularity::Balanced.slots(2, 8, 2), [1, 0, 1, 0, 1, 0, 1, 0]);
        assert_eq!(Popularity::Balanced.slots(8, 8, 2), [2; 8]);
    }

    #[test]
    fn a_steeper_law_is_more_skewed() {
        let hottest = |name: &str| Popularity::named(name).unwrap().slots(4096, 64, 4)[0];
        assert!(hottest("power_law_1.2") > hottest("power_law_1.01"));
        assert!(hottest("power_law_1.01") > hottest("balanced"));
    }

    #[test]
    fn the_hottest_rank_holds_more_than_its_share_and_less_than_all_popular_experts() {
        let law = Popularity::PowerLaw(1.2);
        let slots = law.slots(4096, 128, 8);
        let sum = |slots: &[u32]| slots.iter().map(|&s| u64::from(s)).sum::<u64>();
        let (all, most) = (sum(&slots), sum(&slots[..16]));
        let rank = law.hottest_rank(slots.clone(), 8);
        assert_eq!(rank.len(), 16);
        assert!(sum(&rank) > all / 8 && sum(&rank) < most, "{} of {all}, {most}", sum(&rank));
        assert_eq!(sum(&Popularity::Balanced.hottest_rank(vec![3; 16], 4)), 12);
    }

    #[test]
    fn no_expert_gets_a_token_twice() {
        for name in ["balanced", "power_law_1.01", "power_law_1.2"] {
            for (tokens, experts, top_k) in
                [(1, 8, 2), (3, 8, 2), (1, 128, 8), (7, 16, 4), (5, 4, 4)]
            {
                let slots = Popularity::named(name).unwrap().slots(tokens, experts, top_k);
                assert!(
                    slots.iter().all(|&s| s <= tokens),
                    "{name} {tokens} {experts} {top_k}: {slots:?}"
                );
                let sum: u32 = slots.iter().sum();
                assert_eq!(sum, tokens * top_k, "{name} {tokens} {experts} {top_k}");
            }
        }
    }

    #[test]
    fn an_unknown_law_is_not_guessed() {
        for name in ["", "uniform", "power_law_", "power_law_-1", "power_law_nan"] {
            assert_eq!(Popularity::named(name), None, "{name}");
        }
    }
}
