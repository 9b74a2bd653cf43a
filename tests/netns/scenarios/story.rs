//! A scenario in the making: its network, its programs, and how long the list of hosts took to be
//! right after each thing that happened.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::process::Command;
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use nix::sys::signal::Signal;

use super::traffic::{Done, Traffic};
use crate::farm::{
    DAEMON_LOG, DEADLINE, host_of, installed, offer, offer_only, said, text, volunteer_in,
};
use crate::lab::{DESK, HOME, Host, Lab, Net, OFFICE, wait_for};
use crate::processes::{assert_clean, send};

/// Debian's programs and what they need.
const THEIRS: [&str; 4] =
    ["/usr/bin/distccd", "/usr/bin/distcc", "/usr/sbin/avahi-daemon", "/usr/bin/dbus-daemon"];
/// Nothing else, so that a server knows soon what it has.
const COMPILERS: [(&str, &str); 2] = [("gcc", "/usr/bin/gcc"), ("cc", "/usr/bin/gcc")];
/// What Debian's client makes of `gcc`.
const FULL_NAME: (&str, &str) = ("x86_64-linux-gnu-gcc", "/usr/bin/gcc");
/// How long Debian's client is waited for.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(100);
/// All networks, so that a server is of use wherever it is.
const EVERYWHERE: [Net; 3] = [OFFICE, HOME, DESK];

/// Whose client and servers take part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Programs {
    Ours,
    /// Debian's, with Avahi on every host: only to compare.
    Theirs,
}

impl Programs {
    /// Ours, unless `COMPARE=1`.
    fn wanted() -> Self {
        if env::var_os("COMPARE").is_some_and(|compare| compare == "1") {
            Self::Theirs
        } else {
            Self::Ours
        }
    }

    /// The client program.
    pub(crate) fn client(self) -> &'static str {
        match self {
            Self::Ours => env!("CARGO_BIN_EXE_distcc"),
            Self::Theirs => "/usr/bin/distcc",
        }
    }
}

/// A scenario. Host 1 is the client.
pub(crate) struct Story {
    pub(crate) lab: Lab,
    pub(crate) programs: Programs,
    /// Where Debian's servers listen. Listening for both families, they would not know the clients
    /// of IPv4 by the addresses that they allow.
    pub(crate) listen: &'static str,
    title: &'static str,
    since: Instant,
    times: Vec<String>,
}

impl Story {
    /// A network with a client and some hosts more, which do nothing yet. Titles say what a person
    /// does.
    #[track_caller]
    pub(crate) fn new(title: &'static str, hosts: usize) -> Option<Self> {
        let programs = Programs::wanted();
        if programs == Programs::Theirs && !installed(&THEIRS) {
            return None;
        }
        let mut lab = Lab::new(hosts)?;
        for number in 2..=hosts {
            offer_only(lab.host(number), &COMPILERS);
            if programs == Programs::Theirs {
                offer(lab.host(number), &[FULL_NAME]);
            }
        }
        if programs == Programs::Theirs && !lab.host(1).avahi() {
            return None;
        }
        Some(Self {
            lab,
            programs,
            listen: "0.0.0.0",
            title,
            since: Instant::now(),
            times: Vec::new(),
        })
    }

    /// For a scenario that the original cannot take part in, as it has nothing of the kind.
    #[track_caller]
    pub(crate) fn ours(title: &'static str, hosts: usize) -> Option<Self> {
        match Programs::wanted() {
            Programs::Ours => Self::new(title, hosts),
            Programs::Theirs => None,
        }
    }

    /// Only to compare: nothing is asserted of its hosts.
    pub(crate) fn is_theirs(&self) -> bool {
        self.programs == Programs::Theirs
    }

    /// The host with this number.
    pub(crate) fn host(&mut self, number: usize) -> &mut Host {
        self.lab.host(number)
    }

    /// Starts the server there.
    #[track_caller]
    pub(crate) fn serve(&mut self, number: usize) {
        match self.programs {
            Programs::Ours => volunteer_in(self.host(number), &EVERYWHERE),
            Programs::Theirs => self.serve_stock(number),
        }
    }

    /// Starts Debian's server there, with Avahi, which is started if it does not run.
    #[track_caller]
    pub(crate) fn serve_stock(&mut self, number: usize) {
        let listen = self.listen;
        serve_stock_zeroconf(self.host(number), listen);
    }

    /// Sends a signal to the server there.
    pub(crate) fn signal_server(&mut self, number: usize, signal: Signal) {
        for pid in self.host(number).pids("distccd") {
            send(pid, signal);
        }
    }

    /// Begins a build on host 1, with a pause after each job.
    #[track_caller]
    pub(crate) fn build_with_pause(&mut self, pause: Duration) -> Traffic {
        let programs = self.programs;
        Traffic::start(self.host(1), programs, pause)
    }

    /// Starts the servers of hosts 2 and 3 and a build, and waits until both are of use.
    #[track_caller]
    pub(crate) fn build_on_two(&mut self, pause: Duration) -> Traffic {
        self.serve(2);
        self.serve(3);
        let build = self.build_with_pause(pause);
        self.happens();
        self.list_is("found", &[OFFICE.v4(2), OFFICE.v4(3)]);
        self.both_are_used(&build);
        build
    }

    /// Waits until jobs have run on both hosts of [`Story::build_on_two`].
    #[track_caller]
    pub(crate) fn both_are_used(&mut self, build: &Traffic) {
        for number in [2, 3] {
            self.job_on(&format!("h{number} used"), build, OFFICE.v4(number));
        }
    }

    /// Waits until it has lasted for so long. By the clock, for this is what such a scenario is
    /// about.
    pub(crate) fn lasts(&self, duration: Duration) {
        thread::sleep(duration.saturating_sub(self.since.elapsed()));
    }

    /// What is measured next counts from now.
    pub(crate) fn happens(&mut self) -> Instant {
        self.since = Instant::now();
        self.since
    }

    /// Writes down how long something took.
    pub(crate) fn note(&mut self, what: &str, took: Duration) {
        self.times.push(format!("{what} {:.2} s", took.as_secs_f64()));
    }

    /// Waits until the list has exactly these hosts, and writes down the time since something last
    /// happened. Debian's client need not get there.
    #[track_caller]
    pub(crate) fn list_is(&mut self, what: &str, expected: &[impl Display]) {
        let expected: BTreeSet<String> = expected.iter().map(ToString::to_string).collect();
        let patience = self.patience();
        let began = Instant::now();
        loop {
            let list = self.list();
            if list == expected {
                self.note(what, self.since.elapsed());
                return;
            }
            if began.elapsed() > patience {
                if self.programs == Programs::Ours {
                    panic!("{what}: {list:?}, not {expected:?}\n{}", self.why());
                }
                self.times.push(format!("{what} not within {} s: {list:?}", patience.as_secs()));
                return;
            }
            thread::sleep(LOOK_EVERY);
        }
    }

    /// Waits for a job of the build on this host, and writes the time down. Debian's client need
    /// not get there.
    #[track_caller]
    pub(crate) fn job_on(&mut self, what: &str, build: &Traffic, place: impl Display) {
        let (since, place, patience) = (self.since, place.to_string(), self.patience());
        loop {
            let done = build.done();
            let one = done.iter().find(|done| done.begun >= since && done.is_on(&place));
            if let Some(done) = one {
                self.note(what, done.ended - since);
                return;
            }
            if since.elapsed() > patience {
                if self.programs == Programs::Ours {
                    let last = done.iter().rev().take(10).collect::<Vec<_>>();
                    panic!("{what}: no job on {place}, but {last:#?}\n{}", self.why());
                }
                self.times.push(format!("{what} not within {} s", patience.as_secs()));
                return;
            }
            thread::sleep(LOOK_EVERY);
        }
    }

    fn patience(&self) -> Duration {
        match self.programs {
            Programs::Ours => DEADLINE,
            Programs::Theirs => PATIENCE,
        }
    }

    /// The hosts of `distcc --show-hosts`, as of [`host_of`].
    #[track_caller]
    pub(crate) fn list(&mut self) -> BTreeSet<String> {
        let screen = said(&mut self.show(&[]));
        screen.lines().map(host_of).collect()
    }

    /// What `--show-hosts --why` says.
    #[track_caller]
    fn why(&mut self) -> String {
        said(&mut self.show(&["--why"]))
    }

    /// Waits until that has these words, and returns it.
    #[track_caller]
    pub(crate) fn until_why(&mut self, words: &str) -> String {
        wait_for(&format!("{words:?} in --show-hosts --why"), DEADLINE, || {
            Some(self.why()).filter(|why| why.contains(words))
        })
    }

    fn show(&mut self, options: &[&str]) -> Command {
        let client = self.programs.client();
        let mut show = self.host(1).command(client);
        show.arg("--show-hosts").args(options).env("DISTCC_HOSTS", "+zeroconf");
        show
    }

    /// Ends the build. On these hosts nothing may be left of it. Prints the times, and returns what
    /// was done.
    #[track_caller]
    pub(crate) fn end(&mut self, build: Traffic, clean: &[usize]) -> Vec<Done> {
        let done = build.stop();
        let elsewhere = done.iter().filter(|done| done.place.is_some()).count();
        let longest = done.iter().map(Done::took).max().unwrap_or_default();
        self.times.push(format!(
            "{} jobs, {elsewhere} elsewhere, longest {:.2} s",
            done.len(),
            longest.as_secs_f64()
        ));
        self.finish(clean);
        done
    }

    /// Prints the times of a scenario without a build.
    #[track_caller]
    pub(crate) fn finish(&mut self, clean: &[usize]) {
        eprintln!("{:?} | {} | {}", self.programs, self.title, self.times.join("; "));
        if self.programs == Programs::Ours {
            for number in clean {
                assert_clean(self.host(*number));
            }
        }
    }
}

/// Starts Debian's distccd, listening there.
#[track_caller]
fn serve_stock_zeroconf(host: &mut Host, listen: &str) {
    if host.pids("avahi-daemon").is_empty() {
        assert!(host.avahi(), "Avahi was there a moment ago");
    }
    let log = host.dir(DAEMON_LOG);
    fs::write(&log, "").unwrap();
    said(Command::new("chmod").arg("666").arg(&log));
    let mut server = host.command("/usr/bin/distccd");
    server.args(["--daemon", "--zeroconf", "--enable-tcp-insecure", "--listen", listen]);
    server.args(["--allow", "fe80::/10"]);
    for prefix in EVERYWHERE.iter().flat_map(|net| net.prefixes()) {
        server.args(["--allow", &prefix]);
    }
    let output = server.args(["--log-file", "/var/log/distccd.log"]).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
}
