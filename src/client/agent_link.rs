//! The conversation with the agent (`wire::control`), and how an agent is started.

use std::env;
use std::ffi::OsStr;
use std::fmt::{self, Display, Formatter};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};

use crate::wire::codec;
use crate::wire::control::{
    AGENT_PROTOCOL, AgentMessage, ClientMessage, FRAME_HEADER, HostsAnswer, JobReport, LocalPlace,
    LocalPurpose, NetworksAnswer, NetworksOrder, PlaceRequest, Placement, ShowRequest, frame,
    frame_len,
};

use super::compiler::is_executable;

/// How long a greeting may take. The agent greets before it thinks; only a dead or stopped one
/// takes longer.
const GREETING_DEADLINE: Duration = Duration::from_secs(10);

/// How long a started agent may take until its socket is bound, in milliseconds as poll(2) counts.
const START_DEADLINE: u16 = 5000;

/// Of what an agent says when it cannot start, no more is read, in bytes.
const MAX_SAID: u64 = 1024;

/// Why the agent is of no use.
#[derive(Debug)]
pub(super) enum AgentError {
    /// Nothing can be said to it or heard from it.
    Io(io::Error),
    /// It closed: it has ended, or speaks another protocol.
    Closed,
    /// It listens as another user.
    Stranger {
        /// That user.
        uid: u32,
    },
    /// What came is not what was asked for.
    Garbled,
    /// Neither `DISTCC_DIR` nor `HOME` says where its socket is.
    NoDirectory,
    /// There is no `distccd` beside us or on PATH.
    NoProgram,
    /// `distccd --agent` ended without success, or did not become ready.
    NotReady {
        /// Its exit code, if it ended.
        code: Option<i32>,
        /// What it said about it; may be empty.
        said: String,
    },
}

impl Display for AgentError {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(f, "{error}"),
            Self::Closed => f.write_str("it closed the connection"),
            Self::Stranger { uid } => write!(f, "it runs as user {uid}, not as this one"),
            Self::Garbled => f.write_str("its answer makes no sense"),
            Self::NoDirectory => f.write_str("neither DISTCC_DIR nor HOME is set"),
            Self::NoProgram => f.write_str("there is no distccd beside distcc or on PATH"),
            Self::NotReady { said, .. } if !said.is_empty() => f.write_str(said),
            Self::NotReady { code: Some(code), .. } => {
                write!(f, "distccd --agent exited with {code}")
            }
            Self::NotReady { code: None, .. } => {
                f.write_str("distccd --agent did not become ready")
            }
        }
    }
}

impl From<io::Error> for AgentError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// What the agent decided on a job.
#[derive(Debug)]
pub(super) enum Grant {
    /// It may go there; a local preprocessing slot comes with it.
    Remote(Placement),
    /// It is to run here; a local slot comes with it.
    Local(LocalPlace),
}

/// A connection to the agent. What it granted is held as long as this value lives.
#[derive(Debug)]
pub(super) struct AgentLink {
    stream: UnixStream,
    /// What is to be written with the next question, the greeting first.
    outgoing: Vec<u8>,
    greeted: bool,
}

impl AgentLink {
    /// Connects to an agent that runs.
    pub(super) fn connect(socket: &Path) -> Result<Self, AgentError> {
        Self::over(UnixStream::connect(socket)?)
    }

    /// Starts an agent, unless another client was faster, and connects to it.
    pub(super) fn start(socket: &Path, search_path: &OsStr) -> Result<Self, AgentError> {
        start_agent(search_path)?;
        Self::connect(socket)
    }

    pub(super) fn over(stream: UnixStream) -> Result<Self, AgentError> {
        let uid = getsockopt(&stream, PeerCredentials).map_err(io::Error::from)?.uid();
        if uid != nix::unistd::geteuid().as_raw() {
            return Err(AgentError::Stranger { uid });
        }
        let mut link = Self { stream, outgoing: Vec::new(), greeted: false };
        link.queue(&ClientMessage::Hello { protocol: AGENT_PROTOCOL })?;
        Ok(link)
    }

    /// Asks for a place, and sleeps until there is one.
    pub(super) fn place(&mut self, request: PlaceRequest) -> Result<Grant, AgentError> {
        self.queue(&ClientMessage::Place(request))?;
        match self.answer()? {
            AgentMessage::Placed(placement) => Ok(Grant::Remote(*placement)),
            AgentMessage::Local(place) => Ok(Grant::Local(place)),
            _ => Err(AgentError::Garbled),
        }
    }

    /// Asks for a slot of this machine, and sleeps until there is one.
    pub(super) fn local_place(
        &mut self,
        purpose: LocalPurpose,
        limit: Option<u16>,
    ) -> Result<LocalPlace, AgentError> {
        self.queue(&ClientMessage::LocalPlace { purpose, limit })?;
        match self.answer()? {
            AgentMessage::Local(place) => Ok(place),
            _ => Err(AgentError::Garbled),
        }
    }

    /// Gives the preprocessing slot back.
    pub(super) fn preprocessed(&mut self) -> Result<(), AgentError> {
        self.queue(&ClientMessage::Preprocessed)?;
        self.flush()
    }

    /// Tells how the job ended, and gives its place back.
    pub(super) fn report(&mut self, report: JobReport) -> Result<(), AgentError> {
        self.queue(&ClientMessage::Report(report))?;
        self.flush()
    }

    /// Asks what the host list stands for.
    pub(super) fn show_hosts(&mut self, request: ShowRequest) -> Result<HostsAnswer, AgentError> {
        self.queue(&ClientMessage::ShowHosts(request))?;
        match self.answer()? {
            AgentMessage::Hosts(answer) => Ok(answer),
            _ => Err(AgentError::Garbled),
        }
    }

    /// Readable when it says something unasked, and when it has ended.
    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }

    /// Reads what it says unasked: which placement is lost, by its key, and why.
    pub(super) fn recalled(&mut self) -> Result<(u64, String), AgentError> {
        // A job must not hang because an agent was stopped in the middle of a word.
        self.stream.set_read_timeout(Some(GREETING_DEADLINE))?;
        let heard = self.receive();
        self.stream.set_read_timeout(None)?;
        match heard? {
            AgentMessage::Recalled { key, reason } => Ok((key, reason)),
            _ => Err(AgentError::Garbled),
        }
    }

    /// Asks for the networks, after doing this to them.
    pub(super) fn networks(&mut self, order: NetworksOrder) -> Result<NetworksAnswer, AgentError> {
        self.queue(&ClientMessage::Networks(order))?;
        match self.answer()? {
            AgentMessage::Networks(answer) => Ok(answer),
            _ => Err(AgentError::Garbled),
        }
    }

    /// Tells that the user has seen the hint about this network.
    pub(super) fn hint_shown(&mut self, network: String) -> Result<(), AgentError> {
        self.queue(&ClientMessage::HintShown { network })?;
        self.flush()
    }

    fn queue(&mut self, message: &ClientMessage) -> Result<(), AgentError> {
        self.outgoing.extend(frame(message).map_err(|_| AgentError::Garbled)?);
        Ok(())
    }

    fn flush(&mut self) -> Result<(), AgentError> {
        self.stream.write_all(&self.outgoing).map_err(closed_or_io)?;
        self.outgoing.clear();
        Ok(())
    }

    /// The answer to what is queued. The greeting goes with the first question, to save a round
    /// trip, and has a deadline; a place may take as long as it takes.
    fn answer(&mut self) -> Result<AgentMessage, AgentError> {
        self.flush()?;
        if !self.greeted {
            self.stream.set_read_timeout(Some(GREETING_DEADLINE))?;
            let welcome = self.receive()?;
            self.stream.set_read_timeout(None)?;
            if welcome != (AgentMessage::Welcome { protocol: AGENT_PROTOCOL }) {
                return Err(AgentError::Closed);
            }
            self.greeted = true;
        }
        loop {
            match self.receive()? {
                // The place before this question was lost after the job had left it.
                AgentMessage::Recalled { .. } => {}
                answer => return Ok(answer),
            }
        }
    }

    fn receive(&mut self) -> Result<AgentMessage, AgentError> {
        let mut header = [0; FRAME_HEADER];
        self.stream.read_exact(&mut header).map_err(closed_or_io)?;
        let len = frame_len(header).map_err(|_| AgentError::Garbled)?;
        let mut body = vec![0; len];
        self.stream.read_exact(&mut body).map_err(closed_or_io)?;
        codec::decode(&body).map_err(|_| AgentError::Garbled)
    }
}

fn closed_or_io(error: io::Error) -> AgentError {
    match error.kind() {
        io::ErrorKind::UnexpectedEof
        | io::ErrorKind::BrokenPipe
        | io::ErrorKind::ConnectionReset => AgentError::Closed,
        _ => AgentError::Io(error),
    }
}

/// Runs `distccd --agent`, which detaches once its socket is bound; its exit is the sign.
fn start_agent(search_path: &OsStr) -> Result<(), AgentError> {
    let program = agent_program(search_path).ok_or(AgentError::NoProgram)?;
    let mut child = Command::new(program)
        .arg("--agent")
        .env_remove("MAKEFLAGS")
        .env_remove("MFLAGS")
        .env_remove("MAKELEVEL")
        .env_remove("_DISTCC_SAFEGUARD")
        // A build may have a temporary directory of its own, which the agent outlives.
        .env_remove("TMPDIR")
        .env_remove("TMP")
        .env_remove("TEMP")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    // Its end of the pipe closes when it exits, which poll can wait for with a deadline.
    let ended = child.stdout.take().is_none_or(|pipe| {
        let mut fds = [PollFd::new(pipe.as_fd(), PollFlags::POLLIN)];
        matches!(poll(&mut fds, PollTimeout::from(START_DEADLINE)), Ok(1..))
    });
    if !ended {
        return Err(AgentError::NotReady { code: None, said: String::new() });
    }
    let status = child.wait()?;
    if status.success() {
        return Ok(());
    }
    let mut said = String::new();
    if let Some(stderr) = child.stderr.take() {
        let _ = stderr.take(MAX_SAID).read_to_string(&mut said);
    }
    Err(AgentError::NotReady { code: status.code(), said: said.trim_end().to_owned() })
}

/// The `distccd` beside our own file, else the one on PATH.
fn agent_program(search_path: &OsStr) -> Option<PathBuf> {
    let beside = env::current_exe().ok().map(|ours| ours.with_file_name("distccd"));
    beside
        .into_iter()
        .chain(env::split_paths(search_path).map(|element| element.join("distccd")))
        .find(|path| is_executable(path))
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;
    use std::thread;

    use serde::de::DeserializeOwned;

    use super::*;

    fn read_frame<T: DeserializeOwned>(stream: &mut UnixStream) -> T {
        let mut header = [0; FRAME_HEADER];
        stream.read_exact(&mut header).unwrap();
        let mut body = vec![0; frame_len(header).unwrap()];
        stream.read_exact(&mut body).unwrap();
        codec::decode(&body).unwrap()
    }

    /// Runs `agent` on the other end of one connection and `client` on ours.
    fn converse<R>(
        agent: impl FnOnce(&mut UnixStream) + Send + 'static,
        client: impl FnOnce(AgentLink) -> R,
    ) -> R {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let agent = thread::spawn(move || agent(&mut listener.accept().unwrap().0));
        let result = client(AgentLink::connect(&socket).unwrap());
        agent.join().unwrap();
        result
    }

    fn say(stream: &mut UnixStream, message: &AgentMessage) {
        stream.write_all(&frame(message).unwrap()).unwrap();
    }

    fn greet(stream: &mut UnixStream) {
        let hello: ClientMessage = read_frame(stream);
        assert_eq!(hello, ClientMessage::Hello { protocol: AGENT_PROTOCOL });
        say(stream, &AgentMessage::Welcome { protocol: AGENT_PROTOCOL });
    }

    #[test]
    fn greets_first_and_gets_a_local_slot() {
        let local = LocalPlace {
            reason: "asked for".into(),
            warnings: Vec::new(),
            listed: false,
            hint: None,
            slot: 0,
        };
        let granted = local.clone();
        let place = converse(
            move |stream| {
                greet(stream);
                let asked: ClientMessage = read_frame(stream);
                let purpose = LocalPurpose::Compile;
                assert_eq!(asked, ClientMessage::LocalPlace { purpose, limit: Some(3) });
                say(stream, &AgentMessage::Local(granted));
            },
            |mut link| link.local_place(LocalPurpose::Compile, Some(3)).unwrap(),
        );
        assert_eq!(place, local);
    }

    #[test]
    fn an_agent_of_another_protocol_is_closed_not_garbled() {
        let error = converse(
            |stream| say(stream, &AgentMessage::Welcome { protocol: AGENT_PROTOCOL + 1 }),
            |mut link| link.local_place(LocalPurpose::Compile, None).unwrap_err(),
        );
        assert!(matches!(error, AgentError::Closed), "{error:?}");
        let error =
            converse(|_| {}, |mut link| link.local_place(LocalPurpose::Compile, None).unwrap_err());
        assert!(matches!(error, AgentError::Closed), "{error:?}");
    }

    #[test]
    fn an_answer_to_another_question_is_garbled() {
        let error = converse(
            |stream| {
                greet(stream);
                say(stream, &AgentMessage::Welcome { protocol: AGENT_PROTOCOL });
            },
            |mut link| link.local_place(LocalPurpose::Compile, None).unwrap_err(),
        );
        assert!(matches!(error, AgentError::Garbled), "{error:?}");
    }
}
