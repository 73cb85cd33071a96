//! How long does each zero-computation expert take over its tokens?

use super::super::backend::{DeviceError, Step};
use super::super::bench::{Bench, launch};
use super::super::kernels;
use super::super::numbers::{Format, Numbers};
use super::super::probe::{Expected, Output, Point, Set, spots};
use super::super::shapes::Shape;
use super::super::twin;
use super::grid::Grid;
use super::{Plain, Suite};

/// Groups of threads for kernels that take one token a group.
pub(super) const TOKEN_GROUPS: u64 = 8192;

/// Copy and constant experts as the grouped layer runs them, added into the output; the zero expert
/// as a loop over experts runs it, writing zeros. The grouped layer spends nothing on the latter.
#[must_use]
pub fn probe(suite: &Suite, shape: &Shape) -> Plain {
    let row = u64::from(shape.hidden) * suite.format.bytes();
    let point = |part: &str, every: u64| Point {
        part: part.to_owned(),
        shape: shape.name.to_owned(),
        hidden: Some(shape.hidden.into()),
        tokens: Some(shape.tokens.into()),
        bytes: Some(u64::from(shape.tokens).div_ceil(every) * row * touched(part)),
        ..Point::default()
    };
    let mut grid = Grid::default();
    for part in ["copy", "constant"] {
        // One token of sixteen, of four, and every one.
        grid.line(0, [16, 4, 1].map(|every| point(part, every)).to_vec());
    }
    grid.line(0, vec![point("zero", 1)]);
    let weight = 2.0;
    let question = "How long does each zero-computation expert take?";
    Plain::of_shape(("zero_computation", shape), question, weight, grid, build)
}

/// Rows that each token with such an expert reads and writes.
fn touched(part: &str) -> u64 {
    match part {
        "copy" => 3,
        "constant" => 4,
        _ => 1,
    }
}

fn build(
    shape: &Shape,
    point: &Point,
    seed: u32,
    bench: &mut Bench<'_>,
) -> Result<Set, DeviceError> {
    let (t, d, format) = (shape.tokens, shape.hidden, bench.format);
    let (width, count) = (u64::from(d), u64::from(t) * u64::from(d));
    let (x, before) = (Numbers::tokens(seed), Numbers::tokens(seed ^ 1));
    let output = |buffer, twin: Box<dyn Fn(u64) -> f64>| Output {
        name: "tokens",
        buffer,
        format,
        count,
        expected: Expected::Numbers { twin, at: spots(u64::from(t), width, seed) },
    };
    if point.part == "zero" {
        let (y, quads) = (bench.output(count)?, count / 4);
        let steps = vec![bench.step(&kernels::ZERO, vec![y], vec![quads as u32], quads)];
        return Ok(Set { steps, outputs: vec![output(y, Box::new(|_| 0.0))], slots: Vec::new() });
    }
    let shares = Numbers { seed: seed ^ 2, exponent: -7 };
    let tokens = bench.input(count, x)?;
    let slots = point.bytes.unwrap_or_default() / (width * format.bytes() * touched(&point.part));
    let every = u64::from(t).div_ceil(slots.max(1));
    // Expert 0 is of the kind that is asked about, 1 of another.
    let chosen: Vec<u32> = (0..u64::from(t)).map(|t| u32::from(t % every != 0)).collect();
    let ids = bench.words(&chosen)?;
    let positions = bench.words(&vec![0; t as usize])?;
    let weights = bench.input_as(t.into(), shares, Format::F32)?;
    let y = bench.input(count, before)?;
    if point.part == "copy" {
        let buffers = vec![tokens, ids, positions, weights, y];
        let steps =
            vec![bench.step(&kernels::COPY_TOKENS, buffers, vec![t, d / 4, 1, 0, 1], count / 4)];
        let twin = move |i: u64| match (i / width) % every {
            0 => before.at(i) + shares.at(i / width) * x.at(i),
            _ => before.at(i),
        };
        return Ok(Set { steps, outputs: vec![output(y, Box::new(twin))], slots: Vec::new() });
    }
    let (map_of, constant) = (Numbers::weights(seed ^ 3, d), Numbers::tokens(seed ^ 4));
    let map = bench.input(2 * width, map_of)?;
    let constants = bench.input(width, constant)?;
    let buffers = vec![tokens, ids, positions, weights, map, constants, y];
    let mut made = launch(&kernels::CONSTANT_TOKENS, format, buffers, vec![t, d, 1, 0, 1], 1);
    made.groups = u64::from(t).min(TOKEN_GROUPS);
    let twin = move |i: u64| {
        let (t, c) = (i / width, i % width);
        if t % every != 0 {
            return before.at(i);
        }
        let token: Vec<f64> = (0..width).map(|j| x.at(t * width + j)).collect();
        let share = twin::constant_share(&token, |i| map_of.at(i));
        before.at(i) + shares.at(t) * (share * x.at(i) + (1.0 - share) * constant.at(c))
    };
    let outputs = vec![output(y, Box::new(twin))];
    Ok(Set { steps: vec![Step::Launch(made)], outputs, slots: Vec::new() })
}
