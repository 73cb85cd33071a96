//! A profile from samples that `calibrate measure` took.
//!
//! Products become the GEMM family, experts the fused-experts family under the name
//! [`KERNEL`], and everything that mostly moves memory the memory family ([`memory`]). Whole layers are never fitted: `calibrate compare` judges by them. Device and host
//! clocks are not mixed: samples by another clock than that of products are left out.
//!
//! Efficiencies refer to the data sheet where the device is a known one, else to the best rates that
//! were measured, and the profile says so. A device measured in other than bfloat16 fills the
//! profile's bfloat16 family; what it was measured in stands in the evidence.

use std::collections::BTreeMap;

use moesim::base::statistics::{Rule, quantile};
use moesim::base::threads;
use moesim::base::units::Bandwidth;
use moesim::kernels::experts::ExpertsPrior;
use moesim::kernels::experts::tiles::TileRule;
use moesim::kernels::measurements::{CollectiveRow, ExpertsRow, GemmRow};
use moesim::kernels::profile::{CollectiveOp, Family, Precision, Profile};
use moesim::kernels::skew::Popularity;

use crate::device::DataSheet;
use crate::measure::backend::Clock;
use crate::measure::kernels::product::{SOFTWARE_TILE, TILE};
use crate::measure::samples::Sample;
use crate::measure::session::Identity;
use crate::residuals::rounded;
use crate::{experts, gemm, nccl};

mod memory;

/// The grouped experts of `calibrate measure`, rows already in order.
pub const KERNEL: &str = "calibrate_grouped";

/// SMs assumed where the API hides them.
const UNKNOWN_SMS: u32 = 64;
/// GB/s of the link to the host assumed where it was not measured: PCIe 4 ×16 without its overhead.
const UNKNOWN_LINK: f64 = 25.0;

/// The profile of these samples, under this name, and the peaks that it refers to.
///
/// # Errors
/// What is missing, and how to measure it.
pub fn profile(
    name: &str,
    identity: &Identity,
    samples: &[Sample],
) -> Result<(Profile, DataSheet), String> {
    let missing = |what: &str| {
        format!(
            "the samples hold no {what}\n  help: let `calibrate measure` finish, in the same folder"
        )
    };
    let products: Vec<&Sample> = samples.iter().filter(|s| s.point.part == "dense").collect();
    let clock =
        products.first().map(|s| s.timing.clock).ok_or_else(|| missing("dense products"))?;
    let samples: Vec<&Sample> = samples.iter().filter(|s| s.timing.clock == clock).collect();
    let gemm_rows: Vec<GemmRow> = samples.iter().filter_map(|s| gemm_row(s)).collect();
    let experts_rows: Vec<ExpertsRow> = samples.iter().filter_map(|s| experts_row(s)).collect();
    let sheet = sheet_of(identity, &samples, &gemm_rows);
    let device = sheet.device();
    let on = described(identity, clock);
    let gemm_family = gemm::fit(&device, Precision::Bf16, &gemm_rows, &on)
        .ok_or_else(|| missing("dense products"))?;
    let borrowed: Vec<&ExpertsRow> = experts_rows.iter().collect();
    let fits = tile_rules(identity)
        .iter()
        .filter_map(|&rule| experts::fit(&sheet, (Precision::Bf16, rule), &borrowed, &on));
    let off = |fit: &Family<ExpertsPrior>| fit.evidence.prior.map_or(f64::INFINITY, |e| e.median);
    let experts_family =
        fits.min_by(|a, b| off(a).total_cmp(&off(b))).ok_or_else(|| missing("experts"))?;
    let memory =
        memory::fit(&device, &samples, &on).ok_or_else(|| missing("launches or copies"))?;
    let rows: Vec<CollectiveRow> = samples.iter().filter_map(|s| collective_row(s)).collect();
    let collectives: BTreeMap<_, _> = CollectiveOp::ALL
        .into_iter()
        .filter_map(|op| nccl::fit(op, &rows, &on, sheet.peer_to_peer).map(|fit| (op, fit)))
        .collect();
    let pair = collectives.get(&CollectiveOp::AllToAll).and_then(|fit| fit.ramps.get(&2));
    let mut profile = Profile {
        name: name.to_owned(),
        device: identity.get("device").unwrap_or("unknown").to_owned(),
        data_sheet: device,
        scale_up: Some(Bandwidth::from_bytes_per_sec(sheet.scale_up_gb_per_s * 1e9)),
        gemm: BTreeMap::from([(Precision::Bf16, gemm_family)]),
        experts: BTreeMap::from([((KERNEL.to_owned(), Precision::Bf16), experts_family)]),
        memory,
        pair_bandwidth: pair.map(|ramp| ramp.bandwidth),
        collectives,
        exchanges: BTreeMap::new(),
        inter_node: None,
    };
    memory::add_gates(&mut profile, &samples);
    Ok((profile, sheet))
}

/// How the products of a backend may be cut into tiles; of several the one that fits is taken.
fn tile_rules(identity: &Identity) -> &'static [TileRule] {
    match (identity.get("backend").unwrap_or_default(), identity.is_software()) {
        // `matrixmultiply` has kernels of eight rows, and with AVX-512 of sixteen.
        ("native", _) => &[TileRule::Rows(8), TileRule::Rows(16)],
        (backend, software) if backend.starts_with("wgpu") => {
            if software {
                &[TileRule::Rows(SOFTWARE_TILE)]
            } else {
                &[TileRule::Rows(TILE)]
            }
        }
        _ => &[TileRule::ByRows],
    }
}

fn described(identity: &Identity, clock: Clock) -> String {
    let of = |key| identity.get(key).unwrap_or("unknown");
    format!(
        "measured on {}, {}, driver {}, in {}, {} clock, {}, calibrate {}",
        of("device"),
        of("backend"),
        of("driver"),
        of("format"),
        clock.name(),
        of("date"),
        of("calibrate")
    )
}

fn side(side: Option<u64>) -> Option<u32> {
    side.and_then(|side| u32::try_from(side).ok()).filter(|side| *side > 0)
}

fn gemm_row(sample: &Sample) -> Option<GemmRow> {
    let p = &sample.point;
    if p.part != "dense" {
        return None;
    }
    let (m, n, k) = (side(p.m)?, side(p.n)?, side(p.k)?);
    Some(GemmRow { precision: Precision::Bf16, m, n, k, seconds: sample.timing.median })
}

fn experts_row(sample: &Sample) -> Option<ExpertsRow> {
    let p = &sample.point;
    if p.part != "grouped" {
        return None;
    }
    Some(ExpertsRow {
        source: KERNEL.to_owned(),
        precision: Precision::Bf16,
        tokens: side(p.tokens)?,
        hidden: side(p.hidden)?,
        inter: side(p.inter)?,
        top_k: side(p.top_k)?,
        experts: side(p.experts)?,
        tp: 1,
        ep: 1,
        popularity: Popularity::named(&p.distribution)?,
        seconds: sample.timing.median,
    })
}

fn collective_row(sample: &Sample) -> Option<CollectiveRow> {
    let op = CollectiveOp::named(&sample.point.part)?;
    let (gpus, bytes) = (side(sample.point.gpus)?, sample.point.bytes?);
    Some(CollectiveRow { op, gpus, bytes, seconds: sample.timing.median })
}

/// Marks in a device's name, and the data sheet they mean; the first that fits.
const KNOWN: [(&[&str], &str); 6] = [
    (&["GB200"], "gb200"),
    (&["B200"], "b200-sxm"),
    (&["H200"], "h200-sxm"),
    (&["H100", "HBM3"], "h100-sxm"),
    (&["A100-SXM"], "a100-sxm"),
    (&["L40S"], "l40s"),
];

/// The peaks that efficiencies refer to: the data sheet's, or the best that was measured.
fn sheet_of(identity: &Identity, samples: &[&Sample], rows: &[GemmRow]) -> DataSheet {
    let name = identity.get("device").unwrap_or_default();
    let fits = |marks: &[&str]| marks.iter().all(|mark| name.contains(mark));
    if let Some(found) =
        KNOWN.iter().find(|(marks, _)| fits(marks)).and_then(|(_, sheet)| DataSheet::named(sheet))
    {
        return *found;
    }
    let rate = |row: &GemmRow| {
        2.0 * f64::from(row.m) * f64::from(row.n) * f64::from(row.k) / row.seconds / 1e12
    };
    let best = rows.iter().map(rate).fold(1e-6, f64::max);
    let copies = samples.iter().filter(|s| ["copy", "axpy"].contains(&s.point.part.as_str()));
    let largest = copies.clone().filter_map(|s| s.point.bytes).max().unwrap_or_default();
    // The larger half of sizes: small copies stay in the cache, and launching hides their rate.
    let rates: Vec<f64> = copies
        .filter(|s| s.point.bytes.is_some_and(|b| b >= largest / 16))
        .filter_map(|s| memory::moved(s).map(|(bytes, _, seconds)| bytes / seconds / 1e9))
        .collect();
    let software = identity.is_software();
    let threads = threads::available() as u32;
    let sms = identity.get("sms").and_then(|sms| sms.parse().ok());
    let uploads = samples.iter().filter(|s| s.point.part == "upload");
    let links = uploads.filter_map(|s| Some(s.point.bytes? as f64 / s.timing.median / 1e9));
    let link = links.fold(0.0, f64::max);
    let link = if link > 0.0 { rounded(link) } else { UNKNOWN_LINK };
    DataSheet {
        name: "own",
        file: "own",
        bf16_tflops: rounded(best),
        memory_gb_per_s: rounded(quantile(&rates, 0.9, Rule::Linear).unwrap_or(0.0).max(1e-3)),
        sms: sms.unwrap_or(if software { threads } else { UNKNOWN_SMS }),
        scale_up_gb_per_s: link,
        // Probes copy from GPU to GPU directly, or not at all.
        peer_to_peer: true,
        cache_mb: identity.get("cache_bytes").and_then(|b| b.parse().ok()).unwrap_or(0.0) / 1e6,
        source: "no data sheet is known: the best rates that were measured",
        nearest: None,
    }
}
