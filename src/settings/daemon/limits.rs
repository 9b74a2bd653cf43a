//! How much a client may ask of the server.

use std::time::Duration;

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// The limits of one daemon, each with a name that `distccd.toml`, `--limit` and `--check` share:
/// the field's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ServerLimits {
    /// Connections open at once, of all clients.
    pub(crate) connections: usize,
    /// Connections open at once of one address, jobs that compile included.
    pub(crate) connections_per_address: usize,
    /// Connections of one address whose request is not complete; one more ends the one of them
    /// whose request has come least far. A stock client has one open for each job that it still
    /// preprocesses.
    pub(crate) incomplete_per_address: usize,
    /// From the connection to the complete command line.
    pub(crate) head_time: Duration,
    /// From the command line to the source's first byte: stock clients connect while their
    /// preprocessor still runs.
    pub(crate) first_byte_time: Duration,
    /// Without a byte of the source, or a byte of the answer taken.
    pub(crate) progress_time: Duration,
    /// From the command line to the source's last byte.
    pub(crate) source_time: Duration,
    /// Words of a command, the compiler included.
    pub(crate) arguments: usize,
    /// Bytes of all words together.
    pub(crate) argument_bytes: usize,
    /// Bytes of a source as it travels.
    pub(crate) source_bytes: usize,
    /// Bytes of a source once it is expanded.
    pub(crate) expanded_bytes: usize,
    /// Bytes of an object.
    pub(crate) object_bytes: usize,
    /// Bytes of the compiler's standard error, and of its standard output, that are kept.
    pub(crate) output_bytes: usize,
    /// Bytes of all files of one job.
    pub(crate) job_bytes: u64,
}

impl Default for ServerLimits {
    fn default() -> Self {
        let bytes = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
        Self {
            connections: 512,
            connections_per_address: 256,
            incomplete_per_address: 128,
            head_time: Duration::from_secs(10),
            first_byte_time: Duration::from_secs(60),
            progress_time: Duration::from_secs(30),
            source_time: Duration::from_secs(600),
            arguments: 20_000,
            argument_bytes: bytes(MIB),
            source_bytes: bytes(256 * MIB),
            expanded_bytes: bytes(512 * MIB),
            object_bytes: bytes(GIB),
            output_bytes: bytes(15 * MIB),
            job_bytes: 2 * GIB,
        }
    }
}
