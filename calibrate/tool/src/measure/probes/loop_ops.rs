//! How long do the small ops of one expert take in a loop over experts, by its rows?
//!
//! Gather, silu, product, scale, add to the tokens: what the public code launches for each expert
//! beside its three matrix products, in its order, each waiting for the one before. A layer pays these
//! for every expert that it visits, which products and copies measured alone do not show.
//!
//! Some ops work in place, so that values shrink from run to run; none takes longer for it.

use moesim::base::units::Bytes;

use super::super::backend::DeviceError;
use super::super::bench::Bench;
use super::super::kernels;
use super::super::layer::blocks;
use super::super::numbers::{Format, Numbers};
use super::super::probe::{Expected, Output, Point, Set, spots};
use super::super::shapes::Shape;
use super::grid::{self, Grid};
use super::permute::scattered;
use super::{Plain, Suite};

/// The part that these samples are.
pub const PART: &str = "loop";
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
    let grid = Grid::of(grid::steps(shape.tokens, 4.0, &[]).into_iter().map(point).collect());
    let weight = grid.len() as f64 * 0.5;
    let question = "How long do the small ops of a loop over experts take?";
    Plain::of_shape(("loop", shape), question, weight, grid, build)
}

fn build(
    shape: &Shape,
    point: &Point,
    seed: u32,
    bench: &mut Bench<'_>,
) -> Result<Set, DeviceError> {
    let rows = point.tokens.unwrap_or(1) as u32;
    let (t, d, h) = (u64::from(rows), u64::from(shape.hidden), u64::from(shape.inter));
    let seed = seed % (1 << 20);
    let numbers = |of: u32| Numbers::tokens(seed.wrapping_mul(8).wrapping_add(of));
    let [x, a, b, z, before] = [0, 1, 2, 3, 4].map(numbers);
    let shares = Numbers { seed: seed ^ 9, exponent: -7 };
    let tokens = scattered(t, seed);
    let [xs, into_xs] = [bench.input(t * d, x)?, bench.output(t * d)?];
    let [into_a, with_b] = [bench.input(t * h, a)?, bench.input(t * h, b)?];
    let (results, y) = (bench.input(t * d, z)?, bench.input(t * d, before)?);
    let (order, weights) = (bench.words(&tokens)?, bench.input_as(t, shares, Format::F32)?);
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
        before.at(i) + shares.at(row) * z.at(row * d + i % d)
    };
    let outputs = vec![
        output("gathered rows", into_xs, d, Box::new(gathered)),
        output("activations", into_a, h, Box::new(activated)),
        output("tokens", y, d, Box::new(added)),
    ];
    Ok(Set { steps, outputs, slots: Vec::new() })
}
