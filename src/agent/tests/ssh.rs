//! Hosts reached by ssh: they have no address, and to ask them is dear.

use std::time::Duration;

use super::super::ask::{Answer, Contact};
use super::super::books::{Action, Question};
use super::super::peers::PeerKey;
use super::super::ssh::Reach;
use super::SAME;
use super::farm::{Farm, hello};
use crate::wire::control::{JobReport, SshClient, Transfer};

/// The hello under way.
#[track_caller]
fn asked(farm: &mut Farm) -> (PeerKey, Reach) {
    match farm.todo.pop() {
        Some(Action::SshHello(key, reach)) => (key, reach),
        other => panic!("not asked: {other:?}"),
    }
}

#[track_caller]
fn answer(farm: &mut Farm) -> PeerKey {
    let (key, _) = asked(farm);
    farm.books.ssh_connection(farm.now, key, Some(b"/run/ssh1".to_vec()));
    farm.books.peer_answered(farm.now, key, Answer::Ours(None, Box::new(hello(2, SAME))));
    farm.collect();
    key
}

#[test]
fn a_job_goes_over_the_connection_that_the_agent_holds() {
    let mut farm = Farm::new();
    let id = farm.client();
    let mut request = farm.request("me@h:/opt/distccd,lzo", &[]);
    request.ssh =
        SshClient { program: Some("ssh -p 1".to_owned()), auth_sock: Some(b"/keys".to_vec()) };
    farm.books.asks(farm.now, id, Question::Place(request, farm.policy.clone()));
    farm.collect();
    let (key, reach) = asked(&mut farm);
    assert_eq!(reach.way.program.as_deref(), Some("ssh -p 1"));
    assert_eq!(reach.auth_sock.as_deref(), Some(&b"/keys"[..]));
    farm.books.ssh_connection(farm.now, key, Some(b"/run/ssh1".to_vec()));
    farm.books.peer_answered(farm.now, key, Answer::Ours(None, Box::new(hello(2, SAME))));
    farm.collect();
    let placement = farm.placement(id);
    assert!(placement.addrs.is_empty() && placement.ours);
    assert_eq!((placement.host.as_str(), placement.protocol), ("me@h:/opt/distccd,lzo", 2));
    let route = placement.ssh.unwrap();
    assert_eq!((route.user.as_deref(), route.host.as_str()), (Some("me"), "h"));
    assert_eq!(route.command.as_deref(), Some("/opt/distccd"));
    assert_eq!(route.control_path.as_deref(), Some(&b"/run/ssh1"[..]));
}

#[test]
fn a_long_build_asks_nothing_and_the_end_of_the_connection_does() {
    let mut farm = Farm::new();
    let held = farm.job("@h");
    let key = answer(&mut farm);
    farm.placement(held);
    for _ in 0..20 {
        farm.pass(Duration::from_secs(20));
        let next = farm.job("@h");
        farm.placement(next);
        farm.reports(next, JobReport::Ran(Transfer::default()));
        farm.leaves(next);
    }
    assert!(farm.todo.is_empty(), "{:?}", farm.todo);
    farm.books.ssh_connection(farm.now, key, None);
    farm.collect();
    let (_, reach) = asked(&mut farm);
    assert_eq!(reach.control_path, None);
}

#[test]
fn a_job_that_failed_makes_the_agent_ask_and_one_that_is_in_vain_says_why() {
    let mut farm = Farm::new();
    let id = farm.job("@h");
    let key = answer(&mut farm);
    farm.placement(id);
    farm.reports(id, JobReport::HostFailed { reason: "ssh failed".to_owned() });
    let refused = Answer::Failed("h: Permission denied".to_owned(), Contact::Lost);
    assert_eq!(asked(&mut farm).0, key);
    farm.books.peer_answered(farm.now, key, refused);
    farm.collect();
    let next = farm.job("@h");
    let reason = farm.local(next);
    assert!(reason.contains("does not answer: h: Permission denied"), "{reason}");
}

#[test]
fn two_ways_of_calling_ssh_are_two_hosts() {
    let mut farm = Farm::new();
    farm.job("@h");
    let first = answer(&mut farm);
    let id = farm.client();
    let mut request = farm.request("@h", &[]);
    request.ssh.program = Some("ssh -p 2".to_owned());
    farm.asks_for(id, request);
    assert_ne!(asked(&mut farm).0, first);
}
