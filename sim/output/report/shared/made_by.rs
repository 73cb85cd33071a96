//! What a result was asked, and what it was made by: enough to make it again.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::base::inputs::Input;

/// What a user asked for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Asked {
    /// The scenario's name or file.
    pub scenario: String,
    /// Its overrides.
    pub set: Vec<String>,
    /// The version that answered.
    pub moesim: String,
}

/// What a result was made by. Results are functions of these: the same moesim, arguments and files make the
/// same numbers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MadeBy {
    /// The version.
    pub moesim: String,
    /// The commit, where it is known.
    pub commit: Option<String>,
    /// The arguments.
    pub arguments: Vec<String>,
    /// The files and built-ins read.
    pub inputs: Vec<Input>,
}
