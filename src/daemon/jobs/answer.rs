//! What the client is told: status, output, object.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::process::ExitStatusExt;
use std::process::{self, ExitStatus};

use tokio::task::spawn_blocking;

use super::compiler::{End, Outcome};
use crate::base::exit;
use crate::daemon::network::connection::{Connection, ConnectionError};
use crate::wire::body::encode_bulk_header;
use crate::wire::error::TooLong;
use crate::wire::job::{Protocol, WaitStatus};
use crate::wire::lzo;
use crate::wire::reply::{ReplyHead, encode_object, encode_reply_head};
use crate::wire::token::DOTO;

/// The exit code for "the compiler took too long" (distcc 3.4, `exitcode.h`).
const EXIT_TIMEOUT: u8 = 118;
/// Objects are read and sent in such pieces; the first goes out together with the head.
const PIECE_LEN: usize = 256 << 10;
/// Longer objects travel as they are in protocol 2, too: a block can only be compressed as a whole,
/// in memory.
const MAX_PACKED: usize = 32 << 20;

/// An answer whose object is still a file, or compressed.
#[derive(Debug)]
pub(crate) struct Answer {
    /// How the compile ended.
    pub(crate) end: AnswerEnd,
    stderr: Vec<u8>,
    stdout: Vec<u8>,
    object: Object,
}

/// What the compiler was to make.
#[derive(Debug)]
enum Object {
    /// It made none.
    None,
    /// As it travels.
    Packed(Vec<u8>),
    /// As it is, between what the protocol wants before and behind it.
    File { head: Vec<u8>, file: File, len: usize, tail: &'static [u8] },
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
    /// The compiler ran; `object` is what it was to make, as it could be opened. To be called while the job has its slot:
    /// compressing takes CPU and memory like a compiler.
    pub(crate) async fn of(
        outcome: Outcome,
        object: io::Result<File>,
        protocol: Protocol,
        limit: usize,
    ) -> Result<Self, AnswerError> {
        let Outcome { end, stdout, mut stderr } = outcome;
        let (end, succeeded) = match end {
            End::Exited(status) => {
                let status = wait_status(status);
                (AnswerEnd::Status(status), status.success())
            }
            End::TimedOut => {
                stderr.extend_from_slice(&note("the compiler took too long and was ended"));
                (AnswerEnd::TimedOut, false)
            }
        };
        let object =
            if succeeded { Object::load(object, protocol, limit).await? } else { Object::None };
        Ok(Self { end, stderr, stdout, object })
    }

    /// The compiler could not be started; the client shows the text.
    pub(crate) fn not_started(compiler: &str, error: &io::Error) -> Self {
        Self {
            end: AnswerEnd::Status(WaitStatus::exited(exit::COMPILER_MISSING)),
            stderr: note(&format!("failed to exec {compiler}: {error}")),
            stdout: Vec::new(),
            object: Object::None,
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
        match self.object {
            Object::None => {
                bytes.extend_from_slice(&bulk_header(0)?);
                connection.send(&bytes).await?;
            }
            Object::Packed(block) => {
                bytes.extend_from_slice(&block);
                drop(block);
                connection.send(&bytes).await?;
            }
            Object::File { head, mut file, len, tail } => {
                bytes.extend_from_slice(&bulk_header(head.len() + len + tail.len())?);
                bytes.extend_from_slice(&head);
                send_file(&mut file, len, bytes, connection).await?;
                connection.send(tail).await?;
            }
        }
        Ok(())
    }
}

impl Object {
    /// Nothing if the compiler made no file: a program such as `true` succeeds without, and the
    /// original then sends an empty one.
    async fn load(
        opened: io::Result<File>,
        protocol: Protocol,
        limit: usize,
    ) -> Result<Self, AnswerError> {
        let measured = measured(opened, limit).map_err(AnswerError::Object)?;
        let Some((mut file, len)) = measured.filter(|(_, len)| *len > 0) else {
            return Ok(Self::None);
        };
        match protocol {
            Protocol::Plain => Ok(Self::File { head: Vec::new(), file, len, tail: &[] }),
            Protocol::Lzo if len > MAX_PACKED => {
                let (head, tail) = lzo::stored(len);
                Ok(Self::File { head, file, len, tail })
            }
            Protocol::Lzo => {
                // Compressing takes milliseconds per MiB, so it has a thread of its own.
                let packed = spawn_blocking(move || {
                    let mut object = vec![0; len];
                    file.read_exact(&mut object).map_err(AnswerError::Object)?;
                    encode_object(protocol, &object).map_err(AnswerError::TooLong)
                });
                let packed = packed.await;
                packed
                    .unwrap_or_else(|error| Err(AnswerError::Object(io::Error::other(error))))
                    .map(Self::Packed)
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

/// The object and its length; none if there is none.
fn measured(opened: io::Result<File>, limit: usize) -> io::Result<Option<(File, usize)>> {
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
        Ok(len) if len <= limit => Ok(Some((file, len))),
        _ => Err(io::Error::other(format!(
            "it has {} bytes, at most {limit} allowed",
            metadata.len()
        ))),
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
