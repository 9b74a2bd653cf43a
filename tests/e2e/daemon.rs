//! `distccd` itself, as a user starts it and as signals end it.

use std::fs::{self, Permissions};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{self, Command, Output};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, geteuid, mkfifo};
use tempfile::TempDir;

use crate::skip::skip;

/// Longer than anything takes on a busy machine; only a failing test waits for it.
const PATIENCE: Duration = Duration::from_secs(60);

/// Stands for a free port in a daemon's options.
pub(crate) const ANOTHER_PORT: &str = "another port";

/// A daemon in the background, ended with the test.
pub(crate) struct Daemon {
    pub(crate) dir: TempDir,
    pub(crate) port: u16,
    /// The port that stands where the options have [`ANOTHER_PORT`].
    pub(crate) other_port: u16,
    /// What it said before it detached.
    line: String,
}

impl Daemon {
    /// Starts it on a free port.
    pub(crate) fn start(options: &[&str]) -> Self {
        let dir = gated_dir();
        let ([port, other_port], started) = started(dir.path(), options);
        assert_eq!(started.status.code(), Some(0), "{started:?}");
        let line = String::from_utf8(started.stdout).unwrap();
        Self { dir, port, other_port, line }
    }

    pub(crate) fn pid(&self) -> Pid {
        let text = fs::read_to_string(self.dir.path().join("pid")).unwrap();
        Pid::from_raw(text.trim().parse().unwrap())
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap()
    }

    /// Directories of jobs in its temporary directory.
    pub(crate) fn job_files(&self) -> usize {
        let nodes = fs::read_dir(self.dir.path()).unwrap().flatten();
        let nodes = nodes.filter(|node| node.file_name().to_string_lossy().starts_with("distccd-"));
        // What is being removed may be gone before it is looked into.
        let within = |dir: PathBuf| fs::read_dir(dir).into_iter().flatten().flatten();
        nodes.flat_map(|node| within(node.path())).flat_map(|run| within(run.path())).count()
    }

    pub(crate) fn send(&self, words: &str) -> TcpStream {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).unwrap();
        let words: Vec<&str> = words.split(' ').collect();
        let mut request = format!("DIST00000001ARGC{:08x}", words.len());
        for word in words {
            request += &format!("ARGV{:08x}{word}", word.len());
        }
        request += "DOTI00000000";
        stream.write_all(request.as_bytes()).unwrap();
        stream
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let pid = fs::read_to_string(self.dir.path().join("pid")).unwrap_or_default();
        if let Ok(pid) = pid.trim().parse() {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }
}

/// A directory in which an unprivileged daemon may work too.
pub(crate) fn open_dir() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), Permissions::from_mode(0o777)).unwrap();
    dir
}

/// A directory with a program that says that it has begun and then waits at a gate. The daemon passes
/// no environment on, so the directory stands in it.
/// It is not called like a compiler, since the daemon would ask it at its start who it is.
fn gated_dir() -> TempDir {
    let dir = open_dir();
    let here = dir.path().display();
    let stub = format!("#!/bin/sh\n: > {here}/begun; read line < {here}/gate; : > x.o\n");
    fs::create_dir(dir.path().join("bin")).unwrap();
    let path = dir.path().join("bin/stub");
    fs::write(&path, stub).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
    // Whatever the umask takes away, the unprivileged compiler must be able to open it.
    let gate = dir.path().join("gate");
    mkfifo(&gate, Mode::empty()).unwrap();
    fs::set_permissions(&gate, Permissions::from_mode(0o666)).unwrap();
    dir
}

fn command(dir: &Path, port: u16, options: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_distccd"));
    // A flag may stand only once.
    for (flag, value) in [("--port", &*port.to_string()), ("--pid-file", "pid")] {
        if !options.contains(&flag) {
            command.args([flag, value]);
        }
    }
    command
        .args(["--log-file", "log"])
        .args(["--listen", "127.0.0.1", "--state-dir", "state"])
        .args(options)
        .env("TMPDIR", dir)
        .current_dir(dir);
    command
}

/// With a program of the test's before the machine's compilers.
fn distccd(dir: &Path, port: u16, options: &[&str]) -> Output {
    let path = format!("{}:/usr/bin:/bin", dir.join("bin").display());
    command(dir, port, options).env("DISTCCD_PATH", path).output().unwrap()
}

/// A start on a port that was free a moment ago, another one if it is taken now; with the one that
/// took the place of [`ANOTHER_PORT`].
pub(crate) fn started(dir: &Path, options: &[&str]) -> ([u16; 2], Output) {
    let start = || {
        let free = [(); 2].map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap());
        let ports = free.map(|free| free.local_addr().unwrap().port());
        let other = ports[1].to_string();
        let fill = |option| if option == ANOTHER_PORT { other.as_str() } else { option };
        let options: Vec<&str> = options.iter().map(|option| fill(option)).collect();
        let output = distccd(dir, ports[0], &options);
        (output.status.code() != Some(102)).then_some((ports, output))
    };
    (0..20).find_map(|_| start()).expect("a free port")
}

/// Waits for what a test has begun.
#[track_caller]
pub(crate) fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < PATIENCE, "still waiting: {what}");
        // Often enough, and what is waited for has the processor.
        thread::sleep(Duration::from_millis(1));
    }
}

pub(crate) fn is_gone(pid: Pid) -> bool {
    // A killed daemon is init's to reap, which may take init a while.
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // Its first thread may end before the others, which still hold its port then.
    let n_threads = fs::read_dir(format!("/proc/{pid}/task")).map_or(0, Iterator::count);
    stat.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with('Z') && n_threads < 2)
}

#[test]
fn says_in_one_line_what_is_served_to_whom_and_where_the_log_is() {
    if !Path::new("/usr/bin/gcc").exists() {
        return skip("no gcc in /usr/bin");
    }
    let daemon = Daemon::start(&["--allow", "127.0.0.1", "--jobs", "3"]);
    let log = daemon.dir.path().join("log");
    assert!(daemon.line.starts_with("distccd: serving "), "{}", daemon.line);
    assert!(daemon.line.contains("gcc "), "{}", daemon.line);
    let end = format!(
        " (3 jobs) on port {} of 127.0.0.1 to 127.0.0.1; log {}\n",
        daemon.port,
        log.display()
    );
    assert!(daemon.line.ends_with(&end), "{}", daemon.line);
    assert_eq!(daemon.line.lines().count(), 1);
}

/// A daemon with a program that waits at a gate, with a client whose job has come there.
fn at_the_gate() -> (Daemon, TcpStream) {
    let daemon = Daemon::start(&["--enable-tcp-insecure"]);
    let client = daemon.send("stub -c x.c -o x.o");
    until("the compile begins", || daemon.dir.path().join("begun").exists());
    (daemon, client)
}

#[test]
fn ends_on_sigterm_after_the_running_compile_and_leaves_nothing() {
    let (daemon, mut client) = at_the_gate();
    let pid = daemon.pid();
    kill(pid, Signal::SIGTERM).unwrap();
    until("the port is closed", || TcpStream::connect((Ipv4Addr::LOCALHOST, daemon.port)).is_err());
    assert!(!is_gone(pid));
    fs::write(daemon.dir.path().join("gate"), "go\n").unwrap();
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).unwrap();
    assert!(answer.starts_with(b"DONE00000001STAT00000000"), "{}", answer.escape_ascii());
    until("the daemon ends", || is_gone(pid));
    let log = daemon.log();
    assert!(log.contains(&format!("distccd[{pid}] (dcc_job_begin) client: 127.0.0.1:")), "{log}");
    assert!(log.contains(" COMPILE_OK exit:0 sig:0 core:0 ret:0 time:"), "{log}");
    assert!(!daemon.dir.path().join("pid").exists());
    assert_eq!(daemon.job_files(), 0);
}

#[test]
fn ends_at_once_on_a_second_signal() {
    let (daemon, mut client) = at_the_gate();
    let pid = daemon.pid();
    kill(pid, Signal::SIGTERM).unwrap();
    until("the first signal is noticed", || daemon.log().contains("asked to end"));
    kill(pid, Signal::SIGINT).unwrap();
    let mut answer = Vec::new();
    // Cut off without an answer.
    let _ = client.read_to_end(&mut answer);
    assert_eq!(answer, b"");
    until("the daemon ends", || is_gone(pid));
    assert_eq!(daemon.job_files(), 0);
}

/// A directory of `/run`, removed with the test.
struct RunDir(PathBuf);

impl Drop for RunDir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn root_s_daemon_removes_its_pid_file_from_a_directory_of_its_own() {
    if !geteuid().is_root() {
        return skip("only root may make a directory in /run");
    }
    let dir = RunDir(format!("/run/distccd-test-{}", process::id()).into());
    let file = dir.0.join("pid");
    let daemon = Daemon::start(&["--enable-tcp-insecure", "--pid-file", file.to_str().unwrap()]);
    let pid = fs::read_to_string(&file).unwrap();
    // For the end of a test that fails.
    fs::write(daemon.dir.path().join("pid"), &pid).unwrap();
    let pid = Pid::from_raw(pid.trim().parse().unwrap());
    kill(pid, Signal::SIGTERM).unwrap();
    until("the daemon ends", || is_gone(pid));
    assert!(!file.exists(), "{}", daemon.log());
}

#[test]
fn opens_its_log_anew_on_sighup() {
    let daemon = Daemon::start(&["--enable-tcp-insecure"]);
    let (log, rotated) = (daemon.dir.path().join("log"), daemon.dir.path().join("log.1"));
    fs::rename(&log, &rotated).unwrap();
    kill(daemon.pid(), Signal::SIGHUP).unwrap();
    until("there is a new log", || log.exists());
    let kept = fs::read(&rotated).unwrap();
    kill(daemon.pid(), Signal::SIGTERM).unwrap();
    until("the new log is written to", || daemon.log().contains("asked to end"));
    assert_eq!(fs::read(&rotated).unwrap(), kept);
}

#[test]
fn a_killed_daemon_s_log_shows_the_job_begun_and_the_next_one_cleans_up() {
    let (daemon, _client) = at_the_gate();
    let pid = daemon.pid();
    kill(pid, Signal::SIGKILL).unwrap();
    until("the daemon is gone", || is_gone(pid));
    let log = daemon.log();
    assert!(log.contains("(dcc_job_begin)") && !log.contains("(dcc_job_summary)"), "{log}");
    let (_, next) = started(daemon.dir.path(), &["--enable-tcp-insecure"]);
    assert!(next.status.success(), "{next:?}");
    // By the guard of the killed one or by the next, whichever comes first.
    until("the job's directory goes", || daemon.job_files() == 0);
}

#[test]
fn what_cannot_be_started_is_one_line_and_a_code() {
    let dir = open_dir();
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = taken.local_addr().unwrap().port();
    for (options, code, text) in [
        (&[][..], 102, "Address already in use"),
        (&["--allow", "a..b"], 101, "cannot use --allow 'a..b': no address of that host: "),
        (&["--allow", "a..b/8"], 101, "a host name has no mask"),
        (&["--auth"], 101, "built without GSS-API"),
        (&["--port", "80000"], 101, "80000 is not in 1..=65535"),
        (&["--bogus-option"], 101, "--bogus-option"),
    ] {
        let output = command(dir.path(), port, options).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert!(said.starts_with("distccd: ") && said.lines().count() == 1, "{said}");
        assert!(said.contains(text), "{said}");
        assert!(output.stdout.is_empty());
        assert!(!dir.path().join("pid").exists());
    }
}

#[test]
fn a_machine_without_a_compiler_is_told_so() {
    let dir = open_dir();
    let output = (0..20).find_map(|_| {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let output = command(dir.path(), port, &[]).env("PATH", "/nonexistent").output().unwrap();
        (output.status.code() != Some(102)).then_some(output)
    });
    let output = output.unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(
        (output.status.code(), said.as_str()),
        (Some(110), "distccd: no compiler found in /nonexistent\n")
    );
}

#[test]
fn ends_on_sigterm_while_its_only_compiler_does_not_say_who_it_is() {
    let dir = gated_dir();
    fs::rename(dir.path().join("bin/stub"), dir.path().join("bin/gcc")).unwrap();
    let begun = dir.path().join("begun");
    let path = format!("{}:/nonexistent", dir.path().join("bin").display());
    let mut daemon = (0..20).find_map(|_| {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let mut daemon = command(dir.path(), port, &["--no-detach"]);
        let mut daemon = daemon.env("DISTCCD_PATH", &path).spawn().unwrap();
        until("it asks", || begun.exists() || daemon.try_wait().unwrap().is_some());
        begun.exists().then_some(daemon)
    });
    let daemon = daemon.as_mut().expect("a free port");
    kill(Pid::from_raw(daemon.id().try_into().unwrap()), Signal::SIGTERM).unwrap();
    assert!(daemon.wait().unwrap().success());
    assert!(!dir.path().join("pid").exists());
}

#[test]
fn a_shell_s_pipe_is_not_kept_open() {
    let dir = open_dir();
    let script = "\"$0\" --enable-tcp-insecure --lifetime 30 --listen 127.0.0.1 --log-file log \
                  --pid-file pid --state-dir state --port \"$1\" 2>&1 | cat; kill $(cat pid)";
    let started = (0..20).find_map(|_| {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = free.local_addr().unwrap().port().to_string();
        drop(free);
        // Returns when every holder of the pipe has closed it.
        let output = Command::new("/bin/sh")
            .args(["-c", script, env!("CARGO_BIN_EXE_distccd"), &port])
            .env("TMPDIR", dir.path())
            .current_dir(dir.path())
            .output()
            .unwrap();
        output.status.success().then_some(output)
    });
    let said = String::from_utf8(started.unwrap().stdout).unwrap();
    assert!(said.starts_with("distccd: serving "), "{said}");
}
