//! Does Hybrid-EP take what its authors published?
//!
//! Judged on the table of `calibrate/data/hybrid_ep.csv`: one number of tokens and one model, on one NVLink domain of B200 and
//! GB200 and on 2 to 8 nodes of H100. A pass says that runs take what profiles say, that profiles are within the stated errors of
//! the rows that they were fitted to, and how far off dispatches in 8 bits are, to which nothing was fitted. Says nothing of other
//! numbers of tokens or sizes.

use moesim::base::statistics::{Rule, quantile};
use moesim::kernels::measurements::ExchangeRow;
use moesim::workload::ExchangeLibrary;

use crate::exchanges::{both, boxes, file, profile, topology};

const GPUS: [(&str, &str); 3] =
    [("gb200", "gb200"), ("b200_sxm", "b200-sxm"), ("h100_sxm", "h100-sxm")];

fn rows(gpu: &str) -> Vec<ExchangeRow> {
    ExchangeRow::of_hybrid_ep(&file("calibrate/data/hybrid_ep.csv"), &[gpu]).expect("the table")
}

#[test]
fn a_run_takes_the_picosecond_that_its_profile_says_of_hybrid_ep() {
    let mut seen = 0;
    for (gpu, name) in GPUS {
        let profile = profile(name);
        for row in rows(gpu).iter().filter(|row| row.bytes > 1.0) {
            let cluster = match gpu {
                "gb200" => topology("gb200-nvl72", &[]),
                "b200_sxm" => boxes(1, "900 GB/s"),
                _ => boxes(row.shape.groups, "450 GB/s"),
            };
            let [run, predicted] = both(&profile, &cluster, row, ExchangeLibrary::HybridEp);
            assert_eq!(run, predicted, "{gpu} {row:?}");
            seen += 1;
        }
    }
    assert_eq!(seen, 40);
}

/// Errors of one format on one GPU, `bytes` a number.
fn errors((gpu, name): (&str, &str), bytes: f64) -> Vec<f64> {
    let profile = profile(name);
    let of = |row: &ExchangeRow| {
        let [_, whole] = profile.exchanges[&row.name].parts(row.shape, row.tokens, row.bytes);
        whole / row.seconds - 1.0
    };
    rows(gpu).iter().filter(|row| row.bytes == bytes).map(of).collect()
}

#[test]
fn constants_are_near_the_published_table() {
    for (bytes, median, most) in [(2.0, 0.02, 0.08), (1.0, 0.12, 0.40)] {
        let all: Vec<f64> = GPUS.iter().flat_map(|&gpu| errors(gpu, bytes)).collect();
        let sizes: Vec<f64> = all.iter().map(|error| error.abs()).collect();
        let at = |p: f64| quantile(&sizes, p, Rule::Linear).expect("errors");
        assert!(at(0.5) < median && at(1.0) < most, "{bytes} bytes: {all:.3?}");
    }
}
