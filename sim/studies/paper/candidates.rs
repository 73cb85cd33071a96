//! Every structure at every micro-batch, fitted and judged by leaving models out, and the one that is taken.

use std::fmt::Write as _;

use super::PaperRow;
use super::fit::{self, PerSlot, Row, Structure, TOKENS_PER_GPU};
use super::judge::models_of;
use super::predictor::Predictor;
use crate::base::units::{Bytes, SimDuration};
use crate::execution::cost::Overheads;
use crate::execution::outcome::TooLong;

/// A structure is allowed by the rows if leaving models out costs it no more than this many times the error of the best.
const AS_GOOD: f64 = 1.5;

/// One structure, fitted at one micro-batch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Candidate {
    /// Tokens of a GPU's micro-batch.
    pub tokens_per_gpu: u32,
    /// What was fitted.
    pub structure: Structure,
    /// The fit to all rows.
    pub overheads: Overheads,
    /// Root mean square of relative errors, each model's rows predicted by a fit to the others'; of the fit itself
    /// where there is one model.
    pub left_out: f64,
}

/// What was fitted to some rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Fit {
    /// The overheads that are taken.
    pub taken: Candidate,
    /// Mean |relative error| of the simulator with them, over the rows fitted to.
    pub residual: f64,
    /// Rows fitted to.
    pub rows: usize,
    /// Hidden sizes of their models.
    pub hidden: Vec<u32>,
    /// The GPU they were measured on.
    pub gpu: String,
    /// What else the rows allow.
    pub alternatives: Vec<Candidate>,
}

impl Predictor {
    /// Fits every structure to `rows`, those of unknown models left out, and takes the one with a cost of each
    /// slot, at the scenario's micro-batch, that leaving models out speaks for.
    ///
    /// # Errors
    /// If a run exceeds representable time.
    pub fn fit(&self, rows: &[PaperRow]) -> Result<Fit, TooLong> {
        let known: Vec<PaperRow> =
            rows.iter().filter(|row| self.workload_of(row).is_some()).cloned().collect();
        let workloads = known.iter().filter_map(|row| self.workload_of(row));
        let mut hidden: Vec<u32> = workloads.map(|workload| workload.model.hidden).collect();
        hidden.sort_unstable();
        hidden.dedup();
        let (own, candidates) = (self.tokens_per_gpu(), self.candidates(&known)?);
        let least = candidates.iter().map(|one| one.left_out).fold(f64::INFINITY, f64::min);
        let by_slot =
            |one: &&Candidate| one.tokens_per_gpu == own && one.structure.per_slot == PerSlot::Cost;
        let best = |a: &&Candidate, b: &&Candidate| a.left_out.total_cmp(&b.left_out);
        let Some(taken) = candidates.iter().filter(by_slot).min_by(best).copied() else {
            unreachable!("workloads are whole in their own micro-batches")
        };
        let allowed = |one: &Candidate| *one != taken && one.left_out <= AS_GOOD * least;
        let alternatives = candidates.into_iter().filter(allowed).collect();
        let times = self.times_ms(&known, taken.overheads)?;
        let errors = known.iter().zip(times);
        let errors: Vec<f64> = errors
            .filter_map(|(row, time)| Some((time? / row.expert_forward_ms - 1.0).abs()))
            .collect();
        let residual = errors.iter().sum::<f64>() / errors.len().max(1) as f64;
        let gpu = self.gpu().to_owned();
        Ok(Fit { taken, residual, rows: known.len(), hidden, gpu, alternatives })
    }

    /// Every structure at every micro-batch that divides the rows' tokens, their own first.
    fn candidates(&self, known: &[PaperRow]) -> Result<Vec<Candidate>, TooLong> {
        let own = self.tokens_per_gpu();
        let others = TOKENS_PER_GPU.into_iter().filter(|tokens| *tokens != own).map(Some);
        let mut candidates = Vec::new();
        for tokens_per_gpu in std::iter::once(None).chain(others) {
            let Some(parts) = self.parts(known, tokens_per_gpu)? else { continue };
            let tokens_per_gpu = tokens_per_gpu.unwrap_or(own);
            for structure in Structure::all() {
                candidates.push(candidate(known, &parts, tokens_per_gpu, structure));
            }
        }
        Ok(candidates)
    }
}

fn candidate(
    rows: &[PaperRow],
    parts: &[Row],
    tokens_per_gpu: u32,
    structure: Structure,
) -> Candidate {
    let overheads = rounded(&fit::fit(parts, structure));
    let models = models_of(rows);
    let mut errors = Vec::new();
    for model in &models {
        let both = rows.iter().zip(parts);
        let (own, others): (Vec<_>, Vec<_>) = both.partition(|(row, _)| row.model == *model);
        let parts = |of: &[(&PaperRow, &Row)]| of.iter().map(|(_, row)| **row).collect::<Vec<_>>();
        let fitted = match models.len() {
            1 => overheads,
            _ => fit::fit(&parts(&others), structure),
        };
        errors.extend(fit::errors(&parts(&own), &fitted));
    }
    let squares = errors.iter().map(|error| error * error).sum::<f64>();
    let left_out = (squares / errors.len().max(1) as f64).sqrt();
    Candidate { tokens_per_gpu, structure, overheads, left_out }
}

/// As they are written.
fn rounded(overheads: &Overheads) -> Overheads {
    let us = |time: SimDuration, digits: f64| {
        SimDuration::from_us((time.us() * digits).round() / digits)
    };
    Overheads {
        traffic_factor: (1e3 * overheads.traffic_factor).round() / 1e3,
        slot_traffic: Bytes(overheads.slot_traffic.0.next_multiple_of(100)),
        expert_visit: us(overheads.expert_visit, 1e2),
        layer: us(overheads.layer, 1e2),
        overlap: overheads.overlap,
    }
}

/// The overheads file of a fit, as `config::overheads` reads it.
#[must_use]
pub fn file_text(name: &str, fit: &Fit, fitted_to: &str) -> String {
    let mut text = String::new();
    let _ = write!(
        text,
        "# Written by `moesim fit-overheads`. Do not edit: fit again.\n\
         #\n\
         # What a loop over experts costs beyond its kernels (see sim/execution/cost/overheads.rs): memory traffic as\n\
         # a multiple of touching each operand once, indexing each slot of an FFN expert, launching and\n\
         # synchronising for each expert visited and once for each layer. Host and device overlap: together they take\n\
         # (host^p + device^p)^(1/p) with p = overlap, the sum of both at 1, ever closer to the longer above.\n\
         schema         = 2\n\
         name           = \"{name}\"\n{}\n\
         [fitted]\n\
         to     = \"{fitted_to}\"\n\
         rows   = {}\n\
         hidden = {:?}\n\
         gpu    = {:?}\n\
         mean_absolute_relative_error = {:.4}\n\
         left_out_error = {:.4}\n\
         \n\
         # What the same rows allow: other structures and micro-batches, by root mean square of errors with\n\
         # each model left out.\n",
        keys(&fit.taken.overheads),
        fit.rows,
        fit.hidden,
        fit.gpu,
        fit.residual,
        fit.taken.left_out,
    );
    for Candidate { tokens_per_gpu, overheads, left_out, .. } in &fit.alternatives {
        let _ = write!(
            text,
            "\n[[alternative]]\ntokens_per_gpu = {tokens_per_gpu}\n{}left_out_error = {left_out:.4}\n",
            keys(overheads)
        );
    }
    text
}

fn keys(overheads: &Overheads) -> String {
    let Overheads { traffic_factor, slot_traffic, expert_visit, layer, overlap } = overheads;
    format!(
        "traffic_factor = {traffic_factor:.3}\n\
         slot_traffic   = \"{} B\"\n\
         expert_visit   = \"{:.2} us\"\n\
         layer          = \"{:.2} us\"\n\
         overlap        = {overlap:?}\n",
        slot_traffic.0,
        expert_visit.us(),
        layer.us(),
    )
}
