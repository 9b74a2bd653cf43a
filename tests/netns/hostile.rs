//! Bytes on the port that are no jobs cost their connection a line of the log at most, and nothing
//! else.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use crate::farm::{Compile, DEADLINE, QUICK, serve, write};
use crate::jobs::{count, daemon_log, daemon_log_with};
use crate::lab::{Host, Lab, wait_for};
use crate::processes::assert_clean;

/// Slots of the server.
const SLOTS: usize = 2;

fn connect(from: &Host, server: SocketAddr) -> TcpStream {
    let stream = from.enter(|| TcpStream::connect_timeout(&server, DEADLINE)).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream
}

/// How the log names the connection.
fn mark(stream: &TcpStream) -> String {
    format!("client: {} ", stream.local_addr().unwrap())
}

/// A lawful head of protocol 1, the source's length included.
fn head(source_len: u32) -> String {
    let argv = ["gcc", "-c", "x.i", "-o", "x.o"];
    let words: String = argv.iter().map(|word| format!("ARGV{:08x}{word}", word.len())).collect();
    format!("DIST00000001ARGC{:08x}{words}DOTI{source_len:08x}", argv.len())
}

/// What is sent before the connection is closed.
fn nonsense() -> Vec<(&'static str, Vec<u8>)> {
    let noise = (0..4096u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let text = |text: &str| text.as_bytes().to_vec();
    vec![
        ("a browser", text("GET / HTTP/1.1\r\nHost: h2\r\n\r\n")),
        ("noise", noise),
        ("zeros", vec![0; 70_000]),
        ("version 0", text("DIST00000000ARGC00000001")),
        ("version 3", text("DIST00000003ARGC00000001")),
        ("version 99", text("DIST00000063ARGC00000001")),
        ("a version of everything", text("DISTffffffffARGC00000001")),
        ("no hexadecimal", text("DIST0000000gARGC00000001")),
        ("too many arguments", text("DIST00000001ARGCffffffff")),
        ("no arguments", text("DIST00000001ARGC00000000DOTI00000000")),
        ("an endless argument", text("DIST00000001ARGC00000001ARGVffffffffgcc")),
        ("an endless source", text(&head(u32::MAX))),
        ("a truncated version", text("DIST000")),
        ("a truncated argument", text("DIST00000001ARGC00000001ARGV00000009gcc")),
        ("a truncated source", text(&format!("{}int x;", head(4096)))),
        ("a source that does not expand", {
            let head = head(8).replace("DIST00000001", "DIST00000002");
            [head.as_bytes(), &[0xff; 8]].concat()
        }),
    ]
}

#[test]
fn nonsense_costs_its_connection_one_line() {
    let Some(mut lab) = Lab::new(3) else { return };
    let server = SocketAddr::from((lab.host(2).addr(), 3632));
    let jobs = SLOTS.to_string();
    // Otherwise a client that is refused time and again gets one line a minute.
    serve(lab.host(2), &["--allow", "10.77.0.0/24", "--jobs", &jobs, "--log-level", "debug"]);
    write(lab.host(1), "x.c", QUICK);
    // More unfinished jobs than there are slots stay open all the while.
    let mut unfinished: Vec<TcpStream> =
        (0..SLOTS + 2).map(|_| connect(lab.host(3), server)).collect();
    for stream in &mut unfinished {
        stream.write_all(format!("{}int x;", head(4096)).as_bytes()).unwrap();
    }
    for (n, (what, bytes)) in nonsense().into_iter().enumerate() {
        let mut stream = connect(lab.host(3), server);
        // The server may have had enough before all is sent.
        let _ = stream.write_all(&bytes);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        assert!(answer.is_empty(), "{what} got {answer:?}");
        let line = wait_for(&format!("a line about {what}"), DEADLINE, || {
            let log = daemon_log(lab.host(2));
            log.lines().find(|line| line.contains(&mark(&stream))).map(str::to_owned)
        });
        println!("{what}: {}", line.split_once("client: ").unwrap().1);
        if n % 4 == 0 {
            let job = Compile::gcc(lab.host(1), "10.77.0.2", "x.c", &format!("x{n}.o"));
            assert!(job.was_remote(), "after {what}: {}", job.log);
        }
        let log = daemon_log(lab.host(2));
        assert_eq!(count(&log, &mark(&stream)), 1, "{what}: {log}");
        assert_eq!(count(&log, "panic"), 0, "{log}");
    }
    drop(unfinished);
    assert_clean(lab.host(2));
    assert!(Compile::gcc(lab.host(1), "10.77.0.2", "x.c", "last.o").was_remote());
    // One line each, also for those that left in the middle.
    let n_lines = nonsense().len() + SLOTS + 2;
    let log = daemon_log_with(lab.host(2), n_lines, "client: 10.77.0.3:");
    assert_eq!(count(&log, "client: 10.77.0.3:"), n_lines, "{log}");
}

/// Sends a byte now and then, until the server has had enough; how long that took.
fn dawdle(mut stream: TcpStream) -> Duration {
    let begun = Instant::now();
    let lawful = head(4096);
    let mut bytes = lawful.bytes().cycle();
    stream.set_read_timeout(Some(Duration::from_millis(700))).unwrap();
    loop {
        let ended = match stream.read(&mut [0; 16]) {
            Ok(n_read) => n_read == 0,
            Err(error) => error.kind() != std::io::ErrorKind::WouldBlock,
        };
        if ended || stream.write_all(&[bytes.next().unwrap()]).is_err() {
            return begun.elapsed();
        }
        assert!(begun.elapsed() < DEADLINE, "the server puts up with slowness for ever");
    }
}

fn has_ended(stream: &mut TcpStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    let read = stream.read(&mut [0; 16]);
    stream.set_nonblocking(false).unwrap();
    !matches!(read, Err(error) if error.kind() == std::io::ErrorKind::WouldBlock)
}

#[test]
fn silent_and_slow_connections_hinder_nobody() {
    const SILENT: usize = 700;
    let Some(mut lab) = Lab::new(3) else { return };
    let server = SocketAddr::from((lab.host(2).addr(), 3632));
    serve(lab.host(2), &["--allow", "10.77.0.0/24", "--jobs", "2"]);
    write(lab.host(1), "x.c", QUICK);
    // The agent gets to know the server while that has time for it.
    assert!(Compile::gcc(lab.host(1), "10.77.0.2", "x.c", "first.o").was_remote());
    let slow = connect(lab.host(3), server);
    let slow = thread::spawn(move || dawdle(slow));
    let begun = Instant::now();
    let mut silent: Vec<TcpStream> = (0..SILENT).map(|_| connect(lab.host(3), server)).collect();
    for n in 0..4 {
        let job = Compile::gcc(lab.host(1), "10.77.0.2", "x.c", &format!("x{n}.o"));
        assert!(job.was_remote(), "{}", job.log);
    }
    let took = begun.elapsed();
    println!("{SILENT} silent connections opened and 4 jobs done within {took:?}");
    let open = silent.iter_mut().map(has_ended).filter(|ended| !ended).count();
    println!("{open} of them were still open then");
    assert!(open > 0, "the jobs were done beside them");
    println!("the slow connection was ended after {:?}", slow.join().unwrap());
    let last = silent.last_mut().unwrap();
    let _ = last.read(&mut [0; 16]);
    println!("the last silent connection was ended after {:?}", begun.elapsed());
    for said in ["closed, it has too many", "waited in vain for the command line"] {
        let log = daemon_log_with(lab.host(2), 1, said);
        // One a minute.
        assert!(count(&log, said) < 10, "{log}");
    }
}
