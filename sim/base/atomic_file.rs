//! Files that are there whole or not at all.

use std::io;
use std::path::Path;

/// Writes a file under a temporary name beside it, then renames it; a failure leaves what was there.
///
/// # Errors
/// If it cannot be written or renamed.
pub fn write(path: &Path, bytes: impl AsRef<[u8]>) -> io::Result<()> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".tmp");
    let written =
        std::fs::write(&temporary, bytes).and_then(|()| std::fs::rename(&temporary, path));
    if written.is_err() {
        // Best effort: that it may never have existed is no matter, the error in hand is.
        let _ = std::fs::remove_file(&temporary);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_leaves_neither_a_part_nor_a_loss() {
        let folder = std::env::temp_dir().join(format!("moesim-whole-{}", std::process::id()));
        std::fs::create_dir_all(folder.join("taken/full")).unwrap();
        write(&folder.join("a.txt"), "first").unwrap();
        write(&folder.join("a.txt"), "second").unwrap();
        assert_eq!(std::fs::read_to_string(folder.join("a.txt")).unwrap(), "second");
        // A folder that is not empty cannot be replaced by a file.
        assert!(write(&folder.join("taken"), "lost").is_err());
        assert!(!folder.join("taken.tmp").exists() && folder.join("taken/full").exists());
        std::fs::remove_dir_all(folder).unwrap();
    }
}
