//! What becomes of compilers when the daemon ends: nothing of them is left, however it ends.

use std::future::Future;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tracing::{error, warn};

use crate::daemon::jobs::workspace::{self, Workspace};
use crate::sys::children;
use crate::sys::guard::Guard;

/// For how long the end waits for processes that were killed.
const PATIENCE: Duration = Duration::from_secs(1);

/// A serving process that leaves nothing behind.
pub(super) struct Endings {
    /// None if it could not be started.
    guard: Option<Guard>,
}

impl Endings {
    /// To be called while there is one thread, before anything is started.
    pub(super) fn prepare(workspace: &Workspace) -> Self {
        if let Err(error) = children::adopt_orphans() {
            warn!(%error, "what compilers leave in the background will not be ended");
        }
        let guard = Guard::start(workspace.path(), workspace::clear);
        if let Err(error) = &guard {
            warn!(%error, "compilers will outlive this server if it is killed; \
                 restart it to have a guard again");
        }
        Self { guard: guard.ok() }
    }

    /// Reports the death of the guard.
    pub(super) fn watch(&self) -> impl Future<Output = ()> + use<> {
        let watched = self.guard.as_ref().map(Guard::watched);
        async move {
            let (Some(watched), Ok(mut ended)) = (watched, signal(SignalKind::child())) else {
                return;
            };
            while !watched.has_died() {
                ended.recv().await;
            }
            error!("the guard died: compilers will outlive this server if it is killed");
        }
    }

    /// Ends what still runs, as the last thing that the process does.
    pub(super) fn conclude(self) {
        children::end_all(PATIENCE);
        if let Some(guard) = self.guard {
            guard.dismiss();
        }
    }
}
