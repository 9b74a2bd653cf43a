use proptest::prelude::*;

use super::super::file::parse;
use super::super::rule::CandidateAddr;
use super::*;

fn toolchain(family: &str, version: &str, assembler: Option<&str>) -> Toolchain {
    Toolchain {
        family: Family::from_name(family),
        version: version.to_owned(),
        target: "x86_64-linux-gnu".to_owned(),
        assembler: assembler.map(str::to_owned),
        distributor: "Debian".to_owned(),
        revision: String::new(),
        configure: Vec::new(),
        digest: [0; 16],
        ident: String::new(),
    }
}

fn offer(name: &str, toolchain: Toolchain) -> Offered {
    Offered { names: vec![name.to_owned()], driver: Driver::of_program(name.as_bytes()), toolchain }
}

/// gcc 12 under its own name, gcc 11 as `gcc`, and a clang.
fn offered() -> Vec<Offered> {
    vec![
        offer("gcc", toolchain("gcc", "11.3.0", Some("2.38"))),
        offer("gcc-12", toolchain("gcc", "12.2.0", Some("2.40"))),
        offer("clang", toolchain("clang", "14.0.6", None)),
    ]
}

fn addr(addr: &str, interface: &str, on_link: bool) -> CandidateAddr {
    let network = match interface {
        "eth0" => "10.77.0.0/24",
        _ => "192.168.1.0/24@aa:bb:cc:dd:ee:ff",
    };
    CandidateAddr {
        addr: addr.parse().unwrap(),
        interface: interface.to_owned(),
        on_link,
        networks: vec![network.to_owned()],
        standing: Standing::Trusted,
    }
}

/// A discovered host with an address on each of two networks.
fn candidate() -> Candidate {
    Candidate {
        host: "Laptop-7.local.".to_owned(),
        id: Some("7f3a91c2".parse().unwrap()),
        source: Source::Zeroconf,
        addrs: vec![addr("10.77.0.5:3632", "eth0", true), addr("[fd00::5]:3632", "wlan0", true)],
    }
}

fn listed() -> Candidate {
    Candidate { source: Source::Hosts, addrs: vec![addr("8.8.8.8:3632", "", false)], ..candidate() }
}

fn policy(text: &str) -> Policy {
    parse(text, "policy.toml").unwrap()
}

/// The verdict on the candidate, whose compilers match by index `matched`.
fn verdict_by(rule: &str, matched: Option<usize>) -> Verdict {
    let offered = offered();
    let compilers = Compilers { offered: &offered, matched };
    judge_host(&policy(rule), &candidate(), Some(compilers))
}

#[test]
fn each_key_of_a_rule_is_judged() {
    for (condition, holds) in [
        ("host = 'laptop-*'", true),
        ("host = 'LAPTOP-7'", true),
        ("host = 'laptop-7.local'", true),
        ("host = 'laptop-?.LOCAL'", true),
        ("host = 'laptop'", false),
        ("host = '*.example'", false),
        ("net = '10.0.0.0/8'", true),
        ("net = '10.77.0.5'", true),
        ("net = 'fd00::1/8'", true),
        ("net = '10.78.0.0/16'", false),
        ("interface = 'eth0'", true),
        ("interface = 'wl*'", true),
        ("interface = 'eth1'", false),
        ("id = '7F3A91C2'", true),
        ("id = '00000000'", false),
        ("source = 'zeroconf'", true),
        ("source = 'hosts'", false),
        ("network = '10.77.0.0/24'", true),
        ("network = '192.168.1.0/24@AA:BB:*'", true),
        ("network = '192.168.1.0/24'", false),
        ("network = '10.77.0.0/24'\ninterface = 'eth0'", true),
        ("network = '10.77.0.0/24'\nnet = 'fd00::/8'", false),
        ("target = 'x86_64-pc-linux-gnu'", true),
        ("target = 'x86_64-*'", true),
        ("target = 'aarch64-*'", false),
        ("gcc = '12.2.0'", true),
        ("gcc = '<12'", true),
        ("gcc = '>=13'", false),
        ("clang = '14'", true),
        ("clang = '15'", false),
        ("binutils = '2.40'", true),
        ("binutils = '>2.40'", false),
        ("net = '10.0.0.0/8'\ninterface = 'eth0'", true),
        ("net = '10.0.0.0/8'\ninterface = 'wlan0'", false),
        ("host = 'laptop-*'\nsource = 'hosts'", false),
        ("gcc = '12'\nbinutils = '2.40'", true),
        ("gcc = '12'\nbinutils = '2.38'", false),
        ("gcc = '12'\nclang = '14'\nbinutils = '2.40'", true),
        ("gcc = '12'\nclang = '15'", false),
    ] {
        for action in ["deny", "allow"] {
            let verdict = verdict_by(&format!("[[rule]]\naction = '{action}'\n{condition}"), None);
            assert_eq!(verdict.rule, holds.then_some(1), "{action} {condition}");
            assert_eq!(verdict.allowed, !holds || action == "allow", "{action} {condition}");
        }
    }
}

#[test]
fn rule_about_a_family_means_the_compiler_of_the_job() {
    for (condition, matched, holds) in [
        ("gcc = '<12'", None, true),
        ("gcc = '<12'", Some(1), false),
        ("gcc = '<12'", Some(0), true),
        // A job of clang says nothing of which gcc is meant.
        ("gcc = '<12'", Some(2), true),
        ("binutils = '2.38'", Some(1), false),
        ("binutils = '*'", Some(2), false),
        ("target = 'x86_64-linux-gnu'", Some(2), true),
    ] {
        let verdict = verdict_by(&format!("[[rule]]\naction = 'deny'\n{condition}"), matched);
        assert_eq!(verdict.allowed, !holds, "{condition} {matched:?}");
    }
}

#[test]
fn first_rule_that_holds_decides_and_is_named() {
    let text = "
[[rule]]
action = 'deny'
host = 'nobody'

[[rule]]
action = 'allow'
net = '10.0.0.0/8'

[[rule]]
action = 'deny'
host = 'laptop-*'
";
    let verdict = verdict_by(text, None);
    assert_eq!(verdict.reason, "allowed by rule 2 (net=10.0.0.0/8)");
    assert_eq!(verdict.addrs, ["10.77.0.5:3632".parse().unwrap()]);
    let verdict =
        verdict_by(text.split_once("\n\n").unwrap().1.split_once("\n\n").unwrap().1, None);
    assert_eq!(verdict.reason, "denied by rule 1 (host=laptop-*)");
    assert_eq!(
        verdict_by("[[rule]]\naction = 'deny'", None).reason,
        "denied by rule 1 (every host)"
    );
}

#[test]
fn discovered_host_must_be_on_link() {
    let judged = |on_link: [bool; 2]| {
        let mut candidate = candidate();
        for (addr, on_link) in candidate.addrs.iter_mut().zip(on_link) {
            addr.on_link = on_link;
        }
        let verdict = judge_host(&Policy::built_in(), &candidate, None);
        (verdict.allowed, verdict.addrs.len(), verdict.reason)
    };
    assert_eq!(judged([true, true]), (true, 2, "on the network it was heard on".to_owned()));
    assert_eq!(judged([false, true]), (true, 1, "on the network it was heard on".to_owned()));
    assert_eq!(judged([false, false]), (false, 0, "not on the network it was heard on".to_owned()));
    let listed = judge_host(&Policy::built_in(), &listed(), None);
    assert!(listed.allowed && listed.reason == "listed" && listed.addrs.len() == 1);
}

#[test]
fn listed_host_without_an_address_is_allowed_unless_a_rule_names_it() {
    let unresolved = Candidate { addrs: Vec::new(), ..listed() };
    for (rule, allowed) in [
        ("", true),
        ("[[rule]]\naction = 'deny'\nnet = '0.0.0.0/0'", true),
        ("[[rule]]\naction = 'deny'\nhost = 'laptop-7'", false),
        ("[[rule]]\naction = 'allow'\nhost = 'laptop-7'\n[[rule]]\naction = 'deny'", true),
    ] {
        assert_eq!(judge_host(&policy(rule), &unresolved, None).allowed, allowed, "{rule}");
    }
}

#[test]
fn mapped_address_is_in_its_ipv4_network() {
    let mut candidate = candidate();
    candidate.addrs = vec![addr("[::ffff:10.77.0.5]:3632", "eth0", true)];
    let rule = policy("[[rule]]\naction = 'deny'\nnet = '10.77.0.0/24'");
    assert!(!judge_host(&rule, &candidate, None).allowed);
}

#[test]
fn host_whose_compilers_are_not_known_may_be_asked_unless_a_rule_forbids_it() {
    for (rules, may_be_asked) in [
        ("[[rule]]\naction = 'deny'\ngcc = '<12'", true),
        ("[[rule]]\naction = 'deny'\ngcc = '<12'\nhost = 'other'", true),
        ("[[rule]]\naction = 'allow'\ngcc = '12'\n[[rule]]\naction = 'deny'", true),
        (
            "[[rule]]\naction = 'allow'\ngcc = '12'\nhost = 'other'\n[[rule]]\naction = 'deny'",
            false,
        ),
        ("[[rule]]\naction = 'deny'\ngcc = '<12'\n[[rule]]\naction = 'deny'", false),
        ("[[rule]]\naction = 'deny'\nhost = 'laptop-*'", false),
    ] {
        assert_eq!(judge_host(&policy(rules), &candidate(), None).allowed, may_be_asked, "{rules}");
    }
}

/// What is decided for a job of gcc 12.2.0, in words.
fn decided(rules: &str, candidate: &Candidate, inventory: Inventory<'_>) -> String {
    let gcc = toolchain("gcc", "12.2.0", Some("2.40"));
    let job = Job { toolchain: &gcc, driver: Driver::C, name: "/usr/bin/gcc" };
    words(judge(&policy(rules), candidate, inventory, job))
}

fn words(judgement: Judgement) -> String {
    match judgement {
        Judgement::Use { name, reason, addrs, .. } => {
            format!("use {name} at {}: {reason}", addrs.len())
        }
        Judgement::Probe { reason, .. } => format!("probe: {reason}"),
        Judgement::Refuse { reason, .. } => format!("refuse: {reason}"),
    }
}

#[test]
fn job_goes_where_rules_and_toolchain_agree() {
    let offered = offered();
    let other = [offer("gcc", toolchain("gcc", "11.3.0", Some("2.40")))];
    let told = Inventory::Told(&offered);
    for (rules, inventory, expected) in [
        ("", told, "use gcc-12 at 2: same toolchain as gcc-12"),
        ("", Inventory::Told(&other), "refuse: gcc 12.2.0 here, 11.3.0 there"),
        ("", Inventory::Told(&[]), "refuse: no gcc there"),
        (
            "[[rule]]\naction = 'deny'\nhost = 'laptop-*'",
            Inventory::Told(&other),
            "refuse: denied by rule 1 (host=laptop-*)",
        ),
        // The host's other gcc is not what this job would run.
        (
            "[[rule]]\naction = 'deny'\ngcc = '<12'",
            told,
            "use gcc-12 at 2: same toolchain as gcc-12",
        ),
        (
            "[[rule]]\naction = 'allow'\nnet = '10.0.0.0/8'",
            told,
            "use gcc-12 at 1: same toolchain as gcc-12, allowed by rule 1 (net=10.0.0.0/8)",
        ),
        (
            "[[rule]]\naction = 'allow'\nnet = '10.0.0.0/8'",
            Inventory::Told(&other),
            "refuse: gcc 12.2.0 here, 11.3.0 there",
        ),
    ] {
        assert_eq!(decided(rules, &candidate(), inventory), expected, "{rules}");
    }
}

#[test]
fn peer_that_does_not_say_is_treated_as_the_policy_has_it() {
    let probed = [offer("gcc", toolchain("gcc", "12.2.0", Some("2.40")))];
    let deny_all = "[[rule]]\naction = 'deny'";
    let only_gcc_12 = "[[rule]]\naction = 'allow'\ngcc = '12'\n[[rule]]\naction = 'deny'";
    for (word, rules, inventory, expected) in [
        ("probe", "", Inventory::Silent, "probe: on the network it was heard on"),
        ("probe", "", Inventory::Probed(&probed), "use gcc at 2: same toolchain as gcc"),
        ("probe", deny_all, Inventory::Silent, "refuse: denied by rule 1 (every host)"),
        (
            "probe",
            only_gcc_12,
            Inventory::Silent,
            "probe: not known yet, needed by rule 1 (gcc=12)",
        ),
        (
            "probe",
            only_gcc_12,
            Inventory::Probed(&probed),
            "use gcc at 2: same toolchain as gcc, allowed by rule 1 (gcc=12)",
        ),
        ("deny", "", Inventory::Silent, "refuse: does not say its toolchain (unknown=deny)"),
        (
            "deny",
            "",
            Inventory::Probed(&probed),
            "refuse: does not say its toolchain (unknown=deny)",
        ),
        ("deny", deny_all, Inventory::Silent, "refuse: denied by rule 1 (every host)"),
        ("allow", "", Inventory::Silent, "use gcc at 2: toolchain there unknown (unknown=allow)"),
        ("allow", only_gcc_12, Inventory::Silent, "refuse: denied by rule 2 (every host)"),
        ("allow", "", Inventory::Probed(&probed), "use gcc at 2: same toolchain as gcc"),
    ] {
        let text = format!("[match]\nunknown = '{word}'\n{rules}");
        assert_eq!(decided(&text, &candidate(), inventory), expected, "{text}");
    }
}

#[test]
fn unknown_family_goes_to_listed_hosts_as_in_the_original() {
    let tcc = |digest| Toolchain { digest: [digest; 16], ..toolchain("tcc", "", None) };
    let (same, other) = ([offer("tcc", tcc(1))], [offer("tcc", tcc(2))]);
    let without = offered();
    let local = tcc(1);
    let job = Job { toolchain: &local, driver: Driver::C, name: "tcc" };
    let unseen = "use tcc at 1: listed, and nothing is known of this compiler";
    for (candidate, inventory, expected) in [
        (listed(), Inventory::Silent, unseen),
        (listed(), Inventory::Told(&other), unseen),
        (listed(), Inventory::Told(&without), "refuse: no tcc there"),
        (candidate(), Inventory::Told(&same), "use tcc at 2: same toolchain as tcc"),
        (
            candidate(),
            Inventory::Told(&other),
            "refuse: file digest of tcc 01010101 here, 02020202 there",
        ),
        (candidate(), Inventory::Told(&without), "refuse: no tcc there"),
    ] {
        let judgement = judge(&Policy::built_in(), &candidate, inventory, job);
        assert_eq!(words(judgement), expected);
    }
}

#[test]
fn refusal_names_the_compiler_that_came_nearest() {
    let offered = offered();
    let gcc = toolchain("gcc", "10.2.1", Some("2.35.2"));
    let job = Job { toolchain: &gcc, driver: Driver::C, name: "gcc" };
    let judgement = judge(&Policy::built_in(), &candidate(), Inventory::Told(&offered), job);
    let reason = "gcc 10.2.1 here, 11.3.0 there".to_owned();
    assert_eq!(judgement, Judgement::Refuse { idx: Some(0), reason });
}

#[test]
fn a_name_of_several_parts_is_not_taken_for_a_local_one() {
    for host in ["box.example", "10.77.0.5", "fd00::5"] {
        let candidate = Candidate { host: host.to_owned(), ..candidate() };
        let rule = policy("[[rule]]\naction = 'deny'\nhost = '*.local'");
        assert!(judge_host(&rule, &candidate, None).allowed, "{host}");
    }
}

proptest! {
    #[test]
    fn host_names_match_whatever_their_case_and_suffix(
        name in "[a-z0-9-]{1,12}", suffix in "|\\.local|\\.LOCAL|\\.local\\.", upper: bool,
        written in "|\\.local",
    ) {
        let host = if upper { name.to_uppercase() } else { name.clone() };
        let candidate = Candidate { host: format!("{host}{suffix}"), ..candidate() };
        let rule = policy(&format!("[[rule]]\naction = 'deny'\nhost = '{name}{written}'"));
        prop_assert!(!judge_host(&rule, &candidate, None).allowed);
    }

    #[test]
    fn no_host_name_panics(host in "\\PC{0,30}", pattern in "[a-z*?\\[\\]]{1,8}") {
        let candidate = Candidate { host, ..candidate() };
        if let Ok(rule) = parse(&format!("[[rule]]\naction = 'deny'\nhost = '{pattern}'"), "p") {
            judge_host(&rule, &candidate, None);
        }
    }
}

/// What a policy says of the candidate when its networks have these standings.
fn verdict_on(rules: &str, standings: [Standing; 2]) -> Verdict {
    let mut candidate = candidate();
    for (addr, standing) in candidate.addrs.iter_mut().zip(standings) {
        addr.standing = standing;
    }
    judge_host(&policy(rules), &candidate, None)
}

#[test]
fn discovered_host_is_used_where_its_network_is_trusted() {
    use Standing::{New, Trusted, Unidentified};
    let wire = "new network 10.77.0.0/24: distcc --trust-network lets its hosts compile for you";
    let untold = "the network cannot be told yet: its gateway does not answer";
    for (standings, addrs, reason) in [
        ([Trusted, Trusted], 2, "on the network it was heard on"),
        ([New, Trusted], 1, "on the network it was heard on"),
        ([Unidentified, Trusted], 1, "on the network it was heard on"),
        ([New, New], 0, wire),
        ([Unidentified, New], 0, untold),
    ] {
        let verdict = verdict_on("", standings);
        assert_eq!((verdict.addrs.len(), verdict.reason.as_str()), (addrs, reason));
        assert_eq!(verdict.allowed, addrs > 0);
        assert_eq!(verdict.held_back.is_some(), addrs == 0);
    }
    let verdict = verdict_on("", [New, Trusted]);
    assert_eq!(verdict.addrs, ["[fd00::5]:3632".parse().unwrap()]);
}

#[test]
fn only_a_rule_about_the_network_lifts_the_hold_of_a_new_one() {
    use Standing::{New, Trusted};
    for (condition, standings, addrs) in [
        ("host = 'laptop-*'", [New, New], 0),
        ("net = '10.0.0.0/8'", [New, Trusted], 0),
        ("gcc = '12'", [New, New], 0),
        ("network = '10.77.0.0/24'", [New, New], 1),
        ("network = '*'", [New, New], 2),
        ("host = 'laptop-*'\nnetwork = '10.77.0.0/24'", [New, New], 1),
        ("host = 'laptop-*'", [New, Trusted], 1),
    ] {
        let rule = format!("[[rule]]\naction = 'allow'\n{condition}");
        assert_eq!(verdict_on(&rule, standings).addrs.len(), addrs, "{condition}");
        let rule = format!("[[rule]]\naction = 'deny'\n{condition}");
        assert_eq!(verdict_on(&rule, standings).held_back.is_some(), condition == "gcc = '12'");
    }
}
