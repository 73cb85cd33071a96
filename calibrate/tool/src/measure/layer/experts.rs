//! The experts of a layer, all at once or one after another.

use super::super::backend::{Buffer, DeviceError, Gemm, Step};
use super::super::bench::Bench;
use super::super::kernels;
use super::super::numbers::Numbers;
use super::super::shapes::Shape;
use super::super::twin::Experts;
use super::{Gated, Plan, Weights, blocks, grid, product};

/// Groups of threads for kernels that take one token a group.
const TOKEN_GROUPS: u64 = 8192;

type Built = (Vec<Step>, Buffer, Weights);

/// Rows of FFN experts, and how many there are.
fn ffn_rows(plan: &Plan, gated: &Gated) -> (Vec<u32>, u32) {
    let rows = gated.counts[..plan.shape.ffn as usize].to_vec();
    let sum = rows.iter().sum();
    (rows, sum)
}

/// Numbers of so many rows, of one at least: buffers are never empty.
fn count(rows: u32, columns: u32) -> u64 {
    u64::from(rows.max(1)) * u64::from(columns)
}

/// The weights of experts that are multiplied at once: both products up as one, and down.
fn merged(shape: Shape, seed: u32) -> [Numbers; 2] {
    [Numbers::weights(seed ^ 0x21, shape.hidden), Numbers::weights(seed ^ 0x22, shape.inter)]
}

/// The twins of experts at once of one seed, and of zero-computation experts of another.
pub(super) fn weights_of(shape: Shape, of_experts: u32, own: u32) -> Weights {
    let [up, down] = merged(shape, of_experts);
    Weights::new(Experts::Merged { up, down }, own, shape.hidden)
}

pub(super) fn grouped(
    plan: &Plan,
    seed: u32,
    gated: &Gated,
    bench: &mut Bench<'_>,
) -> Result<Built, DeviceError> {
    let (rows, _) = ffn_rows(plan, gated);
    let (mut steps, xs) = permuted(plan, gated, bench)?;
    let (ffn, z) = at_once(plan.shape, (&rows, 0), seed, xs, bench)?;
    let weights = weights_of(plan.shape, seed, seed);
    let (after, y) = combined(plan, gated, (z, weights), bench)?;
    steps.extend(ffn);
    steps.extend(after);
    Ok((steps, y, weights))
}

/// Rows for FFN experts, in the experts' order.
pub(super) fn permuted(
    plan: &Plan,
    gated: &Gated,
    bench: &mut Bench<'_>,
) -> Result<(Vec<Step>, Buffer), DeviceError> {
    let (_, sum) = ffn_rows(plan, gated);
    let (d, wide) = (plan.shape.hidden, blocks(plan.shape.hidden, bench.format));
    let xs = bench.output(count(sum, d))?;
    let buffers = vec![gated.x, gated.rows, xs];
    let step = bench.step(&kernels::GATHER, buffers, vec![sum, wide, 0], count(sum, wide));
    Ok((if sum > 0 { vec![step] } else { Vec::new() }, xs))
}

/// FFN experts over their rows: as many experts as there are numbers of rows, from this one on.
pub(super) fn at_once(
    shape: Shape,
    (rows, first): (&[u32], u32),
    seed: u32,
    xs: Buffer,
    bench: &mut Bench<'_>,
) -> Result<(Vec<Step>, Buffer), DeviceError> {
    let (d, h) = (shape.hidden, shape.inter);
    let [up, down] = merged(shape, seed);
    let sum = rows.iter().sum();
    let w13 = bench.input(u64::from(shape.ffn) * count(d, 2 * h), up)?;
    let w2 = bench.input(u64::from(shape.ffn) * count(h, d), down)?;
    let both = bench.output(count(sum, 2 * h))?;
    let inner = bench.output(count(sum, h))?;
    let z = bench.output(count(sum, d))?;
    if sum == 0 {
        return Ok((Vec::new(), z));
    }
    let of = |buffers, n, k| {
        Step::Gemm(Gemm { first_group: first, ..product(bench, buffers, (n, k), rows.to_vec()) })
    };
    let steps = vec![
        of([xs, w13, both], 2 * h, d),
        bench.step(&kernels::SWIGLU, vec![both, inner], vec![sum, h / 4], count(sum, h / 4)),
        of([inner, w2, z], d, h),
    ];
    Ok((steps, z))
}

/// Results of FFN experts, in the experts' order, and zero-computation experts into their tokens.
pub(super) fn combined(
    plan: &Plan,
    gated: &Gated,
    (z, weights): (Buffer, Weights),
    bench: &mut Bench<'_>,
) -> Result<(Vec<Step>, Buffer), DeviceError> {
    let shape = plan.shape;
    let (t, d, k) = (plan.tokens, shape.hidden, shape.top_k);
    let y = bench.output(count(t, d))?;
    let mix = vec![z, gated.ids, gated.positions, gated.weights, y];
    let mix = bench.step(&kernels::MIX, mix, vec![t, d / 4, k, shape.ffn], count(t, d / 4));
    let mut steps = vec![mix];
    if plan.tau.is_some() {
        let first = shape.ffn + shape.constant;
        if shape.copy > 0 {
            let buffers = vec![gated.x, gated.ids, gated.positions, gated.weights, y];
            let params = vec![t, d / 4, k, first, first + shape.copy];
            steps.push(bench.step(&kernels::COPY_TOKENS, buffers, params, count(t, d / 4)));
        }
        if shape.constant > 0 {
            let map = bench.input(count(shape.constant, 2 * d), weights.map)?;
            let constants = bench.input(count(shape.constant, d), weights.constants)?;
            let buffers =
                vec![gated.x, gated.ids, gated.positions, gated.weights, map, constants, y];
            let params = vec![t, d, k, shape.ffn, first];
            let groups = u64::from(t).min(TOKEN_GROUPS);
            steps.push(grid(&kernels::CONSTANT_TOKENS, bench.format, buffers, params, groups));
        }
    }
    Ok((steps, y))
}

/// Buffers that the loop uses again for every expert.
struct Loop {
    x: Buffer,
    a: Buffer,
    b: Buffer,
    z: Buffer,
    y: Buffer,
}

pub(super) fn sequential(
    plan: &Plan,
    seed: u32,
    gated: &Gated,
    bench: &mut Bench<'_>,
) -> Result<Built, DeviceError> {
    let shape = plan.shape;
    let (t, d, h) = (plan.tokens, shape.hidden, shape.inter);
    let most = gated.counts.iter().copied().max().unwrap_or(1).max(1);
    let gate = Numbers::weights(seed ^ 0x21, d);
    let up = Numbers::weights(seed ^ 0x23, d);
    let down = Numbers::weights(seed ^ 0x22, h);
    let all = u64::from(shape.ffn) * count(d, h);
    let (w1, w3) = (bench.input(all, gate)?, bench.input(all, up)?);
    let w2 = bench.input(all, down)?;
    let buffers = Loop {
        x: bench.output(count(most, d))?,
        a: bench.output(count(most, h))?,
        b: bench.output(count(most, h))?,
        z: bench.output(count(most, d))?,
        y: bench.output(count(t, d))?,
    };
    let Loop { x, a, b, z, y } = buffers;
    let weights = Weights::new(Experts::Apart { gate, up, down }, seed, d);
    let map = bench.input(count(shape.constant.max(1), 2 * d), weights.map)?;
    let constants = bench.input(count(shape.constant.max(1), d), weights.constants)?;
    let quads = count(t, d / 4);
    let mut steps = vec![bench.step(&kernels::ZERO, vec![y], vec![quads as u32], quads)];
    let mut first = 0;
    for (expert, &rows) in (0..).zip(&gated.counts) {
        let from = first;
        first += rows;
        if rows == 0 || expert >= shape.ffn + shape.constant + shape.copy {
            continue;
        }
        let wide = blocks(d, bench.format);
        let gather = vec![gated.x, gated.rows, x];
        steps.push(bench.step(&kernels::GATHER, gather, vec![rows, wide, from], count(rows, wide)));
        let mut result = z;
        if expert < shape.ffn {
            let one = |[a, b, c]: [Buffer; 3], n: u32, k: u32| {
                let gemm = product(bench, [a, b, c], (n, k), vec![rows]);
                Step::Gemm(Gemm { first_group: expert, ..gemm })
            };
            let quads = count(rows, h / 4);
            steps.extend([
                one([x, w1, a], h, d),
                one([x, w3, b], h, d),
                bench.step(&kernels::SILU, vec![a], vec![quads as u32], quads),
                bench.step(&kernels::MULTIPLY, vec![b, a], vec![quads as u32], quads),
                one([a, w2, z], d, h),
            ]);
        } else if expert < shape.ffn + shape.constant {
            let params = vec![rows, d, expert - shape.ffn];
            let groups = u64::from(rows).min(TOKEN_GROUPS);
            let buffers = vec![x, map, constants, z];
            steps.push(grid(&kernels::CONSTANT, bench.format, buffers, params, groups));
        } else {
            result = x;
        }
        let params = vec![rows, d / 4, from];
        let scale = vec![gated.row_weights, result];
        steps.push(bench.step(&kernels::SCALE, scale, params.clone(), count(rows, d / 4)));
        let add = vec![result, gated.rows, y];
        steps.push(bench.step(&kernels::SCATTER_ADD, add, params, count(rows, d / 4)));
    }
    Ok((steps, y, weights))
}
