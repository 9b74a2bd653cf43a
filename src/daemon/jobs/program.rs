//! Which file is executed for a compiler's name.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::job::JobError;
use super::shield::Shield;
use crate::daemon::compilers::Resolved;
use crate::daemon::server::{Programs, Server};
use crate::fingerprint::files::is_ccache;

/// Options that ccache takes for the preprocessor's, and so does not pass on with a source that is
/// preprocessed. One that keeps its macros needs them; behind `--ccache-skip` they are passed on, and
/// count for the cache.
const NOT_PASSED_BY_CCACHE: [&str; 2] = ["-fdirectives-only", "-trigraphs"];

/// What is executed for a job: the very path that was looked at, however the client spells the name.
/// Not a descriptor of that file: gcc and clang find their parts, and clang its target, by the path
/// that they are called by.
pub(super) struct Program {
    pub(super) path: PathBuf,
    pub(super) shield: Shield,
    /// Beside what every compiler gets.
    pub(super) environment: Vec<(OsString, OsString)>,
    /// It is ccache, which calls the compiler.
    is_cache: bool,
}

impl Program {
    /// The words of a command as this program is to get them.
    pub(super) fn args(&self, words: impl Iterator<Item = OsString>) -> Vec<OsString> {
        words
            .flat_map(|word| {
                let is_kept_back = self.is_cache && NOT_PASSED_BY_CCACHE.iter().any(|w| word == *w);
                is_kept_back.then(|| "--ccache-skip".into()).into_iter().chain([word])
            })
            .collect()
    }
}

/// The file to execute for a compiler's name.
pub(super) fn choose_program(name: &[u8], server: &Server) -> Result<Program, JobError> {
    let shown = String::from_utf8_lossy(name);
    let inventory = server.inventory.borrow();
    let Resolved { found, cached } = match (server.programs, inventory.resolve(name)) {
        // Over ssh everybody asks for any program, and most of them mean a compiler.
        (Programs::AnyKnownFirst, Some(known)) if known.found.unchanged() => known,
        (Programs::Any | Programs::AnyKnownFirst, _) => {
            let path = find_program(OsStr::from_bytes(name), &server.surroundings.search_path);
            let shield = Shield::None;
            return Ok(Program { path, shield, environment: Vec::new(), is_cache: false });
        }
        (Programs::Compilers, Some(known)) => known,
        (Programs::Compilers, None) => {
            return Err(JobError::Compiler(format!("no compiler '{shown}' is served")));
        }
    };
    if !found.unchanged() {
        server.rescan.notify_one();
        return Err(JobError::Compiler(format!("'{shown}' has changed and is looked at anew")));
    }
    let shield = Shield::against(&found.offered.toolchain);
    Ok(match (cached.filter(|link| is_ccache(link)), &inventory.ccache) {
        (Some(link), Some(ccache)) => {
            let environment = ccache.environment(found);
            Program { path: link.to_owned(), shield, environment, is_cache: true }
        }
        _ => {
            let path = found.path.clone();
            Program { path, shield, environment: Vec::new(), is_cache: false }
        }
    })
}

/// Where the PATH has the program; the bare name, which then cannot be started, if nowhere.
fn find_program(name: &OsStr, search_path: &OsStr) -> PathBuf {
    let bare = Path::new(name);
    if name.as_bytes().contains(&b'/') {
        return bare.to_owned();
    }
    std::env::split_paths(search_path)
        .map(|dir| dir.join(bare))
        .find(|path| path.is_file())
        // `Command` would look along the daemon's own PATH for a name without a slash.
        .unwrap_or_else(|| Path::new("/nonexistent").join(bare))
}
