//! Who listens on a TCP port, as `/proc` shows it.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use super::process_table;

/// The state of a socket that listens, in `/proc/net/tcp`.
const LISTENS: &str = "0A";
/// Behind the path of a program whose file has been replaced.
const REPLACED: &[u8] = b" (deleted)";

/// A process that listens on a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Holder {
    /// Its id.
    pub(crate) pid: i32,
    /// The file it was started from.
    pub(crate) program: PathBuf,
}

impl Holder {
    /// Is it a process of the program that this one is?
    pub(crate) fn is_of_our_program(&self) -> bool {
        program("self").is_some_and(|ours| ours == self.program)
    }

    /// Is it systemd, which listens for others?
    pub(crate) fn is_systemd(&self) -> bool {
        self.program.file_name().is_some_and(|name| name == "systemd")
    }
}

/// The processes that listen on this port, as far as this user may see them: a socket that systemd
/// gave to a service is held by both.
pub(crate) fn holders(port: u16) -> Vec<Holder> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"];
    let tables = tables.map(|path| fs::read_to_string(path).unwrap_or_default());
    let sockets: Vec<PathBuf> = tables
        .iter()
        .flat_map(|table| table.lines())
        .filter_map(|line| listener(line, port))
        .collect();
    if sockets.is_empty() {
        return Vec::new();
    }
    process_table::all()
        .filter(|process| holds_one(process.pid, &sockets))
        .filter_map(|process| {
            Some(Holder { pid: process.pid, program: program(&process.pid.to_string())? })
        })
        .collect()
}

/// What `/proc/PID/fd` shows for the socket of this line, if it listens on this port.
fn listener(line: &str, port: u16) -> Option<PathBuf> {
    let mut fields = line.split_whitespace().skip(1);
    let (_, its_port) = fields.next()?.rsplit_once(':')?;
    let state = fields.nth(1)?;
    let inode = fields.nth(5)?;
    let listens = state == LISTENS && u16::from_str_radix(its_port, 16) == Ok(port);
    listens.then(|| format!("socket:[{inode}]").into())
}

fn holds_one(pid: i32, sockets: &[PathBuf]) -> bool {
    let fds = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    let mut targets = fds.filter_map(|fd| fs::read_link(fd.path()).ok());
    targets.any(|target| sockets.contains(&target))
}

/// The file that a process was started from, also if another one is there by now.
fn program(pid: &str) -> Option<PathBuf> {
    let path = fs::read_link(Path::new("/proc").join(pid).join("exe")).ok()?;
    let bytes = path.as_os_str().as_bytes();
    let named = bytes.strip_suffix(REPLACED).unwrap_or(bytes);
    Some(OsString::from_vec(named.to_vec()).into())
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr, TcpListener, TcpStream};

    use super::*;

    #[test]
    fn this_process_is_found_by_its_ports() {
        let by_four = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let by_six = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).ok();
        for listener in [Some(by_four), by_six].into_iter().flatten() {
            let addr = listener.local_addr().unwrap();
            let found = holders(addr.port());
            let us = found.iter().find(|holder| holder.pid.cast_unsigned() == std::process::id());
            let us = us.unwrap();
            assert!(us.is_of_our_program() && !us.is_systemd(), "{found:?}");
            // Who is connected does not listen.
            let client = TcpStream::connect(addr).unwrap();
            assert_eq!(holders(client.local_addr().unwrap().port()), []);
        }
    }

    #[test]
    fn lines_of_the_table_are_read() {
        let line = "   0: 0100007F:0E30 00000000:0000 0A 00000000:00000000 00:00000000 00000000 \
                    65534        0 4711 1 0000000000000000 100 0 0 10 0";
        assert_eq!(listener(line, 3632), Some("socket:[4711]".into()));
        assert_eq!(listener(line, 3633), None);
        assert_eq!(listener(&line.replace(" 0A ", " 01 "), 3632), None);
        assert_eq!(listener("  sl  local_address rem_address   st", 3632), None);
        assert_eq!(listener("", 3632), None);
    }
}
