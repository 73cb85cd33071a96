//! Wrong overlap of exchanges.

use super::wrong::Wrong::{self, Args};

pub(super) const OVERLAP: &[(&str, Wrong)] = &[
    (
        "chunks that do not divide the tokens",
        Args(&[
            "run",
            "two-batch",
            "--set",
            "workload.exchange.overlap=chunks",
            "--set",
            "workload.exchange.chunks=3",
        ]),
    ),
    (
        "layouts whose tokens do not divide into halves",
        Args(&[
            "layouts",
            "h100-4x8-rail",
            "--vanilla",
            "olmoe-1b-7b",
            "--counted",
            "moe-layer",
            "--seeds",
            "0..1",
            "--ep",
            "8",
            "--library",
            "nccl",
            "--tokens",
            "1",
            "--set",
            "workload.exchange.overlap=two-batch",
        ]),
    ),
    (
        "overlap in a training step",
        Args(&["run", "dualpipe", "--set", "workload.exchange.overlap=two-batch"]),
    ),
];
