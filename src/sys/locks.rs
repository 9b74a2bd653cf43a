//! Slots shared by processes as lock files. The locks are those of the original (POSIX record
//! locks on the whole file, distcc 3.4, `lock.c`), so that both clients count the same slots.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;

/// A slot that is ours until this value is dropped or the process ends.
///
/// The kernel forgets a record lock when *any* descriptor of that file is closed by its owner:
/// a path must not be tried again while its lock is held.
#[derive(Debug)]
pub(crate) struct FileLock {
    _file: File,
    /// Which of the slots it is; 0 of a lock that stands for none.
    pub(crate) slot: u16,
}

/// Takes the lock of the file at `path`, which is created if missing and stands for this `slot`;
/// `None` if another process has it.
pub(crate) fn try_lock(path: &Path, slot: u16) -> io::Result<Option<FileLock>> {
    let file = open(path)?;
    match fcntl(&file, FcntlArg::F_SETLK(&WHOLE_FILE)) {
        Ok(_) => Ok(Some(FileLock { _file: file, slot })),
        Err(Errno::EAGAIN | Errno::EACCES) => Ok(None),
        Err(errno) => Err(errno.into()),
    }
}

/// Waits for the lock of the file at `path`, which is created if missing.
pub(crate) fn lock(path: &Path) -> io::Result<FileLock> {
    let file = open(path)?;
    fcntl(&file, FcntlArg::F_SETLKW(&WHOLE_FILE))?;
    Ok(FileLock { _file: file, slot: 0 })
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(false).open(path)
}

const WHOLE_FILE: libc::flock = libc::flock {
    l_type: libc::F_WRLCK as libc::c_short,
    l_whence: libc::SEEK_SET as libc::c_short,
    l_start: 0,
    l_len: 0,
    l_pid: 0,
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn makes_the_file_and_keeps_it_when_released() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cpu_localhost_0");
        drop(try_lock(&path, 0).unwrap().unwrap());
        assert_eq!(path.metadata().unwrap().len(), 0);
        assert!(try_lock(&path, 0).unwrap().is_some());
    }

    #[test]
    fn says_why_a_lock_cannot_be_made() {
        let error = try_lock(Path::new("/nonexistent/dir/lock"), 0).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
