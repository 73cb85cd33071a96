//! What happens when a session of measuring goes wrong?
//!
//! A pass says that finished probes are kept and found again, and that each failure ends in a
//! sentence that says what to do. Devices here are made of host memory: nothing is said of real ones.

use std::path::PathBuf;
use std::time::Duration;

use calibrate::measure::backend::DeviceError;
use calibrate::measure::bench::Bench;
use calibrate::measure::device::fake::Fake;
use calibrate::measure::numbers::Format;
use calibrate::measure::probe::Probe;
use calibrate::measure::probes::{Detail, Suite, launch, memory};
use calibrate::measure::samples;
use calibrate::measure::session::{Report, Session, Silent, Stopped};
use calibrate::measure::telemetry::Telemetry;

fn probes() -> Vec<Box<dyn Probe>> {
    let suite = Suite {
        shapes: Vec::new(),
        detail: Detail::Quick,
        software: true,
        format: Format::F32,
        sms: None,
    };
    vec![Box::new(launch::probe()), Box::new(memory::probe(&suite)), Box::new(launch::waiting())]
}

fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("calibrate-{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    folder
}

fn run(device: &mut Fake, out: PathBuf) -> Result<Report, Stopped> {
    let session = Session {
        out,
        format: Format::F32,
        budget: Duration::from_millis(300),
        seed: 1,
        telemetry: Telemetry::None,
    };
    session.run(&mut Bench::new(device, Format::F32), &probes(), &mut Silent)
}

#[test]
fn a_lost_device_ends_the_session_and_the_next_one_goes_on() {
    let out = folder("lost");
    let lost = DeviceError::Lost("it fell off the bus".to_owned());
    let mut device = Fake::default().failing(40, lost.clone());
    match run(&mut device, out.clone()) {
        Err(Stopped::Device(error)) => assert_eq!(error, lost),
        other => panic!("{other:?}"),
    }
    assert!(out.join("launch.parquet").exists(), "a finished probe was not kept");
    assert!(!out.join("memory.parquet").exists(), "an unfinished probe looks finished");
    let kept = std::fs::read(out.join("launch.parquet")).unwrap();
    let report = run(&mut Fake::default(), out.clone()).expect("the rest");
    assert_eq!((report.found, report.measured), (1, 2));
    assert_eq!(std::fs::read(out.join("launch.parquet")).unwrap(), kept, "measured again");
    let rows = samples::read_folder(&out).unwrap();
    let all: usize = probes().iter().map(|probe| probe.points().len()).sum();
    // Copies and sums of 32 MiB need larger buffers than this device gives.
    assert_eq!(rows.len(), all - 2);
    std::fs::remove_dir_all(out).unwrap();
}

#[test]
fn points_without_room_are_left_out_and_said() {
    let out = folder("memory");
    let report = run(&mut Fake::default(), out.clone()).expect("a session");
    let said = report
        .warnings
        .iter()
        .any(|w| w.contains("left out") && w.contains("out of device memory"));
    assert!(said, "{:?}", report.warnings);
    assert!(out.join("memory.parquet").exists());
    std::fs::remove_dir_all(out).unwrap();
}

#[test]
fn a_sloppy_kernel_gets_no_timing() {
    let out = folder("sloppy");
    let mut device = Fake::default();
    device.sloppy = true;
    let report = run(&mut device, out.clone()).expect("a session");
    assert!(report.refused > 0);
    assert!(report.warnings.iter().any(|w| w.contains("never written")), "{:?}", report.warnings);
    let rows = samples::read_folder(&out).unwrap();
    assert!(rows.iter().all(|row| row.point.part != "copy"), "a wrong copy was timed");
    std::fs::remove_dir_all(out).unwrap();
}

#[test]
fn a_folder_that_cannot_be_written_is_said_before_anything_is_measured() {
    let out = folder("file");
    std::fs::write(&out, "a file where a folder should be").unwrap();
    let mut device = Fake::default();
    match run(&mut device, out.clone()) {
        Err(Stopped::File(text)) => {
            assert!(text.contains("cannot be made") && text.contains("--out"), "{text}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(device.runs, 0);
    std::fs::remove_file(out).unwrap();
}

#[test]
fn a_folder_of_another_device_is_left_alone() {
    let out = folder("other");
    run(&mut Fake::default(), out.clone()).expect("a session");
    let text = std::fs::read_to_string(out.join("device.txt")).unwrap();
    std::fs::write(out.join("device.txt"), text.replace("host memory", "another kind")).unwrap();
    match run(&mut Fake::default(), out.clone()) {
        Err(Stopped::File(text)) => assert!(text.contains("another folder"), "{text}"),
        other => panic!("{other:?}"),
    }
    std::fs::remove_dir_all(out).unwrap();
}
