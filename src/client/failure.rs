//! Why a command has no result of another machine.

use std::any::Any;
use std::fmt::{self, Display, Formatter};
use std::io;
use std::path::PathBuf;

use crate::command::LocalReason;
use crate::settings::env::VariableProblem;
use crate::wire::error::TooLong;

use super::place::Nowhere;
use super::preprocess::PreprocessFailure;
use super::remote::Reply;

/// Why no host's result can be delivered.
#[derive(Debug)]
pub(super) enum Failure {
    /// The command is one that runs here.
    Local(LocalReason),
    /// The source can only be compiled here.
    LocalSource(&'static str),
    /// One of several sources; a compiler that misses it compiles none of them.
    MissingSource(PathBuf),
    /// The clients for several sources cannot be run.
    Children {
        /// Why.
        error: io::Error,
    },
    /// distccd 3.4 would refuse the job, and no server of ours can take it.
    NoServerOfOurs,
    /// There is no compiler by that name.
    NoCompiler,
    /// A variable without which nothing can be distributed.
    Unusable(VariableProblem),
    /// There is no host list, or no host in it.
    NoHostList,
    /// No host can take the job now.
    Nowhere(Nowhere),
    /// As many hosts as are tried failed; this is the last.
    HostsFailed { host: String },
    /// The preprocessor has no result to send.
    Preprocess(PreprocessFailure),
    /// The source is longer than the protocol can say.
    TooLong(TooLong),
    /// The compiler there reported an error, or died.
    RemoteError { source: PathBuf, host: String, reply: Box<Reply>, said: Vec<u8> },
    /// It succeeded there, with words that only the compiler here says in full.
    Words { host: String },
    /// The object cannot be written; the compiler here will say why in its own words.
    Undeliverable { target: PathBuf, error: io::Error },
    /// A defect of ours.
    Panicked(String),
}

impl Display for Failure {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local(reason) => write!(f, "{reason}"),
            Self::LocalSource(reason) => f.write_str(reason),
            Self::MissingSource(source) => write!(f, "there is no {}", source.display()),
            Self::Children { error } => write!(f, "cannot run a client for each source: {error}"),
            Self::NoServerOfOurs => {
                f.write_str("no server of ours can take it, and others refuse such a job")
            }
            Self::NoCompiler => f.write_str("there is no such compiler here"),
            Self::Unusable(problem) => write!(f, "{problem}"),
            Self::NoHostList => f.write_str("there is no host list"),
            Self::Nowhere(nowhere) => write!(f, "{nowhere}"),
            Self::HostsFailed { host } => write!(f, "no other host is left after {host}"),
            Self::Preprocess(failure) => match failure {
                PreprocessFailure::Failed { code, .. } => {
                    write!(f, "the preprocessor failed, exit code {code}")
                }
                PreprocessFailure::Io { during, error } => write!(f, "{during} failed: {error}"),
                PreprocessFailure::ReadsFile => {
                    f.write_str("the source uses .incbin or .include of the assembler")
                }
                PreprocessFailure::TooLarge { len } => {
                    write!(f, "the preprocessed source has {len} bytes")
                }
            },
            Self::TooLong(too_long) => write!(f, "{too_long}"),
            Self::RemoteError { host, reply, .. } => {
                write!(f, "the compiler on {host} ended with {}", reply.status)
            }
            Self::Words { host } => {
                write!(f, "the compiler on {host} had warnings, which are shown in full here")
            }
            Self::Undeliverable { target, error } => {
                write!(f, "cannot write {}: {error}", target.display())
            }
            Self::Panicked(message) => write!(f, "internal error: {message}"),
        }
    }
}

/// What a panic said.
pub(super) fn panic_text(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_default()
}
