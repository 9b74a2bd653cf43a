//! How ssh is called: the program of `$DISTCC_SSH`, and the words for one host.

use std::ffi::{OsStr, OsString};
use std::path::Path;

/// What runs on a host whose list entry names no command.
const DEFAULT_COMMAND: &str = "distccd";
/// As the original asks for it. A daemon that vets takes the second word for what it is worth.
const COMMAND_OPTIONS: [&str; 2] = ["--inetd", "--enable-tcp-insecure"];

/// For connections of which several jobs make use: nothing of the user's configuration that belongs
/// to a session of a person, and an end of it soon after the host's.
const MASTER: [&str; 13] = [
    "-MNTax",
    "-oBatchMode=yes",
    "-oClearAllForwardings=yes",
    "-oConnectTimeout=10",
    "-oControlPersist=no",
    "-oForkAfterAuthentication=no",
    "-oRemoteCommand=none",
    "-oServerAliveCountMax=2",
    "-oServerAliveInterval=5",
    "-oUpdateHostKeys=no",
    "-oPermitLocalCommand=yes",
    // Runs once other processes can use the connection.
    "-oLocalCommand=echo ready",
    "-oLogLevel=ERROR",
];
/// For one job by way of such a connection, or by one of its own if that has gone.
const SHARED: [&str; 6] = [
    "-Tax",
    "-oBatchMode=yes",
    "-oClearAllForwardings=yes",
    "-oConnectTimeout=10",
    "-oControlMaster=no",
    "-oRemoteCommand=none",
];

/// What is wrong with a `$DISTCC_SSH`.
pub(crate) const EXPECTED: &str = "a command whose quotes are closed";

/// The program that reaches hosts, with its first words.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct SshProgram {
    words: Vec<OsString>,
}

/// A host, as the program is told of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target<'a> {
    /// The user there.
    pub(crate) user: Option<&'a str>,
    /// Its name.
    pub(crate) host: &'a str,
    /// What runs there instead of `distccd`; a shell there reads it.
    pub(crate) command: Option<&'a str>,
}

impl Default for SshProgram {
    fn default() -> Self {
        Self { words: vec!["ssh".into()] }
    }
}

impl SshProgram {
    /// Reads `$DISTCC_SSH`: words apart by blanks, of which quotes of both kinds and a backslash
    /// before them make parts. `None` if a quote is not closed.
    pub(crate) fn parse(said: &str) -> Option<Self> {
        let words: Vec<OsString> = split(said)?.into_iter().map(OsString::from).collect();
        Some(if words.is_empty() { Self::default() } else { Self { words } })
    }

    /// May one connection serve several jobs? OpenSSH's can, and another program would not
    /// understand how it is asked for that.
    pub(crate) fn can_share(&self) -> bool {
        self.words.first().and_then(|word| Path::new(word).file_name()) == Some(OsStr::new("ssh"))
    }

    /// Runs the command on the host over a connection of its own, as the original does.
    pub(crate) fn alone(&self, target: Target<'_>) -> Vec<OsString> {
        self.with(&[], None, target, true)
    }

    /// Runs it over the connection that listens at `control_path`.
    pub(crate) fn shared(&self, target: Target<'_>, control_path: &OsStr) -> Vec<OsString> {
        self.with(&SHARED, Some(control_path), target, true)
    }

    /// Keeps a connection, and listens at `control_path` for those who use it.
    pub(crate) fn master(&self, target: Target<'_>, control_path: &OsStr) -> Vec<OsString> {
        self.with(&MASTER, Some(control_path), target, false)
    }

    fn with(
        &self,
        options: &[&str],
        control_path: Option<&OsStr>,
        target: Target<'_>,
        runs: bool,
    ) -> Vec<OsString> {
        let mut words = self.words.clone();
        words.extend(options.iter().map(OsString::from));
        if let Some(path) = control_path {
            words.extend(["-S".into(), path.to_owned()]);
        }
        if let Some(user) = target.user {
            words.extend(["-l".into(), user.into()]);
        }
        words.push(target.host.into());
        if runs {
            words.push(target.command.unwrap_or(DEFAULT_COMMAND).into());
            words.extend(COMMAND_OPTIONS.map(OsString::from));
        }
        words
    }
}

fn split(said: &str) -> Option<Vec<String>> {
    let (mut words, mut word) = (Vec::new(), None::<String>);
    let mut chars = said.chars();
    let mut quote = None;
    while let Some(c) = chars.next() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (Some('\''), c) => word.get_or_insert_default().push(c),
            (_, '\\') => word.get_or_insert_default().push(chars.next()?),
            (Some(_), c) => word.get_or_insert_default().push(c),
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, c) if c.is_ascii_whitespace() => words.extend(word.take()),
            (None, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    quote.is_none().then_some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(said: &str) -> Option<Vec<String>> {
        let program = SshProgram::parse(said)?;
        Some(program.words.iter().map(|word| word.to_string_lossy().into_owned()).collect())
    }

    #[test]
    fn the_program_is_split_at_blanks_but_for_quotes() {
        for (said, expected) in [
            ("", &["ssh"][..]),
            ("ssh  -p 22", &["ssh", "-p", "22"]),
            ("ssh -o 'A=b c'", &["ssh", "-o", "A=b c"]),
            (r#"ssh -i "my key" a\ b """#, &["ssh", "-i", "my key", "a b", ""]),
            (r#"'a\b' "a\"b""#, &[r"a\b", r#"a"b"#]),
        ] {
            assert_eq!(words(said).unwrap(), expected, "{said}");
        }
        for said in ["'ssh", "ssh \"a", "ssh \\"] {
            assert_eq!(words(said), None, "{said}");
        }
    }

    #[test]
    fn only_openssh_is_asked_to_share() {
        for (said, shares) in [("", true), ("/usr/bin/ssh -p 1", true), ("rsh", false)] {
            assert_eq!(SshProgram::parse(said).unwrap().can_share(), shares, "{said}");
        }
    }

    #[test]
    fn alone_it_is_called_as_the_original_calls_it() {
        let called = |user, command| {
            let target = Target { user, host: "h", command };
            SshProgram::parse("ssh -p 1").unwrap().alone(target).join(OsStr::new(" "))
        };
        let options = "--inetd --enable-tcp-insecure";
        assert_eq!(called(None, None), format!("ssh -p 1 h distccd {options}").as_str());
        assert_eq!(
            called(Some("me"), Some("/opt/distccd")),
            format!("ssh -p 1 -l me h /opt/distccd {options}").as_str()
        );
    }
}
