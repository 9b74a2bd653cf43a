//! Which instances of the service are known, and what is still to be told of them.

use std::cmp::Reverse;
use std::collections::{HashMap, VecDeque};

use tracing::debug;

use super::heard::{Heard, HeardPeer};

/// Instances remembered at most, and events waiting for a slow reader at most.
pub(super) const MAX_INSTANCES: usize = 512;

/// What was handed on of each instance, and what is still to be; both bounded.
#[derive(Default)]
pub(super) struct Instances {
    known: HashMap<String, Known>,
    news: HashMap<String, Heard>,
    order: VecDeque<String>,
    /// Counts the questions asked.
    pub(super) generation: u64,
}

struct Known {
    peer: HeardPeer,
    /// Of the question after which it was heard last, and of the one after which it was first.
    generation: u64,
    since: u64,
}

impl Instances {
    /// An unchanged instance is handed on once per question: its reader may have given it up.
    pub(super) fn up(&mut self, peer: HeardPeer) {
        let generation = self.generation;
        let mut since = generation;
        if let Some(known) = self.known.get(&peer.instance) {
            if known.generation == generation && known.peer == peer {
                return;
            }
            since = known.since;
        } else if self.known.len() >= MAX_INSTANCES && !self.forget_one() {
            return;
        }
        if self.tell(Heard::Up(peer.clone())) {
            self.known.insert(peer.instance.clone(), Known { peer, generation, since });
        }
    }

    /// The library says that it has left.
    pub(super) fn gone(&mut self, instance: &str) {
        if self.known.remove(instance).is_some() {
            self.tell(Heard::Gone { instance: instance.to_owned() });
        }
    }

    /// Gives up what was not heard since the last question.
    pub(super) fn sweep(&mut self) {
        let stale = |known: &Known| known.generation < self.generation;
        let stale: Vec<String> = self
            .known
            .iter()
            .filter(|(_, known)| stale(known))
            .map(|(instance, _)| instance.clone())
            .collect();
        for instance in stale {
            debug!(instance, "not heard any more");
            self.gone(&instance);
        }
    }

    /// Makes room in a full table: for one that was not heard since the last question, else for
    /// the one that was there for the fewest questions. A flood of invented instances must neither
    /// keep real ones out nor drive out those that were there before it.
    fn forget_one(&mut self) -> bool {
        let worth = |known: &Known| (known.generation, Reverse(known.since));
        let least = self.known.iter().min_by_key(|(_, known)| worth(known));
        let Some(instance) = least.map(|(instance, _)| instance.clone()) else { return false };
        self.known.remove(&instance);
        true
    }

    /// A later word on an instance replaces one that was not handed on yet.
    fn tell(&mut self, heard: Heard) -> bool {
        let instance = heard.instance().to_owned();
        if self.news.insert(instance.clone(), heard).is_none() {
            if self.order.len() >= 2 * MAX_INSTANCES {
                self.news.remove(&instance);
                return false;
            }
            self.order.push_back(instance);
        }
        true
    }

    /// Is there something to hand on?
    pub(super) fn has_news(&self) -> bool {
        !self.order.is_empty()
    }

    /// What is to be handed on next.
    pub(super) fn next(&mut self) -> Option<Heard> {
        let instance = self.order.pop_front()?;
        self.news.remove(&instance)
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;
    use crate::discovery::heard::HeardAddr;
    use crate::discovery::txt::HeardTxt;

    fn peer(instance: &str, port: u16) -> HeardPeer {
        let addr = SocketAddr::new([10, 77, 0, 1].into(), port);
        let addrs = vec![HeardAddr { addr, interface: "eth0".to_owned() }];
        let (instance, host) = (instance.to_owned(), "h1".to_owned());
        HeardPeer { instance, host, port, addrs, txt: HeardTxt::default() }
    }

    #[test]
    fn hands_on_what_is_new_once_a_question() {
        let mut instances = Instances::default();
        instances.up(peer("a", 1));
        instances.up(peer("a", 1));
        assert_eq!(instances.next(), Some(Heard::Up(peer("a", 1))));
        assert!(!instances.has_news());
        instances.up(peer("a", 2));
        instances.up(peer("a", 3));
        assert_eq!(instances.next(), Some(Heard::Up(peer("a", 3))));
        assert_eq!(instances.next(), None);
        instances.generation += 1;
        instances.up(peer("a", 3));
        assert_eq!(instances.next(), Some(Heard::Up(peer("a", 3))));
    }

    #[test]
    fn gives_up_what_was_not_replayed() {
        let mut instances = Instances::default();
        instances.up(peer("a", 1));
        instances.up(peer("b", 1));
        instances.generation += 1;
        instances.up(peer("b", 1));
        instances.sweep();
        let news: Vec<Heard> = std::iter::from_fn(|| instances.next()).collect();
        assert_eq!(news, [Heard::Gone { instance: "a".to_owned() }, Heard::Up(peer("b", 1))]);
        instances.gone("a");
        assert!(!instances.has_news());
    }

    #[test]
    fn flood_neither_grows_the_table_nor_keeps_others_out() {
        let mut instances = Instances::default();
        for number in 0..5000 {
            instances.up(peer(&format!("fake{number}"), 1));
        }
        assert!(instances.known.len() <= MAX_INSTANCES);
        assert!(instances.news.len() <= 2 * MAX_INSTANCES);
        while instances.next().is_some() {}
        instances.up(peer("real", 1));
        assert_eq!(instances.next(), Some(Heard::Up(peer("real", 1))));
    }

    #[test]
    fn flood_does_not_drive_out_what_was_there_before() {
        let mut instances = Instances::default();
        instances.up(peer("real", 1));
        instances.generation += 1;
        instances.up(peer("real", 1));
        for number in 0..5000 {
            instances.up(peer(&format!("fake{number}"), 1));
            instances.next();
        }
        instances.gone("real");
        let news: Vec<Heard> = std::iter::from_fn(|| instances.next()).collect();
        assert!(news.contains(&Heard::Gone { instance: "real".to_owned() }));
    }
}
