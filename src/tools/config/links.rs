//! The masquerade directory: links by which every compiler's name calls distcc, for PATH.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use crate::fingerprint::files::is_executable;
use crate::tools::compilers::compilers_in;

use super::Failure;
use super::variables::quoted;

/// The `distcc` beside us, else on PATH.
pub(super) fn program() -> Option<PathBuf> {
    let beside = env::current_exe().ok().map(|exe| exe.with_file_name("distcc"));
    let path = env::var_os("PATH").unwrap_or_default();
    let on_path = env::split_paths(&path).map(|dir| dir.join("distcc")).collect::<Vec<_>>();
    beside.into_iter().chain(on_path).find(|file| is_executable(file))
}

/// Makes `dir` hold a link to `distcc` for every compiler on `path`, and no other of its links.
/// Whatever else is in there is left alone. Tells what was done, and what to do.
pub(super) fn install(dir: &Path, distcc: &Path, path: &OsStr) -> Result<String, Failure> {
    let failed = |path: &Path| {
        let path = path.to_path_buf();
        move |error| Failure::Io { path, error }
    };
    fs::create_dir_all(dir).map_err(failed(dir))?;
    let is_real_dir = |entry: &PathBuf| entry.is_absolute() && entry != dir;
    let dirs: Vec<PathBuf> = env::split_paths(path).filter(is_real_dir).collect();
    let wanted = compilers_in(&dirs, &[]);
    let mut told = String::new();
    for name in &wanted {
        let link = dir.join(name);
        match symlink(distcc, &link) {
            Ok(()) => told.push_str(&format!("{} -> {}\n", link.display(), distcc.display())),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                if !is_ours(&link, distcc) {
                    told.push_str(&format!("{}: left alone, not ours\n", link.display()));
                }
            }
            Err(error) => return Err(failed(&link)(error)),
        }
    }
    for entry in fs::read_dir(dir).map_err(failed(dir))?.flatten() {
        let link = entry.path();
        let is_wanted = entry.file_name().to_str().is_some_and(|name| wanted.contains(name));
        if !is_wanted && is_ours(&link, distcc) {
            fs::remove_file(&link).map_err(failed(&link))?;
            told.push_str(&format!("{}: removed, there is no such compiler\n", link.display()));
        }
    }
    let first = env::split_paths(path).next();
    if first.as_deref() != Some(dir) {
        let dir = quoted(&dir.display().to_string());
        told.push_str(&format!("put it before the compilers: PATH={dir}:$PATH\n"));
    }
    Ok(told)
}

/// A link that we would make.
fn is_ours(link: &Path, distcc: &Path) -> bool {
    fs::read_link(link).is_ok_and(|target| target == distcc)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::testing::make_programs;

    struct Machine {
        root: tempfile::TempDir,
    }

    impl Machine {
        fn new(compilers: &[&str]) -> Self {
            let machine = Self { root: tempfile::tempdir().unwrap() };
            for dir in ["bin", "ccache"] {
                fs::create_dir(machine.path(dir)).unwrap();
            }
            make_programs(&machine.path("bin"), compilers);
            machine
        }

        fn path(&self, name: &str) -> PathBuf {
            self.root.path().join(name)
        }

        fn install(&self) -> String {
            let path = env::join_paths([self.path("ccache"), self.path("bin")]).unwrap();
            install(&self.path("links"), &self.path("bin/distcc"), &path).unwrap()
        }

        fn links(&self) -> Vec<String> {
            let entries = fs::read_dir(self.path("links")).unwrap();
            let name = |entry: io::Result<fs::DirEntry>| entry.unwrap().file_name();
            let mut names: Vec<String> =
                entries.map(|entry| name(entry).into_string().unwrap()).collect();
            names.sort();
            names
        }
    }

    #[test]
    fn every_compiler_gets_a_link_and_one_that_has_gone_loses_it() {
        let names = ["gcc", "g++-12", "x86_64-linux-gnu-gcc", "clang++", "cc"];
        let machine = Machine::new(&[&names[..], &["distcc", "gcc-ar", "ls", "ccache"]].concat());
        symlink(machine.path("bin/ccache"), machine.path("ccache/gcc")).unwrap();
        symlink(machine.path("bin/ccache"), machine.path("ccache/gcc-9")).unwrap();
        let told = machine.install();
        assert_eq!(told.matches(" -> ").count(), 5, "{told}");
        let hint = format!("PATH='{}':$PATH\n", machine.path("links").display());
        assert!(told.ends_with(&hint), "{told}");
        assert_eq!(machine.links(), ["cc", "clang++", "g++-12", "gcc", "x86_64-linux-gnu-gcc"]);
        fs::remove_file(machine.path("bin/cc")).unwrap();
        let told = machine.install();
        assert!(told.contains("links/cc: removed") && !told.contains(" -> "), "{told}");
        assert_eq!(machine.links(), ["clang++", "g++-12", "gcc", "x86_64-linux-gnu-gcc"]);
    }

    #[test]
    fn what_is_not_ours_is_left_alone() {
        let machine = Machine::new(&["gcc", "g++", "distcc"]);
        fs::create_dir(machine.path("links")).unwrap();
        fs::write(machine.path("links/gcc"), "a wrapper").unwrap();
        symlink("/opt/other/distcc", machine.path("links/gcc-99")).unwrap();
        let told = machine.install();
        assert!(told.contains("links/gcc: left alone"), "{told}");
        assert_eq!(machine.links(), ["g++", "gcc", "gcc-99"]);
        assert_eq!(fs::read(machine.path("links/gcc")).unwrap(), b"a wrapper");
    }
}
