//! How fast do bytes cross between host and device, and how fast does the copy engine move them?

use super::super::backend::Step;
use super::super::numbers::{Format, Numbers};
use super::super::probe::{Expected, Output, Point, Set, spots};
use super::grid::{self, Grid};
use super::{Plain, Suite};

/// The byte that uploads are made of; see the backends.
const UPLOADED: u32 = 0x5A5A_5A5A;

/// Uploads and downloads by the host's clock, copies of the copy engine, by size.
#[must_use]
pub fn probe(suite: &Suite) -> Plain {
    let most: u64 = if suite.software { 4 << 20 } else { 256 << 20 };
    let mut grid = Grid::default();
    for part in ["upload", "download", "engine"] {
        let of = |bytes| Point { part: part.to_owned(), bytes: Some(bytes), ..Point::default() };
        grid.line(0, grid::bytes(4096, most, 4).into_iter().map(of).collect());
    }
    Plain {
        name: "transfer".to_owned(),
        question: "How fast do bytes cross between host and device?",
        weight: grid.len() as f64 * 0.5,
        grid,
        rotates: false,
        by_host: false,
        build: Box::new(|point, seed, bench| {
            let bytes = point.bytes.unwrap_or(4096);
            let count = bytes / 4;
            let numbers = Numbers::tokens(seed);
            let output = |buffer, expected| Output {
                name: "what was copied",
                buffer,
                format: Format::F32,
                count,
                expected,
            };
            let (steps, output) = match point.part.as_str() {
                "upload" => {
                    let to = bench.output_as(count, Format::F32)?;
                    let words = Expected::Words(vec![UPLOADED; count as usize]);
                    (vec![Step::Upload { to, bytes }], output(to, words))
                }
                part => {
                    let from = bench.input_as(count, numbers, Format::F32)?;
                    let twin = Box::new(move |i| numbers.at(i));
                    let expected = Expected::Numbers { twin, at: spots(count / 4, 4, seed) };
                    if part == "download" {
                        (vec![Step::Download { from, bytes }], output(from, expected))
                    } else {
                        let to = bench.output_as(count, Format::F32)?;
                        (vec![Step::Copy { from, to, bytes }], output(to, expected))
                    }
                }
            };
            Ok(Set { steps, outputs: vec![output], slots: Vec::new() })
        }),
    }
}
