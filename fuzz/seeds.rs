//! Seeds of a target, and the dictionary of the words in them.

use std::fs;
use std::path::{Path, PathBuf};

use crate::Words;
use crate::targets::Target;

/// Words of a dictionary, the most frequent first.
const MOST_WORDS: usize = 600;
/// Longer words are no keys.
const LONGEST: usize = 40;

/// What is put in the place of numbers and texts.
const HOSTILE: [&str; 12] = [
    "1e308",
    "-1e308",
    "5e-324",
    "nan",
    "+inf",
    "18446744073709551616",
    "-1",
    "\\\"\\\"",
    "\\x00",
    "\\xe2\\x80\\xae",
    "\\x1b[31m",
    "{}",
];

/// Writes the seeds into a folder and the dictionary beside it, `FOLDER.dict`.
pub(crate) fn write(target: &Target, folder: &Path) {
    fs::create_dir_all(folder).expect("a folder for seeds");
    let mut words = Words::new();
    let shipped = target.seeds.iter().flat_map(|pattern| files(pattern));
    let shipped = shipped.map(|path| fs::read(path).expect("a shipped file"));
    let small = target.small.iter().map(|text| text.as_bytes().to_vec());
    for (number, bytes) in shipped.chain(small).enumerate() {
        count(&bytes, &mut words);
        fs::write(folder.join(format!("seed-{number}")), bytes).expect("a seed");
    }
    // Seeds that commands made lie there already.
    for made in fs::read_dir(folder).expect("the folder").flatten() {
        count(&fs::read(made.path()).unwrap_or_default(), &mut words);
    }
    let mut sorted: Vec<(&String, &usize)> = words.iter().collect();
    sorted.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    let known = sorted.iter().take(MOST_WORDS).map(|(word, _)| word.as_str());
    let lines: String = known.chain(HOSTILE).map(|word| format!("\"{word}\"\n")).collect();
    fs::write(folder.with_extension("dict"), lines).expect("a dictionary");
}

/// The shipped files of a pattern: a name, `FOLDER/*.ENDING` or `FOLDER/BEGINNING*.ENDING`.
fn files(pattern: &str) -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let Some((before, ending)) = pattern.split_once('*') else { return vec![root.join(pattern)] };
    let (folder, beginning) = before.rsplit_once('/').unwrap_or(("", before));
    let entries = fs::read_dir(root.join(folder)).expect("a folder of shipped files");
    let fits = |path: &PathBuf| {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
        name.is_some_and(|name| name.starts_with(beginning) && name.ends_with(ending))
    };
    let mut found: Vec<PathBuf> =
        entries.flatten().map(|entry| entry.path()).filter(fits).collect();
    found.sort();
    found
}

/// Counts keys and other words of a text.
fn count(bytes: &[u8], words: &mut Words) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./".contains(c);
    for word in text.split(|c| !plain(c)).filter(|word| (2..LONGEST).contains(&word.len())) {
        if word.contains(|c: char| c.is_ascii_alphabetic()) {
            *words.entry(word.to_owned()).or_default() += 1;
        }
    }
}
