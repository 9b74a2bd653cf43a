//! The compilers of this machine, and where they are looked for.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tracing::warn;

use super::state;
use crate::fingerprint::cache::ToolchainCache;
use crate::fingerprint::inventory::{self, DefaultCompiler, Found};
use crate::policy::target::normalised;

/// Names in these directories, if there are any, are the only ones served: `distccd`'s list since
/// 3.3, which `update-distcc-symlinks` fills.
const MASQUERADE_DIRS: [&str; 2] = ["/usr/lib/distcc", "/usr/lib/distcc/bin"];
/// After that long without an answer, the start goes on without the compilers still being asked.
const START_PATIENCE: Duration = Duration::from_secs(2);

/// What is served.
#[derive(Clone, Debug)]
pub(crate) struct Inventory {
    /// Changes with every start and every change of the compilers.
    pub(crate) generation: u64,
    /// Every compiler, the default one first.
    pub(crate) found: Vec<Found>,
    /// Why files with a compiler's name are not among them, for people.
    pub(crate) unusable: Vec<String>,
    /// Nobody is still being asked.
    pub(crate) is_complete: bool,
    /// What `cc` says of itself, for stock clients.
    pub(crate) cc: Option<DefaultCompiler>,
}

impl Inventory {
    /// The compiler that a client means by `name`: a bare name that is offered, or such a name in
    /// `/usr/bin` or `/bin` if that is the same file.
    pub(crate) fn resolve(&self, name: &[u8]) -> Option<&Found> {
        let path = Path::new(OsStr::from_bytes(name));
        let bare = path.file_name()?.to_str()?;
        let found =
            self.found.iter().find(|found| found.offered.names.iter().any(|own| own == bare))?;
        let is_bare = name == bare.as_bytes();
        let is_usual = path.parent() == Some(Path::new("/usr/bin"))
            || path.parent() == Some(Path::new("/bin"));
        (is_bare || is_usual && is_same_file(path, &found.path)).then_some(found)
    }

    /// Are all files still those that were looked at?
    pub(crate) fn is_unchanged(&self) -> bool {
        self.found.iter().all(Found::unchanged)
    }

    /// `gcc 12.2.0, clang 14.0.6`, for people.
    pub(crate) fn summary(&self) -> String {
        let mut known = BTreeSet::new();
        let mut words = Vec::new();
        for found in &self.found {
            let toolchain = &found.offered.toolchain;
            let target = normalised(&toolchain.target);
            if !known.insert((toolchain.family.clone(), &toolchain.version, target.clone())) {
                continue;
            }
            let default = self.found.first().map(|first| &first.offered.toolchain.target);
            let is_default =
                target.is_empty() || default.is_some_and(|default| normalised(default) == target);
            let mut word = toolchain.family.to_string();
            if !toolchain.version.is_empty() {
                word = format!("{word} {}", toolchain.version);
            }
            if !is_default {
                word = format!("{word} for {}", toolchain.target);
            }
            if !words.contains(&word) {
                words.push(word);
            }
        }
        words.join(", ")
    }
}

fn is_same_file(one: &Path, other: &Path) -> bool {
    matches!((one.canonicalize(), other.canonicalize()), (Ok(one), Ok(other)) if one == other)
}

/// Where compilers are looked for and what has been learned about them is kept.
#[derive(Clone, Debug)]
pub(crate) struct Scanner {
    path_dirs: Vec<PathBuf>,
    masquerade_dirs: Vec<PathBuf>,
    /// None for a daemon that can keep nothing.
    cache_file: Option<PathBuf>,
}

impl Scanner {
    /// Looks along `search_path`, and keeps what it learns in `state_dir`.
    pub(crate) fn new(search_path: &OsStr, state_dir: Option<&Path>) -> Self {
        Self {
            // A relative directory would mean another place once the daemon has moved to `/`.
            path_dirs: env::split_paths(search_path).filter(|dir| dir.is_absolute()).collect(),
            masquerade_dirs: MASQUERADE_DIRS.map(PathBuf::from).to_vec(),
            cache_file: state_dir.map(|dir| dir.join(state::CACHE_FILE)),
        }
    }

    /// The same with another list of masquerade directories.
    pub(crate) fn narrowed_by(self, masquerade_dirs: Vec<PathBuf>) -> Self {
        Self { masquerade_dirs, ..self }
    }

    /// Where is looked, for people.
    pub(crate) fn search_path(&self) -> OsString {
        env::join_paths(&self.path_dirs).unwrap_or_default()
    }

    /// Finds every compiler. Takes seconds the first time: each is asked who it is.
    pub(crate) fn scan(&self) -> Inventory {
        self.scan_for(None)
    }

    /// The same at the start, which one that hangs is not to hold up: who has not answered soon is
    /// left out, unless nobody has.
    pub(crate) fn first_scan(&self) -> Inventory {
        self.scan_for(Some(START_PATIENCE))
    }

    /// The same without what only an advert needs. It runs nothing if all compilers are known.
    pub(crate) fn scan_for_one_job(&self) -> Inventory {
        self.survey(None).1
    }

    fn scan_for(&self, patience: Option<Duration>) -> Inventory {
        let cc_dirs = self.path_dirs.clone();
        let cc = thread::spawn(move || inventory::default_compiler(&cc_dirs));
        let (n_unasked, found) = self.survey(patience);
        let cc = if n_unasked == 0 || cc.is_finished() { cc.join().ok() } else { None };
        Inventory { cc: cc.flatten(), ..found }
    }

    /// How many compilers have not answered in time, and those that have.
    fn survey(&self, patience: Option<Duration>) -> (usize, Inventory) {
        let mut cache = match &self.cache_file {
            Some(file) => ToolchainCache::open(file.clone()),
            None => ToolchainCache::in_memory(),
        };
        let dirs = (self.path_dirs.as_slice(), self.masquerade_dirs.as_slice());
        let survey = inventory::survey(dirs, &mut cache, patience);
        if let Err(error) = cache.save() {
            warn!("cannot remember what the compilers are: {error}");
        }
        let unusable = survey.unusable.iter().map(|(_, reason)| reason.to_string()).collect();
        let inventory = Inventory {
            generation: generation_now(),
            found: survey.found,
            unusable,
            is_complete: survey.n_unasked == 0,
            cc: None,
        };
        (survey.n_unasked, inventory)
    }

    /// The directories in which a change may be one of the compilers: those that are searched, and
    /// those of every file and link that these rest on.
    pub(crate) fn places(&self, inventory: &Inventory) -> BTreeSet<PathBuf> {
        let searched = self.path_dirs.iter().chain(&self.masquerade_dirs).cloned();
        let resting = inventory.found.iter().flat_map(|found| found.places(&self.path_dirs));
        searched.chain(resting).collect()
    }

    /// When the directories were changed.
    pub(crate) fn look(&self) -> Vec<Option<SystemTime>> {
        self.path_dirs
            .iter()
            .chain(&self.masquerade_dirs)
            .map(|dir| fs::metadata(dir).and_then(|found| found.modified()).ok())
            .collect()
    }
}

/// One that all processes share which serve the same compilers, each a single job.
pub(crate) fn generation_of(found: &[Found]) -> u64 {
    let mut hasher = DefaultHasher::new();
    for compiler in found {
        compiler.offered.names.hash(&mut hasher);
        compiler.offered.toolchain.digest.hash(&mut hasher);
    }
    hasher.finish()
}

/// Later scans and later starts have larger numbers, unless the clock is set back; then they
/// still differ.
fn generation_now() -> u64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_epoch.as_micros()).unwrap_or(u64::MAX)
}
