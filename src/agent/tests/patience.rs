//! When the agent waits, asks again, or says that it will not.

use std::time::Duration;

use super::farm::{Farm, SETTLED, addr, gcc, up};
use super::{Action, AgentMessage, ClientId, Probed};
use crate::discovery::heard::Heard;
use crate::wire::control::{JobReport, PlaceRequest};

const SAME: &[(&str, &str)] = &[("gcc", "12.2.0")];

/// As [`up`], of a daemon that says that it answers a hello.
fn up_as_ours(last: u8) -> Heard {
    let Heard::Up(mut peer) = up(last) else { unreachable!("it is up") };
    peer.txt.feat = vec!["hello".to_owned()];
    Heard::Up(peer)
}

#[test]
fn a_daemon_that_refused_this_machine_is_asked_again_and_used_once_it_does_not() {
    let mut farm = Farm::new();
    let job = farm.job("+zeroconf");
    farm.hears(up_as_ours(2));
    farm.answer_hellos(&[], &[2]);
    farm.pass(SETTLED);
    assert_eq!(
        farm.local(job),
        "its only host is left out: it refuses this machine (see --allow there)"
    );
    farm.pass(Duration::from_secs(1));
    farm.answer_hellos(&[(2, SAME)], &[]);
    let job = farm.job("+zeroconf");
    assert_eq!(farm.placement(job).addrs, [addr(2)]);
}

#[test]
fn a_stock_host_that_closed_on_every_name_is_asked_anew_after_a_while() {
    let mut farm = Farm::new();
    let job = farm.job("10.77.0.9");
    farm.answer_hellos(&[], &[9]);
    answer_probes(&mut farm, |_| Probed::Absent);
    assert!(farm.local(job).contains("or refuses this machine"));
    farm.leaves(job);
    let soon = farm.job("10.77.0.9");
    assert!(farm.local(soon).contains("or refuses this machine"));
    farm.leaves(soon);
    farm.pass(Duration::from_secs(31));
    let job = farm.job("10.77.0.9");
    farm.answer_hellos(&[], &[9]);
    answer_probes(&mut farm, |_| Probed::Known(Box::new(gcc("12.2.0"))));
    assert_eq!(farm.placement(job).compiler, b"gcc");
}

/// A server of ours broke off a job and closed on the question who it is; another job has it asked
/// once more.
fn asked_again_after_a_close() -> (Farm, ClientId) {
    let mut farm = Farm::new();
    let job = farm.job("10.77.0.9");
    farm.answer_hellos(&[(9, SAME)], &[]);
    farm.placement(job);
    farm.reports(job, JobReport::HostFailed { reason: "broke off".to_owned() });
    farm.answer_hellos(&[], &[9]);
    farm.leaves(job);
    farm.pass(Duration::from_secs(5));
    let early = farm.job("10.77.0.9");
    (farm, early)
}

#[test]
fn a_daemon_that_closes_as_it_is_killed_is_not_taken_for_a_stock_one() {
    let (mut farm, early) = asked_again_after_a_close();
    farm.answer_hellos(&[(9, SAME)], &[]);
    farm.leaves(early);
    let job = farm.job("10.77.0.9");
    assert_eq!(farm.placement(job).addrs, [addr(9)]);
}

#[test]
fn a_stock_server_in_the_place_of_one_of_ours_is_known_by_its_second_answer() {
    let (mut farm, early) = asked_again_after_a_close();
    farm.answer_hellos(&[], &[9]);
    farm.leaves(early);
    let job = farm.job("10.77.0.9");
    answer_probes(&mut farm, |_| Probed::Known(Box::new(gcc("12.2.0"))));
    assert_eq!(farm.placement(job).compiler, b"gcc");
}

fn answer_probes(farm: &mut Farm, answer: impl Fn(&str) -> Probed) {
    while let Some(position) = farm.todo.iter().position(|a| matches!(a, Action::Probe(..))) {
        let Action::Probe(key, _, name) = farm.todo.remove(position) else { continue };
        let probed = answer(&name);
        farm.books.peer_probed(farm.now, key, &name, probed);
        farm.collect();
    }
}

#[test]
fn a_job_that_may_not_fall_back_waits_longer_for_the_first_host() {
    let mut farm = Farm::new();
    let id = farm.client();
    let mut request = farm.request("+zeroconf", &[]);
    request.may_fall_back = false;
    farm.asks_for(id, request);
    let other = farm.job("+zeroconf");
    farm.pass(Duration::from_secs(2));
    farm.local(other);
    assert!(farm.answer(id).is_none());
    assert!(farm.books.next_deadline(farm.now).is_some(), "it will not be forgotten");
    farm.hears(up(2));
    farm.answer_hellos(&[(2, SAME)], &[]);
    farm.placement(id);
}

#[test]
fn a_listed_address_that_cannot_be_used_does_not_hide_one_that_can() {
    let mut farm = Farm::new();
    let job = farm.job("[fd77::2]:3632 +zeroconf");
    farm.hears(up(2));
    // The same daemon closes on clients that come by IPv6.
    farm.answer_hellos(&[(2, SAME)], &[]);
    assert_eq!(farm.placement(job).addrs, [addr(2)]);
}

#[test]
fn that_no_host_can_be_used_is_a_reason_and_no_warning() {
    let mut farm = Farm::new();
    for hosts in ["10.77.0.8", "10.77.0.8 +zeroconf", "+zeroconf"] {
        let job = farm.job(hosts);
        farm.answer_hellos(&[], &[]);
        farm.pass(SETTLED);
        match farm.answer(job) {
            Some(AgentMessage::Local(place)) => {
                assert_eq!(place.warnings, [""; 0], "{hosts}");
                assert!(!place.reason.is_empty(), "{hosts}");
            }
            other => panic!("not local: {other:?}"),
        }
        farm.leaves(job);
    }
}

#[test]
fn for_how_long_a_host_that_refuses_jobs_is_left_out_is_for_each_client_to_say() {
    let mut farm = Farm::settled_with_h2(SAME);
    for _ in 0..3 {
        let id = farm.job("+zeroconf");
        farm.placement(id);
        farm.reports(id, JobReport::Refused);
        farm.leaves(id);
    }
    let id = farm.job("+zeroconf");
    assert!(farm.local(id).contains("it refuses jobs; tried again in 60 s"));
    farm.leaves(id);
    let id = farm.client();
    let request = PlaceRequest { backoff: Duration::ZERO, ..farm.request("+zeroconf", &[]) };
    farm.asks_for(id, request);
    assert_eq!(farm.placement(id).addrs, [addr(2)]);
}
