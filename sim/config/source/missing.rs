//! Keys that a table lacks, all at once, each with a sample value.
//!
//! serde reports the first key that is missing. We put a sample in its place, read again, and go on until
//! what is missing is elsewhere: so the list is that of the layout, and no second list must be kept.

use serde::de::DeserializeOwned;
use toml::{Table, Value};

use super::samples::sample;

/// More keys than any table has.
const MOST: usize = 64;

/// The keys that the table at a dotted key lacks, in the order of the layout `T`, and what to add.
pub(super) fn missing<T: DeserializeOwned>(
    mut whole: Table,
    key: &str,
    first: &str,
) -> (String, String) {
    let (mut names, mut samples) = (vec![first.to_owned()], Table::new());
    while names.len() < MOST {
        let name = names.last().expect("begins with one").clone();
        let Some(value) = sample(key, &name) else { break };
        samples.insert(name.clone(), value.clone());
        let Some(place) = table_mut(&mut whole, key) else { break };
        place.insert(name, value);
        let Err(error) = toml::to_string(&whole).map_or(Ok(()), |text| read::<T>(&text, key))
        else {
            break;
        };
        names.push(error);
    }
    let has_tables = |value: &Value| value.is_table() || is_list_of_tables(value);
    let is_table = |name: &String| samples.get(name).is_some_and(has_tables);
    let quoted = |name: &String| {
        let full = if key.is_empty() { name.clone() } else { format!("{key}.{name}") };
        if is_table(name) { format!("[{full}]") } else { format!("`{name}`") }
    };
    let found = match &names[..] {
        [one] if is_table(one) => format!("the table {} is missing", quoted(one)),
        [one] => format!("the key {} is missing", quoted(one)),
        many => {
            let all: Vec<String> = many.iter().map(quoted).collect();
            format!("these are missing: {}", all.join(", "))
        }
    };
    let lines = lines_of(key, &samples);
    let help = match lines.is_empty() {
        true => format!("add `{}`", names[0]),
        false => format!("add, for example:\n  {}", lines.trim_end().replace('\n', "\n  ")),
    };
    (found, help)
}

/// What to add to a table that the file itself has not, so that overrides alone begin it.
pub(super) fn of_overridden((name, text): (&str, &str), key: &str, help: String) -> String {
    let own = text.parse::<Table>().ok();
    let has = own.is_none_or(|mut own| key.is_empty() || table_mut(&mut own, key).is_some());
    let Some(lines) = help.strip_prefix("add, for example:").filter(|_| !has) else { return help };
    format!(
        "`{name}` has no [{key}] to override: name another that has, or override the rest too, for example:{lines}"
    )
}

/// The next key that the same table lacks, if the text is refused for that.
fn read<T: DeserializeOwned>(text: &str, key: &str) -> Result<(), String> {
    let Err(error) = toml::from_str::<T>(text) else { return Ok(()) };
    let name =
        error.message().strip_prefix("missing field `").and_then(|rest| rest.strip_suffix('`'));
    let Some(name) = name else { return Ok(()) };
    let whole = toml::de::DeTable::parse(text).ok();
    let place =
        whole.zip(error.span()).and_then(|(whole, span)| super::locate::table_at(&whole, &span));
    if place.as_deref() == Some(key) { Err(name.to_owned()) } else { Ok(()) }
}

/// The table at a dotted key, such as `compare[1]`.
fn table_mut<'t>(whole: &'t mut Table, key: &str) -> Option<&'t mut Table> {
    let mut at = whole;
    for step in key.split('.').filter(|step| !step.is_empty()) {
        let (name, nth) = match step.split_once('[') {
            Some((name, nth)) => (name, nth.trim_end_matches(']').parse::<usize>().ok()),
            None => (step, None),
        };
        let mut value = at.get_mut(name)?;
        if let Some(nth) = nth {
            value = value.as_array_mut()?.get_mut(nth)?;
        }
        at = value.as_table_mut()?;
    }
    Some(at)
}

fn is_list_of_tables(value: &Value) -> bool {
    value.as_array().is_some_and(|items| items.iter().any(Value::is_table))
}

/// The samples as lines of the table at a key: values first, then tables with their full names.
fn lines_of(key: &str, samples: &Table) -> String {
    let (tables, values): (Vec<_>, Vec<_>) =
        samples.iter().partition(|(_, value)| value.is_table() || is_list_of_tables(value));
    let mut lines: String =
        values.into_iter().map(|(name, value)| format!("{name} = {value}\n")).collect();
    for (name, value) in tables {
        let mut nested = Table::from_iter([(name.clone(), value.clone())]);
        // Full names: tables in lists are named by their header alone.
        for step in key.rsplit('.').filter(|step| !step.is_empty() && !step.contains('[')) {
            nested = Table::from_iter([(step.to_owned(), Value::Table(nested))]);
        }
        lines.push_str(&toml::to_string(&nested).unwrap_or_default());
    }
    lines
}
