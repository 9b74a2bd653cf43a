//! Tests of the peer state machine.

use proptest::prelude::*;

use super::*;

const START: Duration = Duration::from_secs(1);

fn peer(instance: &str, host: &str, id: Option<u32>, addrs: &[&str]) -> HeardPeer {
    let addr = |text: &&str| {
        let (addr, interface) = text.split_once('@').unwrap_or((text, "eth0"));
        HeardAddr { addr: addr.parse().unwrap(), interface: interface.to_owned() }
    };
    HeardPeer {
        instance: instance.to_owned(),
        host: host.to_owned(),
        port: 3632,
        addrs: addrs.iter().map(addr).collect(),
        txt: HeardTxt { id: id.map(NodeId), jobs: Some(4), ..HeardTxt::default() },
    }
}

fn ours(id: u32) -> NodeKey {
    NodeKey::Ours { id: NodeId(id), port: 3632, twin: None }
}

fn twin(id: u32, host: &str) -> NodeKey {
    NodeKey::Ours { id: NodeId(id), port: 3632, twin: Some(host.to_owned()) }
}

fn addr(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// A cluster with its clock.
struct Lab {
    cluster: Cluster,
    now: Instant,
}

impl Lab {
    fn new() -> Self {
        Self { cluster: Cluster::default(), now: Instant::now() + START }
    }

    fn up(&mut self, peer: HeardPeer) -> Vec<Change> {
        self.cluster.heard(self.now, Heard::Up(peer))
    }

    fn gone(&mut self, instance: &str) -> Vec<Change> {
        self.cluster.heard(self.now, Heard::Gone { instance: instance.to_owned() })
    }

    fn answered(&mut self, key: &NodeKey, at: &str) -> Vec<Change> {
        self.cluster.answered(key, addr(at))
    }

    fn silent(&mut self, key: &NodeKey, at: &str) -> Vec<Change> {
        self.cluster.silent(self.now, key, addr(at))
    }

    fn addrs(&self, key: &NodeKey) -> Vec<String> {
        let addrs = self.cluster.get(key).unwrap().addrs();
        addrs.iter().map(|heard| heard.addr.to_string()).collect()
    }
}

#[test]
fn one_daemon_under_many_names_is_one_node() {
    let mut lab = Lab::new();
    let one = peer("distcc@h1", "h1-1", Some(1), &["10.77.0.1:3632"]);
    assert_eq!(lab.up(one.clone()), [Change::Added(ours(1))]);
    assert_eq!(lab.up(one), []);
    let two = peer("distcc@h1 (2)", "h1-1", Some(1), &["10.78.0.1:3632@eth1"]);
    assert_eq!(lab.up(two), [Change::Updated(ours(1))]);
    assert_eq!(lab.addrs(&ours(1)), ["10.77.0.1:3632", "10.78.0.1:3632"]);
    assert_eq!(lab.gone("distcc@h1"), [Change::Updated(ours(1))]);
    assert_eq!(lab.addrs(&ours(1)), ["10.78.0.1:3632"]);
    assert_eq!(lab.cluster.iter().count(), 1);
}

#[test]
fn two_daemons_of_one_machine_and_stock_ones_are_apart() {
    let mut lab = Lab::new();
    lab.up(peer("distcc@h1", "h1-1", Some(1), &["10.77.0.1:3632"]));
    lab.up(HeardPeer { port: 3700, ..peer("b", "h1-1", Some(1), &["10.77.0.1:3700"]) });
    let stock = peer("distcc@h2", "h2", None, &["10.77.0.2:3632"]);
    let key = NodeKey::Stock { instance: "distcc@h2".into(), host: "h2".into(), port: 3632 };
    assert_eq!(lab.up(stock), [Change::Added(key)]);
    assert_eq!(lab.cluster.iter().count(), 3);
}

#[test]
fn link_local_comes_last_and_what_answers_first() {
    let mut lab = Lab::new();
    let all = ["[fe80::1%2]:3632", "[fd77::1]:3632", "10.77.0.9:3632", "10.77.0.1:3632"];
    lab.up(peer("a", "a", Some(1), &all));
    let sorted = ["10.77.0.1:3632", "10.77.0.9:3632", "[fd77::1]:3632", "[fe80::1%2]:3632"];
    assert_eq!(lab.addrs(&ours(1)), sorted);
    let updated = [Change::Updated(ours(1))];
    assert_eq!(lab.answered(&ours(1), "[fd77::1]:3632"), updated);
    assert_eq!(lab.addrs(&ours(1))[0], "[fd77::1]:3632");
    assert_eq!(lab.answered(&ours(1), "[fd77::1]:3632"), []);
    assert_eq!(lab.answered(&ours(1), "10.9.9.9:3632"), []);
    assert_eq!(lab.silent(&ours(1), "[fd77::1]:3632"), updated);
    assert_eq!(lab.addrs(&ours(1)), sorted);
}

#[test]
fn goodbye_makes_suspect_and_only_silence_removes() {
    let mut lab = Lab::new();
    lab.up(peer("a", "a", Some(1), &["10.77.0.1:3632"]));
    assert_eq!(lab.cluster.forget(lab.now, &ours(1)), []);
    assert_eq!(lab.gone("a"), [Change::Suspect(ours(1))]);
    assert_eq!(lab.gone("a"), []);
    assert_eq!(lab.addrs(&ours(1)), ["10.77.0.1:3632"]);
    assert_eq!(lab.cluster.forget(lab.now, &ours(1)), []);
    lab.now += GRACE;
    // It answers: the goodbye was forged.
    assert_eq!(lab.answered(&ours(1), "10.77.0.1:3632"), [Change::Updated(ours(1))]);
    assert_eq!(lab.cluster.forget(lab.now, &ours(1)), []);
    // It answers no longer, and nobody says goodbye for it again.
    assert_eq!(lab.silent(&ours(1), "10.77.0.1:3632"), [Change::Suspect(ours(1))]);
    lab.up(peer("a", "a", Some(1), &["10.77.0.1:3632"]));
    assert_eq!(lab.gone("a"), [Change::Suspect(ours(1))]);
    lab.now += GRACE;
    assert_eq!(lab.cluster.forget(lab.now, &ours(1)), [Change::Removed(ours(1))]);
    assert_eq!(lab.cluster.iter().count(), 0);
    assert_eq!(lab.gone("a"), []);
}

#[test]
fn suspect_is_forgiven_when_heard_again() {
    let mut lab = Lab::new();
    let a = peer("a", "a", Some(1), &["10.77.0.1:3632"]);
    lab.up(a.clone());
    lab.gone("a");
    assert_eq!(lab.up(a), [Change::Updated(ours(1))]);
    lab.now += GRACE;
    assert_eq!(lab.cluster.forget(lab.now, &ours(1)), []);
}

#[test]
fn empty_record_is_not_yet_a_node_and_changes_none() {
    let mut lab = Lab::new();
    let full = peer("a", "a", Some(1), &["10.77.0.1:3632"]);
    let txt = HeardTxt { empty: true, ..HeardTxt::default() };
    let empty = HeardPeer { txt, ..full.clone() };
    assert_eq!(lab.up(empty.clone()), []);
    assert_eq!(lab.cluster.iter().count(), 0);
    lab.up(full);
    assert_eq!(lab.up(empty), []);
    assert_eq!(lab.cluster.get(&ours(1)).unwrap().txt().jobs, Some(4));
}

#[test]
fn renamed_host_stays_one_node() {
    let mut lab = Lab::new();
    lab.up(peer("a", "h1-1", Some(1), &["10.77.0.1:3632"]));
    lab.answered(&ours(1), "10.77.0.1:3632");
    let renamed = peer("a", "h1-1-2", Some(1), &["10.77.0.1:3632", "10.77.0.5:3632"]);
    assert_eq!(lab.up(renamed), [Change::Updated(ours(1))]);
    assert_eq!(lab.answered(&ours(1), "10.77.0.5:3632"), []);
    assert_eq!(lab.cluster.iter().count(), 1);
    assert_eq!(lab.cluster.get(&ours(1)).unwrap().host(), "h1-1-2");
}

#[test]
fn clones_are_nodes_of_their_own() {
    let mut lab = Lab::new();
    let second = twin(1, "vm-1-2");
    lab.up(peer("vm", "vm-1", Some(1), &["10.77.0.1:3632"]));
    let clone = peer("vm (2)", "vm-1-2", Some(1), &["10.77.0.2:3632"]);
    assert_eq!(lab.up(clone.clone()), [Change::Added(second.clone())]);
    assert_eq!(lab.addrs(&ours(1)), ["10.77.0.1:3632"]);
    assert_eq!(lab.addrs(&second), ["10.77.0.2:3632"]);
    // Each goes its own way from now on.
    assert_eq!(lab.up(clone), []);
    assert_eq!(lab.gone("vm"), [Change::Suspect(ours(1))]);
    assert!(!lab.cluster.get(&second).unwrap().is_suspect());
    lab.now += GRACE;
    assert_eq!(lab.cluster.forget(lab.now, &ours(1)), [Change::Removed(ours(1))]);
    assert_eq!(lab.addrs(&second), ["10.77.0.2:3632"]);
}

#[test]
fn a_clone_that_takes_the_name_of_the_first_machine_is_not_merged_with_it() {
    for between in [&["10.77.0.3:3632"][..], &["10.77.0.2:3632", "10.77.0.3:3632"]] {
        let mut lab = Lab::new();
        lab.up(peer("vm", "vm-1", Some(1), &["10.77.0.2:3632"]));
        lab.up(peer("vm (2)", "vm-1-2", Some(1), &["10.77.0.2:3632"]));
        lab.up(peer("vm", "vm-1", Some(1), between));
        lab.up(peer("vm", "vm-1", Some(1), &["10.77.0.3:3632"]));
        assert_eq!(lab.addrs(&ours(1)), ["10.77.0.2:3632"]);
        assert_eq!(lab.addrs(&twin(1, "vm-1")), ["10.77.0.3:3632"]);
    }
}

#[test]
fn machine_that_comes_back_under_another_name_and_address_is_no_clone() {
    let mut lab = Lab::new();
    lab.up(peer("old", "old-1", Some(1), &["10.77.0.1:3632"]));
    lab.gone("old");
    let back = peer("new", "new-1", Some(1), &["10.77.0.9:3632"]);
    assert_eq!(lab.up(back), [Change::Updated(ours(1))]);
    assert_eq!(lab.addrs(&ours(1)), ["10.77.0.9:3632"]);
    assert_eq!(lab.cluster.iter().count(), 1);
}

#[test]
fn host_that_answered_survives_another_in_its_name() {
    let mut lab = Lab::new();
    lab.up(peer("a", "h1", Some(1), &["10.77.0.1:3632"]));
    lab.answered(&ours(1), "10.77.0.1:3632");
    // Same instance, same id, another host and address: a clone, or an impostor. The former is
    // asked, not dropped.
    let changes = lab.up(peer("a", "evil", Some(1), &["10.77.0.66:3632"]));
    assert_eq!(changes, [Change::Suspect(ours(1)), Change::Added(twin(1, "evil"))]);
    lab.answered(&ours(1), "10.77.0.1:3632");
    assert_eq!(lab.addrs(&ours(1)), ["10.77.0.1:3632"]);
    assert_eq!(lab.addrs(&twin(1, "evil")), ["10.77.0.66:3632"]);
    // Same instance, another id.
    lab.up(peer("a", "h1", Some(1), &["10.77.0.1:3632"]));
    let changes = lab.up(peer("a", "evil2", Some(2), &["10.77.0.67:3632"]));
    assert_eq!(changes, [Change::Suspect(ours(1)), Change::Added(ours(2))]);
}

#[test]
fn flood_passes_through_and_those_who_answer_stay() {
    let mut lab = Lab::new();
    lab.up(peer("real", "real", Some(1), &["10.77.0.1:3632"]));
    lab.answered(&ours(1), "10.77.0.1:3632");
    for number in 0..2000 {
        lab.now += Duration::from_millis(1);
        lab.up(peer(&format!("f{number}"), "f", Some(1000 + number), &["10.77.0.2:3632"]));
        assert!(lab.cluster.iter().count() <= MAX_NODES);
    }
    assert!(lab.cluster.get(&ours(1)).is_some());
    let late = peer("late", "late", Some(2), &["10.77.0.3:3632"]);
    assert!(lab.up(late).contains(&Change::Added(ours(2))));
}

#[test]
fn newcomer_at_an_address_of_its_own_outlives_a_flood() {
    let mut lab = Lab::new();
    let invent = |lab: &mut Lab, n: u32| {
        for number in n..n + 1000 {
            lab.now += Duration::from_millis(1);
            let v4 = format!("10.77.0.{}:3632", 100 + number % 100);
            // Of these there are as many as one likes.
            let v6 = format!("[fd77::{number:x}]:3632");
            let addr = if number % 2 == 0 { v4 } else { v6 };
            lab.up(peer(&format!("f{number}"), "f", Some(1000 + number), &[&addr]));
        }
    };
    invent(&mut lab, 1000);
    lab.up(peer("real", "real", Some(1), &["10.77.0.1:3632", "[fd77::1]:3632"]));
    invent(&mut lab, 2000);
    assert!(lab.cluster.get(&ours(1)).is_some());
}

#[derive(Clone, Debug)]
enum Step {
    Up { instance: u8, host: u8, id: Option<u8>, addr: u8, empty: bool },
    Gone { instance: u8 },
    Answered { node: usize, addr: usize },
    Silent { node: usize, addr: usize },
    Forget { node: usize },
    Wait,
}

fn step() -> impl Strategy<Value = Step> {
    let up = (0..4u8, 0..3u8, proptest::option::of(0..3u8), 1..5u8, any::<bool>());
    prop_oneof![
        4 => up.prop_map(|(instance, host, id, addr, empty)| {
            Step::Up { instance, host, id, addr, empty: empty && addr == 1 }
        }),
        2 => (0..4u8).prop_map(|instance| Step::Gone { instance }),
        3 => (0..8usize, 0..4usize).prop_map(|(node, addr)| Step::Answered { node, addr }),
        1 => (0..8usize, 0..4usize).prop_map(|(node, addr)| Step::Silent { node, addr }),
        2 => (0..8usize).prop_map(|node| Step::Forget { node }),
        2 => Just(Step::Wait),
    ]
}

/// Node number `node` and its address number `at`, both counted round.
fn pick(lab: &Lab, node: usize, at: usize) -> Option<(NodeKey, SocketAddr)> {
    let n_nodes = lab.cluster.iter().count();
    let (key, found) = lab.cluster.iter().nth(node.checked_rem(n_nodes)?)?;
    let addrs = found.addrs();
    Some((key.clone(), addrs[at % addrs.len()].addr))
}

fn play(lab: &mut Lab, step: Step) -> Vec<Change> {
    match step {
        Step::Up { instance, host, id, addr, empty } => {
            let at = format!("10.77.0.{addr}:3632");
            let (instance, host) = (format!("i{instance}"), format!("h{host}"));
            let mut peer = peer(&instance, &host, id.map(u32::from), &[&at]);
            if empty {
                peer.txt = HeardTxt { empty, ..HeardTxt::default() };
            }
            lab.up(peer)
        }
        Step::Gone { instance } => lab.gone(&format!("i{instance}")),
        Step::Answered { node, addr } => {
            let Some((key, addr)) = pick(lab, node, addr) else { return Vec::new() };
            lab.cluster.answered(&key, addr)
        }
        Step::Silent { node, addr } => {
            let Some((key, addr)) = pick(lab, node, addr) else { return Vec::new() };
            lab.cluster.silent(lab.now, &key, addr)
        }
        Step::Forget { node } => {
            let Some((key, _)) = pick(lab, node, 0) else { return Vec::new() };
            lab.cluster.forget(lab.now, &key)
        }
        Step::Wait => {
            lab.now += Duration::from_secs(3);
            Vec::new()
        }
    }
}

proptest! {
    #[test]
    fn changes_tell_all_and_nodes_stay_sound(steps in proptest::collection::vec(step(), 1..60)) {
        let mut lab = Lab::new();
        let mut told: BTreeSet<NodeKey> = BTreeSet::new();
        for step in steps {
            let before: BTreeMap<NodeKey, Vec<HeardAddr>> =
                lab.cluster.iter().map(|(key, node)| (key.clone(), node.addrs())).collect();
            let changes = play(&mut lab, step);
            for change in &changes {
                match change {
                    Change::Added(key) => prop_assert!(told.insert(key.clone())),
                    Change::Removed(key) => prop_assert!(told.remove(key)),
                    Change::Updated(key) | Change::Suspect(key) => prop_assert!(told.contains(key)),
                }
            }
            let keys: BTreeSet<NodeKey> =
                lab.cluster.iter().map(|(key, _)| key.clone()).collect();
            prop_assert_eq!(&keys, &told);
            let mut live: Vec<&str> = Vec::new();
            for (key, node) in lab.cluster.iter() {
                prop_assert!(!node.addrs().is_empty());
                prop_assert!(node.is_live() || node.is_suspect() || node.has_answered());
                let silent_change = before.get(key).is_some_and(|addrs| *addrs != node.addrs())
                    && !changes.iter().any(|change| matches!(change,
                        Change::Updated(k) | Change::Suspect(k) | Change::Added(k) if k == key));
                prop_assert!(!silent_change, "{key:?} changed untold");
                let seen = node.sightings.iter().filter(|seen| seen.live);
                live.extend(seen.map(|seen| seen.peer.instance.as_str()));
            }
            let n_live = live.len();
            live.sort_unstable();
            live.dedup();
            prop_assert_eq!(live.len(), n_live, "an instance is live twice");
        }
    }
}

#[test]
fn what_is_left_behind_is_forgotten_and_the_rest_stays() {
    let mut lab = Lab::new();
    lab.up(peer("distcc@h1", "h1-1", Some(1), &["10.77.0.1:3632", "10.78.0.1:3632@eth1"]));
    lab.up(peer("distcc@h2", "h2-2", Some(2), &["10.77.0.2:3632"]));
    lab.up(peer("distcc@h3", "h3-3", Some(3), &["10.78.0.3:3632@eth1"]));
    let mut changes = lab.cluster.moved(|heard| heard.interface == "eth1");
    changes.sort_by_key(|change| matches!(change, Change::Removed(_)));
    assert_eq!(changes, [Change::Updated(ours(1)), Change::Removed(ours(2))]);
    assert_eq!(lab.addrs(&ours(1)), ["10.78.0.1:3632"]);
    assert_eq!(lab.addrs(&ours(3)), ["10.78.0.3:3632"]);
    let back = peer("distcc@h2", "h2-2", Some(2), &["10.77.0.2:3632"]);
    assert_eq!(lab.up(back), [Change::Added(ours(2))]);
}
