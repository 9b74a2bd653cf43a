//! The real programs on this machine, each test in directories of its own: our client with the
//! real compilers, against the original's server or none. No agent takes part unless a test says
//! so.
#![expect(clippy::unwrap_used, reason = "what goes wrong in a helper fails its test")]

#[path = "../common/long.rs"]
mod long;
#[path = "../common/skip.rs"]
mod skip;

mod answers;
mod bench;
mod calls;
mod check;
mod compilers;
mod config;
mod daemon;
mod differences;
mod endings;
mod hosts;
mod inetd;
mod interrupted;
mod limits;
mod lines;
mod monitor;
mod naming;
mod native;
mod outputs;
mod readme;
mod results;
mod running;
mod stats;
mod variables;
mod week;
mod words;
