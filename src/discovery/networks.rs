//! Which networks this machine is on: of each interface that leads to neighbours, its prefixes and
//! who its gateway is.

use std::collections::HashMap;
use std::fmt::{self, Display, Formatter};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

use ipnet::IpNet;
use socket2::{Domain, Socket, Type};

use super::interfaces::{Interface, Kind};
use super::routes::{DefaultRoute, default_routes};
use crate::policy::networks::{Gateway, NetworkId, is_link_local};
use crate::sys::links::{Neighbour, neighbours};

/// The name of a network this machine is on: `10.77.0.0/24`, or with the hardware address of its
/// default gateway `192.168.1.0/24@aa:bb:cc:dd:ee:ff`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct NetworkName(pub(crate) String);

impl Display for NetworkName {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The network that one interface leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Network {
    /// What it is called.
    pub(crate) name: NetworkName,
    /// `eth0`.
    pub(crate) interface: String,
    /// Of the interface.
    pub(crate) index: u32,
    /// What it is known by.
    pub(crate) id: NetworkId,
    /// The address of its gateway.
    pub(crate) gateway: Option<IpAddr>,
}

impl Network {
    /// The network that the interface of this name and index leads to.
    pub(crate) fn new(
        (interface, index): (&str, u32),
        id: NetworkId,
        gateway: Option<IpAddr>,
    ) -> Self {
        let name = NetworkName(id.to_string());
        Self { name, interface: interface.to_owned(), index, id, gateway }
    }

    /// Makes the kernel ask for its gateway's hardware address, by sending it a datagram.
    pub(crate) fn knock(&self) -> io::Result<()> {
        /// The service that throws everything away (RFC 863).
        const DISCARD: u16 = 9;
        let to = match self.gateway {
            None => return Ok(()),
            Some(IpAddr::V4(addr)) => SocketAddr::new(addr.into(), DISCARD),
            Some(IpAddr::V6(addr)) => SocketAddrV6::new(addr, DISCARD, 0, self.index).into(),
        };
        let socket = Socket::new(Domain::for_address(to), Type::DGRAM, None)?;
        socket.set_nonblocking(true)?;
        // Another interface may have the same prefix.
        socket.bind_device(Some(self.interface.as_bytes()))?;
        let from: IpAddr = match to {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        socket.bind(&SocketAddr::new(from, 0).into())?;
        socket.send_to(&[], &to.into())?;
        Ok(())
    }
}

/// Reads which networks this machine is on, and keeps in mind who their gateways are.
#[derive(Debug, Default)]
pub(crate) struct Surveyor {
    /// By interface index: a router that is off for a while does not make another network.
    identified: HashMap<u32, Identified>,
}

#[derive(Debug)]
struct Identified {
    prefixes: Vec<IpNet>,
    gateway: IpAddr,
    mac: String,
}

impl Surveyor {
    /// The networks this machine is on now, in the order of its interfaces.
    pub(crate) fn survey(&mut self, interfaces: &[Interface]) -> Vec<Network> {
        // Without an answer from the kernel no gateway is identified, and no new network trusted.
        let neighbours = neighbours().unwrap_or_default();
        self.networks(interfaces, &default_routes(), &neighbours)
    }

    /// The link of this interface was lost: what it leads to next may be another network.
    pub(crate) fn lost(&mut self, index: u32) {
        self.identified.remove(&index);
    }

    /// Any link may have been lost.
    pub(crate) fn lost_all(&mut self) {
        self.identified.clear();
    }

    fn networks(
        &mut self,
        interfaces: &[Interface],
        routes: &[DefaultRoute],
        neighbours: &[Neighbour],
    ) -> Vec<Network> {
        let mut indices: Vec<u32> = Vec::new();
        let links = interfaces.iter().filter(|interface| interface.kind == Kind::Link);
        for interface in links {
            if !indices.contains(&interface.index) {
                indices.push(interface.index);
            }
        }
        self.identified.retain(|index, _| indices.contains(index));
        let network = |index: u32| {
            let there = interfaces.iter().filter(|interface| interface.index == index);
            let there: Vec<&Interface> = there.collect();
            let name = there.first()?.name.as_str();
            let prefixes = prefixes(&there);
            let route = routes.iter().find(|route| route.interface == name);
            let gateway = route.and_then(|route| route.gateway);
            let id = NetworkId {
                gateway: match gateway {
                    None => Gateway::None,
                    Some(addr) => self.identify((index, addr), &prefixes, neighbours),
                },
                prefixes,
            };
            Some(Network::new((name, index), id, gateway))
        };
        indices.into_iter().filter_map(network).collect()
    }

    fn identify(
        &mut self,
        (index, gateway): (u32, IpAddr),
        prefixes: &[IpNet],
        neighbours: &[Neighbour],
    ) -> Gateway {
        let is_it = |it: &&Neighbour| it.index == index && it.addr == gateway;
        if let Some(neighbour) = neighbours.iter().find(is_it) {
            let (prefixes, mac) = (prefixes.to_vec(), neighbour.mac.clone());
            self.identified.insert(index, Identified { prefixes, gateway, mac: mac.clone() });
            return Gateway::Mac(mac);
        }
        let known = self.identified.get(&index).filter(|known| {
            let shares = known.prefixes.iter().any(|prefix| prefixes.contains(prefix));
            known.gateway == gateway && shares
        });
        known.map_or(Gateway::Unidentified, |known| Gateway::Mac(known.mac.clone()))
    }
}

/// The prefixes of an interface, IPv4 first since it names the network. Link-local ones, which
/// every link has, only where there is nothing else.
fn prefixes(there: &[&Interface]) -> Vec<IpNet> {
    let is_routable = |interface: &&&Interface| !is_link_local(interface.addr);
    let mut prefixes: Vec<IpNet> =
        there.iter().filter(is_routable).map(|interface| interface.network()).collect();
    if prefixes.is_empty() {
        prefixes = there.iter().map(|interface| interface.network()).collect();
    }
    prefixes.sort_by_key(|prefix| matches!(prefix, IpNet::V6(_)));
    let mut seen = Vec::new();
    prefixes.retain(|prefix| {
        let is_first = !seen.contains(prefix);
        seen.push(*prefix);
        is_first
    });
    prefixes
}

/// The network that the interface of this name leads to.
pub(crate) fn network_of<'a>(networks: &'a [Network], interface: &str) -> Option<&'a Network> {
    networks.iter().find(|network| network.interface == interface)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUTER: &str = "aa:bb:cc:dd:ee:ff";

    fn interface(name: &str, index: u32, addr: &str, prefix_len: u8, kind: Kind) -> Interface {
        Interface { name: name.to_owned(), index, addr: addr.parse().unwrap(), prefix_len, kind }
    }

    fn laptop() -> Vec<Interface> {
        vec![
            interface("lo", 1, "127.0.0.1", 8, Kind::Loopback),
            interface("eth0", 2, "fe80::7", 64, Kind::Link),
            interface("eth0", 2, "fd77::7", 64, Kind::Link),
            interface("eth0", 2, "192.168.1.7", 24, Kind::Link),
            interface("eth0", 2, "192.168.1.8", 24, Kind::Link),
            interface("eth1", 3, "10.77.0.2", 24, Kind::Link),
            interface("wlan0", 4, "fe80::9", 64, Kind::Link),
            interface("docker0", 5, "172.17.0.1", 16, Kind::Virtual),
        ]
    }

    fn route(interface: &str, gateway: &str) -> DefaultRoute {
        let gateway = Some(gateway.parse().unwrap());
        DefaultRoute { interface: interface.to_owned(), gateway }
    }

    fn neighbour(index: u32, addr: &str, mac: &str) -> Neighbour {
        Neighbour { index, addr: addr.parse().unwrap(), mac: mac.to_owned() }
    }

    fn names(
        surveyor: &mut Surveyor,
        interfaces: &[Interface],
        routes: &[DefaultRoute],
        neighbours: &[Neighbour],
    ) -> Vec<String> {
        let networks = surveyor.networks(interfaces, routes, neighbours);
        networks.into_iter().map(|network| network.name.0).collect()
    }

    #[test]
    fn every_link_is_a_network_named_by_prefix_and_gateway() {
        let mut surveyor = Surveyor::default();
        let routes = [route("eth0", "192.168.1.1"), route("eth0", "fe80::1")];
        let neighbours = [
            neighbour(2, "fe80::1", "02:00:00:00:00:01"),
            neighbour(4, "192.168.1.1", "02:00:00:00:00:02"),
            neighbour(2, "192.168.1.1", ROUTER),
        ];
        let networks = surveyor.networks(&laptop(), &routes, &neighbours);
        let named: Vec<(&str, &str)> = networks
            .iter()
            .map(|network| (network.interface.as_str(), network.name.0.as_str()))
            .collect();
        let home = format!("192.168.1.0/24@{ROUTER}");
        let expected = [("eth0", home.as_str()), ("eth1", "10.77.0.0/24"), ("wlan0", "fe80::/64")];
        assert_eq!(named, expected);
        let prefixes: Vec<String> = networks[0].id.prefixes.iter().map(IpNet::to_string).collect();
        assert_eq!(prefixes, ["192.168.1.0/24", "fd77::/64"]);
        assert_eq!(network_of(&networks, "eth1").unwrap().index, 3);
        assert_eq!(network_of(&networks, "docker0"), None);
    }

    #[test]
    fn an_ipv6_router_identifies_a_link_without_ipv4() {
        let mut surveyor = Surveyor::default();
        let neighbours = [neighbour(2, "fe80::1", ROUTER)];
        let routes = [route("eth0", "fe80::1")];
        let named = names(&mut surveyor, &laptop()[1..3], &routes, &neighbours);
        assert_eq!(named, [format!("fd77::/64@{ROUTER}")]);
    }

    #[test]
    fn a_gateway_stays_known_while_the_link_stays_up() {
        let mut surveyor = Surveyor::default();
        let eth0 = &laptop()[3..4];
        let routes = [route("eth0", "192.168.1.1")];
        let (home, unknown) = (format!("192.168.1.0/24@{ROUTER}"), "192.168.1.0/24@?");
        assert_eq!(names(&mut surveyor, eth0, &routes, &[]), [unknown]);
        let known = [neighbour(2, "192.168.1.1", ROUTER)];
        assert_eq!(names(&mut surveyor, eth0, &routes, &known), [home.as_str()]);
        assert_eq!(names(&mut surveyor, eth0, &routes, &[]), [home.as_str()], "router is off");
        surveyor.lost(2);
        assert_eq!(names(&mut surveyor, eth0, &routes, &[]), [unknown], "cable was out");

        names(&mut surveyor, eth0, &routes, &known);
        assert_eq!(names(&mut surveyor, eth0, &[route("eth0", "192.168.1.2")], &[]), [unknown]);
        let cafe = [neighbour(2, "192.168.1.1", "02:00:00:00:00:01")];
        let elsewhere = names(&mut surveyor, eth0, &routes, &cafe);
        assert_eq!(elsewhere, ["192.168.1.0/24@02:00:00:00:00:01"], "another router answers");

        names(&mut surveyor, eth0, &routes, &known);
        assert!(names(&mut surveyor, &[], &routes, &known).is_empty());
        assert_eq!(names(&mut surveyor, eth0, &routes, &[]), [unknown], "interface was gone");
    }
}
