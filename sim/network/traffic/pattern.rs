//! Made-up traffic: all-to-alls of several laws, some shared with other simulators.
//!
//! Every GPU of a group sends to every other of its group; groups are consecutive GPUs. With `S`
//! the mean bytes of a pair and `n` the GPUs of a group:
//!
//! | pattern | bytes from `i` to `j` |
//! |---|---|
//! | uniform | `S` |
//! | lognormal | `S·exp(σz − σ²/2)`, rounded, `z` standard normal |
//! | hot-destination | `⌊S·n·(j+1)^−½ / Σ (k+1)^−½⌋` |
//! | zipf16 | `⌊S·16 / (H₁₆·(1 + u mod 16))⌋` |
//! | zipfc | `⌊S·C / (1 + 15·u/2³¹)⌋` |
//!
//! The last two are for comparison with other simulators and take no seed: `u = s >> 33` with one
//! draw `s ← s·6364136223846793005 + 1442695040888963407 mod 2⁶⁴` for each ordered pair, source
//! outer, from `s₀ = 42`; `H₁₆` and `C = 15 / ln 16` make `S` the mean.

use std::fmt;

use rand_distr::{Distribution, StandardNormal};

use super::Traffic;
use crate::base::choice::Choice;
use crate::base::streams::Streams;
use crate::base::units::Bytes;

const H16: f64 = 3.380_728_993_228_993;
const ZIPFC: f64 = 5.410_106_403_333_613;

/// The law of a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PatternKind {
    /// The same bytes for every pair.
    Uniform,
    /// Log-normal sizes.
    Lognormal,
    /// The first GPU of a group gets most, the last least.
    HotDestination,
    /// Sixteen sizes by a fixed generator.
    Zipf16,
    /// Nearly all sizes different, by a fixed generator.
    Zipfc,
}

impl Choice for PatternKind {
    const ALL: &'static [Self] =
        &[Self::Uniform, Self::Lognormal, Self::HotDestination, Self::Zipf16, Self::Zipfc];

    fn word(self) -> &'static str {
        match self {
            Self::Uniform => "uniform",
            Self::Lognormal => "lognormal",
            Self::HotDestination => "hot-destination",
            Self::Zipf16 => "zipf16",
            Self::Zipfc => "zipfc",
        }
    }

    fn help(self) -> &'static str {
        match self {
            Self::Uniform => "The same bytes for every pair",
            Self::Lognormal => "Log-normal sizes",
            Self::HotDestination => "The first GPU of a group gets most, the last least",
            Self::Zipf16 => "Sixteen sizes by a fixed generator",
            Self::Zipfc => "Nearly all sizes different, by a fixed generator",
        }
    }
}

/// A pattern with its parameters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pattern {
    /// The law.
    pub kind: PatternKind,
    /// GPUs that send.
    pub gpus: u32,
    /// GPUs of one group; divides `gpus`.
    pub group: u32,
    /// Mean bytes of a pair.
    pub mean: Bytes,
    /// `σ` of the log-normal law.
    pub sigma: f64,
    /// Seed of the random laws.
    pub seed: u64,
}

/// Why a pattern cannot be generated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadPattern {
    /// What was found.
    pub found: String,
    /// How to fix it.
    pub help: String,
}

impl fmt::Display for BadPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.found, self.help)
    }
}

impl std::error::Error for BadPattern {}

impl Pattern {
    /// How many transfers it makes.
    #[must_use]
    pub fn transfers(&self) -> u64 {
        u64::from(self.gpus) * u64::from(self.group.saturating_sub(1))
    }
}

/// Draws the traffic of a pattern.
///
/// # Errors
/// If groups do not fill the GPUs, or σ is not a number between 0 and 5.
pub fn generate(pattern: &Pattern) -> Result<Traffic, BadPattern> {
    let Pattern { gpus, group, .. } = *pattern;
    if group < 2 || !gpus.is_multiple_of(group) {
        return Err(BadPattern {
            found: format!("groups of {group} do not fill {gpus} GPUs"),
            help: "let the group, at least 2, divide the GPUs".to_owned(),
        });
    }
    if !(0.0..=5.0).contains(&pattern.sigma) {
        return Err(BadPattern {
            found: format!("a log-normal σ of {}", pattern.sigma),
            help: "give a number from 0 to 5".to_owned(),
        });
    }
    let mut all = Vec::with_capacity(pattern.transfers() as usize);
    let mut draw = Draw::new(pattern);
    for first in (0..gpus).step_by(group as usize) {
        draw.next_group(first / group);
        for i in 0..group {
            all.extend((0..group).filter(|&j| j != i).map(|j| draw.bytes(j)));
        }
    }
    Ok(Traffic::within_groups(group, all))
}

struct Draw {
    pattern: Pattern,
    state: u64,
    rng: rand_chacha::ChaCha8Rng,
    /// `S·n / Σ (k+1)^−½`.
    hottest: f64,
}

impl Draw {
    fn new(pattern: &Pattern) -> Self {
        let weights: f64 = (1..=pattern.group).map(|k| 1.0 / f64::from(k).sqrt()).sum();
        Self {
            pattern: *pattern,
            state: 42,
            rng: Streams::new(pattern.seed).named("traffic/group=0"),
            hottest: pattern.mean.0 as f64 * f64::from(pattern.group) / weights,
        }
    }

    fn next_group(&mut self, group: u32) {
        self.rng = Streams::new(self.pattern.seed).named(&format!("traffic/group={group}"));
    }

    fn bytes(&mut self, to: u32) -> u64 {
        let mean = self.pattern.mean.0 as f64;
        match self.pattern.kind {
            PatternKind::Uniform => self.pattern.mean.0,
            PatternKind::Lognormal => {
                let (z, sigma): (f64, f64) =
                    (StandardNormal.sample(&mut self.rng), self.pattern.sigma);
                rounded(mean * (sigma * z - 0.5 * sigma * sigma).exp())
            }
            PatternKind::HotDestination => (self.hottest / f64::from(to + 1).sqrt()).floor() as u64,
            PatternKind::Zipf16 => {
                let nth = 1 + self.step() % 16;
                (mean * 16.0 / (H16 * nth as f64)).floor() as u64
            }
            PatternKind::Zipfc => {
                let x = self.step() as f64 / 2_147_483_648.0;
                (mean * ZIPFC / (1.0 + 15.0 * x)).floor() as u64
            }
        }
    }

    /// One step of the shared generator.
    const fn step(&mut self) -> u64 {
        self.state = self
            .state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        self.state >> 33
    }
}

/// The nearest whole number to one that is not negative, halves up: as `round`, but no call.
fn rounded(x: f64) -> u64 {
    let whole = x as u64;
    whole.saturating_add(u64::from(x - whole as f64 >= 0.5))
}

#[cfg(test)]
mod tests {
    use super::rounded;

    #[test]
    fn numbers_are_rounded_as_the_library_does() {
        let halves = (0..2000).map(|n| f64::from(n) / 4.0);
        let beside = halves.clone().flat_map(|x| [x.next_down(), x.next_up()]);
        let large = [4_503_599_627_370_495.5, 9_007_199_254_740_993.0, 1e18, 1.8e19, 1e30];
        let all = halves.chain(beside).chain(large).chain([f64::INFINITY]);
        for x in all.filter(|&x| x >= 0.0) {
            assert_eq!(rounded(x), x.round() as u64, "{x}");
        }
    }
}
