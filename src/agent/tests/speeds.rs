//! What measured jobs change of those that follow.

use super::super::ask::Probed;
use super::super::books::{Action, ClientId};
use super::SAME;
use super::farm::{Farm, SETTLED, addr, gcc, up};
use crate::policy::networks::{Gateway, KnownNetworks};
use crate::wire::control::{JobReport, Transfer};

/// A job of a MiB over a link of this many Mbit/s.
fn over(mbit: u64) -> JobReport {
    let acked = 1 << 20;
    JobReport::Ran(Transfer { addr: Some(addr(2)), acked, busy_us: acked * 8 / mbit })
}

/// Protocol of the next job, which then ends so.
fn next(farm: &mut Farm, hosts: &str, report: JobReport) -> u32 {
    let id = farm.job(hosts);
    let protocol = farm.placement(id).protocol;
    farm.reports(id, report);
    farm.leaves(id);
    protocol
}

fn token(farm: &mut Farm) -> String {
    farm.show("+zeroconf").unwrap().lines[0].token.clone()
}

fn answer_probe(farm: &mut Farm) {
    let Some(Action::Probe(key, _, name)) = farm.todo.pop() else { panic!("not asked") };
    farm.books.peer_probed(farm.now, key, &name, Probed::Known(Box::new(gcc("12.2.0"))));
    farm.collect();
}

/// A discovered stock host with the same compiler.
fn with_stock() -> Farm {
    let mut farm = Farm::new();
    discover_stock(&mut farm);
    farm
}

fn discover_stock(farm: &mut Farm) {
    let first: ClientId = farm.job("+zeroconf");
    farm.hears(up(2));
    farm.answer_hellos(&[], &[2]);
    answer_probe(farm);
    farm.pass(SETTLED);
    farm.leaves(first);
    farm.answers.clear();
}

#[test]
fn our_host_gets_lzo_until_its_link_is_known_to_be_fast() {
    let mut farm = Farm::settled_with_h2(SAME);
    assert_eq!(next(&mut farm, "+zeroconf", over(100)), 2);
    assert_eq!(next(&mut farm, "+zeroconf", over(100)), 2);
    assert_eq!(token(&mut farm), "10.77.0.2:3632/2,lzo");
    (0..20).for_each(|_| _ = next(&mut farm, "+zeroconf", over(10_000)));
    assert_eq!(next(&mut farm, "+zeroconf", over(10_000)), 1);
    assert_eq!(token(&mut farm), "10.77.0.2:3632/2");
}

#[test]
fn a_discovered_stock_host_gets_lzo_where_its_link_is_slow_unless_it_fails_on_it() {
    let mut farm = with_stock();
    assert_eq!(next(&mut farm, "+zeroconf", over(100)), 1);
    assert_eq!(token(&mut farm), "10.77.0.2:3632/2,lzo");
    assert_eq!(next(&mut farm, "+zeroconf", JobReport::Refused), 2);
    farm.answer_hellos(&[], &[2]);
    assert!(farm.show("+zeroconf").is_none(), "its compiler is asked for again");
    answer_probe(&mut farm);
    assert_eq!(token(&mut farm), "10.77.0.2:3632/2");
}

#[test]
fn what_was_measured_is_not_true_of_another_network() {
    let mut farm = with_stock();
    next(&mut farm, "+zeroconf", over(100));
    assert_eq!(token(&mut farm), "10.77.0.2:3632/2,lzo");
    // The same prefix behind another router, where a machine has the same address.
    let trusting = KnownNetworks { trust_all: true, ..KnownNetworks::default() };
    farm.stands_at("10.77.0.1", Gateway::Mac("52:54:00:00:00:01".to_owned()), &trusting);
    discover_stock(&mut farm);
    assert_eq!(token(&mut farm), "10.77.0.2:3632/2");
}

#[test]
fn the_word_of_the_list_counts_for_a_listed_host() {
    let mut farm = Farm::settled_with_h2(SAME);
    for (hosts, mbit, protocol) in [("10.77.0.2", 20, 1), ("10.77.0.2,lzo", 10_000, 2)] {
        let first = farm.job(hosts);
        farm.answer_hellos(&[(2, SAME)], &[]);
        farm.leaves(first);
        farm.answers.clear();
        for _ in 0..3 {
            assert_eq!(next(&mut farm, hosts, over(mbit)), protocol);
        }
    }
}
