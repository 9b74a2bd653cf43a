//! An agent whose hosts, clients and time are made up.

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::super::ask::{Answer, Contact};
use super::super::books::{Action, Books, ClientId, InForce, Question};
use super::super::scene::Scene;
use crate::base::node::NodeId;
use crate::discovery::heard::{Heard, HeardAddr, HeardPeer};
use crate::discovery::interfaces::{Interface, Kind};
use crate::discovery::networks::Network;
use crate::discovery::txt::HeardTxt;
use crate::fingerprint::probe::Probed as Identity;
use crate::fingerprint::{Driver, Family, Offered, Toolchain};
use crate::policy::file::Policy;
use crate::policy::networks::{Gateway, KnownNetworks, NetworkId};
use crate::settings::hosts::DEFAULT_BACKOFF;
use crate::wire::control::{
    AgentMessage, CompilerQuery, CompilerRecord, HelloReply, HostsAnswer, HostsText, JobReport,
    PlaceRequest, Placement, ShowRequest, SshClient,
};

pub(super) const SETTLED: Duration = Duration::from_millis(1300);

pub(super) struct Farm {
    pub(super) books: Books,
    pub(super) now: Instant,
    pub(super) next_client: u64,
    pub(super) policy: InForce,
    /// What is still to be done, apart from answers to clients.
    pub(super) todo: Vec<Action>,
    pub(super) answers: Vec<(ClientId, AgentMessage)>,
}

pub(super) fn gcc(version: &str) -> Toolchain {
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

pub(super) fn addr(last: u8) -> SocketAddr {
    SocketAddr::from(([10, 77, 0, last], 3632))
}

pub(super) fn up(last: u8) -> Heard {
    let txt = HeardTxt { id: Some(NodeId(u32::from(last))), jobs: Some(2), ..HeardTxt::default() };
    Heard::Up(HeardPeer {
        instance: format!("distcc@h{last}"),
        host: format!("h{last}"),
        port: 3632,
        addrs: vec![HeardAddr { addr: addr(last), interface: "eth0".to_owned() }],
        txt,
    })
}

pub(super) fn hello(last: u8, offered: &[(&str, &str)]) -> HelloReply {
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

pub(super) fn query() -> CompilerQuery {
    CompilerQuery {
        path: b"/usr/bin/gcc".to_vec(),
        search_path: b"/usr/bin".to_vec(),
        name: b"gcc".to_vec(),
    }
}

/// This machine's gcc.
pub(super) fn identity() -> Identity {
    Identity { toolchain: gcc("12.2.0"), driver: Driver::C, files: Vec::new(), stamps: Vec::new() }
}

impl Farm {
    /// A machine of 4 cores whose gcc is 12.2.0, with the built-in policy.
    pub(super) fn new() -> Self {
        let mut farm = Self {
            books: Books::new(4),
            now: Instant::now(),
            next_client: 0,
            policy: InForce { policy: Ok(Rc::new(Policy::built_in())), origin: "built in".into() },
            todo: Vec::new(),
            answers: Vec::new(),
        };
        farm.books.identified(farm.now, query(), Ok(identity()));
        farm.moves_to("10.77.0.1");
        farm
    }

    /// One host of ours is known and answers; nobody waits for more any longer.
    pub(super) fn settled_with_h2(offered: &[(&str, &str)]) -> Self {
        let mut farm = Self::new();
        let first = farm.job("+zeroconf");
        farm.hears(up(2));
        farm.answer_hellos(&[(2, offered)], &[]);
        farm.pass(SETTLED);
        farm.leaves(first);
        farm.answers.clear();
        farm.todo.clear();
        farm
    }

    /// This machine's only interface gets this address of a /24, which is trusted.
    pub(super) fn moves_to(&mut self, addr: &str) {
        let trusting = KnownNetworks { trust_all: true, ..KnownNetworks::default() };
        self.stands_at(addr, Gateway::None, &trusting);
    }

    /// The same on a network with this gateway, and how the user stands to networks.
    pub(super) fn stands_at(&mut self, addr: &str, gateway: Gateway, known: &KnownNetworks) {
        let eth0 = Interface {
            name: "eth0".to_owned(),
            index: 2,
            addr: addr.parse().unwrap(),
            prefix_len: 24,
            kind: Kind::Link,
        };
        let id = NetworkId { prefixes: vec![eth0.network()], gateway };
        let networks = vec![Network::new(("eth0", 2), id, None)];
        self.books.stands(self.now, Scene::new(vec![eth0], networks, known));
        self.collect();
    }

    pub(super) fn collect(&mut self) {
        for action in self.books.take_actions() {
            match action {
                Action::Tell(id, message) => self.answers.push((id, message)),
                Action::Remember => {}
                other => self.todo.push(other),
            }
        }
    }

    pub(super) fn pass(&mut self, time: Duration) {
        self.now += time;
        self.books.tick(self.now);
        self.collect();
    }

    pub(super) fn client(&mut self) -> ClientId {
        self.next_client += 1;
        let id = ClientId(self.next_client);
        self.books.came(self.now, id);
        id
    }

    pub(super) fn asks(&mut self, id: ClientId, hosts: &str, avoid: &[u64]) {
        let request = self.request(hosts, avoid);
        self.asks_for(id, request);
    }

    pub(super) fn request(&self, hosts: &str, avoid: &[u64]) -> PlaceRequest {
        PlaceRequest {
            hosts: HostsText { origin: "$DISTCC_HOSTS".to_owned(), text: hosts.to_owned() },
            compiler: query(),
            avoid: avoid.to_vec(),
            policy: None,
            may_fall_back: true,
            unmarked: false,
            only_ours: false,
            ssh: SshClient::default(),
            backoff: DEFAULT_BACKOFF,
        }
    }

    pub(super) fn asks_for(&mut self, id: ClientId, request: PlaceRequest) {
        let question = Question::Place(request, self.policy.clone());
        self.books.asks(self.now, id, question);
        self.collect();
    }

    pub(super) fn job(&mut self, hosts: &str) -> ClientId {
        let id = self.client();
        self.asks(id, hosts, &[]);
        id
    }

    pub(super) fn leaves(&mut self, id: ClientId) {
        self.books.left(self.now, id);
        self.collect();
    }

    pub(super) fn reports(&mut self, id: ClientId, report: JobReport) {
        self.books.reported(self.now, id, report);
        self.collect();
    }

    pub(super) fn hears(&mut self, heard: Heard) {
        self.books.heard(self.now, [heard]);
        self.collect();
    }

    /// Answers every hello under way as these hosts would; whoever is not named does not answer.
    pub(super) fn answer_hellos(&mut self, ours: &[(u8, &[(&str, &str)])], stock: &[u8]) {
        for action in std::mem::take(&mut self.todo) {
            let (key, addrs) = match action {
                Action::Hello(key, addrs, _) => (key, addrs),
                Action::ResolveAndHello(key, host, port) => {
                    (key, vec![SocketAddr::new(host.parse().unwrap(), port)])
                }
                other => {
                    self.todo.push(other);
                    continue;
                }
            };
            let mut answer = Answer::Failed("no answer".to_owned(), Contact::Lost);
            for reached in addrs {
                let mine = ours.iter().find(|(last, _)| addr(*last) == reached);
                if let Some((last, offered)) = mine {
                    answer = Answer::Ours(Some(reached), Box::new(hello(*last, offered)));
                } else if stock.iter().any(|last| addr(*last) == reached) {
                    answer = Answer::Stock(Some(reached));
                }
            }
            self.books.peer_answered(self.now, key, answer);
        }
        self.collect();
    }

    pub(super) fn answer(&mut self, id: ClientId) -> Option<AgentMessage> {
        let position = self.answers.iter().position(|(to, _)| *to == id)?;
        Some(self.answers.remove(position).1)
    }

    pub(super) fn placement(&mut self, id: ClientId) -> Placement {
        match self.answer(id) {
            Some(AgentMessage::Placed(placement)) => *placement,
            other => panic!("not placed: {other:?}"),
        }
    }

    /// The reason for which the job is to run here.
    pub(super) fn local(&mut self, id: ClientId) -> String {
        match self.answer(id) {
            Some(AgentMessage::Local(place)) => place.reason,
            other => panic!("not local: {other:?}"),
        }
    }

    pub(super) fn show(&mut self, hosts: &str) -> Option<HostsAnswer> {
        let id = self.client();
        let request = ShowRequest {
            hosts: HostsText { origin: "$DISTCC_HOSTS".to_owned(), text: hosts.to_owned() },
            compilers: vec![query()],
            policy: None,
            ssh: SshClient::default(),
            backoff: DEFAULT_BACKOFF,
        };
        self.books.asks(self.now, id, Question::Show(request, self.policy.clone()));
        self.collect();
        match self.answer(id)? {
            AgentMessage::Hosts(answer) => Some(answer),
            other => panic!("not hosts: {other:?}"),
        }
    }
}
