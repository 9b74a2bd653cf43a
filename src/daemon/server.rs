//! What all connections share. Nothing here changes but by its owner: the compilers come through
//! a watch from the scanner, events go through a queue to the observer.

use std::sync::Arc;

use tokio::sync::{Notify, Semaphore, mpsc, watch};

use super::compilers::Inventory;
use super::jobs::compiler::Surroundings;
use super::jobs::workspace::Workspace;
use super::report::observe::Event;
use crate::base::node::NodeId;
use crate::policy::access::AccessList;
use crate::settings::daemon::ServerLimits;

/// Who we are, for the hello and the advert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    /// The node.
    pub(crate) id: NodeId,
    /// Usable cores.
    pub(crate) cores: u16,
    /// Jobs at once.
    pub(crate) jobs: u16,
}

/// Which programs may be run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Programs {
    /// The compilers found on this machine.
    Compilers,
    /// `--enable-tcp-insecure`: whatever the PATH holds.
    Any,
    /// The same of one whom ssh has let in: the compilers found are run as anybody's.
    AnyKnownFirst,
}

/// How far the daemon's life has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// Takes jobs.
    Serving,
    /// Takes none; those that a compiler runs for are finished.
    Draining,
    /// Ends at once.
    Stopping,
}

/// The state that connections share.
#[derive(Debug)]
pub(crate) struct Server {
    /// Who we are.
    pub(crate) identity: Identity,
    /// Who may connect.
    pub(crate) access: AccessList,
    /// What may be run.
    pub(crate) programs: Programs,
    /// One permit a compiler; first come, first served.
    pub(crate) slots: Arc<Semaphore>,
    /// The compilers offered now.
    pub(crate) inventory: watch::Receiver<Arc<Inventory>>,
    /// Wakes the scanner: a compiler is not what it was.
    pub(crate) rescan: Arc<Notify>,
    /// To the observer.
    pub(crate) events: mpsc::Sender<Event>,
    /// Where jobs work.
    pub(crate) workspace: Workspace,
    /// What every compiler gets.
    pub(crate) surroundings: Surroundings,
    /// How much a client may ask for.
    pub(crate) limits: ServerLimits,
    /// How far we are.
    pub(crate) phase: watch::Receiver<Phase>,
}

impl Server {
    /// Tells the observer.
    pub(crate) async fn tell(&self, event: Event) {
        // The observer outlives every connection; should it have died, jobs go on without a log.
        let _ = self.events.send(event).await;
    }

    /// Tells the observer, unless it is busy: what is said of a client without a job would be left
    /// out for the most part anyway, and the listener waits for nobody.
    pub(crate) fn mention(&self, event: Event) {
        let _ = self.events.try_send(event);
    }
}

/// Completes when the daemon has come to `phase`.
pub(crate) async fn reached(phase: &watch::Receiver<Phase>, wanted: Phase) {
    // The sender vanishes with the daemon, which then needs no waiting either.
    let _ = phase.clone().wait_for(|now| *now >= wanted).await;
}
