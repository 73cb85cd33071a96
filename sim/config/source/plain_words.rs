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
    let said = message.replace('\n', "; ");
    let help = SYNTAX.iter().find(|(part, _)| said.contains(part)).map_or(TOML, |(_, help)| help);
    match said.strip_prefix("wanted exactly 1 element") {
        Some(_) => ("names no choice, or several".to_owned(), ONE.to_owned()),
        None => (said, help.to_owned()),
    }
}

const ONE: &str = "name exactly one of the choices that the documentation of this key lists";

/// What TOML looks like, for mistakes that have no better word.
const TOML: &str = "a line is `key = value` or `[table]`; texts stand in \"quotes\", lists in [brackets], \
                    decimal numbers have digits before and after the point";

/// Parts of messages of the TOML reader, and what to do.
const SYNTAX: [(&str, &str); 6] = [
    ("duplicate key", "give each key and each table once: remove one of the two, or rename it"),
    (
        "string",
        "end the text with the quote that it begins with, on the same line; write \\\\ for a backslash",
    ),
    ("key with no value", "write `key = value`"),
    ("unquoted", "put texts into \"quotes\""),
    ("array", "end the list with `]`, with commas between its values"),
    ("table", "write `[table]` on a line of its own, or `{ key = value }` on one line"),
];
