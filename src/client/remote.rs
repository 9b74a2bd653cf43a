//! One job on one host: connect, send the request in one piece, read the answer.

use std::ffi::OsString;
use std::fmt::{self, Display, Formatter};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use socket2::SockRef;

use crate::monitor::record::Phase;
use crate::sys::tcp;
use crate::wire::control::Transfer;
use crate::wire::error::DecodeError;
use crate::wire::job::{Protocol, WaitStatus};
use crate::wire::limits::Limits;
use crate::wire::refusal::Refusal;
use crate::wire::reply::{ReplyDecoder, ReplyHead, ReplyStep};

use super::connect::connect;
use super::log::Log;
use super::ssh::Channel;
use super::watch::{Interruption, Watch};

/// How long the check may take whether a host that closed is still there.
const ALIVE_DEADLINE: Duration = Duration::from_secs(1);

/// A connection on which nothing was said for this long is made anew before it is used: servers
/// give the head of a request a deadline, and a preprocessor may take longer.
const STALE_AFTER: Duration = Duration::from_secs(3);

/// After so long without a word the kernel is made to ask whether the host is still there, and from
/// then on as often. The host may be there while this connection is dead: it got another address,
/// or a router on the way forgot it. Only the connection itself tells.
const CHECK_EVERY: Duration = Duration::from_secs(2);
/// It is not there if it left so many packets in a row unanswered.
const MAX_UNANSWERED: u8 = 4;

/// What may fail, for people.
const SENDING: &str = "sending";
const WAITING: &str = "waiting for the answer";

/// Requests of at least so many bytes tell how fast the network is.
const MEASURED: usize = 64 << 10;

/// Bytes read at once.
const READ_SIZE: usize = 64 << 10;

/// Why a host did not do the job. The job itself may be fine.
#[derive(Debug)]
pub(super) enum HostFailure {
    /// No connection, to the last of its addresses.
    Unreachable {
        /// That address; none if the name has none.
        addr: Option<SocketAddr>,
        /// Why not.
        error: io::Error,
    },
    /// It was there, closed before its first byte, and takes new connections.
    Refused,
    /// It is one of ours and says why it does not take this job.
    Declined(Refusal),
    /// The connection broke.
    Broken {
        /// While doing what.
        during: &'static str,
        /// Why.
        error: io::Error,
    },
    /// It closed before the answer was complete, and takes no new connections.
    Gone,
    /// The agent knows that it no longer answers anybody: why, a lowercase fragment.
    Lost(String),
    /// ssh says why, a fragment.
    Ssh(String),
    /// The answer cannot be read.
    Nonsense(DecodeError),
    /// It claims success and has made nothing.
    NoObject,
}

impl Display for HostFailure {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable { addr: Some(addr), error } => {
                write!(f, "connect to {addr} failed: {error}")
            }
            Self::Unreachable { addr: None, error } => write!(f, "no address: {error}"),
            Self::Refused => f.write_str("closed the connection without an answer"),
            Self::Declined(refusal) => write!(f, "refused: {}", refusal.reason),
            Self::Broken { during, error } => write!(f, "{during} failed: {error}"),
            Self::Gone => f.write_str("vanished while it had the job"),
            Self::Lost(reason) => write!(f, "was lost: {reason}"),
            Self::Ssh(said) => f.write_str(said),
            Self::NoObject => f.write_str("reported success without a result"),
            Self::Nonsense(error) => write!(f, "cannot read the answer: {error}"),
        }
    }
}

/// What is sent to a host.
#[derive(Debug)]
pub(super) struct Request {
    /// All of it.
    pub(super) bytes: Vec<u8>,
    /// In which it is.
    pub(super) protocol: Protocol,
    /// It asks for the reason of a refusal.
    pub(super) asks_reasons: bool,
}

/// What the compiler on a host made of the job.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Reply {
    /// How it ended.
    pub(super) status: WaitStatus,
    /// Its standard error.
    pub(super) stderr: Vec<u8>,
    /// Its standard output.
    pub(super) stdout: Vec<u8>,
    /// The object, if it succeeded.
    pub(super) object: Vec<u8>,
}

/// A connection on which nothing has been said.
#[derive(Debug)]
pub(super) struct Connection<'a> {
    way: Way<'a>,
    since: Instant,
}

/// What a connection is made of.
#[derive(Debug)]
enum Way<'a> {
    Tcp {
        stream: TcpStream,
        addr: SocketAddr,
        /// How long connecting may take.
        patience: Duration,
    },
    Ssh(Box<Channel<'a>>),
}

impl<'a> Connection<'a> {
    /// Connects to the first of `addrs` that answers. `patience` is how long one of them may take.
    pub(super) fn open(
        addrs: &[SocketAddr],
        patience: Duration,
        watch: &mut Watch<'_>,
    ) -> Result<Self, HostFailure> {
        let (stream, addr) = connect(addrs, patience, watch)?;
        Ok(Self { way: Way::Tcp { stream, addr, patience }, since: Instant::now() })
    }

    /// Starts this ssh, which connects while the source is made.
    pub(super) fn open_ssh(argv: Vec<OsString>, log: &'a Log) -> Result<Self, HostFailure> {
        Channel::open(argv, log).map(Self::over)
    }

    fn over(channel: Channel<'a>) -> Self {
        Self { way: Way::Ssh(Box::new(channel)), since: Instant::now() }
    }

    /// Sends `request` and waits for the answer. `stall` is how long nothing may happen. Tells too
    /// how the request went over the wire.
    pub(super) fn exchange(
        mut self,
        request: &Request,
        stall: Duration,
        watch: &mut Watch<'_>,
    ) -> Result<(Reply, Transfer), HostFailure> {
        let is_stale = self.since.elapsed() > STALE_AFTER;
        let has_spoken = self.has_spoken();
        match &mut self.way {
            Way::Tcp { addr, patience, .. } if is_stale || has_spoken => {
                self = Self::open(&[*addr], *patience, watch)?;
            }
            Way::Ssh(channel) if is_stale => self = Self::over(channel.renewed(has_spoken)?),
            Way::Tcp { .. } | Way::Ssh(_) => {}
        }
        let exchanged = self.talk(request, stall, watch);
        match (&mut self.way, exchanged) {
            (Way::Tcp { stream, .. }, Err(failure @ HostFailure::Lost(_))) => {
                // What is still in the kernel's hands is not to reach whoever has that address next.
                let _ = SockRef::from(&*stream).set_linger(Some(Duration::ZERO));
                Err(failure)
            }
            (Way::Ssh(channel), Err(failure @ (HostFailure::Refused | HostFailure::Gone))) => {
                Err(channel.explain(failure))
            }
            (_, exchanged) => exchanged,
        }
    }

    fn talk(
        &self,
        request: &Request,
        stall: Duration,
        watch: &mut Watch<'_>,
    ) -> Result<(Reply, Transfer), HostFailure> {
        let Request { bytes, protocol, asks_reasons } = request;
        let mut talk = Talk { way: &self.way, stall, watch };
        let sent = talk.send(bytes)?;
        talk.watch.enter(Phase::Compile);
        let limits = Limits::default();
        let mut decoder = match asks_reasons {
            true => ReplyDecoder::of_ours(*protocol, limits),
            false => ReplyDecoder::new(*protocol, limits),
        };
        match talk.read_reply(&mut decoder) {
            // A server may refuse without reading all of the request; what it answered counts.
            Ok(reply) => Ok((reply, self.transfer(bytes.len()))),
            Err(failure) => Err(match (failure, sent) {
                (HostFailure::Nonsense(DecodeError::NoBytes), _) => self.refused_or_gone(),
                (HostFailure::Nonsense(DecodeError::Refused(refusal)), _) => {
                    HostFailure::Declined(refusal)
                }
                (HostFailure::Nonsense(DecodeError::Truncated { .. }), _) => HostFailure::Gone,
                (HostFailure::Broken { .. }, Sent::Part(error)) => {
                    HostFailure::Broken { during: SENDING, error }
                }
                (failure, _) => failure,
            }),
        }
    }

    /// A small request says nothing of the network: it fits into what is sent unasked.
    fn transfer(&self, len: usize) -> Transfer {
        let Way::Tcp { stream, addr, .. } = &self.way else { return Transfer::default() };
        let addr = Some(*addr);
        let sending = (len >= MEASURED).then(|| tcp::sending(stream).ok().flatten());
        match sending.flatten() {
            None => Transfer { addr, ..Transfer::default() },
            Some(sending) => {
                let busy = sending.time_on_wire().as_micros();
                let busy_us = u64::try_from(busy).unwrap_or(u64::MAX);
                Transfer { addr, acked: sending.acked, busy_us }
            }
        }
    }

    /// True if the host closed or spoke before it was asked: no server does that, but some other
    /// service on a wrong port may, and a server that restarted in between.
    fn has_spoken(&self) -> bool {
        let mut fds = [PollFd::new(self.way.fd(), PollFlags::POLLIN)];
        !matches!(poll(&mut fds, PollTimeout::ZERO), Ok(0))
    }

    /// A close without a byte is how a stock server refuses, and also how a killed one ends.
    fn refused_or_gone(&self) -> HostFailure {
        let Way::Tcp { addr, .. } = &self.way else { return HostFailure::Refused };
        match TcpStream::connect_timeout(addr, ALIVE_DEADLINE) {
            Ok(_) => HostFailure::Refused,
            Err(_) => HostFailure::Gone,
        }
    }
}

impl Way<'_> {
    fn fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp { stream, .. } => stream.as_fd(),
            Self::Ssh(channel) => channel.fd(),
        }
    }

    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp { stream, .. } => (&*stream).write(bytes),
            Self::Ssh(channel) => channel.stream().write(bytes),
        }
    }

    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp { stream, .. } => (&*stream).read(buffer),
            Self::Ssh(channel) => channel.stream().read(buffer),
        }
    }
}

/// How much of a request went out.
enum Sent {
    All,
    /// The other end reads no more.
    Part(io::Error),
}

/// Request and answer on one connection, which does not block.
struct Talk<'a, 'w> {
    way: &'a Way<'a>,
    stall: Duration,
    watch: &'a mut Watch<'w>,
}

impl Talk<'_, '_> {
    fn send(&mut self, request: &[u8]) -> Result<Sent, HostFailure> {
        let mut rest = request;
        while !rest.is_empty() {
            // Before the first byte too: the place may have been lost while the source was made.
            if self.wait(&[PollFlags::POLLOUT, PollFlags::POLLIN], SENDING)?[1] {
                // No server answers what it has not read, but by refusing it or by going away.
                return Ok(Sent::Part(io::ErrorKind::BrokenPipe.into()));
            }
            match self.way.write(rest) {
                Ok(n_written) => rest = &rest[n_written..],
                Err(error) if is_passing(&error) => {}
                Err(error) => return Ok(Sent::Part(error)),
            }
        }
        Ok(Sent::All)
    }

    fn read_reply(&mut self, decoder: &mut ReplyDecoder) -> Result<Reply, HostFailure> {
        let mut head = None;
        let mut answering = false;
        let mut object = Vec::new();
        let mut buffer = vec![0; READ_SIZE];
        loop {
            self.wait(&[PollFlags::POLLIN], WAITING)?;
            let n_read = match self.way.read(&mut buffer) {
                Ok(n_read) => n_read,
                Err(error) if is_passing(&error) => continue,
                // What a server left unread turns its close into a reset.
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => 0,
                Err(error) => return Err(HostFailure::Broken { during: WAITING, error }),
            };
            if !answering {
                answering = true;
                self.watch.enter(Phase::Receive);
            }
            if n_read == 0 {
                let ended = decoder.eof().map_err(HostFailure::Nonsense);
                return ended.and(Err(HostFailure::Gone));
            }
            let mut input = &buffer[..n_read];
            loop {
                match decoder.feed(&mut input).map_err(HostFailure::Nonsense)? {
                    ReplyStep::NeedMore => break,
                    ReplyStep::Head(reply_head) => head = Some(reply_head),
                    ReplyStep::Object(chunk) => object.extend_from_slice(&chunk),
                    ReplyStep::Done => {
                        let ReplyHead { status, stderr, stdout } =
                            head.expect("a complete answer has a head");
                        return Ok(Reply { status, stderr, stdout, object });
                    }
                }
            }
        }
    }

    /// Waits for one of these, and tells which are there.
    fn wait(
        &mut self,
        wanted: &[PollFlags],
        during: &'static str,
    ) -> Result<Vec<bool>, HostFailure> {
        let sockets: Vec<_> = wanted.iter().map(|wanted| (self.way.fd(), *wanted)).collect();
        let mut left = self.stall;
        loop {
            let patience = left.min(CHECK_EVERY);
            let error = match self.watch.wait(&sockets, patience) {
                Ok(ready) => return Ok(ready),
                Err(Interruption::Recalled(reason)) => return Err(HostFailure::Lost(reason)),
                Err(Interruption::Late) if left > patience => {
                    left -= patience;
                    match self.check() {
                        Ok(()) => continue,
                        Err(error) => error,
                    }
                }
                Err(Interruption::Late) => io::ErrorKind::TimedOut.into(),
                Err(Interruption::Io(error)) => error,
            };
            return Err(HostFailure::Broken { during, error });
        }
    }

    /// Is the other end still there? Costs quick jobs nothing.
    fn check(&self) -> io::Result<()> {
        // ssh ends by itself when its host does not answer.
        let Way::Tcp { stream, .. } = self.way else { return Ok(()) };
        tcp::keep_asking(stream, CHECK_EVERY)?;
        match tcp::unanswered(stream)? {
            0..MAX_UNANSWERED => Ok(()),
            n => Err(io::Error::new(
                io::ErrorKind::TimedOut,
                format!("the host left {n} packets unanswered"),
            )),
        }
    }
}

/// Nothing can be read or written after all.
fn is_passing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock)
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener};
    use std::os::unix::net::UnixStream;
    use std::thread;

    use crate::wire::control::{AgentMessage, frame};
    use crate::wire::refusal::{Scope, encode_refusal};

    use super::super::agent_link::AgentLink;
    use super::*;

    const STALL: Duration = Duration::from_secs(60);

    fn plain(bytes: Vec<u8>) -> Request {
        Request { bytes, protocol: Protocol::Plain, asks_reasons: false }
    }

    /// A server for one connection, which then listens on if `lives`.
    fn exchange_with(
        lives: bool,
        serve: impl FnOnce(TcpStream) + Send + 'static,
    ) -> Result<Reply, HostFailure> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let addr = listener.local_addr().unwrap();
        let server = thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            let listener = lives.then_some(listener);
            serve(stream);
            listener
        });
        let watch = &mut Watch::alone();
        let connection = Connection::open(&[addr], STALL, watch).unwrap();
        let done = connection.exchange(&plain(b"request".to_vec()), STALL, watch);
        drop(server.join().unwrap());
        done.map(|(reply, transfer)| {
            assert_eq!(transfer, Transfer { addr: Some(addr), ..Transfer::default() });
            reply
        })
    }

    fn answer(mut stream: TcpStream, bytes: &[u8]) {
        let mut request = [0; 7];
        stream.read_exact(&mut request).unwrap();
        assert_eq!(&request, b"request");
        stream.write_all(bytes).unwrap();
    }

    #[test]
    fn reads_an_answer_to_its_end() {
        let reply = exchange_with(true, |stream| {
            answer(stream, b"DONE00000001STAT00000000SERR00000001wSOUT00000000DOTO00000003ELF");
        });
        let expected = Reply {
            status: WaitStatus::SUCCESS,
            stderr: b"w".to_vec(),
            stdout: Vec::new(),
            object: b"ELF".to_vec(),
        };
        assert_eq!(reply.unwrap(), expected);
    }

    #[test]
    fn tells_a_refusal_from_a_host_that_vanished() {
        let refused = exchange_with(true, |stream| answer(stream, b""));
        assert!(matches!(refused, Err(HostFailure::Refused)), "{refused:?}");
        let gone = exchange_with(false, |stream| answer(stream, b""));
        assert!(matches!(gone, Err(HostFailure::Gone)), "{gone:?}");
        let cut = exchange_with(true, |stream| answer(stream, b"DONE00000001STAT"));
        assert!(matches!(cut, Err(HostFailure::Gone)), "{cut:?}");
    }

    #[test]
    fn a_reason_is_read_although_the_request_is_not() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let addr = listener.local_addr().unwrap();
        let refusal = Refusal::new(Scope::Machine, "it is full");
        let says = encode_refusal(&refusal);
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.read_exact(&mut [0; 100]).unwrap();
            stream.write_all(&says).unwrap();
            // Bytes that nobody reads turn this close into a reset.
        });
        let watch = &mut Watch::alone();
        let connection = Connection::open(&[addr], STALL, watch).unwrap();
        let request = Request { asks_reasons: true, ..plain(vec![0; 32 << 20]) };
        let ended = connection.exchange(&request, STALL, watch);
        server.join().unwrap();
        assert!(
            matches!(&ended, Err(HostFailure::Declined(said)) if *said == refusal),
            "{ended:?}"
        );
    }

    #[test]
    fn nonsense_is_named() {
        let reply = exchange_with(true, |stream| answer(stream, b"HTTP/1.0 200 OK\r\n\r\n"));
        assert!(matches!(reply, Err(HostFailure::Nonsense(_))), "{reply:?}");
    }

    #[test]
    fn a_host_that_takes_nothing_is_given_up_after_the_stall_deadline() {
        // It reads nothing, so that its socket's buffers fill.
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let addr = listener.local_addr().unwrap();
        let watch = &mut Watch::alone();
        let connection = Connection::open(&[addr], STALL, watch).unwrap();
        let request = plain(vec![0; 32 << 20]);
        let stall = Duration::from_millis(20);
        let failure = connection.exchange(&request, stall, watch).unwrap_err();
        assert_eq!(failure.to_string(), "sending failed: timed out");
    }

    /// The word of an agent that takes the place with the key 7 back.
    fn recall() -> Vec<u8> {
        let reason = "it does not answer".to_owned();
        frame(&AgentMessage::Recalled { key: 7, reason }).unwrap()
    }

    #[test]
    fn what_was_not_sent_before_a_recall_is_never_sent() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let addr = listener.local_addr().unwrap();
        let (ours, mut agents) = UnixStream::pair().unwrap();
        let mut link = AgentLink::over(ours).unwrap();
        let connection = Connection::open(&[addr], STALL, &mut Watch::alone()).unwrap();
        let mut host = listener.accept().unwrap().0;
        let recaller = thread::spawn(move || {
            host.read_exact(&mut [0]).unwrap();
            agents.write_all(&recall()).unwrap();
            (host, agents)
        });
        let watch = &mut Watch::with_agent(&mut link, 7);
        let request = plain(vec![0; 32 << 20]);
        let ended = connection.exchange(&request, STALL, watch);
        assert_eq!(ended.unwrap_err().to_string(), "was lost: it does not answer");
        let (mut host, _agents) = recaller.join().unwrap();
        let read = host.read_to_end(&mut Vec::new()).map_err(|error| error.kind());
        assert_eq!(read, Err(io::ErrorKind::ConnectionReset));
    }

    #[test]
    fn a_place_that_was_recalled_before_the_request_gets_none_of_it() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let addr = listener.local_addr().unwrap();
        let connection = Connection::open(&[addr], STALL, &mut Watch::alone()).unwrap();
        let mut host = listener.accept().unwrap().0;
        let (ours, mut agents) = UnixStream::pair().unwrap();
        let mut link = AgentLink::over(ours).unwrap();
        // As while the preprocessor runs.
        agents.write_all(&recall()).unwrap();
        let watch = &mut Watch::with_agent(&mut link, 7);
        let ended = connection.exchange(&plain(b"request".to_vec()), STALL, watch);
        assert!(matches!(ended, Err(HostFailure::Lost(_))), "{ended:?}");
        let mut got = Vec::new();
        // Cut off, it gets an error after all that has arrived.
        let _ = host.read_to_end(&mut got);
        assert_eq!(got, b"");
    }
}
