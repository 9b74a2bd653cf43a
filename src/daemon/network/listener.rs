//! Listening: binding the port, taking connections, ending.

use std::collections::HashMap;
use std::fmt::{self, Display, Formatter};
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener as StdListener};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use nix::errno::Errno;
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, Id, JoinError, JoinSet};
use tokio::time::Instant;
use tracing::{debug, error, warn};

use super::guests::{Admission, Guests, Progress};
use crate::daemon::jobs::compiler;
use crate::daemon::jobs::job;
use crate::daemon::report::observe::Event;
use crate::daemon::server::{Phase, Server, reached};
use crate::sys::ports::{self, Holder};

/// Connections that wait for us in the kernel; the original's number.
const BACKLOG: i32 = 1024;
/// After an error that will not be gone at once: no descriptors, no memory.
const BACK_OFF: Duration = Duration::from_millis(200);
/// The kernel asks a client's machine whether it is there once nothing came from it for this time.
const KEEPALIVE: Duration = Duration::from_secs(20);
/// A client whose machine leaves unanswered whatever we send, or ask, for this time has died.
const UNANSWERED: Duration = Duration::from_secs(40);
/// That connections cannot be taken is said once in this time.
const COMPLAINT_PERIOD: Duration = Duration::from_secs(60);

/// An address that could not be listened on.
#[derive(Debug)]
pub(crate) struct BindError {
    addr: SocketAddr,
    error: io::Error,
    /// Who listens there, if that is the reason and this user may see it.
    holder: Option<Holder>,
}

impl BindError {
    fn new(addr: SocketAddr, error: io::Error) -> Self {
        let mut holders = match error.kind() {
            io::ErrorKind::AddrInUse => ports::holders(addr.port()),
            _ => Vec::new(),
        };
        // systemd holds what it gave to a service, too.
        holders.sort_by_key(|holder| (!holder.is_of_our_program(), holder.is_systemd()));
        Self { addr, error, holder: holders.into_iter().next() }
    }

    /// Who listens there already.
    pub(crate) const fn holder(&self) -> Option<&Holder> {
        self.holder.as_ref()
    }
}

impl Display for BindError {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "cannot listen on {}: {}", self.addr, self.error)?;
        match &self.holder {
            Some(Holder { pid, program }) => {
                write!(f, ": {} listens there (process {pid})", program.display())
            }
            None => Ok(()),
        }
    }
}

impl std::error::Error for BindError {}

/// Listens on `port` of these addresses; of all addresses of both families if there are none, or
/// of IPv4 alone on a machine without IPv6.
pub(crate) fn bind(addrs: &[IpAddr], port: u16) -> Result<Vec<StdListener>, BindError> {
    let listen = |(addr, socket): (SocketAddr, Socket)| match socket.listen(BACKLOG) {
        Ok(()) => Ok(socket.into()),
        Err(error) => Err(BindError::new(addr, error)),
    };
    claim(addrs, port)?.into_iter().map(listen).collect()
}

/// The same without listening, so that nobody can connect yet.
pub(crate) fn claim(addrs: &[IpAddr], port: u16) -> Result<Vec<(SocketAddr, Socket)>, BindError> {
    if !addrs.is_empty() {
        return addrs.iter().map(|addr| claim_one(SocketAddr::new(*addr, port))).collect();
    }
    let claimed = match claim_one((Ipv6Addr::UNSPECIFIED, port).into()) {
        Err(BindError { error, .. }) if lacks_ipv6(&error) => {
            claim_one((Ipv4Addr::UNSPECIFIED, port).into())?
        }
        claimed => claimed?,
    };
    Ok(vec![claimed])
}

fn claim_one(addr: SocketAddr) -> Result<(SocketAddr, Socket), BindError> {
    let claimed = || -> io::Result<Socket> {
        let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
        if addr.is_ipv6() {
            // The wildcard takes IPv4 clients as well, whatever the system's default.
            socket.set_only_v6(!addr.ip().is_unspecified())?;
        }
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&addr.into())?;
        Ok(socket)
    };
    claimed().map(|socket| (addr, socket)).map_err(|error| BindError::new(addr, error))
}

/// Is this what a machine answers whose IPv6 is switched off?
fn lacks_ipv6(error: &io::Error) -> bool {
    let missing = [Errno::EAFNOSUPPORT, Errno::EADDRNOTAVAIL, Errno::EPROTONOSUPPORT];
    error.raw_os_error().is_some_and(|code| missing.contains(&Errno::from_raw(code)))
}

/// Serves all listeners until the daemon drains, then waits for the connections' end.
pub(crate) async fn serve(listeners: Vec<TcpListener>, server: Arc<Server>) {
    let draining = reached(&server.phase, Phase::Draining);
    let mut draining = std::pin::pin!(draining);
    let mut door = Door::new(Arc::clone(&server));
    let mut turn = 0;
    loop {
        let opens = door.opens();
        tokio::select! {
            () = &mut draining => break,
            accepted = accept(&listeners, turn, opens), if opens.is_some() => {
                turn = turn.wrapping_add(1);
                match accepted {
                    Ok((stream, client)) => door.meet(stream, client),
                    Err(error) => door.recover(&error),
                }
            }
            Some(ended) = door.tasks.join_next_with_id() => door.see_off(ended),
        }
    }
    drop(listeners);
    let mut tasks = door.tasks;
    let over = async {
        reached(&server.phase, Phase::Stopping).await;
        // Compilers that do not obey are killed meanwhile.
        tokio::time::sleep(compiler::GRACE * 2).await;
    };
    let mut over = std::pin::pin!(over);
    loop {
        tokio::select! {
            ended = tasks.join_next() => match ended {
                Some(ended) => report_panic(ended),
                None => return,
            },
            () = &mut over => break,
        }
    }
    // Dropping a connection's future kills its compiler and removes its directory.
    tasks.shutdown().await;
}

/// The next client of any listener, asking the one first whose turn it is.
async fn accept(
    listeners: &[TcpListener],
    turn: usize,
    opens: Option<Instant>,
) -> io::Result<(TcpStream, SocketAddr)> {
    if let Some(moment) = opens.filter(|moment| *moment > Instant::now()) {
        tokio::time::sleep_until(moment).await;
    }
    poll_fn(|context| {
        for idx in 0..listeners.len() {
            let listener = &listeners[turn.wrapping_add(idx) % listeners.len()];
            if let Poll::Ready(accepted) = listener.poll_accept(context) {
                return Poll::Ready(accepted);
            }
        }
        Poll::Pending
    })
    .await
}

/// Lets clients in and sees them off.
struct Door {
    server: Arc<Server>,
    guests: Guests<Id>,
    tasks: JoinSet<()>,
    handles: HashMap<Id, AbortHandle>,
    /// Nobody can be let in before: descriptors or memory are short.
    not_before: Option<Instant>,
    complained: Option<Instant>,
}

impl Door {
    fn new(server: Arc<Server>) -> Self {
        let guests = Guests::new(server.limits);
        let (tasks, handles) = (JoinSet::new(), HashMap::new());
        Self { server, guests, tasks, handles, not_before: None, complained: None }
    }

    /// When the next client can be let in; none while that takes one who leaves.
    fn opens(&self) -> Option<Instant> {
        let opens = self.guests.opens(Instant::now())?;
        Some(self.not_before.map_or(opens, |moment| moment.max(opens)))
    }

    /// Serves a client, if it may come in and there is room.
    fn meet(&mut self, stream: TcpStream, client: SocketAddr) {
        self.not_before = None;
        if !self.server.access.allows(client.ip()) {
            self.server.mention(Event::Denied(client));
            return;
        }
        let now = Instant::now();
        match self.guests.admit(client, now) {
            Admission::Welcome => {}
            Admission::InPlaceOf(guest, addr) => self.send_away(guest, addr),
            Admission::Refused => {
                self.server.mention(Event::Crowded(client));
                return;
            }
        }
        if let Err(error) = tune(&stream) {
            debug!(%client, %error, "cannot set the options of a connection");
        }
        let progress = Progress::default();
        let (server, visit) = (Arc::clone(&self.server), progress.clone());
        let handle = self.tasks.spawn(async move {
            job::serve(stream, client, visit, &server).await;
        });
        self.guests.enter(handle.id(), client, progress, now);
        self.handles.insert(handle.id(), handle);
    }

    /// Ends a connection that has been chosen for it.
    fn send_away(&mut self, guest: Id, client: SocketAddr) {
        if let Some(handle) = self.handles.get(&guest) {
            handle.abort();
        }
        self.server.mention(Event::Displaced(client));
    }

    fn see_off(&mut self, ended: Result<(Id, ()), JoinError>) {
        let id = match &ended {
            Ok((id, ())) => *id,
            Err(error) => error.id(),
        };
        self.guests.leave(id);
        self.handles.remove(&id);
        report_panic(ended.map(|_| ()));
    }

    /// Decides what an error of `accept` means: that one client's, or ours.
    fn recover(&mut self, error: &io::Error) {
        let is_ours = matches!(
            error.raw_os_error().map(Errno::from_raw),
            Some(Errno::EMFILE | Errno::ENFILE | Errno::ENOBUFS | Errno::ENOMEM)
        );
        if !is_ours {
            return;
        }
        let now = Instant::now();
        if self.complained.is_none_or(|last| now - last >= COMPLAINT_PERIOD) {
            self.complained = Some(now);
            warn!(%error, "cannot take connections for now");
        }
        // Whoever waits at the door may have a job, others have shown none yet.
        if let Some((guest, client)) = self.guests.dismiss_one(None, now) {
            self.send_away(guest, client);
        }
        self.not_before = Some(now + BACK_OFF);
    }
}

fn tune(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE / 2);
    let socket = SockRef::from(stream);
    socket.set_tcp_keepalive(&keepalive)?;
    // It also bounds how often the kernel asks in vain.
    socket.set_tcp_user_timeout(Some(UNANSWERED))
}

/// A bug that one client's bytes found ends that client's connection only.
fn report_panic(ended: Result<(), JoinError>) {
    if let Err(panic) = ended
        && panic.is_panic()
    {
        error!("a connection's task panicked: {panic}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wildcard_takes_both_families() {
        let listeners = bind(&[], 0).unwrap();
        let port = listeners[0].local_addr().unwrap().port();
        std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
        if listeners[0].local_addr().unwrap().is_ipv6() {
            std::net::TcpStream::connect((Ipv6Addr::LOCALHOST, port)).unwrap();
        }
    }

    #[test]
    fn a_taken_port_is_reported_with_its_address() {
        let taken = bind(&[Ipv4Addr::LOCALHOST.into()], 0).unwrap();
        let port = taken[0].local_addr().unwrap().port();
        for addrs in [&[Ipv4Addr::LOCALHOST.into()][..], &[]] {
            let error = bind(addrs, port).unwrap_err().to_string();
            assert!(error.contains(&format!(":{port}: Address already in use")), "{error}");
        }
    }
}
