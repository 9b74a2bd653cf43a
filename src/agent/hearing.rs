//! What the books learn of peers and compilers: discovery, answers to questions, identities.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime};

use super::ask::{Answer, Contact, Probed};
use super::books::{Action, Books};
use super::judge::LocalCompiler;
use super::peers::{Origin, Peer, PeerAddr, PeerKey, Run, State};
use super::remembered::{Memory, RememberedHost, RememberedName, RememberedPeer};
use super::ssh::SshWay;
use super::stock::{Meaning, StockNames};
use crate::discovery::cluster::{Change, NodeKey};
use crate::discovery::heard::Heard;
use crate::discovery::interfaces::is_link_local_v6;
use crate::discovery::networks::NetworkName;
use crate::discovery::txt::HeardTxt;
use crate::fingerprint::probe;
use crate::settings::hosts::SshHost;
use crate::wire::control::{CompilerQuery, SshClient};

/// After that, a compiler of this machine that could not be told is asked again if a job names it.
const IDENTIFY_AGAIN: Duration = Duration::from_secs(10);

/// What a local compiler was found to be, or why that cannot be told.
pub(super) type Identified = Result<probe::Probed, String>;

impl Books {
    /// A question to a peer was answered, or not.
    pub(super) fn peer_answered(&mut self, now: Instant, key: PeerKey, answer: Answer) {
        self.question_ended(now, key, &answer);
        let Some(peer) = self.peers.get_mut(&key) else { return };
        let before = peer.run();
        let reached = match answer {
            Answer::Ours(addr, reply) if peer.is_answered_by_another(&reply) => {
                let reason = silence("another daemon is at its address");
                self.unanswered(now, key, reason, Contact::Refused);
                let met = addr.and_then(|addr| self.met_instead(addr, &reply));
                return match met {
                    Some(met) => self.peer_answered(now, met, Answer::Ours(addr, reply)),
                    None => self.serve_waiting(now),
                };
            }
            Answer::Ours(addr, reply) => {
                peer.answered_at_addr(addr);
                peer.answered_ours(*reply);
                peer.pulse.beats(now);
                addr
            }
            Answer::Stock(addr) if peer.says_it_is_ours() => {
                peer.answered_at_addr(addr);
                peer.pulse.is_met();
                peer.failed(now, "it refuses this machine (see --allow there)".to_owned());
                addr
            }
            Answer::Stock(addr) if peer.forget_run() => {
                peer.answered_at_addr(addr);
                peer.pulse.is_met();
                peer.failed(now, silence("it closes on whoever asks"));
                addr
            }
            Answer::Stock(addr) => {
                peer.answered_at_addr(addr);
                peer.answered_stock();
                peer.pulse.beats(now);
                addr
            }
            Answer::Failed(reason, contact) => {
                self.unanswered(now, key, silence(&reason), contact);
                return self.serve_waiting(now);
            }
        };
        let after = peer.run();
        if let Some(reached) = reached {
            self.vouch(now, key, Ok(reached));
        }
        self.recall_left_behind(key);
        if let Some(before) = before.filter(|before| Some(*before) != after) {
            self.ask_those_of(now, before);
        }
        self.serve_waiting(now);
    }

    /// Asks again whoever is known as this run of a daemon, in a list or by another name: it has
    /// ended.
    fn ask_those_of(&mut self, now: Instant, run: Run) {
        let same = self.peers.values().filter(|peer| peer.run() == Some(run));
        let same: Vec<PeerKey> = same.map(|peer| peer.key).collect();
        for key in same {
            self.ask(now, key);
        }
    }

    /// A stock peer was asked what a compiler name stands for.
    pub(super) fn peer_probed(&mut self, now: Instant, key: PeerKey, name: &str, probed: Probed) {
        let Some(peer) = self.peers.get_mut(&key) else { return };
        if matches!(probed, Probed::Known(_) | Probed::Absent) {
            peer.pulse.beats(now);
        }
        let remember = match probed {
            Probed::Known(toolchain) => peer.stock.answered(now, name, Meaning::For(toolchain)),
            Probed::Absent => peer.stock.answered(now, name, Meaning::Nothing),
            // A server all of whose children are at work takes its time.
            Probed::Late(_) if peer.stock.not_answered(now, name) => false,
            Probed::Failed(reason) | Probed::Late(reason) => {
                // It must not be waited for as if it were still under way.
                peer.stock.not_reached(name);
                peer.stock.forget_all();
                peer.failed(now, silence(&reason));
                false
            }
        };
        if remember {
            self.actions.push(Action::Remember);
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
        let compiler = match identified {
            Ok(probed) => known(probed),
            Err(reason) => LocalCompiler::Unknown { reason, retry_at: Some(now + IDENTIFY_AGAIN) },
        };
        self.compilers.insert(query, compiler);
        self.serve_waiting(now);
    }

    /// What the cache on disk says of a local compiler whose files are as they were: `None` makes
    /// the books ask anew, unless that is under way already. Where it could not be told the last
    /// time, perhaps because the machine was too busy, that answer holds until there is another.
    pub(super) fn recalled(
        &mut self,
        now: Instant,
        query: &CompilerQuery,
        cached: Option<probe::Probed>,
    ) {
        match (self.compilers.get_mut(query), cached) {
            (_, Some(probed)) => {
                self.compilers.insert(query.clone(), known(probed));
            }
            (Some(LocalCompiler::Known(..)), None) => {
                self.compilers.remove(query);
            }
            (Some(LocalCompiler::Unknown { retry_at, .. }), None)
                if retry_at.is_some_and(|at| at <= now) =>
            {
                *retry_at = None;
                self.actions.push(Action::Identify(query.clone()));
            }
            _ => {}
        }
    }

    /// Somebody uses `+zeroconf`: begins to look for hosts, if that has not begun yet.
    pub(super) fn browse(&mut self, now: Instant) {
        if self.browsing_since.is_none() {
            self.browsing_since = Some(now);
            self.actions.push(Action::Browse);
        }
    }

    /// The peer that stands in a list as this host and port; asked at once if it is new, or silent
    /// and not asked for a while.
    pub(super) fn listed_peer(&mut self, now: Instant, host: &str, port: u16) -> PeerKey {
        if let Some(key) = self.listed.get(&(host.to_owned(), port)).copied() {
            if self.peers[&key].is_due(now) {
                self.ask(now, key);
            }
            return key;
        }
        let key = self.new_key();
        let origin = Origin::Listed { host: host.to_owned(), port };
        let mut peer = Peer::new(key, origin, host.to_owned(), Vec::new());
        peer.stock = self.earlier.remove(&(host.to_owned(), port)).unwrap_or_default();
        self.peers.insert(key, peer);
        self.listed.insert((host.to_owned(), port), key);
        self.ask(now, key);
        key
    }

    /// The same of a host reached by ssh. The keys of the client that came last are used.
    pub(super) fn ssh_peer(&mut self, now: Instant, host: &SshHost, client: &SshClient) -> PeerKey {
        let way = SshWay {
            program: client.program.clone(),
            user: host.user.clone(),
            host: host.host.clone(),
            command: host.command.clone(),
        };
        let known = self.by_ssh.get(&way).copied();
        let key = known.unwrap_or_else(|| {
            let key = self.new_key();
            let origin = Origin::Ssh(way.clone());
            self.peers.insert(key, Peer::new(key, origin, host.host.clone(), Vec::new()));
            self.by_ssh.insert(way, key);
            key
        });
        if let Some(peer) = self.peers.get_mut(&key) {
            peer.ssh_auth_sock.clone_from(&client.auth_sock);
            if known.is_none() || peer.is_due(now) {
                self.ask(now, key);
            }
        }
        key
    }

    /// The connection to a host reached by ssh is there, by its socket, or it has ended.
    pub(super) fn ssh_connection(&mut self, now: Instant, key: PeerKey, path: Option<Vec<u8>>) {
        let Some(peer) = self.peers.get_mut(&key) else { return };
        let has_ended = path.is_none();
        peer.control_path = path;
        if has_ended {
            // The jobs that went over it have lost it too, and a new one has to be made.
            peer.pulse.is_in_doubt(now);
            self.check_jobs(now);
        }
    }

    /// Is this the socket of the connection in use?
    pub(super) fn is_connected_by(&self, key: PeerKey, path: &[u8]) -> bool {
        self.peers.get(&key).is_some_and(|peer| peer.control_path.as_deref() == Some(path))
    }

    /// Since when the connection by ssh, made at `since`, is of no use; none while it has jobs.
    pub(super) fn ssh_unused_since(&self, key: PeerKey, since: Instant) -> Option<Instant> {
        let Some(peer) = self.peers.get(&key) else { return Some(since) };
        (peer.in_use == 0).then(|| peer.pulse.alive_at().map_or(since, |at| at.max(since)))
    }

    /// Peers of the last time on the networks that this machine is on.
    pub(super) fn recollect(&mut self, now: Instant, wall: SystemTime, known: Vec<RememberedPeer>) {
        for peer in known {
            let (addr, names) = (peer.addr, peer.names.clone());
            self.heard(now, [peer.into_heard()]);
            let mut peers = self.peers.values_mut().filter(|peer| peer.is_discovered());
            if let Some(peer) = peers.find(|peer| peer.addrs.iter().any(|known| known.addr == addr))
            {
                peer.stock.recollect(now, wall, &names);
            }
        }
    }

    /// Stock hosts that earlier agents found in lists.
    pub(super) fn recollect_listed(
        &mut self,
        now: Instant,
        wall: SystemTime,
        known: Vec<RememberedHost>,
    ) {
        for host in known {
            let mut names = StockNames::default();
            names.recollect(now, wall, &host.names);
            self.earlier.insert((host.host, host.port), names);
        }
    }

    /// Discovery heard something. Whether it is true, and who it is, the peer must say itself.
    pub(super) fn heard(&mut self, now: Instant, heard: impl IntoIterator<Item = Heard>) {
        heard.into_iter().for_each(|heard| self.take_in(now, heard));
        self.serve_waiting(now);
    }

    fn take_in(&mut self, now: Instant, heard: Heard) {
        let announced = match &heard {
            Heard::Up(peer) => Some(peer.instance.clone()),
            Heard::Gone { .. } => None,
        };
        let changes = self.cluster.heard(now, heard);
        self.follow(now, changes);
        // Also if its record is as it was: what comes after a silence may be its return.
        for node in announced.iter().flat_map(|instance| self.cluster.announced_as(instance)) {
            let peer = self.discovered.get(node).and_then(|key| self.peers.get_mut(key));
            if let Some(peer) = peer {
                peer.may_answer_now(now);
            }
        }
    }

    /// Brings the discovered peers up to what the cluster has become.
    pub(super) fn follow(&mut self, now: Instant, changes: Vec<Change>) {
        for change in changes {
            match change {
                Change::Added(node) => {
                    let key = self.new_key();
                    let origin = Origin::Discovered(node.clone());
                    self.peers.insert(key, Peer::new(key, origin, String::new(), Vec::new()));
                    self.discovered.insert(node.clone(), key);
                    self.update(&node);
                    self.ask(now, key);
                }
                Change::Updated(node) => {
                    let news = self.update(&node);
                    if let Some(key) = self.discovered.get(&node).copied()
                        && let peer = &self.peers[&key]
                        && (news || peer.is_silent() || peer.is_asked_elsewhere(&self.scene))
                    {
                        self.ask(now, key);
                    }
                }
                Change::Suspect(node) => {
                    // Anyone on the link can say goodbye for anyone: it goes if it is silent too.
                    if let Some(key) = self.discovered.get(&node).copied() {
                        if let Some(peer) = self.peers.get_mut(&key) {
                            peer.may_have_restarted();
                        }
                        self.ask(now, key);
                    }
                }
                Change::Removed(node) => {
                    if let Some(key) = self.discovered.remove(&node) {
                        let former = self.peers.remove(&key);
                        self.unproven.forget(key);
                        if former.is_some_and(|peer| peer.pulse.has_answered()) {
                            self.actions.push(Action::Remember);
                        }
                    }
                }
            }
        }
    }

    /// Copies what the cluster knows of a node to its peer. True if its advert has changed.
    fn update(&mut self, node: &NodeKey) -> bool {
        let (Some(key), Some(known)) = (self.discovered.get(node), self.cluster.get(node)) else {
            return false;
        };
        let Some(peer) = self.peers.get_mut(key) else { return false };
        let news = peer.advert != *known.txt();
        let offers = &known.txt().compilers;
        // One more changes nothing for those that were there.
        if peer.advert.compilers.iter().any(|former| !offers.contains(former)) {
            peer.has_changed();
        }
        // The host name of its SRV record is one of the daemon's own making, so as not to clash
        // with other responders; the instance carries the name that people know.
        let name = known.instance().strip_prefix("distcc@").unwrap_or(known.host());
        name.clone_into(&mut peer.name);
        let compiler = |txt: &HeardTxt| (txt.cc_version.clone(), txt.cc_machine.clone());
        if compiler(&peer.advert) != compiler(known.txt()) {
            // Of a stock peer, the only sign of another compiler that comes unasked.
            peer.may_have_restarted();
        }
        peer.advert = known.txt().clone();
        let addrs = known.addrs().into_iter();
        peer.is_at(
            addrs.map(|heard| PeerAddr { addr: heard.addr, interface: heard.interface }).collect(),
        );
        news
    }

    /// Tells the cluster whether a discovered peer answered, and where.
    pub(super) fn vouch(
        &mut self,
        now: Instant,
        key: PeerKey,
        reached: Result<SocketAddr, Contact>,
    ) {
        let Some(peer) = self.peers.get(&key) else { return };
        let Origin::Discovered(node) = peer.origin.clone() else { return };
        let changes = match reached {
            Ok(addr) => self.cluster.answered(&node, addr),
            Err(contact) => {
                let addrs: Vec<SocketAddr> = peer.addrs.iter().map(|known| known.addr).collect();
                let given_up = peer.is_given_up();
                let mut changes = Vec::new();
                for addr in addrs {
                    changes.extend(self.cluster.silent(now, &node, addr));
                }
                if given_up && let Some(known) = self.cluster.get(&node) {
                    let instance = known.instance().to_owned();
                    changes.extend(self.cluster.heard(now, Heard::Gone { instance }));
                }
                changes.extend(match contact {
                    // It said goodbye, and there is no server any more.
                    Contact::Refused => self.cluster.dismiss(&node),
                    _ => self.cluster.forget(now, &node),
                });
                // The peer was asked just now; to ask again because of it would never end.
                changes.retain(|change| matches!(change, Change::Removed(_)));
                changes
            }
        };
        self.follow(now, changes);
        self.actions.push(Action::Remember);
    }

    /// The discovered peers that answer, for the next time, by the network of each; a network
    /// without any is there too. And the listed stock hosts.
    pub(super) fn worth_remembering(&self, now: Instant, wall: SystemTime) -> Memory {
        let mut memory = Memory::default();
        memory.networks.extend(self.scene.network_names().into_iter().map(|name| (name, vec![])));
        for peer in self.peers.values() {
            if !matches!(peer.state, State::Ours(_) | State::Stock) {
                continue;
            }
            let names = peer.stock.worth_remembering(now, wall);
            match &peer.origin {
                Origin::Listed { host, port } if !names.is_empty() => {
                    memory.listed.push(RememberedHost { host: host.clone(), port: *port, names });
                }
                Origin::Listed { .. } | Origin::Ssh(_) => {}
                Origin::Discovered(node) => {
                    if let Some((network, remembered)) = self.filed(peer, node, names) {
                        memory.networks.entry(network.0.clone()).or_default().push(remembered);
                    }
                }
            }
        }
        // Those that are used now come first: no more than so many are kept.
        memory.listed.extend(self.earlier.iter().map(|((host, port), names)| RememberedHost {
            host: host.clone(),
            port: *port,
            names: names.worth_remembering(now, wall),
        }));
        memory
    }

    fn filed(
        &self,
        peer: &Peer,
        node: &NodeKey,
        names: Vec<RememberedName>,
    ) -> Option<(&NetworkName, RememberedPeer)> {
        let scene = &self.scene;
        // A link-local address is kept without its interface's number, which is another one after
        // a reboot.
        let mut addrs = peer.addrs.iter().filter(|heard| !is_link_local_v6(heard.addr.ip()));
        let best = addrs.find(|heard| scene.is_on_link(heard.addr, &heard.interface))?;
        let network = &scene.network_of(&best.interface)?.name;
        let known = self.cluster.get(node)?;
        let remembered = RememberedPeer {
            instance: known.instance().to_owned(),
            host: known.host().to_owned(),
            addr: best.addr,
            interface: best.interface.clone(),
            id: peer.id().map(|id| id.0),
            cc_version: peer.advert.cc_version.clone(),
            cc_machine: peer.advert.cc_machine.clone(),
            names,
        };
        Some((network, remembered))
    }

    /// Every discovered peer, in the order in which they were first heard.
    pub(super) fn discovered_peers(&self) -> Vec<PeerKey> {
        self.peers.values().filter(|peer| peer.is_discovered()).map(|peer| peer.key).collect()
    }

    /// Asks a stock peer what this name stands for, unless that is under way.
    pub(super) fn probe(&mut self, now: Instant, key: PeerKey, name: &str) {
        let Some(peer) = self.peers.get_mut(&key) else { return };
        let name = name.to_owned();
        let action = match (peer.reach(), peer.answered_at()) {
            (Some(reach), _) => Action::SshProbe(key, reach, name.clone()),
            (None, Some(addr)) => Action::Probe(key, addr, name.clone()),
            (None, None) => return,
        };
        if peer.stock.ask(now, &name) {
            self.actions.push(action);
        }
    }

    /// The silent peers that are asked again by themselves: discovered ones while somebody is
    /// connected, until they are given up, and listed ones while somebody waits. Later a listed
    /// one is asked when a list names it.
    pub(super) fn retried(&self) -> impl Iterator<Item = &Peer> {
        let (idle, nobody_waits) = (self.is_idle(), self.waiting.is_empty());
        let wanted = move |peer: &&Peer| if peer.is_discovered() { !idle } else { !nobody_waits };
        self.peers.values().filter(wanted)
    }

    /// Forgets the listed peers without jobs; those that a list still names come back by it.
    pub(super) fn forget_listed(&mut self) {
        self.listed.retain(|_, key| self.peers.get(key).is_some_and(|peer| peer.in_use > 0));
        self.by_ssh.retain(|_, key| self.peers.get(key).is_some_and(|peer| peer.in_use > 0));
        let kept: HashSet<PeerKey> =
            self.listed.values().chain(self.by_ssh.values()).copied().collect();
        self.peers.retain(|key, peer| peer.is_discovered() || kept.contains(key));
    }

    /// Asks those again whose pause is over.
    pub(super) fn retry_silent(&mut self, now: Instant) {
        let due = self.retried().filter(|peer| peer.is_due(now));
        let due: Vec<PeerKey> = due.map(|peer| peer.key).collect();
        for key in due {
            self.ask(now, key);
        }
    }

    pub(super) fn new_key(&mut self) -> PeerKey {
        self.next_peer += 1;
        PeerKey(self.next_peer)
    }
}

fn known(probed: probe::Probed) -> LocalCompiler {
    LocalCompiler::Known(Box::new(probed.toolchain), probed.driver)
}

fn silence(reason: &str) -> String {
    format!("does not answer: {reason}")
}
