//! What is left of a job, and of a daemon, at its end: nothing, however it ends.

use std::fs::{self, Permissions};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::daemon::{Daemon, is_gone, open_dir, started, until};

const ANY_PROGRAM: &[&str] = &["--enable-tcp-insecure"];

/// A compiler that leaves three processes behind that do not heed SIGTERM: one in its group, one
/// in a session of its own, one there without environment, directory or parent.
const LEAVES_STRAYS: &str = r#"
trap '' TERM
(trap '' TERM; sh -c 'echo $$ > HERE/in-group.new; mv HERE/in-group.new HERE/in-group; while :; do sleep 1000; done' &)
setsid sh -c 'echo $$ > HERE/in-session.new; mv HERE/in-session.new HERE/in-session; while :; do sleep 1000; done' &
(cd /; env -i PATH=/usr/bin:/bin setsid sh -c 'echo $$ > HERE/alone.new; mv HERE/alone.new HERE/alone; while :; do sleep 1000; done' &)
for name in in-group in-session alone; do
    while [ ! -e HERE/$name ]; do sleep 0.01; done
done
"#;
const STRAYS: [&str; 3] = ["in-group", "in-session", "alone"];

/// Puts a program on the daemon's path. No other process inherits it open for writing.
pub(crate) fn install(dir: &Path, name: &str, script: &str) {
    let script = script.replace("HERE", dir.to_str().unwrap());
    let source = dir.join(format!("{name}.sh"));
    fs::write(&source, format!("#!/bin/sh\n{script}")).unwrap();
    let path = dir.join("bin").join(name);
    let copied = Command::new("install").args(["-m", "755"]).arg(&source).arg(&path).status();
    assert!(copied.unwrap().success());
}

/// A daemon, and a client whose compiler has left strays and then waits for ever.
fn with_strays() -> (Daemon, TcpStream, Vec<Pid>) {
    let daemon = Daemon::start(ANY_PROGRAM);
    let dir = daemon.dir.path();
    install(dir, "wild", &format!("{LEAVES_STRAYS}: > HERE/ready; while :; do sleep 1000; done\n"));
    let client = daemon.send("wild -c x.c -o x.o");
    until("the compiler has left its strays", || dir.join("ready").exists());
    let strays = strays(dir);
    (daemon, client, strays)
}

fn strays(dir: &Path) -> Vec<Pid> {
    STRAYS
        .iter()
        .map(|name| Pid::from_raw(number(&fs::read_to_string(dir.join(name)).unwrap())))
        .collect()
}

fn number(text: &str) -> i32 {
    text.trim().parse().unwrap()
}

pub(crate) fn children(pid: Pid) -> Vec<Pid> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).unwrap().flatten();
    let lists = threads.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    lists
        .flat_map(|list| list.split_whitespace().map(number).collect::<Vec<_>>())
        .map(Pid::from_raw)
        .collect()
}

pub(crate) fn name(pid: Pid) -> String {
    fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default().trim().to_owned()
}

fn guard(daemon: Pid) -> Pid {
    children(daemon).into_iter().find(|child| name(*child) == "dcc-guard").unwrap()
}

fn read_all(client: &mut TcpStream) -> Vec<u8> {
    let mut answer = Vec::new();
    let _ = client.read_to_end(&mut answer);
    answer
}

fn until_gone(strays: &[Pid]) {
    for stray in strays {
        until(&format!("{stray} is gone"), || is_gone(*stray));
    }
}

#[test]
fn nothing_that_a_compiler_starts_outlives_its_job() {
    let daemon = Daemon::start(ANY_PROGRAM);
    let dir = daemon.dir.path();
    install(dir, "wild", &format!("{LEAVES_STRAYS}: > x.o; echo said >&2\n"));
    let answer = read_all(&mut daemon.send("wild -c x.c -o x.o"));
    // The strays hold standard error open, and are not waited for.
    let expected = b"DONE00000001STAT00000000SERR00000005said\n";
    assert!(answer.starts_with(expected), "{}", answer.escape_ascii());
    for stray in strays(dir) {
        assert!(is_gone(stray));
    }
    // And no zombies.
    let left = children(daemon.pid());
    assert!(matches!(left[..], [guard] if name(guard) == "dcc-guard"), "{left:?}");
}

#[test]
fn a_client_that_leaves_takes_all_of_its_compiler_with_it() {
    let (daemon, client, strays) = with_strays();
    drop(client);
    until_gone(&strays);
    until("they are reaped", || children(daemon.pid()).len() == 1);
    until("the job's directory goes", || daemon.job_files() == 0);
}

#[test]
fn a_compile_that_takes_too_long_ends_with_all_that_it_started() {
    let daemon = Daemon::start(&["--enable-tcp-insecure", "--job-lifetime", "2"]);
    let dir = daemon.dir.path();
    install(dir, "wild", &format!("{LEAVES_STRAYS}while :; do sleep 1000; done\n"));
    let answer = read_all(&mut daemon.send("wild -c x.c -o x.o"));
    assert!(answer.starts_with(b"DONE00000001STAT00007600"), "{}", answer.escape_ascii());
    // On a machine that is busy enough the time was over before all three had begun.
    until("all is reaped", || children(daemon.pid()).len() == 1);
    for file in STRAYS {
        if let Ok(stray) = fs::read_to_string(dir.join(file)) {
            assert!(is_gone(Pid::from_raw(number(&stray))), "{file}");
        }
    }
}

#[test]
fn an_end_at_once_takes_everything_along() {
    let (daemon, mut client, strays) = with_strays();
    let pid = daemon.pid();
    let guard = guard(pid);
    kill(pid, Signal::SIGTERM).unwrap();
    until("the first signal is noticed", || daemon.log().contains("asked to end"));
    kill(pid, Signal::SIGTERM).unwrap();
    assert_eq!(read_all(&mut client), b"");
    until("the daemon ends", || is_gone(pid));
    for process in strays.iter().chain([&guard]) {
        assert!(is_gone(*process), "{process}");
    }
    assert_eq!(daemon.job_files(), 0);
    assert!(!daemon.dir.path().join("pid").exists());
    let log = daemon.log();
    assert!(log.contains("OTHER") && log.contains("(this server ended first)"), "{log}");
}

#[test]
fn a_killed_daemon_takes_its_compilers_and_their_files_with_it() {
    let (daemon, _client, strays) = with_strays();
    let pid = daemon.pid();
    let guard = guard(pid);
    // The one without a mark was reparented to the daemon, and is known by nothing any more.
    let alone = strays[2];
    kill(pid, Signal::SIGKILL).unwrap();
    until_gone(&strays[..2]);
    until("the guard ends", || is_gone(guard));
    assert_eq!(daemon.job_files(), 0);
    let _ = kill(alone, Signal::SIGKILL);
}

#[test]
fn what_daemon_and_guard_leave_when_both_are_killed_is_swept_by_the_next() {
    let (daemon, _client, strays) = with_strays();
    let pid = daemon.pid();
    kill(guard(pid), Signal::SIGKILL).unwrap();
    until("the daemon tells of it", || daemon.log().contains("the guard died"));
    kill(pid, Signal::SIGKILL).unwrap();
    until("the daemon is gone", || is_gone(pid));
    assert!(daemon.job_files() > 0);
    for stray in strays {
        let _ = kill(stray, Signal::SIGKILL);
    }
    let other = ["--enable-tcp-insecure", "--lifetime", "60"];
    fs::remove_file(daemon.dir.path().join("state/node-id")).unwrap();
    let (_, next) = started(daemon.dir.path(), &other);
    assert!(next.status.success(), "{next:?}");
    assert_eq!(daemon.job_files(), 0);
}

#[test]
fn jobs_go_on_without_a_guard() {
    let daemon = Daemon::start(ANY_PROGRAM);
    kill(guard(daemon.pid()), Signal::SIGKILL).unwrap();
    until("the daemon tells of it", || daemon.log().contains("the guard died"));
    assert_eq!(children(daemon.pid()), []);
    install(daemon.dir.path(), "tame", ": > x.o\n");
    let answer = read_all(&mut daemon.send("tame -c x.c -o x.o"));
    assert!(answer.starts_with(b"DONE00000001STAT00000000"), "{}", answer.escape_ascii());
}

#[test]
fn whatever_a_compiler_leaves_is_swept() {
    let daemon = Daemon::start(ANY_PROGRAM);
    let litter = "mkdir -p a/b/c many; : > a/b/c/x; ln -s / a/link; : > 'a/two\nlines'\n\
                  i=0; while [ $i -lt 300 ]; do : > many/$i; i=$((i+1)); done\n\
                  chmod 0 a/b/c; chmod 500 a/b; chmod 0 a; chmod 0 .; : > HERE/littered\n";
    install(daemon.dir.path(), "litter", litter);
    // A directory that cannot be entered has no object for the client either.
    assert_eq!(read_all(&mut daemon.send("litter -c x.c -o x.o")), b"");
    assert!(daemon.dir.path().join("littered").exists());
    until("the job's directory goes", || daemon.job_files() == 0);
}

#[test]
fn one_client_s_server_ends_its_compiler_however_it_ends() {
    for end in [Signal::SIGTERM, Signal::SIGKILL] {
        let dir = open_dir();
        fs::create_dir(dir.path().join("bin")).unwrap();
        fs::set_permissions(dir.path().join("bin"), Permissions::from_mode(0o755)).unwrap();
        install(
            dir.path(),
            "wild",
            &format!("{LEAVES_STRAYS}: > HERE/ready; while :; do sleep 1000; done\n"),
        );
        let (mut client, theirs) = UnixStream::pair().unwrap();
        let path = format!("{}:/usr/bin:/bin", dir.path().join("bin").display());
        let mut server = Command::new(env!("CARGO_BIN_EXE_distccd"))
            .args(["--inetd", "--enable-tcp-insecure", "--log-file"])
            .arg(dir.path().join("log"))
            .env("STATE_DIRECTORY", dir.path().join("state"))
            .env("TMPDIR", dir.path())
            .env("DISTCCD_PATH", path)
            .stdin(OwnedFd::from(theirs.try_clone().unwrap()))
            .stdout(OwnedFd::from(theirs))
            .spawn()
            .unwrap();
        let words = "DIST00000001ARGC00000005ARGV00000004wildARGV00000002-cARGV00000003x.c\
                     ARGV00000002-oARGV00000003x.oDOTI00000000";
        client.write_all(words.as_bytes()).unwrap();
        until("the compiler has left its strays", || dir.path().join("ready").exists());
        let strays = strays(dir.path());
        let pid = Pid::from_raw(server.id().cast_signed());
        let guard = guard(pid);
        kill(pid, end).unwrap();
        server.wait().unwrap();
        until_gone(&strays[..2]);
        until("the guard ends", || is_gone(guard));
        let alone = strays[2];
        if end == Signal::SIGTERM {
            assert!(is_gone(alone));
        }
        let _ = kill(alone, Signal::SIGKILL);
        let left = fs::read_dir(dir.path()).unwrap().flatten();
        let left = left.filter(|entry| entry.file_name().to_string_lossy().starts_with("distccd-"));
        assert_eq!(left.count(), 0, "{end}");
    }
}
