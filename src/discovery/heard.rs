//! What is kept of a record that another host sent: pure judgement over this machine's addresses.

use std::net::{IpAddr, SocketAddr, SocketAddrV6};

use super::interfaces::{Interface, is_link_local_v6, is_unicast};
use super::txt::{HeardTxt, decode};
use super::{SERVICE_TYPE, escape};

/// Of one instance, no more addresses are kept.
const MAX_ADDRS: usize = 16;

/// What the browser heard.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "nearly every event is the large one")]
pub(crate) enum Heard {
    /// An instance is there, or says something new of itself.
    Up(HeardPeer),
    /// An instance said goodbye or was not heard for too long. Anyone on the link can say so of
    /// anyone: a reason to ask, not a fact.
    Gone {
        /// As in [`HeardPeer::instance`].
        instance: String,
    },
}

impl Heard {
    /// The instance that this is about.
    pub(crate) fn instance(&self) -> &str {
        match self {
            Self::Up(peer) => &peer.instance,
            Self::Gone { instance } => instance,
        }
    }
}

/// One instance of the service as resolved, escaped and bounded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HeardPeer {
    /// `distcc@h1`, escaped.
    pub(crate) instance: String,
    /// The host name of its SRV record without `.local.`, escaped.
    pub(crate) host: String,
    /// TCP port, never 0.
    pub(crate) port: u16,
    /// At least one, at most 16; sorted.
    pub(crate) addrs: Vec<HeardAddr>,
    /// What it says of itself.
    pub(crate) txt: HeardTxt,
}

/// An address and the interface on which it was heard, whose prefix holds it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct HeardAddr {
    /// With the port; the scope is set for fe80::/10 only.
    pub(crate) addr: SocketAddr,
    /// `eth0`.
    pub(crate) interface: String,
}

/// An instance as the mDNS library resolved it.
#[derive(Clone, Debug)]
pub(crate) struct Resolved<'a> {
    /// `distcc@h1._distcc._tcp.local.`
    pub(crate) fullname: &'a str,
    /// `h1.local.`
    pub(crate) host: &'a str,
    /// TCP port.
    pub(crate) port: u16,
    /// Addresses with the index of an interface on which each was heard.
    pub(crate) addrs: Vec<(IpAddr, u32)>,
    /// TXT keys and values.
    pub(crate) txt: Vec<(&'a str, &'a [u8])>,
}

/// The part of a claim that may be believed; none if that is nothing.
pub(crate) fn judge(resolved: &Resolved<'_>, interfaces: &[Interface]) -> Option<HeardPeer> {
    let instance = instance_of(resolved.fullname)?;
    if resolved.port == 0 {
        return None;
    }
    let mut addrs: Vec<HeardAddr> = resolved
        .addrs
        .iter()
        .filter_map(|(addr, index)| on_link(*addr, *index, interfaces))
        .map(|(addr, interface)| HeardAddr {
            addr: socket_addr(addr, resolved.port, interface.index),
            interface: interface.name.clone(),
        })
        .collect();
    // A daemon on this machine, advertised by another program, may name loopback too; only a farm
    // of one machine has nothing else.
    if addrs.iter().any(|heard| !heard.addr.ip().is_loopback()) {
        addrs.retain(|heard| !heard.addr.ip().is_loopback());
    }
    addrs.sort();
    addrs.dedup();
    addrs.truncate(MAX_ADDRS);
    let host = resolved.host.strip_suffix(".local.").unwrap_or(resolved.host);
    (!addrs.is_empty()).then(|| HeardPeer {
        instance,
        host: escape(host.as_bytes()),
        port: resolved.port,
        addrs,
        txt: decode(&resolved.txt),
    })
}

/// The instance's name out of its full name, escaped; none for another service.
pub(crate) fn instance_of(fullname: &str) -> Option<String> {
    let at = fullname.len().checked_sub(SERVICE_TYPE.len())?;
    let (name, service) = fullname.split_at_checked(at)?;
    let name = name.strip_suffix('.')?;
    if name.is_empty() || !service.eq_ignore_ascii_case(SERVICE_TYPE) {
        return None;
    }
    // The library writes a dot and a backslash within the label with a backslash before.
    let mut plain = String::with_capacity(name.len());
    let mut chars = name.chars();
    while let Some(c) = chars.next() {
        plain.push(if c == '\\' { chars.next().unwrap_or(c) } else { c });
    }
    Some(escape(plain.as_bytes()))
}

/// The interface of this index that has a prefix with this address.
fn on_link(addr: IpAddr, index: u32, interfaces: &[Interface]) -> Option<(IpAddr, &Interface)> {
    let mut there = interfaces.iter().filter(|interface| interface.index == index);
    let interface = there.find(|interface| is_unicast(addr) && interface.contains(addr))?;
    Some((addr, interface))
}

fn socket_addr(addr: IpAddr, port: u16, index: u32) -> SocketAddr {
    match addr {
        IpAddr::V6(v6) if is_link_local_v6(addr) => SocketAddrV6::new(v6, port, 0, index).into(),
        _ => SocketAddr::new(addr, port),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::discovery::interfaces::Kind;

    fn interfaces() -> Vec<Interface> {
        let list = [
            ("lo", 1, "127.0.0.1", 8, Kind::Loopback),
            ("lo", 1, "::1", 128, Kind::Loopback),
            ("eth0", 2, "10.77.0.2", 24, Kind::Link),
            ("eth0", 2, "fd77::2", 64, Kind::Link),
            ("eth0", 2, "fe80::2", 64, Kind::Link),
            ("eth1", 3, "10.78.0.2", 24, Kind::Link),
        ];
        let interface =
            |(name, index, addr, prefix_len, kind): (&str, u32, &str, u8, Kind)| Interface {
                name: name.to_owned(),
                index,
                addr: addr.parse().unwrap(),
                prefix_len,
                kind,
            };
        list.into_iter().map(interface).collect()
    }

    fn heard(addrs: &[(&str, u32)], port: u16) -> Option<HeardPeer> {
        let resolved = Resolved {
            fullname: "distcc@h1._distcc._tcp.local.",
            host: "h1-7f3a91c2.local.",
            port,
            addrs: addrs.iter().map(|(addr, index)| (addr.parse().unwrap(), *index)).collect(),
            txt: vec![("jobs", b"4")],
        };
        judge(&resolved, &interfaces())
    }

    fn kept(addrs: &[(&str, u32)]) -> Vec<String> {
        let peer = heard(addrs, 3632);
        let addrs = peer.map(|peer| peer.addrs).unwrap_or_default();
        addrs.iter().map(|heard| format!("{} {}", heard.addr, heard.interface)).collect()
    }

    #[test]
    fn keeps_addresses_on_the_link_they_were_heard_on() {
        type Case = (&'static [(&'static str, u32)], &'static [&'static str]);
        let cases: [Case; 8] = [
            (&[("10.77.0.1", 2)], &["10.77.0.1:3632 eth0"]),
            (&[("10.77.0.1", 3)], &[]),
            (&[("10.77.0.1", 9)], &[]),
            (&[("8.8.8.8", 2), ("169.254.169.254", 2), ("10.77.0.255", 2), ("224.0.0.1", 2)], &[]),
            (&[("fd77::1", 2)], &["[fd77::1]:3632 eth0"]),
            (&[("fe80::1", 2)], &["[fe80::1%2]:3632 eth0"]),
            (&[("fe80::1", 3), ("::", 2), ("ff02::1", 2), ("::ffff:10.77.0.1", 2)], &[]),
            (
                &[("10.78.0.1", 3), ("10.77.0.1", 2), ("10.77.0.1", 2)],
                &["10.77.0.1:3632 eth0", "10.78.0.1:3632 eth1"],
            ),
        ];
        for (addrs, expected) in cases {
            assert_eq!(kept(addrs), expected, "{addrs:?}");
        }
    }

    #[test]
    fn loopback_counts_only_alone_and_from_loopback() {
        assert_eq!(kept(&[("127.0.0.1", 1), ("10.77.0.2", 2)]), ["10.77.0.2:3632 eth0"]);
        assert_eq!(kept(&[("127.0.0.1", 1), ("::1", 1)]), ["127.0.0.1:3632 lo", "[::1]:3632 lo"]);
        assert!(kept(&[("127.0.0.1", 2)]).is_empty());
    }

    #[test]
    fn port_zero_and_floods_of_addresses_are_refused() {
        assert_eq!(heard(&[("10.77.0.1", 2)], 0), None);
        let many: Vec<String> = (1..100).map(|host| format!("10.77.0.{host}")).collect();
        let many: Vec<(&str, u32)> = many.iter().map(|addr| (addr.as_str(), 2)).collect();
        assert_eq!(kept(&many).len(), MAX_ADDRS);
    }

    #[test]
    fn host_and_txt_come_along() {
        let peer = heard(&[("10.77.0.1", 2)], 1).unwrap();
        assert_eq!((peer.host.as_str(), peer.txt.jobs), ("h1-7f3a91c2", Some(4)));
    }

    #[test]
    fn instance_names_are_unwrapped_and_escaped() {
        let cases = [
            ("distcc@h1._distcc._tcp.local.", Some("distcc@h1")),
            ("distcc@h1 (2)._DISTCC._tcp.Local.", Some("distcc@h1 (2)")),
            ("a\\.b._distcc._tcp.local.", Some("a.b")),
            ("\u{1b}]0;x\n._distcc._tcp.local.", Some("\\u{1b}]0;x\\u{a}")),
            ("../../etc._distcc._tcp.local.", Some("../../etc")),
            ("._distcc._tcp.local.", None),
            ("_distcc._tcp.local.", None),
            ("h1._ssh._tcp.local.", None),
            ("\u{fc}\u{fc}\u{fc}\u{fc}\u{fc}\u{fc}\u{fc}\u{fc}\u{fc}\u{fc}", None),
            ("", None),
        ];
        for (fullname, instance) in cases {
            assert_eq!(instance_of(fullname).as_deref(), instance, "{fullname:?}");
        }
    }
}
