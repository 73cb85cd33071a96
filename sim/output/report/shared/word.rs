//! Choices of a closed set as the words that files and JSON have for them: `#[serde(with = "word")]`.

use std::borrow::Cow;
use std::marker::PhantomData;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serializer};

use crate::execution::Scope;
use crate::network::fluid::Engine;
use crate::studies::advise::Verdict;
use crate::studies::compare::Equal;
use crate::studies::layouts::Objective;
use crate::workload::Phase;

/// A choice with a word of its own.
pub trait Word: Copy + 'static {
    /// All choices.
    const WORDS: &'static [Self];

    /// The word.
    fn word_of(self) -> &'static str;
}

impl Word for Scope {
    const WORDS: &'static [Self] = &Self::ALL;

    fn word_of(self) -> &'static str {
        self.word()
    }
}

impl Word for Phase {
    const WORDS: &'static [Self] = &Self::ALL;

    fn word_of(self) -> &'static str {
        self.word()
    }
}

impl Word for Engine {
    const WORDS: &'static [Self] = &[Self::ClosedForm, Self::Exact, Self::Quantised];

    fn word_of(self) -> &'static str {
        self.name()
    }
}

impl Word for Equal {
    const WORDS: &'static [Self] = <Self as crate::base::choice::Choice>::ALL;

    fn word_of(self) -> &'static str {
        crate::base::choice::Choice::word(self)
    }
}

impl Word for Verdict {
    const WORDS: &'static [Self] = &Self::ALL;

    fn word_of(self) -> &'static str {
        self.word()
    }
}

impl Word for Objective {
    const WORDS: &'static [Self] = <Self as crate::base::choice::Choice>::ALL;

    fn word_of(self) -> &'static str {
        crate::base::choice::Choice::word(self)
    }
}

pub(in crate::output) fn serialize<T: Word, S: Serializer>(
    choice: &T,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(choice.word_of())
}

pub(in crate::output) fn deserialize<'de, T: Word, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    let word = String::deserialize(deserializer)?;
    let found = T::WORDS.iter().copied().find(|choice| choice.word_of() == word);
    found.ok_or_else(|| {
        let all: Vec<&str> = T::WORDS.iter().map(|choice| choice.word_of()).collect();
        D::Error::custom(format!("`{word}` is none of {}", all.join(", ")))
    })
}

/// The schema of a choice: one of its words.
pub struct OneOf<T>(PhantomData<T>);

impl<T: Word> JsonSchema for OneOf<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "word".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let words: Vec<&str> = T::WORDS.iter().map(|choice| choice.word_of()).collect();
        json_schema!({ "enum": words })
    }
}
