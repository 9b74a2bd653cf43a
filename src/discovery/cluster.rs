//! From records to nodes: the peer state machine. Pure: time is an argument, no I/O, no logging.
//!
//! A node is one daemon, however many instances, host names, interfaces and addresses it is heard
//! under: ours are told apart by (id, port), stock ones, which have no id, by (instance, host,
//! port). Where one id is heard of two hosts without a common address, that may be a cloned machine,
//! so both are nodes and both are asked; that they are one daemon is told by their answers, which
//! the caller compares. What is heard can be forged, so a goodbye only makes a node [suspect](Node::is_suspect);
//! whether it is there is learned by asking it, and the caller says what came of that.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use super::heard::{Heard, HeardAddr, HeardPeer};
use super::interfaces::is_link_local_v6;
use super::txt::HeardTxt;
use crate::base::node::NodeId;

/// No more nodes are kept; a LAN with more daemons has other problems.
const MAX_NODES: usize = 512;
/// Of one node, no more instances are kept: each interface may have its own after a conflict.
const MAX_SIGHTINGS: usize = 8;
/// Of one node, no more addresses are offered.
const MAX_ADDRS: usize = 16;
/// A node that said goodbye is kept that long: the goodbye may be forged, and a daemon that
/// restarts is back within seconds.
const GRACE: Duration = Duration::from_secs(5);

/// What makes a node.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum NodeKey {
    /// A daemon of ours.
    Ours {
        /// Advertised by it.
        id: NodeId,
        /// TCP port.
        port: u16,
        /// The host name of a second machine with the same id, unless both turn out to be one.
        twin: Option<String>,
    },
    /// A daemon that advertises no id.
    Stock {
        /// Name of the instance.
        instance: String,
        /// Name of the host.
        host: String,
        /// TCP port.
        port: u16,
    },
}

/// What came of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// A node is new.
    Added(NodeKey),
    /// Its record or its addresses changed, or it is no longer suspect.
    Updated(NodeKey),
    /// It may be gone: ask it, and [`Cluster::forget`] it if it does not answer.
    Suspect(NodeKey),
    /// It is no longer kept.
    Removed(NodeKey),
}

/// One daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Node {
    /// In the order first heard; never empty.
    sightings: Vec<Sighting>,
    /// Addresses that answered when last asked.
    answers: BTreeSet<SocketAddr>,
    first_heard: Instant,
    suspect_since: Option<Instant>,
}

/// One instance under one host name.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Sighting {
    peer: HeardPeer,
    /// Not taken back since.
    live: bool,
}

impl Node {
    fn new(now: Instant, peer: HeardPeer) -> Self {
        let sightings = vec![Sighting { peer, live: true }];
        Self { sightings, answers: BTreeSet::new(), first_heard: now, suspect_since: None }
    }

    /// Where to reach it, the best address first: one that answered, then IPv4, then IPv6, and
    /// link-local ones last.
    pub(crate) fn addrs(&self) -> Vec<HeardAddr> {
        let all = self.sightings.iter().flat_map(|sighting| &sighting.peer.addrs);
        let all: BTreeSet<&HeardAddr> = all.collect();
        let mut addrs: Vec<HeardAddr> = all.into_iter().cloned().collect();
        let rank = |heard: &HeardAddr| {
            let silent = !self.answers.contains(&heard.addr);
            (silent, is_link_local_v6(heard.addr.ip()), heard.addr.is_ipv6())
        };
        addrs.sort_by_key(rank);
        addrs.dedup_by_key(|heard| heard.addr);
        addrs.truncate(MAX_ADDRS);
        addrs
    }

    /// Its first IPv4 address. Of those a link has few, so inventions have to share them; of IPv6
    /// addresses there is one for each, and whoever has no other is at the same place.
    fn place(&self) -> Option<Ipv4Addr> {
        let all = self.sightings.iter().flat_map(Sighting::socket_addrs);
        place(all.map(|addr| addr.ip()))
    }

    /// Its host's name, for people.
    pub(crate) fn host(&self) -> &str {
        &self.current().host
    }

    /// Its instance's name.
    pub(crate) fn instance(&self) -> &str {
        &self.current().instance
    }

    /// What it says of itself.
    pub(crate) fn txt(&self) -> &HeardTxt {
        &self.current().txt
    }

    /// It said goodbye, or someone did in its name, or it was not heard for long.
    pub(crate) fn is_suspect(&self) -> bool {
        self.suspect_since.is_some()
    }

    /// When a suspect node may be forgotten.
    pub(crate) fn forget_at(&self) -> Option<Instant> {
        self.suspect_since.map(|since| since + GRACE)
    }

    /// It answered when last asked.
    pub(crate) fn has_answered(&self) -> bool {
        !self.answers.is_empty()
    }

    /// The latest of what is live, else the latest of all.
    fn current(&self) -> &HeardPeer {
        let live = self.sightings.iter().rev().find(|sighting| sighting.live);
        let any = live.or(self.sightings.last());
        &any.expect("a node has a sighting").peer
    }

    fn has_live(&self, instance: &str) -> bool {
        self.sightings.iter().any(|seen| seen.live && seen.peer.instance == instance)
    }

    fn is_live(&self) -> bool {
        self.sightings.iter().any(|seen| seen.live)
    }

    fn sees(&mut self, peer: HeardPeer) {
        let same = |seen: &Sighting| {
            (&seen.peer.instance, &seen.peer.host) == (&peer.instance, &peer.host)
        };
        // One instance has one host name at a time: the former is out of date, or another machine's.
        for seen in &mut self.sightings {
            seen.live &= seen.peer.instance != peer.instance;
        }
        match self.sightings.iter_mut().find(|seen| same(seen)) {
            Some(seen) => *seen = Sighting { peer, live: true },
            None => self.sightings.push(Sighting { peer, live: true }),
        }
        self.suspect_since = None;
        self.prune();
    }

    /// The instance was taken back. Returns false if nothing live is left.
    fn loses(&mut self, instance: &str) -> bool {
        for seen in &mut self.sightings {
            seen.live &= seen.peer.instance != instance;
        }
        if !self.is_live() {
            return false;
        }
        self.prune();
        true
    }

    /// Drops what is out of date.
    fn prune(&mut self) {
        self.sightings.retain(|seen| seen.live);
        while self.sightings.len() > MAX_SIGHTINGS {
            self.sightings.remove(0);
        }
        let known: BTreeSet<SocketAddr> =
            self.sightings.iter().flat_map(Sighting::socket_addrs).collect();
        self.answers.retain(|addr| known.contains(addr));
    }

    /// May this be another machine than the node's, with the same id? A daemon that has gone may
    /// have come back under another name and address, and one that is there may have lost its name
    /// to its clone: if it goes by another one now, only that counts.
    fn is_apart_from(&self, peer: &HeardPeer) -> bool {
        let is_there = self.is_live() || self.has_answered();
        let is_other = |seen: &&Sighting| {
            seen.live && (&seen.peer.instance, &seen.peer.host) != (&peer.instance, &peer.host)
        };
        let goes_by_another = self.sightings.iter().any(|seen| is_other(&seen));
        let shares = |seen: &Sighting| {
            seen.peer.host == peer.host
                || seen.socket_addrs().any(|addr| peer.addrs.iter().any(|heard| heard.addr == addr))
        };
        let mut counted = self.sightings.iter().filter(|seen| !goes_by_another || is_other(seen));
        is_there && !counted.any(shares)
    }
}

impl Sighting {
    fn socket_addrs(&self) -> impl Iterator<Item = SocketAddr> {
        self.peer.addrs.iter().map(|heard| heard.addr)
    }
}

/// Where somebody with these addresses is, as far as inventions are concerned: see [`Node::place`].
pub(crate) fn place(addrs: impl Iterator<Item = IpAddr>) -> Option<Ipv4Addr> {
    let v4 = addrs.filter_map(|addr| match addr {
        IpAddr::V4(v4) => Some(v4),
        IpAddr::V6(_) => None,
    });
    v4.min()
}

/// All nodes heard of.
#[derive(Debug, Default)]
pub(crate) struct Cluster {
    nodes: BTreeMap<NodeKey, Node>,
}

impl Cluster {
    /// Takes in what the browser heard.
    pub(crate) fn heard(&mut self, now: Instant, heard: Heard) -> Vec<Change> {
        match heard {
            Heard::Up(peer) => self.up(now, peer),
            Heard::Gone { instance } => self.gone(now, &instance, None),
        }
    }

    /// The daemon at this address of the node answered.
    pub(crate) fn answered(&mut self, key: &NodeKey, addr: SocketAddr) -> Vec<Change> {
        let Some(node) = self.nodes.get_mut(key) else { return Vec::new() };
        let before = node.addrs();
        if before.iter().all(|heard| heard.addr != addr) {
            return Vec::new();
        }
        node.answers.insert(addr);
        let forgiven = node.suspect_since.take().is_some();
        if !forgiven && node.addrs() == before {
            return Vec::new();
        }
        vec![Change::Updated(key.clone())]
    }

    /// Nothing answers at this address of the node any more. One that said goodbye and answered
    /// all the same is suspect again: nobody will say goodbye for it a second time.
    pub(crate) fn silent(&mut self, now: Instant, key: &NodeKey, addr: SocketAddr) -> Vec<Change> {
        let Some(node) = self.nodes.get_mut(key) else { return Vec::new() };
        let before = node.addrs();
        node.answers.remove(&addr);
        if !node.is_live() && !node.has_answered() && !node.is_suspect() {
            node.suspect_since = Some(now);
            return vec![Change::Suspect(key.clone())];
        }
        if node.addrs() == before {
            return Vec::new();
        }
        vec![Change::Updated(key.clone())]
    }

    /// The node does not answer: it goes if it is suspect and has had its grace.
    pub(crate) fn forget(&mut self, now: Instant, key: &NodeKey) -> Vec<Change> {
        let due = |node: &Node| node.forget_at().is_some_and(|at| now >= at);
        if !self.nodes.get(key).is_some_and(due) {
            return Vec::new();
        }
        self.nodes.remove(key);
        vec![Change::Removed(key.clone())]
    }

    /// The node does not answer, and by a refusal: it goes at once if it is suspect.
    pub(crate) fn dismiss(&mut self, key: &NodeKey) -> Vec<Change> {
        if !self.nodes.get(key).is_some_and(Node::is_suspect) {
            return Vec::new();
        }
        self.nodes.remove(key);
        vec![Change::Removed(key.clone())]
    }

    /// The nodes that are announced under this name.
    pub(crate) fn announced_as(&self, instance: &str) -> impl Iterator<Item = &NodeKey> {
        let named = self.nodes.iter().filter(move |(_, node)| node.has_live(instance));
        named.map(|(key, _)| key)
    }

    /// This machine stands elsewhere now: addresses that are not here any more are dropped, and with
    /// them the nodes that have no other.
    pub(crate) fn moved(&mut self, is_here: impl Fn(&HeardAddr) -> bool) -> Vec<Change> {
        let mut changes = Vec::new();
        self.nodes.retain(|key, node| {
            let before = node.addrs();
            for sighting in &mut node.sightings {
                sighting.peer.addrs.retain(&is_here);
            }
            node.sightings.retain(|sighting| !sighting.peer.addrs.is_empty());
            if node.sightings.is_empty() {
                changes.push(Change::Removed(key.clone()));
                return false;
            }
            node.prune();
            if node.addrs() != before {
                changes.push(Change::Updated(key.clone()));
            }
            true
        });
        changes
    }

    /// The node of this key.
    pub(crate) fn get(&self, key: &NodeKey) -> Option<&Node> {
        self.nodes.get(key)
    }

    /// All nodes, in the order of their keys.
    #[cfg(test)]
    fn iter(&self) -> impl Iterator<Item = (&NodeKey, &Node)> {
        self.nodes.iter()
    }

    fn up(&mut self, now: Instant, mut peer: HeardPeer) -> Vec<Change> {
        if peer.txt.empty {
            // The record itself has not arrived: the node is what it was, or not known yet.
            let Some(txt) = self.txt_of(&peer) else { return Vec::new() };
            peer.txt = txt;
        }
        let key = self.key_of(&peer);
        let mut changes = self.gone(now, &peer.instance, Some(&key));
        if let Some(node) = self.nodes.get_mut(&key) {
            let before = node.clone();
            node.sees(peer);
            if *node != before {
                changes.push(Change::Updated(key.clone()));
            }
            return changes;
        }
        if self.nodes.len() >= MAX_NODES {
            let Some(evicted) = self.least_worth() else { return changes };
            self.nodes.remove(&evicted);
            changes.push(Change::Removed(evicted));
        }
        self.nodes.insert(key.clone(), Node::new(now, peer));
        changes.push(Change::Added(key));
        changes
    }

    /// The instance is no longer that of any node, but for the one named.
    fn gone(&mut self, now: Instant, instance: &str, but: Option<&NodeKey>) -> Vec<Change> {
        let losers = self.nodes.iter_mut();
        let losers = losers.filter(|(key, node)| Some(*key) != but && node.has_live(instance));
        let lose = |(key, node): (&NodeKey, &mut Node)| {
            if node.loses(instance) {
                return Change::Updated(key.clone());
            }
            node.suspect_since.get_or_insert(now);
            Change::Suspect(key.clone())
        };
        losers.map(lose).collect()
    }

    fn key_of(&self, peer: &HeardPeer) -> NodeKey {
        let (host, port) = (peer.host.clone(), peer.port);
        let Some(id) = peer.txt.id else {
            return NodeKey::Stock { instance: peer.instance.clone(), host, port };
        };
        let twin = NodeKey::Ours { id, port, twin: Some(host) };
        let first = NodeKey::Ours { id, port, twin: None };
        let is_apart = || self.nodes.get(&first).is_some_and(|node| node.is_apart_from(peer));
        if self.nodes.contains_key(&twin) || is_apart() { twin } else { first }
    }

    fn txt_of(&self, peer: &HeardPeer) -> Option<HeardTxt> {
        let known = |seen: &&Sighting| {
            let seen = &seen.peer;
            (&seen.instance, &seen.host, seen.port) == (&peer.instance, &peer.host, peer.port)
        };
        let mut sightings = self.nodes.values().flat_map(|node| &node.sightings);
        sightings.find(known).map(|seen| seen.peer.txt.clone())
    }

    /// Who has to go when the table is full: a suspect, or of those that never answered one at the
    /// address that most of them claim, the longest known. So a flood of inventions passes through,
    /// while those who answer stay, and a newcomer at an address of its own does until it is asked.
    fn least_worth(&self) -> Option<NodeKey> {
        let unproven = self.nodes.iter().filter(|(_, node)| !node.has_answered());
        let unproven: Vec<(&NodeKey, &Node, Option<Ipv4Addr>)> =
            unproven.map(|(key, node)| (key, node, node.place())).collect();
        let mut crowds: HashMap<Option<Ipv4Addr>, usize> = HashMap::new();
        for (_, _, place) in &unproven {
            *crowds.entry(*place).or_default() += 1;
        }
        let worth = |(_, node, place): &&(&NodeKey, &Node, Option<Ipv4Addr>)| {
            let crowd = crowds.get(place).copied().unwrap_or_default();
            (!node.is_suspect(), Reverse(crowd), node.first_heard)
        };
        unproven.iter().min_by_key(worth).map(|(key, _, _)| (*key).clone())
    }
}

#[cfg(test)]
#[path = "cluster_tests.rs"]
mod tests;
