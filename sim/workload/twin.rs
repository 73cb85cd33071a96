//! The MoE++ twin of a vanilla workload: what the paper's recipe makes of it.
//!
//! ```text
//!   n_zero = n_copy = 1,  n_const = max(N_FFN/4 − n_zero − n_copy, 1)             (1) [moepp, eq. 10]
//!   τ = 0.75                                                                    (2) [moepp]
//! ```
//!
//! The twin has the same FFN experts and K, the gating residual [moepp, eq. 6], and a copy of its
//! zero-computation experts on every GPU. Its gate keeps its own network, batch, layout and stack stay. A limit to
//! groups of experts goes, since MoE++ chooses among all; [`Twin::changes`] says so. Left out: what training it
//! anew would do to quality and to how popular single experts are.

use super::{Origin, Scheme, Workload, ZeroComputation};

/// τ of the paper's models where it compares sizes [moepp].
pub const USUAL_TAU: f64 = 0.75;

/// A vanilla workload as MoE++.
#[derive(Clone, Debug, PartialEq)]
pub struct Twin {
    /// The workload with zero-computation experts.
    pub workload: Workload,
    /// What differs from the vanilla workload, in words.
    pub changes: Vec<String>,
}

impl ZeroComputation {
    /// Equation (1), for a layer with this many FFN experts.
    #[must_use]
    pub const fn usual(ffn: u32) -> Self {
        let constant = (ffn / 4).saturating_sub(2);
        Self { zero: 1, copy: 1, constant: if constant == 0 { 1 } else { constant } }
    }
}

impl Workload {
    /// Its MoE++ twin, by equations (1) and (2).
    ///
    /// # Errors
    /// Why there is none: its choices are recorded, or its scheme knows no zero-computation experts.
    pub fn moepp_twin(&self) -> Result<Twin, String> {
        if matches!(self.gating.origin, Origin::Recording(_)) {
            let why =
                "replays a recording, which does not say what zero-computation experts would get";
            return Err(format!("the gate of `{}` {why}", self.name));
        }
        let ffn = self.model.experts.ffn;
        let kinds = ZeroComputation::usual(ffn);
        let (scheme, change) = twin_scheme(self.gating.scheme)
            .map_err(|why| format!("the gate of `{}` {why}", self.name))?;
        let mut changes = vec![
            format!(
                "{ffn} FFN experts and {} zero, {} copy, {} constant [moepp, eq. 10]",
                kinds.zero, kinds.copy, kinds.constant
            ),
            format!("τ = {USUAL_TAU} [moepp]"),
            "a gating residual [moepp, eq. 6]".to_owned(),
        ];
        changes.extend(change);
        let mut workload = self.clone();
        workload.name = format!("{} as MoE++", self.name);
        workload.model.experts.zero_computation = kinds;
        workload.model.experts.tau = Some(USUAL_TAU);
        workload.model.gating_residual = true;
        workload.gating.scheme = scheme;
        workload.zero_computation_local = true;
        Ok(Twin { workload, changes })
    }
}

/// The scheme of the twin of a model with a scheme, and what changes; or why there is none.
fn twin_scheme(own: Scheme) -> Result<(Scheme, Option<String>), &'static str> {
    match own {
        Scheme::TopK | Scheme::Chain { .. } => Ok((own, None)),
        Scheme::GroupLimited { groups, most } => {
            Ok((Scheme::TopK, Some(format!("no limit to {most} of {groups} groups of experts"))))
        }
        Scheme::Controlled { .. } | Scheme::NullExperts => Ok((
            Scheme::TopK,
            Some("a balance loss in place of its own control of loads".to_owned()),
        )),
        Scheme::ExpertChoice => Err("lets experts choose tokens, not tokens experts"),
        Scheme::TopP { .. } => Err("takes as many experts as reach a probability"),
        Scheme::Grouped { .. } => Err("takes equally many experts of each group"),
        Scheme::Autonomy { .. } => Err("is the experts' own reaction to a token"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_papers_larger_models_have_the_usual_numbers() {
        // [moepp, Table 2]; of 8 experts eq. 10 gives 1 constant, the table has 2.
        for (ffn, constant) in [(16, 2), (32, 6), (8, 1), (4, 1), (1, 1), (256, 62)] {
            let kinds = ZeroComputation::usual(ffn);
            assert_eq!(kinds, ZeroComputation { zero: 1, copy: 1, constant }, "{ffn}");
        }
    }
}
