//! How fast does the device move its own memory?

use super::super::kernels;
use super::super::numbers::{Format, Numbers};
use super::super::probe::{Expected, Output, Point, Set, spots};
use super::grid::{self, Grid};
use super::{Plain, Suite};

/// a of y += a·x.
const A: f32 = 0.25;

/// Copies (a read and a write) and sums (two reads and a write), by bytes moved.
#[must_use]
pub fn probe(suite: &Suite) -> Plain {
    let (least, most) = if suite.software { (1 << 14, 32 << 20) } else { (1 << 16, 1_u64 << 30) };
    let mut grid = Grid::default();
    for part in ["copy", "axpy"] {
        let of = |bytes| Point { part: part.to_owned(), bytes: Some(bytes), ..Point::default() };
        grid.line(0, grid::bytes(least, most, 2).into_iter().map(of).collect());
    }
    Plain {
        name: "memory".to_owned(),
        question: "How fast does the device read and write its memory?",
        weight: grid.len() as f64,
        grid,
        rotates: true,
        by_host: false,
        build: Box::new(|point, seed, bench| {
            let bytes = point.bytes.unwrap_or_default();
            if point.part == "copy" {
                let blocks = bytes / 2 / 16;
                let numbers = Numbers::tokens(seed);
                let count = blocks * 4;
                let x = bench.input_as(count, numbers, Format::F32)?;
                let y = bench.output_as(count, Format::F32)?;
                let steps =
                    vec![bench.step(&kernels::COPY, vec![x, y], vec![blocks as u32], blocks)];
                let twin = Box::new(move |i| numbers.at(i));
                let expected = Expected::Numbers { twin, at: spots(blocks, 4, seed) };
                let output = Output { name: "y", buffer: y, format: Format::F32, count, expected };
                return Ok(Set { steps, outputs: vec![output], slots: Vec::new() });
            }
            let quads = bytes / 3 / (4 * bench.format.bytes());
            let (x, y) = (Numbers::tokens(seed), Numbers::tokens(seed ^ 1));
            let buffers = vec![bench.input(quads * 4, x)?, bench.input(quads * 4, y)?];
            let to = buffers[1];
            let params = vec![quads as u32, kernels::bits(A)];
            let steps = vec![bench.step(&kernels::AXPY, buffers, params, quads)];
            let twin = Box::new(move |i| y.at(i) + f64::from(A) * x.at(i));
            let expected = Expected::Numbers { twin, at: spots(quads, 4, seed) };
            let format = bench.format;
            let output = Output { name: "y", buffer: to, format, count: quads * 4, expected };
            Ok(Set { steps, outputs: vec![output], slots: Vec::new() })
        }),
    }
}
