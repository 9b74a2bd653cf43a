//! Hosts without an agent: slots are lock files and failed hosts are remembered by files, both
//! named as the original names them (distcc-behaviour 2.11), so that old and new clients of one
//! `DISTCC_DIR` share them. No toolchain is compared here and no policy asked; `place` sees to it
//! that this is used only where none exists.

use std::fs;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, SystemTime};

use crate::settings::hosts::{HostEntry, HostList, ListedHost, SshHost};
use crate::sys::cores;
use crate::sys::locks::{FileLock, try_lock};
use crate::wire::control::SshRoute;

/// Local compiles at once where the host list does not say (`--localslots`).
const DEFAULT_LOCAL_COMPILES: u16 = 4;
/// Local preprocessors at once where the host list does not say (`--localslots_cpp`).
const DEFAULT_LOCAL_PREPROCESSORS: u16 = 8;
/// The first pause between two looks at the locks; it doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// The shortest one, whatever `DISTCC_PAUSE_TIME_MSEC` says: looking without a pause takes the very
/// processor that the jobs would use.
const SHORTEST_PAUSE: Duration = Duration::from_millis(5);

/// The lock files below `$DISTCC_DIR/lock`.
#[derive(Debug)]
pub(super) struct SlotFiles {
    dir: PathBuf,
    longest_pause: Duration,
}

impl SlotFiles {
    /// Makes the directory if need be. Where it cannot be made, no slot can be had either, and
    /// work goes on without.
    pub(super) fn open(distcc_dir: &Path, longest_pause: Duration) -> io::Result<Self> {
        let dir = distcc_dir.join("lock");
        // Nothing above: a home that does not exist was left out on purpose.
        for dir in [distcc_dir, &dir] {
            match fs::create_dir(dir) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                _ => {}
            }
        }
        Ok(Self { dir, longest_pause: longest_pause.max(SHORTEST_PAUSE) })
    }

    /// Waits for one of the slots of this machine for a compile; never more than it has cores.
    pub(super) fn local_compile(&self, limit: Option<u16>) -> io::Result<FileLock> {
        self.wait_for_local(limit.unwrap_or(DEFAULT_LOCAL_COMPILES))
    }

    /// The same for a preprocessor. Both kinds share the files, so they compete.
    pub(super) fn local_preprocessor(&self, limit: Option<u16>) -> io::Result<FileLock> {
        self.wait_for_local(limit.unwrap_or(DEFAULT_LOCAL_PREPROCESSORS))
    }

    fn wait_for_local(&self, limit: u16) -> io::Result<FileLock> {
        let slots = limit.min(cores::usable()).max(1);
        self.wait(|| {
            for slot in 0..slots {
                if let Some(lock) = self.try_slot("cpu", "localhost", slot)? {
                    return Ok(Some(lock));
                }
            }
            Ok(None)
        })
    }

    fn try_slot(&self, prefix: &str, host: &str, slot: u16) -> io::Result<Option<FileLock>> {
        try_lock(&self.dir.join(format!("{prefix}_{host}_{slot}")), slot)
    }

    /// Tries until there is something. Lock files cannot be slept on when any of several will do.
    fn wait<T>(&self, mut attempt: impl FnMut() -> io::Result<Option<T>>) -> io::Result<T> {
        let mut pause = FIRST_PAUSE.min(self.longest_pause);
        loop {
            if let Some(found) = attempt()? {
                return Ok(found);
            }
            thread::sleep(pause);
            pause = (pause * 2).min(self.longest_pause);
        }
    }

    fn backoff_file(&self, host: &ListedHost) -> PathBuf {
        self.dir.join(format!("backoff_{}_0", name_of(host)))
    }
}

/// `tcp_<host>_<port>`, `ssh_<host>`
fn name_of(host: &ListedHost) -> String {
    match host {
        ListedHost::Tcp(host) => format!("tcp_{}_{}", host.host, host.port),
        ListedHost::Ssh(host) => format!("ssh_{}", host.host),
    }
}

/// Where a host is: its addresses, in the order in which the system's resolver has them, or the way
/// by ssh, whose configuration knows it.
pub(super) fn find(host: &ListedHost) -> io::Result<(Vec<SocketAddr>, Option<SshRoute>)> {
    match host {
        ListedHost::Tcp(host) => {
            let found = (host.host.as_str(), host.port).to_socket_addrs()?;
            Ok((found.collect(), None))
        }
        ListedHost::Ssh(SshHost { user, host, command, .. }) => {
            let (user, host, command) = (user.clone(), host.clone(), command.clone());
            Ok((Vec::new(), Some(SshRoute { user, host, command, control_path: None })))
        }
    }
}

/// A host that a job may go to, and its slot.
#[derive(Debug)]
pub(super) struct ChosenHost {
    /// Position in the host list.
    pub(super) idx: usize,
    /// Where it is.
    pub(super) host: ListedHost,
    /// Held as long as the job runs.
    pub(super) slot: FileLock,
}

/// Where a job may go.
#[derive(Debug)]
pub(super) enum Choice {
    /// To this host.
    Host(ChosenHost),
    /// `localhost` of the host list has a slot free.
    Localhost {
        /// Held as long as the job runs.
        slot: FileLock,
    },
    /// No host of the list can take it.
    Nowhere,
}

/// The hosts of a list as one client sees them.
#[derive(Debug)]
pub(super) struct StaticHosts {
    entries: Vec<(usize, HostEntry)>,
    backoff: Duration,
}

impl StaticHosts {
    /// Hosts that can be used without an agent. `seed` is for `--randomize`.
    pub(super) fn new(list: &HostList, backoff: Duration, seed: u64) -> Self {
        let usable = |entry: &HostEntry| match entry {
            HostEntry::Localhost { slots } => *slots > 0,
            HostEntry::Tcp(host) => host.slots > 0 && !host.options.down && !host.options.auth,
            HostEntry::Ssh(host) => host.slots > 0 && !host.options.down,
            HostEntry::Zeroconf => false,
        };
        let mut entries: Vec<_> =
            list.entries.iter().cloned().enumerate().filter(|(_, entry)| usable(entry)).collect();
        if list.randomize {
            shuffle(&mut entries, seed);
        }
        Self { entries, backoff }
    }

    /// Waits for the first free slot: every host's first slot before any host's second.
    pub(super) fn choose(&self, slots: &SlotFiles, avoid: &[u64]) -> io::Result<Choice> {
        slots.wait(|| {
            let candidates: Vec<_> = self
                .entries
                .iter()
                .filter(|(idx, entry)| {
                    !avoid.contains(&(*idx as u64)) && !self.in_backoff(slots, entry)
                })
                .collect();
            if candidates.is_empty() {
                return Ok(Some(Choice::Nowhere));
            }
            let most = candidates.iter().map(|(_, entry)| slots_of(entry)).max().unwrap_or(0);
            for slot in 0..most {
                for (idx, entry) in candidates.iter().filter(|(_, entry)| slot < slots_of(entry)) {
                    if let Some(choice) = take(slots, *idx, entry, slot)? {
                        return Ok(Some(choice));
                    }
                }
            }
            Ok(None)
        })
    }

    fn in_backoff(&self, slots: &SlotFiles, entry: &HostEntry) -> bool {
        let Some(host) = ListedHost::of(entry) else { return false };
        if self.backoff.is_zero() {
            return false;
        }
        let marked = fs::metadata(slots.backoff_file(&host)).and_then(|file| file.modified());
        // A time in the future is a clock that was set back, and no reason to wait for it.
        marked.is_ok_and(|marked| {
            SystemTime::now().duration_since(marked).is_ok_and(|age| age < self.backoff)
        })
    }

    /// Notes that `host` failed.
    pub(super) fn mark_failed(&self, slots: &SlotFiles, host: &ListedHost) -> io::Result<()> {
        if self.backoff.is_zero() {
            return Ok(());
        }
        fs::write(slots.backoff_file(host), "x")
    }

    /// Notes that `host` did its job.
    pub(super) fn mark_good(&self, slots: &SlotFiles, host: &ListedHost) -> io::Result<()> {
        match fs::remove_file(slots.backoff_file(host)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

fn take(slots: &SlotFiles, idx: usize, entry: &HostEntry, slot: u16) -> io::Result<Option<Choice>> {
    Ok(match ListedHost::of(entry) {
        Some(host) => slots
            .try_slot("cpu", &name_of(&host), slot)?
            .map(|lock| Choice::Host(ChosenHost { idx, host, slot: lock })),
        None => slots.try_slot("cpu", "localhost", slot)?.map(|slot| Choice::Localhost { slot }),
    })
}

fn slots_of(entry: &HostEntry) -> u16 {
    match entry {
        // However many are listed, no more local jobs than cores.
        HostEntry::Localhost { slots } => (*slots).min(cores::usable()),
        HostEntry::Tcp(host) => host.slots,
        HostEntry::Ssh(host) => host.slots,
        HostEntry::Zeroconf => 0,
    }
}

/// Fisher-Yates with a xorshift generator: neighbouring seeds (process ids) must not give
/// neighbouring orders, nor must it matter to anyone that they can be guessed.
fn shuffle<T>(items: &mut [T], seed: u64) {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    for last in (1..items.len()).rev() {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let choice = (state >> 16) % (last as u64 + 1);
        items.swap(last, usize::try_from(choice).expect("below a length"));
    }
}

#[cfg(test)]
mod tests {
    use crate::settings::hosts::{self, HostOptions, TcpHost};

    use super::*;

    fn tcp(host: &str, slots: u16) -> HostEntry {
        HostEntry::Tcp(TcpHost {
            token: host.to_owned(),
            host: host.to_owned(),
            port: 3632,
            slots,
            options: HostOptions::default(),
        })
    }

    fn list(entries: Vec<HostEntry>) -> HostList {
        HostList { entries, ..HostList::default() }
    }

    fn slot_files(dir: &tempfile::TempDir) -> SlotFiles {
        SlotFiles::open(dir.path(), Duration::from_millis(1)).unwrap()
    }

    fn chosen(choice: Choice) -> ChosenHost {
        match choice {
            Choice::Host(host) => host,
            other => panic!("{other:?} is not a host"),
        }
    }

    #[test]
    fn slots_are_the_originals_files() {
        let dir = tempfile::tempdir().unwrap();
        let slots = slot_files(&dir);
        let hosts = StaticHosts::new(&list(vec![tcp("::1", 2)]), Duration::from_secs(60), 0);
        let host = chosen(hosts.choose(&slots, &[]).unwrap());
        assert!(dir.path().join("lock/cpu_tcp_::1_3632_0").exists());
        let _local = slots.local_compile(None).unwrap();
        assert!(dir.path().join("lock/cpu_localhost_0").exists());
        hosts.mark_failed(&slots, &host.host).unwrap();
        assert_eq!(fs::read(dir.path().join("lock/backoff_tcp_::1_3632_0")).unwrap(), b"x");
    }

    #[test]
    fn hosts_by_ssh_have_the_originals_files_too() {
        let dir = tempfile::tempdir().unwrap();
        let slots = slot_files(&dir);
        let parsed = hosts::parse("me@h/2:/opt/distccd,lzo");
        let chosen = chosen(
            StaticHosts::new(&parsed, Duration::from_secs(60), 0).choose(&slots, &[]).unwrap(),
        );
        assert!(dir.path().join("lock/cpu_ssh_h_0").exists());
        let (addrs, route) = find(&chosen.host).unwrap();
        assert!(addrs.is_empty() && chosen.host.options().lzo);
        assert_eq!(route.unwrap().command.as_deref(), Some("/opt/distccd"));
    }

    #[test]
    fn a_failed_host_is_left_out_until_it_is_forgiven() {
        let dir = tempfile::tempdir().unwrap();
        let slots = slot_files(&dir);
        let hosts =
            StaticHosts::new(&list(vec![tcp("a", 1), tcp("b", 1)]), Duration::from_secs(60), 0);
        let first = chosen(hosts.choose(&slots, &[]).unwrap());
        assert_eq!(first.host.token(), "a");
        hosts.mark_failed(&slots, &first.host).unwrap();
        assert_eq!(chosen(hosts.choose(&slots, &[]).unwrap()).host.token(), "b");
        assert!(matches!(hosts.choose(&slots, &[1]).unwrap(), Choice::Nowhere));
        hosts.mark_good(&slots, &first.host).unwrap();
        let host = first.host.clone();
        drop(first);
        assert_eq!(chosen(hosts.choose(&slots, &[1]).unwrap()).host, host);
        hosts.mark_good(&slots, &host).unwrap();
    }

    #[test]
    fn hosts_that_cannot_be_used_do_not_make_it_wait() {
        let dir = tempfile::tempdir().unwrap();
        let down = HostEntry::Tcp(TcpHost {
            token: "h,down".to_owned(),
            host: "h".to_owned(),
            port: 3632,
            slots: 4,
            options: HostOptions { down: true, ..HostOptions::default() },
        });
        let hosts =
            StaticHosts::new(&list(vec![down, HostEntry::Zeroconf]), Duration::from_secs(60), 0);
        assert!(matches!(hosts.choose(&slot_files(&dir), &[]).unwrap(), Choice::Nowhere));
    }

    #[test]
    fn no_pause_is_so_short_that_waiting_is_work() {
        let dir = tempfile::tempdir().unwrap();
        let slots = SlotFiles::open(dir.path(), Duration::ZERO).unwrap();
        assert_eq!(slots.longest_pause, SHORTEST_PAUSE);
    }

    #[test]
    fn localhost_takes_its_turn() {
        let dir = tempfile::tempdir().unwrap();
        let slots = slot_files(&dir);
        let entries = vec![HostEntry::Localhost { slots: 1 }, tcp("a", 1)];
        let hosts = StaticHosts::new(&list(entries), Duration::from_secs(60), 0);
        assert!(matches!(hosts.choose(&slots, &[]).unwrap(), Choice::Localhost { .. }));
        assert!(matches!(hosts.choose(&slots, &[0]).unwrap(), Choice::Host(_)));
    }

    #[test]
    fn shuffling_keeps_every_host_and_depends_on_the_seed() {
        let orders: Vec<Vec<u8>> = (0..20)
            .map(|seed| {
                let mut items: Vec<u8> = (0..6).collect();
                shuffle(&mut items, seed);
                items
            })
            .collect();
        for order in &orders {
            let mut sorted = order.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, [0, 1, 2, 3, 4, 5]);
        }
        assert!(orders.iter().any(|order| order != &orders[0]));
    }
}
