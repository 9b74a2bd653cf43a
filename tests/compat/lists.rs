//! lsdistcc beside the original's: the same hosts and the same exit code, over both servers.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::process::{Command, Output};

use crate::programs::{Server, Whose, free_addr, have, have_address, have_all};

fn lsdistcc(whose: Whose, words: &[&str]) -> Output {
    let mut command = Command::new(whose.program("lsdistcc"));
    command.args(words).output().expect("it can be run")
}

/// The lines, sorted: the original prints them as they come.
fn lines(output: &Output) -> Vec<String> {
    let mut lines: Vec<String> =
        String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

fn same(words: &[&str]) -> Vec<String> {
    let theirs = lsdistcc(Whose::Theirs, words);
    let ours = lsdistcc(Whose::Ours, words);
    assert_eq!(lines(&ours), lines(&theirs), "{words:?}");
    assert_eq!(ours.status.code(), theirs.status.code(), "{words:?}");
    assert!(ours.stderr.is_empty(), "{words:?}: {ours:?}");
    lines(&ours)
}

#[test]
fn hosts_are_those_that_the_original_lists() {
    if !have_all() || !have(&["lsdistcc"]) {
        return;
    }
    let nobody = format!("-r{}", free_addr(IpAddr::V4(Ipv4Addr::LOCALHOST)).port());
    for server in [Whose::Theirs, Whose::Ours] {
        let server = Server::start(server, IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        let port = format!("-r{}", server.port());
        let found = same(&[&port, "localhost", "127.0.0.1", "127.0.0.2", "127.0.0.256"]);
        assert_eq!(found.len(), 3);
        assert_eq!(same(&[&port, "127.0.0.%d"]).len(), 255);
        assert_eq!(same(&[&port, "-m24", "127.0.0.1", "127.0.0.3"]).len(), 2);
        // The original compares with the host whose address it knows first, ours with the first.
        let apart = [port.as_str(), "-m24", "127.0.0.1", "127.0.1.1", "127.0.0.3"];
        let near = ["127.0.0.1", "127.0.0.3"].map(|host| format!("{host}:{}", server.port()));
        assert_eq!(lines(&lsdistcc(Whose::Ours, &apart)), near);
        for words in [
            &["-x", "-P2", "127.0.0.1"][..],
            &["-P3", "127.0.0.1"],
            &["-n", "localhost"],
            &["-g1", "-o3", "127.0.0.25%d"],
            &["-c0", "127.0.0.1", "127.0.0.9"],
            &["-k0", "-pgcc", "127.0.0.1"],
            &["127.0.0.256"],
            &["127.0.0.%s"],
        ] {
            same(&[&[port.as_str()], words].concat());
        }
    }
    for words in [&["-x", "127.0.0.1"][..], &["-x", "-P2", "127.0.0.1"], &["127.0.0.1"]] {
        same(&[&[nobody.as_str()], words].concat());
    }
}

#[test]
fn up_is_what_compiles() {
    if !have_all() || !have(&["lsdistcc"]) {
        return;
    }
    for whose in [Whose::Theirs, Whose::Ours] {
        let server = Server::start(whose, IpAddr::V4(Ipv4Addr::LOCALHOST));
        let port = format!("-r{}", server.port());
        // Long enough for a busy machine.
        let common = [port.as_str(), "-k60000", "-t60", "-x"];
        for protocol in ["-P1", "-P2", "-P3"] {
            let found = same(&[&common[..], &[protocol, "-pgcc", "127.0.0.1"]].concat());
            let is_down = found.iter().all(|line| line.ends_with(",down"));
            // Pump mode is not spoken by ours.
            assert_eq!(is_down, whose == Whose::Ours && protocol == "-P3", "{found:?}");
        }
        same(&[&common[..], &["-pnogcc", "127.0.0.1"]].concat());
    }
}

#[test]
fn usage_is_told_where_the_original_tells_it() {
    if !have(&["lsdistcc"]) {
        return;
    }
    for words in [&["-r3632", "--help"][..], &["-q"], &["-P4", "h"], &["-r", "h"], &["-p", "h"]] {
        for whose in [Whose::Ours, Whose::Theirs] {
            let output = lsdistcc(whose, words);
            assert_eq!(output.status.code(), Some(1), "{whose:?} {words:?}");
            assert!(output.stdout.starts_with(b"Usage: lsdistcc"), "{whose:?} {words:?}");
            assert!(output.stderr.is_empty());
        }
    }
}

#[test]
fn hosts_with_ipv6_alone_are_listed() {
    let ip = IpAddr::V6(Ipv6Addr::LOCALHOST);
    if !have_all() || !have_address(ip) {
        return;
    }
    let server = Server::start(Whose::Ours, ip);
    let port = server.port();
    for name in ["::1", "[::1]"] {
        let output = lsdistcc(Whose::Ours, &[&format!("-r{port}"), "-pgcc", "-k60000", name]);
        assert_eq!(lines(&output), [format!("[::1]:{port}")]);
        assert_eq!(output.status.code(), Some(0));
    }
}
