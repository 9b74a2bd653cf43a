//! The agent's beginnings and ends: one at a time, never in the way of a build.

use std::fs;

use nix::sys::signal::Signal;

use crate::farm::{Compile, DEADLINE, QUICK, client, client_log, serve, slow_source, write};
use crate::jobs::{count, daemon_log_with};
use crate::lab::{Lab, wait_for};
use crate::processes::{compilers_at_work, end_of, send};

/// A network with one server.
fn lab_with_server() -> Option<Lab> {
    let mut lab = Lab::new(2)?;
    serve(lab.host(2), &["--zeroconf", "--allow", "10.77.0.0/24"]);
    write(lab.host(1), "x.c", QUICK);
    Some(lab)
}

#[test]
fn an_agent_killed_in_the_middle_of_a_build_is_replaced() {
    const FILES: usize = 8;
    let Some(mut lab) = lab_with_server() else { return };
    let host = &*lab.host(1);
    let source = slow_source();
    let words: Vec<String> = (0..FILES).map(|n| format!("x{n}.o")).collect();
    for n in 0..FILES {
        write(host, &format!("x{n}.c"), &source);
    }
    write(host, "Makefile", "%.o: %.c\n\t@distcc gcc -O2 -c $< -o $@\n");
    let mut make = host.command("make");
    make.arg("-j3").args(&words);
    make.env("DISTCC_HOSTS", "+zeroconf").env("DISTCC_LOG", host.dir("log/client.log"));
    let mut make = make.spawn().unwrap();
    compilers_at_work(lab.host(2));
    let host = &*lab.host(1);
    let first = host.pids("distccd");
    assert_eq!(first.len(), 1);
    send(first[0], Signal::SIGKILL);
    assert!(end_of("make to end", &mut make).success(), "{}", client_log(host));
    let second = host.pids("distccd");
    println!("agent {first:?} was killed, {second:?} took over");
    assert_eq!(second.len(), 1, "{}", client_log(host));
    assert_ne!(first, second);
    let n_remote = count(&client_log(host), " compiled on ");
    println!("{n_remote} of {FILES} files were compiled on the other host");
    assert!(n_remote > 3, "jobs went on after the first agent's end: {}", client_log(host));
}

#[test]
fn an_agent_whose_directory_is_removed_ends() {
    let Some(mut lab) = lab_with_server() else { return };
    let host = &*lab.host(1);
    assert!(Compile::gcc(host, "+zeroconf", "x.c", "one.o").was_remote());
    for what in ["directory", "socket"] {
        let first = host.pids("distccd");
        let dirs = fs::read_dir(host.dir("distcc")).unwrap().flatten().map(|entry| entry.path());
        let dir = dirs.into_iter().find(|dir| dir.join("sock").exists()).unwrap();
        match what {
            "socket" => fs::remove_file(dir.join("sock")).unwrap(),
            // The agent may just be writing a file there.
            _ => wait_for("the directory to be gone", DEADLINE, || {
                let _ = fs::remove_dir_all(&dir);
                (!dir.exists()).then_some(())
            }),
        }
        wait_for(&format!("the agent without its {what} to end"), DEADLINE, || {
            host.pids("distccd").is_empty().then_some(())
        });
        let job = Compile::gcc(host, "+zeroconf", "x.c", "two.o");
        assert!(job.was_remote(), "{what}: {}", job.log);
        assert_eq!(host.pids("distccd").len(), 1, "{what}");
        assert_ne!(host.pids("distccd"), first, "{what}");
    }
}

#[test]
fn clients_that_start_together_start_one_agent() {
    let Some(mut lab) = lab_with_server() else { return };
    let host = &*lab.host(1);
    let started = |n| {
        let object = format!("x{n}.o");
        client(host, "+zeroconf", &["gcc", "-c", "x.c", "-o", &object]).spawn().unwrap()
    };
    let mut clients: Vec<_> = (0..8).map(started).collect();
    for client in &mut clients {
        assert!(end_of("a client to end", client).success());
    }
    let agents = host.pids("distccd");
    println!("8 clients at once: agents {agents:?}");
    assert_eq!(agents.len(), 1);
    let log = client_log(host);
    assert_eq!(count(&log, " compiled on "), 8, "{log}");
    let log = daemon_log_with(lab.host(2), 8, "COMPILE_OK");
    assert_eq!(count(&log, "COMPILE_OK"), 8, "{log}");
}

#[test]
fn an_idle_agent_leaves() {
    let Some(mut lab) = lab_with_server() else { return };
    let host = &*lab.host(1);
    let mut command = client(host, "+zeroconf", &["gcc", "-c", "x.c"]);
    assert!(command.env("DISTCC_AGENT_IDLE", "1").status().unwrap().success());
    wait_for("the idle agent to leave", DEADLINE, || host.pids("distccd").is_empty().then_some(()));
    let job = Compile::gcc(host, "+zeroconf", "x.c", "again.o");
    let agent = fs::read_to_string(host.dir("distcc/agent-0/log")).unwrap();
    assert!(job.was_remote(), "{} {agent}", job.log);
}
