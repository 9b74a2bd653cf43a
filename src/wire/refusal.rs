//! Why a server of ours does not run a job: `NOPE` in the place of an answer, and the end of the
//! connection. Only a client that began its request with a version of ours gets it; all others see
//! the connection close, as the original does it. No compiler's result begins so.
//!
//! A scope that is not known, of a later server, reads as one of this job alone.

use serde::{Deserialize, Serialize};

use crate::base::escape::escape;

use super::codec;
use super::error::DecodeError;
use super::token::{NOPE, TOKEN_LEN, Token};

/// The longest body of `NOPE`.
pub(crate) const MAX_REFUSAL: usize = 4096;
/// The longest reason and the longest word in it, in bytes.
const MAX_REASON: usize = 1000;
const MAX_WORD: usize = 500;

/// Why a job is not run, and for what else that holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Refusal {
    /// For what it holds.
    pub(crate) scope: Scope,
    /// For people, a lowercase fragment; printable, wherever it came from.
    pub(crate) reason: String,
}

/// For what a refusal holds until the server's compilers change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Scope {
    /// For this job: another one may be taken.
    Job,
    /// For every job of this compiler with this word in its command.
    Word(Vec<u8>),
    /// For every job of this compiler.
    Compiler,
    /// For every job, at this moment.
    Machine,
    /// The server has failed: the next job may go the same way.
    Fault,
}

/// The format.
#[derive(Serialize, Deserialize)]
struct Body {
    scope: u8,
    /// Of [`Scope::Word`], else empty.
    word: Vec<u8>,
    reason: String,
}

impl Refusal {
    /// Of a reason that may be too long, or about a word that is.
    pub(crate) fn new(scope: Scope, reason: &str) -> Self {
        let end =
            (0..=reason.len().min(MAX_REASON)).rev().find(|end| reason.is_char_boundary(*end));
        let reason = reason[..end.unwrap_or_default()].to_owned();
        match scope {
            Scope::Word(word) if word.len() > MAX_WORD => Self { scope: Scope::Job, reason },
            scope => Self { scope, reason },
        }
    }
}

/// The whole of what is said instead of an answer.
pub(crate) fn encode_refusal(refusal: &Refusal) -> Vec<u8> {
    let (scope, word) = match &refusal.scope {
        Scope::Job => (0, &[][..]),
        Scope::Word(word) => (1, word.as_slice()),
        Scope::Compiler => (2, &[][..]),
        Scope::Machine => (3, &[][..]),
        Scope::Fault => (4, &[][..]),
    };
    let body = Body { scope, word: word.to_vec(), reason: refusal.reason.clone() };
    let body = codec::encode(&body).expect("numbers and strings always encode");
    let value = u32::try_from(body.len()).expect("a refusal is short");
    let mut bytes = Vec::with_capacity(TOKEN_LEN + body.len());
    bytes.extend_from_slice(&Token { name: NOPE, value }.encode());
    bytes.extend_from_slice(&body);
    bytes
}

/// The refusal of a body that is complete.
pub(super) fn decode(body: &[u8]) -> Result<Refusal, DecodeError> {
    let Body { scope, word, reason } = codec::decode(body).map_err(DecodeError::Refusal)?;
    let scope = match scope {
        1 => Scope::Word(word),
        2 => Scope::Compiler,
        3 => Scope::Machine,
        4 => Scope::Fault,
        _ => Scope::Job,
    };
    Ok(Refusal::new(scope, &escape(reason.as_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body_of(refusal: &Refusal) -> Vec<u8> {
        encode_refusal(refusal)[TOKEN_LEN..].to_vec()
    }

    #[test]
    fn every_scope_survives_the_journey() {
        let word = Scope::Word(b"-fnew=x".to_vec());
        for scope in [Scope::Job, word, Scope::Compiler, Scope::Machine, Scope::Fault] {
            let refusal = Refusal::new(scope, "so it is");
            assert_eq!(decode(&body_of(&refusal)), Ok(refusal));
        }
    }

    #[test]
    fn an_unknown_scope_is_of_the_job_alone() {
        let mut body = body_of(&Refusal::new(Scope::Fault, "why"));
        body[0] = 99;
        assert_eq!(decode(&body), Ok(Refusal::new(Scope::Job, "why")));
    }

    #[test]
    fn what_could_drive_a_terminal_is_escaped() {
        let read = decode(&body_of(&Refusal::new(Scope::Job, "a\x1b[2Jb\n"))).unwrap();
        assert_eq!(read.reason, "a\\u{1b}[2Jb\\u{a}");
    }

    #[test]
    fn nothing_is_longer_than_a_client_reads() {
        let long = "é".repeat(5000);
        for word in [vec![b'x'; MAX_WORD], vec![b'x'; 100_000]] {
            let refusal = Refusal::new(Scope::Word(word), &long);
            assert!(refusal.reason.len() <= MAX_REASON);
            assert!(body_of(&refusal).len() <= MAX_REFUSAL);
            assert_eq!(decode(&body_of(&refusal)), Ok(refusal));
        }
    }
}
