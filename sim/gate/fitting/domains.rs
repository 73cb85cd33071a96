//! Popularity and domains from counts: what tables of loads by domain tell of a gate.
//!
//! With n_mi the slots of expert i on traffic of domain m, in one layer, and M domains and N experts:
//!
//! ```text
//!   x_mi = ln(n_mi / n̄_m)           d_mi = x_mi − x̄_i − x̄_m + x̄
//!   σ_dom² = Σ d_mi² / ((M−1)(N−1))          σ_pop² = var_i(x̄_i) − σ_dom²/M                      (1)
//! ```
//!
//! as in an analysis of variance in two ways [searle92]: what experts are liked by in all domains, and
//! how much domains deviate. Standard errors are a jackknife's over domains [efron82], which takes three. Of
//! one domain σ_pop is the standard deviation of x̄ over experts, domain and all, and σ_dom is not known.
//! Sampling noise is
//! left in: the tables at hand count 10⁵ slots per expert or so. What domains share a sequence cannot
//! be told from counts.

use super::statistics::Uneven;
use crate::base::statistics::{mean, squared_deviations};

/// Slots by domain, layer and expert.
#[derive(Clone, Debug, PartialEq)]
pub struct DomainCounts {
    /// Names of domains.
    pub domains: Vec<String>,
    /// Names of layers.
    pub layers: Vec<u32>,
    /// `[domain][layer][expert]`.
    pub slots: Vec<Vec<Vec<u64>>>,
}

/// What one layer's counts say, each with its standard error where there are three domains or more.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LayerSpread {
    /// σ_pop of (1).
    pub popularity_sd: (f64, Option<f64>),
    /// σ_dom of (1); none of a single domain.
    pub domain_sd: Option<(f64, Option<f64>)>,
    /// Unevenness of the loads of all domains in equal parts.
    pub mixed: Uneven,
}

impl DomainCounts {
    /// The spreads (1) of a layer, by its place.
    ///
    /// # Panics
    /// If there is no such layer, or no domain or fewer than two experts.
    #[must_use]
    pub fn spread(&self, layer: usize) -> LayerSpread {
        let loads: Vec<&[u64]> = self.slots.iter().map(|of| of[layer].as_slice()).collect();
        let (number, experts) = (loads.len(), loads.first().map_or(0, |loads| loads.len()));
        assert!(number >= 1, "no domain");
        assert!(experts >= 2, "{experts} experts cannot differ");
        let whole = two_way(&loads);
        let errors = (number >= 3).then(|| jackknife(&loads));
        let total = |loads: &[u64]| loads.iter().sum::<u64>().max(1) as f64;
        // Shares of equal weight, in parts of 10⁹.
        let mixed: Vec<u64> = (0..experts)
            .map(|i| loads.iter().map(|l| (1e9 * l[i] as f64 / total(l)) as u64).sum())
            .collect();
        LayerSpread {
            popularity_sd: (whole[0], errors.map(|errors| errors[0])),
            domain_sd: (number > 1).then(|| (whole[1], errors.map(|errors| errors[1]))),
            mixed: Uneven::of(&mixed),
        }
    }
}

/// Standard errors of σ_pop and σ_dom, by leaving out one of three or more domains at a time.
fn jackknife(loads: &[&[u64]]) -> [f64; 2] {
    let number = loads.len();
    let without = (0..number).map(|m| {
        let rest: Vec<&[u64]> =
            loads.iter().enumerate().filter(|(at, _)| *at != m).map(|(_, l)| *l).collect();
        two_way(&rest)
    });
    let without: Vec<[f64; 2]> = without.collect();
    [0, 1].map(|which| {
        let values: Vec<f64> = without.iter().map(|pair| pair[which]).collect();
        ((number - 1) as f64 / number as f64 * squared_deviations(&values)).sqrt()
    })
}

/// σ_pop and σ_dom of (1), the latter zero of a single domain; an expert that was never chosen counts as
/// half a slot.
fn two_way(loads: &[&[u64]]) -> [f64; 2] {
    let (domains, experts) = (loads.len() as f64, loads[0].len() as f64);
    let x: Vec<Vec<f64>> = loads
        .iter()
        .map(|loads| {
            let logs: Vec<f64> = loads.iter().map(|&n| (n as f64).max(0.5).ln()).collect();
            let centre = mean(&logs);
            logs.iter().map(|log| log - centre).collect()
        })
        .collect();
    let common: Vec<f64> =
        (0..loads[0].len()).map(|i| x.iter().map(|row| row[i]).sum::<f64>() / domains).collect();
    let squares: f64 =
        x.iter().flat_map(|row| row.iter().zip(&common).map(|(x, c)| (x - c).powi(2))).sum();
    let between = squares / ((domains - 1.0).max(1.0) * (experts - 1.0));
    let popular = common.iter().map(|c| c * c).sum::<f64>() / (experts - 1.0);
    [(popular - between / domains).max(0.0).sqrt(), between.sqrt()]
}
