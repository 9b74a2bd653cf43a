//! The tests: a sample of each class, and with LONG=1 all of it.

use crate::attack::{Attack, Expected};
use crate::long;
use crate::run::{have_all, play_all};
use crate::table::{CLASSES, Class};
use crate::wire::Protocol;

/// How many attacks of a class are a sample; they take turns in the protocol.
const SAMPLE: usize = 3;
/// Fewest attacks of a class that count: shown to succeed elsewhere, in both protocols, and to
/// fail here.
const ENOUGH: usize = 8;

#[test]
fn every_class_has_enough_attacks() {
    for class in &CLASSES {
        let counts = |attack: &&Attack| {
            attack.expected == Expected::Fails && attack.protocols == Protocol::BOTH
        };
        let n_counting = class.attacks.iter().filter(counts).count();
        assert!(n_counting >= ENOUGH, "{}: {n_counting}", class.id);
        let mut names: Vec<_> = class.attacks.iter().map(|attack| attack.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), class.attacks.len(), "{}: one name for two", class.id);
    }
}

fn play(id: &str) {
    if !have_all() {
        return;
    }
    let class = CLASSES.iter().find(|class| class.id == id).unwrap();
    let wrong = play_all(class, &chosen(class));
    assert!(wrong.is_empty(), "not as expected:\n{}", wrong.join("\n"));
}

fn chosen(class: &Class) -> Vec<(&Attack, Protocol)> {
    let attacks = class.attacks.iter();
    if long::wanted() {
        return attacks
            .flat_map(|a| a.protocols.iter().map(move |protocol| (a, *protocol)))
            .collect();
    }
    attacks.zip(Protocol::BOTH.into_iter().cycle()).take(SAMPLE).collect()
}

#[test]
fn no_client_chooses_the_program() {
    play("1a");
}

#[test]
fn no_option_runs_code() {
    play("1b");
}

#[test]
fn no_file_of_the_server_is_told() {
    play("1d");
}

#[test]
fn nothing_is_written_outside_the_job() {
    play("1e");
}

#[test]
fn bytes_that_are_no_request_cost_nothing() {
    play("1f");
}

#[test]
fn real_jobs_are_done_all_the_same() {
    play("1g");
}

#[test]
fn nothing_outlives_its_client() {
    play("1h");
}
