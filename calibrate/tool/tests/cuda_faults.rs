//! What happens when CUDA refuses, loses its device, or computes nothing?
//!
//! A pass says that an error code from any call that the host code makes ends in a sentence that names
//! it, without a panic, and that the next piece of work is done as if nothing had been; and that a
//! session keeps what it finished. Stand-ins give the codes: which ones a real driver gives, and when,
//! is not shown. Without a C++ compiler these tests say so and pass.

use std::path::{Path, PathBuf};
use std::process::Command;

use calibrate::measure::backend::{Backend as _, DeviceError};
use calibrate::measure::bench::Bench;
use calibrate::measure::device::cuda::Cuda;
use calibrate::measure::numbers::Format;
use calibrate::measure::probe::{Point, Probe as _, verify};
use calibrate::measure::probes::{self, Suite};
use calibrate::measure::samples;
use calibrate::measure::shapes::Shape;

mod cuda_stand_in;
use cuda_stand_in::{libraries, text, with_stand_ins, within};

/// Calls made while a GPU is opened, a code of each, and what must be said of it.
const OPENING: [(&str, &str); 22] = [
    ("cuInit@1=100", "nvidia-smi"),
    ("cuInit@1=803", "restart after an update"),
    ("cuInit@1=802", "fabric manager"),
    ("cuDriverGetVersion@1=1", "asking the driver for its version: CUDA_ERROR_INVALID_VALUE"),
    ("cuDeviceGetCount@1=1", "counting GPUs"),
    ("cuDeviceGet@1=101", "finding the GPU"),
    ("cuDeviceGetName@1=1", "asking what it is"),
    ("cuDeviceGetAttribute@3=1", "asking what it is"),
    ("cuMemGetInfo_v2@1=1", "asking what it is"),
    ("cuDevicePrimaryCtxRetain@1=2", "out of device memory: opening the GPU"),
    ("cuCtxSetCurrent@1=201", "opening the GPU"),
    ("cuStreamCreate@1=1", "making a stream"),
    ("cuEventCreate@2=1", "making an event"),
    ("cuMemHostAlloc@1=2", "out of device memory"),
    ("cuMemAlloc_v2@1=2", "out of device memory"),
    ("nvrtcCreateProgram@1=1", "NVRTC, sm_90: NvrtcError(NVRTC_ERROR_OUT_OF_MEMORY)"),
    ("nvrtcCompileProgram@1=6", "NVRTC_ERROR_COMPILATION"),
    ("nvrtcGetCUBINSize@1=11", "NVRTC_ERROR_INTERNAL_ERROR"),
    ("nvrtcGetCUBIN@1=11", "NVRTC_ERROR_INTERNAL_ERROR"),
    ("cublasLtCreate@1=3", "cuBLASLt: CublasError(CUBLAS_STATUS_ALLOC_FAILED)"),
    ("cublasCreate_v2@1=3", "cuBLAS: CublasError(CUBLAS_STATUS_ALLOC_FAILED)"),
    ("cublasSetStream_v2@1=1", "cuBLAS: CublasError(CUBLAS_STATUS_NOT_INITIALIZED)"),
];

/// Calls made while it measures.
const MEASURING: [(&str, &str); 31] = [
    ("cuMemAlloc_v2@5=2", "out of device memory"),
    ("cuMemHostAlloc@1=2", "out of device memory"),
    ("cuMemcpyHtoD_v2@1=1", "INVALID_VALUE"),
    ("cuMemcpyDtoH_v2@1=1", "INVALID_VALUE"),
    ("cuMemcpyHtoDAsync_v2@1=1", "INVALID_VALUE"),
    ("cuMemcpyDtoHAsync_v2@1=1", "INVALID_VALUE"),
    ("cuMemcpyDtoDAsync_v2@1=1", "INVALID_VALUE"),
    ("cuMemcpyPeerAsync@1=1", "INVALID_VALUE"),
    ("cuStreamSynchronize@3=1", "INVALID_VALUE"),
    ("cuStreamCreate@1=1", "INVALID_VALUE"),
    ("cuStreamWaitEvent@1=400", "INVALID_HANDLE"),
    ("cuStreamWaitEvent@2=400", "INVALID_HANDLE"),
    ("cuEventCreate@1=1", "INVALID_VALUE"),
    ("cuEventRecord@1=400", "INVALID_HANDLE"),
    ("cuEventRecord@2=400", "INVALID_HANDLE"),
    ("cuEventElapsedTime_v2@1=600", "NOT_READY"),
    ("cuModuleLoadData@1=209", "NO_BINARY_FOR_GPU"),
    ("cuModuleGetFunction@1=500", "NOT_FOUND"),
    ("cuLaunchKernel@1=1", "INVALID_VALUE"),
    ("cuLaunchKernel@2=701", "LAUNCH_OUT_OF_RESOURCES"),
    ("nvrtcCompileProgram@1=6", "NVRTC_ERROR_COMPILATION"),
    ("cublasLtMatmulDescCreate@1=3", "cuBLASLt"),
    ("cublasLtMatmulDescSetAttribute@1=7", "cuBLASLt"),
    ("cublasLtMatrixLayoutCreate@2=7", "cuBLASLt"),
    ("cublasLtMatmulPreferenceCreate@1=3", "cuBLASLt"),
    ("cublasLtMatmulPreferenceSetAttribute@3=7", "cuBLASLt"),
    ("cublasLtMatmulAlgoGetHeuristic@1=15", "cuBLASLt knows no way for"),
    ("cublasLtMatmul@1=13", "CUBLAS_STATUS_EXECUTION_FAILED"),
    ("cublasGemmGroupedBatchedEx@1=13", "cuBLAS's grouped product"),
    ("ncclCommInitAll@1=2", "connecting the GPUs"),
    ("ncclGroupStart@1=1", "opening a group"),
];

/// Those of NCCL that are made once all its GPUs are there.
const EXCHANGING: [(&str, &str); 3] =
    [("ncclSend@2=2", "sending"), ("ncclRecv@1=2", "receiving"), ("ncclGroupEnd@1=2", "closing")];

/// Calls whose failure changes nothing: what they give back goes with the process.
const HARMLESS: [&str; 13] = [
    "cuMemFree_v2",
    "cuMemFreeHost",
    "cuCtxEnablePeerAccess",
    "nvrtcDestroyProgram",
    "cublasLtMatmulDescDestroy",
    "cublasLtMatrixLayoutDestroy",
    "cublasLtMatmulPreferenceDestroy",
    "cublasLtDestroy",
    "cublasDestroy_v2",
    "nvmlInit_v2",
    "nvmlDeviceGetHandleByIndex_v2",
    "ncclCommDestroy",
    // They tell why the compiler refused; without them its code is all that is known.
    "nvrtcGetProgramLog",
];

fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("calibrate-cuda-{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).expect("a folder");
    folder
}

/// A point of a probe of each kind of call: layers, products, transfers, exchanges.
fn all_of_it(device: &mut Cuda) -> Result<(), DeviceError> {
    let shape = *Shape::named("tiny").expect("a shape");
    let shapes = vec![Shape { tokens: 20, ..shape }];
    let format = Format::Bf16;
    let suite = Suite { shapes, software: true, format, sms: Some(4), gpus: 2 };
    let mut bench = Bench::new(device, format);
    let mut one = |probe: &probes::Plain, fits: &dyn Fn(&Point) -> bool| {
        let point = probe.points().into_iter().find(|point| fits(point)).expect("a point");
        let outcome = probe.set(&point, 3, &mut bench).and_then(|set| {
            bench.run(&set.steps)?;
            verify(&set, &mut bench)
        });
        bench.clear();
        outcome.map(|found| assert!(found.is_ok(), "{point:?}"))
    };
    let of = |part: &'static str| move |point: &Point| point.part == part;
    one(&probes::gemm::fewer_sms(&suite), &|_| true)?;
    one(&probes::whole_layer::probe(&suite, &suite.shapes[0]), &|p| p.tau == Some(1.0))?;
    for part in ["upload", "download", "engine"] {
        one(&probes::transfer::probe(&suite), &of(part))?;
    }
    let exchange = probes::exchange::probe(&suite).expect("two GPUs");
    one(&exchange, &of("peer"))?;
    one(&exchange, &of("alltoall"))
}

#[test]
fn each_call_that_fails_is_named_and_the_next_work_is_done() {
    let name = "each_call_that_fails_is_named_and_the_next_work_is_done";
    let file = std::env::temp_dir().join("calibrate-cuda-failures");
    let from = format!("@{}", file.display());
    let variables = [("STAND_IN_FAIL", from.as_str()), ("STAND_IN_DEVICES", "2")];
    if !within(name, &variables) {
        return;
    }
    let ask = |what: &str| std::fs::write(&file, what).expect("a file");
    for (failure, said) in OPENING {
        ask(failure);
        let Err(error) = Cuda::open(0) else { panic!("{failure}: it was opened") };
        assert!(error.to_string().contains(said), "{failure}: {error}");
        ask("");
        if let Err(error) = Cuda::open(0) {
            panic!("after {failure}: {error}");
        }
    }
    for (failure, said) in MEASURING.into_iter().chain(EXCHANGING) {
        // Kernels, peers and communicators are made once a device.
        ask("");
        let mut device = Cuda::open(0).expect("a device");
        if failure.starts_with("nccl") && !failure.starts_with("ncclComm") {
            all_of_it(&mut device).expect("nothing fails");
        }
        ask(failure);
        let Err(error) = all_of_it(&mut device) else { panic!("{failure}: nothing was said") };
        assert!(error.to_string().contains(said), "{failure}: {error}");
        assert!(!matches!(error, DeviceError::Lost(_)), "{failure}: {error}");
        ask("");
        all_of_it(&mut device).unwrap_or_else(|error| panic!("after {failure}: {error}"));
    }
    for call in HARMLESS {
        ask(&format!("{call}@1+=1"));
        let mut device = Cuda::open(0).unwrap_or_else(|error| panic!("{call}: {error}"));
        all_of_it(&mut device).unwrap_or_else(|error| panic!("{call}: {error}"));
    }
    let _ = std::fs::remove_file(file);
}

#[test]
fn grouped_products_are_held_back_with_the_rest() {
    if within("grouped_products_are_held_back_with_the_rest", &[("STAND_IN_DEVICES", "2")]) {
        let mut device = Cuda::open(0).expect("a device");
        all_of_it(&mut device).expect("nothing fails");
        assert_eq!(device.doubts(), Vec::<String>::new());
    }
}

#[test]
fn grouped_products_that_wait_for_the_device_are_found_out() {
    let name = "grouped_products_that_wait_for_the_device_are_found_out";
    if within(name, &[("STAND_IN_GROUPED_WAITS", "1"), ("STAND_IN_DEVICES", "2")]) {
        let mut device = Cuda::open(0).expect("a device");
        all_of_it(&mut device).expect("nothing fails");
        let doubts = device.doubts().join("; ");
        assert!(doubts.contains("grouped products wait for the device"), "{doubts}");
    }
}

#[test]
fn no_call_is_left_out() {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cuda_stand_in");
    let listed: Vec<&str> =
        OPENING.iter().chain(&MEASURING).chain(&EXCHANGING).map(|(failure, _)| *failure).collect();
    for name in ["driver", "nvrtc", "blas", "nccl", "nvml"] {
        let source = std::fs::read_to_string(sources.join(format!("{name}.cpp"))).expect("a file");
        let calls = source.split("EXPORT int ").chain(source.split("EXPORT Result ")).skip(1);
        for call in calls.filter_map(|rest| rest.split_once('(').map(|(name, _)| name)) {
            let known = listed.iter().any(|failure| failure.split('@').next() == Some(call))
                || HARMLESS.iter().any(|harmless| call.starts_with(harmless))
                || call.starts_with("cuGetError")
                || call.starts_with("nvmlDeviceGet");
            assert!(known || call.contains('"'), "{call} of {name}.cpp is made to fail nowhere");
        }
    }
}

/// A session of seconds, and what it said.
fn session(out: &Path, minutes: &str, variables: &[(&str, &str)]) -> (bool, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_calibrate"));
    command.args(["measure", "--backend", "cuda", "--small", "--shape", "tiny"]);
    command.args(["--minutes", minutes, "--out"]).arg(out);
    let output = with_stand_ins(&mut command, variables).output().expect("a program that runs");
    let said = text(&output);
    assert!(!said.contains("panicked"), "{variables:?}: {said}");
    (output.status.success(), said)
}

fn kept(out: &Path) -> usize {
    samples::read_folder(out).map_or(0, |rows| rows.len())
}

#[test]
fn a_machine_that_cannot_measure_says_why() {
    if libraries().is_none() {
        return;
    }
    let out = folder("cannot").join("samples");
    for (variable, said) in [
        (("STAND_IN_DRIVER", "12040"), "the driver speaks CUDA 12.4, and 12.8 is needed"),
        (("STAND_IN_DEVICES", "0"), "starting CUDA: CUDA_ERROR_NO_DEVICE"),
        (("STAND_IN_FAIL", "cublasLtCreate@1=1"), "cuBLASLt"),
        (("LD_LIBRARY_PATH", ""), "no NVIDIA driver was found"),
    ] {
        // Without the folder there is nothing to find; a machine with a driver has another.
        let nowhere = ("CALIBRATE_CUDA_LIBRARIES", "/nowhere");
        let absent = variable.0 == "LD_LIBRARY_PATH";
        if absent && Cuda::open(0).is_ok() {
            continue;
        }
        let variables = if absent { vec![variable, nowhere] } else { vec![variable] };
        let (passed, text) = session(&out, "0.01", &variables);
        assert!(!passed && text.contains(said), "{variable:?}: {text}");
        assert!(!out.exists(), "a folder was made for nothing");
    }
}

#[test]
fn an_idle_clock_is_brought_up_before_anything_is_timed() {
    if libraries().is_none() {
        return;
    }
    let out = folder("idle").join("samples");
    let (passed, text) = session(&out, "0.02", &[("STAND_IN_IDLE_READINGS", "40")]);
    assert!(passed && !text.contains("the clock stayed"), "{text}");
    let rows = samples::read_folder(&out).expect("samples");
    let low = rows.iter().filter(|row| row.mhz != Some(1000.0)).count();
    assert!(!rows.is_empty() && low == 0, "{low} of {} at another clock", rows.len());
    // One that is locked below its highest is waited for once.
    let out = folder("locked").join("samples");
    let (passed, text) = session(&out, "0.02", &[("STAND_IN_IDLE_READINGS", "1000000")]);
    let said = "the clock stayed at 200 of 1000 MHz: it is locked";
    assert!(passed && text.contains(said), "{text}");
}

/// Sessions one after another until one says this: a busy machine may need more than one.
fn until(out: &Path, variables: &[(&str, &str)], wanted: &str) -> (bool, String) {
    let mut last = String::new();
    for _ in 0..8 {
        let (passed, said) = session(out, "0.05", variables);
        if said.contains(wanted) {
            return (passed, said);
        }
        last = said;
    }
    panic!("{variables:?}: `{wanted}` is not in {last}");
}

#[test]
fn a_lost_device_keeps_what_was_finished_and_the_next_session_goes_on() {
    if libraries().is_none() {
        return;
    }
    let out = folder("lost");
    for code in ["700", "719", "214"] {
        let before = kept(&out);
        let failure = format!("cuMemcpyDtoH_v2@12={code}");
        let lost = "the device was lost: CUDA_ERROR_";
        let (passed, said) = until(&out, &[("STAND_IN_FAIL", &failure)], lost);
        assert!(!passed && said.contains("run the same command again to go on"), "{said}");
        assert!(kept(&out) > before, "{code}: nothing was kept: {said}");
    }
    let before = kept(&out);
    let (passed, said) = session(&out, "0.02", &[]);
    assert!(passed && said.contains(&format!("{before} found measured")), "{said}");
    std::fs::remove_dir_all(out).unwrap();
}

#[test]
fn too_little_memory_leaves_points_out_and_nothing_else() {
    if libraries().is_none() {
        return;
    }
    let out = folder("memory");
    let (passed, said) = until(&out, &[("STAND_IN_MEMORY_MIB", "34")], "out of device memory");
    assert!(passed && said.contains("left out, the first copy bytes="), "{said}");
    assert!(kept(&out) > 2, "{said}");
    std::fs::remove_dir_all(out).unwrap();
}

#[test]
fn a_device_that_does_nothing_right_measures_nothing_and_fails() {
    if libraries().is_none() {
        return;
    }
    let out = folder("nothing");
    // The kernel that holds the stream is launched first of all.
    let (passed, said) = session(&out, "0.03", &[("STAND_IN_FAIL", "cuLaunchKernel@1+=1")]);
    assert!(!passed && said.contains("nothing was measured"), "{said}");
    assert!(said.contains("CUDA_ERROR_INVALID_VALUE"), "{said}");
    // A kernel that writes nothing has no timing, and is told apart from all others.
    let idle = [("STAND_IN_IDLE", "if (i < p.n) y[i] = x[i];")];
    let (passed, said) = until(&out, &idle, "memory copy");
    assert!(!passed && said.contains("never written") && said.contains("warnings.txt"), "{said}");
    let rows = samples::read_folder(&out).expect("samples");
    let copy = |row: &samples::Sample| row.probe == "memory" && row.point.part == "copy";
    assert!(!rows.iter().any(copy), "what wrote nothing was timed");
    assert!(rows.iter().any(|row| row.point.part == "kernel"), "{said}");
    std::fs::remove_dir_all(out).unwrap();
}
