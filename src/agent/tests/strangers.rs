//! Networks that are new to the user: what discovered hosts there get, and what the user is told.

use std::net::SocketAddr;
use std::time::Duration;

use ipnet::IpNet;

use super::super::books::ClientId;
use super::farm::{Farm, SETTLED, addr, hello, up};
use super::{Action, SAME};
use crate::agent::ask::Answer;
use crate::agent::scene::Scene;
use crate::discovery::heard::{Heard, HeardAddr, HeardPeer};
use crate::discovery::interfaces::{Interface, Kind};
use crate::discovery::networks::Network;
use crate::policy::file;
use crate::policy::networks::{Gateway, KnownNetworks, NetworkId};
use crate::wire::control::{AgentMessage, Hint};

const CAFE: &str = "10.77.0.0/24@02:00:00:00:00:01";
const HELD: &str = "new network 10.77.0.0/24@02:00:00:00:00:01: distcc --trust-network lets its \
                    hosts compile for you";

fn cafe() -> Gateway {
    Gateway::Mac("02:00:00:00:00:01".to_owned())
}

/// Hosts 2 and 3, the second with another gcc, in a café of which this is known.
fn farm_in_cafe(gateway: Gateway, known: &KnownNetworks) -> Farm {
    let mut farm = Farm::new();
    farm.stands_at("10.77.0.1", gateway, known);
    let first = farm.job("+zeroconf");
    farm.hears(up(2));
    farm.hears(up(3));
    farm.answer_hellos(&[(2, SAME), (3, &[("gcc", "11.3.0")])], &[]);
    farm.leaves(first);
    farm.answers.clear();
    farm
}

/// Why a job runs here, and the hint that came with it.
fn local_with_hint(farm: &mut Farm) -> (String, Option<Hint>) {
    let job = farm.job("+zeroconf");
    farm.pass(SETTLED);
    let at = farm.answers.iter().position(|(id, _)| *id == job).unwrap();
    match farm.answers.remove(at).1 {
        AgentMessage::Local(place) => {
            farm.leaves(job);
            (place.reason, place.hint)
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn hosts_of_a_new_network_get_nothing_and_one_hint_is_given() {
    let mut farm = farm_in_cafe(cafe(), &KnownNetworks::default());
    let (reason, hint) = local_with_hint(&mut farm);
    assert_eq!(reason, format!("all 2 hosts are left out, the first: {HELD}"));
    // A host of no use does not count.
    let text = format!(
        "1 machine on this network ({CAFE}) offers to compile; to let it, run: distcc \
         --trust-network"
    );
    assert_eq!(hint, Some(Hint { network: CAFE.to_owned(), text }));
    assert_eq!(local_with_hint(&mut farm).1, None, "within a minute");
    farm.pass(Duration::from_secs(61));
    assert!(local_with_hint(&mut farm).1.is_some(), "nobody has shown it");

    let mut known = KnownNetworks::default();
    let prefixes = vec!["10.77.0.0/24".parse().unwrap()];
    let id = NetworkId { prefixes, gateway: cafe() };
    known.hint_shown(&id);
    farm.stands_at("10.77.0.1", cafe(), &known);
    farm.pass(Duration::from_secs(61));
    assert_eq!(local_with_hint(&mut farm).1, None, "it was shown");

    known.trust(&id, "trusted by the user");
    farm.stands_at("10.77.0.1", cafe(), &known);
    let job = farm.job("+zeroconf");
    farm.answer_hellos(&[(2, SAME)], &[]);
    assert_eq!(farm.placement(job).host, "10.77.0.2:3632");
}

#[test]
fn hosts_are_explained_by_their_network() {
    let mut farm = farm_in_cafe(cafe(), &KnownNetworks::default());
    farm.pass(SETTLED);
    let shown = farm.show("+zeroconf").unwrap();
    let reasons: Vec<&str> =
        shown.lines.iter().map(|line| line.verdicts[0].reason.as_str()).collect();
    assert_eq!(reasons, [HELD, HELD]);
}

#[test]
fn a_network_that_cannot_be_told_is_waited_for_and_never_hinted_at() {
    let mut farm = farm_in_cafe(Gateway::Unidentified, &KnownNetworks::default());
    let job = farm.job("+zeroconf");
    assert!(farm.answer(job).is_none());
    let mut known = KnownNetworks::default();
    let prefixes = vec!["10.77.0.0/24".parse().unwrap()];
    known.trust(&NetworkId { prefixes, gateway: cafe() }, "the first one used");
    farm.stands_at("10.77.0.1", cafe(), &known);
    assert_eq!(farm.placement(job).host, "10.77.0.2:3632");

    let mut farm = farm_in_cafe(Gateway::Unidentified, &known);
    let (reason, hint) = local_with_hint(&mut farm);
    assert!(reason.contains("the network cannot be told yet: its gateway does not answer"));
    assert_eq!(hint, None);
}

#[test]
fn a_listed_host_is_used_on_any_network() {
    let mut farm = farm_in_cafe(cafe(), &KnownNetworks::default());
    farm.pass(SETTLED);
    let job = farm.job("10.77.0.2/3 +zeroconf");
    farm.answer_hellos(&[(2, SAME)], &[]);
    assert_eq!(farm.placement(job).host, "10.77.0.2/3");
}

#[test]
fn only_a_rule_that_names_the_network_lifts_the_hold() {
    for (condition, used) in [("network = '10.77.0.0/24@*'", true), ("host = 'h2'", false)] {
        let mut farm = farm_in_cafe(cafe(), &KnownNetworks::default());
        farm.pass(SETTLED);
        let text = format!("[[rule]]\naction = 'allow'\n{condition}\n");
        farm.policy.policy = Ok(std::rc::Rc::new(file::parse(&text, "policy.toml").unwrap()));
        let job = farm.job("+zeroconf");
        assert_eq!(matches!(farm.answer(job), Some(AgentMessage::Placed(_))), used, "{condition}");
    }
}

fn interface(name: &str, index: u32, addr: &str) -> Interface {
    Interface {
        name: name.to_owned(),
        index,
        addr: addr.parse().unwrap(),
        prefix_len: 24,
        kind: Kind::Link,
    }
}

#[test]
fn hosts_of_a_trusted_network_get_nothing_while_a_new_one_has_the_same_addresses() {
    let prefix: IpNet = "10.77.0.0/24".parse().unwrap();
    let id = |gateway| NetworkId { prefixes: vec![prefix], gateway };
    let mut known = KnownNetworks::default();
    known.trust(&id(Gateway::None), "the first one used");
    let stands = |farm: &mut Farm, wlan0: Gateway, addr: &str| {
        let interfaces = vec![interface("eth0", 2, "10.77.0.1"), interface("wlan0", 3, addr)];
        let networks = vec![
            Network::new(("eth0", 2), id(Gateway::None), None),
            Network::new(("wlan0", 3), id(wlan0), None),
        ];
        farm.books.stands(farm.now, Scene::new(interfaces, networks, &known));
        farm.collect();
    };
    let mut farm = Farm::settled_with_h2(SAME);
    stands(&mut farm, cafe(), "10.77.0.9");
    farm.pass(SETTLED);
    let job = farm.job("+zeroconf");
    assert_eq!(farm.local(job), format!("its only host is left out: {HELD}"));
    farm.leaves(job);
    for (wlan0, addr) in [(cafe(), "10.78.0.9"), (Gateway::None, "10.77.0.9")] {
        stands(&mut farm, wlan0, addr);
        let job = farm.job("+zeroconf");
        farm.answer_hellos(&[(2, SAME)], &[]);
        farm.placement(job);
        farm.leaves(job);
    }
}

/// Host 2, on the trusted network of eth0, and whoever says in the café that he is that host too.
fn farm_with_an_impostor() -> Farm {
    let prefix = |text: &str| vec![text.parse::<IpNet>().unwrap()];
    let home = NetworkId { prefixes: prefix("10.77.0.0/24"), gateway: Gateway::None };
    let cafe = NetworkId { prefixes: prefix("10.9.0.0/24"), gateway: cafe() };
    let mut known = KnownNetworks::default();
    known.trust(&home, "the first one used");
    let interfaces = vec![interface("eth0", 2, "10.77.0.1"), interface("wlan0", 3, "10.9.0.1")];
    let networks =
        vec![Network::new(("eth0", 2), home, None), Network::new(("wlan0", 3), cafe, None)];
    let mut farm = Farm::new();
    farm.books.stands(farm.now, Scene::new(interfaces, networks, &known));
    farm.job("+zeroconf");
    farm
}

fn impostor() -> HeardAddr {
    HeardAddr { addr: "10.9.0.66:3632".parse().unwrap(), interface: "wlan0".to_owned() }
}

fn asked_addrs(farm: &Farm) -> Vec<Vec<SocketAddr>> {
    let asked = farm.todo.iter().filter_map(|action| match action {
        Action::Hello(_, addrs, _) => Some(addrs.clone()),
        _ => None,
    });
    asked.collect()
}

#[test]
fn nobody_on_a_new_network_speaks_for_a_host_of_a_trusted_one() {
    let mut farm = farm_with_an_impostor();
    let Heard::Up(mut both) = up(2) else { unreachable!("it is up") };
    both.addrs.insert(0, impostor());
    farm.hears(Heard::Up(both.clone()));
    assert_eq!(asked_addrs(&farm), [[addr(2)]]);

    // The impostor is heard first.
    let mut farm = farm_with_an_impostor();
    let alone = HeardPeer { addrs: vec![impostor()], ..both.clone() };
    farm.hears(Heard::Up(alone));
    let Some(Action::Hello(key, _, _)) = farm.todo.pop() else { panic!("not asked") };
    let lie = Box::new(hello(2, SAME));
    farm.books.peer_answered(farm.now, key, Answer::Ours(Some(impostor().addr), lie));
    farm.collect();
    farm.hears(Heard::Up(both));
    assert_eq!(asked_addrs(&farm), [[addr(2)]]);
    let job = farm.job("+zeroconf");
    farm.answer_hellos(&[(2, &[("gcc", "11.3.0")])], &[]);
    farm.pass(SETTLED);
    let reason = "its only host is left out: gcc 12.2.0 here, 11.3.0 there";
    assert_eq!(farm.local(job), reason);
}

/// Only the café is trusted, and this job is on its way to host 2 there.
fn trusted_cafe_with_job() -> (Farm, ClientId, KnownNetworks) {
    let mut known = KnownNetworks::default();
    let prefixes = vec!["10.77.0.0/24".parse().unwrap()];
    known.trust(&NetworkId { prefixes, gateway: cafe() }, "trusted by the user");
    let mut farm = farm_in_cafe(cafe(), &known);
    farm.pass(SETTLED);
    let job = farm.job("+zeroconf");
    farm.placement(job);
    farm.todo.clear();
    (farm, job, known)
}

fn recalled(farm: &mut Farm, job: ClientId) -> String {
    match farm.answer(job) {
        Some(AgentMessage::Recalled { reason, .. }) => reason,
        other => panic!("not recalled: {other:?}"),
    }
}

#[test]
fn a_network_that_is_trusted_no_longer_gets_no_source_that_is_still_here() {
    let (mut farm, job, known) = trusted_cafe_with_job();
    farm.stands_at("10.77.0.1", cafe(), &known);
    assert!(farm.answers.is_empty(), "nothing has changed");
    farm.stands_at("10.77.0.1", cafe(), &KnownNetworks::default());
    assert_eq!(recalled(&mut farm, job), "its network is not trusted any more");
}

#[test]
fn another_network_with_the_same_addresses_gets_nothing_that_was_meant_for_the_former() {
    let (mut farm, job, known) = trusted_cafe_with_job();
    let other = Gateway::Mac("02:00:00:00:00:02".to_owned());
    farm.stands_at("10.77.0.1", other, &KnownNetworks { trust_all: true, ..known });
    assert_eq!(recalled(&mut farm, job), "this machine has left its network");
    farm.leaves(job);
    let next = farm.job("+zeroconf");
    assert!(farm.answer(next).is_none(), "nobody has answered there");
    farm.hears(up(2));
    assert!(farm.answer(next).is_none());
    farm.answer_hellos(&[(2, SAME)], &[]);
    farm.placement(next);
}
