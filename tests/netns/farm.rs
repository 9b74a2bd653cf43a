//! What people do on the hosts of a lab: offer compilers, start daemons, compile.

use std::fs;
use std::net::Ipv6Addr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::lab::{Host, Net, OFFICE, wait_for};
use crate::processes::send;
use crate::skip::skip;

/// Only keeps a broken test from hanging.
pub(crate) const DEADLINE: Duration = Duration::from_secs(120);
/// /var/log/distccd.log of a host.
pub(crate) const DAEMON_LOG: &str = "log/distccd.log";
/// What all clients of a host that [`client`] makes write into.
const CLIENT_LOG: &str = "log/client.log";
/// Debian's server.
const STOCK_SERVER: &str = "/usr/bin/distccd";

/// A source that is compiled in no time.
pub(crate) const QUICK: &str = "int quick(int x) { return x + 1; }\n";

/// A source that keeps a compiler at `-O2` busy for seconds, long enough to be caught at it.
pub(crate) fn slow_source() -> String {
    let function = |n: u32| {
        format!(
            "int f{n}(int *a, int n) {{ int s = {n}; for (int i = 0; i < n; i++) \
             {{ s += a[i] * {n} ^ (s >> 3); if (s & {n}) a[i] = s; }} return s; }}\n"
        )
    };
    (1..300).map(function).collect()
}

/// Writes a file of the host's home.
pub(crate) fn write(host: &Host, name: &str, text: &str) -> PathBuf {
    let path = host.dir("home").join(name);
    fs::write(&path, text).unwrap();
    path
}

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
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Bytes of a program as text.
pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Leaves of all compilers only these on the host, as `(name, file)`, and what they need.
pub(crate) fn offer_only(host: &mut Host, compilers: &[(&str, &str)]) {
    host.install_only(&[]);
    offer(host, compilers);
    offer(host, &[("as", "/usr/bin/as"), ("ld", "/usr/bin/ld"), ("sh", "/bin/sh")]);
}

/// Offers these files under these names, before all that is installed.
pub(crate) fn offer(host: &mut Host, files: &[(&str, &str)]) {
    for (name, file) in files {
        host.install(name, Path::new(file));
    }
}

/// Starts our daemon as its user types it; it is ready when this returns.
#[track_caller]
pub(crate) fn serve(host: &Host, options: &[&str]) {
    said(host.command("distccd").args(options));
}

/// Starts our daemon for whoever is in the office.
#[track_caller]
pub(crate) fn volunteer(host: &Host) {
    volunteer_in(host, &[OFFICE]);
}

/// The same for these networks. Its state directory is made writable for the user that it becomes,
/// as systemd does.
#[track_caller]
pub(crate) fn volunteer_in(host: &Host, networks: &[Net]) {
    fs::set_permissions(host.dir("state"), fs::Permissions::from_mode(0o777)).unwrap();
    let prefixes: Vec<String> = networks.iter().flat_map(|net| net.prefixes()).collect();
    let allow = prefixes.iter().flat_map(|prefix| ["--allow", prefix]);
    serve(host, &["--zeroconf"].into_iter().chain(allow).collect::<Vec<_>>());
}

/// Starts Debian's distccd, whose masquerade directory the lab hides.
#[track_caller]
pub(crate) fn serve_stock(host: &Host) {
    serve_stock_with(host, &["--enable-tcp-insecure"], &[]);
}

/// Starts Debian's distccd for whoever asks the avahi-daemon of its host.
#[track_caller]
pub(crate) fn volunteer_stock(host: &Host) {
    serve_stock_with(host, &["--enable-tcp-insecure", "--zeroconf"], &[]);
}

/// Starts Debian's distccd with these options and variables beside the usual ones. It opens its log
/// as the user that it becomes.
#[track_caller]
pub(crate) fn serve_stock_with(host: &Host, options: &[&str], vars: &[(&str, &str)]) {
    let log = host.dir(DAEMON_LOG);
    fs::write(&log, "").unwrap();
    fs::set_permissions(&log, fs::Permissions::from_mode(0o666)).unwrap();
    let mut server = host.command(STOCK_SERVER);
    server.args(["--daemon", "--allow", "10.77.0.0/24", "--log-file", "/var/log/distccd.log"]);
    said(server.args(options).envs(vars.iter().copied()));
}

/// Ends the host's server, ours or Debian's, or its agent, as a user does.
#[track_caller]
pub(crate) fn stop_server(host: &Host) {
    for pid in host.pids("distccd") {
        send(pid, Signal::SIGTERM);
    }
    wait_for("the server to end", DEADLINE, || host.pids("distccd").is_empty().then_some(()));
}

/// `distcc` with a host list, logging to the file that [`client_log`] reads.
pub(crate) fn client(host: &Host, hosts: &str, words: &[&str]) -> Command {
    let mut command = host.command("distcc");
    command.args(words).env("DISTCC_HOSTS", hosts).env("DISTCC_LOG", host.dir(CLIENT_LOG));
    command.stdin(Stdio::null());
    command
}

/// The log of all clients.
pub(crate) fn client_log(host: &Host) -> String {
    fs::read_to_string(host.dir(CLIENT_LOG)).unwrap_or_default()
}

/// Where a client's log says that its job ran, by the host list's name for it; none if that was
/// here.
pub(crate) fn ran_on(client_log: &str) -> Option<&str> {
    let line = client_log.lines().find(|line| line.ends_with(" completed ok"))?;
    line.split(" on ").nth(1)?.split(' ').next()
}

/// The host of a token, by its IPv4 address in the lab, for a list may name it by either:
/// `10.77.0.2` of `10.77.0.2:3632/4,lzo` and of `[fd77::2]:3632`.
pub(crate) fn host_of(token: &str) -> String {
    let token = token.split(['/', ',']).next().unwrap_or(token);
    let Some((addr, _)) = token.strip_prefix('[').and_then(|token| token.split_once(']')) else {
        return token.split(':').next().unwrap_or(token).to_owned();
    };
    match addr.parse().map(|addr: Ipv6Addr| addr.segments()) {
        Ok([0xfd77, 0, 0, net, 0, 0, 0, host]) => format!("10.77.{net}.{host}"),
        _ => addr.to_owned(),
    }
}

/// One compile through distcc.
pub(crate) struct Compile {
    pub(crate) output: Output,
    /// What the client wrote into its log, step by step.
    pub(crate) log: String,
    pub(crate) object: PathBuf,
}

impl Compile {
    /// Compiles `source` in the home of `host` to `object`, which must succeed.
    #[track_caller]
    pub(crate) fn run(
        host: &Host,
        hosts: &str,
        compiler: &str,
        source: &str,
        object: &str,
    ) -> Self {
        let log = host.dir(&format!("log/{object}.log"));
        let object = host.dir("home").join(object);
        // Neither may be left from an earlier one.
        for file in [&log, &object] {
            let _ = fs::remove_file(file);
        }
        let mut command = client(host, hosts, &[compiler, "-O2", "-c", source, "-o"]);
        command.arg(&object).env("DISTCC_LOG", &log).env("DISTCC_VERBOSE", "1");
        let output = command.output().unwrap();
        let log = fs::read_to_string(log).unwrap();
        assert!(output.status.success() && object.exists(), "{output:?}\n{log}");
        Self { output, log, object }
    }

    /// The same by gcc.
    #[track_caller]
    pub(crate) fn gcc(host: &Host, hosts: &str, source: &str, object: &str) -> Self {
        Self::run(host, hosts, "gcc", source, object)
    }

    /// Where it ran; none if that was here.
    pub(crate) fn ran_on(&self) -> Option<&str> {
        ran_on(&self.log)
    }

    /// Did it run on another host?
    pub(crate) fn was_remote(&self) -> bool {
        self.ran_on().is_some()
    }

    /// The object must be the one that `compiler` makes of `source` here.
    #[track_caller]
    pub(crate) fn assert_right(&self, host: &Host, compiler: &str, source: &str) {
        let expected = host.dir("home/expected.o");
        said(host.command(compiler).args(["-O2", "-c", source, "-o"]).arg(&expected));
        let same = fs::read(&self.object).unwrap() == fs::read(expected).unwrap();
        assert!(same, "{source}: another object than {compiler} makes here\n{}", self.log);
    }
}
