//! The serving process: log, signals, runtime, and its end.

use std::cell::Cell;
use std::future::Future;
use std::io::{self, Write};
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::task::spawn_blocking;
use tracing::{info, warn};

use super::endings::Endings;
use super::failure::Failure;
use super::pid_file::PidFile;
use super::start::{self, Config, DRAIN, RunError};
use crate::daemon::compilers::{Inventory, Scanner};
use crate::daemon::jobs::compiler::Surroundings;
use crate::daemon::jobs::workspace::Workspace;
use crate::daemon::network::advert::{self, Reachability};
use crate::daemon::report::log::{self, LogSink};
use crate::daemon::report::observe::{self, observe};
use crate::daemon::report::stats_page::StatsPage;
use crate::daemon::server::{Identity, Phase, Programs, reached};
use crate::policy::access::AccessList;
use crate::settings::daemon::{LogLevel, ServerLimits};
use crate::sys::process::{Detached, StartReport, Starter, detach};
use crate::sys::supervisor::Notifier;

/// Threads that serve connections; compilers have processes of their own.
const MAX_WORKERS: usize = 4;
/// For how long the end waits for threads that ask compilers who they are.
const LAST_THREADS: Duration = Duration::from_secs(1);

/// All that could be made ready in the foreground.
pub(super) struct Ready {
    pub(super) detach: bool,
    pub(super) log_level: LogLevel,
    pub(super) lifetime: Option<Duration>,
    pub(super) listeners: Vec<TcpListener>,
    /// Where the page of statistics is served.
    pub(super) stats: Vec<TcpListener>,
    pub(super) advertise: Option<Reachability>,
    pub(super) identity: Identity,
    pub(super) access: AccessList,
    pub(super) programs: Programs,
    pub(super) scanner: Scanner,
    pub(super) surroundings: Surroundings,
    pub(super) limits: ServerLimits,
    pub(super) temp_dir: PathBuf,
    /// Directories of jobs are kept there.
    pub(super) save_temps: bool,
    pub(super) log: Arc<LogSink>,
    pub(super) pid_file: Option<PidFile>,
    /// What in the settings has no effect, and why: for the log.
    pub(super) notes: Vec<String>,
    /// To systemd.
    pub(super) notifier: Notifier,
    /// The line for the user, but for what is served.
    pub(super) summary: Summary,
}

/// What the user is told when we serve.
pub(super) struct Summary {
    /// Where, to whom, and where the log is.
    pub(super) rest: String,
}

impl Summary {
    fn of(&self, programs: Programs, inventory: &Inventory) -> String {
        let compilers = inventory.summary();
        let what = match (programs, compilers.is_empty()) {
            (Programs::Compilers, _) => compilers,
            (_, true) => "any program".to_owned(),
            (_, false) => format!("any program, {compilers}"),
        };
        format!("distccd: serving {what} {}", self.rest)
    }
}

/// Serves to the end of the daemon in this process, or, detached, in another one: then this
/// returns when that one serves.
pub(super) fn serve(ready: Ready) -> Result<(), Failure> {
    if !ready.detach {
        // What the journal has from the log need not come there twice.
        let is_said = ready.log.is_journal();
        return live(ready, |summary| {
            if !is_said {
                say(&summary);
            }
        });
    }
    match detach().map_err(Failure::Detach)? {
        Detached::Parent(readiness) => match readiness.wait().map_err(Failure::Detach)? {
            StartReport::Ready(summary) => {
                say(&summary);
                // What was made ready belongs to the other process now; nothing is dropped here.
                std::mem::forget(ready);
                Ok(())
            }
            StartReport::Failed(code, text) => {
                std::mem::forget(ready);
                Err(Failure::Reported { code, text })
            }
        },
        Detached::Child(starter) => {
            let starter = Cell::new(Some(starter));
            let report = |report: &StartReport| {
                if let Some(starter) = starter.take() {
                    Starter::report(starter, report);
                }
            };
            let ended = live(ready, |summary| report(&StartReport::Ready(summary)));
            if let Err(failure) = &ended {
                report(&StartReport::Failed(failure.exit_code(), failure.to_string()));
            }
            ended
        }
    }
}

fn say(line: &str) {
    // Whoever closed standard output does not want to know.
    let _ = writeln!(io::stdout(), "{line}");
}

/// The life of the serving process.
fn live(ready: Ready, announce: impl FnOnce(String)) -> Result<(), Failure> {
    log::start(&ready.log, ready.log_level);
    let mut workspace = Workspace::open(&ready.temp_dir, ready.identity.id)?;
    if ready.save_temps {
        workspace.save_jobs_in(&ready.temp_dir);
    }
    let endings = Endings::prepare(&workspace);
    let runtime = runtime(ready.identity.cores).map_err(Failure::Runtime)?;
    let mut pid_file = ready.pid_file;
    if let Some(pid_file) = &mut pid_file {
        pid_file.write()?;
    }
    let (events, inbox) = mpsc::channel(observe::QUEUE_LEN);
    for note in &ready.notes {
        warn!("{note}");
    }
    let notifier = Arc::new(ready.notifier);
    let ended = runtime.block_on(async {
        let (set_phase, _) = watch::channel(Phase::Serving);
        let told = Arc::clone(&notifier);
        let ending = follow_signals(set_phase.clone(), ready.lifetime, ready.log, told)
            .map_err(Failure::Runtime)?;
        tokio::spawn(ending);
        tokio::spawn(feed_watchdog(Arc::clone(&notifier)));
        tokio::spawn(endings.watch());
        let advertise = ready.advertise;
        let advertiser = advertise.map(|reachability| advert::start(&ready.identity, reachability));
        let advertiser = advertiser.transpose().map_err(RunError::Advertise)?;
        let told_to_end = set_phase.subscribe();
        let looked = tokio::select! {
            looked = first_look(&ready.scanner, ready.programs) => looked.map(Some),
            // Compilers that hang do not hold up the end either.
            () = reached(&told_to_end, Phase::Draining) => Ok(None),
        };
        let Ok(Some(inventory)) = looked else {
            // It may have been announced that we are here.
            if let Some(advertiser) = advertiser {
                advertiser.withdraw().await;
            }
            return looked.map(drop);
        };
        drop(told_to_end);
        let summary = ready.summary.of(ready.programs, &inventory);
        let config = Config {
            identity: ready.identity,
            access: ready.access,
            programs: ready.programs,
            inventory,
            scanner: ready.scanner,
            surroundings: ready.surroundings,
            workspace,
            limits: ready.limits,
            events,
            advertiser,
        };
        let started = || {
            let status = summary.strip_prefix("distccd: ").unwrap_or(&summary);
            info!("{status}");
            notifier.ready(status);
            announce(summary);
        };
        let (questions, asked) = mpsc::channel(1);
        let observer = tokio::spawn(observe(inbox, asked, config.identity.jobs));
        let page = StatsPage {
            access: config.access.clone(),
            questions,
            temp_dir: ready.temp_dir,
            phase: set_phase.subscribe(),
        };
        for listener in ready.stats {
            tokio::spawn(page.clone().serve(listener));
        }
        drop(page);
        let ended = start::run(config, ready.listeners, set_phase, started).await;
        let _ = observer.await;
        ended.map_err(Failure::from)
    });
    if let Some(pid_file) = pid_file {
        pid_file.remove();
    }
    if ended.is_ok() {
        info!("ended");
    }
    runtime.shutdown_timeout(LAST_THREADS);
    endings.conclude();
    ended
}

/// What is served from the start.
async fn first_look(scanner: &Scanner, programs: Programs) -> Result<Inventory, Failure> {
    let scanning = scanner.clone();
    let look = spawn_blocking(move || scanning.first_scan());
    let inventory = look.await.map_err(|died| Failure::Runtime(io::Error::other(died)))?;
    if inventory.found.is_empty() && programs == Programs::Compilers {
        let search_path = scanner.search_path();
        return Err(Failure::NoCompiler { search_path, unusable: inventory.unusable });
    }
    Ok(inventory)
}

fn runtime(cores: u16) -> io::Result<Runtime> {
    let n_workers = usize::from(cores).clamp(1, MAX_WORKERS);
    Builder::new_multi_thread()
        .worker_threads(n_workers)
        // While no thread can be started, blocking work waits for one that is there, and without
        // any it would wait for ever. The first look at the compilers starts one.
        .thread_keep_alive(Duration::MAX)
        .enable_all()
        .build()
}

/// Installs the signal handlers at once, and returns what acts on them.
fn follow_signals(
    phase: watch::Sender<Phase>,
    lifetime: Option<Duration>,
    log: Arc<LogSink>,
    notifier: Arc<Notifier>,
) -> io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    Ok(async move {
        let lifetime_over = async {
            match lifetime {
                Some(lifetime) => tokio::time::sleep(lifetime).await,
                None => std::future::pending().await,
            }
        };
        let reopening = async {
            loop {
                hangup.recv().await;
                notifier.reloading();
                if let Err(error) = log.reopen() {
                    warn!(%error, "cannot open the log anew");
                }
                notifier.reloaded();
            }
        };
        let now = phase.subscribe();
        let draining = async move { reached(&now, Phase::Draining).await };
        tokio::select! {
            () = either(&mut terminate, &mut interrupt) => info!("asked to end"),
            () = lifetime_over => info!("lifetime is over"),
            () = reopening => {}
            // By the daemon itself, which has lost one of its tasks.
            () = draining => {}
        }
        phase.send_replace(Phase::Draining);
        notifier.stopping();
        tokio::select! {
            () = either(&mut terminate, &mut interrupt) => info!("asked to end at once"),
            () = tokio::time::sleep(DRAIN) => warn!("compiles that still run are ended"),
            // Everything has ended.
            () = phase.closed() => return,
        }
        phase.send_replace(Phase::Stopping);
        phase.closed().await;
    })
}

/// Tells the service manager that the runtime still runs, if it asks.
async fn feed_watchdog(notifier: Arc<Notifier>) {
    let Some(period) = notifier.period() else { return };
    let mut ticks = tokio::time::interval(period);
    loop {
        ticks.tick().await;
        notifier.alive();
    }
}

async fn either(one: &mut Signal, other: &mut Signal) {
    tokio::select! {
        _ = one.recv() => {}
        _ = other.recv() => {}
    }
}
