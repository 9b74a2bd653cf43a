//! Which file a compiler's name means, as the client's PATH finds it.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::unistd::{AccessFlags, access};

use crate::base::stand_in::stand_in;

/// The file that is run for a command, and what it is called then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Compiler {
    /// Absolute path of the file, links kept: `/usr/bin/gcc`.
    pub(super) path: PathBuf,
    /// Its `argv[0]`: as typed, unless PATH would find another file by that name.
    arg0: OsString,
}

impl Compiler {
    /// The compiler that `name` means; `None` if there is none.
    ///
    /// Files that are only another name of distcc, ccache and the like are passed over: they would
    /// come back to us, or hide which compiler the job is for.
    pub(super) fn find(name: &OsStr, search_path: &OsStr) -> Option<Self> {
        if name.as_bytes().contains(&b'/') {
            let path = env::current_dir().ok()?.join(name);
            return is_executable(&path).then(|| Self { path, arg0: name.to_os_string() });
        }
        let cwd = || env::current_dir().unwrap_or_default();
        let mut found = env::split_paths(search_path)
            .map(|element| if element.is_absolute() { element } else { cwd().join(element) })
            .map(|element| element.join(name))
            .filter(|path| is_executable(path));
        let first = found.next()?;
        if !is_masquerade(&first) {
            return Some(Self { path: first, arg0: name.to_os_string() });
        }
        let named_by_path = |path: PathBuf| Self { arg0: path.clone().into_os_string(), path };
        match found.find(|path| !is_masquerade(path)) {
            Some(path) => Some(named_by_path(path)),
            // With nothing behind it, ccache still knows how to compile.
            None => (!leads_to_us(&first)).then(|| named_by_path(first)),
        }
    }

    /// The file that it is in the end, links followed; the link itself where that leads to another
    /// program, which knows what to run by the link's name.
    pub(super) fn file(&self) -> PathBuf {
        match fs::canonicalize(&self.path) {
            Ok(file) if !stands_in_for_another(&file) => file,
            _ => self.path.clone(),
        }
    }

    /// It is ccache or the like, which finds the compiler itself.
    pub(super) fn stands_in(&self) -> bool {
        is_masquerade(&self.path)
    }

    /// A command that runs this compiler with `argv`, whose first word is the name as typed.
    pub(super) fn command(&self, argv: &[OsString]) -> Command {
        let mut command = Command::new(&self.path);
        command.arg0(&self.arg0).args(argv.iter().skip(1));
        command
    }
}

/// True for a file that this user may run.
pub(super) fn is_executable(path: &Path) -> bool {
    path.is_file() && access(path, AccessFlags::X_OK).is_ok()
}

/// True for a file that is distcc, by whatever name.
pub(super) fn leads_to_us(path: &Path) -> bool {
    fs::canonicalize(path).is_ok_and(|file| is_distcc(&file))
}

/// The same of a file that is no link.
fn is_distcc(file: &Path) -> bool {
    let is_ours = |ours: PathBuf| match (fs::metadata(ours), fs::metadata(file)) {
        (Ok(ours), Ok(theirs)) => (ours.dev(), ours.ino()) == (theirs.dev(), theirs.ino()),
        _ => false,
    };
    stands_in(file) == Some("distcc") || env::current_exe().is_ok_and(is_ours)
}

/// True for a file that stands in for a compiler, by whatever name.
fn is_masquerade(path: &Path) -> bool {
    fs::canonicalize(path).is_ok_and(|file| stands_in_for_another(&file))
}

/// The same of a file that is no link.
fn stands_in_for_another(file: &Path) -> bool {
    stands_in(file).is_some() || is_distcc(file)
}

fn stands_in(file: &Path) -> Option<&'static str> {
    file.file_name().and_then(stand_in)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn tree(links: &[(&str, &str)], files: &[&str]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for name in files {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::copy("/bin/sh", path).unwrap();
        }
        for (name, target) in links {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            symlink(target, path).unwrap();
        }
        dir
    }

    fn find(dir: &Path, elements: &[&str]) -> Option<Compiler> {
        let path = env::join_paths(elements.iter().map(|element| dir.join(element))).unwrap();
        Compiler::find(OsStr::new("gcc"), &path)
    }

    #[test]
    fn passes_over_links_that_end_in_distcc_or_ccache() {
        let dir = tree(
            &[
                ("masq/gcc", "../bin/distcc"),
                ("cache/gcc", "../alt/gcc"),
                ("alt/gcc", "../bin/ccache"),
            ],
            &["bin/distcc", "bin/ccache", "bin/gcc-12"],
        );
        symlink("gcc-12", dir.path().join("bin/gcc")).unwrap();
        let found = find(dir.path(), &["masq", "cache", "bin"]).unwrap();
        assert_eq!(found.path, dir.path().join("bin/gcc"));
        assert_eq!(found.arg0, dir.path().join("bin/gcc"));
        let plain = find(dir.path(), &["bin", "cache"]).unwrap();
        assert_eq!(plain.arg0, "gcc");
        let root = fs::canonicalize(dir.path()).unwrap();
        assert_eq!(plain.file(), root.join("bin/gcc-12"));
    }

    #[test]
    fn passes_over_every_program_that_stands_in_for_a_compiler() {
        for program in ["ccache-4.8", "sccache", "icecc"] {
            let file = format!("bin/{program}");
            let target = format!("../{file}");
            let dir = tree(&[("masq/gcc", target.as_str())], &[file.as_str(), "real/gcc"]);
            let found = find(dir.path(), &["masq", "real"]).unwrap();
            assert_eq!(found.path, dir.path().join("real/gcc"), "{program}");
        }
    }

    #[test]
    fn takes_ccache_where_nothing_else_is_there_but_never_distcc() {
        let dir = tree(
            &[("masq/gcc", "../bin/distcc"), ("cache/gcc", "../bin/ccache")],
            &["bin/distcc", "bin/ccache"],
        );
        let cached = find(dir.path(), &["cache"]).unwrap();
        assert_eq!(cached.path, dir.path().join("cache/gcc"));
        assert_eq!(cached.file(), cached.path);
        assert_eq!(find(dir.path(), &["masq"]), None);
    }

    #[test]
    fn files_that_cannot_be_run_are_not_found() {
        let dir = tree(&[], &["b/gcc"]);
        fs::create_dir_all(dir.path().join("a/gcc")).unwrap();
        assert_eq!(find(dir.path(), &["a", "b"]).unwrap().path, dir.path().join("b/gcc"));
        assert_eq!(find(dir.path(), &["a"]), None);
    }
}
