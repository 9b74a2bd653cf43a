//! Reads the state files of this user's jobs, whoever's client wrote them, and clears away those
//! of the dead.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;
use std::time::{Duration, SystemTime};

use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::Pid;

use super::record::{BadRecord, LEN, PREFIX, Record};
use crate::sys::process_times;

/// The file of a process that has gone is left for so long, as the original does.
const LITTER_AFTER: Duration = Duration::from_secs(60);
/// How far the times of a file and of a process may be apart that are the same.
const SLACK: Duration = Duration::from_secs(2);

/// What the state files say.
#[derive(Debug, Default)]
pub(crate) struct Feed {
    /// The jobs whose clients live.
    pub(crate) jobs: Vec<Record>,
    /// Files that cannot be understood, whole fragments that name them.
    pub(crate) problems: Vec<String>,
}

/// Reads the files below `distcc_dir`. Where there is no directory yet, no job has been there.
pub(crate) fn read(distcc_dir: &Path) -> Feed {
    let mut feed = Feed::default();
    let Ok(entries) = fs::read_dir(distcc_dir.join("state")) else { return feed };
    for entry in entries.flatten() {
        if !entry.file_name().as_encoded_bytes().starts_with(PREFIX.as_bytes()) {
            continue;
        }
        let path = entry.path();
        // One that ends while we look is no misfortune.
        let Ok((bytes, changed)) = contents(&path) else { continue };
        let problem = match Record::decode(&bytes) {
            Ok(job) if is_alive(job.pid, changed) => {
                feed.jobs.push(job);
                continue;
            }
            Ok(_) => None,
            // Its writer has made it and not yet filled it.
            Err(BadRecord::Length) if bytes.len() < LEN => None,
            Err(BadRecord::Length) => Some("wrong structure size"),
            Err(BadRecord::Magic) => Some("wrong magic number"),
        };
        if changed.elapsed().is_ok_and(|age| age > LITTER_AFTER) {
            let _ = fs::remove_file(&path);
        } else if let Some(problem) = problem {
            feed.problems.push(format!("{}: {problem}", path.display()));
        }
    }
    feed
}

/// The beginning of the file, enough to see that it is too long, and when it was written.
fn contents(path: &Path) -> io::Result<(Vec<u8>, SystemTime)> {
    let meta = fs::symlink_metadata(path)?;
    if !meta.is_file() {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut bytes = Vec::with_capacity(LEN + 1);
    File::open(path)?.take(LEN as u64 + 1).read_to_end(&mut bytes)?;
    Ok((bytes, meta.modified()?))
}

/// Does the process live that wrote the file then? A later one may have got its number.
fn is_alive(pid: u32, wrote: SystemTime) -> bool {
    let Some(pid) = i32::try_from(pid).ok().filter(|pid| *pid > 0) else { return false };
    if kill(Pid::from_raw(pid), None) == Err(Errno::ESRCH) {
        return false;
    }
    process_times::started(pid).is_none_or(|started| started <= wrote + SLACK)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::process;

    use super::super::record::Phase;
    use super::*;

    struct States {
        dir: tempfile::TempDir,
    }

    impl States {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            fs::create_dir(dir.path().join("state")).unwrap();
            Self { dir }
        }

        fn path(&self, name: &str) -> PathBuf {
            self.dir.path().join("state").join(name)
        }

        fn write(&self, name: &str, bytes: &[u8], age: u64) {
            fs::write(self.path(name), bytes).unwrap();
            let file = File::options().write(true).open(self.path(name)).unwrap();
            file.set_modified(SystemTime::now() - Duration::from_secs(age)).unwrap();
        }

        fn read(&self) -> (usize, Vec<String>) {
            let feed = read(self.dir.path());
            (feed.jobs.len(), feed.problems)
        }
    }

    fn of(pid: u32) -> [u8; LEN] {
        let (file, host) = (b"a.c".to_vec(), b"beech".to_vec());
        Record { pid, file, host, slot: 0, phase: Phase::Compile }.encode()
    }

    /// The number of a process that has ended.
    fn dead() -> u32 {
        let mut child = process::Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        child.id()
    }

    #[test]
    fn a_job_is_not_lost_however_long_it_takes() {
        let states = States::new();
        // The first process has run for longer than anything else.
        let age = process_times::started(1).unwrap().elapsed().unwrap().as_secs();
        states.write("binstate_1", &of(1), 0);
        states.write("binstate_2", &of(1), age.min(3600));
        assert_eq!(states.read(), (2, Vec::new()));
        assert!(states.path("binstate_2").exists());
    }

    #[test]
    fn files_of_the_dead_are_cleared_away_after_a_minute() {
        let states = States::new();
        states.write("binstate_1", &of(dead()), 0);
        states.write("binstate_2", &of(dead()), 61);
        states.write("binstate_3", b"half", 61);
        states.write("binstate_4", &of(u32::MAX), 61);
        // As old as the machine: the process is another one.
        states.write("binstate_5", &of(process::id()), 1_000_000_000);
        states.write("other_1", &of(dead()), 61);
        assert_eq!(states.read(), (0, Vec::new()));
        let left = |name: &str| states.path(name).exists();
        assert!(left("binstate_1") && left("other_1"));
        assert!(["2", "3", "4", "5"].iter().all(|n| !left(&format!("binstate_{n}"))));
    }

    #[test]
    fn what_is_no_state_file_is_named() {
        let states = States::new();
        let mut magic = of(process::id());
        magic[8] = 1;
        states.write("binstate_1", &magic, 0);
        states.write("binstate_2", &[0; 300], 0);
        states.write("binstate_3", b"half", 0);
        fs::create_dir(states.path("binstate_4")).unwrap();
        let (jobs, mut problems) = states.read();
        problems.sort();
        let words: Vec<_> = problems.iter().filter_map(|p| p.split_once(": ")).collect();
        assert_eq!(jobs, 0);
        assert_eq!(
            words.iter().map(|(_, word)| *word).collect::<Vec<_>>(),
            ["wrong magic number", "wrong structure size"]
        );
        assert_eq!(read(Path::new("/nonexistent")).jobs, []);
    }
}
