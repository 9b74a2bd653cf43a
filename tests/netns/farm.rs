//! A farm in a [`Lab`]: hosts with chosen compilers that run `distccd` as the README says, and the
//! carried project, built by one of them.

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::lab::{Host, wait_for};
use crate::skip::skip;

/// Only keeps a broken test from hanging: machines that run tests are busy.
pub(crate) const DEADLINE: Duration = Duration::from_secs(300);

/// Where a program of the system is.
pub(crate) fn installed(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).map(|dir| dir.join(name)).find(|file| file.is_file())
}

/// False, and a loud word, if one of these programs is not installed.
#[track_caller]
pub(crate) fn has_installed(names: &[&str]) -> bool {
    match names.iter().find(|name| installed(name).is_none()) {
        Some(name) => {
            skip(&format!("{name} is not installed"));
            false
        }
        None => true,
    }
}

/// Offers the installed `program` as `name` on this host, before all else.
pub(crate) fn offer_as(host: &mut Host, name: &str, program: &str) {
    host.install(name, &installed(program).expect("checked before"));
}

/// Leaves of all compilers only these on the host, as `(name, program)`, and what they need.
pub(crate) fn offer_only(host: &mut Host, compilers: &[(&str, &str)]) {
    host.install_only(&[]);
    for (name, program) in compilers {
        offer_as(host, name, program);
    }
    for name in ["as", "ld", "sh"] {
        offer_as(host, name, name);
    }
}

/// Starts the server as the README says; returns the line that it prints before it detaches.
#[track_caller]
pub(crate) fn start_server(host: &Host) -> String {
    run(host.command("distccd").args(["--zeroconf", "--allow", "10.77.0.0/24"]))
}

/// What `distcc --show-hosts --why` says on the host, a paragraph a host.
#[track_caller]
pub(crate) fn show_hosts(host: &Host) -> Vec<String> {
    let mut show = host.command("distcc");
    let said = run(show.args(["--show-hosts", "--why"]).env("DISTCC_HOSTS", "+zeroconf"));
    said.split("\n\n").map(str::to_owned).collect()
}

/// Runs a command that must succeed; returns its output.
#[track_caller]
pub(crate) fn run(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}\n{said}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

/// A job in a server's log.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Job {
    /// The connection it came by.
    pub(crate) client: String,
    /// The compiler's name as it was sent.
    pub(crate) compiler: String,
    pub(crate) source: String,
}

/// What a server's log says of jobs.
#[derive(Debug, Default)]
pub(crate) struct Jobs {
    pub(crate) begun: Vec<Job>,
    /// Those whose compiler succeeded.
    pub(crate) compiled: Vec<Job>,
    /// Connections of every job that has ended, whatever came of it.
    ended: BTreeSet<String>,
}

impl Jobs {
    /// Reads the server's log of this host.
    pub(crate) fn of(host: &Host) -> Self {
        let mut jobs = Self::default();
        for line in log_of(host).lines() {
            let Some((_, told)) = line.split_once("client: ") else { continue };
            let mut words = told.split(' ');
            let client = words.next().unwrap_or_default().to_owned();
            let mut last = words.rev();
            let source = last.next().unwrap_or_default().to_owned();
            let compiler = last.next().unwrap_or_default().to_owned();
            let job = Job { client, compiler, source };
            if line.contains("(dcc_job_begin)") {
                jobs.begun.push(job);
            } else if line.contains("(dcc_job_summary)") {
                jobs.ended.insert(job.client.clone());
                if line.contains(" COMPILE_OK ") {
                    jobs.compiled.push(job);
                }
            }
        }
        jobs
    }

    /// Those that have begun and not ended.
    pub(crate) fn open(&self) -> Vec<&Job> {
        self.begun.iter().filter(|job| !self.ended.contains(&job.client)).collect()
    }
}

/// The log of the host's server; empty before there is one.
pub(crate) fn log_of(host: &Host) -> String {
    fs::read_to_string(host.dir("log/distccd.log")).unwrap_or_default()
}

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
        run(Command::new("cp").arg("-r").args(parts).arg(&dir));
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
        run(self.make(host, build, &[]).args(["-j2", "CC=gcc", "CXX=g++"]));
    }

    /// Runs the built program, which checks itself.
    #[track_caller]
    pub(crate) fn run_program(&self, host: &Host, build: &str) {
        run(&mut host.command_in(&self.dir, &format!("{build}/cabinet")));
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
        for (unit, marks) in
            self.units.iter().zip(marks(host, &ours).iter().zip(marks(host, &theirs)))
        {
            assert_eq!(*marks.0, marks.1, "{unit} was compiled by another compiler");
        }
        run(host.command("strip").arg("--strip-debug").args(&ours).args(&theirs));
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
    let said = run(host.command("readelf").args(["--string-dump=.comment"]).args(objects));
    let marks: Vec<String> = said
        .lines()
        .filter(|line| line.contains(']'))
        .map(|line| line.split_once(']').map_or("", |(_, mark)| mark.trim()).to_owned())
        .collect();
    assert_eq!(marks.len(), objects.len(), "one mark each:\n{said}");
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
        wait_for(what, DEADLINE, || {
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
        wait_for("the build to end", DEADLINE, || self.make.try_wait().unwrap()).success()
    }

    fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}
