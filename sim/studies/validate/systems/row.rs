//! Reading a table of published systems: one row per figure, columns by name.
//!
//! Columns that are not known are ignored, so a table may carry more. A cell is text until a
//! prediction needs it; what cannot be read then is the reason why its row is not judged. A file that
//! is no such table is refused with its line and column.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use super::words::has_any;
use crate::config::{Diagnostic, Kind};

/// The text of the table that is built in.
pub const BUILT_IN: &str = include_str!("../../../../calibrate/data/systems/systems.csv");
/// Its name in messages.
pub const BUILT_IN_NAME: &str = "systems.csv (built in)";
/// No table is larger.
const MOST_BYTES: u64 = 64 << 20;
const HELP: &str = "the columns are those of calibrate/data/systems/systems.csv, described in the README \
                    beside it";

/// One published figure and the set-up that it was measured on, as written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[expect(missing_docs, reason = "the columns are described in calibrate/data/systems/README.md")]
pub struct Row {
    pub id: String,
    pub family: String,
    pub setup: String,
    pub source: String,
    #[serde(default)]
    pub source_ref: String,
    pub quantity: String,
    pub phase: String,
    pub gpu: String,
    pub gpus_per_node: String,
    pub n_gpus: String,
    pub interconnect: String,
    pub model: String,
    pub layers: String,
    pub hidden: String,
    pub moe_ffn: String,
    pub experts: String,
    pub topk: String,
    pub shared_ffn: String,
    pub zero_experts: String,
    pub dense_layers: String,
    pub dense_ffn: String,
    pub heads: String,
    pub kv_heads: String,
    pub vocab: String,
    pub tp: String,
    pub pp: String,
    #[serde(default)]
    pub vpp: String,
    pub ep: String,
    pub cp: String,
    #[serde(default)]
    pub zero_stage: String,
    pub tokens_per_gpu: String,
    #[serde(default)]
    pub mbs: String,
    #[serde(default)]
    pub gbs: String,
    pub seq: String,
    #[serde(default)]
    pub context: String,
    pub isl: String,
    pub dtype_compute: String,
    pub dtype_dispatch: String,
    pub dtype_combine: String,
    pub dispatcher: String,
    pub gemm_kernel: String,
    pub overlap: String,
    #[serde(default)]
    pub recompute: String,
    #[serde(default)]
    pub gradients: String,
    #[serde(default)]
    pub epilogue: String,
    #[serde(default)]
    pub graph: String,
    #[serde(default)]
    pub attention: String,
    #[serde(default)]
    pub operations: String,
    pub routing: String,
    pub value: String,
    pub unit: String,
    pub trust: String,
    pub note: String,
}

impl Row {
    /// The number in a cell; none where it is empty.
    ///
    /// # Errors
    /// If the cell holds anything but a number.
    pub fn number(&self, column: &str, cell: &str) -> Result<Option<f64>, String> {
        let text = cell.trim();
        if text.is_empty() {
            return Ok(None);
        }
        let number = text.parse::<f64>().ok().filter(|number| number.is_finite());
        number.map(Some).ok_or_else(|| format!("{column} is `{text}`, which is not a number"))
    }

    /// The whole number in a cell, from 0 to 2³¹; none where it is empty.
    ///
    /// # Errors
    /// If the cell holds anything else.
    pub fn count(&self, column: &str, cell: &str) -> Result<Option<u32>, String> {
        let Some(number) = self.number(column, cell)? else { return Ok(None) };
        let whole = number.fract() == 0.0 && (0.0..=2_147_483_648.0).contains(&number);
        if whole {
            return Ok(Some(number as u32));
        }
        Err(format!("{column} is `{}`, which is not a count", cell.trim()))
    }

    /// The same, of a number that a prediction cannot do without.
    ///
    /// # Errors
    /// If the cell is empty or holds no count above 0.
    pub fn needed(&self, column: &str, cell: &str) -> Result<u32, String> {
        match self.count(column, cell)? {
            Some(0) => Err(format!("{column} is 0")),
            Some(count) => Ok(count),
            None => Err(format!("{column} is not stated")),
        }
    }

    /// What was measured.
    ///
    /// # Errors
    /// If it is no positive number.
    pub fn measured(&self) -> Result<f64, String> {
        let value = self.number("value", &self.value)?.ok_or("value is not stated")?;
        if value > 0.0 {
            Ok(value)
        } else {
            Err(format!("value is {value}, which is not positive"))
        }
    }

    /// Whether what was measured is an upper bound of what the GPUs take, by the row's own note: the host was slower
    /// than they were.
    #[must_use]
    pub fn is_upper_bound(&self) -> bool {
        has_any(&self.note, &["host-bound", "as bounds"])
    }

    /// Whether the row's own note says that nothing is to be judged by it, such as a fault of one release.
    #[must_use]
    pub fn is_disowned(&self) -> bool {
        has_any(&self.note, &["do not judge"])
    }

    /// The software stack, for tables of results: dispatcher and expert kernel.
    #[must_use]
    pub fn stack(&self) -> String {
        let or = |text: &str| {
            if text.trim().is_empty() { "not stated".to_owned() } else { text.trim().to_owned() }
        };
        format!("{} / {}", or(&self.dispatcher), or(&self.gemm_kernel))
    }
}

/// The rows of the table that is built in.
///
/// # Errors
/// Never: a test reads it.
pub fn built_in() -> Result<Vec<Row>, Diagnostic> {
    parse(BUILT_IN_NAME, BUILT_IN)
}

/// The rows of a file.
///
/// # Errors
/// If it cannot be read or is no table of published systems.
pub fn read(path: &Path) -> Result<Vec<Row>, Diagnostic> {
    let place = path.display().to_string();
    let unreadable = |e: std::io::Error| {
        Diagnostic::of(&place, format!("cannot be read: {e}"), "name a table of published systems")
    };
    let size = std::fs::metadata(path).map_err(unreadable)?;
    if !size.is_file() {
        return Err(Diagnostic::of(&place, "is not a regular file", HELP));
    }
    if size.len() > MOST_BYTES {
        return Err(Diagnostic::of(&place, format!("is {} bytes long", size.len()), HELP));
    }
    let bytes = std::fs::read(path).map_err(unreadable)?;
    let text = String::from_utf8(bytes)
        .map_err(|_| Diagnostic::of(&place, "is not UTF-8 text", "save the file as UTF-8"))?;
    parse(&place, &text).map_err(|mistake| Kind::misplaced(&place, &text).unwrap_or(mistake))
}

/// The rows of a text, named in messages as `place`.
///
/// # Errors
/// If it is no table of published systems.
pub fn parse(place: &str, text: &str) -> Result<Vec<Row>, Diagnostic> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader =
        csv::ReaderBuilder::new().trim(csv::Trim::Headers).from_reader(text.as_bytes());
    let rows: Result<Vec<Row>, csv::Error> = reader.deserialize().collect();
    let rows = rows.map_err(|e| Diagnostic::of_csv((place, text), &e, HELP))?;
    if rows.is_empty() {
        return Err(Diagnostic::of(place, "holds no row", HELP));
    }
    match twice((place, text), &rows) {
        Some(mistake) => Err(mistake),
        None => Ok(rows),
    }
}

/// What is wrong where two rows have one id, by which scenarios are asked for and folders named.
fn twice((place, text): (&str, &str), rows: &[Row]) -> Option<Diagnostic> {
    let mut first: BTreeMap<&str, usize> = BTreeMap::new();
    let (id, earlier, later) = rows.iter().enumerate().find_map(|(at, row)| {
        let id = row.id.trim();
        first.insert(id, at).map(|earlier| (id, earlier, at))
    })?;
    let mut records = csv::Reader::from_reader(text.as_bytes()).into_records();
    let mut line = |nth: usize| {
        let record = records.nth(nth).and_then(Result::ok);
        let at = record.and_then(|record| Some(record.position()?.byte() as usize)).unwrap_or(0);
        // A record's place may be the end of the line before it.
        let ended = text[at..].len() - text[at..].trim_start_matches(['\r', '\n']).len();
        1 + text[..at + ended].matches('\n').count()
    };
    let (one, other) = (line(earlier), line(later - earlier - 1));
    let found = format!("`{id}` is the id of line {one} too");
    let help = "give each row an id of its own: --scenario and --export go by it";
    Some(Diagnostic::in_cell((place, text), (other, "id"), found, help))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_table_is_read() {
        let rows = built_in().unwrap();
        assert_eq!(rows.len(), 367);
        assert!(rows.iter().all(|row| row.measured().is_ok()));
    }

    #[test]
    fn what_is_no_table_is_refused_with_its_place() {
        let mistake = parse("a.csv", "id,family\nx,layer\n").unwrap_err().to_string();
        assert!(mistake.starts_with("a.csv:1: has no column `setup`"), "{mistake}");
        let header = BUILT_IN.lines().next().unwrap();
        let mistake = parse("a.csv", &format!("{header}\nx,y\n")).unwrap_err().to_string();
        assert!(mistake.starts_with("a.csv:2: has 2 cells"), "{mistake}");
        assert!(parse("a.csv", header).unwrap_err().to_string().contains("holds no row"));
        let [one, other] = [1, 2].map(|nth| BUILT_IN.lines().nth(nth).unwrap());
        for end in ["\n", "\r\n"] {
            let twice = parse("a.csv", &[header, one, other, one, ""].join(end)).unwrap_err();
            let id = one.split(',').next().unwrap();
            let wanted = format!("a.csv:4: id: `{id}` is the id of line 2 too");
            assert!(twice.to_string().starts_with(&wanted), "{twice}");
        }
    }
}
