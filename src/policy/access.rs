//! Who may connect: distccd's `--allow` and `--allow-private`.

use std::fmt::{self, Display, Formatter};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// Private and loopback networks: the set of the original's `--allow-private` (distcc 3.4,
/// `dopt.c`) with `::1`, which its loop misses by one.
const PRIVATE: [IpNet; 7] = [
    v4(192, 168, 16),
    v4(10, 0, 8),
    v4(172, 16, 12),
    v4(127, 0, 8),
    v6(0xfe80, 0, 10),
    v6(0xfc00, 0, 7),
    v6(0, 1, 128),
];

/// `FIRST.SECOND.0.0/BITS`
const fn v4(first: u8, second: u8, bits: u8) -> IpNet {
    IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(first, second, 0, 0), bits))
}

/// `FIRST::LAST/BITS`
const fn v6(first: u16, last: u16, bits: u8) -> IpNet {
    IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::new(first, 0, 0, 0, 0, 0, 0, last), bits))
}

/// The addresses from which a connection is taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AccessList {
    rules: Vec<IpNet>,
    private: bool,
}

impl AccessList {
    /// Allows `rules`, and the private networks if `allow_private` is set or there are no rules:
    /// a list is never open to all unless a rule says so.
    pub(crate) fn new(rules: Vec<IpNet>, allow_private: bool) -> Self {
        let private = allow_private || rules.is_empty();
        Self { rules: rules.into_iter().map(canonical_net).collect(), private }
    }

    /// May this peer connect? An IPv4 address counts as such also when a dual-stack socket shows
    /// it as `::ffff:10.0.0.1`.
    pub(crate) fn allows(&self, peer: IpAddr) -> bool {
        let peer = peer.to_canonical();
        self.nets().any(|net| net.contains(&peer))
    }

    /// Could a neighbour on the network of an interface with this address connect? Addresses for
    /// which none could are not worth advertising.
    pub(crate) fn would_admit_neighbour(&self, addr: IpAddr, prefix_len: u8) -> bool {
        let Ok(neighbours) = IpNet::new(addr, prefix_len).map(canonical_net) else { return false };
        self.nets().any(|net| net.contains(&neighbours) || neighbours.contains(net))
    }

    fn nets(&self) -> impl Iterator<Item = &IpNet> {
        self.rules.iter().chain(PRIVATE.iter().filter(|_| self.private))
    }
}

impl Display for AccessList {
    /// To whom the daemon serves: `192.168.1.0/24, 10.1.2.3` or `private and loopback networks`.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (idx, net) in self.rules.iter().enumerate() {
            let separator = if idx == 0 { "" } else { ", " };
            if net.prefix_len() == net.max_prefix_len() {
                write!(f, "{separator}{}", net.addr())?;
            } else {
                write!(f, "{separator}{net}")?;
            }
        }
        match (self.private, self.rules.is_empty()) {
            (true, true) => f.write_str("private and loopback networks"),
            (true, false) => f.write_str(", private and loopback networks"),
            (false, _) => Ok(()),
        }
    }
}

/// Why an argument of `--allow` is not one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum AllowError {
    /// Nothing was given.
    Empty,
    /// A host name, which only its user can resolve.
    HostName {
        /// As typed, before the slash.
        text: String,
    },
    /// Not an address.
    BadAddress {
        /// As typed, before the slash.
        text: String,
    },
    /// What follows the slash is not a number.
    BadMask {
        /// As typed, after the slash.
        text: String,
    },
    /// The mask is longer than the address.
    MaskTooWide {
        /// As typed.
        bits: u32,
        /// 32 or 128.
        limit: u8,
    },
}

impl Display for AllowError {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        const WANTED: &str = "an address or a network such as 192.168.1.0/24";
        match self {
            Self::Empty => write!(f, "expected {WANTED}"),
            Self::HostName { text } => {
                write!(f, "a host name has no mask, expected {WANTED}, not {text:?}")
            }
            Self::BadAddress { text } => write!(f, "expected {WANTED}, not {text:?}"),
            Self::BadMask { text } => {
                write!(f, "expected a number of bits after '/', not {text:?}")
            }
            Self::MaskTooWide { bits, limit } => {
                write!(f, "a mask of {bits} bits is longer than the address, which has {limit}")
            }
        }
    }
}

impl std::error::Error for AllowError {}

/// Reads an address or a network; bits of the host are dropped (`192.168.1.7/24`), an IPv6 address
/// may stand in brackets, and a network of v4-mapped addresses is the IPv4 network it stands for.
pub(crate) fn parse(text: &str) -> Result<IpNet, AllowError> {
    let text = text.trim();
    if text.is_empty() {
        return Err(AllowError::Empty);
    }
    let (addr_text, mask) = match text.split_once('/') {
        Some((addr, mask)) => (addr, Some(mask)),
        None => (text, None),
    };
    let addr = parse_addr(addr_text)?;
    let limit = if addr.is_ipv4() { 32 } else { 128 };
    let bits = match mask {
        None => limit,
        Some(mask) => parse_mask(mask, limit)?,
    };
    IpNet::new(addr, bits)
        .map(canonical_net)
        .map_err(|_| AllowError::MaskTooWide { bits: u32::from(bits), limit })
}

fn parse_addr(text: &str) -> Result<IpAddr, AllowError> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    bare.parse().map_err(|_| {
        let text = text.to_owned();
        // A colon or nothing but digits and dots was meant as an address.
        let is_name = text.contains(|c: char| c.is_ascii_alphabetic()) && !text.contains(':');
        if is_name { AllowError::HostName { text } } else { AllowError::BadAddress { text } }
    })
}

fn parse_mask(text: &str, limit: u8) -> Result<u8, AllowError> {
    let bad = || AllowError::BadMask { text: text.to_owned() };
    // `parse` would also take a sign.
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(bad());
    }
    let bits: u32 = text.parse().map_err(|_| bad())?;
    u8::try_from(bits)
        .ok()
        .filter(|&bits| bits <= limit)
        .ok_or(AllowError::MaskTooWide { bits, limit })
}

/// Without host bits, and as IPv4 where it lies in `::ffff:0:0/96`.
fn canonical_net(net: IpNet) -> IpNet {
    let net = net.trunc();
    if let IpNet::V6(v6) = net
        && let Some(bits) = v6.prefix_len().checked_sub(96)
        && let Some(addr) = v6.addr().to_ipv4_mapped()
        && let Ok(v4) = Ipv4Net::new(addr, bits)
    {
        return IpNet::V4(v4);
    }
    net
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn list(rules: &[&str]) -> AccessList {
        AccessList::new(rules.iter().map(|rule| parse(rule).unwrap()).collect(), false)
    }

    fn addr(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn reads_addresses_and_networks() {
        for (text, expected) in [
            ("192.168.1.0/24", "192.168.1.0/24"),
            ("192.168.1.77/24", "192.168.1.0/24"),
            ("10.1.2.3", "10.1.2.3/32"),
            (" 10.1.2.3/32 ", "10.1.2.3/32"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("2001:db8::7/64", "2001:db8::/64"),
            ("[2001:db8::7]/64", "2001:db8::/64"),
            ("::1", "::1/128"),
            ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
            ("::ffff:10.0.0.7", "10.0.0.7/32"),
        ] {
            assert_eq!(parse(text).unwrap().to_string(), expected, "{text}");
        }
    }

    #[test]
    fn refuses_what_is_no_network() {
        let text = |text: &str| text.to_owned();
        for (argument, expected) in [
            ("", AllowError::Empty),
            ("office.example", AllowError::HostName { text: text("office.example") }),
            ("box/24", AllowError::HostName { text: text("box") }),
            ("10.0.0", AllowError::BadAddress { text: text("10.0.0") }),
            ("10.0.0.256/8", AllowError::BadAddress { text: text("10.0.0.256") }),
            ("fe80::1%eth0", AllowError::BadAddress { text: text("fe80::1%eth0") }),
            ("10.0.0.0/33", AllowError::MaskTooWide { bits: 33, limit: 32 }),
            ("10.0.0.0/300", AllowError::MaskTooWide { bits: 300, limit: 32 }),
            ("::/129", AllowError::MaskTooWide { bits: 129, limit: 128 }),
            ("10.0.0.0/+8", AllowError::BadMask { text: text("+8") }),
            ("10.0.0.0/", AllowError::BadMask { text: text("") }),
            ("10.0.0.0/255.0.0.0", AllowError::BadMask { text: text("255.0.0.0") }),
        ] {
            assert_eq!(parse(argument), Err(expected), "{argument}");
        }
    }

    #[test]
    fn allows_what_a_rule_contains() {
        for (rule, peer, expected) in [
            ("192.168.1.0/24", "192.168.1.9", true),
            ("192.168.1.0/24", "192.168.2.9", false),
            ("192.168.1.0/24", "::ffff:192.168.1.9", true),
            ("192.168.1.0/24", "::ffff:192.168.2.9", false),
            ("0.0.0.0/0", "8.8.8.8", true),
            ("0.0.0.0/0", "2001:db8::1", false),
            ("::/0", "10.0.0.1", false),
            ("::/0", "::ffff:10.0.0.1", false),
            ("::/0", "2001:db8::1", true),
            ("10.0.0.1", "10.0.0.1", true),
            ("10.0.0.1", "10.0.0.2", false),
            ("10.0.0.1", "127.0.0.1", false),
        ] {
            assert_eq!(list(&[rule]).allows(addr(peer)), expected, "{rule} {peer}");
        }
    }

    #[test]
    fn without_rules_only_private_networks_are_allowed() {
        let private = AccessList::new(Vec::new(), false);
        for peer in [
            "192.168.0.1",
            "10.255.0.1",
            "172.31.0.1",
            "127.0.0.1",
            "::1",
            "fe80::1",
            "fd00::1",
            "::ffff:10.0.0.1",
        ] {
            assert!(private.allows(addr(peer)), "{peer}");
        }
        for peer in ["8.8.8.8", "172.32.0.1", "192.169.0.1", "2001:db8::1", "::2", "::"] {
            assert!(!private.allows(addr(peer)), "{peer}");
        }
    }

    #[test]
    fn private_networks_are_added_when_asked_for() {
        let both = AccessList::new(vec![parse("8.8.8.0/24").unwrap()], true);
        assert!(both.allows(addr("8.8.8.8")) && both.allows(addr("10.0.0.1")));
        assert_eq!(both.to_string(), "8.8.8.0/24, private and loopback networks");
    }

    #[test]
    fn says_to_whom() {
        assert_eq!(list(&["192.168.1.7/24", "10.1.2.3"]).to_string(), "192.168.1.0/24, 10.1.2.3");
        assert_eq!(list(&[]).to_string(), "private and loopback networks");
    }

    #[test]
    fn neighbour_is_admitted_where_networks_overlap() {
        for (rule, interface, bits, expected) in [
            ("192.168.1.0/24", "192.168.1.5", 24, true),
            ("192.168.1.0/24", "192.168.1.5", 16, true),
            ("192.168.0.0/16", "192.168.1.5", 24, true),
            ("192.168.1.0/24", "10.0.0.5", 8, false),
            ("192.168.1.77", "192.168.1.5", 24, true),
            ("192.168.1.0/24", "2001:db8::5", 64, false),
            ("2001:db8::/32", "2001:db8::5", 64, true),
            ("10.0.0.0/8", "10.0.0.5", 99, false),
        ] {
            let admitted = list(&[rule]).would_admit_neighbour(addr(interface), bits);
            assert_eq!(admitted, expected, "{rule} {interface}/{bits}");
        }
    }

    proptest! {
        #[test]
        fn no_argument_panics(text in "\\PC{0,40}") {
            if let Err(error) = parse(&text) {
                prop_assert!(!error.to_string().is_empty());
            }
        }

        #[test]
        fn mapped_address_counts_as_ipv4(bits in 0u8..=32, rule: u32, peer: u32) {
            let rule = IpNet::new(Ipv4Addr::from(rule).into(), bits).unwrap();
            let peer = Ipv4Addr::from(peer);
            let list = AccessList::new(vec![rule], false);
            prop_assert_eq!(list.allows(peer.into()), rule.contains(&IpAddr::from(peer)));
            prop_assert_eq!(list.allows(peer.to_ipv6_mapped().into()), list.allows(peer.into()));
        }
    }
}
