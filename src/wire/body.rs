//! Bulk bodies: files that follow a token which gives their length on the wire. In protocol 2 they
//! are one LZO block each, except that an empty file is no bytes in every protocol.

use std::borrow::Cow;

use super::error::{DecodeError, TooLong};
use super::job::Protocol;
use super::lzo;
use super::token::{Name, TOKEN_LEN, Token};

/// The token that announces `len` bytes of body; `len` is what goes on the wire, so compressed in
/// protocol 2. Fails where the length field is too narrow: the original silently sends a wrong
/// length for 4 GiB and more.
pub(crate) fn encode_bulk_header(name: Name, len: usize) -> Result<[u8; TOKEN_LEN], TooLong> {
    let value = u32::try_from(len).map_err(|_| TooLong {
        what: name,
        len: len as u64,
        limit: u64::from(u32::MAX),
    })?;
    Ok(Token { name, value }.encode())
}

/// Token and body of a whole file, compressed as `protocol` wants it.
pub(crate) fn encode_bulk(
    protocol: Protocol,
    name: Name,
    bytes: &[u8],
) -> Result<Vec<u8>, TooLong> {
    let body = match protocol {
        Protocol::Plain => Cow::Borrowed(bytes),
        Protocol::Lzo => Cow::Owned(lzo::compress(bytes)),
    };
    let mut bulk = Vec::with_capacity(TOKEN_LEN + body.len());
    bulk.extend_from_slice(&encode_bulk_header(name, body.len())?);
    bulk.extend_from_slice(&body);
    Ok(bulk)
}

/// Fails if `len`, as read from the token `what`, is over `limit`.
pub(super) fn check(what: Name, len: u32, limit: usize) -> Result<usize, DecodeError> {
    match usize::try_from(len) {
        Ok(len) if len <= limit => Ok(len),
        _ => Err(DecodeError::TooLarge { what, len: u64::from(len), limit: limit as u64 }),
    }
}

/// Collects a body whose length has been checked. Memory grows with what arrives, not with what
/// was announced.
#[derive(Clone, Debug)]
pub(super) struct Collector {
    bytes: Vec<u8>,
    missing: usize,
}

impl Collector {
    pub(super) const fn new(len: usize) -> Self {
        Self { bytes: Vec::new(), missing: len }
    }

    /// Takes from `input` what belongs to the body, and returns the body once it is whole.
    pub(super) fn feed(&mut self, input: &mut &[u8]) -> Option<Vec<u8>> {
        let chunk = take(&mut self.missing, input);
        self.bytes.extend_from_slice(chunk);
        (self.missing == 0).then(|| std::mem::take(&mut self.bytes))
    }
}

/// Splits off `input` what belongs to a body of which `missing` bytes are still to come.
pub(super) fn take<'a>(missing: &mut usize, input: &mut &'a [u8]) -> &'a [u8] {
    let (chunk, rest) = input.split_at(input.len().min(*missing));
    *missing -= chunk.len();
    *input = rest;
    chunk
}

#[cfg(test)]
mod tests {
    use super::super::token::DOTI;
    use super::*;

    #[test]
    fn an_empty_file_has_no_body_in_any_protocol() {
        for protocol in [Protocol::Plain, Protocol::Lzo] {
            assert_eq!(encode_bulk(protocol, DOTI, b"").unwrap(), b"DOTI00000000");
        }
    }

    #[test]
    fn the_length_of_a_compressed_file_is_the_compressed_one() {
        let bulk = encode_bulk(Protocol::Lzo, DOTI, &[b' '; 1000]).unwrap();
        let len = encode_bulk_header(DOTI, bulk.len() - TOKEN_LEN).unwrap();
        assert_eq!(bulk[..TOKEN_LEN], len);
        assert_eq!(lzo::decompress(&bulk[TOKEN_LEN..], 1000).unwrap(), [b' '; 1000]);
    }

    #[test]
    #[cfg(target_pointer_width = "64")]
    fn refuses_a_length_that_does_not_fit_the_field() {
        assert!(encode_bulk_header(DOTI, u32::MAX as usize).is_ok());
        assert!(encode_bulk_header(DOTI, u32::MAX as usize + 1).is_err());
    }

    #[test]
    fn collecting_allocates_for_what_arrived_only() {
        let mut collector = Collector::new(usize::MAX);
        assert_eq!(collector.feed(&mut &b"abc"[..]), None);
        assert!(collector.bytes.capacity() < 1000);
    }
}
