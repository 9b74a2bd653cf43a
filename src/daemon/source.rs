//! A job's source on its way into the job's directory: received, expanded, looked at.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use tokio::task::spawn_blocking;

use super::connection::{Connection, ConnectionError};
use super::job::JobError;
use crate::command::{Admitted, guarded, may_be_obeyed, names_compiled_header};
use crate::wire::lzo::decompress;

/// Longest name of a file that a compiler is given; a client's name beyond it is not kept.
const MAX_FILE_NAME: usize = 200;
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
pub(super) async fn receive(connection: &mut Connection, path: &Path) -> Result<(), JobError> {
    let store_error = |error| JobError::from(ConnectionError::Store(error));
    let mut file = create(path).map_err(store_error)?;
    Ok(connection.source(|piece| file.write_all(piece)).await?)
}

fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

/// Expands the compressed source into its file. Only jobs with a slot do so, which bounds the
/// memory that it takes.
pub(super) async fn unpack(dir: &Path, source: &Path, limit: usize) -> Result<(), JobError> {
    let (packed, path) = (dir.join(PACKED_FILE), dir.join(source));
    let store_error = |error| JobError::from(ConnectionError::Store(error));
    // Expanding a large source takes longer than the other connections should wait.
    let unpacked = spawn_blocking(move || {
        let block = fs::read(&packed).map_err(store_error)?;
        let source = decompress(&block, limit).map_err(|error| {
            JobError::Refused(format!("cannot read the request: cannot expand DOTI: {error}"))
        })?;
        create(&path).and_then(|mut file| file.write_all(&source)).map_err(store_error)?;
        fs::remove_file(&packed).map_err(store_error)
    });
    unpacked.await.unwrap_or_else(|error| Err(JobError::Failed(error.to_string())))
}

/// Refuses a source that could have the compiler read a file of this machine, and lets none do so
/// whose directives are obeyed. Like [`unpack`] for jobs with a slot only.
pub(super) async fn look_at(path: PathBuf, obeys_directives: bool) -> Result<(), JobError> {
    let failed = |error: io::Error| JobError::Failed(error.to_string());
    let refused = || JobError::Refused("its source may read files of this machine".to_owned());
    let looked = spawn_blocking(move || {
        let text = fs::read(&path).map_err(failed)?;
        if !obeys_directives {
            return if names_compiled_header(&text) { Err(refused()) } else { Ok(()) };
        }
        let text = guarded(&text).filter(|_| may_be_obeyed(&text)).ok_or_else(refused)?;
        fs::write(&path, text).map_err(failed)
    });
    looked.await.unwrap_or_else(|error| Err(JobError::Failed(error.to_string())))
}
