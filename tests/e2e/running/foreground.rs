//! In the foreground, one job at a time, and from places without a home or a terminal.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::process::{Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, mkfifo};

use super::{assert_compiles, distccd, free_port, log_option, serving, until};
use crate::bench::{Bench, text};

/// A request to run a program of the test's; its answer comes at the end.
fn send(port: u16, program: &str) -> TcpStream {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    let words = [program, "-c", "x.c", "-o", "x.o"];
    let mut request = format!("DIST00000001ARGC{:08x}", words.len());
    for word in words {
        request += &format!("ARGV{:08x}{word}", word.len());
    }
    stream.write_all((request + "DOTI00000000").as_bytes()).unwrap();
    stream
}

#[test]
fn the_wizard_stays_logs_all_to_standard_error_and_compiles_one_file_at_a_time() {
    let bench = Bench::new();
    let (gate, said) = (bench.path("server/gate"), bench.path("server/said"));
    mkfifo(&gate, Mode::from_bits_truncate(0o666)).unwrap();
    fs::set_permissions(&gate, std::os::unix::fs::PermissionsExt::from_mode(0o666)).unwrap();
    let (gate, seen) = (gate.display().to_string(), said.display().to_string());
    let body = format!("echo begin >> {seen}; read line < {gate}; echo end >> {seen}; : > x.o");
    let stub = bench.script("server/bin/stub", &body);
    let stub = stub.to_str().unwrap();
    let log = bench.path("server/stderr");
    let (mut server, port) = serving(|port| {
        let port = port.to_string();
        let mut wizard = distccd(
            &bench,
            &["--wizard", "--enable-tcp-insecure", "--listen", "127.0.0.1", "--port", &port],
        );
        wizard.stdout(Stdio::null()).stderr(fs::File::create(&log).unwrap());
        wizard
    });
    let mut clients = [send(port, stub), send(port, stub)];
    for n_begun in [1, 2] {
        let events = || fs::read_to_string(&said).unwrap_or_default();
        until("a job begins", || events().matches("begin").count() >= n_begun);
        assert_eq!(events(), "begin\nend\n".repeat(n_begun - 1) + "begin\n");
        fs::write(&gate, "go\n").unwrap();
    }
    for client in &mut clients {
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).unwrap();
        assert!(answer.starts_with(b"DONE00000001STAT00000000"), "{}", text(&answer));
    }
    assert_compiles(&bench, &format!("127.0.0.1:{port}"));
    server.signal(Signal::SIGTERM);
    assert!(server.0.wait().unwrap().success());
    let log = fs::read_to_string(log).unwrap();
    assert!(log.contains(" (1 jobs) ") && log.contains("(dcc_job_begin)"), "{log}");
}

#[test]
fn nothing_is_needed_of_the_one_who_starts_it() {
    let bench = Bench::new();
    let pid_file = bench.path("server/pid");
    let (script, log) = ("exec \"$@\" <&- >&- 2>&-", log_option(&bench));
    let port = (0..10).find_map(|_| {
        let port = free_port();
        let word = port.to_string();
        let options = ["--daemon", "--listen", "127.0.0.1", &log, "--port", &word];
        let mut command = distccd(&bench, &options);
        command.arg("--pid-file").arg(&pid_file);
        // As a boot script starts it: no home, no PATH, no standard descriptors.
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", script, "sh"]).arg(command.get_program()).args(command.get_args());
        shell.env_clear().env("TMPDIR", bench.path("server")).current_dir("/");
        match shell.status().unwrap().code() {
            Some(0) => Some(port),
            Some(102) => None,
            code => panic!("{code:?}"),
        }
    });
    let port = port.expect("a free port");
    let pid = fs::read_to_string(&pid_file).unwrap().trim().parse().unwrap();
    // Whoever starts it a second time is told so, and the first serves on.
    let port_word = port.to_string();
    let second = ["--daemon", "--listen", "127.0.0.1", &log, "--port", &port_word];
    let second = distccd(&bench, &second).output().unwrap();
    assert_eq!(second.status.code(), Some(102), "{second:?}");
    assert_compiles(&bench, &format!("127.0.0.1:{port}"));
    kill(Pid::from_raw(pid), Signal::SIGTERM).unwrap();
    until("it ends", || !pid_file.exists());
}

#[test]
fn who_checks_before_a_restart_learns_which_process_has_the_port() {
    let bench = Bench::new();
    let (server, port) = serving(|port| {
        let port = port.to_string();
        distccd(&bench, &["--no-detach", "--port", &port, &log_option(&bench)])
    });
    let port = port.to_string();
    let run = |options: &[&str]| {
        let log = format!("--log-file={}", bench.path("server/second").display());
        let output = distccd(&bench, &["--port", &port, &log]).args(options).output().unwrap();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    let (code, said, complaint) = run(&["--check"]);
    assert_eq!((code, complaint.as_str()), (Some(0), ""), "{said}");
    let expected = format!(
        "port: {port} of all addresses; a distccd serves it now (process {})",
        server.pid()
    );
    assert!(said.lines().any(|line| line == expected), "{said}");
    let (code, _, complaint) = run(&["--no-detach"]);
    assert_eq!(code, Some(102), "{complaint}");
    let program = env!("CARGO_BIN_EXE_distccd");
    let expected = format!(": {program} listens there (process {})\n", server.pid());
    assert!(complaint.ends_with(&expected), "{complaint}");
}
