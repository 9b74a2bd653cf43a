//! The system's log: one datagram a line, in the form of RFC 3164, to the socket that every syslog
//! daemon and journald listen on.

use std::fmt::Write;
use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process;
use std::time::Duration;

use tracing::Level;

/// syslog's number of daemons.
const FACILITY_DAEMON: u8 = 3;
/// For how long a line waits for a syslog daemon that is busy.
const PATIENCE: Duration = Duration::from_millis(200);

/// A connection to the system's log. Lines are lost while nobody takes them: jobs do not wait for
/// their log.
#[derive(Debug)]
pub(super) struct Syslog {
    path: PathBuf,
    socket: UnixDatagram,
    /// The last line found no room. Until one does again, none is waited for.
    is_stuck: bool,
}

impl Syslog {
    /// Connects to the socket at `path`.
    pub(super) fn connect(path: &Path) -> io::Result<Self> {
        Ok(Self { path: path.to_owned(), socket: connect(path)?, is_stuck: false })
    }

    /// Sends a line, to a new socket if the daemon has been started anew.
    pub(super) fn send(&mut self, level: Level, line: &str) {
        // Without a time: who receives it notes one, and there is none without a time zone that
        // could be written here.
        let mut message = format!("<{}>distccd[{}]: ", priority(level), process::id());
        let _ = write!(message, "{line}");
        let mut sent = self.socket.send(message.as_bytes());
        if sent.as_ref().is_err_and(is_gone)
            && let Ok(socket) = connect(&self.path)
        {
            self.socket = socket;
            self.is_stuck = false;
            sent = self.socket.send(message.as_bytes());
        }
        let is_stuck = sent.is_err();
        if is_stuck != self.is_stuck {
            self.is_stuck = is_stuck;
            let _ = self.socket.set_nonblocking(is_stuck);
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

fn connect(path: &Path) -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    socket.set_write_timeout(Some(PATIENCE))?;
    socket.connect(path)?;
    Ok(socket)
}

fn is_gone(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionRefused, ConnectionReset, NotConnected};
    matches!(error.kind(), ConnectionRefused | ConnectionReset | NotConnected)
}

const fn priority(level: Level) -> u8 {
    FACILITY_DAEMON << 3 | severity(level)
}

/// syslog's number of a level. What we call info the original calls notice, the line of each job
/// before all.
pub(super) const fn severity(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 5,
        _ => 7,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn received(daemon: &UnixDatagram) -> String {
        let mut buffer = [0; 256];
        let n_bytes = daemon.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..n_bytes].to_vec()).unwrap()
    }

    #[test]
    fn lines_go_to_whoever_is_the_daemon_now() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let daemon = UnixDatagram::bind(&path).unwrap();
        let mut syslog = Syslog::connect(&path).unwrap();
        syslog.send(Level::INFO, "(part) one");
        assert_eq!(received(&daemon), format!("<29>distccd[{}]: (part) one", process::id()));
        drop(daemon);
        syslog.send(Level::INFO, "lost");
        std::fs::remove_file(&path).unwrap();
        let daemon = UnixDatagram::bind(&path).unwrap();
        syslog.send(Level::ERROR, "two");
        assert_eq!(received(&daemon), format!("<27>distccd[{}]: two", process::id()));
    }

    #[test]
    fn a_daemon_that_takes_nothing_is_waited_for_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let daemon = UnixDatagram::bind(&path).unwrap();
        let mut syslog = Syslog::connect(&path).unwrap();
        let mut n_sent = 0;
        while !syslog.is_stuck {
            syslog.send(Level::INFO, "line");
            n_sent += 1;
            assert!(n_sent < 1_000_000);
        }
        // With a wait for each this would take a day.
        for _ in 0..1_000_000 {
            syslog.send(Level::INFO, "lost");
        }
        for _ in 0..n_sent - 1 {
            assert!(received(&daemon).ends_with(": line"));
        }
        syslog.send(Level::INFO, "again");
        assert!(!syslog.is_stuck && received(&daemon).ends_with(": again"));
    }
}
