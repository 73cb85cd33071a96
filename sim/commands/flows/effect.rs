//! Options that say how flows are made up, where flows come from elsewhere: what has no effect is refused.

use super::{DEFAULT_TOPOLOGY, Options};
use crate::base::choice::Choice;
use crate::config::Diagnostic;
use crate::network::traffic::PatternKind;

/// Refuses the first option that would change nothing.
pub(super) fn refuse_without_effect(options: &Options) -> Result<(), Diagnostic> {
    let file = options.file.is_some();
    let what = match (file, options.pattern) {
        (true, _) => "flows of a file".to_owned(),
        (false, Some(kind)) => format!("--pattern {}", kind.word()),
        (false, None) => "flows of a --matrix".to_owned(),
    };
    let made = !file && options.pattern.is_some();
    let drawn = made && options.pattern == Some(PatternKind::Lognormal);
    // The default cluster is as large as --gpus says.
    let sized = made || options.topology == DEFAULT_TOPOLOGY;
    let given = [
        ("--bytes", options.bytes.is_some(), !file, "leave it out: the file says the bytes"),
        ("--sigma", options.sigma.is_some(), drawn, "leave it out: of --pattern lognormal alone"),
        ("--seed", options.seed.is_some(), drawn, "leave it out: of --pattern lognormal alone"),
        ("--group", options.group.is_some(), made, "leave it out: of a --pattern alone"),
        (
            "--gpus",
            options.gpus.is_some(),
            sized,
            "leave it out; what changes the size of a cluster is --set nodes.count",
        ),
    ];
    match given.iter().find(|(_, given, has_effect, _)| *given && !has_effect) {
        Some((option, _, _, help)) => {
            Err(Diagnostic::of(*option, format!("has no effect on {what}"), *help))
        }
        None => Ok(()),
    }
}
