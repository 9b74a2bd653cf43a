//! Who stands for which daemon.

use super::SAME;
use super::farm::{Farm, SETTLED, addr, hello, up};
use crate::agent::ask::Answer;
use crate::agent::books::Action;
use crate::discovery::heard::Heard;
use crate::wire::control::HelloReply;

impl Farm {
    /// The hello under way to a host of the list; everything else stays to be done.
    fn listed_is_answered(&mut self, port: u16, reply: HelloReply) {
        let is_it =
            |action: &Action| matches!(action, Action::ResolveAndHello(_, _, to) if *to == port);
        let position = self.todo.iter().position(is_it).unwrap();
        let Action::ResolveAndHello(key, host, _) = self.todo.remove(position) else { return };
        let reached = format!("{host}:{port}").parse().unwrap();
        self.books.peer_answered(self.now, key, Answer::Ours(Some(reached), Box::new(reply)));
        self.collect();
    }

    fn sources(&mut self, hosts: &str) -> Vec<String> {
        let shown = self.show(hosts).unwrap();
        shown.lines.into_iter().map(|line| line.source).collect()
    }
}

#[test]
fn a_host_behind_a_tunnel_that_is_discovered_too_is_used_once() {
    let mut farm = Farm::settled_with_h2(SAME);
    for hosts in ["127.0.0.1:4000 +zeroconf", "+zeroconf 127.0.0.1:4000"] {
        farm.job(hosts);
        if farm.todo.iter().any(|action| matches!(action, Action::ResolveAndHello(..))) {
            farm.listed_is_answered(4000, hello(2, SAME));
        }
        assert_eq!(farm.sources(hosts), ["hosts"], "{hosts}");
    }
}

#[test]
fn a_clone_behind_a_tunnel_is_another_host() {
    let mut farm = Farm::settled_with_h2(SAME);
    farm.job("127.0.0.1:4000 +zeroconf");
    farm.listed_is_answered(4000, HelloReply { generation: 2, ..hello(2, SAME) });
    assert_eq!(farm.sources("127.0.0.1:4000 +zeroconf"), ["hosts", "zeroconf"]);
}

/// As [`up`], with these compilers in its record.
fn up_with(compilers: &[&str]) -> Heard {
    let Heard::Up(mut peer) = up(2) else { unreachable!("it is up") };
    peer.txt.compilers = compilers.iter().map(|entry| entry.parse().unwrap()).collect();
    Heard::Up(peer)
}

#[test]
fn a_host_whose_compilers_change_is_asked_by_every_name_before_it_gets_a_job() {
    let mut farm = Farm::settled_with_h2(SAME);
    farm.job("127.0.0.1:4000 +zeroconf");
    farm.listed_is_answered(4000, hello(2, SAME));
    farm.hears(up_with(&["gcc:12.2.0:x86_64-linux-gnu:2.40:0101"]));
    farm.answer_hellos(&[(2, SAME)], &[]);
    // One more is no reason to doubt the others.
    let more = ["gcc:12.2.0:x86_64-linux-gnu:2.40:0101", "clang:14.0.6:x86_64-pc-linux-gnu::77aa"];
    farm.hears(up_with(&more));
    let job = farm.job("+zeroconf");
    farm.placement(job);
    farm.leaves(job);
    farm.answer_hellos(&[(2, SAME)], &[]);
    farm.hears(up_with(&["gcc:11.3.0:x86_64-linux-gnu:2.40:9c1f"]));
    let job = farm.job("+zeroconf");
    farm.local(job);
    let asked = farm.todo.iter().find_map(|action| match action {
        Action::Hello(key, _, _) => Some(*key),
        _ => None,
    });
    let reply = HelloReply { generation: 2, ..hello(2, &[("gcc", "11.3.0")]) };
    farm.todo.clear();
    farm.books.peer_answered(
        farm.now,
        asked.unwrap(),
        Answer::Ours(Some(addr(2)), Box::new(reply)),
    );
    farm.collect();
    let reask = |action: &Action| matches!(action, Action::ResolveAndHello(_, _, 4000));
    assert!(farm.todo.iter().any(reask), "the listed one is the same daemon");
}

#[test]
fn a_daemon_that_answers_in_the_place_of_another_is_not_that_one() {
    let mut farm = Farm::new();
    farm.job("+zeroconf");
    farm.hears(up(2));
    let Some(Action::Hello(key, _, _)) = farm.todo.pop() else { panic!("not asked") };
    farm.books.peer_answered(farm.now, key, Answer::Ours(Some(addr(2)), Box::new(hello(3, SAME))));
    farm.collect();
    farm.pass(SETTLED);
    let job = farm.job("+zeroconf");
    assert_eq!(
        farm.local(job),
        "its only host is left out: does not answer: another daemon is at its address"
    );
}

#[test]
fn a_list_that_many_machines_share_names_this_one_too() {
    let mut farm = Farm::new();
    let job = farm.job("10.77.0.1");
    farm.answer_hellos(&[(1, SAME)], &[]);
    let reason = "this machine itself; write localhost to compile here too";
    assert_eq!(farm.local(job), format!("its only host is left out: {reason}"));
    // The near end of a tunnel.
    let job = farm.job("127.0.0.1:4000");
    farm.listed_is_answered(4000, hello(1, SAME));
    assert_eq!(farm.placement(job).host, "127.0.0.1:4000");
}
