//! Who is who: machines of one name, clones, one machine by many ways, and this machine itself.

use std::fs::{self, File};
use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::thread;
use std::time::Instant;

use nix::sched::{CloneFlags, setns};
use nix::sys::signal::Signal;

use crate::farm::{
    Compile, DEADLINE, QUICK, client, client_log, installed, offer, offer_only, said, serve, write,
};
use crate::jobs::Jobs;
use crate::lab::{Host, Lab, wait_for};
use crate::processes::{end_of, send};
use crate::why::Why;

/// Nothing else, so that a server knows soon what it has.
const COMPILERS: [(&str, &str); 2] = [("gcc", "/usr/bin/gcc"), ("cc", "/usr/bin/gcc")];
const SAME: &str = "yes same toolchain as gcc";

/// Keeps a compiler busy long enough for the next job to find its host taken.
fn source(n: usize) -> String {
    let function = |k: usize| {
        format!(
            "int f{k}(int *a, int n) {{ for (int i = 0; i < n; i++) a[i] ^= {n} * i; return {k}; }}\n"
        )
    };
    (0..60).map(function).collect()
}

/// Compiles so many sources at once, each of which must become what gcc makes of it here.
#[track_caller]
fn compile_at_once(host: &Host, hosts: &str, n_jobs: usize) {
    let mut jobs = Vec::new();
    for n in 0..n_jobs {
        write(host, &format!("at{n}.c"), &source(n));
        let words = ["gcc", "-O2", "-c", &format!("at{n}.c"), "-o", &format!("at{n}.o")];
        jobs.push(client(host, hosts, &words).spawn().unwrap());
    }
    for (n, mut job) in jobs.into_iter().enumerate() {
        assert!(end_of("a job to end", &mut job).success(), "{}", client_log(host));
        assert_right(host, &format!("at{n}.c"), &format!("at{n}.o"));
    }
}

/// The object is the one that gcc makes here.
#[track_caller]
fn assert_right(host: &Host, source: &str, object: &str) {
    said(host.command("gcc").args(["-O2", "-c", source, "-o", "expected.o"]));
    let read = |name: &str| fs::read(host.dir("home").join(name)).unwrap();
    assert!(read(object) == read("expected.o"), "{object} differs from what gcc makes here");
}

/// Compiles bunches until each of these servers has had a job.
#[track_caller]
fn assert_all_used(lab: &mut Lab, hosts: &str, servers: &[usize]) {
    wait_for("jobs on every host", DEADLINE, || {
        compile_at_once(lab.host(1), hosts, 6);
        let used = |number: &usize| !Jobs::of(lab.host(*number)).compiled.is_empty();
        servers.iter().all(used).then_some(())
    });
}

/// `--show-hosts` of the first host, one line each.
fn shown(host: &Host, hosts: &str) -> Vec<String> {
    let screen = said(host.command("distcc").arg("--show-hosts").env("DISTCC_HOSTS", hosts));
    screen.lines().map(str::to_owned).collect()
}

/// Waits until exactly these addresses are among the usable hosts.
#[track_caller]
fn wait_for_hosts(host: &Host, addrs: &[&str]) -> Vec<String> {
    wait_for(&format!("the hosts to be {addrs:?}"), DEADLINE, || {
        let lines = shown(host, "+zeroconf");
        let is_there =
            |addr: &&str| lines.iter().any(|line| line.contains(&format!("{addr}:3632")));
        let n_hosts = lines.iter().filter(|line| line.contains(":3632")).count();
        (n_hosts == addrs.len() && addrs.iter().all(is_there)).then_some(lines)
    })
}

/// As [`crate::farm::volunteer`], by IPv4 only: so it is clear by which address a host is shown.
#[track_caller]
fn volunteer(host: &Host) {
    fs::set_permissions(host.dir("state"), fs::Permissions::from_mode(0o777)).unwrap();
    serve(host, &["--zeroconf", "--allow", "10.77.0.0/24"]);
}

fn rename(host: &Host, name: &str) {
    said(host.command("/bin/hostname").arg(name));
}

/// Host 1 builds; the others serve the same compiler.
fn lab(hosts: usize) -> Option<Lab> {
    if !installed(&["/usr/bin/gcc", "/usr/bin/as"]) {
        return None;
    }
    let mut lab = Lab::new(hosts)?;
    for number in 2..=hosts {
        offer_only(lab.host(number), &COMPILERS);
    }
    Some(lab)
}

#[test]
fn two_machines_of_one_name_are_both_used_and_told_apart() {
    let Some(mut lab) = lab(3) else { return };
    for number in [2, 3] {
        rename(lab.host(number), "twin");
        volunteer(lab.host(number));
    }
    let began = Instant::now();
    let lines = wait_for_hosts(lab.host(1), &["10.77.0.2", "10.77.0.3"]);
    eprintln!("both shown after {:.1?}: {lines:#?}", began.elapsed());
    let why = Why::ask(lab.host(1), "+zeroconf", &["gcc"], 2).0.join("\n");
    assert!(why.contains(" twin 10.77.0.") && why.contains(" twin (2) 10.77.0."), "{why}");
    assert_all_used(&mut lab, "+zeroconf", &[2, 3]);
}

/// Makes host 3 what host 2 is: name and state.
fn clone_state(lab: &mut Lab) {
    let id = fs::read(lab.host(2).dir("state/node-id")).unwrap();
    fs::write(lab.host(3).dir("state/node-id"), id).unwrap();
}

#[test]
fn a_cloned_machine_is_a_second_host_and_outlives_the_first() {
    let Some(mut lab) = lab(3) else { return };
    for number in [2, 3] {
        rename(lab.host(number), "vm");
    }
    volunteer(lab.host(2));
    clone_state(&mut lab);
    volunteer(lab.host(3));
    let began = Instant::now();
    let lines = wait_for_hosts(lab.host(1), &["10.77.0.2", "10.77.0.3"]);
    eprintln!("both shown after {:.1?}: {lines:#?}", began.elapsed());
    assert_all_used(&mut lab, "+zeroconf", &[2, 3]);

    let left = Instant::now();
    for pid in lab.host(2).pids("distccd") {
        send(pid, Signal::SIGTERM);
    }
    wait_for_hosts(lab.host(1), &["10.77.0.3"]);
    eprintln!("one shown {:.1?} after the other was asked to end", left.elapsed());
    write(lab.host(1), "last.c", QUICK);
    let last = Compile::gcc(lab.host(1), "+zeroconf", "last.c", "last.o");
    assert_eq!(last.ran_on().map(|token| token.starts_with("10.77.0.3:")), Some(true));
}

/// Gives the host more interfaces on the same wire, with the addresses 10.77.0.N2 for N in `tens`.
fn add_interfaces(host: &Host, tens: &[u8]) {
    // Each interface answers for its own address, as separate network cards do.
    let mut script =
        "PATH=/usr/sbin:/sbin:/usr/bin:/bin && cd /proc/sys/net/ipv4/conf/all && echo 1 >arp_ignore && echo 2 >arp_announce".to_owned();
    for ten in tens {
        script += &format!(
            " && ip link add link eth0 name eth{ten} type macvlan mode bridge \
             && ip link set eth{ten} up && ip addr add 10.77.0.{ten}2/24 brd + dev eth{ten}"
        );
    }
    said(host.command("/bin/sh").args(["-c", &script]));
}

#[test]
fn a_machine_with_five_interfaces_is_one_host_by_whichever_is_left() {
    let Some(mut lab) = lab(2) else { return };
    add_interfaces(lab.host(2), &[1, 2, 3, 4]);
    volunteer(lab.host(2));
    let host_lines = |lab: &mut Lab| {
        let lines = shown(lab.host(1), "+zeroconf");
        lines.into_iter().filter(|line| line.contains(":3632")).collect::<Vec<_>>()
    };
    let lines = wait_for("the host", DEADLINE, || {
        Some(host_lines(&mut lab)).filter(|lines| !lines.is_empty())
    });
    assert_eq!(lines.len(), 1, "{lines:#?}");
    write(lab.host(1), "x.c", QUICK);
    for gone in
        ["ip addr flush dev eth0", "for n in 1 2 3; do ip link set eth$n down || exit 1; done"]
    {
        let gone = format!("PATH=/usr/sbin:/sbin:/usr/bin:/bin; {gone}");
        said(lab.host(2).command("/bin/sh").args(["-c", &gone]));
        let began = Instant::now();
        let lines = wait_for("a job by another way", DEADLINE, || {
            let job = Compile::gcc(lab.host(1), "+zeroconf", "x.c", "x.o");
            assert_right(lab.host(1), "x.c", "x.o");
            job.was_remote().then(|| host_lines(&mut lab))
        });
        eprintln!("{gone}: used {:.1?} later as {lines:#?}", began.elapsed());
        assert_eq!(lines.len(), 1, "{lines:#?}");
    }
}

#[test]
fn a_machine_that_comes_back_with_another_compiler_compiles_nothing_for_this_one() {
    if !installed(&["/usr/bin/gcc-11", "/usr/bin/gcc-12"]) {
        return;
    }
    let Some(mut lab) = lab(2) else { return };
    volunteer(lab.host(2));
    write(lab.host(1), "x.c", QUICK);
    assert_eq!(Why::ask(lab.host(1), "+zeroconf", &["gcc"], 1).of("h2"), SAME);
    assert!(Compile::gcc(lab.host(1), "+zeroconf", "x.c", "x.o").was_remote());
    for pid in lab.host(2).pids("distccd") {
        send(pid, Signal::SIGKILL);
    }
    wait_for("its end", DEADLINE, || lab.host(2).pids("distccd").is_empty().then_some(()));
    offer(lab.host(2), &[("gcc", "/usr/bin/gcc-11"), ("cc", "/usr/bin/gcc-11")]);
    volunteer(lab.host(2));
    let back = Instant::now();
    let why = wait_for("the other compiler to be known", DEADLINE, || {
        let job = Compile::gcc(lab.host(1), "+zeroconf", "x.c", "x.o");
        assert!(!job.was_remote(), "{}", job.log);
        assert_right(lab.host(1), "x.c", "x.o");
        let why = Why::ask(lab.host(1), "+zeroconf", &["gcc"], 1).of("h2").to_owned();
        why.contains("there").then_some(why)
    });
    eprintln!("{why:?} {:.1?} after its return", back.elapsed());
    assert!(why.starts_with("no gcc 12") && why.contains("11."), "{why}");
    // A job may have met it before it could announce itself, and was discarded by its mark; now that
    // it has said what it is, none does.
    let n_ran = Jobs::of(lab.host(2)).ran.len();
    compile_at_once(lab.host(1), "+zeroconf", 4);
    assert_eq!(Jobs::of(lab.host(2)).ran.len(), n_ran, "it got a job all the same");
}

/// Forwards connections to this loopback address of the host to another host, as ssh -L does.
fn tunnel(host: &Host, near: &str, far: SocketAddr) {
    let (listener, network) = host.enter(|| {
        (TcpListener::bind(near).unwrap(), File::open("/proc/thread-self/ns/net").unwrap())
    });
    thread::spawn(move || {
        setns(network, CloneFlags::CLONE_NEWNET).unwrap();
        for near in listener.incoming().flatten() {
            // Who is refused at the far end is refused here.
            if let Ok(far) = TcpStream::connect(far) {
                for (mut from, mut to) in
                    [(near.try_clone().unwrap(), far.try_clone().unwrap()), (far, near)]
                {
                    thread::spawn(move || {
                        let _ = io::copy(&mut from, &mut to);
                        let _ = to.shutdown(Shutdown::Write);
                    });
                }
            }
        }
    });
}

/// The hosts of the list that may be used, as their tokens.
fn usable(host: &Host, hosts: &str) -> Vec<String> {
    let lines = shown(host, hosts);
    let tokens = lines.iter().filter(|line| line.contains(':')).cloned();
    tokens.collect()
}

#[test]
fn tunnels_to_two_clones_are_two_hosts_and_neither_is_this_machine() {
    let Some(mut lab) = lab(3) else { return };
    volunteer(lab.host(2));
    clone_state(&mut lab);
    volunteer(lab.host(3));
    // This machine's own daemon is a clone too, and stands on the usual port.
    fs::copy(lab.host(2).dir("state/node-id"), lab.host(1).dir("state/node-id")).unwrap();
    volunteer(lab.host(1));
    for (near, number) in [("127.0.0.1:4000", 2), ("127.0.0.1:4001", 3)] {
        let far = SocketAddr::from((lab.host(number).addr(), 3632));
        tunnel(lab.host(1), near, far);
    }
    let tunnels = "127.0.0.1:4000 127.0.0.1:4001";
    let why = Why::ask(lab.host(1), tunnels, &["gcc"], 2);
    for host in ["127.0.0.1:4000", "127.0.0.1:4001"] {
        assert_eq!(why.of(host), SAME);
    }
    assert_all_used(&mut lab, tunnels, &[2, 3]);
    assert_eq!(Jobs::of(lab.host(1)).compiled, [], "jobs for itself over the network");

    // Found by themselves too, the machines are the same two; the list says how to reach one.
    for hosts in ["127.0.0.1:4000/3 +zeroconf", "+zeroconf 127.0.0.1:4000/3"] {
        wait_for("two hosts, one by its tunnel", DEADLINE, || {
            let lines = usable(lab.host(1), hosts);
            let has = |token: &str| lines.iter().any(|line| line.contains(token));
            let both = has("127.0.0.1:4000/3") && has("10.77.0.3:3632");
            (both && lines.len() == 2).then_some(())
        });
    }
}

#[test]
fn a_list_that_names_this_machine_does_not_send_its_jobs_over_the_network() {
    let Some(mut lab) = lab(2) else { return };
    serve(lab.host(1), &["--zeroconf", "--allow", "10.77.0.0/24", "--allow", "127.0.0.1"]);
    volunteer(lab.host(2));
    // As Debian writes it.
    let names = write(lab.host(1), "hosts", "127.0.0.1 localhost\n127.0.1.1 h1\n10.77.0.2 h2\n");
    said(lab.host(1).command("mount").arg("--bind").arg(names).arg("/etc/hosts"));
    const ITSELF: &str = "no this machine itself; write localhost to compile here too";
    for hosts in ["10.77.0.1 10.77.0.2", "h1 h2", "[fd77::1] h2"] {
        let why = Why::ask(lab.host(1), hosts, &["gcc"], 2);
        let mut names = hosts.split(' ');
        let (own, other) = (names.next().unwrap(), names.next().unwrap());
        assert_eq!(why.of(own.trim_matches(['[', ']'])), ITSELF, "{hosts}");
        assert_eq!(why.of(other), SAME, "{hosts}");
    }
    compile_at_once(lab.host(1), "10.77.0.1 10.77.0.2", 6);
    assert_eq!(Jobs::of(lab.host(1)).begun, [], "jobs for itself over the network");
    assert!(!Jobs::of(lab.host(2)).compiled.is_empty());
    // Over loopback it is what the list says.
    let why = Why::ask(lab.host(1), "127.0.0.1", &["gcc"], 1);
    assert_eq!(why.of("127.0.0.1"), SAME);
    // Found by itself it is no host at all.
    wait_for("the other host alone", DEADLINE, || {
        let lines = usable(lab.host(1), "+zeroconf");
        (lines.len() == 1 && lines[0].contains("10.77.0.2:3632")).then_some(())
    });
}
