//! What monitors see of this job: a file in `$DISTCC_DIR/state`, the original's in name and
//! contents, from the first wait for a place to the end. Nothing depends on it: where it cannot
//! be written, the job is not seen.

use std::cell::RefCell;
use std::ffi::{OsStr, OsString};
use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process;

use nix::libc::{O_NOFOLLOW, O_NONBLOCK};

use crate::command::{Driver, preprocessed_suffix};
use crate::monitor::record::{PREFIX, Phase, Record};
use crate::sys::signals::{self, KeptFresh, Removed};

/// The host of what is done here.
pub(super) const LOCALHOST: &str = "localhost";

/// The state file of this process, made when there is something to say.
#[derive(Debug)]
pub(super) struct State {
    /// `$DISTCC_DIR`; none: nothing is written.
    distcc_dir: Option<PathBuf>,
    told: RefCell<Told>,
}

/// What monitors have been told.
#[derive(Debug)]
struct Told {
    file: Opened,
    record: Record,
}

#[derive(Debug)]
enum Opened {
    NotYet,
    File(StateFile),
    Failed,
}

#[derive(Debug)]
struct StateFile {
    path: PathBuf,
    file: KeptFresh,
    _removed: Removed,
}

impl State {
    /// Nothing is written yet.
    pub(super) fn new(distcc_dir: Option<&Path>) -> Self {
        let record = Record {
            pid: process::id(),
            file: Vec::new(),
            host: LOCALHOST.as_bytes().to_vec(),
            slot: 0,
            phase: Phase::Startup,
        };
        let told = RefCell::new(Told { file: Opened::NotYet, record });
        Self { distcc_dir: distcc_dir.map(Path::to_path_buf), told }
    }

    /// The job is about to compile `source`.
    pub(super) fn about(&self, source: &OsStr) {
        let name = Path::new(source).file_name().unwrap_or_default();
        self.told.borrow_mut().record.file = name.as_bytes().to_vec();
    }

    /// The job is this command, of whatever source it names, unless that is known already.
    pub(super) fn about_any(&self, argv: &[OsString]) {
        let is_source = |word: &&OsString| {
            let option = word.as_bytes().starts_with(b"-");
            !option && preprocessed_suffix(Path::new(word), Driver::C).is_some()
        };
        if self.told.borrow().record.file.is_empty()
            && let Some(source) = argv.iter().skip(1).find(is_source)
        {
            self.about(source);
        }
    }

    /// From now on `phase`, on `host`.
    pub(super) fn on(&self, host: &str, slot: u16, phase: Phase) {
        let told = &mut *self.told.borrow_mut();
        let host = name_of(host).as_bytes().to_vec();
        (told.record.host, told.record.slot, told.record.phase) = (host, slot.into(), phase);
        self.write(told);
    }

    /// From now on `phase`, on the same host.
    pub(super) fn enter(&self, phase: Phase) {
        let told = &mut *self.told.borrow_mut();
        told.record.phase = phase;
        self.write(told);
    }

    fn write(&self, told: &mut Told) {
        if matches!(told.file, Opened::NotYet) {
            let opened = self.distcc_dir.as_deref().map(StateFile::open);
            told.file = match opened {
                Some(Ok(file)) => Opened::File(file),
                _ => Opened::Failed,
            };
        }
        if let Opened::File(state) = &told.file {
            // One call: a monitor reads the old record or the new one.
            let _ = state.file.write_at(&told.record.encode(), 0);
        }
    }

    /// The process is about to become another program, whose job is nobody's to see.
    pub(super) fn end(&self) {
        self.told.borrow_mut().file = Opened::Failed;
    }
}

/// `beech` of `beech:3632/4,lzo`: the original shows the name alone.
fn name_of(host: &str) -> &str {
    if let Some((address, _)) = host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return address;
    }
    let host = host.split_once('@').map_or(host, |(_, host)| host);
    host.split([':', '/', ',']).next().unwrap_or(host)
}

impl StateFile {
    fn open(distcc_dir: &Path) -> io::Result<Self> {
        let dir = distcc_dir.join("state");
        let path = dir.join(format!("{PREFIX}{}", process::id()));
        let removed = signals::remove_if_interrupted(&path);
        let open = || {
            let mut options = OpenOptions::new();
            options.write(true).create(true).truncate(true);
            options.custom_flags(O_NOFOLLOW | O_NONBLOCK).open(&path)
        };
        let file = open().or_else(|error| {
            if error.kind() != ErrorKind::NotFound {
                return Err(error);
            }
            // Nothing above: a home that does not exist was left out on purpose.
            for dir in [distcc_dir, &dir] {
                match fs::create_dir(dir) {
                    Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
                    _ => {}
                }
            }
            open()
        })?;
        Ok(Self { path, file: KeptFresh::new(file), _removed: removed })
    }
}

impl Drop for StateFile {
    fn drop(&mut self) {
        // Monitors remove what they find of the dead.
        let _ = fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(dir: &Path) -> Option<Record> {
        let path = dir.join(format!("state/{PREFIX}{}", process::id()));
        fs::read(path).ok().map(|bytes| Record::decode(&bytes).unwrap())
    }

    #[test]
    fn every_phase_is_seen_and_the_end_leaves_nothing() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("distcc");
        let state = State::new(Some(&dir));
        state.about(OsStr::new("src/a.c"));
        assert_eq!(written(&dir), None);
        state.on("beech:3632/4,lzo", 2, Phase::Connect);
        let seen = written(&dir).unwrap();
        assert_eq!((&seen.file[..], &seen.host[..], seen.slot), (&b"a.c"[..], &b"beech"[..], 2));
        state.enter(Phase::Send);
        assert_eq!(written(&dir), Some(Record { phase: Phase::Send, ..seen }));
        drop(state);
        assert_eq!(fs::read_dir(dir.join("state")).unwrap().count(), 0);
    }

    #[test]
    fn a_directory_that_cannot_be_made_is_no_misfortune() {
        let root = tempfile::tempdir().unwrap();
        for dir in [None, Some(root.path().join("no/home"))] {
            State::new(dir.as_deref()).on("beech", 0, Phase::Connect);
        }
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
    }

    #[test]
    fn hosts_are_shown_by_name() {
        for (token, name) in [
            ("beech", "beech"),
            ("beech/4,lzo", "beech"),
            ("10.77.0.2:3632", "10.77.0.2"),
            ("[fe80::7%eth0]:3632/4", "fe80::7%eth0"),
            ("user@beech:/opt/distccd", "beech"),
        ] {
            assert_eq!(name_of(token), name);
        }
    }
}
