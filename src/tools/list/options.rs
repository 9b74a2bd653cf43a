//! The command line of `lsdistcc`: one letter an option, its value behind it without a blank
//! (distcc 3.4, `lsdistcc.c`).

use std::ffi::OsString;
use std::time::Duration;

pub(super) const DEFAULT_PORT: u16 = 3632;
/// More numbered names are not tried.
const MAX_NUMBERED: usize = 500;

pub(super) const USAGE: &str = "\
Usage: lsdistcc [OPTION...] [FORMAT | HOST...]
Prints those of the hosts that take connections on distcc's port, as they may
stand in a host list. FORMAT, distcc%d unless given, stands for the names that
it makes of the numbers from 1 up to the first without an address; %3d and %03d
are understood too. Hosts may be names, IPv4 and IPv6 addresses.

Options, with their values behind them without a blank:
-l         print the time to the answer too, in milliseconds
-n         print addresses, not names
-x         print hosts that are down too, with ,down
-d         append this machine's domain to the names
-v         say what is done
-rPORT     the port [3632]
-pCOMPILER up is what compiles a source with COMPILER [connecting is enough]
-PPROTOCOL how to send it: 1, 2 (lzo) or 3 (pump) [1]; shown with the host
-tSECONDS  for how long to search [7]
-cMILLIS   for how long to try to connect [900]; 0: do not connect
-kMILLIS   how long that compile may take [1500]; 0: do not compile
-mBITS     print only hosts whose address begins with BITS of the first's [0]
-oN        names to look up beside the next one [1]
-gN        names without address to pass over [0]
-hMILLIS   accepted: the system's resolver repeats its questions by itself
--version  the version

Example:
lsdistcc -l -pgcc
lsdistcc -pgcc hosta somehost fd00::7
";

/// What the command line asks for.
#[derive(Debug)]
pub(super) enum Request {
    List(Options),
    Version,
    Usage,
}

/// The names to look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Names {
    /// `before`, a number of at least `width` characters, `after`.
    Numbered { before: String, width: usize, zeros: bool, after: String },
    /// As written.
    List(Vec<String>),
}

/// What the options say.
#[derive(Clone, Debug)]
pub(super) struct Options {
    pub(super) names: Names,
    pub(super) show_latency: bool,
    pub(super) numeric: bool,
    pub(super) show_down: bool,
    pub(super) add_domain: bool,
    pub(super) verbose: bool,
    pub(super) port: u16,
    pub(super) compiler: Option<String>,
    /// 1, 2 or 3.
    pub(super) protocol: u8,
    pub(super) patience: Duration,
    pub(super) connect: Duration,
    pub(super) compile: Duration,
    pub(super) bits: u32,
    pub(super) overlap: usize,
    pub(super) gap: usize,
}

/// Reads the words behind the program's name.
pub(super) fn understand(words: &[OsString]) -> Request {
    let Some(words) = words.iter().map(|word| word.to_str()).collect::<Option<Vec<_>>>() else {
        return Request::Usage;
    };
    if words.first() == Some(&"--version") {
        return Request::Version;
    }
    let n_options = words.iter().take_while(|word| word.starts_with('-')).count();
    let (given, names) = words.split_at(n_options);
    let mut options = Options {
        names: Names::read(names),
        show_latency: false,
        numeric: false,
        show_down: false,
        add_domain: false,
        verbose: false,
        port: DEFAULT_PORT,
        compiler: None,
        protocol: 1,
        patience: Duration::from_secs(7),
        connect: Duration::from_millis(900),
        compile: Duration::from_millis(1500),
        bits: 0,
        overlap: 1,
        gap: 0,
    };
    match given.iter().try_for_each(|word| options.take(&word[1..])) {
        Some(()) => Request::List(options),
        None => Request::Usage,
    }
}

impl Options {
    /// Reads the letters behind a `-`; none if they make no sense.
    fn take(&mut self, letters: &str) -> Option<()> {
        let mut letters = letters.chars();
        let mut letter = letters.next()?;
        loop {
            let flag = match letter {
                'l' => &mut self.show_latency,
                'n' => &mut self.numeric,
                'x' => &mut self.show_down,
                'd' => &mut self.add_domain,
                'v' => &mut self.verbose,
                _ => return self.take_value(letter, letters.as_str()),
            };
            *flag = true;
            match letters.next() {
                Some(next) => letter = next,
                None => return Some(()),
            }
        }
    }

    fn take_value(&mut self, letter: char, value: &str) -> Option<()> {
        let number = || value.parse::<u32>().ok();
        let millis = || number().map(|millis| Duration::from_millis(millis.into()));
        match letter {
            'r' => self.port = value.parse().ok().filter(|port| *port > 0)?,
            'p' if !value.is_empty() => self.compiler = Some(value.to_owned()),
            'P' => {
                self.protocol = value.parse().ok().filter(|version| (1..=3).contains(version))?
            }
            't' => self.patience = Duration::from_secs(number()?.into()),
            'c' => self.connect = millis()?,
            'k' => self.compile = millis()?,
            'h' => drop(millis()?),
            'm' => self.bits = number().filter(|bits| *bits <= 128)?,
            'o' => self.overlap = value.parse().ok().filter(|n| *n < MAX_NUMBERED)?,
            'g' => self.gap = value.parse().ok()?,
            _ => return None,
        }
        Some(())
    }
}

impl Names {
    fn read(words: &[&str]) -> Self {
        let first = words.first().copied().unwrap_or("distcc%d");
        // As for the original, a format stands alone and what follows it means nothing.
        Self::numbered(first).unwrap_or_else(|| {
            let bare = |word: &&str| word.trim_start_matches('[').trim_end_matches(']').to_owned();
            Self::List(words.iter().map(bare).collect())
        })
    }

    fn numbered(format: &str) -> Option<Self> {
        let (before, rest) = format.split_once('%')?;
        let (digits, after) = rest.split_once('d')?;
        let width = if digits.is_empty() { 0 } else { digits.parse().ok().filter(|n| *n < 64)? };
        let zeros = digits.starts_with('0');
        Some(Self::Numbered { before: before.to_owned(), width, zeros, after: after.to_owned() })
    }

    /// The name at this position, if there are so many.
    pub(super) fn get(&self, idx: usize) -> Option<String> {
        match self {
            Self::List(names) => names.get(idx).cloned(),
            Self::Numbered { .. } if idx >= MAX_NUMBERED => None,
            Self::Numbered { before, width, zeros: true, after } => {
                Some(format!("{before}{:0width$}{after}", idx + 1))
            }
            Self::Numbered { before, width, after, .. } => {
                Some(format!("{before}{:width$}{after}", idx + 1))
            }
        }
    }

    /// Appends `.domain` to each.
    pub(super) fn add_domain(&mut self, domain: &str) {
        match self {
            Self::Numbered { after, .. } => after.push_str(&format!(".{domain}")),
            Self::List(names) => {
                names.iter_mut().for_each(|name| name.push_str(&format!(".{domain}")));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn understood(words: &[&str]) -> Request {
        understand(&words.iter().map(OsString::from).collect::<Vec<_>>())
    }

    fn options(words: &[&str]) -> Options {
        match understood(words) {
            Request::List(options) => options,
            other => panic!("{words:?}: {other:?}"),
        }
    }

    #[test]
    fn values_stand_behind_their_letters() {
        let found =
            options(&["-t3", "-c0", "-k20", "-m8", "-o2", "-g4", "-r99", "-P2", "-pcc", "h"]);
        assert_eq!(found.patience, Duration::from_secs(3));
        assert_eq!((found.connect, found.compile), (Duration::ZERO, Duration::from_millis(20)));
        assert_eq!((found.bits, found.overlap, found.gap), (8, 2, 4));
        assert_eq!((found.port, found.protocol), (99, 2));
        assert_eq!(found.compiler.as_deref(), Some("cc"));
        assert_eq!(found.names, Names::List(vec!["h".to_owned()]));
        let found = options(&["-lnxr7", "-v"]);
        assert!(found.show_latency && found.numeric && found.show_down && found.verbose);
        assert_eq!(found.port, 7);
    }

    #[test]
    fn junk_is_answered_with_the_usage() {
        for junk in ["--help", "-", "--", "-q", "-r", "-r0", "-r99999", "-rx", "-P", "-P4", "-p"] {
            assert!(matches!(understood(&["-r7", junk]), Request::Usage), "{junk}");
        }
        assert!(matches!(understood(&["--version"]), Request::Version));
        assert!(USAGE.lines().all(|line| line.len() <= 80));
    }

    #[test]
    fn formats_make_numbered_names() {
        for (format, first) in
            [("distcc%d", "distcc1"), ("h%03d.lab", "h001.lab"), ("h%2d", "h 1"), ("%d.1", "1.1")]
        {
            assert_eq!(options(&[format]).names.get(0).as_deref(), Some(first));
        }
        assert_eq!(options(&[]).names.get(499).as_deref(), Some("distcc500"));
        assert_eq!(options(&[]).names.get(500), None);
        for name in ["h%s", "h%", "h%-1d", "h%1000d", "hd"] {
            assert_eq!(options(&[name]).names, Names::List(vec![name.to_owned()]));
        }
    }

    #[test]
    fn a_domain_goes_behind_every_name() {
        for (words, name) in [(&["h%d"][..], "h1.lab"), (&["a", "b"], "a.lab")] {
            let mut names = options(words).names;
            names.add_domain("lab");
            assert_eq!(names.get(0).as_deref(), Some(name));
        }
    }
}
