//! Speaks to peers: the hello that tells ours from stock, and the probe job that makes a stock peer
//! say what a compiler name stands for there. One short task per question; no state.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, lookup_host};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::fingerprint::stock;
use crate::fingerprint::{Driver, Toolchain};
use crate::wire::control::HelloReply;
use crate::wire::error::DecodeError;
use crate::wire::hello::{HelloDecoder, encode_hello_request};
use crate::wire::job::Protocol;
use crate::wire::limits::Limits;
use crate::wire::reply::{ReplyDecoder, ReplyStep};
use crate::wire::request::{encode_request_head, encode_source};

/// For the look-up of a listed name; the resolver's own patience is half a minute.
const RESOLVE_DEADLINE: Duration = Duration::from_secs(5);
/// For one address; a machine on the local network that is up answers in a few milliseconds.
const CONNECT_DEADLINE: Duration = Duration::from_secs(3);
/// The same for a first try: there will be another.
const SHORT_CONNECT_DEADLINE: Duration = Duration::from_millis(500);
/// Between the first byte sent and the whole answer to a hello.
const HELLO_DEADLINE: Duration = Duration::from_secs(5);
/// For the probe job: a stock server may have to wait for one of its children.
pub(super) const PROBE_DEADLINE: Duration = Duration::from_secs(20);
/// The object of an empty source is about a kilobyte.
const MAX_PROBE_OBJECT: usize = 1 << 20;
/// A head start that the better address gets over the next one.
const STAGGER: Duration = Duration::from_millis(150);

/// For how long a connection is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Patience {
    /// As long as a machine on the local network can need.
    Full,
    /// As long as nearly all of them need.
    Short,
}

impl Patience {
    fn connect_deadline(self) -> Duration {
        match self {
            Self::Full => CONNECT_DEADLINE,
            Self::Short => SHORT_CONNECT_DEADLINE,
        }
    }
}

/// What a peer answered to a hello.
#[derive(Debug)]
pub(super) enum Answer {
    /// One of ours, by way of this address; none by ssh.
    Ours(Option<SocketAddr>, Box<HelloReply>),
    /// It closed: a stock server.
    Stock(Option<SocketAddr>),
    /// No answer: why, for people, and whether there is anybody at all.
    Failed(String, Contact),
}

/// How far a hello without an answer came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Contact {
    /// The connection was made. A stock server whose children are all busy answers no sooner than
    /// one of them is done; its kernel takes connections meanwhile.
    Taken,
    /// Every address refused: the machine is there and the server is not, or takes nothing new
    /// while it finishes its jobs.
    Refused,
    /// Nobody is there, as far as one can tell.
    Lost,
}

/// What a stock peer answered to a probe job.
#[derive(Debug)]
pub(super) enum Probed {
    /// The name stands for this.
    Known(Box<Toolchain>),
    /// It closed, or answered what no compiler answers.
    Absent,
    /// It could not be reached, or broke off.
    Failed(String),
    /// It took the job and did not finish it in time.
    Late(String),
}

/// The addresses of a listed host; numeric ones, with or without a scope, cost no look-up.
pub(super) async fn resolve(host: &str, port: u16) -> Result<Vec<SocketAddr>, String> {
    // Host and port apart: of `[fe80::1%eth0]:3632` in one piece the system's resolver, which knows
    // what a scope is, would get the brackets too.
    resolved(host, RESOLVE_DEADLINE, lookup_host((host, port))).await
}

/// The look-up's answer within the time that it gets.
async fn resolved(
    host: &str,
    deadline: Duration,
    lookup: impl Future<Output = io::Result<impl Iterator<Item = SocketAddr>>>,
) -> Result<Vec<SocketAddr>, String> {
    let addrs: Vec<SocketAddr> = match timeout(deadline, lookup).await {
        Err(_) => return Err(format!("cannot resolve {host}: the name server does not answer")),
        Ok(Err(e)) => return Err(format!("cannot resolve {host}: {e}")),
        Ok(Ok(found)) => found.collect(),
    };
    if addrs.is_empty() { Err(format!("{host} has no address")) } else { Ok(addrs) }
}

/// Asks the peer at one of `addrs` who it is; the first address that connects is used.
pub(super) async fn hello(addrs: &[SocketAddr], patience: Patience) -> Answer {
    let (mut stream, addr) = match connect(addrs, patience).await {
        Ok(connected) => connected,
        Err(failure) => {
            let contact = if failure.refused { Contact::Refused } else { Contact::Lost };
            return Answer::Failed(failure.reason, contact);
        }
    };
    match timeout(HELLO_DEADLINE, converse_hello(&mut stream)).await {
        Err(_) => Answer::Failed("no answer to a hello".to_owned(), Contact::Taken),
        Ok(Ok(Some(reply))) => Answer::Ours(Some(addr), Box::new(reply)),
        Ok(Ok(None)) => Answer::Stock(Some(addr)),
        Ok(Err(e)) => Answer::Failed(e.to_string(), Contact::Taken),
    }
}

/// Runs `name -v -c` on a source of one empty line at the stock peer.
pub(super) async fn probe(addr: SocketAddr, name: &str) -> Probed {
    let (mut stream, _) = match connect(&[addr], Patience::Full).await {
        Ok(connected) => connected,
        Err(failure) => return Probed::Failed(failure.reason),
    };
    match timeout(PROBE_DEADLINE, converse_probe(&mut stream, name)).await {
        Err(_) => Probed::Late("no answer to a probe job".to_owned()),
        Ok(Ok(Some(toolchain))) => Probed::Known(Box::new(toolchain)),
        Ok(Ok(None)) => Probed::Absent,
        Ok(Err(e)) => Probed::Failed(e.to_string()),
    }
}

/// Why no address could be connected to.
struct Unreachable {
    reason: String,
    /// Every address refused.
    refused: bool,
}

async fn connect(
    addrs: &[SocketAddr],
    patience: Patience,
) -> Result<(TcpStream, SocketAddr), Unreachable> {
    let mut attempts = JoinSet::new();
    for (position, addr) in addrs.iter().copied().enumerate() {
        attempts.spawn(async move {
            sleep(STAGGER.saturating_mul(u32::try_from(position).unwrap_or(u32::MAX))).await;
            match timeout(patience.connect_deadline(), TcpStream::connect(addr)).await {
                Err(_) => Err((format!("{addr}: no answer"), false)),
                Ok(Err(e)) => {
                    let refused = e.kind() == io::ErrorKind::ConnectionRefused;
                    Err((format!("{addr}: {e}"), refused))
                }
                Ok(Ok(stream)) => Ok((stream, addr)),
            }
        });
    }
    let mut reason = "no address".to_owned();
    let mut refused = !addrs.is_empty();
    while let Some(attempt) = attempts.join_next().await {
        match attempt {
            Ok(Ok(connected)) => return Ok(connected),
            Ok(Err((failure, by_refusal))) => {
                reason = failure;
                refused &= by_refusal;
            }
            Err(_) => refused = false,
        }
    }
    Err(Unreachable { reason, refused })
}

/// `None`: the peer closed without a byte, as a stock server does.
pub(super) async fn converse_hello(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
) -> io::Result<Option<HelloReply>> {
    let feed = |decoder: &mut HelloDecoder, mut input: &[u8]| decoder.feed(&mut input);
    converse(stream, &encode_hello_request(), HelloDecoder::new(), feed, HelloDecoder::eof).await
}

/// `None`: the peer refused the job, or its answer is none of a compiler.
pub(super) async fn converse_probe(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    name: &str,
) -> io::Result<Option<Toolchain>> {
    let argv = stock::probe_argv(name, Driver::of_program(name.as_bytes()));
    let mut request = encode_request_head(Protocol::Plain, &argv);
    let source = encode_source(Protocol::Plain, stock::PROBE_SOURCE);
    request.extend(source.map_err(|e| io::Error::other(format!("source of {} bytes", e.len)))?);
    let limits = Limits { object: MAX_PROBE_OBJECT, ..Limits::default() };
    let decoder = ReplyDecoder::new(Protocol::Plain, limits);
    let (mut head, mut object) = (None, Vec::new());
    let feed = |decoder: &mut ReplyDecoder, mut input: &[u8]| loop {
        match decoder.feed(&mut input)? {
            ReplyStep::NeedMore => return Ok(None),
            ReplyStep::Head(answer) => head = Some(answer),
            ReplyStep::Object(piece) => object.extend_from_slice(&piece),
            ReplyStep::Done => return Ok(Some(())),
        }
    };
    let answer = converse(stream, &request, decoder, feed, ReplyDecoder::eof).await?;
    let head = answer.and(head).filter(|head| head.status.success());
    Ok(head.and_then(|head| stock::toolchain(&head.stderr, &object)))
}

/// Sends the question and reads until `feed` has made an answer of what comes. `None`: the peer
/// closed without a byte.
async fn converse<D, T>(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    question: &[u8],
    mut decoder: D,
    mut feed: impl FnMut(&mut D, &[u8]) -> Result<Option<T>, DecodeError>,
    eof: fn(&D) -> Result<(), DecodeError>,
) -> io::Result<Option<T>> {
    if let Err(e) = stream.write_all(question).await {
        return closed(e).map(|()| None);
    }
    let mut buffer = [0; 16 << 10];
    loop {
        let read = match stream.read(&mut buffer).await {
            Ok(read) => read,
            Err(e) => return closed(e).map(|()| None),
        };
        if read == 0 {
            return match eof(&decoder) {
                Err(DecodeError::NoBytes) | Ok(()) => Ok(None),
                Err(e) => Err(nonsense(&e)),
            };
        }
        if let Some(answer) = feed(&mut decoder, &buffer[..read]).map_err(|e| nonsense(&e))? {
            return Ok(Some(answer));
        }
    }
}

/// A peer that closes with our bytes unread resets the connection: that is its refusal.
fn closed(error: io::Error) -> io::Result<()> {
    match error.kind() {
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => Ok(()),
        _ => Err(error),
    }
}

fn nonsense(error: &DecodeError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("nonsense in the answer: {error}"))
}

#[cfg(test)]
mod tests {
    use std::{future, vec};

    use super::*;

    #[tokio::test]
    async fn a_name_server_that_never_answers_is_not_waited_for() {
        let never = future::pending::<io::Result<vec::IntoIter<SocketAddr>>>();
        let answer = resolved("b", Duration::from_millis(1), never).await;
        assert_eq!(answer.unwrap_err(), "cannot resolve b: the name server does not answer");
    }
}
