//! Does the CPU as a device compute what the twins compute, and does its loop close?
//!
//! A pass says that every kernel and product of the native backend agrees with its twin at small sizes,
//! that buffers mixed up are noticed, and that a session on it can be fitted and compared. How good
//! predictions are is not judged: the machine of a test is busy.

use std::process::Command;

use calibrate::measure::backend::{Backend as _, DeviceError, Step};
use calibrate::measure::bench::Bench;
use calibrate::measure::device::native::Native;
use calibrate::measure::kernels;
use calibrate::measure::layer::{self, Execution, Plan};
use calibrate::measure::numbers::Format;
use calibrate::measure::probe::verify;
use calibrate::measure::probes::Suite;
use calibrate::measure::samples;
use calibrate::measure::shapes::Shape;

/// A layer with everything in it, and sizes that divide by nothing.
const SHAPE: Shape = Shape {
    name: "odd",
    hidden: 40,
    inter: 56,
    ffn: 5,
    constant: 2,
    copy: 1,
    zero: 1,
    top_k: 3,
    tokens: 75,
    pathway_aware: true,
};

#[test]
fn the_layer_is_its_twin_in_every_form() {
    let mut device = Native::open(0).expect("a CPU");
    let mut bench = Bench::new(&mut device, Format::F32);
    let forms = [(None, None), (Some(0.5), None), (Some(1.0), Some((20, 9))), (Some(0.1), None)];
    // Enough tokens that threads share the work, too.
    for tokens in [SHAPE.tokens, 1500] {
        for execution in [Execution::Grouped, Execution::Sequential] {
            for (tau, capacity) in forms {
                let plan = Plan { shape: SHAPE, tokens, tau, capacity, execution };
                let set = layer::set(&plan, 11, &mut bench).expect("built");
                bench.run(&set.steps).expect("the device runs");
                let outcome = verify(&set, &mut bench).expect("the device answers");
                let error = outcome.unwrap_or_else(|refusal| panic!("{plan:?}: {refusal}"));
                assert!(error > 0.0, "an error of exactly nothing compares nothing");
                bench.clear();
            }
        }
    }
}

#[test]
fn every_probe_agrees_with_its_twin_and_no_kernel_is_left_out() {
    let mut device = Native::open(0).expect("a CPU");
    let mut bench = Bench::new(&mut device, Format::F32);
    let (shapes, format) = (vec![SHAPE], Format::F32);
    let suite = Suite { shapes, software: true, format, sms: Some(4), gpus: 1 };
    let mut run: Vec<&str> = Vec::new();
    for probe in suite.probes() {
        let points = probe.points();
        let first = |at: &usize| points[..*at].iter().all(|p| p.part != points[*at].part);
        let last = points.len() - 1;
        for point in (0..=last).filter(|at| first(at) || *at == last).map(|at| &points[at]) {
            let set = probe.set(point, 3, &mut bench).unwrap_or_else(|e| panic!("{point:?}: {e}"));
            bench.run(&set.steps).expect("the device runs");
            let outcome = verify(&set, &mut bench).expect("the device answers");
            outcome.unwrap_or_else(|refusal| panic!("{} {point:?}: {refusal}", probe.name()));
            run.extend(set.steps.iter().filter_map(|step| match step {
                Step::Launch(launch) => Some(launch.kernel.name),
                _ => None,
            }));
            bench.clear();
        }
    }
    for kernel in kernels::all() {
        // Inputs are made and poisoned by two; products are no kernel here.
        let elsewhere = ["fill", "poison", "gemm", "gemm_f32"].contains(&kernel.name);
        assert!(elsewhere || run.contains(&kernel.name), "{} was not run", kernel.name);
    }
}

#[test]
fn what_a_cpu_cannot_do_is_said() {
    let Err(DeviceError::Absent(said)) = Native::open(1) else { panic!("a second CPU") };
    assert!(said.contains("device 0"), "{said}");
    let mut device = Native::open(0).expect("a CPU");
    assert!(matches!(device.allocate(1 << 60), Err(DeviceError::OutOfMemory(_))));
    let buffer = device.allocate(64).expect("a buffer");
    let exchange = Step::AllToAll { from: vec![buffer], to: vec![buffer], block: 16 };
    let prepared = device.prepare(&[exchange]).expect("prepared");
    assert!(matches!(device.time(&[prepared]), Err(DeviceError::Unsupported(_))));
}

#[test]
fn the_loop_closes_on_a_cpu() {
    let out = std::env::temp_dir().join(format!("calibrate-native-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&out);
    let folder = out.to_str().expect("a name in UTF-8");
    let passes = |args: &[&str]| {
        let output =
            Command::new(env!("CARGO_BIN_EXE_calibrate")).args(args).output().expect("it runs");
        let said = [output.stdout, output.stderr].map(|s| String::from_utf8_lossy(&s).into_owned());
        assert!(output.status.success(), "{args:?}: {said:?}");
        said.concat()
    };
    let measure =
        ["measure", "--backend", "native", "--shape", "tiny", "--minutes", "0.15", "--out"];
    let covered = (0..6).any(|_| {
        let said = passes(&[&measure[..], &[folder]].concat());
        assert!(said.contains("(native, ") && said.contains("host clock"), "{said}");
        !said.contains("too little time")
    });
    assert!(covered, "six sessions were too little for the coarse grid");
    let rows = samples::read_folder(&out).expect("samples");
    assert!(rows.iter().any(|row| row.point.part == "moepp grouped"));
    let profile = out.join("mine.toml");
    let profile = profile.to_str().expect("a name in UTF-8");
    passes(&["fit", "--samples", folder, "--out", profile]);
    let said = passes(&["compare", profile]);
    assert!(said.contains("median error") && said.contains("sequential"), "{said}");
    std::fs::remove_dir_all(out).unwrap();
}
