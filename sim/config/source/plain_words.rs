//! Messages of the TOML reader in the words of users.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::DeTable;

use super::HELP_FOLLOWS;
use crate::base::near::advice;

/// Separates what was found from how to fix it in the message of a quantity or of serde. `key` is that of
/// the value, where it is known.
pub(super) fn in_plain_words(message: &str, key: &str) -> (String, String) {
    if let Some((found, help)) = message.split_once(HELP_FOLLOWS) {
        return (found.to_owned(), help.to_owned());
    }
    for (start, what, list) in [
        ("unknown field ", "unknown key", "known keys here"),
        ("unknown variant ", "unknown choice", "choose from"),
    ] {
        if let Some(rest) = message.strip_prefix(start) {
            // The name may hold anything, the expected ones are ours.
            let (name, known) = rest.rsplit_once(", expected ").unwrap_or((rest, ""));
            let name = name.trim_end_matches(", there are no fields").trim_matches('`');
            let known: Vec<&str> = known.split('`').skip(1).step_by(2).collect();
            return (format!("{what} `{name}`"), advice(name, list, &known));
        }
    }
    if let Some(name) = message.strip_prefix("missing field ") {
        return (format!("the key {name} is missing"), format!("add {name}"));
    }
    for start in ["invalid type: ", "invalid value: "] {
        if let Some((found, expected)) =
            message.strip_prefix(start).and_then(|rest| rest.split_once(", expected "))
        {
            return (format!("found {}", value(found)), wanted(found, expected, key));
        }
    }
    if message == "wanted string or table" {
        return (
            "is no text".to_owned(),
            "give one of the choices as a text in \"quotes\"".to_owned(),
        );
    }
    let said = message.replace('\n', "; ");
    let help = SYNTAX.iter().find(|(part, _)| said.contains(part)).map_or(TOML, |(_, help)| help);
    (said, help.to_owned())
}

const LIST: &str = "give a list in brackets";

/// What to write where a list of the one value found would be refused in its turn: what a list may hold.
pub(super) fn refused_in_list<T: DeserializeOwned>(
    (whole, key): (&Spanned<DeTable<'_>>, &str),
    (found, help): (&str, &str),
) -> Option<String> {
    if !help.starts_with(LIST) {
        return None;
    }
    let mut tried = toml::Table::deserialize(toml::Deserializer::from(whole.clone())).ok()?;
    let mut steps: Vec<&str> = key.split('.').collect();
    let name = steps.pop()?;
    let mut table = &mut tried;
    for step in steps {
        table = table.get_mut(step)?.as_table_mut()?;
    }
    let value = table.get_mut(name)?;
    *value = toml::Value::Array(vec![value.clone()]);
    // As text: the layouts that files have are then compiled for one reader of TOML, not for two.
    let text = toml::to_string(&tried).ok()?;
    let error = toml::from_str::<T>(&text).err()?;
    let (again, help) = in_plain_words(error.message(), key);
    (again == found).then(|| format!("write {name} = […], a list in brackets; in it {help}"))
}

/// A value as its file has it: serde says ``floating point `0.5` ``.
fn value(found: &str) -> String {
    for kind in ["floating point ", "integer ", "boolean "] {
        if let Some(number) = found.strip_prefix(kind) {
            let number = number.split(" as ").next().unwrap_or_default();
            return number.trim_matches('`').to_owned();
        }
    }
    match found {
        "map" => "a table".to_owned(),
        "sequence" => "a list".to_owned(),
        _ => found.replacen("string ", "the text ", 1),
    }
}

/// What to write instead: serde expects `a sequence`.
fn wanted(found: &str, expected: &str, key: &str) -> String {
    let name = key.rsplit('.').next().unwrap_or_default();
    match expected {
        "a sequence" => {
            let name = if name.is_empty() { "key" } else { name };
            let found = value(found);
            let found = found.strip_prefix("the text ").unwrap_or(&found);
            if found.starts_with("\"[") {
                return format!("end the list with `]`: {name} = […]");
            }
            let found = if found.starts_with("a ") { "…" } else { found };
            format!("{LIST}: {name} = [{found}]")
        }
        "a string" => "give a text in \"quotes\"".to_owned(),
        "a boolean" => "give true or false".to_owned(),
        "a map" => format!("give a table: [{key}] on a line of its own, its keys below"),
        "f64" => "give a number".to_owned(),
        _ if expected.starts_with("struct ") => {
            format!("give a table: [{key}] on a line of its own, its keys below")
        }
        _ if matches!(expected, "u8" | "u16" | "u32" | "u64" | "usize") => {
            "give a whole number, not below zero".to_owned()
        }
        _ => format!("give {expected}"),
    }
}

/// What TOML looks like, for mistakes that have no better word.
const TOML: &str = "a line is `key = value` or `[table]`; texts stand in \"quotes\", lists in [brackets], \
                    decimal numbers have digits before and after the point";

/// Parts of messages of the TOML reader, and what to do; the first that is found counts.
const SYNTAX: [(&str, &str); 10] = [
    ("keys cannot be empty", "write the key before the `=`: key = value"),
    ("duplicate key", "give each key and each table once: remove one of the two, or rename it"),
    ("must be quoted", "put texts and quantities into \"quotes\": \"fp8\", \"450 GB/s\""),
    (
        "string",
        "end the text with the quote that it begins with, on the same line; write \\\\ for a backslash",
    ),
    ("key with no value", "write `key = value`"),
    ("unquoted", "put texts and quantities into \"quotes\": \"fp8\", \"450 GB/s\""),
    ("boolean", "write true or false, in small letters, and put texts into \"quotes\""),
    ("mantissa", "write decimal numbers with digits before and after the point: 0.5"),
    ("array", "end the list with `]`, with commas between its values"),
    ("table", "write `[table]` on a line of its own, or `{ key = value }` on one line"),
];
