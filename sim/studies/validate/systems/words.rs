//! Words and numbers in cells that people wrote.

/// Whether a text holds any of these, in whatever case.
pub(super) fn has_any(text: &str, words: &[&str]) -> bool {
    let text = text.to_lowercase();
    words.iter().any(|word| text.contains(&word.to_lowercase()))
}

/// The same of whole words, which no letter or digit lengthens: `HybridEP2` is not `HybridEP`.
pub(super) fn has_word(text: &str, words: &[&str]) -> bool {
    let text = text.to_lowercase();
    let bare = |c: Option<char>| !c.is_some_and(char::is_alphanumeric);
    let alone = |(at, word): (usize, &str)| {
        bare(text[..at].chars().next_back()) && bare(text[at + word.len()..].chars().next())
    };
    words.iter().any(|word| text.match_indices(&word.to_lowercase()).any(alone))
}

/// Letters and digits alone, in capitals.
pub(super) fn letters_and_digits(text: &str) -> String {
    text.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_uppercase()).collect()
}

/// The number that stands before a word: 20 in "DeepEP (20 SMs)".
pub(super) fn number_before(text: &str, word: &str) -> Option<f64> {
    let before = text[..text.find(word)?].trim_end();
    let start = before
        .rfind(|c: char| !c.is_ascii_digit() && c != '.')
        .map_or(0, |at| at + before[at..].chars().next().map_or(1, char::len_utf8));
    before[start..].parse().ok()
}

/// The same as a count from 1 to 100,000.
pub(super) fn count_before(text: &str, word: &str) -> Option<u32> {
    number_before(text, word).filter(|n| (1.0..=1e5).contains(n)).map(|n| n as u32)
}

/// `a` and `b` of "a of b WORD": (4, 8) in "4 of 8 groups".
pub(super) fn so_many_of(text: &str, word: &str) -> Option<(u32, u32)> {
    let all = count_before(text, word)?;
    let before = text[..text.find(word)?].trim_end().trim_end_matches(|c: char| c.is_ascii_digit());
    let some = count_before(&format!("{}of", before.trim_end().strip_suffix("of")?), "of")?;
    (some <= all).then_some((some, all))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_words_are_no_parts_of_others() {
        assert!(has_word("HybridEP (recipe at HEAD)", &["hybridep"]));
        assert!(has_word("DeepEP2, then DeepEP", &["deepep"]));
        assert!(!has_word("HybridEP2", &["hybridep"]) && !has_word("myHybridEP", &["hybridep"]));
    }

    #[test]
    fn numbers_are_found_before_words() {
        assert_eq!(count_before("DeepEP internode (20 SMs)", "SMs"), Some(20));
        assert_eq!(
            count_before("real traffic + EPLB, 32 redundant experts", "redundant"),
            Some(32)
        );
        assert_eq!(count_before("no such word", "SMs"), None);
        assert_eq!(number_before("NVLink 400 GB/s", "GB/s"), Some(400.0));
        assert_eq!(number_before("µ20 SMs", "SMs"), Some(20.0));
        assert_eq!(so_many_of("top-8, 4 of 8 groups (node-limited)", "groups"), Some((4, 8)));
        assert_eq!(so_many_of("8 groups", "groups"), None);
    }
}
