//! Speculative decoding, reserved SMs and hosts that cannot be.

use super::wrong::Wrong::{self, Args};

pub(super) const DRAFTS: &[(&str, Wrong)] = &[
    (
        "more drafts than a step may check",
        Args(&[
            "run",
            "wide-ep",
            "--set",
            "workload.batch.acceptance=0.85",
            "--set",
            "workload.batch.sequence_tokens=32",
        ]),
    ),
    (
        "drafts outside decode",
        Args(&["run", "two-batch", "--set", "workload.batch.acceptance=0.85"]),
    ),
    (
        "drafts of half a sequence",
        Args(&[
            "run",
            "wide-ep",
            "--set",
            "workload.batch.acceptance=0.85",
            "--set",
            "workload.batch.sequence_tokens=3",
        ]),
    ),
    (
        "attention in a format that the GPU lacks",
        Args(&["run", "paper", "--set", "workload.batch.attention_dtype=fp8"]),
    ),
    (
        "SMs kept for exchanges that nothing counts",
        Args(&["run", "two-batch", "--set", "workload.exchange.reserved=true"]),
    ),
    (
        "an epilogue of a kernel that was measured with its own",
        Args(&["run", "two-batch", "--set", "workload.kernels.epilogue=plain"]),
    ),
    (
        "rows padded for a kernel that was measured as it is",
        Args(&["run", "two-batch", "--set", "workload.kernels.pad_rows=16"]),
    ),
    ("graphs of a prefill", Args(&["run", "two-batch", "--set", "workload.host.graphs=[8, 16]"])),
    ("graphs in no order", Args(&["run", "wide-ep", "--set", "workload.host.graphs=[16, 8]"])),
    (
        "launches of a loop over experts",
        Args(&["run", "paper", "--set", "workload.host.layer_launch=1 ms"]),
    ),
    (
        "a gap between steps of training",
        Args(&["run", "dualpipe", "--set", "workload.host.step_gap=1 ms"]),
    ),
    ("a profile's name for a cluster's", Args(&["run", "dualpipe", "--set", "topology=gb200"])),
    (
        "a key of one of the pairs that are compared",
        Args(&["run", "paper", "--set", "compare.0.vanilla=moe-7b"]),
    ),
    (
        "an odd number of micro-batches from both ends",
        Args(&["run", "dualpipe", "--set", "workload.batch.micro_batches=31"]),
    ),
    (
        "both ends of one stage",
        Args(&["run", "dualpipe", "--set", "workload.layout.pipeline_parallel=1"]),
    ),
];
