//! What calibration leaves open of dispatch and combine, drawn once a run.
//!
//! Each leg errs by the law of the family that its constants are of: one family where NCCL carries both, two
//! where a library's kernels do. A leg takes e^ε times as long as predicted, ε drawn from the stream
//! `calibration/FAMILY` of the run's seed, so that two runs of one family err alike.

use super::Factors;
use crate::base::streams::Streams;
use crate::network::{ExchangeBasis, NetworkRates, Rates};

/// Rates under one calibration sample: `perturbation` for all but dispatch and combine where it is known what these stand on.
#[must_use]
pub fn drawn(
    rates: Rates,
    phases: Option<&[ExchangeBasis; 2]>,
    perturbation: &Factors,
    streams: Streams,
) -> Rates {
    let whole = perturbation.on(rates);
    let Some([dispatch, combine]) = phases else { return whole };
    let one = |rates: NetworkRates, exchange_phase: &ExchangeBasis| {
        let mut rng = streams.named(&format!("calibration/{}", exchange_phase.family));
        let factor = exchange_phase.errors.as_ref().map_or(1.0, |law| law.draw(&mut rng));
        rates.slower(factor, factor)
    };
    Rates {
        dispatch: one(rates.dispatch, dispatch),
        combine: one(rates.combine, combine),
        other: whole.other,
    }
}
