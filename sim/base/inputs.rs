//! Files that a result was made from, by name and digest.

use std::fs::FileType;
use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::hashes::{fnv1a, fnv1a_on};

/// Whether a path is that of a device, which may never end.
#[must_use]
pub fn is_device(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|about| is_of_device(about.file_type()))
}

#[cfg(unix)]
fn is_of_device(kind: FileType) -> bool {
    use std::os::unix::fs::FileTypeExt;
    kind.is_char_device() || kind.is_block_device()
}

#[cfg(not(unix))]
fn is_of_device(_: FileType) -> bool {
    false
}

/// A file that was read, or a built-in one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Input {
    /// Its path as it was opened, or the name of what is built in.
    pub name: String,
    /// FNV-1a, 64 bits, of its bytes: tells changed files from unchanged ones, and no forger's.
    pub digest: String,
    /// Whether it is built in.
    pub built_in: bool,
}

impl Input {
    /// A file of these bytes.
    #[must_use]
    pub fn of(name: impl Into<String>, bytes: &[u8], built_in: bool) -> Self {
        Self { name: name.into(), digest: format!("{:016x}", fnv1a(bytes)), built_in }
    }

    /// Folds name-less what it holds into a hash: where a file lies does not matter to a result.
    #[must_use]
    pub fn fold_into(&self, hash: u64) -> u64 {
        fnv1a_on(hash, self.digest.as_bytes())
    }
}
