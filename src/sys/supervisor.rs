//! What systemd gives to a service and wants to hear of it: sockets that listen already
//! (`sd_listen_fds(3)`), and words about its state (`sd_notify(3)`).

use std::env;
use std::io;
use std::net::TcpListener;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::process;
use std::thread;
use std::time::Duration;

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::time::{ClockId, clock_gettime};
use socket2::{Domain, Socket, Type};

/// The first descriptor that is given.
const FIRST_SOCKET: RawFd = 3;
/// More than anybody has; a number of sockets beyond it is a mistake.
const MAX_SOCKETS: RawFd = 64;

/// What is said at every period of the watchdog.
const ALIVE: &str = "WATCHDOG=1";
/// How often other words are tried again while the manager takes none, and after which pause.
const ATTEMPTS: u32 = 50;
const PAUSE: Duration = Duration::from_millis(20);

/// How many of our descriptors behind the standard three are sockets of systemd's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct GivenSockets(RawFd);

impl GivenSockets {
    /// For programs that take none.
    pub(crate) const NONE: Self = Self(0);

    /// None if the variables are not there or are meant for another process.
    pub(crate) fn from_environment() -> Self {
        let number = |name| env::var(name).ok()?.parse::<u32>().ok();
        let is_ours = number("LISTEN_PID") == Some(process::id());
        let count = number("LISTEN_FDS").filter(|_| is_ours).and_then(|n| RawFd::try_from(n).ok());
        Self(count.filter(|n| *n <= MAX_SOCKETS).unwrap_or(0))
    }

    /// Nothing was given.
    pub(crate) const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The first descriptor that is not one of them.
    pub(super) const fn end(self) -> RawFd {
        FIRST_SOCKET + self.0
    }

    /// Takes them over; no compiler inherits them. To be called once. What is no listening TCP
    /// socket is an error.
    #[expect(unsafe_code, reason = "the numbers of descriptors come from the environment")]
    pub(crate) fn take(self) -> io::Result<Vec<TcpListener>> {
        let take_one = |number| {
            // SAFETY: systemd says that the descriptor is open and ours; nothing else in this
            // process owns it, since it was open before the process began, and the caller takes
            // it once.
            let fd = unsafe { OwnedFd::from_raw_fd(number) };
            let owned = fcntl(&fd, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC));
            owned.map_err(io::Error::from).and_then(|_| listener(fd))
        };
        (FIRST_SOCKET..self.end())
            .map(|number| {
                let described = |error| io::Error::other(format!("descriptor {number}: {error}"));
                take_one(number).map_err(described)
            })
            .collect()
    }
}

fn listener(fd: OwnedFd) -> io::Result<TcpListener> {
    let socket = Socket::from(fd);
    let is_tcp = [Domain::IPV4, Domain::IPV6].contains(&socket.domain()?)
        && socket.r#type()? == Type::STREAM;
    if !is_tcp || !socket.is_listener()? {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a TCP socket that listens"));
    }
    Ok(socket.into())
}

/// Tells the service manager that started us, if it wants to know.
#[derive(Debug)]
pub(crate) struct Notifier {
    /// Nothing if nobody wants to know.
    to: Option<(UnixDatagram, SocketAddr)>,
    /// The manager takes us for dead if it hears nothing for that long.
    watchdog: Option<Duration>,
}

impl Notifier {
    /// As the environment says.
    pub(crate) fn from_environment() -> Self {
        let to = env::var_os("NOTIFY_SOCKET").and_then(|path| {
            let addr = match path.as_bytes() {
                [b'@', name @ ..] => SocketAddr::from_abstract_name(name),
                _ => SocketAddr::from_pathname(&path),
            };
            let socket = UnixDatagram::unbound().ok()?;
            socket.set_nonblocking(true).ok()?;
            Some((socket, addr.ok()?))
        });
        let number = |name| env::var(name).ok()?.parse::<u64>().ok();
        let is_ours = number("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(process::id()));
        let watchdog = number("WATCHDOG_USEC").filter(|_| is_ours && to.is_some());
        Self { to, watchdog: watchdog.filter(|n| *n > 0).map(Duration::from_micros) }
    }

    /// Are we the very process that the manager has started, and waits for?
    pub(crate) fn is_waiting_for_us(&self) -> bool {
        let started = env::var("SYSTEMD_EXEC_PID").ok().and_then(|pid| pid.parse().ok());
        self.to.is_some() && started == Some(process::id())
    }

    /// How often [`Notifier::alive`] is to be said, if at all.
    pub(crate) fn period(&self) -> Option<Duration> {
        self.watchdog.map(|limit| limit / 2)
    }

    /// We serve; `status` is one line for people.
    pub(crate) fn ready(&self, status: &str) {
        self.say(&format!("READY=1\nSTATUS={status}"));
    }

    /// What SIGHUP asks for begins; [`Notifier::reloaded`] follows.
    pub(crate) fn reloading(&self) {
        let Ok(now) = clock_gettime(ClockId::CLOCK_MONOTONIC) else { return };
        let micros = Duration::from(now).as_micros();
        self.say(&format!("RELOADING=1\nMONOTONIC_USEC={micros}"));
    }

    /// And has ended.
    pub(crate) fn reloaded(&self) {
        self.say("READY=1");
    }

    /// We are about to end.
    pub(crate) fn stopping(&self) {
        self.say("STOPPING=1\nSTATUS=waiting for running compiles");
    }

    /// We are not stuck.
    pub(crate) fn alive(&self) {
        self.say(ALIVE);
    }

    fn say(&self, words: &str) {
        if let Some((socket, addr)) = &self.to {
            // A manager that has gone wants to know nothing. One that is too busy to hear that we
            // live must not keep a thread from its jobs; of other words none may be lost.
            let mut sent = socket.send_to_addr(words.as_bytes(), addr);
            for _ in 0..ATTEMPTS {
                if words == ALIVE || !sent.is_err_and(|e| e.kind() == io::ErrorKind::WouldBlock) {
                    return;
                }
                thread::sleep(PAUSE);
                sent = socket.send_to_addr(words.as_bytes(), addr);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpStream};
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn only_tcp_sockets_that_listen_are_taken() {
        let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let addr = tcp.local_addr().unwrap();
        let client = TcpStream::connect(addr).unwrap();
        assert_eq!(listener(tcp.into()).unwrap().local_addr().unwrap(), addr);
        let dir = tempfile::tempdir().unwrap();
        let unix = UnixListener::bind(dir.path().join("sock")).unwrap();
        let null = std::fs::File::open("/dev/null").unwrap();
        for other in [client.into(), unix.into(), OwnedFd::from(null)] {
            assert!(listener(other).is_err());
        }
    }

    #[test]
    fn nobody_to_tell_is_no_failure() {
        let notifier = Notifier { to: None, watchdog: None };
        notifier.ready("x");
        notifier.reloading();
        assert_eq!(notifier.period(), None);
    }
}
