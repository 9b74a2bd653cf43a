//! The books as a whole, driven by events with made-up time: who gets what, in which order.

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::ask::{Answer, Probed};
use super::books::{Action, Books, ClientId, InForce, Question};
use super::peers::PeerKey;
use crate::base::node::NodeId;
use crate::discovery::heard::{Heard, HeardAddr, HeardPeer};
use crate::discovery::txt::HeardTxt;
use crate::fingerprint::probe::Probed as Identity;
use crate::fingerprint::{Driver, Family, Offered, Toolchain};
use crate::policy::file::{self, Policy};
use crate::wire::control::{
    AgentMessage, CompilerQuery, CompilerRecord, HelloReply, HostsAnswer, HostsText, JobReport,
    LocalPurpose, PlaceRequest, Placement, ShowRequest,
};

const SETTLED: Duration = Duration::from_millis(1300);

struct Farm {
    books: Books,
    now: Instant,
    next_client: u64,
    policy: InForce,
    /// What is still to be done, apart from answers to clients.
    todo: Vec<Action>,
    answers: Vec<(ClientId, AgentMessage)>,
}

fn gcc(version: &str) -> Toolchain {
    Toolchain {
        family: Family::Gcc,
        version: version.to_owned(),
        target: "x86_64-linux-gnu".to_owned(),
        assembler: Some("2.40".to_owned()),
        distributor: "Debian".to_owned(),
        revision: String::new(),
        configure: Vec::new(),
        digest: [1; 16],
        ident: format!("GCC: (Debian {version}) {version}"),
    }
}

fn addr(last: u8) -> SocketAddr {
    SocketAddr::from(([10, 77, 0, last], 3632))
}

fn up(last: u8) -> Heard {
    let txt = HeardTxt { id: Some(NodeId(u32::from(last))), jobs: Some(2), ..HeardTxt::default() };
    Heard::Up(HeardPeer {
        instance: format!("distcc@h{last}"),
        host: format!("h{last}"),
        port: 3632,
        addrs: vec![HeardAddr { addr: addr(last), interface: "eth0".to_owned() }],
        txt,
    })
}

fn hello(last: u8, offered: &[(&str, &str)]) -> HelloReply {
    let compilers = offered.iter().map(|(name, version)| {
        CompilerRecord::from(&Offered {
            names: vec![(*name).to_owned()],
            driver: Driver::C,
            toolchain: gcc(version),
        })
    });
    HelloReply {
        id: u32::from(last),
        generation: 1,
        version: "0".to_owned(),
        features: vec!["lzo".to_owned()],
        cores: 2,
        jobs: 2,
        compilers: compilers.collect(),
    }
}

fn query() -> CompilerQuery {
    CompilerQuery {
        path: b"/usr/bin/gcc".to_vec(),
        search_path: b"/usr/bin".to_vec(),
        name: b"gcc".to_vec(),
    }
}

/// This machine's gcc.
fn identity() -> Identity {
    Identity { toolchain: gcc("12.2.0"), driver: Driver::C, files: Vec::new(), stamps: Vec::new() }
}

impl Farm {
    /// A machine of 4 cores whose gcc is 12.2.0, with the built-in policy.
    fn new() -> Self {
        let mut farm = Self {
            books: Books::new(4),
            now: Instant::now(),
            next_client: 0,
            policy: InForce { policy: Ok(Rc::new(Policy::built_in())), origin: "built in".into() },
            todo: Vec::new(),
            answers: Vec::new(),
        };
        farm.books.identified(farm.now, query(), Ok(identity()));
        farm
    }

    /// One host of ours is known and answers; nobody waits for more any longer.
    fn settled_with_h2(offered: &[(&str, &str)]) -> Self {
        let mut farm = Self::new();
        let first = farm.job("+zeroconf");
        farm.hears(up(2));
        farm.answer_hellos(&[(2, offered)], &[]);
        farm.pass(SETTLED);
        farm.leaves(first);
        farm.answers.clear();
        farm
    }

    fn collect(&mut self) {
        for action in self.books.take_actions() {
            match action {
                Action::Tell(id, message) => self.answers.push((id, message)),
                Action::Remember => {}
                other => self.todo.push(other),
            }
        }
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.books.tick(self.now);
        self.collect();
    }

    fn client(&mut self) -> ClientId {
        self.next_client += 1;
        let id = ClientId(self.next_client);
        self.books.came(self.now, id);
        id
    }

    fn asks(&mut self, id: ClientId, hosts: &str, avoid: &[u64]) {
        let request = PlaceRequest {
            hosts: HostsText { origin: "$DISTCC_HOSTS".to_owned(), text: hosts.to_owned() },
            compiler: query(),
            avoid: avoid.to_vec(),
            policy: None,
        };
        let question = Question::Place(request, self.policy.clone());
        self.books.asks(self.now, id, question);
        self.collect();
    }

    fn job(&mut self, hosts: &str) -> ClientId {
        let id = self.client();
        self.asks(id, hosts, &[]);
        id
    }

    fn leaves(&mut self, id: ClientId) {
        self.books.left(self.now, id);
        self.collect();
    }

    fn reports(&mut self, id: ClientId, report: JobReport) {
        self.books.reported(self.now, id, report);
        self.collect();
    }

    fn hears(&mut self, heard: Heard) {
        self.books.heard(self.now, heard);
        self.collect();
    }

    /// Answers every hello under way as these hosts would; whoever is not named does not answer.
    fn answer_hellos(&mut self, ours: &[(u8, &[(&str, &str)])], stock: &[u8]) {
        for action in std::mem::take(&mut self.todo) {
            let (key, addrs) = match action {
                Action::Hello(key, addrs) => (key, addrs),
                Action::ResolveAndHello(key, host, port) => {
                    (key, vec![format!("{host}:{port}").parse().unwrap()])
                }
                other => {
                    self.todo.push(other);
                    continue;
                }
            };
            let mut answer = Answer::Failed("connection refused".to_owned());
            for reached in addrs {
                let mine = ours.iter().find(|(last, _)| addr(*last) == reached);
                if let Some((last, offered)) = mine {
                    answer = Answer::Ours(reached, Box::new(hello(*last, offered)));
                } else if stock.iter().any(|last| addr(*last) == reached) {
                    answer = Answer::Stock(reached);
                }
            }
            self.books.peer_answered(self.now, key, answer);
        }
        self.collect();
    }

    fn answer(&mut self, id: ClientId) -> Option<AgentMessage> {
        let position = self.answers.iter().position(|(to, _)| *to == id)?;
        Some(self.answers.remove(position).1)
    }

    fn placement(&mut self, id: ClientId) -> Placement {
        match self.answer(id) {
            Some(AgentMessage::Placed(placement)) => placement,
            other => panic!("not placed: {other:?}"),
        }
    }

    /// The reason for which the job is to run here.
    fn local(&mut self, id: ClientId) -> String {
        match self.answer(id) {
            Some(AgentMessage::Local(place)) => place.reason,
            other => panic!("not local: {other:?}"),
        }
    }

    fn show(&mut self, hosts: &str) -> Option<HostsAnswer> {
        let id = self.client();
        let request = ShowRequest {
            hosts: HostsText { origin: "$DISTCC_HOSTS".to_owned(), text: hosts.to_owned() },
            compilers: vec![query()],
            policy: None,
        };
        self.books.asks(self.now, id, Question::Show(request, self.policy.clone()));
        self.collect();
        match self.answer(id)? {
            AgentMessage::Hosts(answer) => Some(answer),
            other => panic!("not hosts: {other:?}"),
        }
    }
}

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
    farm.placement(job);
}

#[test]
fn an_object_of_a_wrong_compiler_stops_jobs_there_until_the_host_has_said_what_it_is() {
    let mut farm = Farm::settled_with_h2(SAME);
    for _ in 0..2 {
        let job = farm.job("+zeroconf");
        farm.placement(job);
        farm.reports(job, JobReport::WrongCompiler { found: "GCC: 11.3.0".to_owned() });
        farm.leaves(job);
        let job = farm.job("+zeroconf");
        farm.local(job);
        farm.leaves(job);
        farm.answer_hellos(&[(2, SAME)], &[]);
    }
    let job = farm.job("+zeroconf");
    assert_eq!(
        farm.local(job),
        "its only host is left out: its gcc made objects marked \"GCC: 11.3.0\""
    );
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
        farm.books.peer_probed(farm.now, key, name, probed);
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
    farm.books.scene.own_addrs = vec![addr(2).ip()];
    farm.hears(up(2));
    farm.answer_hellos(&[(2, SAME)], &[]);
    let job = farm.job("+zeroconf");
    farm.pass(SETTLED);
    assert_eq!(farm.local(job), "its only host is left out: this machine itself");
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
    farm.books.peer_probed(farm.now, key, name, Probed::Known(Box::new(gcc("12.2.0"))));
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
    assert_eq!(farm.books.next_deadline(), None, "nobody would use it");
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
            0 => farm.reports(id, JobReport::Ran),
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
