//! When the compilers are looked for anew: once what the kernel tells of them has come to rest, and
//! from time to time, should it tell nothing (file systems of other machines).

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout};
use tracing::{info, warn};

use super::installers;
use super::inventory::{Inventory, Scanner};
use super::watches::Watches;

/// How often directories are looked at all the same; a look is one `stat` each.
const LOOK_PERIOD: Duration = Duration::from_secs(60);
/// Without a change for that long, an installation has ended, unless a package manager is at work.
const QUIET: Duration = Duration::from_secs(2);
/// A directory that is never quiet is no installation.
const LONGEST_NOISE: Duration = Duration::from_secs(60);
/// A package manager that works for longer waits for an answer.
const LONGEST_INSTALLATION: Duration = Duration::from_secs(600);

/// Keeps the inventory fresh as long as anybody uses it. Meanwhile jobs for a compiler that is no
/// longer what it was are refused.
pub(crate) async fn watch_compilers(
    scanner: Scanner,
    inventory: watch::Sender<Arc<Inventory>>,
    rescan: Arc<Notify>,
) {
    tokio::select! {
        () = follow(&scanner, &inventory, &rescan) => {}
        () = inventory.closed() => {}
    }
}

async fn follow(scanner: &Scanner, inventory: &watch::Sender<Arc<Inventory>>, rescan: &Notify) {
    let mut watches = Watches::new();
    watches.cover(scanner.places(&inventory.borrow()));
    let mut seen = inventory.borrow().looked.clone();
    // Of what was changed between the first search and the watches nobody tells.
    let mut is_due = !inventory.borrow().is_complete || scanner.look() != seen;
    loop {
        if !is_due {
            tokio::select! {
                () = rescan.notified() => settle(&mut watches).await,
                () = watches.changed() => settle(&mut watches).await,
                () = tokio::time::sleep(LOOK_PERIOD) => {
                    let is_same = inventory.borrow().is_unchanged();
                    if is_same && scanner.look() == seen {
                        continue;
                    }
                }
            }
        }
        is_due = false;
        let scanning = scanner.clone();
        // Asking compilers takes seconds, so it has a thread of its own.
        let fresh = match spawn_blocking(move || scanning.scan()).await {
            Ok(fresh) => fresh,
            Err(error) => {
                warn!(%error, "cannot look for compilers");
                continue;
            }
        };
        watches.cover(scanner.places(&fresh));
        seen.clone_from(&fresh.looked);
        if !fresh.is_unchanged() {
            // Between the answers and the watches; nobody would tell.
            rescan.notify_one();
        }
        let is_new = {
            let known = inventory.borrow();
            known.found != fresh.found || known.cc != fresh.cc
        };
        if is_new {
            info!("serving {}", fresh.summary());
            inventory.send_replace(Arc::new(fresh));
        }
    }
}

/// Waits until nobody changes anything any more.
async fn settle(watches: &mut Watches) {
    let begun = Instant::now();
    loop {
        let is_quiet = timeout(QUIET, watches.changed()).await.is_err();
        if !is_quiet && begun.elapsed() < LONGEST_NOISE {
            continue;
        }
        if !installers::at_work() || begun.elapsed() >= LONGEST_INSTALLATION {
            return;
        }
    }
}
