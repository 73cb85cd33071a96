//! How long do the FFN experts of a GPU take, as grouped products over rows already in order?
//!
//! Permute and mix are probes of their own, as they are ops of their own in the simulator's layer.

use moesim::kernels::LAWS;

use super::super::backend::{DeviceError, Step};
use super::super::bench::Bench;
use super::super::kernels;
use super::super::layer::product;
use super::super::numbers::Numbers;
use super::super::probe::{Expected, Output, Point, Set, dear_spots};
use super::super::shapes::Shape;
use super::super::twin::Experts;
use super::grid::{self, Grid};
use super::{Plain, Suite};

/// Most rows of one point: eight thousand tokens for each of thirty-two experts.
const MOST_ROWS: u64 = 1 << 18;

/// Tokens per expert beside the edges of tiles, and at them.
const EDGES: [u32; 15] = [15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129, 255, 256, 257];

/// Tokens per expert from 1 to 8192 in steps of a quarter, tile edges included, under each popularity
/// law.
#[must_use]
pub fn probe(suite: &Suite, shape: &Shape) -> Plain {
    // In software half as much again as an expert of the whole layer gets: more takes minutes.
    let balanced = shape.tokens * shape.top_k / shape.ffn;
    let most = if suite.software { balanced * 3 / 2 } else { 8192 };
    let each = grid::steps(most, 1.25, &EDGES);
    let mut grid = Grid::default();
    let (ffn, top_k) = (u64::from(shape.ffn), u64::from(shape.top_k));
    for (law, _) in LAWS {
        let mut line = Vec::new();
        for &rows in &each {
            let tokens = (u64::from(rows) * ffn).div_ceil(top_k);
            if tokens * top_k <= MOST_ROWS {
                line.push(Point {
                    part: "grouped".to_owned(),
                    shape: shape.name.to_owned(),
                    hidden: Some(shape.hidden.into()),
                    inter: Some(shape.inter.into()),
                    experts: Some(ffn),
                    top_k: Some(top_k),
                    tokens: Some(tokens),
                    distribution: law.to_owned(),
                    ..Point::default()
                });
            }
        }
        // Several steps may come to the same whole number of tokens.
        line.dedup();
        grid.line(0, line);
    }
    let weight = grid.len() as f64;
    let question = "How long do the FFN experts take over their tokens?";
    Plain::of_shape(("experts", shape), question, weight, grid, build)
}

fn build(
    shape: &Shape,
    point: &Point,
    seed: u32,
    bench: &mut Bench<'_>,
) -> Result<Set, DeviceError> {
    let (d, h) = (u64::from(shape.hidden), u64::from(shape.inter));
    let law = LAWS.iter().find(|(name, _)| *name == point.distribution);
    let law = law.map_or(moesim::kernels::skew::Popularity::Balanced, |(_, law)| *law);
    let tokens = point.tokens.unwrap_or(1) as u32;
    let rows = law.slots(tokens, shape.ffn, shape.top_k);
    let sum: u64 = rows.iter().map(|&r| u64::from(r)).sum();
    let ffn = u64::from(shape.ffn);
    let x = Numbers::tokens(seed);
    let up = Numbers::weights(seed ^ 0x21, shape.hidden);
    let down = Numbers::weights(seed ^ 0x22, shape.inter);
    let xs = bench.input(sum * d, x)?;
    let w13 = bench.input(ffn * d * 2 * h, up)?;
    let w2 = bench.input(ffn * h * d, down)?;
    let both = bench.output(sum * 2 * h)?;
    let inner = bench.output(sum * h)?;
    let z = bench.output(sum * d)?;
    let quads = sum * h / 4;
    let params = vec![sum as u32, shape.inter / 4];
    let steps = vec![
        Step::Gemm(product(bench, [xs, w13, both], (2 * shape.inter, shape.hidden), rows.clone())),
        bench.step(&kernels::SWIGLU, vec![both, inner], params, quads),
        Step::Gemm(product(bench, [inner, w2, z], (shape.hidden, shape.inter), rows.clone())),
    ];
    let expert_of = move |row: u64| {
        let mut end = 0;
        rows.iter().position(|&r| {
            end += u64::from(r);
            row < end
        })
    };
    let held: std::cell::RefCell<Option<(u64, Vec<f64>)>> = std::cell::RefCell::default();
    let experts = Experts::Merged { up, down };
    let twin = move |index: u64| {
        let (row, c) = (index / d, index % d);
        let Some(expert) = expert_of(row).map(|e| e as u64) else { return f64::NAN };
        let mut held = held.borrow_mut();
        let between = match held.take() {
            Some((known, between)) if known == row => between,
            _ => {
                let x: Vec<f64> = (0..d).map(|j| x.at(row * d + j)).collect();
                experts.inner(expert, &x, h)
            }
        };
        let value = experts.outer(expert, &between, d, c);
        *held = Some((row, between));
        value
    };
    Ok(Set {
        steps,
        outputs: vec![Output {
            name: "the experts' output",
            buffer: z,
            format: bench.format,
            count: sum * d,
            expected: Expected::Numbers {
                twin: Box::new(twin),
                at: dear_spots(sum, d, seed, 3 * d * h),
            },
        }],
        slots: Vec::new(),
    })
}
