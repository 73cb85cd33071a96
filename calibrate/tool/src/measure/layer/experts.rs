//! The experts of a layer, all at once or one after another.

use super::super::backend::{Buffer, DeviceError, Gemm, Step};
use super::super::bench::Bench;
use super::super::kernels;
use super::super::numbers::Numbers;
use super::super::twin::Experts;
use super::{Gated, Plan, Weights, blocks, grid, product};

/// Groups of threads for kernels that take one token a group.
const TOKEN_GROUPS: u64 = 8192;

type Built = (Vec<Step>, Buffer, Weights);

/// Rows of FFN experts, at least one: buffers are never empty.
fn ffn_rows(plan: &Plan, gated: &Gated) -> (Vec<u32>, u32) {
    let rows = gated.counts[..plan.shape.ffn as usize].to_vec();
    let sum = rows.iter().sum();
    (rows, sum)
}

pub(super) fn grouped(
    plan: &Plan,
    seed: u32,
    gated: &Gated,
    bench: &mut Bench<'_>,
) -> Result<Built, DeviceError> {
    let shape = plan.shape;
    let (t, d, h, k) = (plan.tokens, shape.hidden, shape.inter, shape.top_k);
    let (rows, sum) = ffn_rows(plan, gated);
    let count = |rows: u32, columns: u32| u64::from(rows.max(1)) * u64::from(columns);
    let up = Numbers::weights(seed ^ 0x21, d);
    let down = Numbers::weights(seed ^ 0x22, h);
    let w13 = bench.input(u64::from(shape.ffn) * count(d, 2 * h), up)?;
    let w2 = bench.input(u64::from(shape.ffn) * count(h, d), down)?;
    let xs = bench.output(count(sum, d))?;
    let both = bench.output(count(sum, 2 * h))?;
    let inner = bench.output(count(sum, h))?;
    let z = bench.output(count(sum, d))?;
    let y = bench.output(count(t, d))?;
    let wide = blocks(d, bench.format);
    let mut steps = Vec::new();
    if sum > 0 {
        let gather = vec![gated.x, gated.rows, xs];
        steps.extend([
            bench.step(&kernels::GATHER, gather, vec![sum, wide, 0], count(sum, wide)),
            Step::Gemm(product(bench, [xs, w13, both], (2 * h, d), rows.clone())),
            bench.step(&kernels::SWIGLU, vec![both, inner], vec![sum, h / 4], count(sum, h / 4)),
            Step::Gemm(product(bench, [inner, w2, z], (d, h), rows)),
        ]);
    }
    let mix = vec![z, gated.ids, gated.positions, gated.weights, y];
    steps.push(bench.step(&kernels::MIX, mix, vec![t, d / 4, k, shape.ffn], count(t, d / 4)));
    let weights = Weights::new(Experts::Merged { up, down }, seed, d);
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
    Ok((steps, y, weights))
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
    let count = |rows: u32, columns: u32| u64::from(rows) * u64::from(columns);
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
