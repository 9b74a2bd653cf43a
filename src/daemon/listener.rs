//! Listening: binding the port, taking connections, ending.

use std::collections::HashMap;
use std::fmt::{self, Display, Formatter};
use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener as StdListener};
use std::sync::Arc;
use std::time::Duration;

use nix::errno::Errno;
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{Id, JoinError, JoinSet};
use tracing::{error, warn};

use super::job;
use super::observe::Event;
use super::server::{Phase, Server, reached};

/// Connections that wait for us in the kernel; the original's number.
const BACKLOG: i32 = 1024;
/// Most open connections of one client: half of all, so that none keeps the others out by opening
/// connections and saying nothing.
const MAX_PER_CLIENT: usize = 256;
/// After an error that will not be gone at once: no descriptors, no memory.
const BACK_OFF: Duration = Duration::from_millis(200);
/// A client whose machine died without a word is noticed after about this time.
const KEEPALIVE: Duration = Duration::from_secs(30);

/// An address that could not be listened on.
#[derive(Debug)]
pub(crate) struct BindError {
    addr: SocketAddr,
    error: io::Error,
}

impl Display for BindError {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "cannot listen on {}: {}", self.addr, self.error)
    }
}

impl std::error::Error for BindError {}

/// Listens on `port` of these addresses; of all addresses of both families if there are none, or
/// of IPv4 alone on a machine without IPv6.
pub(crate) fn bind(addrs: &[IpAddr], port: u16) -> Result<Vec<StdListener>, BindError> {
    if !addrs.is_empty() {
        return addrs.iter().map(|addr| bind_one(SocketAddr::new(*addr, port))).collect();
    }
    let listener = match bind_one((Ipv6Addr::UNSPECIFIED, port).into()) {
        Err(BindError { error, .. }) if lacks_ipv6(&error) => {
            bind_one((Ipv4Addr::UNSPECIFIED, port).into())?
        }
        bound => bound?,
    };
    Ok(vec![listener])
}

fn bind_one(addr: SocketAddr) -> Result<StdListener, BindError> {
    let bound = || -> io::Result<StdListener> {
        let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
        if addr.is_ipv6() {
            // The wildcard takes IPv4 clients as well, whatever the system's default.
            socket.set_only_v6(!addr.ip().is_unspecified())?;
        }
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&addr.into())?;
        socket.listen(BACKLOG)?;
        Ok(socket.into())
    };
    bound().map_err(|error| BindError { addr, error })
}

/// Is this what a machine answers whose IPv6 is switched off?
fn lacks_ipv6(error: &io::Error) -> bool {
    let missing = [Errno::EAFNOSUPPORT, Errno::EADDRNOTAVAIL, Errno::EPROTONOSUPPORT];
    error.raw_os_error().is_some_and(|code| missing.contains(&Errno::from_raw(code)))
}

/// Serves one listener until the daemon drains, then waits for the connections' end.
pub(crate) async fn serve(listener: TcpListener, server: Arc<Server>) {
    let mut tasks = JoinSet::new();
    let mut clients: HashMap<Id, IpAddr> = HashMap::new();
    let mut draining = std::pin::pin!(reached(&server.phase, Phase::Draining));
    loop {
        tokio::select! {
            () = &mut draining => break,
            accepted = next(&listener, &server) => {
                let Some((stream, client, permit)) = accepted else { continue };
                if clients.values().filter(|open| **open == client.ip()).count() >= MAX_PER_CLIENT {
                    server.tell(Event::Crowded(client)).await;
                    continue;
                }
                let server = Arc::clone(&server);
                let task = tasks.spawn(async move {
                    job::serve(stream, client, &server).await;
                    drop(permit);
                });
                clients.insert(task.id(), client.ip());
            }
            Some(ended) = tasks.join_next_with_id() => {
                let id = match &ended {
                    Ok((id, ())) => *id,
                    Err(error) => error.id(),
                };
                clients.remove(&id);
                report_panic(ended.map(|_| ()));
            }
        }
    }
    drop(listener);
    let mut stopping = std::pin::pin!(reached(&server.phase, Phase::Stopping));
    loop {
        tokio::select! {
            ended = tasks.join_next() => match ended {
                Some(ended) => report_panic(ended),
                None => return,
            },
            () = &mut stopping => break,
        }
    }
    // Dropping a connection's future kills its compiler and removes its directory.
    tasks.shutdown().await;
}

/// The next client that may connect, once there is room for it.
async fn next(
    listener: &TcpListener,
    server: &Server,
) -> Option<(TcpStream, SocketAddr, impl Send + use<>)> {
    let permit = server.connections.clone().acquire_owned().await.ok()?;
    let (stream, client) = match listener.accept().await {
        Ok(accepted) => accepted,
        Err(error) => {
            recover(&error).await;
            return None;
        }
    };
    if !server.access.allows(client.ip()) {
        server.tell(Event::Denied(client)).await;
        return None;
    }
    if let Err(error) = tune(&stream) {
        warn!(%client, %error, "cannot set the options of a connection");
    }
    Some((stream, client, permit))
}

/// Decides what an error of `accept` means: that one client's, or ours.
fn recover(error: &io::Error) -> impl Future<Output = ()> + use<> {
    let is_ours = matches!(
        error.raw_os_error().map(Errno::from_raw),
        Some(Errno::EMFILE | Errno::ENFILE | Errno::ENOBUFS | Errno::ENOMEM)
    );
    if is_ours {
        warn!(%error, "cannot take connections");
    }
    async move {
        if is_ours {
            tokio::time::sleep(BACK_OFF).await;
        }
    }
}

fn tune(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE / 3);
    SockRef::from(stream).set_tcp_keepalive(&keepalive)
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
