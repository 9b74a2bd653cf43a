//! What people do on the hosts of a lab: start daemons, compile, ask why, read logs.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use crate::lab::{Host, Lab, wait_for};
use crate::skip::skip;

/// Only keeps a broken test from hanging.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);
/// /var/log/distccd.log of a host.
const LOG: &str = "log/distccd.log";
/// Debian's server.
const STOCK_SERVER: &str = "/usr/bin/distccd";
/// What `--show-hosts --why` says of hosts that are being looked at. It waits a few seconds for
/// them, which may be too few on a busy machine.
const UNSETTLED: [&str; 3] = ["being asked", "not answered yet", "being identified"];

/// Are these files of the system there? Said loudly if not.
#[track_caller]
pub(crate) fn installed(files: &[&str]) -> bool {
    let missing: Vec<&str> =
        files.iter().copied().filter(|file| !Path::new(file).exists()).collect();
    if !missing.is_empty() {
        skip(&format!("not installed: {}", missing.join(" ")));
    }
    missing.is_empty()
}

/// What a command printed, trimmed; it must succeed.
#[track_caller]
pub(crate) fn said(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {output:?}");
    text(&output.stdout).trim().to_owned()
}

/// Bytes of a program as text.
pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Starts our daemon as its user types it; it is ready when this returns. Its state directory is
/// made writable for the user that it becomes, as systemd does.
#[track_caller]
pub(crate) fn serve(host: &Host) {
    fs::set_permissions(host.dir("state"), fs::Permissions::from_mode(0o777)).unwrap();
    let allow = ["--zeroconf", "--allow", "10.77.0.0/24", "--allow", "fd77::/64"];
    said(host.command("distccd").args(allow));
}

/// Starts Debian's distccd, whose masquerade directory the lab hides. It opens its log as the user
/// that it becomes.
#[track_caller]
pub(crate) fn serve_stock(host: &Host) {
    let log = host.dir(LOG);
    fs::write(&log, "").unwrap();
    fs::set_permissions(&log, fs::Permissions::from_mode(0o666)).unwrap();
    let options = ["--daemon", "--enable-tcp-insecure", "--allow", "10.77.0.0/24", "--log-file"];
    said(host.command(STOCK_SERVER).args(options).arg("/var/log/distccd.log"));
}

/// The jobs that a compiler has ended in the log of the host's daemon, ours or Debian's. Probe jobs
/// are left out, and the hello, which a stock daemon refuses.
pub(crate) fn jobs(host: &Host) -> Vec<String> {
    let log = fs::read(host.dir(LOG)).unwrap_or_default();
    let is_job = |line: &&str| line.contains(" COMPILE_") && !line.contains(" probe.c");
    text(&log).lines().filter(is_job).map(str::to_owned).collect()
}

/// One compile through distcc.
pub(crate) struct Compile {
    pub(crate) output: Output,
    /// What the client wrote into its log, step by step.
    pub(crate) log: String,
    pub(crate) object: PathBuf,
}

impl Compile {
    /// Compiles `source` in the home of `host` by `compiler`, and must succeed.
    #[track_caller]
    pub(crate) fn run(host: &Host, hosts: &str, compiler: &str, source: &str) -> Self {
        let log = host.dir("log/client.log");
        let _ = fs::remove_file(&log);
        let object = host.dir("home").join(source).with_extension("o");
        let mut command = host.command("distcc");
        command.env("DISTCC_HOSTS", hosts).env("DISTCC_VERBOSE", "1").env("DISTCC_LOG", &log);
        command.args([compiler, "-O1", "-c", source, "-o"]).arg(&object);
        let output = command.output().unwrap();
        let log = fs::read_to_string(log).unwrap();
        assert!(output.status.success() && object.exists(), "{output:?}\n{log}");
        Self { output, log, object }
    }

    /// Where the host list's name for it says that it ran; none if that was here.
    pub(crate) fn ran_on(&self) -> Option<&str> {
        let line = self.log.lines().find(|line| line.ends_with(" completed ok"))?;
        line.split(" on ").nth(1)?.split(' ').next()
    }
}

/// Waits for the log of the host that has compiled `source`, and returns its number.
#[track_caller]
pub(crate) fn logged_by(lab: &mut Lab, among: &[usize], source: &str) -> usize {
    wait_for(&format!("a log that has {source}"), DEADLINE, || {
        let ok = |line: &String| line.contains(" COMPILE_OK ") && line.ends_with(source);
        among.iter().copied().find(|&number| jobs(lab.host(number)).iter().any(ok))
    })
}

/// `--show-hosts --why COMPILER...`, one paragraph a host, each made one line.
pub(crate) struct Why(pub(crate) Vec<String>);

impl Why {
    /// Asks until `n_hosts` hosts are there and nothing is in the balance.
    #[track_caller]
    pub(crate) fn ask(host: &Host, hosts: &str, compilers: &[&str], n_hosts: usize) -> Self {
        wait_for("a verdict on every host", DEADLINE, || {
            let mut command = host.command("distcc");
            command.env("DISTCC_HOSTS", hosts).args(["--show-hosts", "--why"]).args(compilers);
            let screen = said(&mut command);
            let why = Self(screen.split("\n\n").map(one_line).collect());
            let settled = !UNSETTLED.iter().any(|words| screen.contains(words));
            (settled && why.hosts().count() == n_hosts).then_some(why)
        })
    }

    fn hosts(&self) -> impl Iterator<Item = &String> {
        self.0.iter().filter(|part| part.contains(" (zeroconf), ") || part.contains(" (hosts), "))
    }

    /// The verdict on the host with this name or address, for one compiler.
    #[track_caller]
    pub(crate) fn of(&self, host: &str) -> &str {
        let names = |part: &&String| {
            part.split(' ')
                .take(2)
                .any(|word| word.split(['/', ',']).next().is_some_and(|name| name == host))
        };
        let part = self.hosts().find(names);
        let part = part.unwrap_or_else(|| panic!("nothing of {host} in {:#?}", self.0));
        let end = part.find(" slot").expect("slots of each host");
        let verdict = part[end..].split_once(' ').and_then(|(_, rest)| rest.split_once(' '));
        let verdict = verdict.expect("a verdict follows").1;
        verdict.split_once(" there: ").map_or(verdict, |(verdict, _)| verdict)
    }
}

fn one_line(part: &str) -> String {
    part.split_whitespace().collect::<Vec<_>>().join(" ")
}
