//! Tables of slots by domain, layer and expert, from CSV.

use std::path::Path;

use crate::config::{Diagnostic, Kind};
use crate::gate::domains::DomainCounts;

/// The columns that are read; `layer_slot` stands for `layer` where a table names it so.
const COLUMNS: [&str; 4] = ["domain", "layer", "expert", "count"];
const HELP: &str = "give the columns domain, layer (or layer_slot), expert and count; model and kind \
                    are read where they are there";

/// Reads the counts of one model and kind; all rows where a table has no such columns.
///
/// # Errors
/// If the file is no such table, or not of the same experts in every domain and layer.
pub fn read_domain_counts(
    path: &Path,
    model: Option<&str>,
    kind: &str,
) -> Result<DomainCounts, Diagnostic> {
    let place = path.display().to_string();
    let text = std::fs::read_to_string(path)
        .map_err(|e| Diagnostic::of(&place, format!("cannot be read: {e}"), HELP))?;
    let table = (&*place, &*text);
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text.as_bytes());
    let of_csv = |e: csv::Error| Diagnostic::of_csv(table, &e, HELP);
    let header = reader.headers().map_err(of_csv)?.clone();
    let at = |name: &str| header.iter().position(|column| column == name);
    let mut places = [0; 4];
    for (at_column, name) in places.iter_mut().zip(COLUMNS) {
        let also = if name == "layer" { at("layer_slot") } else { None };
        let Some(found) = at(name).or(also) else {
            let other = Kind::misplaced(&place, &text);
            return Err(other.unwrap_or_else(|| Diagnostic::without_column(table, name, HELP)));
        };
        *at_column = found;
    }
    let (of_model, of_kind) = (at("model"), at("kind"));
    let mut rows: Vec<(String, u32, usize, u64)> = vec![];
    let mut models: Vec<String> = vec![];
    for record in reader.records() {
        let record = record.map_err(of_csv)?;
        let line = record.position().map_or(1, |at| at.line() as usize);
        let text_of = |column: Option<usize>| column.and_then(|column| record.get(column));
        if let Some(name) =
            text_of(of_model).filter(|name| !models.iter().any(|known| known == name))
        {
            models.push(name.to_owned());
        }
        let wanted = text_of(of_model).is_none_or(|name| model.is_none_or(|model| model == name))
            && text_of(of_kind).is_none_or(|name| name == kind);
        if !wanted {
            continue;
        }
        let number = |column: usize, most: u64| {
            let text = record.get(places[column]).unwrap_or_default();
            text.parse::<u64>().ok().filter(|&n| n <= most).ok_or_else(|| {
                let name = header.get(places[column]).unwrap_or_default();
                let found = format!("`{text}` is not a whole number from 0 to {most}");
                Diagnostic::in_cell(table, (line, name), found, HELP)
            })
        };
        let domain = record.get(places[0]).unwrap_or_default().to_owned();
        let (layer, expert) = (number(1, 511)? as u32, number(2, 4_095)? as usize);
        rows.push((domain, layer, expert, number(3, 1 << 48)?));
    }
    if model.is_none() && models.len() > 1 {
        let help = format!("name one by --model: {}", models.join(", "));
        return Err(Diagnostic::of(place, format!("holds {} models", models.len()), help));
    }
    assemble(&rows).map_err(|found| Diagnostic::of(&place, found, HELP))
}

fn assemble(rows: &[(String, u32, usize, u64)]) -> Result<DomainCounts, String> {
    let (mut domains, mut layers, mut experts) = (vec![], vec![], 0);
    for (domain, layer, expert, _) in rows {
        if !domains.contains(domain) {
            domains.push(domain.clone());
        }
        if !layers.contains(layer) {
            layers.push(*layer);
        }
        experts = experts.max(expert + 1);
    }
    layers.sort_unstable();
    if domains.is_empty() || experts < 2 {
        return Err(format!(
            "has {} rows that count, of {experts} experts; it takes counts of two experts at least",
            rows.len()
        ));
    }
    let mut slots = vec![vec![vec![0; experts]; layers.len()]; domains.len()];
    let mut seen = 0;
    for (domain, layer, expert, count) in rows {
        let m = domains.iter().position(|known| known == domain);
        let l = layers.iter().position(|known| known == layer);
        if let (Some(m), Some(l)) = (m, l) {
            slots[m][l][*expert] += count;
            seen += 1;
        }
    }
    if rows.iter().all(|(.., count)| *count == 0) {
        return Err("counts nothing: every count is 0".to_owned());
    }
    if seen != rows.len() || rows.len() > domains.len() * layers.len() * experts {
        return Err("counts an expert twice in a domain and layer".to_owned());
    }
    Ok(DomainCounts { domains, layers, slots })
}
