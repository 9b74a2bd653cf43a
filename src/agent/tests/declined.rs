//! Hosts of ours that refuse jobs and say why.

use std::time::Duration;

use super::super::ask::Answer;
use super::super::books::Action;
use super::farm::{Farm, SETTLED, addr, hello, up};
use crate::wire::control::{GIVES_REASONS, HelloReply, JobReport};
use crate::wire::refusal::{Refusal, Scope};

const SAME: &[(&str, &str)] = &[("gcc", "12.2.0")];

fn said(scope: Scope) -> JobReport {
    JobReport::Declined(Refusal::new(scope, "so it says"))
}

/// h2 and h3, which have our gcc and give reasons.
fn two_hosts() -> Farm {
    let mut farm = Farm::new();
    let first = farm.job("+zeroconf");
    farm.hears(up(2));
    farm.hears(up(3));
    hellos_answered(&mut farm, 1);
    farm.pass(SETTLED);
    farm.leaves(first);
    farm.answers.clear();
    farm.todo.clear();
    farm
}

fn hellos_answered(farm: &mut Farm, generation: u64) {
    while let Some(at) = farm.todo.iter().position(|action| matches!(action, Action::Hello(..))) {
        let Action::Hello(key, addrs, _) = farm.todo.remove(at) else { unreachable!() };
        let last = if addrs[0] == addr(2) { 2 } else { 3 };
        let features = vec![GIVES_REASONS.to_owned()];
        let reply = HelloReply { generation, features, ..hello(last, SAME) };
        farm.books.peer_answered(farm.now, key, Answer::Ours(Some(addrs[0]), Box::new(reply)));
        farm.collect();
    }
}

/// A job that its first host refuses; where it went.
fn refused_once(farm: &mut Farm, scope: Scope) -> u64 {
    let id = farm.job("+zeroconf");
    let first = farm.placement(id);
    assert!(first.gives_reasons);
    farm.reports(id, said(scope));
    farm.asks(id, "+zeroconf", &[first.key]);
    hellos_answered(farm, 1);
    assert_ne!(farm.placement(id).key, first.key);
    farm.leaves(id);
    first.key
}

/// The hosts that the next two jobs get.
fn next_two(farm: &mut Farm) -> [u64; 2] {
    let ids = [farm.job("+zeroconf"), farm.job("+zeroconf")];
    let keys = ids.map(|id| farm.placement(id).key);
    ids.into_iter().for_each(|id| farm.leaves(id));
    keys
}

#[test]
fn a_host_that_refuses_jobs_with_a_reason_is_never_left_out_for_it() {
    for scope in [Scope::Job, Scope::Word(b"-fnew".to_vec()), Scope::Machine] {
        let mut farm = two_hosts();
        let mut key = 0;
        for _ in 0..9 {
            key = refused_once(&mut farm, scope.clone());
        }
        assert!(next_two(&mut farm).contains(&key), "{scope:?}");
    }
}

#[test]
fn a_refused_compiler_is_looked_for_elsewhere_until_the_hosts_compilers_change() {
    let mut farm = two_hosts();
    let key = refused_once(&mut farm, Scope::Compiler);
    assert!(!next_two(&mut farm).contains(&key));
    let shown = farm.show("+zeroconf").expect("all is known");
    let why = |reason: &str| {
        shown.lines.iter().any(|line| line.verdicts.iter().any(|verdict| verdict.reason == reason))
    };
    assert!(why("it refuses gcc: so it says"), "{shown:?}");
    // Nothing but a job makes it be asked, and not at once.
    farm.pass(Duration::from_secs(16));
    farm.todo.clear();
    let id = farm.job("+zeroconf");
    hellos_answered(&mut farm, 2);
    farm.leaves(id);
    farm.answers.clear();
    assert!(next_two(&mut farm).contains(&key));
}

#[test]
fn refused_words_come_with_every_place_there_for_that_compiler() {
    let mut farm = two_hosts();
    let word = b"-fnew=\x1b".to_vec();
    let key = refused_once(&mut farm, Scope::Word(word.clone()));
    let ids = [farm.job("+zeroconf"), farm.job("+zeroconf")];
    for id in ids {
        let place = farm.placement(id);
        let expected = if place.key == key { vec![word.clone()] } else { Vec::new() };
        assert_eq!(place.refused_words, expected);
    }
    let shown = farm.show("+zeroconf").expect("all is known");
    let reasons: Vec<&str> =
        shown.lines.iter().map(|line| line.verdicts[0].reason.as_str()).collect();
    let tells = reasons.iter().filter(|reason| reason.ends_with("; it refuses -fnew=\\u{1b}"));
    assert_eq!(tells.count(), 1, "{reasons:?}");
}

#[test]
fn a_host_whose_own_faults_end_job_upon_job_is_left_out_and_the_reason_told() {
    let mut farm = Farm::settled_with_h2(SAME);
    for _ in 0..3 {
        let id = farm.job("+zeroconf");
        farm.placement(id);
        farm.reports(id, said(Scope::Fault));
        farm.leaves(id);
    }
    let id = farm.job("+zeroconf");
    let local = farm.local(id);
    assert!(local.contains("its jobs failed: so it says; tried again in 60 s"), "{local}");
}
