//! Polynomials cut off behind their first terms, eight side by side, one in each lane.
//!
//! Each loop does to a lane what it would do to that polynomial alone, in the same order.

/// Polynomials side by side.
pub(super) const SIDE: usize = 8;
/// A number of each of them.
pub(super) type Row = [f64; SIDE];

/// Sets all of them to one.
#[inline(always)]
pub(super) fn set_one(series: &mut [Row]) {
    series.fill([0.0; SIDE]);
    series[0] = [1.0; SIDE];
}

/// Multiplies each by `1 + w z`, w being its own.
#[inline(always)]
pub(super) fn times_one_plus(weights: &Row, series: &mut [Row]) {
    for k in (1..series.len()).rev() {
        let below = series[k - 1];
        for lane in 0..SIDE {
            series[k][lane] += weights[lane] * below[lane];
        }
    }
}

/// Multiplies that in one lane alone.
#[inline(always)]
pub(super) fn times_one_plus_in(lane: usize, weight: f64, series: &mut [Row]) {
    for k in (1..series.len()).rev() {
        series[k][lane] += weight * series[k - 1][lane];
    }
}

/// Products of two each.
#[inline(always)]
pub(super) fn times(a: &[Row], b: &[Row], out: &mut [Row]) {
    for (k, out) in out.iter_mut().enumerate() {
        *out = [0.0; SIDE];
        for (a, b) in a[..=k].iter().zip(b[..=k].iter().rev()) {
            for lane in 0..SIDE {
                out[lane] += a[lane] * b[lane];
            }
        }
    }
}

/// Adds one row to another.
#[inline(always)]
pub(super) fn add(to: &mut Row, row: &Row) {
    for lane in 0..SIDE {
        to[lane] += row[lane];
    }
}

/// Coefficients of y in Π_b (1 + y (B_b − 1)), each a series in z.
#[derive(Debug)]
pub(super) struct ByBlocks {
    terms: usize,
    most: usize,
    /// One series after another, `y^0` first.
    of: Vec<Row>,
}

impl ByBlocks {
    /// Of no blocks, up to `y^most`.
    #[inline(always)]
    pub(super) fn new(terms: usize, most: usize) -> Self {
        let mut of = vec![[0.0; SIDE]; (most + 1) * terms];
        of[0] = [1.0; SIDE];
        Self { terms, most, of }
    }

    /// Of one block more.
    #[inline(always)]
    pub(super) fn times(&mut self, block: &[Row]) {
        let terms = self.terms;
        for y in (1..=self.most).rev() {
            let (fewer, these) = self.of[(y - 1) * terms..].split_at_mut(terms);
            // B_b − 1 begins with z, so y blocks begin with z^y.
            for k in y..terms {
                let mut sum = [0.0; SIDE];
                for (a, b) in fewer[y - 1..k].iter().zip(block[1..=k + 1 - y].iter().rev()) {
                    for lane in 0..SIDE {
                        sum[lane] += a[lane] * b[lane];
                    }
                }
                add(&mut these[k], &sum);
            }
        }
    }

    /// `[y^0] + … + [y^most]`.
    #[inline(always)]
    pub(super) fn up_to(&self, most: usize, out: &mut [Row]) {
        out.fill([0.0; SIDE]);
        for series in self.of.chunks_exact(self.terms).take(most + 1) {
            out.iter_mut().zip(series).for_each(|(to, term)| add(to, term));
        }
    }
}
