//! How long do dense products take: by shape, on fewer SMs, and when the device is warm?

use std::collections::BTreeSet;

use super::super::backend::{DeviceError, Gemm, Step};
use super::super::bench::Bench;
use super::super::layer::product;
use super::super::numbers::Numbers;
use super::super::probe::{Expected, Output, Point, Set, spots};
use super::super::twin;
use super::{Detail, Plain, Suite, steps_to};

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
    let quick = suite.detail == Detail::Quick;
    let (most, ratio) = match (suite.software, quick) {
        (true, true) => (512, 8.0),
        (true, false) => (1024, 2.0),
        (false, true) => (4096, 8.0),
        (false, false) => (8192, 2.0),
    };
    let mut rows = steps_to(most, ratio);
    if !quick && !suite.software {
        rows.extend([63, 65, 127, 129, 192, 255, 257, 384, 768, 1536, 3072, 6144]);
        shapes.extend([(4096, 4096), (8192, 8192), (64, 64)]);
    }
    if suite.software {
        shapes.insert((256, 256));
    }
    let points: Vec<Point> = shapes
        .iter()
        .flat_map(|&(n, k)| rows.iter().map(move |&m| point("dense", (m, n, k))))
        .collect();
    Plain {
        name: "gemm".to_owned(),
        question: "How long does a dense product of M rows take?",
        weight: points.len() as f64 * 0.5,
        points,
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
        points: shares.iter().map(limited).collect(),
        weight: 3.0,
        rotates: true,
        by_host: false,
        build: Box::new(build),
    }
}

/// One large product again and again: clock, temperature and rate once the device is warm. Points
/// are alike; each is a window of time, and its readings stand beside it.
#[must_use]
pub fn sustained(suite: &Suite) -> Plain {
    let size = if suite.software { (256, 256, 256) } else { (8192, 8192, 8192) };
    let windows = if suite.detail == Detail::Quick { 2 } else { WINDOWS };
    Plain {
        name: "sustained".to_owned(),
        question: "What do clock and rate fall to under load?",
        points: vec![point("sustained", size); windows],
        weight: windows as f64,
        rotates: false,
        by_host: false,
        build: Box::new(build),
    }
}
