//! The agent's books: peers, local compilers, clients and their places. Events change them and
//! yield [`Action`]s; no I/O, and time only as an argument. `decide` answers who waits, `hearing`
//! takes in what is learned of peers; here stand the clients and what they hold.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::mem;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Instant;

use super::ask::Patience;
use super::decide::SHOW_PATIENCE;
use super::health::Unproven;
use super::judge::LocalCompiler;
use super::local::LocalSlots;
use super::peers::{Peer, PeerKey};
use super::scene::Scene;
use super::ssh::{Reach, SshWay};
use super::stock::StockNames;
use crate::discovery::cluster::{Cluster, NodeKey};
use crate::policy::file::Policy;
use crate::settings::hosts::HostList;
use crate::wire::control::{
    AgentMessage, CompilerQuery, JobReport, LocalPurpose, PlaceRequest, ShowRequest,
};
use crate::wire::job::Protocol;

/// Host lists remembered in parsed form, with the hosts that they name.
const MAX_LISTS: usize = 64;
/// Compilers of this machine remembered; each goes with the PATH of its caller.
const MAX_COMPILERS: usize = 256;

/// Names a connection of a client; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct ClientId(pub(super) u64);

/// What the shell must do.
#[derive(Debug)]
pub(super) enum Action {
    /// Send this to the client.
    Tell(ClientId, AgentMessage),
    /// Ask the peer who it is, at one of these addresses.
    Hello(PeerKey, Vec<SocketAddr>, Patience),
    /// Resolve the listed host, then ask it who it is.
    ResolveAndHello(PeerKey, String, u16),
    /// Ask the stock peer what this compiler name stands for.
    Probe(PeerKey, SocketAddr, String),
    /// The same two of a host reached by ssh.
    SshHello(PeerKey, Reach),
    SshProbe(PeerKey, Reach, String),
    /// Find out what this local compiler is.
    Identify(CompilerQuery),
    /// Somebody uses `+zeroconf`: look for peers, beginning with those of the last time.
    Browse,
    /// The discovered peers that answer have changed: keep them for the next time.
    Remember,
}

/// The policy in force for a request, as the shell read it.
#[derive(Clone, Debug)]
pub(super) struct InForce {
    /// The policy, or whole sentences saying what is wrong with it.
    pub(super) policy: Result<Rc<Policy>, Vec<String>>,
    /// A path, or `built in`.
    pub(super) origin: String,
}

/// What a waiting client wants.
#[derive(Debug)]
pub(super) enum Question {
    Place(PlaceRequest, InForce),
    Local(LocalPurpose, Option<u16>),
    Show(ShowRequest, InForce),
}

/// A connected client and what it holds.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) question: Option<Rc<Question>>,
    pub(super) asked_at: Instant,
    /// The peer that holds a place of this client, and the compiler's name sent there.
    pub(super) place: Option<(PeerKey, String)>,
    /// How the job was sent there.
    pub(super) protocol: Protocol,
    /// Where that peer was then.
    pub(super) sent_to: Vec<SocketAddr>,
    /// It was told not to wait for its place.
    pub(super) recalled: bool,
    pub(super) holds_local_slot: bool,
    /// As in its last place: numbers for monitors.
    pub(super) slot: u16,
    pub(super) local_slot: u16,
    pub(super) holds_listed_local: bool,
}

impl Client {
    /// Has it a place there?
    pub(super) fn is_at(&self, key: PeerKey) -> bool {
        self.place.as_ref().is_some_and(|(peer, _)| *peer == key)
    }
}

/// Everything the agent knows.
pub(super) struct Books {
    pub(super) peers: BTreeMap<PeerKey, Peer>,
    pub(super) listed: HashMap<(String, u16), PeerKey>,
    pub(super) by_ssh: HashMap<SshWay, PeerKey>,
    /// What earlier agents learned of listed hosts that no list has named since.
    pub(super) earlier: HashMap<(String, u16), StockNames>,
    pub(super) discovered: HashMap<NodeKey, PeerKey>,
    pub(super) next_peer: u64,
    pub(super) cluster: Cluster,
    pub(super) compilers: HashMap<CompilerQuery, LocalCompiler>,
    pub(super) clients: HashMap<ClientId, Client>,
    pub(super) waiting: VecDeque<ClientId>,
    /// Something has changed that may let one of them be served.
    pub(super) serve_at: Option<Instant>,
    pub(super) local: LocalSlots,
    pub(super) listed_local_in_use: u16,
    pub(super) lists: HashMap<String, Rc<HostList>>,
    pub(super) unproven: Unproven,
    /// No earlier question's failure says anything.
    pub(super) in_doubt_since: Option<Instant>,
    /// When somebody first used `+zeroconf`.
    pub(super) browsing_since: Option<Instant>,
    pub(super) scene: Scene,
    pub(super) warned: HashMap<String, Instant>,
    /// When a client was last given a hint to show.
    pub(super) hinted_at: Option<Instant>,
    pub(super) placements: u64,
    pub(super) actions: Vec<Action>,
}

impl Books {
    /// Empty books of a machine with `cores` usable cores.
    pub(super) fn new(cores: u16) -> Self {
        Self {
            peers: BTreeMap::new(),
            listed: HashMap::new(),
            by_ssh: HashMap::new(),
            earlier: HashMap::new(),
            discovered: HashMap::new(),
            next_peer: 0,
            cluster: Cluster::default(),
            compilers: HashMap::new(),
            clients: HashMap::new(),
            waiting: VecDeque::new(),
            serve_at: None,
            local: LocalSlots::new(cores),
            listed_local_in_use: 0,
            lists: HashMap::new(),
            unproven: Unproven::default(),
            in_doubt_since: None,
            browsing_since: None,
            scene: Scene::default(),
            warned: HashMap::new(),
            hinted_at: None,
            placements: 0,
            actions: Vec::new(),
        }
    }

    /// What there is to do since the last call. Only now the waiting are served, and once, however
    /// much was learned: to look at hundreds of hosts for each answer of one of them takes seconds.
    pub(super) fn take_actions(&mut self) -> Vec<Action> {
        if let Some(now) = self.serve_at.take() {
            self.serve(now);
        }
        mem::take(&mut self.actions)
    }

    /// When [`Books::tick`] wants to be called next, whatever happens.
    pub(super) fn next_deadline(&self, now: Instant) -> Option<Instant> {
        let retries = self.retried().filter_map(Peer::retry_at);
        let patience = self.waiting.iter().filter_map(|id| {
            let client = self.clients.get(id)?;
            let shows = matches!(client.question.as_deref(), Some(Question::Show(..)));
            shows.then(|| client.asked_at + SHOW_PATIENCE)
        });
        let checks = self.next_check(now);
        retries.chain(patience).chain(self.settling_ends(now)).chain(checks).min()
    }

    /// A deadline has passed.
    pub(super) fn tick(&mut self, now: Instant) {
        self.check_jobs(now);
        self.retry_silent(now);
        self.serve_waiting(now);
    }

    /// Is nobody connected?
    pub(super) fn is_idle(&self) -> bool {
        self.clients.is_empty()
    }

    /// A client has connected.
    pub(super) fn came(&mut self, now: Instant, id: ClientId) {
        if self.is_idle() {
            self.hope(now);
        }
        let client = Client {
            question: None,
            asked_at: now,
            place: None,
            sent_to: Vec::new(),
            recalled: false,
            protocol: Protocol::Plain,
            holds_local_slot: false,
            slot: 0,
            local_slot: 0,
            holds_listed_local: false,
        };
        self.clients.insert(id, client);
    }

    /// A client's connection has ended: whatever it held is free.
    pub(super) fn left(&mut self, now: Instant, id: ClientId) {
        self.answered(id);
        self.release(id);
        self.clients.remove(&id);
        self.serve_waiting(now);
    }

    /// A client asks something; what it held before is free.
    pub(super) fn asks(&mut self, now: Instant, id: ClientId, question: Question) {
        self.release(id);
        self.bound_memory();
        let Some(client) = self.clients.get_mut(&id) else { return };
        client.question = Some(Rc::new(question));
        client.asked_at = now;
        if !self.waiting.contains(&id) {
            self.waiting.push_back(id);
        }
        self.retry_silent(now);
        self.serve_waiting(now);
    }

    /// Forgets what was learned for lists and compilers when there are too many of them. Between
    /// rounds of answers only: within one, everything that was looked up stays.
    fn bound_memory(&mut self) {
        if self.lists.len() >= MAX_LISTS {
            self.lists.clear();
            self.forget_listed();
        }
        if self.compilers.len() >= MAX_COMPILERS {
            self.compilers.retain(|_, known| matches!(known, LocalCompiler::Identifying));
        }
    }

    /// A client has preprocessed its source.
    pub(super) fn preprocessed(&mut self, now: Instant, id: ClientId) {
        self.release_local_slot(id);
        self.serve_waiting(now);
    }

    /// A client tells how its job ended.
    pub(super) fn reported(&mut self, now: Instant, id: ClientId, report: JobReport) {
        let client = self.clients.get(&id);
        let protocol = client.map_or(Protocol::Plain, |client| client.protocol);
        let place = client.and_then(|client| client.place.clone());
        // Of a job that was taken back the host is known to be lost, or it is none of its doing.
        let failed = matches!(report, JobReport::HostFailed { .. });
        let place = place.filter(|_| !failed || !client.is_some_and(|client| client.recalled));
        self.release(id);
        if let Some((key, name)) = place {
            self.learn_speed(key, protocol, &report);
            self.learn(now, key, &name, report);
        }
        self.serve_waiting(now);
    }

    fn learn_speed(&mut self, key: PeerKey, protocol: Protocol, report: &JobReport) {
        let Some(peer) = self.peers.get_mut(&key) else { return };
        match report {
            JobReport::Ran(transfer) => {
                peer.speed.ran(transfer, protocol, &self.scene.network_names());
            }
            JobReport::HostFailed { .. } | JobReport::Refused => peer.speed.failed(protocol),
            JobReport::Declined(_)
            | JobReport::WrongCompiler { .. }
            | JobReport::WrongMachine { .. }
            | JobReport::Abandoned => {}
        }
    }

    fn learn(&mut self, now: Instant, key: PeerKey, name: &str, report: JobReport) {
        let Some(peer) = self.peers.get_mut(&key) else { return };
        match report {
            JobReport::Ran(transfer) => {
                peer.stock.prove(now);
                return peer.ran(now, transfer.addr);
            }
            JobReport::Abandoned => return,
            // That is known, and when it is asked again.
            JobReport::HostFailed { .. } if peer.is_silent() => return,
            JobReport::HostFailed { reason } => peer.broke_a_job(now, reason),
            JobReport::Refused => peer.refused(now, name),
            JobReport::Declined(refusal) => {
                if !peer.declines(now, name, refusal) {
                    return;
                }
            }
            JobReport::WrongCompiler { found } => {
                peer.made_wrong_object(name, format!("marked \"{found}\""));
            }
            JobReport::WrongMachine { found } => peer.made_wrong_object(name, found),
        }
        self.ask(now, key);
    }

    /// The question of this client needs no answer any more.
    pub(super) fn answered(&mut self, id: ClientId) {
        self.waiting.retain(|waiting| *waiting != id);
        if let Some(client) = self.clients.get_mut(&id) {
            client.question = None;
        }
    }

    fn release(&mut self, id: ClientId) {
        self.release_local_slot(id);
        let Some(client) = self.clients.get_mut(&id) else { return };
        if let Some((key, _)) = client.place.take()
            && let Some(peer) = self.peers.get_mut(&key)
        {
            peer.in_use = peer.in_use.saturating_sub(1);
        }
        if mem::take(&mut client.holds_listed_local) {
            self.listed_local_in_use = self.listed_local_in_use.saturating_sub(1);
        }
    }

    fn release_local_slot(&mut self, id: ClientId) {
        if let Some(client) = self.clients.get_mut(&id)
            && mem::take(&mut client.holds_local_slot)
        {
            self.local.release();
        }
    }
}
