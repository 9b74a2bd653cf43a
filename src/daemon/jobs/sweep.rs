//! Removing directories that compilers worked in, whatever they left: directories that nobody may
//! enter, trees deeper than any path, links, a hundred thousand files.
//!
//! Everything is named relative to an open directory, and no link is followed. Directories in
//! directories are first moved to the top, so that however deep a tree is, two are open at a time.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, renameat};
use nix::sys::stat::{FchmodatFlags, Mode, fchmodat};
use nix::unistd::{UnlinkatFlags, unlinkat};

const OPEN: OFlag =
    OFlag::O_DIRECTORY.union(OFlag::O_NOFOLLOW).union(OFlag::O_CLOEXEC).union(OFlag::O_NONBLOCK);

/// Removes the directory and all that is in it.
pub(super) fn remove_tree(path: &Path) -> io::Result<()> {
    make_open(AT_FDCWD, path)?;
    let mut names = Names::default();
    loop {
        let n_removed = empty_top(path, &mut names)?;
        match unlinkat(AT_FDCWD, path, UnlinkatFlags::RemoveDir) {
            Ok(()) => return Ok(()),
            // What was moved to the top meanwhile, or not seen by the reading.
            Err(Errno::ENOTEMPTY | Errno::EEXIST) if n_removed > 0 => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Removes a directory that holds a few files and nothing else, as most jobs leave it. Anything
/// else stays, and is an error.
pub(super) fn remove_small(path: &Path) -> io::Result<()> {
    const FEW: usize = 64;
    let mut dir = Dir::open(path, OPEN, Mode::empty())?;
    let names = entries(&mut dir, FEW)?;
    for name in names {
        unlinkat(dir.as_fd(), &*name, UnlinkatFlags::NoRemoveDir)?;
    }
    Ok(unlinkat(AT_FDCWD, path, UnlinkatFlags::RemoveDir)?)
}

/// Names for directories that are moved.
#[derive(Default)]
struct Names {
    n_used: u64,
}

impl Names {
    fn next(&mut self) -> String {
        self.n_used += 1;
        format!("moved-{}", self.n_used)
    }
}

/// Removes the files in the directory and in those in it, and what is empty then. How much went.
fn empty_top(path: &Path, names: &mut Names) -> io::Result<usize> {
    let mut top = Dir::open(path, OPEN, Mode::empty())?;
    let mut n_removed = 0;
    for name in entries(&mut top, usize::MAX)? {
        if is_directory(top.as_fd(), &name)? {
            n_removed += empty_below(top.as_fd(), &name, names)?;
            match unlinkat(top.as_fd(), &*name, UnlinkatFlags::RemoveDir) {
                Ok(()) => n_removed += 1,
                Err(Errno::ENOTEMPTY | Errno::EEXIST | Errno::ENOENT) => {}
                Err(error) => return Err(error.into()),
            }
        } else {
            n_removed += 1;
        }
    }
    Ok(n_removed)
}

/// Removes the files in a directory of the top one, and moves its directories there.
fn empty_below(top: BorrowedFd<'_>, name: &CStr, names: &mut Names) -> io::Result<usize> {
    make_open(top, name)?;
    let mut dir = Dir::openat(top, name, OPEN, Mode::empty())?;
    let mut n_removed = 0;
    for inner in entries(&mut dir, usize::MAX)? {
        if is_directory(dir.as_fd(), &inner)? {
            // A directory that is moved to another one is written to: its `..` changes.
            make_open(dir.as_fd(), &*inner)?;
            move_to_top(dir.as_fd(), &inner, top, names)?;
        }
        n_removed += 1;
    }
    Ok(n_removed)
}

fn move_to_top(
    dir: BorrowedFd<'_>,
    name: &CStr,
    top: BorrowedFd<'_>,
    names: &mut Names,
) -> io::Result<()> {
    loop {
        match renameat(dir, name, top, names.next().as_str()) {
            Ok(()) => return Ok(()),
            // The compiler had a use for that name.
            Err(Errno::ENOTEMPTY | Errno::EEXIST | Errno::ENOTDIR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Is it a directory? Whatever else it was, it is removed.
fn is_directory(dir: BorrowedFd<'_>, name: &CStr) -> io::Result<bool> {
    match unlinkat(dir, name, UnlinkatFlags::NoRemoveDir) {
        Ok(()) | Err(Errno::ENOENT) => Ok(false),
        Err(Errno::EISDIR) => Ok(true),
        Err(error) => Err(error.into()),
    }
}

/// Lets us, the owner, do everything with a directory.
fn make_open<P: ?Sized + nix::NixPath>(dir: impl AsFd, name: &P) -> io::Result<()> {
    Ok(fchmodat(dir, name, Mode::S_IRWXU, FchmodatFlags::NoFollowSymlink)?)
}

/// The names in a directory, of which there may be `limit`.
fn entries(dir: &mut Dir, limit: usize) -> io::Result<Vec<std::ffi::CString>> {
    let mut names = Vec::new();
    for entry in dir.iter() {
        let entry = entry?;
        let name = entry.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        if names.len() >= limit {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        names.push(name.to_owned());
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn whatever_a_compiler_leaves_is_removed_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let outside = dir.path().join("outside");
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("kept"), "").unwrap();
        let job = dir.path().join("job");
        fs::create_dir_all(job.join("a/b/c")).unwrap();
        for name in ["x.o", "a/\n line\u{1b}", "a/b/c/deep", "moved-1"] {
            fs::write(job.join(name), "").unwrap();
        }
        fs::create_dir(job.join("moved-2")).unwrap();
        fs::write(job.join("moved-2/x"), "").unwrap();
        symlink(&outside, job.join("link")).unwrap();
        symlink(&outside, job.join("a/link")).unwrap();
        symlink("nowhere", job.join("a/b/dangling")).unwrap();
        for (closed, mode) in [("a/b/c", 0), ("a/b", 0o500), ("a", 0), ("moved-2", 0o100), ("", 0)]
        {
            fs::set_permissions(job.join(closed), fs::Permissions::from_mode(mode)).unwrap();
        }
        remove_tree(&job).unwrap();
        assert!(!job.exists());
        assert!(outside.join("kept").exists());
        assert_eq!(fs::metadata(&outside).unwrap().permissions().mode() & 0o700, 0o700);
    }

    #[test]
    fn a_tree_deeper_than_any_path_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let job = dir.path().join("job");
        fs::create_dir(&job).unwrap();
        let mut at = Dir::open(&job, OPEN, Mode::empty()).unwrap();
        for _ in 0..3000 {
            nix::sys::stat::mkdirat(at.as_fd(), "deeper", Mode::S_IRWXU).unwrap();
            at = Dir::openat(at.as_fd(), "deeper", OPEN, Mode::empty()).unwrap();
        }
        remove_tree(&job).unwrap();
        assert!(!job.exists());
    }

    #[test]
    fn a_link_in_place_of_the_directory_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let outside = dir.path().join("outside");
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("kept"), "").unwrap();
        symlink(&outside, dir.path().join("job")).unwrap();
        assert!(remove_tree(&dir.path().join("job")).is_err());
        assert!(remove_small(&dir.path().join("job")).is_err());
        assert!(outside.join("kept").exists());
    }

    #[test]
    fn what_is_not_small_is_left_to_others() {
        let dir = tempfile::tempdir().unwrap();
        let job = dir.path().join("job");
        fs::create_dir_all(job.join("inner")).unwrap();
        assert!(remove_small(&job).is_err());
        fs::remove_dir(job.join("inner")).unwrap();
        fs::write(job.join("x.o"), "").unwrap();
        remove_small(&job).unwrap();
        assert!(!job.exists());
    }
}
