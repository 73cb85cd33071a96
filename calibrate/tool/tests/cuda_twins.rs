//! Does every CUDA kernel, and every product, compute what its CPU twin computes?
//!
//! A pass says that the host code asks for what it means to (sizes, strides, order, waiting) and that
//! the kernels' CUDA C is right, as a C++ compiler understands it: stand-ins for CUDA's libraries run
//! it on the CPU, and notice reads and writes beside buffers. It says nothing of real GPUs, of races
//! within a warp, or of speed. Without a C++ compiler these tests say so and pass.

use calibrate::measure::backend::{Backend as _, Gemm, Step};
use calibrate::measure::bench::Bench;
use calibrate::measure::device::cuda::Cuda;
use calibrate::measure::numbers::{Format, Numbers};

mod cuda_stand_in;
mod twinned;
use cuda_stand_in::within;
use twinned::{SHAPE, suite};

fn device() -> Cuda {
    Cuda::open(0).unwrap_or_else(|error| panic!("{error}"))
}

/// The layer in every form, in every format.
fn layers() {
    let mut device = device();
    let formats = &device.facts().formats;
    assert!(formats.contains(&Format::Bf16), "{formats:?}");
    twinned::layer_in_every_form(&mut Bench::new(&mut device, Format::F32), SHAPE.tokens);
}

#[test]
fn the_layer_is_its_twin_in_every_form() {
    if within("the_layer_is_its_twin_in_every_form", &[]) {
        layers();
    }
}

#[test]
fn the_layer_is_its_twin_where_cublas_has_no_grouped_product() {
    // The loader takes the first of a name; the older library lies in front.
    let Some(folder) = cuda_stand_in::libraries() else { return };
    let path = format!("{}/older:{}", folder.display(), folder.display());
    let older = [("LD_LIBRARY_PATH", path.as_str()), ("CALIBRATE_CUDA_LIBRARIES", path.as_str())];
    if within("the_layer_is_its_twin_where_cublas_has_no_grouped_product", &older) {
        layers();
    }
}

#[test]
fn every_probe_agrees_with_its_twin_among_several_gpus() {
    let name = "every_probe_agrees_with_its_twin_among_several_gpus";
    if !within(name, &[("STAND_IN_DEVICES", "3")]) {
        return;
    }
    let mut device = device();
    assert_eq!(device.facts().gpus, 3);
    let mut bench = Bench::new(&mut device, Format::Bf16);
    let (names, _) = twinned::probes_agree(&mut bench, &suite(Format::Bf16, 3));
    assert!(names.iter().any(|name| name == "exchange"), "{names:?}");
}

#[test]
fn buffers_are_read_where_asked_and_grids_reach_their_ends() {
    let name = "buffers_are_read_where_asked_and_grids_reach_their_ends";
    if !within(name, &[("STAND_IN_DEVICES", "2")]) {
        return;
    }
    let mut device = device();
    let there = device.allocate_on(1, 64).expect("a buffer of the other GPU");
    let bytes: Vec<u8> = (0..64).collect();
    device.write(there, &bytes).expect("written");
    assert_eq!(device.read(there, 20, 8).expect("read"), bytes[20..28]);
    assert!(device.allocate_on(2, 64).is_err(), "there are two GPUs");
    // More groups than a grid has along its first axis.
    let mut bench = Bench::new(&mut device, Format::F32);
    let (count, numbers) = (66_000 * 256, Numbers::tokens(9));
    let many = bench.input(count, numbers).expect("an input");
    let last = bench.device.read(many, (count - 1) * 4, 4).expect("read");
    assert_eq!(Format::F32.decode(&last), numbers.at(count - 1));
}

#[test]
fn what_was_enqueued_is_over_when_a_run_is() {
    if !within("what_was_enqueued_is_over_when_a_run_is", &[("STAND_IN_LAG_US", "30000")]) {
        return;
    }
    let mut device = device();
    let mut bench = Bench::new(&mut device, Format::F32);
    let (rows, n, k) = (24, 40, 56);
    let (a, b) = (Numbers::tokens(1), Numbers::weights(2, k));
    let a = bench.input(u64::from(rows * k), a).expect("an input");
    let b = bench.input(u64::from(k * n), b).expect("an input");
    let c = bench.output(u64::from(rows * n)).expect("an output");
    let format = Format::F32;
    let rows = vec![rows];
    let gemm = Gemm { a, b, c, n, k, rows, first_group: 0, format, out: format, sms: None };
    let prepared = bench.device.prepare(&[Step::Gemm(gemm)]).expect("prepared");
    let took = bench.device.time(&[prepared]).expect("a run");
    // The stand-in begins late on purpose: the host's clock holds that, the device's does not.
    assert!(took.host > 0.02, "{took:?}");
    assert!(took.device.is_some_and(|seconds| seconds < 0.02), "{took:?}");
    let words = bench.read_words(c, 4).expect("words");
    assert!(words.iter().all(|word| *word != u32::MAX), "read before it was written");
}
