//! What the kernel tells of changes in the directories that compilers rest on.

use std::collections::{BTreeSet, HashMap};
use std::ffi::OsString;
use std::future::pending;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use nix::errno::Errno;
use nix::libc;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, InotifyEvent, WatchDescriptor};
use tokio::sync::mpsc;
use tracing::debug;

/// Directories watched at most: a machine with every compiler of its distribution needs some fifty.
const MAX_WATCHES: usize = 1000;

/// Reports of the kernel that nobody has heard yet; more wait in the kernel.
const QUEUE_LEN: usize = 16;

/// Watches on directories, and on the places of those that do not exist yet. Where the kernel has
/// none to give, nothing is ever told, and who looks from time to time still learns of a change.
pub(super) struct Watches {
    source: Option<(Arc<Inotify>, mpsc::Receiver<Vec<InotifyEvent>>)>,
    interests: HashMap<WatchDescriptor, Interest>,
}

/// What matters in a directory.
enum Interest {
    All,
    /// These entries, which lead to a directory that is to be watched.
    Named(BTreeSet<OsString>),
}

/// The kernel is listened to on a thread of its own, which ends with the process.
fn listen() -> io::Result<(Arc<Inotify>, mpsc::Receiver<Vec<InotifyEvent>>)> {
    let inotify = Arc::new(Inotify::init(InitFlags::IN_CLOEXEC)?);
    let (tell, told) = mpsc::channel(QUEUE_LEN);
    let heard = Arc::clone(&inotify);
    thread::Builder::new().name("compilers".to_owned()).spawn(move || {
        while let Ok(events) = heard.read_events() {
            if tell.blocking_send(events).is_err() {
                return;
            }
        }
    })?;
    Ok((inotify, told))
}

impl Watches {
    /// None yet.
    pub(super) fn new() -> Self {
        let source = listen();
        if let Err(error) = &source {
            debug!(%error, "changes of the compilers are not told, but looked for");
        }
        Self { source: source.ok(), interests: HashMap::new() }
    }

    /// Watches these directories too.
    pub(super) fn cover(&mut self, dirs: impl IntoIterator<Item = PathBuf>) {
        for dir in dirs {
            if let Err(error) = self.cover_one(&dir) {
                debug!(%error, "changes in {} are not told, but looked for", dir.display());
            }
        }
    }

    fn cover_one(&mut self, dir: &Path) -> io::Result<()> {
        let Some((inotify, _)) = &self.source else { return Ok(()) };
        let changes = AddWatchFlags::IN_CREATE
            | AddWatchFlags::IN_DELETE
            | AddWatchFlags::IN_MOVE
            | AddWatchFlags::IN_CLOSE_WRITE
            | AddWatchFlags::IN_ATTRIB
            | AddWatchFlags::IN_DELETE_SELF
            | AddWatchFlags::IN_MOVE_SELF;
        let arrivals = AddWatchFlags::IN_CREATE | AddWatchFlags::IN_MOVED_TO;
        if self.interests.len() >= MAX_WATCHES {
            return Err(io::ErrorKind::QuotaExceeded.into());
        }
        let only_dirs = AddWatchFlags::IN_ONLYDIR;
        loop {
            match inotify.add_watch(dir, changes | only_dirs) {
                Ok(watch) => {
                    self.interests.insert(watch, Interest::All);
                    return Ok(());
                }
                Err(Errno::ENOENT | Errno::ENOTDIR) => {}
                Err(errno) => return Err(errno.into()),
            }
            let missing = dir.ancestors().zip(dir.ancestors().skip(1));
            let mut missing =
                missing.filter_map(|(child, parent)| Some((child.file_name()?, parent)));
            let Some((name, parent)) = missing.find(|(_, parent)| parent.is_dir()) else {
                return Err(io::ErrorKind::NotFound.into());
            };
            // Added to what is watched there already.
            let how = arrivals | only_dirs | AddWatchFlags::from_bits_retain(libc::IN_MASK_ADD);
            let watch = match inotify.add_watch(parent, how) {
                Ok(watch) => watch,
                Err(Errno::ENOENT | Errno::ENOTDIR) => continue,
                Err(errno) => return Err(errno.into()),
            };
            let interest = self.interests.entry(watch).or_insert(Interest::Named(BTreeSet::new()));
            if let Interest::Named(names) = interest {
                names.insert(name.to_owned());
            }
            // It may have come before it was watched for.
            if !parent.join(name).is_dir() {
                return Ok(());
            }
        }
    }

    /// Completes when something has changed; never, if the kernel tells nothing.
    pub(super) async fn changed(&mut self) {
        loop {
            let Some((_, told)) = &mut self.source else { return pending().await };
            let Some(events) = told.recv().await else { return pending().await };
            let mut is_news = false;
            // All of them are looked at: some end a watch.
            for event in events {
                is_news |= self.note(&event);
            }
            if is_news {
                return;
            }
        }
    }

    /// Does the event tell of something that matters?
    fn note(&mut self, event: &InotifyEvent) -> bool {
        if event.mask.contains(AddWatchFlags::IN_Q_OVERFLOW) {
            return true;
        }
        if event.mask.contains(AddWatchFlags::IN_IGNORED) {
            // The directory has gone, as the event before this one has told.
            self.interests.remove(&event.wd);
            return false;
        }
        match (self.interests.get(&event.wd), &event.name) {
            (Some(Interest::Named(names)), Some(name)) => names.contains(name),
            (Some(Interest::All), _) => true,
            (Some(Interest::Named(_)) | None, _) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt, symlink};

    use tokio::time::timeout;

    use super::*;
    use crate::daemon::testing::PATIENCE;

    /// Is the change that `sign` makes, in a directory watched for this alone, the first one told?
    async fn tells_only(watches: &mut Watches, sign: &Path) -> bool {
        watches.cover([sign.to_owned()]);
        fs::write(sign.join("sign"), "").unwrap();
        let mut is_first = true;
        loop {
            let (_, told) = watches.source.as_mut().unwrap();
            let events = timeout(PATIENCE, told.recv()).await.unwrap().unwrap();
            for event in events {
                let is_sign = event.name.as_deref() == Some("sign".as_ref());
                if is_sign && event.mask.contains(AddWatchFlags::IN_CLOSE_WRITE) {
                    return is_first;
                }
                is_first &= is_sign || !watches.note(&event);
            }
        }
    }

    #[tokio::test]
    async fn tells_of_what_comes_changes_and_goes_and_of_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let watched = dir.path().join("bin");
        fs::create_dir(&watched).unwrap();
        let mut watches = Watches::new();
        watches.cover([watched.clone()]);
        let sign = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("beside"), "").unwrap();
        assert!(tells_only(&mut watches, sign.path()).await);
        let steps: [&dyn Fn(); 6] = [
            &|| fs::write(watched.join("gcc"), "x").unwrap(),
            &|| fs::rename(watched.join("gcc"), watched.join("gcc-12")).unwrap(),
            &|| symlink("gcc-12", watched.join("gcc")).unwrap(),
            &|| fs::remove_file(watched.join("gcc")).unwrap(),
            &|| fs::set_permissions(&watched, Permissions::from_mode(0o700)).unwrap(),
            &|| fs::remove_dir_all(&watched).unwrap(),
        ];
        for (number, step) in steps.iter().enumerate() {
            step();
            assert!(!tells_only(&mut watches, sign.path()).await, "step {number}");
        }
    }

    #[tokio::test]
    async fn a_directory_is_waited_for_step_by_step() {
        let dir = tempfile::tempdir().unwrap();
        let wanted = dir.path().join("opt/gcc/bin");
        let mut watches = Watches::new();
        watches.cover([wanted.clone()]);
        let sign = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("other")).unwrap();
        assert!(tells_only(&mut watches, sign.path()).await);
        for step in ["opt", "opt/gcc", "opt/gcc/bin", "opt/gcc/bin/gcc"] {
            fs::create_dir(dir.path().join(step)).unwrap();
            assert!(timeout(PATIENCE, watches.changed()).await.is_ok(), "{step}");
            watches.cover([wanted.clone()]);
        }
    }
}
