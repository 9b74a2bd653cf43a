//! What the tests of this folder share: real compilers, or a loud skip.

use std::ffi::{OsStr, OsString};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use super::files;

/// The PATH that the tests use, with the system's own directories only.
pub(super) const SYSTEM_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// Says that a test did not run. Where CI wants every test, that is a failure.
pub(super) fn skip(reason: &str) {
    eprintln!("SKIPPED: {reason}");
    assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "skipped under CI: {reason}");
}

/// Where this compiler is on this machine, or a loud skip.
pub(super) fn installed(name: &str) -> Option<PathBuf> {
    let found = files::find_compiler(OsStr::new(name), &files::directories(SYSTEM_PATH.as_ref()));
    if found.is_none() {
        skip(&format!("{name} is not installed"));
    }
    found
}

/// A directory of links and scripts, to be put before the system's PATH.
pub(super) struct Shelf {
    dir: tempfile::TempDir,
}

impl Shelf {
    pub(super) fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(super) fn link(&self, name: &str, target: &Path) -> PathBuf {
        let path = self.path(name);
        let _ = std::fs::remove_file(&path);
        symlink(target, &path).unwrap();
        path
    }

    /// An executable script. Written by another process: a file that a thread of ours holds open for
    /// writing cannot be executed while a fork of a neighbouring test has inherited it.
    pub(super) fn script(&self, name: &str, body: &str) -> PathBuf {
        let path = self.path(name);
        let status = std::process::Command::new("/bin/sh")
            .args(["-c", "printf '%s' \"$1\" >\"$0\""])
            .arg(&path)
            .arg(format!("#!/bin/sh\n{body}\n"))
            .status()
            .unwrap();
        assert!(status.success());
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
        path
    }

    /// This directory before the system's.
    pub(super) fn search_path(&self) -> OsString {
        let mut path = self.dir.path().as_os_str().to_owned();
        path.push(":");
        path.push(SYSTEM_PATH);
        path
    }
}
