//! Where the next job goes, among hosts that may take it.

/// How busy a host is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Load {
    /// Jobs of ours that run there, or are on their way.
    pub(crate) in_use: u16,
    /// Jobs it takes at once.
    pub(crate) slots: u16,
}

impl Load {
    /// Is a slot free?
    pub(crate) fn has_room(self) -> bool {
        self.in_use < self.slots
    }

    /// Orders by `in_use / slots`, without rounding.
    fn is_below(self, other: Self) -> bool {
        u32::from(self.in_use) * u32::from(other.slots)
            < u32::from(other.in_use) * u32::from(self.slots)
    }
}

/// Which of equally busy hosts goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// The one that stands first in the host list.
    Listed,
    /// `--randomize`: any, drawn with this seed; each job needs another one.
    Random(u64),
}

/// The index of the host that takes the next job: the one with the smallest part of its slots in
/// use. None if all are full.
pub(crate) fn choose(hosts: &[Load], order: Order) -> Option<usize> {
    let mut best: Option<usize> = None;
    for (idx, &host) in hosts.iter().enumerate().filter(|(_, host)| host.has_room()) {
        let better = best.is_none_or(|best| {
            let current = hosts[best];
            host.is_below(current)
                || !current.is_below(host) && precedes(order, idx as u64, best as u64)
        });
        if better {
            best = Some(idx);
        }
    }
    best
}

/// Does host `a`, which stands later in the list, go before the equally busy `b`?
fn precedes(order: Order, a: u64, b: u64) -> bool {
    match order {
        Order::Listed => false,
        Order::Random(seed) => scramble(seed, a) < scramble(seed, b),
    }
}

/// A number that depends on every bit of both, evenly enough to draw lots by. Neighbouring seeds
/// must give unrelated orders: the original seeds by process id and so favours some hosts.
fn scramble(seed: u64, idx: u64) -> u64 {
    // Odd constants with about half their bits set spread a change over the upper half; the shift
    // brings it down again for the next round.
    let mut value = seed ^ idx.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    for _ in 0..3 {
        value ^= value >> 32;
        value = value.wrapping_mul(0xd6e8_feb8_6659_fd93);
    }
    value ^ (value >> 32)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn loads(pairs: &[(u16, u16)]) -> Vec<Load> {
        pairs.iter().map(|&(in_use, slots)| Load { in_use, slots }).collect()
    }

    #[test]
    fn least_busy_host_goes_first_and_list_order_breaks_ties() {
        for (pairs, expected) in [
            (&[][..], None),
            (&[(0, 0)], None),
            (&[(4, 4), (8, 8)], None),
            (&[(0, 4), (0, 16)], Some(0)),
            (&[(1, 4), (0, 16)], Some(1)),
            (&[(1, 4), (4, 16)], Some(0)),
            (&[(1, 4), (3, 16)], Some(1)),
            (&[(1, 3), (333, 1000)], Some(1)),
            (&[(4, 4), (15, 16)], Some(1)),
            (&[(9, 4), (1, 1), (2, 4)], Some(2)),
            (&[(65534, 65535), (65533, 65534)], Some(1)),
        ] {
            assert_eq!(choose(&loads(pairs), Order::Listed), expected, "{pairs:?}");
        }
    }

    #[test]
    fn random_order_favours_no_host() {
        let hosts = loads(&[(0, 4); 4]);
        let mut drawn = [0; 4];
        for seed in 0..4000 {
            drawn[choose(&hosts, Order::Random(seed)).unwrap()] += 1;
        }
        assert!(drawn.iter().all(|&count| (850..=1150).contains(&count)), "{drawn:?}");
    }

    #[test]
    fn randomize_still_prefers_the_idle_host() {
        let hosts = loads(&[(1, 4), (0, 4), (1, 4)]);
        assert!((0..100).all(|seed| choose(&hosts, Order::Random(seed)) == Some(1)));
    }

    proptest! {
        #[test]
        fn chosen_host_has_room_and_none_is_less_busy(
            pairs in prop::collection::vec((0u16.., 0u16..), 0..20), seed: Option<u64>,
        ) {
            let hosts = loads(&pairs);
            let chosen = choose(&hosts, seed.map_or(Order::Listed, Order::Random));
            let mut free = hosts.iter().filter(|host| host.has_room());
            match chosen {
                Some(chosen) => {
                    prop_assert!(hosts[chosen].has_room());
                    prop_assert!(!free.any(|host| host.is_below(hosts[chosen])));
                }
                None => prop_assert!(free.next().is_none()),
            }
        }
    }
}
