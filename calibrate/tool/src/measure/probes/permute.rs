//! How long do rows take into the experts' order and back into their tokens?

use super::super::backend::DeviceError;
use super::super::bench::Bench;
use super::super::kernels;
use super::super::layer::blocks;
use super::super::numbers::{Format, Numbers};
use super::super::probe::{Expected, Output, Point, Set, spots};
use super::super::shapes::Shape;
use super::grid::Grid;
use super::{Plain, Suite};

/// Permute (a row read and written for each slot) and mix (a row read for each slot, one written
/// for each token), over tokens.
#[must_use]
pub fn probe(suite: &Suite, shape: &Shape) -> Plain {
    let row = u64::from(shape.hidden) * suite.format.bytes();
    let point = |part: &str, tokens: u64, rows: u64| Point {
        part: part.to_owned(),
        shape: shape.name.to_owned(),
        hidden: Some(shape.hidden.into()),
        top_k: Some(shape.top_k.into()),
        tokens: Some(tokens),
        bytes: Some(rows * row),
        ..Point::default()
    };
    let (mut permutes, mut mixes) = (Vec::new(), Vec::new());
    for part in [16, 4, 1] {
        let tokens = u64::from(shape.tokens / part);
        let slots = tokens * u64::from(shape.top_k);
        permutes.push(point("permute", tokens, 2 * slots));
        mixes.push(point("mix", tokens, slots + tokens));
    }
    let mut grid = Grid::of(permutes);
    grid.line(0, mixes);
    let weight = grid.len() as f64 * 0.5;
    let question = "How long do permute and mix take?";
    Plain::of_shape(("permute", shape), question, weight, grid, build)
}

/// A bijection of 0..count: slot i goes to row (a·i + b) mod count, with a coprime to count.
pub(super) fn scattered(count: u64, seed: u32) -> Vec<u32> {
    let mut a = (u64::from(seed) * 2 + count / 3) | 1;
    while gcd(a, count) != 1 {
        a += 2;
    }
    (0..count).map(|i| ((a * i + u64::from(seed)) % count) as u32).collect()
}

const fn gcd(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

fn build(
    shape: &Shape,
    point: &Point,
    seed: u32,
    bench: &mut Bench<'_>,
) -> Result<Set, DeviceError> {
    let (d, k) = (u64::from(shape.hidden), u64::from(shape.top_k));
    let tokens = point.tokens.unwrap_or(1);
    let slots = tokens * k;
    let seed = seed % (1 << 20);
    let numbers = Numbers::tokens(seed);
    let positions = scattered(slots, seed);
    let format = bench.format;
    if point.part == "permute" {
        let mut source = vec![0_u32; slots as usize];
        for (slot, &at) in (0..).zip(&positions) {
            source[at as usize] = slot / shape.top_k;
        }
        let x = bench.input(tokens * d, numbers)?;
        let rows = bench.words(&source)?;
        let y = bench.output(slots * d)?;
        let wide = blocks(shape.hidden, format);
        let items = slots * u64::from(wide);
        let params = vec![slots as u32, wide, 0];
        let twin = move |i: u64| numbers.at(u64::from(source[(i / d) as usize]) * d + i % d);
        return Ok(Set {
            steps: vec![bench.step(&kernels::GATHER, vec![x, rows, y], params, items)],
            outputs: vec![Output {
                name: "permuted rows",
                buffer: y,
                format,
                count: slots * d,
                expected: Expected::Numbers { twin: Box::new(twin), at: spots(slots, d, seed) },
            }],
            slots: Vec::new(),
        });
    }
    let z = bench.input(slots * d, numbers)?;
    let ids = bench.words(&vec![0; slots as usize])?;
    let at = bench.words(&positions)?;
    let shares = Numbers { seed: seed ^ 9, exponent: -7 };
    let weights = bench.input_as(slots, shares, Format::F32)?;
    let y = bench.output(tokens * d)?;
    let quads = tokens * d / 4;
    let params = vec![tokens as u32, shape.hidden / 4, shape.top_k, 1];
    let twin = move |i: u64| {
        let (t, c) = (i / d, i % d);
        let slots = t * k..(t + 1) * k;
        slots.map(|s| shares.at(s) * numbers.at(u64::from(positions[s as usize]) * d + c)).sum()
    };
    Ok(Set {
        steps: vec![bench.step(&kernels::MIX, vec![z, ids, at, weights, y], params, quads)],
        outputs: vec![Output {
            name: "mixed tokens",
            buffer: y,
            format,
            count: tokens * d,
            expected: Expected::Numbers { twin: Box::new(twin), at: spots(tokens, d, seed) },
        }],
        slots: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_taken_once() {
        for (count, seed) in [(12, 5), (4096, 77), (6144, 1)] {
            let mut rows = scattered(count, seed);
            rows.sort_unstable();
            assert!(rows.iter().zip(0..).all(|(row, i)| *row == i) && rows.len() as u64 == count);
        }
    }
}
