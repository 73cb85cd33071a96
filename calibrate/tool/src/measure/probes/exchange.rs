//! How fast do GPUs of one machine exchange: a copy from one to another, and all to all?
//!
//! An all-to-all counts bytes as nccl-tests do: what one GPU holds. The block that stays is in it.

use super::super::backend::{DeviceError, Step};
use super::super::bench::Bench;
use super::super::numbers::{Format, Numbers};
use super::super::probe::{Expected, Output, Point, Set, spots};
use super::grid::{self, Grid};
use super::{Plain, Suite};

/// The name of an all-to-all in samples: what the simulator calls it.
const ALL_TO_ALL: &str = "alltoall";
/// Bytes of 32-bit numbers that every block is a multiple of.
const QUAD: u64 = 16;

/// Copies from this GPU to the next, and all-to-alls among 2, 4, … all GPUs; none where there is one.
#[must_use]
pub fn probe(suite: &Suite) -> Option<Plain> {
    if suite.gpus < 2 {
        return None;
    }
    let (least, most) = if suite.software { (1 << 12, 1 << 16) } else { (1 << 16, 1 << 30) };
    let sizes = grid::bytes(least, most, 2);
    let line = |part: &str, gpus: u32| {
        let point = |&bytes: &u64| Point {
            part: part.to_owned(),
            gpus: Some(gpus.into()),
            bytes: Some(bytes),
            ..Point::default()
        };
        sizes.iter().map(point).collect()
    };
    let mut grid = Grid::of(line("peer", 2));
    for gpus in counts(suite.gpus) {
        grid.line(0, line(ALL_TO_ALL, gpus));
    }
    Some(Plain {
        name: "exchange".to_owned(),
        question: "How fast do the GPUs of this machine exchange?",
        weight: grid.len() as f64 * 0.5,
        grid,
        rotates: false,
        by_host: false,
        build: Box::new(build),
    })
}

/// 2, 4, 8, … and all.
fn counts(gpus: u32) -> Vec<u32> {
    let mut found: Vec<u32> =
        std::iter::successors(Some(2), |n| Some(n * 2)).take_while(|n| *n < gpus).collect();
    found.push(gpus);
    found
}

fn build(point: &Point, seed: u32, bench: &mut Bench<'_>) -> Result<Set, DeviceError> {
    let bytes = point.bytes.unwrap_or(1 << 16);
    let gpus = point.gpus.unwrap_or(2) as u32;
    let numbers = move |gpu: u32| Numbers::tokens(seed.wrapping_mul(64).wrapping_add(gpu));
    let output = |buffer, count: u64, twin: Box<dyn Fn(u64) -> f64>| Output {
        name: "what was received",
        buffer,
        format: Format::F32,
        count,
        expected: Expected::Numbers { twin, at: spots(count / 4, 4, seed) },
    };
    if point.part != ALL_TO_ALL {
        let count = bytes / 4;
        let (from, to) = (bench.input_on(0, count, numbers(0))?, bench.output_on(1, count)?);
        let twin = move |i| numbers(0).at(i);
        let outputs = vec![output(to, count, Box::new(twin))];
        return Ok(Set { steps: vec![Step::Copy { from, to, bytes }], outputs, slots: Vec::new() });
    }
    let block = (bytes / u64::from(gpus)).div_ceil(QUAD) * QUAD;
    let (each, count) = (block / 4, block / 4 * u64::from(gpus));
    let (mut from, mut to) = (Vec::new(), Vec::new());
    for gpu in 0..gpus {
        from.push(bench.input_on(gpu, count, numbers(gpu))?);
        to.push(bench.output_on(gpu, count)?);
    }
    let received = |(gpu, &buffer): (usize, &_)| {
        // Block i of what GPU j receives is block j of what GPU i sent.
        let twin = move |i: u64| numbers((i / each) as u32).at(gpu as u64 * each + i % each);
        output(buffer, count, Box::new(twin))
    };
    let outputs = to.iter().enumerate().map(received).collect();
    Ok(Set { steps: vec![Step::AllToAll { from, to, block }], outputs, slots: Vec::new() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_double_up_to_all() {
        assert_eq!(counts(2), [2]);
        assert_eq!(counts(6), [2, 4, 6]);
        assert_eq!(counts(8), [2, 4, 8]);
    }
}
