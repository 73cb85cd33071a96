//! Does every kernel compute what its CPU twin computes, and is a broken one refused?
//!
//! A pass says that on this machine's first Vulkan, Metal or DX12 adapter all kernels agree with
//! their twins at small sizes, and that one deliberate mistake in each is noticed. It says nothing
//! of CUDA, of large sizes, or of speed. Without an adapter these tests say so and pass.

use calibrate::measure::backend::{Backend as _, DeviceError, Launch, Step};
use calibrate::measure::bench::Bench;
use calibrate::measure::device::wgpu::Wgpu;
use calibrate::measure::kernels::{self, Kernel};
use calibrate::measure::layer::{self, Execution};
use calibrate::measure::numbers::Format;
use calibrate::measure::probe::{Point, Probe as _, Set};
use calibrate::measure::probes;

mod twinned;
use twinned::{SHAPE, plan, run, suite};

fn device() -> Option<Wgpu> {
    match Wgpu::open(0) {
        Ok(device) => Some(device),
        Err(error) => {
            use std::io::Write as _;
            let _ = writeln!(std::io::stderr(), "skipped, no adapter to run kernels on: {error}");
            None
        }
    }
}

#[test]
fn the_layer_is_its_twin_in_every_form() {
    let Some(mut device) = device() else { return };
    twinned::layer_in_every_form(&mut Bench::new(&mut device, Format::F32), SHAPE.tokens);
}

#[test]
fn shares_of_ffn_experts_follow_tau() {
    let Some(mut device) = device() else { return };
    let mut bench = Bench::new(&mut device, Format::F32);
    for tau in [0.1, 0.5, 1.0] {
        let plan = plan(SHAPE.tokens, Execution::Grouped, (Some(tau), None));
        let set = layer::set(&plan, 5, &mut bench).expect("built");
        let ffn: u32 = set.slots[..SHAPE.ffn as usize].iter().sum();
        let share = f64::from(ffn) / f64::from(SHAPE.tokens * SHAPE.top_k);
        // 225 slots: the bias is found on the same tokens, to within a slot or two.
        assert!((share - SHAPE.ffn_share(tau)).abs() < 0.03, "τ = {tau}: {share}");
    }
}

#[test]
fn every_probe_passes_its_own_check() {
    let Some(mut device) = device() else { return };
    for format in device.facts().formats.clone() {
        twinned::probes_agree(&mut Bench::new(&mut device, format), &suite(format, 1));
    }
}

/// One mistake for each kernel, of the kind that people make.
const MISTAKES: [(&Kernel, &str, &str); 22] = [
    (&kernels::FILL, "p.seed * 0x9E3779B9u", "p.seed"),
    (&kernels::NOTHING, "y[0] = p.word", "y[1] = p.word"),
    (&kernels::COPY, "i < p.n", "i + 1u < p.n"),
    (&kernels::AXPY, "vec4<f32>(y[i]) +", ""),
    (&kernels::GATHER, "p.first + r", "p.first + r / 2u"),
    (&kernels::SWIGLU, "at + p.width", "at"),
    (&kernels::SILU, "exp(-a)", "exp(a)"),
    (&kernels::MULTIPLY, "i < p.n", "i * 3u < p.n"),
    (&kernels::SCALE, "p.first + i / p.width", "i / p.width"),
    (&kernels::SCATTER_ADD, "vec4<f32>(y[to]) +", ""),
    (&kernels::MIX, "weights[slot] *", ""),
    (&kernels::ZERO, "T4(vec4<f32>(0.0))", "T4(vec4<f32>(0.125))"),
    (&kernels::TANH, "T(tanh(x[i]))", "T(x[i])"),
    (&kernels::RESIDUAL, "scores[i] += sum", "scores[i] = sum"),
    (&kernels::CHOOSE, "best_n >= p.experts - p.zeros", "best_n > p.experts"),
    (&kernels::ORDER, "count < capacity", "count <= capacity"),
    (&kernels::PLACE, "e < ids[i]", "e + 1u < ids[i]"),
    (&kernels::COPY_TOKENS, "w += weights[slot]", "w += 1.0"),
    (&kernels::CONSTANT_TOKENS, "(1.0 - a) * f32(constants", "a * f32(constants"),
    (&kernels::CONSTANT, "all.y - all.x", "all.x - all.y"),
    (&kernels::GEMM, "row + r < end", "row + r + 1u < end"),
    (&kernels::GEMM_F32, "k < p.k", "k + 1u < p.k"),
];

/// Sets that between them run every kernel.
fn sets(bench: &mut Bench<'_>) -> Vec<Result<Set, DeviceError>> {
    let suite = suite(Format::F32, 1);
    let mut layer = |execution| {
        let plan = plan(SHAPE.tokens, execution, (Some(0.5), Some((20, 9))));
        layer::set(&plan, 11, bench)
    };
    let mut found = vec![layer(Execution::Grouped), layer(Execution::Sequential)];
    for probe in [probes::launch::probe(), probes::memory::probe(&suite)] {
        let points: Vec<Point> = probe.points();
        // The smallest of each part.
        let mut parts: Vec<&str> = Vec::new();
        for point in &points {
            if parts.contains(&point.part.as_str()) {
                continue;
            }
            parts.push(&point.part);
            found.push(probe.set(point, 11, bench));
        }
    }
    found
}

#[test]
fn a_broken_kernel_is_refused_whichever_it_is() {
    for (kernel, from, to) in MISTAKES {
        let Some(mut device) = device() else { return };
        device.alter(kernel, from, to);
        // Products with results in 32 bits are another kernel in 16 bits alone.
        let half = kernel.name == "gemm_f32" && device.facts().formats.contains(&Format::F16);
        let format = if half { Format::F16 } else { Format::F32 };
        if kernel.name == "gemm_f32" && !half {
            use std::io::Write as _;
            let what = "skipped, no adapter stores 16 bits: a broken gemm_f32 was not tried";
            let _ = writeln!(std::io::stderr(), "{what}");
            continue;
        }
        let mut bench = Bench::new(&mut device, format);
        let refused = sets(&mut bench).into_iter().any(|set| {
            let set = set.unwrap_or_else(|e| panic!("{}: {e}", kernel.name));
            run(&set, &mut bench).is_err()
        });
        assert!(refused, "{}: `{to}` for `{from}` was let through", kernel.name);
    }
}

#[test]
fn no_kernel_is_left_out_of_these_tests() {
    let broken: Vec<&str> = MISTAKES.iter().map(|(kernel, ..)| kernel.name).collect();
    for kernel in kernels::all() {
        // What poisons outputs is seen to work whenever an unwritten output is refused.
        assert!(kernel.name == "poison" || broken.contains(&kernel.name), "{}", kernel.name);
    }
    let Some(mut device) = device() else { return };
    let mut bench = Bench::new(&mut device, Format::F32);
    let mut run: Vec<&str> = Vec::new();
    for set in sets(&mut bench) {
        for step in set.expect("built").steps {
            match step {
                Step::Launch(Launch { kernel, .. }) => run.push(kernel.name),
                Step::Gemm(gemm) if gemm.out == gemm.format => run.push("gemm"),
                _ => {}
            }
        }
    }
    for kernel in kernels::all() {
        let name = kernel.name;
        // Inputs are made by `fill`, outputs poisoned by `poison`; in 32 bits `gemm_f32` is `gemm`.
        let elsewhere = ["fill", "poison", "gemm_f32"].contains(&name);
        assert!(elsewhere || run.contains(&name), "{name} is run by none of the sets");
    }
}

#[test]
fn what_gpus_run_in_place_of_a_cpus_body_is_right_too() {
    // A CPU takes other bodies; here the GPU's, barriers and all, are put in their place.
    let Some(mut device) = device() else { return };
    device.pretend_hardware();
    let mut bench = Bench::new(&mut device, Format::F32);
    let suite = suite(Format::F32, 1);
    for probe in [
        probes::gemm::probe(&suite),
        probes::experts::probe(&suite, &SHAPE),
        probes::zero_computation::probe(&suite, &SHAPE),
        probes::whole_layer::probe(&suite, &SHAPE),
    ] {
        let points = probe.points();
        for point in [&points[0], &points[points.len() / 2], &points[points.len() - 1]] {
            let set = probe.set(point, 3, &mut bench).expect("built");
            run(&set, &mut bench).unwrap_or_else(|refusal| panic!("{point:?}: {refusal}"));
            bench.clear();
        }
    }
}
