//! The compile client: from a command line to an exit code, without a runtime.
//!
//! `invocation` tells how we were called, `pipeline` decides what becomes of one command, `job`
//! is its way to another machine, top to bottom: `place` (asked over `agent_link`, or `static_hosts` without an agent), `preprocess`, `remote`
//! (over `connect`, under the eyes of `watch`), `deliver`, or else `local`. `native` says for other
//! machines what this processor is, `naming` what a host is asked for without an agent; `ask` asks
//! compilers. `state` is what monitors see. `questions` and `help`
//! answer questions about ourselves; `terminal` has a word for the person at it. One thread, which
//! sleeps in one call at a time; a child process preprocesses while the connection is made. Nothing
//! here judges a host or a toolchain: the agent does.

mod agent_link;
mod ask;
mod child;
mod compiler;
mod connect;
mod deliver;
mod failure;
mod help;
mod invocation;
mod job;
mod local;
mod log;
mod naming;
mod native;
mod obstacles;
mod once;
mod pipeline;
mod place;
mod preprocess;
mod questions;
mod remote;
mod session;
mod several;
mod ssh;
mod start;
mod state;
mod static_hosts;
mod terminal;
mod text;
mod watch;
mod words;

pub use start::main;
