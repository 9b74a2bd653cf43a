//! Our own messages: the hello on the job port, and the conversation of client and agent over the
//! agent's Unix socket. The structs here are the format; other modules convert from and to them.
//!
//! **Hello.** A peer that wants to know who we are sends the token `DIST` with [`HELLO_VERSION`]
//! and nothing after it. A stock server closes (it knows versions 1 to 3); ours answers `DONE` with
//! [`HELLO_VERSION`], then the token `HELO` with the length of an encoded [`HelloReply`], then that.
//!
//! **Agent.** Each message is a frame: the length of its body (u32, little endian), then the body.
//! The client's first frame carries [`AGENT_PROTOCOL`]; an agent that speaks another one closes
//! the connection, leaves its socket and ends, so that a fresh one takes over after an upgrade.
//! The place that [`AgentMessage::Placed`] grants is held by the open socket.

use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::codec::MAX_MESSAGE;
use super::refusal::Refusal;
use super::scoped;

/// The protocol version in `DIST` that asks for a hello.
pub(crate) const HELLO_VERSION: u32 = 0xC1;
/// Added to the version of a job's protocol in `DIST`, it asks for the reason of a refusal
/// (`wire::refusal`): 0xC2 is protocol 1, 0xC3 protocol 2. Answers are the same. Only servers with
/// the feature [`GIVES_REASONS`] are asked so.
pub(crate) const ASKS_REASONS: u32 = 0xC1;
/// The largest encoded [`HelloReply`] that is read.
pub(crate) const MAX_HELLO: usize = 1 << 20;
/// The feature of a server that runs more programs than those it names (`--enable-tcp-insecure`).
pub(crate) const ANY_PROGRAM: &str = "any";
/// The feature of a server that says why it refuses a job to whoever asks with [`ASKS_REASONS`].
pub(crate) const GIVES_REASONS: &str = "reasons";
/// Version of the client-agent messages; changed whenever one of them changes.
pub(crate) const AGENT_PROTOCOL: u16 = 4;

/// What a server of ours says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HelloReply {
    /// Node id, as in TXT `id`.
    pub(crate) id: u32,
    /// Changes with every start of the daemon and every change of its compilers.
    pub(crate) generation: u64,
    /// Version of the program.
    pub(crate) version: String,
    /// `lzo`, `hello`, ...: what may be used without asking.
    pub(crate) features: Vec<String>,
    /// Usable cores.
    pub(crate) cores: u16,
    /// Jobs it runs at once.
    pub(crate) jobs: u16,
    /// Every compiler offered.
    pub(crate) compilers: Vec<CompilerRecord>,
}

/// One offered compiler: a toolchain and the names under which a job may ask for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CompilerRecord {
    /// Names, the default one first: `gcc`, `gcc-12`, `x86_64-linux-gnu-gcc-12`.
    pub(crate) names: Vec<String>,
    /// True for a driver that takes C files as C++ (`g++`, `clang++`).
    pub(crate) cxx: bool,
    /// What it is.
    pub(crate) toolchain: ToolchainRecord,
}

/// `fingerprint::Toolchain` on the wire and on disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ToolchainRecord {
    /// `gcc`, `clang`, or the bare program name of any other family.
    pub(crate) family: String,
    /// Full version, `12.2.0`.
    pub(crate) version: String,
    /// As the compiler prints it, `x86_64-linux-gnu`.
    pub(crate) target: String,
    /// Version of the external assembler, `2.40`; none where none runs.
    pub(crate) assembler: Option<String>,
    /// Who built it, `Debian`; empty when unknown.
    pub(crate) distributor: String,
    /// The distributor's package revision, `12.2.0-14+deb12u1`; empty when unknown.
    pub(crate) revision: String,
    /// The configure words that change defaults, sorted.
    pub(crate) configure: Vec<String>,
    /// Digest over driver, compilers proper and assembler; all zero when unknown (a stock peer).
    pub(crate) digest: [u8; 16],
    /// What it writes into `.comment`, `GCC: (Debian 12.2.0-14+deb12u1) 12.2.0`; empty when unknown.
    pub(crate) ident: String,
}

/// From a client to its agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum ClientMessage {
    /// Always first. Answered by [`AgentMessage::Welcome`].
    Hello {
        /// [`AGENT_PROTOCOL`].
        protocol: u16,
    },
    /// Asks for a place for a job that may travel. Answered by `Placed` or `Local`. May be sent
    /// again after a [`ClientMessage::Report`].
    Place(PlaceRequest),
    /// Asks for a slot of this machine, for a command that does not travel. Answered by `Local`.
    LocalPlace {
        /// What the slot is for.
        purpose: LocalPurpose,
        /// `--localslots` or `--localslots_cpp` of the host list, if given there.
        limit: Option<u16>,
    },
    /// Preprocessing has ended: the local slot that came with the place is free again. Not answered.
    Preprocessed,
    /// How the job at the granted place ended; the place is free again. Not answered.
    Report(JobReport),
    /// Asks what [`HostLine`]s the host list stands for. Answered by `Hosts`.
    ShowHosts(ShowRequest),
    /// The [`Hint`] that came with a place was shown to the user. Not answered.
    HintShown {
        /// [`Hint::network`].
        network: String,
    },
    /// Asks for the remembered networks, after doing this to them. Answered by `Networks`.
    Networks(NetworksOrder),
}

/// What is to be done to the remembered networks before they are listed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum NetworksOrder {
    /// Nothing.
    List,
    /// Trust every network that this machine is on now.
    TrustCurrent,
    /// Trust the one of this name, [`NetworkLine::name`].
    Trust(String),
    /// Trust every network, also those yet to come, as the original does.
    TrustAll,
    /// Trust the one of this name no longer; `all` ends [`Self::TrustAll`].
    Forget(String),
}

/// What a slot of the local machine is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum LocalPurpose {
    /// A whole compile, link or anything else that runs the compiler.
    Compile,
    /// Preprocessing only.
    Preprocess,
}

/// A job in search of a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PlaceRequest {
    /// The host list.
    pub(crate) hosts: HostsText,
    /// The compiler that the job names.
    pub(crate) compiler: CompilerQuery,
    /// `key`s of [`Placement`]s where this job has failed already.
    pub(crate) avoid: Vec<u64>,
    /// `$DISTCC_POLICY` of the client.
    pub(crate) policy: Option<String>,
    /// False with `DISTCC_FALLBACK=0`: better wait for a host than fail.
    pub(crate) may_fall_back: bool,
    /// True if what comes back will carry no compiler's mark that could be checked (`-fno-ident`,
    /// `-Qn`, `-S`): it goes only where the toolchain is certain.
    pub(crate) unmarked: bool,
    /// True if only a daemon of ours takes this job: distccd 3.4 refuses one of its options.
    pub(crate) only_ours: bool,
    /// For hosts reached by ssh.
    pub(crate) ssh: SshClient,
    /// `$DISTCC_BACKOFF_PERIOD` of the client: for so long a host whose jobs failed is left out.
    pub(crate) backoff: Duration,
}

/// How this client would call ssh, which the agent does in its stead.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct SshClient {
    /// `$DISTCC_SSH`.
    pub(crate) program: Option<String>,
    /// `$SSH_AUTH_SOCK`.
    pub(crate) auth_sock: Option<Vec<u8>>,
}

/// A host list as the user wrote it; the agent parses it with `settings::hosts`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct HostsText {
    /// `$DISTCC_HOSTS` or the path of a hosts file.
    pub(crate) origin: String,
    /// Its contents.
    pub(crate) text: String,
}

/// A local compiler, as the client found it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct CompilerQuery {
    /// Absolute path of the file that the client would run, masquerade links looked through.
    pub(crate) path: Vec<u8>,
    /// The client's PATH: the driver may find its assembler there.
    pub(crate) search_path: Vec<u8>,
    /// The name as the job has it, `gcc` or `/usr/bin/gcc`.
    pub(crate) name: Vec<u8>,
}

/// How a job at a granted place ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum JobReport {
    /// The host ran the compiler, whatever the compiler said.
    Ran(Transfer),
    /// The host could not be reached, broke off, or answered nonsense: `reason` is for people.
    HostFailed {
        /// A lowercase fragment.
        reason: String,
    },
    /// The host closed before its first byte: it refuses this job (option, name or client).
    Refused,
    /// The host is one of ours and says why it does not take this job.
    Declined(Refusal),
    /// The object came from another compiler than the one that was promised.
    WrongCompiler {
        /// The `.comment` strings found.
        found: String,
    },
    /// The object was for another machine than the target of the compiler.
    WrongMachine {
        /// For which, `for aarch64 (64-bit, little-endian)`.
        found: String,
    },
    /// The client gave up for its own reasons (its preprocessor failed, it was interrupted).
    Abandoned,
}

/// How the bytes of a job went over the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Transfer {
    /// The address that took the job, if it went over TCP.
    #[serde(with = "scoped::maybe")]
    pub(crate) addr: Option<SocketAddr>,
    /// Bytes that the other end acknowledged; 0 if nothing was measured.
    pub(crate) acked: u64,
    /// For how long the network, not the other end, held bytes back, in microseconds.
    pub(crate) busy_us: u64,
}

/// A question for the list of hosts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ShowRequest {
    /// The host list.
    pub(crate) hosts: HostsText,
    /// The local compilers to judge hosts for; at least one.
    pub(crate) compilers: Vec<CompilerQuery>,
    /// `$DISTCC_POLICY` of the client.
    pub(crate) policy: Option<String>,
    /// As in [`PlaceRequest::backoff`].
    pub(crate) backoff: Duration,
    /// For hosts reached by ssh.
    pub(crate) ssh: SshClient,
}

/// From the agent to a client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum AgentMessage {
    /// The agent speaks this protocol.
    Welcome {
        /// [`AGENT_PROTOCOL`].
        protocol: u16,
    },
    /// The job may go there; a local preprocessing slot is granted with it.
    Placed(Box<Placement>),
    /// The job is to run here; a local slot is granted with it.
    Local(LocalPlace),
    /// One line a host and compiler.
    Hosts(HostsAnswer),
    /// The remembered networks.
    Networks(NetworksAnswer),
    /// May come at any time after a `Placed`: the host of that place is lost, and what was sent
    /// there is not waited for.
    Recalled {
        /// [`Placement::key`]; a client that has given that place back does nothing.
        key: u64,
        /// Why, a lowercase fragment.
        reason: String,
    },
}

/// Where a job goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Placement {
    /// Names the host within this agent; for [`PlaceRequest::avoid`].
    pub(crate) key: u64,
    /// For messages and logs: the token of the host list, or `10.77.0.2:3632` of a discovered host.
    pub(crate) host: String,
    /// Numeric addresses, the best first.
    #[serde(with = "scoped")]
    pub(crate) addrs: Vec<SocketAddr>,
    /// Protocol version 1, or 2 (LZO).
    pub(crate) protocol: u32,
    /// The compiler's name to send.
    pub(crate) compiler: Vec<u8>,
    /// What `.comment` of an ELF object from there must hold; none where nothing is known.
    pub(crate) ident: Option<String>,
    /// The target of the local compiler as it prints it, `x86_64-linux-gnu`; empty if unknown.
    pub(crate) target: String,
    /// The compiler there has another target, which the policy allows: clang can be told this one.
    pub(crate) foreign: bool,
    /// Family and version of the local compiler, `gcc 12.2.0`; empty if unknown.
    pub(crate) maker: Box<str>,
    /// The daemon there is one of ours; false for a stock one and where that is not known.
    pub(crate) ours: bool,
    /// The daemon there says why it refuses a job.
    pub(crate) gives_reasons: bool,
    /// Words that it has refused in commands for this compiler: a job with one of them is not for
    /// this host.
    pub(crate) refused_words: Vec<Vec<u8>>,
    /// The way there if it is not TCP; `addrs` is empty then.
    pub(crate) ssh: Option<SshRoute>,
    /// As in [`LocalPlace::warnings`].
    pub(crate) warnings: Vec<String>,
    /// Tells this user's jobs there apart, for monitors: the lowest number that is free.
    pub(crate) slot: u16,
    /// [`LocalPlace::slot`] of the preprocessing slot.
    pub(crate) local_slot: u16,
}

/// How a host is reached by ssh.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SshRoute {
    /// The user there; the ssh program's default if none.
    pub(crate) user: Option<String>,
    /// Host name, as ssh's configuration may have it.
    pub(crate) host: String,
    /// What to run there; `distccd` if none.
    pub(crate) command: Option<String>,
    /// The socket of a connection that the agent keeps open for all jobs, if there is one.
    pub(crate) control_path: Option<Vec<u8>>,
}

/// Permission to run a command on this machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LocalPlace {
    /// Why here, a lowercase fragment: `no host in the list can take it`.
    pub(crate) reason: String,
    /// Something the user should see at least once (a policy that does not parse, a hosts file
    /// with an error): whole sentences, shown as warnings. The agent sends each at most once a
    /// minute, so that a build of a thousand files does not repeat it a thousand times.
    pub(crate) warnings: Vec<String>,
    /// True if `localhost` was chosen from the host list: not a fallback, never refused by
    /// `DISTCC_FALLBACK=0`.
    pub(crate) listed: bool,
    /// Something to show on the user's terminal, once in its life.
    pub(crate) hint: Option<Hint>,
    /// Tells this user's jobs here apart, for monitors: the lowest number that is free.
    pub(crate) slot: u16,
}

/// One line for the user's terminal; given again until a client says that it was shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Hint {
    /// Name of the network that it is about.
    pub(crate) network: String,
    /// A whole sentence.
    pub(crate) text: String,
}

/// Answer to [`ClientMessage::Networks`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NetworksAnswer {
    /// The networks this machine is on and those remembered, the current ones first.
    pub(crate) lines: Vec<NetworkLine>,
    /// Every network is trusted ([`NetworksOrder::TrustAll`]).
    pub(crate) trust_all: bool,
    /// What could not be done, whole sentences.
    pub(crate) problems: Vec<String>,
}

/// One network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NetworkLine {
    /// `192.168.1.0/24@aa:bb:cc:dd:ee:ff`: a prefix and the gateway's hardware address.
    pub(crate) name: String,
    /// Names of the interfaces by which this machine is on it now; none if it is not.
    pub(crate) interfaces: Vec<String>,
    /// Discovered hosts there get jobs.
    pub(crate) trusted: bool,
    /// Discovered hosts there now, or remembered for the return.
    pub(crate) hosts: u32,
    /// Why it is (not) trusted, a lowercase fragment: `the first one used`, `new network`.
    pub(crate) reason: String,
}

/// Answer to [`ClientMessage::ShowHosts`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HostsAnswer {
    /// Hosts in the order of the list, discovered ones where `+zeroconf` stands.
    pub(crate) lines: Vec<HostLine>,
    /// What each asked compiler was found to be (`gcc 12.2.0 x86_64-linux-gnu, as 2.40`), or why
    /// that could not be told; in the order of the request.
    pub(crate) compilers: Vec<String>,
    /// The policy in force: a path or `built in`.
    pub(crate) policy: String,
    /// Errors in the host list or the policy, with file, line and what was expected.
    pub(crate) problems: Vec<String>,
    /// Hosts that were announced but never answered, beyond those in `lines`.
    pub(crate) unanswered: u32,
}

/// One host as seen for one compiler.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HostLine {
    /// Token of the host list, or `10.77.0.2:3632/4,lzo` of a discovered host.
    pub(crate) token: String,
    /// Host name as advertised or written.
    pub(crate) name: String,
    /// The address in use, or why there is none.
    pub(crate) addr: String,
    /// `zeroconf` or `hosts`.
    pub(crate) source: String,
    /// Jobs it takes at once.
    pub(crate) slots: u16,
    /// For each compiler of the request: may it be used?
    pub(crate) verdicts: Vec<VerdictLine>,
}

/// May this host be used for this compiler, and what decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct VerdictLine {
    /// May be used.
    pub(crate) usable: bool,
    /// The toolchain there that decided, `gcc 11.3.0 x86_64-linux-gnu, as 2.40`; empty if unknown.
    pub(crate) toolchain: String,
    /// `gcc 12.2.0 here, 11.3.0 there`, `denied by rule 2 (host=laptop-*)`, `same toolchain as gcc-12`.
    pub(crate) reason: String,
}

/// Why a frame cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FrameTooLong {
    /// The length that was announced.
    pub(crate) len: u32,
}

/// Length of a frame's header in bytes.
pub(crate) const FRAME_HEADER: usize = 4;

/// The length of the body that follows `header`.
pub(crate) fn frame_len(header: [u8; FRAME_HEADER]) -> Result<usize, FrameTooLong> {
    let len = u32::from_le_bytes(header);
    match usize::try_from(len) {
        Ok(body) if body <= MAX_MESSAGE => Ok(body),
        _ => Err(FrameTooLong { len }),
    }
}

/// Header and body of one message.
pub(crate) fn frame<T: Serialize>(message: &T) -> Result<Vec<u8>, super::codec::CodecError> {
    let body = super::codec::encode(message)?;
    let len = u32::try_from(body.len()).expect("the codec's limit is below 4 GiB");
    let mut frame = Vec::with_capacity(FRAME_HEADER + body.len());
    frame.extend_from_slice(&len.to_le_bytes());
    frame.extend_from_slice(&body);
    Ok(frame)
}
