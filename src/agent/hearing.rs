//! What the books learn of peers and compilers: discovery, answers to questions, identities.

use std::time::{Duration, Instant};

use super::ask::{Answer, Probed};
use super::books::{Action, Books};
use super::judge::LocalCompiler;
use super::peers::{Origin, Peer, PeerAddr, PeerKey, State, StockName};
use super::remembered::RememberedPeer;
use crate::base::node::NodeId;
use crate::discovery::heard::{Heard, HeardPeer};
use crate::fingerprint::probe;
use crate::wire::control::CompilerQuery;

/// For how long the first compile waits for the first eligible peer.
const SETTLE: Duration = Duration::from_millis(1200);

/// What a local compiler was found to be, or why that cannot be told.
pub(super) type Identified = Result<probe::Probed, String>;

impl Books {
    /// A question to a peer was answered, or not.
    pub(super) fn peer_answered(&mut self, now: Instant, key: PeerKey, answer: Answer) {
        let Some(peer) = self.peers.get_mut(&key) else { return };
        peer.question_under_way = false;
        match answer {
            Answer::Ours(addr, reply) => {
                peer.reached(addr);
                peer.answered_ours(*reply);
            }
            Answer::Stock(addr) => {
                peer.reached(addr);
                peer.answered_stock();
            }
            Answer::Failed(reason) => peer.failed(now, reason),
        }
        if peer.is_gone() {
            self.peers.remove(&key);
            self.actions.push(Action::Remember);
            return self.serve_waiting(now);
        }
        if peer.origin == Origin::Discovered {
            self.actions.push(Action::Remember);
        }
        self.serve_waiting(now);
    }

    /// A stock peer was asked what a compiler name stands for.
    pub(super) fn peer_probed(&mut self, now: Instant, key: PeerKey, name: String, probed: Probed) {
        let Some(peer) = self.peers.get_mut(&key) else { return };
        match probed {
            Probed::Known(toolchain) => {
                peer.stock_names.insert(name, StockName::Known(toolchain));
            }
            Probed::Absent => {
                peer.stock_names.insert(name, StockName::Absent);
            }
            Probed::Failed(reason) => {
                peer.stock_names.remove(&name);
                peer.failed(now, reason);
            }
        }
        self.serve_waiting(now);
    }

    /// A local compiler was identified.
    pub(super) fn identified(
        &mut self,
        now: Instant,
        query: CompilerQuery,
        identified: Identified,
    ) {
        self.compilers.insert(query, known(identified));
        self.serve_waiting(now);
    }

    /// What the cache on disk says of a local compiler whose files are as they were: `None` makes
    /// the books ask anew, unless that is under way already.
    pub(super) fn recalled(&mut self, query: &CompilerQuery, cached: Option<probe::Probed>) {
        match (self.compilers.get(query), cached) {
            (_, Some(probed)) => {
                self.compilers.insert(query.clone(), known(Ok(probed)));
            }
            (Some(LocalCompiler::Known(..)), None) => {
                self.compilers.remove(query);
            }
            _ => {}
        }
    }

    /// Somebody uses `+zeroconf`: begins to look for hosts, if that has not begun yet.
    pub(super) fn browse(&mut self, now: Instant) {
        if !self.browsing {
            self.browsing = true;
            self.settle_at = Some(now + SETTLE);
            self.actions.push(Action::Browse);
        }
    }

    /// The peer that stands in a list as this host and port; asked at once if it is new.
    pub(super) fn listed_peer(&mut self, host: &str, port: u16) -> PeerKey {
        if let Some(key) = self.listed.get(&(host.to_owned(), port)) {
            return *key;
        }
        let key = self.new_key();
        let origin = Origin::Listed { host: host.to_owned(), port };
        self.peers.insert(key, Peer::new(key, origin, host.to_owned(), Vec::new()));
        self.listed.insert((host.to_owned(), port), key);
        self.ask(key);
        key
    }

    /// Discovery heard something.
    pub(super) fn heard(&mut self, now: Instant, heard: Heard) {
        match heard {
            Heard::Up(peer) => self.heard_up(peer),
            Heard::Gone { instance } => self.heard_gone(&instance),
        }
        self.serve_waiting(now);
    }

    /// A record says that somebody is there; whether it is true, and who it is, the peer must say
    /// itself.
    fn heard_up(&mut self, heard: HeardPeer) {
        let addrs: Vec<PeerAddr> = heard
            .addrs
            .into_iter()
            .map(|heard| PeerAddr { addr: heard.addr, interface: heard.interface })
            .collect();
        let known = self.known_as(&heard.instance, &heard.host, heard.txt.id, &addrs);
        let key = known.unwrap_or_else(|| {
            let key = self.new_key();
            let peer = Peer::new(key, Origin::Discovered, heard.host.clone(), Vec::new());
            self.peers.insert(key, peer);
            key
        });
        let Some(peer) = self.peers.get_mut(&key) else { return };
        let news = peer.heard(heard.instance, heard.host, &heard.txt, addrs);
        if news || known.is_none() || matches!(peer.state, State::Silent { .. }) {
            self.ask(key);
        }
    }

    /// The discovered peer that this record is about: the same instance, an address in common, or
    /// the same id under the same host name. The same id under another name is a cloned machine.
    fn known_as(
        &self,
        instance: &str,
        host: &str,
        id: Option<NodeId>,
        addrs: &[PeerAddr],
    ) -> Option<PeerKey> {
        let port = addrs.first()?.addr.port();
        let discovered = || self.peers.values().filter(|peer| peer.origin == Origin::Discovered);
        let by_address = |peer: &&Peer| peer.addrs.iter().any(|known| addrs.contains(known));
        let by_name = |peer: &&Peer| peer.instance == instance && peer.name == host;
        let by_id = |peer: &&Peer| id.is_some() && peer.id() == id && peer.name == host;
        discovered()
            .find(by_address)
            .or_else(|| discovered().filter(|peer| peer.port() == port).find(by_name))
            .or_else(|| discovered().filter(|peer| peer.port() == port).find(by_id))
            .map(|peer| peer.key)
    }

    /// A goodbye, or silence for too long. Anyone on the link can say goodbye for anyone, so the
    /// peer is asked, and goes if it does not answer.
    fn heard_gone(&mut self, instance: &str) {
        let is_it =
            |peer: &&mut Peer| peer.origin == Origin::Discovered && peer.instance == instance;
        if let Some(peer) = self.peers.values_mut().find(is_it) {
            peer.said_goodbye = true;
            let key = peer.key;
            self.ask(key);
        }
    }

    /// The discovered peers that answer, for the next time.
    pub(super) fn worth_remembering(&self) -> Vec<RememberedPeer> {
        let answers = |peer: &&Peer| {
            peer.origin == Origin::Discovered && matches!(peer.state, State::Ours(_) | State::Stock)
        };
        let remembered = |peer: &Peer| {
            let first = peer.addrs.first()?;
            Some(RememberedPeer {
                instance: peer.instance.clone(),
                host: peer.name.clone(),
                addr: first.addr,
                interface: first.interface.clone(),
                id: peer.id().map(|id| id.0),
            })
        };
        self.peers.values().filter(answers).filter_map(remembered).collect()
    }

    /// Every discovered peer, in the order in which they were first heard.
    pub(super) fn discovered_peers(&self) -> Vec<PeerKey> {
        let discovered = |peer: &&Peer| peer.origin == Origin::Discovered;
        self.peers.values().filter(discovered).map(|peer| peer.key).collect()
    }

    /// Asks the peer who it is, unless a question is under way. What is known of it stays in force
    /// until it answers.
    pub(super) fn ask(&mut self, key: PeerKey) {
        let Some(peer) = self.peers.get_mut(&key) else { return };
        if peer.question_under_way {
            return;
        }
        peer.question_under_way = true;
        let action = match &peer.origin {
            Origin::Listed { host, port } => Action::ResolveAndHello(key, host.clone(), *port),
            Origin::Discovered => {
                Action::Hello(key, peer.addrs.iter().map(|heard| heard.addr).collect())
            }
        };
        self.actions.push(action);
    }

    /// Asks a stock peer what this name stands for, once.
    pub(super) fn probe(&mut self, key: PeerKey, name: &str) {
        let Some(peer) = self.peers.get_mut(&key) else { return };
        let Some(addr) = peer.addrs.first().map(|first| first.addr) else { return };
        if !peer.stock_names.contains_key(name) {
            peer.stock_names.insert(name.to_owned(), StockName::Asking);
            self.actions.push(Action::Probe(key, addr, name.to_owned()));
        }
    }

    /// Asks those again whose pause is over.
    pub(super) fn retry_silent(&mut self, now: Instant) {
        let is_due = |peer: &&Peer| peer.retry_at().is_some_and(|at| at <= now);
        let due: Vec<PeerKey> = self.peers.values().filter(is_due).map(|peer| peer.key).collect();
        for key in due {
            self.ask(key);
        }
    }

    pub(super) fn new_key(&mut self) -> PeerKey {
        self.next_peer += 1;
        PeerKey(self.next_peer)
    }
}

fn known(identified: Identified) -> LocalCompiler {
    match identified {
        Ok(probed) => LocalCompiler::Known(Box::new(probed.toolchain), probed.driver),
        Err(reason) => LocalCompiler::Unknown(reason),
    }
}
