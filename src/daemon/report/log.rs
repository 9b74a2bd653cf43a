//! The log: one line an event, `TIME distccd[PID] (part) text`, after the time as the original
//! writes it. Control characters are escaped here, since much of what is logged came from peers.
//! syslog and systemd's journal get `(part) text` with a level; they add the rest.

use std::env;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, fchown};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::{Arc, Mutex, PoisonError};

use tracing::level_filters::LevelFilter;
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, MakeWriter};
use tracing_subscriber::registry::LookupSpan;

use self::syslog::Syslog;
use crate::settings::daemon::LogLevel;
use crate::sys::root_files;

mod syslog;

/// Set by systemd: device and inode of the stream to the journal that it has made us.
const JOURNAL_STREAM: &str = "JOURNAL_STREAM";

/// An open log.
#[derive(Debug)]
pub(crate) struct LogSink {
    place: Place,
    /// A line is written by one thread at a time.
    out: Mutex<Out>,
}

/// Where it is, for people and for opening it anew.
#[derive(Debug)]
enum Place {
    File(PathBuf),
    Stderr,
    /// Standard error that systemd reads: each line begins with its level.
    Journal,
    Syslog(PathBuf),
}

#[derive(Debug)]
enum Out {
    File(File),
    Syslog(Syslog),
}

impl LogSink {
    /// Appends to `path`; a file that is not there is made and handed over to `owner`, a user and
    /// a group id.
    pub(crate) fn open(path: &Path, owner: Option<(u32, u32)>) -> io::Result<Self> {
        let file = match OpenOptions::new().append(true).create_new(true).open(path) {
            Ok(file) => {
                if let Some((uid, gid)) = owner {
                    fchown(&file, Some(uid), Some(gid))?;
                }
                file
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => append(path)?,
            Err(error) => return Err(error),
        };
        Ok(Self::new(Place::File(path.to_owned()), Out::File(file)))
    }

    /// Writes to what is standard error now, also after the process detached from it.
    pub(crate) fn stderr() -> io::Result<Self> {
        let stderr = File::from(io::stderr().as_fd().try_clone_to_owned()?);
        let place = match env::var(JOURNAL_STREAM) {
            Ok(stream) if leads_to(&stream, &stderr) => Place::Journal,
            _ => Place::Stderr,
        };
        Ok(Self::new(place, Out::File(stderr)))
    }

    /// Sends to the syslog daemon that listens at `path`.
    pub(crate) fn syslog(path: &Path) -> io::Result<Self> {
        let syslog = Syslog::connect(path)?;
        Ok(Self::new(Place::Syslog(syslog.path().to_owned()), Out::Syslog(syslog)))
    }

    fn new(place: Place, out: Out) -> Self {
        Self { place, out: Mutex::new(out) }
    }

    /// Opens a file anew, as after its rotation. On failure the old one stays in use.
    pub(crate) fn reopen(&self) -> io::Result<()> {
        let Place::File(path) = &self.place else { return Ok(()) };
        let fresh = append(path)?;
        *self.out.lock().unwrap_or_else(PoisonError::into_inner) = Out::File(fresh);
        Ok(())
    }

    /// For messages.
    pub(crate) fn name(&self) -> String {
        match &self.place {
            Place::File(path) => path.display().to_string(),
            Place::Stderr => "on standard error".to_owned(),
            Place::Journal => "in the journal".to_owned(),
            Place::Syslog(path) => format!("by syslog ({})", path.display()),
        }
    }

    /// Does systemd read standard error, and lines go there?
    pub(crate) const fn is_journal(&self) -> bool {
        matches!(self.place, Place::Journal)
    }

    /// Do lines go to somebody who knows time and process by himself?
    const fn is_told_the_rest(&self) -> bool {
        matches!(self.place, Place::Journal | Place::Syslog(_))
    }

    /// Writes one line, of which nobody may be told that it could not be written: the subscriber
    /// would tell standard error, and panic where nobody reads that any more, but a daemon must
    /// end when it is told to all the same.
    pub(crate) fn write_line(&self, level: Level, line: &[u8]) {
        match &mut *self.out.lock().unwrap_or_else(PoisonError::into_inner) {
            Out::Syslog(syslog) => syslog.send(level, String::from_utf8_lossy(line).trim_end()),
            Out::File(file) if matches!(self.place, Place::Journal) => {
                let prefixed = [format!("<{}>", syslog::severity(level)).as_bytes(), line].concat();
                let _ = file.write_all(&prefixed);
            }
            Out::File(file) => {
                let _ = file.write_all(line);
            }
        }
    }
}

/// Is `file` the stream that `JOURNAL_STREAM` names as `DEVICE:INODE`? The variable reaches
/// processes whose standard error leads elsewhere, too.
fn leads_to(stream: &str, file: &File) -> bool {
    file.metadata().is_ok_and(|meta| stream == format!("{}:{}", meta.dev(), meta.ino()))
}

fn append(path: &Path) -> io::Result<File> {
    root_files::open(OpenOptions::new().append(true).create(true), path)
}

/// Hands over whole lines, each with its level.
struct Lines(Arc<LogSink>);

/// Where one line goes.
struct LineWriter<'a> {
    sink: &'a LogSink,
    level: Level,
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = LineWriter<'a>;

    fn make_writer(&'a self) -> LineWriter<'a> {
        LineWriter { sink: &self.0, level: Level::INFO }
    }

    fn make_writer_for(&'a self, meta: &Metadata<'_>) -> LineWriter<'a> {
        LineWriter { sink: &self.0, level: *meta.level() }
    }
}

impl Write for LineWriter<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        // One call a line: the subscriber hands over whole lines.
        self.sink.write_line(self.level, line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Sends what the program logs to `sink` from now on.
pub(crate) fn start(sink: &Arc<LogSink>, level: LogLevel) {
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(filter(level))
        .event_format(LineFormat { is_short: sink.is_told_the_rest() })
        .with_writer(Lines(Arc::clone(sink)))
        .finish();
    // Fails only when a log has been set before, which then stays.
    let _ = tracing::subscriber::set_global_default(subscriber);
}

const fn filter(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warning => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
    }
}

struct LineFormat {
    /// Without what syslog and the journal know: time, process, level.
    is_short: bool,
}

impl<S, N> FormatEvent<S, N> for LineFormat
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        ctx: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut text = String::new();
        ctx.format_fields(Writer::new(&mut text), event)?;
        let target = event.metadata().target();
        let part = target.rsplit("::").next().unwrap_or(target);
        if self.is_short {
            write!(writer, "({part}) ")?;
        } else {
            SystemTime.format_time(&mut writer)?;
            write!(writer, " distccd[{}] ({part}) ", process::id())?;
            writer.write_str(severity(*event.metadata().level()))?;
        }
        write_escaped(&mut writer, &text)?;
        writer.write_char('\n')
    }
}

/// The original's words.
const fn severity(level: Level) -> &'static str {
    match level {
        Level::ERROR => "ERROR: ",
        Level::WARN => "Warning: ",
        _ => "",
    }
}

/// What could move a terminal's cursor or turn its direction of writing is written as its number.
fn write_escaped(writer: &mut Writer<'_>, text: &str) -> fmt::Result {
    for character in text.chars() {
        let is_bidi = matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if character.is_control() || is_bidi {
            write!(writer, "{}", character.escape_unicode())?;
        } else {
            writer.write_char(character)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use tracing::subscriber::with_default;

    use super::*;

    #[test]
    fn a_log_that_nobody_reads_any_more_is_no_failure() {
        let (reader, writer) = nix::unistd::pipe().unwrap();
        drop(reader);
        let sink = LogSink::new(Place::Stderr, Out::File(writer.into()));
        sink.write_line(Level::INFO, b"line\n");
    }

    #[test]
    fn a_line_has_time_process_part_and_no_control_characters() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let sink = Arc::new(LogSink::open(&path, None).unwrap());
        let subscriber = tracing_subscriber::fmt()
            .event_format(LineFormat { is_short: sink.is_told_the_rest() })
            .with_writer(Lines(Arc::clone(&sink)))
            .finish();
        with_default(subscriber, || {
            tracing::warn!(peer = "10.0.0.1", "bad \u{202e}\nname");
            sink.reopen().unwrap();
            tracing::info!(target: "dcc_job_summary", "client: x");
        });
        let log = std::fs::read_to_string(&path).unwrap();
        let pid = process::id();
        let rest: Vec<&str> = log.lines().map(|line| line.split_once(' ').unwrap().1).collect();
        assert_eq!(
            rest,
            [
                format!(
                    "distccd[{pid}] (tests) Warning: bad \\u{{202e}}\\u{{a}}name peer=\"10.0.0.1\""
                ),
                format!("distccd[{pid}] (dcc_job_summary) client: x"),
            ]
        );
    }

    #[test]
    fn the_journal_gets_levels_and_nothing_that_it_knows() {
        let (mut reader, writer) = io::pipe().unwrap();
        let writer = File::from(std::os::fd::OwnedFd::from(writer));
        let meta = writer.metadata().unwrap();
        assert!(leads_to(&format!("{}:{}", meta.dev(), meta.ino()), &writer));
        assert!(!leads_to(&format!("{}:{}", meta.dev(), meta.ino() + 1), &writer));
        let sink = Arc::new(LogSink::new(Place::Journal, Out::File(writer)));
        let subscriber = tracing_subscriber::fmt()
            .event_format(LineFormat { is_short: sink.is_told_the_rest() })
            .with_writer(Lines(sink))
            .finish();
        with_default(subscriber, || {
            tracing::error!(target: "a", "bad");
            tracing::info!(target: "dcc_job_summary", "client: x");
        });
        let mut log = String::new();
        io::Read::read_to_string(&mut reader, &mut log).unwrap();
        assert_eq!(log, "<3>(a) bad\n<5>(dcc_job_summary) client: x\n");
    }
}
