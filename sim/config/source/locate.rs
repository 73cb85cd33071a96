//! Keys of a TOML table and the places where they stand.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Lays `extra` over `table`: tables merge, anything else is replaced.
pub(super) fn merge<'i>(table: &mut DeTable<'i>, extra: DeTable<'i>) {
    for (key, value) in extra {
        let name: &str = key.get_ref();
        match (table.get_mut(name).map(Spanned::get_mut), value.get_ref()) {
            (Some(DeValue::Table(old)), DeValue::Table(_)) => {
                if let DeValue::Table(new) = value.into_inner() {
                    merge(old, new);
                }
            }
            _ => {
                table.remove(name);
                table.insert(key, value);
            }
        }
    }
}

/// The dotted key of the value (or of the key itself) at a byte offset.
pub(super) fn key_at(table: &DeTable<'_>, offset: usize) -> String {
    for (key, value) in table.iter() {
        let inner = match value.get_ref() {
            DeValue::Table(inner) => key_at(inner, offset),
            DeValue::Array(items) => items
                .iter()
                .enumerate()
                .find_map(|(i, item)| in_item(item, i, offset))
                .unwrap_or_default(),
            _ => String::new(),
        };
        let name = key.get_ref();
        if !inner.is_empty() {
            let dot = if inner.starts_with('[') { "" } else { "." };
            return format!("{name}{dot}{inner}");
        }
        if key.span().contains(&offset) || value.span().contains(&offset) {
            return name.to_string();
        }
    }
    String::new()
}

/// Where the value of a dotted key stands, or that of the innermost table around it. A step may hold dots
/// itself, as in `vary."batch.tokens"`: the shortest that is a key counts.
pub(super) fn span_of(table: &DeTable<'_>, key: &str) -> Option<Range<usize>> {
    let dots = key.match_indices('.').map(|(at, _)| at).chain([key.len()]);
    let mut steps = dots.map(|at| (&key[..at], key[at..].trim_start_matches('.')));
    let (mut value, nth, rest) = steps.find_map(|(step, rest)| {
        let (name, nth) = match step.split_once('[') {
            Some((name, nth)) => (name, nth.trim_end_matches(']').parse::<usize>().ok()),
            None => (step, None),
        };
        Some((table.get(name)?, nth, rest))
    })?;
    if let (Some(nth), DeValue::Array(items)) = (nth, value.get_ref()) {
        value = items.get(nth)?;
    }
    let inner = match value.get_ref() {
        DeValue::Table(inner) if !rest.is_empty() => span_of(inner, rest),
        _ => None,
    };
    Some(inner.unwrap_or_else(|| value.span()))
}

fn in_item(item: &Spanned<DeValue<'_>>, i: usize, offset: usize) -> Option<String> {
    if let DeValue::Table(inner) = item.get_ref() {
        let inner = key_at(inner, offset);
        if !inner.is_empty() {
            return Some(format!("[{i}].{inner}"));
        }
    }
    item.span().contains(&offset).then(|| format!("[{i}]"))
}

/// The dotted key of the table that stands at a span; empty for the whole file.
pub(super) fn table_at(whole: &Spanned<DeTable<'_>>, span: &Range<usize>) -> Option<String> {
    if whole.span() == *span {
        return Some(String::new());
    }
    within(whole.get_ref(), span)
}

fn within(table: &DeTable<'_>, span: &Range<usize>) -> Option<String> {
    table.iter().find_map(|(key, value)| {
        let name = key.get_ref();
        let of_item = |(nth, item): (usize, &Spanned<DeValue<'_>>)| {
            of_value(item, span).map(|rest| format!("{name}[{nth}]{rest}"))
        };
        match value.get_ref() {
            DeValue::Array(items) => items.iter().enumerate().find_map(of_item),
            _ => of_value(value, span).map(|rest| format!("{name}{rest}")),
        }
    })
}

/// What follows the name of a value: nothing where the value itself is the table that is looked for.
fn of_value(value: &Spanned<DeValue<'_>>, span: &Range<usize>) -> Option<String> {
    let DeValue::Table(inner) = value.get_ref() else { return None };
    if value.span() == *span {
        return Some(String::new());
    }
    within(inner, span).map(|rest| format!(".{rest}"))
}

/// The keys of the table at a span.
pub(super) fn keys_at(table: &DeTable<'_>, span: &Range<usize>) -> Vec<String> {
    for value in table.values() {
        if let DeValue::Table(inner) = value.get_ref() {
            if value.span() == *span {
                return inner.keys().map(|key| key.get_ref().to_string()).collect();
            }
            let found = keys_at(inner, span);
            if !found.is_empty() {
                return found;
            }
        }
    }
    Vec::new()
}
