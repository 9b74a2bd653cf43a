//! What tests of a whole farm share: daemons, clients, sources to compile, logs.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::lab::{Host, wait_for};

/// Only keeps a broken test from hanging.
pub(crate) const DEADLINE: Duration = Duration::from_secs(120);

/// Starts a daemon as a user would, and returns the line that it prints.
#[track_caller]
pub(crate) fn serve(host: &Host, options: &[&str]) -> String {
    let output = host.command("distccd").args(options).stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{options:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The daemon's log.
pub(crate) fn daemon_log(host: &Host) -> String {
    fs::read_to_string(host.dir("log/distccd.log")).unwrap_or_default()
}

/// The server's log as soon as `n` of its lines hold `text`: a client has its answer a moment before
/// the server has written what became of the job.
#[track_caller]
pub(crate) fn daemon_log_with(host: &Host, n: usize, text: &str) -> String {
    wait_for(&format!("{n} lines with {text:?} in the server's log"), DEADLINE, || {
        Some(daemon_log(host)).filter(|log| count(log, text) >= n)
    })
}

/// How many of its lines hold `text`.
pub(crate) fn count(log: &str, text: &str) -> usize {
    log.lines().filter(|line| line.contains(text)).count()
}

/// `distcc` with a host list, logging to `client.log` of the host.
pub(crate) fn client(host: &Host, hosts: &str, words: &[&str]) -> Command {
    let mut command = host.command("distcc");
    command.args(words).env("DISTCC_HOSTS", hosts).env("DISTCC_LOG", host.dir("log/client.log"));
    command.stdin(Stdio::null());
    command
}

/// The log of all clients.
pub(crate) fn client_log(host: &Host) -> String {
    fs::read_to_string(host.dir("log/client.log")).unwrap_or_default()
}

/// Compiles `source` of the host's home to `object`, which must succeed; the client's log of it.
#[track_caller]
pub(crate) fn compile(host: &Host, hosts: &str, source: &str, object: &str) -> String {
    let log = host.dir(&format!("log/{object}.log"));
    let _ = fs::remove_file(&log);
    let mut command = client(host, hosts, &["gcc", "-O2", "-c", source, "-o", object]);
    let output = command.env("DISTCC_LOG", &log).env("DISTCC_VERBOSE", "1").output().unwrap();
    let log = fs::read_to_string(log).unwrap_or_default();
    assert!(output.status.success(), "{output:?}\n{log}");
    log
}

/// Was that job's object made by another host?
pub(crate) fn was_remote(log: &str) -> bool {
    log.lines().any(|line| line.contains(" compiled on "))
}

/// Writes a file of the host's home.
pub(crate) fn write(host: &Host, name: &str, text: &str) -> PathBuf {
    let path = host.dir("home").join(name);
    fs::write(&path, text).unwrap();
    path
}

/// A source that is compiled in no time.
pub(crate) const QUICK: &str = "int quick(int x) { return x + 1; }\n";

/// A source that keeps a compiler at `-O2` busy for seconds, long enough to be caught at it.
pub(crate) fn slow_source() -> String {
    let function = |n: u32| {
        format!(
            "int f{n}(int *a, int n) {{ int s = {n}; for (int i = 0; i < n; i++) \
             {{ s += a[i] * {n} ^ (s >> 3); if (s & {n}) a[i] = s; }} return s; }}\n"
        )
    };
    (1..300).map(function).collect()
}

/// Sends a signal; to a process that has ended meanwhile is fine.
pub(crate) fn send(pid: Pid, signal: Signal) {
    let _ = kill(pid, signal);
}

/// The compilers at work on this host, as soon as there are some.
#[track_caller]
pub(crate) fn compilers_at_work(host: &Host) -> Vec<Pid> {
    wait_for("a compiler to run", DEADLINE, || {
        Some(host.pids("cc1")).filter(|pids| !pids.is_empty())
    })
}

/// Waits for the end of a command, which a test must not do without a guard.
#[track_caller]
pub(crate) fn end_of(what: &str, child: &mut Child) -> ExitStatus {
    wait_for(what, DEADLINE, || child.try_wait().unwrap())
}

/// Runs a command with its output in a file: unlike a pipe, it does not wait for whoever else
/// holds it.
#[track_caller]
pub(crate) fn run_to_file(what: &str, mut command: Command, file: &Path) -> (ExitStatus, String) {
    let output = File::create(file).unwrap();
    let mut child =
        command.stdout(output.try_clone().unwrap()).stderr(output).stdin(Stdio::null()).spawn();
    let status = end_of(what, child.as_mut().unwrap());
    (status, fs::read_to_string(file).unwrap())
}

/// Standard error as text.
pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Every file and directory below, as paths relative to it.
pub(crate) fn tree(dir: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut left = vec![dir.to_owned()];
    while let Some(next) = left.pop() {
        for entry in fs::read_dir(next).into_iter().flatten().flatten() {
            let path = entry.path();
            found.push(path.strip_prefix(dir).unwrap().display().to_string());
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                left.push(path);
            }
        }
    }
    found.sort();
    found
}

/// What jobs have left on the host: compilers that run, and files of jobs.
pub(crate) fn leftovers(host: &Host) -> Vec<String> {
    let programs = ["distcc", "gcc", "cc1", "cc1plus", "as"];
    let running = programs
        .iter()
        .flat_map(|name| host.pids(name).into_iter().map(move |pid| format!("{name} {pid}")));
    // A daemon keeps its own directory, two deep, as long as it runs.
    let of_daemon = |path: &String| path.starts_with("distccd-") && path.matches('/').count() <= 1;
    let files = tree(&host.dir("tmp")).into_iter().filter(|path| !of_daemon(path));
    running.chain(files).collect()
}

/// Waits until jobs have left nothing.
#[track_caller]
pub(crate) fn assert_clean(host: &Host) {
    let what = format!("{} to be rid of all jobs", host.name());
    wait_for(&what, DEADLINE, || {
        let left = leftovers(host);
        if !left.is_empty() {
            println!("still on {}: {left:?}", host.name());
        }
        left.is_empty().then_some(())
    });
}

/// Leaves of all compilers only these on the host, as `(name, file)`, and what they need.
pub(crate) fn offer_only(host: &mut Host, compilers: &[(&str, &str)]) {
    host.install_only(&[]);
    offer(host, compilers);
    offer(host, &[("as", "/usr/bin/as"), ("ld", "/usr/bin/ld"), ("sh", "/bin/sh")]);
}

/// Offers these files under these names, before all that is installed.
pub(crate) fn offer(host: &mut Host, files: &[(&str, &str)]) {
    for (name, file) in files {
        host.install(name, Path::new(file));
    }
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
        for line in daemon_log(host).lines() {
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
