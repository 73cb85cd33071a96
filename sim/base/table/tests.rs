//! Does a table survive the journey to disk, and does a broken file get a message instead of a
//! panic? A pass does not say that every Parquet writer's dialect is read.

use std::path::PathBuf;

use super::*;

fn sample() -> Table {
    let texts = Texts {
        words: vec!["power_law_1.2".to_owned(), "balanced".to_owned()],
        ids: vec![Some(0), None, Some(1)],
    };
    Table::new("sample")
        .with("m", Column::Integers(vec![Some(1), Some(-7), None]))
        .with("latency_us", Column::Numbers(vec![Some(2.5), None, Some(f64::INFINITY)]))
        .with("distribution", Column::Texts(texts))
}

/// A path of its own for each test, so that tests may run side by side.
fn scratch(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("moesim-table-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    folder.join(name)
}

fn parquet_bytes(name: &str) -> Vec<u8> {
    let path = scratch(name);
    sample().write(&path).unwrap();
    std::fs::read(path).unwrap()
}

#[test]
fn what_is_written_is_read_back_with_its_gaps() {
    let path = scratch("round-trip.parquet");
    sample().write(&path).unwrap();
    let back = Table::read(&path).unwrap();
    assert_eq!(back.rows(), 3);
    assert_eq!(back.columns(), sample().columns());
    let words: Vec<&str> = back.texts("distribution").unwrap().into_iter().flatten().collect();
    assert_eq!(words, ["power_law_1.2", "balanced"]);
    assert_eq!(back.numbers("m").unwrap(), [Some(1.0), Some(-7.0), None]);
    assert!(!path.with_extension("parquet.tmp").exists(), "the temporary file is gone");
}

#[test]
fn a_missing_column_and_a_wrong_kind_are_named() {
    let table = sample();
    assert_eq!(
        table.integers("k").unwrap_err().to_string(),
        "sample: column `k`: is missing\n  help: the columns here are m, latency_us, distribution"
    );
    assert_eq!(
        table.integers("latency_us").unwrap_err().to_string(),
        "sample: column `latency_us`: holds numbers\n  help: give whole numbers"
    );
    assert!(table.numbers("distribution").is_err());
    assert!(table.texts("m").is_err());
}

#[test]
fn files_that_are_no_tables_are_refused_in_words() {
    let message = |bytes: &[u8]| Table::from_bytes("x", bytes.to_vec()).unwrap_err().to_string();
    assert_eq!(message(b""), "x: is empty\n  help: give a Parquet file");
    assert_eq!(message(b"hello"), "x: is no Parquet file\n  help: give a Parquet file");
    assert!(message(b"PAR1").starts_with("x: is corrupt or cut short: "));
    let missing = Table::read(&scratch("no-such.parquet")).unwrap_err();
    assert!(missing.found.starts_with("cannot be read: "), "{missing}");
    assert_eq!(Table::read(&std::env::temp_dir()).unwrap_err().found, "is not a regular file");
}

#[test]
fn a_file_cut_anywhere_is_an_error() {
    let whole = parquet_bytes("cut.parquet");
    for length in 0..whole.len() {
        let cut = Table::from_bytes("cut", whole[..length].to_vec());
        assert!(cut.is_err(), "{length} of {} bytes were taken for a table", whole.len());
    }
}

#[test]
fn a_file_with_any_one_byte_flipped_never_panics() {
    let whole = parquet_bytes("flipped.parquet");
    for at in 0..whole.len() {
        for mask in [0xff, 0x01, 0x80] {
            let mut flipped = whole.clone();
            flipped[at] ^= mask;
            // Either outcome will do: a flipped value is still a value.
            let _ = Table::from_bytes("flipped", flipped);
        }
    }
}
