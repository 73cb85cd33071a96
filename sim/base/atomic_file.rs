//! Files that are there whole or not at all.
//!
//! A file is written under a random name in the folder of its target, flushed to the disk, given the
//! target's mode, and renamed. What must not be replaced is not: a link stays and what it points to is
//! written, a device or a pipe is written straight, a file that its user made read-only is refused.
//! `-` is standard output.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

/// The most links that one path may lead through, as in the kernel.
const MOST_LINKS: usize = 40;

/// Whether a path means standard output.
#[must_use]
pub fn is_stdout(path: &Path) -> bool {
    path == Path::new("-")
}

/// Writes a file whole or not at all; a failure leaves what was there.
///
/// # Errors
/// If it cannot be written or renamed.
pub fn write(path: &Path, bytes: impl AsRef<[u8]>) -> io::Result<()> {
    let mut files = Together::default();
    files.add(path, bytes)?;
    files.keep()
}

/// Files that belong together: all are written before the first one takes its place, so that a full
/// disk leaves none of them.
#[derive(Default)]
pub struct Together {
    staged: Vec<Staged>,
    /// Folders made for them, outermost first.
    made: Vec<PathBuf>,
}

/// What is ready to take its place.
enum Staged {
    /// A file under a random name, and the name that it will get.
    Whole(NamedTempFile, PathBuf),
    /// Bytes for what is no regular file: they cannot be taken back once written.
    Straight(PathBuf, Vec<u8>),
}

impl Together {
    /// Files in a folder, which is made if it is not there, and removed again if they come to nothing.
    ///
    /// # Errors
    /// If the folder cannot be made.
    pub fn in_folder(folder: &Path) -> io::Result<Self> {
        let mut files = Self::default();
        let missing =
            folder.ancestors().take_while(|at| !at.as_os_str().is_empty() && !at.exists());
        for folder in missing.collect::<Vec<_>>().into_iter().rev() {
            fs::create_dir(folder).or_else(|error| match error.kind() {
                // Another process made it in the meantime, or `a/../b` named one twice.
                io::ErrorKind::AlreadyExists => Ok(()),
                _ => Err(error),
            })?;
            files.made.push(folder.to_owned());
        }
        if folder.is_dir() {
            return Ok(files);
        }
        Err(io::ErrorKind::NotADirectory.into())
    }

    /// Makes a file ready.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn add(&mut self, path: &Path, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.staged.push(stage(path, bytes.as_ref())?);
        Ok(())
    }

    /// Puts all files into their places.
    ///
    /// # Errors
    /// If one cannot be renamed, or written where it is no regular file.
    pub fn keep(mut self) -> io::Result<()> {
        for staged in std::mem::take(&mut self.staged) {
            match staged {
                Staged::Whole(file, target) => {
                    file.persist(&target).map_err(|failed| failed.error)?;
                }
                Staged::Straight(path, bytes) => straight(&path, &bytes)?,
            }
            // Something is there now: the folders stay.
            self.made.clear();
        }
        Ok(())
    }
}

impl Drop for Together {
    fn drop(&mut self) {
        self.staged.clear();
        for folder in self.made.iter().rev() {
            // Best effort, and only of what is empty: another process may use it by now.
            let _ = fs::remove_dir(folder);
        }
    }
}

fn stage(path: &Path, bytes: &[u8]) -> io::Result<Staged> {
    if is_stdout(path) || names_a_stream(path) {
        return Ok(Staged::Straight(path.to_owned(), bytes.to_owned()));
    }
    let target = behind_links(path)?;
    let there = match fs::metadata(&target) {
        Ok(there) if there.is_dir() => return Err(io::ErrorKind::IsADirectory.into()),
        Ok(there) if !there.is_file() => return Ok(Staged::Straight(target, bytes.to_owned())),
        Ok(there) => {
            // Renaming would replace a file that its user made read-only; opening it says no.
            OpenOptions::new().write(true).open(&target)?;
            Some(there)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty());
    let file = builder().tempfile_in(folder.unwrap_or(Path::new(".")));
    let mut file = file.map_err(without_random_name)?;
    file.write_all(bytes)?;
    if let Some(there) = there {
        own_as(file.as_file(), &there)?;
    }
    file.as_file().sync_all()?;
    Ok(Staged::Whole(file, target))
}

/// An error of the system as it is: `tempfile` adds the random name, which says nothing to whoever named the target.
fn without_random_name(error: io::Error) -> io::Error {
    let inner = error.get_ref().and_then(|inner| inner.source());
    let code = inner.and_then(|inner| inner.downcast_ref::<io::Error>()?.raw_os_error());
    code.map_or(error, io::Error::from_raw_os_error)
}

/// Names of streams that may happen to be regular files: whoever opened those goes on writing to them.
fn names_a_stream(path: &Path) -> bool {
    ["/dev/stdout", "/dev/stderr", "/dev/fd", "/proc"].iter().any(|name| path.starts_with(name))
}

/// Where a path leads: itself, or the end of its links, which need not be there yet.
fn behind_links(path: &Path) -> io::Result<PathBuf> {
    let mut at = path.to_owned();
    for _ in 0..MOST_LINKS {
        match fs::read_link(&at) {
            // Relative to the folder of the link; an absolute one replaces it.
            Ok(to) => at = at.parent().unwrap_or(Path::new("")).join(to),
            Err(_) => return Ok(at),
        }
    }
    Err(io::Error::other("links lead in a circle"))
}

fn straight(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if is_stdout(path) {
        let mut out = io::stdout().lock();
        out.write_all(bytes)?;
        return out.flush();
    }
    OpenOptions::new().write(true).open(path)?.write_all(bytes)
}

#[cfg(unix)]
fn builder() -> tempfile::Builder<'static, 'static> {
    use std::os::unix::fs::PermissionsExt;
    let mut builder = tempfile::Builder::new();
    // As any new file: what the user's mask leaves of it.
    builder.permissions(Permissions::from_mode(0o666)).prefix(".moesim-");
    builder
}

#[cfg(not(unix))]
fn builder() -> tempfile::Builder<'static, 'static> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".moesim-");
    builder
}

/// Gives a file the mode of the one that it replaces, and its owner where we may.
fn own_as(file: &File, there: &fs::Metadata) -> io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let own = file.metadata()?;
        if (own.uid(), own.gid()) != (there.uid(), there.gid()) {
            // Only root may give files away; a group that we are not in stays behind.
            let _ = std::os::unix::fs::fchown(file, Some(there.uid()), Some(there.gid()));
        }
    }
    // After the owner: giving a file away clears its set-user-id bits.
    let permissions: Permissions = there.permissions();
    file.set_permissions(permissions)
}

#[cfg(test)]
mod tests;
