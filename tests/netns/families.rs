//! Two families of compilers on one peer.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::farm::{Compile, host_of, installed, said, volunteer};
use crate::jobs::{Jobs, logged_by};
use crate::lab::{Host, Lab};
use crate::why::Why;

/// What is installed here under a name, on the peer and its equal, and on the client that differs.
const COMPILERS: [[&str; 3]; 4] = [
    ["gcc", "/usr/bin/gcc-12", "/usr/bin/gcc-11"],
    ["g++", "/usr/bin/g++-12", "/usr/bin/g++-11"],
    ["clang", "/usr/bin/clang-14", "/usr/bin/clang-13"],
    ["clang++", "/usr/bin/clang++-14", "/usr/bin/clang++-13"],
];
const EQUAL: usize = 1;
const PEER: usize = 2;
const OTHER: usize = 3;

fn version(compiler: &str) -> String {
    // Debian's gcc says `12` to the other question, and clang does not know this one.
    let option = if compiler.contains("clang") { "-dumpversion" } else { "-dumpfullversion" };
    said(Command::new(compiler).arg(option))
}

/// Compiles a new source by this compiler, and gives its name, where it ran, and whether the object
/// is that of a compile without distcc.
fn compile(client: &Host, compiler: &str) -> (String, Option<String>, bool) {
    let suffix = if compiler.ends_with('+') { "cc" } else { "c" };
    let source = format!("{}-{compiler}.{suffix}", client.name());
    fs::write(client.dir("home").join(&source), "int f(int x) { return x / 3; }\n").unwrap();
    let done = Compile::run(client, "+zeroconf", compiler, &source, "made.o");
    said(client.command(compiler).args(["-O2", "-c", &source, "-o", "expected.o"]));
    let expected = fs::read(client.dir("home/expected.o")).unwrap();
    let is_same = fs::read(&done.object).unwrap() == expected;
    (source, done.ran_on().map(str::to_owned), is_same)
}

#[test]
fn a_peer_gets_jobs_of_both_families_and_of_its_versions_only() {
    let files: Vec<&str> = COMPILERS.iter().flat_map(|[_, file, other]| [*file, *other]).collect();
    if !installed(&files) {
        return;
    }
    let Some(mut lab) = Lab::new(3) else { return };
    let peers: Vec<(&str, &Path)> =
        COMPILERS.iter().map(|[name, file, _]| (*name, Path::new(*file))).collect();
    lab.host(PEER).install_only(&[&peers[..], &[("as", Path::new("/usr/bin/as"))]].concat());
    for [name, file, other] in COMPILERS {
        lab.host(EQUAL).install(name, Path::new(file));
        lab.host(OTHER).install(name, Path::new(other));
    }
    volunteer(lab.host(PEER));

    for [name, there, here] in COMPILERS {
        let why = Why::ask(lab.host(EQUAL), "+zeroconf", &[name], 1);
        assert_eq!(why.of("h2"), format!("yes same toolchain as {name}"));
        let (source, ran_on, is_same) = compile(lab.host(EQUAL), name);
        println!("{name} of h1: {}; ran on {ran_on:?}", why.of("h2"));
        assert!(ran_on.is_some_and(|token| host_of(&token) == "10.77.0.2"), "{name}");
        assert!(is_same, "{name}: another object");
        assert_eq!(logged_by(&mut lab, &[PEER], &source), PEER);

        let why = Why::ask(lab.host(OTHER), "+zeroconf", &[name], 1);
        let family = if name.starts_with('c') { "clang" } else { "gcc" };
        let (here, there) = (version(here), version(there));
        assert_eq!(why.of("h2"), format!("no {family} {here} here, {there} there"));
        let (_, ran_on, is_same) = compile(lab.host(OTHER), name);
        println!("{name} of h3: {}; ran on {ran_on:?}", why.of("h2"));
        assert!(ran_on.is_none() && is_same, "{name}: {ran_on:?}");
    }
    let jobs = Jobs::of(lab.host(PEER)).ran;
    assert_eq!(jobs.len(), COMPILERS.len(), "{jobs:#?}");
    assert!(
        jobs.iter()
            .all(|job| ["10.77.0.1:", "fd77::1:"].iter().any(|h1| job.client.starts_with(h1))),
        "{jobs:#?}"
    );
}
