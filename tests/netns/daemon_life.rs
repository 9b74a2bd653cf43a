//! A daemon's beginning and end, as its user and its neighbours see them.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command};
use std::time::Instant;

use nix::sys::signal::Signal;
use nix::unistd::Pid;

use crate::farm::{Compile, DEADLINE, QUICK, client, client_log, serve, slow_source, write};
use crate::jobs::daemon_log;
use crate::lab::{Host, Lab, wait_for};
use crate::processes::{assert_clean, compilers_at_work, end_of, run_to_file, send, tree};

#[test]
fn the_advertised_command_prints_one_line_and_detaches() {
    let Some(mut lab) = Lab::new(2) else { return };
    let host = &*lab.host(2);
    let mut shell = host.command("sh");
    shell.args(["-c", "distccd --zeroconf --allow 10.77.0.0/24 | cat"]);
    let (status, said) = run_to_file("cat to end", shell, &host.dir("log/said"));
    println!("{said}");
    assert!(status.success());
    assert_eq!(said.lines().count(), 1, "{said}");
    for word in ["distccd: serving gcc ", "port 3632", "10.77.0.0/24", "log /var/log/distccd.log"] {
        assert!(said.contains(word), "{said} lacks {word}");
    }
    wait_for("the shell's daemon to be alone", DEADLINE, || {
        (host.pids("distccd").len() == 1).then_some(())
    });
    write(lab.host(1), "x.c", QUICK);
    assert!(Compile::gcc(lab.host(1), "+zeroconf", "x.c", "x.o").was_remote());
}

/// Starts a job on the second host that waits in the middle, and returns it with its compiler.
fn halted_job(lab: &mut Lab) -> (Child, Vec<Pid>) {
    write(lab.host(1), "slow.c", &slow_source());
    let job = client(lab.host(1), "+zeroconf", &["gcc", "-O2", "-c", "slow.c"]).spawn().unwrap();
    let compilers = compilers_at_work(lab.host(2));
    for pid in &compilers {
        send(*pid, Signal::SIGSTOP);
    }
    (job, compilers)
}

fn standard_output(mut command: Command) -> String {
    String::from_utf8(command.output().unwrap().stdout).unwrap()
}

/// The hosts that a host's own agent would use.
fn shown_hosts(host: &Host) -> String {
    let mut command = host.command("distcc");
    command.arg("--show-hosts").env("DISTCC_HOSTS", "+zeroconf");
    standard_output(command)
}

/// Services that avahi knows of.
fn browsed(host: &Host) -> String {
    let mut command = host.command("avahi-browse");
    command.args(["--parsable", "--terminate", "_distcc._tcp"]);
    standard_output(command)
}

#[test]
fn a_daemon_asked_to_end_says_goodbye_and_finishes_its_jobs() {
    let Some(mut lab) = Lab::new(4) else { return };
    let pids = lab.host(2).dir("pids");
    fs::create_dir(&pids).unwrap();
    // Removing a file there is allowed to the user that the daemon becomes.
    fs::set_permissions(&pids, fs::Permissions::from_mode(0o777)).unwrap();
    let pid_file = pids.join("distccd.pid");
    let options = ["--zeroconf", "--allow", "10.77.0.0/24", "--pid-file"];
    serve(lab.host(2), &[&options[..], &[pid_file.to_str().unwrap()]].concat());
    let daemon = lab.host(2).pids("distccd")[0];
    let own_number = fs::read_to_string(format!("/proc/{daemon}/status")).unwrap();
    let own_number = own_number.lines().find(|line| line.starts_with("NSpid:")).unwrap();
    let written = fs::read_to_string(&pid_file).unwrap();
    assert_eq!(own_number.split_whitespace().last().unwrap(), written.trim());

    let has_avahi = lab.host(3).avahi();
    if has_avahi {
        wait_for("avahi to see the server", DEADLINE, || {
            browsed(lab.host(3)).contains(";distcc").then_some(())
        });
    }
    let (mut job, compilers) = halted_job(&mut lab);
    wait_for("a bystander to see the server", DEADLINE, || {
        shown_hosts(lab.host(4)).contains("10.77.0.2").then_some(())
    });
    let begun = Instant::now();
    send(daemon, Signal::SIGTERM);
    if has_avahi {
        wait_for("avahi to lose the server", DEADLINE, || {
            (!browsed(lab.host(3)).contains(";distcc")).then_some(())
        });
        println!("avahi: gone after {:?}", begun.elapsed());
    }
    wait_for("a bystander to lose the server", DEADLINE, || {
        (!shown_hosts(lab.host(4)).contains("10.77.0.2")).then_some(())
    });
    println!("a bystander: gone after {:?}", begun.elapsed());
    assert_eq!(lab.host(2).pids("distccd"), [daemon], "it waits for its job");
    assert!(pid_file.exists());
    for pid in compilers {
        send(pid, Signal::SIGCONT);
    }
    assert!(end_of("the job to end", &mut job).success());
    let log = client_log(lab.host(1));
    assert!(log.contains(" compiled on "), "{log}");
    wait_for("the daemon to end", DEADLINE, || {
        lab.host(2).pids("distccd").is_empty().then_some(())
    });
    println!("{}", daemon_log(lab.host(2)));
    assert!(!pid_file.exists());
    assert_clean(lab.host(2));
    assert_eq!(tree(&lab.host(2).dir("tmp")), [""; 0]);
}

#[test]
fn a_daemon_asked_twice_ends_at_once() {
    let Some(mut lab) = Lab::new(2) else { return };
    serve(lab.host(2), &["--zeroconf", "--allow", "10.77.0.0/24"]);
    let (mut job, _) = halted_job(&mut lab);
    let daemon = lab.host(2).pids("distccd")[0];
    send(daemon, Signal::SIGTERM);
    wait_for("the daemon to have heard", DEADLINE, || {
        daemon_log(lab.host(2)).contains("asked to end").then_some(())
    });
    let begun = Instant::now();
    send(daemon, Signal::SIGTERM);
    wait_for("the daemon to end", DEADLINE, || {
        lab.host(2).pids("distccd").is_empty().then_some(())
    });
    println!("ended after {:?}", begun.elapsed());
    let log = daemon_log(lab.host(2));
    assert!(log.contains("asked to end at once"), "{log}");
    assert!(end_of("the job to end", &mut job).success());
    let log = client_log(lab.host(1));
    assert!(log.contains("compile on localhost completed ok"), "{log}");
    assert_clean(lab.host(2));
    assert_eq!(tree(&lab.host(2).dir("tmp")), [""; 0]);
}
