//! One job, from an accepted connection to its answer, with all that keeps it within its bounds.

pub(crate) mod answer;
pub(crate) mod compiler;
pub(crate) mod job;
pub(crate) mod program;
pub(crate) mod shield;
pub(crate) mod source;
pub(crate) mod sweep;
pub(crate) mod trouble;
pub(crate) mod workspace;
