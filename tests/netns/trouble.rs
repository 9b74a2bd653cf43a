//! Hosts that run out of something or stand still: the build is right all the same.

use std::fs;
use std::time::Instant;

use nix::sys::signal::Signal;

use crate::farm::{Compile, QUICK, client, client_log, serve, slow_source, write};
use crate::jobs::daemon_log;
use crate::lab::{Host, Lab};
use crate::processes::{assert_clean, compilers_at_work, end_of, send};

/// A source whose preprocessed text is large and whose object is small.
fn wide_source() -> String {
    (0..20_000).map(|n| format!("extern int variable_{n};\n")).chain([QUICK.to_owned()]).collect()
}

/// A small source with a large object.
const LARGE_OBJECT: &str = "char large[300000] = { 1 };\n";

/// Puts a file system of 64 KiB where the host keeps temporary files.
fn shrink_tmp(host: &Host) {
    let mut mount = host.command("mount");
    mount.args(["-t", "tmpfs", "-o", "size=64k,mode=1777", "tmpfs"]).arg(host.dir("tmp"));
    assert!(mount.status().unwrap().success());
}

/// The object of a compile is the one that the compiler makes here.
#[track_caller]
fn assert_right(host: &Host, source: &str, object: &str) {
    let mut gcc = host.command("gcc");
    gcc.args(["-O2", "-c", source, "-o", "expected.o"]).env("TMPDIR", host.dir("home"));
    assert!(gcc.status().unwrap().success());
    let read = |name: &str| fs::read(host.dir("home").join(name)).unwrap();
    assert!(read(object) == read("expected.o"), "{object} differs from what gcc makes here");
}

#[test]
fn a_client_with_a_full_disk_still_builds() {
    let Some(mut lab) = Lab::new(2) else { return };
    serve(lab.host(2), &["--zeroconf", "--allow", "10.77.0.0/24"]);
    let host = &*lab.host(1);
    shrink_tmp(host);
    write(host, "wide.c", &wide_source());
    let job = Compile::gcc(host, "+zeroconf", "wide.c", "wide.o");
    println!("{}", job.log);
    assert_right(host, "wide.c", "wide.o");
    write(host, "x.c", QUICK);
    assert!(Compile::gcc(host, "+zeroconf", "x.c", "x.o").was_remote());
    assert_clean(host);
}

#[test]
fn a_server_with_a_full_disk_is_passed_over() {
    let Some(mut lab) = Lab::new(3) else { return };
    shrink_tmp(lab.host(2));
    for number in [2, 3] {
        serve(lab.host(number), &["--allow", "10.77.0.0/24"]);
    }
    let host = &*lab.host(1);
    write(host, "wide.c", &wide_source());
    write(host, "large.c", LARGE_OBJECT);
    for source in ["wide", "large"] {
        let object = format!("{source}.o");
        let job = Compile::gcc(host, "10.77.0.2,lzo 10.77.0.3", &format!("{source}.c"), &object);
        println!("{}", job.log);
        assert_right(host, &format!("{source}.c"), &object);
        let alone = Compile::gcc(host, "10.77.0.2", &format!("{source}.c"), "alone.o");
        assert!(!alone.was_remote(), "{}", alone.log);
        assert_right(host, &format!("{source}.c"), "alone.o");
    }
    println!("{}", daemon_log(lab.host(2)));
    assert_clean(lab.host(2));
    assert_clean(lab.host(3));
}

#[test]
fn a_server_that_stands_still_does_not_hold_a_job_for_ever() {
    let Some(mut lab) = Lab::new(2) else { return };
    serve(lab.host(2), &["--zeroconf", "--allow", "10.77.0.0/24"]);
    write(lab.host(1), "slow.c", &slow_source());
    let mut job = client(lab.host(1), "+zeroconf", &["gcc", "-O2", "-c", "slow.c"]);
    let mut job = job.env("DISTCC_IO_TIMEOUT", "2").spawn().unwrap();
    let mut halted = compilers_at_work(lab.host(2));
    halted.extend(lab.host(2).pids("distccd"));
    for pid in &halted {
        send(*pid, Signal::SIGSTOP);
    }
    let begun = Instant::now();
    assert!(end_of("the job to end", &mut job).success());
    println!("the job was done {:?} after the server's standstill", begun.elapsed());
    let log = client_log(lab.host(1));
    println!("{log}");
    assert!(log.contains("compile on localhost completed ok"), "{log}");
    for pid in halted {
        send(pid, Signal::SIGCONT);
    }
    assert_right(lab.host(1), "slow.c", "slow.o");
    assert_clean(lab.host(2));
}
