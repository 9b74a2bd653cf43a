//! What the client says to its user: lines `distcc[PID] ...` as the original writes them (3.4,
//! `trace.c`); scripts read some of them. Nothing is formatted that nobody reads.

use std::fmt::{self, Arguments, Display, Formatter};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::PathBuf;
use std::process;

/// How much a line matters. Only errors and warnings reach a terminal unasked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    /// Single steps; `DISTCC_VERBOSE=1`.
    Debug,
    /// One or two lines a job; `DISTCC_LOG`.
    Info,
    /// A job took another way than planned, and was done all the same; `DISTCC_LOG`.
    Detour,
    /// The user should act.
    Warning,
    /// The command fails because of us.
    Error,
}

/// Where lines go: `DISTCC_LOG`, `UNCACHED_ERR_FD` and `DISTCC_VERBOSE` as typed.
#[derive(Clone, Debug, Default)]
pub(super) struct LogSettings {
    /// `DISTCC_LOG`; empty means standard error.
    pub(super) file: Option<PathBuf>,
    /// `UNCACHED_ERR_FD`: the standard error that ccache keeps for us.
    pub(super) uncached_err_fd: Option<u32>,
    /// `DISTCC_VERBOSE=1`.
    pub(super) verbose: bool,
}

/// The open log.
#[derive(Debug)]
pub(super) struct Log {
    /// None for standard error.
    file: Option<File>,
    /// The least level that is written.
    threshold: Level,
    /// The log is a file that the user does not see at once.
    apart: bool,
}

impl Log {
    /// Opens what the settings name. A log that cannot be opened is said once, and lines then go
    /// to standard error.
    pub(super) fn open(settings: &LogSettings) -> Self {
        let verbose = |quiet| if settings.verbose { Level::Debug } else { quiet };
        let on_stderr = Self { file: None, threshold: verbose(Level::Warning), apart: false };
        let append = |path: &PathBuf| OpenOptions::new().append(true).create(true).open(path);
        match &settings.file {
            Some(path) if !path.as_os_str().is_empty() => match append(path) {
                Ok(file) => Self { file: Some(file), threshold: verbose(Level::Info), apart: true },
                Err(error) => {
                    let path = path.display();
                    on_stderr.error(format_args!("failed to open logfile {path}: {error}"));
                    on_stderr
                }
            },
            _ => {
                let cached =
                    settings.uncached_err_fd.map(|fd| PathBuf::from(format!("/dev/fd/{fd}")));
                let file = cached.and_then(|path| OpenOptions::new().append(true).open(path).ok());
                Self { file, ..on_stderr }
            }
        }
    }

    /// True if lines of this level are written: to be asked before costly formatting.
    pub(super) fn enabled(&self, level: Level) -> bool {
        level >= self.threshold
    }

    /// Writes a line.
    pub(super) fn line(&self, level: Level, text: Arguments<'_>) {
        if self.enabled(level) {
            self.write(&format!("{}\n", Line { level, text }));
        }
    }

    /// A single step.
    pub(super) fn debug(&self, text: Arguments<'_>) {
        self.line(Level::Debug, text);
    }

    /// A line that scripts may read.
    pub(super) fn info(&self, text: Arguments<'_>) {
        self.line(Level::Info, text);
    }

    /// Another way than planned.
    pub(super) fn detour(&self, text: Arguments<'_>) {
        self.line(Level::Detour, text);
    }

    /// Something the user should act on.
    pub(super) fn warning(&self, text: Arguments<'_>) {
        self.line(Level::Warning, text);
    }

    /// The command fails because of us.
    pub(super) fn error(&self, text: Arguments<'_>) {
        self.line(Level::Error, text);
    }

    /// Like [`Log::error`], and on standard error even when the log is a file.
    pub(super) fn error_to_user(&self, text: Arguments<'_>) {
        self.line_to_user(Level::Error, text);
    }

    /// Like [`Log::warning`], and on standard error even when the log is a file.
    pub(super) fn warning_to_user(&self, text: Arguments<'_>) {
        self.line_to_user(Level::Warning, text);
    }

    fn line_to_user(&self, level: Level, text: Arguments<'_>) {
        self.line(level, text);
        if self.apart {
            let _ = writeln!(io::stderr(), "{}", Line { level, text });
        }
    }

    /// One write per line, so that lines of many processes do not mix. A log that cannot be
    /// written must not fail the compile.
    fn write(&self, line: &str) {
        let _ = match &self.file {
            Some(file) => (&mut &*file).write_all(line.as_bytes()),
            None => io::stderr().write_all(line.as_bytes()),
        };
    }
}

/// A line as it is written, without its end.
struct Line<'a> {
    level: Level,
    text: Arguments<'a>,
}

impl Display for Line<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let prefix = match self.level {
            Level::Debug | Level::Info => "",
            Level::Detour | Level::Warning => "Warning: ",
            Level::Error => "ERROR: ",
        };
        write!(f, "distcc[{}] {prefix}{}", process::id(), self.text)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn logged(verbose: bool) -> String {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let log =
            Log::open(&LogSettings { file: Some(path.clone()), verbose, ..Default::default() });
        log.debug(format_args!("step"));
        log.info(format_args!("exec on h: gcc"));
        log.detour(format_args!("failed to distribute"));
        log.error(format_args!("gone"));
        fs::read_to_string(path).unwrap()
    }

    #[test]
    fn lines_have_the_originals_form() {
        let pid = process::id();
        assert_eq!(
            logged(false),
            format!(
                "distcc[{pid}] exec on h: gcc\ndistcc[{pid}] Warning: failed to distribute\n\
                 distcc[{pid}] ERROR: gone\n"
            )
        );
        assert!(logged(true).starts_with(&format!("distcc[{pid}] step\n")));
    }

    #[test]
    fn a_terminal_sees_only_what_calls_for_action() {
        let log = Log::open(&LogSettings::default());
        assert!(log.enabled(Level::Warning));
        assert!(!log.enabled(Level::Detour));
    }
}
