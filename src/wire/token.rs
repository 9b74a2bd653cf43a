//! The token, of which everything on the wire is made: four letters and eight hexadecimal digits,
//! with nothing between or behind (`doc/protocol-1.txt` of the original). The number is a plain
//! value or the length of the body that follows; which one, the name says.

use super::error::DecodeError;

/// The four letters.
pub(crate) type Name = [u8; 4];

/// Bytes of a token on the wire.
pub(crate) const TOKEN_LEN: usize = 12;

/// Begins a request; the protocol version.
pub(crate) const DIST: Name = *b"DIST";
/// Number of arguments, the compiler included.
pub(crate) const ARGC: Name = *b"ARGC";
/// One argument.
pub(crate) const ARGV: Name = *b"ARGV";
/// The preprocessed source.
pub(crate) const DOTI: Name = *b"DOTI";
/// Begins an answer; the protocol version.
pub(crate) const DONE: Name = *b"DONE";
/// The compiler's wait status.
pub(crate) const STAT: Name = *b"STAT";
/// The compiler's standard error.
pub(crate) const SERR: Name = *b"SERR";
/// The compiler's standard output.
pub(crate) const SOUT: Name = *b"SOUT";
/// The object or assembly.
pub(crate) const DOTO: Name = *b"DOTO";
/// Our own: the encoded hello.
pub(crate) const HELO: Name = *b"HELO";

/// Our own: a refusal with its reason.
pub(crate) const NOPE: Name = *b"NOPE";

/// A name and its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    /// The four letters.
    pub(crate) name: Name,
    /// The number behind them.
    pub(crate) value: u32,
}

impl Token {
    /// The token's bytes: lower-case digits, padded with zeros, as the original writes them.
    pub(crate) fn encode(self) -> [u8; TOKEN_LEN] {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut bytes = [0; TOKEN_LEN];
        let (name, digits) = bytes.split_at_mut(self.name.len());
        name.copy_from_slice(&self.name);
        for (idx, digit) in digits.iter_mut().enumerate() {
            *digit = DIGITS[(self.value >> (28 - 4 * idx) & 0xf) as usize];
        }
        bytes
    }
}

/// The token at the front and the bytes behind it, or `None` while it is incomplete.
pub(crate) fn decode(bytes: &[u8]) -> Result<Option<(Token, &[u8])>, DecodeError> {
    let Some((name, rest)) = bytes.split_first_chunk::<4>() else { return Ok(None) };
    let Some((digits, rest)) = rest.split_first_chunk::<8>() else { return Ok(None) };
    let value = parse_hex(digits).ok_or(DecodeError::BadHex { name: *name })?;
    Ok(Some((Token { name: *name, value }, rest)))
}

/// Exactly hexadecimal digits of either case. The original takes what `strtoul` takes (blanks, a
/// sign, `0x`), but nobody sends that but attackers.
fn parse_hex(digits: &[u8; 8]) -> Option<u32> {
    digits.iter().try_fold(0, |value, &byte| Some(value << 4 | char::from(byte).to_digit(16)?))
}

/// Collects one token that arrives in pieces, when it is known which one must come.
#[derive(Clone, Debug, Default)]
pub(crate) struct TokenReader {
    bytes: [u8; TOKEN_LEN],
    filled: usize,
}

impl TokenReader {
    /// Takes from `input` what belongs to the token and returns its number once it is whole. A
    /// wrong name is refused with its fourth letter, without waiting for digits.
    pub(crate) fn feed(
        &mut self,
        input: &mut &[u8],
        expected: Name,
    ) -> Result<Option<u32>, DecodeError> {
        Ok(self.feed_either(input, expected, expected)?.map(|token| token.value))
    }

    /// The same where another token may stand instead.
    pub(super) fn feed_either(
        &mut self,
        input: &mut &[u8],
        expected: Name,
        other: Name,
    ) -> Result<Option<Token>, DecodeError> {
        let wanted = (TOKEN_LEN - self.filled).min(input.len());
        let (taken, rest) = input.split_at(wanted);
        self.bytes[self.filled..self.filled + wanted].copy_from_slice(taken);
        self.filled += wanted;
        *input = rest;
        if let Some(found) = self.bytes[..self.filled].first_chunk::<4>()
            && ![expected, other].contains(found)
        {
            return Err(DecodeError::UnexpectedToken { expected, found: *found });
        }
        let Some((token, _)) = decode(&self.bytes[..self.filled])? else { return Ok(None) };
        self.filled = 0;
        Ok(Some(token))
    }

    /// Of the token that comes next, not a byte is there.
    pub(crate) fn is_untouched(&self) -> bool {
        self.filled == 0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn writes_lower_case_and_padded() {
        assert_eq!(&Token { name: DIST, value: 1 }.encode(), b"DIST00000001");
        assert_eq!(&Token { name: DOTI, value: 0xdead_beef }.encode(), b"DOTIdeadbeef");
    }

    #[test]
    fn every_prefix_needs_more() {
        let bytes = b"ARGC0000001Frest";
        for end in 0..TOKEN_LEN {
            assert_eq!(decode(&bytes[..end]), Ok(None));
        }
        let whole = Token { name: ARGC, value: 31 };
        assert_eq!(decode(bytes), Ok(Some((whole, &b"rest"[..]))));
    }

    #[test]
    fn refuses_what_only_strtoul_takes() {
        for digits in [b"       1", b"0x000001", b"+0000001", b"-0000001", b"0000001 ", b"0000001g"]
        {
            let bytes = [&ARGC[..], digits].concat();
            assert_eq!(decode(&bytes), Err(DecodeError::BadHex { name: ARGC }), "{digits:?}");
        }
    }

    #[test]
    fn a_wrong_name_is_refused_with_its_fourth_letter() {
        let mut reader = TokenReader::default();
        assert_eq!(reader.feed(&mut &b"GET"[..], DIST), Ok(None));
        let found = *b"GET ";
        assert_eq!(
            reader.feed(&mut &b" / HTTP"[..], DIST),
            Err(DecodeError::UnexpectedToken { expected: DIST, found })
        );
    }

    proptest! {
        #[test]
        fn decode_is_the_inverse_of_encode(name: Name, value: u32, rest: Vec<u8>) {
            let token = Token { name, value };
            let bytes = [&token.encode()[..], &rest].concat();
            prop_assert_eq!(decode(&bytes), Ok(Some((token, &rest[..]))));
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
            let _ = decode(&bytes);
        }
    }
}
