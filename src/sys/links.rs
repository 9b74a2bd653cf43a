//! Network links and neighbours of this network namespace, as the kernel's rtnetlink tells them
//! (rtnetlink(7)), and word of every change. Not /sys/class/net: in a namespace entered without a
//! mount of its own that shows the links of another one.

use std::io::{self, Read, Write};
use std::net::IpAddr;
use std::os::fd::AsRawFd;

use nix::libc;
use nix::sys::socket::{NetlinkAddr, bind};
use socket2::{Domain, Protocol, Socket, Type};

/// One link.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Link {
    /// Interface index.
    pub(crate) index: u32,
    /// `eth0`.
    pub(crate) name: String,
    /// The driver's word for links made by software: `bridge`, `veth`, `vlan`; none for hardware.
    pub(crate) kind: Option<String>,
    /// Index of the bridge or bond that this link is a port of.
    pub(crate) master: Option<u32>,
    /// `IFF_LOOPBACK` is set.
    pub(crate) loopback: bool,
}

/// A neighbour whose hardware address is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Neighbour {
    /// Index of the interface whose link it is on.
    pub(crate) index: u32,
    /// Its address there.
    pub(crate) addr: IpAddr,
    /// Its hardware address, `aa:bb:cc:dd:ee:ff`.
    pub(crate) mac: String,
}

/// Lengths of `nlmsghdr`, `ifinfomsg` and `ndmsg` in bytes.
const HEADER: usize = 16;
const INFO: usize = 16;
const NEIGHBOUR: usize = 12;
/// The kernel's parts of a dump are at most 32 KiB (`NLMSG_GOODSIZE` doubled for dumps).
const PART: usize = 64 << 10;

/// All links, in the kernel's order.
pub(crate) fn links() -> io::Result<Vec<Link>> {
    // Zeros are an `ifinfomsg` that asks for every link.
    dump(libc::RTM_GETLINK, &[0; INFO], libc::RTM_NEWLINK, parse_link)
}

/// All neighbours of either family whose hardware address is known.
pub(crate) fn neighbours() -> io::Result<Vec<Neighbour>> {
    dump(libc::RTM_GETNEIGH, &[0; NEIGHBOUR], libc::RTM_NEWNEIGH, parse_neighbour)
}

fn dump<T>(
    question: u16,
    body: &[u8],
    wanted: u16,
    parse: impl Fn(&[u8]) -> Option<T>,
) -> io::Result<Vec<T>> {
    let mut socket = netlink()?;
    socket.write_all(&dump_request(question, body))?;
    let mut found = Vec::new();
    let mut part = vec![0; PART];
    loop {
        let len = socket.read(&mut part)?;
        let dump = walk(&part[..len], |kind, message| {
            if kind == wanted {
                found.extend(parse(message));
            }
        })?;
        if dump == Dump::Done {
            return Ok(found);
        }
    }
}

fn netlink() -> io::Result<Socket> {
    let protocol = Some(Protocol::from(libc::NETLINK_ROUTE));
    Socket::new(Domain::from(libc::AF_NETLINK), Type::RAW, protocol)
}

/// An `nlmsghdr` and the message.
fn dump_request(question: u16, body: &[u8]) -> Vec<u8> {
    let len = u32::try_from(HEADER + body.len()).expect("a few bytes");
    let flags =
        u16::try_from(libc::NLM_F_REQUEST | libc::NLM_F_DUMP).expect("netlink flags are 16 bits");
    let mut request = vec![0; HEADER];
    request[..4].copy_from_slice(&len.to_ne_bytes());
    request[4..6].copy_from_slice(&question.to_ne_bytes());
    request[6..8].copy_from_slice(&flags.to_ne_bytes());
    request.extend_from_slice(body);
    request
}

/// Is there another part of the dump to read?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dump {
    More,
    Done,
}

/// Gives each message, type and body, to `take`.
fn walk(mut bytes: &[u8], mut take: impl FnMut(u16, &[u8])) -> io::Result<Dump> {
    if bytes.is_empty() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    while let Some((header, _)) = bytes.split_first_chunk::<HEADER>() {
        let len = usize::try_from(u32_at(header, 0)).unwrap_or(usize::MAX);
        let kind = u16_at(header, 4);
        let Some(message) = bytes.get(HEADER..len) else {
            return Err(io::ErrorKind::InvalidData.into());
        };
        match i32::from(kind) {
            libc::NLMSG_DONE => return Ok(Dump::Done),
            libc::NLMSG_ERROR => {
                let errno = message.first_chunk().map_or(0, |code| i32::from_ne_bytes(*code));
                return Err(io::Error::from_raw_os_error(-errno));
            }
            _ => take(kind, message),
        }
        bytes = bytes.get(len.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(Dump::More)
}

/// What has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// Links, addresses or routes; the links of these indices lead nowhere now.
    Some {
        /// Interface indices.
        lost: Vec<u32>,
    },
    /// So much that the kernel could not tell it all.
    Anything,
}

/// Hears of every change of links, addresses and routes.
pub(crate) struct LinkWatch {
    socket: Socket,
    part: Vec<u8>,
}

impl LinkWatch {
    /// Watches from now on.
    pub(crate) fn start() -> io::Result<Self> {
        let socket = netlink()?;
        let groups = libc::RTMGRP_LINK
            | libc::RTMGRP_IPV4_IFADDR
            | libc::RTMGRP_IPV4_ROUTE
            | libc::RTMGRP_IPV6_IFADDR
            | libc::RTMGRP_IPV6_ROUTE;
        bind(socket.as_raw_fd(), &NetlinkAddr::new(0, groups.cast_unsigned()))?;
        Ok(Self { socket, part: vec![0; PART] })
    }

    /// Blocks until something has changed.
    pub(crate) fn next(&mut self) -> io::Result<Change> {
        let len = match self.socket.read(&mut self.part) {
            Ok(len) => len,
            Err(e) if e.raw_os_error() == Some(libc::ENOBUFS) => return Ok(Change::Anything),
            Err(e) => return Err(e),
        };
        let mut lost = Vec::new();
        walk(&self.part[..len], |kind, message| lost.extend(lost_link(kind, message)))?;
        Ok(Change::Some { lost })
    }
}

/// The link that this message says is down, without its cable, or gone.
fn lost_link(kind: u16, message: &[u8]) -> Option<u32> {
    let (info, _) = message.split_first_chunk::<INFO>()?;
    let up = (libc::IFF_UP | libc::IFF_LOWER_UP).cast_unsigned();
    let is_up = u32_at(info, 8) & up == up;
    let is_lost = kind == libc::RTM_DELLINK || kind == libc::RTM_NEWLINK && !is_up;
    is_lost.then(|| u32_at(info, 4))
}

/// `NUD_*` of linux/neighbour.h: the hardware address is, or was a moment ago, the right one.
const VALID_STATES: u16 = 0x02 | 0x04 | 0x08 | 0x10 | 0x80;
/// `NDA_DST` and `NDA_LLADDR` of linux/neighbour.h.
const DESTINATION: u16 = 1;
const HARDWARE_ADDRESS: u16 = 2;

fn parse_neighbour(message: &[u8]) -> Option<Neighbour> {
    let (info, attributes) = message.split_first_chunk::<NEIGHBOUR>()?;
    if u16_at(info, 8) & VALID_STATES == 0 {
        return None;
    }
    let mut addr = None;
    let mut mac = None;
    for (kind, value) in Attributes(attributes) {
        match kind {
            DESTINATION => {
                let v4 = || <[u8; 4]>::try_from(value).ok().map(IpAddr::from);
                let v6 = || <[u8; 16]>::try_from(value).ok().map(IpAddr::from);
                addr = v4().or_else(v6);
            }
            HARDWARE_ADDRESS if value.iter().any(|byte| *byte != 0) => {
                let bytes: Vec<String> = value.iter().map(|byte| format!("{byte:02x}")).collect();
                mac = Some(bytes.join(":"));
            }
            _ => {}
        }
    }
    Some(Neighbour { index: u32_at(info, 4), addr: addr?, mac: mac? })
}

fn parse_link(message: &[u8]) -> Option<Link> {
    let (info, attributes) = message.split_first_chunk::<INFO>()?;
    let mut link = Link {
        index: u32_at(info, 4),
        loopback: u32_at(info, 8) & libc::IFF_LOOPBACK.cast_unsigned() != 0,
        ..Link::default()
    };
    for (kind, value) in Attributes(attributes) {
        match kind {
            libc::IFLA_IFNAME => link.name = text(value),
            libc::IFLA_MASTER => {
                link.master = value.first_chunk().map(|index| u32::from_ne_bytes(*index));
            }
            libc::IFLA_LINKINFO => {
                link.kind = Attributes(value)
                    .find(|(kind, _)| *kind == libc::IFLA_INFO_KIND)
                    .map(|(_, value)| text(value));
            }
            _ => {}
        }
    }
    Some(link)
}

/// Walks `rtattr`s: length, type, value, padded to four bytes.
struct Attributes<'a>(&'a [u8]);

impl<'a> Iterator for Attributes<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (header, _) = self.0.split_first_chunk::<4>()?;
        let len = usize::from(u16_at(header, 0));
        let value = self.0.get(4..len)?;
        self.0 = self.0.get(len.next_multiple_of(4)..).unwrap_or_default();
        Some((u16_at(header, 2), value))
    }
}

/// A NUL-terminated name.
fn text(value: &[u8]) -> String {
    let end = value.iter().position(|byte| *byte == 0).unwrap_or(value.len());
    String::from_utf8_lossy(&value[..end]).into_owned()
}

fn u16_at(bytes: &[u8], offset: usize) -> u16 {
    u16::from_ne_bytes([bytes[offset], bytes[offset + 1]])
}

fn u32_at(bytes: &[u8], offset: usize) -> u32 {
    u32::from_ne_bytes([bytes[offset], bytes[offset + 1], bytes[offset + 2], bytes[offset + 3]])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_loopback_link() {
        let links = links().unwrap();
        let lo = links.iter().find(|link| link.loopback).unwrap();
        assert_eq!((lo.name.as_str(), lo.kind.as_deref(), lo.master), ("lo", None, None));
    }

    #[test]
    fn truncated_answers_are_errors_or_nothing() {
        let ignore = |_: u16, _: &[u8]| {};
        assert!(walk(&[], ignore).is_err());
        assert!(walk(&[0xff; 20], ignore).is_err());
        let mut zero_length = [0; HEADER];
        zero_length[0] = 4;
        assert!(walk(&zero_length, ignore).is_err());
        assert!(Attributes(&[3, 0, 1, 0]).next().is_none());
        assert!(parse_link(&[0; 5]).is_none());
        assert!(parse_neighbour(&[0; 5]).is_none());
        assert!(lost_link(libc::RTM_NEWLINK, &[0; 5]).is_none());
    }

    #[test]
    fn neighbours_can_be_asked_for() {
        neighbours().unwrap();
    }

    /// An `ndmsg` of interface 2 in this state, and an attribute for each of the values.
    fn neighbour(state: u16, dst: &[u8], mac: &[u8]) -> Vec<u8> {
        let mut message = vec![0; NEIGHBOUR];
        message[4] = 2;
        message[8..10].copy_from_slice(&state.to_ne_bytes());
        for (kind, value) in [(DESTINATION, dst), (HARDWARE_ADDRESS, mac)] {
            let len = u16::try_from(4 + value.len()).unwrap();
            message.extend(len.to_ne_bytes());
            message.extend(kind.to_ne_bytes());
            message.extend(value);
            message.resize(message.len().next_multiple_of(4), 0);
        }
        message
    }

    #[test]
    fn neighbours_count_while_their_hardware_address_is_known() {
        const REACHABLE: u16 = 0x02;
        const FAILED: u16 = 0x20;
        let (dst, mac) = ([192, 168, 1, 1], [0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xf]);
        let known = parse_neighbour(&neighbour(REACHABLE, &dst, &mac)).unwrap();
        assert_eq!((known.index, known.addr), (2, IpAddr::from(dst)));
        assert_eq!(known.mac, "aa:bb:cc:dd:ee:0f");
        let v6 = parse_neighbour(&neighbour(REACHABLE, &[0xfe; 16], &mac)).unwrap();
        assert_eq!(v6.addr, IpAddr::from([0xfe; 16]));
        for unknown in [
            neighbour(FAILED, &dst, &mac),
            neighbour(REACHABLE, &dst, &[0; 6]),
            neighbour(REACHABLE, &[], &mac),
        ] {
            assert_eq!(parse_neighbour(&unknown), None);
        }
    }

    #[test]
    fn a_link_without_its_cable_is_lost() {
        let message = |flags: libc::c_int| {
            let mut message = [0; INFO];
            message[4] = 7;
            message[8..12].copy_from_slice(&flags.to_ne_bytes());
            message
        };
        let plugged = message(libc::IFF_UP | libc::IFF_LOWER_UP);
        assert_eq!(lost_link(libc::RTM_NEWLINK, &plugged), None);
        assert_eq!(lost_link(libc::RTM_DELLINK, &plugged), Some(7));
        assert_eq!(lost_link(libc::RTM_NEWLINK, &message(libc::IFF_UP)), Some(7));
        assert_eq!(lost_link(libc::RTM_NEWADDR, &message(0)), None);
    }
}
