//! Residuals of measured shapes, read between and beyond them by local kriging.
//!
//! A *site* is a measured shape, such as (N, K) of a GEMM; its *curve* is the log residual
//! `y_s(j) = ln(measured / prior)` at knots `j` of a running size, such as M. At a site that was
//! measured the curve is returned as it is. Elsewhere, with `d_i` the city-block distance in base-2
//! logarithms of the coordinates, each divided by its length at scale i, and over the
//! `NEIGHBOURS` sites of largest covariance,
//!
//! ```text
//!   C(s, s') = Σ_i α_i · exp(−d_i(s, s'))      Σ_i α_i = 1                      (1)
//!   (C_ss' + ν·1) w = C_s*                                                   (2)
//!   ŷ(j) = Σ_s w_s y_s(j)                                                    (3)
//! ```
//!
//! which is simple kriging [cressie93, §3.2] with a product of exponential covariances, one a
//! coordinate, and relative noise ν: what two shapes share is what they share in each dimension, so a
//! neighbour that differs in one alone counts more than one at the same distance that differs in two
//! (against the Euclidean distance this takes a tenth to a seventh off the error of left-out
//! shapes). Near sites count, clustered sites share their say, and far from all sites ŷ → 0, so that the
//! prior speaks alone. A second, short scale carries what only near-identical shapes share, such
//! as a configuration that a library was tuned for. Lengths, shares and ν are the same for all
//! devices and were chosen by leaving out whole sites. Left out: any drift beyond the prior, and
//! any trust in one site over another.

/// Sites that have a say in an interpolation; more change errors in the fourth digit only.
const NEIGHBOURS: usize = 32;

/// One scale of (1): its share α and the length of each coordinate, in doublings.
#[derive(Clone, Debug, PartialEq)]
pub struct Scale {
    /// α.
    pub share: f64,
    /// Lengths, one a coordinate.
    pub lengths: Vec<f64>,
}

/// One measured shape and what the prior left over there.
#[derive(Clone, Debug, PartialEq)]
pub struct Site {
    /// Coordinates, as written in tables: positive numbers.
    pub at: Vec<u32>,
    /// Log residual at each knot.
    pub residual: Vec<f64>,
}

/// Residual curves over a set of sites that share their knots.
#[derive(Clone, Debug, PartialEq)]
pub struct Curves {
    knots: Vec<f64>,
    sites: Vec<Site>,
    /// Base-2 logarithms of the coordinates, one row a site.
    logs: Vec<Vec<f64>>,
    scales: Vec<Scale>,
    noise: f64,
}

/// A curve read somewhere, and how far that is from what was measured.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    /// Log residual at each knot.
    pub residual: Vec<f64>,
    /// −ln of the covariance with the nearest site: zero at a measured site, 1 about a length off.
    pub distance: f64,
}

impl Curves {
    /// Curves over `knots`, which must increase, with the scales of (1) and noise ν.
    ///
    /// # Panics
    /// If a site has another number of knots or coordinates, or a length is not positive.
    #[must_use]
    pub fn new(knots: Vec<f64>, sites: Vec<Site>, scales: Vec<Scale>, noise: f64) -> Self {
        assert!(knots.windows(2).all(|k| k[0] < k[1]), "knots do not increase: {knots:?}");
        for scale in &scales {
            assert!(scale.lengths.iter().all(|l| *l > 0.0), "lengths of {scale:?}");
            assert!(scale.share > 0.0, "share of {scale:?}");
        }
        for site in &sites {
            let (at, curve) = (&site.at, site.residual.len());
            assert!(curve == knots.len(), "{curve} values for {} knots at {at:?}", knots.len());
            let fits = scales.iter().all(|scale| scale.lengths.len() == at.len());
            assert!(fits && !scales.is_empty(), "{at:?} for scales {scales:?}");
        }
        let logs = sites.iter().map(|site| logs_of(&site.at)).collect();
        Self { knots, sites, logs, scales, noise }
    }

    /// No sites: the prior speaks alone.
    #[must_use]
    pub fn none() -> Self {
        Self::new(Vec::new(), Vec::new(), Vec::new(), 1.0)
    }

    /// The running sizes at which curves are known.
    #[must_use]
    pub fn knots(&self) -> &[f64] {
        &self.knots
    }

    /// The measured shapes.
    #[must_use]
    pub fn sites(&self) -> &[Site] {
        &self.sites
    }

    /// The scales of (1).
    #[must_use]
    pub fn scales(&self) -> &[Scale] {
        &self.scales
    }

    /// The relative noise ν.
    #[must_use]
    pub const fn noise(&self) -> f64 {
        self.noise
    }

    /// The curve at `at`, by (2) and (3); sites that `skip` names have no say.
    #[must_use]
    pub fn read(&self, at: &[u32], skip: impl Fn(&Site) -> bool) -> Reading {
        let here = logs_of(at);
        let mut near: Vec<(f64, usize)> = (0..self.sites.len())
            .filter(|&s| !skip(&self.sites[s]))
            .map(|s| (self.covariance(&here, &self.logs[s]), s))
            .collect();
        near.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        near.truncate(NEIGHBOURS);
        match near.first() {
            None => Reading { residual: vec![0.0; self.knots.len()], distance: f64::INFINITY },
            Some(&(_, s)) if self.sites[s].at == at => {
                Reading { residual: self.sites[s].residual.clone(), distance: 0.0 }
            }
            Some(&(c, _)) => Reading { residual: self.mix(&near), distance: -c.ln() },
        }
    }

    /// Σ w·y over the near sites, given with their covariance with here.
    fn mix(&self, near: &[(f64, usize)]) -> Vec<f64> {
        let n = near.len();
        let mut covariance = vec![0.0; n * n];
        for i in 0..n {
            for j in 0..n {
                let c = self.covariance(&self.logs[near[i].1], &self.logs[near[j].1]);
                covariance[i * n + j] = c + if i == j { self.noise } else { 0.0 };
            }
        }
        let mut weights: Vec<f64> = near.iter().map(|(c, _)| *c).collect();
        solve(&mut covariance, &mut weights);
        let mut mixed = vec![0.0; self.knots.len()];
        for (w, (_, s)) in weights.iter().zip(near) {
            for (to, y) in mixed.iter_mut().zip(&self.sites[*s].residual) {
                *to += w * y;
            }
        }
        mixed
    }

    /// Equation (1).
    fn covariance(&self, a: &[f64], b: &[f64]) -> f64 {
        let at_scale = |scale: &Scale| {
            let step = |((a, b), l): ((&f64, &f64), &f64)| (a - b).abs() / l;
            let distance: f64 = a.iter().zip(b).zip(&scale.lengths).map(step).sum();
            scale.share * (-distance).exp()
        };
        self.scales.iter().map(at_scale).sum()
    }
}

fn logs_of(at: &[u32]) -> Vec<f64> {
    at.iter().map(|&x| f64::from(x.max(1)).log2()).collect()
}

/// Solves `A x = b` in place for a symmetric positive definite `A` by Cholesky's decomposition.
fn solve(a: &mut [f64], b: &mut [f64]) {
    let n = b.len();
    for j in 0..n {
        let pivot = a[j * n + j] - (0..j).map(|k| a[j * n + k] * a[j * n + k]).sum::<f64>();
        assert!(pivot > 0.0, "pivot {j} of {n} is {pivot}: the covariance is not definite");
        let pivot = pivot.sqrt();
        a[j * n + j] = pivot;
        for i in j + 1..n {
            let dot: f64 = (0..j).map(|k| a[i * n + k] * a[j * n + k]).sum();
            a[i * n + j] = (a[i * n + j] - dot) / pivot;
        }
    }
    for i in 0..n {
        let dot: f64 = (0..i).map(|k| a[i * n + k] * b[k]).sum();
        b[i] = (b[i] - dot) / a[i * n + i];
    }
    for i in (0..n).rev() {
        let dot: f64 = (i + 1..n).map(|k| a[k * n + i] * b[k]).sum();
        b[i] = (b[i] - dot) / a[i * n + i];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plane() -> Curves {
        let site = |n: u32, k: u32| Site {
            at: vec![n, k],
            residual: vec![f64::from(n).log2() * 0.1, f64::from(k).log2() * 0.1],
        };
        let sites = [(64, 64), (64, 128), (128, 64), (256, 256), (512, 64)];
        let sites = sites.into_iter().map(|(n, k)| site(n, k)).collect();
        let scales = vec![Scale { share: 1.0, lengths: vec![2.0, 4.0] }];
        Curves::new(vec![1.0, 2.0], sites, scales, 0.1)
    }

    #[test]
    fn a_measured_site_is_returned_as_measured() {
        let reading = plane().read(&[128, 64], |_| false);
        assert_eq!(reading.distance, 0.0);
        assert_eq!(reading.residual, plane().sites()[2].residual);
    }

    #[test]
    fn between_sites_the_reading_lies_near_theirs_and_far_away_it_fades() {
        let curves = plane();
        let between = curves.read(&[90, 64], |_| false);
        assert!((0.5..0.8).contains(&between.residual[0]), "{between:?}");
        let far = curves.read(&[u32::MAX, u32::MAX], |_| false);
        assert!(far.residual[0].abs() < 0.1 && far.distance > 4.0, "{far:?}");
        let none = curves.read(&[64, 64], |_| true);
        assert_eq!(none, Reading { residual: vec![0.0, 0.0], distance: f64::INFINITY });
    }

    #[test]
    fn the_solver_solves() {
        let (a, x) = ([4.0, 2.0, 0.4, 2.0, 3.0, 0.5, 0.4, 0.5, 2.0], [1.0, -2.0, 0.5]);
        let mut b: Vec<f64> = (0..3).map(|i| (0..3).map(|j| a[i * 3 + j] * x[j]).sum()).collect();
        solve(&mut a.clone(), &mut b);
        for (got, want) in b.iter().zip(x) {
            assert!((got - want).abs() < 1e-12, "{b:?}");
        }
    }
}
