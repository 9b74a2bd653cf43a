//! The carried project, built by a host of a lab through whatever it finds.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::farm::said;
use crate::lab::{Host, wait_for};

/// Only keeps a broken test from hanging: a build on a busy machine takes its time.
pub(crate) const BUILD_DEADLINE: Duration = Duration::from_secs(540);

/// The carried project in the home of a host.
pub(crate) struct Project {
    dir: PathBuf,
    flags: Vec<String>,
    /// Sources, relative to the project.
    units: Vec<String>,
}

impl Project {
    /// Copies the project there. `flags` are those of its build, for both languages.
    pub(crate) fn copy_to(host: &Host, flags: &str) -> Self {
        let dir = host.dir("home/demo");
        fs::create_dir(&dir).unwrap();
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("demo");
        let parts = ["Makefile", "src", "include"].map(|part| from.join(part));
        said(Command::new("cp").arg("-r").args(parts).arg(&dir));
        let mut units = Vec::new();
        list_sources(&dir, Path::new("src"), &mut units);
        units.sort();
        let flags = ["CFLAGS", "CXXFLAGS"].map(|name| format!("{name}={flags}")).to_vec();
        Self { dir, flags, units }
    }

    /// Takes only these units into account.
    pub(crate) fn narrow(&mut self, keep: impl Fn(&str) -> bool) {
        self.units.retain(|unit| keep(unit));
    }

    /// Its sources, like `src/main.c`.
    pub(crate) fn units(&self) -> &[String] {
        &self.units
    }

    /// The objects of a build.
    pub(crate) fn objects(&self, build: &str) -> Vec<PathBuf> {
        self.names(build).iter().map(|name| self.dir.join(name)).collect()
    }

    /// How many objects of a build are there.
    pub(crate) fn n_built(&self, build: &str) -> usize {
        self.objects(build).iter().filter(|object| object.exists()).count()
    }

    fn names(&self, build: &str) -> Vec<String> {
        let inner = self.units.iter().map(|unit| unit.strip_prefix("src/").unwrap_or(unit));
        inner.map(|unit| format!("{build}/{unit}.o")).collect()
    }

    /// Starts `make -j8` of the objects, or of `targets`, through whatever the host finds. What it
    /// says goes to the file `BUILD.log` in the host's `log`.
    pub(crate) fn start(&self, host: &Host, build: &str, targets: &[&str]) -> Build {
        let log = host.dir("log").join(format!("{build}.log"));
        let file = fs::File::create(&log).unwrap();
        let mut make = self.make(host, build, targets);
        make.args(["-j8", "CC=distcc gcc", "CXX=distcc g++"]);
        make.env("DISTCC_HOSTS", "+zeroconf");
        make.stdin(Stdio::null()).stdout(file.try_clone().unwrap()).stderr(file);
        Build { make: make.spawn().unwrap(), log }
    }

    /// Builds the same objects on the host itself, with its own compilers.
    #[track_caller]
    pub(crate) fn build_locally(&self, host: &Host, build: &str) {
        said(self.make(host, build, &[]).args(["-j2", "CC=gcc", "CXX=g++"]));
    }

    /// Runs the built program, which checks itself.
    #[track_caller]
    pub(crate) fn run_program(&self, host: &Host, build: &str) {
        said(&mut host.command_in(&self.dir, &format!("{build}/cabinet")));
    }

    fn make(&self, host: &Host, build: &str, targets: &[&str]) -> Command {
        let mut make = host.command_in(&self.dir, "make");
        make.arg(format!("O={build}")).args(&self.flags);
        match targets {
            [] => make.args(self.names(build)),
            some => make.args(some),
        };
        make
    }

    /// Every object of one build must carry the mark of the other's compiler and be the same byte
    /// for byte, debug information apart. (Preprocessed source has other columns under macros.)
    /// That is stripped in place.
    #[track_caller]
    pub(crate) fn assert_same_objects(&self, host: &Host, build: &str, reference: &str) {
        let (ours, theirs) = (self.objects(build), self.objects(reference));
        assert_eq!(marks(host, &ours), marks(host, &theirs), "marks of {:#?}", self.units);
        said(host.command("strip").arg("--strip-debug").args(&ours).args(&theirs));
        for (object, expected) in ours.iter().zip(&theirs) {
            let same = fs::read(object).unwrap() == fs::read(expected).unwrap();
            assert!(same, "{} is not as compiled here", object.display());
        }
    }
}

fn list_sources(project: &Path, dir: &Path, units: &mut Vec<String>) {
    for entry in fs::read_dir(project.join(dir)).unwrap() {
        let entry = entry.unwrap();
        let path = dir.join(entry.file_name());
        if entry.path().is_dir() {
            list_sources(project, &path, units);
        } else {
            units.push(path.to_str().unwrap().to_owned());
        }
    }
}

/// What `.comment` says in each of these objects.
#[track_caller]
fn marks(host: &Host, objects: &[PathBuf]) -> Vec<String> {
    let dump = said(host.command("readelf").args(["--string-dump=.comment"]).args(objects));
    let marks: Vec<String> = dump
        .lines()
        .filter(|line| line.contains(']'))
        .map(|line| line.split_once(']').map_or("", |(_, mark)| mark.trim()).to_owned())
        .collect();
    assert_eq!(marks.len(), objects.len(), "one mark each:\n{dump}");
    marks
}

/// A running `make`.
pub(crate) struct Build {
    make: Child,
    log: PathBuf,
}

impl Build {
    /// Has it ended?
    pub(crate) fn is_over(&mut self) -> bool {
        self.make.try_wait().unwrap().is_some()
    }

    /// Waits until `known` gives something while the build runs: it must not end before.
    #[track_caller]
    pub(crate) fn wait_for<T>(&mut self, what: &str, mut known: impl FnMut() -> Option<T>) -> T {
        wait_for(what, BUILD_DEADLINE, || {
            let over = self.is_over();
            let value = known();
            assert!(value.is_some() || !over, "the build ended before: {what}\n{}", self.said());
            value
        })
    }

    /// Waits for its end, which must be a good one.
    #[track_caller]
    pub(crate) fn succeed(mut self) {
        let status = self.wait_for_end();
        assert!(status, "the build failed:\n{}", self.said());
    }

    fn wait_for_end(&mut self) -> bool {
        wait_for("the build to end", BUILD_DEADLINE, || self.make.try_wait().unwrap()).success()
    }

    fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}
