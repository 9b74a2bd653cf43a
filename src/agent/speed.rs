//! How fast the network takes a peer's jobs, and whether compressing them pays. Pure.

use std::net::SocketAddr;

use super::peers::{Peer, State};
use crate::wire::control::Transfer;
use crate::wire::job::Protocol;

/// Below this rate, in bytes a second, compressing pays, and above that one it does not. Between
/// the two all stays as it is. By the clock LZO wins up to 2 Gbit/s, but what a build is short of
/// is CPU: ARCHITECTURE.md has figures.
const SLOW: u64 = 60_000_000;
const FAST: u64 = 80_000_000;

/// A rate counts once so many bytes have gone over the wire.
const ENOUGH: u64 = 256 << 10;
/// After so many bytes the earlier ones count half.
const WINDOW: u64 = 4 << 20;

/// What the jobs of one peer have shown of the way to it.
#[derive(Clone, Debug, Default)]
pub(super) struct Speed {
    /// What was measured is true of this address.
    addr: Option<SocketAddr>,
    /// And on these networks.
    networks: Vec<String>,
    acked: u64,
    busy_us: u64,
    lzo_pays: Option<bool>,
    lzo_works: Option<bool>,
}

impl Speed {
    /// A job ran there; `networks` are those that this machine is on.
    pub(super) fn ran(&mut self, transfer: &Transfer, protocol: Protocol, networks: &[String]) {
        if transfer.addr.is_some() && (self.addr != transfer.addr || self.networks != networks) {
            *self = Self {
                addr: transfer.addr,
                networks: networks.to_vec(),
                lzo_works: self.lzo_works,
                ..Self::default()
            };
        }
        if protocol == Protocol::Lzo {
            self.lzo_works = Some(true);
        }
        self.measured(transfer);
    }

    /// A job failed there. Every server has known LZO for twenty years; one that fails on the first
    /// compressed job it gets is not sent another.
    pub(super) fn failed(&mut self, protocol: Protocol) {
        if protocol == Protocol::Lzo {
            self.lzo_works.get_or_insert(false);
        }
    }

    fn measured(&mut self, transfer: &Transfer) {
        if transfer.acked == 0 {
            return;
        }
        self.acked = self.acked.saturating_add(transfer.acked);
        self.busy_us = self.busy_us.saturating_add(transfer.busy_us);
        if self.acked >= ENOUGH {
            let rate = u128::from(self.acked) * 1_000_000 / u128::from(self.busy_us.max(1));
            if rate < u128::from(SLOW) {
                self.lzo_pays = Some(true);
            } else if rate > u128::from(FAST) {
                self.lzo_pays = Some(false);
            }
        }
        while self.acked > WINDOW {
            self.acked /= 2;
            self.busy_us /= 2;
        }
    }

    /// `None` if too little was measured where this machine is now.
    fn lzo_pays(&self, networks: &[String]) -> Option<bool> {
        self.lzo_pays.filter(|_| self.networks == networks)
    }
}

/// How the next job for this discovered peer is sent. Until something was measured, one of ours
/// gets LZO, which it says that it knows; of a stock one this is not said.
pub(super) fn protocol(peer: &Peer, networks: &[String]) -> Protocol {
    let pays = peer.speed.lzo_pays(networks);
    let lzo = match &peer.state {
        State::Ours(_) => peer.has_feature("lzo") && pays.unwrap_or(true),
        _ => pays.unwrap_or(false) && peer.speed.lzo_works != Some(false),
    };
    if lzo { Protocol::Lzo } else { Protocol::Plain }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn here() -> Vec<String> {
        vec!["10.77.0.0/24".to_owned()]
    }

    fn addr(last: u8) -> SocketAddr {
        SocketAddr::from(([10, 77, 0, last], 3632))
    }

    /// A job of this many bytes over a link of this many Mbit/s.
    fn job(bytes: u64, mbit: u64) -> Transfer {
        Transfer { addr: Some(addr(2)), acked: bytes, busy_us: bytes * 8 / mbit }
    }

    fn after(jobs: &[Transfer]) -> Speed {
        let mut speed = Speed::default();
        jobs.iter().for_each(|job| speed.ran(job, Protocol::Plain, &here()));
        speed
    }

    #[test]
    fn lzo_pays_on_slow_links_only() {
        let mib = 1 << 20;
        for (mbit, pays) in [(20, true), (100, true), (400, true), (1000, false), (10_000, false)] {
            assert_eq!(after(&[job(mib, mbit)]).lzo_pays(&here()), Some(pays), "{mbit} Mbit/s");
        }
        assert_eq!(after(&[]).lzo_pays(&here()), None);
        assert_eq!(after(&[job(70_000, 20)]).lzo_pays(&here()), None, "too little to tell");
        assert_eq!(after(&[job(70_000, 20); 4]).lzo_pays(&here()), Some(true));
        let unmeasured = Transfer { addr: Some(addr(2)), ..Transfer::default() };
        assert_eq!(after(&[unmeasured; 9]).lzo_pays(&here()), None);
    }

    #[test]
    fn a_rate_between_the_two_changes_nothing_and_a_lasting_change_of_rate_does() {
        let mib = 1 << 20;
        let between = job(mib, 560);
        assert_eq!(after(&[between]).lzo_pays(&here()), None);
        assert_eq!(after(&[&[job(mib, 100)][..], &[between; 20]].concat()).lzo_pays, Some(true));
        assert_eq!(after(&[&[job(mib, 1000)][..], &[between; 20]].concat()).lzo_pays, Some(false));
        assert_eq!(
            after(&[&[job(mib, 20); 9][..], &[job(mib, 1000); 40]].concat()).lzo_pays,
            Some(false)
        );
        assert_eq!(
            after(&[&[job(mib, 1000); 9][..], &[job(mib, 20)]].concat()).lzo_pays,
            Some(true)
        );
    }

    #[test]
    fn what_was_measured_counts_for_one_address_and_network() {
        let mut speed = after(&[job(1 << 20, 20)]);
        assert_eq!(speed.lzo_pays(&["192.168.1.0/24".to_owned()]), None);
        assert_eq!(speed.lzo_pays(&here()), Some(true));
        let elsewhere = Transfer { addr: Some(addr(3)), ..Transfer::default() };
        speed.ran(&elsewhere, Protocol::Plain, &here());
        assert_eq!(speed.lzo_pays(&here()), None);
    }

    #[test]
    fn a_failure_with_lzo_counts_only_before_it_has_worked() {
        let mut speed = Speed::default();
        speed.failed(Protocol::Plain);
        assert_eq!(speed.lzo_works, None);
        speed.failed(Protocol::Lzo);
        assert_eq!(speed.lzo_works, Some(false));
        let mut speed = Speed::default();
        speed.ran(&job(1 << 20, 20), Protocol::Lzo, &here());
        speed.failed(Protocol::Lzo);
        assert_eq!(speed.lzo_works, Some(true));
    }
}
