//! The page of statistics over HTTP. It is made when somebody connects, whatever is asked for, and
//! costs jobs nothing: the state is the observer's, who is asked for a copy.

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::net::TcpListener as StdListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::statvfs::statvfs;
use nix::unistd::{SysconfVar, sysconf};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{AbortHandle, spawn_blocking};
use tokio::time::timeout;
use tracing::warn;

use super::observe::{Client, Question};
use super::stats::Machine;
use crate::daemon::server::{Phase, reached};
use crate::policy::access::AccessList;
use crate::sys::process_table;

const HEAD: &str = "HTTP/1.0 200 OK\nContent-Type: text/plain\nConnection: close\n\n";
/// Readers at once; one more ends the oldest.
const MAX_READERS: usize = 16;
/// A reader may say what it wants within this time, but need not.
const WORD: Duration = Duration::from_secs(1);
/// How much of that is read.
const MAX_WORD: usize = 1024;
/// A page is sent within this time.
const DEADLINE: Duration = Duration::from_secs(5);
/// After a failed `accept`.
const BACK_OFF: Duration = Duration::from_millis(200);
/// The machine is looked at again after this time.
const LOOK_PERIOD: Duration = Duration::from_secs(1);
/// Programs that compile: their memory says nothing of what else the machine is used for.
const COMPILERS: [&str; 10] =
    ["cc1", "cc1plus", "cc1obj", "cc1objplus", "as", "gcc", "g++", "clang", "clang++", "lto1"];

/// What a page needs.
#[derive(Clone, Debug)]
pub(crate) struct StatsPage {
    /// Who may see it.
    pub(crate) access: AccessList,
    /// To the observer.
    pub(crate) questions: mpsc::Sender<Question>,
    /// Where jobs work.
    pub(crate) temp_dir: PathBuf,
    /// How far the daemon's life has come.
    pub(crate) phase: watch::Receiver<Phase>,
}

impl StatsPage {
    /// Serves it until the daemon drains.
    pub(crate) async fn serve(self, listener: StdListener) {
        let opened = listener.set_nonblocking(true).and_then(|()| TcpListener::from_std(listener));
        let listener = match opened {
            Ok(listener) => listener,
            Err(error) => return warn!(%error, "cannot serve statistics"),
        };
        let mut readers: VecDeque<AbortHandle> = VecDeque::new();
        let mut looks = Looks::default();
        let mut draining = std::pin::pin!(reached(&self.phase, Phase::Draining));
        loop {
            let accepted = tokio::select! {
                () = &mut draining => break,
                accepted = listener.accept() => accepted,
            };
            let Ok((stream, client)) = accepted else {
                tokio::time::sleep(BACK_OFF).await;
                continue;
            };
            if !self.access.allows(client.ip()) {
                tracing::debug!(target: "stats", "client '{}' denied", Client(client));
                continue;
            }
            let Some(page) = self.page(&mut looks).await else { break };
            readers.retain(|reader| !reader.is_finished());
            if readers.len() >= MAX_READERS
                && let Some(oldest) = readers.pop_front()
            {
                oldest.abort();
            }
            let sending = tokio::spawn(async move {
                // Who does not take it in time does without.
                let _ = timeout(DEADLINE, send(stream, page)).await;
            });
            readers.push_back(sending.abort_handle());
        }
        readers.iter().for_each(AbortHandle::abort);
    }

    async fn page(&self, looks: &mut Looks) -> Option<String> {
        let (answer, stats) = oneshot::channel();
        self.questions.send(answer).await.ok()?;
        let mut stats = stats.await.ok()?;
        let machine = looks.machine(&self.temp_dir).await;
        Some(stats.page(&machine, Instant::now()))
    }
}

async fn send(mut stream: TcpStream, page: String) -> io::Result<()> {
    let mut word = [0; MAX_WORD];
    // Closing before it is read would reset the connection, and the page with it.
    let _ = timeout(WORD, stream.read(&mut word)).await;
    stream.write_all(HEAD.as_bytes()).await?;
    stream.write_all(page.as_bytes()).await?;
    stream.shutdown().await?;
    while stream.read(&mut word).await? > 0 {}
    Ok(())
}

/// What was seen of the machine last.
#[derive(Default)]
struct Looks {
    last: Option<(Instant, Arc<Machine>)>,
    /// Of all disks since the machine's start.
    sectors: Option<(Instant, u64)>,
}

impl Looks {
    /// The machine as it is, or was a moment ago: many readers are no more work than one.
    async fn machine(&mut self, temp_dir: &Path) -> Arc<Machine> {
        let now = Instant::now();
        if let Some((seen, machine)) = &self.last
            && now.duration_since(*seen) < LOOK_PERIOD
        {
            return Arc::clone(machine);
        }
        let temp_dir = temp_dir.to_owned();
        // Walks through all processes.
        let looked = spawn_blocking(move || (look(&temp_dir), sectors())).await;
        let (mut machine, sectors) = looked.unwrap_or_default();
        if let (Some((seen, before)), Some(sectors)) = (self.sectors, sectors) {
            let seconds = now.duration_since(seen).as_secs().max(1);
            machine.io_rate = Some(sectors.saturating_sub(before) / seconds);
        }
        self.sectors = sectors.map(|sectors| (now, sectors));
        let machine = Arc::new(machine);
        self.last = Some((now, Arc::clone(&machine)));
        machine
    }
}

fn look(temp_dir: &Path) -> Machine {
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let mut words = load.split_whitespace();
    let loads = [(); 3].map(|()| words.next().and_then(|word| word.parse().ok()).unwrap_or(0.0));
    let n_runnable = words.next().and_then(|word| word.split_once('/')?.0.parse().ok());
    let page_size = sysconf(SysconfVar::PAGE_SIZE).ok().flatten();
    let page_kib = page_size.and_then(|size| u64::try_from(size).ok()).unwrap_or(4096) >> 10;
    let (mut n_waiting, mut largest) = (0, (0, String::new()));
    for process in process_table::all() {
        n_waiting += u64::from(process.state == 'D');
        let memory = process.n_resident_pages * page_kib;
        if memory > largest.0 && !COMPILERS.contains(&process.name.as_str()) {
            largest = (memory, process.name);
        }
    }
    let space = statvfs(temp_dir).ok();
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let available = memory.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let available = available.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
    Machine {
        n_runnable: n_runnable.unwrap_or(0),
        loads,
        n_waiting,
        largest,
        io_rate: None,
        free_space: space.map(|space| (space.blocks_available() * space.fragment_size()) >> 20),
        free_memory: available.map(|kib| kib >> 10),
    }
}

/// Sectors read and written by all disks that have a device behind them.
fn sectors() -> Option<u64> {
    let stats = fs::read_to_string("/proc/diskstats").ok()?;
    let of = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let is_disk = Path::new("/sys/block").join(fields.get(2)?).join("device").exists();
        let number = |idx: usize| fields.get(idx)?.parse::<u64>().ok();
        is_disk.then_some(number(5)? + number(9)?)
    };
    let disks: Vec<u64> = stats.lines().filter_map(of).collect();
    (!disks.is_empty()).then(|| disks.iter().sum())
}
