//! Time over a running size, through knots, never falling.

/// A time that never falls as a size grows: log T piecewise linear in log m.
///
/// Measured times do fall here and there, where a library switches to a better kernel a step too
/// late. They are pooled with their neighbours (pool adjacent violators [barlow72, §1.2], on
/// logarithms), which costs a tenth of a percent of median error and makes every model built on
/// this one monotone.
#[derive(Clone, Debug, PartialEq)]
pub struct Curve {
    /// ln m, increasing.
    log_size: Vec<f64>,
    /// ln T, not falling.
    log_time: Vec<f64>,
}

impl Curve {
    /// The curve through these sizes and times, both positive, sizes increasing.
    #[must_use]
    pub fn new(knots: Vec<(f64, f64)>) -> Self {
        let log_size = knots.iter().map(|(m, _)| m.ln()).collect();
        let log_time: Vec<f64> = knots.iter().map(|(_, t)| t.ln()).collect();
        Self { log_size, log_time: pooled(&log_time) }
    }

    /// Sizes and times, sizes increasing.
    pub(in crate::kernels) fn knots(&self) -> Vec<(f64, f64)> {
        self.log_size.iter().zip(&self.log_time).map(|(m, t)| (m.exp(), t.exp())).collect()
    }

    /// The first and the last size, if there are any.
    #[must_use]
    pub fn span(&self) -> Option<(f64, f64)> {
        let (first, last) = (self.log_size.first()?, self.log_size.last()?);
        Some((first.exp(), last.exp()))
    }

    /// The time at a size within the span, else at its nearer end; none without knots.
    #[must_use]
    pub fn at(&self, size: f64) -> Option<f64> {
        Some(interpolate(&self.log_size, &self.log_time, size.ln())?.exp())
    }
}

/// The value at `x` on the line through the points, flat beyond its ends; none without points.
pub(in crate::kernels) fn interpolate(xs: &[f64], ys: &[f64], x: f64) -> Option<f64> {
    let above = xs.partition_point(|&known| known < x);
    if above == xs.len() {
        return ys.last().copied();
    }
    if above == 0 || xs[above] == x {
        return Some(ys[above]);
    }
    let (x0, x1) = (xs[above - 1], xs[above]);
    let share = (x - x0) / (x1 - x0);
    // In this form equal ends give exactly their value, and rounding cannot make a flat line fall.
    Some(ys[above - 1] + (ys[above] - ys[above - 1]) * share)
}

/// The closest non-decreasing sequence in the sense of least squares.
pub(in crate::kernels) fn pooled(values: &[f64]) -> Vec<f64> {
    let mut blocks: Vec<(f64, usize)> = Vec::with_capacity(values.len());
    for &value in values {
        blocks.push((value, 1));
        while let [.., (left, a), (right, b)] = blocks[..]
            && left > right
        {
            blocks.truncate(blocks.len() - 2);
            let mean = (left * a as f64 + right * b as f64) / (a + b) as f64;
            blocks.push((mean, a + b));
        }
    }
    blocks.into_iter().flat_map(|(mean, len)| std::iter::repeat_n(mean, len)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn falling_stretches_are_pooled_and_the_rest_is_kept() {
        assert_eq!(pooled(&[1.0, 3.0, 2.0, 4.0]), [1.0, 2.5, 2.5, 4.0]);
        assert_eq!(pooled(&[3.0, 2.0, 1.0]), [2.0, 2.0, 2.0]);
        assert!(pooled(&[]).is_empty());
    }

    #[test]
    fn between_knots_time_is_a_power_of_size() {
        let curve = Curve::new(vec![(1.0, 2.0), (4.0, 8.0)]);
        assert!((curve.at(2.0).unwrap() - 4.0).abs() < 1e-12);
        assert!((curve.at(0.5).unwrap() - 2.0).abs() < 1e-12);
        assert!((curve.at(99.0).unwrap() - 8.0).abs() < 1e-12);
        assert_eq!(Curve::new(Vec::new()).at(1.0), None);
    }
}
