//! The compile farm that needs no administrator: a drop-in replacement for distcc whose machines
//! find each other.
//!
//! Layers; a module imports only lower ranks and its own children, and siblings of one rank never
//! import each other (`tests/layering.rs` checks it):
//!
//! | rank | modules | own |
//! |---|---|---|
//! | 5 | `client`, `agent`, `daemon`, `tools` | the programs |
//! | 4 | `discovery`, `monitor` | who is there, and how it is shown |
//! | 3 | `policy` | which hosts may be used, who may connect |
//! | 2 | `fingerprint` | what a compiler is |
//! | 1 | `wire`, `settings`, `command` | bytes, configuration, compiler command lines |
//! | 0 | `base`, `sys` | plain values, the operating system |

// The client alone is built with the server's half of the option table and of the wire formats.
#![cfg_attr(
    not(feature = "daemon"),
    expect(dead_code, unused_imports, reason = "used by agent and server only")
)]

mod base;
mod client;
mod command;
mod fingerprint;
mod monitor;
mod settings;
mod sys;
mod tools;
mod wire;

#[cfg(feature = "daemon")]
mod agent;
#[cfg(feature = "daemon")]
mod daemon;
#[cfg(feature = "daemon")]
mod discovery;
#[cfg(feature = "daemon")]
mod policy;

pub use client::main as client_main;

/// Runs `distcc-config`.
#[cfg(feature = "daemon")]
#[must_use]
pub fn distcc_config_main() -> std::process::ExitCode {
    tools::config::main()
}

/// Runs `lsdistcc`.
#[must_use]
pub fn lsdistcc_main() -> std::process::ExitCode {
    tools::list::main()
}

/// Runs `distccmon-text`.
#[must_use]
pub fn distccmon_text_main() -> std::process::ExitCode {
    tools::monitor::main()
}

/// Runs `update-distcc-symlinks`.
#[cfg(feature = "daemon")]
#[must_use]
pub fn update_distcc_symlinks_main() -> std::process::ExitCode {
    tools::symlinks::main()
}

/// Runs `distccd`: the compile server, or with `--agent` as its first argument the per-user agent.
#[cfg(feature = "daemon")]
#[must_use]
pub fn distccd_main() -> std::process::ExitCode {
    if std::env::args_os().nth(1).is_some_and(|first| first == "--agent") {
        agent::main()
    } else {
        daemon::main()
    }
}
