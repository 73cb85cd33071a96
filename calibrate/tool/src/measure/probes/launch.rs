//! What does launching cost, on the device and as the host sees it?

use super::super::kernels;
use super::super::numbers::Format;
use super::super::probe::{Expected, Output, Point, Set};
use super::grid::Grid;
use super::{Build, Plain};

/// The word that the kernel writes: any but poison.
const WORD: u32 = 0x00C0_FFEE;

fn build() -> Build {
    Box::new(|_, seed, bench| {
        let word = WORD ^ seed;
        let y = bench.output_as(4, Format::U32)?;
        let steps = vec![bench.step(&kernels::NOTHING, vec![y], vec![word], 1)];
        let expected = Expected::Words(vec![word]);
        let output = Output { name: "y", buffer: y, format: Format::U32, count: 1, expected };
        Ok(Set { steps, outputs: vec![output], slots: Vec::new() })
    })
}

fn point(part: &str) -> Grid {
    Grid::of(vec![Point { part: part.to_owned(), ..Point::default() }])
}

/// A kernel that does next to nothing, many enqueued together: the time of each on the device.
#[must_use]
pub fn probe() -> Plain {
    Plain {
        name: "launch".to_owned(),
        question: "How long does the device take to start and end a kernel?",
        grid: point("kernel"),
        weight: 0.5,
        rotates: false,
        by_host: false,
        build: build(),
    }
}

/// The same kernel alone, from enqueueing to the end of waiting, by the host's clock.
#[must_use]
pub fn waiting() -> Plain {
    Plain {
        name: "launch_and_wait".to_owned(),
        question: "How long does the host wait for a kernel that does next to nothing?",
        grid: point("wait"),
        by_host: true,
        ..probe()
    }
}
