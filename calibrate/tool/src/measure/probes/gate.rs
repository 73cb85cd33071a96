//! How long does the gate take: all of it, and the choice and order alone?

use super::super::backend::DeviceError;
use super::super::bench::Bench;
use super::super::kernels;
use super::super::layer::{self, Execution, Plan};
use super::super::numbers::{Format, Numbers};
use super::super::probe::{Expected, Output, Point, Set};
use super::super::shapes::Shape;
use super::super::twin;
use super::grid::Grid;
use super::{Plain, Suite};

/// The gate of one shape, vanilla and MoE++, and its choice of experts without the scores.
#[must_use]
pub fn probe(_suite: &Suite, shape: &Shape) -> Plain {
    let point = |part: &str, all: u32, tau: Option<f64>| Point {
        part: part.to_owned(),
        shape: shape.name.to_owned(),
        hidden: Some(shape.hidden.into()),
        all_experts: Some(all.into()),
        top_k: Some(shape.top_k.into()),
        tokens: Some(shape.tokens.into()),
        tau,
        ..Point::default()
    };
    let choice = |all: u32| {
        let of = |part: u32| Point {
            tokens: Some((shape.tokens / part).into()),
            bytes: Some(12 * u64::from(shape.tokens / part) * u64::from(all)),
            ..point("choose", all, None)
        };
        [of(4), of(1)].to_vec()
    };
    let mut grid = Grid::of(choice(shape.all()));
    // Of a vanilla layer the choice is another width.
    grid.line(0, choice(shape.ffn));
    grid.line(0, vec![point("gate", shape.ffn, None)]);
    grid.line(0, vec![point("gate", shape.all(), Some(0.75))]);
    Plain::of_shape(("gate", shape), "How long does the gate take?", 2.0, grid, build)
}

fn build(
    shape: &Shape,
    point: &Point,
    seed: u32,
    bench: &mut Bench<'_>,
) -> Result<Set, DeviceError> {
    if point.part == "choose" {
        return choose(shape, point, seed, bench);
    }
    let plan = Plan {
        shape: *shape,
        tokens: shape.tokens,
        tau: point.tau,
        capacity: None,
        execution: Execution::Grouped,
    };
    layer::gate_set(&plan, seed, bench)
}

fn choose(
    shape: &Shape,
    point: &Point,
    seed: u32,
    bench: &mut Bench<'_>,
) -> Result<Set, DeviceError> {
    let of = |size: Option<u64>, usual: u32| size.map_or(usual, |size| size as u32);
    let (t, n) = (of(point.tokens, shape.tokens), of(point.all_experts, shape.all()));
    let (k, zeros) = (shape.top_k, if n == shape.all() { shape.zero } else { 0 });
    let slots = u64::from(t) * u64::from(k);
    let numbers = Numbers::tokens(seed);
    let scores = bench.input_as(u64::from(t) * u64::from(n), numbers, Format::F32)?;
    let bias = bench.reals(&vec![0.0; n as usize])?;
    let mut word = |count: u64| bench.output_as(count, Format::U32);
    let (ids, ranks, counts) = (word(slots)?, word(slots)?, word(n.into())?);
    let (positions, rows) = (word(slots)?, word(slots)?);
    let (weights, row_weights) = (word(slots)?, word(slots)?);
    let s = slots as u32;
    let most = u32::MAX;
    let all = vec![ids, ranks, counts, weights, positions, rows, row_weights];
    let steps = vec![
        bench.step(
            &kernels::CHOOSE,
            vec![scores, bias, ids, weights],
            vec![t, n, k, zeros],
            t.into(),
        ),
        bench.step(&kernels::ORDER, vec![ids, ranks, counts], vec![s, n, n, most, most], n.into()),
        bench.step(&kernels::PLACE, all, vec![s, k], slots),
    ];
    let of = move |t: u64| -> Vec<f64> {
        (0..u64::from(n)).map(|e| numbers.at(t * u64::from(n) + e)).collect()
    };
    let zeros = zeros as usize;
    let chosen: Vec<u32> =
        (0..u64::from(t)).flat_map(|t| twin::choose(&of(t), k as usize, zeros).experts).collect();
    let (found, each) = twin::order(&chosen, |_| u32::MAX, n);
    let (placed, _) = twin::place(&chosen, &found, &each);
    let words = |name, buffer, words: Vec<u32>| Output {
        name,
        buffer,
        format: Format::U32,
        count: words.len() as u64,
        expected: Expected::Words(words),
    };
    let outputs = vec![
        words("chosen experts", ids, chosen),
        words("counts", counts, each.clone()),
        words("positions", positions, placed),
        Output {
            name: "mixing weights",
            buffer: weights,
            format: Format::F32,
            count: slots,
            expected: Expected::Numbers {
                twin: Box::new(move |i| {
                    let (t, j) = (i / u64::from(k), (i % u64::from(k)) as usize);
                    twin::choose(&of(t), k as usize, zeros).weights[j]
                }),
                at: super::super::probe::spots(t.into(), k.into(), seed),
            },
        },
    ];
    Ok(Set { steps, outputs, slots: each })
}
