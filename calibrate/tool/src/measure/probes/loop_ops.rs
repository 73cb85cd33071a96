//! How long do the small ops of one expert take in a loop over experts, by its rows?
//!
//! Gather, silu, product, scale, add to the tokens: what the public code launches for each expert
//! beside its three matrix products, in its order, each waiting for the one before. A layer pays these
//! for every expert that it visits, which products and copies measured alone do not show.
//!
//! The loop uses its buffers again for every expert, so that caches hold what fits there: buffers do not take
//! turns here. Copy and constant experts of the loop are other parts, over rows likewise. Some ops work in place:
//! factors are one in size, or so large that what is multiplied again and again ends at zero or infinity. It must
//! not come to stay between: CPUs take many times as long for numbers too small to be normal.

use moesim::base::units::Bytes;

use super::super::backend::{DeviceError, Step};
use super::super::bench::{Bench, launch};
use super::super::kernels;
use super::super::layer::blocks;
use super::super::numbers::{Format, Numbers};
use super::super::probe::{Expected, Output, Point, Set, spots};
use super::super::shapes::Shape;
use super::super::twin;
use super::grid::{self, Grid};
use super::permute::scattered;
use super::zero_computation::TOKEN_GROUPS;
use super::{Plain, Suite};

/// The part that these samples are.
pub const PART: &str = "loop";
/// A copy expert of the loop.
pub const COPY: &str = "loop_copy";
/// A constant expert of the loop.
pub const CONSTANT: &str = "loop_constant";
/// 2^this times what inputs are made of is some three hundred: large beside one, and 16 bits hold it times a hundred.
const LARGE: i32 = -7;
/// Kernels that the loop launches for one expert beside its products.
pub const LAUNCHES: u64 = 5;

/// Bytes that the loop moves for `rows` rows beside its products: those of `moesim::execution::cost`, eq. (4).
#[must_use]
pub const fn bytes(rows: u64, hidden: u64, inter: u64, number: u64) -> Bytes {
    Bytes(rows * (7 * hidden + 5 * inter) * number)
}

/// The small ops over 1 row to all tokens of the shape's layer.
#[must_use]
pub fn probe(suite: &Suite, shape: &Shape) -> Plain {
    let point = |rows: u32| Point {
        part: PART.to_owned(),
        shape: shape.name.to_owned(),
        hidden: Some(shape.hidden.into()),
        inter: Some(shape.inter.into()),
        tokens: Some(rows.into()),
        bytes: Some(
            bytes(rows.into(), shape.hidden.into(), shape.inter.into(), suite.format.bytes()).0,
        ),
        ..Point::default()
    };
    let rows = grid::steps(shape.tokens, 4.0, &[]);
    let mut grid = Grid::of(rows.iter().map(|&rows| point(rows)).collect());
    for (part, touched) in [(COPY, 7), (CONSTANT, 12)] {
        let of_kind = |&rows: &u32| Point {
            part: part.to_owned(),
            inter: None,
            bytes: Some(u64::from(rows) * u64::from(shape.hidden) * suite.format.bytes() * touched),
            ..point(rows)
        };
        grid.line(0, rows.iter().skip(1).map(of_kind).collect());
    }
    let weight = grid.len() as f64 * 0.5;
    let question = "How long do the small ops of a loop over experts take?";
    Plain { rotates: false, ..Plain::of_shape(("loop", shape), question, weight, grid, build) }
}

/// A copy or constant expert of the loop: gather, its own kernel, scale, add to the tokens.
fn zero_computation(
    shape: &Shape,
    (rows, constant): (u32, bool),
    seed: u32,
    bench: &mut Bench<'_>,
) -> Result<Set, DeviceError> {
    let (t, d) = (u64::from(rows), u64::from(shape.hidden));
    let (x, before) = (Numbers::tokens(seed), Numbers::tokens(seed ^ 1));
    let (map_of, vector) = (Numbers::weights(seed ^ 3, shape.hidden), Numbers::tokens(seed ^ 4));
    let shares = Numbers { seed: seed ^ 9, exponent: -7 };
    let tokens = scattered(t, seed);
    let [xs, into_xs] = [bench.input(t * d, x)?, bench.output(t * d)?];
    let (order, weights) = (bench.words(&tokens)?, bench.input_as(t, shares, Format::F32)?);
    let y = bench.input(t * d, before)?;
    let wide = blocks(shape.hidden, bench.format);
    let params = vec![rows, shape.hidden / 4, 0];
    let items = t * u64::from(wide);
    let gather = vec![xs, order, into_xs];
    let mut steps = vec![bench.step(&kernels::GATHER, gather, vec![rows, wide, 0], items)];
    let mut result = into_xs;
    if constant {
        let (map, constants) = (bench.input(2 * d, map_of)?, bench.input(d, vector)?);
        result = bench.output(t * d)?;
        let buffers = vec![into_xs, map, constants, result];
        let params = vec![rows, shape.hidden, 0];
        let mut made = launch(&kernels::CONSTANT, bench.format, buffers, params, 1);
        made.groups = t.min(TOKEN_GROUPS);
        steps.push(Step::Launch(made));
    }
    let scale = vec![weights, result];
    steps.push(bench.step(&kernels::SCALE, scale, params.clone(), t * d / 4));
    let add = vec![result, order, y];
    steps.push(bench.step(&kernels::SCATTER_ADD, add, params, t * d / 4));
    let mut row_of = vec![0_u64; rows as usize];
    for (row, &token) in (0..).zip(&tokens) {
        row_of[token as usize] = row;
    }
    let added = move |i: u64| {
        let (token, c) = (i / d, i % d);
        let value = if constant {
            let numbers: Vec<f64> = (0..d).map(|j| x.at(token * d + j)).collect();
            let share = twin::constant_share(&numbers, |i| map_of.at(i));
            share * x.at(i) + (1.0 - share) * vector.at(c)
        } else {
            x.at(i)
        };
        before.at(i) + shares.at(row_of[token as usize]) * value
    };
    let expected = Expected::Numbers { twin: Box::new(added), at: spots(t, d, seed) };
    let (buffer, format, count) = (y, bench.format, t * d);
    let outputs = vec![Output { name: "tokens", buffer, format, count, expected }];
    Ok(Set { steps, outputs, slots: Vec::new() })
}

fn build(
    shape: &Shape,
    point: &Point,
    seed: u32,
    bench: &mut Bench<'_>,
) -> Result<Set, DeviceError> {
    let rows = point.tokens.unwrap_or(1) as u32;
    if point.part != PART {
        return zero_computation(shape, (rows, point.part == CONSTANT), seed % (1 << 20), bench);
    }
    let (t, d, h) = (u64::from(rows), u64::from(shape.hidden), u64::from(shape.inter));
    let seed = seed % (1 << 20);
    let numbers = |of: u32| Numbers::tokens(seed.wrapping_mul(8).wrapping_add(of));
    let [x, a, z, before] = [0, 1, 3, 4].map(numbers);
    let b = Numbers { exponent: LARGE, ..numbers(2) };
    let sign = |row: u64| if row.is_multiple_of(2) { 1.0 } else { -1.0 };
    let tokens = scattered(t, seed);
    let [xs, into_xs] = [bench.input(t * d, x)?, bench.output(t * d)?];
    let [into_a, with_b] = [bench.input(t * h, a)?, bench.input(t * h, b)?];
    let (results, y) = (bench.input(t * d, z)?, bench.input(t * d, before)?);
    let signs: Vec<f32> = (0..t).map(|row| sign(row) as f32).collect();
    let (order, weights) = (bench.words(&tokens)?, bench.reals(&signs)?);
    let wide = blocks(shape.hidden, bench.format);
    let (inner, quads) = (t * h / 4, t * d / 4);
    let params = vec![rows, shape.hidden / 4, 0];
    let steps = vec![
        bench.step(
            &kernels::GATHER,
            vec![xs, order, into_xs],
            vec![rows, wide, 0],
            t * u64::from(wide),
        ),
        bench.step(&kernels::SILU, vec![into_a], vec![inner as u32], inner),
        bench.step(&kernels::MULTIPLY, vec![with_b, into_a], vec![inner as u32], inner),
        bench.step(&kernels::SCALE, vec![weights, results], params.clone(), quads),
        bench.step(&kernels::SCATTER_ADD, vec![results, order, y], params, quads),
    ];
    let format = bench.format;
    let output = |name, buffer, width, twin: Box<dyn Fn(u64) -> f64>| {
        let expected = Expected::Numbers { twin, at: spots(t, width, seed) };
        Output { name, buffer, format, count: t * width, expected }
    };
    let mut row_of = vec![0_u64; rows as usize];
    for (row, &token) in (0..).zip(&tokens) {
        row_of[token as usize] = row;
    }
    let gathered = move |i: u64| x.at(u64::from(tokens[(i / d) as usize]) * d + i % d);
    let activated = move |i: u64| a.at(i) / (1.0 + (-a.at(i)).exp()) * b.at(i);
    let added = move |i: u64| {
        let row = row_of[(i / d) as usize];
        before.at(i) + sign(row) * z.at(row * d + i % d)
    };
    let outputs = vec![
        output("gathered rows", into_xs, d, Box::new(gathered)),
        output("activations", into_a, h, Box::new(activated)),
        output("tokens", y, d, Box::new(added)),
    ];
    Ok(Set { steps, outputs, slots: Vec::new() })
}
