//! The log: one line an event, `TIME distccd[PID] (part) text`, after the time as the original
//! writes it. Control characters are escaped here, since much of what is logged came from peers.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::fchown;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::{Arc, Mutex, PoisonError};

use tracing::level_filters::LevelFilter;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::settings::daemon::LogLevel;

/// An open log.
#[derive(Debug)]
pub(crate) struct LogSink {
    /// None for standard error, which is never opened again.
    path: Option<PathBuf>,
    file: Mutex<File>,
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
        Ok(Self { path: Some(path.to_owned()), file: Mutex::new(file) })
    }

    /// Writes to what is standard error now, also after the process detached from it.
    pub(crate) fn stderr() -> io::Result<Self> {
        let stderr = io::stderr().as_fd().try_clone_to_owned()?;
        Ok(Self { path: None, file: Mutex::new(stderr.into()) })
    }

    /// Opens the file anew, as after its rotation. On failure the old one stays in use.
    pub(crate) fn reopen(&self) -> io::Result<()> {
        let Some(path) = &self.path else { return Ok(()) };
        let fresh = append(path)?;
        *self.file.lock().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(())
    }

    /// For messages.
    pub(crate) fn name(&self) -> String {
        self.path.as_ref().map_or("on standard error".to_owned(), |path| path.display().to_string())
    }
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).open(path)
}

impl Write for &LogSink {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        // One call a line: the subscriber hands over whole lines.
        let written = self.file.lock().unwrap_or_else(PoisonError::into_inner).write(line);
        // Of what cannot be written the subscriber would tell standard error, and panic where
        // nobody reads that any more: a daemon must end when it is told to all the same.
        Ok(written.unwrap_or(line.len()))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Sends what the program logs to `sink` from now on.
pub(crate) fn start(sink: &Arc<LogSink>, level: LogLevel) {
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(filter(level))
        .event_format(LineFormat)
        .with_writer(Arc::clone(sink))
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

struct LineFormat;

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
        SystemTime.format_time(&mut writer)?;
        let target = event.metadata().target();
        let part = target.rsplit("::").next().unwrap_or(target);
        write!(writer, " distccd[{}] ({part}) ", process::id())?;
        writer.write_str(severity(*event.metadata().level()))?;
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
        let sink = LogSink { path: None, file: Mutex::new(writer.into()) };
        assert_eq!((&sink).write(b"line").unwrap(), 4);
    }

    #[test]
    fn a_line_has_time_process_part_and_no_control_characters() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let sink = Arc::new(LogSink::open(&path, None).unwrap());
        let subscriber = tracing_subscriber::fmt()
            .event_format(LineFormat)
            .with_writer(Arc::clone(&sink))
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
}
