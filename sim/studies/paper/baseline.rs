//! What one would predict without a simulator.

use super::PaperRow;
use crate::base::statistics::mean;

/// A predictor of one row's time from the published vanilla time of its model and other rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Baseline {
    /// Time in proportion to the FFN share.
    Ideal,
    /// A serial share `s`, fitted to other models' rows.
    Amdahl,
    /// The mean increase of other models at the same τ.
    Others,
}

impl Baseline {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Ideal, Self::Amdahl, Self::Others];

    /// Its name in tables and JSON.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::Ideal => "ideal",
            Self::Amdahl => "amdahl",
            Self::Others => "other_models",
        }
    }

    /// The predicted time of an MoE++ row, given its model's vanilla time and the rows of other
    /// models; none where the baseline has nothing to say.
    #[must_use]
    pub fn time_ms(self, row: &PaperRow, vanilla_ms: f64, others: &[PaperRow]) -> Option<f64> {
        let share = row.ffn_share();
        match self {
            Self::Ideal => Some(share * vanilla_ms),
            Self::Amdahl => {
                let serial = serial_share(others)?;
                Some((serial + (1.0 - serial) * share) * vanilla_ms)
            }
            Self::Others => {
                let same_tau: Vec<f64> = others
                    .iter()
                    .filter(|other| other.tau == row.tau)
                    .filter_map(|other| increase(other, others))
                    .collect();
                let mean = mean(&same_tau);
                (!same_tau.is_empty()).then(|| vanilla_ms / (1.0 + mean / 100.0))
            }
        }
    }
}

/// The published vanilla time of a model.
#[must_use]
pub fn vanilla_ms(model: &str, rows: &[PaperRow]) -> Option<f64> {
    rows.iter().find(|row| row.model == model && row.tau.is_none()).map(|row| row.expert_forward_ms)
}

/// A row's published increase in percent: its own column, or from its model's vanilla time.
#[must_use]
pub fn increase(row: &PaperRow, rows: &[PaperRow]) -> Option<f64> {
    row.tau?;
    row.increase
        .or_else(|| Some(100.0 * (vanilla_ms(&row.model, rows)? / row.expert_forward_ms - 1.0)))
}

/// Least squares for `s` in `t/t_vanilla = s + (1 − s)·φ` over all MoE++ rows.
fn serial_share(rows: &[PaperRow]) -> Option<f64> {
    let (mut above, mut below) = (0.0, 0.0);
    for row in rows.iter().filter(|row| row.tau.is_some()) {
        let ratio = row.expert_forward_ms / vanilla_ms(&row.model, rows)?;
        let idle = 1.0 - row.ffn_share();
        above += idle * (ratio - row.ffn_share());
        below += idle * idle;
    }
    (below > 0.0).then(|| above / below)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(model: &str, tau: Option<f64>, time: f64) -> PaperRow {
        let zero_computation_experts = if tau.is_some() { 4 } else { 0 };
        PaperRow {
            model: model.into(),
            ffn_experts: 8,
            zero_computation_experts,
            tau,
            expert_forward_ms: time,
            increase: None,
        }
    }

    #[test]
    fn amdahl_finds_the_serial_share_it_was_made_from() {
        let at = |tau: f64| {
            let share = tau * 8.0 / (tau * 8.0 + 4.0);
            row("a", Some(tau), 100.0 * (0.3 + 0.7 * share))
        };
        let rows = [row("a", None, 100.0), at(0.25), at(1.0)];
        let predicted = Baseline::Amdahl.time_ms(&row("b", Some(0.5), 1.0), 200.0, &rows).unwrap();
        assert!((predicted - 200.0 * (0.3 + 0.7 * 0.5)).abs() < 1e-9);
    }

    #[test]
    fn the_other_models_increase_is_averaged_at_the_same_tau() {
        let rows = [
            row("a", None, 100.0),
            row("a", Some(0.5), 50.0),
            row("b", None, 100.0),
            row("b", Some(0.5), 25.0),
        ];
        let unseen = row("c", Some(0.5), 1.0);
        let predicted = Baseline::Others.time_ms(&unseen, 400.0, &rows).unwrap();
        assert!((predicted - 400.0 / (1.0 + 2.0)).abs() < 1e-9, "increases of 100 % and 300 %");
    }
}
