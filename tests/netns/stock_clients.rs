//! Debian's client finds our servers, and our server lives beside avahi-daemon.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::farm::{DEADLINE, QUICK, installed, offer_only, said, stop_server, volunteer, write};
use crate::jobs::{Jobs, daemon_log_with};
use crate::lab::{Host, Lab, wait_for};

const CLIENT: &str = "/usr/bin/distcc";
/// Debian's client calls a compiler by its target where it can (`gcc` becomes
/// `x86_64-linux-gnu-gcc`), so a server has it under both names, as every Debian machine does.
const GCC: [(&str, &str); 5] = [
    ("cc", "/usr/bin/gcc-12"),
    ("gcc", "/usr/bin/gcc-12"),
    ("g++", "/usr/bin/g++-12"),
    ("x86_64-linux-gnu-gcc", "/usr/bin/gcc-12"),
    ("x86_64-linux-gnu-g++", "/usr/bin/g++-12"),
];
const OLD_GCC: [(&str, &str); 3] =
    [("cc", "/usr/bin/gcc-11"), ("gcc", "/usr/bin/gcc-11"), ("g++", "/usr/bin/g++-11")];

/// Are Debian's programs and these compilers there?
fn have_all() -> bool {
    let compilers = GCC.iter().chain(&OLD_GCC).map(|(_, file)| *file);
    let others = [CLIENT, "/usr/bin/avahi-browse", "/usr/bin/avahi-resolve"];
    installed(&compilers.chain(others).collect::<Vec<_>>())
}

/// Debian's client, whose only hosts are those that avahi knows of.
fn debians(host: &Host, words: &[&str]) -> Command {
    let mut command = host.command(CLIENT);
    command.args(words).env("DISTCC_HOSTS", "+zeroconf").stdin(Stdio::null());
    command
}

#[test]
fn debians_client_finds_our_server_of_its_compiler_and_builds_there() {
    if !have_all() {
        return;
    }
    let Some(mut lab) = Lab::new(3) else { return };
    if !lab.host(1).avahi() {
        return;
    }
    for (name, file) in GCC {
        lab.host(1).install(name, Path::new(file));
    }
    offer_only(lab.host(2), &GCC);
    offer_only(lab.host(3), &OLD_GCC);
    for number in [2, 3] {
        volunteer(lab.host(number));
    }
    // Its first look finds nothing: the browser that it leaves behind needs a moment.
    let hosts = wait_for("Debian's client to see a host", DEADLINE, || {
        let shown = debians(lab.host(1), &["--show-hosts"]).output().unwrap();
        let shown = String::from_utf8(shown.stdout).unwrap();
        Some(shown.trim().to_owned()).filter(|shown| shown.contains("10.77.0.2:3632/"))
    });
    println!("Debian's client sees {hosts}");
    // It looks for the sub-type of its own `cc`, which the other server does not have.
    assert!(!hosts.contains("10.77.0.3"), "{hosts}");
    let sources = [("gcc", "one.c"), ("g++", "two.cc"), ("gcc", "three.c"), ("g++", "four.cc")];
    for (compiler, source) in sources {
        write(lab.host(1), source, QUICK);
        let host = lab.host(1);
        let words = [compiler, "-O2", "-c", source, "-o", "made.o"];
        said(debians(host, &words).env("DISTCC_FALLBACK", "0"));
        said(host.command(compiler).args(["-O2", "-c", source, "-o", "expected.o"]));
        let read = |name: &str| fs::read(host.dir("home").join(name)).unwrap();
        assert!(read("made.o") == read("expected.o"), "{source}: another object");
        daemon_log_with(lab.host(2), 1, source);
    }
    let compiled: Vec<String> =
        Jobs::of(lab.host(2)).compiled.into_iter().map(|job| job.source).collect();
    assert_eq!(compiled, sources.map(|(_, source)| source));
    assert!(Jobs::of(lab.host(3)).ran.is_empty());
}

/// What avahi on `from` makes of a name or an address of host 2; empty where it knows none.
fn resolved(from: &Host, option: &str, what: &str) -> String {
    let words: &[&str] = if option == "-a" { &["-a", what] } else { &[option, "-n", what] };
    let output = from.command("avahi-resolve").args(words).output().unwrap();
    String::from_utf8(output.stdout).unwrap().split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Everything that avahi tells others of host 2, as seen from another host.
fn seen_of_h2(from: &Host) -> Vec<String> {
    let mut seen = vec![
        resolved(from, "-4", "h2.local"),
        resolved(from, "-6", "h2.local"),
        resolved(from, "-a", "10.77.0.2"),
        resolved(from, "-a", "fd77::2"),
    ];
    let browsed = said(from.command("avahi-browse").args(["-rtp", "_witness._tcp"]));
    let found = browsed.lines().filter(|line| line.starts_with('='));
    seen.extend(found.map(str::to_owned).collect::<BTreeSet<_>>());
    seen
}

/// Waits until our server's service is there, or is not.
#[track_caller]
fn wait_for_service(from: &Host, there: bool) {
    wait_for(&format!("our service to be seen: {there}"), DEADLINE, || {
        let browsed = said(from.command("avahi-browse").args(["-tp", "_distcc._tcp"]));
        (browsed.contains("distcc") == there).then_some(())
    });
}

#[test]
fn our_server_comes_and_goes_beside_avahi_and_leaves_its_names_alone() {
    if !have_all() {
        return;
    }
    let Some(mut lab) = Lab::new(3) else { return };
    offer_only(lab.host(2), &GCC);
    if !(lab.host(2).avahi() && lab.host(3).avahi()) {
        return;
    }
    let mut publish = lab.host(2).command("/usr/bin/avahi-publish");
    let mut witness = publish.args(["-s", "witness", "_witness._tcp", "80"]).spawn().unwrap();
    let before = wait_for("avahi's own service", DEADLINE, || {
        Some(seen_of_h2(lab.host(3)))
            .filter(|seen| seen.iter().any(|line| line.contains("witness")))
    });
    assert_eq!(before[0], "h2.local 10.77.0.2", "{before:#?}");
    println!("{before:#?}");
    volunteer(lab.host(2));
    wait_for_service(lab.host(3), true);
    assert_eq!(seen_of_h2(lab.host(3)), before, "while our server runs");
    stop_server(lab.host(2));
    wait_for_service(lab.host(3), false);
    assert_eq!(seen_of_h2(lab.host(3)), before, "after its goodbye");
    // A host that has heard nothing of all this asks h2 itself.
    let late = lab.add_host().unwrap();
    assert!(late.avahi());
    assert_eq!(seen_of_h2(late), before);
    witness.kill().unwrap();
    witness.wait().unwrap();
}
