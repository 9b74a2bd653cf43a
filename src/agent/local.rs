//! The slots of this machine: local compiles and preprocessors together never exceed its cores,
//! whatever `-j` is and whatever hosts vanish.

use crate::settings::hosts::HostList;
use crate::wire::control::LocalPurpose;

/// How many commands run here, and how many may.
#[derive(Debug)]
pub(super) struct LocalSlots {
    cores: u16,
    in_use: u16,
}

impl LocalSlots {
    /// A machine of `cores` usable cores, at least one.
    pub(super) fn new(cores: u16) -> Self {
        Self { cores: cores.max(1), in_use: 0 }
    }

    /// Takes a slot if fewer than `limit` (and fewer than the cores) are in use. The compile and
    /// preprocess limits of a host list count the same slots, as the original's lock files do.
    pub(super) fn take(&mut self, limit: Option<u16>) -> bool {
        let free = self.in_use < limit.unwrap_or(self.cores).clamp(1, self.cores);
        if free {
            self.in_use += 1;
        }
        free
    }

    /// Gives one back.
    pub(super) fn release(&mut self) {
        self.in_use = self.in_use.saturating_sub(1);
    }

    /// The cores.
    pub(super) fn cores(&self) -> u16 {
        self.cores
    }
}

/// The limit that a host list sets for this purpose.
pub(super) fn limit_for(purpose: LocalPurpose, list: &HostList) -> Option<u16> {
    match purpose {
        LocalPurpose::Compile => list.localslots,
        LocalPurpose::Preprocess => list.localslots_cpp,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_exceeds_the_cores_even_when_the_list_says_more() {
        let mut slots = LocalSlots::new(2);
        assert!(slots.take(Some(40)));
        assert!(slots.take(Some(40)));
        assert!(!slots.take(Some(40)));
        slots.release();
        assert!(slots.take(None));
    }

    #[test]
    fn a_lower_limit_of_the_list_counts() {
        let mut slots = LocalSlots::new(8);
        assert!(slots.take(Some(1)));
        assert!(!slots.take(Some(1)));
        assert!(slots.take(None));
    }

    #[test]
    fn zero_cores_or_limits_still_let_one_command_run() {
        assert!(LocalSlots::new(0).take(Some(0)));
    }
}
