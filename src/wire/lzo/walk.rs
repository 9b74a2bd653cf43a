//! The instructions of a block, one after the other: as they come, in constant memory.

use std::io::{self, ErrorKind, Read, Write};

use super::{ExpandError, LzoError};

/// Added to the distance of the long-distance instruction; that distance alone is the end mark.
const END_MARK_DISTANCE: u64 = 16384;
/// The farthest that an instruction copies from, and a byte more.
const WINDOW: usize = 3 * 16384;
/// How much is read, or written, at once.
const PIECE: usize = 64 << 10;

/// What becomes of the bytes that a block expands to.
pub(super) trait Sink {
    /// These come next.
    fn literals(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// `count` bytes come again that began `distance` ago, which is not before the beginning.
    fn repeat(&mut self, distance: usize, count: u64) -> io::Result<()>;
}

/// Only the walk itself counts.
pub(super) struct Length;

impl Sink for Length {
    fn literals(&mut self, _: &[u8]) -> io::Result<()> {
        Ok(())
    }

    fn repeat(&mut self, _: usize, _: u64) -> io::Result<()> {
        Ok(())
    }
}

/// Writes the bytes, and keeps as many of the last as an instruction may ask for.
pub(super) struct Window<W> {
    recent: Vec<u8>,
    /// How many of them are written already.
    n_written: usize,
    output: W,
}

impl<W: Write> Window<W> {
    pub(super) fn new(output: W) -> Self {
        Self { recent: Vec::with_capacity(2 * (WINDOW + PIECE)), n_written: 0, output }
    }

    /// Writes what is left.
    pub(super) fn finish(mut self) -> io::Result<()> {
        self.output.write_all(&self.recent[self.n_written..])?;
        self.output.flush()
    }

    /// Writes what has come, once that is worth it.
    fn settle(&mut self) -> io::Result<()> {
        if self.recent.len() < 2 * WINDOW + PIECE {
            return Ok(());
        }
        self.output.write_all(&self.recent[self.n_written..])?;
        self.recent.drain(..self.recent.len() - WINDOW);
        self.n_written = self.recent.len();
        Ok(())
    }
}

impl<W: Write> Sink for Window<W> {
    fn literals(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.recent.extend_from_slice(bytes);
        self.settle()
    }

    fn repeat(&mut self, distance: usize, mut count: u64) -> io::Result<()> {
        while count > 0 {
            // What was just copied may be copied again, so that near distances do not go in steps
            // of a byte.
            let begin = self.recent.len() - distance;
            let mut piece = usize::try_from(count).map_or(PIECE, |count| count.min(PIECE));
            count -= piece as u64;
            while piece > 0 {
                let step = piece.min(self.recent.len() - begin);
                self.recent.extend_from_within(begin..begin + step);
                piece -= step;
            }
            self.settle()?;
        }
        Ok(())
    }
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

/// Hands what `block` expands to over to `sink`; the length of that.
pub(super) fn walk(block: impl Read, sink: &mut impl Sink) -> Result<u64, ExpandError> {
    let mut walk = Walk { block: Pieces::new(block), sink, len: 0 };
    let mut before = Before::Match;
    let first = walk.block.byte()?;
    let mut opcode = first;
    if first > 17 {
        walk.literals(u64::from(first) - 17)?;
        before = if first <= 20 { Before::FewLiterals } else { Before::Run };
        opcode = walk.block.byte()?;
    }
    loop {
        let low = u64::from(opcode);
        let (copied, distance, tail) = match opcode {
            0..=15 if before == Before::Match => {
                let run = if opcode == 0 { walk.block.extended(18)? } else { low + 3 };
                walk.literals(run)?;
                before = Before::Run;
                opcode = walk.block.byte()?;
                continue;
            }
            0..=15 => {
                let (copied, nearest) =
                    if before == Before::FewLiterals { (2, 1) } else { (3, 2049) };
                (copied, (u64::from(walk.block.byte()?) << 2) + (low >> 2) + nearest, opcode)
            }
            16..=31 => {
                let copied = if low & 7 == 0 { walk.block.extended(9)? } else { (low & 7) + 2 };
                let (back, tail) = walk.block.distance()?;
                let distance = ((low & 8) << 11) + back + END_MARK_DISTANCE;
                if distance == END_MARK_DISTANCE {
                    break;
                }
                (copied, distance, tail)
            }
            32..=63 => {
                let copied = if low & 31 == 0 { walk.block.extended(33)? } else { (low & 31) + 2 };
                let (back, tail) = walk.block.distance()?;
                (copied, back + 1, tail)
            }
            64..=127 => {
                let back = u64::from(walk.block.byte()?) << 3;
                (3 + (low >> 5 & 1), back + (low >> 2 & 7) + 1, opcode)
            }
            128..=255 => {
                let back = u64::from(walk.block.byte()?) << 3;
                (5 + (low >> 5 & 3), back + (low >> 2 & 7) + 1, opcode)
            }
        };
        walk.repeat(distance, copied)?;
        let literals = u64::from(tail & 3);
        walk.literals(literals)?;
        before = if literals == 0 { Before::Match } else { Before::FewLiterals };
        opcode = walk.block.byte()?;
    }
    match walk.block.drain()? {
        0 => Ok(walk.len),
        len => Err(LzoError::AfterEnd { len }.into()),
    }
}

/// A place in a block and how much has been expanded up to there. Lengths are 64 bits wide because
/// a block of 256 MiB may claim 64 GiB.
struct Walk<'a, R, S> {
    block: Pieces<R>,
    sink: &'a mut S,
    len: u64,
}

impl<R: Read, S: Sink> Walk<'_, R, S> {
    fn literals(&mut self, mut count: u64) -> Result<(), ExpandError> {
        self.len += count;
        while count > 0 {
            let piece = self.block.next_of(count)?;
            self.sink.literals(piece)?;
            count -= piece.len() as u64;
        }
        Ok(())
    }

    fn repeat(&mut self, distance: u64, count: u64) -> Result<(), ExpandError> {
        if distance > self.len {
            return Err(LzoError::BadDistance { at: self.block.place() }.into());
        }
        self.len += count;
        let distance = usize::try_from(distance).expect("at most sixteen bits");
        Ok(self.sink.repeat(distance, count)?)
    }
}

/// The bytes of a block, of which a piece is in memory.
struct Pieces<R> {
    input: R,
    piece: Vec<u8>,
    at: usize,
    /// How many bytes there were before the piece.
    n_before: usize,
}

impl<R: Read> Pieces<R> {
    fn new(input: R) -> Self {
        Self { input, piece: Vec::new(), at: 0, n_before: 0 }
    }

    /// The place of the next byte in the block.
    fn place(&self) -> usize {
        self.n_before + self.at
    }

    /// Makes the next piece the current one; false at the end.
    fn refill(&mut self) -> io::Result<bool> {
        self.n_before += self.piece.len();
        self.at = 0;
        self.piece.resize(PIECE, 0);
        loop {
            match self.input.read(&mut self.piece) {
                Ok(n_read) => {
                    self.piece.truncate(n_read);
                    return Ok(n_read > 0);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn byte(&mut self) -> Result<u8, ExpandError> {
        if self.at == self.piece.len() && !self.refill()? {
            return Err(LzoError::Unfinished.into());
        }
        let byte = self.piece[self.at];
        self.at += 1;
        Ok(byte)
    }

    /// At least one byte, at most `count`.
    fn next_of(&mut self, count: u64) -> Result<&[u8], ExpandError> {
        if self.at == self.piece.len() && !self.refill()? {
            return Err(LzoError::Unfinished.into());
        }
        let begin = self.at;
        let here = self.piece.len() - begin;
        self.at += usize::try_from(count).map_or(here, |count| count.min(here));
        Ok(&self.piece[begin..self.at])
    }

    /// A length that did not fit into its opcode: 255 for each zero byte, and the byte after them.
    fn extended(&mut self, base: u64) -> Result<u64, ExpandError> {
        let mut len = base;
        loop {
            match self.byte()? {
                0 => len += 255,
                last => return Ok(len + u64::from(last)),
            }
        }
    }

    /// Two bytes: the upper fourteen bits are a distance, the lower two count literals.
    fn distance(&mut self) -> Result<(u64, u8), ExpandError> {
        let (low, high) = (self.byte()?, self.byte()?);
        Ok(((u64::from(high) << 6) + u64::from(low >> 2), low))
    }

    /// Skips the rest; how long it was.
    fn drain(&mut self) -> io::Result<usize> {
        let mut len = self.piece.len() - self.at;
        while self.refill()? {
            len += self.piece.len();
        }
        Ok(len)
    }
}
