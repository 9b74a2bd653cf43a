//! Is a peer there? Its answers say so, and the jobs that it runs; a record never does. Here stand
//! the proofs of life, who is asked for one and when, and what happens to jobs of a host that is
//! lost. Nobody is asked in the background but a host with jobs of ours: stock servers log every
//! connection.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use super::ask::{Answer, Contact, Patience};
use super::books::{Action, Books, ClientId};
use super::decide::{SETTLE, SETTLE_OR_FAIL};
use super::peers::{Origin, Peer, PeerAddr, PeerKey, State};
use super::scene::Scene;
use crate::base::node::NodeId;
use crate::discovery::cluster::place;
use crate::discovery::interfaces::Interface;
use crate::policy::networks::Standing;
use crate::wire::control::{AgentMessage, HelloReply};

/// For so long an answer or a job proves that a peer is there.
const PROOF_HOLDS: Duration = Duration::from_secs(15);
/// The same of one reached by ssh.
const SSH_PROOF_HOLDS: Duration = Duration::from_secs(600);
/// A host with jobs that could not be reached is tried again after this.
const CHECK_AGAIN: Duration = Duration::from_secs(1);
/// A host with jobs is lost when so many connects in a row failed: one fails easily, while an
/// address changes or a switch learns.
const MAX_MISSES: u32 = 2;
/// Of discovered peers that never answered, so many are asked at once: a flood of invented ones
/// must not make this machine open a connection to each.
const MAX_UNPROVEN: usize = 32;
/// And each of those at so many of its addresses, the best first.
const MAX_UNPROVEN_ADDRS: usize = 4;

/// So many places are told apart when it is decided whose turn it is.
const MAX_PLACES: usize = 1024;
/// Of discovered peers that used to answer, so many are asked at once whether they still do.
const MAX_DOUBTED: usize = 128;

/// What is known of a peer's life.
#[derive(Clone, Debug, Default)]
pub(super) struct Pulse {
    /// Of the last proof, unless something has made it void.
    alive_at: Option<Instant>,
    /// It was met at least once.
    has_answered: bool,
    asked_at: Option<Instant>,
    /// And where.
    asked_addrs: Vec<SocketAddr>,
    /// When it is to be asked if jobs are there.
    check_at: Option<Instant>,
    /// It was silent, and long enough ago to have come back unnoticed.
    hoped_for: bool,
    /// Connects that failed in a row while jobs were there.
    misses: u32,
    /// To ask costs an ssh connection; one that is held tells of its end by itself.
    by_ssh: bool,
}

impl Pulse {
    /// Of a host reached by ssh.
    pub(super) fn by_ssh() -> Self {
        Self { by_ssh: true, ..Self::default() }
    }

    fn proof_holds(&self) -> Duration {
        if self.by_ssh { SSH_PROOF_HOLDS } else { PROOF_HOLDS }
    }

    /// When it was last proved to be there, unless that is void.
    pub(super) fn alive_at(&self) -> Option<Instant> {
        self.alive_at
    }

    /// It has answered, or run a job.
    pub(super) fn beats(&mut self, now: Instant) {
        let check_at = Some(now + self.proof_holds());
        (self.alive_at, self.check_at, self.misses) = (Some(now), check_at, 0);
        self.has_answered = true;
        self.hoped_for = false;
    }

    /// It was met, but is of no use.
    pub(super) fn is_met(&mut self) {
        self.has_answered = true;
    }

    /// What was proved is void: it failed.
    pub(super) fn stops(&mut self) {
        self.alive_at = None;
        self.hoped_for = false;
    }

    /// Was it ever met?
    pub(super) fn has_answered(&self) -> bool {
        self.has_answered
    }

    /// What was proved is void: it must be asked, and at once if it has jobs.
    pub(super) fn is_in_doubt(&mut self, now: Instant) {
        self.alive_at = None;
        self.check_at = self.check_at.map(|_| now);
    }

    /// It takes connections and says nothing: to be asked again, but later.
    fn keeps_waiting(&mut self, now: Instant) {
        (self.check_at, self.misses) = (Some(now + self.proof_holds()), 0);
        self.alive_at = None;
    }

    /// It could not be reached while jobs were there. True if it is lost.
    fn misses(&mut self, now: Instant) -> bool {
        self.alive_at = None;
        self.misses += 1;
        let lost = self.misses >= MAX_MISSES;
        self.check_at = (!lost).then(|| now + CHECK_AGAIN);
        lost
    }

    pub(super) fn is_proven(&self, now: Instant) -> bool {
        self.alive_at.is_some_and(|at| now < at + self.proof_holds())
    }
}

/// Discovered peers that never answered: those being asked, with the machines at which, and those
/// that wait for their turn, in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct Unproven {
    asked: HashMap<PeerKey, Vec<IpAddr>>,
    queue: Vec<PeerKey>,
    /// Questions at each place since the queue was empty that nobody answered. A refusal is an
    /// answer, and takes no time.
    in_vain: HashMap<Option<Ipv4Addr>, u32>,
}

impl Unproven {
    /// Do more wait than can be asked at once? Then most of them are inventions.
    pub(super) fn is_crowded(&self) -> bool {
        self.queue.len() > MAX_UNPROVEN
    }

    /// Nobody was met there.
    fn was_in_vain(&mut self, place: Option<Ipv4Addr>) {
        if self.in_vain.len() >= MAX_PLACES {
            self.in_vain.clear();
        }
        *self.in_vain.entry(place).or_default() += 1;
    }

    /// The peer is no longer known.
    pub(super) fn forget(&mut self, key: PeerKey) {
        self.queue.retain(|queued| *queued != key);
    }
}

impl Peer {
    /// Where it is asked who it is. On a network without trust others may speak for it: if it is
    /// on a trusted one too, it is asked there only.
    fn asked_at_addrs(&self, scene: &Scene) -> Vec<SocketAddr> {
        let bound = if self.pulse.has_answered { usize::MAX } else { MAX_UNPROVEN_ADDRS };
        let is_trusted = |heard: &&PeerAddr| {
            scene.standing(scene.link_to(heard.addr, &heard.interface)) == Standing::Trusted
        };
        let mut asked: Vec<&PeerAddr> = self.addrs.iter().collect();
        if self.is_discovered() && asked.iter().any(is_trusted) {
            asked.retain(is_trusted);
        }
        asked.into_iter().map(|heard| heard.addr).take(bound).collect()
    }

    /// Was it heard at another address since it was asked?
    fn has_news(&self, scene: &Scene) -> bool {
        let asked = &self.pulse.asked_addrs;
        self.is_discovered() && self.asked_at_addrs(scene).iter().any(|addr| !asked.contains(addr))
    }

    /// Is it to be asked again, since it was asked elsewhere than it would be now?
    pub(super) fn is_asked_elsewhere(&self, scene: &Scene) -> bool {
        let answered = self.answered_at().filter(|_| self.is_discovered());
        answered.is_some_and(|addr| !self.asked_at_addrs(scene).contains(&addr))
    }

    /// When it is to be asked for the sake of the jobs there.
    fn check_at(&self) -> Option<Instant> {
        self.pulse.check_at.filter(|_| self.in_use > 0 && !self.question_under_way)
    }

    /// Is it known, and asked whether it is still there for less than `patience`?
    fn is_being_checked(&self, now: Instant, patience: Duration) -> bool {
        let known = matches!(self.state, State::Ours(_) | State::Stock) || self.pulse.hoped_for;
        let asked = self.pulse.asked_at.filter(|_| self.question_under_way);
        known && asked.is_some_and(|at| now < at + patience)
    }
}

impl Books {
    /// Asks the peer who it is, unless a question is under way. What is known of it stays in force
    /// until it answers.
    pub(super) fn ask(&mut self, now: Instant, key: PeerKey) {
        let Some(peer) = self.peers.get_mut(&key) else { return };
        if peer.question_under_way {
            return;
        }
        peer.question_under_way = true;
        if peer.is_discovered() && !peer.pulse.has_answered {
            self.unproven.queue.push(key);
            self.ask_unproven(now);
        } else {
            self.ask_at_once(now, key, Patience::Full);
        }
    }

    fn ask_at_once(&mut self, now: Instant, key: PeerKey, patience: Patience) {
        let Some(peer) = self.peers.get_mut(&key) else { return };
        let addrs = peer.asked_at_addrs(&self.scene);
        peer.pulse.asked_at = Some(now);
        peer.pulse.asked_addrs.clone_from(&addrs);
        let action = match &peer.origin {
            // Jobs are where the name led to when they were sent, whatever it stands for now.
            Origin::Listed { host, port } if peer.in_use == 0 => {
                Action::ResolveAndHello(key, host.clone(), *port)
            }
            Origin::Ssh(_) => match peer.reach() {
                Some(reach) => Action::SshHello(key, reach),
                None => return,
            },
            _ => Action::Hello(key, addrs, patience),
        };
        self.actions.push(action);
    }

    fn ask_unproven(&mut self, now: Instant) {
        while self.unproven.asked.len() < MAX_UNPROVEN {
            let Some(position) = self.next_unproven() else { return };
            let key = self.unproven.queue.remove(position);
            if self.unproven.queue.is_empty() {
                self.unproven.in_vain.clear();
            }
            let Some(peer) = self.peers.get(&key) else { continue };
            // While an invention is waited for, others are not asked.
            let first = peer.failures() == 0 || self.unproven.is_crowded();
            let patience = if first { Patience::Short } else { Patience::Full };
            self.unproven.asked.insert(key, unproven_ips(peer).collect());
            self.ask_at_once(now, key, patience);
        }
    }

    /// Of the queue, the one at whose place the fewest questions got no answer, then the one that
    /// was itself asked in vain the fewest times, and then the first. One machine is asked by one
    /// connection at a time, however many names it is heard under.
    fn next_unproven(&self) -> Option<usize> {
        let Unproven { asked, queue, in_vain } = &self.unproven;
        let busy: HashSet<IpAddr> = asked.values().flatten().copied().collect();
        let waiting = queue.iter().enumerate().filter_map(|(position, key)| {
            let peer = self.peers.get(key)?;
            let free = !unproven_ips(peer).any(|ip| busy.contains(&ip));
            let in_vain = || in_vain.get(&unproven_place(peer)).copied().unwrap_or_default();
            free.then(|| (in_vain(), peer.failures(), position))
        });
        waiting.min().map(|(_, _, position)| position)
    }

    /// The hello under way to this peer has ended: another may be asked.
    pub(super) fn question_ended(&mut self, now: Instant, key: PeerKey, answer: &Answer) {
        if let Some(ips) = self.unproven.asked.remove(&key) {
            if matches!(answer, Answer::Failed(_, Contact::Lost | Contact::Taken)) {
                self.unproven.was_in_vain(place(ips.into_iter()));
            }
            self.ask_unproven(now);
        }
        if let Some(peer) = self.peers.get_mut(&key) {
            peer.question_under_way = false;
        }
    }

    /// Takes the peer off the queue that this answer is of, although another was asked: both claim
    /// the address, one of them falsely.
    pub(super) fn met_instead(&mut self, addr: SocketAddr, reply: &HelloReply) -> Option<PeerKey> {
        let queue = &self.unproven.queue;
        let mut queued = queue.iter().filter_map(|key| self.peers.get(key));
        let is_it = |peer: &&Peer| {
            let claims = peer.addrs.iter().any(|heard| heard.addr == addr);
            claims && peer.advert.id == Some(NodeId(reply.id))
        };
        let key = queued.find(is_it)?.key;
        self.unproven.forget(key);
        Some(key)
    }

    /// The peer did not answer a hello.
    pub(super) fn unanswered(
        &mut self,
        now: Instant,
        key: PeerKey,
        reason: String,
        contact: Contact,
    ) {
        let in_doubt_since = self.in_doubt_since;
        let Some(peer) = self.peers.get_mut(&key) else { return };
        if peer.pulse.asked_at < in_doubt_since {
            // It failed while this machine slept or was elsewhere, which says nothing.
            return self.ask(now, key);
        }
        if peer.has_news(&self.scene) {
            // The records of one host come one by one: that of IPv6, say, before that of IPv4, where
            // alone it listens.
            return self.ask(now, key);
        }
        let known = matches!(peer.state, State::Ours(_) | State::Stock);
        // Who refuses is there: a dead server's connections are closed by its machine, and one
        // that is told to end finishes its jobs. They are left to tell for themselves.
        let has_jobs = peer.in_use > 0 && contact != Contact::Refused;
        if has_jobs && known && contact == Contact::Taken {
            return peer.pulse.keeps_waiting(now);
        }
        let lost = has_jobs && contact == Contact::Lost && peer.pulse.misses(now);
        let may_be_lost = has_jobs && contact == Contact::Lost && !lost;
        if known && may_be_lost {
            return;
        }
        peer.failed(now, reason.clone());
        if lost {
            self.recall_jobs(key, &reason);
        }
        if !may_be_lost {
            self.vouch(now, key, Err(contact));
        }
    }

    /// Tells the clients that wait for this peer not to.
    pub(super) fn recall_jobs(&mut self, key: PeerKey, reason: &str) {
        self.recall(reason, |at, _| at == key);
    }

    /// Tells those clients not to wait for whom this holds of their peer and where it was then.
    fn recall(&mut self, reason: &str, is_lost: impl Fn(PeerKey, &[SocketAddr]) -> bool) {
        let places = self.clients.iter_mut().filter_map(|(id, client)| {
            let (key, _) = client.place.as_ref()?;
            let lost = !client.recalled && is_lost(*key, &client.sent_to);
            lost.then(|| {
                // Nothing of it is waited for: it need not be told again.
                client.recalled = true;
                (*id, *key)
            })
        });
        let mut lost: Vec<(ClientId, PeerKey)> = places.collect();
        lost.sort();
        for (id, key) in lost {
            let recalled = AgentMessage::Recalled { key: key.0, reason: reason.to_owned() };
            self.actions.push(Action::Tell(id, recalled));
        }
    }

    /// The peer has answered. Its jobs are where it was when they were sent: if it is nowhere of
    /// that any more, no answer of its own will ever come from there.
    pub(super) fn recall_left_behind(&mut self, key: PeerKey) {
        let Some(peer) = self.peers.get(&key).filter(|peer| peer.is_discovered()) else { return };
        let is_at: Vec<SocketAddr> = peer.addrs.iter().map(|heard| heard.addr).collect();
        self.recall("it has moved to another address", |at, sent_to| {
            at == key && !sent_to.iter().any(|addr| is_at.contains(addr))
        });
    }

    /// This machine has got another address in place of one of these: connections from the former
    /// get no answer any more.
    pub(super) fn recall_sent_from(&mut self, gone: &[Interface]) {
        let has_other = |former: &&Interface| {
            let same = |now: &Interface| {
                now.name == former.name && now.addr.is_ipv4() == former.addr.is_ipv4()
            };
            self.scene.interfaces.iter().any(same)
        };
        let replaced: Vec<Interface> = gone.iter().filter(has_other).cloned().collect();
        self.recall("this machine has moved to another address", |_, sent_to| {
            sent_to.iter().any(|to| replaced.iter().any(|former| former.contains(to.ip())))
        });
    }

    /// Recalls what went to discovered peers where they were heard on these interfaces.
    pub(super) fn recall_sent_over(&mut self, interfaces: &[String], reason: &str) {
        if interfaces.is_empty() {
            return;
        }
        let discovered = self.peers.values().filter(|peer| peer.is_discovered());
        let heard = discovered.flat_map(|peer| {
            let there = peer.addrs.iter().filter(|heard| interfaces.contains(&heard.interface));
            there.map(|heard| (peer.key, heard.addr))
        });
        let heard: Vec<(PeerKey, SocketAddr)> = heard.collect();
        self.recall(reason, |at, sent_to| {
            heard.iter().any(|(key, addr)| *key == at && sent_to.contains(addr))
        });
    }

    /// Is the peer known to be there? One in doubt is asked; with jobs it has been, and will be
    /// when that is due.
    pub(super) fn is_there(&mut self, now: Instant, key: PeerKey) -> bool {
        let Some(peer) = self.peers.get(&key) else { return false };
        if peer.pulse.is_proven(now) {
            return true;
        }
        let due = peer.in_use == 0 || peer.pulse.check_at.is_none_or(|at| at <= now);
        if due && !(peer.is_discovered() && peer.in_use == 0 && self.asks_many()) {
            self.ask(now, key);
        }
        false
    }

    /// Are as many in doubt being asked as may be? When one answers, the next has its turn.
    fn asks_many(&self) -> bool {
        let asked = self.peers.values().filter(|peer| {
            peer.question_under_way && peer.is_discovered() && peer.pulse.has_answered
        });
        asked.count() >= MAX_DOUBTED
    }

    /// Is this peer, which used to answer, being asked for less than `patience`?
    pub(super) fn is_being_checked(&self, now: Instant, key: PeerKey, patience: Duration) -> bool {
        self.peers.get(&key).is_some_and(|peer| peer.is_being_checked(now, patience))
    }

    /// This machine has slept, or its networks are not what they were: nobody is known to be
    /// there. Hosts with jobs are asked at once, the others when somebody needs them.
    pub(super) fn moved(&mut self, now: Instant) {
        self.in_doubt_since = Some(now);
        for peer in self.peers.values_mut() {
            peer.pulse.is_in_doubt(now);
            peer.may_answer_now(now);
        }
        self.check_jobs(now);
        self.serve_waiting(now);
    }

    /// Somebody has come after a time in which nobody was asked: who was silent before it may
    /// have been back for long, and is worth waiting for as others in doubt are.
    pub(super) fn hope(&mut self, now: Instant) {
        let long_due = |peer: &&mut Peer| {
            let due = peer.retry_at().is_some_and(|at| at + PROOF_HOLDS <= now);
            peer.is_discovered() && peer.pulse.has_answered && due
        };
        let peers = self.peers.values_mut().filter(long_due);
        let hoped: Vec<PeerKey> = peers
            .map(|peer| {
                peer.state = State::Asking;
                peer.pulse.hoped_for = true;
                peer.key
            })
            .collect();
        for key in hoped {
            self.ask(now, key);
        }
    }

    /// Asks the hosts with jobs that have given no proof of life for long.
    pub(super) fn check_jobs(&mut self, now: Instant) {
        let due = self.peers.values().filter(|peer| peer.check_at().is_some_and(|at| at <= now));
        let due: Vec<PeerKey> = due.map(|peer| peer.key).collect();
        for key in due {
            self.ask(now, key);
        }
    }

    /// When a host with jobs is to be asked, or somebody has waited long enough for an answer.
    pub(super) fn next_check(&self, now: Instant) -> Option<Instant> {
        let checks = self.peers.values().filter_map(Peer::check_at);
        let asked = self.peers.values().filter(|peer| peer.is_being_checked(now, SETTLE_OR_FAIL));
        let asked = asked.filter_map(|peer| peer.pulse.asked_at);
        let ends = asked.flat_map(|at| [at + SETTLE, at + SETTLE_OR_FAIL]);
        let ends = ends.filter(|at| *at > now && !self.waiting.is_empty());
        checks.chain(ends).min()
    }
}

fn unproven_place(peer: &Peer) -> Option<Ipv4Addr> {
    place(unproven_ips(peer))
}

fn unproven_ips(peer: &Peer) -> impl Iterator<Item = IpAddr> {
    peer.addrs.iter().take(MAX_UNPROVEN_ADDRS).map(|heard| heard.addr.ip())
}
