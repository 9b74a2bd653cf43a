//! LZO1X as the original uses it: a compressed body is one raw block, without header, checksum or
//! the length it expands to, closed by the end mark `11 00 00`. An empty body is never a block.
//!
//! The library expands into a buffer of exactly the right length only, so [`expanded_len`] walks
//! the block's instructions first. It copies nothing, so a block that would expand to more than is
//! allowed costs no memory. The instructions are those of the kernel's description of the stream,
//! <https://docs.kernel.org/staging/lzo.html>.

use std::fmt::{self, Display, Formatter};

use lzo1x::CompressLevel;

/// Gives the same size as the original's compressor; 4 costs more and gains little.
const LEVEL: u8 = 3;
/// Added to the distance of the long-distance instruction; that distance alone is the end mark.
const END_MARK_DISTANCE: u64 = 16384;

/// Why a block cannot be expanded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LzoError {
    /// The block ends before its end mark.
    Unfinished,
    /// Bytes follow the end mark.
    AfterEnd {
        /// How many.
        len: usize,
    },
    /// An instruction copies from before the beginning.
    BadDistance {
        /// Place of the instruction's end in the block.
        at: usize,
    },
    /// The whole would be longer than allowed.
    TooLarge {
        /// Its exact length.
        len: u64,
        /// What is allowed.
        limit: usize,
    },
}

impl Display for LzoError {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unfinished => f.write_str("the compressed block has no end"),
            Self::AfterEnd { len } => {
                write!(f, "{len} bytes follow the end of the compressed block")
            }
            Self::BadDistance { at } => {
                write!(f, "the compressed block is corrupt at byte {at}")
            }
            Self::TooLarge { len, limit } => {
                write!(f, "expands to {len} bytes, at most {limit} allowed")
            }
        }
    }
}

impl std::error::Error for LzoError {}

/// One block that expands to `bytes`; empty for empty, which is how the wire wants it.
pub(crate) fn compress(bytes: &[u8]) -> Vec<u8> {
    if bytes.is_empty() {
        return Vec::new();
    }
    lzo1x::compress(bytes, CompressLevel::new(LEVEL))
}

/// What `block` expands to, if that is at most `limit` bytes. Nothing expands to nothing.
pub(crate) fn decompress(block: &[u8], limit: usize) -> Result<Vec<u8>, LzoError> {
    if block.is_empty() {
        return Ok(Vec::new());
    }
    let len = expanded_len(block)?;
    let too_large = LzoError::TooLarge { len, limit };
    let exact = usize::try_from(len).map_err(|_| too_large)?;
    if exact > limit {
        return Err(too_large);
    }
    let mut expanded = vec![0; exact];
    // The walk has checked all that the library checks; should the two ever differ, the block is
    // taken as corrupt.
    lzo1x::decompress(block, &mut expanded)
        .map_err(|_| LzoError::BadDistance { at: block.len() })?;
    Ok(expanded)
}

/// What came before an instruction decides what a small opcode means.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Before {
    /// A match without literals behind it, or the beginning.
    Match,
    /// One to three literals.
    FewLiterals,
    /// A run of literals.
    Run,
}

/// The exact length that `block` expands to. Fails for every block that the library would refuse.
pub(crate) fn expanded_len(block: &[u8]) -> Result<u64, LzoError> {
    let mut walk = Walk { block, at: 0, len: 0 };
    let mut before = Before::Match;
    if let Some(&first) = block.first()
        && first > 17
    {
        walk.at = 1;
        walk.literals(u64::from(first) - 17)?;
        before = if first <= 20 { Before::FewLiterals } else { Before::Run };
    }
    loop {
        let opcode = walk.byte()?;
        let low = u64::from(opcode);
        let (copied, distance, tail) = match opcode {
            0..=15 if before == Before::Match => {
                let run = if opcode == 0 { walk.extended(18)? } else { low + 3 };
                walk.literals(run)?;
                before = Before::Run;
                continue;
            }
            0..=15 => {
                let (copied, nearest) =
                    if before == Before::FewLiterals { (2, 1) } else { (3, 2049) };
                (copied, (u64::from(walk.byte()?) << 2) + (low >> 2) + nearest, opcode)
            }
            16..=31 => {
                let copied = if low & 7 == 0 { walk.extended(9)? } else { (low & 7) + 2 };
                let (back, tail) = walk.distance()?;
                let distance = ((low & 8) << 11) + back + END_MARK_DISTANCE;
                if distance == END_MARK_DISTANCE {
                    break;
                }
                (copied, distance, tail)
            }
            32..=63 => {
                let copied = if low & 31 == 0 { walk.extended(33)? } else { (low & 31) + 2 };
                let (back, tail) = walk.distance()?;
                (copied, back + 1, tail)
            }
            64..=127 => {
                let back = u64::from(walk.byte()?) << 3;
                (3 + (low >> 5 & 1), back + (low >> 2 & 7) + 1, opcode)
            }
            128..=255 => {
                let back = u64::from(walk.byte()?) << 3;
                (5 + (low >> 5 & 3), back + (low >> 2 & 7) + 1, opcode)
            }
        };
        if distance > walk.len {
            return Err(LzoError::BadDistance { at: walk.at });
        }
        walk.len += copied;
        let literals = u64::from(tail & 3);
        walk.literals(literals)?;
        before = if literals == 0 { Before::Match } else { Before::FewLiterals };
    }
    match block.len() - walk.at {
        0 => Ok(walk.len),
        len => Err(LzoError::AfterEnd { len }),
    }
}

/// A position in a block and what has been expanded up to there. Lengths are 64 bits wide because
/// a block of 256 MiB may claim 64 GiB.
struct Walk<'a> {
    block: &'a [u8],
    at: usize,
    len: u64,
}

impl Walk<'_> {
    fn byte(&mut self) -> Result<u8, LzoError> {
        let byte = *self.block.get(self.at).ok_or(LzoError::Unfinished)?;
        self.at += 1;
        Ok(byte)
    }

    /// A length that did not fit into its opcode: 255 for each zero byte, and the byte after them.
    fn extended(&mut self, base: u64) -> Result<u64, LzoError> {
        let mut len = base;
        loop {
            match self.byte()? {
                0 => len += 255,
                last => return Ok(len + u64::from(last)),
            }
        }
    }

    /// Two bytes: the upper fourteen bits are a distance, the lower two count literals.
    fn distance(&mut self) -> Result<(u64, u8), LzoError> {
        let (low, high) = (self.byte()?, self.byte()?);
        Ok(((u64::from(high) << 6) + u64::from(low >> 2), low))
    }

    fn literals(&mut self, count: u64) -> Result<(), LzoError> {
        let left = (self.block.len() - self.at) as u64;
        if count > left {
            return Err(LzoError::Unfinished);
        }
        self.at += usize::try_from(count).expect("at most the rest of a slice");
        self.len += count;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Text-like bytes with near and far repetitions, so that every kind of instruction occurs.
    fn bytes_like_source() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            4 => proptest::collection::vec(any::<u8>(), 0..40),
            4 => proptest::collection::vec(b'a'..b'e', 0..200),
            1 => (any::<u8>(), 0usize..3000).prop_map(|(byte, n)| vec![byte; n]),
            1 => (0usize..70_000).prop_map(|n| (0..n).map(|i| ((i * i) >> 7) as u8).collect()),
        ];
        proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
    }

    /// The library agrees that this is the length, and that no neighbouring one is.
    fn library_agrees(block: &[u8]) -> bool {
        match expanded_len(block) {
            Ok(len) => {
                let len = usize::try_from(len).unwrap();
                lzo1x::decompress(block, &mut vec![0; len]).is_ok()
                    && lzo1x::decompress(block, &mut vec![0; len + 1]).is_err()
            }
            Err(_) => lzo1x::decompress(block, &mut vec![0; 1 << 20]).is_err(),
        }
    }

    #[test]
    fn empty_is_no_block() {
        assert_eq!(compress(b""), b"");
        assert_eq!(decompress(b"", 0), Ok(Vec::new()));
    }

    #[test]
    fn reads_a_block_of_literals_only() {
        assert_eq!(decompress(b"\x16hello\x11\0\0", 5), Ok(b"hello".to_vec()));
        assert_eq!(decompress(b"\x11\0\0", 0), Ok(Vec::new()));
    }

    #[test]
    fn refuses_what_expands_beyond_the_limit() {
        let block = compress(&[7; 100_000]);
        let refused = LzoError::TooLarge { len: 100_000, limit: 99_999 };
        assert_eq!(decompress(&block, 99_999), Err(refused));
        assert_eq!(decompress(&block, 100_000).map(|bytes| bytes.len()), Ok(100_000));
    }

    #[test]
    fn a_bomb_is_refused_without_being_expanded() {
        // One literal, then a match whose length is claimed by 16 MiB of zeros: 4 GiB and more.
        let mut block = vec![18, b'x', 32];
        block.extend(std::iter::repeat_n(0, 16 << 20));
        block.extend([1, 0, 0, 0x11, 0, 0]);
        assert_eq!(
            decompress(&block, 512 << 20),
            Err(LzoError::TooLarge { len: 255 * (16 << 20) + 35, limit: 512 << 20 })
        );
    }

    #[test]
    fn corrupt_blocks_are_errors() {
        for (block, expected) in [
            (&b"\x16hel"[..], LzoError::Unfinished),
            (b"\x16hello", LzoError::Unfinished),
            (b"\x16hello\x11\0", LzoError::Unfinished),
            (b"\x16hello\x11\0\0!", LzoError::AfterEnd { len: 1 }),
            (b"\x12x\x40\xff\x11\0\0", LzoError::BadDistance { at: 4 }),
            (b"\0\0\0\0\0", LzoError::Unfinished),
        ] {
            assert_eq!(decompress(block, 1000), Err(expected), "{block:x?}");
        }
    }

    proptest! {
        #[test]
        fn decompress_is_the_inverse_of_compress(bytes in bytes_like_source()) {
            let block = compress(&bytes);
            prop_assert_eq!(decompress(&block, bytes.len()), Ok(bytes));
        }

        #[test]
        fn the_walk_agrees_with_the_library_on_mutated_blocks(
            bytes in bytes_like_source(),
            changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
            cut in proptest::option::of(any::<prop::sample::Index>()),
        ) {
            let mut block = compress(&bytes);
            if block.is_empty() {
                return Ok(());
            }
            for (place, byte) in changes {
                let at = place.index(block.len());
                block[at] = byte;
            }
            if let Some(cut) = cut {
                block.truncate(cut.index(block.len()));
            }
            // The library is asked only where its buffer would be of a sane size.
            if expanded_len(&block).is_ok_and(|len| len > 1 << 24) {
                return Ok(());
            }
            prop_assert!(library_agrees(&block), "{:x?}", block);
            let _ = decompress(&block, 1 << 20);
        }

        #[test]
        fn the_walk_agrees_with_the_library_on_arbitrary_bytes(
            bytes in proptest::collection::vec(any::<u8>(), 0..60),
        ) {
            prop_assert!(library_agrees(&bytes), "{:x?}", bytes);
        }
    }
}
