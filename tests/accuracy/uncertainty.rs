//! Do intervals of predicted gains cover what they say?
//!
//! A pass says that calibration error reaches a run as one factor for each family, the same for
//! vanilla and MoE++ of a pair, and that nine in ten synthetic truths lie in the predicted range. It
//! does not say that real errors are as exchangeable as synthetic ones.

use crate::common::{ideal, roofline, topology, workload};
use moesim::base::statistics::Range;
use moesim::base::streams::Streams;
use moesim::base::units::SimDuration;
use moesim::config::{Overrides, ScenarioSource, built_in_profile, built_in_profiles};
use moesim::execution::Scope;
use moesim::execution::cost::{Factors, PerturbedKernels, Roofline, Uncertainty};
use moesim::execution::run::{Inputs, simulate};
use moesim::kernels::Kernels;
use moesim::kernels::profile::{LogErrors, Profile};
use moesim::network::{NetworkRates, Rates, Startup};
use moesim::studies::study::study;
use moesim::topology::Topology;
use moesim::workload::{ExpertsKernel, Workload};
use rand_distr::{Distribution, StandardNormal};

/// A profile whose families are all wrong by laws learned from `left_out` errors each.
fn wrong(laws: [&[f64]; 5]) -> Profile {
    let mut profile = built_in_profile("h100-sxm").unwrap();
    let [gemm, experts, memory, within, across] = laws.map(LogErrors::of);
    for family in profile.gemm.values_mut() {
        family.evidence.log_errors.clone_from(&gemm);
    }
    for family in profile.experts.values_mut() {
        family.evidence.log_errors.clone_from(&experts);
    }
    profile.memory.evidence.log_errors = memory;
    for fit in profile.collectives.values_mut() {
        fit.evidence.log_errors.clone_from(&within);
    }
    if let Some(fit) = &mut profile.inter_node {
        fit.evidence.log_errors = across;
    }
    profile
}

/// What a profile leaves open for a workload whose experts run on its Triton kernel.
fn open_of(profile: &Profile) -> Uncertainty {
    let mut workload = workload(&SMALL);
    workload.stack.experts = ExpertsKernel::Triton;
    Uncertainty::of(&Kernels::new(profile, profile.data_sheet), &workload)
}

fn seconds(inputs: &Inputs<'_>, seed: u64) -> f64 {
    simulate(inputs, seed).unwrap().counted_secs()
}

/// Few tokens: thousands of runs are made.
const SMALL: [&str; 3] =
    ["gate.popularity_sd=0.3", "batch.tokens_per_gpu=200", "batch.sequence_tokens=200"];

/// A cluster with a start-up and a rate, and a pair of workloads that share it.
struct World {
    topology: Topology,
    vanilla: Workload,
    moepp: Workload,
    roofline: Roofline,
    rates: Rates,
}

impl World {
    fn new() -> Self {
        let zero = ["experts.zero=1", "experts.copy=1", "experts.constant=2", "experts.tau=0.75"];
        let alpha = Startup::fixed(SimDuration::from_us(20.0));
        Self {
            topology: topology(&[]),
            vanilla: workload(&SMALL),
            moepp: workload(&[&zero[..], &SMALL].concat()),
            roofline: roofline(100.0, 1000.0),
            rates: NetworkRates { within_node: alpha, ..NetworkRates::IDEAL }.into(),
        }
    }

    fn inputs<'a>(&'a self, workload: &'a Workload) -> Inputs<'a> {
        let ideal = ideal(&self.topology, workload, &self.roofline, Scope::MoeLayer);
        Inputs { rates: self.rates, ..ideal }
    }

    /// The gain under `seed` when kernels and links are off by these factors.
    fn gain(&self, world: Factors, seed: u64) -> f64 {
        let of = |workload| {
            let inputs = self.inputs(workload);
            let kernels = PerturbedKernels::new(&self.roofline, world);
            seconds(&Inputs { kernels: &kernels, rates: world.on(self.rates), ..inputs }, seed)
        };
        of(&self.vanilla) / of(&self.moepp) - 1.0
    }

    /// The gain predicted under `seed`, with what is open drawn too.
    fn predicted(&self, open: &Uncertainty, seed: u64) -> f64 {
        let of =
            |workload| seconds(&Inputs { uncertainty: Some(open), ..self.inputs(workload) }, seed);
        of(&self.vanilla) / of(&self.moepp) - 1.0
    }
}

#[test]
fn without_uncertainty_a_run_is_what_it_was() {
    let world = World::new();
    let none = wrong([&[], &[], &[], &[], &[]]);
    let open = open_of(&none);
    for seed in 0..5 {
        let inputs = world.inputs(&world.moepp);
        let plain = simulate(&inputs, seed).unwrap();
        let drawn = Inputs { uncertainty: Some(&open), ..inputs };
        assert_eq!(simulate(&drawn, seed).unwrap(), plain);
    }
}

/// If every family is off by the same factor, so is every time, and no gain changes: that holds only
/// if vanilla and MoE++ meet the same factors and none is forgotten.
#[test]
fn a_factor_that_all_families_share_cancels_from_the_gain() {
    let world = World::new();
    let slow = [0.7_f64; 99];
    let open = open_of(&wrong([&slow; 5]));
    for seed in 0..5 {
        let inputs = world.inputs(&world.moepp);
        let plain = seconds(&inputs, seed);
        let drawn = seconds(&Inputs { uncertainty: Some(&open), ..inputs }, seed);
        assert!((drawn / plain / 0.7_f64.exp() - 1.0).abs() < 1e-6, "{drawn} after {plain}");
        let (gain, drawn) = (world.gain(Factors::ONE, seed), world.predicted(&open, seed));
        assert!((gain - drawn).abs() < 1e-6, "{gain} became {drawn}");
    }
}

#[test]
fn each_family_is_drawn_for_itself_and_by_seed_alone() {
    let errors: Vec<f64> = (1..200).map(|i| f64::from(i) * 1e-3).collect();
    let open = open_of(&wrong([&errors; 5]));
    let draw = |seed| open.draw(Streams::new(seed));
    assert_eq!(draw(3), draw(3));
    let Factors { gemm, experts, memory, within_node, across_nodes } = draw(3);
    let all = [gemm, experts, memory, within_node, across_nodes];
    for (i, a) in all.iter().enumerate() {
        assert!(all[..i].iter().all(|b| a != b), "{all:?}");
    }
    assert_ne!(draw(4).gemm, gemm);
}

/// Nature draws each family's error from a law that the profile knows from 199 left-out rows. Of 200
/// truths nine in ten lie in the range of 19 draws; 85 to 95 % is over two standard deviations of
/// that share.
#[test]
fn nine_in_ten_synthetic_truths_lie_in_the_predicted_range() {
    let world = World::new();
    let spread = [0.10, 0.15, 0.05, 0.12, 0.2];
    const NATURES: [u64; 2] = [77, 78];
    const TRUTHS: u64 = 200;
    let mut covered = 0;
    let mut nature = Streams::new(NATURES[0]).named("nature");
    for (seed, truth) in NATURES.iter().flat_map(|&seed| (0..TRUTHS).map(move |t| (seed, t))) {
        if truth == 0 {
            nature = Streams::new(seed).named("nature");
        }
        let mut error = |sd: f64| -> f64 {
            let normal: f64 = StandardNormal.sample(&mut nature);
            0.02 + sd * normal
        };
        // Each world has its own calibration: coverage is over both.
        let seen = spread.map(|sd| (0..199).map(|_| error(sd)).collect::<Vec<f64>>());
        let open = open_of(&wrong(seen.each_ref().map(Vec::as_slice)));
        let [gemm, experts, memory, within_node, across_nodes] = spread.map(|sd| error(sd).exp());
        let real = Factors { gemm, experts, memory, within_node, across_nodes };
        let gain = world.gain(real, 1_000_000 + truth);
        let predicted: Vec<f64> =
            (0..19).map(|seed| world.predicted(&open, truth * 19 + seed)).collect();
        let range = Range::of(&predicted).unwrap();
        covered += u64::from((range.low..=range.high).contains(&gain));
    }
    let share = covered as f64 / (TRUTHS * NATURES.len() as u64) as f64;
    assert!((0.85..=0.95).contains(&share), "{share}");
}

/// Two different GPUs do not err alike; one GPU does, whatever its network.
#[test]
fn errors_are_drawn_by_profile_and_family() {
    let errors: Vec<f64> = (1..200).map(|i| f64::from(i) * 1e-3).collect();
    let one = wrong([&errors; 5]);
    let mut other = one.clone();
    other.name = "another".to_owned();
    let draw = |profile: &Profile| open_of(profile).draw(Streams::new(3));
    assert_eq!(draw(&one), draw(&one.clone()));
    let (a, b) = (draw(&one), draw(&other));
    assert!(a.gemm != b.gemm && a.experts != b.experts && a.memory != b.memory, "{a:?} {b:?}");
}

/// The factor is of the kernel that runs: naming another one draws another law.
#[test]
fn the_factor_drawn_is_of_the_kernel_that_runs() {
    let mut profile = wrong([&[], &[], &[], &[], &[]]);
    for ((kernel, _), family) in &mut profile.experts {
        if kernel.contains("cutlass") {
            family.evidence.log_errors = LogErrors::of(&[0.5; 99]);
        }
    }
    let kernels = Kernels::new(&profile, profile.data_sheet);
    let factor = |kernel: ExpertsKernel| {
        let mut workload = workload(&SMALL);
        workload.stack.experts = kernel;
        Uncertainty::of(&kernels, &workload).draw(Streams::new(1)).experts
    };
    assert!((factor(ExpertsKernel::Cutlass) - 0.5_f64.exp()).abs() < 1e-9);
    assert_eq!(factor(ExpertsKernel::Triton), 1.0);
}

#[test]
fn every_family_of_every_profile_states_a_law_of_its_errors() {
    for known in built_in_profiles() {
        let profile = built_in_profile(known.name).unwrap();
        let gemm = profile.gemm.values().map(|f| &f.evidence);
        let experts = profile.experts.values().map(|f| &f.evidence);
        let links = profile.collectives.values().map(|f| &f.evidence);
        let exchanges = profile.exchanges.values().map(|f| &f.evidence);
        let between = profile.inter_node.iter().map(|f| &f.evidence);
        let all = gemm.chain(experts).chain(links).chain(exchanges).chain(between);
        for evidence in all.chain([&profile.memory.evidence]) {
            let law = evidence.log_errors.as_ref().unwrap();
            assert!(law.at(0.05) < law.at(0.95), "{}: {law:?}", evidence.fitted_on);
        }
    }
}

#[test]
fn a_study_with_uncertainty_has_a_range_for_every_gain() {
    let lines = [
        "seeds=0..20",
        "tau=[0.75]",
        "workload.batch.micro_batches=1",
        "counted=moe-layer",
        "calibration_uncertainty=true",
    ];
    let load = |lines: &[&str]| {
        let overrides = Overrides::new(lines.iter().map(|line| (*line).to_owned()).collect());
        ScenarioSource::open("paper", overrides).unwrap().load().unwrap()
    };
    let rows = study(&load(&lines), 2).unwrap();
    let plain = study(&load(&lines[..4]), 2).unwrap();
    for (row, plain) in rows.iter().zip(&plain) {
        assert_eq!(plain.predicted, None);
        let predicted = row.predicted.unwrap();
        let time = predicted.time_ms.unwrap();
        assert!(time.low < row.time_ms.mean && row.time_ms.mean < time.high, "{time:?}");
        assert_eq!(predicted.increase_percent.is_some(), row.tau().is_some());
        // What is drawn moves times far more than seeds alone do.
        assert!(time.high - time.low > 4.0 * plain.time_ms.half_width.unwrap());
    }
}
