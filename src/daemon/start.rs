//! A daemon's life from bound listeners to its end.
//!
//! Long-lived tasks: one per listener, the compiler scanner, the advertiser, and, started by the
//! caller, the observer; one per connection.

use std::net::TcpListener as StdListener;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{Notify, Semaphore, mpsc, watch};
use tokio::task::JoinSet;

use super::compiler::Surroundings;
use super::compilers::{Inventory, Scanner, watch_compilers};
use super::listener;
use super::observe::Event;
use super::server::{Identity, Phase, Programs, Server};
use super::workspace::Workspace;
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
}

/// Serves until `phase` says that it is enough. The caller sees to it that `Stopping` follows
/// `Draining` within [`DRAIN`].
pub(crate) async fn run(
    config: Config,
    listeners: Vec<StdListener>,
    phase: watch::Receiver<Phase>,
) -> std::io::Result<()> {
    let (found, inventory) = watch::channel(Arc::new(config.inventory));
    let rescan = Arc::new(Notify::new());
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
        phase,
    });
    let mut tasks = JoinSet::new();
    for listener in listeners {
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        tasks.spawn(listener::serve(listener, Arc::clone(&server)));
    }
    let scanner = tokio::spawn(watch_compilers(config.scanner, found, rescan));
    while tasks.join_next().await.is_some() {}
    scanner.abort();
    Ok(())
}
