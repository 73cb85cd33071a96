//! Messages of the TOML reader in the words of users.

use super::HELP_FOLLOWS;

/// Separates what was found from how to fix it in the message of a quantity or of serde.
pub(super) fn in_plain_words(message: &str) -> (String, String) {
    if let Some((found, help)) = message.split_once(HELP_FOLLOWS) {
        return (found.to_owned(), help.to_owned());
    }
    if let Some(rest) = message.strip_prefix("unknown field ") {
        let (name, known) = rest.split_once(", ").unwrap_or((rest, ""));
        let known = known.trim_start_matches("expected one of ").trim_start_matches("expected ");
        return (format!("unknown key {name}"), format!("known keys here: {known}"));
    }
    if let Some(rest) = message.strip_prefix("unknown variant ") {
        let (name, known) = rest.split_once(", ").unwrap_or((rest, ""));
        let known = known.trim_start_matches("expected one of ").trim_start_matches("expected ");
        return (format!("unknown choice {name}"), format!("choose from: {known}"));
    }
    if let Some(name) = message.strip_prefix("missing field ") {
        return (format!("the key {name} is missing"), format!("add {name}"));
    }
    if let Some(rest) = message.strip_prefix("invalid type: ")
        && let Some((found, expected)) = rest.split_once(", expected ")
    {
        return (format!("found {found}"), format!("give {expected}"));
    }
    if let Some(rest) = message.strip_prefix("invalid value: ")
        && let Some((found, expected)) = rest.split_once(", expected ")
    {
        return (format!("found {found}"), format!("give {expected}"));
    }
    (message.replace('\n', "; "), String::new())
}
