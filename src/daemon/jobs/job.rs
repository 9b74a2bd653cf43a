//! One connection, in one direction: opening, vetting, source, slot, compile, answer.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Instant;

use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;
use tracing::info;

use super::answer::{Answer, AnswerEnd, AnswerError};
use super::compiler::{self, CompilerError, End, Order, Outcome};
use super::program::{Program, choose_program};
use super::shield::Shield;
use super::source::{PACKED_FILE, look_at, receive, source_name, unpack};
use super::trouble;
use super::workspace::JobDir;
use crate::command::{self, Admitted, Kind, vet};
use crate::daemon::network::connection::{Connection, ConnectionError, Opening, Stream};
use crate::daemon::network::guests::{Progress, Stage};
use crate::daemon::network::hello;
use crate::daemon::report::observe::{Event, JobName, JobRecord, JobResult};
use crate::daemon::server::{Phase, Server, reached};
use crate::wire::error::DecodeError;
use crate::wire::hello::encode_hello_reply;
use crate::wire::job::Protocol;
use crate::wire::refusal::{Refusal, Scope, encode_refusal};
use crate::wire::request::RequestHead;
use crate::wire::token::DOTI;

/// Why a job ended without an answer from the compiler.
pub(super) enum JobError {
    /// The client's fault, or simply nothing for us. The connection is closed without a byte, as
    /// the original does it, but that a client of ours gets to know the reason of every refusal.
    Refused(String),
    /// Its command is not one that runs here.
    Command(command::Refusal),
    /// Its compiler is not served, or not at this moment.
    Compiler(String),
    /// No job is taken at this moment.
    Unavailable(String),
    /// Nobody is there to answer.
    ClientGone,
    /// A connection that sent nothing.
    Nothing,
    /// Our own fault.
    Failed(String),
}

impl JobError {
    /// What a client of ours is told; none where nobody listens.
    fn refusal(&self) -> Option<Refusal> {
        Some(match self {
            Self::Refused(reason) => Refusal::new(Scope::Job, reason),
            Self::Command(refusal) => {
                let scope = refusal.word().map_or(Scope::Job, |word| Scope::Word(word.into()));
                Refusal::new(scope, &refusal.to_string())
            }
            Self::Compiler(reason) => Refusal::new(Scope::Compiler, reason),
            Self::Unavailable(reason) => Refusal::new(Scope::Machine, reason),
            Self::Failed(reason) => Refusal::new(Scope::Fault, reason),
            Self::ClientGone | Self::Nothing => return None,
        })
    }

    /// What the log says of it.
    fn result(self) -> Option<JobResult> {
        match self {
            Self::Refused(reason) | Self::Compiler(reason) | Self::Unavailable(reason) => {
                Some(JobResult::Refused(reason))
            }
            Self::Command(refusal) => Some(JobResult::Refused(refusal.to_string())),
            Self::ClientGone => Some(JobResult::ClientGone),
            Self::Nothing => None,
            Self::Failed(reason) => Some(JobResult::Failed(reason)),
        }
    }
}

impl From<AnswerError> for JobError {
    fn from(error: AnswerError) -> Self {
        match error {
            AnswerError::Connection(error) => error.into(),
            AnswerError::Object(error) => Self::Failed(format!("cannot read the object: {error}")),
            AnswerError::TooLong(error) => Self::Failed(format!("cannot send the answer: {error}")),
        }
    }
}

impl From<ConnectionError> for JobError {
    fn from(error: ConnectionError) -> Self {
        match error {
            ConnectionError::Decode(DecodeError::NoBytes) => Self::Nothing,
            // A stock client whose preprocessor failed leaves in the middle like that.
            ConnectionError::Decode(DecodeError::Truncated { within: DOTI })
            | ConnectionError::Io(_) => Self::ClientGone,
            ConnectionError::Decode(_) | ConnectionError::Stalled(_) => {
                Self::Refused(error.to_string())
            }
            ConnectionError::Store(_) => Self::Failed(error.to_string()),
        }
    }
}

/// Serves one client to its end.
pub(crate) async fn serve(
    stream: impl Stream + 'static,
    client: SocketAddr,
    progress: Progress,
    server: &Server,
) {
    let begun = Instant::now();
    let mut connection = Connection::new(stream, server.limits);
    let result = match converse(&mut connection, client, &progress, server).await {
        Ok(result) => result,
        Err(error) => {
            if let Some(refusal) = error.refusal() {
                connection.refuse(&encode_refusal(&refusal)).await;
            }
            error.result()
        }
    };
    match result {
        Some(result) => {
            server.tell(Event::Ended(JobRecord { client, result, time: begun.elapsed() })).await;
        }
        None => server.tell(Event::Touched(client)).await,
    }
    connection.finish().await;
}

/// The whole conversation; no result for one that was not about a job.
async fn converse(
    connection: &mut Connection,
    client: SocketAddr,
    progress: &Progress,
    server: &Server,
) -> Result<Option<JobResult>, JobError> {
    let draining = reached(&server.phase, Phase::Draining);
    let ready = tokio::select! {
        ready = prepare(connection, client, progress, server) => ready?,
        // The client goes elsewhere sooner than we would have a compiler for it.
        () = draining => return Err(JobError::Unavailable("this server is ending".to_owned())),
    };
    let Some(ready) = ready else {
        server.tell(Event::Greeted(client)).await;
        return Ok(None);
    };
    ready.run(connection, server).await.map(Some)
}

/// Completes when nobody waits for the compiler any more.
async fn unwanted(connection: &mut Connection, server: &Server) {
    tokio::select! {
        () = connection.departure() => {}
        () = reached(&server.phase, Phase::Stopping) => {}
    }
}

/// A job that has all it needs, a slot included.
struct ReadyJob {
    name: JobName,
    protocol: Protocol,
    program: Program,
    admitted: Admitted,
    dir: JobDir,
    source: PathBuf,
    slot: OwnedSemaphorePermit,
}

/// Reads a request, vets it and waits for its slot. None if it was a hello, which is answered.
async fn prepare(
    connection: &mut Connection,
    client: SocketAddr,
    progress: &Progress,
    server: &Server,
) -> Result<Option<ReadyJob>, JobError> {
    let RequestHead { protocol, argv } = match connection.opening().await? {
        Opening::Job(head) => head,
        Opening::Hello => {
            let reply = hello::reply(&server.identity, server.programs, &server.inventory.borrow());
            connection.send(&encode_hello_reply(&reply)).await?;
            return Ok(None);
        }
    };
    let admitted = vet(&argv).map_err(JobError::Command)?;
    let program = choose_program(&admitted.compiler, server)?;
    let dir = server.workspace.job_dir().map_err(|error| {
        JobError::Failed(format!("cannot make a directory for the job: {error}"))
    })?;
    let source = PathBuf::from(source_name(&admitted));
    let arriving = match protocol {
        Protocol::Plain => &source,
        Protocol::Lzo => Path::new(PACKED_FILE),
    };
    progress.reach(Stage::Vetted);
    receive(connection, dir.files(), arriving).await?;
    progress.reach(Stage::Complete);
    // Only now: a connection that has yet to send something holds no slot.
    let slot = tokio::select! {
        slot = server.slots.clone().acquire_owned() => slot,
        () = connection.departure() => return Err(JobError::ClientGone),
    };
    let slot = slot.map_err(|_| JobError::Unavailable("this server is ending".to_owned()))?;
    let name = JobName {
        client,
        compiler: String::from_utf8_lossy(&admitted.compiler).into_owned(),
        source: String::from_utf8_lossy(&admitted.source).into_owned(),
    };
    Ok(Some(ReadyJob { name, protocol, program, admitted, dir, source, slot }))
}

impl ReadyJob {
    /// Runs the compiler and then answers; the slot is free again before the answer is sent.
    async fn run(
        self,
        connection: &mut Connection,
        server: &Server,
    ) -> Result<JobResult, JobError> {
        if self.protocol == Protocol::Lzo {
            let limit = server.limits.expanded_bytes;
            unpack(self.dir.files().clone(), self.source.clone(), limit).await?;
        }
        let obeys_directives = self.admitted.obeys_directives;
        look_at(self.dir.files().clone(), self.source.clone(), obeys_directives).await?;
        // Written before the compiler starts, and not by way of the observer: should this process
        // be killed, its log shows what it was at.
        info!(target: "dcc_job_begin", "{}", self.name);
        server.tell(Event::Began(self.name.clone())).await;
        let answer = match self.compile(connection, server).await? {
            Ok(outcome) => {
                let object = self.dir.files().open(&self.object(""));
                Answer::of(outcome, object, self.protocol, server.limits.object_bytes).await?
            }
            Err(CompilerError::NotStarted(error)) => {
                Answer::not_started(&self.name.compiler, &error)
            }
            Err(CompilerError::ClientGone) if *server.phase.borrow() == Phase::Stopping => {
                return Err(JobError::Failed("this server ended first".to_owned()));
            }
            Err(CompilerError::ClientGone) => return Err(JobError::ClientGone),
            Err(error @ CompilerError::Lost(_)) => return Err(JobError::Failed(error.to_string())),
        };
        let Self { name, protocol, dir: _dir, slot, .. } = self;
        drop(slot);
        if connection.has_extra() {
            server.tell(Event::ExtraBytes(name.client)).await;
        }
        let result = match answer.end {
            AnswerEnd::TimedOut => JobResult::TimedOut(name),
            AnswerEnd::Status(status) => JobResult::Compiled { name, status },
        };
        // Its connection is one that makes room for nobody.
        timeout(server.limits.answer_time, answer.send(protocol, connection)).await.unwrap_or(
            Err(ConnectionError::Stalled("the client to take all of its answer").into()),
        )?;
        Ok(result)
    }

    /// The compiler's result, with words that the client may read.
    async fn compile(
        &self,
        connection: &mut Connection,
        server: &Server,
    ) -> Result<Result<Outcome, CompilerError>, JobError> {
        let shield = self.program.shield.for_command(&self.admitted);
        let order = self.order(shield, self.object(""), server)?;
        let first = self.attempt(order, connection, server).await?;
        let (Some(shield), Ok(outcome)) = (shield.for_words(), &first) else { return Ok(first) };
        let words = if outcome.stderr.is_empty() || outcome.end == End::TimedOut {
            Ok(Vec::new())
        } else {
            let order = self.order(shield, self.object("again."), server)?;
            self.attempt(order, connection, server).await?.map(|outcome| outcome.stderr)
        };
        Ok(words.and_then(|stderr| first.map(|outcome| Outcome { stderr, ..outcome })))
    }

    /// Runs one compiler, and tells what it lacked on this machine from what it says.
    async fn attempt(
        &self,
        order: Order<'_>,
        connection: &mut Connection,
        server: &Server,
    ) -> Result<Result<Outcome, CompilerError>, JobError> {
        let (dir, limit) = (self.dir.path(), server.limits.job_bytes);
        let mut has_outgrown = false;
        let ended = async {
            tokio::select! {
                () = unwanted(connection, server) => {}
                () = trouble::outgrown(dir, limit) => has_outgrown = true,
            }
        };
        let outcome = compiler::run(order, ended).await;
        if has_outgrown || outcome.as_ref().is_ok_and(trouble::wrote_too_much) {
            let reason = format!("its files took more than the {limit} bytes of a job");
            return Err(JobError::Refused(reason));
        }
        match outcome {
            Ok(outcome) => match trouble::found(&outcome, dir) {
                Some(reason) => Err(JobError::Failed(reason)),
                None => Ok(Ok(outcome)),
            },
            Err(CompilerError::NotStarted(error)) if trouble::is_want(&error) => {
                Err(JobError::Failed(format!("cannot start the compiler: {error}")))
            }
            Err(error) => Ok(Err(error)),
        }
    }

    /// The name of what is made, with something before its extension.
    fn object(&self, infix: &str) -> PathBuf {
        let extension = match self.admitted.kind {
            Kind::Object => "o",
            Kind::Assembly => "s",
        };
        self.source.with_extension(format!("{infix}{extension}"))
    }

    fn order<'a>(
        &'a self,
        shield: Shield,
        object: PathBuf,
        server: &'a Server,
    ) -> Result<Order<'a>, JobError> {
        let path = &self.program.path;
        let options = shield.options(path, self.dir.path(), &self.source).map_err(|error| {
            JobError::Failed(format!("cannot shield the files of this machine: {error}"))
        })?;
        let argv = self.admitted.compile_argv(&self.source, &object);
        Ok(Order {
            program: path.clone(),
            // Last, so that no option of the command undoes them.
            args: self.program.args(argv.into_iter().skip(1).chain(options)),
            dir: self.dir.path(),
            environment: &self.program.environment,
            surroundings: &server.surroundings,
        })
    }
}
