//! Files that root writes where others may do as they like, such as a directory of the daemon's
//! user: a link in the place of one would lead root to any file.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use nix::libc;

use super::privileges;

/// Of a mode: others than the owner may write.
const OTHERS_WRITE: u32 = 0o022;

/// Opens a file for writing. What root opens in a directory of others must be a file that stands
/// nowhere else; `options` must not empty it.
pub(crate) fn open(options: &OpenOptions, path: &Path) -> io::Result<File> {
    if !privileges::is_root() || is_of_root(path)? {
        return options.open(path);
    }
    let mut options = options.clone();
    // A pipe must not keep us.
    options.custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
    let file = options.open(path)?;
    let found = file.metadata()?;
    if !found.is_file() || found.nlink() > 1 {
        return Err(io::Error::other("it is no ordinary file, in a directory that is not root's"));
    }
    Ok(file)
}

/// Is its directory one in which only root makes files?
fn is_of_root(path: &Path) -> io::Result<bool> {
    let dir = match path.parent() {
        Some(dir) if dir != Path::new("") => dir,
        _ => Path::new("."),
    };
    let found = fs::metadata(dir)?;
    Ok(found.uid() == 0 && found.mode() & OTHERS_WRITE == 0)
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::fs::{chown, symlink};

    use super::*;

    #[test]
    fn root_follows_no_link_in_a_directory_of_others() {
        if !privileges::is_root() {
            return;
        }
        let outside = tempfile::tempdir().unwrap();
        let target = outside.path().join("target");
        fs::write(&target, "kept").unwrap();
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        symlink(&target, path("link")).unwrap();
        symlink(outside.path().join("new"), path("dangling")).unwrap();
        fs::hard_link(&target, path("second")).unwrap();
        let mut writing = OpenOptions::new();
        writing.append(true).create(true);
        assert!(open(&writing, &path("link")).is_ok(), "in a directory of root's");
        chown(dir.path(), Some(65534), None).unwrap();
        for name in ["link", "dangling", "second"] {
            assert!(open(&writing, &path(name)).is_err(), "{name}");
        }
        assert!(!outside.path().join("new").exists());
        for _ in 0..2 {
            open(&writing, &path("plain")).unwrap().write_all(b"x").unwrap();
        }
        assert_eq!(fs::read(path("plain")).unwrap(), b"xx");
        assert_eq!(fs::read(&target).unwrap(), b"kept");
    }
}
