//! Links without IPv4.

use std::net::Ipv6Addr;

use super::story::Story;
use super::{A, B, BRISK};
use crate::farm::{Compile, QUICK, installed, said, serve, write};
use crate::lab::{Host, OFFICE};

/// Leaves the first hosts only IPv6.
fn take_ipv4_away(story: &mut Story, hosts: usize) {
    story.listen = "::";
    for number in 1..=hosts {
        let [_, v6] = OFFICE.both(number);
        story.host(number).readdress("eth0", &[v6]);
    }
}

/// The link-local address of the host.
fn link_local(host: &Host) -> Ipv6Addr {
    // Address, index, prefix length, scope, flags, interface.
    let table = said(host.command("/bin/cat").arg("/proc/net/if_inet6"));
    let line = table.lines().find(|line| line.starts_with("fe80") && line.ends_with("eth0"));
    let digits = line.and_then(|line| line.split(' ').next()).expect("every link has one");
    u128::from_str_radix(digits, 16).unwrap().into()
}

#[test]
fn builds_on_a_link_without_ipv4() {
    let Some(mut story) = Story::new("builds on a link without IPv4", 3) else { return };
    take_ipv4_away(&mut story, 3);
    story.serve(2);
    let build = story.build_with_pause(BRISK);
    story.happens();
    story.list_is("found", &[A]);
    story.job_on("used", &build, A);
    story.serve(3);
    story.happens();
    story.list_is("second one found", &[A, B]);
    story.job_on("used", &build, B);
    story.end(build, &[1, 2, 3]);
}

#[test]
fn finds_a_stock_server_on_a_link_without_ipv4() {
    let title = "builds on a link without IPv4, with Debian's server (our client)";
    let needed = ["/usr/bin/distccd", "/usr/sbin/avahi-daemon", "/usr/bin/dbus-daemon"];
    let Some(mut story) = Story::ours(title, 2) else { return };
    if !installed(&needed) {
        return;
    }
    take_ipv4_away(&mut story, 2);
    story.serve_stock(2);
    let build = story.build_with_pause(BRISK);
    story.happens();
    story.list_is("found", &[A]);
    story.job_on("used", &build, A);
    story.end(build, &[1]);
}

#[test]
fn a_hosts_list_names_a_link_local_address() {
    let title = "names a server by its link-local address";
    let Some(mut story) = Story::ours(title, 2) else { return };
    for number in [1, 2] {
        story.host(number).readdress("eth0", &[""; 0]);
    }
    serve(story.host(2), &["--allow", "fe80::/10"]);
    let hosts = format!("[{}%eth0]/2", link_local(story.host(2)));
    let host = story.host(1);
    write(host, "x.c", QUICK);
    let job = Compile::gcc(host, &hosts, "x.c", "x.o");
    assert_eq!(job.ran_on(), Some(hosts.as_str()), "{}", job.log);
    story.finish(&[1, 2]);
}

#[test]
fn finds_a_stock_server_with_a_link_local_address_only() {
    let title = "nobody has any but link-local addresses, Debian's server (our client)";
    let needed = ["/usr/bin/distccd", "/usr/sbin/avahi-daemon", "/usr/bin/dbus-daemon"];
    let Some(mut story) = Story::ours(title, 2) else { return };
    if !installed(&needed) {
        return;
    }
    for number in [1, 2] {
        story.host(number).readdress("eth0", &[""; 0]);
    }
    story.listen = "::";
    // Its scope is shown by the number of the interface, which is the client's.
    let expected = format!("{}%2", link_local(story.host(2)));
    story.serve_stock(2);
    let build = story.build_with_pause(BRISK);
    story.happens();
    story.list_is("found", &[&expected]);
    story.job_on("used", &build, &expected);
    // Every link is such a network until it has an address.
    assert!(!story.host(1).dir("distcc/networks.toml").exists(), "it was remembered");
    story.end(build, &[1]);
}
