//! The answer to those who ask who we are.

use crate::daemon::compilers::Inventory;
use crate::daemon::server::{Identity, Programs};
use crate::wire::control::{ANY_PROGRAM, GIVES_REASONS, HelloReply};

/// What may be used with us without asking; also the TXT key `feat`.
pub(crate) const FEATURES: [&str; 2] = ["lzo", "hello"];

/// Who we are and what we offer now.
pub(crate) fn reply(identity: &Identity, programs: Programs, inventory: &Inventory) -> HelloReply {
    let mut features = FEATURES.map(str::to_owned).to_vec();
    features.push(GIVES_REASONS.to_owned());
    if programs != Programs::Compilers {
        features.push(ANY_PROGRAM.to_owned());
    }
    HelloReply {
        id: identity.id.0,
        generation: inventory.generation,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        features,
        cores: identity.cores,
        jobs: identity.jobs,
        compilers: inventory.found.iter().map(|found| (&found.offered).into()).collect(),
    }
}
