//! What a build leaves behind: nothing, whatever became of its jobs.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::process::Child;
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;
use nix::unistd::Pid;

use crate::farm::{DEADLINE, QUICK, client, serve, slow_source, text, write};
use crate::jobs::{count, daemon_log, daemon_log_with};
use crate::lab::{Host, Lab, wait_for};
use crate::processes::{assert_clean, end_of, run_to_file, send};

/// Every recipe is marked as one that takes part in make's jobserver, so that it gets its pipe.
const MAKEFILE: &str = "
OBJECTS = $(foreach n,1 2 3 4 5 6 7 8 9 10 11 12,x$(n).o)
all: $(OBJECTS)
%.o: %.c
\t+@distcc gcc -c $< -o $@ && echo made $@
";

/// Slots of each server.
const SLOTS: usize = 3;

#[test]
fn make_into_a_pipe_ends_when_make_ends() {
    let Some(mut lab) = Lab::new(3) else { return };
    serve(lab.host(2), &["--zeroconf", "--allow", "10.77.0.0/24"]);
    wait_for("the server to be heard by somebody else", DEADLINE, || {
        let mut show = client(lab.host(3), "+zeroconf", &["--show-hosts"]);
        let hosts = show.output().unwrap().stdout;
        text(&hosts).contains("10.77.0.2:").then_some(())
    });
    let host = lab.host(1);
    write(host, "Makefile", MAKEFILE);
    for n in 1..=12 {
        write(host, &format!("x{n}.c"), QUICK);
    }
    let mut make = host.command("sh");
    make.args(["-c", "make -j8 2>&1 | cat"]).env("DISTCC_HOSTS", "+zeroconf");
    // On a busy machine the first jobs would not wait until the agent has found the server.
    make.env("DISTCC_FALLBACK", "0");
    let (status, said) = run_to_file("make and cat to end", make, &host.dir("log/make"));
    assert!(status.success(), "{said}");
    assert_eq!(count(&said, "made x"), 12, "{said}");
    let agents = host.pids("distccd");
    assert_eq!(agents.len(), 1, "one agent for all of make's clients");
    assert_detached(agents[0]);
    daemon_log_with(lab.host(2), 12, "COMPILE_OK");
}

/// Nothing ties the process to whoever started it.
fn assert_detached(pid: Pid) {
    let proc = |file: &str| format!("/proc/{pid}/{file}");
    let mut files = Vec::new();
    for entry in fs::read_dir(proc("fd")).unwrap().flatten() {
        let number = entry.file_name().into_string().unwrap();
        let Ok(file) = fs::read_link(entry.path()) else { continue };
        files.push(format!("{number} {}", file.display()));
    }
    files.sort();
    println!("the agent's descriptors: {files:?}");
    for number in 0..3 {
        assert!(files.contains(&format!("{number} /dev/null")), "{files:?}");
    }
    assert!(!files.iter().any(|file| file.contains("pipe:")), "{files:?}");
    assert_eq!(fs::read_link(proc("cwd")).unwrap(), std::path::Path::new("/"));
    let stat = fs::read_to_string(proc("stat")).unwrap();
    let (_, rest) = stat.rsplit_once(") ").unwrap();
    // After the state come parent, group, session and terminal.
    let numbers: Vec<&str> = rest.split(' ').skip(2).take(3).collect();
    assert_eq!(numbers, [pid.to_string(), pid.to_string(), "0".to_owned()]);
    let environment = fs::read(proc("environ")).unwrap();
    for variable in environment.split(|byte| *byte == 0) {
        let variable = String::from_utf8_lossy(variable);
        for unwanted in ["MAKEFLAGS=", "MFLAGS=", "_DISTCC_SAFEGUARD=", "TMPDIR="] {
            assert!(!variable.starts_with(unwanted), "{variable}");
        }
    }
}

/// What is to become of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Succeeds,
    HasSyntaxError,
    Gets(Signal),
}

const fn fate(n: usize) -> Fate {
    match n % 5 {
        1 => Fate::HasSyntaxError,
        2 => Fate::Gets(Signal::SIGKILL),
        3 => Fate::Gets(Signal::SIGINT),
        _ => Fate::Succeeds,
    }
}

/// The source of a job: one that is to be killed has to last for a while.
fn source_of(fate: Fate) -> &'static str {
    match fate {
        Fate::Succeeds => "quick.c",
        Fate::HasSyntaxError => "wrong.c",
        Fate::Gets(_) => "slow.c",
    }
}

/// Runs one job and sees to its fate. The moment of a kill is random, but the same in each run.
fn run_job(host: &Host, n: usize) {
    let fate = fate(n);
    let object = format!("o{n}.o");
    let words = ["gcc", "-O2", "-c", source_of(fate), "-o", &object];
    let mut command = client(host, "+zeroconf", &words);
    let mut child = command.stderr(std::process::Stdio::null()).spawn().unwrap();
    if let Fate::Gets(signal) = fate {
        let client = host.pid_of(&child);
        thread::sleep(Duration::from_millis((n as u64).wrapping_mul(2_654_435_761) % 600));
        send(client, signal);
    }
    let status = end_of("a job to end", &mut child);
    match fate {
        Fate::Succeeds => assert!(status.success(), "job {n}: {status}"),
        Fate::HasSyntaxError => assert_eq!(status.code(), Some(1), "job {n}"),
        // Under load it may not even have become our client when the signal came; it must be dead.
        Fate::Gets(_) => assert!(!status.success() || status.signal().is_some(), "job {n}"),
    }
    assert_eq!(host.dir("home").join(&object).exists(), fate == Fate::Succeeds, "job {n}");
}

#[test]
fn failed_and_killed_jobs_leave_nothing() {
    const JOBS: usize = 200;
    const AT_ONCE: usize = 8;
    let Some(mut lab) = Lab::new(3) else { return };
    let jobs = SLOTS.to_string();
    for server in [2, 3] {
        serve(lab.host(server), &["--zeroconf", "--allow", "10.77.0.0/24", "--jobs", &jobs]);
    }
    let host = &*lab.host(1);
    write(host, "quick.c", QUICK);
    write(host, "wrong.c", "int x = ;\n");
    write(host, "slow.c", &slow_source());
    thread::scope(|scope| {
        for first in 0..AT_ONCE {
            scope.spawn(move || (first..JOBS).step_by(AT_ONCE).for_each(|n| run_job(host, n)));
        }
    });
    for number in [1, 2, 3] {
        assert_clean(lab.host(number));
    }
    for number in [2, 3] {
        // Jobs that a client left before they began have an end only.
        let words = ["COMPILE_OK", "COMPILE_ERROR", "CLI_DISCONN", "REJ_BAD_REQ", "OTHER"];
        let n_begun = count(&daemon_log(lab.host(number)), "dcc_job_begin");
        let log = daemon_log_with(lab.host(number), n_begun, "dcc_job_summary");
        let ends = words.map(|word| count(&log, word));
        println!("h{number}: {} begun, {words:?}: {ends:?}", count(&log, "dcc_job_begin"));
        assert_eq!(ends[3..], [0, 0], "{log}");
        assert!(ends.iter().sum::<usize>() >= count(&log, "dcc_job_begin"), "{log}");
    }
    // The agent's places: with them free, both servers are full at once, and not fuller.
    assert_fills(&mut lab, "+zeroconf", &[2, 3]);
    // A server's own slots: the list promises more than it has.
    assert_fills(&mut lab, "10.77.0.2/20", &[2]);
}

/// Sends two jobs more than these servers have slots: exactly the slots are filled.
fn assert_fills(lab: &mut Lab, hosts: &str, servers: &[usize]) {
    let wanted = servers.len() * SLOTS;
    let started = |n| {
        let object = format!("fill{n}.o");
        client(lab.host(1), hosts, &["gcc", "-O2", "-c", "slow.c", "-o", &object]).spawn().unwrap()
    };
    let mut children: Vec<Child> = (0..wanted + 2).map(started).collect();
    // Compilers are halted as they appear, so that none ends before the last has come.
    let mut halted = BTreeSet::new();
    wait_for("all slots to be filled", DEADLINE, || {
        for server in servers {
            for pid in lab.host(*server).pids("cc1") {
                send(pid, Signal::SIGSTOP);
                halted.insert(pid);
            }
        }
        (halted.len() >= wanted).then_some(())
    });
    for server in servers {
        let log = daemon_log(lab.host(*server));
        let at_work = lab.host(*server).pids("cc1").len();
        println!("{hosts}: h{server} runs {at_work} compilers at once");
        assert_eq!(at_work, SLOTS, "{log}");
    }
    for pid in halted {
        send(pid, Signal::SIGCONT);
    }
    for child in &mut children {
        assert!(end_of("the jobs to end", child).success());
    }
    for number in std::iter::once(&1).chain(servers) {
        assert_clean(lab.host(*number));
    }
}
