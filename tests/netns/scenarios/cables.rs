//! Cables and switches.

use std::thread;
use std::time::Duration;

use super::story::Story;
use super::{A, B, BRISK, CALM};
use crate::lab::OFFICE;
use crate::long;

const NOBODY: [&str; 0] = [];

#[test]
fn takes_the_clients_link_down_for_2_s() {
    let Some(mut story) = Story::new("takes the client's link down for 2 s", 3) else { return };
    let build = story.build_on_two(BRISK);
    story.host(1).link_down();
    story.happens();
    build.until_more(4);
    story.lasts(Duration::from_secs(2));
    story.host(1).link_up();
    story.happens();
    story.list_is("back", &[A, B]);
    story.both_are_used(&build);
    story.end(build, &[1, 2, 3]);
}

#[test]
fn a_cable_flaps_five_times() {
    let Some(mut story) = Story::new("the client's link goes down and up five times", 3) else {
        return;
    };
    let build = story.build_on_two(BRISK);
    for _ in 0..5 {
        story.host(1).link_down();
        // By the clock: about as long as a bad contact takes.
        thread::sleep(Duration::from_millis(200));
        story.host(1).link_up();
        thread::sleep(Duration::from_millis(400));
    }
    story.happens();
    story.list_is("back", &[A, B]);
    story.both_are_used(&build);
    story.end(build, &[1, 2, 3]);
}

/// Pulls the second server's cable at the switch for a while: neither end sees it.
fn pulls_the_cable_of_a_server(title: &'static str, duration: u64, pause: Duration) {
    let Some(mut story) = Story::new(title, 3) else { return };
    let build = story.build_on_two(pause);
    story.lab.unplug(3);
    story.happens();
    story.list_is("gone", &[A]);
    build.until_more(4);
    story.lasts(Duration::from_secs(duration));
    story.lab.plug(3);
    story.happens();
    story.list_is("back", &[A, B]);
    story.job_on("used", &build, B);
    story.end(build, &[1, 2, 3]);
}

#[test]
fn pulls_a_servers_cable_for_5_s() {
    pulls_the_cable_of_a_server("pulls a server's cable for 5 s", 5, BRISK);
}

#[test]
fn pulls_a_servers_cable_for_40_s() {
    if long::wanted() {
        pulls_the_cable_of_a_server("pulls a server's cable for 40 s", 40, CALM);
    }
}

/// Longer than an SRV record lives (120 s).
#[test]
fn pulls_a_servers_cable_for_130_s() {
    if long::wanted() {
        pulls_the_cable_of_a_server("pulls a server's cable for 130 s", 130, CALM);
    }
}

#[test]
fn the_switch_is_without_power_for_130_s() {
    if !long::wanted() {
        return;
    }
    let Some(mut story) = Story::new("the switch is without power for 130 s", 3) else { return };
    let build = story.build_on_two(CALM);
    story.lab.switch_off(OFFICE);
    let off = story.happens();
    story.list_is("gone", &NOBODY);
    build.until("a job done here", off, |done| done.place.is_none());
    story.lasts(Duration::from_secs(130));
    story.lab.switch_on(OFFICE);
    story.happens();
    story.list_is("back", &[A, B]);
    story.both_are_used(&build);
    story.end(build, &[1, 2, 3]);
}
