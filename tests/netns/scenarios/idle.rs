//! What happens to servers while nobody builds, and how the next build fares.

use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;

use super::story::Story;
use super::{A, B, BRISK};
use crate::long;

/// Longer than a sign of life counts.
const IDLE: Duration = Duration::from_secs(20);

/// Builds on two servers, does something to the second while nobody builds, and builds again.
/// Nothing may go there.
fn meanwhile(title: &'static str, happens: impl FnOnce(&mut Story)) {
    if !long::wanted() {
        return;
    }
    let Some(mut story) = Story::new(title, 3) else { return };
    let build = story.build_on_two(BRISK);
    build.stop();
    thread::sleep(IDLE);
    happens(&mut story);
    let again = story.happens();
    let build = story.build_with_pause(BRISK);
    story.job_on("first job after that", &build, A);
    story.list_is("list right", &[A]);
    build.until_more(20);
    let theirs = story.is_theirs();
    let done = story.end(build, &[1]);
    assert!(theirs || !done.iter().any(|done| done.begun > again && done.is_on(B)));
}

#[test]
fn builds_after_a_server_died_unnoticed() {
    meanwhile("cuts the power of an idle server, then builds", |story| story.lab.power_off(3));
}

#[test]
fn builds_after_a_server_stood_still_unnoticed() {
    meanwhile("stops an idle server (SIGSTOP), then builds", |story| {
        story.signal_server(3, Signal::SIGSTOP);
    });
}
