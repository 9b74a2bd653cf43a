//! `distccd --check`, the file of settings, and the variables: what is told, and that a start says
//! the same.

use std::fs::{self, Permissions};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use nix::unistd::geteuid;
use tempfile::TempDir;

use crate::bench::text;
use crate::skip::skip;

/// The script that Debian's package `distcc` installs.
const DEBIAN_SCRIPT: &str = "/etc/init.d/distcc";

/// A directory in which an unprivileged daemon may work too.
fn open_dir() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), Permissions::from_mode(0o777)).unwrap();
    dir
}

/// distccd with nothing of this machine's environment, and of its settings only if `options` name
/// no others.
fn distccd(dir: &Path, options: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_distccd"));
    command
        .args(["--state-dir", "state", "--lifetime", "60"])
        .args(options)
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("TMPDIR", dir)
        .current_dir(dir);
    if !options.iter().any(|option| option.starts_with("--config")) {
        command.args(["--config", "/dev/null"]);
    }
    command
}

/// Runs it on a port that was free a moment ago, on others as long as that is taken.
fn on_free_port(dir: &Path, options: &[&str]) -> (Output, u16) {
    for _ in 0..20 {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let output = distccd(dir, options).args(["--port", &port.to_string()]).output().unwrap();
        if output.status.code() != Some(102) {
            return (output, port);
        }
    }
    panic!("no free port");
}

fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn check_says_what_would_be_served_and_changes_nothing() {
    if !Path::new("/usr/bin/gcc").exists() {
        return skip("no gcc in /usr/bin");
    }
    let dir = open_dir();
    let settings = "allow = \"localhost\"\njobs = 3\n[limits]\nsource_bytes = \"64M\"\n";
    fs::write(dir.path().join("d.toml"), settings).unwrap();
    let options = ["--check", "--config", "d.toml", "--log-file", "log", "--pid-file", "pid"];
    let options = [&options[..], &["--limit", "connections=99", "--log-level", "notice"]].concat();
    let (output, port) = on_free_port(dir.path(), &options);
    let said = text(&output.stdout);
    assert_eq!((output.status.code(), text(&output.stderr).as_str()), (Some(0), ""), "{said}");
    let here = dir.path().display();
    for line in [
        format!("settings: {here}/d.toml"),
        format!("port: {port} of all addresses"),
        format!("log: {here}/log, level info"),
        format!("pid file: {here}/pid"),
        format!("state: {here}/state"),
        format!("jobs work in: {here}"),
        "jobs at once: 3".to_owned(),
        "compilers: found in /usr/bin:/bin".to_owned(),
        "advertised: no".to_owned(),
        "limits:".to_owned(),
        "  connections = 99".to_owned(),
        "  source_bytes = 64M".to_owned(),
        "  head_time = 10s".to_owned(),
    ] {
        assert!(said.lines().any(|said| said == line), "{line}: {said}");
    }
    assert!(said.contains("\n  localhost is 127.0.0.1"), "{said}");
    assert!(
        said.lines().any(|line| line.starts_with("  gcc ") && line.contains(": gcc ")),
        "{said}"
    );
    assert_eq!(names(dir.path()), ["d.toml"]);
    assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err());
}

#[test]
fn check_fails_as_a_start_does() {
    let dir = open_dir();
    fs::write(dir.path().join("empty"), " \n").unwrap();
    fs::write(dir.path().join("bad.toml"), "\nzeroconf = 1\njbos = 2\n").unwrap();
    let taken = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let log = "cannot write the log /nonexistent/log: ";
    let none: &[(&str, &str)] = &[];
    let mut cases = vec![
        (vec!["--port", &port], none, 102, "Address already in use"),
        (vec!["--config", "bad.toml"], none, 101, "bad.toml:2: zeroconf: expected true or false"),
        (vec!["--config", "missing"], none, 101, "missing: cannot be read: No such file"),
        (vec!["--allow", "a..b"], none, 101, "no address of that host"),
        (vec!["--whitelist=f"], none, 101, "built without GSS-API"),
        (vec!["--log-file", "/nonexistent/log"], none, 100, log),
        (vec![], &[("DISTCC_CMDLIST", "missing")], 101, "cannot read DISTCC_CMDLIST "),
        (vec![], &[("DISTCC_CMDLIST", "empty")], 101, "names no command"),
        (vec![], &[("DISTCC_CMDLIST_NUMWORDS", "x")], 101, "DISTCC_CMDLIST_NUMWORDS must be"),
        (vec![], &[("DISTCC_IO_TIMEOUT", "x")], 101, "DISTCC_IO_TIMEOUT must be a number"),
        (vec![], &[("TMPDIR", "missing")], 100, "cannot make a directory for jobs: "),
        (vec![], none, 110, "no compiler found in /nonexistent"),
    ];
    if geteuid().is_root() {
        cases.push((vec!["--user", "no-such-user"], none, 112, "no user 'no-such-user'"));
    }
    for (options, variables, code, expected) in cases {
        let started = first_words(dir.path(), &options, variables, code);
        let (status, line) = &started;
        assert!(line.starts_with("distccd: ") && line.contains(expected), "{options:?}: {line}");
        assert_eq!(*status, Some(code), "{options:?}: {line}");
        let check = [&["--check"], &options[..]].concat();
        assert_eq!(first_words(dir.path(), &check, variables, code), started, "{options:?}");
    }
}

/// The exit code and the first line of standard error. That no compiler is found either, quickly,
/// is told behind what is wrong before.
fn first_words(
    dir: &Path,
    options: &[&str],
    variables: &[(&str, &str)],
    expected: i32,
) -> (Option<i32>, String) {
    let mut code = None;
    let mut line = String::new();
    for _ in 0..20 {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = free.local_addr().unwrap().port().to_string();
        drop(free);
        let options = [&["--log-file", "log", "--port", &port], options].concat();
        let mut command = distccd(dir, &options);
        command.env("DISTCCD_PATH", "/nonexistent").envs(variables.iter().copied());
        let output = command.output().unwrap();
        code = output.status.code();
        line = text(&output.stderr).lines().next().unwrap_or_default().to_owned();
        // A free port is only one until another test takes it.
        if expected == 102 || code != Some(102) {
            break;
        }
    }
    (code, line)
}

#[test]
fn check_tells_every_problem() {
    let dir = open_dir();
    let options = ["--check", "--log-file", "/nonexistent/log", "--pid-file", "/nonexistent/pid"];
    let (output, _) = on_free_port(dir.path(), &options);
    let said = text(&output.stderr);
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!((output.status.code(), lines.len()), (Some(100), 2), "{said}");
    assert!(lines[0].starts_with("distccd: cannot write the log /nonexistent/log: "), "{said}");
    assert!(
        lines[1].starts_with("distccd: cannot write the pid file /nonexistent/pid: "),
        "{said}"
    );
}

/// What Debian's script makes of its variables, by the script's own lines.
#[test]
fn the_line_that_debian_s_script_makes_is_understood() {
    let Ok(script) = fs::read_to_string(DEBIAN_SCRIPT) else {
        return skip("Debian's distcc is not installed");
    };
    let line = |starts: &str| script.find(starts).unwrap();
    let first = script.lines().find(|line| line.starts_with("DAEMON_ARGS=")).unwrap();
    let rest = &script[line("# construct access list")..line("should_start()")];
    let variables =
        "ALLOWEDNETS='127.0.0.1 10.0.0.0/8' LISTENER=localhost NICE=10 JOBS=4 ZEROCONF=YES";
    let program = format!("NAME=distccd\n{first}\n{variables}\n{rest}\necho $DAEMON_ARGS");
    let made = Command::new("/bin/sh").args(["-c", &program]).output().unwrap();
    let made = text(&made.stdout);
    assert!(made.contains("--allow 10.0.0.0/8"), "{made}");
    let dir = open_dir();
    // The pid file is made by the script, the log by the package.
    let own = ["--check", "--pid-file=pid", "--log-file=log"];
    let options: Vec<&str> = made.split_whitespace().chain(own).collect();
    let (output, port) = on_free_port(dir.path(), &options);
    let said = text(&output.stdout);
    assert_eq!((output.status.code(), text(&output.stderr).as_str()), (Some(0), ""), "{said}");
    for line in ["clients: 127.0.0.1, 10.0.0.0/8", "jobs at once: 4"] {
        assert!(said.lines().any(|said| said == line), "{line}: {said}");
    }
    assert!(said.contains(&format!("\nport: {port} of 127.0.0.1")), "{said}");
    assert!(said.contains("\nadvertised: yes"), "{said}");
}
