//! Enumerations that users choose from by name.

/// A closed set of choices, each with the word that users type and a line of help.
pub trait Choice: Copy + Send + Sync + 'static {
    /// All choices, in the order in which help lists them.
    const ALL: &'static [Self];

    /// The word that users type.
    fn word(self) -> &'static str;

    /// What it means, in one sentence.
    fn help(self) -> &'static str;
}
