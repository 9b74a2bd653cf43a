//! Links that are slow, and families of addresses that lead nowhere.

use std::fmt::Write;
use std::fs;
use std::time::Instant;

use nix::sys::signal::Signal;

use crate::farm::{
    Compile, DEADLINE, QUICK, client, client_log, host_of, installed, ran_on, said, slow_source,
    volunteer, volunteer_stock, write,
};
use crate::jobs::Jobs;
use crate::lab::{Host, Lab, wait_for};
use crate::long;
use crate::processes::{compilers_at_work, end_of, send};
use crate::why::Why;

/// What a network adapter of 20 Mbit/s lets through.
const SLOW_LINK: [&str; 7] = ["tbf", "rate", "20mbit", "burst", "64kb", "latency", "50ms"];
/// Jobs after which a rate is known for sure, however busy the machine of the test is.
const MANY: usize = 60;

/// A source of half a MiB, quickly compiled, that LZO makes smaller but not tiny.
fn bulky_source() -> String {
    let mut state = 1u64;
    let mut source = String::from("int bulky(int x) { return x * 5; }\n");
    for _ in 0..16_000 {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        writeln!(source, "extern int v{:012x};", state >> 16).unwrap();
    }
    source
}

/// The object of a compile without distcc.
#[track_caller]
fn expected(host: &Host, source: &str) -> Vec<u8> {
    said(host.command("gcc").args(["-O2", "-c", source, "-o", "expected.o"]));
    fs::read(host.dir("home/expected.o")).unwrap()
}

/// Bytes that the host has sent by its interface.
fn sent(host: &Host) -> u64 {
    let devices = host.enter(|| fs::read_to_string("/proc/thread-self/net/dev").unwrap());
    let line = devices.lines().find(|line| line.trim_start().starts_with("eth0:"));
    let fields = line.expect("eth0 is there").split(':').nth(1).expect("numbers follow");
    fields.split_whitespace().nth(8).expect("bytes sent").parse().unwrap()
}

/// Does the list of hosts say that the next job is compressed?
#[track_caller]
fn shows_lzo(host: &Host) -> bool {
    let mut show = host.command("distcc");
    let shown = said(show.env("DISTCC_HOSTS", "+zeroconf").arg("--show-hosts"));
    shown.contains(",lzo")
}

/// Compiles on the only peer until the list of hosts says whether jobs are compressed as wanted.
/// Returns how many bytes the last job took.
#[track_caller]
fn compile_until_lzo_is(wanted: bool, host: &Host, expected: &[u8]) -> u64 {
    for round in 0..MANY {
        let was_wanted = shows_lzo(host) == wanted;
        let (before, begun) = (sent(host), Instant::now());
        let job = Compile::gcc(host, "+zeroconf", "bulky.c", "bulky.o");
        let (bytes, took) = (sent(host) - before, begun.elapsed());
        assert!(job.was_remote(), "{}", job.log);
        assert!(fs::read(&job.object).unwrap() == expected, "another object");
        eprintln!("lzo wanted: {wanted}, job {round}: {bytes} bytes, {took:?}");
        // A rate measured meanwhile may have changed what is shown.
        if was_wanted && shows_lzo(host) == wanted {
            return bytes;
        }
    }
    panic!("after {MANY} jobs lzo is not {wanted}");
}

/// One builder and one peer: plain over a fast link, compressed over a slow one.
fn is_compressed_where_it_pays(lab: &mut Lab) {
    let host = &*lab.host(1);
    write(host, "bulky.c", &bulky_source());
    let expected = expected(host, "bulky.c");
    let plain = compile_until_lzo_is(false, host, &expected);
    said(host.command("tc").args(["qdisc", "add", "dev", "eth0", "root"]).args(SLOW_LINK));
    let compressed = compile_until_lzo_is(true, host, &expected);
    assert!(plain > bulky_source().len() as u64, "{plain} bytes");
    assert!(compressed < plain / 4 * 3, "{compressed} bytes after {plain}");
}

#[test]
fn jobs_for_our_server_are_compressed_on_a_slow_link_and_plain_on_a_fast_one() {
    if !installed(&["/usr/bin/gcc", "/usr/sbin/tc"]) {
        return;
    }
    let Some(mut lab) = Lab::new(2) else { return };
    volunteer(lab.host(2));
    // A first job waits for little more than a second, which a busy machine may need.
    Why::ask(lab.host(1), "+zeroconf", &["gcc"], 1);
    is_compressed_where_it_pays(&mut lab);
}

#[test]
fn jobs_for_a_stock_server_are_compressed_on_a_slow_link_and_plain_on_a_fast_one() {
    if !installed(&["/usr/bin/gcc", "/usr/sbin/tc", "/usr/bin/distccd"]) {
        return;
    }
    let Some(mut lab) = Lab::new(2) else { return };
    if !lab.host(2).avahi() {
        return;
    }
    volunteer_stock(lab.host(2));
    let why = Why::ask(lab.host(1), "+zeroconf", &["gcc"], 1);
    assert!(why.of("10.77.0.2:3632").starts_with("yes"), "{:?}", why.0);
    assert!(!shows_lzo(lab.host(1)), "nothing was measured yet");
    is_compressed_where_it_pays(&mut lab);
}

#[test]
fn a_host_whose_ipv4_address_leads_nowhere_is_reached_by_ipv6() {
    let Some(mut lab) = Lab::new(2) else { return };
    volunteer(lab.host(2));
    let host = lab.host(1);
    write(host, "x.c", QUICK);
    let expected = expected(host, "x.c");
    Why::ask(host, "+zeroconf", &["gcc"], 1);
    let compile = |object: &str| {
        let begun = Instant::now();
        let job = Compile::gcc(host, "+zeroconf", "x.c", object);
        eprintln!("{object} on {:?} after {:?}", job.ran_on(), begun.elapsed());
        assert!(job.was_remote(), "{}", job.log);
        assert!(fs::read(&job.object).unwrap() == expected, "another object");
        job.ran_on().map(str::to_owned).unwrap_or_default()
    };
    // Which family is the first is not said; that one breaks.
    let first = compile("before.o");
    let is_v4 = first.starts_with("10.77.0.2");
    let (broken, working) =
        if is_v4 { ("10.77.0.2", "[fd77::2]") } else { ("fd77::2", "10.77.0.2") };
    // A neighbour that is not there swallows whatever is sent to it.
    let nobody = ["lladdr", "02:00:00:00:00:99", "dev", "eth0", "nud", "permanent"];
    said(host.command("ip").args(["neigh", "replace", broken]).args(nobody));
    compile("first.o");
    for object in ["second.o", "third.o"] {
        let ran_on = compile(object);
        assert!(ran_on.starts_with(working), "{ran_on} is still the first address");
    }
    let from = if is_v4 { "fd77::1:" } else { "10.77.0.1:" };
    wait_for("the server's log to have all jobs", DEADLINE, || {
        let jobs = Jobs::of(lab.host(2)).compiled;
        let by_the_other = jobs.iter().filter(|job| job.client.starts_with(from)).count();
        (jobs.len() == 4 && by_the_other == 3).then_some(())
    });
}

#[test]
fn a_job_on_a_host_whose_cable_is_pulled_is_taken_back_and_done_by_another() {
    if !long::wanted() {
        return;
    }
    let Some(mut lab) = Lab::new(3) else { return };
    volunteer(lab.host(2));
    write(lab.host(1), "slow.c", &slow_source());
    let mut job = client(lab.host(1), "+zeroconf", &["gcc", "-O2", "-c", "slow.c"]);
    let mut job = job.spawn().unwrap();
    let at_work = compilers_at_work(lab.host(2));
    // It would be done before the loss is noticed.
    at_work.iter().for_each(|pid| send(*pid, Signal::SIGSTOP));
    volunteer(lab.host(3));
    Why::ask(lab.host(1), "+zeroconf", &["gcc"], 2);
    lab.unplug(2);
    let begun = Instant::now();
    assert!(end_of("the job to end", &mut job).success());
    eprintln!("the job was done {:?} after the cable was pulled", begun.elapsed());
    let log = client_log(lab.host(1));
    let expected = expected(lab.host(1), "slow.c");
    assert!(fs::read(lab.host(1).dir("home/slow.o")).unwrap() == expected, "another object");
    // By the agent's word or by the packets that nobody answers, whichever comes first.
    let told = log.lines().find(|line| line.contains("failed to distribute slow.c to "));
    let reasons = [":3632: was lost: ", ":3632: waiting for the answer failed: the host left "];
    assert!(told.is_some_and(|told| reasons.iter().any(|why| told.contains(why))), "{log}");
    assert_eq!(ran_on(&log).map(host_of).as_deref(), Some("10.77.0.3"), "{log}");
}
