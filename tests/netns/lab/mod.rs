//! A throw-away LAN: hosts are namespaces (network, mount, host name, processes) on a bridge, and
//! two more networks to move to.
//!
//! Nothing of it has a name outside: every namespace lives by a process that reads its orders from
//! a pipe of this process, and ends when the pipe closes. So a lab is gone after [`Lab`] is
//! dropped, and also when the test is killed; and any number of labs exist side by side, all with
//! the same addresses. No frame can reach a real interface: the bridges have a namespace of their own.

mod host;
mod keeper;
mod wires;

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use std::{env, fs, io, thread};

use tempfile::TempDir;

pub(crate) use host::Host;
use keeper::Keeper;
use wires::SWITCHES;
pub(crate) use wires::{DESK, HOME, Net, OFFICE};

use crate::skip::skip;

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

/// Hosts named `h1`, `h2`, ... on the [`OFFICE`] network: 10.77.0.N/24 and fd77::N/64 on `eth0`.
pub(crate) struct Lab {
    hosts: Vec<Host>,
    // Dropped after the hosts.
    switch: Keeper,
    /// Those with a router.
    routed: Vec<Net>,
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
            Keeper::start(&["--net", "--pid", "--fork"], SWITCHES, &[("LAB_ALL", dir.path())])?;
        let mut lab = Self { hosts: Vec::new(), switch, routed: Vec::new(), dir };
        for _ in 0..hosts {
            lab.add_host()?;
        }
        Ok(lab)
    }

    /// Adds the next host to the running network.
    pub(crate) fn add_host(&mut self) -> io::Result<&mut Host> {
        let number = self.hosts.len() + 1;
        self.hosts.push(Host::start(self.dir.path(), number)?);
        self.attach(number, "eth0", OFFICE);
        Ok(self.host(number))
    }

    /// The host with this number, from 1.
    pub(crate) fn host(&mut self, number: usize) -> &mut Host {
        &mut self.hosts[number - 1]
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
