//! Stock hosts: what was learned of their compilers, for how long it holds, and for which jobs.

use std::mem;
use std::time::{Duration, SystemTime};

use super::super::ask::{Answer, Contact};
use super::super::books::ClientId;
use super::super::remembered::Memory;
use super::farm::{Farm, SETTLED, addr, gcc, up};
use super::{Action, JobReport, Probed, Transfer};
use crate::discovery::heard::{Heard, HeardAddr, HeardPeer};

const WEEK: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// As [`up`], of a stock daemon whose `cc` is of this version.
fn stock_up(last: u8, cc_version: &str) -> Heard {
    let Heard::Up(mut peer) = up(last) else { unreachable!("it is up") };
    peer.txt.id = None;
    peer.txt.cc_version = cc_version.to_owned();
    Heard::Up(peer)
}

/// The names asked about since the last time; every one of them stands for this gcc.
fn answer_probes(farm: &mut Farm, version: &str) -> Vec<String> {
    let mut asked = Vec::new();
    for action in mem::take(&mut farm.todo) {
        match action {
            Action::Probe(key, _, name) => {
                let known = Probed::Known(Box::new(gcc(version)));
                farm.books.peer_probed(farm.now, key, &name, known);
                asked.push(name);
            }
            other => farm.todo.push(other),
        }
    }
    farm.collect();
    asked
}

fn unmarked_job(farm: &mut Farm) -> ClientId {
    let id = farm.client();
    let mut request = farm.request("+zeroconf", &[]);
    request.unmarked = true;
    farm.asks_for(id, request);
    id
}

/// The stock host 2 is known and its `gcc` is ours; what an agent leaves behind that was told so.
fn settled() -> (Farm, Memory) {
    let mut farm = Farm::new();
    let first = farm.job("+zeroconf");
    farm.hears(stock_up(2, "12"));
    farm.answer_hellos(&[], &[2]);
    assert_eq!(answer_probes(&mut farm, "12.2.0"), ["gcc"]);
    farm.placement(first);
    farm.leaves(first);
    farm.pass(SETTLED);
    let memory = farm.books.worth_remembering(farm.now, SystemTime::now());
    (farm, memory)
}

/// The next agent, so long after.
fn next_agent(memory: &Memory, later: Duration) -> Farm {
    let mut farm = Farm::new();
    let known = memory.networks["10.77.0.0/24"].clone();
    farm.books.recollect(farm.now, SystemTime::now() + later, known);
    farm.books.recollect_listed(farm.now, SystemTime::now() + later, memory.listed.clone());
    farm.collect();
    farm.answer_hellos(&[], &[2]);
    farm
}

#[test]
fn what_the_last_agent_learned_is_used_at_once_and_confirmed_meanwhile() {
    let (_, memory) = settled();
    let mut farm = next_agent(&memory, Duration::from_secs(3600));
    let job = farm.job("+zeroconf");
    assert_eq!(farm.placement(job).compiler, b"gcc");
    let second = farm.job("+zeroconf");
    farm.placement(second);
    assert_eq!(answer_probes(&mut farm, "12.2.0"), ["gcc"], "asked once");
    let third = farm.job("+zeroconf");
    farm.placement(third);
    assert!(answer_probes(&mut farm, "12.2.0").is_empty());
}

#[test]
fn a_host_that_has_another_compiler_since_the_last_agent_gets_nothing_once_it_said_so() {
    let (_, memory) = settled();
    let mut farm = next_agent(&memory, Duration::from_secs(3600));
    let job = farm.job("+zeroconf");
    farm.placement(job);
    assert_eq!(answer_probes(&mut farm, "11.3.0"), ["gcc"]);
    farm.pass(SETTLED);
    let other_names = ["gcc-12", "x86_64-linux-gnu-gcc-12", "x86_64-linux-gnu-gcc"];
    for name in other_names {
        let job = farm.job("+zeroconf");
        assert!(farm.local(job).contains("being asked"));
        farm.leaves(job);
        assert_eq!(answer_probes(&mut farm, "11.3.0"), [name]);
    }
    let job = farm.job("+zeroconf");
    assert_eq!(farm.local(job), "its only host is left out: gcc 12.2.0 here, 11.3.0 there");
}

#[test]
fn what_is_too_old_or_contradicted_by_the_advert_is_not_used() {
    let (mut first, memory) = settled();
    let mut farm = next_agent(&memory, WEEK + Duration::from_secs(60));
    let job = farm.job("+zeroconf");
    assert!(farm.answer(job).is_none());
    assert_eq!(answer_probes(&mut farm, "12.2.0"), ["gcc"]);
    farm.placement(job);

    let mut farm = next_agent(&memory, Duration::from_secs(60));
    farm.hears(stock_up(2, "12"));
    farm.answer_hellos(&[], &[2]);
    let job = farm.job("+zeroconf");
    farm.placement(job);
    farm.leaves(job);
    assert_eq!(answer_probes(&mut farm, "12.2.0"), ["gcc"]);

    let mut farm = next_agent(&memory, Duration::from_secs(60));
    for farm in [&mut farm, &mut first] {
        farm.hears(stock_up(2, "11"));
        farm.answer_hellos(&[], &[2]);
        let job = farm.job("+zeroconf");
        assert!(
            farm.answer(job).is_none_or(|answer| format!("{answer:?}").contains("being asked"))
        );
        assert_eq!(answer_probes(farm, "11.3.0"), ["gcc"]);
    }
}

#[test]
fn a_job_that_nobody_could_check_waits_until_the_name_is_confirmed() {
    let (mut first, memory) = settled();
    let mut farm = next_agent(&memory, Duration::from_secs(3600));
    let job = unmarked_job(&mut farm);
    assert!(farm.answer(job).is_none());
    assert_eq!(answer_probes(&mut farm, "12.2.0"), ["gcc"]);
    assert_eq!(farm.placement(job).compiler, b"gcc");

    let job = unmarked_job(&mut first);
    first.placement(job);
    first.leaves(job);
    assert!(answer_probes(&mut first, "12.2.0").is_empty());
    first.pass(Duration::from_secs(62));
    let job = unmarked_job(&mut first);
    assert!(first.local(job).contains("being asked what its gcc is"));
    assert_eq!(answer_probes(&mut first, "12.2.0"), ["gcc"]);
    let job = unmarked_job(&mut first);
    first.placement(job);
}

#[test]
fn a_host_that_works_is_not_asked_again_and_an_idle_one_is() {
    let (mut farm, _) = settled();
    for _ in 0..10 {
        let job = farm.job("+zeroconf");
        farm.answer_hellos(&[], &[2]);
        farm.placement(job);
        farm.reports(job, JobReport::Ran(Transfer::default()));
        farm.leaves(job);
        farm.pass(Duration::from_secs(40));
    }
    assert!(answer_probes(&mut farm, "12.2.0").is_empty());
    farm.pass(Duration::from_secs(40));
    let job = farm.job("+zeroconf");
    farm.answer_hellos(&[], &[2]);
    farm.placement(job);
    assert_eq!(answer_probes(&mut farm, "12.2.0"), ["gcc"]);
}

#[test]
fn a_host_left_out_for_its_compiler_is_looked_at_again_after_a_while() {
    let mut farm = Farm::new();
    let job = farm.job("10.77.0.2");
    farm.answer_hellos(&[], &[2]);
    while !answer_probes(&mut farm, "11.3.0").is_empty() {}
    assert!(farm.local(job).contains("11.3.0 there"));
    farm.leaves(job);
    farm.pass(Duration::from_secs(500));
    let job = farm.job("10.77.0.2");
    assert!(farm.local(job).contains("11.3.0 there"));
    farm.leaves(job);
    assert!(answer_probes(&mut farm, "12.2.0").is_empty());
    farm.pass(Duration::from_secs(101));
    let job = farm.job("10.77.0.2");
    assert!(farm.local(job).contains("11.3.0 there"));
    farm.leaves(job);
    assert!(answer_probes(&mut farm, "12.2.0").contains(&"gcc".to_owned()));
    let job = farm.job("10.77.0.2");
    farm.placement(job);
}

#[test]
fn one_wrong_object_makes_every_name_of_the_host_doubtful() {
    let (mut farm, _) = settled();
    let job = farm.job("+zeroconf");
    farm.placement(job);
    farm.reports(job, JobReport::WrongCompiler { found: "GCC: 11".to_owned() });
    farm.leaves(job);
    farm.answer_hellos(&[], &[2]);
    let job = farm.job("+zeroconf");
    assert!(farm.local(job).contains("being asked what its gcc is"));
    assert_eq!(answer_probes(&mut farm, "12.2.0"), ["gcc"]);
    let job = farm.job("+zeroconf");
    farm.placement(job);
}

#[test]
fn a_listed_stock_host_is_remembered_too_also_by_an_agent_that_was_not_asked_for_it() {
    let mut farm = Farm::new();
    let job = farm.job("10.77.0.2");
    farm.answer_hellos(&[], &[2]);
    answer_probes(&mut farm, "12.2.0");
    farm.placement(job);
    let memory = farm.books.worth_remembering(farm.now, SystemTime::now());
    assert_eq!(memory.listed.len(), 1);
    let farm = next_agent(&memory, Duration::from_secs(60));
    let memory = farm.books.worth_remembering(farm.now, SystemTime::now());
    let mut farm = next_agent(&memory, Duration::from_secs(60));
    let job = farm.job("10.77.0.2");
    farm.answer_hellos(&[], &[2]);
    assert_eq!(farm.placement(job).compiler, b"gcc");
    assert_eq!(answer_probes(&mut farm, "12.2.0"), ["gcc"]);
    let memory = farm.books.worth_remembering(farm.now, SystemTime::now());
    assert_eq!(memory.listed.len(), 1);
}

#[test]
fn a_busy_host_is_no_dead_one() {
    let (mut farm, memory) = settled();
    farm.pass(Duration::from_secs(62));
    for farm in [&mut farm, &mut next_agent(&memory, Duration::from_secs(60))] {
        let job = farm.job("+zeroconf");
        farm.answer_hellos(&[], &[2]);
        farm.placement(job);
        let Some(Action::Probe(key, _, name)) = farm.todo.pop() else { panic!("not asked") };
        let late = Probed::Late("no answer to a probe job".to_owned());
        farm.books.peer_probed(farm.now, key, &name, late);
        farm.collect();
        let job = farm.job("+zeroconf");
        farm.placement(job);
        assert!(answer_probes(farm, "12.2.0").is_empty());
    }
}

#[test]
fn an_address_that_is_heard_while_the_first_one_is_asked_is_asked_too() {
    let mut farm = Farm::new();
    let job = farm.job("+zeroconf");
    let (Heard::Up(whole), six) = (stock_up(2, "12"), "[fd77::2]:3632".parse().unwrap()) else {
        unreachable!("it is up")
    };
    let six = HeardAddr { addr: six, interface: "eth0".to_owned() };
    let first = HeardPeer { addrs: vec![six.clone()], ..whole.clone() };
    let both = HeardPeer { addrs: [whole.addrs.clone(), vec![six]].concat(), ..whole };
    farm.hears(Heard::Up(first));
    let asked = farm.todo.pop();
    assert!(matches!(&asked, Some(Action::Hello(_, addrs, _)) if addrs.len() == 1), "{asked:?}");
    farm.hears(Heard::Up(both));
    let Some(Action::Hello(key, _, _)) = asked else { unreachable!("it was asked") };
    let refused = Answer::Failed("connection refused".to_owned(), Contact::Refused);
    farm.books.peer_answered(farm.now, key, refused);
    farm.collect();
    farm.answer_hellos(&[], &[2]);
    assert_eq!(answer_probes(&mut farm, "12.2.0"), ["gcc"]);
    farm.placement(job);
}

#[test]
fn a_probe_that_was_cut_off_is_repeated_once_the_host_answers_again() {
    let mut farm = Farm::new();
    let job = farm.job("10.77.0.2");
    farm.answer_hellos(&[], &[2]);
    let Some(Action::Probe(key, _, name)) = farm.todo.pop() else { panic!("not asked") };
    let cut = Probed::Failed("connection refused".to_owned());
    farm.books.peer_probed(farm.now, key, &name, cut);
    farm.collect();
    assert!(farm.local(job).contains("connection refused"));
    farm.leaves(job);
    farm.pass(Duration::from_secs(2));
    let again = farm.job("10.77.0.2");
    farm.answer_hellos(&[], &[2]);
    if farm.answer(again).is_some() {
        farm.leaves(again);
    }
    let next = farm.job("10.77.0.2");
    assert_eq!(answer_probes(&mut farm, "12.2.0"), ["gcc"]);
    assert_eq!(farm.placement(next).compiler, b"gcc");
}

#[test]
fn a_job_that_cannot_be_checked_goes_only_where_the_stock_host_was_probed() {
    let mut farm = Farm::new();
    let first = farm.job("+zeroconf");
    let Heard::Up(mut twins) = stock_up(2, "12") else { unreachable!("it is up") };
    twins.addrs.push(HeardAddr { addr: addr(3), interface: "eth0".to_owned() });
    farm.hears(Heard::Up(twins));
    farm.answer_hellos(&[], &[2]);
    assert_eq!(answer_probes(&mut farm, "12.2.0"), ["gcc"]);
    assert_eq!(farm.placement(first).addrs, [addr(2), addr(3)]);
    let unmarked = unmarked_job(&mut farm);
    assert_eq!(farm.placement(unmarked).addrs, [addr(2)]);
    farm.leaves(first);
    farm.leaves(unmarked);
    // Now the other one answers first.
    farm.pass(Duration::from_secs(15));
    let next = farm.job("+zeroconf");
    farm.answer_hellos(&[], &[3]);
    let Some(Action::Probe(_, at, _)) = farm.todo.last() else { panic!("not asked") };
    assert_eq!(*at, addr(3));
    farm.leaves(next);
}

#[test]
fn a_job_that_stock_hosts_refuse_goes_to_servers_of_ours() {
    let (mut farm, _) = settled();
    let ask = |farm: &mut Farm| {
        let id = farm.client();
        let mut request = farm.request("+zeroconf", &[]);
        request.only_ours = true;
        farm.asks_for(id, request);
        id
    };
    let job = ask(&mut farm);
    let reason = farm.local(job);
    assert!(reason.contains("no server of ours"), "{reason}");
    farm.hears(up(3));
    farm.answer_hellos(&[(3, &[("gcc", "12.2.0")])], &[2]);
    let job = ask(&mut farm);
    assert_eq!(farm.placement(job).addrs, [addr(3)]);
    let any = farm.job("+zeroconf");
    assert_eq!(farm.placement(any).addrs, [addr(2)]);
}
