//! The one place that starts a compiler.
//!
//! A compiler runs in a process group of its own, in its job's directory, with a cleaned
//! environment; its output is kept up to a limit. At its end, whatever that is, what it has left
//! behind is ended too, in its group or out of it. When the job's future is dropped, the whole
//! group is killed. Core dumps and priority are set for the daemon as a whole and inherited.

use std::ffi::OsString;
use std::fmt::{self, Display, Formatter};
use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::sys::children::{self, Started};
use crate::sys::process::ProcessGroup;

/// How long a compiler that was asked to end may take until it is made to.
pub(crate) const GRACE: Duration = Duration::from_secs(1);
/// Between two looks at what a compiler left behind, each time twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
/// Pipes hold 64 KiB.
const READ_SIZE: usize = 64 << 10;

/// What every compiler of this daemon gets.
#[derive(Clone, Debug)]
pub(crate) struct Surroundings {
    /// PATH: a driver may look for its assembler there.
    pub(crate) search_path: OsString,
    /// Language of the diagnostics.
    pub(crate) locale: Vec<(OsString, OsString)>,
    /// After which time it is ended.
    pub(crate) lifetime: Option<Duration>,
    /// How much of stdout and of stderr is kept, in bytes.
    pub(crate) output_limit: usize,
    /// How long a file may become that it writes, in bytes.
    pub(crate) file_limit: u64,
}

/// One compile.
#[derive(Debug)]
pub(crate) struct Order<'a> {
    /// The file to execute.
    pub(crate) program: PathBuf,
    /// Its arguments, its own name not included.
    pub(crate) args: Vec<OsString>,
    /// Where it works.
    pub(crate) dir: &'a Path,
    /// What it alone is given.
    pub(crate) environment: &'a [(OsString, OsString)],
    /// What is the same for all.
    pub(crate) surroundings: &'a Surroundings,
}

/// How a compiler ended, and what it said.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// Exit code or signal.
    pub(crate) end: End,
    /// Standard output, cut at the limit.
    pub(crate) stdout: Vec<u8>,
    /// Standard error, cut at the limit.
    pub(crate) stderr: Vec<u8>,
}

/// How a compiler ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// By itself, or by a signal that is not ours.
    Exited(ExitStatus),
    /// By us, since its time was over.
    TimedOut,
}

/// Why there is no outcome.
#[derive(Debug)]
pub(crate) enum CompilerError {
    /// It could not be started.
    NotStarted(io::Error),
    /// It was started, but its output or status could not be had.
    Lost(io::Error),
    /// The client went away, and the compiler was ended.
    ClientGone,
}

impl Display for CompilerError {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotStarted(error) => write!(f, "cannot start it: {error}"),
            Self::Lost(error) => write!(f, "lost it: {error}"),
            Self::ClientGone => f.write_str("the client went away"),
        }
    }
}

impl std::error::Error for CompilerError {}

/// The group of a compiler that runs: killed when dropped, unless its leader has been reaped. Until
/// then its number cannot be reused.
struct Group {
    number: Option<ProcessGroup>,
    /// Until its leader is reaped.
    started: Option<Started>,
}

impl Group {
    /// The leader has just been reaped; what it left behind goes too, and has gone when this
    /// completes.
    async fn leader_ended(&mut self) {
        self.kill();
        let begun = Instant::now();
        let mut pause = FIRST_PAUSE;
        // A process that the kernel does not let go is left to the next job's end.
        while !children::end_strays() && begun.elapsed() < GRACE {
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
    }

    fn kill(&mut self) {
        if let Some(group) = self.number.take() {
            group.kill();
        }
        self.started = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Why a compiler is ended by us.
enum Cause {
    ClientGone,
    Lifetime,
}

/// Runs the compiler to its end, or until `client_gone` completes. When this completes, nothing of
/// the job runs any more.
pub(crate) async fn run(
    order: Order<'_>,
    client_gone: impl Future<Output = ()>,
) -> Result<Outcome, CompilerError> {
    let (child, group) = start(&order).map_err(CompilerError::NotStarted)?;
    let number = group.number;
    let mut finished = pin!(collect(child, group, order.surroundings.output_limit));
    let cause = tokio::select! {
        outcome = &mut finished => return outcome.map_err(CompilerError::Lost),
        () = client_gone => Cause::ClientGone,
        () = end_of(order.surroundings.lifetime) => Cause::Lifetime,
    };
    if let Some(group) = number {
        group.terminate();
    }
    let said = match timeout(GRACE, &mut finished).await {
        Ok(outcome) => outcome,
        Err(_) => {
            if let Some(group) = number {
                group.kill();
            }
            finished.await
        }
    };
    match cause {
        Cause::ClientGone => Err(CompilerError::ClientGone),
        Cause::Lifetime => {
            let outcome = said.map_err(CompilerError::Lost)?;
            Ok(Outcome { end: End::TimedOut, ..outcome })
        }
    }
}

async fn end_of(lifetime: Option<Duration>) {
    match lifetime {
        Some(lifetime) => tokio::time::sleep(lifetime).await,
        None => std::future::pending().await,
    }
}

fn start(order: &Order<'_>) -> io::Result<(Child, Group)> {
    let surroundings = order.surroundings;
    let mut command = Command::new(&order.program);
    command
        .args(&order.args)
        .current_dir(order.dir)
        .env_clear()
        .envs(surroundings.locale.iter().map(|(key, value)| (key, value)))
        .envs(order.environment.iter().map(|(key, value)| (key, value)))
        .env("PATH", &surroundings.search_path)
        .env("TMPDIR", order.dir)
        // A compiler that is a link to distcc must not distribute again.
        .env("_DISTCC_SAFEGUARD", "1")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    let (child, started) = children::start(|| command.spawn(), Child::id)?;
    let number = child.id().and_then(ProcessGroup::led_by);
    if let Some(leader) = number {
        // From here, as what runs between fork and exec makes the fork slower. A compiler writes
        // nothing in its first moments. Refused where this process has less itself, which holds
        // then.
        let _ = leader.limit_files(surroundings.file_limit);
    }
    Ok((child, Group { number, started: Some(started) }))
}

/// Waits for the end of the compiler and of its output.
async fn collect(mut child: Child, mut group: Group, limit: usize) -> io::Result<Outcome> {
    let stdout_pipe = child.stdout.take().expect("stdout was asked for as a pipe");
    let stderr_pipe = child.stderr.take().expect("stderr was asked for as a pipe");
    let (mut stdout, mut stderr) = (Kept::new(limit), Kept::new(limit));
    let status = {
        let reading = async {
            tokio::try_join!(stdout.read(stdout_pipe), stderr.read(stderr_pipe)).map(drop)
        };
        let ended = async {
            let status = child.wait().await;
            // A process that it left in the background would keep the pipes open.
            group.leader_ended().await;
            status
        };
        let (mut reading, mut ended) = (pin!(reading), pin!(ended));
        tokio::select! {
            status = &mut ended => {
                // Whoever holds a pipe open now is not one of ours.
                if let Ok(read) = timeout(GRACE, reading).await {
                    read?;
                }
                status?
            }
            read = &mut reading => {
                read?;
                ended.await?
            }
        }
    };
    Ok(Outcome { end: End::Exited(status), stdout: stdout.finish(), stderr: stderr.finish() })
}

/// The beginning of what a compiler says.
struct Kept {
    bytes: Vec<u8>,
    limit: usize,
    n_lost: usize,
}

impl Kept {
    fn new(limit: usize) -> Self {
        Self { bytes: Vec::new(), limit, n_lost: 0 }
    }

    /// Reads all that comes.
    async fn read(&mut self, mut pipe: impl AsyncRead + Unpin) -> io::Result<()> {
        let mut buffer = Vec::with_capacity(READ_SIZE);
        while pipe.read_buf(&mut buffer).await? > 0 {
            let room = self.limit - self.bytes.len();
            let (fits, rest) = buffer.split_at(buffer.len().min(room));
            self.bytes.extend_from_slice(fits);
            self.n_lost += rest.len();
            buffer.clear();
        }
        Ok(())
    }

    /// What was kept, with a note if some was not.
    fn finish(self) -> Vec<u8> {
        let Self { mut bytes, n_lost, .. } = self;
        if n_lost > 0 {
            bytes
                .extend_from_slice(format!("\ndistccd: {n_lost} more bytes left out\n").as_bytes());
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};
    use std::os::unix::process::ExitStatusExt;

    use super::*;
    use crate::daemon::testing;

    fn surroundings() -> Surroundings {
        Surroundings {
            search_path: "/usr/bin:/bin".into(),
            locale: vec![("LC_ALL".into(), "C".into())],
            lifetime: None,
            output_limit: 1 << 20,
            file_limit: 1 << 20,
        }
    }

    fn shell<'a>(script: &str, dir: &'a Path, surroundings: &'a Surroundings) -> Order<'a> {
        Order {
            program: "/bin/sh".into(),
            args: vec!["-c".into(), script.into()],
            dir,
            environment: &[],
            surroundings,
        }
    }

    #[tokio::test]
    async fn yields_status_and_both_outputs() {
        let dir = tempfile::tempdir().unwrap();
        let around = surroundings();
        let order = shell("echo out; echo err >&2; exit 3", dir.path(), &around);
        let outcome = run(order, pending()).await.unwrap();
        assert_eq!(outcome.end, End::Exited(ExitStatus::from_raw(0x300)));
        assert_eq!((&outcome.stdout[..], &outcome.stderr[..]), (&b"out\n"[..], &b"err\n"[..]));
    }

    #[tokio::test]
    async fn the_environment_is_clean_and_the_directory_the_job_s() {
        let dir = tempfile::tempdir().unwrap();
        let around = surroundings();
        let outcome = run(shell("env; pwd", dir.path(), &around), pending()).await.unwrap();
        let path = dir.path().display();
        let mut lines: Vec<&str> = std::str::from_utf8(&outcome.stdout).unwrap().lines().collect();
        lines.sort_unstable();
        // The shell adds its own PWD, SHLVL and _.
        lines.retain(|line| {
            !["PWD=", "SHLVL=", "_=", "OLDPWD="].iter().any(|k| line.starts_with(k))
        });
        assert_eq!(
            lines,
            [
                &format!("{path}"),
                "LC_ALL=C",
                "PATH=/usr/bin:/bin",
                &format!("TMPDIR={path}"),
                "_DISTCC_SAFEGUARD=1"
            ]
        );
    }

    #[tokio::test]
    async fn a_flood_of_words_is_cut() {
        let dir = tempfile::tempdir().unwrap();
        let around = Surroundings { output_limit: 1000, ..surroundings() };
        let order = shell("yes | head -c 1000000 >&2", dir.path(), &around);
        let outcome = run(order, pending()).await.unwrap();
        let end = "\ndistccd: 999000 more bytes left out\n";
        assert!(outcome.stderr.ends_with(end.as_bytes()));
        assert_eq!(outcome.stderr.len(), 1000 + end.len());
    }

    #[tokio::test]
    async fn a_missing_program_is_not_started() {
        let dir = tempfile::tempdir().unwrap();
        let around = surroundings();
        let order = Order { program: "/no/such/cc".into(), ..shell("", dir.path(), &around) };
        let error = run(order, pending()).await.unwrap_err();
        assert!(matches!(error, CompilerError::NotStarted(_)), "{error}");
    }

    #[tokio::test]
    async fn a_departed_client_ends_the_whole_group() {
        let dir = tempfile::tempdir().unwrap();
        let around = surroundings();
        let script = "trap '' TERM; sleep 1000 & echo $$ > group; wait; sleep 1000";
        let order = shell(script, dir.path(), &around);
        let error = run(order, ready(())).await.unwrap_err();
        assert!(matches!(error, CompilerError::ClientGone), "{error}");
        // The shell may have been ended before it wrote its number.
        if let Ok(number) = std::fs::read_to_string(dir.path().join("group"))
            && let Ok(leader) = number.trim().parse()
        {
            testing::group_dies(leader).await;
        }
    }

    #[tokio::test]
    async fn a_compiler_that_never_ends_is_ended() {
        let dir = tempfile::tempdir().unwrap();
        let around = Surroundings { lifetime: Some(Duration::from_millis(1)), ..surroundings() };
        let order = shell("echo begun >&2; exec sleep 1000", dir.path(), &around);
        assert_eq!(run(order, pending()).await.unwrap().end, End::TimedOut);
    }

    #[tokio::test]
    async fn what_a_compiler_leaves_in_the_background_is_not_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let around = surroundings();
        let order = shell("sleep 1000 & echo $$", dir.path(), &around);
        let outcome = run(order, pending()).await.unwrap();
        assert_eq!(outcome.end, End::Exited(ExitStatus::from_raw(0)));
        let leader = std::str::from_utf8(&outcome.stdout).unwrap().trim().parse().unwrap();
        testing::group_dies(leader).await;
    }
}
