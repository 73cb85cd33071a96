//! How long do dense products take: by shape, on fewer SMs, and when the device is warm?

use std::collections::BTreeSet;

use super::super::backend::{DeviceError, Gemm, Step};
use super::super::bench::Bench;
use super::super::layer::product;
use super::super::numbers::Numbers;
use super::super::probe::{Expected, Output, Point, Set, spots};
use super::super::twin;
use super::grid::{self, Grid};
use super::{Plain, Suite};

/// Rows beside powers of two: edges of tiles, and halves between.
const EDGES: [u32; 16] =
    [63, 65, 127, 129, 192, 255, 257, 384, 500, 768, 1000, 1536, 2500, 3072, 5000, 6144];
/// The same in software: rows that fill no tile have a curve of their own in the simulator, and times step
/// at multiples of eight or sixteen rows, of which an expert of a small layer has a few.
const SOFTWARE_EDGES: [u32; 20] =
    [9, 17, 25, 31, 33, 41, 47, 49, 57, 63, 65, 79, 81, 95, 97, 111, 150, 200, 257, 400];

/// Windows in which the clock under load is read.
const WINDOWS: usize = 12;

fn build(point: &Point, seed: u32, bench: &mut Bench<'_>) -> Result<Set, DeviceError> {
    let side = |side: Option<u64>| side.unwrap_or(1);
    let (m, n, k) = (side(point.m), side(point.n), side(point.k));
    let (a, b) = (Numbers::tokens(seed), Numbers::weights(seed ^ 1, k as u32));
    let buffers = [bench.input(m * k, a)?, bench.input(k * n, b)?, bench.output(m * n)?];
    let sms = point.sms.map(|sms| sms as u32);
    let gemm = product(bench, buffers, (n as u32, k as u32), vec![m as u32]);
    let twin = move |i: u64| twin::product(|i| a.at(i), |i| b.at(i), n, k, (i / n, i % n));
    Ok(Set {
        steps: vec![Step::Gemm(Gemm { sms, ..gemm })],
        outputs: vec![Output {
            name: "C",
            buffer: buffers[2],
            format: bench.format,
            count: m * n,
            expected: Expected::Numbers { twin: Box::new(twin), at: spots(m, n, seed) },
        }],
        slots: Vec::new(),
    })
}

fn point(part: &str, (m, n, k): (u32, u32, u32)) -> Point {
    let side = |side: u32| Some(u64::from(side));
    Point { part: part.to_owned(), m: side(m), n: side(n), k: side(k), ..Point::default() }
}

/// Every (N, K) that a layer of the suite's shapes multiplies by, over M.
#[must_use]
pub fn probe(suite: &Suite) -> Plain {
    let mut shapes: BTreeSet<(u32, u32)> = BTreeSet::new();
    for shape in &suite.shapes {
        for experts in [shape.ffn, shape.all()] {
            shapes.insert((experts, shape.hidden));
            if shape.pathway_aware {
                shapes.extend([(8 * experts, shape.hidden), (experts, 8 * experts)]);
                shapes.insert((experts, experts));
            }
        }
        shapes.extend([(shape.inter, shape.hidden), (shape.hidden, shape.inter)]);
    }
    let rows = if suite.software {
        shapes.insert((256, 256));
        grid::steps(512, 2.0, &SOFTWARE_EDGES)
    } else {
        shapes.extend([(4096, 4096), (8192, 8192), (64, 64)]);
        grid::steps(8192, 2.0, &EDGES)
    };
    let mut grid = Grid::default();
    for &(n, k) in &shapes {
        grid.line(0, rows.iter().map(|&m| point("dense", (m, n, k))).collect());
    }
    Plain {
        name: "gemm".to_owned(),
        question: "How long does a dense product of M rows take?",
        weight: grid.len() as f64 * 0.5,
        grid,
        rotates: true,
        by_host: false,
        build: Box::new(build),
    }
}

/// One large product on fewer and fewer SMs, as when a collective holds the others.
#[must_use]
pub fn fewer_sms(suite: &Suite) -> Plain {
    let size = if suite.software { (256, 256, 128) } else { (4096, 4096, 4096) };
    let all = suite.sms.unwrap_or(64);
    let shares = [1.0, 0.94, 0.85, 0.73, 0.5, 0.25];
    let limited = |share: &f64| {
        let sms = (f64::from(all) * share).round().max(1.0) as u64;
        Point { sms: Some(sms), ..point("limited", size) }
    };
    Plain {
        name: "fewer_sms".to_owned(),
        question: "How much slower is a product that is left fewer SMs?",
        grid: Grid::of(shares.iter().map(limited).collect()),
        weight: 3.0,
        rotates: true,
        by_host: false,
        build: Box::new(build),
    }
}

/// One large product again and again: clock, temperature and rate once the device is warm. Points
/// are alike; each is a window of time, and its readings stand beside it. Two windows are coarse;
/// the others follow one another after the coarse grid of all probes.
#[must_use]
pub fn sustained(suite: &Suite) -> Plain {
    let size = if suite.software { (256, 256, 256) } else { (8192, 8192, 8192) };
    let mut grid = Grid::default();
    for window in 0..WINDOWS {
        let first = if window < 2 { 0 } else { grid::COARSE + 1 };
        grid.line(first, vec![point("sustained", size)]);
    }
    Plain {
        name: "sustained".to_owned(),
        question: "What do clock and rate fall to under load?",
        weight: grid.len() as f64,
        grid,
        rotates: false,
        by_host: false,
        build: Box::new(build),
    }
}
