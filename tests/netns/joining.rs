//! How soon a machine that joins is used.

use std::fs;

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::farm::{Compile, DEADLINE, QUICK, installed, offer_only, said, volunteer, write};
use crate::lab::{Host, Lab, wait_for};
use crate::processes::send;

const N_JOINS: usize = 3;
const COMPILERS: [(&str, &str); 4] = [
    ("gcc", "/usr/bin/gcc"),
    ("g++", "/usr/bin/g++"),
    ("cc", "/usr/bin/gcc"),
    ("c++", "/usr/bin/g++"),
];

fn shows(host: &Host, addr: &str) -> bool {
    said(host.command("distcc").arg("--show-hosts").env("DISTCC_HOSTS", "+zeroconf")).contains(addr)
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// Ends the daemon, and waits until the others know.
fn leave(lab: &mut Lab) {
    for pid in lab.host(2).pids("distccd") {
        send(pid, Signal::SIGTERM);
    }
    wait_for("the host to have gone", DEADLINE, || (!shows(lab.host(1), ":3632")).then_some(()));
}

#[test]
fn a_machine_that_joins_is_used_at_once() {
    if !installed(&["/usr/bin/gcc", "/usr/bin/g++"]) {
        return;
    }
    let Some(mut lab) = Lab::new(2) else { return };
    offer_only(lab.host(2), &COMPILERS);
    write(lab.host(1), "x.c", QUICK);
    for forgets in [true, false] {
        let mut times = [Vec::new(), Vec::new()];
        for _ in 0..N_JOINS {
            // A machine that joins for the first time has to ask its compilers who they are.
            if forgets {
                let _ = fs::remove_file(lab.host(2).dir("state/toolchains"));
            }
            assert!(!shows(lab.host(1), ":3632"));
            let started = Instant::now();
            volunteer(lab.host(2));
            times[0].push(started.elapsed());
            wait_for("the host", DEADLINE, || shows(lab.host(1), ":3632").then_some(()));
            times[1].push(started.elapsed());
            let job = Compile::gcc(lab.host(1), "+zeroconf", "x.c", "x.o");
            assert!(job.was_remote(), "{}", job.log);
            leave(&mut lab);
        }
        let [serves, shown] = times.map(median);
        eprintln!("first start: {forgets}; serves after {serves:.2?}, shown after {shown:.2?}");
    }
}
