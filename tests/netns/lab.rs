//! A throw-away LAN: hosts are namespaces (network, mount, host name, processes) on a bridge.
//!
//! Nothing of it has a name outside: every namespace lives by a process that reads its orders from
//! a pipe of this process, and ends when the pipe closes. So a lab is gone after [`Lab`] is
//! dropped, and also when the test is killed; and any number of labs exist side by side, all with
//! the same addresses. No frame can reach a real interface: the bridge has a namespace of its own.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::Ipv4Addr;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, thread};

use nix::sched::{CloneFlags, setns};
use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::skip::skip;

/// The programs of this package, by the names that tests call them by.
const BUILT: [(&str, &str); 2] =
    [("distcc", env!("CARGO_BIN_EXE_distcc")), ("distccd", env!("CARGO_BIN_EXE_distccd"))];

/// The bridge. Without snooping, for a snooping bridge that no querier feeds forgets who listens.
const SWITCH: &str = "
    ip link set lo up &&
    ip link add br0 type bridge mcast_snooping 0 stp_state 0 forward_delay 0 &&
    echo 1 >/proc/sys/net/ipv6/conf/br0/disable_ipv6 &&
    ip link set br0 up";

/// A host before its cable is there; `$LAB_DIR` is its directory. /run is private for the sockets
/// of dbus and avahi, /var/log for the daemon's log. An installed masquerade directory would narrow
/// what distccd offers, so it is hidden.
const HOST: &str = "
    mount -t tmpfs tmpfs /run && mkdir -p /run/dbus /run/lock &&
    mount --bind \"$LAB_DIR/log\" /var/log &&
    if [ -d /usr/lib/distcc ]; then mount -t tmpfs tmpfs /usr/lib/distcc; fi &&
    mount -t proc proc /proc &&
    hostname \"$LAB_HOST\" && ip link set lo up &&
    for conf in all default; do
        echo 0 >/proc/sys/net/ipv6/conf/$conf/accept_dad
        echo 0 >/proc/sys/net/ipv6/conf/$conf/accept_ra
        echo 1 >/proc/sys/net/ipv6/conf/$conf/keep_addr_on_down
    done";

/// Obeys each line of orders on its stdin, and answers with what that printed and `exit CODE`. The
/// reader is a child, so that the shell, the first process of its namespace, waits and thereby
/// collects orphans. When the pipe closes, for the test was killed, the switch tidies up.
const OBEY: &str = "
    exec 3<&0
    while read -r order; do eval \"$order\" 2>&1; echo \"exit $?\"; done <&3 3<&- &
    wait $!
    if [ -n \"$LAB_ALL\" ]; then rm -rf \"$LAB_ALL\"; fi";

/// A shell in namespaces of its own that runs what it is told.
struct Keeper {
    process: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
    /// The shell, as this process sees it.
    pid: Pid,
}

impl Keeper {
    /// `unshare` gets the given options; the shell first runs `setup`.
    fn start(options: &[&str], setup: &str, vars: &[(&str, &Path)]) -> io::Result<Self> {
        // A redirection is opened by the shell itself, through the /proc of the namespace outside.
        let script =
            format!("read -r pid rest </proc/self/stat\n{setup} || exit 1\necho $pid\n{OBEY}");
        let mut process = Command::new(tool("unshare")?)
            .args(options)
            .args(["--kill-child=KILL", "--", "/bin/sh", "-c", &script])
            .envs(vars.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let orders = process.stdin.take().expect("stdin is a pipe");
        let mut answers = BufReader::new(process.stdout.take().expect("stdout is a pipe"));
        let line = read_line(&mut answers)?;
        let Ok(pid) = line.parse() else {
            let mut stderr = process.stderr.take().expect("stderr is a pipe");
            let mut reason = String::new();
            stderr.read_to_string(&mut reason)?;
            process.wait()?;
            return Err(io::Error::other(reason.trim_end()));
        };
        Ok(Self { process, orders, answers, pid: Pid::from_raw(pid) })
    }

    /// Runs one command of shell.
    #[track_caller]
    fn order(&mut self, line: &str) {
        writeln!(self.orders, "{}", line.replace('\n', " ")).unwrap();
        let mut said = String::new();
        loop {
            let from = said.len();
            let read = self.answers.read_line(&mut said).unwrap();
            match said[from..].trim_end().strip_prefix("exit ") {
                Some("0") => return,
                None if read > 0 => (),
                _ => panic!("failed: {line}\n{said}"),
            }
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        // While `unshare` has not been waited for, the pid is its child's. The first process of a
        // pid namespace ends only after all others in it.
        if let Ok(None) = self.process.try_wait() {
            let _ = signal::kill(self.pid, Signal::SIGKILL);
        }
        let _ = self.process.wait();
    }
}

/// One line without its end.
fn read_line(from: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    from.read_line(&mut line)?;
    Ok(line.trim_end().to_owned())
}

/// Where a program of the system is: commands of a host may have another PATH.
fn tool(name: &str) -> io::Result<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let system = ["/usr/sbin", "/sbin", "/usr/bin", "/bin"].map(PathBuf::from);
    env::split_paths(&path)
        .chain(system)
        .map(|dir| dir.join(name))
        .find(|file| file.is_file())
        .ok_or_else(|| io::Error::other(format!("{name} is not installed")))
}

/// A bridge and hosts named `h1`, `h2`, ... with 10.77.0.N/24 and fd77::N/64 on `eth0`.
pub(crate) struct Lab {
    hosts: Vec<Host>,
    // Dropped after the hosts.
    switch: Keeper,
    dir: TempDir,
}

impl Lab {
    /// `None`, and a loud word, where no namespaces can be made.
    #[track_caller]
    pub(crate) fn new(hosts: usize) -> Option<Self> {
        match Self::build(hosts) {
            Ok(lab) => Some(lab),
            Err(error) => {
                skip(&format!("cannot build a network of namespaces: {error}"));
                None
            }
        }
    }

    fn build(hosts: usize) -> io::Result<Self> {
        tool("ip")?;
        let dir = tempfile::Builder::new().prefix("lab-").tempdir()?;
        // The daemon gives up root and must still reach its directories.
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755))?;
        let switch =
            Keeper::start(&["--net", "--pid", "--fork"], SWITCH, &[("LAB_ALL", dir.path())])?;
        let mut lab = Self { hosts: Vec::new(), switch, dir };
        for _ in 0..hosts {
            lab.add_host()?;
        }
        Ok(lab)
    }

    /// Adds the next host to the running network.
    pub(crate) fn add_host(&mut self) -> io::Result<&mut Host> {
        let number = self.hosts.len() + 1;
        let mut host = Host::start(self.dir.path(), number)?;
        self.switch.order(&format!(
            "ip link add p{number} type veth peer name eth0 netns /proc/{}/ns/net &&
             echo 1 >/proc/sys/net/ipv6/conf/p{number}/disable_ipv6 &&
             ip link set p{number} master br0 up",
            host.keeper.pid
        ));
        host.keeper.order(&format!(
            "ip link set eth0 up && ip addr add 10.77.0.{number}/24 brd + dev eth0 &&
             ip addr add fd77::{number}/64 dev eth0 nodad && {MULTICAST_ROUTE}"
        ));
        self.hosts.push(host);
        Ok(self.hosts.last_mut().expect("just pushed"))
    }

    /// The host with this number, from 1.
    pub(crate) fn host(&mut self, number: usize) -> &mut Host {
        &mut self.hosts[number - 1]
    }

    /// Pulls the host's cable at the switch: its own interface stays up and notices nothing.
    pub(crate) fn unplug(&mut self, number: usize) {
        self.switch.order(&format!("ip link set p{number} nomaster"));
    }

    /// Puts it back.
    pub(crate) fn plug(&mut self, number: usize) {
        self.switch.order(&format!("ip link set p{number} master br0"));
    }
}

/// There is no default route, so multicast from a socket that chose no interface needs this one.
const MULTICAST_ROUTE: &str = "ip route replace 224.0.0.0/4 dev eth0";

/// One machine of the lab. A directory of its own holds its `home`, `tmp`, `state`, `distcc`
/// (`$DISTCC_DIR`), `log` (also /var/log) and `bin` (first on its PATH).
pub(crate) struct Host {
    keeper: Keeper,
    number: usize,
    dir: PathBuf,
    path: Vec<PathBuf>,
}

impl Host {
    fn start(lab: &Path, number: usize) -> io::Result<Self> {
        let name = format!("h{number}");
        let dir = lab.join(&name);
        for part in ["home", "tmp", "state", "distcc", "log", "bin", "runtime"] {
            fs::create_dir_all(dir.join(part))?;
        }
        fs::set_permissions(dir.join("tmp"), fs::Permissions::from_mode(0o1777))?;
        fs::set_permissions(dir.join("runtime"), fs::Permissions::from_mode(0o700))?;
        let vars = [("LAB_DIR", dir.as_path()), ("LAB_HOST", Path::new(&name))];
        let spaces = ["--net", "--mount", "--uts", "--ipc", "--pid", "--fork"];
        let keeper = Keeper::start(&spaces, HOST, &vars)?;
        let built = Path::new(BUILT[0].1).parent().expect("a file has a directory");
        let mut path = vec![dir.join("bin"), built.to_owned()];
        path.extend(env::split_paths(&env::var_os("PATH").unwrap_or_default()));
        Ok(Self { keeper, number, dir, path })
    }

    /// Its name, `h1`.
    pub(crate) fn name(&self) -> String {
        format!("h{}", self.number)
    }

    /// Its address on the wire.
    pub(crate) fn addr(&self) -> Ipv4Addr {
        Ipv4Addr::new(10, 77, 0, u8::try_from(self.number).expect("a lab has few hosts"))
    }

    /// Its directory, or what is below it.
    pub(crate) fn dir(&self, below: &str) -> PathBuf {
        self.dir.join(below)
    }

    /// Offers `file` under another name, before all that is installed: `("gcc", "/usr/bin/gcc-11")`.
    pub(crate) fn install(&mut self, name: &str, file: &Path) {
        let link = self.dir.join("bin").join(name);
        let _ = fs::remove_file(&link);
        symlink(file, link).unwrap();
    }

    /// Leaves only these files of the whole system on its PATH, each under its name, beside the
    /// programs just built. A compiler needs `as`.
    pub(crate) fn install_only(&mut self, files: &[(&str, &Path)]) {
        self.path.truncate(2);
        for (name, file) in files {
            self.install(name, file);
        }
    }

    /// A command on this host, in its `home`, with its directories in the environment. `distcc` and
    /// `distccd` are the ones just built, anything else is found by the host's PATH. Killing the
    /// started child kills the command; [`Host::pid_of`] is the command itself, for other signals.
    pub(crate) fn command(&self, program: &str) -> Command {
        self.command_in(&self.dir.join("home"), program)
    }

    /// The same in another directory. (`current_dir` has no effect: entering the host resets it.)
    pub(crate) fn command_in(&self, dir: &Path, program: &str) -> Command {
        let tool = |name| tool(name).expect("part of util-linux or coreutils");
        let program =
            BUILT.iter().find(|(name, _)| *name == program).map_or(program, |(_, file)| file);
        let mut command = Command::new(tool("nsenter"));
        command.args(["--target", &self.keeper.pid.to_string()]);
        command.args(["--net", "--mount", "--uts", "--ipc", "--pid", "--"]);
        command.arg(tool("env")).arg("--chdir").arg(dir);
        command.arg(tool("setpriv")).args(["--pdeathsig", "KILL", "--", program]);
        for (name, _) in env::vars_os() {
            let text = name.to_string_lossy();
            if ["DISTCC", "MAKE", "MFLAGS", "CARGO", "NEXTEST", "XDG_"]
                .iter()
                .any(|p| text.starts_with(p))
            {
                command.env_remove(&name);
            }
        }
        command
            .env("PATH", env::join_paths(&self.path).expect("no ':' in these paths"))
            .env("HOME", self.dir.join("home"))
            .env("TMPDIR", self.dir.join("tmp"))
            .env("DISTCC_DIR", self.dir.join("distcc"))
            .env("STATE_DIRECTORY", self.dir.join("state"))
            .env("XDG_RUNTIME_DIR", self.dir.join("runtime"));
        command
    }

    /// The process of a command that runs here: what [`Host::command`] started goes through
    /// `nsenter`, whose child it is. (For a moment it has not yet become the program.)
    pub(crate) fn pid_of(&self, started: &Child) -> Pid {
        let file = format!("/proc/{0}/task/{0}/children", started.id());
        wait_for("a command to start on the host", Duration::from_secs(10), || {
            fs::read_to_string(&file).ok()?.trim().parse().ok().map(Pid::from_raw)
        })
    }

    /// Every process of this name here, as seen from outside.
    pub(crate) fn pids(&self, name: &str) -> Vec<Pid> {
        let space = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/pid")).ok();
        let here = space(&self.keeper.pid.to_string());
        let processes = fs::read_dir("/proc").unwrap().filter_map(|entry| {
            let pid = entry.ok()?.file_name().into_string().ok()?;
            let number = pid.parse().ok().map(Pid::from_raw)?;
            let comm = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
            (comm.trim_end() == name && space(&pid) == here).then_some(number)
        });
        processes.collect()
    }

    /// Does something of this process on this host's network: a socket made inside stays there.
    pub(crate) fn enter<T: Send>(&self, inside: impl FnOnce() -> T + Send) -> T {
        let network = File::open(format!("/proc/{}/ns/net", self.keeper.pid)).unwrap();
        // A namespace belongs to a thread; this one's ends with it.
        thread::scope(|scope| {
            let entered = scope.spawn(move || {
                setns(network, CloneFlags::CLONE_NEWNET).unwrap();
                inside()
            });
            entered.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Takes the interface down. Its addresses stay configured.
    pub(crate) fn link_down(&mut self) {
        self.keeper.order("ip link set eth0 down");
    }

    /// Takes it up again.
    pub(crate) fn link_up(&mut self) {
        self.keeper.order(&format!("ip link set eth0 up && {MULTICAST_ROUTE}"));
    }

    /// Starts dbus and avahi-daemon here. False, and a loud word, where they are not installed.
    #[track_caller]
    pub(crate) fn avahi(&mut self) -> bool {
        if let Err(error) = tool("avahi-daemon").and(tool("dbus-daemon")) {
            skip(&error.to_string());
            return false;
        }
        // Both put themselves in the background when they are ready.
        self.keeper.order(
            "dbus-daemon --system --fork --nopidfile && mkdir -p /run/avahi-daemon &&
             avahi-daemon --daemonize --no-rlimits 2>/dev/null",
        );
        true
    }
}

/// Waits until `known` gives something. The deadline only keeps a broken test from hanging: a test
/// must never measure by it.
#[track_caller]
pub(crate) fn wait_for<T>(
    what: &str,
    deadline: Duration,
    mut known: impl FnMut() -> Option<T>,
) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = known() {
            return value;
        }
        assert!(start.elapsed() < deadline, "waited {deadline:?} in vain for {what}");
        thread::sleep(Duration::from_millis(20));
    }
}
