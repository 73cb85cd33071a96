//! What a loop over experts costs beyond its products, from samples of its small ops.
//!
//! For m rows of one expert, in the words of `moesim::execution::cost`, eq. (4),
//!
//! ```text
//!   T = v + κ · b·(7D + 5H)·m / (B·η)                                            (1)
//! ```
//!
//! with B·η the rate that the profile gives to what only moves memory. v holds five launches, each of
//! which waits for the kernel before it; κ ≥ 1 says how much slower than long copies ops move bytes
//! that are too small to fill the device. Ops faster than that, because they find in a cache what the
//! op before them left, count as κ = 1: no overhead, and the simulator knows no less. Whole layers are
//! not used. What is not measured, a cost of each slot or layer as such and an overlap of host and device, is none.

use std::fmt::Write as _;

use moesim::base::units::SimDuration;
use moesim::execution::cost::Overheads;
use moesim::kernels::profile::Profile;

use crate::least_squares::minimise;
use crate::measure::probes::loop_ops::{LAUNCHES, PART};
use crate::measure::samples::Sample;
use crate::residuals::{rounded, rounded_time};

/// Overheads, how many samples they were fitted to, and how far off these they are.
#[derive(Clone, Debug, PartialEq)]
pub struct Fitted {
    /// What was fitted.
    pub overheads: Overheads,
    /// Samples.
    pub rows: usize,
    /// Mean of the relative errors' sizes.
    pub off: f64,
}

/// The overheads of these samples' loop, by the rates of a profile of the same device; none where
/// the loop was not measured.
#[must_use]
pub fn fit(profile: &Profile, samples: &[Sample]) -> Option<Fitted> {
    let memory = profile.data_sheet.memory_bandwidth.bytes_per_sec() * profile.memory.efficiency;
    let row = |sample: &Sample| {
        // What was measured in 32 bits is counted as the simulator counts it, in 16.
        let bytes = sample.point.bytes? as f64 * 2.0 / sample.format.bytes() as f64;
        (sample.point.part == PART).then_some((bytes / memory, sample.timing.median))
    };
    let rows: Vec<(f64, f64)> = samples.iter().filter_map(row).collect();
    if rows.is_empty() {
        return None;
    }
    let errors = |p: &[f64]| -> Vec<f64> {
        rows.iter().map(|(ideal, seconds)| ((p[0] + p[1] * ideal) / seconds).ln()).collect()
    };
    let start = profile.memory.launch.secs().max(1e-9) * LAUNCHES as f64;
    let free = minimise(&[start, 1.0], errors);
    let factor = rounded(free[1]).clamp(1.0, 1000.0);
    let visit = minimise(&[start], |p| errors(&[p[0], factor]));
    let visit = rounded_time(visit[0]);
    let overheads = Overheads {
        traffic_factor: factor,
        expert_visit: SimDuration::from_secs(visit),
        ..Overheads::NONE
    };
    let sizes = errors(&[visit, factor]).iter().map(|e| e.exp_m1().abs()).sum::<f64>();
    Some(Fitted { overheads, rows: rows.len(), off: sizes / rows.len() as f64 })
}

/// The overheads file, as a scenario names it.
#[must_use]
pub fn toml(fitted: &Fitted, name: &str, origin: &[String]) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    for line in origin {
        let _ = writeln!(out, "# {}", line.replace('\n', " "));
    }
    let Overheads { traffic_factor, slot_traffic, expert_visit, layer, overlap } = fitted.overheads;
    let us = |time: SimDuration| format!("\"{} us\"", time.secs() * 1e6);
    let _ = writeln!(out, "schema         = 2\nname           = \"{name}\"");
    let _ = writeln!(out, "traffic_factor = {traffic_factor:?}");
    let _ = writeln!(out, "slot_traffic   = \"{} B\"", slot_traffic.0);
    let _ = writeln!(out, "expert_visit   = {}\nlayer          = {}", us(expert_visit), us(layer));
    let _ = writeln!(out, "overlap        = {overlap:?}");
    let _ = writeln!(out, "\n[fitted]\nto   = \"the small ops of the loop, measured alone\"");
    let _ = writeln!(out, "rows = {}", fitted.rows);
    let _ = writeln!(out, "mean_absolute_relative_error = {:?}", rounded(fitted.off));
    out
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::measure::backend::Clock;
    use crate::measure::numbers::Format;
    use crate::measure::probe::Point;
    use crate::measure::timing::summary;

    #[test]
    fn constants_that_made_the_samples_are_found_again() {
        let profile = Path::new(env!("CARGO_MANIFEST_DIR")).join("../profiles/a100-sxm.toml");
        let source = moesim::config::Source::read(&profile).unwrap();
        let profile = moesim::config::read_profile(&source, &profile).unwrap();
        let rate = profile.data_sheet.memory_bandwidth.bytes_per_sec() * profile.memory.efficiency;
        let sample = |bytes: u64| {
            let seconds = 17e-6 + 2.5 * bytes as f64 / rate;
            Sample {
                probe: "loop_x".to_owned(),
                point: Point { part: PART.to_owned(), bytes: Some(bytes), ..Point::default() },
                format: Format::Bf16,
                timing: summary(vec![seconds; 9], Clock::Device, 1),
                error: 0.0,
                rotated_bytes: 0,
                mhz: None,
                celsius: None,
                watts: None,
            }
        };
        let samples: Vec<Sample> = (10..28).map(|log| sample(1 << log)).collect();
        let found = fit(&profile, &samples).expect("samples of the loop");
        let Overheads { traffic_factor, expert_visit, layer, .. } = found.overheads;
        assert!((traffic_factor / 2.5 - 1.0).abs() < 0.05, "{traffic_factor}");
        assert!((expert_visit.secs() / 17e-6 - 1.0).abs() < 0.05, "{expert_visit:?}");
        assert_eq!(layer, SimDuration::ZERO);
        // The simulator reads what is written.
        let text = toml(&found, "mine-loop", &["measured".to_owned()]);
        let file = std::env::temp_dir().join(format!("loop-{}.toml", std::process::id()));
        std::fs::write(&file, text).unwrap();
        let read = moesim::config::overheads(&moesim::config::Source::read(&file).unwrap());
        std::fs::remove_file(file).unwrap();
        assert_eq!(read.expect("an overheads file").overheads, found.overheads);
        assert_eq!(fit(&profile, &[]), None);
    }
}
