//! Is a package manager at work? What it has half installed is no compiler to look at.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Files that are locked meanwhile: by apt, dpkg, rpm (old and new place) and portage.
const LOCKED: [&str; 5] = [
    "/var/lib/dpkg/lock-frontend",
    "/var/lib/dpkg/lock",
    "/var/lib/rpm/.rpm.lock",
    "/usr/lib/sysimage/rpm/.rpm.lock",
    "/var/db/.pkg.portage_lockfile",
];
/// A file that exists meanwhile: pacman's.
const EXISTING: &str = "/var/lib/pacman/db.lck";

/// As far as anybody may see it; the locks themselves are root's to try.
pub(super) fn at_work() -> bool {
    let locks = fs::read_to_string("/proc/locks").unwrap_or_default();
    let is_locked = |path: &&str| {
        fs::metadata(path).is_ok_and(|file| held(&locks).any(|inode| inode == file.ino()))
    };
    Path::new(EXISTING).exists() || LOCKED.iter().any(is_locked)
}

/// The inodes in `/proc/locks`. The device that stands there is on some file systems not the one
/// that `stat` tells.
fn held(locks: &str) -> impl Iterator<Item = u64> {
    locks.lines().filter_map(|line| {
        let file = line.split_ascii_whitespace().find(|word| word.matches(':').count() == 2)?;
        file.rsplit(':').next()?.parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use nix::fcntl::{Flock, FlockArg};

    use super::*;

    #[test]
    fn the_kernel_s_list_is_read() {
        let listed = "1: POSIX  ADVISORY  WRITE 4711 fd:01:1573 0 EOF\n\
                      1: -> POSIX  ADVISORY  WRITE 4712 fd:01:1573 0 EOF\n\
                      2: FLOCK  ADVISORY  WRITE 23 00:19:42 0 EOF\nnonsense\n";
        assert_eq!(held(listed).collect::<Vec<_>>(), [1573, 1573, 42]);
        let file = tempfile::NamedTempFile::new().unwrap();
        let inode = file.as_file().metadata().unwrap().ino();
        let lock = Flock::lock(File::open(file.path()).unwrap(), FlockArg::LockExclusive).unwrap();
        let locks = fs::read_to_string("/proc/locks").unwrap();
        assert!(held(&locks).any(|held| held == inode), "{locks}");
        drop(lock);
    }
}
