//! Servers that are started, stopped, killed and switched off while a build runs.

use nix::sys::signal::Signal;

use super::story::Story;
use super::{A, B, BRISK};
use crate::farm::installed;

#[test]
fn starts_a_server() {
    let Some(mut story) = Story::new("starts a server", 3) else { return };
    story.serve(2);
    let build = story.build_with_pause(BRISK);
    story.happens();
    story.list_is("first one found", &[A]);
    let started = story.happens();
    story.serve(3);
    story.happens();
    story.list_is("listed", &[A, B]);
    story.job_on("used", &build, B);
    let done = story.end(build, &[1, 2, 3]);
    assert!(done.iter().all(|done| done.ended >= started || !done.is_on(B)));
}

#[test]
fn stops_a_server() {
    let Some(mut story) = Story::new("stops a server (SIGTERM)", 3) else { return };
    let build = story.build_on_two(BRISK);
    story.happens();
    story.signal_server(3, Signal::SIGTERM);
    story.list_is("gone", &[A]);
    let gone = story.happens();
    build.until_more(10);
    let done = story.end(build, &[1, 2, 3]);
    assert!(!done.iter().any(|done| done.begun > gone && done.is_on(B)) || story.is_theirs());
}

#[test]
fn kills_a_server_and_starts_it_again() {
    let Some(mut story) = Story::new("kills a server (SIGKILL), starts it again", 3) else {
        return;
    };
    let build = story.build_on_two(BRISK);
    story.happens();
    story.signal_server(3, Signal::SIGKILL);
    story.list_is("gone", &[A]);
    build.until_more(10);
    story.happens();
    story.serve(3);
    story.happens();
    story.list_is("back", &[A, B]);
    story.job_on("used", &build, B);
    story.end(build, &[1, 2, 3]);
}

#[test]
fn cuts_the_power_of_a_server() {
    let Some(mut story) = Story::new("cuts the power of a server, switches it on again", 3) else {
        return;
    };
    let build = story.build_on_two(BRISK);
    story.happens();
    story.lab.power_off(3);
    story.list_is("gone", &[A]);
    let gone = story.happens();
    build.until_more(10);
    assert!(
        story.is_theirs() || !build.done().iter().any(|done| done.begun > gone && done.is_on(B))
    );
    story.lab.plug(3);
    story.serve(3);
    story.happens();
    story.list_is("back", &[A, B]);
    story.job_on("used", &build, B);
    story.end(build, &[1, 2]);
}

#[test]
fn loses_every_server_and_gets_them_back() {
    let Some(mut story) = Story::new("cuts the power of all servers, switches them on again", 3)
    else {
        return;
    };
    let build = story.build_on_two(BRISK);
    story.happens();
    for number in [2, 3] {
        story.lab.power_off(number);
    }
    story.list_is("gone", &[""; 0]);
    let gone = story.happens();
    build.until("a job done here", gone, |done| done.place.is_none());
    for number in [2, 3] {
        story.lab.plug(number);
        story.serve(number);
    }
    story.happens();
    story.list_is("back", &[A, B]);
    story.both_are_used(&build);
    story.end(build, &[1]);
}

#[test]
fn a_stock_server_comes_goes_and_is_killed() {
    let title = "starts, stops, starts and kills Debian's server beside ours (our client)";
    let needed = ["/usr/bin/distccd", "/usr/sbin/avahi-daemon", "/usr/bin/dbus-daemon"];
    let Some(mut story) = Story::ours(title, 3) else { return };
    if !installed(&needed) {
        return;
    }
    story.serve(2);
    let build = story.build_with_pause(BRISK);
    story.happens();
    story.list_is("ours found", &[A]);
    for signal in [Signal::SIGTERM, Signal::SIGKILL] {
        story.serve_stock(3);
        story.happens();
        story.list_is("stock one listed", &[A, B]);
        story.job_on("used", &build, B);
        story.happens();
        story.signal_server(3, signal);
        story.list_is(&format!("gone after {signal}"), &[A]);
        let gone = story.happens();
        build.until_more(10);
        assert!(!build.done().iter().any(|done| done.begun > gone && done.is_on(B)));
    }
    story.end(build, &[1, 2]);
}
