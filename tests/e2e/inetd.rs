//! `distccd --inetd`: one job on standard input and output.

use std::fs;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

const SOURCE: &str = "int inetd(int x) { return x + 1; }\n";

/// `gcc -c a.c -o a.o` with [`SOURCE`].
fn request() -> Vec<u8> {
    let words = ["gcc", "-O2", "-c", "a.c", "-o", "a.o"];
    let mut request = format!("DIST00000001ARGC{:08x}", words.len());
    for word in words {
        request += &format!("ARGV{:08x}{word}", word.len());
    }
    request += &format!("DOTI{:08x}{SOURCE}", SOURCE.len());
    request.into_bytes()
}

fn distccd(dir: &TempDir, options: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_distccd"));
    command.arg("--inetd").args(options).arg("--log-file").arg(dir.path().join("log"));
    command.env("STATE_DIRECTORY", dir.path().join("state")).env("TMPDIR", dir.path());
    // As under sshd, which has the wrong idea of languages too.
    command.env("SSH_CONNECTION", "10.77.0.1 4711 10.77.0.2 22");
    command
}

/// A directory in which an unprivileged server may work too.
fn open_dir() -> TempDir {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).unwrap();
    dir
}

/// A server on one socket, as sshd gives it, and the other end.
fn on_socket(dir: &TempDir, options: &[&str]) -> (Child, UnixStream) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let output: OwnedFd = theirs.try_clone().unwrap().into();
    let mut command = distccd(dir, options);
    command.stdin(OwnedFd::from(theirs)).stdout(output).stderr(Stdio::piped());
    (command.spawn().unwrap(), ours)
}

/// What the server answers, to its end; it must say nothing on standard error.
#[track_caller]
fn answer(mut child: Child, mut stream: UnixStream) -> Vec<u8> {
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(said, "");
    answer
}

#[track_caller]
fn assert_object(answer: &[u8]) {
    let compiled = answer.starts_with(b"DONE00000001STAT00000000SERR00000000SOUT00000000DOTO");
    assert!(compiled, "{}", answer.escape_ascii());
    assert_eq!(&answer[60..64], b"\x7fELF");
}

#[test]
fn a_job_on_a_socket_is_compiled_and_logged_and_then_the_server_ends() {
    let dir = open_dir();
    let mut waits = Vec::new();
    for _ in 0..3 {
        let begun = Instant::now();
        let (child, mut stream) = on_socket(&dir, &["--enable-tcp-insecure"]);
        stream.write_all(&request()).unwrap();
        assert_object(&answer(child, stream));
        waits.push(begun.elapsed());
    }
    println!("three jobs, the first with an unknown compiler: {waits:?}");
    let log = fs::read_to_string(dir.path().join("log")).unwrap();
    assert_eq!(log.matches("client: 10.77.0.1:4711 COMPILE_OK").count(), 3, "{log}");
}

#[test]
fn a_client_that_has_said_all_gets_its_answer() {
    let dir = open_dir();
    let (child, mut stream) = on_socket(&dir, &[]);
    stream.write_all(&request()).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    assert_object(&answer(child, stream));
    let mut piped = distccd(&dir, &[]);
    let mut piped =
        piped.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // Dropped at the end of the statement.
    piped.stdin.take().unwrap().write_all(&request()).unwrap();
    let piped = piped.wait_with_output().unwrap();
    assert_object(&piped.stdout);
    fs::write(dir.path().join("request"), request()).unwrap();
    let mut from_file = distccd(&dir, &[]);
    let file = fs::File::open(dir.path().join("request")).unwrap();
    assert_object(&from_file.stdin(file).output().unwrap().stdout);
}

#[test]
fn a_client_that_leaves_takes_its_compiler_with_it() {
    let dir = open_dir();
    let (mut child, mut stream) = on_socket(&dir, &[]);
    // It ends after the source's first byte, which is never followed by the others.
    let request = request();
    stream.write_all(&request[..request.len() - 1]).unwrap();
    drop(stream);
    let deadline = Instant::now() + Duration::from_secs(60);
    while child.try_wait().unwrap().is_none() {
        assert!(Instant::now() < deadline, "it waits for a client that has gone");
        std::thread::yield_now();
    }
    let left = fs::read_dir(dir.path()).unwrap().flatten();
    let left = left.filter(|entry| entry.file_name().to_string_lossy().starts_with("distccd-"));
    let left: usize = left.map(|node| fs::read_dir(node.path()).unwrap().count()).sum();
    assert_eq!(left, 0, "directories of jobs");
}

#[test]
fn any_program_is_run_only_for_those_who_may() {
    let dir = open_dir();
    let words = "DIST00000001ARGC00000005ARGV00000009/bin/echoARGV00000002-cARGV00000003a.c\
                 ARGV00000002-oARGV00000003a.oDOTI00000000";
    let (child, mut stream) = on_socket(&dir, &[]);
    stream.write_all(words.as_bytes()).unwrap();
    assert_eq!(answer(child, stream), b"");
    let (child, mut stream) = on_socket(&dir, &["--enable-tcp-insecure"]);
    stream.write_all(words.as_bytes()).unwrap();
    let answer = answer(child, stream);
    assert!(answer.starts_with(b"DONE00000001STAT00000000"), "{}", answer.escape_ascii());
}
