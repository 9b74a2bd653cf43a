//! The books as a whole, driven by events with made-up time: who gets what, in which order.

mod declined;
mod farm;
mod health;
mod identity;
mod patience;
mod speeds;
mod ssh;
mod stock;
mod strangers;

use std::rc::Rc;
use std::time::{Duration, SystemTime};

use super::ask::Probed;
use super::books::{Action, ClientId, InForce, Question};
use super::peers::PeerKey;
use crate::discovery::heard::Heard;
use crate::policy::file;
use crate::settings::hosts::DEFAULT_BACKOFF;
use crate::wire::control::{
    AgentMessage, CompilerQuery, HostsText, JobReport, LocalPurpose, PlaceRequest, Placement,
    SshClient, Transfer,
};

use farm::{Farm, SETTLED, addr, gcc, identity, query, up};

const SAME: &[(&str, &str)] = &[("gcc", "12.2.0")];

#[test]
fn the_first_compile_waits_for_the_first_peer_and_no_longer() {
    let mut farm = Farm::new();
    let first = farm.job("+zeroconf");
    assert!(farm.answer(first).is_none());
    farm.hears(up(2));
    assert!(farm.answer(first).is_none());
    farm.answer_hellos(&[(2, SAME)], &[]);
    let placement = farm.placement(first);
    assert_eq!(placement.addrs, [addr(2)]);
    assert_eq!(placement.compiler, b"gcc");
    assert_eq!(placement.protocol, 2);
    assert_eq!(placement.ident.as_deref(), Some("GCC: (Debian 12.2.0) 12.2.0"));
}

#[test]
fn nothing_is_waited_for_once_the_net_is_known_to_have_none() {
    let mut farm = Farm::new();
    let first = farm.job("+zeroconf");
    farm.pass(Duration::from_millis(1100));
    assert!(farm.answer(first).is_none());
    farm.pass(Duration::from_millis(200));
    assert_eq!(farm.local(first), "no host was found on this network");
    let second = farm.job("+zeroconf");
    assert_eq!(farm.local(second), "no host was found on this network");
}

#[test]
fn a_host_with_another_compiler_gets_nothing_and_the_user_is_told_why() {
    let mut farm = Farm::new();
    let job = farm.job("+zeroconf");
    farm.hears(up(3));
    farm.answer_hellos(&[(3, &[("gcc", "11.3.0")])], &[]);
    farm.pass(SETTLED);
    assert_eq!(farm.local(job), "its only host is left out: gcc 12.2.0 here, 11.3.0 there");
    let shown = farm.show("+zeroconf").unwrap();
    assert_eq!(shown.lines[0].verdicts[0].reason, "gcc 12.2.0 here, 11.3.0 there");
    assert_eq!(shown.lines[0].verdicts[0].toolchain, "gcc 11.3.0 x86_64-linux-gnu, as 2.40");
}

#[test]
fn the_name_sent_is_the_one_that_stands_for_the_same_toolchain() {
    let mut farm = Farm::new();
    let job = farm.job("+zeroconf");
    farm.hears(up(5));
    farm.answer_hellos(&[(5, &[("gcc", "11.3.0"), ("gcc-12", "12.2.0")])], &[]);
    assert_eq!(farm.placement(job).compiler, b"gcc-12");
}

#[test]
fn a_place_is_free_when_its_client_dies_and_goes_to_whoever_waited_longest() {
    let mut farm = Farm::settled_with_h2(SAME);
    let jobs: Vec<ClientId> = (0..4).map(|_| farm.job("+zeroconf")).collect();
    farm.placement(jobs[0]);
    farm.placement(jobs[1]);
    assert!(farm.answers.is_empty(), "only two slots there");
    farm.leaves(jobs[1]);
    farm.placement(jobs[2]);
    assert!(farm.answers.is_empty());
    farm.leaves(jobs[3]);
    farm.leaves(jobs[0]);
    assert!(farm.answers.is_empty(), "nobody waits any more");
}

#[test]
fn jobs_at_one_host_have_different_slots() {
    let mut farm = Farm::settled_with_h2(SAME);
    let jobs: Vec<ClientId> = (0..3).map(|_| farm.job("+zeroconf")).collect();
    let slots = |place: Placement| (place.slot, place.local_slot);
    assert_eq!(slots(farm.placement(jobs[0])), (0, 0));
    assert_eq!(slots(farm.placement(jobs[1])), (1, 1));
    farm.leaves(jobs[0]);
    assert_eq!(slots(farm.placement(jobs[2])), (0, 0));
}

#[test]
fn jobs_spread_over_hosts_by_the_part_of_their_slots_in_use() {
    let mut farm = Farm::new();
    let hosts = "10.77.0.2/2 10.77.0.3/1";
    let first = farm.job(hosts);
    farm.answer_hellos(&[(2, SAME), (3, SAME)], &[]);
    let second = farm.job(hosts);
    let third = farm.job(hosts);
    let placed = [first, second, third].map(|id| farm.placement(id).host);
    assert_eq!(placed, ["10.77.0.2/2", "10.77.0.3/1", "10.77.0.2/2"]);
}

#[test]
fn preprocessors_and_local_compiles_never_exceed_the_cores() {
    let mut farm = Farm::settled_with_h2(SAME);
    let remote = farm.job("+zeroconf");
    farm.placement(remote);
    let local: Vec<ClientId> = (0..6).map(|_| farm.client()).collect();
    for id in &local {
        farm.books.asks(farm.now, *id, Question::Local(LocalPurpose::Compile, Some(99)));
    }
    farm.collect();
    assert_eq!(farm.answers.len(), 3, "four cores, one of them preprocesses");
    farm.books.preprocessed(farm.now, remote);
    farm.collect();
    assert_eq!(farm.answers.len(), 4);
    farm.leaves(local[0]);
    assert_eq!(farm.answers.len(), 5);
}

#[test]
fn a_failed_host_is_replaced_before_the_job_falls_back() {
    let mut farm = Farm::new();
    let hosts = "10.77.0.2 10.77.0.3";
    let job = farm.job(hosts);
    farm.answer_hellos(&[(2, SAME), (3, SAME)], &[]);
    let first = farm.placement(job);
    farm.reports(job, JobReport::HostFailed { reason: "connection reset".to_owned() });
    farm.asks(job, hosts, &[first.key]);
    let second = farm.placement(job);
    assert_ne!(first.host, second.host);
    farm.reports(job, JobReport::HostFailed { reason: "connection reset".to_owned() });
    farm.asks(job, hosts, &[first.key, second.key]);
    assert_eq!(farm.local(job), "every host that could take it failed");
}

#[test]
fn a_failed_host_is_asked_again_and_used_as_soon_as_it_answers() {
    let mut farm = Farm::settled_with_h2(SAME);
    let job = farm.job("+zeroconf");
    farm.placement(job);
    farm.reports(job, JobReport::HostFailed { reason: "connection reset".to_owned() });
    farm.leaves(job);
    let job = farm.job("+zeroconf");
    assert!(farm.local(job).contains("does not answer: connection reset"));
    farm.answer_hellos(&[(2, SAME)], &[]);
    let job = farm.job("+zeroconf");
    farm.placement(job);
}

#[test]
fn a_host_that_answers_and_breaks_every_job_is_left_out_for_a_minute() {
    let mut farm = Farm::settled_with_h2(SAME);
    for _ in 0..3 {
        let job = farm.job("+zeroconf");
        farm.placement(job);
        farm.reports(job, JobReport::HostFailed { reason: "connection reset".to_owned() });
        farm.leaves(job);
        farm.answer_hellos(&[(2, SAME)], &[]);
    }
    let job = farm.job("+zeroconf");
    assert_eq!(
        farm.local(job),
        "its only host is left out: its jobs failed: connection reset; tried again in 60 s"
    );
    farm.leaves(job);
    farm.pass(Duration::from_secs(61));
    let job = farm.job("+zeroconf");
    farm.answer_hellos(&[(2, SAME)], &[]);
    farm.placement(job);
}

#[test]
fn a_wrong_object_stops_jobs_there_until_the_host_has_said_what_it_is() {
    let for_arm = || "for arm (32-bit, little-endian)".to_owned();
    for (report, reason) in [
        (JobReport::WrongCompiler { found: "GCC: 11.3.0".to_owned() }, "marked \"GCC: 11.3.0\""),
        (JobReport::WrongMachine { found: for_arm() }, "for arm (32-bit, little-endian)"),
    ] {
        let mut farm = Farm::settled_with_h2(SAME);
        for _ in 0..2 {
            let job = farm.job("+zeroconf");
            farm.placement(job);
            farm.reports(job, report.clone());
            farm.leaves(job);
            let job = farm.job("+zeroconf");
            farm.local(job);
            farm.leaves(job);
            farm.answer_hellos(&[(2, SAME)], &[]);
        }
        let job = farm.job("+zeroconf");
        let expected = format!("its only host is left out: its gcc made objects {reason}");
        assert_eq!(farm.local(job), expected);
    }
}

#[test]
fn a_stock_host_is_asked_name_by_name_until_one_fits() {
    let mut farm = Farm::new();
    let job = farm.job("10.77.0.9");
    farm.answer_hellos(&[], &[9]);
    let mut asked = Vec::new();
    while let Some(Action::Probe(key, _, name)) = farm.todo.pop() {
        let probed = match name.as_str() {
            "gcc" => Probed::Known(Box::new(gcc("11.3.0"))),
            "gcc-12" => Probed::Known(Box::new(gcc("12.2.0"))),
            _ => Probed::Absent,
        };
        asked.push(name.clone());
        farm.books.peer_probed(farm.now, key, &name, probed);
        farm.collect();
    }
    assert_eq!(farm.placement(job).compiler, b"gcc-12");
    assert_eq!(asked[0], "gcc");
    let again = farm.job("10.77.0.9");
    assert_eq!(farm.placement(again).compiler, b"gcc-12");
    assert!(farm.todo.is_empty(), "what is known is not asked again");
}

#[test]
fn a_broken_policy_distributes_nothing_and_says_so_once_a_minute() {
    let mut farm = Farm::new();
    let problems = file::parse("[match]\ngcc = 12", "policy.toml").unwrap_err();
    let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
    farm.policy = InForce { policy: Err(problems.clone()), origin: "policy.toml".to_owned() };
    let warned = |farm: &mut Farm| {
        let id = farm.job("10.77.0.2");
        let answer = farm.answer(id);
        farm.leaves(id);
        match answer {
            Some(AgentMessage::Local(place)) => place.warnings,
            other => panic!("not local: {other:?}"),
        }
    };
    assert_eq!(warned(&mut farm), problems);
    assert_eq!(warned(&mut farm), [""; 0]);
    farm.pass(Duration::from_secs(61));
    assert_eq!(warned(&mut farm), problems);
    assert!(farm.todo.is_empty(), "nobody is even asked");
}

#[test]
fn an_edited_policy_holds_for_the_next_job_also_while_others_wait() {
    let mut farm = Farm::settled_with_h2(SAME);
    let policy = |action: &str| {
        let text = format!("[[rule]]\naction = \"{action}\"");
        let policy = file::parse(&text, "policy.toml").unwrap();
        InForce { policy: Ok(Rc::new(policy)), origin: "policy.toml".to_owned() }
    };
    farm.policy = policy("deny");
    let first = farm.job("--localslots=1 +zeroconf");
    assert!(farm.local(first).contains("denied by rule 1"));
    let waits = farm.job("--localslots=1 +zeroconf");
    assert!(farm.answer(waits).is_none());
    farm.policy = policy("allow");
    let next = farm.job("--localslots=1 +zeroconf");
    assert_eq!(farm.placement(next).addrs, [addr(2)]);
}

#[test]
fn a_compiler_that_could_not_be_told_is_asked_again_by_a_later_job() {
    let mut farm = Farm::settled_with_h2(SAME);
    farm.todo.clear();
    farm.books.identified(farm.now, query(), Err("it did not end within 20 s".to_owned()));
    let job_is_local = |farm: &mut Farm| {
        farm.books.recalled(farm.now, &query(), None);
        let job = farm.job("+zeroconf");
        assert_eq!(farm.local(job), "it did not end within 20 s");
        farm.leaves(job);
        farm.todo.len()
    };
    assert_eq!(job_is_local(&mut farm), 0);
    farm.pass(Duration::from_secs(11));
    assert_eq!(job_is_local(&mut farm), 1);
    assert_eq!(job_is_local(&mut farm), 1, "asked once");
    farm.books.identified(farm.now, query(), Ok(identity()));
    let job = farm.job("+zeroconf");
    farm.placement(job);
}

#[test]
fn a_warning_is_given_to_a_job_that_had_to_wait_for_its_slot() {
    let mut farm = Farm::new();
    let problem = "policy.toml:1: wrong".to_owned();
    farm.policy = InForce { policy: Err(vec![problem.clone()]), origin: "policy.toml".to_owned() };
    let first = farm.job("--localslots=1 localhost");
    assert!(farm.answer(first).is_some());
    farm.pass(Duration::from_secs(61));
    let waits = farm.job("--localslots=1 localhost");
    assert!(farm.answer(waits).is_none());
    farm.leaves(first);
    match farm.answer(waits) {
        Some(AgentMessage::Local(place)) => assert_eq!(place.warnings, [problem]),
        other => panic!("not local: {other:?}"),
    }
}

#[test]
fn a_listed_host_that_is_discovered_too_is_one_host() {
    let mut farm = Farm::new();
    farm.hears(up(2));
    farm.job("10.77.0.2/3 +zeroconf");
    farm.answer_hellos(&[(2, SAME)], &[]);
    farm.pass(SETTLED);
    let shown = farm.show("10.77.0.2/3 +zeroconf").unwrap();
    assert_eq!(shown.lines.len(), 1);
    assert_eq!(shown.lines[0].source, "hosts");
}

#[test]
fn this_machine_is_not_its_own_remote_host() {
    let mut farm = Farm::new();
    farm.moves_to("10.77.0.2");
    farm.hears(up(2));
    farm.answer_hellos(&[(2, SAME)], &[]);
    let job = farm.job("+zeroconf");
    farm.pass(SETTLED);
    assert_eq!(farm.local(job), "its only host is left out: this machine itself");
}

#[test]
fn peers_of_a_network_that_this_machine_has_left_get_no_jobs_and_are_not_filed_under_the_next() {
    let mut farm = Farm::settled_with_h2(SAME);
    let filed = |farm: &Farm| {
        let memory = farm.books.worth_remembering(farm.now, SystemTime::now());
        let networks = memory.networks.into_iter();
        networks.map(|(network, peers)| (network, peers.len())).collect::<Vec<_>>()
    };
    assert_eq!(filed(&farm), [("10.77.0.0/24".to_owned(), 1)]);
    farm.moves_to("10.78.0.1");
    let job = farm.job("+zeroconf");
    farm.pass(SETTLED);
    assert_eq!(farm.local(job), "no host was found on this network");
    assert_eq!(filed(&farm), [("10.78.0.0/24".to_owned(), 0)]);
}

#[test]
fn a_goodbye_is_believed_only_if_the_host_is_silent_too() {
    let mut farm = Farm::settled_with_h2(SAME);
    let goodbye = || Heard::Gone { instance: "distcc@h2".to_owned() };
    farm.hears(goodbye());
    farm.answer_hellos(&[(2, SAME)], &[]);
    let job = farm.job("+zeroconf");
    farm.placement(job);
    farm.leaves(job);
    farm.hears(up(2));
    farm.answer_hellos(&[(2, SAME)], &[]);
    farm.hears(goodbye());
    farm.answer_hellos(&[], &[]);
    let job = farm.job("+zeroconf");
    assert!(farm.local(job).contains("does not answer"));
    for _ in 0..6 {
        farm.pass(Duration::from_secs(8));
        farm.answer_hellos(&[], &[]);
    }
    assert_eq!(farm.books.peers.len(), 0, "forgotten");
}

#[test]
fn a_stock_host_that_said_goodbye_is_asked_its_names_again_however_soon_it_is_back() {
    let mut farm = Farm::new();
    farm.job("+zeroconf");
    farm.hears(up(2));
    farm.answer_hellos(&[], &[2]);
    let Some(Action::Probe(key, _, name)) = farm.todo.pop() else { panic!("not asked") };
    farm.books.peer_probed(farm.now, key, &name, Probed::Known(Box::new(gcc("12.2.0"))));
    farm.collect();
    assert_eq!(farm.answers.len(), 1, "placed");
    farm.pass(SETTLED);
    farm.hears(Heard::Gone { instance: "distcc@h2".to_owned() });
    farm.hears(up(2));
    farm.answer_hellos(&[], &[2]);
    let job = farm.job("+zeroconf");
    assert!(farm.local(job).contains("being asked what its gcc is"));
}

#[test]
fn a_silent_listed_host_is_dialled_only_when_a_list_names_it_again() {
    let mut farm = Farm::new();
    let job = farm.job("10.77.0.2");
    farm.answer_hellos(&[], &[]);
    assert!(farm.local(job).contains("does not answer"));
    farm.leaves(job);
    assert_eq!(farm.books.next_deadline(farm.now), None, "nobody would use it");
    farm.pass(Duration::from_secs(60));
    assert!(farm.todo.is_empty());
    let job = farm.job("10.77.0.2");
    assert!(farm.local(job).contains("does not answer"));
    farm.leaves(job);
    farm.answer_hellos(&[(2, SAME)], &[]);
    let job = farm.job("10.77.0.2");
    farm.placement(job);
}

#[test]
fn hosts_and_compilers_of_ever_new_requests_are_not_kept_for_ever() {
    let mut farm = Farm::new();
    let held = farm.job("10.77.0.2");
    farm.answer_hellos(&[(2, SAME)], &[]);
    farm.placement(held);
    for n in 0..600 {
        let id = farm.client();
        let request = PlaceRequest {
            hosts: HostsText {
                origin: String::new(),
                text: format!("10.78.{}.{}", n / 250, n % 250),
            },
            compiler: CompilerQuery { search_path: format!("/{n}").into_bytes(), ..query() },
            avoid: Vec::new(),
            policy: None,
            may_fall_back: true,
            unmarked: false,
            only_ours: false,
            ssh: SshClient::default(),
            backoff: DEFAULT_BACKOFF,
        };
        let compiler = request.compiler.clone();
        farm.books.identified(farm.now, compiler, Ok(identity()));
        farm.books.asks(farm.now, id, Question::Place(request, farm.policy.clone()));
        farm.leaves(id);
    }
    assert!(farm.books.peers.len() <= 65, "{}", farm.books.peers.len());
    assert_eq!(farm.books.peers.len(), farm.books.listed.len());
    assert!(farm.books.compilers.len() <= 257, "{}", farm.books.compilers.len());
    assert_eq!(farm.books.peers[&PeerKey(1)].in_use, 1, "what is used is kept");
}

#[test]
fn a_listed_localhost_takes_part_and_is_no_fallback() {
    let mut farm = Farm::new();
    let id = farm.job("localhost/1");
    match farm.answer(id) {
        Some(AgentMessage::Local(place)) => assert!(place.listed),
        other => panic!("not local: {other:?}"),
    }
    let waits = farm.job("localhost/1");
    assert!(farm.answer(waits).is_none());
    farm.leaves(id);
    assert!(farm.answer(waits).is_some());
}

#[test]
fn problems_of_a_host_list_are_named_while_the_rest_is_used() {
    let mut farm = Farm::new();
    let job = farm.job("10.77.0.2 bad:port");
    farm.answer_hellos(&[(2, SAME)], &[]);
    let placement = farm.placement(job);
    assert_eq!(placement.warnings.len(), 1);
    assert!(placement.warnings[0].starts_with("$DISTCC_HOSTS:1: \"bad:port\": expected "));
    let next = farm.job("10.77.0.2 bad:port");
    assert_eq!(farm.placement(next).warnings, [""; 0]);
}

#[test]
fn places_are_counted_down_to_none_after_many_jobs_however_they_end() {
    let mut farm = Farm::settled_with_h2(SAME);
    for round in 0..200 {
        let id = farm.job("+zeroconf");
        farm.placement(id);
        match round % 4 {
            0 => farm.reports(id, JobReport::Ran(Transfer::default())),
            1 => farm.reports(id, JobReport::Abandoned),
            2 => farm.books.preprocessed(farm.now, id),
            _ => {}
        }
        farm.leaves(id);
    }
    let peer = &farm.books.peers[&PeerKey(1)];
    assert_eq!(peer.in_use, 0);
    assert!(farm.books.is_idle());
    let locals: Vec<ClientId> = (0..4).map(|_| farm.client()).collect();
    for id in locals {
        farm.books.asks(farm.now, id, Question::Local(LocalPurpose::Compile, None));
    }
    farm.collect();
    assert_eq!(farm.answers.len(), 4);
}
