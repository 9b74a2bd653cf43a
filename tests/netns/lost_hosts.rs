//! Hosts that go without a word while jobs run there, and a machine that sleeps meanwhile.

use std::fs;
use std::process::Child;
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use nix::unistd::Pid;

use crate::farm::{
    Compile, DEADLINE, QUICK, client, client_log, host_of, ran_on, said, slow_source, volunteer,
    write,
};
use crate::lab::{Host, Lab, wait_for};
use crate::long;
use crate::processes::{end_of, send};

/// Longer than what the agent takes for the delays of a busy machine.
const NAP: Duration = Duration::from_secs(6);

/// Host 1 compiles; hosts 2 and 3 offer to, and it knows both.
fn lab() -> Option<Lab> {
    let mut lab = Lab::new(3)?;
    for number in [2, 3] {
        volunteer(lab.host(number));
    }
    let host = &*lab.host(1);
    write(host, "quick.c", QUICK);
    write(host, "slow.c", &slow_source());
    wait_for("both hosts to be found", DEADLINE, || (hosts(host).len() == 2).then_some(()));
    Some(lab)
}

/// What the user sees of the hosts that can be used.
fn hosts(host: &Host) -> Vec<String> {
    let mut show = host.command("distcc");
    let said = said(show.arg("--show-hosts").env("DISTCC_HOSTS", "+zeroconf"));
    said.lines().map(host_of).collect()
}

/// Starts a compile that takes long, and returns the number of the host at work on it.
fn start(lab: &mut Lab) -> (Child, usize) {
    let words = ["gcc", "-O2", "-c", "slow.c", "-o", "slow.o"];
    let job = client(lab.host(1), "+zeroconf", &words).spawn().unwrap();
    let at_work = wait_for("a compiler to run", DEADLINE, || {
        [2, 3].into_iter().find(|number| !lab.host(*number).pids("cc1").is_empty())
    });
    (job, at_work)
}

/// The job ended well, on this host, with the object that the compiler makes here.
#[track_caller]
fn assert_ran_on(lab: &mut Lab, number: usize) {
    let log = client_log(lab.host(1));
    let expected = lab.host(number).addr().to_string();
    assert!(ran_on(&log).is_some_and(|host| host_of(host) == expected), "{log}");
    let host = &*lab.host(1);
    said(host.command("gcc").args(["-O2", "-c", "slow.c", "-o", "expected.o"]));
    let read = |name: &str| fs::read(host.dir("home").join(name)).unwrap();
    assert!(read("slow.o") == read("expected.o"), "another object\n{log}");
}

#[test]
fn the_power_of_a_host_goes_while_a_job_runs_there() {
    if !long::wanted() {
        return;
    }
    let Some(mut lab) = lab() else { return };
    let (mut job, lost) = start(&mut lab);
    let other = 5 - lost;
    lab.unplug(lost);
    let unplugged = Instant::now();
    assert!(end_of("the job to end", &mut job).success());
    eprintln!("the job was done {:.1?} after the power went", unplugged.elapsed());
    assert_ran_on(&mut lab, other);
    let left = hosts(lab.host(1));
    let addr = lab.host(other).addr().to_string();
    assert!(left == [addr], "{left:?}");

    lab.plug(lost);
    let back = Instant::now();
    wait_for("it to be back", DEADLINE, || (hosts(lab.host(1)).len() == 2).then_some(()));
    eprintln!("it was listed again {:.1?} after the power was back", back.elapsed());
}

#[test]
fn a_machine_wakes_up_and_the_host_of_its_job_is_gone() {
    if !long::wanted() {
        return;
    }
    let Some(mut lab) = lab() else { return };
    let (mut job, lost) = start(&mut lab);
    let host = &*lab.host(1);
    let asleep: Vec<_> = ["distccd", "distcc"].iter().flat_map(|name| host.pids(name)).collect();
    assert_eq!(asleep.len(), 2, "an agent and a client");
    for pid in &asleep {
        send(*pid, Signal::SIGSTOP);
    }
    lab.unplug(lost);
    sleep(NAP);
    // `nsenter` stops with its child, and continues it.
    let entered = Pid::from_raw(i32::try_from(job.id()).unwrap());
    for pid in asleep.into_iter().chain([entered]) {
        send(pid, Signal::SIGCONT);
    }
    let awake = Instant::now();
    assert!(end_of("the job to end", &mut job).success());
    eprintln!("the job was done {:.1?} after the machine woke", awake.elapsed());
    assert_ran_on(&mut lab, 5 - lost);
    let next = Compile::gcc(lab.host(1), "+zeroconf", "quick.c", "quick.o");
    assert!(next.was_remote(), "{}", next.log);
}

#[test]
fn a_host_that_says_goodbye_is_gone_at_once_and_finishes_its_job() {
    let Some(mut lab) = lab() else { return };
    let (mut job, leaving) = start(&mut lab);
    let began = Instant::now();
    // The others of this name are at work on the job.
    let daemon = lab.host(leaving).pids("distccd").into_iter().min_by_key(|pid| pid.as_raw());
    send(daemon.unwrap(), Signal::SIGTERM);
    wait_for("it to be gone", DEADLINE, || (hosts(lab.host(1)).len() == 1).then_some(()));
    eprintln!("gone from the list after {:.1?}", began.elapsed());
    assert!(end_of("the job to end", &mut job).success());
    assert_ran_on(&mut lab, leaving);
    let mut why = lab.host(1).command("distcc");
    let why = said(why.args(["--show-hosts", "--why"]).env("DISTCC_HOSTS", "+zeroconf"));
    let addr = lab.host(leaving).addr().to_string();
    assert!(!why.contains(&addr), "{why}");
}
