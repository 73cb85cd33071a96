//! Do kernel times behave as times must, whatever the shape?
//!
//! A pass says that more work never takes less time, that the profile loads and that measured
//! shapes are met. It does not say that times of shapes nobody measured are right: the profile's
//! own `held_out` errors say how far off those are.

use moesim::base::units::{Bytes, SimDuration};
use moesim::config::{built_in_profile, built_in_profiles};
use moesim::kernels::exchange::ExchangeShape;
use moesim::kernels::experts::ExpertsShape;
use moesim::kernels::gemm::GemmShape;
use moesim::kernels::profile::{CollectiveOp, Precision, Profile};
use moesim::kernels::skew::Popularity;
use moesim::kernels::{ExpertsAsk, ExpertsTimes, Kernels, Support};
use moesim::workload::{ExpertsKernel, Phase};
use proptest::prelude::*;

fn a100() -> Profile {
    built_in_profile("a100-sxm").unwrap()
}

/// Relative distance of a time from microseconds that were measured.
fn off(time: SimDuration, measured_us: f64) -> f64 {
    (time.us() / measured_us - 1.0).abs()
}

#[test]
fn every_built_in_profile_loads_and_knows_its_name() {
    for known in built_in_profiles() {
        let profile = built_in_profile(known.name).unwrap();
        assert_eq!(profile.name, known.name);
        let families = profile.gemm.values().map(|f| &f.evidence);
        for evidence in families.chain(profile.experts.values().map(|f| &f.evidence)) {
            let transferred = ["transferred", "not measured"]
                .iter()
                .any(|said| evidence.fitted_on.contains(said));
            let good = evidence.held_out.is_some_and(|r| r.median < 0.1 && r.p90 < 0.3);
            assert!(transferred || good, "{}: {:?}", evidence.fitted_on, evidence.held_out);
            assert!(evidence.log_error_p90.is_some(), "{}", evidence.fitted_on);
        }
    }
    assert!(built_in_profile("z9000").is_err());
}

/// The GEMMs of the paper's experts, D = 768 with H = 2048 and D = 1536 with H = 4096, as
/// measured on an A100 (rows of `gemm_a100_sxm`).
#[test]
fn the_gemms_of_the_papers_experts_are_as_measured() {
    let profile = a100();
    let kernels = Kernels::new(&profile, profile.data_sheet);
    for (m, n, k, us) in [
        (2048, 2048, 768, 48.02),
        (8192, 768, 2048, 117.06),
        (4096, 4096, 1536, 224.49),
        (16384, 1536, 4096, 876.01),
    ] {
        let times = kernels.gemm_over_m(n, k, Precision::Bf16);
        assert_eq!(*times.support(), Support::Measured, "({n}, {k})");
        assert!(off(times.time(m), us) < 0.06, "({m}, {n}, {k}): {} for {us} us", times.time(m));
    }
}

#[test]
fn fused_experts_are_as_measured() {
    let profile = a100();
    let kernels = Kernels::new(&profile, profile.data_sheet);
    let slots = Popularity::Balanced.slots(4096, 128, 8);
    let times = triton(&kernels, shape(4096, 1536, 128, 8));
    let time = times.time(&slots);
    assert!(off(time, 10_719.0) < 0.02, "{time}");
    let skewed = Popularity::PowerLaw(1.2).slots(4096, 128, 8);
    let time = times.time(&skewed);
    assert!(off(time, 10_719.0 * 1.10) < 0.03, "{time}");
}

#[test]
fn no_work_takes_no_time() {
    let profile = a100();
    let kernels = Kernels::new(&profile, profile.data_sheet);
    assert_eq!(kernels.gemm(0, 768, 2048, Precision::Bf16), SimDuration::ZERO);
    for (experts, kernel) in [(8, ExpertsKernel::Triton), (0, ExpertsKernel::GroupedGemm)] {
        let times = experts_by(&kernels, shape(768, 2048, experts, 2), &kernel);
        assert_eq!(times.time(&vec![0; experts as usize]), SimDuration::ZERO);
    }
    assert_eq!(kernels.memory_bound(Bytes(0), 0), SimDuration::ZERO);
}

#[test]
fn collectives_between_and_beyond_measured_numbers_of_gpus_lie_in_order() {
    let profile = a100();
    let kernels = Kernels::new(&profile, profile.data_sheet);
    for op in CollectiveOp::ALL {
        let time = |gpus| kernels.collective(op, gpus, Bytes(1 << 26)).unwrap();
        assert_eq!(time(1), SimDuration::ZERO);
        assert!(time(2) < time(4) && time(4) < time(8), "{op:?}");
        assert!(time(8).secs() < time(64).secs() * 1.05, "{op:?}");
    }
}

/// Measured times of this GEMM fall from 11.3 us at m = 8 to 7.4 us at m = 32.
#[test]
fn where_measured_times_fall_predicted_ones_do_not() {
    let profile = shared();
    let times = Kernels::new(profile, profile.data_sheet).gemm_over_m(2048, 768, Precision::Bf16);
    for m in (1..300).filter(|m| m % 16 != 0) {
        let next = if (m + 1) % 16 == 0 { m + 2 } else { m + 1 };
        assert!(times.seconds(m) <= times.seconds(next), "from m = {m}");
        assert!(times.seconds(16 * m) <= times.seconds(16 * m + 16), "from m = 16 · {m}");
    }
}

/// Measured on H100, whose fp8 kernels want whole multiples of 16 rows: 257 rows cost more than 512.
#[test]
fn rows_that_do_not_fill_a_tile_cost_what_they_were_measured_to_cost() {
    let profile = h100();
    let times = Kernels::new(profile, profile.data_sheet).gemm_over_m(4096, 4096, Precision::Fp8);
    assert!(times.seconds(257) > 1.1 * times.seconds(512));
    assert!(times.seconds(256) < times.seconds(257) && times.seconds(257) < times.seconds(513));
}

/// A100, bf16. Tables hold 256, 257, 512 and 513 rows of this: the tiles that the 257th row starts are what
/// 272 rows fill, and 511 rows take those of 512, as far as 513 do.
#[test]
fn rows_between_measured_ones_cost_the_tiles_that_they_fill() {
    let profile = shared();
    let times = Kernels::new(profile, profile.data_sheet).gemm_over_m(4096, 1536, Precision::Bf16);
    let [before, begun, full, next] = [256, 257, 512, 513].map(|m| times.seconds(m));
    assert!(begun > 1.1 * before);
    let same = |a: f64, b: f64| (a / b - 1.0).abs() < 1e-9;
    assert!(same(times.seconds(272), begun), "{} for {begun}", times.seconds(272));
    assert!(same(times.seconds(511), full.min(next)), "{} for {full}", times.seconds(511));
    for m in [300, 304, 400, 450] {
        let at = times.seconds(m);
        assert!((begun..full).contains(&at), "{m}: {at}, {begun} to {full}");
    }
}

proptest! {
    #[test]
    fn a_gemm_of_more_rows_never_takes_less(
        n in 1_u32..20_000, k in 1_u32..20_000, m in 1_u32..40_000, more in 0_u32..5_000,
    ) {
        let profile = shared();
        let kernels = Kernels::new(profile, profile.data_sheet);
        let times = kernels.gemm_over_m(n, k, Precision::Bf16);
        // Multiples of 16 rows have kernels of their own, and so have all others.
        let (whole, wider) = (16 * m, 16 * (m + more));
        prop_assert!(times.seconds(whole) <= times.seconds(wider));
        let broken = |m: u32| if m.is_multiple_of(16) { m + 1 } else { m };
        prop_assert!(times.seconds(broken(m)) <= times.seconds(broken(m + more)));
        prop_assert!(times.seconds(m) > 0.0);
    }

    #[test]
    fn twice_the_slots_of_every_expert_never_take_less(
        hidden in 1_u32..8192, inter in 1_u32..8192, top_k in 1_u32..8,
        slots in prop::collection::vec(0_u32..5_000, 1..64),
    ) {
        let profile = shared();
        let kernels = Kernels::new(profile, profile.data_sheet);
        let shape = ExpertsShape { hidden, inter, experts: slots.len() as u32, top_k, gated: true };
        let twice: Vec<u32> = slots.iter().map(|s| s * 2).collect();
        let times = triton(&kernels, shape);
        let (once, both) = (times.seconds(&slots), times.seconds(&twice));
        prop_assert!(once.is_finite());
        prop_assert!(once <= both * 1.000_001, "{once} for once, {both} for twice");
        // Grouped GEMMs follow the dense table's residuals, which jump from row to row of a tile.
        let times = experts_by(&kernels, shape, &ExpertsKernel::GroupedGemm);
        let (once, both) = (times.seconds(&slots), times.seconds(&twice));
        prop_assert!(once.is_finite() && once <= both * 1.5, "{once} for once, {both} for twice");
    }

    #[test]
    fn a_wider_or_deeper_gemm_takes_no_less_by_the_prior(
        n in 1_u32..20_000, k in 1_u32..20_000, m in 1_u32..20_000, more in 0_u32..5_000,
    ) {
        let profile = shared();
        let family = &profile.gemm[&Precision::Bf16];
        let time = |n, k| {
            family.prior.seconds(&profile.data_sheet, Precision::Bf16, GemmShape { m, n, k })
        };
        prop_assert!(time(n, k) <= time(n + more, k) * (1.0 + 1e-12));
        prop_assert!(time(n, k) <= time(n, k + more) * (1.0 + 1e-12));
    }

    #[test]
    fn more_tokens_never_take_less_to_exchange(
        tokens in 1_u32..50_000, more in 0_u32..50_000, nodes in 1_u32..16,
    ) {
        let profile = h100();
        for (name, fit) in profile.exchanges.iter().filter(|(name, _)| name.starts_with("deepep")) {
            let shape =
                ExchangeShape { groups: nodes, hidden: 7168, top_k: 8, experts: 256, sms: 20, ranks: 8 };
            let time = |tokens| fit.seconds(shape, tokens, |_| false);
            prop_assert!(time(tokens).is_finite() && time(tokens) > 0.0);
            // Measured times fall here and there; the prior, which never does, carries them.
            prop_assert!(time(tokens) <= time(tokens + more) * 1.25, "{name}");
        }
    }

    #[test]
    fn a_longer_message_never_takes_much_less(gpus in 2_u32..9, bytes in 1_u64..(1 << 30)) {
        let profile = shared();
        let kernels = Kernels::new(profile, profile.data_sheet);
        let time = |bytes| kernels.collective(CollectiveOp::AllToAll, gpus, Bytes(bytes)).unwrap();
        prop_assert!(time(bytes) <= time(bytes * 4));
    }
}

fn shape(hidden: u32, inter: u32, experts: u32, top_k: u32) -> ExpertsShape {
    ExpertsShape { hidden, inter, experts, top_k, gated: true }
}

/// Times by one kernel, in bf16.
fn experts_by(kernels: &Kernels<'_>, shape: ExpertsShape, kernel: &ExpertsKernel) -> ExpertsTimes {
    let formats = &[Precision::Bf16];
    let ask = ExpertsAsk { shape, formats, kernel, phase: Phase::Prefill, slots: 1 };
    kernels.experts(kernels.choose_experts(&ask).unwrap(), shape)
}

fn triton(kernels: &Kernels<'_>, shape: ExpertsShape) -> ExpertsTimes {
    experts_by(kernels, shape, &ExpertsKernel::Triton)
}

fn h100() -> &'static Profile {
    static PROFILE: std::sync::OnceLock<Profile> = std::sync::OnceLock::new();
    PROFILE.get_or_init(|| built_in_profile("h100-sxm").unwrap())
}

/// One profile for all cases of a property: parsing it takes longer than a case.
fn shared() -> &'static Profile {
    static PROFILE: std::sync::OnceLock<Profile> = std::sync::OnceLock::new();
    PROFILE.get_or_init(a100)
}
