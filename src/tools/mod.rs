//! The small programs beside client and server: `distccmon-text` (`monitor`), `lsdistcc` (`list`),
//! `distcc-config` (`config`), `update-distcc-symlinks` (`symlinks`). None of them starts anything
//! that stays.

#[cfg(feature = "daemon")]
mod compilers;
#[cfg(feature = "daemon")]
pub(crate) mod config;
pub(crate) mod list;
pub(crate) mod monitor;
#[cfg(feature = "daemon")]
pub(crate) mod symlinks;

use std::env::consts::ARCH;

/// `--version` of `program`, as the client says its own.
fn version(program: &str) -> String {
    let version = env!("CARGO_PKG_VERSION");
    format!("{program} {version} {ARCH}-linux-gnu\n")
}
