//! `distccd --inetd`: one client on standard input and output, as ssh and inetd start it. The
//! program ends with the conversation.
//!
//! A client that came by ssh may start any program as this user anyway, or a forced command says
//! what may be started; so `--enable-tcp-insecure`, which every ssh client sends, opens nothing.
//! Its jobs are vetted like anybody's, and a compiler's name stands for the compiler that a daemon
//! would run, with the same shield.

use std::env;
use std::fmt::{self, Debug, Formatter};
use std::fs::File;
use std::future::Future;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::UnixStream as StdStream;
use std::path::Path;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::thread;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::UnixStream;
use tokio::net::unix::pipe;
use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Notify, Semaphore, mpsc, oneshot, watch};
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use tracing::{Level, info, warn};

use super::endings::Endings;
use super::failure::Failure;
use super::launch;
use crate::daemon::compilers::{Scanner, generation_of};
use crate::daemon::jobs::compiler;
use crate::daemon::jobs::job;
use crate::daemon::jobs::workspace::Workspace;
use crate::daemon::network::connection::Stream;
use crate::daemon::network::guests::Progress;
use crate::daemon::report::log::{self, LogSink};
use crate::daemon::report::observe::{self, Client, observe};
use crate::daemon::server::{Phase, Programs, Server};
use crate::settings::daemon::{DaemonEnvironment, DaemonSettings, LogTarget, SYSLOG_SOCKET};
use crate::sys::privileges::Account;
use crate::sys::process;

/// `CLIENT PORT SERVER PORT`, set by sshd.
const SSH_CONNECTION: &str = "SSH_CONNECTION";

/// Is there one client on standard input? inetd's configuration may say nothing about it.
pub(super) fn is_meant(settings: &DaemonSettings) -> bool {
    settings.inetd || !settings.daemon && visitor().checked.is_some()
}

/// inetd connects standard error with the client as well, who must get nothing but its answer.
/// True if it was so; what is said there goes nowhere then.
pub(super) fn spare_client() -> bool {
    let file = |fd: BorrowedFd<'_>| File::from(fd.try_clone_to_owned()?).metadata();
    let (Ok(input), Ok(error)) = (file(io::stdin().as_fd()), file(io::stderr().as_fd())) else {
        return false;
    };
    let is_same = (input.dev(), input.ino()) == (error.dev(), error.ino());
    input.file_type().is_socket() && is_same && process::silence_stderr().is_ok()
}

/// Says why nobody is served where the administrator may look for it.
pub(super) fn report(failure: &Failure) {
    if let Ok(syslog) = LogSink::syslog(Path::new(SYSLOG_SOCKET)) {
        syslog.write_line(Level::ERROR, failure.to_string().as_bytes());
    }
}

/// Serves the client on standard input and output.
pub(super) fn serve(mut settings: DaemonSettings) -> Result<(), Failure> {
    settings.inetd = true;
    let access = launch::access_list(&settings)?;
    let visitor = visitor();
    let account = launch::unprivileged_account(&settings)?;
    let environment = DaemonEnvironment::from_process(account.is_some())?;
    Workspace::check(&environment.temp_dir)?;
    process::forbid_core_dumps();
    process::set_umask();
    process::add_nice(settings.nice).map_err(Failure::Nice)?;
    launch::set_oom_score(&settings)?;
    let state_dir = launch::state_dir(&settings, &environment, account.as_ref())?;
    let log = open_log(&settings, state_dir.as_deref(), account.as_ref())?;
    if let Some(account) = &account {
        account.assume()?;
    }
    log::start(&Arc::new(log), settings.log_level);
    if let Some(addr) = visitor.checked
        && !access.allows(addr.ip())
    {
        warn!(
            target: "access",
            "connection from client '{}' denied by access list", Client(addr)
        );
        return Ok(());
    }
    let (identity, _) = launch::identity(&settings, state_dir.as_deref())?;
    let scanner = Scanner::of(&settings, &environment, state_dir.as_deref());
    let any = if visitor.checked.is_some() { Programs::Any } else { Programs::AnyKnownFirst };
    let programs = launch::programs(&settings, &scanner, any);
    let mut workspace = Workspace::open(&environment.temp_dir, identity.id)?;
    if environment.save_temps {
        workspace.save_jobs_in(&environment.temp_dir);
    }
    let endings = Endings::prepare(&workspace);
    let runtime = Builder::new_current_thread().enable_all().build().map_err(Failure::Runtime)?;
    let ended = runtime.block_on(async {
        tokio::spawn(endings.watch());
        let asked_to_end = asked_to_end().map_err(Failure::Runtime)?;
        let stream = InetdStream::open(visitor.checked.is_some()).map_err(Failure::Runtime)?;
        let scan = spawn_blocking(move || scanner.scan_for_one_job());
        let mut inventory = scan.await.map_err(|died| Failure::Runtime(io::Error::other(died)))?;
        inventory.generation = generation_of(&inventory.found);
        let (_found, inventory) = watch::channel(Arc::new(inventory));
        let (set_phase, phase) = watch::channel(Phase::Serving);
        let (events, inbox) = mpsc::channel(observe::QUEUE_LEN);
        let server = Server {
            slots: Arc::new(Semaphore::new(1)),
            identity,
            access,
            programs,
            inventory,
            rescan: Arc::new(Notify::new()),
            events,
            workspace,
            surroundings: launch::surroundings(&settings, &environment),
            limits: settings.limits,
            phase,
        };
        let observer = tokio::spawn(observe(inbox, mpsc::channel(1).1, 1));
        {
            let progress = Progress::default();
            let mut conversation = pin!(job::serve(stream, visitor.shown, progress, &server));
            tokio::select! {
                () = &mut conversation => {}
                () = asked_to_end => {
                    info!("asked to end");
                    set_phase.send_replace(Phase::Stopping);
                    // A compiler that does not obey is killed meanwhile.
                    let _ = timeout(compiler::GRACE * 2, conversation).await;
                }
            }
        }
        drop(server);
        let _ = observer.await;
        Ok(())
    });
    drop(runtime);
    endings.conclude();
    ended
}

/// A log that cannot be written is no reason to turn a client away, unless it was asked for.
fn open_log(
    settings: &DaemonSettings,
    state_dir: Option<&Path>,
    account: Option<&Account>,
) -> Result<LogSink, Failure> {
    let opened = launch::open_log(settings, state_dir, account);
    match (opened, &settings.log) {
        (Err(Failure::Log { .. } | Failure::NoLog), LogTarget::Default) => {
            let nowhere = Path::new("/dev/null");
            LogSink::syslog(Path::new(SYSLOG_SOCKET))
                .or_else(|_| LogSink::open(nowhere, None))
                .map_err(|error| Failure::Log { path: nowhere.into(), error })
        }
        (opened, _) => opened,
    }
}

fn asked_to_end() -> io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            _ = hangup.recv() => {}
        }
    })
}

/// Who is served.
struct Visitor {
    /// For the log.
    shown: SocketAddr,
    /// The address that `--allow` is asked about: that of a TCP connection. Who came another way
    /// was let in by whatever started this program.
    checked: Option<SocketAddr>,
}

fn visitor() -> Visitor {
    let peer = SockRef::from(&io::stdin()).peer_addr().ok().and_then(|addr| addr.as_socket());
    let unknown = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
    let by_ssh = || env::var(SSH_CONNECTION).ok().and_then(|said| ssh_client(&said));
    Visitor { shown: peer.or_else(by_ssh).unwrap_or(unknown), checked: peer }
}

fn ssh_client(said: &str) -> Option<SocketAddr> {
    let mut words = said.split(' ');
    let addr: IpAddr = words.next()?.split('%').next()?.parse().ok()?;
    Some(SocketAddr::new(addr, words.next()?.parse().ok()?))
}

/// Standard input and output.
struct InetdStream {
    input: Box<dyn AsyncRead + Send + Unpin>,
    output: Box<dyn AsyncWrite + Send + Unpin>,
    is_tcp: bool,
    /// Nobody reads what is written any more. None once that is so, and for TCP, where who closes
    /// has gone.
    unheard: Option<oneshot::Receiver<()>>,
}

impl InetdStream {
    fn open(is_tcp: bool) -> io::Result<Self> {
        let input = io::stdin().as_fd().try_clone_to_owned()?;
        let output = io::stdout().as_fd().try_clone_to_owned()?;
        let unheard = if is_tcp { None } else { Some(watch_reader(output.try_clone()?)?) };
        let kind =
            |fd: &OwnedFd| File::from(fd.try_clone()?).metadata().map(|meta| meta.file_type());
        let (input_kind, output_kind) = (kind(&input)?, kind(&output)?);
        let input: Box<dyn AsyncRead + Send + Unpin> = match input_kind {
            kind if kind.is_socket() => Box::new(socket(input)?),
            kind if kind.is_fifo() => Box::new(pipe::Receiver::from_file(input.into())?),
            _ => Box::new(AlwaysReady(input.into())),
        };
        let output: Box<dyn AsyncWrite + Send + Unpin> = match output_kind {
            kind if kind.is_socket() => Box::new(socket(output)?),
            kind if kind.is_fifo() => Box::new(pipe::Sender::from_file(output.into())?),
            _ => Box::new(AlwaysReady(output.into())),
        };
        Ok(Self { input, output, is_tcp, unheard })
    }
}

/// Reading and writing are the same for stream sockets of every family.
fn socket(fd: OwnedFd) -> io::Result<UnixStream> {
    let socket = StdStream::from(fd);
    socket.set_nonblocking(true)?;
    UnixStream::from_std(socket)
}

/// Completes when nobody reads from the other end of `output`. Its client may have closed what we
/// read from and still wait for the answer, as every program may that is the end of a pipe.
fn watch_reader(output: OwnedFd) -> io::Result<oneshot::Receiver<()>> {
    let (gone, unheard) = oneshot::channel();
    // It ends with the process.
    thread::Builder::new().name("reader".to_owned()).spawn(move || {
        let ended = PollFlags::POLLHUP | PollFlags::POLLERR;
        loop {
            let mut fds = [PollFd::new(output.as_fd(), PollFlags::empty())];
            match poll(&mut fds, PollTimeout::NONE) {
                Err(nix::errno::Errno::EINTR) => {}
                Ok(_) if !fds[0].revents().is_some_and(|seen| seen.intersects(ended)) => {}
                _ => break,
            }
        }
        let _ = gone.send(());
    })?;
    Ok(unheard)
}

impl Debug for InetdStream {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("InetdStream")
    }
}

impl Stream for InetdStream {
    fn poll_departure(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let Some(unheard) = &mut self.unheard else { return Poll::Ready(()) };
        let polled = Pin::new(unheard).poll(context).map(drop);
        if polled.is_ready() {
            self.unheard = None;
        }
        polled
    }

    fn loses_answers(&self) -> bool {
        self.is_tcp
    }
}

impl AsyncRead for InetdStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.input).poll_read(context, buffer)
    }
}

impl AsyncWrite for InetdStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.output).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.output).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.output).poll_shutdown(context)
    }
}

/// A file or terminal, which no runtime can wait for.
struct AlwaysReady(File);

impl AsyncRead for AlwaysReady {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = self.0.read(buffer.initialize_unfilled());
        Poll::Ready(read.map(|n_read| buffer.advance(n_read)))
    }
}

impl AsyncWrite for AlwaysReady {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(self.0.write(bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_client_of_ssh_is_known_by_what_sshd_says() {
        let client = |said| ssh_client(said).map(|addr| addr.to_string());
        assert_eq!(client("10.0.0.1 51234 10.0.0.2 22").as_deref(), Some("10.0.0.1:51234"));
        assert_eq!(client("fe80::1%eth0 5 fe80::2 22").as_deref(), Some("[fe80::1]:5"));
        assert_eq!(client("UNKNOWN 65535 UNKNOWN 65535"), None);
        assert_eq!(client(""), None);
    }
}
