//! Are arguments that cannot be meant refused by what they were given to?
//!
//! A pass says that negative values reach their options and that devices are not read. `cli/arguments/negative.rs` tries the
//! former with every option of every command.

#[cfg(unix)]
use crate::program::refused;
use crate::program::{folder, moesim};

#[cfg(unix)]
#[test]
fn what_never_ends_is_not_read() {
    let here = folder("arguments-endless");
    for args in [
        &["report", "/dev/zero", "--out", "r.html"][..],
        &["plot", "/dev/zero"],
        &["flows", "/dev/zero"],
        &["flows", "--matrix", "/dev/zero"],
        &["reproduce", "/dev/zero"],
        &["plan", "a100-4x8", "--layer-ms", "1", "--quality", "/dev/zero"],
    ] {
        let told = refused(&here, args);
        assert!(told.contains("/dev/zero: is not a regular file"), "{args:?}: {told}");
    }
}

/// Values that begin with a minus are refused by the option that they were given to.
#[test]
fn negative_values_are_refused_by_what_they_are_given_to() {
    let here = folder("arguments-negative");
    for (args, said) in [
        (&["flows", "--pattern", "lognormal", "--epsilon", "-1"][..], "-1 is not a relative error"),
        (&["flows", "--pattern", "lognormal", "--sigma", "-1"], "a log-normal σ of -1"),
        (&["flows", "--pattern", "uniform", "--threads", "-1"], "give a whole number"),
        (&["flows", "--pattern", "uniform", "--bytes", "-1 MiB"], "is out of range for a size"),
        (&["layouts", "h100-4x8-rail", "--tokens", "-1"], "give a whole number from 1"),
        (&["gate", "show", "moepp-1b", "--factors", "-1"], "--factors"),
    ] {
        let told = String::from_utf8(moesim(&here, args).stderr).expect("UTF-8");
        assert!(told.contains(said) && !told.contains("unexpected argument"), "{args:?}: {told}");
    }
}
