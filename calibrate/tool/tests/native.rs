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
use calibrate::measure::numbers::Format;
use calibrate::measure::samples::{self, Sample};
use moesim::base::units::Bytes;
use moesim::kernels::Kernels;
use moesim::kernels::profile::{MemoryKernel, Moved};

mod twinned;
use twinned::{SHAPE, suite};

#[test]
fn the_layer_is_its_twin_in_every_form() {
    // Alone, and with so many tokens that threads share the work.
    for (threads, tokens) in [(1, SHAPE.tokens), (3, 8000)] {
        let mut device = Native::open(0, threads).expect("a CPU");
        twinned::layer_in_every_form(&mut Bench::new(&mut device, Format::F32), tokens);
    }
}

#[test]
fn every_probe_agrees_with_its_twin_and_no_kernel_is_left_out() {
    let mut device = Native::open(0, 2).expect("a CPU");
    let mut bench = Bench::new(&mut device, Format::F32);
    let (_, run) = twinned::probes_agree(&mut bench, &suite(Format::F32, 1));
    for kernel in kernels::all() {
        // Inputs are made and poisoned by two; products are no kernel here.
        let elsewhere = ["fill", "poison", "gemm", "gemm_f32"].contains(&kernel.name);
        assert!(elsewhere || run.contains(&kernel.name), "{} was not run", kernel.name);
    }
}

#[test]
fn what_a_cpu_cannot_do_is_said() {
    let Err(DeviceError::Absent(said)) = Native::open(1, 1) else { panic!("a second CPU") };
    assert!(said.contains("device 0"), "{said}");
    let mut device = Native::open(0, 2).expect("a CPU");
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
    kernels_take_what_was_measured(&rows, profile);
    let said = passes(&["compare", profile]);
    assert!(said.contains("median error") && said.contains("sequential"), "{said}");
    std::fs::remove_dir_all(out).unwrap();
}

/// Kernels that move memory take in a simulation what the profile's samples of them took.
fn kernels_take_what_was_measured(rows: &[Sample], profile: &str) {
    let path = std::path::Path::new(profile);
    let source = moesim::config::Source::read(path).expect("a profile");
    let profile = moesim::config::read_profile(&source, path).expect("a profile");
    let kernels = Kernels::new(&profile, profile.data_sheet);
    for (part, kernel) in [("permute", MemoryKernel::Permute), ("mix", MemoryKernel::Mix)] {
        for row in rows.iter().filter(|row| row.point.part == part) {
            // Counted in 16 bits, measured in 32.
            let bytes = Bytes(row.point.bytes.expect("bytes") / 2);
            let width = row.point.hidden.expect("a width") as u32;
            let foreseen = kernels.moved(&[Moved { kernel, width, bytes }]).secs();
            let off = foreseen / row.timing.p05 - 1.0;
            assert!(off.abs() < 0.01, "{part} of {bytes:?}: {foreseen} s, {off}");
        }
    }
}
