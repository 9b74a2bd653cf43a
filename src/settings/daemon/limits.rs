//! How much a client may ask of the server.

use std::fmt::{self, Display, Formatter};
use std::time::Duration;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
/// The highest number: what the wire can carry.
const MAX_NUMBER: u64 = u32::MAX as u64;
/// The highest size and the longest time: more than helps anybody.
const MAX_SIZE: u64 = 1024 * GIB;
const MAX_TIME: Duration = Duration::from_secs(7 * 24 * 3600);

/// The limits of one daemon, each with a name that `distccd.toml`, `--limit` and `--check` share:
/// the field's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ServerLimits {
    /// Connections open at once, of all clients.
    pub(crate) connections: usize,
    /// Connections open at once of one address, jobs that compile included.
    pub(crate) connections_per_address: usize,
    /// Connections of one address whose request is not complete; one more ends the one of them
    /// whose request has come least far. A stock client has one open for each job that it still
    /// preprocesses.
    pub(crate) incomplete_per_address: usize,
    /// From the connection to the complete command line.
    pub(crate) head_time: Duration,
    /// From the command line to the source's first byte: stock clients connect while their
    /// preprocessor still runs.
    pub(crate) first_byte_time: Duration,
    /// Without a byte of the source, or a byte of the answer taken.
    pub(crate) progress_time: Duration,
    /// From the command line to the source's last byte.
    pub(crate) source_time: Duration,
    /// From the answer's first byte to its last one taken.
    pub(crate) answer_time: Duration,
    /// Words of a command, the compiler included.
    pub(crate) arguments: usize,
    /// Bytes of all words together.
    pub(crate) argument_bytes: usize,
    /// Bytes of a source as it travels.
    pub(crate) source_bytes: usize,
    /// Bytes of a source once it is expanded.
    pub(crate) expanded_bytes: usize,
    /// Bytes of an object.
    pub(crate) object_bytes: usize,
    /// Bytes of the compiler's standard error, and of its standard output, that are kept.
    pub(crate) output_bytes: usize,
    /// Bytes of all files of one job.
    pub(crate) job_bytes: u64,
}

impl Default for ServerLimits {
    fn default() -> Self {
        let bytes = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
        Self {
            connections: 512,
            connections_per_address: 256,
            incomplete_per_address: 128,
            head_time: Duration::from_secs(10),
            first_byte_time: Duration::from_secs(60),
            progress_time: Duration::from_secs(30),
            source_time: Duration::from_secs(600),
            answer_time: Duration::from_secs(600),
            arguments: 20_000,
            argument_bytes: bytes(MIB),
            source_bytes: bytes(256 * MIB),
            expanded_bytes: bytes(512 * MIB),
            object_bytes: bytes(GIB),
            output_bytes: bytes(15 * MIB),
            job_bytes: 2 * GIB,
        }
    }
}

/// One limit of a [`ServerLimits`], to be read or set by its name.
enum Field<'a> {
    Number(&'a mut usize),
    Size(&'a mut usize),
    LongSize(&'a mut u64),
    Time(&'a mut Duration),
}

/// Why a limit is not set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum LimitError {
    /// There is none of that name.
    Unknown,
    /// It cannot be this.
    BadValue {
        /// What it can be.
        expected: &'static str,
        /// As written.
        found: String,
    },
}

impl Display for LimitError {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => {
                let names = ServerLimits::names();
                write!(f, "no such limit, expected one of {}", names.join(", "))
            }
            Self::BadValue { expected, found } => {
                write!(f, "expected {expected}, not {found:?}")
            }
        }
    }
}

impl std::error::Error for LimitError {}

impl ServerLimits {
    /// Every limit with its name. Names and fields cannot part: this does not compile without one
    /// of them.
    fn fields(&mut self) -> Vec<(&'static str, Field<'_>)> {
        macro_rules! table {
            ($($name:ident: $kind:ident),* $(,)?) => {{
                let Self { $($name),* } = self;
                vec![$((stringify!($name), Field::$kind($name))),*]
            }};
        }
        table! {
            connections: Number,
            connections_per_address: Number,
            incomplete_per_address: Number,
            head_time: Time,
            first_byte_time: Time,
            progress_time: Time,
            source_time: Time,
            answer_time: Time,
            arguments: Number,
            argument_bytes: Size,
            source_bytes: Size,
            expanded_bytes: Size,
            object_bytes: Size,
            output_bytes: Size,
            job_bytes: LongSize,
        }
    }

    /// The names, in the order of the fields.
    pub(crate) fn names() -> Vec<&'static str> {
        Self::default().fields().into_iter().map(|(name, _)| name).collect()
    }

    /// Sets the limit of that name.
    pub(crate) fn set(&mut self, name: &str, value: &str) -> Result<(), LimitError> {
        let found = self.fields().into_iter().find(|(known, _)| *known == name);
        let (_, field) = found.ok_or(LimitError::Unknown)?;
        let expected = field.expected();
        let bad = || LimitError::BadValue { expected, found: value.to_owned() };
        match field {
            Field::Number(number) => *number = read_number(value).ok_or_else(bad)?,
            Field::Size(size) => {
                let n_bytes = read_size(value).and_then(|n| usize::try_from(n).ok());
                *size = n_bytes.ok_or_else(bad)?;
            }
            Field::LongSize(size) => *size = read_size(value).ok_or_else(bad)?,
            Field::Time(time) => *time = read_time(value).ok_or_else(bad)?,
        }
        Ok(())
    }

    /// Each name with its value as it may be written.
    pub(crate) fn shown(mut self) -> Vec<(&'static str, String)> {
        self.fields().into_iter().map(|(name, field)| (name, field.to_string())).collect()
    }
}

impl Field<'_> {
    const fn expected(&self) -> &'static str {
        match self {
            Self::Number(_) => "a number from 1 to 4294967295",
            Self::Size(_) | Self::LongSize(_) => "a size such as 4096, 512K, 256M or 2G",
            Self::Time(_) => "a time of at most a week such as 30, 500ms, 30s, 10m or 1h",
        }
    }
}

impl Display for Field<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Size(size) => write_size(f, u64::try_from(**size).unwrap_or(u64::MAX)),
            Self::LongSize(size) => write_size(f, **size),
            Self::Time(time) if time.subsec_millis() > 0 => write!(f, "{}ms", time.as_millis()),
            Self::Time(time) => write!(f, "{}s", time.as_secs()),
        }
    }
}

fn write_size(f: &mut Formatter<'_>, n_bytes: u64) -> fmt::Result {
    let units = [(GIB, "G"), (MIB, "M"), (KIB, "K"), (1, "")];
    let whole = units.into_iter().find(|(unit, _)| n_bytes.is_multiple_of(*unit));
    let (unit, letter) = whole.unwrap_or((1, ""));
    write!(f, "{}{letter}", n_bytes / unit)
}

fn read_number(text: &str) -> Option<usize> {
    let number = read_digits(text)?;
    usize::try_from(number).ok().filter(|_| (1..=MAX_NUMBER).contains(&number))
}

fn read_size(text: &str) -> Option<u64> {
    let units = [("G", GIB), ("M", MIB), ("K", KIB), ("", 1)];
    let (digits, unit) =
        units.into_iter().find_map(|(letter, unit)| Some((text.strip_suffix(letter)?, unit)))?;
    read_digits(digits)?.checked_mul(unit).filter(|n_bytes| (1..=MAX_SIZE).contains(n_bytes))
}

fn read_time(text: &str) -> Option<Duration> {
    let units = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("", 1_000)];
    let (digits, unit) =
        units.into_iter().find_map(|(letters, unit)| Some((text.strip_suffix(letters)?, unit)))?;
    let time = Duration::from_millis(read_digits(digits)?.checked_mul(unit)?);
    (!time.is_zero() && time <= MAX_TIME).then_some(time)
}

/// `parse` would also take a sign.
fn read_digits(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(name: &str, value: &str) -> Result<String, LimitError> {
        let mut limits = ServerLimits::default();
        limits.set(name, value)?;
        let shown = limits.shown().into_iter().find(|(known, _)| *known == name);
        Ok(shown.unwrap().1)
    }

    #[test]
    fn every_limit_can_be_set_to_what_is_shown_of_it() {
        for (name, shown) in ServerLimits::default().shown() {
            assert_eq!(set(name, &shown), Ok(shown));
        }
    }

    #[test]
    fn limits_are_numbers_sizes_and_times() {
        for (name, value, shown) in [
            ("connections", "7", "7"),
            ("source_bytes", "4096", "4K"),
            ("source_bytes", "100", "100"),
            ("source_bytes", "1536K", "1536K"),
            ("job_bytes", "3072M", "3G"),
            ("head_time", "90", "90s"),
            ("head_time", "250ms", "250ms"),
            ("head_time", "2m", "120s"),
            ("head_time", "1h", "3600s"),
        ] {
            assert_eq!(set(name, value).as_deref(), Ok(shown), "{name}={value}");
        }
    }

    #[test]
    fn what_is_no_limit_is_refused() {
        for (name, value) in [
            ("connections", "0"),
            ("connections", "-1"),
            ("connections", "+1"),
            ("connections", ""),
            ("connections", "4294967296"),
            ("connections", "1K"),
            ("source_bytes", "0"),
            ("source_bytes", "12X"),
            ("source_bytes", "99999999999999999999"),
            ("source_bytes", "2000G"),
            ("head_time", "0s"),
            ("head_time", "s"),
            ("head_time", "8000h"),
        ] {
            let error = set(name, value).unwrap_err();
            assert!(matches!(error, LimitError::BadValue { .. }), "{name}={value}: {error}");
        }
        assert_eq!(set("Connections", "1"), Err(LimitError::Unknown));
    }
}
