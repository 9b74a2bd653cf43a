//! A Debian server that is another one when it comes back, and an agent that remembers it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Stdio};

use nix::sys::signal::Signal;

use crate::farm::{
    Compile, DEADLINE, QUICK, client, client_log, installed, offer, offer_only, ran_on, said,
    serve_stock, stop_server, volunteer_stock, write,
};
use crate::jobs::{Jobs, daemon_log_with};
use crate::lab::{Host, Lab, wait_for};
use crate::processes::{end_of, send};
use crate::why::Why;

const GCC: &str = "/usr/bin/gcc-12";
const OLD_GCC: &str = "/usr/bin/gcc-11";
const SAME: &str = "yes same toolchain as gcc";
const OTHER: &str = "no gcc 12.2.0 here, 11.3.0 there";

/// A client with gcc 12 and a Debian server with the same, found through avahi.
fn lab() -> Option<Lab> {
    if !installed(&[GCC, OLD_GCC, "/usr/bin/distccd"]) {
        return None;
    }
    let mut lab = Lab::new(2)?;
    lab.host(1).install("gcc", Path::new(GCC));
    offer_only(lab.host(2), &[("gcc", GCC), ("cc", GCC)]);
    if !lab.host(2).avahi() {
        return None;
    }
    volunteer_stock(lab.host(2));
    Some(lab)
}

/// Compiles a new source, which must become what gcc 12 makes of it. Where that was: none if here.
#[track_caller]
fn compile(host: &Host, hosts: &str, source: &str) -> Option<String> {
    write(host, source, QUICK);
    let done = Compile::gcc(host, hosts, source, "made.o");
    done.assert_right(host, "gcc", source);
    done.ran_on().map(str::to_owned)
}

/// Waits until the agent has written what it knows of the server's compiler, and kills the agent.
#[track_caller]
fn end_agent(host: &Host) {
    let memory = host.dir("distcc").join("agent-0/peers");
    wait_for("the agent to remember the server's compiler", DEADLINE, || {
        let bytes = fs::read(&memory).ok()?;
        bytes.windows(6).any(|piece| piece == b"12.2.0").then_some(())
    });
    for pid in host.pids("distccd") {
        send(pid, Signal::SIGKILL);
    }
    wait_for("the agent to end", DEADLINE, || host.pids("distccd").is_empty().then_some(()));
}

/// Waits until the client says of its only host what it should.
#[track_caller]
fn wait_for_verdict(host: &Host, hosts: &str, verdict: &str) {
    let peer = if hosts == "+zeroconf" { "h2" } else { hosts };
    Why::wait_for(host, hosts, "gcc", (peer, verdict));
}

#[test]
fn a_server_that_was_seen_to_end_is_asked_before_it_gets_a_job_again() {
    let Some(mut lab) = lab() else { return };
    compile_elsewhere(lab.host(1), "+zeroconf");
    stop_server(lab.host(2));
    assert_eq!(compile(lab.host(1), "+zeroconf", "away.c"), None);
    offer(lab.host(2), &[("gcc", OLD_GCC), ("cc", OLD_GCC)]);
    volunteer_stock(lab.host(2));
    for n in 0..10 {
        assert_eq!(compile(lab.host(1), "+zeroconf", &format!("after{n}.c")), None);
    }
    wait_for_verdict(lab.host(1), "+zeroconf", OTHER);
    let ran = Jobs::of(lab.host(2)).ran;
    assert!(ran.is_empty(), "{ran:?}");

    stop_server(lab.host(2));
    offer(lab.host(2), &[("gcc", GCC), ("cc", GCC)]);
    volunteer_stock(lab.host(2));
    wait_for_verdict(lab.host(1), "+zeroconf", SAME);
    // The goodbye may be heard only now, a second after it was said: one more question then.
    compile_elsewhere(lab.host(1), "+zeroconf");
}

#[test]
fn a_server_restarted_behind_a_pulled_cable_with_another_compiler_makes_no_object() {
    for hosts in ["+zeroconf", "10.77.0.2"] {
        let Some(mut lab) = lab() else { return };
        let first = compile_elsewhere(lab.host(1), hosts);
        println!("{hosts}: first compiled on {first}");
        // So that nobody hears the goodbye.
        lab.unplug(2);
        stop_server(lab.host(2));
        offer(lab.host(2), &[("gcc", OLD_GCC), ("cc", OLD_GCC)]);
        serve_stock(lab.host(2));
        lab.plug(2);
        for n in 0..10 {
            assert_eq!(compile(lab.host(1), hosts, &format!("after{n}.c")), None);
        }
        wait_for_verdict(lab.host(1), hosts, OTHER);
        let ran = Jobs::of(lab.host(2)).ran;
        println!("{hosts}: {} jobs ran there in vain", ran.len());
        assert!(ran.len() <= 1, "one wrong object is enough: {ran:?}");
    }
}

/// Compiles new sources until one goes to another host.
fn compile_elsewhere(host: &Host, hosts: &str) -> String {
    let mut n = 0;
    wait_for("a job on another host", DEADLINE, || {
        n += 1;
        compile(host, hosts, &format!("before{n}.c"))
    })
}

#[test]
fn a_server_that_got_another_compiler_while_no_agent_was_there_makes_no_object() {
    for hosts in ["+zeroconf", "10.77.0.2"] {
        let Some(mut lab) = lab() else { return };
        compile_elsewhere(lab.host(1), hosts);
        end_agent(lab.host(1));
        // Not even a restart: the package was upgraded.
        offer(lab.host(2), &[("gcc", OLD_GCC), ("cc", OLD_GCC)]);
        for n in 0..5 {
            assert_eq!(compile(lab.host(1), hosts, &format!("after{n}.c")), None);
        }
        wait_for_verdict(lab.host(1), hosts, OTHER);
    }
}

/// Makes the server's gcc answer a probe job only while the file is there.
fn hold_probes(host: &Host) -> std::path::PathBuf {
    let free = host.dir("tmp/free");
    let script = format!(
        "#!/bin/sh\ncase \" $* \" in *' -v '*)\n\
         while [ ! -e {} ]; do /bin/sleep 0.05; done;;\nesac\nexec {GCC} \"$@\"\n",
        free.display()
    );
    let gcc = host.dir("bin/gcc");
    fs::remove_file(&gcc).unwrap();
    fs::write(&gcc, script).unwrap();
    fs::set_permissions(&gcc, fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(&free, "").unwrap();
    free
}

#[test]
fn the_first_compile_of_a_day_goes_to_the_known_server_before_that_is_asked() {
    for hosts in ["+zeroconf", "10.77.0.2"] {
        let Some(mut lab) = lab() else { return };
        let free = hold_probes(lab.host(2));
        compile_elsewhere(lab.host(1), hosts);
        end_agent(lab.host(1));
        fs::remove_file(&free).unwrap();
        assert!(compile(lab.host(1), hosts, "first.c").is_some());
        assert!(compile(lab.host(1), hosts, "second.c").is_some());
        daemon_log_with(lab.host(2), 1, "second.c");
        // What cannot be checked afterwards does not go there on a word of yesterday. A listed host
        // is waited for.
        if hosts == "+zeroconf" {
            assert!(!Unmarked::start(lab.host(1), hosts).went_elsewhere(lab.host(1)));
            fs::write(&free, "").unwrap();
            wait_for("an unmarked job on the server", DEADLINE, || {
                Unmarked::start(lab.host(1), hosts).went_elsewhere(lab.host(1)).then_some(())
            });
        } else {
            let mut job = Unmarked::start(lab.host(1), hosts);
            assert!(job.is_under_way());
            fs::write(&free, "").unwrap();
            assert!(job.went_elsewhere(lab.host(1)));
        }
    }
}

/// A compile in whose object nothing tells of the compiler.
struct Unmarked {
    job: Child,
    log_begins: usize,
}

impl Unmarked {
    fn start(host: &Host, hosts: &str) -> Self {
        let log_begins = client_log(host).len();
        let words = ["gcc", "-O2", "-fno-ident", "-c", "first.c", "-o", "made.o"];
        let mut job = client(host, hosts, &words);
        job.env("DISTCC_VERBOSE", "1").stderr(Stdio::null());
        Self { job: job.spawn().unwrap(), log_begins }
    }

    fn is_under_way(&mut self) -> bool {
        self.job.try_wait().unwrap().is_none()
    }

    /// Waits for its end; the object must be right.
    #[track_caller]
    fn went_elsewhere(mut self, host: &Host) -> bool {
        assert!(end_of("an unmarked job", &mut self.job).success());
        said(host.command("gcc").args(["-O2", "-fno-ident", "-c", "first.c", "-o", "expected.o"]));
        let read = |name: &str| fs::read(host.dir("home").join(name)).unwrap();
        assert!(read("made.o") == read("expected.o"));
        ran_on(&client_log(host)[self.log_begins..]).is_some()
    }
}
