//! Does the loop close as a user runs it: measure, fit, simulate, compare, report?
//!
//! A pass says that on a software Vulkan device, at small sizes, each command takes what the one
//! before it left, that a session killed in the middle goes on, and that commands which cannot go on
//! say so. The script for a day with a GPU runs on stand-ins for CUDA's libraries too. Nothing is said of
//! real GPUs, or of how good predictions are. Without a Vulkan driver these tests say so and pass.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use calibrate::measure::device::wgpu::Wgpu;
use calibrate::measure::samples;

mod cuda_stand_in;

/// Minutes of one session: the coarse grid of the smallest shape takes a few seconds of them.
const MINUTES: &str = "0.3";

fn vulkan() -> bool {
    match Wgpu::open(0) {
        Ok(_) => true,
        Err(error) => {
            use std::io::Write as _;
            let _ = writeln!(std::io::stderr(), "skipped, no device to close the loop on: {error}");
            false
        }
    }
}

fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("calibrate-loop-{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    folder
}

fn calibrate(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_calibrate"));
    command.args(args);
    command
}

fn measure(out: &Path) -> Command {
    let out = out.to_str().expect("a name in UTF-8");
    let shape = ["measure", "--backend", "wgpu", "--shape", "tiny"];
    calibrate(&[&shape[..], &["--minutes", MINUTES, "--out", out]].concat())
}

/// The simulator, as this build makes it: cargo builds no other package's programs for a test.
fn moesim() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let built = PathBuf::from(env!("CARGO_BIN_EXE_calibrate")).with_file_name("moesim");
    let profile = built.parent().and_then(|p| p.file_name()).and_then(|p| p.to_str());
    let profile = profile.map_or("dev", |folder| if folder == "debug" { "dev" } else { folder });
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let args = ["build", "--quiet", "--workspace", "--bin", "moesim", "--profile", profile];
    let status = Command::new(cargo).args(args).current_dir(root).status().expect("cargo runs");
    assert!(status.success(), "moesim was not built");
    built
}

fn text(of: &[u8]) -> String {
    String::from_utf8_lossy(of).into_owned()
}

fn passes(command: &mut Command) -> (String, String) {
    let output = command.output().expect("a program that runs");
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{command:?}\n{out}\n{err}");
    (out, err)
}

fn fails(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = command.output().expect("a program that runs");
    let err = text(&stderr);
    assert_eq!(status.code(), Some(1), "{command:?}\n{}\n{err}", text(&stdout));
    assert!(!err.contains("panicked"), "{err}");
    err
}

/// How many samples a folder holds; it may be in the making.
fn count(folder: &Path) -> usize {
    samples::read_folder(folder).map_or(0, |rows| rows.len())
}

/// Starts measuring, and kills it when some samples are there.
fn killed_half_way(out: &Path) -> usize {
    let mut child = measure(out).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("runs");
    let start = Instant::now();
    while count(out) < 5 {
        assert!(start.elapsed() < Duration::from_secs(120), "no sample in two minutes");
        assert_eq!(child.try_wait().expect("a child"), None, "it ended before it was killed");
        std::thread::sleep(Duration::from_millis(50));
    }
    child.kill().expect("it runs");
    child.wait().expect("it ends");
    count(out)
}

/// Measures until the coarse grid is there; a busy machine may need more than one session.
fn finished(out: &Path, mut found: usize) {
    for _ in 0..6 {
        let start = Instant::now();
        let (said, warned) = passes(&mut measure(out));
        let limit = Duration::from_secs_f64(MINUTES.parse::<f64>().unwrap() * 60.0);
        // Beyond the limit: opening the device, and what the slowest point needs until it is timed.
        assert!(start.elapsed() < limit + Duration::from_secs(15), "{:?}", start.elapsed());
        assert!(said.contains(&format!("{found} found measured")), "{found}: {said}");
        found = count(out);
        if !warned.contains("too little time") {
            return;
        }
    }
    panic!("six sessions were too little for the coarse grid");
}

#[test]
fn the_loop_closes() {
    if !vulkan() {
        return;
    }
    let out = folder("closes");
    let kept = killed_half_way(&out);
    finished(&out, kept);
    let profile = out.join("mine.toml");
    let (folder, toml) = (out.to_str().unwrap(), profile.to_str().unwrap());
    let (said, _) = passes(&mut calibrate(&["fit", "--samples", folder, "--out", toml]));
    assert!(said.contains("dense products") && said.contains("points that were planned"), "{said}");
    let (said, _) = passes(&mut calibrate(&["compare", toml]));
    assert!(said.contains("median error") && said.contains("sequential"), "{said}");
    passes(&mut calibrate(&["report", toml, "--out", folder]));
    for picture in ["layers.svg", "gains.svg"] {
        let svg = std::fs::read_to_string(out.join(picture)).expect("a picture");
        assert!(svg.contains("</svg>"), "{picture} is no whole picture");
    }
    let run = ["run", "paper", "--profile", toml];
    let (said, _) = passes(Command::new(moesim()).args(run));
    assert!(said.contains("mine.toml, overheads moepp-loop") && said.contains("0.75"), "{said}");
    let own_loop = format!("overheads={}", out.join("mine-loop.toml").display());
    let (said, _) = passes(Command::new(moesim()).args(run).args(["--set", &own_loop]));
    assert!(said.contains("mine-loop.toml"), "{said}");
    // What was written says what it came from.
    let written = std::fs::read_to_string(&profile).unwrap();
    let commit = calibrate::measure::session::commit();
    assert!(written.contains(commit), "no commit {commit} in {written}");
    std::fs::remove_dir_all(out).unwrap();
}

/// An empty folder with the programs and the script, as they are carried to a machine with a GPU.
fn carried(name: &str) -> PathBuf {
    let away = folder(name);
    std::fs::create_dir_all(&away).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../gpu-day.sh");
    for from in [script, PathBuf::from(env!("CARGO_BIN_EXE_calibrate")), moesim()] {
        let to = away.join(from.file_name().expect("a name"));
        // A program may be large: the same file under another name, where that can be.
        if std::fs::hard_link(&from, &to).is_err() {
            std::fs::copy(&from, &to).unwrap();
        }
    }
    away
}

/// One command of the day, for so many seconds, and what it said.
fn command_of_the_day(away: &Path, part: &str, limit: u64, more: &[&str]) -> String {
    // Without a network where this user may take it away.
    let alone = Command::new("unshare").args(["-n", "true"]).output();
    let alone = alone.is_ok_and(|output| output.status.success());
    let mut day = if alone { Command::new("unshare") } else { Command::new("./gpu-day.sh") };
    if alone {
        day.args(["-n", "./gpu-day.sh"]);
    }
    day.args([part, "out"]).args(more).current_dir(away);
    let path = std::env::var_os("PATH").unwrap_or_default();
    day.env_clear().env("PATH", path).env("XDG_RUNTIME_DIR", away);
    day.env("DRY", "1").env("LIMIT", limit.to_string());
    if cuda_stand_in::libraries().is_some() {
        cuda_stand_in::with_stand_ins(&mut day, &[]);
    } else {
        day.env("BACKEND", "wgpu");
    }
    let start = Instant::now();
    let output = day.output().expect("a script that runs");
    let took = start.elapsed();
    let said = cuda_stand_in::text(&output);
    // Beyond it: one archive.
    assert!(took < Duration::from_secs(limit + 15), "{took:?} of {limit} s: {said}");
    for entry in std::fs::read_dir(away.join("out")).expect("what came of it").flatten() {
        let size = entry.metadata().unwrap().len();
        assert!(!entry.path().is_file() || size < 16 << 20, "{:?}: {size} bytes", entry.path());
    }
    assert!(away.join("out/day.tar.gz").exists(), "{said}");
    said
}

#[test]
fn the_script_for_a_day_with_a_gpu_runs_dry() {
    let cuda = cuda_stand_in::libraries().is_some();
    if !vulkan() && !cuda {
        return;
    }
    let (first, second) = (carried("day"), carried("next-day"));
    let said = command_of_the_day(&first, "1", 40, &[]);
    let backend = if cuda { "cuda" } else { "wgpu" };
    assert!(said.contains(&format!("check of {backend}: done")), "{said}");
    assert!(said.contains("the paper's shapes: done in"), "{said}");
    // On another machine, from what came back; a busy one may need more than one go.
    let archive = first.join("out/day.tar.gz");
    let more = [archive.to_str().expect("a name in UTF-8")];
    let mut last = String::new();
    let done = (0..6).any(|go| {
        last = command_of_the_day(&second, "2", 25, if go == 0 { &more } else { &[] });
        ["fit", "comparison", "pictures", "simulation"]
            .iter()
            .all(|step| last.contains(&format!("{step} of {backend}: done")))
    });
    assert!(done, "six goes were too few: {last}");
    assert!(last.contains("found measured") && last.contains("median error"), "{last}");
    let made = second.join("out/day").join(backend);
    for file in ["own-gpu.toml", "own-gpu-loop.toml", "compare.txt", "run.txt", "layers.svg"] {
        let written = std::fs::read(made.join(file)).expect(file);
        assert!(!written.is_empty(), "{file} is empty");
    }
    let packed = Command::new("tar").arg("-tzf").arg(second.join("out/day.tar.gz")).output();
    let packed = text(&packed.expect("tar").stdout);
    assert!(packed.contains(&format!("{backend}/own-gpu.toml")), "{packed}");
    for away in [first, second] {
        std::fs::remove_dir_all(away).unwrap();
    }
}

#[test]
fn without_an_adapter_there_is_a_sentence_that_helps() {
    let out = folder("none");
    let mut command = measure(&out);
    for variable in ["VK_ICD_FILENAMES", "VK_DRIVER_FILES"] {
        command.env(variable, "/nowhere/driver.json");
    }
    let said = fails(&mut command);
    assert!(said.contains("no device can be measured"), "{said}");
    assert!(said.contains("no adapter was found") && said.contains("help: install"), "{said}");
    assert!(!out.exists(), "a folder was made for nothing");
}

#[test]
fn a_folder_that_cannot_be_made_is_said() {
    if !vulkan() {
        return;
    }
    let file = folder("file");
    std::fs::write(&file, "a file where a folder should be").unwrap();
    let said = fails(&mut measure(&file.join("inside")));
    assert!(said.contains("cannot be made") && said.contains("--out"), "{said}");
    std::fs::remove_file(file).unwrap();
}

#[test]
fn a_folder_without_samples_is_said_by_every_command_that_needs_them() {
    let out = folder("empty");
    std::fs::create_dir_all(&out).unwrap();
    let (folder, toml) = (out.to_str().unwrap(), out.join("mine.toml"));
    let toml = toml.to_str().unwrap();
    let said = fails(&mut calibrate(&["fit", "--samples", folder, "--out", toml]));
    assert!(said.contains("device.txt") && said.contains("calibrate measure"), "{said}");
    let said = fails(&mut calibrate(&["compare", toml]));
    assert!(said.contains("mine.toml"), "{said}");
    std::fs::remove_dir_all(out).unwrap();
}
