//! The identity of a server on the network.

use std::fmt::{self, Display, Formatter};
use std::str::FromStr;

/// The number a daemon keeps over restarts, advertised as TXT `id` in eight hex digits.
/// A node is this id together with its port: one machine may run two daemons.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct NodeId(pub(crate) u32);

impl Display for NodeId {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

/// The text is not exactly eight hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotANodeId;

impl FromStr for NodeId {
    type Err = NotANodeId;

    fn from_str(text: &str) -> Result<Self, NotANodeId> {
        if text.len() != 8 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(NotANodeId);
        }
        u32::from_str_radix(text, 16).map(NodeId).map_err(|_| NotANodeId)
    }
}
