//! Does every CUDA kernel compile, for every architecture that we name?
//!
//! A pass says that NVRTC turns each kernel, in bfloat16 (and one of them in every format), into assembly and machine code. It
//! does not say that the code is right: that takes a GPU, where each kernel is checked against its
//! twin before it is timed. Without NVRTC this test says so and passes.

use calibrate::measure::device::cuda::{HOLD, libraries, nvrtc};
use calibrate::measure::kernels;
use calibrate::measure::numbers::Format;

#[test]
fn every_kernel_compiles_for_every_architecture() {
    if let Err(error) = libraries::nvrtc() {
        use std::io::Write as _;
        let _ = writeln!(std::io::stderr(), "skipped, CUDA sources were not compiled: {error}");
        return;
    }
    let mut sources = vec![("hold", HOLD.to_owned())];
    for kernel in kernels::all() {
        sources.push((kernel.name, kernels::cuda(kernel, Format::Bf16)));
    }
    for format in [Format::F32, Format::F16] {
        sources.push(("swiglu", kernels::cuda(&kernels::SWIGLU, format)));
    }
    for (name, source) in &sources {
        for architecture in ["compute_80", "compute_90", "compute_100"] {
            let ptx = nvrtc::ptx(source, architecture).unwrap_or_else(|e| panic!("{name}: {e}"));
            assert!(ptx.contains(".entry kernel_main"), "{name}: {ptx}");
        }
        for architecture in ["sm_80", "sm_90a", "sm_100"] {
            let code =
                nvrtc::machine_code(source, architecture).unwrap_or_else(|e| panic!("{name}: {e}"));
            assert_eq!(&code[..4], b"\x7fELF", "{name}");
        }
    }
}

#[test]
fn a_mistake_is_told_in_the_compilers_own_words() {
    if let Err(error) = libraries::nvrtc() {
        use std::io::Write as _;
        let _ = writeln!(std::io::stderr(), "skipped, CUDA sources were not compiled: {error}");
        return;
    }
    let error = nvrtc::ptx("extern \"C\" __global__ void kernel_main() { y = 1; }", "compute_90");
    let text = error.expect_err("`y` is unknown").to_string();
    assert!(text.contains("identifier \"y\" is undefined"), "{text}");
}

#[test]
fn without_a_driver_there_is_a_sentence_and_no_panic() {
    use calibrate::measure::backend::DeviceError;
    use calibrate::measure::device::cuda::Cuda;
    match Cuda::open(0) {
        // On a machine with a GPU there is nothing to see here.
        Ok(_) => {}
        Err(DeviceError::Absent(text)) => assert!(
            text.contains("was not found")
                || text.contains("no NVIDIA driver")
                || text.contains("update"),
            "{text}"
        ),
        Err(other) => panic!("{other}"),
    }
}
