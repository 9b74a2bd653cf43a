//! What can go wrong with discovery.

use std::fmt::{self, Display, Formatter};

/// Why this machine cannot be advertised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Error {
    /// The mDNS thread cannot be started or has ended.
    Responder {
        /// What the library says.
        cause: String,
    },
    /// The library does not take the record.
    Record {
        /// Instance name.
        instance: String,
        /// What the library says.
        cause: String,
    },
    /// Port 0 cannot be advertised.
    NoPort,
}

impl Display for Error {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Responder { cause } => write!(f, "no mDNS responder: {cause}"),
            Self::Record { instance, cause } => write!(f, "bad record for {instance}: {cause}"),
            Self::NoPort => f.write_str("port 0 cannot be advertised"),
        }
    }
}

impl std::error::Error for Error {}
