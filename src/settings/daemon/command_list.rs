//! `DISTCC_CMDLIST`: a file of the only commands that may run, one absolute path a line, each known
//! by its last words (`DISTCC_CMDLIST_NUMWORDS`).

use std::fmt::{self, Display, Formatter};
use std::path::{Path, PathBuf};

/// The commands that may run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CommandList {
    n_words: usize,
    /// By what they are known, and what is run.
    commands: Vec<(String, PathBuf)>,
}

/// What is wrong with a line of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LineError {
    /// The first is 1.
    pub(crate) number: usize,
    /// What is expected there.
    pub(crate) expected: String,
}

impl Display for LineError {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: expected {}", self.number, self.expected)
    }
}

impl CommandList {
    /// Of the text of such a file, if it names any command. The last `n_words` words of a path, at
    /// least one, tell its commands apart.
    pub(crate) fn parse(text: &str, n_words: usize) -> Result<Option<Self>, LineError> {
        let mut list = Self { n_words, commands: Vec::new() };
        for (line, number) in text.lines().map(str::trim).zip(1..) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if !Path::new(line).is_absolute() {
                let expected = "a path that begins with '/'".to_owned();
                return Err(LineError { number, expected });
            }
            let Some(key) = list.key(line) else {
                let expected = format!("a path of a command, of at least {n_words} words");
                return Err(LineError { number, expected });
            };
            list.commands.push((key, line.into()));
        }
        Ok(Some(list).filter(|list| !list.commands.is_empty()))
    }

    /// By what this command is known: the last words of its path, if it has so many.
    pub(crate) fn key(&self, command: &str) -> Option<String> {
        let words: Vec<&str> = command.split('/').filter(|word| !word.is_empty()).collect();
        let first = words.len().checked_sub(self.n_words)?;
        Some(words[first..].join("/")).filter(|_| !command.ends_with('/'))
    }

    /// Every command once, by what it is known; the first in the file counts.
    pub(crate) fn commands(&self) -> impl Iterator<Item = (&str, &Path)> {
        self.commands.iter().enumerate().filter_map(|(at, (key, path))| {
            let is_first = self.commands[..at].iter().all(|(before, _)| before != key);
            is_first.then_some((key.as_str(), path.as_path()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_words_tell_commands_apart() {
        let text = "# ours\n/opt/gcc-12/bin/gcc\n\n/usr/bin/gcc\n  /usr/bin/g++  \n";
        let commands = |n_words| {
            let list = CommandList::parse(text, n_words).unwrap().unwrap();
            let commands = list.commands().map(|(key, path)| format!("{key} {}", path.display()));
            commands.collect::<Vec<_>>()
        };
        assert_eq!(commands(1), ["gcc /opt/gcc-12/bin/gcc", "g++ /usr/bin/g++"]);
        let two = ["bin/gcc /opt/gcc-12/bin/gcc", "bin/g++ /usr/bin/g++"];
        assert_eq!(commands(2), two);
        let list = CommandList::parse("/opt/gcc-12/bin/gcc\n", 3).unwrap().unwrap();
        assert_eq!(list.key("/x/gcc-12/bin/gcc").as_deref(), Some("gcc-12/bin/gcc"));
        assert_eq!((list.key("bin/gcc"), list.key("/gcc-12/bin/gcc/")), (None, None));
    }

    #[test]
    fn what_cannot_be_used_is_named_with_its_line() {
        for (text, n_words, expected) in [
            ("/usr/bin/gcc\ngcc\n", 1, "line 2: expected a path that begins with '/'"),
            ("/gcc\n", 2, "line 1: expected a path of a command, of at least 2 words"),
            ("/usr/bin/\n", 1, "line 1: expected a path of a command, of at least 1 words"),
        ] {
            assert_eq!(CommandList::parse(text, n_words).unwrap_err().to_string(), expected);
        }
        assert_eq!(CommandList::parse("# none\n\n", 1), Ok(None));
    }
}
