//! Why bytes from a peer, or bytes for one, are not a message.

use std::fmt::{self, Display, Formatter};

use super::codec::CodecError;
use super::lzo::LzoError;
use super::refusal::Refusal;
use super::token::Name;

/// Why what a peer sent cannot be read. `Display` fits after "cannot read the request: ".
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum DecodeError {
    /// The connection ended before its first byte: a port scan, a reachability check, or, to a
    /// client, a stock server's way of refusing.
    NoBytes,
    /// The peer is one of ours and says why there is no answer.
    Refused(Refusal),
    /// The connection ended inside the message.
    Truncated {
        /// The token that was awaited, or whose body was.
        within: Name,
    },
    /// The number of a token is not eight hexadecimal digits.
    BadHex {
        /// The token's name.
        name: Name,
    },
    /// Another token stands where this one belongs.
    UnexpectedToken {
        /// The one that belongs here.
        expected: Name,
        /// The one that came.
        found: Name,
    },
    /// A protocol that we do not speak; 3 is pump mode.
    UnsupportedVersion {
        /// The number in `DIST`.
        version: u32,
    },
    /// The answer is not for the protocol of the request.
    OtherVersion {
        /// What was asked in.
        asked: u32,
        /// What the answer claims.
        answered: u32,
    },
    /// A length or count is over its limit.
    TooLarge {
        /// The token that carries it.
        what: Name,
        /// The length, for `ARGV` of all arguments so far.
        len: u64,
        /// What is allowed.
        limit: u64,
    },
    /// A request without a compiler name. The original's worker crashes on it.
    NoArguments,
    /// An argument holds a NUL byte, so no program can be given it.
    NulInArgument {
        /// Its place, the compiler is 0.
        idx: usize,
    },
    /// A number that no wait status has.
    BadStatus {
        /// The number in `STAT`.
        status: u32,
    },
    /// Bytes follow the end of the answer.
    TrailingBytes,
    /// A compressed body cannot be expanded.
    Lzo {
        /// The token whose body it is.
        what: Name,
        /// Why.
        error: LzoError,
    },
    /// The refusal is not a value of ours.
    Refusal(CodecError),
    /// The hello answer is not a value of ours.
    Hello(CodecError),
}

impl Display for DecodeError {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(refusal) => write!(f, "refused: {}", refusal.reason),
            Self::NoBytes => f.write_str("closed without a byte"),
            Self::Truncated { within } => {
                write!(f, "ended early, in {}", within.escape_ascii())
            }
            Self::BadHex { name } => {
                write!(f, "{} without eight hexadecimal digits", name.escape_ascii())
            }
            Self::UnexpectedToken { expected, found } => {
                write!(f, "'{}' where {} belongs", found.escape_ascii(), expected.escape_ascii())
            }
            Self::UnsupportedVersion { version: 3 } => {
                f.write_str("protocol version 3 (pump mode) is not supported")
            }
            Self::UnsupportedVersion { version } => write!(f, "unknown protocol version {version}"),
            Self::OtherVersion { asked, answered } => {
                write!(f, "answer in protocol {answered} to a request in protocol {asked}")
            }
            Self::TooLarge { what, len, limit } => {
                write!(f, "{} of {len}, at most {limit} allowed", what.escape_ascii())
            }
            Self::NoArguments => f.write_str("no compiler named"),
            Self::NulInArgument { idx } => write!(f, "argument {idx} holds a NUL byte"),
            Self::BadStatus { status } => write!(f, "{status:#x} is no wait status"),
            Self::TrailingBytes => f.write_str("bytes after the end"),
            Self::Lzo { what, error } => {
                write!(f, "cannot expand {}: {error}", what.escape_ascii())
            }
            Self::Refusal(error) => write!(f, "cannot read the refusal: {error}"),
            Self::Hello(error) => write!(f, "cannot read the hello: {error}"),
        }
    }
}

impl std::error::Error for DecodeError {}

/// A body of ours is longer than a peer would take, or than the length field can say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooLong {
    /// The token that would carry it.
    pub(crate) what: Name,
    /// Its length on the wire.
    pub(crate) len: u64,
    /// What is allowed.
    pub(crate) limit: u64,
}

impl Display for TooLong {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { what, len, limit } = self;
        write!(f, "{} of {len} bytes, at most {limit} allowed", what.escape_ascii())
    }
}

impl std::error::Error for TooLong {}
