//! Files below a directory that is held open: neither a link nor another directory that was put in
//! the place of one on the way leads elsewhere.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat, openat2};
use nix::sys::stat::Mode;

/// For its owner alone.
const PRIVATE: Mode = Mode::S_IRUSR.union(Mode::S_IWUSR);

/// Makes a file, which must not be there yet, for writing.
pub(crate) fn create(dir: impl AsFd, path: &Path) -> io::Result<File> {
    open_as(dir, path, OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL)
}

/// Opens a file for reading. A pipe does not keep the caller.
pub(crate) fn open(dir: impl AsFd, path: &Path) -> io::Result<File> {
    open_as(dir, path, OFlag::O_RDONLY | OFlag::O_NONBLOCK)
}

/// Opens a file that is there for writing and empties it.
pub(crate) fn rewrite(dir: impl AsFd, path: &Path) -> io::Result<File> {
    open_as(dir, path, OFlag::O_WRONLY | OFlag::O_TRUNC | OFlag::O_NONBLOCK)
}

fn open_as(dir: impl AsFd, path: &Path, flags: OFlag) -> io::Result<File> {
    let flags = flags | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW;
    // The kernel wants no mode for a file that is not to be made.
    let mode = if flags.contains(OFlag::O_CREAT) { PRIVATE } else { Mode::empty() };
    let how = OpenHow::new().flags(flags).mode(mode).resolve(
        ResolveFlag::RESOLVE_BENEATH
            | ResolveFlag::RESOLVE_NO_SYMLINKS
            | ResolveFlag::RESOLVE_NO_MAGICLINKS,
    );
    let opened = match openat2(&dir, path, how) {
        // Before Linux 5.6, and in some containers.
        Err(Errno::ENOSYS | Errno::EPERM) => openat(&dir, path, flags, mode),
        opened => opened,
    };
    Ok(opened?.into())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::{Read, Write};
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn no_link_leads_elsewhere() {
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("x.i"), "kept").unwrap();
        let temp = tempfile::tempdir().unwrap();
        let dir = File::open(temp.path()).unwrap();
        fs::create_dir(temp.path().join("job")).unwrap();
        let inside = Path::new("job/x.i");
        create(&dir, inside).unwrap().write_all(b"text").unwrap();
        let mode = fs::metadata(temp.path().join(inside)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(create(&dir, inside).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        rewrite(&dir, inside).unwrap().write_all(b"new").unwrap();
        let mut text = String::new();
        open(&dir, inside).unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "new");

        symlink(outside.path(), temp.path().join("link")).unwrap();
        symlink(outside.path().join("x.i"), temp.path().join("job/y.i")).unwrap();
        let up = Path::new("..").join(outside.path().file_name().unwrap()).join("x.i");
        for astray in [Path::new("link/x.i"), Path::new("job/y.i"), &up] {
            open(&dir, astray).unwrap_err();
            rewrite(&dir, astray).unwrap_err();
            create(&dir, astray).unwrap_err();
        }
        assert_eq!(fs::read_to_string(outside.path().join("x.i")).unwrap(), "kept");
    }
}
