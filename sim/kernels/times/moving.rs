//! Times of kernels that mostly move memory, where a device was measured at each of them.
//!
//! ```text
//!   T = (launches · t_launch + bytes / (B · η)) · exp(r(bytes))                  (1)
//! ```
//!
//! One rate does not fit them all: what caches hold is moved several times as fast as what they do not, and choosing
//! experts, exponentials and short rows take arithmetic. r is read off the sizes measured at rows of this width, or of
//! the nearest that was: linear in ln bytes between them, and kept beyond.

use std::collections::BTreeMap;

use crate::kernels::curve::interpolate;
use crate::kernels::profile::{MemoryFit, Moved, MovingFit};

impl MovingFit {
    /// r of (1).
    fn residual(&self, width: u32, bytes: f64) -> f64 {
        let away = |other: u32| (f64::from(other.max(1)) / f64::from(width.max(1))).ln().abs();
        let nearest = self.residual.iter().min_by(|(a, _), (b, _)| away(**a).total_cmp(&away(**b)));
        let at = |curve: &BTreeMap<u32, f64>| {
            let (sizes, values): (Vec<f64>, Vec<f64>) =
                curve.iter().map(|(&bytes, &r)| (f64::from(bytes).ln(), r)).unzip();
            interpolate(&sizes, &values, bytes.max(1.0).ln())
        };
        nearest.and_then(|(_, curve)| at(curve)).unwrap_or(0.0)
    }
}

impl MemoryFit {
    /// What a kernel takes by its own measurements, as a multiple of what bytes and launches say; none where it
    /// was not measured.
    #[must_use]
    pub fn own_factor(&self, moved: Moved) -> Option<f64> {
        let fit = self.kernels.get(&moved.kernel)?;
        Some(fit.residual(moved.width, moved.bytes.0 as f64).exp())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn residuals_are_read_at_the_nearest_width_and_between_sizes() {
        let curve = |values: &[(u32, f64)]| values.iter().copied().collect::<BTreeMap<_, _>>();
        let fit = MovingFit {
            residual: BTreeMap::from([
                (64, curve(&[(1 << 10, 0.0), (1 << 20, 1.0)])),
                (1024, curve(&[(1 << 10, 5.0)])),
            ]),
        };
        let close = |width, bytes, expected: f64| {
            let found = fit.residual(width, bytes);
            assert!((found - expected).abs() < 1e-12, "{width} {bytes}: {found}");
        };
        close(64, f64::from(1 << 15), 0.5);
        close(100, f64::from(1 << 15), 0.5);
        // Beyond the ends what was measured last is kept.
        close(64, 1.0, 0.0);
        close(64, 1e12, 1.0);
        close(300, 1e6, 5.0);
        assert!((MovingFit::default().residual(64, 1e6)).abs() < 1e-12);
    }
}
