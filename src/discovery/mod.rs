//! Who is on the network: advertising and browsing DNS-SD, TXT records, interfaces. Discovery
//! yields candidates only; that a peer is there and what it is, is learned by asking it.
//!
//! `advertise` and `browse` are the shells round the mDNS library; what they let through is
//! decided by the pure parts: `txt` (records), `heard` (which of a record's claims are kept),
//! `cluster` (records to nodes). `interfaces` reads this machine's addresses, `networks` tells by
//! them and by the default `routes` which networks it is on. Nothing heard is
//! trusted: everything is bounded and escaped before it leaves this folder.

pub(crate) mod advertise;
pub(crate) mod browse;
pub(crate) mod cluster;
mod error;
pub(crate) mod heard;
mod instances;
pub(crate) mod interfaces;
pub(crate) mod networks;
mod routes;
pub(crate) mod txt;

pub(crate) use crate::base::escape::escape;
pub(crate) use error::Error;

/// The service type of distcc 3.4, as the mDNS library wants it.
const SERVICE_TYPE: &str = "_distcc._tcp.local.";

/// Which of this machine's links discovery uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// The links to neighbours; a browser also hears loopback.
    Lan,
    /// Loopback only: a farm of one machine.
    ThisMachine,
}
