//! A week of a server's life in minutes: jobs of every kind, and afterwards it is what it was after
//! the first hundred.

use std::fs::{self, Permissions};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use nix::unistd::Pid;

use crate::daemon::{Daemon, until};
use crate::endings::{children, install, name};
use crate::long;

const JOBS: usize = 4;
/// Clients at once: some have to wait for a slot.
const CLIENTS: usize = 8;
const FIRST: usize = 100;
/// What memory may have grown by: pages that the allocator keeps for each thread. A KiB a job would
/// be more in the long run.
const MEMORY_SLACK_KIB: usize = 16 << 10;
/// Threads for blocking work come and go.
const THREAD_SLACK: usize = 2 * CLIENTS;
/// Jobs in the mix; see [`one_job`].
const MIX: usize = 20;
/// One in so many takes too long, where there is time for it.
const TIMEOUT_PERIOD: usize = 2500;

const SOURCE: &str = "# 1 \"x.c\"\nint week(int day) { return day % 7; }\n";

fn head(version: u8, words: &str) -> Vec<u8> {
    let words: Vec<&str> = words.split(' ').collect();
    let mut request = format!("DIST{version:08x}ARGC{:08x}", words.len());
    for word in words {
        request += &format!("ARGV{:08x}{word}", word.len());
    }
    request.into_bytes()
}

fn plain(words: &str, source: &str) -> Vec<u8> {
    let mut request = head(1, words);
    request.extend(format!("DOTI{:08x}{source}", source.len()).bytes());
    request
}

/// One run of literals and the end: a block of LZO1X that holds the source as it is.
fn lzo(words: &str, source: &str) -> Vec<u8> {
    let mut block = vec![u8::try_from(source.len() + 17).unwrap()];
    block.extend(source.bytes());
    block.extend([0x11, 0, 0]);
    let mut request = head(2, words);
    request.extend(format!("DOTI{:08x}", block.len()).bytes());
    request.extend(block);
    request
}

fn connect(port: u16) -> TcpStream {
    TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap()
}

/// All that comes back.
fn converse(port: u16, request: &[u8]) -> Vec<u8> {
    let mut stream = connect(port);
    // A refused client is reset while it still writes.
    let _ = stream.write_all(request);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    answer
}

#[track_caller]
fn expect(answer: &[u8], start: &str) {
    assert!(answer.starts_with(start.as_bytes()), "{start}: {}", answer.escape_ascii());
}

/// The job of this number, and what must come of it.
fn one_job(daemon: &Daemon, number: usize, with_timeouts: bool) {
    let port = daemon.port;
    let compile = "gcc -O1 -c x.c -o x.o";
    let ok = "DONE00000001STAT00000000";
    if with_timeouts && number % TIMEOUT_PERIOD == TIMEOUT_PERIOD - 1 {
        let words = format!("hang -c {number}.c -o x.o");
        return expect(&converse(port, &plain(&words, SOURCE)), "DONE00000001STAT00007600");
    }
    match number % MIX {
        0..=3 => {
            let answer = converse(port, &plain(compile, SOURCE));
            expect(&answer, &format!("{ok}SERR00000000SOUT00000000DOTO"));
            assert_eq!(&answer[60..64], b"\x7fELF");
        }
        // A program of no work costs the machine a twentieth, and the daemon the same.
        4 | 5 => expect(&converse(port, &plain("true -c x.c -o x.o", SOURCE)), ok),
        6 | 7 => {
            let words = if number % MIX == 6 { compile } else { "true -c x.c -o x.o" };
            expect(&converse(port, &lzo(words, SOURCE)), "DONE00000002STAT00000000");
        }
        8 => expect(&converse(port, &plain(compile, "int int;\n")), "DONE00000001STAT00000100"),
        9 => {
            let request = plain(compile, SOURCE);
            connect(port).write_all(&request[..request.len() - 9]).unwrap();
        }
        10 => connect(port).write_all(&head(1, compile)[..40]).unwrap(),
        11 => assert_eq!(converse(port, b"GET / HTTP/1.0\r\nHost: server\r\n\r\n"), b""),
        12 => {
            let words = "gcc -fplugin=./x.so -c x.c -o x.o";
            assert_eq!(converse(port, &plain(words, SOURCE)), b"");
        }
        13 if (number / MIX).is_multiple_of(2) => {
            let answer = converse(port, &plain("crashes -c x.c -o x.o", SOURCE));
            expect(&answer, "DONE00000001STAT0000000b");
        }
        // What the machine does to a compiler, short of memory say, is no result.
        13 => assert_eq!(converse(port, &plain("killed -c x.c -o x.o", SOURCE)), b""),
        14 => expect(&converse(port, &plain("stray -c x.c -o x.o", SOURCE)), ok),
        15 => assert!(!converse(port, b"DIST000000c1").is_empty()),
        16 => drop(connect(port)),
        17 => drop(hanging(daemon, number)),
        18 => {
            // Bytes behind the request, and a client that has said all.
            let mut request = plain("true -c x.c -o x.o", SOURCE);
            request.extend([b'x'; 5000]);
            let mut stream = connect(port);
            stream.write_all(&request).unwrap();
            let _ = stream.read_to_end(&mut Vec::new());
            let _ = stream.shutdown(Shutdown::Both);
        }
        _ => expect(&converse(port, &plain("false -c x.c -o x.o", "")), "DONE00000001STAT00000100"),
    }
}

/// A client whose compiler runs and does not end.
fn hanging(daemon: &Daemon, number: usize) -> TcpStream {
    let mut stream = connect(daemon.port);
    stream.write_all(&plain(&format!("hang -c {number}.c -o x.o"), SOURCE)).unwrap();
    // What is preprocessed is called so there.
    let begun = daemon.dir.path().join(format!("begun/{number}.i"));
    until("the compiler begins", || begun.exists());
    stream
}

/// What a daemon at rest has.
#[derive(Clone, Debug)]
struct Footprint {
    memory_kib: usize,
    n_threads: usize,
    n_sockets: usize,
    n_descriptors: usize,
    children: Vec<String>,
    n_job_dirs: usize,
}

impl Footprint {
    fn of(daemon: &Daemon) -> Self {
        let pid = daemon.pid();
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let number = |key: &str| -> usize {
            let line = status.lines().find_map(|line| line.strip_prefix(key)).unwrap();
            line.split_whitespace().next().unwrap().parse().unwrap()
        };
        let links = descriptors(pid);
        Self {
            memory_kib: number("VmRSS:"),
            n_threads: number("Threads:"),
            n_sockets: links.iter().filter(|link| link.starts_with("socket:")).count(),
            n_descriptors: links.len(),
            children: children(pid).into_iter().map(name).collect(),
            n_job_dirs: daemon.job_files(),
        }
    }

    /// Once the last job has ended.
    fn at_rest(daemon: &Daemon, n_sockets: usize) -> Self {
        until("the last job ends", || {
            let now = Self::of(daemon);
            now.n_sockets == n_sockets && now.children.len() == 1 && now.n_job_dirs == 0
        });
        Self::of(daemon)
    }
}

fn descriptors(pid: Pid) -> Vec<String> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten();
    let links = entries.filter_map(|entry| fs::read_link(entry.path()).ok());
    links.map(|link| link.display().to_string()).collect()
}

/// So many jobs, several at once, beginning with this one.
fn jobs(daemon: &Daemon, first: usize, n_jobs: usize, with_timeouts: bool) {
    let next = AtomicUsize::new(first);
    thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= first + n_jobs {
                        return;
                    }
                    one_job(daemon, number, with_timeouts);
                }
            });
        }
    });
}

fn live(n_jobs: usize, options: &[&str]) {
    if !Path::new("/usr/bin/gcc").exists() {
        return crate::skip::skip("no gcc in /usr/bin");
    }
    let n_slots = JOBS.to_string();
    let mut all = vec!["--enable-tcp-insecure", "--allow", "127.0.0.1", "--jobs", &n_slots];
    all.extend(options);
    let daemon = Daemon::start(&all);
    let dir = daemon.dir.path();
    let begun = dir.join("begun");
    fs::create_dir(&begun).unwrap();
    fs::set_permissions(&begun, Permissions::from_mode(0o777)).unwrap();
    let hang =
        "for word; do case $word in *.i) : > HERE/begun/$word;; esac; done\nexec sleep 1000\n";
    install(dir, "hang", hang);
    install(dir, "killed", "kill -KILL $$\n");
    install(dir, "crashes", "kill -SEGV $$\n");
    install(dir, "stray", "setsid sleep 1000 &\n: > x.o\n");
    let n_sockets = Footprint::of(&daemon).n_sockets;
    jobs(&daemon, 0, FIRST, false);
    let first = Footprint::at_rest(&daemon, n_sockets);
    let started = Instant::now();
    jobs(&daemon, FIRST, n_jobs - FIRST, !options.is_empty());
    let time = started.elapsed();
    // Each slot is still there.
    let hanging: Vec<TcpStream> =
        (0..JOBS).map(|idx| hanging(&daemon, n_jobs + TIMEOUT_PERIOD + idx)).collect();
    drop(hanging);
    let last = Footprint::at_rest(&daemon, n_sockets);
    println!("after {FIRST} jobs: {first:?}\nafter {n_jobs}: {last:?}, {time:?}");
    assert_eq!(last.n_descriptors, first.n_descriptors, "{:?}", descriptors(daemon.pid()));
    assert_eq!(last.children, ["dcc-guard"]);
    assert!(last.memory_kib <= first.memory_kib + MEMORY_SLACK_KIB, "{first:?} {last:?}");
    assert!(last.n_threads <= first.n_threads + THREAD_SLACK, "{first:?} {last:?}");
    let log = daemon.log();
    assert!(!log.contains("panicked"), "{log}");
}

#[test]
fn a_day_of_jobs_of_every_kind_leaves_no_trace() {
    live(300, &[]);
}

#[test]
fn a_week_of_jobs_of_every_kind_leaves_no_trace() {
    if long::wanted() {
        live(20_000, &["--job-lifetime", "20"]);
    }
}
