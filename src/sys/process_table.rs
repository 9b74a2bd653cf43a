//! All processes, as `/proc` shows them.

use std::fs;

/// A process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Process {
    /// Its id.
    pub(crate) pid: i32,
    /// Its parent's.
    pub(crate) parent: i32,
    /// Its program's name, at most 15 bytes.
    pub(crate) name: String,
    /// `R`, `S`, `D`, `Z` and so on.
    pub(crate) state: char,
    /// Memory that is resident, in pages.
    pub(crate) n_resident_pages: u64,
}

/// All that are there; those that end meanwhile may be missing.
pub(crate) fn all() -> impl Iterator<Item = Process> {
    fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok())
        .filter_map(|pid| read(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?))
}

fn read(stat: &str) -> Option<Process> {
    let (pid, rest) = stat.split_once(" (")?;
    // The name may hold any character.
    let (name, rest) = rest.rsplit_once(") ")?;
    let fields: Vec<&str> = rest.split(' ').collect();
    Some(Process {
        pid: pid.parse().ok()?,
        parent: fields.get(1)?.parse().ok()?,
        name: name.to_owned(),
        state: fields.first()?.chars().next()?,
        n_resident_pages: fields.get(21)?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_among_them() {
        let us = std::process::id().cast_signed();
        let found = all().find(|process| process.pid == us).unwrap();
        assert_eq!(found.parent, nix::unistd::getppid().as_raw());
        assert!(found.n_resident_pages > 0);
    }

    #[test]
    fn names_may_hold_anything() {
        let stat = format!("7 (a) R (b) S 1 {}", vec!["5"; 30].join(" "));
        let process = read(&stat).unwrap();
        assert_eq!((process.pid, process.parent, process.name.as_str()), (7, 1, "a) R (b"));
    }
}
