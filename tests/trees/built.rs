//! One tree built here and through the server, and what must be the same.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::bench::{Bench, Compilers, Way, have, source};
use crate::long;

/// How a tree is built: scripts that `sh` runs in its directory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Recipe {
    pub(crate) tree: &'static str,
    pub(crate) compilers: Compilers,
    pub(crate) way: Way,
    pub(crate) tools: &'static [&'static str],
    pub(crate) configure: &'static str,
    pub(crate) build: &'static str,
    /// The tree's own tests.
    pub(crate) check: &'static str,
}

/// Builds it twice at the same place; objects, dependency files and what is said must be equal,
/// and nearly all objects come from the server.
pub(crate) fn same_as_here(recipe: &Recipe) {
    if !long::wanted() || !have(recipe.tools) || !have(&recipe.compilers.names()) {
        return;
    }
    let Some(source) = source(recipe.tree) else { return };
    let bench = Bench::new(recipe.compilers);
    bench.unpack(&source, "");
    bench.run(recipe.configure, "none.log", Way::Here);
    let said_here = bench.run(recipe.build, "none.log", Way::Here);

    bench.unpack(&source, "here");
    bench.run(recipe.configure, "configure.log", recipe.way);
    let said = bench.run(recipe.build, "build.log", recipe.way);
    assert_same_words(&said, &said_here);
    let objects = same_files(&bench.kept("here"), &bench.work());
    let remote = bench.remote("build.log");
    println!("{remote} of {objects} objects were compiled by the server; {} lines", said.len());
    assert!(objects > 0);
    assert!(remote * 100 >= objects * 95, "{remote} of {objects}:\n{}", bench.detours("build.log"));
    bench.run(recipe.check, "check.log", recipe.way);
}

/// Shows only the lines that are on one side.
pub(crate) fn assert_same_words(said: &[String], said_here: &[String]) {
    let only = |some: &[String], others: &[String]| {
        let mut rest = others.to_vec();
        let missing = some.iter().filter(|line| {
            let found = rest.iter().position(|other| &other == line);
            found.map(|at| rest.swap_remove(at)).is_none()
        });
        missing.take(30).cloned().collect::<Vec<_>>().join("\n")
    };
    let (invented, lost) = (only(said, said_here), only(said_here, said));
    assert!(said == said_here, "only through the server:\n{invented}\nonly here:\n{lost}");
}

/// Compares objects (without what tells of debugging, where they differ in it) and dependency
/// files. The number of objects.
pub(crate) fn same_files(here: &Path, there: &Path) -> usize {
    let (objects, other) = (with_suffix(here, "o"), with_suffix(there, "o"));
    assert_eq!(objects, other, "the objects built");
    for object in &objects {
        let same = |strip: bool| bytes(here, object, strip) == bytes(there, object, strip);
        assert!(same(false) || same(true), "{} differs", object.display());
    }
    let (lists, other) = (with_suffix(here, "d"), with_suffix(there, "d"));
    assert_eq!(lists, other, "the dependency files");
    for list in &lists {
        let same = bytes(here, list, false) == bytes(there, list, false);
        assert!(same, "{} differs", list.display());
    }
    objects.len()
}

fn bytes(root: &Path, file: &Path, strip: bool) -> Vec<u8> {
    let path = root.join(file);
    if !strip {
        return fs::read(path).expect("it was found");
    }
    let copy = tempfile::NamedTempFile::new().expect("a temporary file can be made");
    let mut command = Command::new("strip");
    let stripped = command.arg("--strip-debug").arg("-o").arg(copy.path()).arg(path).status();
    assert!(stripped.expect("strip runs").success());
    fs::read(copy.path()).expect("it was made")
}

/// The files below `root` with that suffix, by their path in it.
fn with_suffix(root: &Path, suffix: &str) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    let mut dirs = vec![root.to_path_buf()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(&dir).expect("a directory of ours") {
            let entry = entry.expect("a directory of ours");
            let path = entry.path();
            if entry.file_type().expect("a directory of ours").is_dir() {
                // Left by the probes of CMake and Meson, some under names of chance.
                let probes = ["CMakeTmp", "CMakeScratch", "meson-private"];
                if !probes.iter().any(|name| path.ends_with(name)) {
                    dirs.push(path);
                }
            } else if path.extension().is_some_and(|extension| extension == suffix) {
                found.insert(path.strip_prefix(root).expect("it is below").to_path_buf());
            }
        }
    }
    found
}
