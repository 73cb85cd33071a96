//! Values that begin with a minus: `--epsilon -1` means `--epsilon=-1`.
//!
//! To clap `-1` behind an option is another option, unless each says otherwise, and a size as `-1 MiB` always is. So it is
//! joined to its option before the line is parsed, for all options of all commands, and refused by what refuses it there.

/// The words of a command line, each negative number joined to the option before it.
pub(crate) fn joined(words: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut joined: Vec<String> = Vec::new();
    let mut options = true;
    for word in words {
        options &= word != "--";
        match joined.last_mut() {
            Some(option) if options && is_negative(&word) && is_bare_option(option) => {
                option.push('=');
                option.push_str(&word);
            }
            _ => joined.push(word),
        }
    }
    joined
}

/// `-1`, `-.5`, `-1 MiB`; no option of moesim begins so.
fn is_negative(word: &str) -> bool {
    let number = word.strip_prefix('-').map(|number| number.strip_prefix('.').unwrap_or(number));
    number.is_some_and(|number| number.starts_with(|digit: char| digit.is_ascii_digit()))
}

fn is_bare_option(word: &str) -> bool {
    word.starts_with("--") && word.len() > 2 && !word.contains('=')
}

#[cfg(test)]
mod tests {
    use clap::error::ErrorKind;
    use clap::{Command, CommandFactory};

    use super::joined;
    use crate::Cli;

    /// Every option with a value, behind its command's words.
    fn options(command: &Command, path: &[String], found: &mut Vec<Vec<String>>) {
        for argument in command.get_arguments().filter(|one| one.get_action().takes_values()) {
            let option = argument.get_long().map(|long| format!("--{long}"));
            found.extend(option.map(|option| [path, &[option]].concat()));
        }
        for own in command.get_subcommands() {
            options(own, &[path, &[own.get_name().to_owned()]].concat(), found);
        }
    }

    #[test]
    fn every_option_is_given_a_negative_value_as_its_own() {
        let mut found = Vec::new();
        options(&Cli::command(), &["moesim".to_owned()], &mut found);
        assert!(found.len() > 150, "{} options", found.len());
        for option in found {
            for value in ["-1", "-.5", "-1 MiB", "-1,2"] {
                let words = joined(option.iter().cloned().chain([value.to_owned()]));
                let told = Cli::command().try_get_matches_from(words);
                let Err(error) = told else { continue };
                assert_ne!(error.kind(), ErrorKind::UnknownArgument, "{option:?} {value}: {error}");
            }
        }
    }

    #[test]
    fn nothing_else_is_joined() {
        let kept = ["moesim", "flows", "-", "--json", "--bytes=1 MiB", "-1", "--", "--sigma", "-1"];
        let kept = kept.map(str::to_owned);
        assert_eq!(joined(kept.clone()), kept);
    }
}
