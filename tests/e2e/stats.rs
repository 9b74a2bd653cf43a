//! `--stats`: the page that the original's monitors and scripts read.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::daemon::{ANOTHER_PORT, Daemon, open_dir, until};
use crate::skip::skip;

const STOCK: &str = "/usr/bin/distccd";

fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

/// Ours, with a page of statistics, and its port.
fn ours(options: &[&str]) -> (Daemon, u16) {
    let mut all = vec!["--enable-tcp-insecure", "--stats", "--stats-port", ANOTHER_PORT];
    all.extend(options);
    let daemon = Daemon::start(&all);
    let port = daemon.other_port;
    (daemon, port)
}

fn page(port: u16) -> String {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
    let mut page = String::new();
    stream.read_to_string(&mut page).unwrap();
    page
}

fn value(page: &str, key: &str) -> String {
    let line = page.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {key} in {page}")).to_owned()
}

/// What stands before the first blank of each line.
fn keys(page: &str) -> Vec<String> {
    page.lines().map(|line| line.split(' ').next().unwrap().to_owned()).collect()
}

struct Stock(Child);

impl Drop for Stock {
    fn drop(&mut self) {
        // It ends its children with itself.
        if matches!(self.0.try_wait(), Ok(None)) {
            let _ = kill(Pid::from_raw(self.0.id().cast_signed()), Signal::SIGTERM);
        }
        let _ = self.0.wait();
    }
}

/// Of the first start whose ports nobody else has taken meanwhile.
fn page_of_the_original() -> String {
    let dir = open_dir();
    let start = || {
        let (job_port, port) = (free_port().to_string(), free_port());
        let stock = Command::new(STOCK)
            .args(["--no-detach", "--daemon", "--stats", "--stats-port", &port.to_string()])
            .args(["--port", &job_port, "--listen", "127.0.0.1", "--allow", "127.0.0.1"])
            .args(["--user", "nobody", "--log-stderr", "--lifetime", "60"])
            .env("TMPDIR", dir.path())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut stock = Stock(stock);
        let mut has_ended = false;
        until("the original serves or ends", || {
            has_ended = stock.0.try_wait().unwrap().is_some();
            has_ended || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok()
        });
        (!has_ended).then(|| page(port))
    };
    (0..20).find_map(|_| start()).expect("a free port")
}

#[test]
fn the_page_has_the_lines_of_the_original_in_its_order() {
    if !std::path::Path::new(STOCK).exists() {
        return skip("no distccd of the original");
    }
    let theirs = page_of_the_original();
    let (_daemon, port) = ours(&[]);
    let ours = page(port);
    let mut expected = keys(&theirs);
    // Debian's has not yet what the newest original has.
    let end = expected.iter().position(|key| key == "</distccstats>").unwrap();
    expected.insert(end, "dcc_free_mem".to_owned());
    assert_eq!(keys(&ours), expected);
    let head = |page: &str| page.split_once("<distccstats>").unwrap().0.to_owned();
    assert_eq!(head(&ours), head(&theirs));
    for key in ["dcc_compile_ok", "dcc_longest_job", "dcc_longest_job_time_msecs", "dcc_avg_kids1"]
    {
        assert_eq!(value(&ours, key), value(&theirs, key), "{key}");
    }
    assert!(value(&ours, "dcc_free_space").ends_with(" MB"));
    assert!(value(&ours, "dcc_load1").parse::<f64>().is_ok());
}

#[test]
fn jobs_are_counted_by_how_they_end() {
    let (daemon, port) = ours(&["--jobs", "3"]);
    for words in ["true -c x.c -o x.o", "true -c x.c -o x.o", "false -c x.c -o x.o"] {
        let _ = daemon.send(words).read_to_end(&mut Vec::new());
    }
    let mut nonsense = TcpStream::connect((Ipv4Addr::LOCALHOST, daemon.port)).unwrap();
    nonsense.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
    let _ = nonsense.read_to_end(&mut Vec::new());
    let mut leaving = TcpStream::connect((Ipv4Addr::LOCALHOST, daemon.port)).unwrap();
    leaving.write_all(b"DIST00000001ARGC00000002ARGV00000004trueARGV00000002-c").unwrap();
    drop(leaving);
    until("all have ended", || value(&page(port), "dcc_tcp_accept") == "5");
    let page = page(port);
    for (key, expected) in [
        ("dcc_compile_ok", "2"),
        ("dcc_compile_error", "1"),
        ("dcc_num_compiles1", "3"),
        ("dcc_longest_job", "x.c"),
        ("dcc_max_kids", "3"),
    ] {
        assert_eq!(value(&page, key), expected, "{key}\n{page}");
    }
    let n_refused: u32 = value(&page, "dcc_rej_bad_req").parse().unwrap();
    let n_left: u32 = value(&page, "dcc_cli_disconnect").parse().unwrap();
    assert_eq!(n_refused + n_left, 2, "{page}");
}

#[test]
fn readers_that_do_not_read_keep_nobody_out() {
    let (daemon, port) = ours(&[]);
    let connect = || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    let idle: Vec<TcpStream> = (0..100).map(|_| connect()).collect();
    assert!(page(port).ends_with("</distccstats>\n"));
    let _ = daemon.send("true -c x.c -o x.o").read_to_end(&mut Vec::new());
    // It is counted once its answer has been sent.
    until("the job is counted", || value(&page(port), "dcc_compile_ok") == "1");
    // The first made room for others, or has its page.
    let mut first = &idle[0];
    let _ = first.read_to_end(&mut Vec::new());
}

#[test]
fn who_may_send_no_jobs_sees_no_page() {
    let (_daemon, port) = ours(&["--allow", "10.1.2.3"]);
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    let mut page = Vec::new();
    let _ = stream.read_to_end(&mut page);
    assert_eq!(page, b"");
}
