//! `lsdistcc`: which of the machines with these names run a compile server. Each name has a thread
//! of its own once it has an address; what they find is printed in the order of the names.

mod options;
mod probe;

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use nix::unistd::gethostname;

use options::{Names, Options, Request};
use probe::Probe;

/// Names looked up at once in a list that was written out.
const LOOKUPS: usize = 6;
/// A thread that waits for a socket needs little.
const STACK: usize = 256 << 10;

/// What is known of one name.
#[derive(Clone, Debug)]
enum Finding {
    /// It has no address.
    NoAddress,
    /// It has one.
    Host { addr: SocketAddr, is_up: bool, latency: Duration },
}

/// Runs `lsdistcc`.
pub(crate) fn main() -> ExitCode {
    let words: Vec<_> = env::args_os().skip(1).collect();
    match options::understand(&words) {
        Request::List(options) => list(options),
        Request::Version => {
            print(&super::version("lsdistcc"));
            ExitCode::SUCCESS
        }
        // The original's own tests look for both.
        Request::Usage => {
            print(options::USAGE);
            ExitCode::FAILURE
        }
    }
}

fn print(text: &str) {
    // A reader that has gone is no error worth a word.
    let mut stdout = io::stdout();
    let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
}

fn list(mut options: Options) -> ExitCode {
    if options.add_domain {
        let Some(domain) = domain() else {
            eprintln!("lsdistcc: cannot tell the domain of this machine");
            return ExitCode::FAILURE;
        };
        options.names.add_domain(&domain);
    }
    let deadline = Instant::now() + options.patience;
    let options = Arc::new(options);
    let found = search(&options);
    let mut report = Report { options: &options, first: None, hosts: 0, missing: 0 };
    match report.until(deadline, &found) {
        // What was found by then is a success, as for the original.
        Ended::Late => ExitCode::SUCCESS,
        Ended::Complete if report.hosts > 0 => ExitCode::SUCCESS,
        Ended::Complete => ExitCode::FAILURE,
    }
}

/// Begins to look at every name; the answers come with their positions, in any order.
fn search(options: &Arc<Options>) -> Receiver<(usize, Finding)> {
    let (tx, rx) = mpsc::channel();
    let next = Arc::new(AtomicUsize::new(0));
    let lookups = match options.names {
        Names::Numbered { .. } => 1 + options.overlap,
        Names::List(_) => LOOKUPS.max(1 + options.overlap),
    };
    for _ in 0..lookups {
        let (options, next, tx) = (Arc::clone(options), Arc::clone(&next), tx.clone());
        in_thread(move || {
            loop {
                let idx = next.fetch_add(1, Ordering::Relaxed);
                let Some(name) = options.names.get(idx) else { return };
                if !look_up(&options, idx, &name, &tx) {
                    return;
                }
            }
        });
    }
    rx
}

fn in_thread(work: impl FnOnce() + Send + 'static) {
    // Without a thread the name is not looked at, which the deadline ends.
    let _ = thread::Builder::new().stack_size(STACK).spawn(work);
}

/// False if nobody listens any more.
fn look_up(options: &Arc<Options>, idx: usize, name: &str, tx: &Sender<(usize, Finding)>) -> bool {
    say(options, format_args!("Looking up {name}"));
    let addrs = (name, options.port).to_socket_addrs().map(Iterator::collect::<Vec<_>>);
    let Some((addrs, addr)) = addrs.ok().and_then(|addrs| {
        let first = *addrs.first()?;
        Some((addrs, first))
    }) else {
        say(options, format_args!("{name} not found"));
        return tx.send((idx, Finding::NoAddress)).is_ok();
    };
    if options.connect.is_zero() {
        let finding = Finding::Host { addr, is_up: true, latency: Duration::ZERO };
        return tx.send((idx, finding)).is_ok();
    }
    let (options, name, tx) = (Arc::clone(options), name.to_owned(), tx.clone());
    in_thread(move || {
        say(&options, format_args!("Connecting to {name}"));
        let probe = Probe {
            connect: options.connect,
            compile: options.compile,
            protocol: options.protocol,
            compiler: options.compiler.as_deref(),
        };
        let started = Instant::now();
        let up = probe.first_that_answers(&addrs);
        if let Err(error) = &up {
            say(&options, format_args!("{name}: {error}"));
        }
        let (addr, is_up) = up.map_or((addr, false), |addr| (addr, true));
        let latency = started.elapsed();
        let _ = tx.send((idx, Finding::Host { addr, is_up, latency }));
    });
    true
}

/// `-v`, with the time as the original has it.
fn say(options: &Options, words: std::fmt::Arguments<'_>) {
    if options.verbose {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        eprintln!("now {} {}: {words}", now.as_secs(), now.subsec_millis());
    }
}

/// How a report ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    Complete,
    Late,
}

/// What is printed.
struct Report<'a> {
    options: &'a Options,
    /// Address of the first host, which `-m` compares with.
    first: Option<IpAddr>,
    /// Names with an address.
    hosts: usize,
    /// Names without one since the last that had one.
    missing: usize,
}

impl Report<'_> {
    fn until(&mut self, deadline: Instant, found: &Receiver<(usize, Finding)>) -> Ended {
        let mut waiting = BTreeMap::new();
        let mut next = 0;
        while self.options.names.get(next).is_some() {
            let left = deadline.saturating_duration_since(Instant::now());
            match found.recv_timeout(left) {
                Ok((idx, finding)) => waiting.insert(idx, finding),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    for (idx, finding) in waiting {
                        self.add(idx, &finding);
                    }
                    return Ended::Late;
                }
            };
            while let Some(finding) = waiting.remove(&next) {
                self.add(next, &finding);
                next += 1;
                let numbered = matches!(self.options.names, Names::Numbered { .. });
                if numbered && self.missing > self.options.gap {
                    return Ended::Complete;
                }
            }
        }
        Ended::Complete
    }

    fn add(&mut self, idx: usize, finding: &Finding) {
        let Finding::Host { addr, is_up, latency } = finding else {
            self.missing += 1;
            return;
        };
        (self.hosts, self.missing) = (self.hosts + 1, 0);
        let first = *self.first.get_or_insert(addr.ip());
        let near = same_network(first, addr.ip(), self.options.bits);
        if near && (*is_up || self.options.show_down) {
            let name = self.options.names.get(idx).unwrap_or_default();
            print(&self.line(&name, *addr, *is_up, *latency));
        }
    }

    /// As it may stand in a host list, but for the latency.
    fn line(&self, name: &str, addr: SocketAddr, is_up: bool, latency: Duration) -> String {
        let name = if self.options.numeric { addr.ip().to_string() } else { name.to_owned() };
        let mut line = if name.contains(':') { format!("[{name}]") } else { name };
        if self.options.port != options::DEFAULT_PORT {
            line.push_str(&format!(":{}", self.options.port));
        }
        line.push_str(["", ",lzo", ",lzo,cpp"][usize::from(self.options.protocol - 1)]);
        if !is_up {
            line.push_str(",down");
        }
        if self.options.show_latency {
            line.push_str(&format!(" {}", latency.as_millis()));
        }
        line.push('\n');
        line
    }
}

/// Do the first `bits` of both agree? Those of different families never do, unless none counts.
fn same_network(a: IpAddr, b: IpAddr, bits: u32) -> bool {
    let agreeing = match (a, b) {
        (IpAddr::V4(a), IpAddr::V4(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros(),
        (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros(),
        _ => 0,
    };
    agreeing >= bits
}

/// The DNS domain of this machine: of its own name, else the first that the resolver searches.
fn domain() -> Option<String> {
    let host = gethostname().ok()?.into_string().ok()?;
    if let Some((_, domain)) = host.split_once('.') {
        return Some(domain.to_owned());
    }
    let config = fs::read_to_string("/etc/resolv.conf").ok()?;
    config
        .lines()
        .find_map(|line| {
            let mut words = line.split_ascii_whitespace();
            matches!(words.next(), Some("domain" | "search")).then(|| words.next())?
        })
        .map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(words: &[&str]) -> Options {
        let words: Vec<_> = words.iter().map(std::ffi::OsString::from).collect();
        match options::understand(&words) {
            Request::List(options) => options,
            other => panic!("{other:?}"),
        }
    }

    fn line(words: &[&str], name: &str, is_up: bool) -> String {
        let options = options(words);
        let report = Report { options: &options, first: None, hosts: 0, missing: 0 };
        let addr = SocketAddr::new("fd00::7".parse().unwrap(), options.port);
        report.line(name, addr, is_up, Duration::from_micros(7900))
    }

    #[test]
    fn lines_are_the_originals() {
        assert_eq!(line(&[], "beech", true), "beech\n");
        assert_eq!(line(&["-r4001", "-P3"], "10.0.0.1", true), "10.0.0.1:4001,lzo,cpp\n");
        assert_eq!(line(&["-r1", "-x", "-P2", "-l"], "h", false), "h:1,lzo,down 7\n");
        assert_eq!(line(&["-n"], "beech", true), "[fd00::7]\n");
        assert_eq!(line(&["-r7"], "::1", true), "[::1]:7\n");
    }

    #[test]
    fn numbered_names_end_with_the_first_that_is_missing() {
        let host = |ip: &str| Finding::Host {
            addr: SocketAddr::new(ip.parse().unwrap(), 1),
            is_up: false,
            latency: Duration::ZERO,
        };
        let far = Instant::now() + Duration::from_secs(60);
        for (words, hosts, ended) in [
            (&["h%d"][..], 2, Ended::Complete),
            // Nobody answers about the fifth any more.
            (&["-g1", "h%d"], 3, Ended::Late),
        ] {
            let options = options(words);
            let mut report = Report { options: &options, first: None, hosts: 0, missing: 0 };
            let (tx, rx) = mpsc::channel();
            for (idx, finding) in [
                (1, host("10.0.0.2")),
                (0, host("10.0.0.1")),
                (2, Finding::NoAddress),
                (3, host("10.0.0.4")),
            ] {
                tx.send((idx, finding)).unwrap();
            }
            drop(tx);
            assert_eq!(report.until(far, &rx), ended, "{words:?}");
            assert_eq!(report.hosts, hosts);
        }
    }

    #[test]
    fn networks_are_compared_bit_by_bit() {
        let same =
            |a: &str, b: &str, bits| same_network(a.parse().unwrap(), b.parse().unwrap(), bits);
        assert!(same("10.0.0.1", "10.0.0.200", 24) && !same("10.0.0.1", "10.0.1.1", 24));
        assert!(same("fd00::1", "fd00::2", 64) && !same("fd00::1", "10.0.0.1", 1));
        assert!(same("fd00::1", "10.0.0.1", 0));
    }
}
