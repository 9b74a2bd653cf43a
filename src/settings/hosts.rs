//! The host list: the original's grammar (distcc 3.4, `hosts.c`) as a value.

use std::time::Duration;

/// Slots of a TCP host that does not say.
pub(crate) const DEFAULT_SLOTS: u16 = 4;
/// Slots of `localhost` that does not say.
pub(crate) const DEFAULT_LOCAL_SLOTS: u16 = 2;
/// distcc's registered port.
pub(crate) const DEFAULT_PORT: u16 = 3632;
/// For how long a host that failed is left out, `DISTCC_BACKOFF_PERIOD`.
pub(crate) const DEFAULT_BACKOFF: Duration = Duration::from_secs(60);

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
