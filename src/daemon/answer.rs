//! What the client is told: status, output, object.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{self, ExitStatus};

use nix::libc;
use tokio::task::spawn_blocking;

use super::compiler::{End, Outcome};
use super::connection::{Connection, ConnectionError};
use crate::base::exit;
use crate::wire::body::encode_bulk_header;
use crate::wire::error::TooLong;
use crate::wire::job::{Protocol, WaitStatus};
use crate::wire::limits::MAX_OBJECT;
use crate::wire::reply::{ReplyHead, encode_object, encode_reply_head};
use crate::wire::token::DOTO;

/// The exit code for "the compiler took too long" (distcc 3.4, `exitcode.h`).
const EXIT_TIMEOUT: u8 = 118;
/// Objects are read and sent in such pieces; the first goes out together with the head.
const PIECE_LEN: usize = 256 << 10;

/// An answer whose object is still a file.
#[derive(Debug)]
pub(crate) struct Answer {
    /// How the compile ended.
    pub(crate) end: AnswerEnd,
    stderr: Vec<u8>,
    stdout: Vec<u8>,
    object: PathBuf,
}

/// How a compile ended, for the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AnswerEnd {
    /// With this status.
    Status(WaitStatus),
    /// We ended it.
    TimedOut,
}

/// Why an answer cannot be sent.
#[derive(Debug)]
pub(crate) enum AnswerError {
    /// The client does not take it.
    Connection(ConnectionError),
    /// The object cannot be read.
    Object(io::Error),
    /// More than a client would accept.
    TooLong(TooLong),
}

impl From<ConnectionError> for AnswerError {
    fn from(error: ConnectionError) -> Self {
        Self::Connection(error)
    }
}

impl Answer {
    /// The compiler ran; `object` is what it was to make.
    pub(crate) fn of(outcome: Outcome, object: PathBuf) -> Self {
        let Outcome { end, stdout, mut stderr } = outcome;
        let end = match end {
            End::Exited(status) => AnswerEnd::Status(wait_status(status)),
            End::TimedOut => {
                stderr.extend_from_slice(&note("the compiler took too long and was ended"));
                AnswerEnd::TimedOut
            }
        };
        Self { end, stderr, stdout, object }
    }

    /// The compiler could not be started; the client shows the text.
    pub(crate) fn not_started(compiler: &str, error: &io::Error) -> Self {
        Self {
            end: AnswerEnd::Status(WaitStatus::exited(exit::COMPILER_MISSING)),
            stderr: note(&format!("failed to exec {compiler}: {error}")),
            stdout: Vec::new(),
            object: PathBuf::new(),
        }
    }

    /// Sends everything.
    pub(crate) async fn send(
        self,
        protocol: Protocol,
        connection: &mut Connection,
    ) -> Result<(), AnswerError> {
        let status = match self.end {
            AnswerEnd::Status(status) => status,
            AnswerEnd::TimedOut => WaitStatus::exited(EXIT_TIMEOUT),
        };
        let head = ReplyHead { status, stderr: self.stderr, stdout: self.stdout };
        let mut bytes = encode_reply_head(protocol, &head).map_err(AnswerError::TooLong)?;
        let object = if status.success() {
            open_object(&self.object).map_err(AnswerError::Object)?
        } else {
            None
        };
        let Some((mut object, len)) = object else {
            bytes.extend_from_slice(&bulk_header(0)?);
            return Ok(connection.send(&bytes).await?);
        };
        match protocol {
            Protocol::Plain => {
                bytes.extend_from_slice(&bulk_header(len)?);
                send_file(&mut object, len, bytes, connection).await
            }
            Protocol::Lzo => {
                // Compressing takes milliseconds per MiB, so it has a thread of its own.
                let packed = spawn_blocking(move || pack(&mut object, len)).await;
                let packed =
                    packed.unwrap_or_else(|e| Err(AnswerError::Object(io::Error::other(e))));
                bytes.extend_from_slice(&packed?);
                Ok(connection.send(&bytes).await?)
            }
        }
    }
}

/// A line in the form of the original's, whose client and test-suite look for it.
fn note(text: &str) -> Vec<u8> {
    format!("distccd[{}] (dcc_compile) ERROR: {text}\n", process::id()).into_bytes()
}

fn wait_status(status: ExitStatus) -> WaitStatus {
    // Only a stopped process has another status, and `wait` does not report those.
    u32::try_from(status.into_raw())
        .ok()
        .and_then(|raw| WaitStatus::from_raw(raw).ok())
        .unwrap_or(WaitStatus::exited(exit::GENERAL))
}

fn bulk_header(len: usize) -> Result<[u8; 12], AnswerError> {
    encode_bulk_header(DOTO, len).map_err(AnswerError::TooLong)
}

/// The object and its length. None if the compiler made none: a program such as `true` succeeds
/// without, and the original then sends an empty file.
fn open_object(path: &Path) -> io::Result<Option<(File, usize)>> {
    let opened = OpenOptions::new()
        .read(true)
        // Only a file of the job's own directory may leave this machine, and no pipe may keep us.
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(path);
    let file = match opened {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::other("the object is no regular file"));
    }
    match usize::try_from(metadata.len()) {
        Ok(len) if len <= MAX_OBJECT => Ok(Some((file, len))),
        _ => Err(io::Error::other(format!("the object has {} bytes", metadata.len()))),
    }
}

/// Sends `bytes` and then the file. Its pieces are read by this thread: they come from the page
/// cache, at memory's speed.
async fn send_file(
    file: &mut File,
    len: usize,
    mut bytes: Vec<u8>,
    connection: &mut Connection,
) -> Result<(), AnswerError> {
    let mut missing = len;
    loop {
        let piece = missing.min(PIECE_LEN);
        let begin = bytes.len();
        bytes.resize(begin + piece, 0);
        file.read_exact(&mut bytes[begin..]).map_err(AnswerError::Object)?;
        missing -= piece;
        connection.send(&bytes).await?;
        if missing == 0 {
            return Ok(());
        }
        bytes.clear();
    }
}

fn pack(file: &mut File, len: usize) -> Result<Vec<u8>, AnswerError> {
    let mut object = vec![0; len];
    file.read_exact(&mut object).map_err(AnswerError::Object)?;
    encode_object(Protocol::Lzo, &object).map_err(AnswerError::TooLong)
}
