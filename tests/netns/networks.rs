//! Networks that a laptop comes to: which of them get source code, and what is found again.

use std::fs::{self, File};
use std::net::UdpSocket;
use std::process::Command;
use std::time::Instant;

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use crate::farm::{
    Compile, DEADLINE, QUICK, client, client_log, installed, said, stop_server, text, volunteer,
    write,
};
use crate::jobs::Jobs;
use crate::lab::{Host, Lab, wait_for};
use crate::processes::end_of;
use crate::why::Why;

const NEEDED: [&str; 2] = ["/usr/bin/gcc", "/usr/bin/script"];
const LAPTOP: usize = 1;
const PEER: usize = 2;
const OTHER: usize = 3;
/// Hardware addresses of the routers at home and in the café.
const HOME: &str = "02:00:00:00:00:aa";
const CAFE: &str = "02:00:00:00:00:ca";
/// A memory of networks that knows none of the lab's.
const ELSEWHERE: &str = "[[network]]\nprefixes = [\"192.168.1.0/24\"]\n\
                         gateway = \"02:00:00:00:00:01\"\ntrusted = true\n";

/// `ip ...` on the host, several separated by semicolons.
#[track_caller]
fn ip(host: &Host, orders: &str) {
    for order in orders.split(';') {
        said(host.command("ip").args(order.split_whitespace()));
    }
}

fn distcc(host: &Host, option: &str) -> String {
    said(host.command("distcc").arg(option).env("DISTCC_HOSTS", "+zeroconf"))
}

/// Compiles the quick source, with the right object. Did it run on another host?
#[track_caller]
fn is_remote(host: &Host) -> bool {
    let done = Compile::gcc(host, "+zeroconf", "quick.c", "made.o");
    assert_eq!(fs::read(&done.object).unwrap(), fs::read(host.dir("home/own.o")).unwrap());
    done.was_remote()
}

/// A source, and its object as made without distcc.
fn prepare(host: &Host) {
    write(host, "quick.c", QUICK);
    said(host.command("gcc").args(["-O2", "-c", "quick.c", "-o", "own.o"]));
}

/// What a person at a terminal sees of a compile.
fn seen_on_a_terminal(host: &Host) -> String {
    let mut command = host.command("script");
    command.args(["-qec", "distcc gcc -O2 -c quick.c -o made.o", "/dev/null"]);
    let output = command.env("DISTCC_HOSTS", "+zeroconf").output().unwrap();
    assert!(output.status.success(), "{output:?}");
    text(&output.stdout).replace('\r', "")
}

fn remembered(host: &Host) -> String {
    fs::read_to_string(host.dir("distcc/networks.toml")).unwrap_or_default()
}

/// Pulls the laptop's cable out and puts it in where this router is.
fn go_to(lab: &mut Lab, router: &str) {
    lab.host(LAPTOP).link_down();
    let other = lab.host(OTHER);
    ip(other, &format!("link set eth0 down; link set eth0 address {router}; link set eth0 up"));
    lab.host(LAPTOP).link_up();
    ip(lab.host(LAPTOP), "route add default via 10.77.0.3");
}

#[test]
fn a_laptop_in_a_cafe_gives_nobody_its_code_until_it_is_told_to() {
    if !installed(&NEEDED) {
        return;
    }
    let Some(mut lab) = Lab::new(3) else { return };
    volunteer(lab.host(PEER));
    prepare(lab.host(LAPTOP));
    go_to(&mut lab, HOME);
    let n_jobs = |lab: &mut Lab| Jobs::of(lab.host(PEER)).begun.len();

    Why::ask(lab.host(LAPTOP), "+zeroconf", &["gcc"], 1);
    assert!(is_remote(lab.host(LAPTOP)), "the first network used is trusted");
    assert!(remembered(lab.host(LAPTOP)).contains(HOME));
    let at_home = n_jobs(&mut lab);

    go_to(&mut lab, CAFE);
    let moved = Instant::now();
    let laptop = lab.host(LAPTOP);
    assert!(!is_remote(laptop), "the same prefix, another router");
    let cafe = format!("10.77.0.0/24@{CAFE}");
    let held =
        format!("no new network {cafe}: distcc --trust-network lets its hosts compile for you");
    wait_for("the peer to be judged anew", DEADLINE, || {
        (Why::ask(laptop, "+zeroconf", &["gcc"], 1).of("h2") == held).then_some(())
    });
    eprintln!("held back {:.1?} after the cable was in", moved.elapsed());
    assert!(!is_remote(laptop));
    let hint = format!(
        "distcc: 1 machine on this network ({cafe}) offers to compile; to let it, run: distcc \
         --trust-network\n"
    );
    // The jobs before had no terminal; one of them took this minute's attempt.
    stop_server(laptop);
    Why::ask(laptop, "+zeroconf", &["gcc"], 1);
    assert_eq!(seen_on_a_terminal(laptop), hint);
    wait_for("the hint to be remembered", DEADLINE, || {
        remembered(laptop).contains("hinted = true").then_some(())
    });
    stop_server(laptop);
    Why::ask(laptop, "+zeroconf", &["gcc"], 1);
    assert_eq!(seen_on_a_terminal(laptop), "", "once in a network's life");
    let networks = distcc(laptop, "--networks");
    assert!(networks.contains(&format!("{cafe}\n  here (eth0), not trusted: new network, 1 host")));
    let home = format!("10.77.0.0/24@{HOME}\n  not here, trusted: the first one used, 1 host");
    assert!(networks.contains(&home), "{networks}");
    assert_eq!(n_jobs(&mut lab), at_home, "nothing left the laptop");

    let laptop = lab.host(LAPTOP);
    distcc(laptop, "--trust-network");
    assert!(is_remote(laptop), "at once");
    stop_server(laptop);
    Why::ask(laptop, "+zeroconf", &["gcc"], 1);
    assert!(is_remote(laptop), "and by the next agent");
    distcc(laptop, &format!("--forget-network={cafe}"));
    assert!(!is_remote(laptop));
    go_to(&mut lab, HOME);
    wait_for("a job at home", DEADLINE, || is_remote(lab.host(LAPTOP)).then_some(()));
}

/// The preprocessor of a job on its way to the peer waits for the rest of the source meanwhile.
#[test]
fn a_job_that_is_being_made_ready_when_the_network_becomes_another_one_is_not_sent() {
    if !installed(&["/usr/bin/gcc"]) {
        return;
    }
    let Some(mut lab) = Lab::new(3) else { return };
    volunteer(lab.host(PEER));
    go_to(&mut lab, HOME);
    let laptop = lab.host(LAPTOP);
    assert_eq!(Why::ask(laptop, "+zeroconf", &["gcc"], 1).of("h2"), "yes same toolchain as gcc");
    write(laptop, "secret.c", "#include \"rest.h\"\n");
    let rest = laptop.dir("home/rest.h");
    mkfifo(&rest, Mode::S_IRWXU).unwrap();
    let mut job = client(laptop, "+zeroconf", &["gcc", "-O2", "-c", "secret.c", "-o", "secret.o"]);
    let mut job = job.spawn().unwrap();
    // Opened by the preprocessor, which begins when the job has its place.
    let preprocessed = File::create(&rest).unwrap();

    // No cable is pulled: it is the same laptop address and the same router address elsewhere.
    ip(lab.host(OTHER), &format!("link set eth0 down; link set eth0 address {CAFE}"));
    ip(lab.host(OTHER), "link set eth0 up");
    let laptop = lab.host(LAPTOP);
    ip(laptop, "neigh flush dev eth0");
    wait_for("the other router to be noticed", DEADLINE, || {
        laptop.enter(|| UdpSocket::bind("10.77.0.1:0")?.send_to(b"", "10.77.0.3:9")).unwrap();
        distcc(laptop, "--networks").contains(&format!("{CAFE}\n  here")).then_some(())
    });
    // The compiler here reads it too.
    fs::remove_file(&rest).unwrap();
    fs::write(&rest, "int secret;\n").unwrap();
    drop(preprocessed);
    assert!(end_of("the job to end", &mut job).success());
    let log = client_log(laptop);
    assert!(log.contains("was lost: "), "{log}");
    assert_eq!(Jobs::of(lab.host(PEER)).begun.len(), 0, "its source was sent");
}

#[test]
fn a_policy_or_trust_in_all_networks_lets_hosts_of_a_new_one_compile() {
    if !installed(&NEEDED) {
        return;
    }
    let Some(mut lab) = Lab::new(2) else { return };
    volunteer(lab.host(PEER));
    let laptop = lab.host(LAPTOP);
    prepare(laptop);
    let file = laptop.dir("distcc/networks.toml");
    fs::write(&file, ELSEWHERE).unwrap();
    let of_peer = |laptop: &Host| Why::ask(laptop, "+zeroconf", &["gcc"], 1).of("h2").to_owned();
    let held = "no new network 10.77.0.0/24: distcc --trust-network lets its hosts compile for you";
    assert_eq!(of_peer(laptop), held);
    assert!(!is_remote(laptop));

    let policy = laptop.dir("distcc/policy.toml");
    for (condition, lets) in [("network = '10.77.0.0/24'", true), ("host = 'h2'", false)] {
        fs::write(&policy, format!("[[rule]]\naction = 'allow'\n{condition}\n")).unwrap();
        assert_eq!(is_remote(laptop), lets, "{condition}");
    }
    fs::remove_file(&policy).unwrap();
    assert!(!is_remote(laptop));

    distcc(laptop, "--trust-network=all");
    assert!(is_remote(laptop));
    distcc(laptop, "--forget-network=all");
    assert!(!is_remote(laptop));
    assert_eq!(of_peer(laptop), held);

    let damaged = "trust_all = true\nthis is no TOML\n";
    fs::write(&file, damaged).unwrap();
    let refused = laptop.command("distcc").arg("--trust-network").output().unwrap();
    assert!(!refused.status.success());
    assert!(text(&refused.stderr).contains("networks.toml:2: "), "{refused:?}");
    assert!(!is_remote(laptop), "a damaged memory trusts nothing");
    let why = Why::ask(laptop, "+zeroconf", &["gcc"], 1);
    assert!(why.0.iter().any(|part| part.contains("networks.toml:2: ")), "{:?}", why.0);
    assert_eq!(fs::read_to_string(&file).unwrap(), damaged);
}

/// A second network, of the laptop and the other host alone.
fn lay_cable(lab: &mut Lab, name: &str) {
    let keeper = lab.host(OTHER).pids("sh")[0];
    let there = format!("/proc/{keeper}/ns/net");
    let made = lab.host(LAPTOP).enter(|| {
        let mut ip = Command::new("ip");
        ip.args(["link", "add", name, "type", "veth", "peer", "name", name, "netns", &there]);
        ip.status().unwrap()
    });
    assert!(made.success());
}

#[test]
fn a_trusted_cable_is_used_beside_an_unknown_wireless_network() {
    if !installed(&NEEDED) {
        return;
    }
    let Some(mut lab) = Lab::new(3) else { return };
    let other = lab.host(OTHER);
    ip(other, "address flush dev eth0");
    fs::set_permissions(other.dir("state"), std::os::unix::fs::PermissionsExt::from_mode(0o777))
        .unwrap();
    said(other.command("distccd").args(["--zeroconf", "--allow", "10.99.0.0/24"]));
    volunteer(lab.host(PEER));
    prepare(lab.host(LAPTOP));
    Why::ask(lab.host(LAPTOP), "+zeroconf", &["gcc"], 1);
    assert!(is_remote(lab.host(LAPTOP)));

    lay_cable(&mut lab, "air");
    ip(lab.host(OTHER), "address add 10.99.0.3/24 brd + dev air; link set air up");
    let laptop = lab.host(LAPTOP);
    ip(laptop, "address add 10.99.0.1/24 brd + dev air; link set air up");
    let came = Instant::now();
    let why = Why::ask(laptop, "+zeroconf", &["gcc"], 2);
    eprintln!("host of the new link listed after {:.1?}", came.elapsed());
    assert_eq!(why.of("h2"), "yes same toolchain as gcc");
    let held = "no new network 10.99.0.0/24: distcc --trust-network lets its hosts compile for you";
    assert_eq!(why.of("h3"), held);
    for _ in 0..6 {
        assert!(is_remote(laptop), "by cable");
    }
    assert_eq!(Jobs::of(lab.host(OTHER)).begun.len(), 0);

    let laptop = lab.host(LAPTOP);
    distcc(laptop, "--trust-network=10.99.0.0/24");
    let why = Why::ask(laptop, "+zeroconf", &["gcc"], 2);
    assert_eq!(why.of("h3"), "yes same toolchain as gcc");
    // The link goes, and its host at once.
    ip(laptop, "link delete air");
    let went = Instant::now();
    Why::ask(laptop, "+zeroconf", &["gcc"], 1);
    eprintln!("gone from the list after {:.1?}", went.elapsed());
    assert!(is_remote(laptop));
}

#[test]
fn a_laptop_forgets_a_subnet_at_once_and_remembers_it_for_the_return() {
    if !installed(&NEEDED) {
        return;
    }
    let Some(mut lab) = Lab::new(3) else { return };
    let other = lab.host(OTHER);
    ip(other, "address flush dev eth0; address add 10.78.0.3/24 brd + dev eth0");
    fs::set_permissions(other.dir("state"), std::os::unix::fs::PermissionsExt::from_mode(0o777))
        .unwrap();
    said(other.command("distccd").args(["--zeroconf", "--allow", "10.78.0.0/24"]));
    volunteer(lab.host(PEER));
    let laptop = lab.host(LAPTOP);
    prepare(laptop);
    distcc(laptop, "--trust-network=all");
    Why::ask(laptop, "+zeroconf", &["gcc"], 1);
    assert!(is_remote(laptop));

    ip(laptop, "address flush dev eth0; address add 10.78.0.1/24 brd + dev eth0");
    ip(laptop, "route replace 224.0.0.0/4 dev eth0");
    let moved = Instant::now();
    wait_for("the host of the other subnet alone", DEADLINE, || {
        let why = Why::ask(laptop, "+zeroconf", &["gcc"], 1);
        why.0.iter().any(|part| part.contains("10.78.0.3")).then_some(())
    });
    eprintln!("list right {:.1?} after the new address", moved.elapsed());
    assert!(is_remote(laptop));
    let there = moved.elapsed();
    assert_eq!(Jobs::of(lab.host(OTHER)).begun.len(), 1, "first job there after {there:.1?}");

    // From now on it says nothing of itself: only who remembers it finds it.
    let peer = lab.host(PEER);
    stop_server(peer);
    said(peer.command("distccd").args(["--allow", "10.77.0.0/24"]));
    let before = Jobs::of(peer).begun.len();
    let laptop = lab.host(LAPTOP);
    ip(laptop, "address flush dev eth0; address add 10.77.0.1/24 brd + dev eth0");
    let back = Instant::now();
    wait_for("a job on the host that was remembered", DEADLINE, || is_remote(laptop).then_some(()));
    eprintln!("first job there {:.1?} after the return", back.elapsed());
    assert_eq!(Jobs::of(lab.host(PEER)).begun.len(), before + 1);
}

#[test]
fn a_network_whose_router_keeps_silent_is_used_once_it_speaks() {
    if !installed(&NEEDED) {
        return;
    }
    let Some(mut lab) = Lab::new(3) else { return };
    volunteer(lab.host(PEER));
    let laptop = lab.host(LAPTOP);
    prepare(laptop);
    ip(laptop, "route add default via 10.77.0.99");
    let untold = "no the network cannot be told yet: its gateway does not answer";
    assert_eq!(Why::ask(laptop, "+zeroconf", &["gcc"], 1).of("h2"), untold);
    assert!(!is_remote(laptop));
    assert_eq!(remembered(laptop), "");
    let output = laptop.command("distcc").arg("--trust-network").output().unwrap();
    assert!(!output.status.success());
    assert!(text(&output.stderr).contains("the network on eth0 cannot be told"), "{output:?}");

    ip(lab.host(OTHER), "address add 10.77.0.99/24 dev eth0");
    let spoke = Instant::now();
    let laptop = lab.host(LAPTOP);
    wait_for("a job elsewhere", DEADLINE, || is_remote(laptop).then_some(()));
    eprintln!("used {:.1?} after its router was there", spoke.elapsed());
    assert!(remembered(laptop).contains("the first one used"), "{}", remembered(laptop));
}
