//! One connection, in one direction: opening, vetting, source, slot, compile, answer.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use tokio::sync::OwnedSemaphorePermit;
use tokio::task::spawn_blocking;
use tracing::info;

use super::answer::{Answer, AnswerEnd, AnswerError};
use super::compiler::{self, CompilerError, End, Order, Outcome};
use super::connection::{Connection, ConnectionError, Opening, Stream};
use super::hello;
use super::observe::{Event, JobName, JobRecord, JobResult};
use super::server::{Phase, Programs, Server, reached};
use super::shield::Shield;
use super::workspace::JobDir;
use crate::command::{Admitted, Kind, guarded, may_be_obeyed, names_compiled_header, vet};
use crate::wire::error::DecodeError;
use crate::wire::hello::encode_hello_reply;
use crate::wire::job::Protocol;
use crate::wire::limits::Limits;
use crate::wire::request::{RequestHead, expand_source};
use crate::wire::token::DOTI;

/// Longest name of a file that a compiler is given; a client's name beyond it is not kept.
const MAX_FILE_NAME: usize = 200;
/// A compressed source as it came. No source or object is called so.
const PACKED_FILE: &str = "source.lzo";
/// Why a job ended without an answer from the compiler.
enum JobError {
    /// The client's fault, or simply nothing for us; the connection is closed without a byte, as
    /// the original does it.
    Refused(String),
    /// Nobody is there to answer.
    ClientGone,
    /// A connection that sent nothing.
    Nothing,
    /// Our own fault.
    Failed(String),
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
pub(crate) async fn serve(stream: impl Stream + 'static, client: SocketAddr, server: &Server) {
    let begun = Instant::now();
    let mut connection = Connection::new(stream, server.limits);
    let result = match converse(&mut connection, client, server).await {
        Ok(None) | Err(JobError::Nothing) => None,
        Ok(Some(result)) => Some(result),
        Err(JobError::ClientGone) => Some(JobResult::ClientGone),
        Err(JobError::Refused(reason)) => Some(JobResult::Refused(reason)),
        Err(JobError::Failed(reason)) => Some(JobResult::Failed(reason)),
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
    server: &Server,
) -> Result<Option<JobResult>, JobError> {
    let draining = reached(&server.phase, Phase::Draining);
    let ready = tokio::select! {
        ready = prepare(connection, client, server) => ready?,
        // The client goes elsewhere sooner than we would have a compiler for it.
        () = draining => return Err(JobError::Refused("this server is ending".to_owned())),
    };
    let Some(ready) = ready else {
        server.tell(Event::Greeted(client)).await;
        return Ok(None);
    };
    ready.run(connection, server).await.map(Some)
}

/// What is executed for a job.
struct Program {
    path: PathBuf,
    shield: Shield,
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
    let admitted = vet(&argv).map_err(|refusal| JobError::Refused(refusal.to_string()))?;
    let program = choose_program(&admitted.compiler, server)?;
    let dir = server.workspace.job_dir().map_err(|error| {
        JobError::Failed(format!("cannot make a directory for the job: {error}"))
    })?;
    let source = PathBuf::from(source_name(&admitted));
    let arriving = match protocol {
        Protocol::Plain => &source,
        Protocol::Lzo => Path::new(PACKED_FILE),
    };
    receive(connection, &dir.path().join(arriving)).await?;
    // Only now: a connection that has yet to send something holds no slot.
    let slot = tokio::select! {
        slot = server.slots.clone().acquire_owned() => slot,
        () = connection.departure() => return Err(JobError::ClientGone),
    };
    let slot = slot.map_err(|_| JobError::Refused("this server is ending".to_owned()))?;
    let name = JobName {
        client,
        compiler: String::from_utf8_lossy(&admitted.compiler).into_owned(),
        source: String::from_utf8_lossy(&admitted.source).into_owned(),
    };
    Ok(Some(ReadyJob { name, protocol, program, admitted, dir, source, slot }))
}

/// The file to execute for a compiler's name.
fn choose_program(name: &[u8], server: &Server) -> Result<Program, JobError> {
    let shown = String::from_utf8_lossy(name);
    let inventory = server.inventory.borrow();
    let found = match (server.programs, inventory.resolve(name)) {
        // Over ssh everybody asks for any program, and most of them mean a compiler.
        (Programs::AnyKnownFirst, Some(found)) if found.unchanged() => found,
        (Programs::Any | Programs::AnyKnownFirst, _) => {
            let path = find_program(OsStr::from_bytes(name), &server.surroundings.search_path);
            return Ok(Program { path, shield: Shield::None });
        }
        (Programs::Compilers, Some(found)) => found,
        (Programs::Compilers, None) => {
            return Err(JobError::Refused(format!("no compiler '{shown}' is served")));
        }
    };
    if !found.unchanged() {
        server.rescan.notify_one();
        return Err(JobError::Refused(format!("'{shown}' has changed and is looked at anew")));
    }
    let shield = Shield::against(&found.offered.toolchain);
    Ok(Program { path: found.path.clone(), shield })
}

/// Where the PATH has the program; the bare name, which then cannot be started, if nowhere.
fn find_program(name: &OsStr, search_path: &OsStr) -> PathBuf {
    let bare = Path::new(name);
    if name.as_bytes().contains(&b'/') {
        return bare.to_owned();
    }
    std::env::split_paths(search_path)
        .map(|dir| dir.join(bare))
        .find(|path| path.is_file())
        // `Command` would look along the daemon's own PATH for a name without a slash.
        .unwrap_or_else(|| Path::new("/nonexistent").join(bare))
}

/// What the source is called in its job's directory: as the client calls it, so that diagnostics
/// are alike, with the suffix that tells the compiler what is in it.
fn source_name(admitted: &Admitted) -> String {
    let name = String::from_utf8_lossy(&admitted.source);
    let stem = Path::new(&*name).file_stem().and_then(OsStr::to_str).unwrap_or_default();
    let is_usable = !stem.is_empty()
        && stem.len() <= MAX_FILE_NAME
        && !stem.starts_with('-')
        && !stem.starts_with('@')
        && !stem.contains(|c: char| c.is_control());
    format!("{}{}", if is_usable { stem } else { "source" }, admitted.suffix)
}

/// Puts the source, as it comes, into a file: jobs that wait for a slot hold no memory. The pieces
/// are written by this thread: they go to the page cache, at memory's speed.
async fn receive(connection: &mut Connection, path: &Path) -> Result<(), JobError> {
    let store_error = |error| JobError::from(ConnectionError::Store(error));
    let mut file = create(path).map_err(store_error)?;
    Ok(connection.source(|piece| file.write_all(piece)).await?)
}

fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

impl ReadyJob {
    /// Runs the compiler and then answers; the slot is free again before the answer is sent.
    async fn run(
        self,
        connection: &mut Connection,
        server: &Server,
    ) -> Result<JobResult, JobError> {
        if self.protocol == Protocol::Lzo {
            unpack(self.dir.path(), &self.source, server.limits).await?;
        }
        look_at(self.dir.path().join(&self.source), self.admitted.obeys_directives).await?;
        // Written before the compiler starts, and not by way of the observer: should this process
        // be killed, its log shows what it was at.
        info!(target: "dcc_job_begin", "{}", self.name);
        server.tell(Event::Began(self.name.clone())).await;
        let answer = match self.compile(connection, server).await? {
            Ok(outcome) => Answer::of(outcome, self.dir.path().join(self.object(""))),
            Err(CompilerError::NotStarted(error)) => {
                Answer::not_started(&self.name.compiler, &error)
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
        answer.send(protocol, connection).await?;
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
        let first = compiler::run(order, connection.departure()).await;
        let (Some(shield), Ok(outcome)) = (shield.for_words(), &first) else { return Ok(first) };
        let words = if outcome.stderr.is_empty() || outcome.end == End::TimedOut {
            Ok(Vec::new())
        } else {
            let order = self.order(shield, self.object("again."), server)?;
            compiler::run(order, connection.departure()).await.map(|outcome| outcome.stderr)
        };
        Ok(words.and_then(|stderr| first.map(|outcome| Outcome { stderr, ..outcome })))
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
            args: argv.into_iter().skip(1).chain(options).collect(),
            dir: self.dir.path(),
            surroundings: &server.surroundings,
        })
    }
}

/// Expands the compressed source into its file. Only jobs with a slot do so, which bounds the
/// memory that it takes.
async fn unpack(dir: &Path, source: &Path, limits: Limits) -> Result<(), JobError> {
    let (packed, path) = (dir.join(PACKED_FILE), dir.join(source));
    let store_error = |error| JobError::from(ConnectionError::Store(error));
    // Expanding a large source takes longer than the other connections should wait.
    let unpacked = spawn_blocking(move || {
        let block = fs::read(&packed).map_err(store_error)?;
        let source = expand_source(&block, &limits).map_err(|error| {
            JobError::Refused(format!("cannot read the request: cannot expand DOTI: {error}"))
        })?;
        create(&path).and_then(|mut file| file.write_all(&source)).map_err(store_error)?;
        fs::remove_file(&packed).map_err(store_error)
    });
    unpacked.await.unwrap_or_else(|error| Err(JobError::Failed(error.to_string())))
}

/// Refuses a source that could have the compiler read a file of this machine, and lets none do so
/// whose directives are obeyed. Like [`unpack`] for jobs with a slot only.
async fn look_at(path: PathBuf, obeys_directives: bool) -> Result<(), JobError> {
    let failed = |error: io::Error| JobError::Failed(error.to_string());
    let refused = || JobError::Refused("its source may read files of this machine".to_owned());
    let looked = spawn_blocking(move || {
        let text = fs::read(&path).map_err(failed)?;
        if !obeys_directives {
            return if names_compiled_header(&text) { Err(refused()) } else { Ok(()) };
        }
        let text = guarded(&text).filter(|_| may_be_obeyed(&text)).ok_or_else(refused)?;
        fs::write(&path, text).map_err(failed)
    });
    looked.await.unwrap_or_else(|error| Err(JobError::Failed(error.to_string())))
}
