//! How fast do bytes cross between host and device, and how fast does the copy engine move them?

use super::super::backend::Step;
use super::super::numbers::{Format, Numbers};
use super::super::probe::{Expected, Output, Point, Set, spots};
use super::{Detail, Plain, Suite};

/// The byte that uploads are made of; see the backends.
const UPLOADED: u32 = 0x5A5A_5A5A;

/// Uploads and downloads by the host's clock, copies of the copy engine, by size.
#[must_use]
pub fn probe(suite: &Suite) -> Plain {
    let ratio = if suite.detail == Detail::Quick { 64 } else { 8 };
    let most: u64 = if suite.software { 4 << 20 } else { 256 << 20 };
    let mut points = Vec::new();
    let mut bytes = most;
    while bytes >= 4096 {
        for part in ["upload", "download", "engine"] {
            points.push(Point { part: part.to_owned(), bytes: Some(bytes), ..Point::default() });
        }
        bytes /= ratio;
    }
    Plain {
        name: "transfer".to_owned(),
        question: "How fast do bytes cross between host and device?",
        weight: points.len() as f64 * 0.5,
        points,
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
