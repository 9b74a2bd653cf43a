//! LZO1X as the original uses it: a compressed body is one raw block, without header, checksum or
//! the length it expands to, closed by the end mark `11 00 00`. An empty body is never a block.
//!
//! The library expands into a buffer of exactly the right length only, so [`expanded_len`] walks
//! the block's instructions first. It keeps nothing, so a block that would expand to more than is
//! allowed costs no memory. By the same walk [`expand`] expands from one file into another, whose
//! lengths cost no memory either. The instructions are those of the kernel's description of the
//! stream, <https://docs.kernel.org/staging/lzo.html>.

mod walk;

use std::fmt::{self, Display, Formatter};
use std::io::{self, Read, Seek, Write};

use lzo1x::CompressLevel;

use self::walk::{Length, Window, walk};

/// Gives the same size as the original's compressor; 4 costs more and gains little.
const LEVEL: u8 = 3;
/// Ends a block.
const END_MARK: [u8; 3] = [0x11, 0, 0];

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

/// The exact length that `block` expands to. Fails for every block that the library would refuse.
pub(crate) fn expanded_len(block: &[u8]) -> Result<u64, LzoError> {
    walk(block, &mut Length).map_err(|error| match error {
        ExpandError::Block(error) => error,
        ExpandError::Io(_) => unreachable!("memory can be read"),
    })
}

/// Why a block in a file was not expanded into another.
#[derive(Debug)]
pub(crate) enum ExpandError {
    /// It is not whole, or too large.
    Block(LzoError),
    /// One of the files.
    Io(io::Error),
}

impl From<LzoError> for ExpandError {
    fn from(error: LzoError) -> Self {
        Self::Block(error)
    }
}

impl From<io::Error> for ExpandError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Writes what `block` expands to, if that is at most `limit` bytes, and else nothing.
pub(crate) fn expand(
    mut block: impl Read + Seek,
    limit: usize,
    expanded: impl Write,
) -> Result<(), ExpandError> {
    let end = block.seek(io::SeekFrom::End(0))?;
    if end == 0 {
        return Ok(());
    }
    block.rewind()?;
    let len = walk(&mut block, &mut Length)?;
    if len > limit as u64 {
        return Err(LzoError::TooLarge { len, limit }.into());
    }
    block.rewind()?;
    let mut window = Window::new(expanded);
    walk(block, &mut window)?;
    Ok(window.finish()?)
}

/// A block that expands to `len` bytes as they are: what stands before them, and behind.
pub(crate) fn stored(len: usize) -> (Vec<u8>, &'static [u8]) {
    // One run of literals; its length is 18, 255 for each zero byte and the byte after them.
    let mut head = Vec::new();
    match u8::try_from(17 + len) {
        Ok(_) if len == 0 => {}
        Ok(opcode) => head.push(opcode),
        Err(_) => {
            let beyond = len - 18 - 1;
            head.resize(1 + beyond / 255, 0);
            head.push(u8::try_from(beyond % 255 + 1).expect("at most 255"));
        }
    }
    (head, &END_MARK)
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

    /// As it comes out of a file.
    fn expand_all(block: &[u8], limit: usize) -> Result<Vec<u8>, LzoError> {
        let mut expanded = Vec::new();
        match expand(io::Cursor::new(block), limit, &mut expanded) {
            Ok(()) => Ok(expanded),
            Err(ExpandError::Block(error)) => Err(error),
            Err(ExpandError::Io(error)) => panic!("{error}"),
        }
    }

    #[test]
    fn empty_is_no_block() {
        assert_eq!(compress(b""), b"");
        assert_eq!(decompress(b"", 0), Ok(Vec::new()));
        assert_eq!(expand_all(b"", 0), Ok(Vec::new()));
    }

    #[test]
    fn what_is_stored_expands_to_itself() {
        for len in (0..600).chain([1 << 20]) {
            let bytes: Vec<u8> = (0..len).map(|idx| (idx % 251) as u8).collect();
            let (head, end) = stored(len);
            let block = [&head, &bytes[..], end].concat();
            assert_eq!(decompress(&block, len), Ok(bytes.clone()), "{len}");
            assert_eq!(expand_all(&block, len), Ok(bytes), "{len}");
        }
    }

    #[test]
    fn a_match_over_more_than_the_window_is_expanded() {
        let mut bytes: Vec<u8> = (0..40_000_u32).map(|i| ((i * i) >> 7) as u8).collect();
        bytes.extend(std::iter::repeat_n(b'x', 1 << 20));
        bytes.extend_from_within(..40_000);
        bytes.extend(b"abc".repeat(300_000));
        assert!(expand_all(&compress(&bytes), bytes.len()) == Ok(bytes));
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
            prop_assert_eq!(&expand_all(&block, bytes.len()), &Ok(bytes.clone()));
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
            prop_assert_eq!(expand_all(&block, 1 << 20), decompress(&block, 1 << 20));
        }

        #[test]
        fn the_walk_agrees_with_the_library_on_arbitrary_bytes(
            bytes in proptest::collection::vec(any::<u8>(), 0..60),
        ) {
            prop_assert!(library_agrees(&bytes), "{:x?}", bytes);
        }
    }
}
