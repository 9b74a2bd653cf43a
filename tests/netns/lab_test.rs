//! The lab itself: what other tests rely on.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};

use crate::farm::said;
use crate::lab::{DESK, HOME, Host, Lab, Net, OFFICE, wait_for};

/// Only keeps a broken test from hanging.
const DEADLINE: Duration = Duration::from_secs(20);
/// The group and port of multicast DNS.
const GROUP: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 251);

/// True if a connection from one host to the other carries bytes.
fn reaches(from: &Host, listener: &TcpListener) -> bool {
    let addr = listener.local_addr().unwrap();
    let Ok(mut near) = from.enter(|| TcpStream::connect_timeout(&addr, DEADLINE)) else {
        return false;
    };
    let (mut far, _) = listener.accept().unwrap();
    near.write_all(b"hello").unwrap();
    drop(near);
    let mut heard = String::new();
    far.read_to_string(&mut heard).unwrap();
    heard == "hello"
}

#[test]
fn hosts_reach_each_other_until_their_link_is_down() {
    let Some(mut lab) = Lab::new(2) else { return };
    let v4 = SocketAddr::from((lab.host(2).addr(), 0));
    let v6: SocketAddr = "[fd77::2]:0".parse().unwrap();
    for addr in [v4, v6] {
        let listener = lab.host(2).enter(|| TcpListener::bind(addr)).unwrap();
        assert!(reaches(lab.host(1), &listener));
        lab.host(1).link_down();
        assert!(!reaches(lab.host(1), &listener));
        lab.host(1).link_up();
        wait_for("the link to carry again", DEADLINE, || {
            reaches(lab.host(1), &listener).then_some(())
        });
        lab.unplug(2);
        // The neighbour is known still; only a new connection tells.
        let addr = listener.local_addr().unwrap();
        let short = Duration::from_secs(1);
        assert!(lab.host(1).enter(|| TcpStream::connect_timeout(&addr, short)).is_err());
        lab.plug(2);
        wait_for("the cable to carry again", DEADLINE, || {
            reaches(lab.host(1), &listener).then_some(())
        });
    }
}

/// True if a new connection from host 1 to host 2 is made, at its address on this network.
fn connects(lab: &mut Lab, net: Net) -> bool {
    let short = Duration::from_millis(500);
    [SocketAddr::from((net.v4(2), 0)), SocketAddr::from((net.v6(2), 0))].into_iter().all(|addr| {
        let Ok(listener) = lab.host(2).enter(|| TcpListener::bind(addr)) else { return false };
        let addr = listener.local_addr().unwrap();
        lab.host(1).enter(|| TcpStream::connect_timeout(&addr, short)).is_ok()
    })
}

/// A cable may take a moment to carry, and a busy machine longer than one attempt to connect.
#[track_caller]
fn wait_until_connects(lab: &mut Lab, net: Net) {
    wait_for("the cable to carry", DEADLINE, || connects(lab, net).then_some(()));
}

#[test]
fn hosts_move_between_networks_and_get_interfaces_and_addresses() {
    let Some(mut lab) = Lab::new(2) else { return };
    wait_until_connects(&mut lab, OFFICE);
    lab.carry(2, HOME);
    assert!(!connects(&mut lab, OFFICE) && !connects(&mut lab, HOME));
    lab.carry(1, HOME);
    wait_until_connects(&mut lab, HOME);
    assert!(!connects(&mut lab, OFFICE));
    for number in [1, 2] {
        lab.attach(number, "eth1", DESK);
    }
    wait_until_connects(&mut lab, DESK);
    wait_until_connects(&mut lab, HOME);
    lab.switch_off(DESK);
    wait_until_connects(&mut lab, HOME);
    assert!(!connects(&mut lab, DESK));
    lab.switch_on(DESK);
    wait_until_connects(&mut lab, DESK);
    lab.detach(1, "eth1");
    assert!(!connects(&mut lab, DESK));
    let [v4, _] = HOME.both(2);
    lab.host(2).remove_address("eth0", &v4);
    assert!(!connects(&mut lab, HOME));

    lab.add_router(OFFICE, "02:00:00:00:00:fe");
    lab.carry(1, OFFICE);
    // Whatever goes there, its hardware address is asked for first.
    lab.host(1).enter(|| {
        let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
        socket.send_to(b"who are you", ("10.77.0.254", 9)).unwrap();
    });
    wait_for("the router to say who it is", DEADLINE, || {
        let neighbours = said(lab.host(1).command("ip").args(["neigh", "show", "10.77.0.254"]));
        neighbours.contains("02:00:00:00:00:fe").then_some(())
    });
}

#[test]
fn a_host_sleeps_and_loses_its_power() {
    let Some(mut lab) = Lab::new(2) else { return };
    let state = |pid| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next()).unwrap()
    };
    let mut sleeper = lab.host(2).command("sleep").arg("1000").spawn().unwrap();
    let pid = lab.host(2).pid_of(&sleeper);
    wait_for("the command to run", DEADLINE, || (state(pid) == 'S').then_some(()));
    lab.suspend(2);
    wait_for("the command to stand still", DEADLINE, || (state(pid) == 'T').then_some(()));
    assert!(!connects(&mut lab, OFFICE));
    lab.resume(2);
    wait_for("the command to run on", DEADLINE, || (state(pid) == 'S').then_some(()));
    let connected = |lab: &mut Lab| {
        wait_for("the host to be reached", DEADLINE, || connects(lab, OFFICE).then_some(()));
    };
    connected(&mut lab);
    lab.power_off(2);
    assert!(!sleeper.wait().unwrap().success());
    assert!(!connects(&mut lab, OFFICE));
    // The host itself is still there.
    lab.plug(2);
    connected(&mut lab);
}

#[test]
fn multicast_reaches_a_late_listener() {
    let Some(mut lab) = Lab::new(2) else { return };
    lab.add_host().unwrap();
    let listener = lab.host(3).enter(|| {
        let socket = UdpSocket::bind(("0.0.0.0", 5353)).unwrap();
        socket.join_multicast_v4(&GROUP, &Ipv4Addr::UNSPECIFIED).unwrap();
        socket
    });
    listener.set_read_timeout(Some(DEADLINE)).unwrap();
    let from = lab.host(1).addr();
    // A sender that chooses no interface, as many do.
    lab.host(1).enter(|| {
        UdpSocket::bind("0.0.0.0:0").unwrap().send_to(b"who is there", (GROUP, 5353)).unwrap();
    });
    let mut buffer = [0; 64];
    let (len, sender) = listener.recv_from(&mut buffer).unwrap();
    assert_eq!(&buffer[..len], b"who is there");
    assert_eq!(sender.ip(), from);
}

#[test]
fn a_command_runs_in_its_host_and_is_killed_there() {
    let Some(mut lab) = Lab::new(1) else { return };
    let host = lab.host(1);
    assert_eq!(said(&mut host.command("hostname")), host.name());
    let pwd = said(&mut host.command_in(&host.dir("state"), "pwd"));
    assert_eq!(Path::new(&pwd), fs::canonicalize(host.dir("state")).unwrap());
    fs::write(host.dir("log/of-this-host"), "").unwrap();
    assert_eq!(said(host.command("ls").arg("/var/log")), "of-this-host");
    let marker = format!("/run/made-in-a-lab-{}", std::process::id());
    assert!(host.command("touch").arg(&marker).status().unwrap().success());
    assert!(!Path::new(&marker).exists());

    let mut killed = host.command("sleep").arg("1000").stdin(Stdio::null()).spawn().unwrap();
    let pids = || Some(host.pids("sleep")).filter(|pids| !pids.is_empty());
    assert_eq!(wait_for("the command to run", DEADLINE, pids), [host.pid_of(&killed)]);
    killed.kill().unwrap();
    killed.wait().unwrap();
    wait_for("the command to die with its starter", DEADLINE, || {
        host.pids("sleep").is_empty().then_some(())
    });

    let mut ended = host.command("sleep").arg("1000").spawn().unwrap();
    kill(host.pid_of(&ended), Signal::SIGTERM).unwrap();
    assert!(!ended.wait().unwrap().success());
}

#[test]
fn a_path_of_its_own_decides_which_compiler_a_host_has() {
    let Some(mut lab) = Lab::new(1) else { return };
    let host = lab.host(1);
    let which = |host: &Host| said(host.command("sh").args(["-c", "command -v gcc"]));
    host.install("gcc", Path::new("/bin/false"));
    assert_eq!(Path::new(&which(host)), host.dir("bin/gcc"));
    assert!(!host.command("gcc").status().unwrap().success());
    host.install_only(&[("sh", Path::new("/bin/sh")), ("gcc", Path::new("/bin/true"))]);
    assert!(host.command("gcc").status().unwrap().success());
    assert!(!host.command("ls").stderr(Stdio::null()).status().unwrap().success());
    assert!(host.command("distcc").stderr(Stdio::null()).status().unwrap().code() != Some(127));
}

#[test]
fn avahi_runs_in_a_host() {
    let Some(mut lab) = Lab::new(1) else { return };
    if lab.host(1).avahi() {
        assert!(lab.host(1).command("avahi-daemon").arg("--check").status().unwrap().success());
    }
}

#[test]
fn nothing_remains_of_a_dropped_lab() {
    let Some(mut lab) = Lab::new(2) else { return };
    let dir = lab.host(1).dir("..");
    let dir = fs::canonicalize(dir).unwrap();
    // One that survives its starter, as a daemon does.
    let detach = ["-c", "setsid sleep 1000 >/dev/null 2>&1 & exit 0"];
    assert!(lab.host(2).command("sh").args(detach).status().unwrap().success());
    wait_for("the daemon to run", DEADLINE, || {
        (lab.host(2).pids("sleep").len() == 1).then_some(())
    });
    let sleeper = lab.host(2).pids("sleep")[0];
    drop(lab);
    assert!(!Path::new(&format!("/proc/{sleeper}")).exists());
    assert!(!dir.exists());
}
