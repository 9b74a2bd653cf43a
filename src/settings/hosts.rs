//! The host list: the original's grammar (distcc 3.4, `hosts.c`) as a value, and its reader.
//!
//! Where the original takes nonsense silently (a port of 70000, `h/4x`) the token is reported;
//! where it drops the whole list for one bad token, the rest stays usable.

use std::net::Ipv6Addr;
use std::time::Duration;

/// Slots of a TCP host that does not say.
pub(crate) const DEFAULT_SLOTS: u16 = 4;
/// Slots of `localhost` that does not say.
pub(crate) const DEFAULT_LOCAL_SLOTS: u16 = 2;
/// distcc's registered port.
pub(crate) const DEFAULT_PORT: u16 = 3632;
/// For how long a host that failed is left out, `DISTCC_BACKOFF_PERIOD`.
pub(crate) const DEFAULT_BACKOFF: Duration = Duration::from_secs(60);

/// The longest host list that is read, in bytes; the original's limit (distcc 3.4, `hosts.c`).
pub(crate) const MAX_LIST: usize = 1 << 20;

/// A host list, with the tokens that could not be read set apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct HostList {
    /// In the order written.
    pub(crate) entries: Vec<HostEntry>,
    /// `--randomize` was given.
    pub(crate) randomize: bool,
    /// `--localslots=N`.
    pub(crate) localslots: Option<u16>,
    /// `--localslots_cpp=N`.
    pub(crate) localslots_cpp: Option<u16>,
    /// What could not be read; the rest stays usable.
    pub(crate) problems: Vec<HostProblem>,
}

/// One token of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum HostEntry {
    /// `localhost` or `localhost/N`: this machine, without the network.
    Localhost {
        /// Jobs at once.
        slots: u16,
    },
    /// A host reached by TCP.
    Tcp(TcpHost),
    /// A host reached by ssh (`user@host:command`).
    Ssh(SshHost),
    /// `+zeroconf`: the discovered hosts stand here.
    Zeroconf,
}

/// A host that is named in a list and is not this machine.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum ListedHost {
    /// Reached by TCP.
    Tcp(TcpHost),
    /// Reached by ssh.
    Ssh(SshHost),
}

impl ListedHost {
    /// None for an entry of another kind.
    pub(crate) fn of(entry: &HostEntry) -> Option<Self> {
        match entry {
            HostEntry::Tcp(host) => Some(Self::Tcp(host.clone())),
            HostEntry::Ssh(host) => Some(Self::Ssh(host.clone())),
            HostEntry::Localhost { .. } | HostEntry::Zeroconf => None,
        }
    }

    /// As written, for messages.
    pub(crate) fn token(&self) -> &str {
        match self {
            Self::Tcp(host) => &host.token,
            Self::Ssh(host) => &host.token,
        }
    }

    /// What follows after commas.
    pub(crate) fn options(&self) -> HostOptions {
        match self {
            Self::Tcp(host) => host.options,
            Self::Ssh(host) => host.options,
        }
    }
}

/// `host/limit:port,options`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct TcpHost {
    /// The token as written, for messages.
    pub(crate) token: String,
    /// Host name or address; an IPv6 literal without its brackets, a scope (`fe80::1%eth0`) kept.
    pub(crate) host: String,
    /// TCP port.
    pub(crate) port: u16,
    /// Jobs at once.
    pub(crate) slots: u16,
    /// What follows after commas.
    pub(crate) options: HostOptions,
}

/// `[user]@host/limit:command,options`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct SshHost {
    /// The token as written, for messages.
    pub(crate) token: String,
    /// Before the `@`, if anything.
    pub(crate) user: Option<String>,
    /// Host name.
    pub(crate) host: String,
    /// The command to run there instead of `distccd`.
    pub(crate) command: Option<String>,
    /// Jobs at once.
    pub(crate) slots: u16,
    /// What follows after commas.
    pub(crate) options: HostOptions,
}

/// Options after commas.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct HostOptions {
    /// `lzo`: compress bodies (protocol 2).
    pub(crate) lzo: bool,
    /// `cpp`: preprocess there (pump).
    pub(crate) cpp: bool,
    /// `down`: listed, never used.
    pub(crate) down: bool,
    /// `auth`, with or without a name: GSS-API, which we do not speak.
    pub(crate) auth: bool,
}

/// A token that is not a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HostProblem {
    /// Line of the list, from 1.
    pub(crate) line: usize,
    /// The token as written.
    pub(crate) token: String,
    /// What was expected, a lowercase fragment: `a port between 1 and 65535 after ':'`.
    pub(crate) expected: &'static str,
}

/// What a host name must be.
const EXPECTED_NAME: &str = "a host name or address";
/// What ssh is told must be what it seems.
const EXPECTED_NO_OPTION: &str = "a host and a command that do not begin with '-'";
/// What a limit must be.
const EXPECTED_LIMIT: &str = "a number of jobs between 1 and 65535 after '/'";
/// What a port must be.
const EXPECTED_PORT: &str = "a port between 1 and 65535 after ':'";
/// What options are known.
const EXPECTED_OPTION: &str = "one of the options lzo, cpp, down, auth after ','";
/// What may follow a host.
const EXPECTED_END: &str = "'/', ':' or ',' after the host";

/// Reads a host list.
pub(crate) fn parse(text: &str) -> HostList {
    let mut list = HostList::default();
    if text.len() > MAX_LIST {
        let expected = "a host list of at most 1 MiB";
        list.problems.push(HostProblem { line: 1, token: String::new(), expected });
        return list;
    }
    for (line_idx, line) in text.split('\n').enumerate() {
        let line_end = line.find('#').unwrap_or(line.len());
        for token in line[..line_end].split([' ', '\t', '\r', '\u{c}']) {
            // A vertical tab is skipped before a token but does not end one.
            let token = token.trim_start_matches('\u{b}');
            if token.is_empty() {
                continue;
            }
            if let Err(expected) = list.add(token) {
                let (line, token) = (line_idx + 1, token.to_owned());
                list.problems.push(HostProblem { line, token, expected });
            }
        }
    }
    list
}

/// What was expected in place of what stands in a token.
type Expected = &'static str;

impl HostList {
    /// Adds what a token says. A token may be usable and yet have something to report.
    fn add(&mut self, token: &str) -> Result<(), Expected> {
        if token.starts_with("--randomize") {
            self.randomize = true;
            return Ok(());
        }
        if let Some(rest) = token.strip_prefix("--localslots_cpp") {
            self.localslots_cpp = Some(local_slots(rest)?);
            return Ok(());
        }
        if let Some(rest) = token.strip_prefix("--localslots") {
            self.localslots = Some(local_slots(rest)?);
            return Ok(());
        }
        if token.starts_with("--") {
            return Err("one of the options --randomize, --localslots=N, --localslots_cpp=N");
        }
        if let Some(rest) = token.strip_prefix("+zeroconf") {
            // The discovered hosts stand at one place only.
            if !self.entries.contains(&HostEntry::Zeroconf) {
                self.entries.push(HostEntry::Zeroconf);
            }
            return if rest.is_empty() { Ok(()) } else { Err("+zeroconf and nothing after it") };
        }
        if token.starts_with('+') {
            return Err("+zeroconf, or a host, whose name cannot begin with '+'");
        }
        let (entry, rest) = match localhost(token)? {
            Some(read) => read,
            None if token.contains('@') => ssh(token)?,
            None => tcp(token)?,
        };
        self.entries.push(entry);
        // The original ignores what follows silently; here the host is used and it is said.
        if rest.is_empty() { Ok(()) } else { Err("nothing more in this token") }
    }
}

/// `=N` or `/N` after `--localslots`.
fn local_slots(rest: &str) -> Result<u16, Expected> {
    let expected = "a number of jobs between 1 and 65535 after '='";
    let digits = rest.strip_prefix(['=', '/']).ok_or(expected)?;
    let (slots, rest) = number(digits).ok_or(expected)?;
    if rest.is_empty() { Ok(slots) } else { Err(expected) }
}

/// `localhost`, `localhost/N`, with options that are of no use there; `localhost:3632` is a host
/// like any other.
fn localhost(token: &str) -> Result<Option<(HostEntry, &str)>, Expected> {
    let Some(rest) = token.strip_prefix("localhost") else { return Ok(None) };
    if !(rest.is_empty() || rest.starts_with(['/', ','])) {
        return Ok(None);
    }
    let (slots, rest) = limit(rest, "/")?;
    if rest.starts_with(':') {
        return Ok(None);
    }
    let (_, rest) = options(rest)?;
    Ok(Some((HostEntry::Localhost { slots: slots.unwrap_or(DEFAULT_LOCAL_SLOTS) }, rest)))
}

/// `host[/limit][:port][/limit][,options]`.
fn tcp(token: &str) -> Result<(HostEntry, &str), Expected> {
    let (host, rest, limit_signs) = match token.strip_prefix('[') {
        Some(bracketed) => {
            let (host, rest) =
                bracketed.split_once(']').ok_or("']' after the address that begins with '['")?;
            if !is_ipv6(host) {
                return Err("an IPv6 address between '[' and ']'");
            }
            // Outside the brackets '=' cannot be part of the name.
            (host, rest, "/=")
        }
        None => {
            if is_ipv6(token) {
                return Err("an IPv6 address in brackets, [::1]");
            }
            let (host, rest) = name(token);
            (host, rest, "/")
        }
    };
    if host.is_empty() {
        return Err(EXPECTED_NAME);
    }
    let (first, rest) = limit(rest, limit_signs)?;
    let (port, rest) = port(rest)?;
    let (second, rest) = limit(rest, limit_signs)?;
    let (options, rest) = options(rest)?;
    if options.cpp && !options.lzo {
        return Err("lzo beside cpp: pump mode needs compression");
    }
    let entry = HostEntry::Tcp(TcpHost {
        token: token.to_owned(),
        host: host.to_owned(),
        port: port.unwrap_or(DEFAULT_PORT),
        slots: second.or(first).unwrap_or(DEFAULT_SLOTS),
        options,
    });
    Ok((entry, rest))
}

/// `[user]@host[/limit][:command][,options]`.
fn ssh(token: &str) -> Result<(HostEntry, &str), Expected> {
    let (user, rest) = token.split_once('@').ok_or("'@' after the user's name")?;
    let (host, rest) = name(rest);
    if host.is_empty() {
        return Err(EXPECTED_NAME);
    }
    let (slots, rest) = limit(rest, "/")?;
    let (command, rest) = match rest.strip_prefix(':') {
        Some(rest) => {
            let (command, rest) = rest.split_at(rest.find(',').unwrap_or(rest.len()));
            (Some(command.to_owned()).filter(|command| !command.is_empty()), rest)
        }
        None => (None, rest),
    };
    // ssh reads options behind the host as well, and some of them run programs here.
    if [Some(host), command.as_deref()].into_iter().flatten().any(|word| word.starts_with('-')) {
        return Err(EXPECTED_NO_OPTION);
    }
    let (options, rest) = options(rest)?;
    if options.cpp && !options.lzo {
        return Err("lzo beside cpp: pump mode needs compression");
    }
    let entry = HostEntry::Ssh(SshHost {
        token: token.to_owned(),
        user: Some(user.to_owned()).filter(|user| !user.is_empty()),
        host: host.to_owned(),
        command,
        slots: slots.unwrap_or(DEFAULT_SLOTS),
        options,
    });
    Ok((entry, rest))
}

/// A host name ends at `/`, `:` or `,`; any other character belongs to it, even `=`.
fn name(text: &str) -> (&str, &str) {
    text.split_at(text.find(['/', ':', ',']).unwrap_or(text.len()))
}

/// An IPv6 address, with a scope or without.
fn is_ipv6(text: &str) -> bool {
    let (address, scope) = text.split_once('%').unwrap_or((text, "-"));
    !scope.is_empty() && address.parse::<Ipv6Addr>().is_ok()
}

/// Any number of limits, of which the last counts.
fn limit<'a>(text: &'a str, signs: &str) -> Result<(Option<u16>, &'a str), Expected> {
    let (mut slots, mut rest) = (None, text);
    while let Some(digits) = rest.strip_prefix(|sign| signs.contains(sign)) {
        let (value, after) = number(digits).ok_or(EXPECTED_LIMIT)?;
        (slots, rest) = (Some(value), after);
    }
    Ok((slots, rest))
}

fn port(text: &str) -> Result<(Option<u16>, &str), Expected> {
    let Some(digits) = text.strip_prefix(':') else { return Ok((None, text)) };
    let (port, rest) = number(digits).ok_or(EXPECTED_PORT)?;
    if rest.is_empty() || rest.starts_with(['/', '=', ',']) {
        return Ok((Some(port), rest));
    }
    Err(EXPECTED_PORT)
}

/// A number between 1 and 65535 in plain digits, and what follows.
fn number(text: &str) -> Option<(u16, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    let value = digits.parse().ok().filter(|&value| value > 0)?;
    Some((value, rest))
}

/// Options in any order, some of them perhaps twice.
fn options(text: &str) -> Result<(HostOptions, &str), Expected> {
    let (mut options, mut rest) = (HostOptions::default(), text);
    while let Some(after) = rest.strip_prefix(',') {
        let end = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
        let (option, after) = after.split_at(end);
        rest = after;
        match option {
            "lzo" => options.lzo = true,
            "cpp" => options.cpp = true,
            "down" => options.down = true,
            "auth" => {
                options.auth = true;
                if let Some(name) = after.strip_prefix('=') {
                    rest = &name[name.find(',').unwrap_or(name.len())..];
                }
            }
            _ => return Err(EXPECTED_OPTION),
        }
    }
    if !text.starts_with(',') && !text.is_empty() {
        return Err(EXPECTED_END);
    }
    Ok((options, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A short form of an entry, for the tables.
    fn shown(entry: &HostEntry) -> String {
        let flags = |options: &HostOptions| {
            [
                (options.lzo, ",lzo"),
                (options.cpp, ",cpp"),
                (options.down, ",down"),
                (options.auth, ",auth"),
            ]
            .iter()
            .filter_map(|&(set, text)| set.then_some(text))
            .collect::<String>()
        };
        match entry {
            HostEntry::Localhost { slots } => format!("here/{slots}"),
            HostEntry::Tcp(tcp) => {
                format!("tcp {} {}/{}{}", tcp.host, tcp.port, tcp.slots, flags(&tcp.options))
            }
            HostEntry::Ssh(ssh) => format!(
                "ssh {}@{} {}/{}{}",
                ssh.user.as_deref().unwrap_or("-"),
                ssh.host,
                ssh.command.as_deref().unwrap_or("-"),
                ssh.slots,
                flags(&ssh.options)
            ),
            HostEntry::Zeroconf => "zeroconf".to_owned(),
        }
    }

    fn entries(text: &str) -> String {
        parse(text).entries.iter().map(shown).collect::<Vec<_>>().join("; ")
    }

    #[test]
    fn reads_what_the_original_reads() {
        let cases = [
            ("h", "tcp h 3632/4"),
            ("h/3", "tcp h 3632/3"),
            ("h:1/3", "tcp h 1/3"),
            ("h/3:1", "tcp h 1/3"),
            ("h/3:1/5", "tcp h 1/5"),
            ("[::1]:99/3,lzo", "tcp ::1 99/3,lzo"),
            ("[::1]/3:99", "tcp ::1 99/3"),
            ("[::1]=3", "tcp ::1 3632/3"),
            ("[::1]", "tcp ::1 3632/4"),
            ("[fe80::1%eth0]:3632", "tcp fe80::1%eth0 3632/4"),
            ("10.0.0.1:5,lzo", "tcp 10.0.0.1 5/4,lzo"),
            ("h/3/4", "tcp h 3632/4"),
            ("h=3", "tcp h=3 3632/4"),
            ("h;x", "tcp h;x 3632/4"),
            ("h,lzo", "tcp h 3632/4,lzo"),
            ("h,cpp,lzo", "tcp h 3632/4,lzo,cpp"),
            ("h,lzo,lzo,cpp", "tcp h 3632/4,lzo,cpp"),
            ("h,down", "tcp h 3632/4,down"),
            ("h,auth=me,lzo", "tcp h 3632/4,lzo,auth"),
            ("<invalid>,cpp,lzo", "tcp <invalid> 3632/4,lzo,cpp"),
            ("localhost", "here/2"),
            ("localhost/8", "here/8"),
            ("localhost/3,lzo", "here/3"),
            ("localhost,lzo", "here/2"),
            ("localhost,lzo,cpp", "here/2"),
            ("localhost:3632", "tcp localhost 3632/4"),
            ("localhost/2:3632", "tcp localhost 3632/2"),
            ("localhostfoo", "tcp localhostfoo 3632/4"),
            ("localhost=4", "tcp localhost=4 3632/4"),
            ("127.0.0.1", "tcp 127.0.0.1 3632/4"),
            ("me@h", "ssh me@h -/4"),
            ("@h", "ssh -@h -/4"),
            ("@h:9/3", "ssh -@h 9/3/4"),
            ("me@h/3:/usr/bin/distccd,lzo", "ssh me@h /usr/bin/distccd/3,lzo"),
            ("+zeroconf", "zeroconf"),
            ("a +zeroconf b", "tcp a 3632/4; zeroconf; tcp b 3632/4"),
            ("+zeroconf +zeroconf", "zeroconf"),
            (
                "a # b c\nd#e\n#f\n\t g\r\n\x0bh",
                "tcp a 3632/4; tcp d 3632/4; tcp g 3632/4; tcp h 3632/4",
            ),
            ("--randomize a --localslots=3 --localslots_cpp=9", "tcp a 3632/4"),
            ("--randomize", ""),
            ("", ""),
        ];
        for (text, expected) in cases {
            assert_eq!(entries(text), expected, "{text:?}");
            assert_eq!(parse(text).problems, [], "{text:?}");
        }
    }

    #[test]
    fn reports_what_it_cannot_read_and_keeps_the_rest() {
        let cases = [
            ("h:", EXPECTED_PORT),
            ("h:0", EXPECTED_PORT),
            ("h:70000", EXPECTED_PORT),
            ("h:abc", EXPECTED_PORT),
            ("h/3:99:2", EXPECTED_PORT),
            ("h::1", EXPECTED_PORT),
            ("h:99x", EXPECTED_PORT),
            ("h/-1", EXPECTED_LIMIT),
            ("h/0", EXPECTED_LIMIT),
            ("h/", EXPECTED_LIMIT),
            ("h/x", EXPECTED_LIMIT),
            ("h/99999999999", EXPECTED_LIMIT),
            ("localhost/0", EXPECTED_LIMIT),
            ("[::1]/0", EXPECTED_LIMIT),
            ("::1", "an IPv6 address in brackets, [::1]"),
            ("fe80::1", "an IPv6 address in brackets, [::1]"),
            (":99", EXPECTED_NAME),
            ("/3", EXPECTED_NAME),
            ("[]", "an IPv6 address between '[' and ']'"),
            ("[h]", "an IPv6 address between '[' and ']'"),
            ("[fe80::1%]", "an IPv6 address between '[' and ']'"),
            ("[::1", "']' after the address that begins with '['"),
            ("h,", EXPECTED_OPTION),
            ("h,foo", EXPECTED_OPTION),
            ("h,lzofoo", EXPECTED_OPTION),
            ("h,cpp", "lzo beside cpp: pump mode needs compression"),
            ("u@", EXPECTED_NAME),
            ("u@-oProxyCommand=x", EXPECTED_NO_OPTION),
            ("u@h:-oProxyCommand=x", EXPECTED_NO_OPTION),
            ("--localslots=0", "a number of jobs between 1 and 65535 after '='"),
            ("--localslots", "a number of jobs between 1 and 65535 after '='"),
            ("--localslots_cpp=-3", "a number of jobs between 1 and 65535 after '='"),
            ("--foo", "one of the options --randomize, --localslots=N, --localslots_cpp=N"),
            ("h/4x", EXPECTED_END),
            ("localhost/3x", EXPECTED_END),
            ("[::1]x", EXPECTED_END),
        ];
        for (token, expected) in cases {
            let list = parse(&format!("good\n{token} fine # {token}"));
            let problem = HostProblem { line: 2, token: token.to_owned(), expected };
            assert_eq!(list.problems, [problem], "{token}");
            let kept: Vec<String> = list.entries.iter().map(shown).collect();
            assert_eq!(kept, ["tcp good 3632/4", "tcp fine 3632/4"], "{token}");
        }
    }

    #[test]
    fn uses_a_host_with_something_after_its_options_and_says_so() {
        for (token, entry) in [
            ("h,lzo/4", "tcp h 3632/4,lzo"),
            ("h,lzo:5", "tcp h 3632/4,lzo"),
            ("+zeroconf,lzo", "zeroconf"),
        ] {
            let list = parse(token);
            assert_eq!(list.entries.iter().map(shown).collect::<Vec<_>>(), [entry], "{token}");
            assert_eq!(list.problems.len(), 1, "{token}");
        }
    }

    #[test]
    fn a_blank_after_a_slash_is_a_missing_limit() {
        let list = parse("h/ 3");
        assert_eq!(entries("h/ 3"), "tcp 3 3632/4");
        assert_eq!(list.problems.len(), 1);
    }

    #[test]
    fn reads_the_options_of_the_whole_list() {
        let list = parse("--randomize --localslots=3 --localslots_cpp/9 a");
        assert!(list.randomize);
        assert_eq!((list.localslots, list.localslots_cpp), (Some(3), Some(9)));
    }

    #[test]
    fn refuses_a_list_longer_than_a_mebibyte() {
        let list = parse(&"h ".repeat(MAX_LIST / 2 + 1));
        assert!(list.entries.is_empty());
        assert_eq!(list.problems.len(), 1);
        assert_eq!(parse(&"h ".repeat(MAX_LIST / 2)).problems, []);
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[a-z\\[\\]:/,=@%#+\\-0-9 \n\u{e9}]{0,40}") {
            let _ = parse(&text);
        }
    }
}
