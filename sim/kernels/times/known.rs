//! Times of dense products that were asked for before.
//!
//! Runs of a study, points of a sweep and published systems ask for the same few shapes of the same few profiles again and
//! again, and reading one off inverts a matrix of neighbours. What was read is kept, with all that it was read from: a
//! reading is a function of that.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use super::GemmTimes;
use crate::kernels::Device;
use crate::kernels::curves::Curves;
use crate::kernels::gemm::GemmPrior;
use crate::kernels::profile::{Family, Precision};

/// Readings kept at most: each is a few kilobytes.
const MOST: usize = 2048;

/// Which residuals were read, in which format, and (N, K).
type Key = (usize, Precision, (u32, u32));

/// What a reading stands on beside its key; its residuals are kept, so that no others take their identity.
struct Reading {
    residual: Curves,
    prior: GemmPrior,
    device: Device,
    transferred: Option<String>,
    times: GemmTimes,
}

static KNOWN: Mutex<BTreeMap<Key, Reading>> = Mutex::new(BTreeMap::new());

/// [`GemmTimes::without`] with nothing left out and nothing borrowed.
pub(in crate::kernels) fn dense(
    family: &Family<GemmPrior>,
    device: Device,
    precision: Precision,
    shape: (u32, u32),
) -> GemmTimes {
    let read = || GemmTimes::without(family, device, precision, shape, None, |_, _| false);
    let Some(residual) = family.residual.first() else { return read() };
    let key = (residual.identity(), precision, shape);
    let transferred = family.evidence.transferred_from();
    // A thread that panicked has not left a reading half made.
    let held = || KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let same = |known: &&Reading| {
        known.residual.identity() == key.0
            && known.prior == family.prior
            && known.device == device
            && known.transferred.as_deref() == transferred
    };
    if let Some(known) = held().get(&key).filter(same) {
        return known.times.clone();
    }
    let times = read();
    let mut known = held();
    if known.len() >= MOST {
        known.pop_first();
    }
    let (residual, prior) = (residual.clone(), family.prior);
    let transferred = transferred.map(str::to_owned);
    known.insert(key, Reading { residual, prior, device, transferred, times: times.clone() });
    times
}
