//! A daemon's life from bound listeners to its end.
//!
//! Long-lived tasks: one per listener, the compiler scanner, the advertiser, and, started by the
//! caller, the observer; one per connection.

use std::fmt::{self, Display, Formatter};
use std::io;
use std::net::TcpListener as StdListener;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{Notify, Semaphore, mpsc, watch};
use tokio::task::JoinSet;

use super::advert::{self, Reachability};
use super::compiler::Surroundings;
use super::compilers::{Inventory, Scanner, watch_compilers};
use super::listener;
use super::observe::Event;
use super::server::{Identity, Phase, Programs, Server};
use super::workspace::Workspace;
use crate::discovery;
use crate::policy::access::AccessList;
use crate::wire::limits::Limits;

/// Running compiles are waited for that long when the daemon is asked to end.
pub(crate) const DRAIN: Duration = Duration::from_secs(30);

/// Everything that a daemon is told at its start.
#[derive(Debug)]
pub(crate) struct Config {
    /// Who it is.
    pub(crate) identity: Identity,
    /// Who may connect.
    pub(crate) access: AccessList,
    /// What may be run.
    pub(crate) programs: Programs,
    /// Most connections open at once.
    pub(crate) max_connections: usize,
    /// The compilers found so far.
    pub(crate) inventory: Inventory,
    /// How to find them anew.
    pub(crate) scanner: Scanner,
    /// What every compiler gets.
    pub(crate) surroundings: Surroundings,
    /// Where jobs work.
    pub(crate) workspace: Workspace,
    /// How much a request may hold.
    pub(crate) limits: Limits,
    /// To the observer.
    pub(crate) events: mpsc::Sender<Event>,
    /// Where to be found; none if we are not to be found by DNS-SD.
    pub(crate) advertise: Option<Reachability>,
}

/// Why a daemon with bound listeners does not serve.
#[derive(Debug)]
pub(crate) enum RunError {
    /// A listener is not usable.
    Listener(io::Error),
    /// Nobody would find us.
    Advertise(discovery::Error),
}

impl Display for RunError {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listener(error) => write!(f, "cannot listen: {error}"),
            Self::Advertise(error) => write!(f, "cannot advertise: {error}"),
        }
    }
}

impl std::error::Error for RunError {}

/// Serves until `phase` says that it is enough, calling `ready` once clients can find us. The
/// caller sees to it that `Stopping` follows `Draining` within [`DRAIN`].
pub(crate) async fn run(
    config: Config,
    listeners: Vec<StdListener>,
    phase: watch::Receiver<Phase>,
    ready: impl FnOnce(),
) -> Result<(), RunError> {
    let listeners = listeners
        .into_iter()
        .map(|listener| {
            listener.set_nonblocking(true)?;
            TcpListener::from_std(listener)
        })
        .collect::<io::Result<Vec<_>>>()
        .map_err(RunError::Listener)?;
    let advertiser = config
        .advertise
        .map(|reachability| advert::start(&config.identity, &config.inventory, reachability))
        .transpose()
        .map_err(RunError::Advertise)?;
    let (found, inventory) = watch::channel(Arc::new(config.inventory));
    let rescan = Arc::new(Notify::new());
    let identity = config.identity.clone();
    let server = Arc::new(Server {
        slots: Arc::new(Semaphore::new(usize::from(config.identity.jobs))),
        identity: config.identity,
        access: config.access,
        programs: config.programs,
        connections: Arc::new(Semaphore::new(config.max_connections)),
        inventory,
        rescan: Arc::clone(&rescan),
        events: config.events,
        workspace: config.workspace,
        surroundings: config.surroundings,
        limits: config.limits,
        phase: phase.clone(),
    });
    let mut tasks = JoinSet::new();
    for listener in listeners {
        tasks.spawn(listener::serve(listener, Arc::clone(&server)));
    }
    if let Some(advertiser) = advertiser {
        let inventory = server.inventory.clone();
        tasks.spawn(advert::follow(advertiser, identity, inventory, phase));
    }
    let scanner = tokio::spawn(watch_compilers(config.scanner, found, rescan));
    ready();
    while tasks.join_next().await.is_some() {}
    scanner.abort();
    Ok(())
}
