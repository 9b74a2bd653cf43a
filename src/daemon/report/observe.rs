//! What happens to jobs, told once and in one place: the log's lines of jobs and clients, and the
//! statistics. The observer alone owns the memory of which clients have been complained about, and
//! the counters.

use std::collections::HashMap;
use std::fmt::{self, Display, Formatter};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};
use tracing::{debug, info, warn};

use super::stats::Stats;
use crate::wire::job::WaitStatus;

/// Events on their way to the observer.
pub(crate) const QUEUE_LEN: usize = 256;
/// A client that is refused is mentioned once in this time, for each cause.
const COMPLAINT_PERIOD: Duration = Duration::from_secs(60);
/// Refused clients that are remembered; beyond it the oldest are forgotten.
const MAX_COMPLAINTS: usize = 1024;

/// Something that the log or a monitor wants to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// A client is not allowed to connect.
    Denied(SocketAddr),
    /// A client has as many connections open as one may have; this is one more.
    Crowded(SocketAddr),
    /// A connection whose request was not complete made room for another.
    Displaced(SocketAddr),
    /// Somebody asked who we are.
    Greeted(SocketAddr),
    /// A connection without a byte: a port scan, or a check whether we live.
    Touched(SocketAddr),
    /// A compiler is about to be started.
    Began(JobName),
    /// Bytes came behind a complete request.
    ExtraBytes(SocketAddr),
    /// A connection that sent at least a byte has ended.
    Ended(JobRecord),
}

/// A job, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct JobName {
    /// Who sent it.
    pub(crate) client: SocketAddr,
    /// The compiler, as the client named it.
    pub(crate) compiler: String,
    /// The source file, as the client named it.
    pub(crate) source: String,
}

/// How a job ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct JobRecord {
    /// Who sent it.
    pub(crate) client: SocketAddr,
    /// What became of it.
    pub(crate) result: JobResult,
    /// From the connection's first moment.
    pub(crate) time: Duration,
}

/// What became of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum JobResult {
    /// The compiler ran, whatever it said.
    Compiled {
        /// The job.
        name: JobName,
        /// The compiler's end.
        status: WaitStatus,
    },
    /// The compiler took too long and was ended.
    TimedOut(JobName),
    /// The client went away first.
    ClientGone,
    /// What the client sent is not a job that is done here; why, for people.
    Refused(String),
    /// Our own fault; what, for people.
    Failed(String),
}

/// The original's exit codes (distcc 3.4, `exitcode.h`), which its log shows as `ret`.
mod ret {
    pub(super) const GENERAL: u8 = 100;
    pub(super) const IO_ERROR: u8 = 107;
    pub(super) const PROTOCOL_ERROR: u8 = 109;
    pub(super) const TIMEOUT: u8 = 118;
}

impl Display for JobName {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "client: {} {} {}", Client(self.client), self.compiler, self.source)
    }
}

impl Display for JobRecord {
    /// The original's line, which scripts read.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (word, status, ret) = match &self.result {
            JobResult::Compiled { status, .. } if status.success() => ("COMPILE_OK", *status, 0),
            JobResult::Compiled { status, .. } => ("COMPILE_ERROR", *status, 0),
            JobResult::TimedOut(_) => ended("COMPILE_TIMEOUT", ret::TIMEOUT),
            JobResult::ClientGone => ended("CLI_DISCONN", ret::IO_ERROR),
            JobResult::Refused(_) => ended("REJ_BAD_REQ", ret::PROTOCOL_ERROR),
            JobResult::Failed(_) => ended("OTHER", ret::GENERAL),
        };
        write!(
            f,
            "client: {} {word} exit:{} sig:{} core:{} ret:{ret} time:{}ms ",
            Client(self.client),
            status.code().unwrap_or(0),
            status.signal().unwrap_or(0),
            u8::from(status.core_dumped()),
            self.time.as_millis(),
        )?;
        match &self.result {
            JobResult::Compiled { name, .. } | JobResult::TimedOut(name) => {
                write!(f, "{} {}", name.compiler, name.source)
            }
            JobResult::Refused(reason) | JobResult::Failed(reason) => write!(f, "({reason})"),
            JobResult::ClientGone => Ok(()),
        }
    }
}

/// Jobs that ended without a compiler's status: the original shows its own code as one.
const fn ended(word: &'static str, ret: u8) -> (&'static str, WaitStatus, u8) {
    (word, WaitStatus::exited(ret), ret)
}

/// A peer as the original writes it: an IPv4 address also where the socket is dual-stack, an IPv6
/// address without brackets.
pub(crate) struct Client(pub(crate) SocketAddr);

impl Display for Client {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.0.ip().to_canonical(), self.0.port())
    }
}

/// Asks for a copy of what has been counted.
pub(super) type Question = oneshot::Sender<Stats>;

/// Counts and writes the log until every sender of events is gone. `jobs` may run at once.
pub(crate) async fn observe(
    mut events: mpsc::Receiver<Event>,
    mut questions: mpsc::Receiver<Question>,
    jobs: u16,
) {
    let mut complaints = Complaints::default();
    let mut stats = Stats::new(jobs, Instant::now());
    loop {
        let event = tokio::select! {
            event = events.recv() => event,
            Some(question) = questions.recv() => {
                // Who asked may have gone.
                let _ = question.send(stats.clone());
                continue;
            }
        };
        let Some(event) = event else { return };
        stats.note(&event, Instant::now());
        write(event, &mut complaints);
    }
}

fn write(event: Event, complaints: &mut Complaints) {
    let now = Instant::now();
    match event {
        Event::Denied(client) => {
            if let Some(before) = complaints.due(Cause::Access, client, now) {
                warn!(
                    target: "access",
                    "connection from client '{}' denied by access list{before}", Client(client)
                );
            }
        }
        Event::Crowded(client) => {
            if let Some(before) = complaints.due(Cause::Access, client, now) {
                warn!(
                    target: "access",
                    "connection from client '{}' closed, it has too many{before}", Client(client)
                );
            }
        }
        Event::Displaced(client) => {
            if let Some(before) = complaints.due(Cause::Room, client, now) {
                warn!(
                    target: "access",
                    "connection from client '{}' closed before its job was complete, \
                     to make room{before}",
                    Client(client)
                );
            }
        }
        Event::Greeted(client) => debug!(target: "hello", "client: {}", Client(client)),
        Event::Touched(client) => {
            debug!(target: "listener", "client: {} closed without a byte", Client(client));
        }
        // In the log already, see `job`.
        Event::Began(_) => {}
        Event::ExtraBytes(client) => {
            if let Some(before) = complaints.due(Cause::Extra, client, now) {
                warn!(
                    target: "job",
                    "client: {} sent bytes behind its request; they are ignored{before}",
                    Client(client)
                );
            }
        }
        Event::Ended(record) => {
            let due = match &record.result {
                JobResult::Compiled { .. } | JobResult::TimedOut(_) => Some(Unmentioned(0)),
                JobResult::Refused(_) => complaints.due(Cause::Request, record.client, now),
                JobResult::ClientGone => complaints.due(Cause::Gone, record.client, now),
                JobResult::Failed(_) => complaints.due(Cause::Failure, record.client, now),
            };
            match due {
                Some(before) => info!(target: "dcc_job_summary", "{record}{before}"),
                None => debug!(target: "dcc_job_summary", "{record}"),
            }
        }
    }
}

/// What is said of a client that did no job: what it does a thousand times a second must not fill
/// the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Cause {
    Access,
    Room,
    Request,
    Extra,
    Gone,
    Failure,
}

impl Cause {
    /// Lines in one [`COMPLAINT_PERIOD`]. A client whose preprocessor fails goes, and `configure`
    /// makes it fail often.
    const fn lines(self) -> u32 {
        match self {
            Self::Access | Self::Room | Self::Request | Self::Extra => 1,
            Self::Gone | Self::Failure => 60,
        }
    }
}

/// How much went unmentioned since the last line.
struct Unmentioned(u64);

impl Display for Unmentioned {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => Ok(()),
            n => write!(f, " (and {n} times more since it was last said)"),
        }
    }
}

/// What was said of which client in the period that runs.
#[derive(Default)]
struct Complaints(HashMap<(IpAddr, Cause), Complaint>);

struct Complaint {
    begun: Instant,
    n_lines: u32,
    n_unmentioned: u64,
}

impl Complaints {
    /// Is it time to mention this client? If so, it is taken as mentioned.
    fn due(&mut self, cause: Cause, client: SocketAddr, now: Instant) -> Option<Unmentioned> {
        let key = (client.ip().to_canonical(), cause);
        if let Some(complaint) = self.0.get_mut(&key) {
            if now.duration_since(complaint.begun) >= COMPLAINT_PERIOD {
                (complaint.begun, complaint.n_lines) = (now, 0);
            }
            if complaint.n_lines == cause.lines() {
                complaint.n_unmentioned += 1;
                return None;
            }
            complaint.n_lines += 1;
            return Some(Unmentioned(std::mem::take(&mut complaint.n_unmentioned)));
        }
        if self.0.len() >= MAX_COMPLAINTS {
            self.0.retain(|_, last| now.duration_since(last.begun) < COMPLAINT_PERIOD);
        }
        if self.0.len() >= MAX_COMPLAINTS
            && let Some(oldest) =
                self.0.iter().min_by_key(|(_, last)| last.begun).map(|(key, _)| *key)
        {
            self.0.remove(&oldest);
        }
        self.0.insert(key, Complaint { begun: now, n_lines: 1, n_unmentioned: 0 });
        Some(Unmentioned(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(result: JobResult) -> String {
        let client = "[::ffff:127.0.0.1]:42174".parse().unwrap();
        JobRecord { client, result, time: Duration::from_micros(14_900) }.to_string()
    }

    fn name() -> JobName {
        JobName {
            client: "[::ffff:127.0.0.1]:42174".parse().unwrap(),
            compiler: "gcc".to_owned(),
            source: "hello.c".to_owned(),
        }
    }

    #[test]
    fn the_summary_is_the_original_s() {
        let compiled = |status| {
            record(JobResult::Compiled {
                name: name(),
                status: WaitStatus::from_raw(status).unwrap(),
            })
        };
        for (line, expected) in [
            (compiled(0), "COMPILE_OK exit:0 sig:0 core:0 ret:0 time:14ms gcc hello.c"),
            (compiled(0x100), "COMPILE_ERROR exit:1 sig:0 core:0 ret:0 time:14ms gcc hello.c"),
            (compiled(0x8b), "COMPILE_ERROR exit:0 sig:11 core:1 ret:0 time:14ms gcc hello.c"),
            (
                record(JobResult::TimedOut(name())),
                "COMPILE_TIMEOUT exit:118 sig:0 core:0 ret:118 time:14ms gcc hello.c",
            ),
            (record(JobResult::ClientGone), "CLI_DISCONN exit:107 sig:0 core:0 ret:107 time:14ms "),
            (
                record(JobResult::Refused("no such compiler".to_owned())),
                "REJ_BAD_REQ exit:109 sig:0 core:0 ret:109 time:14ms (no such compiler)",
            ),
        ] {
            assert_eq!(line, format!("client: 127.0.0.1:42174 {expected}"));
        }
        assert_eq!(name().to_string(), "client: 127.0.0.1:42174 gcc hello.c");
        assert_eq!(Client("[::1]:5".parse().unwrap()).to_string(), "::1:5");
    }

    #[test]
    fn a_refused_client_is_mentioned_once_a_minute() {
        let mut complaints = Complaints::default();
        let begun = Instant::now();
        let mut due = |client: &str, seconds| {
            let now = begun + Duration::from_secs(seconds);
            let due = complaints.due(Cause::Request, client.parse().unwrap(), now);
            due.map(|before| before.to_string())
        };
        let (one, other_port, two) = ("10.0.0.1:5", "10.0.0.1:6", "10.0.0.2:5");
        assert_eq!((due(one, 0).as_deref(), due(two, 0).as_deref()), (Some(""), Some("")));
        assert_eq!(
            (due(one, 1), due(other_port, 59), due("[::ffff:10.0.0.1]:5", 59)),
            (None, None, None)
        );
        let later = due(one, 60);
        assert_eq!(later.as_deref(), Some(" (and 3 times more since it was last said)"));
        assert_eq!(
            (due(one, 61), due(one, 120).as_deref()),
            (None, Some(" (and 1 times more since it was last said)"))
        );
    }

    #[test]
    fn a_client_that_often_goes_is_mentioned_more_often() {
        let mut complaints = Complaints::default();
        let client = "10.0.0.1:5".parse().unwrap();
        let now = Instant::now();
        let n_lines =
            (0..1000).filter(|_| complaints.due(Cause::Gone, client, now).is_some()).count();
        assert_eq!(n_lines, 60);
        assert!(complaints.due(Cause::Request, client, now).is_some());
    }

    #[test]
    fn the_memory_of_refused_clients_is_bounded() {
        let mut complaints = Complaints::default();
        let begun = Instant::now();
        for number in 0..5000 {
            let client = SocketAddr::new(IpAddr::V4(number.into()), 1);
            complaints.due(Cause::Request, client, begun);
        }
        assert_eq!(complaints.0.len(), MAX_COMPLAINTS);
    }
}
