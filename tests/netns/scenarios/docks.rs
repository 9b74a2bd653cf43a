//! Laptops that get interfaces and are carried from one network to another.

use std::net::TcpStream;

use super::story::Story;
use super::{A, BRISK};
use crate::farm::{installed, said};
use crate::lab::{DESK, HOME, OFFICE};

const NOBODY: [&str; 0] = [];

impl Story {
    /// The user lets the hosts of the networks that the client is on compile. With Debian's client
    /// everybody may always.
    #[track_caller]
    fn trust(&mut self) {
        if !self.is_theirs() {
            said(self.host(1).command("distcc").arg("--trust-network"));
        }
    }

    /// A host was heard of, and is held back.
    #[track_caller]
    fn is_new(&mut self) {
        if !self.is_theirs() {
            self.until_why("new network");
        }
    }
}

#[test]
fn docks_and_undocks() {
    let title = "docks (a new interface with its own peers), trusts, undocks";
    let Some(mut story) = Story::new(title, 3) else { return };
    let there = DESK.v4(3);
    story.lab.carry(3, DESK);
    story.serve(2);
    story.serve(3);
    let build = story.build_with_pause(BRISK);
    story.happens();
    story.list_is("found", &[A]);
    story.lab.attach(1, "eth1", DESK);
    story.is_new();
    assert!(story.is_theirs() || !build.done().iter().any(|done| done.is_on(&there.to_string())));
    story.happens();
    story.trust();
    story.list_is("listed", &[A.to_owned(), there.to_string()]);
    story.job_on("used", &build, there);
    story.lab.detach(1, "eth1");
    let undocked = story.happens();
    story.list_is("gone", &[A]);
    let gone = story.happens();
    build.until("a job in the office", undocked, |done| done.is_on(A));
    build.until_more(10);
    let theirs = story.is_theirs();
    let done = story.end(build, &[1, 2]);
    let there = there.to_string();
    assert!(theirs || !done.iter().any(|done| done.begun > gone && done.is_on(&there)));
}

#[test]
fn is_carried_to_another_subnet_and_back() {
    let title = "is carried to another subnet and back, twice";
    let Some(mut story) = Story::new(title, 3) else { return };
    let (here, there) = (OFFICE.v4(2), HOME.v4(3));
    story.lab.carry(3, HOME);
    story.serve(2);
    story.serve(3);
    let build = story.build_with_pause(BRISK);
    story.happens();
    story.list_is("found", &[here]);
    story.job_on("used", &build, here);
    story.lab.carry(1, HOME);
    story.happens();
    if story.is_theirs() {
        story.list_is("there", &[there]);
    } else {
        story.list_is("the old ones forgotten", &NOBODY);
        story.is_new();
    }
    story.trust();
    story.happens();
    story.list_is("trusted", &[there]);
    story.job_on("used", &build, there);
    for (net, place, word) in [(OFFICE, here, "back"), (HOME, there, "there again")] {
        story.lab.carry(1, net);
        story.happens();
        story.job_on(&format!("{word}: first job"), &build, place);
        story.list_is("list right", &[place]);
    }
    story.end(build, &[1, 2, 3]);
}

#[test]
fn a_tunnel_is_not_used_unasked() {
    let title = "brings a tunnel up that leads to a server (our client, Debian's server)";
    let needed = ["/usr/bin/distccd", "/usr/sbin/avahi-daemon", "/usr/bin/dbus-daemon"];
    let Some(mut story) = Story::ours(title, 3) else { return };
    if !installed(&needed) {
        return;
    }
    story.serve(2);
    let build = story.build_with_pause(BRISK);
    story.happens();
    story.list_is("found", &[A]);
    for (number, other) in [(1, 3), (3, 1)] {
        story.host(number).add_tunnel("vpn0", OFFICE.v4(other));
        story.host(number).add_address("vpn0", &format!("10.99.0.{number}/24"));
    }
    // It listens in the tunnel alone; Avahi tells of it everywhere.
    story.listen = "10.99.0.3";
    story.serve_stock(3);
    let through = || TcpStream::connect("10.99.0.3:3632").is_ok();
    assert!(story.host(1).enter(through), "the tunnel carries");
    story.happens();
    story.until_why("h3");
    build.until_more(20);
    assert_eq!(story.list().into_iter().collect::<Vec<_>>(), [A]);
    assert!(!story.until_why("h3").contains("10.99."));
    let done = story.end(build, &[1, 2]);
    assert!(done.iter().all(|done| done.place.is_none() || done.is_on(A)));
}
