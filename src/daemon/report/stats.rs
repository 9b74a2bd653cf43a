//! What the page of statistics shows: a state that events change, and its text, line by line the
//! original's (distcc 3.4, `stats.c`), since scripts read it.

use std::collections::{HashMap, VecDeque};
use std::fmt::Write;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::observe::{Event, JobName, JobResult};

/// What happened in so much time is one number.
const STEP: Duration = Duration::from_secs(10);
/// 1, 5 and 15 minutes.
const WINDOWS: [usize; 3] = [6, 30, 90];
/// Characters of a file's or compiler's name that are shown.
const MAX_NAME: usize = 256;

/// What has happened since the start.
#[derive(Clone, Debug)]
pub(crate) struct Stats {
    n_connections: u64,
    n_refused: u64,
    n_too_many: u64,
    n_compiled: u64,
    n_failed: u64,
    n_timed_out: u64,
    n_left: u64,
    n_other: u64,
    longest: Option<(JobName, Duration)>,
    /// Compilers at once.
    jobs: u16,
    /// Who is compiled for, and since when.
    running: HashMap<SocketAddr, Instant>,
    begun: Instant,
    /// The latest last, at most as many as the longest window has.
    steps: VecDeque<Step>,
    /// Up to when the steps are complete.
    known_until: Instant,
}

/// One step of time.
#[derive(Clone, Copy, Debug, Default)]
struct Step {
    n_compiles: u64,
    /// Of all compilers together.
    busy: Duration,
}

/// The machine's state, as far as the page shows it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Machine {
    /// Processes that could run.
    pub(super) n_runnable: u64,
    /// Over 1, 5 and 15 minutes.
    pub(super) loads: [f64; 3],
    /// Processes that wait for a device.
    pub(super) n_waiting: u64,
    /// The largest process that is no compiler: its memory in KiB and its name.
    pub(super) largest: (u64, String),
    /// Sectors a second, if known.
    pub(super) io_rate: Option<u64>,
    /// MiB in the directory for temporary files, and of memory.
    pub(super) free_space: Option<u64>,
    pub(super) free_memory: Option<u64>,
}

impl Stats {
    /// Nothing has happened yet.
    pub(super) fn new(jobs: u16, now: Instant) -> Self {
        Self {
            n_connections: 0,
            n_refused: 0,
            n_too_many: 0,
            n_compiled: 0,
            n_failed: 0,
            n_timed_out: 0,
            n_left: 0,
            n_other: 0,
            longest: None,
            jobs,
            running: HashMap::new(),
            begun: now,
            steps: VecDeque::from([Step::default()]),
            known_until: now,
        }
    }

    /// Something has happened.
    pub(super) fn note(&mut self, event: &Event, now: Instant) {
        self.advance(now);
        match event {
            Event::Began(name) => {
                self.running.insert(name.client, now);
                // One whose task panicked has no end.
                while self.running.len() > usize::from(self.jobs).max(1) {
                    let oldest = self.running.iter().min_by_key(|(_, begun)| **begun);
                    let Some(oldest) = oldest.map(|(client, _)| *client) else { break };
                    self.running.remove(&oldest);
                }
            }
            Event::Ended(record) => {
                self.n_connections += 1;
                self.running.remove(&record.client);
                match &record.result {
                    JobResult::Compiled { name, status } => {
                        if status.success() {
                            self.n_compiled += 1;
                        } else {
                            self.n_failed += 1;
                        }
                        self.compiled(name, record.time);
                    }
                    JobResult::TimedOut(name) => {
                        self.n_timed_out += 1;
                        self.compiled(name, record.time);
                    }
                    JobResult::ClientGone => self.n_left += 1,
                    JobResult::Refused(_) => self.n_refused += 1,
                    JobResult::Failed(_) => self.n_other += 1,
                }
            }
            Event::Greeted(_) | Event::Touched(_) => self.n_connections += 1,
            Event::Crowded(_) | Event::Displaced(_) => {
                self.n_connections += 1;
                self.n_too_many += 1;
            }
            Event::Denied(_) | Event::ExtraBytes(_) => {}
        }
    }

    fn compiled(&mut self, name: &JobName, time: Duration) {
        if let Some(step) = self.steps.back_mut() {
            step.n_compiles += 1;
        }
        if self.longest.as_ref().is_none_or(|(_, longest)| time > *longest) {
            self.longest = Some((name.clone(), time));
        }
    }

    /// Completes the steps up to now.
    fn advance(&mut self, now: Instant) {
        let [.., longest_window] = WINDOWS;
        let n_running = u32::try_from(self.running.len()).unwrap_or(u32::MAX);
        let all = STEP * u32::try_from(longest_window).unwrap_or(u32::MAX);
        // What is older than the longest window counts nowhere.
        if now.saturating_duration_since(self.known_until) > all {
            self.known_until = now.checked_sub(all).unwrap_or(now);
        }
        while self.known_until < now {
            let age = self.known_until.saturating_duration_since(self.begun).as_nanos();
            let n_whole = u32::try_from(age / STEP.as_nanos()).unwrap_or(u32::MAX);
            let end = self.begun + STEP * (n_whole + 1);
            let until = end.min(now);
            if let Some(step) = self.steps.back_mut() {
                step.busy += (until - self.known_until) * n_running;
            }
            if until == end {
                self.steps.push_back(Step::default());
            }
            self.known_until = until;
        }
        while self.steps.len() > longest_window {
            self.steps.pop_front();
        }
    }

    /// Compilers at once on average, and compiles, in each window.
    fn windows(&self) -> [(u64, u64); 3] {
        let age = self.known_until.saturating_duration_since(self.begun);
        WINDOWS.map(|n_steps| {
            let steps = || self.steps.iter().rev().take(n_steps);
            let length = STEP * u32::try_from(n_steps).unwrap_or(u32::MAX);
            let busy: Duration = steps().map(|step| step.busy).sum();
            let length = length.min(age).max(Duration::from_millis(1));
            let average = (busy.as_secs_f64() / length.as_secs_f64()).round();
            (average.min(f64::from(self.jobs)) as u64, steps().map(|step| step.n_compiles).sum())
        })
    }

    /// The page.
    pub(super) fn page(&mut self, machine: &Machine, now: Instant) -> String {
        self.advance(now);
        let windows = self.windows();
        let (file, compiler, time) = match &self.longest {
            Some((name, time)) => (
                shown(&name.source),
                shown(&name.compiler),
                i64::try_from(time.as_millis()).unwrap_or(i64::MAX),
            ),
            None => ("none".to_owned(), "none".to_owned(), -1),
        };
        let known = |value: Option<u64>| value.map_or("-1".to_owned(), |value| value.to_string());
        let mut page = "argv /distccd\n<distccstats>\n".to_owned();
        let mut line = |key: &str, value: String| {
            let _ = writeln!(page, "dcc_{key} {value}");
        };
        for (key, value) in [
            ("tcp_accept", self.n_connections),
            ("rej_bad_req", self.n_refused),
            ("rej_overload", self.n_too_many),
            ("compile_ok", self.n_compiled),
            ("compile_error", self.n_failed),
            ("compile_timeout", self.n_timed_out),
            ("cli_disconnect", self.n_left),
            ("other", self.n_other),
        ] {
            line(key, value.to_string());
        }
        line("longest_job", file);
        line("longest_job_compiler", compiler);
        line("longest_job_time_msecs", time.to_string());
        line("max_kids", self.jobs.to_string());
        for (idx, (average, _)) in windows.iter().enumerate() {
            line(&format!("avg_kids{}", idx + 1), average.to_string());
        }
        line("current_load", machine.n_runnable.to_string());
        for (idx, load) in machine.loads.iter().enumerate() {
            line(&format!("load{}", idx + 1), format!("{load:.2}"));
        }
        for (idx, (_, n_compiles)) in windows.iter().enumerate() {
            line(&format!("num_compiles{}", idx + 1), n_compiles.to_string());
        }
        line("num_procstate_D", machine.n_waiting.to_string());
        line("max_RSS", machine.largest.0.to_string());
        line("max_RSS_name", format!("({})", shown(&machine.largest.1)));
        line("io_rate", known(machine.io_rate));
        line("free_space", format!("{} MB", known(machine.free_space)));
        line("free_mem", format!("{} MB", known(machine.free_memory)));
        page.push_str("</distccstats>\n");
        page
    }
}

/// A name on one line, which is to make no other line.
fn shown(name: &str) -> String {
    name.chars().take(MAX_NAME).map(|c| if c.is_control() { '?' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::report::observe::JobRecord;
    use crate::wire::job::WaitStatus;

    fn client(port: u16) -> SocketAddr {
        ([127, 0, 0, 1], port).into()
    }

    fn name(port: u16, source: &str) -> JobName {
        JobName { client: client(port), compiler: "gcc".to_owned(), source: source.to_owned() }
    }

    fn ended(port: u16, result: JobResult, millis: u64) -> Event {
        let time = Duration::from_millis(millis);
        Event::Ended(JobRecord { client: client(port), result, time })
    }

    fn value(stats: &mut Stats, now: Instant, key: &str) -> String {
        let page = stats.page(&Machine::default(), now);
        let key = format!("dcc_{key} ");
        page.lines().find_map(|line| line.strip_prefix(&key)).unwrap().to_owned()
    }

    #[test]
    fn every_end_is_counted_once() {
        let begun = Instant::now();
        let mut stats = Stats::new(4, begun);
        let compiled = |status| JobResult::Compiled {
            name: name(1, "a.c"),
            status: WaitStatus::from_raw(status).unwrap(),
        };
        for event in [
            ended(1, compiled(0), 5),
            ended(1, compiled(0), 9),
            ended(1, compiled(0x100), 3),
            ended(1, JobResult::TimedOut(name(1, "slow\ndcc_other 99")), 70),
            ended(1, JobResult::ClientGone, 900),
            ended(1, JobResult::Refused(String::new()), 1),
            ended(1, JobResult::Failed(String::new()), 1),
            Event::Crowded(client(2)),
            Event::Touched(client(2)),
            Event::Denied(client(3)),
        ] {
            stats.note(&event, begun);
        }
        for (key, expected) in [
            ("tcp_accept", "9"),
            ("rej_bad_req", "1"),
            ("rej_overload", "1"),
            ("compile_ok", "2"),
            ("compile_error", "1"),
            ("compile_timeout", "1"),
            ("cli_disconnect", "1"),
            ("other", "1"),
            ("longest_job", "slow?dcc_other 99"),
            ("longest_job_compiler", "gcc"),
            ("longest_job_time_msecs", "70"),
            ("num_compiles1", "4"),
        ] {
            assert_eq!(value(&mut stats, begun, key), expected, "{key}");
        }
    }

    #[test]
    fn windows_forget() {
        let begun = Instant::now();
        let at = |seconds| begun + Duration::from_secs(seconds);
        let mut stats = Stats::new(4, begun);
        for port in 1..=3 {
            stats.note(&Event::Began(name(port, "a.c")), begun);
        }
        assert_eq!(value(&mut stats, at(60), "avg_kids1"), "3");
        for port in 1..=3 {
            stats.note(&ended(port, JobResult::TimedOut(name(port, "a.c")), 1), at(60));
        }
        for (seconds, key, expected) in [
            (90, "num_compiles1", "3"),
            (130, "num_compiles1", "0"),
            (130, "avg_kids1", "0"),
            (130, "num_compiles2", "3"),
            (120, "avg_kids3", "2"),
            (400, "num_compiles2", "0"),
            (400, "num_compiles3", "3"),
            (100_000, "num_compiles3", "0"),
        ] {
            let mut stats = stats.clone();
            assert_eq!(value(&mut stats, at(seconds), key), expected, "{key} at {seconds}");
        }
    }

    #[test]
    fn an_idle_server_has_no_longest_job() {
        let now = Instant::now();
        let mut stats = Stats::new(4, now);
        assert_eq!(value(&mut stats, now, "longest_job"), "none");
        assert_eq!(value(&mut stats, now, "longest_job_time_msecs"), "-1");
        assert_eq!(value(&mut stats, now, "io_rate"), "-1");
    }
}
