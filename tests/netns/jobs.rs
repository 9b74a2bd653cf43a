//! What the log of a host's daemon tells, above all of jobs.

use std::collections::BTreeSet;
use std::fs;

use crate::farm::{DAEMON_LOG, DEADLINE, text};
use crate::lab::{Host, Lab, wait_for};

/// The log of the host's daemon, ours or Debian's.
pub(crate) fn daemon_log(host: &Host) -> String {
    text(&fs::read(host.dir(DAEMON_LOG)).unwrap_or_default())
}

/// The server's log as soon as `n` of its lines hold `text`: a client has its answer a moment before
/// the server has written what became of the job.
#[track_caller]
pub(crate) fn daemon_log_with(host: &Host, n: usize, text: &str) -> String {
    wait_for(&format!("{n} lines with {text:?} in the server's log"), DEADLINE, || {
        Some(daemon_log(host)).filter(|log| count(log, text) >= n)
    })
}

/// How many of its lines hold `text`.
pub(crate) fn count(log: &str, text: &str) -> usize {
    log.lines().filter(|line| line.contains(text)).count()
}

/// A job in a server's log.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Job {
    /// The connection it came by.
    pub(crate) client: String,
    /// The compiler's name as it was sent.
    pub(crate) compiler: String,
    pub(crate) source: String,
}

/// What a server's log says of jobs.
#[derive(Debug, Default)]
pub(crate) struct Jobs {
    /// Debian's server does not tell.
    pub(crate) begun: Vec<Job>,
    /// Those that a compiler has ended, well or not. Probe jobs are left out, and the hello, which
    /// Debian's server refuses.
    pub(crate) ran: Vec<Job>,
    /// Those whose compiler succeeded.
    pub(crate) compiled: Vec<Job>,
    /// Connections of every job that has ended, whatever came of it.
    ended: BTreeSet<String>,
}

impl Jobs {
    /// Reads the log of the host's server.
    pub(crate) fn of(host: &Host) -> Self {
        let mut jobs = Self::default();
        for line in daemon_log(host).lines() {
            let Some((_, told)) = line.split_once("client: ") else { continue };
            let mut words = told.split(' ');
            let client = words.next().unwrap_or_default().to_owned();
            let mut last = words.rev();
            let source = last.next().unwrap_or_default().to_owned();
            let compiler = last.next().unwrap_or_default().to_owned();
            jobs.add(line, Job { client, compiler, source });
        }
        jobs
    }

    fn add(&mut self, line: &str, job: Job) {
        if line.contains("(dcc_job_begin)") {
            self.begun.push(job);
        } else if line.contains("(dcc_job_summary)") {
            self.ended.insert(job.client.clone());
            if line.contains(" COMPILE_OK ") {
                self.compiled.push(job.clone());
            }
            if line.contains(" COMPILE_") && !line.contains(" probe.c") {
                self.ran.push(job);
            }
        }
    }

    /// Those that have begun and not ended.
    pub(crate) fn open(&self) -> Vec<&Job> {
        self.begun.iter().filter(|job| !self.ended.contains(&job.client)).collect()
    }
}

/// Waits for the log of the host that has compiled `source`, and returns its number.
#[track_caller]
pub(crate) fn logged_by(lab: &mut Lab, among: &[usize], source: &str) -> usize {
    wait_for(&format!("a log that has {source}"), DEADLINE, || {
        let has = |jobs: Jobs| jobs.compiled.iter().any(|job| job.source == source);
        among.iter().copied().find(|&number| has(Jobs::of(lab.host(number))))
    })
}
