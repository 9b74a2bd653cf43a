//! Which hosts a list stands for, each with what is judged of it.

use std::collections::HashSet;
use std::time::Instant;

use super::books::{Books, Question};
use super::decide::{Seat, Who};
use super::judge::{Judgement, Wanted};
use super::peers::{Mark, Peer};
use crate::policy::file::Policy;
use crate::settings::hosts::{HostEntry, HostList, ListedHost};

/// Of the discovered hosts, so many idle ones are kept at hand beyond those that are needed. A
/// smaller network is known wholly.
const SPARE: usize = 16;

impl Seat {
    fn is_discovered(&self) -> bool {
        matches!(self.who, Who::Peer(_, None))
    }
}

impl Books {
    /// Hosts without a job that a round of answers needs at most: one a client, and one more for
    /// each that a client avoids.
    pub(super) fn n_idle_wanted(&self) -> usize {
        let waiting = self.waiting.iter().filter_map(|id| self.clients.get(id));
        let wanted = waiting.map(|client| match client.question.as_deref() {
            Some(Question::Place(request, _)) => 1 + request.avoid.len(),
            _ => 0,
        });
        SPARE + wanted.sum::<usize>()
    }

    /// The hosts of the list, discovered ones where `+zeroconf` stands, judged for one compiler.
    /// Peers that have to be asked something for it are asked. Of the discovered ones, those behind
    /// `enough` idle ones that may be used are left out: none of them would be chosen.
    pub(super) fn seats(
        &mut self,
        now: Instant,
        (list, enough): (&HostList, usize),
        wanted: Wanted<'_>,
        policy: &Policy,
    ) -> Vec<Seat> {
        let mut seats = Vec::new();
        for entry in &list.entries {
            match entry {
                HostEntry::Localhost { slots } => seats.push(Seat {
                    who: Who::ThisMachine,
                    slots: (*slots).min(self.local.cores()),
                    judgement: Judgement::this_machine(),
                }),
                HostEntry::Ssh(host) => {
                    let key = self.ssh_peer(now, host, wanted.ssh);
                    let listed = ListedHost::Ssh(host.clone());
                    let judgement = self.judge(now, (key, Some(&listed)), wanted, policy);
                    let who = Who::Peer(key, Some(listed));
                    seats.push(Seat { who, slots: host.slots, judgement });
                }
                HostEntry::Tcp(host) => {
                    let key = self.listed_peer(now, &host.host, host.port);
                    let listed = ListedHost::Tcp(host.clone());
                    let judgement = self.judge(now, (key, Some(&listed)), wanted, policy);
                    let who = Who::Peer(key, Some(listed));
                    seats.push(Seat { who, slots: host.slots, judgement });
                }
                HostEntry::Zeroconf => {
                    self.browse(now);
                    let mut seated = self.marks_of_listed(list);
                    let mut n_idle = 0;
                    for key in self.discovered_peers() {
                        if n_idle >= enough {
                            break;
                        }
                        let slots = self.peers[&key].discovered_slots();
                        let judgement = self.judge(now, (key, None), wanted, policy);
                        let peer = &self.peers[&key];
                        let usable = matches!(judgement, Judgement::Usable(_));
                        let double = peer.marks().any(|mark| seated.contains(&mark));
                        n_idle += usize::from(usable && !double && peer.in_use == 0);
                        seated.extend(peer.marks());
                        seats.push(Seat { who: Who::Peer(key, None), slots, judgement });
                    }
                }
            }
        }
        seats
    }

    /// By these a discovered peer is known as one that the list names too.
    fn marks_of_listed(&self, list: &HostList) -> HashSet<Mark> {
        let named = list.entries.iter().filter_map(|entry| match entry {
            HostEntry::Tcp(host) => self.listed.get(&(host.host.clone(), host.port)),
            _ => None,
        });
        named.filter_map(|key| self.peers.get(key)).flat_map(Peer::marks).collect()
    }

    /// Which of the discovered seats stand for a daemon that has a better seat already: one is used
    /// once, whether it is heard under two names or is listed too, by way of a tunnel even. One that
    /// is listed by an address at which it cannot be used may be used where it was discovered.
    pub(super) fn doubles(&self, seats: &[Seat]) -> Vec<bool> {
        let rank = |at: &usize| {
            let seat = &seats[*at];
            let standing = match seat.judgement {
                Judgement::Usable(_) => 0,
                Judgement::Pending { .. } => 1,
                Judgement::Excluded { .. } | Judgement::HeldBack { .. } => 2,
            };
            (standing, seat.is_discovered(), *at)
        };
        let mut order: Vec<usize> = (0..seats.len()).collect();
        order.sort_by_key(rank);
        let mut seated = HashSet::new();
        let mut doubles = vec![false; seats.len()];
        for at in order {
            let Who::Peer(key, _) = &seats[at].who else { continue };
            let Some(peer) = self.peers.get(key) else { continue };
            let mut marks = peer.marks();
            doubles[at] = seats[at].is_discovered() && marks.any(|mark| seated.contains(&mark));
            // What nobody has confirmed takes no other's place.
            if peer.is_confirmed() || !seats[at].is_discovered() {
                seated.extend(peer.marks());
            }
        }
        doubles
    }

    /// The same of seats judged for several compilers, each a column; the rows stay alike.
    pub(super) fn drop_doubles(&self, columns: &mut [Vec<Seat>]) {
        let doubles: Vec<Vec<bool>> = columns.iter().map(|seats| self.doubles(seats)).collect();
        for seats in columns {
            let mut row = 0..;
            seats.retain(|_| {
                let row = row.next().unwrap_or_default();
                !doubles.iter().all(|column| column.get(row).copied().unwrap_or_default())
            });
        }
    }
}
