//! What servers of ours refuse, with their reasons: which compilers, and which words in commands
//! for a compiler. It holds until a server's compilers change, and is no disgrace.

use std::collections::BTreeMap;
use std::time::Instant;

use super::peers::{Peer, State};
use crate::discovery::escape;
use crate::wire::refusal::{Refusal, Scope};

/// Compilers of one peer, and words for one compiler, that are kept. Of more the first are
/// forgotten: they will be refused again.
const MAX_COMPILERS: usize = 32;
const MAX_WORDS: usize = 32;

/// What one peer has refused, by the compiler's name there.
#[derive(Clone, Debug, Default)]
pub(super) struct Declined {
    /// Why.
    compilers: BTreeMap<String, String>,
    words: BTreeMap<String, Vec<Vec<u8>>>,
}

impl Declined {
    /// Why it does not run the compiler of this name, if it has said so.
    pub(super) fn compiler(&self, name: &str) -> Option<&str> {
        self.compilers.get(name).map(String::as_str)
    }

    /// The words that it has refused in commands for this compiler.
    pub(super) fn words(&self, name: &str) -> &[Vec<u8>] {
        self.words.get(name).map_or(&[], Vec::as_slice)
    }

    /// The same for people: what follows the reason for which the host is used.
    pub(super) fn remark(&self, name: &str) -> String {
        match self.words(name) {
            [] => String::new(),
            words => {
                let words: Vec<String> = words.iter().map(|word| escape(word)).collect();
                format!("; it refuses {}", words.join(" "))
            }
        }
    }

    fn add_compiler(&mut self, name: &str, reason: String) {
        if self.compilers.len() >= MAX_COMPILERS {
            self.compilers.pop_first();
        }
        self.compilers.insert(name.to_owned(), reason);
    }

    fn add_word(&mut self, name: &str, word: Vec<u8>) {
        if self.words.len() >= MAX_COMPILERS && !self.words.contains_key(name) {
            self.words.pop_first();
        }
        let words = self.words.entry(name.to_owned()).or_default();
        if words.contains(&word) {
            return;
        }
        if words.len() >= MAX_WORDS {
            words.remove(0);
        }
        words.push(word);
    }
}

impl Peer {
    /// It has said why it does not run a job for the compiler of this name. True if it should be
    /// asked who it is now.
    pub(super) fn declines(&mut self, now: Instant, name: &str, refusal: Refusal) -> bool {
        match refusal.scope {
            Scope::Job => self.pulse.beats(now),
            Scope::Word(word) => {
                self.pulse.beats(now);
                self.declined.add_word(name, word);
            }
            Scope::Compiler => {
                self.pulse.beats(now);
                self.declined.add_compiler(name, refusal.reason);
                return true;
            }
            Scope::Machine => {
                self.pulse.is_in_doubt(now);
                return true;
            }
            Scope::Fault => self.set_back(now, format!("its jobs failed: {}", refusal.reason)),
        }
        false
    }

    /// It has refused a compiler, some time ago: nobody but itself tells that it does no longer.
    pub(super) fn may_serve_again(&self, now: Instant) -> bool {
        let ours = matches!(self.state, State::Ours(_));
        ours && !self.declined.compilers.is_empty() && !self.pulse.is_proven(now)
    }
}
