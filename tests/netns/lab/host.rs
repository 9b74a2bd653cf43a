//! One machine of a lab.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::net::Ipv4Addr;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;
use std::{env, thread};

use nix::sched::{CloneFlags, setns};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::keeper::Keeper;
use super::wires::OFFICE;
use super::{tool, wait_for};
use crate::skip::skip;

/// The programs of this package, by the names that tests call them by.
const BUILT: [(&str, &str); 2] =
    [("distcc", env!("CARGO_BIN_EXE_distcc")), ("distccd", env!("CARGO_BIN_EXE_distccd"))];

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
        echo 1 >/proc/sys/net/ipv4/conf/$conf/promote_secondaries
    done";

/// One machine of the lab. A directory of its own holds its `home`, `tmp`, `state`, `distcc`
/// (`$DISTCC_DIR`), `log` (also /var/log) and `bin` (first on its PATH).
pub(crate) struct Host {
    pub(super) keeper: Keeper,
    number: usize,
    dir: PathBuf,
    path: Vec<PathBuf>,
}

impl Host {
    pub(super) fn start(lab: &Path, number: usize) -> io::Result<Self> {
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

    /// Its address in the office.
    pub(crate) fn addr(&self) -> Ipv4Addr {
        OFFICE.v4(self.number)
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
        let named = |pid: &Pid| {
            fs::read_to_string(format!("/proc/{pid}/comm"))
                .is_ok_and(|comm| comm.trim_end() == name)
        };
        self.all_pids().into_iter().filter(named).collect()
    }

    fn all_pids(&self) -> Vec<Pid> {
        let space = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/pid")).ok();
        let here = space(&self.keeper.pid.to_string());
        let processes = fs::read_dir("/proc").unwrap().filter_map(|entry| {
            let pid = entry.ok()?.file_name().into_string().ok()?;
            let number = pid.parse().ok().map(Pid::from_raw)?;
            (space(&pid) == here).then_some(number)
        });
        processes.collect()
    }

    /// Sends a signal to all that runs here: what makes the host a host goes on.
    pub(super) fn signal_all(&self, signal: Signal) {
        let spared = self.keeper.own_pids();
        let here = |pid: &Pid| !spared.contains(pid);
        // What is started meanwhile by one that is not reached yet is met in the next round.
        let mut met = BTreeSet::new();
        loop {
            let mut new = self.all_pids();
            new.retain(|pid| here(pid) && met.insert(*pid));
            if new.is_empty() {
                return;
            }
            for pid in new {
                let _ = kill(pid, signal);
            }
        }
    }

    /// Stops all that runs here.
    pub(super) fn stop_all(&self) {
        self.signal_all(Signal::SIGSTOP);
        wait_for("all processes to stand still", Duration::from_secs(10), || {
            self.starters().into_iter().all(is_stopped).then_some(())
        });
    }

    /// Lets it run again.
    pub(super) fn continue_all(&self) {
        for starter in self.starters() {
            let _ = kill(starter, Signal::SIGCONT);
        }
        self.signal_all(Signal::SIGCONT);
    }

    /// The `nsenter`s whose children run here. Such a one stops itself when its child is stopped.
    fn starters(&self) -> Vec<Pid> {
        let here = self.all_pids();
        let outside = |pid: &Pid| {
            let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
            let parent = status.lines().find_map(|line| line.strip_prefix("PPid:"))?.trim();
            parent.parse().ok().map(Pid::from_raw).filter(|parent| !here.contains(parent))
        };
        let own = self.keeper.own_pids();
        here.iter().filter(|pid| !own.contains(pid)).filter_map(outside).collect()
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

impl Drop for Host {
    fn drop(&mut self) {
        // The namespace ends after all in it have been waited for by whoever started them.
        self.continue_all();
    }
}

fn is_stopped(pid: Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T'))
}
