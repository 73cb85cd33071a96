//! Choices of the library, as values of options.

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use moesim::base::choice::Choice;

/// Parses the word of a choice; help lists all of them.
pub(crate) fn parser<T: Choice>() -> impl TypedValueParser<Value = T> {
    let values = T::ALL.iter().map(|choice| PossibleValue::new(choice.word()).help(choice.help()));
    PossibleValuesParser::new(values).map(|word| {
        let known = T::ALL.iter().copied().find(|choice| choice.word() == word);
        known.expect("the parser lets only possible values pass")
    })
}
