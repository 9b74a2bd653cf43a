//! `distccd.toml`: each entry becomes the word of the command line that says the same, so there is
//! a key for every option, and one place that judges both. `config/distccd.toml` explains them.

use std::any::TypeId;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::{Arg, ArgAction, Command, CommandFactory, Parser};
use toml::Spanned;
use toml::de::{DeArray, DeString, DeTable, DeValue};

use super::flags::RawFlags;
use super::limits::ServerLimits;
use super::words::{LIMIT, find};
use super::{UsageError, first_paragraph};

/// The table of limits.
const LIMITS: &str = "limits";
/// Options that only a command line has.
const NOT_HERE: [&str; 5] = ["help", "version", "check", "config", LIMIT];

/// What the file says of one option.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// Its long name.
    pub(super) option: String,
    /// The word of a command line that says the same.
    pub(super) word: OsString,
}

/// Reads this file.
pub(super) fn read(path: &Path) -> Result<Vec<Entry>, UsageError> {
    let text = fs::read_to_string(path).map_err(|error| unreadable(path, &error))?;
    parse(&text, path)
}

/// The same; none if there is no such file.
pub(super) fn read_if_there(path: &Path) -> Result<Option<Vec<Entry>>, UsageError> {
    match fs::read_to_string(path) {
        Ok(text) => parse(&text, path).map(Some),
        Err(error) if is_absent(&error) => Ok(None),
        Err(error) => Err(unreadable(path, &error)),
    }
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

fn unreadable(path: &Path, error: &io::Error) -> UsageError {
    UsageError::of_file(vec![format!("{}: cannot be read: {error}", path.display())])
}

fn parse(text: &str, path: &Path) -> Result<Vec<Entry>, UsageError> {
    let (document, syntax) = DeTable::parse_recoverable(text);
    let mut reader = Reader::new(text, path);
    if syntax.is_empty() {
        reader.document(document.get_ref());
    }
    for error in syntax {
        let at = error.span().map_or(0, |span| span.start);
        reader.report(at, "", &error.message().trim().replace('\n', ", "));
    }
    reader.end()
}

/// What may stand behind the key of an option.
enum Kind {
    Switch,
    Number,
    Text,
    Path,
    /// Several texts.
    List,
    /// A path that need not be said: `true` will do.
    PathOrSwitch,
}

impl Kind {
    fn of(arg: &Arg) -> Self {
        let is = |wanted: TypeId| arg.get_value_parser().type_id() == wanted;
        let numbers = [TypeId::of::<u16>(), TypeId::of::<i16>(), TypeId::of::<i32>()];
        let may_be_bare = arg.get_num_args().is_some_and(|range| range.min_values() == 0);
        match arg.get_action() {
            ArgAction::SetTrue => Self::Switch,
            ArgAction::Append => Self::List,
            _ if numbers.into_iter().chain([TypeId::of::<i64>()]).any(is) => Self::Number,
            _ if is(TypeId::of::<PathBuf>()) && may_be_bare => Self::PathOrSwitch,
            _ if is(TypeId::of::<PathBuf>()) => Self::Path,
            _ => Self::Text,
        }
    }

    const fn expected(&self) -> &'static str {
        match self {
            Self::Switch => "true or false",
            Self::Number => "a number",
            Self::Text => "a string",
            Self::Path => "a string with a path",
            Self::List => "a string or a list of strings",
            Self::PathOrSwitch => "true or false, or a string with a path",
        }
    }
}

struct Reader<'a> {
    text: &'a str,
    path: &'a Path,
    command: Command,
    entries: Vec<Entry>,
    /// By line.
    problems: Vec<(usize, String)>,
}

impl<'a> Reader<'a> {
    fn new(text: &'a str, path: &'a Path) -> Self {
        let mut command = RawFlags::command();
        command.build();
        Self { text, path, command, entries: Vec::new(), problems: Vec::new() }
    }

    fn report(&mut self, at: usize, key: &str, problem: &str) {
        let before = &self.text.as_bytes()[..at.min(self.text.len())];
        let line = 1 + before.iter().filter(|&&byte| byte == b'\n').count();
        let key = if key.is_empty() { String::new() } else { format!("{key}: ") };
        self.problems.push((line, format!("{}:{line}: {key}{problem}", self.path.display())));
    }

    fn end(mut self) -> Result<Vec<Entry>, UsageError> {
        if self.problems.is_empty() {
            return Ok(self.entries);
        }
        self.problems.sort_by_key(|(line, _)| *line);
        Err(UsageError::of_file(self.problems.into_iter().map(|(_, text)| text).collect()))
    }

    fn document(&mut self, document: &DeTable<'_>) {
        let mut entries: Vec<_> = document.iter().collect();
        // In the order written: where two contradict each other, the second is told of.
        entries.sort_by_key(|(key, _)| key.span().start);
        for (key, value) in entries {
            let name = key.get_ref().as_ref();
            if name == LIMITS {
                match value.get_ref() {
                    DeValue::Table(table) => self.limits(table),
                    _ => self.wrong_type(name, value, "a table: [limits]"),
                }
                continue;
            }
            let known = find(&self.command, name).filter(|arg| has_key(arg)).cloned();
            match known {
                Some(arg) => self.option(&arg, name, value),
                None => self.unknown_key(key),
            }
        }
    }

    fn unknown_key(&mut self, key: &Spanned<DeString<'_>>) {
        let mut known = keys(&self.command);
        known.push(format!("[{LIMITS}]"));
        let problem = format!("no such key, expected one of {}", known.join(", "));
        self.report(key.span().start, key.get_ref(), &problem);
    }

    fn limits(&mut self, table: &DeTable<'_>) {
        for (key, value) in table.iter() {
            let name = key.get_ref().as_ref();
            let path = format!("{LIMITS}.{name}");
            let text = match value.get_ref() {
                DeValue::Integer(number) if number.radix() == 10 => number.as_str().to_owned(),
                DeValue::String(text) => text.to_string(),
                _ => {
                    self.wrong_type(&path, value, "a number or a string");
                    continue;
                }
            };
            match ServerLimits::default().set(name, &text) {
                Ok(()) => {
                    let word = format!("--{LIMIT}={name}={text}").into();
                    self.entries.push(Entry { option: LIMIT.to_owned(), word });
                }
                Err(error) => self.report(key.span().start, &path, &error.to_string()),
            }
        }
    }

    fn option(&mut self, arg: &Arg, key: &str, value: &Spanned<DeValue<'_>>) {
        let kind = Kind::of(arg);
        let option = arg.get_long().unwrap_or(key);
        let texts = match (&kind, value.get_ref()) {
            (Kind::Switch | Kind::PathOrSwitch, DeValue::Boolean(false)) => return,
            (Kind::Switch | Kind::PathOrSwitch, DeValue::Boolean(true)) => {
                return self.add(option, format!("--{option}").into(), key, value);
            }
            (Kind::Number, DeValue::Integer(number)) if number.radix() == 10 => {
                vec![number.as_str().to_owned()]
            }
            (Kind::Text | Kind::List, DeValue::String(text)) => vec![text.to_string()],
            (Kind::Path | Kind::PathOrSwitch, DeValue::String(text)) => {
                vec![if text.is_empty() { String::new() } else { self.beside(text) }]
            }
            (Kind::List, DeValue::Array(array)) => match strings(array) {
                Some(texts) => texts,
                None => return self.wrong_type(key, value, kind.expected()),
            },
            _ => return self.wrong_type(key, value, kind.expected()),
        };
        for text in texts {
            if text.is_empty() {
                let problem = format!("expected {}, not \"\"", kind.expected());
                self.report(value.span().start, key, &problem);
            } else {
                self.add(option, format!("--{option}={text}").into(), key, value);
            }
        }
    }

    /// A relative path is taken from where the file is.
    fn beside(&self, text: &str) -> String {
        let dir = self.path.parent().unwrap_or(Path::new("/"));
        dir.join(text).to_string_lossy().into_owned()
    }

    /// Adds the word if it can stand behind those before it.
    fn add(&mut self, option: &str, word: OsString, key: &str, value: &Spanned<DeValue<'_>>) {
        let said = self.entries.iter().map(|entry| &entry.word).chain([&word]);
        let words = [OsString::from("distccd")].into_iter().chain(said.cloned());
        match RawFlags::try_parse_from(words) {
            Ok(_) => self.entries.push(Entry { option: option.to_owned(), word }),
            Err(error) => {
                let text = first_paragraph(&error.to_string());
                // The part before says which option it is.
                let problem = text.split_once("': ").map_or(text.as_str(), |(_, rest)| rest);
                self.report(value.span().start, key, problem);
            }
        }
    }

    fn wrong_type(&mut self, key: &str, value: &Spanned<DeValue<'_>>, expected: &str) {
        let found = match value.get_ref() {
            DeValue::String(_) => "a string",
            DeValue::Integer(_) => "a number",
            DeValue::Float(_) => "a fraction",
            DeValue::Boolean(_) => "true or false",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        };
        let problem = format!("expected {expected}, not {found}");
        self.report(value.span().start, key, &problem);
    }
}

fn strings(array: &DeArray<'_>) -> Option<Vec<String>> {
    let text = |value: &Spanned<DeValue<'_>>| match value.get_ref() {
        DeValue::String(text) => Some(text.to_string()),
        _ => None,
    };
    array.iter().map(text).collect()
}

/// Has this option a key? Those that are refused on the command line have none.
fn has_key(arg: &Arg) -> bool {
    let is_hidden = arg.is_hide_set();
    arg.get_long().is_some_and(|long| !is_hidden && !NOT_HERE.contains(&long))
}

fn keys(command: &Command) -> Vec<String> {
    let options = command.get_arguments().filter(|arg| has_key(arg));
    options.filter_map(|arg| arg.get_long().map(str::to_owned)).collect()
}

#[cfg(test)]
mod tests;
