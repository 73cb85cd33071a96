//! What happens when a session of measuring goes wrong, or has too little time?
//!
//! A pass says that what was measured is kept and found again, that time is a limit, and that each
//! failure ends in a sentence that says what to do. Devices here are made of host memory: nothing is
//! said of real ones.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use calibrate::measure::backend::DeviceError;
use calibrate::measure::bench::Bench;
use calibrate::measure::device::fake::Fake;
use calibrate::measure::numbers::Format;
use calibrate::measure::probe::Probe;
use calibrate::measure::probes::grid::COARSE;
use calibrate::measure::probes::{Suite, exchange, launch, memory};
use calibrate::measure::samples::{self, Sample};
use calibrate::measure::session::{Progress, Report, Session, Silent, Stopped, commit, coverage};
use calibrate::measure::telemetry::Telemetry;

/// Points that need larger buffers than the device of these tests gives.
const WITHOUT_ROOM: usize = 8;

fn probes() -> Vec<Box<dyn Probe>> {
    let suite =
        Suite { shapes: Vec::new(), software: true, format: Format::F32, sms: None, gpus: 1 };
    vec![Box::new(launch::probe()), Box::new(memory::probe(&suite)), Box::new(launch::waiting())]
}

fn planned() -> usize {
    probes().iter().map(|probe| probe.points().len()).sum()
}

fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("calibrate-{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    folder
}

fn run_for(budget: Duration, device: &mut Fake, out: PathBuf) -> Result<Report, Stopped> {
    let session = Session { out, format: Format::F32, budget, seed: 1, telemetry: Telemetry::None };
    session.run(&mut Bench::new(device, Format::F32), &probes(), &mut Silent)
}

fn run(device: &mut Fake, out: PathBuf) -> Result<Report, Stopped> {
    run_for(Duration::from_secs(60), device, out)
}

#[test]
fn a_lost_device_ends_the_session_and_the_next_one_goes_on() {
    let out = folder("lost");
    let lost = DeviceError::Lost("it fell off the bus".to_owned());
    let mut device = Fake::default().failing(60, lost.clone());
    match run(&mut device, out.clone()) {
        Err(Stopped::Device(error)) => assert_eq!(error, lost),
        other => panic!("{other:?}"),
    }
    let kept = samples::read_folder(&out).expect("finished points were not kept");
    assert!((2..planned() / 2).contains(&kept.len()), "{}", kept.len());
    let report = run(&mut Fake::default(), out.clone()).expect("the rest");
    assert_eq!(report.found, kept.len());
    assert_eq!(report.found + report.measured, planned() - WITHOUT_ROOM);
    let rows = samples::read_folder(&out).unwrap();
    assert_eq!(rows.len(), planned() - WITHOUT_ROOM);
    let same = |old: &Sample| {
        rows.iter().any(|row| {
            let off = row.timing.median / old.timing.median - 1.0;
            row.point == old.point && row.timing.samples == old.timing.samples && off.abs() < 1e-9
        })
    };
    assert!(kept.iter().all(same), "a point was measured again");
    let again = run(&mut Fake::default(), out.clone()).expect("nothing is left");
    assert_eq!((again.measured, again.left), (0, 0));
    std::fs::remove_dir_all(out).unwrap();
}

#[test]
fn time_is_a_limit_and_the_coarse_grid_comes_first() {
    let out = folder("time");
    let slow = || {
        let mut device = Fake::default();
        device.pace = Duration::from_millis(2);
        device
    };
    let budget = Duration::from_millis(1200);
    let start = Instant::now();
    let report = run_for(budget, &mut slow(), out.clone()).expect("a session");
    let took = start.elapsed();
    // Beyond it at most what one point needs until it is timed, and the writing of files.
    assert!(took < budget + Duration::from_millis(400), "{took:?} of {budget:?}");
    assert!(report.left > 0, "the test has too few points to run out of time: {report:?}");
    assert_eq!(report.without_coarse, Vec::<String>::new());
    let rows = samples::read_folder(&out).unwrap();
    for probe in probes() {
        for (point, round) in probe.points().into_iter().zip(probe.rounds()) {
            let has = rows.iter().any(|row| row.point == point);
            // What has no room in a buffer of this device is never there.
            let fits = point.bytes.is_none_or(|bytes| bytes <= 1 << 20);
            assert!(has || !fits || round > COARSE, "{point:?} of round {round} is not there");
        }
    }
    let covered = coverage(&out, &rows);
    assert_eq!((covered.planned, covered.measured), (planned(), rows.len()));
    assert!(covered.described().contains("memory"), "{}", covered.described());
    let rest = run(&mut Fake::default(), out.clone()).expect("the rest");
    assert_eq!((rest.found, rest.left), (report.measured, 0));
    std::fs::remove_dir_all(out).unwrap();
}

#[test]
fn no_time_at_all_measures_nothing_and_says_so() {
    let out = folder("notime");
    let report = run_for(Duration::ZERO, &mut Fake::default(), out.clone()).expect("a session");
    assert_eq!((report.measured, report.left), (0, planned()));
    assert_eq!(report.without_coarse.len(), probes().len());
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

/// What several GPUs exchange, on a device of as many.
fn exchange(device: &mut Fake, gpus: u32, out: PathBuf) -> Report {
    let suite = Suite { shapes: Vec::new(), software: true, format: Format::F32, sms: None, gpus };
    let probe = exchange::probe(&suite).expect("several GPUs exchange");
    let (budget, telemetry) = (Duration::from_secs(60), Telemetry::None);
    let session = Session { out, format: Format::F32, budget, seed: 1, telemetry };
    let probes: Vec<Box<dyn Probe>> = vec![Box::new(probe)];
    session.run(&mut Bench::new(device, Format::F32), &probes, &mut Silent).expect("a session")
}

#[test]
fn exchanges_are_timed_among_several_gpus_and_checked() {
    let out = folder("exchange");
    let report = exchange(&mut Fake::default().among(4), 4, out.clone());
    assert_eq!((report.refused, report.left), (0, 0), "{:?}", report.warnings);
    let rows = samples::read_folder(&out).unwrap();
    let of = |part: &str, gpus: u64| {
        rows.iter().filter(|r| r.point.part == part && r.point.gpus == Some(gpus)).count()
    };
    assert!(of("peer", 2) > 2 && of("alltoall", 2) > 2 && of("alltoall", 4) > 2);
    std::fs::remove_dir_all(out).unwrap();
}

#[test]
fn an_exchange_that_mixes_up_blocks_gets_no_timing() {
    let out = folder("mixed");
    let mut device = Fake::default().among(3);
    device.sloppy = true;
    let report = exchange(&mut device, 3, out.clone());
    assert!(report.refused > 0, "{report:?}");
    let rows = samples::read_folder(&out).unwrap();
    assert!(rows.iter().all(|row| row.point.part == "peer"), "a wrong exchange was timed");
    std::fs::remove_dir_all(out).unwrap();
}

#[test]
fn without_a_library_for_exchanges_they_are_left_out_and_said() {
    // More GPUs are asked for than this device has.
    let out = folder("alone");
    let report = exchange(&mut Fake::default(), 2, out.clone());
    assert_eq!(report.measured, 0);
    let said =
        report.warnings.iter().any(|w| w.contains("exchange") && w.contains("not supported"));
    assert!(said, "{:?}", report.warnings);
    std::fs::remove_dir_all(out).unwrap();
}

#[test]
fn one_gpu_exchanges_nothing() {
    let gpus = 1;
    let suite = Suite { shapes: Vec::new(), software: true, format: Format::F32, sms: None, gpus };
    assert!(exchange::probe(&suite).is_none());
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

/// Takes the folder away once something was measured.
struct Thief(PathBuf);

impl Progress for Thief {
    fn begins(&mut self, _: &str, _: &str, _: usize) {}
    fn point(&mut self, _: f64) {
        let _ = std::fs::remove_dir_all(&self.0);
        let _ = std::fs::write(&self.0, "a file where the folder was");
    }
}

#[test]
fn a_folder_that_goes_away_ends_the_session_with_a_sentence() {
    let out = folder("gone");
    let (budget, telemetry) = (Duration::from_secs(60), Telemetry::None);
    let session = Session { out: out.clone(), format: Format::F32, budget, seed: 1, telemetry };
    let mut device = Fake::default();
    let mut bench = Bench::new(&mut device, Format::F32);
    match session.run(&mut bench, &probes(), &mut Thief(out.clone())) {
        Err(Stopped::File(text)) => assert!(text.contains("launch.parquet"), "{text}"),
        other => panic!("{other:?}"),
    }
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

#[test]
fn a_session_that_another_build_went_on_with_names_both() {
    let out = folder("builds");
    run(&mut Fake::default(), out.clone()).expect("a session");
    let text = std::fs::read_to_string(out.join("device.txt")).unwrap();
    std::fs::write(out.join("device.txt"), text.replace(commit(), "0123abc")).unwrap();
    for _ in 0..2 {
        run(&mut Fake::default(), out.clone()).expect("a session");
        let text = std::fs::read_to_string(out.join("device.txt")).unwrap();
        let both = format!("commit = 0123abc; {}\n", commit());
        assert!(text.contains(&both), "{text}");
    }
    std::fs::remove_dir_all(out).unwrap();
}

#[test]
fn a_file_of_samples_that_cannot_be_read_is_named() {
    let out = folder("broken");
    run(&mut Fake::default(), out.clone()).expect("a session");
    std::fs::write(out.join("memory.parquet"), "cut off").unwrap();
    match run(&mut Fake::default(), out.clone()) {
        Err(Stopped::File(text)) => assert!(text.contains("memory.parquet"), "{text}"),
        other => panic!("{other:?}"),
    }
    std::fs::remove_dir_all(out).unwrap();
}
