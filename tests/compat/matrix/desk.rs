//! Where a command line is run: the servers, the clients, and a directory whose path is the same
//! for every run of it.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::programs::{Server, Whose, on_path};

use super::case::{ALL, Call, Case};
use super::snapshot::{self, Snapshot};
use super::sources::SOURCES;

/// A command that hangs ends after so many seconds, with an exit code of its own.
const PATIENCE: &str = "120";

/// Who runs the command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Column {
    /// The compiler.
    Alone,
    /// Our client and our server.
    Ours,
    /// Our client and Debian's server.
    Mixed,
    /// Debian's client and server.
    Theirs,
}

/// What our client did, by its log.
#[derive(Clone, Debug, Default)]
pub(super) struct Told {
    /// Jobs done on a host.
    pub(super) n_remote: usize,
    /// The lines about another way.
    pub(super) otherwise: Vec<String>,
}

/// Everything that the runs share. Dropping it ends the agents, by taking their directory away.
pub(super) struct Desk {
    our_host: String,
    their_host: String,
    base: TempDir,
}

impl Desk {
    pub(super) fn new(ours: &Server, theirs: &Server) -> Self {
        let base = tempfile::tempdir().expect("a temporary directory can be made");
        let desk = Self { our_host: ours.host("/8"), their_host: theirs.host("/8"), base };
        for column in [Column::Ours, Column::Mixed, Column::Theirs] {
            fs::create_dir_all(desk.state(column)).expect("a directory of ours");
            let masquerade = desk.masquerade(column);
            fs::create_dir_all(&masquerade).expect("a directory of ours");
            for compiler in ALL {
                symlink(client(column), masquerade.join(compiler)).expect("a directory of ours");
            }
        }
        desk
    }

    fn state(&self, column: Column) -> PathBuf {
        self.base.path().join(format!("state-{column:?}"))
    }

    fn masquerade(&self, column: Column) -> PathBuf {
        self.base.path().join(format!("links-{column:?}"))
    }

    /// Runs `case` with `compiler` in the directory of that `number`, which is made anew.
    pub(super) fn run(
        &self,
        case: &Case,
        compiler: &str,
        column: Column,
        number: usize,
    ) -> (Snapshot, Told) {
        let place = self.base.path().join(format!("at-{number}"));
        let (work, temp, log) = (place.join("work"), place.join("tmp"), place.join("log"));
        for dir in [work.join("inc"), work.join("sub"), temp.clone()] {
            fs::create_dir_all(dir).expect("a directory of ours");
        }
        for (name, text) in SOURCES {
            fs::write(work.join(name), text).expect("a directory of ours");
        }
        let mut command = Command::new("timeout");
        command
            .args(["-k", "5", PATIENCE, "sh", "-c", case.script])
            .current_dir(&work)
            .env_clear()
            .env("HOME", &place)
            .env("LC_ALL", "C")
            .env("TMPDIR", &temp)
            .env("RAW", on_path(compiler).expect("looked for before"))
            .stdin(Stdio::null());
        self.let_in(&mut command, case, compiler, column, &place);
        let output = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
        let words = |bytes: &[u8]| comparable(bytes, &temp);
        let left = snapshot::files(&temp).into_keys().collect();
        let found = Snapshot {
            code: output.status.code(),
            stdout: words(&output.stdout),
            stderr: words(&output.stderr),
            files: snapshot::files(&work),
            left,
        };
        let told = Told::of(&fs::read_to_string(log).unwrap_or_default());
        fs::remove_dir_all(&place).expect("a directory of ours");
        (found, told)
    }

    /// Puts the client between the command and its compiler.
    fn let_in(
        &self,
        command: &mut Command,
        case: &Case,
        compiler: &str,
        column: Column,
        place: &Path,
    ) {
        let mut path = "/usr/local/bin:/usr/bin:/bin".to_owned();
        let program = client(column);
        let typed = match (column, case.call) {
            (Column::Alone, Call::Implicit) => "cc".into(),
            (Column::Alone, _) => compiler.into(),
            (_, Call::Masquerade) => {
                path = format!("{}:{path}", self.masquerade(column).display());
                compiler.into()
            }
            (_, Call::Implicit) => program.display().to_string(),
            (_, Call::Explicit) => format!("{} {compiler}", program.display()),
        };
        command.env("PATH", path).env("CC", typed);
        let (host, state) = match column {
            Column::Alone => return,
            Column::Ours => (&self.our_host, self.state(column)),
            Column::Mixed => (&self.their_host, self.state(column)),
            // A host that failed once would do nothing of what follows.
            Column::Theirs => (&self.their_host, place.join("state")),
        };
        fs::create_dir_all(&state).expect("a directory of ours");
        command.env("DISTCC_HOSTS", host).env("DISTCC_DIR", state);
        command.env("DISTCC_AGENT_IDLE", "60").env("DISTCC_LOG", place.join("log"));
    }

    /// A directory for what comparing needs.
    pub(super) fn scratch(&self, number: usize) -> PathBuf {
        let dir = self.base.path().join(format!("scratch-{number}"));
        fs::create_dir_all(&dir).expect("a directory of ours");
        dir
    }

    /// Ends the agents; what processes are there all the same, by their command lines.
    pub(super) fn close(self) -> BTreeSet<String> {
        let path = self.base.path().to_owned();
        drop(self);
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let there = processes_of(&path);
            if there.is_empty() || Instant::now() > deadline {
                return there;
            }
            thread::sleep(Duration::from_millis(50));
        }
    }
}

/// The program that stands before the compiler.
fn client(column: Column) -> PathBuf {
    let whose = if column == Column::Theirs { Whose::Theirs } else { Whose::Ours };
    whose.program("distcc")
}

/// Processes that know `path` from their environment.
fn processes_of(path: &Path) -> BTreeSet<String> {
    let path = path.as_os_str().as_encoded_bytes();
    let entries = fs::read_dir("/proc").expect("Linux").filter_map(Result::ok);
    entries
        .filter(|entry| {
            let environment = fs::read(entry.path().join("environ")).unwrap_or_default();
            environment.windows(path.len()).any(|window| window == path)
        })
        .map(|entry| fs::read(entry.path().join("cmdline")).unwrap_or_default())
        .map(|words| String::from_utf8_lossy(&words).replace('\0', " "))
        .collect()
}

/// Text without the names of temporary files, which are never the same.
fn comparable(bytes: &[u8], temp: &Path) -> Vec<u8> {
    let temp = format!("{}/", temp.display()).into_bytes();
    let mut text = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while !rest.is_empty() {
        if let Some(behind) = rest.strip_prefix(temp.as_slice()) {
            let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"._-".contains(byte);
            let n_name = behind.iter().take_while(|byte| is_name(byte)).count();
            text.extend_from_slice(b"TEMPORARY");
            rest = &behind[n_name..];
        } else {
            text.push(rest[0]);
            rest = &rest[1..];
        }
    }
    text
}

impl Told {
    fn of(log: &str) -> Self {
        let mut told = Self::default();
        for line in log.lines() {
            if line.contains(" completed ok") && !line.contains(" on localhost ") {
                told.n_remote += 1;
            }
            let ways = ["running locally", "failed to distribute", "retrying locally", "discarded"];
            if ways.iter().any(|way| line.contains(way)) {
                told.otherwise.push(line.split_once("] ").map_or(line, |(_, text)| text).into());
            }
        }
        told
    }
}
