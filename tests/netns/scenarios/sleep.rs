//! Lids that are closed and opened again.

use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;

use super::story::Story;
use super::{A, B, BRISK};
use crate::long;
use crate::processes::send;

/// The client's machine sleeps in the middle of the build.
fn the_client_sleeps(title: &'static str, duration: u64) {
    let Some(mut story) = Story::new(title, 3) else { return };
    let build = story.build_on_two(BRISK);
    story.lab.suspend(1);
    story.happens();
    story.lasts(Duration::from_secs(duration));
    story.lab.resume(1);
    story.happens();
    story.both_are_used(&build);
    story.list_is("list right", &[A, B]);
    story.end(build, &[1, 2, 3]);
}

#[test]
fn the_clients_machine_sleeps_for_5_s() {
    the_client_sleeps("the client's machine sleeps for 5 s", 5);
}

#[test]
fn the_clients_machine_sleeps_for_20_s() {
    if long::wanted() {
        the_client_sleeps("the client's machine sleeps for 20 s", 20);
    }
}

#[test]
fn a_server_sleeps_for_20_s() {
    if !long::wanted() {
        return;
    }
    let Some(mut story) = Story::new("a server's machine sleeps for 20 s", 3) else { return };
    let build = story.build_on_two(BRISK);
    story.lab.suspend(3);
    story.happens();
    story.list_is("gone", &[A]);
    build.until_more(10);
    story.lasts(Duration::from_secs(20));
    story.lab.resume(3);
    story.happens();
    story.list_is("back", &[A, B]);
    story.job_on("used", &build, B);
    story.end(build, &[1, 2, 3]);
}

#[test]
fn the_agent_alone_stands_still_for_5_s() {
    let Some(mut story) = Story::ours("the agent alone stands still for 5 s", 3) else { return };
    let build = story.build_on_two(BRISK);
    let agents = story.host(1).pids("distccd");
    for pid in &agents {
        send(*pid, Signal::SIGSTOP);
    }
    story.happens();
    thread::sleep(Duration::from_secs(5));
    for pid in &agents {
        send(*pid, Signal::SIGCONT);
    }
    story.happens();
    story.both_are_used(&build);
    story.list_is("list right", &[A, B]);
    assert_eq!(story.host(1).pids("distccd"), agents);
    story.end(build, &[1, 2, 3]);
}
