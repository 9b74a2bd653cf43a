//! `distcc-config` sets up what distcc and shells then find.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use crate::bench::{Bench, has, text};

fn config(bench: &Bench, words: &[&str]) -> Output {
    let mut command = bench.program(Path::new(env!("CARGO_BIN_EXE_distcc-config")), "");
    command.env_remove("DISTCC_HOSTS").args(words).output().unwrap()
}

/// What it says when all is well.
fn said(bench: &Bench, words: &[&str]) -> String {
    let output = config(bench, words);
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    text(&output.stdout)
}

#[test]
fn hosts_that_are_set_are_those_that_distcc_uses() {
    let bench = Bench::new();
    assert_eq!(said(&bench, &["--set-hosts", "a:1/3 [::1]/2,lzo"]), "");
    assert_eq!(said(&bench, &["--get-hosts"]), "a:1/3 [::1]/2,lzo\n");
    let mut distcc = bench.distcc("");
    let output = distcc.env_remove("DISTCC_HOSTS").arg("--show-hosts").output().unwrap();
    assert_eq!(text(&output.stdout), "a:1/3\n[::1]/2,lzo\n");
    let output = config(&bench, &["--set-hosts", "b a:1/3/x"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).starts_with("distcc-config: a:1/3/x: expected "), "{output:?}");
    assert_eq!(said(&bench, &["--get-hosts"]), "a:1/3 [::1]/2,lzo\n");
}

#[test]
fn variables_that_are_set_are_there_in_shells_that_read_the_file() {
    let bench = Bench::new();
    let hint = said(&bench, &["--set-env", "DISTCC_VERBOSE", "1"]);
    let read = hint.trim_end().split_once(": ").unwrap().1;
    let script = format!("{read}; echo \"$DISTCC_VERBOSE\"");
    let output = Command::new("sh").args(["-c", &script]).output().unwrap();
    assert_eq!(text(&output.stdout), "1\n");
    assert_eq!(said(&bench, &["--get-verbose"]), "1\n");
    assert_eq!(said(&bench, &["--get-env"]), "DISTCC_VERBOSE=1\n");
    assert_eq!(config(&bench, &["--get-log"]).status.code(), Some(1));
    assert_eq!(config(&bench, &["--set-env", "PATH", "/x"]).status.code(), Some(1));
    assert_eq!(config(&bench, &["--set-env"]).status.code(), Some(101));
}

#[test]
fn links_make_compilers_call_distcc() {
    if !has("gcc") {
        return;
    }
    let bench = Bench::new();
    bench.write("x.c", "int x;\n");
    let dir = bench.path("links");
    let told = said(&bench, &["--install", dir.to_str().unwrap()]);
    let line = format!("{}/gcc -> {}", dir.display(), env!("CARGO_BIN_EXE_distcc"));
    assert!(told.lines().any(|told| told == line), "{told}");
    let script = "PATH=$LINKS:$PATH; gcc -c x.c && gcc --version";
    let mut shell = bench.program(Path::new("/bin/sh"), "127.0.0.1:1");
    let log = bench.path("log");
    shell.env("LINKS", &dir).env("DISTCC_VERBOSE", "1").env("DISTCC_LOG", &log);
    let output = shell.args(["-c", script]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(!bench.read("x.o").is_empty());
    assert!(
        fs::read_to_string(log).unwrap().contains("exec on localhost: gcc"),
        "it was not distcc"
    );
}
