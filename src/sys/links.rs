//! Network links of this network namespace, as the kernel's rtnetlink tells them (rtnetlink(7)).
//! Not /sys/class/net: in a namespace entered without a mount of its own that shows the links of
//! another one.

use std::io::{self, Read, Write};

use nix::libc;
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

/// Lengths of `nlmsghdr` and `ifinfomsg` in bytes.
const HEADER: usize = 16;
const INFO: usize = 16;
/// The kernel's parts of a dump are at most 32 KiB (`NLMSG_GOODSIZE` doubled for dumps).
const PART: usize = 64 << 10;

/// All links, in the kernel's order.
pub(crate) fn links() -> io::Result<Vec<Link>> {
    let mut socket = Socket::new(
        Domain::from(libc::AF_NETLINK),
        Type::RAW,
        Some(Protocol::from(libc::NETLINK_ROUTE)),
    )?;
    socket.write_all(&dump_request())?;
    let mut links = Vec::new();
    let mut part = vec![0; PART];
    loop {
        let len = socket.read(&mut part)?;
        if collect(&part[..len], &mut links)? == Dump::Done {
            return Ok(links);
        }
    }
}

/// An `nlmsghdr` and an all-zero `ifinfomsg`: every link of every family.
fn dump_request() -> [u8; HEADER + INFO] {
    let mut request = [0; HEADER + INFO];
    let len = u32::try_from(request.len()).expect("32 fits");
    let flags =
        u16::try_from(libc::NLM_F_REQUEST | libc::NLM_F_DUMP).expect("netlink flags are 16 bits");
    request[..4].copy_from_slice(&len.to_ne_bytes());
    request[4..6].copy_from_slice(&libc::RTM_GETLINK.to_ne_bytes());
    request[6..8].copy_from_slice(&flags.to_ne_bytes());
    request
}

/// Is there another part of the dump to read?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dump {
    More,
    Done,
}

fn collect(mut bytes: &[u8], links: &mut Vec<Link>) -> io::Result<Dump> {
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
            _ if kind == libc::RTM_NEWLINK => links.extend(parse_link(message)),
            _ => {}
        }
        bytes = bytes.get(len.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(Dump::More)
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
        let mut links = Vec::new();
        assert!(collect(&[], &mut links).is_err());
        assert!(collect(&[0xff; 20], &mut links).is_err());
        let mut zero_length = [0; HEADER];
        zero_length[0] = 4;
        assert!(collect(&zero_length, &mut links).is_err());
        assert!(Attributes(&[3, 0, 1, 0]).next().is_none());
        assert!(parse_link(&[0; 5]).is_none());
        assert!(links.is_empty());
    }
}
