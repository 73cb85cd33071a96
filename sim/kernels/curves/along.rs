//! Curves read with coordinates that change along them: equations (1) to (5) at each knot.
//!
//! (2) does not depend on residuals. Curves of the same sites, such as those of one kernel under several laws of
//! popularity, are read with [`Solved`] of those before them: three readings then take little more than one.

use std::sync::Arc;

use super::{Curves, Kriging, NEIGHBOURS, Reading, Site, clipped, logs_of};
use crate::base::statistics::linear::inverse_of_definite;

/// (2) as last solved, for each knot: what was read, by which sites, and the solution.
#[derive(Debug, Default)]
pub struct Solved(Vec<Arc<AtPlace>>);

/// A place, its sites, and (2) solved for them.
#[derive(Debug)]
struct AtPlace {
    own: Vec<f64>,
    others: Vec<Vec<f64>>,
    kriging: Kriging,
    system: System,
}

/// (2) solved for one place.
#[derive(Debug)]
struct System {
    /// Which of the others are near.
    near: Vec<usize>,
    /// A of (4).
    inverse: Vec<f64>,
    weights: Vec<f64>,
    distance: f64,
    /// σ of (5).
    spread: f64,
}

impl Curves {
    /// The curve at `at` and σ of (5) at every knot, with coordinates that change along the curve: `here` gives
    /// those of `at`, `there` those of a site, as numbers of which differences count as doublings do.
    #[must_use]
    pub fn read_along<const N: usize>(
        &self,
        at: &[u32],
        here: impl Fn(f64) -> [f64; N],
        there: impl Fn(&Site, f64) -> [f64; N],
        skip: impl Fn(&Site) -> bool,
        solved: &mut Solved,
    ) -> (Reading, Vec<f64>) {
        let kept: Vec<usize> = (0..self.sites.len()).filter(|&s| !skip(&self.sites[s])).collect();
        if let Some(&s) = kept.iter().find(|&&s| self.sites[s].at == at) {
            let residual = self.sites[s].residual.clone();
            let sure = vec![self.kriging.noise.sqrt(); residual.len()];
            return (Reading { residual, distance: 0.0 }, sure);
        }
        let fixed = logs_of(at);
        let joined = |logs: &[f64], more: [f64; N]| [logs, more.as_slice()].concat();
        let mut read =
            Reading { residual: Vec::with_capacity(self.knots.len()), distance: f64::INFINITY };
        let mut spread = Vec::with_capacity(self.knots.len());
        for (j, &knot) in self.knots.iter().enumerate() {
            let own = joined(&fixed, here(knot));
            let of = |&s: &usize| joined(&self.logs[s], there(&self.sites[s], knot));
            let others: Vec<Vec<f64>> = kept.iter().map(of).collect();
            let place = self.at_place(solved, j, own, others);
            let system = &place.system;
            let ys = system.near.iter().map(|&n| self.sites[kept[n]].residual[j]).collect();
            let ys = clipped(ys, &system.inverse, self.kriging.clip);
            read.residual.push(system.weights.iter().zip(&ys).map(|(w, y)| w * y).sum());
            read.distance = read.distance.min(system.distance);
            spread.push(system.spread);
        }
        (read, spread)
    }

    /// (2) at knot `j`: as it was solved there or at the knot before, if for the same place and sites.
    fn at_place(
        &self,
        Solved(known): &mut Solved,
        j: usize,
        own: Vec<f64>,
        others: Vec<Vec<f64>>,
    ) -> Arc<AtPlace> {
        let same = |place: &&Arc<AtPlace>| {
            place.own == own && place.others == others && place.kriging == self.kriging
        };
        let before = j.checked_sub(1).and_then(|before| known.get(before));
        let place = known.get(j).filter(same).or_else(|| before.filter(same)).cloned();
        let place = place.unwrap_or_else(|| {
            let system = self.system(&own, &others);
            Arc::new(AtPlace { own, others, kriging: self.kriging.clone(), system })
        });
        match known.get_mut(j) {
            Some(of) => *of = Arc::clone(&place),
            None => known.push(Arc::clone(&place)),
        }
        place
    }

    /// (2) and (5) among the nearest of `others`.
    fn system(&self, own: &[f64], others: &[Vec<f64>]) -> System {
        let mut near: Vec<(f64, usize)> =
            others.iter().enumerate().map(|(n, other)| (self.covariance(own, other), n)).collect();
        near.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        near.truncate(NEIGHBOURS);
        let n = near.len();
        let between = |i: usize, j: usize| {
            let noise = if i == j { self.kriging.noise } else { 0.0 };
            self.covariance(&others[near[i].1], &others[near[j].1]) + noise
        };
        let mut covariance: Vec<f64> = (0..n * n).map(|c| between(c / n, c % n)).collect();
        let inverse = inverse_of_definite(&mut covariance, n);
        let weight =
            |i: usize| -> f64 { near.iter().zip(&inverse[i * n..]).map(|(c, a)| c.0 * a).sum() };
        let weights: Vec<f64> = (0..n).map(weight).collect();
        let known: f64 = weights.iter().zip(&near).map(|(w, (c, _))| w * c).sum();
        System {
            distance: near.first().map_or(f64::INFINITY, |(c, _)| -c.ln()),
            near: near.into_iter().map(|(_, n)| n).collect(),
            inverse,
            weights,
            spread: (1.0 + self.kriging.noise - known).max(0.0).sqrt(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Scale;
    use super::*;

    /// Sites on a line, whose residual is set by a property that changes at knot 4.
    fn curves() -> Curves {
        let scales = vec![Scale { share: 1.0, lengths: vec![4.0, 0.5] }];
        let kriging = Kriging { scales, noise: 0.05, clip: f64::INFINITY };
        let property = |n: u32, knot: f64| f64::from(u8::from(knot >= 4.0 && n >= 64));
        let site =
            |n: u32| Site { at: vec![n], residual: [1.0, 4.0].map(|k| property(n, k)).to_vec() };
        let sites = [8, 16, 32, 64, 128].map(site).to_vec();
        Curves::new(vec![1.0, 4.0], sites, kriging)
    }

    #[test]
    fn what_changes_along_a_curve_decides_which_sites_count() {
        let curves = curves();
        let there = |site: &Site, knot: f64| [f64::from(u8::from(knot >= 4.0 && site.at[0] >= 64))];
        let read = |own: f64| {
            let here = |k| [if k < 4.0 { 0.0 } else { own }];
            curves.read_along(&[48], here, there, |_| false, &mut Solved::default())
        };
        let (like_large, like_small) = (read(1.0).0.residual, read(0.0).0.residual);
        assert!(like_large[1] > 0.7 && like_small[1] < 0.3, "{like_large:?} {like_small:?}");
        assert!(like_large[0].abs() < 1e-9, "{like_large:?}");
    }

    #[test]
    fn without_such_coordinates_it_is_a_plain_reading_and_surer_near_sites() {
        let curves = curves();
        let none = |_: &Site, _: f64| [];
        let read =
            |n: u32| curves.read_along(&[n], |_| [], none, |_| false, &mut Solved::default());
        let (near, spread) = read(48);
        let plain = curves.read(&[48], |_| false);
        for (a, b) in near.residual.iter().zip(&plain.residual) {
            assert!((a - b).abs() < 1e-9, "{near:?} {plain:?}");
        }
        let far = read(1 << 30).1;
        assert!(
            spread[0] < far[0] && (far[0] - 1.05_f64.sqrt()).abs() < 0.02,
            "{spread:?} {far:?}"
        );
        let (measured, sure) = read(64);
        assert_eq!((measured.distance, measured.residual), (0.0, vec![0.0, 1.0]));
        assert!(sure[0] < spread[0]);
    }
}
