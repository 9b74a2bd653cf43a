//! What the agent knows of one peer, wherever it was heard of: a plain record with the few
//! transitions that keep it consistent.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use super::declined::Declined;
use super::health::Pulse;
use super::setbacks::{Backoff, Setbacks};
use super::speed::Speed;
use super::ssh::{Reach, SshWay};
use super::stock::StockNames;
use crate::base::node::NodeId;
use crate::discovery::cluster::NodeKey;
use crate::discovery::txt::HeardTxt;
use crate::fingerprint::Offered;
use crate::settings::hosts::DEFAULT_SLOTS;
use crate::wire::control::{HelloReply, SshRoute};

/// First pause before a silent peer is asked again; doubled each time up to [`MAX_RETRY`].
const FIRST_RETRY: Duration = Duration::from_secs(1);
/// Longest pause before a silent peer is asked again.
const MAX_RETRY: Duration = Duration::from_secs(30);
/// A discovered peer that did not answer so often is forgotten until it is heard again.
const MAX_FAILURES: u32 = 10;
/// Jobs that one discovered host gets at once from one user; an advert can claim any number.
const MAX_DISCOVERED_SLOTS: u16 = 256;
/// Objects of a wrong compiler after which a name is distrusted until the peer restarts.
const MAX_WRONG: u32 = 2;

/// Names a peer within this agent; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct PeerKey(pub(super) u64);

/// Where a peer was heard of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// The user wrote it into a host list: host and port.
    Listed { host: String, port: u16 },
    /// The user wrote it into a host list as one reached by ssh.
    Ssh(SshWay),
    /// It was discovered, or remembered from the last time on this network.
    Discovered(NodeKey),
}

/// An address of a discovered peer, and the interface on which it was heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PeerAddr {
    pub(super) addr: SocketAddr,
    pub(super) interface: String,
}

/// How far we know the peer.
#[derive(Clone, Debug)]
pub(super) enum State {
    /// A question is under way, or about to be.
    Asking,
    /// A server of ours, with what it offers.
    Ours(Ours),
    /// It closes on a hello: a stock server, probed name by name.
    Stock,
    /// It does not answer; asked again at `retry_at`.
    Silent { reason: String, retry_at: Instant },
}

/// What a server of ours said of itself.
#[derive(Clone, Debug)]
pub(super) struct Ours {
    pub(super) id: NodeId,
    pub(super) features: Vec<String>,
    pub(super) jobs: u16,
    pub(super) offered: Vec<Offered>,
}

/// A daemon from one start to the next, or to the next change of its compilers: its id, and the
/// generation that it alone of all daemons has, a clone with the same id included.
pub(super) type Run = (NodeId, u64);

/// By which two peers turn out to be one daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Mark {
    Run(Run),
    Addr(SocketAddr),
}

/// One peer.
#[derive(Clone, Debug)]
pub(super) struct Peer {
    pub(super) key: PeerKey,
    pub(super) origin: Origin,
    /// As advertised or listed, sanitised.
    pub(super) name: String,
    /// Best address first; of a listed host what its name resolved to.
    pub(super) addrs: Vec<PeerAddr>,
    /// What it last said of itself by multicast.
    pub(super) advert: HeardTxt,
    pub(super) state: State,
    /// Of a stock peer.
    pub(super) stock: StockNames,
    /// Of one reached by ssh: where the keys are, and the socket of its connection.
    pub(super) ssh_auth_sock: Option<Vec<u8>>,
    pub(super) control_path: Option<Vec<u8>>,
    /// Jobs of this agent's clients there.
    pub(super) in_use: u16,
    /// A hello is on its way, or waits for its turn.
    pub(super) question_under_way: bool,
    /// When it proved to be there.
    pub(super) pulse: Pulse,
    /// The address that was in use last.
    best: Option<SocketAddr>,
    /// Where it last said who it is.
    answered_at: Option<SocketAddr>,
    /// Of the last hello of a server of ours.
    run: Option<Run>,
    failures: u32,
    setbacks: Setbacks,
    /// Of the way to it.
    pub(super) speed: Speed,
    wrong: HashMap<String, (u32, String)>,
    distrusted: HashSet<String>,
    pub(super) declined: Declined,
}

impl Peer {
    /// A peer of which nothing is known yet but its name and addresses.
    pub(super) fn new(key: PeerKey, origin: Origin, name: String, addrs: Vec<PeerAddr>) -> Self {
        let pulse = match origin {
            Origin::Ssh(_) => Pulse::by_ssh(),
            Origin::Listed { .. } | Origin::Discovered(_) => Pulse::default(),
        };
        Self {
            key,
            origin,
            name,
            addrs,
            advert: HeardTxt::default(),
            state: State::Asking,
            stock: StockNames::default(),
            ssh_auth_sock: None,
            control_path: None,
            in_use: 0,
            question_under_way: false,
            pulse,
            best: None,
            answered_at: None,
            run: None,
            failures: 0,
            setbacks: Setbacks::default(),
            speed: Speed::default(),
            wrong: HashMap::new(),
            distrusted: HashSet::new(),
            declined: Declined::default(),
        }
    }

    /// Its id, if it has said so.
    pub(super) fn id(&self) -> Option<NodeId> {
        match &self.state {
            State::Ours(ours) => Some(ours.id),
            _ => self.advert.id,
        }
    }

    /// Address and port as `distcc --show-hosts` shows them.
    pub(super) fn host_port(&self) -> String {
        self.addrs.first().map_or_else(|| self.name.clone(), |first| first.addr.to_string())
    }

    /// Jobs that a discovered peer takes at once.
    pub(super) fn discovered_slots(&self) -> u16 {
        let said = match &self.state {
            State::Ours(ours) => Some(ours.jobs),
            _ => self.advert.jobs,
        };
        said.unwrap_or(DEFAULT_SLOTS).clamp(1, MAX_DISCOVERED_SLOTS)
    }

    /// Is one of its addresses among these?
    pub(super) fn is_among(&self, addrs: &[IpAddr]) -> bool {
        self.addrs.iter().any(|own| addrs.contains(&own.addr.ip()))
    }

    /// What it said the last time that it answered as one of ours.
    pub(super) fn run(&self) -> Option<Run> {
        self.run
    }

    /// Does this answer come from another daemon than the one that was discovered? An address may
    /// have passed to another machine, or a record may name one that is not its own.
    pub(super) fn is_answered_by_another(&self, reply: &HelloReply) -> bool {
        matches!(&self.origin, Origin::Discovered(NodeKey::Ours { id, .. }) if id.0 != reply.id)
    }

    /// What it shares with every peer that stands for the same daemon, and with no other. A tunnel
    /// changes address and port, not what is answered. Of one that has answered, the addresses that
    /// it only claims do not count: they may be another's.
    pub(super) fn marks(&self) -> impl Iterator<Item = Mark> {
        let n_addrs = if self.is_confirmed() { 1 } else { self.addrs.len() };
        let addrs = self.addrs.iter().take(n_addrs).map(|known| Mark::Addr(known.addr));
        self.run.map(Mark::Run).into_iter().chain(addrs)
    }

    /// Did it answer for itself?
    pub(super) fn is_confirmed(&self) -> bool {
        self.run.is_some() || matches!(self.state, State::Stock)
    }

    /// Was it discovered, not listed?
    pub(super) fn is_discovered(&self) -> bool {
        matches!(self.origin, Origin::Discovered(_))
    }

    /// How it is reached by ssh, if it is.
    pub(super) fn reach(&self) -> Option<Reach> {
        let Origin::Ssh(way) = &self.origin else { return None };
        let (auth_sock, control_path) = (self.ssh_auth_sock.clone(), self.control_path.clone());
        Some(Reach { way: way.clone(), auth_sock, control_path })
    }

    /// The same for a client.
    pub(super) fn route(&self) -> Option<SshRoute> {
        let Origin::Ssh(SshWay { user, host, command, .. }) = &self.origin else { return None };
        let (user, host, command) = (user.clone(), host.clone(), command.clone());
        Some(SshRoute { user, host, command, control_path: self.control_path.clone() })
    }

    /// It has answered, by way of this address if it has one.
    pub(super) fn answered_at_addr(&mut self, addr: Option<SocketAddr>) {
        if let Some(addr) = addr {
            self.reached(addr);
        }
    }

    /// How often in a row it did not answer.
    pub(super) fn failures(&self) -> u32 {
        self.failures
    }

    /// It does not answer.
    pub(super) fn is_silent(&self) -> bool {
        matches!(self.state, State::Silent { .. })
    }

    /// It was asked in vain for minutes.
    pub(super) fn is_given_up(&self) -> bool {
        self.failures >= MAX_FAILURES
    }

    /// It was reached at this address: use it first from now on. A listed name was resolved for it,
    /// and what it stood for earlier no longer counts.
    pub(super) fn reached(&mut self, addr: SocketAddr) {
        if !self.is_discovered() {
            self.addrs.clear();
        }
        if self.addrs.iter().all(|known| known.addr != addr) {
            self.addrs.push(PeerAddr { addr, interface: String::new() });
        }
        if self.answered_at.replace(addr).is_some_and(|former| former != addr) {
            // Only one of ours tells by its hello that it is the same.
            self.stock.forget_all();
        }
        self.prefer(addr);
    }

    /// Where it last said who it is. What stands at the other addresses that were heard for it is
    /// not known: two machines may go by one name.
    pub(super) fn answered_at(&self) -> Option<SocketAddr> {
        self.answered_at
    }

    /// Takes over what discovery knows of its addresses. The one in use stays the first.
    pub(super) fn is_at(&mut self, addrs: Vec<PeerAddr>) {
        self.addrs = addrs;
        if let Some(best) = self.best {
            self.prefer(best);
        }
    }

    /// Uses this address first, if it is one of its own.
    fn prefer(&mut self, addr: SocketAddr) {
        if let Some(position) = self.addrs.iter().position(|known| known.addr == addr) {
            self.best = Some(addr);
            self.addrs[..=position].rotate_right(1);
        }
    }

    /// It answered the hello as one of ours.
    pub(super) fn answered_ours(&mut self, reply: HelloReply) {
        let run = (NodeId(reply.id), reply.generation);
        if self.run != Some(run) {
            self.forget_verdicts();
            self.setbacks.forgive();
        }
        self.run = Some(run);
        self.failures = 0;
        self.state = State::Ours(Ours {
            id: NodeId(reply.id),
            features: reply.features,
            jobs: reply.jobs,
            offered: reply.compilers.into_iter().map(Offered::from).collect(),
        });
    }

    /// It closed on the hello: a stock server. What was known of its names stays known unless it
    /// was away meanwhile.
    pub(super) fn answered_stock(&mut self) {
        if self.failures > 0 {
            self.forget_verdicts();
        }
        self.failures = 0;
        self.state = State::Stock;
    }

    /// It closed on the hello. Was it one of ours until now? A daemon that is killed closes on those
    /// who wait in its queue, so that once is no proof of a stock server in its place.
    pub(super) fn forget_run(&mut self) -> bool {
        self.run.take().is_some()
    }

    /// It may have been away for a moment. Only a server of ours tells by its hello whether it was;
    /// of a stock one what its names stood for is forgotten.
    pub(super) fn may_have_restarted(&mut self) {
        self.stock.forget_all();
    }

    /// It did not answer, or failed in the middle of a job.
    pub(super) fn failed(&mut self, now: Instant, reason: String) {
        self.pulse.stops();
        let pause = FIRST_RETRY.saturating_mul(1 << self.failures.min(5)).min(MAX_RETRY);
        // Some hosts lock out who comes to ssh in vain too often.
        let patient = matches!(self.origin, Origin::Ssh(_)) && self.failures > 0;
        let pause = if patient { pause * 10 } else { pause };
        self.failures += 1;
        self.state = State::Silent { reason, retry_at: now + pause };
    }

    /// When a silent peer is to be asked again.
    pub(super) fn retry_at(&self) -> Option<Instant> {
        match self.state {
            State::Silent { retry_at, .. } if !self.question_under_way => Some(retry_at),
            _ => None,
        }
    }

    /// Something has changed that may let a silent peer answer again: its pause is over.
    pub(super) fn may_answer_now(&mut self, now: Instant) {
        if let State::Silent { retry_at, .. } = &mut self.state {
            *retry_at = (*retry_at).min(now);
        }
    }

    /// It is silent, and the pause before it is asked again is over.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.retry_at().is_some_and(|at| at <= now)
    }

    /// Does its advert say that it is a server of ours? One that closes on a hello all the same
    /// refuses this machine.
    pub(super) fn says_it_is_ours(&self) -> bool {
        self.is_discovered() && self.advert.feat.iter().any(|feature| feature == "hello")
    }

    /// It closed on every name, some time ago. What was known of its names is forgotten then, and it
    /// must be asked anew.
    pub(super) fn may_have_changed_its_mind(&mut self, now: Instant) -> bool {
        let asks = matches!(self.state, State::Stock) && self.stock.may_have_changed_its_mind(now);
        if asks {
            self.stock.forget_all();
        }
        asks
    }

    /// A job ran there, whatever the compiler said, by way of this address.
    pub(super) fn ran(&mut self, now: Instant, addr: Option<SocketAddr>) {
        self.setbacks.forgive();
        self.pulse.beats(now);
        if let Some(addr) = addr {
            self.prefer(addr);
        }
    }

    /// It failed in the middle of a job. All jobs that one breakdown ends count as one.
    pub(super) fn broke_a_job(&mut self, now: Instant, reason: String) {
        if self.is_silent() {
            return;
        }
        self.setbacks.broke(now, &reason);
        self.failed(now, format!("does not answer: {reason}"));
    }

    /// It closed on a job before its first byte.
    pub(super) fn refused(&mut self, now: Instant, name: &str) {
        // A stock peer may have lost the name since it was asked.
        self.stock.forget(name);
        self.set_back(now, "it refuses jobs".to_owned());
    }

    /// Job upon job comes to nothing there, for this reason.
    pub(super) fn set_back(&mut self, now: Instant, reason: String) {
        self.setbacks.refused(now, reason);
    }

    /// Why whoever leaves failed hosts out for so long sends nothing there, although it answers.
    pub(super) fn backoff(&self, now: Instant, period: Duration) -> Option<&Backoff> {
        self.setbacks.backoff(now, period)
    }

    /// What it advertises is no longer what it said when it was asked: after a start with another
    /// compiler, most likely. Nothing goes there before it has said anew what it is.
    pub(super) fn has_changed(&mut self) {
        if matches!(self.state, State::Ours(_)) {
            self.state = State::Asking;
        }
    }

    /// An object from the compiler called `name` carried another compiler's mark: the machine is not
    /// what it was, and none of its names can be relied on.
    pub(super) fn made_wrong_object(&mut self, name: &str, found: String) {
        self.stock.forget_all();
        // Nothing goes there before it has said anew what it is.
        self.state = State::Asking;
        let (count, last) = self.wrong.entry(name.to_owned()).or_default();
        *count += 1;
        *last = found;
        if *count >= MAX_WRONG {
            self.distrusted.insert(name.to_owned());
        }
    }

    /// What its objects were instead, if this name is no longer trusted.
    pub(super) fn distrust(&self, name: &str) -> Option<&str> {
        if !self.distrusted.contains(name) {
            return None;
        }
        self.wrong.get(name).map(|(_, found)| found.as_str())
    }

    /// May LZO be used without asking?
    pub(super) fn has_feature(&self, feature: &str) -> bool {
        match &self.state {
            State::Ours(ours) => ours.features.iter().any(|known| known == feature),
            _ => false,
        }
    }

    fn forget_verdicts(&mut self) {
        self.stock.forget_all();
        self.wrong.clear();
        self.distrusted.clear();
        self.declined = Declined::default();
    }
}

#[cfg(test)]
mod tests {
    use crate::settings::hosts::DEFAULT_BACKOFF;

    use super::super::stock::{Known, Meaning, Need};
    use super::*;

    fn peer() -> Peer {
        let origin = Origin::Listed { host: "b".to_owned(), port: 3632 };
        Peer::new(PeerKey(1), origin, "b".to_owned(), Vec::new())
    }

    fn hello(generation: u64) -> HelloReply {
        HelloReply {
            id: 7,
            generation,
            version: "0".to_owned(),
            features: vec!["lzo".to_owned()],
            cores: 2,
            jobs: 4,
            compilers: Vec::new(),
        }
    }

    #[test]
    fn asks_a_silent_peer_again_after_growing_pauses() {
        let now = Instant::now();
        let mut peer = peer();
        let pauses: Vec<u64> = (0..7)
            .map(|_| {
                peer.failed(now, "connection refused".to_owned());
                match &peer.state {
                    State::Silent { retry_at, .. } => (*retry_at - now).as_secs(),
                    _ => 0,
                }
            })
            .collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 30, 30]);
    }

    #[test]
    fn distrusts_a_name_after_two_wrong_objects_until_the_peer_restarts() {
        let mut peer = peer();
        peer.answered_ours(hello(1));
        peer.made_wrong_object("gcc", "GCC: 11".to_owned());
        assert_eq!(peer.distrust("gcc"), None);
        peer.answered_ours(hello(1));
        peer.made_wrong_object("gcc", "GCC: 11".to_owned());
        peer.answered_ours(hello(1));
        assert_eq!(peer.distrust("gcc"), Some("GCC: 11"));
        assert_eq!(peer.distrust("gcc-12"), None);
        peer.answered_ours(hello(2));
        assert_eq!(peer.distrust("gcc"), None);
    }

    #[test]
    fn leaves_out_a_host_that_refuses_job_upon_job_and_forgives_after_a_run() {
        let now = Instant::now();
        let mut peer = peer();
        peer.refused(now, "gcc");
        peer.ran(now, None);
        peer.refused(now, "gcc");
        peer.refused(now, "gcc");
        assert!(peer.backoff(now, DEFAULT_BACKOFF).is_none());
        peer.refused(now, "gcc");
        assert!(peer.backoff(now, DEFAULT_BACKOFF).is_some());
        assert!(peer.backoff(now + DEFAULT_BACKOFF, DEFAULT_BACKOFF).is_none());
        assert!(peer.backoff(now, Duration::ZERO).is_none(), "nobody wants to leave it out");
    }

    #[test]
    fn a_listed_host_that_moved_is_at_its_new_address_only() {
        let mut peer = peer();
        for last in [1, 2] {
            peer.reached(SocketAddr::from(([10, 77, 0, last], 3632)));
        }
        assert_eq!(peer.host_port(), "10.77.0.2:3632");
        assert_eq!(peer.addrs.len(), 1);
    }

    #[test]
    fn jobs_that_one_breakdown_ended_count_as_one() {
        let now = Instant::now();
        let mut peer = peer();
        for _ in 0..2 {
            peer.answered_ours(hello(1));
            (0..8).for_each(|_| peer.broke_a_job(now, "connection reset".to_owned()));
        }
        peer.answered_ours(hello(1));
        assert!(peer.backoff(now, DEFAULT_BACKOFF).is_none());
        peer.broke_a_job(now, "connection reset".to_owned());
        assert!(peer.backoff(now, DEFAULT_BACKOFF).is_some());
        peer.answered_ours(hello(2));
        assert!(peer.backoff(now, DEFAULT_BACKOFF).is_none(), "a restart is forgiven");
    }

    #[test]
    fn a_stock_peer_keeps_its_names_unless_it_was_away_or_made_a_wrong_object() {
        let now = Instant::now();
        let mut peer = peer();
        let knows = |peer: &Peer| peer.stock.get(now, "gcc", Need::Checked) != Known::No;
        let probed = |peer: &mut Peer| {
            assert!(peer.stock.ask(now, "gcc"));
            assert!(peer.stock.answered(now, "gcc", Meaning::Nothing));
        };
        peer.answered_stock();
        probed(&mut peer);
        peer.answered_stock();
        assert!(knows(&peer));
        peer.failed(now, "gone".to_owned());
        peer.answered_stock();
        assert!(!knows(&peer));
        probed(&mut peer);
        peer.made_wrong_object("g++", "GCC: 11".to_owned());
        assert!(!knows(&peer));
    }
}
