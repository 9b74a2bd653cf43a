//! One client's socket: reading a request with deadlines, sending the answer, noticing that the
//! client has gone.

use std::fmt::{self, Debug, Display, Formatter};
use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{error::Elapsed, timeout};

use crate::settings::daemon::ServerLimits;
use crate::wire::error::DecodeError;
use crate::wire::limits::Limits;
use crate::wire::request::{RequestDecoder, RequestHead, RequestStep};

/// How much is read at once.
const BUFFER_LEN: usize = 64 << 10;
/// Bytes behind a request that are read and thrown away; who sends more is cut off.
const MAX_EXTRA: usize = 1 << 20;
/// For how long a client that sent too much may read its answer.
const LINGER: Duration = Duration::from_secs(2);

/// Why a conversation ended early.
#[derive(Debug)]
pub(crate) enum ConnectionError {
    /// What came is no request.
    Decode(DecodeError),
    /// Too little came for too long; what was awaited.
    Stalled(&'static str),
    /// The socket failed.
    Io(io::Error),
    /// What came could not be kept.
    Store(io::Error),
}

impl Display for ConnectionError {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Decode(error) => write!(f, "cannot read the request: {error}"),
            Self::Stalled(awaited) => write!(f, "waited in vain for {awaited}"),
            Self::Io(error) => write!(f, "lost the connection: {error}"),
            Self::Store(error) => write!(f, "cannot store the source: {error}"),
        }
    }
}

impl std::error::Error for ConnectionError {}

impl From<DecodeError> for ConnectionError {
    fn from(error: DecodeError) -> Self {
        Self::Decode(error)
    }
}

/// How a conversation begins.
#[derive(Debug)]
pub(crate) enum Opening {
    /// With a job's command line.
    Job(RequestHead),
    /// With the question who we are.
    Hello,
}

/// What a client speaks over.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Debug + Send + Unpin {
    /// Completes when a client that says nothing more does not listen either. A stock server takes
    /// a half-closed TCP connection for a client that has gone.
    fn poll_departure(&mut self, _: &mut Context<'_>) -> Poll<()> {
        Poll::Ready(())
    }

    /// Does closing it while unread bytes are waiting take the answer with it?
    fn loses_answers(&self) -> bool;
}

impl Stream for TcpStream {
    fn loses_answers(&self) -> bool {
        true
    }
}

/// A client that speaks to us.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: Box<dyn Stream>,
    decoder: RequestDecoder,
    limits: ServerLimits,
    buffer: Vec<u8>,
    /// How much of the buffer's front has been decoded.
    n_used: usize,
    n_extra: usize,
    has_answered: bool,
    /// Some of the request was not waited for.
    is_cut_short: bool,
}

impl Connection {
    /// Nothing has been read yet.
    pub(crate) fn new(stream: impl Stream + 'static, limits: ServerLimits) -> Self {
        Self {
            stream: Box::new(stream),
            decoder: RequestDecoder::new(wire_limits(&limits)),
            limits,
            buffer: Vec::with_capacity(BUFFER_LEN),
            n_used: 0,
            n_extra: 0,
            has_answered: false,
            is_cut_short: false,
        }
    }

    /// Reads up to the end of the command line.
    pub(crate) async fn opening(&mut self) -> Result<Opening, ConnectionError> {
        timeout(self.limits.head_time, self.read_opening())
            .await
            .map_err(|_| ConnectionError::Stalled("the command line"))?
    }

    async fn read_opening(&mut self) -> Result<Opening, ConnectionError> {
        loop {
            let mut input = &self.buffer[self.n_used..];
            let step = self.decoder.feed(&mut input)?;
            self.n_used = self.buffer.len() - input.len();
            match step {
                RequestStep::Head(head) => return Ok(Opening::Job(head)),
                RequestStep::Hello => return Ok(Opening::Hello),
                RequestStep::NeedMore => self.fill().await?,
                RequestStep::Source(_) | RequestStep::Done => {
                    unreachable!("the command line comes before the source")
                }
            }
        }
    }

    /// Reads the source, whose pieces go to `store` as they come, compressed as they are.
    pub(crate) async fn source(
        &mut self,
        store: impl FnMut(&[u8]) -> io::Result<()>,
    ) -> Result<(), ConnectionError> {
        timeout(self.limits.source_time, self.read_source(store))
            .await
            .map_err(|_| ConnectionError::Stalled("the end of the source"))?
    }

    async fn read_source(
        &mut self,
        mut store: impl FnMut(&[u8]) -> io::Result<()>,
    ) -> Result<(), ConnectionError> {
        let mut patience = self.limits.first_byte_time;
        loop {
            let mut input = &self.buffer[self.n_used..];
            let step = self.decoder.feed(&mut input)?;
            self.n_used = self.buffer.len() - input.len();
            match step {
                RequestStep::Source(piece) => store(piece).map_err(ConnectionError::Store)?,
                RequestStep::Done => return Ok(()),
                RequestStep::NeedMore => {
                    timeout(patience, self.fill())
                        .await
                        .map_err(|_| ConnectionError::Stalled("the source"))??;
                    patience = self.limits.progress_time;
                }
                RequestStep::Head(_) | RequestStep::Hello => {
                    unreachable!("the command line comes once")
                }
            }
        }
    }

    /// Reads into the buffer, all of which has been decoded.
    async fn fill(&mut self) -> Result<(), ConnectionError> {
        self.buffer.clear();
        self.n_used = 0;
        match self.stream.read_buf(&mut self.buffer).await {
            Ok(0) => {
                self.decoder.eof()?;
                Ok(())
            }
            Ok(_) => Ok(()),
            Err(error) => Err(ConnectionError::Io(error)),
        }
    }

    /// Completes when the client has gone. What comes behind the request is thrown away. May be
    /// dropped and called again.
    pub(crate) async fn departure(&mut self) {
        self.n_extra += self.buffer.len() - self.n_used;
        self.n_used = 0;
        self.buffer.clear();
        while self.n_extra <= MAX_EXTRA {
            match self.stream.read_buf(&mut self.buffer).await {
                Ok(n_read) if n_read > 0 => self.n_extra += n_read,
                Ok(_) => return poll_fn(|context| self.stream.poll_departure(context)).await,
                Err(_) => return,
            }
            self.buffer.clear();
        }
    }

    /// Did bytes come that belong to no request?
    pub(crate) fn has_extra(&self) -> bool {
        self.n_extra > 0 || self.n_used < self.buffer.len()
    }

    /// Sends all of `bytes`.
    pub(crate) async fn send(&mut self, mut bytes: &[u8]) -> Result<(), ConnectionError> {
        self.has_answered = true;
        while !bytes.is_empty() {
            let sent: Result<io::Result<usize>, Elapsed> =
                timeout(self.limits.progress_time, self.stream.write(bytes)).await;
            match sent {
                Ok(Ok(n_sent)) => bytes = &bytes[n_sent..],
                Ok(Err(error)) => return Err(ConnectionError::Io(error)),
                Err(_) => return Err(ConnectionError::Stalled("the client to take its answer")),
            }
        }
        Ok(())
    }

    /// Says that there will be no answer, to a client that understands it. The rest of its request
    /// is still to come, and must not keep it from reading that.
    pub(crate) async fn refuse(&mut self, refusal: &[u8]) {
        if self.decoder.asks_reasons() && !self.has_answered {
            self.is_cut_short = self.send(refusal).await.is_ok();
        }
    }

    /// Ends the connection so that the answer arrives: TCP would be reset by closing while unread
    /// bytes are waiting.
    pub(crate) async fn finish(mut self) {
        let _ = self.stream.shutdown().await;
        if (self.has_extra() || self.is_cut_short) && self.stream.loses_answers() {
            let _ = timeout(LINGER, self.departure()).await;
        }
    }
}

/// What the decoder of a request keeps.
fn wire_limits(limits: &ServerLimits) -> Limits {
    Limits {
        argc: limits.arguments,
        argv_total: limits.argument_bytes,
        body: limits.source_bytes,
        ..Limits::default()
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_source_that_trickles_in_is_not_waited_for_for_ever() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        let limits = ServerLimits::default();
        client.write_all(b"DIST00000001ARGC00000001ARGV00000002ccDOTI00001000").await.unwrap();
        let trickle = async {
            while client.write_all(b" ").await.is_ok() {
                tokio::time::sleep(limits.progress_time / 2).await;
            }
        };
        let mut connection = Connection::new(stream, limits);
        let mut n_stored = 0;
        let read = async {
            connection.opening().await.unwrap();
            connection
                .source(|piece| {
                    n_stored += piece.len();
                    Ok(())
                })
                .await
        };
        let ended = tokio::select! {
            ended = read => ended,
            () = trickle => panic!("the client cannot write"),
        };
        assert!(
            matches!(ended, Err(ConnectionError::Stalled("the end of the source"))),
            "{ended:?} after {n_stored} bytes"
        );
    }
}
