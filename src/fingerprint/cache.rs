//! What compilers were found to be, kept on disk: a probe starts some three processes and reads
//! tens of megabytes, and the answer stays true as long as its files stay the same.
//!
//! Several processes may share the file. Each writes a whole new one and renames it into place,
//! with what the others have written meanwhile; a reader sees one or the other. A file that cannot
//! be read, is damaged or of another version counts as empty.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::fmt::{self, Display, Formatter};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::files::{Digests, FileId, Stamp};
use super::probe::{self, ProbeError, Probed};
use super::{Driver, Toolchain};
use crate::wire::codec;
use crate::wire::control::ToolchainRecord;

/// Changed whenever a record below changes, or what a probe finds in the same files.
const VERSION: u32 = 1;
/// Compilers remembered; the oldest are forgotten first. A machine with forty names and a few PATHs
/// needs half of it.
const MAX_ENTRIES: usize = 256;

/// The memory of one process, with its place on disk.
#[derive(Debug, Default)]
pub(crate) struct ToolchainCache {
    /// None: nothing is kept.
    file: Option<PathBuf>,
    /// The oldest first.
    entries: Vec<Entry>,
    digests: Digests,
    changed: bool,
}

#[derive(Clone, Debug)]
struct Entry {
    path: PathBuf,
    search_path: OsString,
    probed: Probed,
}

/// The cache cannot be written.
#[derive(Debug)]
pub(crate) struct CacheError {
    /// Its file.
    pub(crate) path: PathBuf,
    /// Why.
    pub(crate) error: io::Error,
}

impl Display for CacheError {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "cannot write {}: {}", self.path.display(), self.error)
    }
}

impl std::error::Error for CacheError {}

impl ToolchainCache {
    /// With what the file holds; it need not exist, but its directory must when it is saved.
    pub(crate) fn open(file: PathBuf) -> Self {
        let stored = Stored::read(&file);
        let mut cache = Self { file: Some(file), ..Self::default() };
        cache.entries = stored.entries.into_iter().filter_map(EntryRecord::restore).collect();
        for digest in stored.digests {
            cache.digests.learn(digest.id.into(), digest.sha256);
        }
        cache
    }

    /// For this process only.
    pub(crate) fn in_memory() -> Self {
        Self::default()
    }

    /// What the compiler at `path` was found to be, if every file of it is still the same and PATH
    /// still leads to them. Starts no process.
    pub(crate) fn lookup(&self, path: &Path, search_path: &OsStr) -> Option<Probed> {
        let entry = self.entries.iter().find(|entry| entry.is_for(path, search_path))?;
        let still_true = |stamp: &Stamp| stamp.holds() && stamp.leads_there(search_path);
        entry.probed.stamps.iter().all(still_true).then(|| entry.probed.clone())
    }

    /// Remembers an answer in place of an earlier one.
    pub(crate) fn insert(&mut self, path: &Path, search_path: &OsStr, probed: &Probed) {
        self.entries.retain(|entry| !entry.is_for(path, search_path));
        self.entries.push(Entry {
            path: path.to_owned(),
            search_path: search_path.to_owned(),
            probed: probed.clone(),
        });
        self.entries.drain(..self.entries.len().saturating_sub(MAX_ENTRIES));
        self.changed = true;
    }

    /// From memory, else by asking the compilers ([`probe::probe_local`]), a few at a time. When
    /// nobody has answered for `patience`, the rest stays without an answer, unless nobody has one.
    /// The first ones are asked first. Blocks; nothing is written to disk before [`Self::save`].
    pub(super) fn probe_all(
        &mut self,
        paths: &[PathBuf],
        search_path: &OsStr,
        patience: Option<Duration>,
    ) -> Vec<Option<Result<Probed, ProbeError>>> {
        let mut answers: Vec<_> =
            paths.iter().map(|path| self.lookup(path, search_path).map(Ok)).collect();
        let unknown = (0..paths.len()).filter(|at| answers[*at].is_none());
        let unknown: VecDeque<usize> = unknown.collect();
        let mut n_left = unknown.len();
        let waiting = Arc::new(Mutex::new(unknown));
        let (told, answered) = mpsc::channel();
        for _ in 0..n_left.min(thread::available_parallelism().map_or(2, usize::from).max(2)) {
            let (waiting, told) = (Arc::clone(&waiting), told.clone());
            let (paths, search_path) = (paths.to_vec(), search_path.to_owned());
            let mut digests = self.digests.clone();
            let ask = move || {
                let next = || waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
                while let Some(at) = next() {
                    let probed = probe::probe(&paths[at], &search_path, &mut digests);
                    // Nobody listens when the patience is over.
                    if told.send((at, probed, digests.clone())).is_err() {
                        return;
                    }
                }
            };
            // Where no thread can be started, no compiler can either, and the rest has no answer.
            if thread::Builder::new().spawn(ask).is_err() {
                break;
            }
        }
        drop(told);
        while n_left > 0 {
            let is_any = answers.iter().flatten().any(Result::is_ok);
            let answer = match patience.filter(|_| is_any) {
                Some(patience) => answered.recv_timeout(patience).ok(),
                None => answered.recv().ok(),
            };
            let Some((at, probed, digests)) = answer else { break };
            if let Ok(probed) = &probed {
                self.insert(&paths[at], search_path, probed);
            }
            digests.iter().for_each(|(id, sha256)| self.digests.learn(*id, *sha256));
            answers[at] = Some(probed);
            n_left -= 1;
        }
        answers
    }

    /// Writes what is new, if anything is.
    pub(crate) fn save(&mut self) -> Result<(), CacheError> {
        let Some(file) = self.file.as_ref().filter(|_| self.changed) else { return Ok(()) };
        self.stored_with(Stored::read(file))
            .write(file)
            .map_err(|error| CacheError { path: file.clone(), error })?;
        self.changed = false;
        Ok(())
    }

    /// Ours, and before them those of `others` that we do not have: what another process has learnt
    /// since we read the file.
    fn stored_with(&self, others: Stored) -> Stored {
        let ours: Vec<EntryRecord> = self.entries.iter().map(EntryRecord::from).collect();
        let is_new = |other: &EntryRecord| {
            !ours
                .iter()
                .any(|entry| entry.path == other.path && entry.search_path == other.search_path)
        };
        let mut entries: Vec<EntryRecord> = others.entries.into_iter().filter(is_new).collect();
        entries.extend(ours);
        entries.drain(..entries.len().saturating_sub(MAX_ENTRIES));
        // Only digests of files that an entry rests on: others will not be asked for again.
        let digests = self
            .digests
            .iter()
            .map(|(id, sha256)| DigestRecord { id: (*id).into(), sha256: *sha256 })
            .filter(|digest| {
                entries.iter().any(|entry| {
                    entry.stamps.iter().any(|stamp| stamp.id.as_ref() == Some(&digest.id))
                })
            })
            .collect();
        Stored { version: VERSION, entries, digests }
    }
}

impl Entry {
    fn is_for(&self, path: &Path, search_path: &OsStr) -> bool {
        self.path == path && self.search_path == search_path
    }
}

/// The file: the codec is not self-describing, so the version stands first and alone decides.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Stored {
    version: u32,
    entries: Vec<EntryRecord>,
    digests: Vec<DigestRecord>,
}

#[derive(Debug, Serialize, Deserialize)]
struct EntryRecord {
    path: Vec<u8>,
    search_path: Vec<u8>,
    toolchain: ToolchainRecord,
    cxx: bool,
    files: Vec<Vec<u8>>,
    stamps: Vec<StampRecord>,
}

#[derive(Debug, Serialize, Deserialize)]
struct StampRecord {
    path: Vec<u8>,
    id: Option<IdRecord>,
    found_as: Option<Vec<u8>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct IdRecord {
    dev: u64,
    ino: u64,
    size: u64,
    mtime: i64,
    mtime_nsec: i64,
}

#[derive(Debug, Serialize, Deserialize)]
struct DigestRecord {
    id: IdRecord,
    sha256: [u8; 32],
}

impl Stored {
    fn read(file: &Path) -> Self {
        let mut bytes = Vec::new();
        let limit = codec::MAX_MESSAGE as u64 + 1;
        let read = File::open(file).and_then(|open| open.take(limit).read_to_end(&mut bytes));
        if read.is_err() || bytes.get(..4) != Some(&VERSION.to_le_bytes()) {
            return Self::default();
        }
        codec::decode(&bytes).unwrap_or_default()
    }

    fn write(&self, file: &Path) -> io::Result<()> {
        let bytes = codec::encode(self).map_err(io::Error::other)?;
        let dir = file.parent().filter(|dir| !dir.as_os_str().is_empty());
        let mut new = tempfile::NamedTempFile::new_in(dir.unwrap_or(Path::new(".")))?;
        new.write_all(&bytes)?;
        new.persist(file)?;
        Ok(())
    }
}

impl From<&Entry> for EntryRecord {
    fn from(entry: &Entry) -> Self {
        let bytes = |path: &PathBuf| path.as_os_str().as_bytes().to_vec();
        let probed = &entry.probed;
        Self {
            path: bytes(&entry.path),
            search_path: entry.search_path.as_bytes().to_vec(),
            toolchain: (&probed.toolchain).into(),
            cxx: probed.driver == Driver::Cxx,
            files: probed.files.iter().map(bytes).collect(),
            stamps: probed
                .stamps
                .iter()
                .map(|stamp| StampRecord {
                    path: bytes(&stamp.path),
                    id: stamp.id.map(IdRecord::from),
                    found_as: stamp.found_as.as_ref().map(|name| name.as_bytes().to_vec()),
                })
                .collect(),
        }
    }
}

impl EntryRecord {
    /// None for an entry that could never be looked up or checked.
    fn restore(self) -> Option<Entry> {
        let path = |bytes: Vec<u8>| PathBuf::from(OsString::from_vec(bytes));
        if self.stamps.is_empty() {
            return None;
        }
        Some(Entry {
            path: path(self.path),
            search_path: OsString::from_vec(self.search_path),
            probed: Probed {
                toolchain: Toolchain::from(self.toolchain),
                driver: if self.cxx { Driver::Cxx } else { Driver::C },
                files: self.files.into_iter().map(path).collect(),
                stamps: self
                    .stamps
                    .into_iter()
                    .map(|stamp| Stamp {
                        path: path(stamp.path),
                        id: stamp.id.map(FileId::from),
                        found_as: stamp.found_as.map(OsString::from_vec),
                    })
                    .collect(),
            },
        })
    }
}

impl From<FileId> for IdRecord {
    fn from(id: FileId) -> Self {
        let FileId { dev, ino, size, mtime, mtime_nsec } = id;
        Self { dev, ino, size, mtime, mtime_nsec }
    }
}

impl From<IdRecord> for FileId {
    fn from(id: IdRecord) -> Self {
        let IdRecord { dev, ino, size, mtime, mtime_nsec } = id;
        Self { dev, ino, size, mtime, mtime_nsec }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::testing::{Shelf, installed};
    use super::*;

    impl ToolchainCache {
        fn probe(&mut self, path: &Path, search_path: &OsStr) -> Result<Probed, ProbeError> {
            let mut answers = self.probe_all(&[path.to_owned()], search_path, None);
            answers.remove(0).expect("it is waited for")
        }
    }

    /// A compiler of an unknown kind that counts how often it is run.
    fn counting(shelf: &Shelf, body: &str) -> PathBuf {
        let log = shelf.path("log");
        shelf.script("mycc", &format!("echo x >>{}; {body}", log.display()))
    }

    fn runs(shelf: &Shelf) -> usize {
        fs::read_to_string(shelf.path("log")).map_or(0, |log| log.lines().count())
    }

    #[test]
    fn asks_an_unchanged_compiler_once() {
        let Some(gcc) = installed("gcc-12") else { return };
        let shelf = Shelf::new();
        let path = counting(&shelf, &format!("exec {} \"$@\"", gcc.display()));
        let search_path = shelf.search_path();
        let mut cache = ToolchainCache::open(shelf.path("cache"));
        let first = cache.probe(&path, &search_path).unwrap();
        let asked = runs(&shelf);
        assert!(asked > 0);
        assert_eq!(cache.probe(&path, &search_path).unwrap(), first);
        cache.save().unwrap();
        let mut reopened = ToolchainCache::open(shelf.path("cache"));
        assert_eq!(reopened.probe(&path, &search_path).unwrap(), first);
        assert_eq!(runs(&shelf), asked);

        shelf.script("as", "exec /usr/bin/as \"$@\"");
        assert_eq!(reopened.lookup(&path, &search_path), None, "another as is first on PATH");
        let second = reopened.probe(&path, &search_path).unwrap();
        assert!(runs(&shelf) > asked);
        assert_ne!(second.toolchain.digest, first.toolchain.digest);
    }

    #[test]
    fn asks_again_when_the_file_changes() {
        let shelf = Shelf::new();
        let path = counting(&shelf, "exit 1");
        let search_path = shelf.search_path();
        let mut cache = ToolchainCache::in_memory();
        let first = cache.probe(&path, &search_path).unwrap();
        counting(&shelf, "exit 10");
        assert_eq!(cache.lookup(&path, &search_path), None);
        assert_ne!(cache.probe(&path, &search_path).unwrap().toolchain, first.toolchain);
        assert_eq!(cache.lookup(&path, "/other".as_ref()), None, "another PATH");
        fs::remove_file(&path).unwrap();
        assert_eq!(cache.lookup(&path, &search_path), None);
    }

    #[test]
    fn asks_again_when_a_file_appears_that_must_not_exist() {
        let shelf = Shelf::new();
        let path = counting(&shelf, "exit 1");
        let mut cache = ToolchainCache::in_memory();
        let mut probed = cache.probe(&path, &shelf.search_path()).unwrap();
        probed.stamps.push(Stamp::at(shelf.path("specs")));
        cache.insert(&path, &shelf.search_path(), &probed);
        assert_eq!(cache.lookup(&path, &shelf.search_path()), Some(probed));
        fs::write(shelf.path("specs"), "").unwrap();
        assert_eq!(cache.lookup(&path, &shelf.search_path()), None);
    }

    #[test]
    fn takes_a_damaged_or_foreign_file_for_an_empty_one() {
        let shelf = Shelf::new();
        let path = counting(&shelf, "exit 1");
        let file = shelf.path("cache");
        let mut cache = ToolchainCache::open(file.clone());
        cache.probe(&path, &shelf.search_path()).unwrap();
        cache.save().unwrap();
        let whole = fs::read(&file).unwrap();
        assert!(ToolchainCache::open(file.clone()).lookup(&path, &shelf.search_path()).is_some());
        let mut foreign = whole.clone();
        foreign[0] ^= 1;
        let mut longer = whole.clone();
        longer.push(0);
        for damaged in [&whole[..whole.len() / 2], &whole[..3], &[], &foreign, &longer] {
            fs::write(&file, damaged).unwrap();
            let mut cache = ToolchainCache::open(file.clone());
            assert!(cache.entries.is_empty());
            cache.probe(&path, &shelf.search_path()).unwrap();
            cache.save().unwrap();
            assert_eq!(ToolchainCache::open(file.clone()).entries.len(), 1);
        }
        let mut nowhere = ToolchainCache::open(shelf.path("none/cache"));
        nowhere.probe(&path, &shelf.search_path()).unwrap();
        assert!(nowhere.save().unwrap_err().to_string().contains("none/cache"));
    }

    #[test]
    fn keeps_what_others_wrote_and_forgets_the_oldest() {
        let shelf = Shelf::new();
        let path = counting(&shelf, "exit 1");
        let file = shelf.path("cache");
        let mut one = ToolchainCache::open(file.clone());
        let mut two = ToolchainCache::open(file.clone());
        let probed = one.probe(&path, "/one".as_ref()).unwrap();
        two.insert(&path, "/two".as_ref(), &probed);
        one.save().unwrap();
        two.save().unwrap();
        let mut both = ToolchainCache::open(file);
        assert!(both.lookup(&path, "/one".as_ref()).is_some());
        assert!(both.lookup(&path, "/two".as_ref()).is_some());
        for n in 0..MAX_ENTRIES - 1 {
            both.insert(&path, format!("/{n}").as_ref(), &probed);
        }
        assert_eq!(both.entries.len(), MAX_ENTRIES);
        assert!(both.lookup(&path, "/one".as_ref()).is_none());
        assert!(both.lookup(&path, "/two".as_ref()).is_some());
    }
}
