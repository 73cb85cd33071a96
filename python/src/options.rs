//! Options by name: each read by the rule that the command line reads it by.

use std::collections::BTreeMap;
use std::path::PathBuf;

use moesim::base::near::{did_you_mean, nearest};
use moesim::config::Diagnostic;

/// What was given, by name; each option is taken once.
pub struct Options {
    command: String,
    given: BTreeMap<String, Vec<String>>,
    asked: Vec<&'static str>,
}

type Rule<T> = fn(&str) -> Result<T, String>;

impl Options {
    pub fn new(command: &str, given: Vec<(String, Vec<String>)>) -> Self {
        Self { command: command.to_owned(), given: given.into_iter().collect(), asked: Vec::new() }
    }

    /// All values of an option.
    pub fn many<T>(&mut self, name: &'static str, rule: Rule<T>) -> Result<Vec<T>, Diagnostic> {
        self.asked.push(name);
        let values = self.given.remove(name).unwrap_or_default();
        let read = |value: &String| {
            rule(value).map_err(|help| Diagnostic {
                key: name.to_owned(),
                ..Diagnostic::of("", format!("`{value}` does not fit"), help)
            })
        };
        values.iter().map(read).collect()
    }

    /// The value of an option, if it is given.
    pub fn one<T>(&mut self, name: &'static str, rule: Rule<T>) -> Result<Option<T>, Diagnostic> {
        Ok(self.many(name, rule)?.into_iter().next_back())
    }

    /// The value of an option that must be given.
    pub fn must<T>(&mut self, name: &'static str, rule: Rule<T>) -> Result<T, Diagnostic> {
        self.one(name, rule)?.ok_or_else(|| Diagnostic {
            key: name.to_owned(),
            ..Diagnostic::of("", "is not given", "name one")
        })
    }

    /// Whether a flag is set.
    pub fn flag(&mut self, name: &'static str) -> Result<bool, Diagnostic> {
        Ok(self.one(name, truth)?.unwrap_or(false))
    }

    /// Refuses what no option is.
    pub fn done(self) -> Result<(), Diagnostic> {
        let Some((name, _)) = self.given.into_iter().next() else { return Ok(()) };
        let near = nearest(&name, self.asked.iter().copied());
        let help = match near.is_empty() {
            true => format!("options of {}: {}", self.command, self.asked.join(", ")),
            false => did_you_mean(&near),
        };
        let found = format!("{} has no such option", self.command);
        Err(Diagnostic { key: name, ..Diagnostic::of("", found, help) })
    }
}

/// Any text.
pub fn text(value: &str) -> Result<String, String> {
    Ok(value.to_owned())
}

/// Any path.
pub fn path(value: &str) -> Result<PathBuf, String> {
    Ok(PathBuf::from(value))
}

/// A number.
pub fn number(value: &str) -> Result<f64, String> {
    value.trim().parse().map_err(|_| "give a number".to_owned())
}

/// A whole number from 0.
pub fn whole(value: &str) -> Result<u64, String> {
    value.trim().parse().map_err(|_| "give a whole number from 0".to_owned())
}

/// Threads: a whole number from 1 to 1024.
pub fn threads(value: &str) -> Result<usize, String> {
    let number = value.trim().parse().ok().filter(|number| (1..=1024).contains(number));
    number.ok_or_else(|| "give a whole number from 1 to 1024".to_owned())
}

fn truth(value: &str) -> Result<bool, String> {
    value.parse().map_err(|_| "give True or False".to_owned())
}
