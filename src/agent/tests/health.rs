//! Who is taken for alive, and what becomes of jobs on a host that is not.

use std::net::SocketAddr;
use std::time::Duration;

use super::farm::{Farm, SETTLED, addr, hello, up};
use super::{Action, AgentMessage, ClientId, JobReport, Transfer};
use crate::agent::ask::{Answer, Contact, Patience};
use crate::agent::scene::Scene;
use crate::base::node::NodeId;
use crate::discovery::heard::Heard;
use crate::discovery::interfaces::{Interface, Kind};
use crate::policy::networks::KnownNetworks;

const SAME: &[(&str, &str)] = &[("gcc", "12.2.0")];
const PROOF: Duration = Duration::from_secs(15);
const SECOND: Duration = Duration::from_secs(1);

fn ran(last: u8) -> JobReport {
    JobReport::Ran(Transfer { addr: Some(addr(last)), ..Transfer::default() })
}

fn ends_well(farm: &mut Farm, id: ClientId) {
    farm.reports(id, ran(2));
    farm.leaves(id);
}

/// Hosts 2 and 3 are known, and a while ago.
fn two_stale() -> Farm {
    let mut farm = Farm::settled_with_h2(SAME);
    farm.hears(up(3));
    farm.answer_hellos(&[(2, SAME), (3, SAME)], &[]);
    farm.pass(PROOF);
    assert!(farm.todo.is_empty(), "an agent that nobody needs asks nobody");
    farm
}

/// Every hello under way comes to nothing in this way.
fn nobody_answers(farm: &mut Farm, contact: Contact) {
    for action in std::mem::take(&mut farm.todo) {
        let Action::Hello(key, _, _) = action else { panic!("{action:?}") };
        let answer = Answer::Failed("no answer".to_owned(), contact);
        farm.books.peer_answered(farm.now, key, answer);
    }
    farm.collect();
}

/// The reason for which the client was told not to wait any more.
fn recalled(farm: &mut Farm, id: ClientId, place: u64) -> String {
    match farm.answer(id) {
        Some(AgentMessage::Recalled { key, reason }) if key == place => reason,
        other => panic!("not recalled: {other:?}"),
    }
}

#[test]
fn a_job_goes_to_the_first_of_the_hosts_in_doubt_that_answers() {
    let mut farm = two_stale();
    let job = farm.job("+zeroconf");
    assert!(farm.answer(job).is_none());
    assert_eq!(farm.todo.len(), 2, "both are asked");
    farm.todo.remove(0);
    farm.answer_hellos(&[(3, SAME)], &[]);
    assert_eq!(farm.placement(job).addrs, [addr(3)]);
    let next = farm.job("+zeroconf");
    assert_eq!(farm.placement(next).addrs, [addr(3)], "nobody waits for one in doubt");
}

#[test]
fn a_host_in_doubt_that_stays_silent_is_waited_for_once_and_shortly() {
    let mut farm = Farm::settled_with_h2(SAME);
    farm.pass(PROOF);
    let job = farm.job("+zeroconf");
    assert!(farm.answer(job).is_none());
    let until = farm.books.next_deadline(farm.now).unwrap();
    assert!(until <= farm.now + SETTLED);
    farm.pass(SETTLED);
    let expected = "its only host is left out: being checked whether it still answers";
    assert_eq!(farm.local(job), expected);
    let next = farm.job("+zeroconf");
    assert_eq!(farm.local(next), expected);
    assert_eq!(farm.todo.len(), 1, "asked once");
    farm.answer_hellos(&[], &[]);
    let last = farm.job("+zeroconf");
    assert_eq!(farm.local(last), "its only host is left out: does not answer: no answer");
}

#[test]
fn a_listed_host_in_doubt_is_waited_for_until_its_deadline() {
    let mut farm = Farm::new();
    let job = farm.job("10.77.0.2");
    farm.answer_hellos(&[(2, SAME)], &[]);
    farm.placement(job);
    ends_well(&mut farm, job);
    farm.pass(PROOF);
    let job = farm.job("10.77.0.2");
    farm.pass(SETTLED * 2);
    assert!(farm.answer(job).is_none());
    farm.answer_hellos(&[], &[]);
    assert_eq!(farm.local(job), "its only host is left out: does not answer: no answer");
}

#[test]
fn a_job_that_ran_proves_life_without_a_question() {
    let mut farm = Farm::settled_with_h2(SAME);
    for _ in 0..10 {
        farm.pass(PROOF / 2);
        let job = farm.job("+zeroconf");
        farm.placement(job);
        ends_well(&mut farm, job);
    }
    assert!(farm.todo.is_empty());
}

#[test]
fn a_host_with_jobs_is_asked_when_none_has_ended_for_long_and_jobs_are_recalled_if_it_is_lost() {
    let mut farm = Farm::settled_with_h2(SAME);
    let jobs = [farm.job("+zeroconf"), farm.job("+zeroconf")];
    let place = farm.placement(jobs[0]).key;
    farm.placement(jobs[1]);
    let due = farm.books.next_deadline(farm.now).unwrap();
    assert!(due <= farm.now + PROOF);
    farm.pass(due - farm.now);
    assert_eq!(farm.todo.len(), 1);
    nobody_answers(&mut farm, Contact::Lost);
    assert!(farm.answers.is_empty(), "one failed connect is none");
    let new = farm.job("+zeroconf");
    assert!(farm.local(new).contains("being checked"), "but enough to send nothing new");
    assert_eq!(farm.books.next_deadline(farm.now), Some(farm.now + SECOND));
    farm.pass(SECOND);
    nobody_answers(&mut farm, Contact::Lost);
    for job in jobs {
        assert_eq!(recalled(&mut farm, job, place), "does not answer: no answer");
        farm.reports(job, JobReport::HostFailed { reason: "recalled".to_owned() });
        farm.asks(job, "+zeroconf", &[place]);
        assert_eq!(farm.local(job), "every host that could take it failed");
    }
    assert!(farm.todo.is_empty(), "its silence is known");
}

#[test]
fn a_server_too_busy_to_answer_keeps_its_jobs_and_gets_no_more() {
    let mut farm = Farm::settled_with_h2(SAME);
    let job = farm.job("+zeroconf");
    farm.placement(job);
    for _ in 0..4 {
        farm.pass(PROOF);
        nobody_answers(&mut farm, Contact::Taken);
    }
    assert!(farm.answers.is_empty());
    let next = farm.job("+zeroconf");
    assert!(farm.local(next).contains("being checked"));
    assert!(farm.todo.is_empty(), "asked by its own clock");
    ends_well(&mut farm, job);
    let next = farm.job("+zeroconf");
    farm.placement(next);
}

#[test]
fn a_server_that_ends_finishes_its_jobs_and_is_gone_at_its_goodbye() {
    let mut farm = Farm::settled_with_h2(SAME);
    let job = farm.job("+zeroconf");
    farm.placement(job);
    farm.hears(Heard::Gone { instance: "distcc@h2".to_owned() });
    nobody_answers(&mut farm, Contact::Refused);
    assert!(farm.answers.is_empty(), "nothing is recalled");
    let show = farm.show("+zeroconf").unwrap();
    assert!(show.lines.is_empty());
}

#[test]
fn a_silent_host_that_was_said_goodbye_for_is_listed_a_little_longer() {
    let mut farm = Farm::settled_with_h2(SAME);
    farm.hears(Heard::Gone { instance: "distcc@h2".to_owned() });
    nobody_answers(&mut farm, Contact::Lost);
    assert_eq!(farm.show("+zeroconf").unwrap().lines.len(), 1);
}

#[test]
fn a_machine_that_moved_asks_the_hosts_with_jobs_at_once_and_believes_no_earlier_silence() {
    let mut farm = Farm::settled_with_h2(SAME);
    farm.hears(up(3));
    farm.answer_hellos(&[(2, SAME), (3, SAME)], &[]);
    let job = farm.job("+zeroconf");
    farm.placement(job);
    farm.pass(PROOF);
    assert_eq!(farm.todo.len(), 1, "asked for the sake of the job");
    farm.now += SECOND;
    farm.books.moved(farm.now);
    nobody_answers(&mut farm, Contact::Lost);
    assert_eq!(farm.todo.len(), 1, "asked again, for it was asked from elsewhere");
    nobody_answers(&mut farm, Contact::Lost);
    assert!(farm.answers.is_empty(), "once in vain so far");
    farm.pass(SECOND);
    farm.answer_hellos(&[(2, SAME)], &[]);
    assert!(farm.answers.is_empty(), "it is there");
    farm.books.moved(farm.now);
    farm.collect();
    assert_eq!(farm.todo.len(), 1, "the one with a job, and no other");
}

#[test]
fn a_silent_host_that_is_announced_again_is_asked_at_once_with_an_unchanged_record() {
    let mut farm = Farm::settled_with_h2(SAME);
    let client = farm.client();
    farm.hears(Heard::Gone { instance: "distcc@h2".to_owned() });
    farm.hears(up(2));
    for _ in 0..5 {
        farm.answer_hellos(&[], &[]);
        farm.pass(Duration::from_secs(20));
    }
    farm.answer_hellos(&[], &[]);
    assert!(farm.books.next_deadline(farm.now).unwrap() > farm.now + SECOND);
    farm.hears(up(2));
    farm.pass(Duration::ZERO);
    farm.answer_hellos(&[(2, SAME)], &[]);
    let job = farm.job("+zeroconf");
    farm.placement(job);
    farm.leaves(client);
}

#[test]
fn a_host_that_came_back_while_nobody_compiled_gets_the_next_job() {
    let mut farm = Farm::settled_with_h2(SAME);
    farm.pass(PROOF);
    let job = farm.job("+zeroconf");
    farm.answer_hellos(&[], &[]);
    assert!(farm.local(job).contains("does not answer"));
    farm.leaves(job);
    farm.pass(2 * SECOND);
    assert!(farm.todo.is_empty(), "nobody needs it");
    let soon = farm.job("+zeroconf");
    assert!(farm.local(soon).contains("does not answer"), "asked, but not waited for");
    farm.answer_hellos(&[], &[]);
    farm.leaves(soon);
    farm.pass(2 * PROOF);
    let later = farm.job("+zeroconf");
    assert!(farm.answer(later).is_none());
    farm.answer_hellos(&[(2, SAME)], &[]);
    farm.placement(later);
}

#[test]
fn the_address_that_took_the_last_job_is_tried_first() {
    let mut farm = Farm::new();
    let both = |farm: &mut Farm| {
        let Heard::Up(mut peer) = up(2) else { unreachable!("it is up") };
        let mut second = peer.addrs[0].clone();
        second.addr = addr(12);
        peer.addrs.push(second);
        farm.hears(Heard::Up(peer));
    };
    let job = farm.job("+zeroconf");
    both(&mut farm);
    farm.answer_hellos(&[(2, SAME)], &[]);
    assert_eq!(farm.placement(job).addrs, [addr(2), addr(12)]);
    farm.reports(job, ran(12));
    both(&mut farm);
    farm.asks(job, "+zeroconf", &[]);
    assert_eq!(farm.placement(job).addrs, [addr(12), addr(2)]);
}

/// Host 3, which answers, and after it 600 inventions, some of them at its address.
fn flood(farm: &mut Farm) {
    farm.hears(up(3));
    farm.answer_hellos(&[(2, SAME), (3, SAME)], &[]);
    for number in 0..600 {
        let Heard::Up(mut peer) = up(4 + u8::try_from(number % 250).unwrap()) else {
            unreachable!("it is up")
        };
        let id = 1000 + number;
        peer.instance = format!("distcc@fake{id}");
        peer.host = format!("fake{id}");
        peer.txt.id = Some(NodeId(id));
        if number % 2 == 0 {
            peer.addrs[0].addr = SocketAddr::from(([10, 77, 0, 2], 4000));
        }
        peer.port = peer.addrs[0].addr.port();
        farm.hears(Heard::Up(peer));
    }
}

#[test]
fn a_flood_of_inventions_is_asked_a_few_at_a_time_and_in_nobodys_way() {
    let mut farm = Farm::settled_with_h2(SAME);
    flood(&mut farm);
    assert_eq!(farm.todo.len(), 32);
    let at_h2 = |action: &&Action| match action {
        Action::Hello(_, addrs, _) => addrs.contains(&SocketAddr::from(([10, 77, 0, 2], 4000))),
        _ => false,
    };
    assert_eq!(farm.todo.iter().filter(at_h2).count(), 1);
    let under_way = std::mem::take(&mut farm.todo);
    farm.pass(PROOF);
    let job = farm.job("+zeroconf");
    assert_eq!(farm.todo.len(), 2, "those that have answered before are asked at once");
    farm.answer_hellos(&[(2, SAME), (3, SAME)], &[]);
    farm.placement(job);
    farm.todo = under_way;
    for _ in 0..700 {
        assert!(farm.todo.len() <= 34, "{}", farm.todo.len());
        farm.answer_hellos(&[(2, SAME), (3, SAME)], &[]);
    }
    assert!(farm.todo.is_empty(), "everyone had a turn");
    farm.pass(SETTLED);
    assert_eq!(farm.todo.len(), 32, "and has another, since somebody is connected");
    // A new host goes before those that were silent once.
    farm.hears(up(254));
    for _ in 0..2 {
        farm.answer_hellos(&[(254, SAME)], &[]);
    }
    let shown = farm.show("+zeroconf").unwrap_or_else(|| {
        farm.pass(Duration::from_secs(5));
        match farm.answers.pop() {
            Some((_, AgentMessage::Hosts(answer))) => answer,
            other => panic!("not hosts: {other:?}"),
        }
    });
    let usable = shown.lines.iter().filter(|line| line.addr == "10.77.0.254:3632").count();
    assert_eq!(usable, 1);
    assert_eq!(shown.lines.len(), 3 + 8);
    assert!(shown.unanswered > 400, "{}", shown.unanswered);
}

#[test]
fn of_many_hosts_only_those_that_may_be_needed_are_asked_and_all_are_used() {
    let mut farm = Farm::settled_with_h2(SAME);
    let all: Vec<(u8, &[(&str, &str)])> = (2..200).map(|last| (last, SAME)).collect();
    for (last, _) in &all[1..] {
        farm.hears(up(*last));
    }
    while !farm.todo.is_empty() {
        farm.answer_hellos(&all, &[]);
    }
    farm.pass(PROOF);
    let first = farm.job("+zeroconf");
    assert_eq!(farm.todo.len(), 128);
    farm.answer_hellos(&all, &[]);
    assert!(farm.todo.is_empty(), "nobody else is asked for one job: {:?}", farm.todo);
    let mut used = vec![farm.placement(first).addrs];
    farm.books.preprocessed(farm.now, first);
    for _ in 1..all.len() {
        let job = farm.job("+zeroconf");
        farm.answer_hellos(&all, &[]);
        used.push(farm.placement(job).addrs);
        farm.books.preprocessed(farm.now, job);
    }
    used.sort();
    used.dedup();
    assert_eq!(used.len(), all.len(), "each gets a job before one gets two");
}

#[test]
fn an_invention_that_is_forgotten_leaves_room_for_the_next() {
    let mut farm = Farm::settled_with_h2(SAME);
    flood(&mut farm);
    for _ in 0..3 {
        flood(&mut farm);
        farm.answer_hellos(&[(2, SAME), (3, SAME)], &[]);
    }
    assert_eq!(farm.todo.len(), 32);
}

#[test]
fn jobs_at_an_address_that_their_host_has_left_are_recalled() {
    let mut farm = Farm::settled_with_h2(SAME);
    let job = farm.job("+zeroconf");
    let place = farm.placement(job).key;
    let Heard::Up(mut moved) = up(2) else { unreachable!("it is up") };
    moved.addrs[0].addr = addr(12);
    farm.hears(Heard::Up(moved));
    assert!(farm.answers.is_empty(), "a record is no proof");
    farm.pass(PROOF);
    let todo = std::mem::take(&mut farm.todo);
    for action in todo {
        let Action::Hello(key, addrs, _) = action else { panic!("{action:?}") };
        assert_eq!(addrs, [addr(12)]);
        let answer = Answer::Ours(Some(addr(12)), Box::new(hello(2, SAME)));
        farm.books.peer_answered(farm.now, key, answer);
    }
    farm.collect();
    assert_eq!(recalled(&mut farm, job, place), "it has moved to another address");
    farm.reports(job, JobReport::HostFailed { reason: "recalled".to_owned() });
    assert!(farm.todo.is_empty(), "that was not its fault");
    farm.asks(job, "+zeroconf", &[]);
    assert_eq!(farm.placement(job).addrs, [addr(12)]);
}

#[test]
fn jobs_sent_from_an_address_that_this_machine_has_no_more_are_recalled() {
    let mut farm = Farm::settled_with_h2(SAME);
    let job = farm.job("+zeroconf");
    let place = farm.placement(job).key;
    let former = farm.books.scene.interfaces.clone();
    farm.moves_to("10.77.0.101");
    farm.books.recall_sent_from(&former);
    farm.collect();
    assert_eq!(recalled(&mut farm, job, place), "this machine has moved to another address");
    farm.books.scene.interfaces.clear();
    farm.books.recall_sent_from(&former);
    farm.collect();
    assert!(farm.answers.is_empty(), "a link that is down may be up in time");
}

/// Says that it is at the address of host `last`.
fn invention(number: u32, last: u8) -> Heard {
    let Heard::Up(mut peer) = up(last) else { unreachable!("it is up") };
    (peer.instance, peer.host) = (format!("distcc@new{number}"), format!("new{number}"));
    peer.txt.id = Some(NodeId(2000 + number));
    Heard::Up(peer)
}

#[test]
fn a_new_host_is_asked_before_inventions_at_addresses_where_nobody_answered() {
    let mut farm = Farm::settled_with_h2(SAME);
    let _connected = farm.client();
    flood(&mut farm);
    for _ in 0..12 {
        farm.answer_hellos(&[(2, SAME), (3, SAME)], &[]);
    }
    // These were never asked either, and were heard before it.
    for number in 0..200 {
        farm.hears(invention(number, 50 + u8::try_from(number % 50).unwrap()));
    }
    farm.hears(up(254));
    farm.answer_hellos(&[(2, SAME), (3, SAME)], &[]);
    let asked = farm.todo.iter().any(|action| match action {
        Action::Hello(_, addrs, patience) => {
            addrs.contains(&addr(254)) && *patience == Patience::Short
        }
        _ => false,
    });
    assert!(asked, "it is its turn next");
}

#[test]
fn a_host_at_whose_address_an_invention_was_asked_is_known_by_its_answer() {
    let mut farm = Farm::settled_with_h2(SAME);
    for number in 0..5 {
        farm.hears(invention(number, 7));
    }
    farm.hears(up(7));
    assert_eq!(farm.todo.len(), 1, "one machine is asked one question at a time");
    farm.answer_hellos(&[(2, SAME), (7, SAME)], &[]);
    let shown = farm.books.peers.values().filter(|peer| peer.pulse.has_answered());
    let names: Vec<&str> = shown.map(|peer| peer.name.as_str()).collect();
    assert_eq!(names, ["h2", "h7"]);
}

#[test]
fn the_list_is_shown_although_a_crowd_was_never_asked() {
    let mut farm = Farm::settled_with_h2(SAME);
    flood(&mut farm);
    farm.answer_hellos(&[(2, SAME), (3, SAME)], &[]);
    let shown = farm.show("+zeroconf").expect("shown at once");
    assert_eq!(shown.lines.iter().filter(|line| line.verdicts[0].usable).count(), 2);
}

#[test]
fn a_route_that_makes_a_tunnel_a_link_ends_no_job() {
    let mut farm = Farm::new();
    let mut tunnel = farm.books.scene.interfaces[0].clone();
    tunnel.kind = Kind::Virtual;
    let stands = |farm: &mut Farm, tunnel: Interface| {
        let scene = Scene::new(vec![tunnel], Vec::new(), &KnownNetworks::default());
        farm.books.stands(farm.now, scene);
        farm.collect();
    };
    stands(&mut farm, tunnel.clone());
    let job = farm.job("10.77.0.2");
    farm.answer_hellos(&[(2, SAME)], &[]);
    farm.placement(job);
    stands(&mut farm, Interface { kind: Kind::Link, ..tunnel });
    assert!(farm.answers.is_empty() && farm.todo.is_empty(), "{:?}", farm.answers);
}
