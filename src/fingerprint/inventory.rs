//! Every compiler that this machine can offer, found by itself.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::cache::ToolchainCache;
use super::files::{self, Stamp};
use super::names::offer_order;
use super::probe::{self, ProbeError, Probed};
use super::{Driver, Offered, ident};
use crate::command::CompilerName;

/// A compiler to offer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// What it is, and its names.
    pub(crate) offered: Offered,
    /// The file to execute, as PATH has it: clang minds the name it is called by.
    pub(crate) path: PathBuf,
    /// Links to ccache that PATH has before it, by name.
    pub(crate) cached: BTreeMap<String, PathBuf>,
    /// The files that it rests on, links resolved.
    pub(crate) files: Vec<PathBuf>,
    stamps: Vec<Stamp>,
}

impl Found {
    /// Are all its files still those that were looked at? A few `stat` calls; to be asked before
    /// each job, since an upgrade does not announce itself.
    pub(crate) fn unchanged(&self) -> bool {
        self.stamps.iter().all(Stamp::holds)
    }

    /// The directories of everything that it rests on: its files, and each link on the way from a
    /// name in `path_dirs` to them.
    pub(crate) fn places(&self, path_dirs: &[PathBuf]) -> BTreeSet<PathBuf> {
        let named = self.offered.names.iter().map(OsStr::new);
        let named = named.filter_map(|name| files::find_compiler(name, path_dirs));
        let stamped = self.stamps.iter().map(|stamp| stamp.path.clone());
        named.chain(stamped).chain([self.path.clone()]).flat_map(|path| files::way(&path)).collect()
    }
}

/// What a search has found.
#[derive(Debug, Default)]
pub(crate) struct Survey {
    /// To be offered; the one that `cc` stands for first.
    pub(crate) found: Vec<Found>,
    /// Files with a compiler's name that cannot be used, and why.
    pub(crate) unusable: Vec<(PathBuf, ProbeError)>,
    /// How many have not answered in time.
    pub(crate) n_unasked: usize,
}

/// What is looked for, and where.
#[derive(Clone, Debug, Default)]
pub(crate) struct Search {
    /// The directories of PATH.
    pub(crate) path_dirs: Vec<PathBuf>,
    /// The administrator narrows the names by links in these, as for the original: where one is not
    /// empty, exactly the names in it are looked for.
    pub(crate) masquerade_dirs: Vec<PathBuf>,
    /// These files alone, by these names, wherever they are.
    pub(crate) listed: Option<Vec<(String, PathBuf)>>,
}

/// A name and what it stands for.
struct Named {
    name: String,
    path: PathBuf,
    /// The link to ccache that comes before it.
    cached: Option<PathBuf>,
}

impl Search {
    /// The masquerade directories that narrow the names.
    pub(crate) fn narrowing_dirs(&self) -> impl Iterator<Item = &PathBuf> {
        let is_narrowing = |dir: &&PathBuf| self.listed.is_none() && entries(dir).next().is_some();
        self.masquerade_dirs.iter().filter(is_narrowing)
    }

    /// What a name of a compiler stands for.
    fn path_of(&self, name: &str) -> Option<PathBuf> {
        match &self.listed {
            Some(listed) => {
                let (_, path) = listed.iter().find(|(listed, _)| listed == name)?;
                self.behind(path)
            }
            None => files::find_compiler(OsStr::new(name), &self.path_dirs),
        }
    }

    /// A link to ccache stands for the compiler of that name on PATH.
    fn behind(&self, listed: &Path) -> Option<PathBuf> {
        if files::is_ccache(listed) {
            return files::find_compiler(listed.file_name()?, &self.path_dirs);
        }
        Some(listed.to_owned())
    }

    /// In a fixed order, so that two scans of the same machine agree.
    fn names(&self) -> Vec<Named> {
        let Some(listed) = &self.listed else {
            let names = wanted_names(&self.path_dirs, &self.masquerade_dirs).into_iter();
            return names
                .filter_map(|name| {
                    let path = self.path_of(&name)?;
                    let cached = files::find_ccache(OsStr::new(&name), &self.path_dirs);
                    Some(Named { name, path, cached })
                })
                .collect();
        };
        let named = |(name, path): &(String, PathBuf)| {
            let cached = files::is_ccache(path).then(|| path.clone());
            Some(Named { name: name.clone(), path: self.behind(path)?, cached })
        };
        listed.iter().filter_map(named).collect()
    }
}

/// Looks for gcc, g++, cc, c++, clang, clang++ under plain, versioned and target-prefixed names,
/// links to ccache and distcc looked through, or for what is listed. Blocks while compilers are
/// asked, several at a time. When none has answered for `patience`, the rest is left out, unless
/// that is all.
pub(crate) fn survey(
    search: &Search,
    cache: &mut ToolchainCache,
    patience: Option<Duration>,
) -> Survey {
    let Ok(search_path) = std::env::join_paths(&search.path_dirs) else { return Survey::default() };
    // Each compiler with the path that it is asked by, and the names that stand for it.
    let mut candidates: Vec<(Sameness, PathBuf, Vec<Named>)> = Vec::new();
    let mut survey = Survey::default();
    for named in search.names() {
        let sameness = match Sameness::of(&named.path) {
            Ok(sameness) => sameness,
            Err(error) => {
                let path = named.path;
                survey.unusable.push((path.clone(), ProbeError::File { path, error }));
                continue;
            }
        };
        match candidates.iter_mut().find(|(known, ..)| *known == sameness) {
            Some((_, _, names)) => names.push(named),
            None => candidates.push((sameness, named.path.clone(), vec![named])),
        }
    }
    candidates
        .sort_by_cached_key(|(_, _, names)| names.iter().map(|own| offer_order(&own.name)).min());
    let paths: Vec<PathBuf> = candidates.iter().map(|(_, path, _)| path.clone()).collect();
    let answers = cache.probe_all(&paths, &search_path, patience);
    for ((_, path, names), answer) in candidates.into_iter().zip(answers) {
        match answer {
            Some(Ok(probed)) => {
                for named in names {
                    join(&mut survey.found, named, probed.clone(), path.clone());
                }
            }
            Some(Err(error)) => survey.unusable.push((path, error)),
            None => survey.n_unasked += 1,
        }
    }
    for found in &mut survey.found {
        found.offered.names.sort_by_cached_key(|name| offer_order(name));
    }
    survey.found.sort_by_cached_key(|found| {
        let names = &found.offered.names;
        let first = names.first().cloned().unwrap_or_default();
        let is_default = names.iter().any(|name| name == "cc" || name == "c++");
        (!is_default, offer_order(&first), first)
    });
    survey
}

/// Adds a name to the compiler that it stands for.
fn join(found: &mut Vec<Found>, named: Named, probed: Probed, path: PathBuf) {
    let Probed { toolchain, driver, files, stamps } = probed;
    let Named { name, cached, .. } = named;
    let cached = cached.map(|link| (name.clone(), link));
    let same = found.iter_mut().find(|known| {
        known.files.first() == files.first()
            && known.offered.driver == driver
            && known.offered.toolchain == toolchain
    });
    match same {
        Some(known) => {
            known.offered.names.push(name);
            known.cached.extend(cached);
        }
        None => {
            let offered = Offered { names: vec![name], driver, toolchain };
            let cached = cached.into_iter().collect();
            found.push(Found { offered, path, cached, files, stamps });
        }
    }
}

/// Names that need not be asked twice. A machine has a dozen names for one gcc, and on a small board
/// each question takes a second.
#[derive(PartialEq, Eq)]
struct Sameness {
    file: PathBuf,
    driver: Driver,
    /// clang takes its target from the name's prefix; a script may mind the whole name.
    name: Option<String>,
}

impl Sameness {
    fn of(path: &Path) -> io::Result<Self> {
        let file = fs::canonicalize(path)?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let relevant = if is_program(&file) {
            CompilerName::parse(&name).map(|parsed| parsed.prefix.to_owned())
        } else {
            Some(name.clone().into_owned())
        };
        Ok(Self { file, driver: Driver::of_program(name.as_bytes()), name: relevant })
    }
}

/// An ELF file, not a script.
fn is_program(file: &Path) -> bool {
    let mut magic = [0; 4];
    let read = fs::File::open(file).and_then(|mut open| open.read_exact(&mut magic));
    read.is_ok() && ident::is_elf(&magic)
}

/// In a fixed order, so that two scans of the same machine agree.
fn wanted_names(dirs: &[PathBuf], masquerade_dirs: &[PathBuf]) -> BTreeSet<String> {
    let allowed: BTreeSet<String> = masquerade_dirs.iter().flat_map(|dir| entries(dir)).collect();
    if !allowed.is_empty() {
        return allowed;
    }
    dirs.iter()
        .flat_map(|dir| entries(dir))
        .filter(|name| CompilerName::parse(name).is_some())
        .collect()
}

/// A directory that is not there has no entries; names that are hidden or not text are no compilers.
fn entries(dir: &Path) -> impl Iterator<Item = String> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    names.filter(|name| !name.starts_with('.'))
}

/// The compiler called `cc`, by which stock clients choose a machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DefaultCompiler {
    /// `cc -dumpmachine`: `x86_64-linux-gnu`.
    pub(crate) machine: String,
    /// `cc -dumpversion`: on Debian `12`, elsewhere `12.2.0`.
    pub(crate) version: String,
}

/// What `cc` says of itself in the original's words; none where there is no `cc` or it does not say.
/// Blocks while it runs.
pub(crate) fn default_compiler(search: &Search) -> Option<DefaultCompiler> {
    let path = search.path_of("cc")?;
    let ask =
        |option| probe::ask(&path, &search.path_dirs, option).ok().filter(|said| !said.is_empty());
    Some(DefaultCompiler { machine: ask("-dumpmachine")?, version: ask("-dumpversion")? })
}

#[cfg(test)]
mod tests {
    use super::super::Family;
    use super::super::testing::{SYSTEM_PATH, Shelf, installed, skip};
    use super::*;

    fn system_dirs() -> Vec<PathBuf> {
        files::directories(SYSTEM_PATH.as_ref())
    }

    fn named<'a>(found: &'a [Found], name: &str) -> Option<&'a Found> {
        found.iter().find(|found| found.offered.names.iter().any(|known| known == name))
    }

    fn names(found: &Found) -> Vec<&str> {
        found.offered.names.iter().map(String::as_str).collect()
    }

    fn search(path_dirs: &[PathBuf], masquerade_dirs: &[PathBuf]) -> Search {
        let masquerade_dirs = masquerade_dirs.to_vec();
        Search { path_dirs: path_dirs.to_vec(), masquerade_dirs, listed: None }
    }

    fn scan(
        path_dirs: &[PathBuf],
        masquerade_dirs: &[PathBuf],
        cache: &mut ToolchainCache,
    ) -> Vec<Found> {
        survey(&search(path_dirs, masquerade_dirs), cache, None).found
    }

    #[test]
    fn finds_the_compilers_of_this_machine() {
        if ["gcc", "gcc-11", "clang-14"].iter().any(|name| installed(name).is_none()) {
            return;
        }
        let mut cache = ToolchainCache::in_memory();
        let survey = survey(&search(&system_dirs(), &[]), &mut cache, None);
        let found = &survey.found;
        assert!(survey.unusable.is_empty(), "{:?}", survey.unusable);
        let gcc = &found[0];
        assert_eq!(names(gcc)[0], "gcc");
        assert!(names(gcc).contains(&"cc"), "{:?}", names(gcc));
        assert_eq!(gcc.offered.toolchain.family, Family::Gcc);
        assert!(gcc.unchanged());
        let cxx = named(found, "g++").unwrap();
        assert_eq!((cxx.offered.driver, names(cxx)[0]), (Driver::Cxx, "g++"));
        let eleven = named(found, "gcc-11").unwrap();
        assert!(eleven.offered.toolchain.version.starts_with("11."));
        let clang = named(found, "clang-14").unwrap();
        let clangxx = named(found, "clang++-14").unwrap();
        assert_eq!(clang.files[0], clangxx.files[0]);
        assert!(clang.path.ends_with("clang") && clangxx.path.ends_with("clang++"));
        assert!(named(found, "c99-gcc").is_none());
        let mut all: Vec<&str> = found.iter().flat_map(names).collect();
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count, "a name stands for one compiler");
        assert_eq!(scan(&system_dirs(), &[], &mut cache), *found);
    }

    #[test]
    fn one_that_does_not_say_who_it_is_holds_up_nobody() {
        let Some(gcc) = installed("gcc") else { return };
        let shelf = Shelf::new();
        shelf.link("gcc", &gcc);
        shelf.script("clang", "exec sleep 1000");
        let dirs = files::directories(&shelf.search_path());
        let mut cache = ToolchainCache::in_memory();
        let masquerade = Shelf::new();
        for name in ["gcc", "clang"] {
            masquerade.link(name, &gcc);
        }
        let only = [masquerade.path("")];
        let survey = survey(&search(&dirs, &only), &mut cache, Some(Duration::ZERO));
        assert_eq!(survey.n_unasked, 1);
        assert!(named(&survey.found, "gcc").is_some());
        assert!(survey.unusable.is_empty(), "{:?}", survey.unusable);
    }

    #[test]
    fn serves_what_path_means_first() {
        let Some(eleven) = installed("gcc-11") else { return };
        let shelf = Shelf::new();
        let gcc = shelf.link("gcc", &eleven);
        let dirs = files::directories(&shelf.search_path());
        let mut cache = ToolchainCache::in_memory();
        let found = scan(&dirs, &[], &mut cache);
        let served = named(&found, "gcc").unwrap();
        assert_eq!(served.path, gcc);
        assert!(names(served).contains(&"gcc-11"));
        assert!(served.offered.toolchain.version.starts_with("11."));
        shelf.link("gcc", Path::new("/bin/sh"));
        assert!(!served.unchanged());
    }

    #[test]
    fn looks_through_links_to_programs_that_stand_in() {
        let Some(gcc) = installed("gcc") else { return };
        let shelf = Shelf::new();
        for (program, name) in [("ccache", "gcc"), ("distcc", "cc")] {
            let program = Path::new("/usr/bin").join(program);
            if !program.exists() {
                return skip(&format!("{} is not installed", program.display()));
            }
            shelf.link(name, &program);
        }
        let dirs = files::directories(&shelf.search_path());
        let found = scan(&dirs, &[], &mut ToolchainCache::in_memory());
        let served = named(&found, "gcc").unwrap();
        assert_eq!(served.files[0], gcc.canonicalize().unwrap());
        assert_eq!(served.cached.keys().collect::<Vec<_>>(), ["gcc"]);
        assert_eq!(served.cached["gcc"], shelf.path("gcc"));
        assert!(!named(&found, "cc").unwrap().cached.contains_key("cc"));
    }

    #[test]
    fn a_list_says_which_files_its_names_stand_for() {
        let Some(eleven) = installed("gcc-11") else { return };
        let listed = [
            ("bin/gcc", eleven.clone()),
            ("bin/none", "/nonexistent/bin/none".into()),
            ("bin/sh", "/bin/sh".into()),
        ];
        let listed = listed.map(|(name, path)| (name.to_owned(), path)).to_vec();
        let search = Search { listed: Some(listed), ..search(&system_dirs(), &[]) };
        let survey = survey(&search, &mut ToolchainCache::in_memory(), None);
        let gcc = named(&survey.found, "bin/gcc").unwrap();
        assert_eq!((names(gcc), &gcc.path), (vec!["bin/gcc"], &eleven));
        assert!(gcc.offered.toolchain.version.starts_with("11."));
        assert!(named(&survey.found, "bin/sh").is_some());
        assert!(named(&survey.found, "gcc").is_none());
        let (path, _) = &survey.unusable[0];
        assert_eq!(path, Path::new("/nonexistent/bin/none"));
        assert_eq!(default_compiler(&search), None);
    }

    #[test]
    fn a_masquerade_directory_narrows_the_names() {
        if installed("gcc").is_none() || installed("g++").is_none() {
            return;
        }
        let masquerade = Shelf::new();
        masquerade.link("gcc", Path::new("../../bin/distcc"));
        masquerade.link("no-such-compiler", Path::new("../../bin/distcc"));
        let empty = Shelf::new();
        let (narrow, wide) = (masquerade.path(""), empty.path(""));
        let mut cache = ToolchainCache::in_memory();
        let found = scan(&system_dirs(), &[empty.path("none"), wide.clone(), narrow], &mut cache);
        assert_eq!(found.iter().flat_map(names).collect::<Vec<_>>(), ["gcc"]);
        assert!(found[0].path.ends_with("gcc"));
        let found = scan(&system_dirs(), &[wide], &mut cache);
        assert!(named(&found, "g++").is_some());
    }

    #[test]
    fn a_front_end_that_adds_options_is_another_compiler() {
        if installed("gcc").is_none() || installed("c99-gcc").is_none() {
            return;
        }
        let masquerade = Shelf::new();
        masquerade.link("gcc", Path::new("../../bin/distcc"));
        masquerade.link("c99-gcc", Path::new("../../bin/distcc"));
        let mut cache = ToolchainCache::in_memory();
        let found = scan(&system_dirs(), &[masquerade.path("")], &mut cache);
        let (plain, c99) = (named(&found, "gcc").unwrap(), named(&found, "c99-gcc").unwrap());
        assert_ne!(plain.offered.toolchain.configure, c99.offered.toolchain.configure);
    }

    #[test]
    fn reports_what_cannot_be_used() {
        let shelf = Shelf::new();
        let broken = "echo 'Target: x-y\ngcc version 1.2.3 (GCC)' >&2; exit 1";
        let path = shelf.script("gcc-1.2.3", broken);
        let dirs = [path.parent().unwrap().to_owned()];
        let survey = survey(&search(&dirs, &[]), &mut ToolchainCache::in_memory(), None);
        assert!(survey.found.is_empty());
        assert!(matches!(&survey.unusable[..], [(_, ProbeError::Failed { .. })]));
    }

    #[test]
    fn says_what_the_original_advertises() {
        let Some(cc) = installed("cc") else { return };
        let said = default_compiler(&search(&system_dirs(), &[])).unwrap();
        let expected = |option| {
            let output = std::process::Command::new(&cc).arg(option).output().unwrap();
            String::from_utf8(output.stdout).unwrap().trim().to_owned()
        };
        assert_eq!(said.machine, expected("-dumpmachine"));
        assert_eq!(said.version, expected("-dumpversion"));
        assert_eq!(default_compiler(&Search::default()), None);
    }
}
