//! Addresses that change while a build runs.

use super::story::Story;
use super::{A, B, BRISK};
use crate::farm::{installed, offer, volunteer};

#[test]
fn a_server_gets_another_address() {
    let Some(mut story) = Story::new("a server gets another address", 3) else { return };
    let build = story.build_on_two(BRISK);
    story.host(3).readdress("eth0", &["10.77.0.33/24", "fd77::21/64"]);
    story.happens();
    story.list_is("list right", &[A, "10.77.0.33"]);
    story.job_on("used there", &build, "10.77.0.33");
    story.end(build, &[1, 2, 3]);
}

#[test]
fn the_client_gets_another_address() {
    let Some(mut story) = Story::new("the client gets another address", 3) else { return };
    let build = story.build_on_two(BRISK);
    story.host(1).readdress("eth0", &["10.77.0.101/24", "fd77::65/64"]);
    story.happens();
    story.both_are_used(&build);
    story.list_is("list right", &[A, B]);
    story.end(build, &[1, 2, 3]);
}

#[test]
fn a_server_gets_a_second_address_and_loses_the_first() {
    let title = "a server gets a second address, loses the first";
    let Some(mut story) = Story::new(title, 3) else { return };
    let build = story.build_on_two(BRISK);
    story.host(3).add_address("eth0", "10.77.0.33/24");
    story.happens();
    build.until_more(20);
    assert!(story.is_theirs() || story.list().len() == 2, "one host, one line");
    story.host(3).remove_address("eth0", "10.77.0.3/24");
    story.host(3).remove_address("eth0", "fd77::3/64");
    story.happens();
    story.list_is("list right", &[A, "10.77.0.33"]);
    story.job_on("used there", &build, "10.77.0.33");
    story.end(build, &[1, 2, 3]);
}

#[test]
fn another_machine_takes_a_servers_address() {
    let title = "another machine, with another compiler, takes a dead server's address";
    if !installed(&["/usr/bin/gcc-11"]) {
        return;
    }
    let Some(mut story) = Story::ours(title, 4) else { return };
    let build = story.build_on_two(BRISK);
    story.lab.power_off(3);
    story.host(4).readdress("eth0", &["10.77.0.3/24", "fd77::3/64"]);
    offer(story.host(4), &[("gcc", "/usr/bin/gcc-11"), ("cc", "/usr/bin/gcc-11")]);
    volunteer(story.host(4));
    let taken = story.happens();
    story.list_is("list right", &[A]);
    build.until_more(20);
    let why = story.until_why(" here, 11.");
    assert!(why.contains("h4"), "{why}");
    let done = story.end(build, &[1, 2, 4]);
    assert!(!done.iter().any(|done| done.begun > taken && done.is_on(B)));
}
