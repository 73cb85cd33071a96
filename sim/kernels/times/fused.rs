//! Times of a fused experts' kernel for one shape, over the slots of each expert.
//!
//! What the prior of [`crate::kernels::experts`] leaves over is kriged ([`super::curves`]) at every number of tokens that
//! was measured and under each law of popularity, over the shape (hidden and inner size, local experts,
//! top-k), whether tokens of other ranks pass too, and what the tile at that number of tokens is: rows, columns
//! and depth, whether it was tuned, and whether the inner size is a multiple of 16. All are in doublings,
//! with lengths of 12 for the shape, 4 for rows and columns, 8 for depth: half of what
//! two shapes have in common. Laws and numbers of tokens are not coordinates: their own rows say as
//! much of other shapes as all rows together (3 % of mean error, on six tables with models left out in turn).

use crate::base::order::ascending;
use crate::base::units::SimDuration;
use crate::kernels::curve::{interpolate, pooled};
use crate::kernels::curves::{Kriging, Scale, Site, Solved};
use crate::kernels::experts::tiles::TileRule;
use crate::kernels::experts::{ExpertsLoad, ExpertsPrior, ExpertsShape, OWN};
use crate::kernels::profile::{Family, Precision};
use crate::kernels::skew::Popularity;
use crate::kernels::{Device, Support, floor};

/// The laws for which experts have residual tables, in the order of [`Family::residual`].
pub const LAWS: [(&str, Popularity); 3] = [
    ("balanced", Popularity::Balanced),
    ("power_law_1.01", Popularity::PowerLaw(1.01)),
    ("power_law_1.2", Popularity::PowerLaw(1.2)),
];

/// Coordinates of a site: hidden, inter, experts of the rank, top-k, and [`OWN`] or [`crate::kernels::experts::FOREIGN`].
pub const SITE_AXES: usize = 5;
/// Coordinates that change with tokens.
pub const TILE_AXES: usize = 5;

/// How experts' residuals are kriged; the same for all devices, chosen on six tables with models left out.
#[must_use]
pub fn kriging() -> Kriging {
    let lengths = [12.0, 12.0, 12.0, 12.0, 2.0, 4.0, 4.0, 8.0, 4.0, 2.0];
    Kriging {
        scales: vec![Scale { share: 1.0, lengths: lengths.to_vec() }],
        noise: 0.05,
        clip: 0.1,
    }
}

/// The coordinates of a tile.
fn tile_axes(
    rule: TileRule,
    precision: Precision,
    shape: ExpertsShape,
    tokens: f64,
) -> [f64; TILE_AXES] {
    let [tile, _] = rule.tiles(precision, shape, tokens as u64);
    let [rows, columns, depth] =
        [tile.rows, tile.columns, tile.depth].map(|size| f64::from(size.max(1)).log2());
    let ragged = !shape.inter.is_multiple_of(16);
    [rows, columns, depth, f64::from(u8::from(tile.tuned)), f64::from(u8::from(ragged))]
}

/// The shape at a site; whether it is gated has no say in tiles.
fn shape_of(site: &Site) -> ExpertsShape {
    let at = |axis: usize| site.at.get(axis).copied().unwrap_or(0);
    ExpertsShape { hidden: at(0), inter: at(1), experts: at(2), top_k: at(3), gated: true }
}

/// At most this many local experts are few: no table of many says how their kernels behave.
pub const FEW_EXPERTS: u32 = 16;

/// Experts of a kind: exchangeable models are of one.
type Class = (bool, bool);

/// Few or not, tuned or not.
fn class(rule: TileRule, precision: Precision, shape: ExpertsShape) -> Class {
    let tuned = rule.tiles(precision, shape, 1)[0].tuned;
    (shape.experts <= FEW_EXPERTS, tuned)
}

/// Times of a fused kernel for the experts of one shape, over the slots of each.
#[derive(Clone, Debug)]
pub struct FusedTimes {
    prior: ExpertsPrior,
    device: Device,
    precision: Precision,
    shape: ExpertsShape,
    /// ln t of the knots.
    log_tokens: Vec<f64>,
    /// For each of [`LAWS`] what is known at the knots.
    laws: Vec<AtKnots>,
    support: Support,
    /// Whether experts of this kind were measured.
    known_class: bool,
}

/// Of a law, at the knots.
#[derive(Clone, Debug)]
struct AtKnots {
    residual: Vec<f64>,
    log_skew: Vec<f64>,
    /// σ of the kriging.
    spread: Vec<f64>,
}

impl FusedTimes {
    /// As if measured shapes (hidden, inter, experts, top-k) that `skip` names had never been.
    #[must_use]
    pub fn without(
        family: &Family<ExpertsPrior>,
        device: Device,
        precision: Precision,
        shape: ExpertsShape,
        skip: impl Fn(&Site) -> bool,
    ) -> Self {
        let mut times = Self {
            prior: family.prior,
            device,
            precision,
            shape,
            log_tokens: Vec::new(),
            laws: Vec::new(),
            support: crate::kernels::support_of(f64::INFINITY),
            known_class: false,
        };
        let at = [shape.hidden, shape.inter, shape.experts, shape.top_k, OWN];
        if at.contains(&0) || family.residual.len() != LAWS.len() {
            return times;
        }
        let (own, measured) = (family.prior.tiles, family.prior.measured_tiles);
        let here = |tokens: f64| tile_axes(own, precision, shape, tokens);
        let there =
            |site: &Site, tokens: f64| tile_axes(measured, precision, shape_of(site), tokens);
        let wanted = class(own, precision, shape);
        let same = |s: &&Site| !skip(s) && class(measured, precision, shape_of(s)) == wanted;
        times.known_class = family.residual.iter().any(|c| c.sites().iter().any(|s| same(&s)));
        let knots = family.residual[0].knots();
        times.log_tokens = knots.iter().map(|t| t.ln()).collect();
        let mut solved = Solved::default();
        for ((_, law), residual) in LAWS.iter().zip(&family.residual) {
            let (reading, spread) = residual.read_along(&at, here, there, &skip, &mut solved);
            times.support = crate::kernels::support_of(reading.distance);
            times.laws.push(times.law_at_knots(*law, knots, &reading.residual, spread));
        }
        times
    }

    /// Pooled residual and log skew of a law at the knots.
    fn law_at_knots(
        &self,
        law: Popularity,
        knots: &[f64],
        residual: &[f64],
        spread: Vec<f64>,
    ) -> AtKnots {
        let shape = self.shape;
        let load = |&tokens: &f64| {
            ExpertsLoad::of(&law.slots(tokens as u32, shape.experts, shape.top_k), shape.top_k)
        };
        let loads: Vec<ExpertsLoad> = knots.iter().map(load).collect();
        let prior =
            |l: &ExpertsLoad| self.prior.seconds(&self.device, self.precision, shape, l).ln();
        let priors: Vec<f64> = loads.iter().map(prior).collect();
        let corrected: Vec<f64> = priors.iter().zip(residual).map(|(p, r)| p + r).collect();
        let residual = pooled(&corrected).iter().zip(&priors).map(|(c, p)| c - p).collect();
        let log_skew = loads.iter().map(|l| l.log_skew(shape.experts)).collect();
        AtKnots { residual, log_skew, spread }
    }

    /// Where these times come from.
    #[must_use]
    pub const fn support(&self) -> &Support {
        &self.support
    }

    /// Time for these slots of each expert, in seconds; zero without slots.
    #[must_use]
    pub fn seconds(&self, slots_per_expert: &[u32]) -> f64 {
        self.seconds_of(&ExpertsLoad::of(slots_per_expert, self.shape.top_k))
    }

    /// Time for a load, in seconds; zero without slots.
    #[must_use]
    pub fn seconds_of(&self, load: &ExpertsLoad) -> f64 {
        let prior = self.prior.seconds(&self.device, self.precision, self.shape, load);
        let predicted = prior * self.between_laws(load, |law| &law.residual).exp();
        let cached = self.prior.cached(self.precision, self.shape, load.active);
        let least = floor::Work {
            precision: self.precision,
            shape: self.shape,
            slots: load.slots,
            active: load.active,
        };
        predicted.max(least.seconds(&self.device, cached))
    }

    /// Half-width, in logarithms, of the interval of nine in ten for a load; none where the family's constants
    /// do not say.
    #[must_use]
    pub fn half_width(&self, load: &ExpertsLoad) -> Option<f64> {
        let interval = self.prior.interval?;
        let width = if self.known_class { interval.known } else { interval.absent };
        Some(width * self.between_laws(load, |law| &law.spread).max(0.0))
    }

    /// Time for these slots of each expert.
    #[must_use]
    pub fn time(&self, slots_per_expert: &[u32]) -> SimDuration {
        SimDuration::from_secs(self.seconds(slots_per_expert))
    }

    /// A value at the knots, between the two laws whose skew encloses that of `load`.
    fn between_laws(&self, load: &ExpertsLoad, of: impl Fn(&AtKnots) -> &Vec<f64>) -> f64 {
        let log_tokens = (load.tokens.max(1) as f64).ln();
        let read = |ys: &[f64]| interpolate(&self.log_tokens, ys, log_tokens).unwrap_or(0.0);
        let mut laws: Vec<(f64, f64)> =
            self.laws.iter().map(|law| (read(&law.log_skew), read(of(law)))).collect();
        ascending(&mut laws, |one| one.0);
        let (skews, values): (Vec<f64>, Vec<f64>) = laws.into_iter().unzip();
        interpolate(&skews, &values, load.log_skew(self.shape.experts)).unwrap_or(0.0)
    }
}
