//! Do built-in files and new ones serve as they are, and does what is listed fit a terminal?
//!
//! A pass says that `check` accepts every file that is built in and every file that `new` writes, that `show`
//! prints files as they are, and that lists and help texts stay within 80 columns.

use std::fs;
use std::path::Path;

use crate::program::{folder, moesim};

fn told(args: &[&str]) -> String {
    let output = moesim(Path::new(env!("CARGO_TARGET_TMPDIR")), args);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// Names in `moesim list`, each with the heading that it stands under.
fn listed() -> Vec<(String, String)> {
    let (mut heading, mut names) = (String::new(), Vec::new());
    let mut in_columns = false;
    for line in told(&["list"]).lines().filter(|line| !line.is_empty()) {
        let indent = line.len() - line.trim_start().len();
        let word = line.split_whitespace().next().expect("a word").to_owned();
        match indent {
            0 => {
                heading = word;
                in_columns = line.contains(" imported ");
            }
            2 if in_columns => {
                let words = line.split_whitespace();
                names.extend(words.map(|word| (heading.clone(), word.to_owned())));
            }
            2 => names.push((heading.clone(), word)),
            _ => {}
        }
    }
    names
}

#[test]
fn every_built_in_file_is_sound_and_shown_as_it_is() {
    let names = listed();
    assert!(names.len() > 90, "{names:?}");
    for (heading, name) in &names {
        let checked = told(&["check", name]);
        let kind = heading.trim_end_matches("ies").trim_end_matches('s');
        let kind = checked.contains(&format!("a sound {kind}"));
        assert!(kind, "{name} under {heading}: {checked}");
    }
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (name, file) in [
        ("paper", "scenarios/paper.toml"),
        ("a100-4x8", "topologies/a100-4x8.toml"),
        ("moepp-1b", "workloads/moepp-1b.toml"),
        ("h100-sxm", "calibrate/profiles/h100-sxm.toml"),
        ("moepp-loop", "calibrate/overheads/moepp-loop.toml"),
        ("prices", "topologies/prices.toml"),
    ] {
        let text = fs::read_to_string(shipped.join(file)).expect("a shipped file");
        assert_eq!(told(&["show", name]), text, "{name}");
    }
}

#[test]
fn what_new_writes_is_sound_and_is_not_written_over() {
    let here = folder("files-new");
    for kind in ["topology", "workload", "scenario", "plan"] {
        let file = format!("{kind}.toml");
        let output = moesim(&here, &["new", kind, "--out", &file]);
        assert!(output.status.success(), "{kind}: {}", String::from_utf8_lossy(&output.stderr));
        let text = fs::read_to_string(here.join(&file)).expect("a new file");
        assert_eq!(told(&["new", kind]), text);
        let widest = text.lines().map(|line| line.chars().count()).max();
        assert!(widest <= Some(102), "{kind}: {widest:?} columns");
        let output = moesim(&here, &["check", &file]);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let mistake = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{kind}: {mistake}");
        assert!(said.contains(&format!("{kind}: ")), "guessed from its keys: {said}");
        assert!(!moesim(&here, &["new", kind, "--out", &file]).status.success());
        assert_eq!(fs::read_to_string(here.join(&file)).expect("kept"), text);
    }
    // The plan in the repository's own notebooks is one too.
    let plans = Path::new(env!("CARGO_MANIFEST_DIR")).join("notebooks/plans");
    for plan in fs::read_dir(plans).expect("plans").flatten() {
        let path = plan.path();
        assert!(told(&["check", path.to_str().expect("UTF-8")]).contains("a sound sweep plan: "));
    }
}

#[test]
fn lists_and_help_texts_stay_within_80_columns() {
    let help = told(&["--help"]);
    let commands = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let commands = commands.take_while(|line| !line.is_empty());
    let names: Vec<&str> =
        commands.filter_map(|line| line.strip_prefix("  ")?.split(' ').next()).collect();
    let names = names.into_iter().filter(|name| !name.is_empty() && *name != "help");
    let mut texts = vec![told(&["list"]), help.clone()];
    texts.extend(names.map(|name| told(&[name, "--help"])));
    assert!(texts.len() > 20, "{} texts", texts.len());
    for line in texts.iter().flat_map(|text| text.lines()) {
        assert!(line.chars().count() <= 80, "{} columns: {line}", line.chars().count());
    }
}
