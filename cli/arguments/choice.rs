//! Choices of the library, as values of options.

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use moesim::base::choice::Choice;

/// Parses the word of a choice of either kind; help lists all of them.
pub(crate) fn parser_of_two<A: Choice, B: Choice>() -> impl TypedValueParser<Value = &'static str> {
    let first = A::ALL.iter().map(|choice| (choice.word(), choice.help()));
    let second = B::ALL.iter().map(|choice| (choice.word(), choice.help()));
    let all: Vec<(&'static str, &'static str)> = first.chain(second).collect();
    let values: Vec<_> =
        all.iter().map(|(word, help)| PossibleValue::new(*word).help(*help)).collect();
    PossibleValuesParser::new(values).map(move |word| {
        let known = all.iter().find(|(known, _)| *known == word);
        known.expect("the parser lets only possible values pass").0
    })
}

/// Parses the word of a choice; help lists all of them.
pub(crate) fn parser<T: Choice>() -> impl TypedValueParser<Value = T> {
    let values = T::ALL.iter().map(|choice| PossibleValue::new(choice.word()).help(choice.help()));
    PossibleValuesParser::new(values).map(|word| {
        let known = T::ALL.iter().copied().find(|choice| choice.word() == word);
        known.expect("the parser lets only possible values pass")
    })
}
