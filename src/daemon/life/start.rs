//! A daemon's life from bound listeners to its end.
//!
//! Long-lived tasks: the listener, the compiler scanner, the advertiser, and, started by the
//! caller, the observer and the page of statistics; one per connection.

use std::fmt::{self, Display, Formatter};
use std::io;
use std::net::TcpListener as StdListener;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{Notify, Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use tracing::error;

use crate::daemon::compilers::rescan::watch_compilers;
use crate::daemon::compilers::{Inventory, Scanner};
use crate::daemon::jobs::compiler::Surroundings;
use crate::daemon::jobs::workspace::Workspace;
use crate::daemon::network::advert;
use crate::daemon::network::listener;
use crate::daemon::report::observe::Event;
use crate::daemon::server::{Identity, Phase, Programs, Server, reached};
use crate::discovery;
use crate::discovery::advertise::Advertiser;
use crate::policy::access::AccessList;
use crate::settings::daemon::ServerLimits;

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
    /// The compilers found so far.
    pub(crate) inventory: Inventory,
    /// How to find them anew.
    pub(crate) scanner: Scanner,
    /// What every compiler gets.
    pub(crate) surroundings: Surroundings,
    /// Where jobs work.
    pub(crate) workspace: Workspace,
    /// How much a client may ask for.
    pub(crate) limits: ServerLimits,
    /// To the observer.
    pub(crate) events: mpsc::Sender<Event>,
    /// Begun to be found by DNS-SD; none if we are not to be.
    pub(crate) advertiser: Option<Advertiser>,
}

/// Why a daemon with bound listeners does not serve.
#[derive(Debug)]
pub(crate) enum RunError {
    /// A listener is not usable.
    Listener(io::Error),
    /// Nobody would find us.
    Advertise(discovery::Error),
    /// A task ended that was to live as long as the daemon.
    Died,
}

impl Display for RunError {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listener(error) => write!(f, "cannot listen: {error}"),
            Self::Advertise(error) => write!(f, "cannot advertise: {error}"),
            Self::Died => f.write_str("a part of the server died, see its log"),
        }
    }
}

impl std::error::Error for RunError {}

/// Serves until `phase` says that it is enough, calling `ready` once clients can find us. The
/// caller sees to it that `Stopping` follows `Draining` within [`DRAIN`]. Should a task end before,
/// the others are told to drain: nobody is to find a server that does not serve.
pub(crate) async fn run(
    config: Config,
    listeners: Vec<StdListener>,
    set_phase: watch::Sender<Phase>,
    ready: impl FnOnce(),
) -> Result<(), RunError> {
    let phase = set_phase.subscribe();
    let listeners = listeners
        .into_iter()
        .map(|listener| {
            listener.set_nonblocking(true)?;
            TcpListener::from_std(listener)
        })
        .collect::<io::Result<Vec<_>>>()
        .map_err(RunError::Listener)?;
    let (found, inventory) = watch::channel(Arc::new(config.inventory));
    let rescan = Arc::new(Notify::new());
    let identity = config.identity.clone();
    let server = Arc::new(Server {
        slots: Arc::new(Semaphore::new(usize::from(config.identity.jobs))),
        identity: config.identity,
        access: config.access,
        programs: config.programs,
        inventory,
        rescan: Arc::clone(&rescan),
        events: config.events,
        workspace: config.workspace,
        surroundings: config.surroundings,
        limits: config.limits,
        phase: phase.clone(),
    });
    let mut tasks = JoinSet::new();
    tasks.spawn(listener::serve(listeners, Arc::clone(&server)));
    if let Some(advertiser) = config.advertiser {
        let inventory = server.inventory.clone();
        tasks.spawn(advert::follow(advertiser, identity, inventory, phase.clone()));
    }
    tasks.spawn(async move {
        tokio::select! {
            () = watch_compilers(config.scanner, found, rescan) => {}
            () = reached(&phase, Phase::Draining) => {}
        }
    });
    ready();
    supervise(tasks, &set_phase).await
}

/// Waits for the end of all tasks. The first that ends while the daemon serves, or panics, takes
/// the others with it.
async fn supervise(
    mut tasks: JoinSet<()>,
    set_phase: &watch::Sender<Phase>,
) -> Result<(), RunError> {
    let mut result = Ok(());
    while let Some(ended) = tasks.join_next().await {
        if let Err(panic) = &ended {
            error!("a task of the daemon died: {panic}");
        }
        if ended.is_err() || *set_phase.borrow() == Phase::Serving {
            result = Err(RunError::Died);
            set_phase.send_if_modified(|phase| {
                let is_early = *phase == Phase::Serving;
                if is_early {
                    *phase = Phase::Draining;
                }
                is_early
            });
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A task that lives as it should.
    async fn obedient(phase: watch::Receiver<Phase>) {
        reached(&phase, Phase::Draining).await;
    }

    #[tokio::test]
    async fn a_task_that_ends_early_ends_the_daemon() {
        let (set_phase, phase) = watch::channel(Phase::Serving);
        let mut tasks = JoinSet::new();
        tasks.spawn(obedient(phase.clone()));
        tasks.spawn(async { panic!("a bug") });
        assert!(matches!(supervise(tasks, &set_phase).await, Err(RunError::Died)));
        assert_eq!(*phase.borrow(), Phase::Draining);
    }

    #[tokio::test]
    async fn tasks_that_end_when_told_are_no_failure() {
        let (set_phase, phase) = watch::channel(Phase::Serving);
        let mut tasks = JoinSet::new();
        tasks.spawn(obedient(phase.clone()));
        set_phase.send_replace(Phase::Draining);
        assert!(supervise(tasks, &set_phase).await.is_ok());
    }
}
