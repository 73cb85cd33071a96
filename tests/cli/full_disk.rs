//! What is left when output cannot be written?
//!
//! A pass says that a full disk, a limit on the size of files or a name that cannot be written ends each
//! command with a message that names the file, leaves nothing half-written, and loses no finished run of a
//! sweep: it goes on when there is room and gives the same bytes. File sizes are limited by the shell
//! (`ulimit -f`); a disk that is really full is a small tmpfs, which needs root: without it a line says so.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const PLAN: &str = r#"
schema = 1
name = "small"
scenario = "paper"
seeds = "0..3"
[set]
counted = "moe-layer"
"workload.batch.micro_batches" = 1
[vary]
"workload.batch.tokens_per_gpu" = [256, 512, 1024]
tau = [0.25, 1.0]
[plot.gain]
x = "workload.batch.tokens_per_gpu"
y = "throughput_increase_percent"
hue = "model"
"#;

fn folder(test: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("disk-{test}"));
    // What an interrupted test left mounted must not keep this one from starting.
    let _ = Command::new("umount").arg(folder.join("disk")).output();
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("a folder of ours");
    fs::write(folder.join("plan.toml"), PLAN).expect("a file of ours");
    folder
}

fn moesim(folder: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_moesim"));
    command.current_dir(folder).args(args).output().expect("moesim starts")
}

/// The same under a limit on the size of each file, in the shell's blocks; writing beyond it fails.
fn limited(folder: &Path, blocks: u32, args: &[&str]) -> Output {
    let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" \"$@\"");
    let mut command = Command::new("sh");
    command.current_dir(folder).args(["-c", &script, env!("CARGO_BIN_EXE_moesim")]).args(args);
    command.output().expect("a shell")
}

fn runs(folder: &Path, args: &[&str]) {
    let output = moesim(folder, args);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn told(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    String::from_utf8(output.stderr.clone()).expect("UTF-8")
}

/// Says what could not be tried, past the harness that would swallow it.
fn skipped(what: &str) {
    // Nothing more can be done if standard error is closed.
    let _ = writeln!(std::io::stderr(), "skipped, {what}");
}

/// The names in a folder and those inside.
fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8"))
        .collect();
    names.sort();
    names
}

fn results(folder: &Path) -> Vec<Vec<u8>> {
    let names = ["results.parquet", "results.csv", "columns.md", "gain.svg"];
    names.map(|name| fs::read(folder.join(name)).expect(name)).to_vec()
}

#[test]
fn a_sweep_that_cannot_keep_its_rows_stops_and_goes_on_when_there_is_room() {
    let here = folder("sweep");
    runs(&here, &["sweep", "plan.toml", "--out", "whole", "--quiet"]);
    let output = limited(&here, 16, &["sweep", "plan.toml", "--out", "cut", "--quiet"]);
    let message = told(&output);
    assert!(message.contains("cut/rows.jsonl: cannot be written: File too large"), "{message}");
    assert!(message.contains("help: ") && message.contains("go on with --resume"), "{message}");
    assert_eq!(names(&here.join("cut")), ["rows.jsonl"]);
    let journal = fs::read_to_string(here.join("cut/rows.jsonl")).expect("a journal");
    let kept = journal.matches('\n').count();
    assert!(kept > 2, "the limit leaves room for some tasks: {kept}");
    runs(&here, &["sweep", "plan.toml", "--out", "cut", "--resume", "--quiet"]);
    assert!(results(&here.join("whole")) == results(&here.join("cut")), "other bytes");
    let after = fs::read_to_string(here.join("cut/rows.jsonl")).expect("a journal");
    // 3 batches × 2 τ × 4 cases × 3 seeds, and the head: nothing was run twice.
    assert_eq!(after.matches('\n').count(), 1 + 72);
    let whole: String = journal.split_inclusive('\n').take(kept).collect();
    assert!(after.starts_with(&whole), "what was kept was rewritten");
}

#[test]
fn a_file_that_cannot_be_written_whole_is_not_there_at_all() {
    let here = folder("files");
    let small = ["--set", "counted=moe-layer", "--set", "workload.batch.micro_batches=1"];
    let two = ["--seeds", "0..2", "--set", "workload.batch.micro_batches=1"];
    let trace = ["--workload", "moepp-1b", "--out", "run.pftrace"];
    let plot = ["--plot", "picture.svg"];
    let json =
        moesim(&here, &[&["run", "paper", "--set", "seeds=0..1", "--json"], &small[..]].concat());
    fs::write(here.join("run.json"), json.stdout).expect("a file of ours");
    for (args, file) in [
        (
            [&["run", "paper", "--set", "seeds=0..1", "--plot", "drawn"], &small[..]].concat(),
            "gain.svg",
        ),
        ([&["timeline", "paper"], &trace[..], &small].concat(), "run.pftrace"),
        ([&["compare", "a100-4x8", "h100-4x8-rail"], &two[..], &plot].concat(), "picture.svg"),
        ([&["plan", "a100-4x8", "--layer-ms", "1.5"], &two[..], &plot].concat(), "picture.svg"),
        (vec!["plot", "run.json", "--out", "picture.svg"], "picture.svg"),
        (vec!["report", "run.json", "--out", "page.html"], "page.html"),
        (
            vec!["flows", "--pattern", "uniform", "--gpus", "16", "--plot", "picture.svg"],
            "picture.svg",
        ),
        (vec!["topology", "a100-4x8", "--svg", "picture.svg"], "picture.svg"),
        (vec!["gate", "show", "moepp-1b", "--export", "counts.csv"], "counts.csv"),
    ] {
        let before = names(&here);
        let message = told(&limited(&here, 2, &args));
        assert!(
            message.contains(file) && message.contains("File too large"),
            "{args:?}: {message}"
        );
        assert!(message.contains("\n  help: "), "{args:?}: {message}");
        // Not even the folder that was made for it.
        let after = names(&here);
        assert_eq!(before, after, "{args:?} left something behind");
        // With room it is all there.
        runs(&here, &args);
        let _ = fs::remove_dir_all(here.join("drawn"));
        for name in names(&here).iter().filter(|name| !before.contains(name)) {
            fs::remove_file(here.join(name)).expect("a file of the command");
        }
    }
}

#[test]
fn a_closed_or_full_standard_output_and_folders_that_are_files_are_said() {
    let here = folder("output");
    for args in [
        &["sweep", "plan.toml", "--out", "plan.toml/results"][..],
        &["run", "paper", "--set", "seeds=0..1", "--plot", "plan.toml/drawn"],
        &["timeline", "paper", "--workload", "moepp-1b", "--out", "plan.toml/run.pftrace"],
    ] {
        let message = told(&moesim(&here, args));
        assert!(
            message.contains("plan.toml/") && message.contains("help: "),
            "{args:?}: {message}"
        );
    }
    if !Path::new("/dev/full").exists() {
        skipped("no /dev/full here: a full standard output was not tried");
        return;
    }
    for args in [&["list"][..], &["topology", "a100-4x8", "--json"]] {
        let full = fs::OpenOptions::new().write(true).open("/dev/full").expect("/dev/full");
        let mut command = Command::new(env!("CARGO_BIN_EXE_moesim"));
        let output = command.args(args).stdout(full).output().expect("moesim starts");
        let message = told(&output);
        assert!(message.contains("output cannot be written: No space left"), "{args:?}: {message}");
    }
}

/// A tmpfs of this many KiB, unmounted when it goes; none where mounting is not allowed.
struct Disk(PathBuf);

impl Disk {
    fn of(folder: &Path, kib: u64) -> Option<Self> {
        let place = folder.join("disk");
        fs::create_dir_all(&place).expect("a folder of ours");
        let disk = Self(place);
        disk.mount(&format!("size={kib}k")).then_some(disk)
    }

    fn mount(&self, options: &str) -> bool {
        let mut mount = Command::new("mount");
        let mount = mount.args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(&self.0);
        mount.output().is_ok_and(|output| output.status.success())
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).output();
    }
}

#[test]
fn on_a_full_disk_nothing_is_lost_and_nothing_is_half_written() {
    let here = folder("tmpfs");
    runs(&here, &["sweep", "plan.toml", "--out", "whole", "--quiet"]);
    let journal = fs::metadata(here.join("whole/rows.jsonl")).expect("a journal").len();
    // Full in the middle of the journal; and with all rows kept but no room for the tables.
    for (kib, finished) in [(journal / 2048, false), (journal / 1024 + 12, true)] {
        let Some(disk) = Disk::of(&here, kib) else {
            skipped("no tmpfs can be mounted here (it needs root): a full disk was not tried");
            return;
        };
        let message = told(&moesim(&here, &["sweep", "plan.toml", "--out", "disk/cut", "--quiet"]));
        assert!(message.contains("No space left on device"), "{message}");
        assert!(message.contains("disk/cut/") && message.contains("help: "), "{message}");
        let left = names(&disk.0.join("cut"));
        assert!(left.iter().all(|name| !name.starts_with('.')), "{left:?}");
        assert!(!left.contains(&"results.csv".to_owned()), "{left:?}");
        let rows = fs::read_to_string(disk.0.join("cut/rows.jsonl")).expect("a journal");
        assert_eq!(rows.matches('\n').count() == 1 + 72, finished, "{kib} KiB");
        // Still full: the same message, and nothing lost.
        let again = ["sweep", "plan.toml", "--out", "disk/cut", "--resume", "--quiet"];
        assert!(told(&moesim(&here, &again)).contains("No space left on device"));
        assert!(disk.mount("remount,size=16m"), "a larger tmpfs");
        runs(&here, &again);
        assert!(results(&here.join("whole")) == results(&here.join("disk/cut")), "other bytes");
    }
}
