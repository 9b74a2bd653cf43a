//! A lab whose hosts differ in what a policy can ask about, and one check of a policy there.
//!
//! The hosts differ in what can truly differ on one machine: gcc 12 and 11, clang 14 and 13, and a
//! clang for another target. Two things are staged, on the host `ODD` only: its `as` is a script
//! that tells the version of another release and runs the real one, and its gcc is a copy of the
//! driver in whose texts one digit of the package's revision was changed.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::farm::{Compile, installed, offer, said, serve_stock, text, volunteer};
use crate::jobs::{Jobs, logged_by};
use crate::lab::{Host, Lab};
use crate::why::Why;

/// The client.
pub(crate) const CLIENT: usize = 1;
/// Has the client's compilers.
pub(crate) const TWIN: usize = 2;
/// Has older ones under the same names.
pub(crate) const OLDER: usize = 3;
/// Has the client's gcc in another package, with another assembler, and clang for another target.
pub(crate) const ODD: usize = 4;
/// Debian's distccd with the client's gcc.
pub(crate) const STOCK: usize = 5;
/// Debian's distccd with an older gcc.
pub(crate) const STOCK_OLDER: usize = 6;

pub(crate) const GCC: &str = "/usr/bin/gcc-12";
pub(crate) const OLD_GCC: &str = "/usr/bin/gcc-11";
pub(crate) const CLANG: &str = "/usr/bin/clang-14";
pub(crate) const OLD_CLANG: &str = "/usr/bin/clang-13";
const AS: &str = "/usr/bin/as";
/// clang takes its target from the name that it is called by.
pub(crate) const CROSS_CLANG: &str = "aarch64-linux-gnu-clang";

/// What the compilers say of themselves, as verdicts name it.
pub(crate) struct Facts {
    pub(crate) gcc: String,
    pub(crate) old_gcc: String,
    pub(crate) clang: String,
    pub(crate) old_clang: String,
    pub(crate) assembler: String,
    pub(crate) next_assembler: String,
    pub(crate) revision: String,
    pub(crate) next_revision: String,
    pub(crate) target: String,
    pub(crate) cross_target: String,
}

impl Facts {
    fn gather() -> Self {
        let ask = |compiler: &str, option: &str| said(Command::new(compiler).arg(option));
        let banner = ask(AS, "--version");
        let assembler = banner.lines().next().unwrap().rsplit(' ').next().unwrap().to_owned();
        let (release, number) = assembler.split_once('.').unwrap();
        let number: u32 = number.split('.').next().unwrap().parse().unwrap();
        let output = Command::new(GCC).arg("-v").env("LC_ALL", "C").output().unwrap();
        let version = text(&output.stderr);
        let package = version.lines().last().unwrap().trim_end().trim_end_matches(')');
        let revision = package.rsplit(' ').next().unwrap().to_owned();
        let last = revision.chars().last().unwrap();
        let next = if last == '9' { '0' } else { '9' };
        let target = ask(CLANG, "-dumpmachine");
        let cross_target =
            said(Command::new(CLANG).args(["--target=aarch64-linux-gnu", "-dumpmachine"]));
        Self {
            gcc: ask(GCC, "-dumpfullversion"),
            old_gcc: ask(OLD_GCC, "-dumpfullversion"),
            clang: ask(CLANG, "-dumpversion"),
            old_clang: ask(OLD_CLANG, "-dumpversion"),
            next_assembler: format!("{release}.{}", number + 1),
            assembler,
            next_revision: format!("{}{next}", &revision[..revision.len() - 1]),
            revision,
            target,
            cross_target,
        }
    }
}

/// The lab of these tests, and how many jobs each host should have run.
pub(crate) struct Farm {
    pub(crate) lab: Lab,
    pub(crate) facts: Facts,
    pub(crate) jobs: [usize; 7],
    pub(crate) n_cases: usize,
}

impl Farm {
    /// `None`, and a loud word, where something is missing.
    pub(crate) fn start() -> Option<Self> {
        if !installed(&[GCC, OLD_GCC, CLANG, OLD_CLANG, AS, "/usr/bin/distccd"]) {
            return None;
        }
        let mut lab = Lab::new(6)?;
        let facts = Facts::gather();
        let equip = |host: &mut Host, files: &[(&str, &str)]| {
            host.install_only(&[]);
            offer(host, files);
        };
        offer(lab.host(CLIENT), &[("gcc", GCC), ("clang", CLANG)]);
        equip(lab.host(TWIN), &[("gcc", GCC), ("clang", CLANG), ("as", AS)]);
        equip(lab.host(OLDER), &[("gcc", OLD_GCC), ("clang", OLD_CLANG), ("as", AS)]);
        equip(lab.host(ODD), &[(CROSS_CLANG, CLANG)]);
        stage(lab.host(ODD), &facts);
        equip(lab.host(STOCK), &[("gcc", GCC), ("as", AS)]);
        equip(lab.host(STOCK_OLDER), &[("gcc", OLD_GCC), ("as", AS)]);
        for number in [TWIN, OLDER, ODD] {
            volunteer(lab.host(number));
        }
        for number in [STOCK, STOCK_OLDER] {
            serve_stock(lab.host(number));
        }
        Some(Self { lab, facts, jobs: [0; 7], n_cases: 0 })
    }

    pub(crate) fn policy_file(&mut self) -> PathBuf {
        self.lab.host(CLIENT).dir("distcc/policy.toml")
    }

    /// A source that no other case has.
    pub(crate) fn new_source(&mut self) -> String {
        self.n_cases += 1;
        let name = format!("case{}.c", self.n_cases);
        let file = self.lab.host(CLIENT).dir("home").join(&name);
        fs::write(file, format!("int f(int x) {{ return x + {}; }}\n", self.n_cases)).unwrap();
        name
    }

    #[track_caller]
    pub(crate) fn check(&mut self, case: &Case) {
        let source = self.new_source();
        fs::write(self.policy_file(), &case.policy).unwrap();
        let n_hosts = case.hosts.split(' ').map(|word| if word == "+zeroconf" { 3 } else { 1 });
        let client = self.lab.host(CLIENT);
        let why = Why::ask(client, case.hosts, &[case.compiler], n_hosts.sum());
        let compile = Compile::run(client, case.hosts, case.compiler, &source, "made.o");
        let told = why.of(&case.shown());
        let ran_on = compile.ran_on().map(number_of);
        let policy = case.policy.split_whitespace().collect::<Vec<_>>().join(" ");
        println!("{policy}\n  {}: {told}; {} -> {ran_on:?}", case.shown(), case.compiler);
        assert_eq!(told, case.verdict, "{policy}");
        assert_eq!(ran_on, case.runs_on, "{policy}\n{}", compile.log);
        assert_eq!(text(&compile.output.stderr), "", "{policy}");
        if let Some(number) = case.runs_on {
            assert_eq!(logged_by(&mut self.lab, &[2, 3, 4, 5, 6], &source), number);
            self.jobs[number] += 1;
        }
        let expected = self.made_by(&case.like, &source);
        assert!(fs::read(compile.object).unwrap() == expected, "{policy}: another object");
    }

    /// The object that this compiler makes here.
    pub(crate) fn made_by(&mut self, compiler: &Path, source: &str) -> Vec<u8> {
        let client = self.lab.host(CLIENT);
        let object = client.dir("home/expected.o");
        let compiler = compiler.to_str().unwrap();
        said(client.command(compiler).args(["-O2", "-c", source, "-o"]).arg(&object));
        fs::read(object).unwrap()
    }

    /// No job has run but where it was seen to.
    pub(crate) fn assert_no_other_jobs(mut self) {
        for number in TWIN..=STOCK_OLDER {
            let jobs = Jobs::of(self.lab.host(number)).ran;
            assert_eq!(jobs.len(), self.jobs[number], "h{number}: {jobs:#?}");
        }
        println!("jobs by host: {:?}", &self.jobs[TWIN..]);
    }
}

/// Gives the host its assembler of another release and its gcc of another package.
fn stage(host: &mut Host, facts: &Facts) {
    let (here, there) = (facts.assembler.replace('.', "\\."), &facts.next_assembler);
    let script = format!(
        "#!/bin/sh\nsaid=$({AS} \"$@\" 2>&1)\ncode=$?\n\
         [ -z \"$said\" ] || printf '%s\\n' \"$said\" | /usr/bin/sed 's/{here}/{there}/g' >&2\n\
         exit $code\n"
    );
    write_program(&host.dir("bin/as"), script.as_bytes());
    let mut driver = fs::read(GCC).unwrap();
    let (from, to) = (facts.revision.as_bytes(), facts.next_revision.as_bytes());
    let places: Vec<usize> =
        (0..driver.len() - from.len()).filter(|&at| driver[at..].starts_with(from)).collect();
    assert!(!places.is_empty(), "gcc does not contain {}", facts.revision);
    for at in places {
        driver[at..at + to.len()].copy_from_slice(to);
    }
    write_program(&host.dir("bin/gcc"), &driver);
    // A driver looks for its compiler proper beside the directory that it lies in.
    symlink("/usr/lib", host.dir("lib")).unwrap();
}

fn write_program(file: &Path, contents: &[u8]) {
    fs::write(file, contents).unwrap();
    fs::set_permissions(file, fs::Permissions::from_mode(0o755)).unwrap();
}

/// The host that a token of the client's log means: 10.77.0.N or fd77::N.
fn number_of(token: &str) -> usize {
    let address = token.strip_prefix("10.77.0.").or_else(|| token.strip_prefix("[fd77::"));
    let digits = address.and_then(|rest| rest.split([':', ']', '/']).next());
    digits.and_then(|digits| digits.parse().ok()).unwrap_or_else(|| panic!("which host: {token}"))
}

/// A policy and what must come of it.
pub(crate) struct Case {
    pub(crate) policy: String,
    pub(crate) hosts: &'static str,
    pub(crate) compiler: &'static str,
    /// The host that is asked about.
    pub(crate) host: usize,
    /// Exactly what is told of it.
    pub(crate) verdict: String,
    pub(crate) runs_on: Option<usize>,
    /// A compiler that makes the same object.
    pub(crate) like: PathBuf,
}

impl Case {
    /// What is told of `host` when all other discovered hosts are denied. `verdict` begins with
    /// "yes" if the job must run there.
    pub(crate) fn of_match(
        matching: &str,
        (host, compiler): (usize, &'static str),
        verdict: String,
    ) -> Self {
        let others = others(host);
        let policy =
            format!("[match]\n{matching}\n[[rule]]\naction = \"deny\"\nhost = \"{others}\"\n");
        let hosts = list(host);
        let runs_on = verdict.starts_with("yes").then_some(host);
        let like = if compiler == "clang" { CLANG } else { GCC }.into();
        Self { policy, hosts, compiler, host, verdict, runs_on, like }
    }

    pub(crate) fn like(self, compiler: impl Into<PathBuf>) -> Self {
        Self { like: compiler.into(), ..self }
    }

    /// The host as the list of hosts shows it.
    fn shown(&self) -> String {
        match self.host {
            STOCK | STOCK_OLDER => format!("10.77.0.{}", self.host),
            discovered => format!("h{discovered}"),
        }
    }
}

/// Every name of the lab but this one's.
pub(crate) fn others(host: usize) -> String {
    format!("h[!{host}]")
}

/// A host list from which `host` is known.
pub(crate) fn list(host: usize) -> &'static str {
    match host {
        STOCK => "10.77.0.5",
        STOCK_OLDER => "10.77.0.6",
        _ => "+zeroconf",
    }
}
