//! The file that names the process whose SIGTERM ends the daemon.

use std::fmt::{self, Display, Formatter};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process;

/// An open pid file. Opened while still root, written by the process that serves, removed by its
/// end.
#[derive(Debug)]
pub(super) struct PidFile {
    path: PathBuf,
    file: File,
}

/// The pid file cannot be written.
#[derive(Debug)]
pub(super) struct PidFileError {
    path: PathBuf,
    error: io::Error,
}

impl Display for PidFileError {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "cannot write the pid file {}: {}", self.path.display(), self.error)
    }
}

impl std::error::Error for PidFileError {}

impl PidFile {
    /// Makes the file, or takes the one that a killed daemon left.
    pub(super) fn create(path: &Path) -> Result<Self, PidFileError> {
        match OpenOptions::new().write(true).create(true).truncate(true).open(path) {
            Ok(file) => Ok(Self { path: path.to_owned(), file }),
            Err(error) => Err(PidFileError { path: path.to_owned(), error }),
        }
    }

    /// Names this process in it.
    pub(super) fn write(&mut self) -> Result<(), PidFileError> {
        writeln!(self.file, "{}", process::id())
            .map_err(|error| PidFileError { path: self.path.clone(), error })
    }

    /// Removes it; in a directory that is root's it can only be emptied.
    pub(super) fn remove(self) {
        if fs::remove_file(&self.path).is_err() {
            let _ = self.file.set_len(0);
        }
    }
}
