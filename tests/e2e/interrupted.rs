//! A client that is ended from outside leaves nothing behind.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;

use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, mkfifo};

use crate::bench::{Bench, StockServer};

/// A compiler that says that it runs and then runs for ever. It and its child hold the pipe open,
/// so that the end of the pipe is the end of both.
const ENDLESS: &str = "exec 9> \"$PIPE\"; sleep 1000 & echo running >&9; wait";

fn interrupt(signal: Signal, words: &[&str]) {
    let bench = Bench::new();
    let Some(server) = StockServer::start_v4(&bench) else { return };
    let pipe = bench.path("pipe");
    mkfifo(&pipe, Mode::S_IRWXU).unwrap();
    bench.script("bin/gcc", ENDLESS);
    bench.write("x.c", "int x;\n");
    let mut client = bench
        .distcc(&server.token)
        .env("PATH", format!("{}:/usr/bin:/bin", bench.path("bin").display()))
        .env("PIPE", &pipe)
        .args(words)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut pipe = BufReader::new(File::open(pipe).unwrap());
    let mut line = String::new();
    pipe.read_line(&mut line).unwrap();
    assert_eq!(line, "running\n");
    kill(Pid::from_raw(client.id().cast_signed()), signal).unwrap();
    assert_eq!(client.wait().unwrap().signal(), Some(signal as i32));
    // Returns when the compiler and its child are gone.
    pipe.read_to_string(&mut line).unwrap();
    bench.assert_tidy();
    assert!(fs::metadata(bench.path("work/x.o")).is_err());
}

#[test]
fn while_it_preprocesses() {
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        interrupt(signal, &["gcc", "-c", "x.c"]);
    }
}

#[test]
fn while_it_compiles_here() {
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        interrupt(signal, &["gcc", "x.c", "-o", "x"]);
    }
}
