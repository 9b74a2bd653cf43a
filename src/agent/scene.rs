//! Where this machine stands: its interfaces, the networks that they lead to, and how the user
//! stands to those. And what the books do when that changes.

use std::collections::HashMap;
use std::mem;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use super::books::Books;
use super::decide::Seat;
use super::judge::Judgement;
use super::peers::Peer;
use crate::discovery::cluster::Change;
use crate::discovery::interfaces::{self, Interface, Kind, is_link_local_v6};
use crate::discovery::networks::{self, Network};
use crate::policy::networks::{KnownNetworks, Standing};
use crate::wire::control::{AgentMessage, Hint, LocalPlace};

/// A hint that nobody could show is tried again after this long: a build of a thousand files in a
/// window without a terminal need not try a thousand times.
const HINT_EVERY: Duration = Duration::from_secs(60);

/// What is known of the place where this machine stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Scene {
    /// Its interfaces that are up.
    pub(super) interfaces: Vec<Interface>,
    /// The networks that it is on.
    pub(super) networks: Vec<Network>,
    /// How the user stands to the network of each interface, by the interface's name.
    standings: HashMap<String, Standing>,
    /// Names of the networks that the user was told about.
    hinted: Vec<String>,
    /// What is wrong with the memory of networks, a whole sentence.
    pub(super) problem: Option<String>,
}

impl Scene {
    /// With these networks; `known` is what the user thinks of networks.
    pub(super) fn new(
        interfaces: Vec<Interface>,
        networks: Vec<Network>,
        known: &KnownNetworks,
    ) -> Self {
        let standing = |network: &Network| (network.interface.clone(), known.standing(&network.id));
        let standings = networks.iter().map(standing).collect();
        let is_hinted = |network: &&Network| known.get(&network.id).is_some_and(|it| it.hinted);
        let hinted = networks.iter().filter(is_hinted).map(|it| it.name.0.clone()).collect();
        Self { interfaces, networks, standings, hinted, problem: None }
    }

    /// The same, with trust in the links of these indices although they are like any other.
    pub(super) fn trusting_bare(mut self, indices: &[u32]) -> Self {
        let bare = self.networks.iter().filter(|network| network.id.is_bare());
        let trusted = bare.filter(|network| indices.contains(&network.index));
        let names = trusted.map(|network| (network.interface.clone(), Standing::Trusted));
        self.standings.extend(names);
        self
    }

    /// The addresses of this machine, loopback left out.
    pub(super) fn own_addrs(&self) -> Vec<IpAddr> {
        let addrs = self.interfaces.iter().map(|interface| interface.addr);
        addrs.filter(|addr| !addr.is_loopback()).collect()
    }

    /// Names of the networks that this machine is on, as far as they can be told.
    pub(super) fn network_names(&self) -> Vec<String> {
        let identified = self.networks.iter().filter(|network| network.id.is_identified());
        identified.map(|network| network.name.0.clone()).collect()
    }

    /// The network of this interface, if it can be told.
    pub(super) fn network_of(&self, interface: &str) -> Option<&Network> {
        networks::network_of(&self.networks, interface).filter(|network| network.id.is_identified())
    }

    /// All names of the network of this interface, or of every network for none.
    pub(super) fn all_names(&self, interface: Option<&str>) -> Vec<String> {
        let there = self
            .networks
            .iter()
            .filter(|network| interface.is_none_or(|interface| network.interface == interface));
        there.flat_map(|network| network.id.names()).collect()
    }

    /// How the user stands to what this interface leads to.
    pub(super) fn standing(&self, interface: &str) -> Standing {
        let is_loopback = |it: &Interface| it.name == interface && it.kind == Kind::Loopback;
        match self.standings.get(interface) {
            Some(standing) => *standing,
            None if self.interfaces.iter().any(is_loopback) => Standing::Trusted,
            // It has gone.
            None => Standing::Unidentified,
        }
    }

    /// The interface that counts for what is sent to this address, heard on that one. Among links
    /// that share a prefix the kernel chooses alone: one to a network without trust counts first.
    pub(super) fn link_to<'a>(&'a self, addr: SocketAddr, heard_on: &'a str) -> &'a str {
        if is_link_local_v6(addr.ip()) {
            return heard_on;
        }
        let is_elsewhere = |link: &&Interface| {
            let there = self.all_names(Some(heard_on));
            let is_same = self.all_names(Some(&link.name)).iter().any(|name| there.contains(name));
            let standing = self.standings.get(&link.name);
            !is_same && standing.is_some_and(|standing| *standing != Standing::Trusted)
        };
        let others = self.interfaces.iter().filter(|link| link.name != heard_on);
        let mut others = others.filter(|link| link.contains(addr.ip()));
        others.find(is_elsewhere).map_or(heard_on, |link| &link.name)
    }

    /// Is this address, heard on this interface, on its link now?
    pub(super) fn is_on_link(&self, addr: SocketAddr, interface: &str) -> bool {
        interfaces::is_on_link(&self.interfaces, addr.ip(), interface)
    }

    /// Is it the same place, whatever the user thinks of it?
    pub(super) fn is_same_place(&self, other: &Self) -> bool {
        self.interfaces == other.interfaces && self.networks == other.networks
    }
}

impl Books {
    /// This machine stands elsewhere now, or the user thinks otherwise of where it stands.
    pub(super) fn stands(&mut self, now: Instant, scene: Scene) {
        let before = mem::replace(&mut self.scene, scene);
        self.recall_from_untrusted(&before);
        let replaced = self.replaced_networks(&before);
        if !before.is_same_place(&self.scene) {
            self.forget_those_left_behind(now, &replaced);
        }
        // What is new is heard of; what is gone tells nobody.
        let mut gone = before.interfaces;
        // What an interface is to discovery may change with a route; connections do not mind.
        let is_same =
            |had: &Interface, has: &Interface| had.name == has.name && had.addr == has.addr;
        gone.retain(|had| !self.scene.interfaces.iter().any(|has| is_same(had, has)));
        if !gone.is_empty() {
            self.recall_sent_from(&gone);
        }
        if !gone.is_empty() || !replaced.is_empty() {
            self.moved(now);
        }
        let is_new = |network: &Network| !before.networks.contains(network);
        if self.browsing_since.is_some() && self.scene.networks.iter().any(is_new) {
            // Whoever is there needs as long to answer as at the start.
            self.browsing_since = Some(now);
        }
        self.serve_waiting(now);
    }

    /// The interfaces of networks that others have replaced, with the same addresses perhaps.
    fn replaced_networks(&self, before: &Scene) -> Vec<String> {
        let is_replaced = |former: &&Network| {
            let mut now = self.scene.networks.iter();
            let now = now.find(|network| network.interface == former.interface);
            former.id.is_identified() && now.is_some_and(|now| now.id.gateway != former.id.gateway)
        };
        let replaced = before.networks.iter().filter(is_replaced);
        replaced.map(|network| network.interface.clone()).collect()
    }

    /// Takes back what hosts were to compile because their network was trusted, if it is not any
    /// more: the source may not have gone out yet.
    fn recall_from_untrusted(&mut self, before: &Scene) {
        let has_lost_trust = |former: &&Network| {
            before.standing(&former.interface) == Standing::Trusted
                && self.scene.standing(&former.interface) != Standing::Trusted
        };
        let untrusted = before.networks.iter().filter(has_lost_trust);
        let untrusted: Vec<String> = untrusted.map(|network| network.interface.clone()).collect();
        self.recall_sent_over(&untrusted, "its network is not trusted any more");
    }

    /// Discovered peers that no link leads to any more, and those of networks that were replaced,
    /// are forgotten at once; on the way back they are found by the network's memory, and by
    /// asking. What they were to compile is lost.
    fn forget_those_left_behind(&mut self, now: Instant, replaced: &[String]) {
        let scene = &self.scene;
        let changes = self.cluster.moved(|heard| {
            scene.is_on_link(heard.addr, &heard.interface) && !replaced.contains(&heard.interface)
        });
        for change in &changes {
            if let Change::Removed(node) = change
                && let Some(key) = self.discovered.get(node).copied()
            {
                self.recall_jobs(key, "this machine has left its network");
            }
        }
        self.follow(now, changes);
    }

    /// How many discovered peers were heard on this interface.
    pub(super) fn n_heard_on(&self, interface: &str) -> usize {
        let own = self.scene.own_addrs();
        let there = |peer: &&Peer| {
            peer.is_discovered()
                && !peer.is_among(&own)
                && peer.addrs.iter().any(|heard| heard.interface == interface)
        };
        self.peers.values().filter(there).count()
    }

    /// Puts a hint on a local place that was granted because all that would take the job are
    /// discovered hosts on a network that is new to the user.
    pub(super) fn hinted(
        &mut self,
        now: Instant,
        granted: AgentMessage,
        seats: &[Seat],
    ) -> AgentMessage {
        let AgentMessage::Local(place) = granted else { return granted };
        let is_due = self.hinted_at.is_none_or(|at| now >= at + HINT_EVERY);
        let hint = self.hint(seats).filter(|_| is_due && self.scene.problem.is_none());
        if hint.is_some() {
            self.hinted_at = Some(now);
        }
        AgentMessage::Local(LocalPlace { hint, ..place })
    }

    fn hint(&self, seats: &[Seat]) -> Option<Hint> {
        let offers = |seat: &Seat| match &seat.judgement {
            Judgement::HeldBack { network: Some(network), offers: true, .. }
                if !self.scene.hinted.contains(network) =>
            {
                Some(network.clone())
            }
            _ => None,
        };
        let network = seats.iter().find_map(offers)?;
        let machines = seats.iter().filter(|seat| offers(seat).as_ref() == Some(&network)).count();
        let (who, whom) = match machines {
            1 => ("1 machine on this network".to_owned(), "it"),
            n => (format!("{n} machines on this network"), "them"),
        };
        let offer = if machines == 1 { "offers" } else { "offer" };
        let text = format!(
            "{who} ({network}) {offer} to compile; to let {whom}, run: distcc --trust-network"
        );
        Some(Hint { network, text })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::networks::{Gateway, NetworkId};

    #[test]
    fn a_link_like_any_other_is_trusted_only_where_it_is_the_first_one() {
        let bare = |name, index| {
            let prefixes = vec!["fe80::/64".parse().unwrap()];
            Network::new((name, index), NetworkId { prefixes, gateway: Gateway::None }, None)
        };
        let networks = vec![bare("eth0", 2), bare("wlan0", 3)];
        let scene = Scene::new(Vec::new(), networks, &KnownNetworks::default());
        let scene = scene.trusting_bare(&[2]);
        assert_eq!(scene.standing("eth0"), Standing::Trusted);
        assert_eq!(scene.standing("wlan0"), Standing::Bare);
        assert!(scene.network_names().is_empty(), "nobody is remembered for it");
    }
}
