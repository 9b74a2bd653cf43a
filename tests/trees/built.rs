//! One tree built here and through the server, and what must be the same.

use std::collections::BTreeSet;
use std::env;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::bench::{Bench, Compilers, Said, Way, Ways, have, source};
use crate::long;

/// How a tree is built: scripts that `sh` runs in its directory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Recipe {
    pub(crate) tree: &'static str,
    /// The build system, for the table.
    pub(crate) by: &'static str,
    pub(crate) compilers: Compilers,
    pub(crate) way: Way,
    pub(crate) tools: &'static [&'static str],
    pub(crate) configure: &'static str,
    pub(crate) build: &'static str,
    /// Whether what is said comes in the same order each time: one job at a time.
    pub(crate) order: Order,
    /// The tree's own tests.
    pub(crate) check: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    Fixed,
    Any,
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
    let n_before = bench.n_served();
    let said = bench.run(recipe.build, "build.log", recipe.way);
    assert!(bench.has_agent(), "the places are the agent's");
    assert_same_words(&said, &said_here, recipe.order);
    let objects = same_files(&bench.kept("here"), &bench.work());
    let ways = bench.ways("build.log");
    bench.wait_served(n_before + ways.n_served());
    let n_served = bench.n_served() - n_before;
    let n_objects = objects.identical + objects.but_for_debugging;
    let share = ways.n_served() * 100 / n_objects.max(ways.n_compiles()).max(1);
    tell(recipe, &objects, &ways, share, &said_here, &said);
    assert!(n_objects > 0 && share >= 95, "{n_objects} objects, {ways:#?}");
    assert_eq!(n_served, ways.n_served(), "what the server has compiled, by its log");
    bench.run(recipe.check, "check.log", recipe.way);
}

/// A row of the table, shown and added to the file `$TREES_TABLE`.
fn tell(
    recipe: &Recipe,
    objects: &Objects,
    ways: &Ways,
    share: usize,
    said_here: &Said,
    said: &Said,
) {
    let row = format!(
        "{:10} {:9} {:5} | objects {:3} equal, {:3} but for debugging | compiled {:3} there, {:3} \
         there and here, {:2} here: {share:3} % | {:4} lines | {:5.1} s, here {:5.1} s\n",
        recipe.tree,
        recipe.by,
        recipe.compilers.names()[0],
        objects.identical,
        objects.but_for_debugging,
        ways.n_there,
        ways.n_repeated,
        ways.n_here,
        said.stderr.len() + said.stdout.len(),
        said.took.as_secs_f64(),
        said_here.took.as_secs_f64(),
    );
    print!("{row}");
    println!("not distributed: {:#?}", ways.reasons);
    if let Some(path) = env::var_os("TREES_TABLE") {
        let table = OpenOptions::new().create(true).append(true).open(&path);
        let written = table.and_then(|mut file| file.write_all(row.as_bytes()));
        written.unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    }
}

/// The same lines on both outputs; ninja writes what compilers say to standard output.
pub(crate) fn assert_same_words(said: &Said, said_here: &Said, order: Order) {
    for (name, there, here) in [
        ("standard error", &said.stderr, &said_here.stderr),
        ("standard output", &said.stdout, &said_here.stdout),
    ] {
        let (invented, lost) = (only(there, here), only(here, there));
        assert!(
            invented.is_empty() && lost.is_empty(),
            "{name}, only through the server:\n{invented}\nonly here:\n{lost}"
        );
        assert!(order == Order::Any || there == here, "the order on {name}: {there:#?}");
    }
}

/// The lines on one side only.
fn only(some: &[String], others: &[String]) -> String {
    let mut rest = others.to_vec();
    let missing = some.iter().filter(|line| {
        let found = rest.iter().position(|other| &other == line);
        found.map(|at| rest.swap_remove(at)).is_none()
    });
    missing.take(30).cloned().collect::<Vec<_>>().join("\n")
}

/// How many objects are equal, and in what sense.
pub(crate) struct Objects {
    pub(crate) identical: usize,
    pub(crate) but_for_debugging: usize,
}

/// Compares objects (without what tells of debugging, where they differ in it) and dependency
/// files.
pub(crate) fn same_files(here: &Path, there: &Path) -> Objects {
    let (objects, other) = (with_suffix(here, "o"), with_suffix(there, "o"));
    assert_eq!(objects, other, "the objects built");
    let mut identical = 0;
    for object in &objects {
        let same = |strip: bool| bytes(here, object, strip) == bytes(there, object, strip);
        let as_it_is = same(false);
        identical += usize::from(as_it_is);
        assert!(as_it_is || same(true), "{} differs", object.display());
    }
    let (lists, other) = (with_suffix(here, "d"), with_suffix(there, "d"));
    assert_eq!(lists, other, "the dependency files");
    for list in &lists {
        let same = bytes(here, list, false) == bytes(there, list, false);
        assert!(same, "{} differs", list.display());
    }
    Objects { identical, but_for_debugging: objects.len() - identical }
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
