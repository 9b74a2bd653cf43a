//! Every way of running the server, each with a real compile.

mod activation;
mod foreground;
mod inetd;
mod log;
mod openrc;
mod systemd;

use std::fs;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Output};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::bench::{Bench, text};
use crate::daemon::until;

/// Longer than anything takes on a busy machine; only a failing test waits for it.
const PATIENCE: Duration = Duration::from_secs(60);
/// The original's client.
const STOCK_CLIENT: &str = "/usr/bin/distcc";
/// With a warning, so that there is something to read, of which no server shows a line.
const SOURCE: &str = "int running(int x) { int unused; return x + 1; }\n";
const WORDS: [&str; 7] = ["gcc", "-O2", "-Wall", "-fno-diagnostics-show-caret", "-c", "a.c", "-o"];

/// A process that ends with the test.
struct Running(Child);

impl Running {
    fn pid(&self) -> Pid {
        Pid::from_raw(self.0.id().try_into().unwrap())
    }

    fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // So that whoever has children can end them.
        let _ = kill(self.pid(), Signal::SIGTERM);
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(5) && matches!(self.0.try_wait(), Ok(None)) {
            thread::sleep(Duration::from_millis(1));
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A port that was free a moment ago.
fn free_port() -> u16 {
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    free.local_addr().unwrap().port()
}

/// Starts what `start` makes for a port until one was not taken by somebody else meanwhile. It
/// serves when this returns.
fn serving(start: impl Fn(u16) -> Command) -> (Running, u16) {
    for _ in 0..10 {
        let port = free_port();
        let mut server = Running(start(port).spawn().unwrap());
        let begun = Instant::now();
        while server.0.try_wait().unwrap().is_none() {
            if TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok() {
                return (server, port);
            }
            assert!(begun.elapsed() < PATIENCE, "nobody listens");
            thread::sleep(Duration::from_millis(1));
        }
    }
    panic!("it does not start");
}

/// distccd with directories of the test's, for this machine's clients.
fn distccd(bench: &Bench, options: &[&str]) -> Command {
    let mut command = bench.program(Path::new(env!("CARGO_BIN_EXE_distccd")), "");
    command.env("TMPDIR", bench.path("server")).args(options);
    command.arg("--state-dir").arg(bench.path("server/state"));
    command
}

fn server_log(bench: &Bench) -> String {
    fs::read_to_string(bench.path("server/log")).unwrap_or_default()
}

/// `--log-file` with [`server_log`]'s file.
fn log_option(bench: &Bench) -> String {
    format!("--log-file={}", bench.path("server/log").display())
}

/// What `compile` makes of a source, and the object.
fn compiled(bench: &Bench, mut compile: Command, words: &[&str]) -> (Output, Vec<u8>) {
    bench.write("a.c", SOURCE);
    let output = compile.args(words).arg("a.o").output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let object = bench.read("a.o");
    fs::remove_file(bench.path("work/a.o")).unwrap();
    (output, object)
}

/// Our client, and the original's if it is installed, get from `host` what a local compile makes.
/// Prints how long ours took.
#[track_caller]
fn assert_compiles(bench: &Bench, host: &str) {
    assert_compiles_from(bench, &["/usr/bin/env"], host);
}

/// The same where `place` starts the clients.
#[track_caller]
fn assert_compiles_from(bench: &Bench, place: &[&str], host: &str) {
    let client = |program: &str| {
        let mut client = bench.program(Path::new(place[0]), host);
        client.args(&place[1..]).arg(program).env("DISTCC_FALLBACK", "0");
        client
    };
    let local = compiled(bench, bench.program(Path::new("/usr/bin/gcc"), ""), &WORDS[1..]);
    let begun = Instant::now();
    assert_eq!(compiled(bench, client(env!("CARGO_BIN_EXE_distcc")), &WORDS), local);
    println!("{host}: {} ms", begun.elapsed().as_millis());
    if Path::new(STOCK_CLIENT).exists() {
        // It preprocesses otherwise, so that the warning shows another line.
        let (output, object) = compiled(bench, client(STOCK_CLIENT), &WORDS);
        assert!(text(&output.stderr).contains("unused variable"), "{output:?}");
        assert_eq!(object, local.1);
    }
}
