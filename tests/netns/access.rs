//! Who may connect, on real addresses of both families.

use crate::farm::{Compile, QUICK, serve, write};
use crate::jobs::{count, daemon_log, daemon_log_with};
use crate::lab::{Host, Lab};

/// A network with a server and two hosts that want something compiled.
fn lab_with_server(options: &[&str]) -> Option<Lab> {
    let mut lab = Lab::new(3)?;
    for number in 1..=3 {
        // An address that is not private, on the same wire.
        let mut ip = lab.host(number).command("ip");
        ip.args(["addr", "add", &format!("203.0.113.{number}/24"), "dev", "eth0"]);
        assert!(ip.status().unwrap().success());
    }
    serve(lab.host(2), options);
    for number in [1, 3] {
        write(lab.host(number), "x.c", QUICK);
    }
    Some(lab)
}

/// Is the server used under this address? The compile succeeds in any case.
fn is_served(host: &Host, server: &str, object: &str) -> bool {
    let remote = Compile::gcc(host, server, "x.c", object).was_remote();
    println!("{} by {server}: {}", host.name(), if remote { "served" } else { "not served" });
    remote
}

#[test]
fn a_client_outside_the_list_compiles_for_itself() {
    let Some(mut lab) = lab_with_server(&["--allow", "10.77.0.1"]) else { return };
    assert!(is_served(lab.host(1), "10.77.0.2", "one.o"));
    for n in 0..3 {
        assert!(!is_served(lab.host(3), "10.77.0.2", &format!("x{n}.o")));
    }
    assert!(!is_served(lab.host(1), "[fd77::2]", "two.o"));
    let log = daemon_log_with(lab.host(2), 2, "denied by access list");
    for line in log.lines().filter(|line| line.contains("denied")) {
        println!("{line}");
    }
    // One line a minute, however often it tries.
    assert_eq!(count(&log, "'10.77.0.3:"), 1, "{log}");
    assert_eq!(count(&log, "denied by access list"), 2, "{log}");
}

#[test]
fn ipv6_networks_and_mapped_ones_are_understood() {
    let options = ["--allow", "fd77::1/64", "--allow", "::ffff:10.77.0.2/127"];
    let Some(mut lab) = lab_with_server(&options) else { return };
    assert!(is_served(lab.host(1), "[fd77::2]", "one.o"));
    assert!(is_served(lab.host(3), "[fd77::2]:3632/4,lzo", "one.o"));
    // 10.77.0.2 and 10.77.0.3.
    assert!(is_served(lab.host(3), "10.77.0.2", "two.o"));
    assert!(!is_served(lab.host(1), "10.77.0.2", "two.o"));
}

#[test]
fn without_a_list_private_networks_are_served_and_no_others() {
    let Some(mut lab) = lab_with_server(&[]) else { return };
    assert!(is_served(lab.host(1), "10.77.0.2", "one.o"));
    assert!(is_served(lab.host(1), "[fd77::2]", "two.o"));
    assert!(!is_served(lab.host(1), "203.0.113.2", "three.o"));
    let log = daemon_log_with(lab.host(2), 1, "'203.0.113.1:");
    assert_eq!(count(&log, "'203.0.113.1:"), 1, "{log}");
}

#[test]
fn an_address_to_listen_on_is_the_only_one() {
    let options = ["--listen", "10.77.0.2", "--allow", "0.0.0.0/0", "--allow", "::/0"];
    let Some(mut lab) = lab_with_server(&options) else { return };
    assert!(is_served(lab.host(1), "10.77.0.2", "one.o"));
    assert!(!is_served(lab.host(1), "203.0.113.2", "two.o"));
    assert!(!is_served(lab.host(1), "[fd77::2]", "three.o"));
    let log = daemon_log(lab.host(2));
    assert_eq!(count(&log, "denied"), 0, "{log}");
}
