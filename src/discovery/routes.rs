//! Default routes of this network namespace, of either family.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A way out of a network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct DefaultRoute {
    /// `eth0`.
    pub(super) interface: String,
    /// Whom packets are given to; none on a link that leads to one other machine.
    pub(super) gateway: Option<IpAddr>,
}

/// All default routes, IPv4 first, the preferred of each family before the others.
pub(super) fn default_routes() -> Vec<DefaultRoute> {
    let v4 = fs::read_to_string("/proc/net/route").unwrap_or_default();
    let v6 = fs::read_to_string("/proc/net/ipv6_route").unwrap_or_default();
    parse_v4(&v4).into_iter().chain(parse_v6(&v6)).collect()
}

/// /proc/net/route: interface, destination, gateway, flags, two counters, metric, mask, numbers as
/// the hex of their bytes in memory order.
fn parse_v4(table: &str) -> Vec<DefaultRoute> {
    let route = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [interface, "00000000", gateway, _, _, _, metric, "00000000", ..] = fields[..] else {
            return None;
        };
        let gateway = Ipv4Addr::from(u32::from_str_radix(gateway, 16).ok()?.to_ne_bytes());
        Some((metric.parse().ok()?, to(interface, gateway.is_unspecified(), gateway.into())))
    };
    by_metric(table.lines().skip(1).filter_map(route))
}

/// `RTF_REJECT` of linux/route.h: the kernel's own unreachable default route.
const REJECT: u32 = 0x0200;

/// /proc/net/ipv6_route: destination, its prefix length, source, its prefix length, next hop,
/// metric, two counters, flags, interface.
fn parse_v6(table: &str) -> Vec<DefaultRoute> {
    let route = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [destination, "00", _, _, next_hop, metric, _, _, flags, interface] = fields[..] else {
            return None;
        };
        let flags = u32::from_str_radix(flags, 16).ok()?;
        let is_default = destination.bytes().all(|digit| digit == b'0');
        if !is_default || flags & REJECT != 0 || interface == "lo" {
            return None;
        }
        let next_hop = Ipv6Addr::from(u128::from_str_radix(next_hop, 16).ok()?);
        let metric = u32::from_str_radix(metric, 16).ok()?;
        Some((metric, to(interface, next_hop.is_unspecified(), next_hop.into())))
    };
    by_metric(table.lines().filter_map(route))
}

fn to(interface: &str, has_no_gateway: bool, gateway: IpAddr) -> DefaultRoute {
    let gateway = Some(gateway).filter(|_| !has_no_gateway);
    DefaultRoute { interface: interface.to_owned(), gateway }
}

fn by_metric(routes: impl Iterator<Item = (u32, DefaultRoute)>) -> Vec<DefaultRoute> {
    let mut routes: Vec<(u32, DefaultRoute)> = routes.collect();
    routes.sort_by_key(|(metric, _)| *metric);
    routes.into_iter().map(|(_, route)| route).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(interface: &str, gateway: Option<&str>) -> DefaultRoute {
        let gateway = gateway.map(|text| text.parse().unwrap());
        DefaultRoute { interface: interface.to_owned(), gateway }
    }

    #[test]
    fn finds_the_preferred_ipv4_route_first() {
        let table = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\n\
                     wlan0\t00000000\t0102A8C0\t0003\t0\t0\t600\t00000000\t0\t0\t0\n\
                     eth0\t00000000\t0101A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\n\
                     ppp0\t00000000\t00000000\t0001\t0\t0\t700\t00000000\t0\t0\t0\n\
                     eth0\t0001A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n";
        let expected = [
            route("eth0", Some("192.168.1.1")),
            route("wlan0", Some("192.168.2.1")),
            route("ppp0", None),
        ];
        assert_eq!(parse_v4(table), expected);
        assert!(parse_v4("").is_empty());
        assert!(parse_v4("head\nshort line\n").is_empty());
    }

    #[test]
    fn finds_ipv6_routes_that_lead_out() {
        let zeros = "0".repeat(32);
        let via = "fe80".to_owned() + &"0".repeat(27) + "1";
        let table = format!(
            "{zeros} 00 {zeros} 00 {via} 00000400 00000001 00000000 00450003     eth0\n\
             {zeros} 00 {zeros} 00 {zeros} ffffffff 00000001 00000000 00200200       lo\n\
             fd77{rest} 40 {zeros} 00 {zeros} 00000100 00000001 00000000 00000001     eth1\n",
            rest = "0".repeat(28)
        );
        assert_eq!(parse_v6(&table), [route("eth0", Some("fe80::1"))]);
    }
}
