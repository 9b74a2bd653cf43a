//! The attacks, by the classes of the threat model.

mod abuse;
mod code;
mod program;
mod reading;
mod starving;
mod vanishing;
mod writing;

use crate::attack::Attack;

/// Attacks of one kind.
pub(crate) struct Class {
    pub(crate) id: &'static str,
    pub(crate) title: &'static str,
    pub(crate) attacks: &'static [Attack],
}

pub(crate) const CLASSES: [Class; 7] = [
    Class { id: "1a", title: "which program runs", attacks: program::ATTACKS },
    Class { id: "1b", title: "running code through a compiler", attacks: code::ATTACKS },
    Class { id: "1d", title: "reading files of the server", attacks: reading::ATTACKS },
    Class { id: "1e", title: "writing outside the job", attacks: writing::ATTACKS },
    Class { id: "1f", title: "bytes that are no request", attacks: abuse::ATTACKS },
    Class { id: "1g", title: "starving real jobs", attacks: starving::ATTACKS },
    Class { id: "1h", title: "what a client leaves behind", attacks: vanishing::ATTACKS },
];
