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
use std::sync::Arc;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tracing::warn;

use super::ccache::Ccache;
use crate::daemon::life::state;
use crate::fingerprint::cache::ToolchainCache;
use crate::fingerprint::inventory::{self, DefaultCompiler, Found, Search};
use crate::policy::target::normalised;
use crate::settings::daemon::{CommandList, DaemonEnvironment, DaemonSettings};

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
    /// When the directories had been changed before they were searched.
    pub(crate) looked: Vec<Option<SystemTime>>,
    /// What `cc` says of itself, for stock clients.
    pub(crate) cc: Option<DefaultCompiler>,
    /// Nothing else may run.
    pub(crate) only: Option<Arc<CommandList>>,
    /// How links to ccache are run; none: not at all, but the compilers behind them.
    pub(crate) ccache: Option<Arc<Ccache>>,
}

/// What a name stands for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Resolved<'a> {
    /// The compiler.
    pub(crate) found: &'a Found,
    /// The link to ccache that is run in its place.
    pub(crate) cached: Option<&'a Path>,
}

impl Inventory {
    /// The compiler that a client means by `name`: a bare name that is offered, or such a name in
    /// `/usr/bin` or `/bin` if that is the same file. Where a list says which commands may run, it
    /// also says by how many words they are known.
    pub(crate) fn resolve(&self, name: &[u8]) -> Option<Resolved<'_>> {
        let called = |name: &str| {
            let found = self
                .found
                .iter()
                .find(|found| found.offered.names.iter().any(|own| own == name))?;
            let cached = found.cached.get(name).filter(|_| self.ccache.is_some());
            Some(Resolved { found, cached: cached.map(PathBuf::as_path) })
        };
        if let Some(only) = &self.only {
            return called(&only.key(str::from_utf8(name).ok()?)?);
        }
        let path = Path::new(OsStr::from_bytes(name));
        let bare = path.file_name()?.to_str()?;
        let resolved = called(bare)?;
        if name == bare.as_bytes() {
            return Some(resolved);
        }
        let is_usual = path.parent() == Some(Path::new("/usr/bin"))
            || path.parent() == Some(Path::new("/bin"));
        // The compiler itself was asked for.
        (is_usual && is_same_file(path, &resolved.found.path))
            .then_some(Resolved { cached: None, ..resolved })
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
    search: Search,
    only: Option<Arc<CommandList>>,
    ccache: Option<Arc<Ccache>>,
    /// None for a daemon that can keep nothing.
    cache_file: Option<PathBuf>,
}

impl Scanner {
    /// Looks along `search_path`, and keeps what it learns in `state_dir`.
    pub(crate) fn new(search_path: &OsStr, state_dir: Option<&Path>) -> Self {
        Self {
            search: Search {
                // A relative directory would mean another place once the daemon has moved to `/`.
                path_dirs: env::split_paths(search_path).filter(|dir| dir.is_absolute()).collect(),
                masquerade_dirs: MASQUERADE_DIRS.map(PathBuf::from).to_vec(),
                listed: None,
            },
            only: None,
            ccache: None,
            cache_file: state_dir.map(|dir| dir.join(state::CACHE_FILE)),
        }
    }

    /// As a daemon is told to.
    pub(crate) fn of(
        settings: &DaemonSettings,
        environment: &DaemonEnvironment,
        state_dir: Option<&Path>,
    ) -> Self {
        let mut scanner = Self::new(&environment.search_path, state_dir);
        scanner.ccache = Ccache::new(&environment.ccache, state_dir).map(Arc::new);
        match &environment.commands {
            Some(commands) => scanner.limited_to(commands.clone()),
            None if settings.any_program => scanner.narrowed_by(Vec::new()),
            None => scanner,
        }
    }

    /// The same with another list of masquerade directories.
    pub(crate) fn narrowed_by(mut self, masquerade_dirs: Vec<PathBuf>) -> Self {
        self.search.masquerade_dirs = masquerade_dirs;
        self
    }

    /// The same for these commands alone.
    pub(crate) fn limited_to(mut self, list: CommandList) -> Self {
        let listed = list.commands().map(|(key, path)| (key.to_owned(), path.to_owned()));
        self.search.listed = Some(listed.collect());
        self.only = Some(Arc::new(list));
        self
    }

    /// May programs be run that are no compilers, if the administrator allows any?
    pub(crate) fn is_limited(&self) -> bool {
        self.only.is_some()
    }

    /// Where is looked, for people.
    pub(crate) fn search_path(&self) -> OsString {
        env::join_paths(&self.search.path_dirs).unwrap_or_default()
    }

    /// The masquerade directories that say which names are looked for.
    pub(crate) fn narrowing_dirs(&self) -> impl Iterator<Item = &PathBuf> {
        self.search.narrowing_dirs()
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
        let search = self.search.clone();
        let cc = thread::Builder::new().spawn(move || inventory::default_compiler(&search)).ok();
        let (n_unasked, found) = self.survey(patience);
        let cc = cc.filter(|cc| n_unasked == 0 || cc.is_finished()).and_then(|cc| cc.join().ok());
        Inventory { cc: cc.flatten(), ..found }
    }

    /// How many compilers have not answered in time, and those that have.
    fn survey(&self, patience: Option<Duration>) -> (usize, Inventory) {
        let looked = self.look();
        let mut cache = match &self.cache_file {
            Some(file) => ToolchainCache::open(file.clone()),
            None => ToolchainCache::in_memory(),
        };
        let survey = inventory::survey(&self.search, &mut cache, patience);
        if let Err(error) = cache.save() {
            warn!("cannot remember what the compilers are: {error}");
        }
        let unusable = survey.unusable.iter().map(|(_, reason)| reason.to_string()).collect();
        let inventory = Inventory {
            generation: generation_now(),
            found: survey.found,
            unusable,
            is_complete: survey.n_unasked == 0,
            looked,
            cc: None,
            only: self.only.clone(),
            ccache: self.ccache.clone(),
        };
        (survey.n_unasked, inventory)
    }

    /// The directories in which a change may be one of the compilers: those that are searched, and
    /// those of every file and link that these rest on.
    pub(crate) fn places(&self, inventory: &Inventory) -> BTreeSet<PathBuf> {
        let dirs = &self.search.path_dirs;
        let resting = inventory.found.iter().flat_map(|found| found.places(dirs));
        let listed = self.search.listed.iter().flatten();
        let listed = listed.filter_map(|(_, path)| path.parent()).map(Path::to_owned);
        self.searched().cloned().chain(listed).chain(resting).collect()
    }

    fn searched(&self) -> impl Iterator<Item = &PathBuf> {
        self.search.path_dirs.iter().chain(&self.search.masquerade_dirs)
    }

    /// When the directories were changed.
    pub(crate) fn look(&self) -> Vec<Option<SystemTime>> {
        self.searched()
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
