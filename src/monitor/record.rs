//! The original's state files, pure: what a client writes about its job while it lasts, and
//! distccmon-text and distccmon-gnome read (distcc 3.4, `state.c`, x86-64).

/// Bytes of a state file: the layout of the original's `struct` on 64-bit machines.
pub(crate) const LEN: usize = 296;
/// What the names of the files in `$DISTCC_DIR/state` begin with; the process id follows.
pub(crate) const PREFIX: &str = "binstate_";
/// The second word of every file.
const MAGIC: u64 = 0x4449_4800;
/// Room for a name and its NUL.
const NAME: usize = 128;

const AT_MAGIC: usize = 8;
const AT_PID: usize = 16;
const AT_FILE: usize = 24;
const AT_HOST: usize = AT_FILE + NAME;
const AT_SLOT: usize = AT_HOST + NAME;
const AT_PHASE: usize = AT_SLOT + 4;

/// What is being done for a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Startup,
    Blocked,
    Connect,
    Preprocess,
    Send,
    Compile,
    Receive,
    Done,
}

const PHASES: [(Phase, &str); 8] = [
    (Phase::Startup, "Startup"),
    (Phase::Blocked, "Blocked"),
    (Phase::Connect, "Connect"),
    (Phase::Preprocess, "Preprocess"),
    (Phase::Send, "Send"),
    (Phase::Compile, "Compile"),
    (Phase::Receive, "Receive"),
    (Phase::Done, "Done"),
];

impl Phase {
    /// As monitors show it.
    pub(crate) fn name(self) -> &'static str {
        PHASES[self as usize].1
    }

    /// A number that the original does not know it takes for a compile.
    fn from_number(number: i32) -> Self {
        let idx = usize::try_from(number).ok();
        idx.and_then(|idx| PHASES.get(idx)).map_or(Self::Compile, |(phase, _)| *phase)
    }
}

/// One job of this user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    /// The client.
    pub(crate) pid: u32,
    /// The source's name without its directory; empty where there is none.
    pub(crate) file: Vec<u8>,
    /// `localhost` for what is done here.
    pub(crate) host: Vec<u8>,
    /// Tells jobs on one host apart.
    pub(crate) slot: i32,
    /// What is being done.
    pub(crate) phase: Phase,
}

/// Why a state file is of no use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BadRecord {
    /// It is shorter or longer than a state file, or says so: written by a 32-bit program, or not
    /// yet written.
    Length,
    /// It is something else.
    Magic,
}

impl Record {
    /// The bytes of the file.
    pub(crate) fn encode(&self) -> [u8; LEN] {
        let mut bytes = [0; LEN];
        bytes[..AT_MAGIC].copy_from_slice(&(LEN as u64).to_ne_bytes());
        bytes[AT_MAGIC..AT_PID].copy_from_slice(&MAGIC.to_ne_bytes());
        bytes[AT_PID..AT_FILE].copy_from_slice(&u64::from(self.pid).to_ne_bytes());
        put_name(&mut bytes[AT_FILE..AT_HOST], &self.file);
        put_name(&mut bytes[AT_HOST..AT_SLOT], &self.host);
        bytes[AT_SLOT..AT_PHASE].copy_from_slice(&self.slot.to_ne_bytes());
        let phase = self.phase as i32;
        bytes[AT_PHASE..AT_PHASE + 4].copy_from_slice(&phase.to_ne_bytes());
        bytes
    }

    /// Reads the bytes of a file.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, BadRecord> {
        let bytes: &[u8; LEN] = bytes.try_into().map_err(|_| BadRecord::Length)?;
        if word(bytes, 0) != LEN as u64 {
            return Err(BadRecord::Length);
        }
        if word(bytes, AT_MAGIC) != MAGIC {
            return Err(BadRecord::Magic);
        }
        Ok(Self {
            // The upper half of the word is none of a process id.
            pid: u32::try_from(word(bytes, AT_PID)).map_err(|_| BadRecord::Magic)?,
            file: name(&bytes[AT_FILE..AT_HOST]),
            host: name(&bytes[AT_HOST..AT_SLOT]),
            slot: half_word(bytes, AT_SLOT),
            phase: Phase::from_number(half_word(bytes, AT_PHASE)),
        })
    }
}

/// As much of `name` as leaves room for a NUL; the field is zero.
fn put_name(field: &mut [u8], name: &[u8]) {
    let len = name.len().min(NAME - 1);
    field[..len].copy_from_slice(&name[..len]);
}

/// Up to the NUL: what follows it may be anything.
fn name(field: &[u8]) -> Vec<u8> {
    field.split(|byte| *byte == 0).next().unwrap_or_default().to_vec()
}

fn word(bytes: &[u8; LEN], at: usize) -> u64 {
    u64::from_ne_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

fn half_word(bytes: &[u8; LEN], at: usize) -> i32 {
    i32::from_ne_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Record {
        Record {
            pid: 28639,
            file: b"a.c".to_vec(),
            host: b"127.0.0.1".to_vec(),
            slot: 3,
            phase: Phase::Compile,
        }
    }

    #[test]
    fn layout_is_the_originals() {
        let bytes = record().encode();
        assert_eq!(bytes[..24], *b"\x28\x01\0\0\0\0\0\0\0\x48\x49\x44\0\0\0\0\xdf\x6f\0\0\0\0\0\0");
        assert_eq!(bytes[24..29], *b"a.c\0\0");
        assert_eq!(bytes[152..163], *b"127.0.0.1\0\0");
        assert_eq!(bytes[280..], *b"\x03\0\0\0\x05\0\0\0\0\0\0\0\0\0\0\0");
        assert_eq!(Record::decode(&bytes), Ok(record()));
    }

    #[test]
    fn what_stands_behind_a_name_is_no_part_of_it() {
        let mut bytes = record().encode();
        bytes[30] = b'x';
        assert_eq!(Record::decode(&bytes), Ok(record()));
        let long = Record { file: vec![b'f'; 300], ..record() };
        assert_eq!(Record::decode(&long.encode()).unwrap().file, [b'f'; 127]);
    }

    #[test]
    fn other_files_are_told_apart() {
        let bytes = record().encode();
        assert_eq!(Record::decode(&[]), Err(BadRecord::Length));
        assert_eq!(Record::decode(&bytes[..280]), Err(BadRecord::Length));
        let mut other = bytes;
        other[0] = 24;
        assert_eq!(Record::decode(&other), Err(BadRecord::Length));
        let mut other = bytes;
        other[8] = 1;
        assert_eq!(Record::decode(&other), Err(BadRecord::Magic));
    }

    #[test]
    fn phases_are_numbered_and_named_as_the_original_does() {
        for (idx, (phase, name)) in PHASES.iter().enumerate() {
            assert_eq!((*phase as usize, phase.name()), (idx, *name));
        }
        for number in [8, -1] {
            assert_eq!(Phase::from_number(number), Phase::Compile);
        }
    }
}
