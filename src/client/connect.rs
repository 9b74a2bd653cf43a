//! A connection to the first of a host's addresses that answers.

use std::collections::VecDeque;
use std::io;
use std::mem;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::libc;
use nix::poll::PollFlags;
use socket2::{Domain, Protocol, Socket, TcpKeepalive, Type};

use super::remote::HostFailure;
use super::watch::{Interruption, Watch};

/// How long an address is alone before the next one is tried beside it (RFC 8305, section 8): a
/// host may have a family that leads nowhere.
const HEAD_START: Duration = Duration::from_millis(200);

/// A silent peer is asked after this long whether it is still there, and then this often.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(10);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);
const KEEPALIVE_PROBES: u32 = 4;

/// Connects to whichever of `addrs` answers first; an earlier one has a head start, and each of
/// them `patience`. The stream does not block.
pub(super) fn connect(
    addrs: &[SocketAddr],
    patience: Duration,
    watch: &mut Watch<'_>,
) -> Result<(TcpStream, SocketAddr), HostFailure> {
    let race = Race {
        untried: addrs.iter().copied().collect(),
        patience,
        attempts: Vec::new(),
        next_at: Instant::now(),
        failure: HostFailure::Unreachable {
            addr: None,
            error: io::Error::from(io::ErrorKind::AddrNotAvailable),
        },
    };
    let (socket, addr) = race.run(watch)?;
    let failed = |error| HostFailure::Unreachable { addr: Some(addr), error };
    set_options(&socket).map_err(failed)?;
    Ok((socket.into(), addr))
}

/// There is no `TCP_USER_TIMEOUT`: it would also end a connection whose peer acknowledges but has
/// no room, as a stock server's backlog does while all of its children are busy.
fn set_options(socket: &Socket) -> io::Result<()> {
    socket.set_tcp_nodelay(true)?;
    let keepalive = TcpKeepalive::new()
        .with_time(KEEPALIVE_IDLE)
        .with_interval(KEEPALIVE_INTERVAL)
        .with_retries(KEEPALIVE_PROBES);
    socket.set_tcp_keepalive(&keepalive)
}

/// A connection in the making.
struct Attempt {
    socket: Socket,
    addr: SocketAddr,
    deadline: Instant,
}

/// Attempts side by side. Those that have not won are closed with it.
struct Race {
    untried: VecDeque<SocketAddr>,
    /// How long each may take.
    patience: Duration,
    attempts: Vec<Attempt>,
    /// When the next address has its turn.
    next_at: Instant,
    /// The last one.
    failure: HostFailure,
}

impl Race {
    fn run(mut self, watch: &mut Watch<'_>) -> Result<(Socket, SocketAddr), HostFailure> {
        loop {
            let now = Instant::now();
            self.drop_late(now);
            while (self.attempts.is_empty() || self.next_at <= now)
                && let Some(addr) = self.untried.pop_front()
            {
                self.next_at = now + HEAD_START;
                match begin(addr) {
                    Ok((socket, Progress::Connected)) => return Ok((socket, addr)),
                    Ok((socket, Progress::UnderWay)) => {
                        let deadline = now + self.patience;
                        self.attempts.push(Attempt { socket, addr, deadline });
                    }
                    Err(error) => self.lost(addr, error, now),
                }
            }
            if self.attempts.is_empty() {
                return Err(self.failure);
            }
            if let Some(winner) = self.wait(now, watch)? {
                return Ok(winner);
            }
        }
    }

    /// Sleeps until an attempt has ended or something is due.
    fn wait(
        &mut self,
        now: Instant,
        watch: &mut Watch<'_>,
    ) -> Result<Option<(Socket, SocketAddr)>, HostFailure> {
        let deadlines = self.attempts.iter().map(|attempt| attempt.deadline);
        let next = (!self.untried.is_empty()).then_some(self.next_at);
        let due = deadlines.chain(next).min().unwrap_or(now);
        let sockets: Vec<_> = self
            .attempts
            .iter()
            .map(|attempt| (attempt.socket.as_fd(), PollFlags::POLLOUT))
            .collect();
        let ready = match watch.wait(&sockets, due.saturating_duration_since(now)) {
            Ok(ready) => ready,
            Err(Interruption::Late) => return Ok(None),
            Err(Interruption::Recalled(reason)) => return Err(HostFailure::Lost(reason)),
            Err(Interruption::Io(error)) => {
                return Err(HostFailure::Unreachable { addr: None, error });
            }
        };
        let attempts = mem::take(&mut self.attempts);
        let mut winner = None;
        for (attempt, is_ready) in attempts.into_iter().zip(ready) {
            if !is_ready {
                self.attempts.push(attempt);
                continue;
            }
            match attempt.socket.take_error() {
                Ok(None) => {
                    winner.get_or_insert((attempt.socket, attempt.addr));
                }
                Ok(Some(error)) | Err(error) => self.lost(attempt.addr, error, now),
            }
        }
        Ok(winner)
    }

    /// An attempt has failed: the next address need not wait.
    fn lost(&mut self, addr: SocketAddr, error: io::Error, now: Instant) {
        self.failure = HostFailure::Unreachable { addr: Some(addr), error };
        self.next_at = now;
    }

    fn drop_late(&mut self, now: Instant) {
        let is_late = |attempt: &mut Attempt| attempt.deadline <= now;
        let late: Vec<Attempt> = self.attempts.extract_if(.., is_late).collect();
        for attempt in late {
            self.lost(attempt.addr, io::Error::from(io::ErrorKind::TimedOut), now);
        }
    }
}

/// How far an attempt is.
enum Progress {
    Connected,
    UnderWay,
}

fn begin(addr: SocketAddr) -> io::Result<(Socket, Progress)> {
    let kind = Type::STREAM.nonblocking();
    let socket = Socket::new(Domain::for_address(addr), kind, Some(Protocol::TCP))?;
    match socket.connect(&addr.into()) {
        Ok(()) => Ok((socket, Progress::Connected)),
        Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => {
            Ok((socket, Progress::UnderWay))
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener};

    use socket2::SockRef;

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    fn listener() -> (TcpListener, SocketAddr) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let addr = listener.local_addr().unwrap();
        (listener, addr)
    }

    /// An address at which nobody answers at all: a listener whose backlog is full drops every
    /// further SYN. The connections that fill it are held by the second value.
    fn silent() -> (Socket, Vec<(Socket, Progress)>, SocketAddr) {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
        socket.listen(0).unwrap();
        let addr = socket.local_addr().unwrap().as_socket().unwrap();
        let held = (0..3).map(|_| begin(addr).unwrap()).collect();
        (socket, held, addr)
    }

    #[test]
    fn the_next_address_is_tried() {
        let closed = listener().1;
        let (_open, addr) = listener();
        let connected = connect(&[closed, addr], LONG, &mut Watch::alone());
        assert_eq!(connected.unwrap().1, addr);
        let failure = connect(&[closed], LONG, &mut Watch::alone()).unwrap_err();
        assert!(failure.to_string().starts_with(&format!("connect to {closed} failed")));
        let failure = connect(&[], LONG, &mut Watch::alone()).unwrap_err();
        assert!(failure.to_string().starts_with("no address"), "{failure}");
    }

    #[test]
    fn an_address_that_says_nothing_does_not_hold_up_the_next_one() {
        let (_full, _held, silent) = silent();
        let (_open, addr) = listener();
        let begun = Instant::now();
        assert_eq!(connect(&[silent, addr], LONG, &mut Watch::alone()).unwrap().1, addr);
        eprintln!("connected after {:?}", begun.elapsed());
        assert_eq!(connect(&[addr, silent], LONG, &mut Watch::alone()).unwrap().1, addr);
    }

    #[test]
    fn an_address_that_says_nothing_is_given_up_in_time() {
        let (_full, _held, silent) = silent();
        let failure =
            connect(&[silent], Duration::from_millis(20), &mut Watch::alone()).unwrap_err();
        let expected = format!("connect to {silent} failed: timed out");
        assert_eq!(failure.to_string(), expected);
    }

    #[test]
    fn no_deadline_of_the_kernel_ends_a_wait_for_a_peer_that_acknowledges() {
        let (_open, addr) = listener();
        let stream = connect(&[addr], LONG, &mut Watch::alone()).unwrap().0;
        let socket = SockRef::from(&stream);
        assert_eq!(socket.tcp_user_timeout().unwrap(), None);
        assert!(socket.keepalive().unwrap());
    }
}
