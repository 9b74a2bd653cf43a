//! The file that names the process whose SIGTERM ends the daemon.

use std::fmt::{self, Display, Formatter};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process;

use tracing::warn;

use super::state;
use crate::sys::root_files;

/// Where directories are gone after each boot, so that a daemon has to make its own.
const VOLATILE_DIRS: [&str; 2] = ["/run", "/var/run"];

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
    /// Makes the file, or takes the one that a killed daemon left. Its directory is made too if it
    /// is one of `/run`, and handed over to `owner`, a user and a group id, who can then remove
    /// the file.
    pub(super) fn create(path: &Path, owner: Option<(u32, u32)>) -> Result<Self, PidFileError> {
        let open = || {
            if let Some(dir) = directory_in_run(path) {
                state::make_dir(dir, owner)?;
            }
            let mut writing = OpenOptions::new();
            writing.write(true).create(true).truncate(false);
            let file = root_files::open(&writing, path)?;
            file.set_len(0)?;
            Ok(file)
        };
        match open() {
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
        if let Err(error) = fs::remove_file(&self.path) {
            let _ = self.file.set_len(0);
            warn!(%error, "the pid file {} is emptied but stays", self.path.display());
        }
    }
}

/// The directory of a file that is not in `/run` itself but one below.
pub(super) fn directory_in_run(path: &Path) -> Option<&Path> {
    let dir = path.parent()?;
    let above = dir.parent()?;
    VOLATILE_DIRS.iter().any(|volatile| above == Path::new(volatile)).then_some(dir)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_directories_of_run_are_made() {
        for (path, dir) in [
            ("/run/distccd/pid", Some("/run/distccd")),
            ("/var/run/distccd/pid", Some("/var/run/distccd")),
            ("/run/pid", None),
            ("/run/a/b/pid", None),
            ("/nonexistent/pid", None),
        ] {
            assert_eq!(directory_in_run(Path::new(path)), dir.map(Path::new), "{path}");
        }
    }
}
