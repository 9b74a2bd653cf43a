//! A job's source on its way into the job's directory: received, expanded, looked at.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use tokio::task::spawn_blocking;

use super::job::JobError;
use super::workspace::JobFiles;
use crate::command::{Admitted, guarded, may_be_obeyed, names_files};
use crate::daemon::network::connection::{Connection, ConnectionError};
use crate::wire::lzo::{ExpandError, expand};

/// Longest name of a file that a compiler is given; a client's name beyond it is not kept.
const MAX_FILE_NAME: usize = 200;
/// How much of a source is looked at once.
const PIECE_LEN: usize = 256 << 10;
/// How much of a piece is looked at again with the next: more than any words that are looked for,
/// with the blanks between them.
const OVERLAP: usize = 8 << 10;
/// A compressed source as it came. No source or object is called so.
pub(super) const PACKED_FILE: &str = "source.lzo";

/// What the source is called in its job's directory: as the client calls it, so that diagnostics
/// are alike, with the suffix that tells the compiler what is in it.
pub(super) fn source_name(admitted: &Admitted) -> String {
    let name = String::from_utf8_lossy(&admitted.source);
    let stem = Path::new(&*name).file_stem().and_then(OsStr::to_str).unwrap_or_default();
    let is_usable = !stem.is_empty()
        && stem.len() <= MAX_FILE_NAME
        && !stem.starts_with('-')
        && !stem.starts_with('@')
        && !stem.contains(|c: char| c.is_control());
    format!("{}{}", if is_usable { stem } else { "source" }, admitted.suffix)
}

/// Puts the source, as it comes, into a file: jobs that wait for a slot hold no memory. The pieces
/// are written by this thread: they go to the page cache, at memory's speed.
pub(super) async fn receive(
    connection: &mut Connection,
    files: &JobFiles,
    name: &Path,
) -> Result<(), JobError> {
    let store_error = |error| JobError::from(ConnectionError::Store(error));
    let mut file = files.create(name).map_err(store_error)?;
    Ok(connection.source(|piece| file.write_all(piece)).await?)
}

/// Expands the compressed source into its file. Only jobs with a slot do so, which bounds the
/// place on the disk that it takes; memory it takes none to speak of.
pub(super) async fn unpack(files: JobFiles, source: PathBuf, limit: usize) -> Result<(), JobError> {
    let packed = Path::new(PACKED_FILE);
    // Expanding a large source takes longer than the other connections should wait.
    let unpacked = spawn_blocking(move || {
        let expanded = files
            .open(packed)
            .and_then(|block| Ok((block, files.create(&source)?)))
            .map_err(ExpandError::Io)
            .and_then(|(block, source)| expand(block, limit, source))
            .and_then(|()| files.remove(packed).map_err(ExpandError::Io));
        expanded.map_err(|error| match error {
            ExpandError::Io(error) => JobError::from(ConnectionError::Store(error)),
            ExpandError::Block(error) => {
                JobError::Refused(format!("cannot read the request: cannot expand DOTI: {error}"))
            }
        })
    });
    unpacked.await.unwrap_or_else(|error| Err(JobError::Failed(error.to_string())))
}

/// Refuses a source that could have the compiler read a file of this machine, and lets none do so
/// whose directives are obeyed. Like [`unpack`] for jobs with a slot only.
pub(super) async fn look_at(
    files: JobFiles,
    name: PathBuf,
    obeys_directives: bool,
) -> Result<(), JobError> {
    let failed = |error: io::Error| JobError::Failed(error.to_string());
    let refused = || JobError::Refused("its source may read files of this machine".to_owned());
    let looked = spawn_blocking(move || {
        let mut file = files.open(&name).map_err(failed)?;
        if !obeys_directives {
            return match any_piece(file, names_files) {
                Ok(true) => Err(refused()),
                Ok(false) => Ok(()),
                Err(error) => Err(failed(error)),
            };
        }
        let mut text = Vec::new();
        file.read_to_end(&mut text).map_err(failed)?;
        // Looking takes a copy of the text, too, which is gone before the next is made.
        let harmless = may_be_obeyed(&text).then(|| guarded(&text)).flatten();
        let text = harmless.ok_or_else(refused)?;
        files.rewrite(&name).and_then(|mut file| file.write_all(&text)).map_err(failed)
    });
    looked.await.unwrap_or_else(|error| Err(JobError::Failed(error.to_string())))
}

/// Does this hold for a piece of the file? Whatever is shorter than [`OVERLAP`] is in one piece.
fn any_piece(mut file: File, holds: impl Fn(&[u8]) -> bool) -> io::Result<bool> {
    let mut piece = Vec::with_capacity(PIECE_LEN + OVERLAP);
    loop {
        let kept = piece.len().min(OVERLAP);
        piece.drain(..piece.len() - kept);
        if (&mut file).take(PIECE_LEN as u64).read_to_end(&mut piece)? == 0 {
            return Ok(false);
        }
        if holds(&piece) {
            return Ok(true);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_word_is_found_wherever_it_stands() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.i");
        for begin in [0, 1, PIECE_LEN - 7, PIECE_LEN, 2 * PIECE_LEN - 1, 3 * PIECE_LEN] {
            let mut text = vec![b' '; begin];
            text.extend_from_slice(b"pch_preprocess");
            fs::write(&path, &text).unwrap();
            assert!(any_piece(File::open(&path).unwrap(), names_files).unwrap(), "{begin}");
            text.pop();
            fs::write(&path, &text).unwrap();
            assert!(!any_piece(File::open(&path).unwrap(), names_files).unwrap(), "{begin}");
        }
    }
}
