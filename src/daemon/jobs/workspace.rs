//! Directories for jobs: `$TMPDIR/distccd-<id>/run-*/job-<n>`, readable by nobody else. A job's
//! directory goes when its [`JobDir`] is dropped, those of a daemon that was killed by its guard,
//! or else at the start of the next.

use std::fmt::{self, Display, Formatter};
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use nix::fcntl::{Flock, FlockArg};
use nix::unistd::{UnlinkatFlags, geteuid, unlinkat};
use tempfile::{Builder, TempDir};
use tokio::runtime::Handle;
use tracing::{info, warn};

use super::sweep::{remove_small, remove_tree};
use crate::base::node::NodeId;
use crate::sys::beneath;

/// Prefix of the directory of one node.
const NODE_PREFIX: &str = "distccd-";
/// Prefix of the directory that one run of a daemon owns.
const RUN_PREFIX: &str = "run-";

/// So often a start meets another daemon's end at worst.
const MAX_TRIES: u32 = 100;

/// The directory of one run of the daemon. Two daemons of one id (two ports) live beside each
/// other: each holds a lock on its own, and only directories without a holder are swept.
#[derive(Debug)]
pub(crate) struct Workspace {
    run: TempDir,
    /// Held until the directory is gone.
    held: Mutex<Arc<Flock<File>>>,
    n_jobs: AtomicU64,
    /// Where directories of jobs are kept.
    saved: Option<PathBuf>,
}

/// Why there is no place to work in.
#[derive(Debug)]
pub(crate) struct WorkspaceError {
    path: PathBuf,
    error: io::Error,
}

impl Display for WorkspaceError {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.error)
    }
}

impl std::error::Error for WorkspaceError {}

impl Workspace {
    /// Makes the directory of this run below `temp_dir` and removes what dead runs of the same
    /// node left there.
    pub(crate) fn open(temp_dir: &Path, id: NodeId) -> Result<Self, WorkspaceError> {
        let failed = |path: &Path, error| WorkspaceError { path: path.to_owned(), error };
        let mut n_tries = 0;
        let (run, held) = loop {
            let node_dir = own_directory(temp_dir, id).map_err(|error| failed(temp_dir, error))?;
            match own_run(temp_dir, &node_dir) {
                Ok(run) => break run,
                // Another daemon that ends, or sweeps, has removed the empty directory.
                Err(error) if error.kind() == io::ErrorKind::NotFound && n_tries < MAX_TRIES => {
                    n_tries += 1;
                }
                Err(error) => return Err(failed(&node_dir, error)),
            }
        };
        Ok(Self { run, held: Mutex::new(Arc::new(held)), n_jobs: AtomicU64::new(0), saved: None })
    }

    /// From now on every job's directory is kept in `dir`, where nobody sweeps.
    pub(crate) fn save_jobs_in(&mut self, dir: &Path) {
        self.saved = Some(dir.to_owned());
    }

    /// Can `temp_dir` be one? To be asked while the user is still looking.
    pub(crate) fn check(temp_dir: &Path) -> Result<(), WorkspaceError> {
        let error = match fs::metadata(temp_dir) {
            Ok(found) if found.is_dir() => return Ok(()),
            Ok(_) => io::ErrorKind::NotADirectory.into(),
            Err(error) => error,
        };
        Err(WorkspaceError { path: temp_dir.to_owned(), error })
    }

    /// An empty directory for one job.
    pub(crate) fn job_dir(&self) -> Result<JobDir, WorkspaceError> {
        let number = self.n_jobs.fetch_add(1, Ordering::Relaxed);
        let name = PathBuf::from(format!("job-{number}"));
        let path = self.run.path().join(&name);
        let make = || DirBuilder::new().mode(0o700).create(&path);
        let made = match make() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.restore().and_then(|()| make())
            }
            made => made,
        };
        match made {
            Ok(()) => {
                let run = Arc::clone(&self.held.lock().unwrap_or_else(PoisonError::into_inner));
                Ok(JobDir { saved: self.saved_name(number), path, files: JobFiles { run, name } })
            }
            Err(error) => Err(WorkspaceError { path, error }),
        }
    }

    fn saved_name(&self, number: u64) -> Option<PathBuf> {
        let run = self.run.path().file_name()?.to_string_lossy();
        Some(self.saved.as_ref()?.join(format!("distccd-saved-{run}-{number}")))
    }

    /// Makes the directory of this run anew: there are programs that remove from `/tmp` what has
    /// not been used for days.
    fn restore(&self) -> io::Result<()> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let run = self.run.path();
        if run.is_dir() {
            // For another job, just now.
            return Ok(());
        }
        let node_dir = run.parent().ok_or(io::ErrorKind::NotFound)?;
        if !make_own(node_dir)? {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        DirBuilder::new().mode(0o700).create(run)?;
        *held = Arc::new(lock(run, FlockArg::LockExclusiveNonblock)?);
        Ok(())
    }

    /// Where the job directories are.
    pub(crate) fn path(&self) -> &Path {
        self.run.path()
    }
}

impl Drop for Workspace {
    fn drop(&mut self) {
        clear(self.run.path());
    }
}

/// Removes the directory of a run that has ended.
pub(crate) fn clear(run: &Path) {
    let _ = remove_tree(run);
    // Fails, as it should, while another daemon of this node works in it.
    if let Some(node_dir) = run.parent() {
        let _ = fs::remove_dir(node_dir);
    }
}

/// The directory of one job; removed with all that is in it when dropped.
#[derive(Debug)]
pub(crate) struct JobDir {
    path: PathBuf,
    /// What it becomes instead of being removed.
    saved: Option<PathBuf>,
    files: JobFiles,
}

impl JobDir {
    /// Where it is, for the compiler.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// What the daemon itself reads and writes there.
    pub(crate) fn files(&self) -> &JobFiles {
        &self.files
    }
}

/// The files of one job, reached from the run's directory that the daemon holds open: whatever a
/// compiler puts in the place of a file or of the directory, the daemon follows no link.
#[derive(Clone, Debug)]
pub(crate) struct JobFiles {
    run: Arc<Flock<File>>,
    /// The job's directory in the run's.
    name: PathBuf,
}

impl JobFiles {
    /// Makes a file for writing.
    pub(crate) fn create(&self, file: &Path) -> io::Result<File> {
        beneath::create(&**self.run, &self.name.join(file))
    }

    /// Opens a file for reading.
    pub(crate) fn open(&self, file: &Path) -> io::Result<File> {
        beneath::open(&**self.run, &self.name.join(file))
    }

    /// Opens a file for writing and empties it.
    pub(crate) fn rewrite(&self, file: &Path) -> io::Result<File> {
        beneath::rewrite(&**self.run, &self.name.join(file))
    }

    /// Removes a file.
    pub(crate) fn remove(&self, file: &Path) -> io::Result<()> {
        Ok(unlinkat(&**self.run, &self.name.join(file), UnlinkatFlags::NoRemoveDir)?)
    }
}

impl Drop for JobDir {
    fn drop(&mut self) {
        if let Some(saved) = &self.saved {
            match fs::rename(&self.path, saved) {
                Ok(()) => return info!("kept {}", saved.display()),
                Err(error) => warn!("cannot keep {}: {error}", self.path.display()),
            }
        }
        if remove_small(&self.path).is_ok() {
            return;
        }
        let path = std::mem::take(&mut self.path);
        // What cannot be removed now is swept at the next start.
        let remove = move || {
            if let Err(error) = remove_tree(&path) {
                warn!(%error, "cannot remove {}", path.display());
            }
        };
        // A hundred thousand files take longer than the connections should wait.
        match Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(remove)),
            Err(_) => remove(),
        }
    }
}

/// The node's directory, made if need be. A directory of that name that somebody else made is
/// left alone, and one with a name that nobody can guess is used.
fn own_directory(temp_dir: &Path, id: NodeId) -> io::Result<PathBuf> {
    let path = temp_dir.join(format!("{NODE_PREFIX}{id}"));
    if make_own(&path)? {
        return Ok(path);
    }
    Ok(private(&format!("{NODE_PREFIX}{id}-"), temp_dir)?.keep())
}

/// Makes a directory that nobody else may enter, if it is not there; false if somebody else made
/// it.
fn make_own(path: &Path) -> io::Result<bool> {
    match DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => return Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error),
    }
    let found = fs::symlink_metadata(path)?;
    let is_own = found.is_dir() && found.uid() == geteuid().as_raw();
    if is_own {
        fs::set_permissions(path, fs::Permissions::from_mode(0o700))?;
    }
    Ok(is_own)
}

/// The directory of this run and its lock, once those of dead runs are gone.
fn own_run(temp_dir: &Path, node_dir: &Path) -> io::Result<(TempDir, Flock<File>)> {
    // Held while sweeping and creating, so that nobody sweeps a directory between its creation and
    // its lock.
    let _turn = lock(node_dir, FlockArg::LockExclusive)?;
    sweep(node_dir);
    sweep_other_nodes(temp_dir, node_dir);
    let run = private(RUN_PREFIX, node_dir)?;
    let held = lock(run.path(), FlockArg::LockExclusiveNonblock)?;
    Ok((run, held))
}

/// A new directory that nobody else may enter.
fn private(prefix: &str, parent: &Path) -> io::Result<TempDir> {
    let only_we = fs::Permissions::from_mode(0o700);
    Builder::new().prefix(prefix).permissions(only_we).tempdir_in(parent)
}

fn lock(directory: &Path, how: FlockArg) -> io::Result<Flock<File>> {
    Flock::lock(File::open(directory)?, how).map_err(|(_, errno)| errno.into())
}

/// Removes the directories of runs that have ended.
fn sweep(node_dir: &Path) {
    let Ok(entries) = fs::read_dir(node_dir) else { return };
    for entry in entries.flatten() {
        let is_run = entry.file_name().to_string_lossy().starts_with(RUN_PREFIX);
        if is_run && lock(&entry.path(), FlockArg::LockExclusiveNonblock).is_ok() {
            let _ = remove_tree(&entry.path());
        }
    }
}

/// The same for those of other nodes that this user ran: a daemon that can keep no id has another
/// at each start.
fn sweep_other_nodes(temp_dir: &Path, node_dir: &Path) {
    let Ok(entries) = fs::read_dir(temp_dir) else { return };
    let us = geteuid().as_raw();
    for entry in entries.flatten() {
        let is_node = entry.file_name().to_string_lossy().starts_with(NODE_PREFIX);
        let path = entry.path();
        let is_ours = || entry.metadata().is_ok_and(|meta| meta.is_dir() && meta.uid() == us);
        if !is_node || path == node_dir || !is_ours() {
            continue;
        }
        // Held by one that starts at this moment.
        if let Ok(_turn) = lock(&path, FlockArg::LockExclusiveNonblock) {
            sweep(&path);
            // Fails while a daemon works in it.
            let _ = fs::remove_dir(&path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::testing::names_in;

    const ID: NodeId = NodeId(0x7f3a_91c2);

    #[test]
    fn a_job_leaves_nothing_behind_and_neither_does_the_daemon() {
        let temp = tempfile::tempdir().unwrap();
        let workspace = Workspace::open(temp.path(), ID).unwrap();
        let job = workspace.job_dir().unwrap();
        assert_eq!(fs::metadata(job.path()).unwrap().permissions().mode() & 0o777, 0o700);
        fs::create_dir(job.path().join("deep")).unwrap();
        fs::write(job.path().join("deep/x.o"), "x").unwrap();
        let other = workspace.job_dir().unwrap();
        assert_ne!(job.path(), other.path());
        drop(job);
        assert_eq!(names_in(workspace.path()), ["job-1"]);
        drop(workspace);
        assert!(names_in(temp.path()).is_empty());
    }

    #[test]
    fn a_job_s_directory_may_be_kept_and_outlives_the_daemon() {
        let temp = tempfile::tempdir().unwrap();
        let mut workspace = Workspace::open(temp.path(), ID).unwrap();
        workspace.save_jobs_in(temp.path());
        for text in ["one", "two"] {
            let job = workspace.job_dir().unwrap();
            fs::write(job.path().join("x.i"), text).unwrap();
        }
        drop(workspace);
        let kept = names_in(temp.path());
        assert_eq!(kept.len(), 2, "{kept:?}");
        for name in kept {
            assert!(name.starts_with("distccd-saved-run-"), "{name}");
            assert!(temp.path().join(name).join("x.i").exists());
        }
    }

    #[test]
    fn the_next_start_sweeps_dead_runs_and_only_those() {
        let temp = tempfile::tempdir().unwrap();
        let living = Workspace::open(temp.path(), ID).unwrap();
        let node_dir = temp.path().join("distccd-7f3a91c2");
        fs::create_dir_all(node_dir.join("run-dead/job-3")).unwrap();
        fs::create_dir(node_dir.join("other")).unwrap();
        let next = Workspace::open(temp.path(), ID).unwrap();
        assert!(!node_dir.join("run-dead").exists());
        assert!(node_dir.join("other").exists());
        assert!(living.path().exists() && next.path().exists());
    }

    #[test]
    fn dead_runs_of_other_nodes_are_swept_too() {
        let temp = tempfile::tempdir().unwrap();
        let living = Workspace::open(temp.path(), NodeId(1)).unwrap();
        fs::create_dir_all(temp.path().join("distccd-00000002/run-dead/job-3")).unwrap();
        fs::create_dir_all(temp.path().join("distccd-00000003-Abc/run-dead")).unwrap();
        fs::create_dir(temp.path().join("distccd-00000001/run-dead")).unwrap();
        fs::create_dir(temp.path().join("other")).unwrap();
        let next = Workspace::open(temp.path(), ID).unwrap();
        assert!(living.path().exists() && next.path().exists());
        let mut left = names_in(temp.path());
        left.sort_unstable();
        assert_eq!(left, ["distccd-00000001", "distccd-7f3a91c2", "other"]);
        assert_eq!(names_in(&temp.path().join("distccd-00000001")).len(), 1);
    }

    #[test]
    fn a_planted_link_is_not_followed() {
        let temp = tempfile::tempdir().unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(elsewhere.path(), temp.path().join("distccd-7f3a91c2")).unwrap();
        let workspace = Workspace::open(temp.path(), ID).unwrap();
        assert!(workspace.path().starts_with(temp.path()));
        for dir in [workspace.path(), workspace.path().parent().unwrap()] {
            assert_eq!(fs::metadata(dir).unwrap().permissions().mode() & 0o777, 0o700);
        }
        assert!(names_in(elsewhere.path()).is_empty());
    }
}
