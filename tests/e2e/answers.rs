//! Hosts that say who they are as a server of ours does, and then answer jobs as they please:
//! whatever they say, the user gets what a local compile gives, and the log names the host.

use std::fs::{self, Permissions};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use crate::bench::{Bench, has, text};

const SOURCE: &str = "int answer(void) { return 42; }\n";
/// How a request begins that asks for reasons, in protocol 1 and 2.
const OURS: [&str; 2] = ["DIST000000c2", "DIST000000c3"];
/// The question who it is.
const HELLO: &str = "DIST000000c1";

/// A host on a port of its own.
struct Host {
    /// As it stands in a host list.
    token: String,
    /// Jobs that came to it.
    jobs: Arc<AtomicUsize>,
    /// What it says to a job; nothing where our server answers.
    says: Arc<Mutex<Option<Vec<u8>>>>,
}

impl Host {
    /// One whose gcc is this machine's. What is not answered by it is by `distccd --inetd`.
    fn start(bench: &Bench, name: &str, says: Option<Vec<u8>>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let token = listener.local_addr().unwrap().to_string();
        let dir = bench.path(name);
        fs::create_dir_all(dir.join("bin")).unwrap();
        // The server gives up root.
        fs::set_permissions(&dir, Permissions::from_mode(0o777)).unwrap();
        for program in ["gcc", "as"] {
            let _ = symlink(format!("/usr/bin/{program}"), dir.join("bin").join(program));
        }
        let jobs = Arc::new(AtomicUsize::new(0));
        let says = Arc::new(Mutex::new(says));
        let (counted, said) = (Arc::clone(&jobs), Arc::clone(&says));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let stream = stream.unwrap();
                let opening = opening(&stream);
                let is_job = OURS.contains(&opening.as_str());
                counted.fetch_add(usize::from(is_job), Ordering::SeqCst);
                let words = said.lock().unwrap().clone().filter(|_| is_job);
                let dir = dir.clone();
                thread::spawn(move || match words {
                    Some(words) => say(stream, &words),
                    None if is_job || opening == HELLO => {
                        let (input, output) = (stream.try_clone().unwrap(), stream);
                        Command::new(env!("CARGO_BIN_EXE_distccd"))
                            .args(["--inetd", "--allow", "127.0.0.1", "--state-dir"])
                            .arg(dir.join("state"))
                            .arg("--log-file")
                            .arg(dir.join("log"))
                            .env("DISTCCD_PATH", dir.join("bin"))
                            .env("TMPDIR", &dir)
                            .stdin(Stdio::from(OwnedFd::from(input)))
                            .stdout(Stdio::from(OwnedFd::from(output)))
                            .status()
                            .unwrap();
                    }
                    None => {}
                });
            }
        });
        Self { token, jobs, says }
    }

    fn n_jobs(&self) -> usize {
        self.jobs.load(Ordering::SeqCst)
    }
}

/// The first token, which stays to be read; what there is of it if the client goes.
fn opening(stream: &TcpStream) -> String {
    let mut token = [0; 12];
    loop {
        match stream.peek(&mut token) {
            Ok(12) => return text(&token),
            Ok(1..) => thread::yield_now(),
            _ => return String::new(),
        }
    }
}

/// Answers, and reads what comes until the client goes.
fn say(mut stream: TcpStream, words: &[u8]) {
    let _ = stream.write_all(words);
    let _ = stream.shutdown(std::net::Shutdown::Write);
    let _ = stream.read_to_end(&mut Vec::new());
}

/// A refusal: scope, word and reason, as `wire::refusal` writes them.
fn refusal(scope: u8, word: &str, reason: &str) -> Vec<u8> {
    let text = |text: &str| [&(text.len() as u64).to_le_bytes()[..], text.as_bytes()].concat();
    let body = [vec![scope], text(word), text(reason)].concat();
    [format!("NOPE{:08x}", body.len()).into_bytes(), body].concat()
}

/// Our client with an agent, which ends with the bench's directory.
fn distcc(bench: &Bench, hosts: &str) -> Command {
    let mut command = bench.distcc(hosts);
    command.env_remove("DISTCC_AGENT").env("DISTCC_AGENT_IDLE", "20");
    command
}

/// What is said of these hosts, once each has answered: the first job would go to whichever does
/// first.
fn shown(bench: &Bench, hosts: &str) -> String {
    let output = distcc(bench, hosts).args(["--show-hosts", "--why", "gcc"]).output().unwrap();
    text(&output.stdout).split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Compiles with these options; what was logged.
fn compiles(bench: &Bench, hosts: &str, options: &[&str]) -> String {
    let (log, object) = (bench.path("log"), bench.path("work/x.o"));
    let _ = fs::remove_file(&log);
    let local = bench.program("gcc".as_ref(), "").args(options).args(["-c", "x.c"]).status();
    assert!(local.unwrap().success());
    let expected = fs::read(&object).unwrap();
    fs::remove_file(&object).unwrap();
    shown(bench, hosts);
    let mut command = distcc(bench, hosts);
    command.env("DISTCC_LOG", &log).env("DISTCC_VERBOSE", "1");
    let output = command.arg("gcc").args(options).args(["-c", "x.c"]).output().unwrap();
    let log = fs::read_to_string(log).unwrap_or_default();
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), String::new()), "{log}");
    assert!(fs::read(&object).unwrap() == expected, "{log}");
    log
}

#[test]
fn a_word_that_a_host_refuses_is_not_offered_to_it_again() {
    if !has("gcc") {
        return;
    }
    let bench = Bench::new();
    bench.write("x.c", SOURCE);
    let picky = Host::start(&bench, "picky", Some(refusal(1, "-fpic", "\x1b[2Jtoo\nnew")));
    let other = Host::start(&bench, "other", None);
    let hosts = format!("{} {}", picky.token, other.token);
    let log = compiles(&bench, &hosts, &["-fpic"]);
    let refused = format!("failed to distribute x.c to {}: refused: \\u{{1b}}[2Jtoo", picky.token);
    assert!(log.contains(&refused), "{log}");
    assert!(log.contains(&format!("on {} completed ok", other.token)), "{log}");
    assert_eq!((picky.n_jobs(), other.n_jobs()), (1, 1));
    for n in 2..6 {
        let log = compiles(&bench, &hosts, &["-fpic"]);
        let passed = format!("passing over {}, which refuses -fpic", picky.token);
        assert!(log.contains(&passed), "{log}");
        assert_eq!((picky.n_jobs(), other.n_jobs()), (1, n));
    }
    let shown = shown(&bench, &hosts);
    assert!(shown.contains("; it refuses -fpic"), "{shown}");
    *picky.says.lock().unwrap() = None;
    let log = compiles(&bench, &hosts, &["-O1"]);
    assert!(log.contains(&format!("on {} completed ok", picky.token)), "{log}");
}

#[test]
fn a_refused_compiler_is_looked_for_elsewhere_and_a_busy_host_tried_again() {
    if !has("gcc") {
        return;
    }
    for (scope, n_more) in [(2, 0), (3, 1)] {
        let bench = Bench::new();
        bench.write("x.c", SOURCE);
        let host = Host::start(&bench, "host", Some(refusal(scope, "", "not now")));
        for n in 0..2 {
            let log = compiles(&bench, &host.token, &["-O1"]);
            assert_eq!(host.n_jobs(), 1 + n * n_more, "{log}");
        }
        if scope == 2 {
            let log = compiles(&bench, &host.token, &["-O1"]);
            assert!(log.contains("its only host is left out: it refuses gcc: not now"), "{log}");
        }
    }
}

#[test]
fn a_line_of_a_kernel_is_compiled_by_a_server_of_ours() {
    if !has("gcc") {
        return;
    }
    let bench = Bench::new();
    bench.write("x.c", SOURCE);
    bench.write("k.h", "#define HZ 250\n");
    let host = Host::start(&bench, "host", None);
    let line = "-Wp,-MMD,.x.o.d -nostdinc -I. -include k.h -D__KERNEL__ -fmacro-prefix-map=./= \
        -std=gnu11 -fshort-wchar -fno-PIE -mno-sse -mno-mmx -mno-80387 -mno-red-zone -mcmodel=kernel \
        -mindirect-branch=thunk-extern -mfunction-return=thunk-extern -fpatchable-function-entry=16,16 \
        -fno-delete-null-pointer-checks -O2 -ftrivial-auto-var-init=zero -pg -mrecord-mcount -mfentry \
        -fzero-call-used-regs=used-gpr -Wall -Wframe-larger-than=2048 -Wa,--noexecstack \
        -fsanitize=kernel-address -fasan-shadow-offset=0xdffffc0000000000 --param asan-stack=1 \
        -fsanitize-coverage=trace-pc -DKBUILD_MODNAME=\"x\"";
    let log = compiles(&bench, &host.token, &line.split_whitespace().collect::<Vec<_>>());
    assert!(log.contains(&format!("on {} completed ok", host.token)), "{log}");
    assert_eq!(text(&bench.read(".x.o.d")), "x.o: x.c k.h\n");
}

#[test]
fn answers_that_cannot_be_are_refused_and_their_host_named() {
    if !has("gcc") {
        return;
    }
    let head = |rest: &str| format!("DONE00000001STAT00000000{rest}").into_bytes();
    let cases: [(&str, Vec<u8>, &str); 12] = [
        ("", b"DONE00000001STAT00010000".to_vec(), "0x10000 is no wait status"),
        ("", b"DONE00000001STAT0000017f".to_vec(), "0x17f is no wait status"),
        ("", head("SERR02000000"), "SERR of 33554432, at most"),
        ("", head("SOUT00000000"), "'SOUT' where SERR belongs"),
        ("", head("SERR00000000SOUT00000000DOTOffffffff"), "DOTO of 4294967295, at most"),
        ("", head("SERR00000000SOUT00000000DOTO00000009half"), "vanished"),
        ("", head("SERR00000000SOUT00000000DOTO00000001xy"), "bytes after the end"),
        ("", head("SERR00000000SOUT00000000DOTO00000000"), "success without a result"),
        ("", b"DONE00000002".to_vec(), "answer in protocol 2 to a request in protocol 1"),
        (",lzo", b"DONE00000002STAT00000000SERR00000004junk".to_vec(), "cannot expand SERR"),
        ("", b"NOPE00001001".to_vec(), "NOPE of 4097, at most 4096"),
        ("", b"NOPE00000003abc".to_vec(), "cannot read the refusal"),
    ];
    let servers = Bench::new();
    let good = Host::start(&servers, "good", None);
    for (option, answer, reason) in cases {
        let bench = Bench::new();
        bench.write("x.c", SOURCE);
        let bad = Host::start(&servers, "bad", Some(answer));
        let token = format!("{}{option}", bad.token);
        let log = compiles(&bench, &format!("{token} {}", good.token), &["-O1"]);
        let failed = format!("failed to distribute x.c to {token}: ");
        let line = log.lines().find(|line| line.contains(&failed));
        assert!(line.is_some_and(|line| line.contains(reason)), "{reason}: {log}");
        assert!(log.contains(&format!("on {} completed ok", good.token)), "{log}");
    }
}

#[test]
fn what_a_server_says_cannot_drive_the_terminal() {
    if !has("gcc") {
        return;
    }
    let bench = Bench::new();
    bench.write("x.c", SOURCE);
    let said = "\x1b]0;title\x07\x1b[31mred\x1b[0m\x1b[2J\x08\r\u{9b}2J x\n";
    let answer =
        format!("DONE00000001STAT00000100SERR{:08x}{said}SOUT00000000DOTO00000000", said.len());
    let host = Host::start(&bench, "host", Some(answer.into_bytes()));
    let mut command = distcc(&bench, &host.token);
    let output = command.env("DISTCC_FALLBACK", "0").args(["gcc", "-c", "x.c"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(text(&output.stderr), "\x1b[31mred\x1b[0m2J x\n");
}
