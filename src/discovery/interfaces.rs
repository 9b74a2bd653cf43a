//! This machine's addresses, and which of its links lead to neighbours.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use if_addrs::{IfAddr, get_if_addrs};
use ipnet::IpNet;

use super::routes;
use crate::sys::links::{Link, links};

/// One address of one interface that is up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Interface {
    /// `eth0`.
    pub(crate) name: String,
    /// Interface index; the scope of link-local addresses.
    pub(crate) index: u32,
    /// The address.
    pub(crate) addr: IpAddr,
    /// Of the address.
    pub(crate) prefix_len: u8,
    /// What the interface is.
    pub(crate) kind: Kind,
}

/// What an interface is to discovery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// This machine itself.
    Loopback,
    /// Leads to neighbours.
    Link,
    /// Leads to containers, virtual machines or a tunnel; not used unless asked for.
    Virtual,
}

impl Interface {
    /// The network of the address, host bits cleared.
    pub(crate) fn network(&self) -> IpNet {
        IpNet::new(self.addr, self.prefix_len).unwrap_or_else(|_| self.addr.into()).trunc()
    }

    /// Can a neighbour with this address be on this interface's link?
    pub(crate) fn contains(&self, addr: IpAddr) -> bool {
        let network = self.network();
        let edge = match network {
            IpNet::V4(network) if network.prefix_len() < 31 => {
                addr == network.broadcast() || addr == network.network()
            }
            _ => false,
        };
        network.contains(&addr) && !edge
    }
}

/// Every address of every interface that is up.
pub(crate) fn list() -> Vec<Interface> {
    // Without an answer from the kernel there is nothing to use; discovery asks again soon.
    let addrs = get_if_addrs().unwrap_or_default();
    let kinds = kinds();
    let interface = |interface: &if_addrs::Interface| {
        let index = interface.index.unwrap_or_default();
        let prefix_len = match &interface.addr {
            IfAddr::V4(v4) => v4.prefixlen,
            IfAddr::V6(v6) => v6.prefixlen,
        };
        let kind = kinds.get(&index).copied();
        let kind = kind.unwrap_or_else(|| unclassified(interface));
        Interface { name: interface.name.clone(), index, addr: interface.ip(), prefix_len, kind }
    };
    addrs.iter().filter(|addr| addr.is_oper_up()).map(interface).collect()
}

/// The kind of each interface by index; empty when the kernel does not say.
fn kinds() -> HashMap<u32, Kind> {
    let links = links().unwrap_or_default();
    let routed: Vec<String> = routes::default_routes().into_iter().map(|r| r.interface).collect();
    links.iter().map(|link| (link.index, classify(link, &links, &routed))).collect()
}

/// Without word from the kernel (a sandbox without netlink), an interface is taken for a link.
fn unclassified(interface: &if_addrs::Interface) -> Kind {
    match interface {
        interface if interface.is_loopback() => Kind::Loopback,
        interface if interface.is_p2p() => Kind::Virtual,
        _ => Kind::Link,
    }
}

/// Kinds of links made by software that carry no neighbours' multicast, or only that of
/// containers and virtual machines (ip-link(8) lists the words).
const VIRTUAL_KINDS: [&str; 18] = [
    "dummy",
    "geneve",
    "gre",
    "gretap",
    "ifb",
    "ip6gre",
    "ip6gretap",
    "ip6tnl",
    "ipip",
    "nlmon",
    "openvswitch",
    "sit",
    "tun",
    "vrf",
    "vti",
    "vxlan",
    "wireguard",
    "xfrm",
];

fn classify(link: &Link, links: &[Link], routed: &[String]) -> Kind {
    if link.loopback {
        return Kind::Loopback;
    }
    if routed.contains(&link.name) {
        return Kind::Link;
    }
    match link.kind.as_deref() {
        // docker0 and virbr0 have ports of software only; a bridge that a person made for virtual
        // machines to share the wire has the wire's port too.
        Some("bridge") => {
            let mut ports = links.iter().filter(|port| port.master == Some(link.index));
            if ports.any(reaches_a_wire) { Kind::Link } else { Kind::Virtual }
        }
        // The machine's end of a container's pair; the other end, inside, is that one's only link.
        Some("veth") if link.master.is_some() || link.name.starts_with("veth") => Kind::Virtual,
        Some(kind) if VIRTUAL_KINDS.contains(&kind) => Kind::Virtual,
        _ => Kind::Link,
    }
}

fn reaches_a_wire(port: &Link) -> bool {
    port.kind.as_deref().is_none_or(|kind| kind != "veth" && !VIRTUAL_KINDS.contains(&kind))
}

/// Kinds of interfaces for callers that ask for one address after another: reads the links anew
/// at most once a second.
#[derive(Default)]
pub(crate) struct KindCache {
    known: Mutex<Option<(Instant, HashMap<u32, Kind>)>>,
}

/// The mDNS library looks at the addresses once a second.
const KIND_AGE: Duration = Duration::from_millis(900);

impl KindCache {
    /// The kind of this interface.
    pub(crate) fn kind(&self, interface: &if_addrs::Interface) -> Kind {
        let now = Instant::now();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = known.take().filter(|(read, _)| now.duration_since(*read) < KIND_AGE);
        let (_, kinds) = known.insert(fresh.unwrap_or_else(|| (now, kinds())));
        let kind = interface.index.and_then(|index| kinds.get(&index)).copied();
        kind.unwrap_or_else(|| unclassified(interface))
    }
}

/// Is a neighbour with this address on the link of the interface of this name?
pub(crate) fn is_on_link(interfaces: &[Interface], addr: IpAddr, interface: &str) -> bool {
    interfaces.iter().any(|here| here.name == interface && here.contains(addr))
}

/// fe80::/10, whose addresses mean something only together with an interface.
pub(crate) fn is_link_local_v6(addr: IpAddr) -> bool {
    matches!(addr, IpAddr::V6(addr) if addr.is_unicast_link_local())
}

/// Is this an address that one host can have and another can call?
pub(crate) fn is_unicast(addr: IpAddr) -> bool {
    match addr {
        IpAddr::V4(addr) => {
            !addr.is_unspecified()
                && !addr.is_multicast()
                && !addr.is_broadcast()
                && addr.octets()[0] != 0
        }
        IpAddr::V6(addr) => {
            !addr.is_unspecified() && !addr.is_multicast() && mapped_v4(addr).is_none()
        }
    }
}

/// A v4-mapped address is another spelling of an IPv4 address; no record needs it.
fn mapped_v4(addr: Ipv6Addr) -> Option<Ipv4Addr> {
    addr.to_ipv4_mapped()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(index: u32, name: &str, kind: Option<&str>, master: Option<u32>) -> Link {
        let kind = kind.map(str::to_owned);
        Link { index, name: name.to_owned(), kind, master, loopback: name == "lo" }
    }

    fn interface(name: &str, addr: &str, prefix_len: u8, kind: Kind) -> Interface {
        Interface { name: name.to_owned(), index: 2, addr: addr.parse().unwrap(), prefix_len, kind }
    }

    #[test]
    fn tells_wires_from_containers() {
        let links = [
            link(1, "lo", None, None),
            link(2, "eth0", None, None),
            link(3, "docker0", Some("bridge"), None),
            link(4, "veth12ab", Some("veth"), Some(3)),
            link(5, "br0", Some("bridge"), None),
            link(6, "enp3s0", None, Some(5)),
            link(7, "vnet0", Some("tun"), Some(5)),
            link(8, "virbr0", Some("bridge"), None),
            link(9, "vnet1", Some("tun"), Some(8)),
            link(10, "eth1", Some("veth"), None),
            link(11, "wg0", Some("wireguard"), None),
            link(12, "eth0.7", Some("vlan"), None),
            link(13, "lxdbr0", Some("bridge"), None),
            link(14, "veth1", Some("veth"), None),
        ];
        let routed = ["lxdbr0".to_owned()];
        let used: Vec<&str> = links
            .iter()
            .filter(|link| classify(link, &links, &routed) == Kind::Link)
            .map(|link| link.name.as_str())
            .collect();
        assert_eq!(used, ["eth0", "br0", "enp3s0", "eth1", "eth0.7", "lxdbr0"]);
        assert_eq!(classify(&links[0], &links, &routed), Kind::Loopback);
    }

    #[test]
    fn broadcast_is_no_neighbour() {
        let eth0 = interface("eth0", "10.77.0.2", 24, Kind::Link);
        let cases = [
            ("10.77.0.1", true),
            ("10.77.0.255", false),
            ("10.77.0.0", false),
            ("10.77.1.1", false),
            ("fd77::1", false),
        ];
        for (addr, expected) in cases {
            assert_eq!(eth0.contains(addr.parse().unwrap()), expected, "{addr}");
        }
        assert!(interface("p", "10.0.0.1", 31, Kind::Link).contains("10.0.0.0".parse().unwrap()));
    }

    #[test]
    fn a_neighbour_is_on_the_link_of_its_own_interface() {
        let interfaces = [
            interface("tap0", "10.9.0.2", 16, Kind::Link),
            interface("wlan0", "192.168.1.7", 24, Kind::Link),
            interface("wlan0", "192.168.2.7", 24, Kind::Link),
            interface("wlan0", "fd77::7", 64, Kind::Link),
        ];
        for (addr, name, on_link) in [
            ("192.168.1.8", "wlan0", true),
            ("192.168.2.8", "wlan0", true),
            ("fd77::8", "wlan0", true),
            ("10.9.3.1", "tap0", true),
            ("10.9.3.1", "eth0", false),
            ("10.9.3.1", "wlan0", false),
        ] {
            assert_eq!(is_on_link(&interfaces, addr.parse().unwrap(), name), on_link, "{addr}");
        }
    }

    #[test]
    fn refuses_what_no_host_can_have() {
        let bad = [
            "0.0.0.0",
            "224.0.0.251",
            "255.255.255.255",
            "0.1.2.3",
            "::",
            "ff02::fb",
            "::ffff:1.2.3.4",
        ];
        assert!(bad.iter().all(|addr| !is_unicast(addr.parse().unwrap())));
        let good = ["10.0.0.1", "127.0.0.1", "fe80::1", "2001:db8::1"];
        assert!(good.iter().all(|addr| is_unicast(addr.parse().unwrap())));
    }

    #[test]
    fn lists_loopback_as_such() {
        let interfaces = list();
        let lo = interfaces.iter().filter(|interface| interface.addr.is_loopback());
        assert!(lo.clone().all(|interface| interface.kind == Kind::Loopback));
    }
}
