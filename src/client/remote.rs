//! One job on one host: connect, send the request in one piece, read the answer.

use std::fmt::{self, Display, Formatter};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use socket2::{SockRef, TcpKeepalive};

use crate::wire::error::DecodeError;
use crate::wire::job::{Protocol, WaitStatus};
use crate::wire::limits::Limits;
use crate::wire::reply::{ReplyDecoder, ReplyHead, ReplyStep};

/// How long connecting to one address may take, as in the original.
const CONNECT_DEADLINE: Duration = Duration::from_secs(4);

/// How long the check may take whether a host that closed is still there.
const ALIVE_DEADLINE: Duration = Duration::from_secs(1);

/// A connection on which nothing was said for this long is made anew before it is used: servers
/// give the head of a request a deadline, and a preprocessor may take longer.
const STALE_AFTER: Duration = Duration::from_secs(3);

/// A silent peer is asked after this long whether it is still there, and then this often.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(10);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);
const KEEPALIVE_PROBES: u32 = 4;

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
    /// The connection broke.
    Broken {
        /// While doing what.
        during: &'static str,
        /// Why.
        error: io::Error,
    },
    /// It closed before the answer was complete, and takes no new connections.
    Gone,
    /// The answer cannot be read.
    Nonsense(DecodeError),
}

impl Display for HostFailure {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable { addr: Some(addr), error } => {
                write!(f, "connect to {addr} failed: {error}")
            }
            Self::Unreachable { addr: None, error } => write!(f, "no address: {error}"),
            Self::Refused => f.write_str("closed the connection without an answer"),
            Self::Broken { during, error } => write!(f, "{during} failed: {error}"),
            Self::Gone => f.write_str("vanished while it had the job"),
            Self::Nonsense(error) => write!(f, "cannot read the answer: {error}"),
        }
    }
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
pub(super) struct Connection {
    stream: TcpStream,
    addr: SocketAddr,
    since: Instant,
}

impl Connection {
    /// Connects to the first of `addrs` that answers.
    pub(super) fn open(addrs: &[SocketAddr], stall: Duration) -> Result<Self, HostFailure> {
        let mut failure = HostFailure::Unreachable {
            addr: None,
            error: io::Error::from(io::ErrorKind::AddrNotAvailable),
        };
        for addr in addrs {
            match connect(addr, stall) {
                Ok(stream) => {
                    return Ok(Self { stream, addr: *addr, since: Instant::now() });
                }
                Err(error) => {
                    failure = HostFailure::Unreachable { addr: Some(*addr), error };
                }
            }
        }
        Err(failure)
    }

    /// Sends `request` and waits for the answer. `stall` is how long nothing may happen.
    pub(super) fn exchange(
        mut self,
        request: &[u8],
        protocol: Protocol,
        stall: Duration,
    ) -> Result<Reply, HostFailure> {
        if self.since.elapsed() > STALE_AFTER || self.has_spoken() {
            self = Self::open(&[self.addr], stall)?;
        }
        let sent = self.stream.write_all(request);
        let mut decoder = ReplyDecoder::new(protocol, Limits::default());
        match self.read_reply(&mut decoder) {
            // A server may refuse without reading all of the request; what it answered counts.
            Ok(reply) => Ok(reply),
            Err(failure) => Err(match (failure, sent) {
                (HostFailure::Nonsense(DecodeError::NoBytes), _) => self.refused_or_gone(),
                (HostFailure::Nonsense(DecodeError::Truncated { .. }), _) => HostFailure::Gone,
                (HostFailure::Broken { .. }, Err(error)) => {
                    HostFailure::Broken { during: "sending", error }
                }
                (failure, _) => failure,
            }),
        }
    }

    /// True if the host closed or spoke before it was asked: no server does that, but some other
    /// service on a wrong port may, and a server that restarted in between.
    fn has_spoken(&self) -> bool {
        let mut fds = [PollFd::new(self.stream.as_fd(), PollFlags::POLLIN)];
        !matches!(poll(&mut fds, PollTimeout::ZERO), Ok(0))
    }

    fn read_reply(&mut self, decoder: &mut ReplyDecoder) -> Result<Reply, HostFailure> {
        let mut head = None;
        let mut object = Vec::new();
        let mut buffer = vec![0; READ_SIZE];
        loop {
            let n_read = match self.stream.read(&mut buffer) {
                Ok(n_read) => n_read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                // What a server left unread turns its close into a reset.
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => 0,
                Err(error) => return Err(broken_while_waiting(error)),
            };
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

    /// A close without a byte is how a stock server refuses, and also how a killed one ends.
    fn refused_or_gone(&self) -> HostFailure {
        match TcpStream::connect_timeout(&self.addr, ALIVE_DEADLINE) {
            Ok(_) => HostFailure::Refused,
            Err(_) => HostFailure::Gone,
        }
    }
}

fn broken_while_waiting(error: io::Error) -> HostFailure {
    let error = match error.kind() {
        // How a read deadline shows itself.
        io::ErrorKind::WouldBlock => io::Error::from(io::ErrorKind::TimedOut),
        _ => error,
    };
    HostFailure::Broken { during: "waiting for the answer", error }
}

/// There is no `TCP_USER_TIMEOUT`: it would also end a connection whose peer acknowledges but has
/// no room, as a stock server's backlog does while all of its children are busy.
fn connect(addr: &SocketAddr, stall: Duration) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(addr, CONNECT_DEADLINE)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(stall))?;
    stream.set_write_timeout(Some(stall))?;
    let keepalive = TcpKeepalive::new()
        .with_time(KEEPALIVE_IDLE)
        .with_interval(KEEPALIVE_INTERVAL)
        .with_retries(KEEPALIVE_PROBES);
    let socket = SockRef::from(&stream);
    socket.set_tcp_keepalive(&keepalive)?;
    Ok(stream)
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener};
    use std::thread;

    use super::*;

    const STALL: Duration = Duration::from_secs(60);

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
        let connection = Connection::open(&[addr], STALL).unwrap();
        let reply = connection.exchange(b"request", Protocol::Plain, STALL);
        drop(server.join().unwrap());
        reply
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
    fn nonsense_is_named() {
        let reply = exchange_with(true, |stream| answer(stream, b"HTTP/1.0 200 OK\r\n\r\n"));
        assert!(matches!(reply, Err(HostFailure::Nonsense(_))), "{reply:?}");
    }

    #[test]
    fn only_the_stall_deadline_ends_a_wait_for_a_peer_that_acknowledges() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let addr = listener.local_addr().unwrap();
        let connection = Connection::open(&[addr], STALL).unwrap();
        let socket = SockRef::from(&connection.stream);
        assert_eq!(socket.tcp_user_timeout().unwrap(), None);
        assert!(socket.keepalive().unwrap());
        assert_eq!(connection.stream.read_timeout().unwrap(), Some(STALL));
    }

    #[test]
    fn the_next_address_is_tried() {
        let closed = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
        let open = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let addr = open.local_addr().unwrap();
        assert_eq!(Connection::open(&[closed, addr], STALL).unwrap().addr, addr);
        let failure = Connection::open(&[closed], STALL).unwrap_err();
        assert!(failure.to_string().starts_with(&format!("connect to {closed} failed")));
    }
}
