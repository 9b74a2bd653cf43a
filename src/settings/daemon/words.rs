//! The command line before clap reads it: what services make of their variables, and what is said
//! there against the file of settings.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::net::IpAddr;

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, Command, CommandFactory};

use super::file::Entry;
use super::flags::RawFlags;

/// Values of a flag, `--zeroconf=YES`, and what they mean.
const ANSWERS: [(&str, bool); 8] = [
    ("true", true),
    ("yes", true),
    ("on", true),
    ("1", true),
    ("false", false),
    ("no", false),
    ("off", false),
    ("0", false),
];
/// Options that name what belongs to the machine's daemon: a plain user whom ssh brought cannot
/// write there, and must not fail for that.
const OF_THE_DAEMON: [&str; 4] = ["log-file", "state-dir", "pid-file", "user"];
/// What each limit is set by; the last one of a name counts.
pub(super) const LIMIT: &str = "limit";

/// A command line, made plain.
#[derive(Debug)]
pub(super) struct Words {
    program: OsString,
    words: Vec<OsString>,
    /// Flags that are said to be off.
    off: BTreeSet<String>,
}

/// What a word with a value comes to.
enum Plain {
    /// Nothing: the variable that the value came from is not set.
    Unsaid,
    On(String),
    Off(String),
    AsItIs,
}

/// Where the reader of the words stands.
#[derive(PartialEq, Eq)]
enum Place {
    Anywhere,
    /// Behind `--allow`.
    AtNetwork,
    /// Behind a value of it.
    AfterNetwork,
}

impl Words {
    /// Reads a command line, the program's name first. Three habits of services are seen to:
    /// `--jobs=` with an unset variable says nothing, `--zeroconf=true` is a flag, and further
    /// networks behind `--allow` (Gentoo's `--allow $ALLOWED_SERVERS`) are allowed too.
    pub(super) fn read(args: impl IntoIterator<Item = OsString>) -> Self {
        let command = RawFlags::command();
        let mut args = args.into_iter();
        let program = args.next().unwrap_or_else(|| "distccd".into());
        let mut plain = Self { program, words: Vec::new(), off: BTreeSet::new() };
        let mut place = Place::Anywhere;
        while let Some(word) = args.next() {
            if word == "--" {
                plain.words.push(word);
                plain.words.extend(args);
                break;
            }
            if place == Place::AtNetwork {
                plain.words.push(word);
                place = Place::AfterNetwork;
            } else if place == Place::AfterNetwork && is_network(&word) {
                plain.words.extend(["--allow".into(), word]);
            } else {
                place = place_behind(&word);
                plain.take(&command, word);
            }
        }
        plain
    }

    fn take(&mut self, command: &Command, word: OsString) {
        match plain(command, &word) {
            Plain::Unsaid => {}
            Plain::On(name) => {
                self.off.remove(&name);
                self.words.push(format!("--{name}").into());
            }
            Plain::Off(name) => {
                let arg = find(command, &name);
                self.words.retain(|word| arg.is_none_or(|arg| !is_called(arg, word)));
                self.off.insert(name);
            }
            Plain::AsItIs => self.words.push(word),
        }
    }

    /// The command line with other words in front, which those of its own override.
    pub(super) fn after(&self, before: &[OsString]) -> Vec<OsString> {
        let program = std::slice::from_ref(&self.program);
        [program, before, &self.words].concat()
    }

    /// The words for what the file says and the command line leaves open: an option that it gives
    /// itself, or that contradicts one which it gives, is its own affair. `is_visit`: the file is
    /// the machine's, and who runs this is not its daemon.
    pub(super) fn left_open(&self, entries: Vec<Entry>, is_visit: bool) -> Vec<OsString> {
        let mut command = RawFlags::command();
        command.build();
        let Ok(matches) = command.clone().try_get_matches_from(self.after(&[])) else {
            return Vec::new();
        };
        let said: Vec<&Arg> = command
            .get_arguments()
            .filter(|arg| {
                let source = matches.value_source(arg.get_id().as_str());
                source == Some(ValueSource::CommandLine)
            })
            .collect();
        let contradicts = |arg: &Arg| {
            said.iter().any(|own| {
                let of_own = command.get_arg_conflicts_with(own);
                of_own.iter().any(|other| other.get_id() == arg.get_id())
                    || command.get_arg_conflicts_with(arg).iter().any(|o| o.get_id() == own.get_id())
                    // --wizard says where the log goes.
                    || own.get_long() == Some("wizard") && names_log(arg)
            })
        };
        let is_open = |entry: &Entry| {
            let Some(arg) = find(&command, &entry.option) else { return false };
            let is_said = said.iter().any(|own| own.get_id() == arg.get_id());
            let is_off = arg.get_long().is_some_and(|long| self.off.contains(long));
            let is_foreign = is_visit && OF_THE_DAEMON.contains(&entry.option.as_str());
            entry.option == LIMIT || !(is_said || is_off || is_foreign || contradicts(arg))
        };
        entries.into_iter().filter(is_open).map(|entry| entry.word).collect()
    }
}

fn names_log(arg: &Arg) -> bool {
    arg.get_long().is_some_and(|long| long.starts_with("log-"))
}

/// The option of this long name or alias.
pub(super) fn find<'c>(command: &'c Command, name: &str) -> Option<&'c Arg> {
    command.get_arguments().find(|arg| {
        arg.get_long() == Some(name) || arg.get_all_aliases().unwrap_or_default().contains(&name)
    })
}

/// Does this word give the flag?
fn is_called(arg: &Arg, word: &OsStr) -> bool {
    let name = word.to_str().and_then(|word| word.strip_prefix("--"));
    name.is_some_and(|name| {
        arg.get_long() == Some(name) || arg.get_all_aliases().unwrap_or_default().contains(&name)
    })
}

fn plain(command: &Command, word: &OsStr) -> Plain {
    let Some((name, value)) = word
        .to_str()
        .and_then(|word| word.strip_prefix("--"))
        .and_then(|word| word.split_once('='))
    else {
        return Plain::AsItIs;
    };
    let Some(arg) = find(command, name) else { return Plain::AsItIs };
    if value.is_empty() {
        return Plain::Unsaid;
    }
    let long = arg.get_long().unwrap_or(name).to_owned();
    let answer = ANSWERS.iter().find(|(answer, _)| answer.eq_ignore_ascii_case(value));
    match (arg.get_action(), answer) {
        (ArgAction::SetTrue, Some((_, true))) => Plain::On(long),
        (ArgAction::SetTrue, Some((_, false))) => Plain::Off(long),
        _ => Plain::AsItIs,
    }
}

fn place_behind(word: &OsStr) -> Place {
    match word.to_str() {
        Some("--allow" | "-a") => Place::AtNetwork,
        Some(word) if word.starts_with("--allow=") || word.starts_with("-a") => Place::AfterNetwork,
        _ => Place::Anywhere,
    }
}

/// An address or a network, no name: words that are no options are ignored.
fn is_network(word: &OsStr) -> bool {
    let Some(text) = word.to_str() else { return false };
    let (addr, bits) = text.split_once('/').unwrap_or((text, "0"));
    addr.parse::<IpAddr>().is_ok() && bits.parse::<u8>().is_ok()
}
