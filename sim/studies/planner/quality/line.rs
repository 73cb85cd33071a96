//! One line in `ln τ` for the models of a paper, a level for each.

use std::collections::BTreeMap;

use crate::base::statistics::mean;

/// Equation (1) of [`super`], fitted.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Line {
    /// What one more `ln τ` brings, the same for all models.
    pub(super) slope: f64,
    /// Standard deviation of points about it.
    pub(super) noise: f64,
    /// The share of the variance within models that it explains.
    pub(super) explained: f64,
    /// The model's own quality at τ = 1.
    level: f64,
}

impl Line {
    /// By least squares within models, `ln τ` and quality of each; the level is that of the model's own points.
    pub(super) fn fit(groups: &BTreeMap<&str, Vec<(f64, f64)>>, own: &[(f64, f64)]) -> Self {
        let [mut xy, mut xx, mut yy, mut count] = [0.0; 4];
        for group in groups.values() {
            let [x, y] = middle(group);
            xy += group.iter().map(|p| (p.0 - x) * (p.1 - y)).sum::<f64>();
            xx += group.iter().map(|p| (p.0 - x).powi(2)).sum::<f64>();
            yy += group.iter().map(|p| (p.1 - y).powi(2)).sum::<f64>();
            count += group.len() as f64;
        }
        let slope = if xx > 0.0 { xy / xx } else { 0.0 };
        let free = (count - groups.len() as f64 - 1.0).max(1.0);
        let left = (yy - slope * xy).max(0.0);
        let [x, y] = middle(own);
        Self {
            slope,
            noise: (left / free).sqrt(),
            explained: if yy > 0.0 { 1.0 - left / yy } else { 1.0 },
            level: y - slope * x,
        }
    }

    /// Quality at a τ.
    pub(super) fn at(&self, ln_tau: f64) -> f64 {
        self.level + self.slope * ln_tau
    }
}

/// The means of `ln τ` and of quality.
fn middle(points: &[(f64, f64)]) -> [f64; 2] {
    let of = |side: fn(&(f64, f64)) -> f64| mean(&points.iter().map(side).collect::<Vec<_>>());
    [of(|p| p.0), of(|p| p.1)]
}
