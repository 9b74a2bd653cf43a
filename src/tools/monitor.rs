//! `distccmon-text`: the jobs of this user, from their state files.

use std::env;
use std::ffi::OsString;
use std::io::{self, Write};
use std::process::{self, ExitCode};
use std::thread;
use std::time::Duration;

use crate::base::exit;
use crate::monitor::{feed, text};
use crate::settings::env::Environment;

const USAGE: &str = "\
usage: distccmon-text [DELAY]

Displays the compilations that run now, one a line: process, what is being done,
source, host.

If delay is specified, repeatedly updates after that many (fractional) seconds.
Otherwise, runs just once.
";

/// What the command line asks for.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Request {
    Help,
    Version,
    Once,
    Every(Duration),
    Unusable,
}

/// Runs `distccmon-text`.
pub(crate) fn main() -> ExitCode {
    let words: Vec<OsString> = env::args_os().skip(1).collect();
    match understand(&words) {
        Request::Help => say(USAGE.as_bytes()),
        Request::Version => say(super::version("distccmon-text").as_bytes()),
        Request::Once => show(None),
        Request::Every(delay) => show(Some(delay)),
        Request::Unusable => {
            eprint!("{USAGE}");
            ExitCode::FAILURE
        }
    }
}

fn understand(words: &[OsString]) -> Request {
    let word = match words {
        [] => return Request::Once,
        [word] => word.to_str().unwrap_or("?").trim_start(),
        _ => return Request::Unusable,
    };
    match word {
        "--help" => return Request::Help,
        "--version" => return Request::Version,
        // As the original reads it.
        "" => return Request::Once,
        _ => {}
    }
    match word.parse() {
        Ok(seconds) if seconds <= 0.0 => Request::Once,
        Ok(seconds) => {
            Duration::try_from_secs_f64(seconds).map_or(Request::Unusable, Request::Every)
        }
        Err(_) => Request::Unusable,
    }
}

fn show(delay: Option<Duration>) -> ExitCode {
    let Some(dir) = Environment::from_process().distcc_dir else {
        eprintln!("distccmon-text: neither DISTCC_DIR nor HOME is set");
        return ExitCode::from(exit::BAD_ARGUMENTS);
    };
    loop {
        let feed = feed::read(&dir);
        for problem in &feed.problems {
            let pid = process::id();
            eprintln!("distccmon-text[{pid}] Warning: {problem}");
        }
        let said = say(&text::render(feed.jobs));
        let Some(delay) = delay.filter(|_| said == ExitCode::SUCCESS) else { return said };
        thread::sleep(delay);
    }
}

/// A reader that has gone is no error worth a word.
fn say(text: &[u8]) -> ExitCode {
    let mut stdout = io::stdout();
    match stdout.write_all(text).and_then(|()| stdout.flush()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delay_is_a_number_of_seconds() {
        let understood =
            |words: &[&str]| understand(&words.iter().map(OsString::from).collect::<Vec<_>>());
        for once in [&[][..], &["0"], &["0.0"], &["-1"], &[""], &[" 0"]] {
            assert_eq!(understood(once), Request::Once, "{once:?}");
        }
        assert_eq!(understood(&["0.5"]), Request::Every(Duration::from_millis(500)));
        for junk in [&["a"][..], &["1x"], &["1 "], &["nan"], &["inf"], &["1", "2"], &["-v"]] {
            assert_eq!(understood(junk), Request::Unusable, "{junk:?}");
        }
    }

    #[test]
    fn help_is_told() {
        assert_eq!(understand(&["--help".into()]), Request::Help);
        assert_eq!(understand(&["--version".into()]), Request::Version);
        assert!(USAGE.lines().all(|line| line.len() <= 80));
    }
}
