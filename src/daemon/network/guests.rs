//! Who is connected, and who makes room for another: pure state, which the listener alone owns.
//!
//! A connection counts for little until its request is complete: it may be one of a thousand that
//! say nothing. So where there is no room, the one goes whose request has come least far, among
//! equals the oldest. One whose source is here never does, whether it waits for a slot or
//! compiles.
//!
//! Nor does one that has only just come: its bytes may be here already, unread. So a burst of jobs
//! is taken in as fast as it is read, and a flood of silence no faster than it can be let go.
//!
//! Clients connect while they preprocess, which may take a second. So those from addresses that
//! have sent whole requests before go after all others.
//!
//! Addresses are counted whole, also those of IPv6: a prefix is a whole network, many machines of
//! which send jobs. Who invents addresses is met by the limit for all.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use crate::settings::daemon::ServerLimits;

/// How far a connection's request has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Stage {
    /// Its command line is not here, or not one that is done here.
    Opening,
    /// Its command will be run once the source is here.
    Vetted,
    /// It is here as a whole.
    Complete,
}

/// For so long nobody is told to go.
const SETTLING: Duration = Duration::from_millis(200);
/// Addresses that are remembered for their requests; beyond it the oldest are forgotten.
const MAX_KNOWN: usize = 1024;
/// Has been told to go.
const GONE: u8 = u8::MAX;

/// The stage of one connection, which its own task moves forward.
#[derive(Clone, Debug)]
pub(crate) struct Progress(Arc<AtomicU8>);

impl Default for Progress {
    fn default() -> Self {
        Self(Arc::new(AtomicU8::new(Stage::Opening as u8)))
    }
}

impl Progress {
    /// Moves on to `stage`. Without effect on one that has been told to go: its task ends anyway.
    pub(crate) fn reach(&self, stage: Stage) {
        let forward = |now| (now < stage as u8).then_some(stage as u8);
        let _ = self.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, forward);
    }

    /// None once its request is complete.
    fn missing(&self) -> Option<u8> {
        let now = self.0.load(Ordering::Acquire);
        (now < Stage::Complete as u8).then_some(now)
    }

    /// Tells it to go, unless its request has become complete meanwhile.
    fn dismiss(&self) -> bool {
        let incomplete = |now| (now < Stage::Complete as u8).then_some(GONE);
        self.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, incomplete).is_ok()
    }
}

/// What becomes of somebody at the door.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Admission<K> {
    /// There is room.
    Welcome,
    /// There is, once this one has gone, which is counted no more.
    InPlaceOf(K, SocketAddr),
    /// One address has as many complete requests here as it may have.
    Refused,
}

/// The open connections, by what their owner calls them.
#[derive(Debug)]
pub(crate) struct Guests<K> {
    limits: ServerLimits,
    here: HashMap<K, Guest>,
    n_arrived: u64,
    /// Where whole requests came from, and how many connections had come when the last one left.
    known: HashMap<IpAddr, u64>,
}

#[derive(Debug)]
struct Guest {
    addr: SocketAddr,
    progress: Progress,
    since: Instant,
    arrival: u64,
}

impl<K: Copy + Eq + Hash> Guests<K> {
    /// Nobody is here.
    pub(crate) fn new(limits: ServerLimits) -> Self {
        Self { limits, here: HashMap::new(), n_arrived: 0, known: HashMap::new() }
    }

    /// When somebody may come in, if need be in another's place; none while that takes one who
    /// leaves.
    pub(crate) fn opens(&self, now: Instant) -> Option<Instant> {
        if self.here.len() < self.limits.connections {
            return Some(now);
        }
        let incomplete = self.here.values().filter(|guest| guest.progress.missing().is_some());
        Some(incomplete.map(|guest| guest.since).min()? + SETTLING)
    }

    /// Decides about one who comes from `addr`. To be followed by [`Self::enter`] unless refused.
    pub(crate) fn admit(&mut self, addr: SocketAddr, now: Instant) -> Admission<K> {
        let ip = addr.ip();
        let (mut n_open, mut n_incomplete) = (0, 0);
        for guest in self.here.values().filter(|guest| guest.addr.ip() == ip) {
            n_open += 1;
            n_incomplete += usize::from(guest.progress.missing().is_some());
        }
        let is_crowded = n_open >= self.limits.connections_per_address;
        if is_crowded || n_incomplete >= self.limits.incomplete_per_address {
            if let Some((key, addr)) = self.dismiss_one(Some(ip), now) {
                return Admission::InPlaceOf(key, addr);
            }
            if is_crowded {
                return Admission::Refused;
            }
        }
        if self.here.len() < self.limits.connections {
            return Admission::Welcome;
        }
        match self.dismiss_one(None, now) {
            Some((key, addr)) => Admission::InPlaceOf(key, addr),
            // The last incomplete one has become complete this very moment.
            None => Admission::Refused,
        }
    }

    /// Counts one who was let in.
    pub(crate) fn enter(&mut self, key: K, addr: SocketAddr, progress: Progress, now: Instant) {
        self.n_arrived += 1;
        self.here.insert(key, Guest { addr, progress, since: now, arrival: self.n_arrived });
    }

    /// Counts one no more.
    pub(crate) fn leave(&mut self, key: K) {
        let Some(guest) = self.here.remove(&key) else { return };
        if guest.progress.missing().is_some() {
            return;
        }
        self.known.insert(guest.addr.ip(), self.n_arrived);
        if self.known.len() > MAX_KNOWN
            && let Some(oldest) = self.known.iter().min_by_key(|(_, last)| **last)
        {
            let oldest = *oldest.0;
            self.known.remove(&oldest);
        }
    }

    /// Tells the one to go whose request has come least far, of those at one address or of all,
    /// and first of those at addresses that nothing is known of.
    pub(crate) fn dismiss_one(
        &mut self,
        of: Option<IpAddr>,
        now: Instant,
    ) -> Option<(K, SocketAddr)> {
        loop {
            let rank = |(key, guest): (&K, &Guest)| {
                let counts = of.is_none_or(|ip| guest.addr.ip() == ip);
                let has_settled = now.duration_since(guest.since) >= SETTLING;
                let stage = guest.progress.missing().filter(|_| counts && has_settled)?;
                let is_known = self.known.contains_key(&guest.addr.ip());
                Some(((is_known, stage, guest.arrival), *key))
            };
            let (_, key) = self.here.iter().filter_map(rank).min_by_key(|(rank, _)| *rank)?;
            if self.here[&key].progress.dismiss() {
                return self.here.remove(&key).map(|guest| (key, guest.addr));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: (usize, usize, usize) = (6, 4, 2);

    struct House {
        guests: Guests<u64>,
        progress: HashMap<u64, Progress>,
        next: u64,
        now: Instant,
    }

    impl House {
        fn new(
            (connections, connections_per_address, incomplete_per_address): (usize, usize, usize),
        ) -> Self {
            let limits = ServerLimits {
                connections,
                connections_per_address,
                incomplete_per_address,
                ..ServerLimits::default()
            };
            Self {
                guests: Guests::new(limits),
                progress: HashMap::new(),
                next: 0,
                now: Instant::now(),
            }
        }

        /// As `at_once`, after a while.
        fn come(&mut self, host: u8) -> Result<Option<u64>, ()> {
            self.now += SETTLING;
            self.at_once(host)
        }

        fn opens_in(&self) -> Option<Duration> {
            self.guests.opens(self.now).map(|moment| moment - self.now)
        }

        /// One more from the address with this last number; the key of who has to go, or `Err`.
        fn at_once(&mut self, host: u8) -> Result<Option<u64>, ()> {
            let addr = SocketAddr::from(([127, 0, 0, host], 1));
            let gone = match self.guests.admit(addr, self.now) {
                Admission::Welcome => None,
                Admission::InPlaceOf(key, _) => Some(key),
                Admission::Refused => return Err(()),
            };
            let progress = Progress::default();
            self.guests.enter(self.next, addr, progress.clone(), self.now);
            self.progress.insert(self.next, progress);
            self.next += 1;
            Ok(gone)
        }

        fn reach(&self, key: u64, stage: Stage) {
            self.progress[&key].reach(stage);
        }
    }

    #[test]
    fn an_address_with_too_many_incomplete_requests_loses_the_oldest() {
        let mut house = House::new(LIMITS);
        assert_eq!([house.come(1), house.come(1), house.come(2)], [Ok(None); 3]);
        assert_eq!(house.come(1), Ok(Some(0)));
        assert_eq!(house.come(1), Ok(Some(1)));
        assert_eq!(house.guests.here.len(), 3);
    }

    #[test]
    fn a_complete_request_never_makes_room() {
        let mut house = House::new(LIMITS);
        for key in 0..4 {
            assert_eq!(house.come(1), Ok(None));
            house.reach(key, Stage::Complete);
        }
        assert_eq!(house.come(1), Err(()));
        assert_eq!([house.come(2), house.come(2)], [Ok(None); 2]);
        assert_eq!(house.come(3), Ok(Some(4)));
        house.reach(5, Stage::Complete);
        house.reach(6, Stage::Complete);
        assert_eq!(house.opens_in(), None);
        assert_eq!(house.come(3), Err(()));
        house.guests.leave(0);
        assert_eq!(house.opens_in(), Some(Duration::ZERO));
        assert_eq!(house.come(3), Ok(None));
    }

    #[test]
    fn those_without_a_command_go_before_those_without_a_source() {
        let mut house = House::new(LIMITS);
        for host in 0..6 {
            assert_eq!(house.come(host), Ok(None));
        }
        house.reach(0, Stage::Vetted);
        house.reach(1, Stage::Vetted);
        assert_eq!([house.come(7), house.come(8)], [Ok(Some(2)), Ok(Some(3))]);
        house.reach(4, Stage::Vetted);
        for key in 5..8 {
            house.reach(key, Stage::Vetted);
        }
        assert_eq!(house.come(9), Ok(Some(0)));
    }

    #[test]
    fn those_from_where_requests_came_go_last() {
        let mut house = House::new(LIMITS);
        assert_eq!(house.come(1), Ok(None));
        house.reach(0, Stage::Complete);
        house.guests.leave(0);
        for host in 1..7 {
            assert_eq!(house.come(host), Ok(None));
        }
        (2..6).for_each(|key| house.reach(key, Stage::Vetted));
        assert_eq!([house.come(7), house.come(8)], [Ok(Some(6)), Ok(Some(7))]);
        assert_eq!(house.come(9), Ok(Some(8)));
        house.reach(9, Stage::Vetted);
        let gone: Vec<_> = (10..15).map(|host| house.come(host).unwrap().unwrap()).collect();
        assert!(!gone.contains(&1), "{gone:?}");
    }

    #[test]
    fn few_addresses_are_remembered() {
        let mut house = House::new(LIMITS);
        for number in 0..u64::try_from(MAX_KNOWN).unwrap() + 10 {
            let addr = SocketAddr::from((std::net::Ipv6Addr::from(u128::from(number)), 1));
            let progress = Progress::default();
            progress.reach(Stage::Complete);
            house.guests.enter(number, addr, progress, house.now);
            house.guests.leave(number);
        }
        assert_eq!(house.guests.known.len(), MAX_KNOWN);
        assert!(!house.guests.known.contains_key(&std::net::Ipv6Addr::from(9_u128).into()));
    }

    #[test]
    fn a_burst_waits_until_those_before_it_were_heard() {
        let mut house = House::new(LIMITS);
        for _ in 0..4 {
            assert_eq!(house.at_once(1), Ok(None));
        }
        assert_eq!(house.at_once(1), Err(()));
        assert_eq!([house.at_once(2), house.at_once(2)], [Ok(None); 2]);
        assert_eq!(house.opens_in(), Some(SETTLING));
        house.now += SETTLING;
        assert_eq!(house.opens_in(), Some(Duration::ZERO));
        assert_eq!(house.at_once(1), Ok(Some(0)));
    }

    #[test]
    fn who_was_told_to_go_stays_told() {
        let progress = Progress::default();
        assert!(progress.dismiss());
        progress.reach(Stage::Complete);
        assert!(progress.missing().is_none() && !progress.dismiss());
        let progress = Progress::default();
        progress.reach(Stage::Complete);
        progress.reach(Stage::Vetted);
        assert!(!progress.dismiss());
    }
}
