//! What runs on the hosts of a lab and what it leaves there.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::farm::DEADLINE;
use crate::lab::{Host, wait_for};

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
