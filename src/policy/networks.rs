//! The networks that the user has been on, and which of them are trusted: on a trusted one,
//! discovered hosts may get source code. Pure; the agent keeps the file.
//!
//! A network is known again by its gateway's hardware address together with one of its prefixes,
//! never by a name: half the world is 192.168.1.0/24. One without a gateway has its prefixes only.

use std::fmt::{self, Display, Formatter};
use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::file::{PolicyError, PolicyProblem};

/// Networks kept that are not trusted; of more, those seen first are forgotten.
const MAX_UNTRUSTED: usize = 64;
/// Prefixes kept of one network; an IPv6 provider gives a new one every day.
const MAX_PREFIXES: usize = 16;
/// Written above the networks.
const HEAD: &str = "\
# The networks that distcc was used on. Its agent writes this file: `distcc --networks` shows the
# networks, `distcc --trust-network` and `distcc --forget-network` change them.
";

/// Whose packets leave a network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Gateway {
    /// Nobody's: there is no default route.
    None,
    /// Those of the router with this hardware address.
    Mac(String),
    /// There is a default route, and the router's hardware address is not known yet.
    Unidentified,
}

/// What a network is known by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NetworkId {
    /// The first one names it.
    pub(crate) prefixes: Vec<IpNet>,
    /// Its router.
    pub(crate) gateway: Gateway,
}

impl NetworkId {
    /// Is the other the same network, seen at another time?
    fn is(&self, other: &Self) -> bool {
        self.is_identified()
            && self.gateway == other.gateway
            && self.prefixes.iter().any(|prefix| other.prefixes.contains(prefix))
    }

    /// Can it be known again?
    pub(crate) fn is_identified(&self) -> bool {
        self.gateway != Gateway::Unidentified && !self.is_bare()
    }

    /// Has it no gateway and only prefixes that every link has? Each link is such a network until
    /// a router or a DHCP server has spoken.
    pub(crate) fn is_bare(&self) -> bool {
        let is_everywhere = |prefix: &IpNet| is_link_local(prefix.addr());
        self.gateway == Gateway::None && self.prefixes.iter().all(is_everywhere)
    }

    /// A name for each of its prefixes, as a policy's `network` may ask for them.
    pub(crate) fn names(&self) -> Vec<String> {
        self.prefixes.iter().map(|prefix| self.named(prefix)).collect()
    }

    fn named(&self, prefix: &IpNet) -> String {
        match &self.gateway {
            Gateway::None => prefix.to_string(),
            Gateway::Mac(mac) => format!("{prefix}@{mac}"),
            // No name of a network that was ever identified.
            Gateway::Unidentified => format!("{prefix}@?"),
        }
    }
}

impl Display for NetworkId {
    /// `192.168.1.0/24@aa:bb:cc:dd:ee:ff`
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.prefixes.first().map_or(Ok(()), |prefix| f.write_str(&self.named(prefix)))
    }
}

/// fe80::/10 or 169.254.0.0/16: addresses that a machine gives itself, the same on every link.
pub(crate) fn is_link_local(addr: IpAddr) -> bool {
    match addr {
        IpAddr::V4(addr) => addr.is_link_local(),
        IpAddr::V6(addr) => addr.is_unicast_link_local(),
    }
}

/// May hosts that were discovered on a network get source code?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// They may.
    Trusted,
    /// Not until the user says so.
    New,
    /// It cannot be told which network that is, so not yet.
    Unidentified,
    /// It will never be told, since it is like any other.
    Bare,
}

/// A network that was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KnownNetwork {
    /// By what it is known.
    pub(crate) id: NetworkId,
    /// Its hosts may be used.
    pub(crate) trusted: bool,
    /// Why it is (not), a lowercase fragment.
    pub(crate) reason: String,
    /// The user was told that hosts there offer to compile.
    pub(crate) hinted: bool,
}

/// All networks that were seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct KnownNetworks {
    /// In the order in which they were first seen.
    pub(crate) networks: Vec<KnownNetwork>,
    /// Every network is trusted, as by the original.
    pub(crate) trust_all: bool,
}

impl KnownNetworks {
    /// How the user stands to this network.
    pub(crate) fn standing(&self, id: &NetworkId) -> Standing {
        if self.trust_all || self.get(id).is_some_and(|known| known.trusted) {
            return Standing::Trusted;
        }
        match id {
            id if id.is_bare() => Standing::Bare,
            id if id.is_identified() => Standing::New,
            _ => Standing::Unidentified,
        }
    }

    /// What is known of this network.
    pub(crate) fn get(&self, id: &NetworkId) -> Option<&KnownNetwork> {
        self.networks.iter().find(|known| known.id.is(id))
    }

    /// Adds prefixes that a trusted network has got since it was last seen. True if there are any.
    pub(crate) fn see(&mut self, id: &NetworkId) -> bool {
        let mut known = self.networks.iter_mut().filter(|known| known.id.is(id));
        let Some(known) = known.find(|known| known.trusted) else { return false };
        let seen = known.id.prefixes.clone();
        known.id.prefixes.extend(id.prefixes.iter().filter(|prefix| !seen.contains(prefix)));
        // The first one is its name; the second is the oldest of the others.
        while known.id.prefixes.len() > MAX_PREFIXES {
            known.id.prefixes.remove(1);
        }
        known.id.prefixes != seen
    }

    /// Trusts the network from now on. False if it cannot be known again.
    pub(crate) fn trust(&mut self, id: &NetworkId, reason: &str) -> bool {
        id.is_identified() && {
            self.set(id, true, reason);
            true
        }
    }

    /// Trusts the network no longer, and gives no hint about it: the user knows of it.
    pub(crate) fn distrust(&mut self, id: &NetworkId, reason: &str) {
        self.set(id, false, reason);
        // A network may have been remembered twice, by one prefix each, before it had both.
        for known in self.networks.iter_mut().filter(|known| known.id.is(id)) {
            (known.trusted, known.reason) = (false, reason.to_owned());
        }
        self.hint_shown(id);
    }

    /// The user was told that hosts on this network offer to compile.
    pub(crate) fn hint_shown(&mut self, id: &NetworkId) {
        if self.get(id).is_none() {
            self.set(id, false, "new network");
        }
        for known in self.networks.iter_mut().filter(|known| known.id.is(id)) {
            known.hinted = true;
        }
        let untrusted = |known: &KnownNetwork| !known.trusted && !known.id.is(id);
        while self.networks.iter().filter(|known| untrusted(known)).count() > MAX_UNTRUSTED {
            let Some(first) = self.networks.iter().position(untrusted) else { return };
            self.networks.remove(first);
        }
    }

    fn set(&mut self, id: &NetworkId, trusted: bool, reason: &str) {
        let reason = reason.to_owned();
        match self.networks.iter_mut().find(|known| known.id.is(id)) {
            Some(known) => (known.trusted, known.reason) = (trusted, reason),
            None => {
                let id = id.clone();
                self.networks.push(KnownNetwork { id, trusted, reason, hinted: false });
            }
        }
    }

    /// The file's text.
    pub(crate) fn render(&self) -> Result<String, toml::ser::Error> {
        let network = |known: &KnownNetwork| StoredNetwork {
            prefixes: known.id.prefixes.clone(),
            gateway: match &known.id.gateway {
                Gateway::Mac(mac) => Some(mac.clone()),
                Gateway::None | Gateway::Unidentified => None,
            },
            trusted: known.trusted,
            reason: known.reason.clone(),
            hinted: known.hinted,
        };
        let network = self.networks.iter().map(network).collect();
        let stored = Stored { trust_all: self.trust_all, network };
        Ok(format!("{HEAD}\n{}", toml::to_string(&stored)?))
    }

    /// Reads the text of the file that is to be named `origin`.
    pub(crate) fn parse(text: &str, origin: &str) -> Result<Self, PolicyError> {
        let stored: Stored = toml::from_str(text).map_err(|error| {
            let before = error.span().map(|span| &text.as_bytes()[..span.start.min(text.len())]);
            let line = |before: &[u8]| 1 + before.iter().filter(|&&byte| byte == b'\n').count();
            PolicyError {
                origin: origin.to_owned(),
                line: before.map(line),
                key: String::new(),
                problem: PolicyProblem::Syntax(error.message().to_owned()),
            }
        })?;
        let network = |stored: StoredNetwork| KnownNetwork {
            id: NetworkId {
                prefixes: stored.prefixes.iter().map(IpNet::trunc).collect(),
                gateway: stored
                    .gateway
                    .map_or(Gateway::None, |mac| Gateway::Mac(mac.to_ascii_lowercase())),
            },
            trusted: stored.trusted,
            reason: stored.reason,
            hinted: stored.hinted,
        };
        let networks = stored.network.into_iter().map(network).collect();
        Ok(Self { networks, trust_all: stored.trust_all })
    }
}

/// The file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    #[serde(default)]
    trust_all: bool,
    #[serde(default)]
    network: Vec<StoredNetwork>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredNetwork {
    prefixes: Vec<IpNet>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    gateway: Option<String>,
    trusted: bool,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    hinted: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOME: &str = "aa:bb:cc:dd:ee:ff";
    const CAFE: &str = "02:00:00:00:00:01";

    fn id(prefixes: &[&str], gateway: Gateway) -> NetworkId {
        NetworkId { prefixes: prefixes.iter().map(|text| text.parse().unwrap()).collect(), gateway }
    }

    fn at(mac: &str, prefixes: &[&str]) -> NetworkId {
        id(prefixes, Gateway::Mac(mac.to_owned()))
    }

    fn home_trusted() -> KnownNetworks {
        let mut known = KnownNetworks::default();
        assert!(known.trust(&at(HOME, &["192.168.1.0/24"]), "the first one used"));
        known
    }

    #[test]
    fn a_network_is_known_by_gateway_and_prefix_together() {
        let known = home_trusted();
        for (network, standing) in [
            (at(HOME, &["192.168.1.0/24"]), Standing::Trusted),
            (at(HOME, &["fd77::/64", "192.168.1.0/24"]), Standing::Trusted),
            (at(CAFE, &["192.168.1.0/24"]), Standing::New),
            (at(HOME, &["10.0.0.0/8"]), Standing::New),
            (id(&["192.168.1.0/24"], Gateway::None), Standing::New),
            (id(&["192.168.1.0/24"], Gateway::Unidentified), Standing::Unidentified),
        ] {
            assert_eq!(known.standing(&network), standing, "{network}");
        }
    }

    #[test]
    fn networks_without_a_gateway_are_known_by_prefix() {
        let mut known = KnownNetworks::default();
        known.trust(&id(&["10.77.0.0/24"], Gateway::None), "the first one used");
        assert_eq!(known.standing(&id(&["10.77.0.0/24"], Gateway::None)), Standing::Trusted);
        assert_eq!(known.standing(&at(CAFE, &["10.77.0.0/24"])), Standing::New);
    }

    #[test]
    fn what_cannot_be_told_is_neither_trusted_nor_remembered() {
        let mut known = KnownNetworks::default();
        assert!(!known.trust(&id(&["10.77.0.0/24"], Gateway::Unidentified), "asked for"));
        assert_eq!(known, KnownNetworks::default());
    }

    #[test]
    fn links_with_link_local_addresses_only_are_not_one_network() {
        for prefixes in [&["fe80::/64"][..], &["169.254.0.0/16"], &["169.254.0.0/16", "fe80::/64"]]
        {
            let link = id(prefixes, Gateway::None);
            let mut known = KnownNetworks::default();
            assert!(!known.trust(&link, "asked for"), "{link}");
            let text = format!("[[network]]\nprefixes = ['{}']\ntrusted = true\n", prefixes[0]);
            for known in [known, KnownNetworks::parse(&text, "networks.toml").unwrap()] {
                assert_eq!(known.standing(&link), Standing::Bare, "{link}");
            }
        }
        let mut known = KnownNetworks::default();
        assert!(known.trust(&at(HOME, &["fe80::/64"]), "a router is enough"));
        assert_eq!(known.standing(&at(HOME, &["fe80::/64"])), Standing::Trusted);
    }

    #[test]
    fn prefixes_that_a_trusted_network_gets_later_are_its_own() {
        let mut known = home_trusted();
        assert!(known.see(&at(HOME, &["192.168.1.0/24", "2001:db8:1::/64"])));
        assert!(!known.see(&at(HOME, &["192.168.1.0/24", "2001:db8:1::/64"])));
        assert_eq!(known.standing(&at(HOME, &["2001:db8:1::/64"])), Standing::Trusted);
        assert!(!known.see(&at(CAFE, &["192.168.1.0/24"])));
        for day in 2..40 {
            known.see(&at(HOME, &["192.168.1.0/24", &format!("2001:db8:{day}::/64")]));
        }
        assert_eq!(known.networks[0].id.prefixes.len(), MAX_PREFIXES);
        assert_eq!(known.networks[0].id.to_string(), format!("192.168.1.0/24@{HOME}"));
        assert_eq!(known.standing(&at(HOME, &["2001:db8:39::/64"])), Standing::Trusted);
    }

    #[test]
    fn a_network_remembered_twice_is_forgotten_wholly() {
        let mut known = KnownNetworks::default();
        known.distrust(&at(HOME, &["192.168.1.0/24"]), "forgotten by the user");
        known.trust(&at(HOME, &["fd77::/64"]), "trusted by the user");
        known.see(&at(HOME, &["fd77::/64", "192.168.1.0/24"]));
        let second = known.networks[1].id.clone();
        known.distrust(&second, "forgotten by the user");
        assert_eq!(known.standing(&at(HOME, &["fd77::/64"])), Standing::New);
        assert!(known.networks.iter().all(|known| !known.trusted));
    }

    #[test]
    fn all_means_also_those_to_come() {
        let known = KnownNetworks { trust_all: true, ..KnownNetworks::default() };
        assert_eq!(known.standing(&at(CAFE, &["10.0.0.0/8"])), Standing::Trusted);
        assert_eq!(known.standing(&id(&["10.0.0.0/8"], Gateway::Unidentified)), Standing::Trusted);
    }

    #[test]
    fn a_hint_is_remembered_and_trust_survives_it() {
        let (home, cafe) = (at(HOME, &["192.168.1.0/24"]), at(CAFE, &["192.168.1.0/24"]));
        let mut known = home_trusted();
        known.hint_shown(&cafe);
        assert!(known.get(&cafe).unwrap().hinted);
        assert_eq!(known.standing(&cafe), Standing::New);
        known.trust(&cafe, "trusted by the user");
        assert_eq!(known.standing(&cafe), Standing::Trusted);
        for number in 0..2 * MAX_UNTRUSTED {
            known.hint_shown(&at(CAFE, &[&format!("10.{number}.0.0/16")]));
        }
        assert_eq!(known.networks.len(), 2 + MAX_UNTRUSTED + 1);
        assert_eq!(known.standing(&home), Standing::Trusted);
        known.distrust(&home, "forgotten by the user");
        assert_eq!(known.standing(&home), Standing::New);
        assert!(known.get(&home).unwrap().hinted);
    }

    #[test]
    fn file_reads_as_it_was_written() {
        let mut known = home_trusted();
        known.hint_shown(&at(CAFE, &["192.168.1.0/24", "fd77::/64"]));
        known.trust(&id(&["10.77.0.0/24"], Gateway::None), "trusted by the user");
        known.trust_all = true;
        let text = known.render().unwrap();
        assert_eq!(KnownNetworks::parse(&text, "networks.toml").unwrap(), known, "{text}");
        let nothing = KnownNetworks::default();
        let text = nothing.render().unwrap();
        assert_eq!(KnownNetworks::parse(&text, "networks.toml").unwrap(), nothing, "{text}");
    }

    #[test]
    fn a_damaged_file_is_named_with_its_line() {
        for (text, line) in [
            ("trust_all = true\ntrusted", 2),
            ("[[network]]\nprefixes = ['300.1.1.1/8']\ntrusted = true\n", 2),
            ("\n\nnet = 1\n", 3),
            ("[[network]]\ntrusted = true\n", 1),
        ] {
            let error = KnownNetworks::parse(text, "networks.toml").unwrap_err();
            let said = error.to_string();
            assert_eq!(error.line, Some(line), "{said}");
            assert!(said.starts_with(&format!("networks.toml:{line}: ")), "{said}");
        }
    }
}
