//! What stands beside the samples: whose they are, and what to be wary of.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use super::super::backend::DeviceFacts;
use super::super::numbers::Format;
use super::super::samples::Sample;
use super::plan::Plan;
use super::write_atomically;

/// The file that says which device a folder's samples are of.
pub const DEVICE_FILE: &str = "device.txt";
const WARNINGS_FILE: &str = "warnings.txt";
const PLAN_FILE: &str = "plan.txt";

/// Whose samples these are: a folder holds those of one device, backend and format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    lines: Vec<(&'static str, String)>,
}

/// Keys by which two sessions must agree to share a folder.
const KEYS: [&str; 3] = ["device", "backend", "format"];

impl Identity {
    /// Of this device, measured in this format.
    #[must_use]
    pub fn of(facts: &DeviceFacts, format: Format) -> Self {
        let known = |x: Option<u64>| x.map_or_else(|| "unknown".to_owned(), |x| x.to_string());
        Self {
            lines: vec![
                ("device", facts.name.clone()),
                ("backend", facts.backend.clone()),
                ("format", format.name().to_owned()),
                ("driver", facts.driver.clone()),
                ("clock", facts.clock.name().to_owned()),
                ("software", facts.software.to_string()),
                ("memory_bytes", known(facts.memory)),
                ("cache_bytes", facts.cache.to_string()),
                ("sms", known(facts.sms.map(u64::from))),
                ("date", date()),
                ("calibrate", env!("CARGO_PKG_VERSION").to_owned()),
                ("commit", commit().to_owned()),
            ],
        }
    }

    /// One entry.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.lines.iter().find(|(k, _)| *k == key).map(|(_, v)| v.as_str())
    }

    /// Whether kernels ran on the CPU, which other programs use too.
    #[must_use]
    pub fn is_software(&self) -> bool {
        self.get("software") == Some("true")
    }

    /// Makes the folder this device's, or finds that it already is.
    pub(super) fn claim(&self, folder: &Path) -> Result<(), String> {
        let file = folder.join(DEVICE_FILE);
        if let Some(before) = recorded(folder) {
            for key in KEYS {
                let (had, has) = (before.get(key), self.get(key));
                if had != has {
                    let (had, has) = (had.unwrap_or_default(), has.unwrap_or_default());
                    return Err(format!(
                        "{}: holds samples of {key} `{had}`, and this is `{has}`\n  help: name \
                         another folder with --out",
                        file.display()
                    ));
                }
            }
            return match before.also_by(self.get("commit").unwrap_or_default()) {
                Some(both) => both.write(&file),
                None => Ok(()),
            };
        }
        fs::create_dir_all(folder).map_err(|e| {
            format!(
                "{}: cannot be made: {e}\n  help: name a folder that you may write to, with --out",
                folder.display()
            )
        })?;
        self.write(&file)
    }

    fn write(&self, file: &Path) -> Result<(), String> {
        let mut text = String::new();
        for (key, value) in &self.lines {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{key} = {}", value.replace('\n', " "));
        }
        write_atomically(file, &text)
    }

    /// The same with a further commit that samples come from; none if it is among those there.
    fn also_by(mut self, commit: &str) -> Option<Self> {
        let known =
            self.lines.iter_mut().find(|(key, _)| *key == "commit").map(|(_, known)| known)?;
        if known.split("; ").any(|one| one == commit) {
            return None;
        }
        *known = format!("{known}; {commit}");
        Some(self)
    }
}

/// The commit that this program was built from, as its build script found it.
#[must_use]
pub fn commit() -> &'static str {
    option_env!("CALIBRATE_COMMIT").unwrap_or("unknown")
}

/// The identity that a folder records, if it does.
#[must_use]
pub fn recorded(folder: &Path) -> Option<Identity> {
    let text = fs::read_to_string(folder.join(DEVICE_FILE)).ok()?;
    let known = [
        "device",
        "backend",
        "format",
        "driver",
        "clock",
        "software",
        "memory_bytes",
        "cache_bytes",
        "sms",
        "date",
        "calibrate",
        "commit",
    ];
    let lines = text.lines().filter_map(|line| {
        let (key, value) = line.split_once(" = ")?;
        known.iter().find(|k| **k == key).map(|k| (*k, value.to_owned()))
    });
    Some(Identity { lines: lines.collect() })
}

/// Adds warnings to those that a folder already has.
pub(super) fn warn(folder: &Path, warnings: &[String]) -> Result<(), String> {
    if warnings.is_empty() {
        return Ok(());
    }
    let file = folder.join(WARNINGS_FILE);
    let mut text = fs::read_to_string(&file).unwrap_or_default();
    for warning in warnings {
        let line = warning.replace('\n', " ");
        if !text.lines().any(|known| known == line) {
            text.push_str(&line);
            text.push('\n');
        }
    }
    write_atomically(&file, &text)
}

/// Notes how many points each probe has: what is missing of a session that was cut off shows in it.
pub(super) fn plan(folder: &Path, plan: &Plan<'_>) -> Result<(), String> {
    let mut planned = planned(folder);
    for asked in &plan.asked {
        planned.insert(asked.probe.name(), asked.points.len());
    }
    let mut text =
        String::from("# Points of each probe that `calibrate measure` was asked for here.\n");
    for (probe, points) in planned {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{probe} = {points}");
    }
    write_atomically(&folder.join(PLAN_FILE), &text)
}

fn planned(folder: &Path) -> BTreeMap<String, usize> {
    let text = fs::read_to_string(folder.join(PLAN_FILE)).unwrap_or_default();
    let entry = |line: &str| {
        let (probe, points) = line.split_once(" = ")?;
        Some((probe.to_owned(), points.parse().ok()?))
    };
    text.lines().filter_map(entry).collect()
}

/// How much of what was planned was measured.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    /// Points planned.
    pub planned: usize,
    /// Samples there are.
    pub measured: usize,
    /// Probes with fewer samples than points, and how many of each.
    pub short: Vec<(String, usize, usize)>,
}

impl Coverage {
    /// In words: what was left out, or that nothing was.
    #[must_use]
    pub fn described(&self) -> String {
        let Self { planned, measured, short } = self;
        if short.is_empty() {
            return format!("all {planned} points that were planned");
        }
        let each: Vec<String> =
            short.iter().map(|(probe, has, of)| format!("{probe} {has} of {of}")).collect();
        format!("{measured} of {planned} points that were planned ({})", each.join(", "))
    }
}

/// What a folder's samples cover of what was planned there.
#[must_use]
pub fn coverage(folder: &Path, samples: &[Sample]) -> Coverage {
    let mut found = Coverage::default();
    for (probe, points) in planned(folder) {
        let has = samples.iter().filter(|sample| sample.probe == probe).count();
        found.planned += points;
        found.measured += has.min(points);
        if has < points {
            found.short.push((probe, has, points));
        }
    }
    found
}

/// Today, in UTC: 2026-01-31.
fn date() -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let days = now.map_or(0, |since| since.as_secs() / 86_400) as i64;
    // Days to a date by eras of 400 years, counted from 1 March of year 0.
    let shifted = days + 719_468;
    let (era, of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}
